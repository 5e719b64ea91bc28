//! opencode, by the Agent Client Protocol.

use crate::bench::cases;
use crate::bench::subjects::OPENCODE as SUBJECT;

features! { SUBJECT:
    reports_by_tool, reports_by_command, plans, goes_through_the_whole_loop, stops, stops_when_the_model_hangs, keeps_to_a_budget, hears, is_missing;
    resumes("unauthorized");
    survives("rate-short");
}

failures! { SUBJECT:
    unauthorized: [Auth];
    forbidden: [Auth];
    no_model: [ModelUnavailable];
    billing: [Auth];
    context: [ContextExhausted];
    bad_request: [Crashed, InvalidOutput];
}
