//! The lines Claude Code prints with `--output-format stream-json`, read one by one. Pure.
//!
//! Measured with versions 2.1.197 and 2.1.330. Lines that are not known are kept as they came.

use super::super::driving::{RAW, TOOL_OUTPUT, clip, clip_front, in_sentence};
use super::tool;
use crate::domain::ending::{Scope, Usage};
use crate::protocol::agent_lines::{AgentLine, ToolStatus};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};

/// Retries that are told of in a row; more of them say nothing new, and must not look like life.
const TOLD_RETRIES: u32 = 3;
/// Answers of the model whose usage may still change.
const OPEN_ANSWERS: usize = 32;
/// What the program calls the author of messages it makes itself, such as errors.
const SYNTHETIC: &str = "<synthetic>";

/// The line that ends a turn.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ResultLine {
    pub is_error: bool,
    /// Tells bounds and failures of the program itself; says `success` even where `is_error` is set.
    pub subtype: String,
    pub reason: String,
    /// The status of the last HTTP response, when that was the failure.
    pub status: Option<u64>,
    /// The last words, or the failure in words.
    pub text: String,
}

/// A limit the account has reached.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Limit {
    pub until: Option<Timestamp>,
    pub scope: Scope,
}

/// What the lines so far add up to.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    session: String,
    model: Option<String>,
    zone: TimeZone,
    /// When the last line came.
    now: Timestamp,
    /// Usage of answers that no longer changes, and of the last ones by the name of the answer.
    settled: Usage,
    answers: VecDeque<(String, Usage)>,
    /// Titles of the calls that are on.
    tools: BTreeMap<String, String>,
    /// The model is answering, or has given its last answer of the turn.
    answering: bool,
    last_answer: bool,
    doing: Option<&'static str>,
    retries: u32,
    taken_up: usize,
    limit: Option<Limit>,
    /// The class of the last failure, of a message the program made itself.
    error_class: Option<String>,
    result: Option<ResultLine>,
}

impl Stream {
    /// Begins with the name of the session; times without a zone are in `zone`.
    pub(super) fn new(session: String, zone: TimeZone) -> Self {
        Self {
            session,
            model: None,
            zone,
            now: Timestamp::UNIX_EPOCH,
            settled: Usage::default(),
            answers: VecDeque::new(),
            tools: BTreeMap::new(),
            answering: false,
            last_answer: false,
            doing: None,
            retries: 0,
            taken_up: 0,
            limit: None,
            error_class: None,
            result: None,
        }
    }

    /// Reads one line, and returns what there is to print about it.
    pub(super) fn line(&mut self, line: &str, now: Timestamp) -> Vec<AgentLine> {
        (self.now, self.doing) = (now, None);
        let raw = || vec![AgentLine::Raw { text: clip(line, RAW) }];
        if line.trim().is_empty() {
            return Vec::new();
        }
        let Ok(value @ Value::Object(_)) = serde_json::from_str::<Value>(line) else { return raw() };
        if let Some(session) = string(&value, "session_id") {
            self.session = session;
        }
        let lines = match value.get("type").and_then(Value::as_str) {
            Some("system") => self.system(&value),
            Some("assistant") => self.assistant(&value),
            Some("user") => self.user(&value),
            Some("stream_event") => self.event(&value),
            Some("result") => self.take_result(&value),
            Some("rate_limit_event") => self.rate_limit(&value),
            Some("keep_alive" | "control_response") => Some(Vec::new()),
            _ => None,
        };
        lines.unwrap_or_else(raw)
    }

    /// The name of the session, to continue it; none before it was heard of.
    pub(super) fn session(&self) -> Option<String> {
        Some(self.session.clone()).filter(|session| !session.is_empty())
    }

    pub(super) fn model(&self) -> Option<String> {
        self.model.clone()
    }

    /// What was used since the start of the program.
    pub(super) fn usage(&self) -> Usage {
        let mut usage = self.settled;
        for (_, answer) in &self.answers {
            usage.add(answer);
        }
        usage
    }

