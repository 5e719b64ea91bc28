//! The tools as a model is told of them. Every word here is sent with every call, so there are few.

use super::super::chat::ToolSpec;
use crate::protocol::config::Role;
use serde_json::{Map, Value, json};

/// Below this window, in tokens, only the tools are offered that a task cannot do without.
const SMALL: u64 = 8_192;

/// Returns the tools of a role, for a model with this window.
pub fn specs(role: Role, window: Option<u64>) -> Vec<ToolSpec> {
    let looking = ["read", "list", "search"].as_slice();
    let changing = ["edit", "write", "run"].as_slice();
    let verdicts = ["report_finished", "report_ask", "report_blocked"].as_slice();
    let words = ["report_progress", "report_learned"].as_slice();
    let groups: Vec<&[&str]> = match role {
        Role::Planner => vec![looking, &["submit_plan", "report_blocked"], words],
        Role::Reviewer => vec![looking, &["run", "submit_review", "report_blocked"], words],
        Role::Implementer | Role::Fixer | Role::Committer => {
            vec![looking, changing, verdicts, words, &["report_decided", "suggest_task"]]
        }
    };
    let is_small = window.is_some_and(|window| window < SMALL);
    let names = groups.concat();
    let spared =
        |name: &&str| !matches!(*name, "report_progress" | "report_learned" | "report_decided" | "suggest_task");
    names.into_iter().filter(|name| !is_small || spared(name)).filter_map(spec).collect()
}

/// Returns the tool of this name.
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
        "report_finished" => tool(
            "report_finished",
            "Says that the task is done, and ends your work. It is checked. `no_change` says why nothing had to change.",
            r#"{"summary": "what you did"}"#,
            [("summary", plain()), ("no_change", plain()), ("evidence", plain())],
            &["summary"],
        ),
        "report_blocked" => tool(
            "report_blocked",
            "Says why you cannot go on, and ends your work.",
            r#"{"reason": "why"}"#,
            [("reason", plain())],
            &["reason"],
        ),
        "report_ask" => tool(
            "report_ask",
            "Asks the user to choose, and ends your work until then.",
            r#"{"question": "Which one?", "options": ["a", "b"], "recommend": "a"}"#,
            [
                ("question", plain()),
                ("options", json!({"type": "array", "items": plain()})),
                ("recommend", plain()),
                ("file", plain()),
                ("line", number()),
            ],
            &["question", "options"],
        ),
        "report_progress" => tool(
            "report_progress",
            "Says what you are doing right now.",
            r#"{"text": "reading the tests"}"#,
            [("text", plain())],
            &["text"],
        ),
        "report_learned" => tool(
            "report_learned",
            "Keeps something that later work should know.",
            r#"{"text": "the tests need a database"}"#,
            [("text", plain())],
            &["text"],
        ),
        "report_decided" => tool(
            "report_decided",
            "Records a choice that you made yourself.",
            r#"{"question": "Which crate?", "chosen": "a", "rejected": [{"label": "b", "reason": "too large"}]}"#,
            [
                ("question", plain()),
                ("chosen", plain()),
                (
                    "rejected",
                    json!({"type": "array", "items": object([("label", plain()), ("reason", plain())], &["label"])}),
                ),
            ],
            &["question", "chosen"],
        ),
        "suggest_task" => tool(
            "suggest_task",
            "Suggests a further task to the user.",
            r#"{"title": "Rename x", "description": "why and how"}"#,
            [("title", plain()), ("description", plain())],
            &["title"],
        ),
        "submit_plan" => tool(
            "submit_plan",
            "Hands in the plan, and ends your work.",
            r#"{"tasks": [{"id": "short-name", "title": "…", "description": "…", "acceptance": ["…"], "verify": ["…"], "depends_on": []}]}"#,
            [("goal", plain()), ("tasks", json!({"type": "array", "items": plan_entry(&plain())}))],
            &["tasks"],
        ),
        "submit_review" => tool(
            "submit_review",
            "Hands in the review, and ends your work. Without findings it approves.",
            r#"{"summary": "…", "findings": [{"file": "src/main.rs", "line": 12, "text": "what is wrong and what is right"}]}"#,
            [
                ("summary", plain()),
                (
                    "findings",
                    json!({"type": "array", "items":
                        object([("file", plain()), ("line", number()), ("text", plain())], &["text"])}),
                ),
            ],
            &["summary"],
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

fn plan_entry(plain: &Value) -> Value {
    let texts = json!({"type": "array", "items": plain});
    let place = object([("file", plain.clone()), ("note", plain.clone())], &["file"]);
    object(
        [
            ("id", plain.clone()),
            ("title", plain.clone()),
            ("description", plain.clone()),
            ("acceptance", texts.clone()),
            ("verify", texts.clone()),
            ("depends_on", texts.clone()),
            ("files", texts),
            ("context", json!({"type": "array", "items": place})),
            ("priority", json!({"type": "string", "enum": ["critical", "high", "medium", "low"]})),
        ],
        &["title"],
    )
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
                assert!(names.contains(&"read") && names.contains(&"report_blocked"));
            }
        }
        assert!(names(Role::Planner, None).contains(&"submit_plan"));
        assert!(names(Role::Reviewer, None).contains(&"submit_review"));
        let all = names(Role::Implementer, None);
        for name in ["edit", "write", "run", "report_finished", "report_ask", "report_decided", "suggest_task"] {
            assert!(all.contains(&name), "{name}");
        }
        let few = names(Role::Implementer, Some(4_096));
        assert!(few.len() < all.len() && few.contains(&"report_finished"), "{few:?}");
    }

    #[test]
    fn examples_are_what_the_schemas_want() {
        for role in Role::ALL {
            for spec in specs(role, None) {
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
