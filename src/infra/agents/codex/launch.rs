//! The command line and first messages of Codex for one turn, and what of the user's own set-up applies.

use super::super::{Launch, MCP_NAME, McpServer};
use crate::protocol::config::Role;
use crate::protocol::drive::DriveOrder;
use serde_json::{Map, Value, json};
use std::path::Path;

/// How the program is started; nothing of the turn is on its command line.
pub(super) fn launch(order: &DriveOrder) -> Launch {
    let mut argv = order.agent.program().to_vec();
    argv.push("app-server".into());
    Launch { argv, env: order.agent.env.clone(), without: Vec::new() }
}

/// The first request: who we are.
pub(super) fn initialize() -> Value {
    json!({
        "clientInfo": { "name": "ralph-sidecar", "title": "Ralph", "version": env!("CARGO_PKG_VERSION") },
        "capabilities": { "experimentalApi": false, "requestAttestation": false },
    })
}

/// The request for the user's settings, from which the names of their servers are taken.
pub(super) fn read_config(folder: &Path) -> Value {
    json!({ "cwd": folder, "includeLayers": false })
}

/// Returns the names of the servers in the answer to [`read_config`].
pub(super) fn servers_of(answer: &Value) -> Vec<String> {
    let servers = answer.pointer("/config/mcp_servers").and_then(Value::as_object);
    servers.map(|servers| servers.keys().cloned().collect()).unwrap_or_default()
}

/// The name and parameters of the request for a fresh thread, or for the one that is continued. Servers of the user in
/// `without` are turned off.
pub(super) fn thread(
    order: &DriveOrder,
    server: &McpServer,
    folder: &Path,
    without: &[String],
) -> (&'static str, Value) {
    let mut parameters = Map::new();
    let mut set = |name: &str, value: Value| parameters.insert(name.to_owned(), value);
    set("cwd", json!(folder));
    set("approvalPolicy", json!("never"));
    set("sandbox", json!(sandbox(order)));
    set("config", config(order, server, without));
    if let Some(model) = &order.model {
        set("model", json!(model));
    }
    match &order.session {
        Some(session) => {
            set("threadId", json!(session));
            set("excludeTurns", json!(true));
            ("thread/resume", Value::Object(parameters))
        }
        None => ("thread/start", Value::Object(parameters)),
    }
}

/// Tells whether the user's own servers and programs apply.
pub(super) fn inherits(order: &DriveOrder) -> bool {
    order.agent.inherit != Some(false)
}

/// Its own sandbox is off inside our fence, where the two would be in each other's way.
fn sandbox(order: &DriveOrder) -> &'static str {
    match (order.fenced, order.role) {
        (true, _) => "danger-full-access",
        (false, Role::Planner | Role::Reviewer) => "read-only",
        (false, _) => "workspace-write",
    }
}

/// Settings over the user's. Servers get only the environment that is named for them, and not on a command line.
fn config(order: &DriveOrder, server: &McpServer, without: &[String]) -> Value {
    let mut config = Map::new();
    let ours = json!({ "command": server.command, "args": server.args, "env": server.env });
    config.insert(format!("mcp_servers.{MCP_NAME}"), ours);
    config.insert("check_for_update_on_startup".into(), json!(false));
    // A login shell would read the profile again and lose our PATH, and with it the command for reports.
    config.insert("allow_login_shell".into(), json!(false));
    if !inherits(order) {
        // A program that is run at the end of every turn.
        config.insert("notify".into(), json!([]));
    }
    // A name with a dot in it would be a path to something else.
    for name in without.iter().filter(|name| *name != MCP_NAME && !name.contains('.')) {
        config.insert(format!("mcp_servers.{name}.enabled"), json!(false));
    }
    Value::Object(config)
}

/// What of the user's own set-up applies, for the transcript; `sources` are the files of instructions it read.
pub(super) fn notes(order: &DriveOrder, sources: &[&str], without: &[String]) -> Vec<String> {
    let mut notes = Vec::new();
    notes.push(match (inherits(order), without) {
        (true, _) => {
            "your own settings and servers of Codex apply; `\"inherit\": false` leaves the servers out".to_owned()
        }
        (false, []) => {
            "your own settings of Codex apply, but what it runs after a turn; you have no servers".to_owned()
        }
        (false, names) => format!("your own settings of Codex apply; left out: the servers {}", names.join(", ")),
    });
    if !sources.is_empty() {
        notes.push(format!("instructions are read from {}", sources.join(", ")));
    }
    notes.push(match sandbox(order) {
        "danger-full-access" => "its own sandbox is off; a fence keeps its writes in".to_owned(),
        mode => format!("its own sandbox is on ({mode}); nothing is asked"),
    });
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infra::agents::fake::{plain_order, server};
    use crate::protocol::config::AgentKind;

    fn order() -> DriveOrder {
        plain_order(AgentKind::Codex)
    }

    #[test]
    fn nothing_of_the_turn_is_on_the_command_line() {
        assert_eq!(launch(&order()).argv, ["codex", "app-server"]);
        let (method, parameters) = thread(&order(), &server(), Path::new("/slot"), &[]);
        assert_eq!(method, "thread/start");
        assert_eq!(parameters["config"]["mcp_servers.ralph"]["env"]["RALPH_NONCE"], "secret");
        assert_eq!((&parameters["cwd"], &parameters["approvalPolicy"]), (&json!("/slot"), &json!("never")));
        assert_eq!(parameters["config"]["allow_login_shell"], false);
        assert_eq!(parameters.get("model"), None);
    }

    #[test]
    fn the_sandbox_follows_the_fence_and_the_role() {
        let table = [
            (true, Role::Implementer, "danger-full-access"),
            (true, Role::Planner, "danger-full-access"),
            (false, Role::Reviewer, "read-only"),
            (false, Role::Planner, "read-only"),
            (false, Role::Fixer, "workspace-write"),
        ];
        for (fenced, role, mode) in table {
            let order = DriveOrder { fenced, role, ..order() };
            assert_eq!(thread(&order, &server(), Path::new("/"), &[]).1["sandbox"], mode);
            assert!(notes(&order, &[], &[]).last().is_some_and(|note| note.contains(if fenced {
                "fence"
            } else {
                mode
            })));
        }
    }

    #[test]
    fn a_session_is_continued_and_servers_are_left_out() {
        let mut order = DriveOrder { session: Some("t1".into()), model: Some("m".into()), ..order() };
        order.agent.inherit = Some(false);
        let answer = json!({ "config": { "mcp_servers": { "users": {}, "a.b": {}, "ralph": {} } } });
        let names = servers_of(&answer);
        let (method, parameters) = thread(&order, &server(), Path::new("/"), &names);
        assert_eq!(
            (method, &parameters["threadId"], &parameters["model"]),
            ("thread/resume", &json!("t1"), &json!("m"))
        );
        let config = parameters["config"].as_object().expect("an object");
        assert_eq!(config["mcp_servers.users.enabled"], false);
        assert!(!config.contains_key("mcp_servers.a.b.enabled") && !config.contains_key("mcp_servers.ralph.enabled"));
    }
}
