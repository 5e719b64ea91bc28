//! Claude Code.

use crate::bench::cases;
use crate::bench::subjects::CLAUDE as SUBJECT;

features! { SUBJECT:
    reports_by_tool, reports_by_command, plans, goes_through_the_whole_loop, stops, stops_when_the_model_hangs, keeps_to_a_budget, hears, is_missing;
    resumes("rate");
    survives("overloaded");
}

failures! { SUBJECT:
    rate: [RateLimited];
    rate_long: [RateLimited], lifts LONG_SECONDS;
    quota: [RateLimited], lifts QUOTA_SECONDS;
    unauthorized: [Auth];
    forbidden: [Auth];
    no_model: [ModelUnavailable];
    billing: [Auth];
    context: [ContextExhausted];
    bad_request: [Crashed, InvalidOutput];
    internal: [Overloaded];
    html: [Overloaded, Network];
    overloaded: [Overloaded];
    hang_before: [Network];
    dropped: [Network];
    malformed: [Network, Overloaded];
    truncated: [Network, Overloaded];
    empty: [Network, Overloaded];
    stream_overloaded: [Overloaded];
    max_tokens: [ContextExhausted, InvalidOutput];
}
