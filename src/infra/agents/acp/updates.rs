//! What an agent tells while it works, as lines of a transcript. Pure, and every field may be missing.

use crate::domain::ending::Usage;
use crate::protocol::agent_lines::{AgentLine, Step, ToolStatus};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Characters of a tool's output that are kept.
const OUTPUT_LIMIT: usize = 8 * 1024;
/// Bytes of a terminal's output that are collected.
const TERMINAL_LIMIT: usize = 64 * 1024;
/// Characters of an unknown message that are kept.
const RAW_LIMIT: usize = 4 * 1024;
/// Tool calls whose end is remembered, so that a late word does not begin them again.
const REMEMBERED: usize = 4096;

/// Updates that are known and tell a transcript nothing: offers, settings, and our own words said back to us.
const SILENT: [&str; 5] = [
    "user_message_chunk",
    "available_commands_update",
    "current_mode_update",
    "config_option_update",
    "session_info_update",
];

/// What has been heard of a session so far.
#[derive(Debug, Default)]
pub(super) struct Updates {
    /// The tool calls that have not ended.
    tools: HashMap<String, Tool>,
    ended: HashSet<String>,
    last_raw: String,
    /// The agent said, thought or did something since the last prompt.
    pub active: bool,
    /// It called a tool since the last prompt.
    pub worked: bool,
    /// The last words it said.
    pub words: String,
    in_words: bool,
    /// Tokens the request of now read at least: the most its window held.
    window: u64,
    /// Tokens that the requests before it read at least.
    read: u64,
    /// A tool call began since the window was told: the next word about the window is of another request.
    began: bool,
    /// What the session cost so far.
    usd: Option<f64>,
}

/// What is known of a tool call; updates tell only what has changed.
#[derive(Clone, Debug, Default)]
pub(super) struct Tool {
    pub title: String,
    pub kind: String,
    pub input: Value,
    /// As the agent wrote them.
    pub locations: Vec<String>,
    pub diffs: Vec<String>,
    output: String,
    raw_output: Value,
    shown: Option<(String, String)>,
}

impl Updates {
    /// Takes in the `update` of a `session/update` and returns what a transcript has to say about it.
    pub fn hear(&mut self, update: &Value, slot: &Path) -> Vec<AgentLine> {
        let kind = text_of(&update["sessionUpdate"]);
        match kind {
            "agent_message_chunk" => {
                let text = content_text(&update["content"]);
                if !self.in_words {
                    self.words.clear();
                }
                self.words.push_str(&text);
                self.active |= !text.is_empty();
                self.in_words = true;
                if text.is_empty() { Vec::new() } else { vec![AgentLine::Said { text }] }
            }
            "agent_thought_chunk" => {
                let text = content_text(&update["content"]);
                self.active |= !text.is_empty();
                self.in_words = false;
                if text.is_empty() { Vec::new() } else { vec![AgentLine::Thought { text }] }
            }
            "tool_call" | "tool_call_update" => {
                self.acted();
                self.worked = true;
                self.tool(update, slot).into_iter().collect()
            }
            "plan" => {
                self.acted();
                vec![AgentLine::Steps { steps: steps_of(&update["entries"]) }]
            }
            "usage_update" => {
                self.window_holds(update["used"].as_u64().unwrap_or(0));
                let cost = &update["cost"];
                if cost["currency"].as_str().is_none_or(|currency| currency.eq_ignore_ascii_case("usd")) {
                    self.usd = cost["amount"].as_f64().filter(|usd| usd.is_finite() && *usd >= 0.0).or(self.usd);
                }
                Vec::new()
            }
            _ if SILENT.contains(&kind) => Vec::new(),
            _ => self.unknown(&update.to_string()).into_iter().collect(),
        }
    }

    /// Returns a message that is not known, unless it is the same as the one before: a sign of waiting is none of life.
    pub fn unknown(&mut self, message: &str) -> Option<AgentLine> {
        if self.last_raw == message {
            return None;
        }
        message.clone_into(&mut self.last_raw);
        Some(AgentLine::Raw { text: clipped(message, RAW_LIMIT) })
    }

    /// Takes in what the window holds. Every request reads its whole window, and a tool call stands between two.
    fn window_holds(&mut self, tokens: u64) {
        if std::mem::take(&mut self.began) {
            self.read = self.read.saturating_add(self.window);
            self.window = tokens;
        } else {
            self.window = self.window.max(tokens);
        }
    }

