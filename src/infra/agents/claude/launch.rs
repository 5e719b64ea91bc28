//! The command line and environment of Claude Code for one turn, and what of the user's own set-up applies.

use super::super::{Launch, MCP_NAME, McpServer};
use crate::protocol::config::Role;
use crate::protocol::drive::DriveOrder;
use serde_json::json;
use std::collections::BTreeMap;

/// Tools that may be used without a question when nothing of ours fences the agent in.
const ALLOWED: &[&str] =
    &["Bash", "Read", "Edit", "Write", "NotebookEdit", "Glob", "Grep", "Task", "Skill", "WebFetch", "WebSearch"];
/// Tools that leave the slot.
const LEAVING: &[&str] = &["EnterWorktree", "ExitWorktree"];
/// Tools that change files.
const WRITING: &[&str] = &["Write", "Edit", "NotebookEdit"];
/// Environment set unless the user sets it: no telemetry, no update in the middle of a run, and few retries, because the
/// chain waits better than the agent does.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("DISABLE_TELEMETRY", "1"),
    ("DISABLE_ERROR_REPORTING", "1"),
    ("DISABLE_AUTOUPDATER", "1"),
    ("CLAUDE_CODE_MAX_RETRIES", "2"),
];
/// Traces of a Claude Code around us, which would make this one believe it is nested.
const OUTER: &[&str] = &["CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_SSE_PORT"];

/// How the program is started.
#[derive(Debug)]
pub(super) struct Plan {
    pub launch: Launch,
    /// The name of the session: the one that is continued, or the fresh one.
    pub session: String,
    /// What of the user's own set-up applies, for the transcript.
    pub notes: Vec<String>,
}

/// Makes the plan. `is_set` tells which variables the environment has; `fresh` names a new session (a UUID).
pub(super) fn plan(order: &DriveOrder, server: &McpServer, is_set: impl Fn(&str) -> bool, fresh: String) -> Plan {
    let inherits = order.agent.inherit != Some(false);
    let mut argv = order.agent.program().to_vec();
    let mut add = |words: &[&str]| argv.extend(words.iter().map(|word| (*word).to_owned()));
    // The prompt and later words go to its standard input, one JSON object a line.
    add(&["-p", "--output-format", "stream-json", "--verbose", "--include-partial-messages"]);
    add(&["--input-format", "stream-json", "--replay-user-messages"]);
    if order.fenced {
        add(&["--permission-mode", "bypassPermissions"]);
    } else {
        let ours = format!("mcp__{MCP_NAME}");
        let allowed: Vec<&str> = ALLOWED.iter().copied().chain([ours.as_str()]).collect();
        add(&["--permission-mode", "acceptEdits", "--allowedTools", &allowed.join(",")]);
    }
    let reads_only = matches!(order.role, Role::Planner | Role::Reviewer);
    let denied: Vec<&str> = LEAVING.iter().chain(WRITING.iter().filter(|_| reads_only)).copied().collect();
    add(&["--disallowedTools", &denied.join(",")]);
    add(&["--mcp-config", &servers(server)]);
    if !inherits {
        // What the repository brings stays: it is part of the project.
        add(&["--strict-mcp-config", "--setting-sources", "project"]);
    }
    if let Some(model) = &order.model {
        add(&["--model", model]);
    }
    if let Some(usd) = order.budget.usd {
        add(&["--max-budget-usd", &usd.to_string()]);
    }
    let session = order.session.clone().unwrap_or(fresh);
    add(&[if order.session.is_some() { "--resume" } else { "--session-id" }, &session]);
    let mut env: BTreeMap<String, String> = ENVIRONMENT
        .iter()
        .filter(|(name, _)| !is_set(name))
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    if order.fenced {
        // It refuses to run without questions as root unless it is told that it is in a sandbox, and it is.
        env.insert("IS_SANDBOX".into(), "1".into());
    }
    env.extend(order.agent.env.clone());
    let without =
        OUTER.iter().filter(|name| !order.agent.env.contains_key(**name)).map(|name| (*name).to_owned()).collect();
    Plan { launch: Launch { argv, env, without }, session, notes: notes(order, inherits, reads_only) }
}

/// Our server, always visible. Values come from the program's own environment, so that they are not on its command
/// line, where every process could read them.
fn servers(server: &McpServer) -> String {
    let env: BTreeMap<&String, String> = server.env.keys().map(|name| (name, format!("${{{name}}}"))).collect();
    let ours =
        json!({ "type": "stdio", "alwaysLoad": true, "command": server.command, "args": server.args, "env": env });
    json!({ "mcpServers": { MCP_NAME: ours } }).to_string()
}

