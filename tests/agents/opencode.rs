//! opencode, by the Agent Client Protocol.

use crate::bench::cases;
use crate::bench::subjects::OPENCODE as SUBJECT;

features! { SUBJECT:
    reports_by_tool, reports_by_command, plans, goes_through_the_whole_loop, stops, stops_when_the_model_hangs, keeps_to_a_budget, hears, is_missing;
}

bounds! { SUBJECT:
    rate_long: Idle(20);
    hang_before: Idle(20);
    hang_mid: Idle(20);
}

failures! { SUBJECT:
    unauthorized: [Auth];
    no_model: [ModelUnavailable];
    context: [ContextExhausted];
}

failures! { slow SUBJECT:
    rate: [RateLimited];
    insufficient: [RateLimited, Auth];
    internal: [Overloaded];
    html: [Overloaded, Network];
    unavailable: [Overloaded];
    overloaded: [Overloaded];
    stream_overloaded: [Overloaded];
    dropped: [Network];
}