    /// Tells whether the turn could be ended now without breaking off a step.
    pub(super) fn is_between_steps(&self) -> bool {
        !self.answering && !self.last_answer && self.tools.is_empty() && self.result.is_none()
    }

    /// What it is doing without saying anything, when the last line was a part of that.
    pub(super) fn doing(&self) -> Option<&'static str> {
        self.doing
    }

    /// How many of the lines written to it were taken up.
    pub(super) fn taken_up(&self) -> usize {
        self.taken_up
    }

    /// The result, unless it went on after it.
    pub(super) fn result(&self) -> Option<&ResultLine> {
        self.result.as_ref()
    }

    /// Tells whether there is a positive end marker; the exit status counts besides.
    pub(super) fn is_success(&self) -> bool {
        self.result.as_ref().is_some_and(|result| !result.is_error)
    }

    pub(super) fn error_class(&self) -> Option<&str> {
        self.error_class.as_deref()
    }

    /// The limit that was reached, as far as it was told of in a line of its own.
    pub(super) fn limit(&self) -> Option<&Limit> {
        self.limit.as_ref()
    }

    /// When the last line came, and the zone of times in words.
    pub(super) fn clock(&self) -> (Timestamp, &TimeZone) {
        (self.now, &self.zone)
    }

    fn system(&mut self, value: &Value) -> Option<Vec<AgentLine>> {
        match value.get("subtype")?.as_str()? {
            "init" => {
                let model = string(value, "model");
                let first = self.model.is_none();
                self.model = model.or(self.model.take());
                // Said again for every message of the user.
                Some(if first { vec![AgentLine::Note { text: self.set_up(value) }] } else { Vec::new() })
            }
            "status" | "post_turn_summary" => Some(Vec::new()),
            "api_retry" => {
                self.retries += 1;
                if self.retries > TOLD_RETRIES {
                    return Some(Vec::new());
                }
                let error = string(value, "error").unwrap_or_else(|| "error".into());
                let status = value.get("error_status").and_then(Value::as_u64);
                let status = status.map(|status| format!(" {status}")).unwrap_or_default();
                let count = |field: &str| value.get(field).and_then(Value::as_u64).unwrap_or_default();
                let (attempt, of) = (count("attempt"), count("max_retries"));
                Some(vec![AgentLine::Note { text: format!("retry {attempt} of {of} after {error}{status}") }])
            }
            "compact_boundary" => Some(vec![AgentLine::Note { text: "its context was summed up to make room".into() }]),
            _ => None,
        }
    }

    /// Says which model and servers it has, from its first line.
    fn set_up(&self, value: &Value) -> String {
        let servers = value.get("mcp_servers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let servers: Vec<String> = servers
            .iter()
            .filter_map(|server| Some(format!("{} ({})", string(server, "name")?, string(server, "status")?)))
            .collect();
        let model = self.model.as_deref().unwrap_or("unknown");
        let servers = if servers.is_empty() { "none".to_owned() } else { servers.join(", ") };
        format!("model {model}, servers: {servers}")
    }

    fn assistant(&mut self, value: &Value) -> Option<Vec<AgentLine>> {
        let message = value.get("message")?;
        let content = message.get("content")?.as_array()?;
        if message.get("model").and_then(Value::as_str) == Some(SYNTHETIC) {
            // The result says the same words again.
            self.error_class = string(value, "error");
            return Some(Vec::new());
        }
        self.goes_on();
        if let (Some(id), Some(usage)) = (string(message, "id"), message.get("usage")) {
            self.answer(&id, usage, false);
        }
        let of_helper = value.get("parent_tool_use_id").is_some_and(Value::is_string);
        Some(content.iter().flat_map(|part| self.part(part, of_helper)).collect())
    }

    /// Reads one part of an answer. What helpers say is not the agent's own word.
    fn part(&mut self, part: &Value, of_helper: bool) -> Vec<AgentLine> {
        let text = |field: &str| string(part, field).filter(|text| !text.trim().is_empty());
        match part.get("type").and_then(Value::as_str) {
            Some("text") if of_helper => text("text").map(|text| AgentLine::Thought { text }).into_iter().collect(),
            Some("text") => text("text").map(|text| AgentLine::Said { text }).into_iter().collect(),
            Some("thinking") => text("thinking").map(|text| AgentLine::Thought { text }).into_iter().collect(),
            Some("tool_use") => self.call(part),
            _ => Vec::new(),
        }
    }

    fn call(&mut self, part: &Value) -> Vec<AgentLine> {
        let (Some(id), Some(name)) = (string(part, "id"), string(part, "name")) else { return Vec::new() };
        let input = part.get("input").unwrap_or(&Value::Null);
        let title = tool::title(&name, input);
        self.tools.insert(id.clone(), title.clone());
        let started = AgentLine::Tool { id, title, status: ToolStatus::Started, detail: String::new() };
        let steps = tool::steps(&name, input).map(|steps| AgentLine::Steps { steps });
        std::iter::once(started).chain(steps).collect()
    }

    fn user(&mut self, value: &Value) -> Option<Vec<AgentLine>> {
        if value.get("isReplay").and_then(Value::as_bool) == Some(true) {
            self.taken_up += 1;
            return Some(Vec::new());
        }
        let content = match value.get("message")?.get("content")? {
            Value::Array(parts) => parts.as_slice(),
            Value::String(_) => &[],
            _ => return None,
        };
        Some(content.iter().filter_map(|part| self.tool_result(part)).collect())
    }

    fn tool_result(&mut self, part: &Value) -> Option<AgentLine> {
        let id = string(part, "tool_use_id")?;
        let title = self.tools.remove(&id).unwrap_or_else(|| "tool".into());
        let failed = part.get("is_error").and_then(Value::as_bool).unwrap_or(false);
        let status = if failed { ToolStatus::Failed } else { ToolStatus::Completed };
        let output = part.get("content").map(tool::output).unwrap_or_default();
        Some(AgentLine::Tool { id, title, status, detail: clip_front(output.trim_end(), TOOL_OUTPUT) })
    }

    /// Reads a part of an answer that is being given. Only what counts is used: the words come whole afterwards.
    fn event(&mut self, value: &Value) -> Option<Vec<AgentLine>> {
        let event = value.get("event")?;
        let of_helper = value.get("parent_tool_use_id").is_some_and(Value::is_string);
        match event.get("type")?.as_str()? {
            "message_start" => {
                self.goes_on();
                self.answering |= !of_helper;
                let message = event.get("message")?;
                if let (Some(id), Some(usage)) = (string(message, "id"), message.get("usage")) {
                    self.answer(&id, usage, true);
                }
            }
            "message_delta" => {
                let last = self.answers.back().map(|(id, _)| id.clone());
                if let (Some(id), Some(usage)) = (last, event.get("usage")) {
                    self.answer(&id, usage, false);
                }
                let reason = event.get("delta").and_then(|delta| string(delta, "stop_reason"));
                self.last_answer =
                    !of_helper && reason.is_some_and(|reason| reason != "tool_use" && reason != "pause_turn");
            }
            "message_stop" => self.answering &= of_helper,
            "content_block_delta" => {
                self.doing = Some(match event.get("delta")?.get("type")?.as_str()? {
                    "input_json_delta" => "it is writing a tool call",
                    "thinking_delta" | "signature_delta" => "it is thinking",
                    _ => "it is writing",
                });
            }
            _ => {}
        }
        Some(Vec::new())
    }

    /// Notes a sign that it works: a result before it was not the end, and failures before it were overcome.
    fn goes_on(&mut self) {
        self.result = None;
        self.error_class = None;
        self.retries = 0;
        self.last_answer = false;
    }

    /// Takes over the usage of an answer, which grows while the answer is given.
    fn answer(&mut self, id: &str, usage: &Value, begins: bool) {
        let count = |field: &str| usage.get(field).and_then(Value::as_u64).unwrap_or_default();
        let cached = count("cache_read_input_tokens");
        let told = Usage {
            input_tokens: count("input_tokens")
                .saturating_add(cached)
                .saturating_add(count("cache_creation_input_tokens")),
            cached_tokens: cached,
            output_tokens: count("output_tokens"),
            usd: None,
        };
        let known = self.answers.iter_mut().rev().find(|(known, _)| known == id).filter(|_| !begins);
        if let Some((_, usage)) = known {
            usage.input_tokens = usage.input_tokens.max(told.input_tokens);
            usage.cached_tokens = usage.cached_tokens.max(told.cached_tokens);
            usage.output_tokens = usage.output_tokens.max(told.output_tokens);
            return;
        }
        self.answers.push_back((id.to_owned(), told));
        if self.answers.len() > OPEN_ANSWERS
            && let Some((_, usage)) = self.answers.pop_front()
        {
            self.settled.add(&usage);
        }
    }

    fn take_result(&mut self, value: &Value) -> Option<Vec<AgentLine>> {
        let is_error = value.get("is_error")?.as_bool()?;
        let errors = value.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let errors: Vec<&str> = errors.iter().filter_map(Value::as_str).collect();
        self.result = Some(ResultLine {
            is_error,
            subtype: string(value, "subtype").unwrap_or_default(),
            reason: string(value, "terminal_reason").unwrap_or_default(),
            status: value.get("api_error_status").and_then(Value::as_u64),
            text: string(value, "result").unwrap_or_else(|| errors.join("; ")),
        });
        (self.answering, self.last_answer) = (false, false);
        self.tools.clear();
        self.take_totals(value);
        let denied = value.get("permission_denials").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let denied: Vec<String> = denied
            .iter()
            .filter_map(|call| {
                Some(tool::title(&string(call, "tool_name")?, call.get("tool_input").unwrap_or(&Value::Null)))
            })
            .collect();
        if denied.is_empty() {
            return Some(Vec::new());
        }
        Some(vec![AgentLine::Note { text: in_sentence(&format!("not permitted: {}", denied.join("; "))) }])
    }

    /// Takes over the totals of the program's run, in which those of every model are, helpers included. The `usage` of
    /// the line is only that of its last turn.
    fn take_totals(&mut self, value: &Value) {
        let Some(models) = value.get("modelUsage").and_then(Value::as_object).filter(|models| !models.is_empty())
        else {
            return;
        };
        let mut total = Usage { usd: value.get("total_cost_usd").and_then(Value::as_f64), ..Usage::default() };
        for usage in models.values() {
            let count = |field: &str| usage.get(field).and_then(Value::as_u64).unwrap_or_default();
            let cached = count("cacheReadInputTokens");
            total.add(&Usage {
                input_tokens: count("inputTokens")
                    .saturating_add(cached)
                    .saturating_add(count("cacheCreationInputTokens")),
                cached_tokens: cached,
                output_tokens: count("outputTokens"),
                usd: None,
            });
        }
        self.settled = total;
        self.answers.clear();
    }

    /// Reads the state of a subscription's limits; shape from the public types of its SDK.
    fn rate_limit(&mut self, value: &Value) -> Option<Vec<AgentLine>> {
        let info = value.get("rate_limit_info")?;
        let status = info.get("status")?.as_str()?;
        let kind = string(info, "rateLimitType").unwrap_or_default();
        let until = info.get("resetsAt").and_then(Value::as_i64).and_then(|at| Timestamp::from_second(at).ok());
        if status == "rejected" {
            // `seven_day_opus` and the like count one model; the others the whole account.
            let of_model = ["opus", "sonnet", "haiku"].iter().any(|model| kind.contains(model));
            self.limit = Some(Limit { until, scope: if of_model { Scope::Model } else { Scope::Agent } });
        }
        if status == "allowed" {
            self.limit = None;
            return Some(Vec::new());
        }
        let until = until.map(|until| format!(", resets {until}")).unwrap_or_default();
        Some(vec![AgentLine::Note { text: format!("limit {kind}: {status}{until}") }])
    }
}

fn string(value: &Value, field: &str) -> Option<String> {
    value.get(field)?.as_str().map(str::to_owned)
}