fn notes(order: &DriveOrder, inherits: bool, reads_only: bool) -> Vec<String> {
    let inherited = if inherits {
        "your own CLAUDE.md, settings, hooks and servers of Claude Code apply; `\"inherit\": false` leaves them out"
    } else {
        "your own CLAUDE.md, settings, hooks and servers of Claude Code are left out; those of the repository apply"
    };
    let permissions = match (order.fenced, reads_only) {
        (true, false) => "it may do everything without asking; a fence keeps its writes in",
        (true, true) => "it may do everything but edit without asking; a fence keeps its writes in",
        (false, false) => "it may edit and run commands without asking, with your rights",
        (false, true) => "it may read and run commands without asking, with your rights, and not edit",
    };
    vec![inherited.to_owned(), permissions.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infra::agents::fake::{plain_order, server};
    use crate::protocol::config::AgentKind;
    use crate::protocol::drive::Budget;

    fn order() -> DriveOrder {
        plain_order(AgentKind::Claude)
    }

    fn planned(order: &DriveOrder) -> Plan {
        plan(order, &server(), |_| false, "11111111-2222-4333-8444-555555555555".into())
    }

    /// The value after an option.
    fn value<'a>(plan: &'a Plan, option: &str) -> Option<&'a str> {
        let at = plan.launch.argv.iter().position(|word| word == option)?;
        plan.launch.argv.get(at + 1).map(String::as_str)
    }

    #[test]
    fn neither_the_prompt_nor_a_secret_is_on_the_command_line() {
        let plan = planned(&order());
        assert_eq!(plan.launch.argv[..2], ["claude", "-p"]);
        assert!(!plan.launch.shown().contains("secret"), "{}", plan.launch.shown());
        let config: serde_json::Value = serde_json::from_str(value(&plan, "--mcp-config").expect("set")).expect("JSON");
        let ours = &config["mcpServers"]["ralph"];
        assert_eq!((&ours["alwaysLoad"], &ours["env"]["RALPH_NONCE"]), (&json!(true), &json!("${RALPH_NONCE}")));
    }

    #[test]
    fn permissions_follow_the_fence_and_the_role() {
        let plan = planned(&order());
        assert_eq!(value(&plan, "--permission-mode"), Some("acceptEdits"));
        assert!(value(&plan, "--allowedTools").expect("set").ends_with(",mcp__ralph"));
        assert_eq!(value(&plan, "--disallowedTools"), Some("EnterWorktree,ExitWorktree"));
        assert!(!plan.launch.env.contains_key("IS_SANDBOX"));
        let plan = planned(&DriveOrder { fenced: true, role: Role::Reviewer, ..order() });
        assert_eq!(value(&plan, "--permission-mode"), Some("bypassPermissions"));
        assert_eq!(value(&plan, "--allowedTools"), None);
        assert!(value(&plan, "--disallowedTools").expect("set").ends_with(",Write,Edit,NotebookEdit"));
        assert_eq!(plan.launch.env["IS_SANDBOX"], "1");
    }

    #[test]
    fn sessions_models_and_budgets_are_passed_on() {
        let plan = planned(&order());
        assert_eq!(value(&plan, "--session-id"), Some(plan.session.as_str()));
        let budget = Budget { usd: Some(2.5), tokens: None };
        let order = DriveOrder { session: Some("s1".into()), model: Some("opus".into()), budget, ..order() };
        let plan = planned(&order);
        assert_eq!((value(&plan, "--resume"), value(&plan, "--session-id")), (Some("s1"), None));
        assert_eq!((value(&plan, "--model"), value(&plan, "--max-budget-usd")), (Some("opus"), Some("2.5")));
    }

    #[test]
    fn the_users_own_set_up_applies_unless_it_is_left_out() {
        let plan = planned(&order());
        assert!(value(&plan, "--setting-sources").is_none() && plan.notes[0].contains("apply;"));
        let mut left_out = order();
        left_out.agent.inherit = Some(false);
        let plan = planned(&left_out);
        assert_eq!(value(&plan, "--setting-sources"), Some("project"));
        assert!(plan.launch.argv.contains(&"--strict-mcp-config".to_owned()) && plan.notes[0].contains("left out"));
    }

    #[test]
    fn the_users_environment_wins() {
        let mut order = order();
        order.agent.env.insert("CLAUDE_CODE_MAX_RETRIES".into(), "7".into());
        let plan = plan(&order, &server(), |name| name == "DISABLE_TELEMETRY", "s".into());
        assert_eq!(plan.launch.env["CLAUDE_CODE_MAX_RETRIES"], "7");
        assert!(!plan.launch.env.contains_key("DISABLE_TELEMETRY"));
        assert_eq!(plan.launch.env["DISABLE_AUTOUPDATER"], "1");
        assert!(plan.launch.without.contains(&"CLAUDECODE".to_owned()));
    }
}