    /// Returns what was used, as far as updates tell: the least its requests can have read, and the cost.
    pub fn usage(&self) -> Usage {
        Usage { input_tokens: self.read.saturating_add(self.window), usd: self.usd, ..Usage::default() }
    }

    /// The tool calls that are on.
    pub fn open_tools(&self) -> HashSet<String> {
        self.tools.keys().cloned().collect()
    }

    pub fn is_open(&self, id: &str) -> bool {
        self.tools.contains_key(id)
    }

    /// Returns what is known of the tool call in a permission request, what the request itself tells first.
    pub fn tool_of(&self, call: &Value) -> Tool {
        let mut tool = self.tools.get(text_of(&call["toolCallId"])).cloned().unwrap_or_default();
        tool.take_in(call);
        tool
    }

    /// Forgets what the agent did in an earlier session that was told again, with what that read.
    pub fn begin_session(&mut self) {
        (self.window, self.read, self.began) = (0, 0, false);
        self.begin_turn();
    }

    /// Forgets what the agent did before, as a turn that ended.
    pub fn begin_turn(&mut self) {
        self.tools.clear();
        self.words.clear();
        self.active = false;
        self.worked = false;
        self.in_words = false;
    }

    /// Counts what the agent says from here on as words of their own.
    pub fn end_words(&mut self) {
        self.words.clear();
    }

    fn acted(&mut self) {
        self.active = true;
        self.in_words = false;
    }

    fn tool(&mut self, update: &Value, slot: &Path) -> Option<AgentLine> {
        let id = text_of(&update["toolCallId"]);
        if self.ended.contains(id) {
            return None;
        }
        self.began |= !self.tools.contains_key(id);
        let tool = self.tools.entry(id.to_owned()).or_default();
        tool.take_in(update);
        let status = match text_of(&update["status"]) {
            "completed" => ToolStatus::Completed,
            "failed" | "cancelled" => ToolStatus::Failed,
            _ => ToolStatus::Started,
        };
        let title = tool.shown_title();
        if status == ToolStatus::Started {
            let detail = tool.purpose(slot);
            let now = (title.clone(), detail.clone());
            // Agents announce a call before they know what it is for, and repeat it while its output grows.
            let announced = text_of(&update["status"]) == "pending" && detail.is_empty();
            if announced || tool.shown.as_ref() == Some(&now) {
                return None;
            }
            tool.shown = Some(now);
            return Some(AgentLine::Tool { id: id.to_owned(), title, status, detail });
        }
        let detail = tool.result(slot);
        self.tools.remove(id);
        if self.ended.len() >= REMEMBERED {
            self.ended.clear();
        }
        self.ended.insert(id.to_owned());
        Some(AgentLine::Tool { id: id.to_owned(), title, status, detail })
    }
}

impl Tool {
    fn take_in(&mut self, update: &Value) {
        if let Some(title) = update["title"].as_str().filter(|title| !title.is_empty()) {
            title.clone_into(&mut self.title);
        }
        // A question about a tool call may be of a vaguer kind than the call.
        if let Some(kind) = update["kind"].as_str().filter(|kind| *kind != "other" || self.kind.is_empty()) {
            kind.clone_into(&mut self.kind);
        }
        if !is_empty(&update["rawInput"]) {
            self.input = update["rawInput"].clone();
        }
        if !is_empty(&update["rawOutput"]) {
            self.raw_output = update["rawOutput"].clone();
        }
        if let Some(locations) = update["locations"].as_array().filter(|locations| !locations.is_empty()) {
            self.locations = locations.iter().filter_map(|place| Some(place["path"].as_str()?.to_owned())).collect();
        }
        // What a terminal printed, which codex-acp tells piece by piece and beside the protocol.
        if let Some(piece) = update["_meta"]["terminal_output_delta"]["data"].as_str()
            && self.output.len() < TERMINAL_LIMIT
        {
            self.output.push_str(piece);
        }
        if let Some(contents) = update["content"].as_array().filter(|contents| !contents.is_empty()) {
            let of_kind = |kind: &'static str| contents.iter().filter(move |content| content["type"] == kind);
            let diffs: Vec<String> =
                of_kind("diff").filter_map(|diff| Some(diff["path"].as_str()?.to_owned())).collect();
            if !diffs.is_empty() {
                self.diffs = diffs;
            }
            let texts: Vec<String> = of_kind("content").map(|content| content_text(&content["content"])).collect();
            if !texts.is_empty() {
                self.output = texts.join("\n");
            }
        }
    }

