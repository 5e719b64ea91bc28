//! The tools as a model is told of them. Every word here is sent with every call, so there are few. Those that report
//! are the same ones that our MCP server offers.

use super::super::chat::ToolSpec;
use crate::protocol::config::Role;
use crate::protocol::report_tools;
use serde_json::{Map, Value, json};

/// Below this window, in tokens, only the tools are offered that a task cannot do without, in few words.
pub const SMALL: u64 = 8_192;

/// Returns the tools of a role, for a model with this window.
pub fn specs(role: Role, window: Option<u64>) -> Vec<ToolSpec> {
    let own: &[&str] = match role {
        Role::Planner => &["read", "list", "search"],
        Role::Reviewer => &["read", "list", "search", "run"],
        Role::Implementer | Role::Fixer | Role::Committer => &["read", "list", "search", "edit", "write", "run"],
    };
    let is_small = window.is_some_and(|window| window < SMALL);
    let reports = report_tools::tools(role).filter(|tool| is_offered(tool.name, is_small));
    let reports = reports.map(|tool| report(tool, is_small));
    own.iter().filter_map(|name| spec(name)).chain(reports).collect()
}

/// Words of the user are handed on between the calls, so nobody has to look for them; and a small window has no room
/// for what a task can do without.
fn is_offered(name: &str, is_small: bool) -> bool {
    match name {
        "check_inbox" => false,
        "report_progress" | "report_learned" | "report_decided" | "report_handoff" | "suggest_task" => !is_small,
        _ => true,
    }
}

/// Returns a tool that reports; in brief, the first sentence about it and the bare schema.
pub fn report(tool: &'static report_tools::Tool, in_brief: bool) -> ToolSpec {
    let mut parameters = Value::Object(tool.schema());
    let about = if in_brief {
        without_words(&mut parameters);
        tool.about.split_inclusive(". ").next().unwrap_or(tool.about).trim_end()
    } else {
        tool.about
    };
    ToolSpec { name: tool.name, about, example: "", parameters }
}

/// Takes the descriptions out of a schema; a field of that name stays, for its schema is an object.
fn without_words(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.retain(|name, value| name != "description" || !value.is_string());
            fields.values_mut().for_each(without_words);
        }
        Value::Array(items) => items.iter_mut().for_each(without_words),
        _ => {}
    }
}

/// Returns the tool of this name that is no report.
pub fn spec(name: &str) -> Option<ToolSpec> {
    let text = |about: &str| json!({"type": "string", "description": about});
    let plain = || json!({"type": "string"});
    let number = || json!({"type": "integer", "minimum": 1});
    let path = || text("relative to the root of the repository");
    Some(match name {
        "read" => tool(
            "read",
            "Reads a text file; each line comes with its number and a tab, which are not part of it.",
            r#"{"path": "src/main.rs", "offset": 1, "limit": 200}"#,
            [("path", path()), ("offset", number()), ("limit", number())],
            &["path"],
        ),
        "list" => tool(
            "list",
            "Lists a folder, without what git ignores.",
            r#"{"path": "src", "depth": 2}"#,
            [("path", path()), ("depth", number())],
            &[],
        ),
        "search" => tool(
            "search",
            "Finds the lines of files that match a regular expression.",
            r#"{"pattern": "fn main", "path": "src", "files": "*.rs"}"#,
            [("pattern", plain()), ("path", path()), ("files", text("glob"))],
            &["pattern"],
        ),
        "edit" => tool(
            "edit",
            "Replaces one exact piece of a file; `old` must be in it exactly once.",
            r#"{"path": "src/main.rs", "old": "let a = 1;", "new": "let a = 2;"}"#,
            [("path", path()), ("old", plain()), ("new", plain())],
            &["path", "old", "new"],
        ),
        "write" => tool(
            "write",
            "Writes a whole file, new or not.",
            r#"{"path": "src/new.rs", "content": "fn new() {}\n"}"#,
            [("path", path()), ("content", plain())],
            &["path", "content"],
        ),
        "run" => tool(
            "run",
            "Runs a shell command in the root of the repository. Nothing stays on in the background.",
            r#"{"command": "cargo test", "timeout_seconds": 300}"#,
            [("command", plain()), ("timeout_seconds", number())],
            &["command"],
        ),
        _ => return None,
    })
}

fn tool<const N: usize>(
    name: &'static str,
    about: &'static str,
    example: &'static str,
    fields: [(&str, Value); N],
    needed: &[&str],
) -> ToolSpec {
    ToolSpec { name, about, example, parameters: object(fields, needed) }
}

fn object<const N: usize>(fields: [(&str, Value); N], needed: &[&str]) -> Value {
    let fields: Map<String, Value> = fields.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    json!({"type": "object", "properties": fields, "required": needed})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(role: Role, window: Option<u64>) -> Vec<&'static str> {
        specs(role, window).iter().map(|spec| spec.name).collect()
    }

    #[test]
    fn each_role_has_what_it_may_do() {
        for role in [Role::Planner, Role::Reviewer] {
            for window in [None, Some(4_096)] {
                let names = names(role, window);
                assert!(!names.contains(&"edit") && !names.contains(&"write"), "{names:?}");
                assert_eq!(names.contains(&"run"), role == Role::Reviewer);
                assert!(names.contains(&"read") && !names.contains(&"report_finished"));
            }
        }
        assert!(names(Role::Planner, None).contains(&"submit_plan"));
        assert!(names(Role::Reviewer, None).contains(&"submit_review"));
        let all = names(Role::Implementer, None);
        for name in
            ["edit", "write", "run", "report_finished", "report_ask", "report_decided", "suggest_task", "report_reply"]
        {
            assert!(all.contains(&name), "{name}");
        }
        let few = names(Role::Implementer, Some(4_096));
        assert!(few.len() < all.len() && few.contains(&"report_finished"), "{few:?}");
    }

    #[test]
    fn in_a_small_window_few_words_are_made() {
        let size = |window| {
            specs(Role::Implementer, window).iter().map(|spec| spec.to_value().to_string().len()).sum::<usize>()
        };
        let small = size(Some(4_096));
        // About a third of what such a window holds.
        assert!(small < 4_800, "{small}");
        assert!(size(None) > small);
        let tool = report_tools::tool("suggest_task").expect("there");
        let brief = report(tool, true).parameters;
        assert!(brief["properties"]["task"]["properties"]["description"].is_object(), "{brief}");
        assert_eq!(brief["properties"]["task"].get("description"), None);
    }

    #[test]
    fn examples_are_what_the_schemas_want() {
        for role in Role::ALL {
            for spec in specs(role, None).into_iter().filter(|spec| !spec.example.is_empty()) {
                let example: Value = serde_json::from_str(spec.example).expect(spec.name);
                let fields = example.as_object().expect(spec.name);
                let known = spec.parameters["properties"].as_object().expect(spec.name);
                assert!(fields.keys().all(|name| known.contains_key(name)), "{}", spec.name);
                let needed = spec.parameters["required"].as_array().expect(spec.name);
                assert!(needed.iter().all(|name| fields.contains_key(name.as_str().expect("a name"))), "{}", spec.name);
            }
        }
    }
}
