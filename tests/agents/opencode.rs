//! opencode, by the Agent Client Protocol.

use crate::bench::cases;
use crate::bench::subjects::OPENCODE as SUBJECT;

features! { SUBJECT:
    reports_by_tool, reports_by_command, plans, goes_through_the_whole_loop, stops, stops_when_the_model_hangs, keeps_to_a_budget, hears, is_missing;
    resumes("unauthorized");
    survives("overloaded");
}

runs! { SUBJECT:
    asks;
    is_blocked;
    approves;
    finds;
    is_fenced("data/opencode");
    runs_out_of_time(45);
    passes_for_an_end("max-tokens");
}

bounds! { SUBJECT:
    rate_long: Idle(30);
    hang_before: Idle(30);
    hang_mid: Idle(30);
    empty: Idle(30);
    runaway: Time(45);
}

failures! { SUBJECT:
    unauthorized: [Auth];
    forbidden: [Auth];
    billing: [Auth];
    no_model: [ModelUnavailable];
    context: [ContextExhausted];
    bad_request: [Crashed, InvalidOutput];
    stream_quota: [RateLimited, Auth];
    truncated: [Network];
}

failures! { slow SUBJECT:
    rate: [RateLimited];
    quota: [RateLimited], lifts QUOTA_SECONDS;
    insufficient: [RateLimited, Auth];
    internal: [Overloaded];
    html: [Overloaded, Network];
    unavailable: [Overloaded];
    overloaded: [Overloaded];
    stream_overloaded: [Overloaded];
    stream_context: [ContextExhausted];
    dropped: [Network];
    malformed: [Network];
}
