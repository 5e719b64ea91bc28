//! The items of a turn of Codex as lines of a transcript.

use super::super::driving::{TITLE, clip, first_line};
use super::stream::output;
use crate::protocol::agent_lines::{AgentLine, ToolStatus};
use serde_json::Value;

/// Returns the line for an item that began or ended; none for one that says nothing new. What helpers say is not the
/// agent's own word.
pub(super) fn line(item: &Value, stage: ToolStatus, of_helper: bool) -> Option<AgentLine> {
    let text = |field: &str| item.get(field).and_then(Value::as_str);
    let ended = stage != ToolStatus::Started;
    let words = |words: String| Some(words).filter(|words| ended && !words.trim().is_empty());
    match text("type")? {
        "agentMessage" if of_helper => words(text("text")?.to_owned()).map(|text| AgentLine::Thought { text }),
        "agentMessage" => words(text("text")?.to_owned()).map(|text| AgentLine::Said { text }),
        "reasoning" => words(reasoning(item)).map(|text| AgentLine::Thought { text }),
        "plan" => words(text("text")?.to_owned()).map(|text| AgentLine::Thought { text }),
        "userMessage" | "hookPrompt" | "enteredReviewMode" | "exitedReviewMode" => None,
        "contextCompaction" => {
            words("its context was summed up to make room".into()).map(|text| AgentLine::Note { text })
        }
        kind => {
            let id = text("id").unwrap_or(kind).to_owned();
            let status = match (ended, text("status")) {
                (false, _) => ToolStatus::Started,
                (true, Some("failed" | "declined")) => ToolStatus::Failed,
                (true, _) => ToolStatus::Completed,
            };
            let detail = if ended { detail(kind, item) } else { String::new() };
            Some(AgentLine::Tool { id, title: title(kind, item), status, detail })
        }
    }
}

fn reasoning(item: &Value) -> String {
    let parts = |field: &str| -> Vec<&str> {
        let parts = item.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        parts.iter().filter_map(Value::as_str).collect()
    };
    let summary = parts("summary");
    if summary.is_empty() { parts("content").join("\n") } else { summary.join("\n") }
}

fn title(kind: &str, item: &Value) -> String {
    let text = |field: &str| item.get(field).and_then(Value::as_str).unwrap_or_default();
    match kind {
        "commandExecution" => {
            // Without the shell that it wraps around it.
            let inner = item.pointer("/commandActions/0/command").and_then(Value::as_str);
            first_line(inner.unwrap_or_else(|| text("command")))
        }
        "fileChange" => clip(&format!("edit {}", changes(item).join(", ")), TITLE),
        "mcpToolCall" => format!("{}: {}", text("server"), text("tool")),
        "dynamicToolCall" => text("tool").to_owned(),
        "webSearch" => clip(&format!("search {}", text("query")), TITLE),
        "imageView" => clip(&format!("view {}", text("path")), TITLE),
        "collabAgentToolCall" => format!("helper: {}", text("tool")),
        kind => kind.to_owned(),
    }
}

/// The paths an edit changes.
fn changes(item: &Value) -> Vec<&str> {
    let changes = item.get("changes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    changes.iter().filter_map(|change| change.get("path")?.as_str()).collect()
}

fn detail(kind: &str, item: &Value) -> String {
    let text = |field: &str| item.get(field).and_then(Value::as_str).unwrap_or_default();
    match kind {
        "commandExecution" => {
            let printed = output(text("aggregatedOutput"));
            match item.get("exitCode").and_then(Value::as_i64).filter(|code| *code != 0) {
                Some(code) if printed.is_empty() => format!("exit status {code}"),
                Some(code) => format!("{printed}\nexit status {code}"),
                None => printed,
            }
        }
        "mcpToolCall" => {
            let error = item.pointer("/error/message").and_then(Value::as_str);
            let parts =
                item.pointer("/result/content").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let texts: Vec<&str> = parts.iter().filter_map(|part| part.get("text")?.as_str()).collect();
            output(error.unwrap_or(&texts.join("\n")))
        }
        _ => String::new(),
    }
}
