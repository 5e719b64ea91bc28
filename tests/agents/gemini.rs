//! Gemini CLI, by the Agent Client Protocol.

use crate::bench::cases;
use crate::bench::subjects::GEMINI as SUBJECT;

features! { SUBJECT:
    reports_by_tool, reports_by_command, plans, goes_through_the_whole_loop, stops_when_the_model_hangs, hears, is_missing;
    survives("overloaded");
}

runs! { SUBJECT:
    is_fenced("home/.gemini");
}

bounds! { SUBJECT:
    hang_before: Idle(20);
    hang_mid: Idle(20);
}

failures! { SUBJECT:
    rate: [RateLimited];
    rate_long: [RateLimited], lifts LONG_SECONDS;
    quota: [RateLimited], lifts QUOTA_SECONDS;
    insufficient: [RateLimited, Auth];
    unauthorized: [Auth];
    forbidden: [Auth];
    billing: [Auth, RateLimited];
    bad_request: [Crashed, InvalidOutput];
    internal: [Overloaded];
    html: [Overloaded, Network];
    unavailable: [Overloaded];
    overloaded: [Overloaded];
    malformed: [Network, Overloaded, InvalidOutput];
    empty: [Network, Overloaded, InvalidOutput];
}
