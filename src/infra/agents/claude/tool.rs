//! Titles of Claude Code's tool calls, and its own list of steps.

use super::super::driving::{TITLE, clip, first_line};
use crate::protocol::agent_lines::Step;
use serde_json::Value;

/// Returns a short title of a call.
pub(super) fn title(name: &str, input: &Value) -> String {
    let text = |field: &str| input.get(field).and_then(Value::as_str).map(first_line).filter(|text| !text.is_empty());
    let fields: &[&str] = match name {
        "Bash" => return text("command").unwrap_or_else(|| name.to_owned()),
        "Read" | "Write" | "Edit" | "MultiEdit" => &["file_path"],
        "NotebookEdit" => &["notebook_path"],
        "Glob" | "Grep" => &["pattern"],
        "WebFetch" => &["url"],
        "WebSearch" => &["query"],
        _ => &["description", "subject", "text", "summary", "skill"],
    };
    // `mcp__SERVER__TOOL`
    let name = match name.strip_prefix("mcp__").and_then(|rest| rest.split_once("__")) {
        Some((server, tool)) => format!("{server}: {tool}"),
        None => name.to_owned(),
    };
    match fields.iter().find_map(|field| text(field)) {
        Some(about) => clip(&format!("{name} {about}"), TITLE),
        None => name,
    }
}

/// Reads the agent's own list of steps, which is one of its tools.
pub(super) fn steps(name: &str, input: &Value) -> Option<Vec<Step>> {
    if name != "TodoWrite" {
        return None;
    }
    let text = |step: &Value, field: &str| step.get(field).and_then(Value::as_str).map(str::to_owned);
    let steps = input.get("todos")?.as_array()?.iter();
    Some(steps.filter_map(|step| Some(Step { text: text(step, "content")?, status: text(step, "status")? })).collect())
}

/// Returns what a tool printed: text, or the texts of its parts.
pub(super) fn output(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part.get("text")?.as_str()).collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}
