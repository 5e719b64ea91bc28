//! Gemini CLI, by the Agent Client Protocol.

use crate::bench::cases;
use crate::bench::subjects::GEMINI as SUBJECT;

features! { SUBJECT:
    reports_by_tool, reports_by_command, plans, goes_through_the_whole_loop, stops_when_the_model_hangs, hears, is_missing;
}

failures! { SUBJECT:
    quota: [RateLimited], lifts QUOTA_SECONDS;
    unauthorized: [Auth];
    forbidden: [Auth];
}
