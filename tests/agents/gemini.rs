//! Gemini CLI, by the Agent Client Protocol.

use crate::bench::cases;
use crate::bench::subjects::{CLAUDE, GEMINI as SUBJECT};

features! { SUBJECT:
    reports_by_tool, reports_by_command, plans, goes_through_the_whole_loop, stops, stops_when_the_model_hangs, keeps_to_a_budget, hears, is_missing;
    survives("overloaded");
}

runs! { SUBJECT:
    asks;
    is_blocked;
    approves;
    finds;
    gives_way(&CLAUDE);
    waits(false);
    is_fenced("home/.gemini");
    runs_out_of_time(25);
    passes_for_an_end("max-tokens");
}

bounds! { SUBJECT:
    hang_before: Idle(20);
    hang_mid: Idle(20);
    runaway: Own(1);
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
    no_model: [ModelUnavailable];
    context: [ContextExhausted];
    stream_context: [ContextExhausted];
    stream_overloaded: [Overloaded];
    stream_quota: [RateLimited, Auth];
    dropped: [Network];
    truncated: [Network, Overloaded, InvalidOutput];
    empty: [Network, Overloaded, InvalidOutput];
}