    /// The command it runs, where that is what it does.
    pub fn command(&self) -> Option<String> {
        match &self.input["command"] {
            Value::String(command) => Some(command.clone()),
            Value::Array(words) => {
                let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
                shlex::try_join(words.iter().copied()).ok().or_else(|| Some(words.join(" ")))
            }
            _ => None,
        }
    }

    fn shown_title(&self) -> String {
        let title = if self.title.is_empty() { &self.kind } else { &self.title };
        if title.is_empty() { "a tool".to_owned() } else { clipped(title, 300) }
    }

    /// What it is for, as far as the title does not tell: the command, or the files.
    fn purpose(&self, slot: &Path) -> String {
        if let Some(command) = self.command().filter(|command| !self.title.contains(command.as_str())) {
            return clipped(&command, OUTPUT_LIMIT);
        }
        let paths = self.diffs.iter().chain(&self.locations);
        let mut shown: Vec<String> = Vec::new();
        for path in paths.map(|path| inside(path, slot)) {
            if !self.title.contains(&path) && !shown.contains(&path) {
                shown.push(path);
            }
        }
        shown.join("\n")
    }

    /// What came of it: the files it changed, then its output.
    fn result(&self, slot: &Path) -> String {
        let mut lines: Vec<String> = Vec::new();
        for path in self.diffs.iter().map(|path| format!("changed {}", inside(path, slot))) {
            if !lines.contains(&path) {
                lines.push(path);
            }
        }
        let output = if self.output.trim().is_empty() { output_text(&self.raw_output) } else { self.output.clone() };
        let output = output.trim_end();
        if !output.is_empty() {
            lines.push(clipped(output, OUTPUT_LIMIT));
        }
        lines.join("\n")
    }
}

/// Returns the path as it reads below the slot, or as it is.
fn inside(path: &str, slot: &Path) -> String {
    match Path::new(path).strip_prefix(slot) {
        Ok(rest) if rest.as_os_str().is_empty() => ".".to_owned(),
        Ok(rest) => rest.display().to_string(),
        Err(_) => path.to_owned(),
    }
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// Returns the text of a content block; what is no text is named.
fn content_text(block: &Value) -> String {
    match text_of(&block["type"]) {
        "text" => text_of(&block["text"]).to_owned(),
        "resource_link" => text_of(&block["uri"]).to_owned(),
        "resource" => text_of(&block["resource"]["text"]).to_owned(),
        "" => String::new(),
        other => format!("[{other}]"),
    }
}

/// Returns the words in a tool's raw output, which each agent shapes in its own way.
fn output_text(output: &Value) -> String {
    if let Some(text) = output.as_str() {
        return text.to_owned();
    }
    let fields = ["formatted_output", "aggregated_output", "output", "stdout", "error", "message", "text"];
    fields.iter().find_map(|field| output[*field].as_str().filter(|text| !text.is_empty())).unwrap_or("").to_owned()
}

fn steps_of(entries: &Value) -> Vec<Step> {
    let step = |entry: &Value| Step {
        text: text_of(&entry["content"]).to_owned(),
        status: match text_of(&entry["status"]) {
            status @ ("in_progress" | "completed") => status,
            _ => "pending",
        }
        .to_owned(),
    };
    entries.as_array().map(|entries| entries.iter().map(step).collect()).unwrap_or_default()
}

/// Returns at most so many characters: the beginning and the end, with what is missing named between them.
pub(super) fn clipped(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let count = text.chars().count();
    if count <= limit {
        return text.to_owned();
    }
    let (head, tail) = (limit / 2, limit / 4);
    let head: String = text.chars().take(head).collect();
    let tail: String = text.chars().skip(count - tail).collect();
    let missing = count - head.chars().count() - tail.chars().count();
    format!("{head}\n… {missing} characters left out …\n{tail}")
}

#[cfg(test)]
#[path = "tests/updates.rs"]
mod tests;
