//! Codex behind its adapter to the Agent Client Protocol.

use crate::bench::cases;
use crate::bench::subjects::CODEX_ACP as SUBJECT;

features! { SUBJECT:
    reports_by_tool, plans, stops, stops_when_the_model_hangs, keeps_to_a_budget, hears, is_missing;
    resumes("unauthorized");
}

failures! { SUBJECT:
    rate: [RateLimited];
    quota: [RateLimited], lifts QUOTA_SECONDS;
    unauthorized: [Auth];
    no_model: [ModelUnavailable];
    context: [ContextExhausted];
    overloaded: [Overloaded];
    dropped: [Network];
}
