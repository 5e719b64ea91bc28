//! Claude Code behind its adapter to the Agent Client Protocol.

use crate::bench::cases;
use crate::bench::subjects::{CLAUDE_AGENT_ACP as SUBJECT, CODEX};

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
    gives_way(&CODEX);
    waits(false);
    is_fenced("home/.claude/projects");
    runs_out_of_time(25);
}

bounds! { SUBJECT:
    hang_mid: Idle(15);
    runaway: Tokens(1000);
}

failures_of_claude!(SUBJECT);
