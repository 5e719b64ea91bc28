//! The messages of `codex app-server`, read one by one. Pure.
//!
//! JSON-RPC without the version field, one message a line. Measured with version 0.169.0; what is not known is kept as
//! it came.

use super::super::driving::{RAW, TOOL_OUTPUT, clip, clip_front};
use super::failure::TurnError;
use super::item;
use crate::domain::ending::Usage;
use crate::protocol::agent_lines::{AgentLine, Step, ToolStatus};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Retries that are told of in a row; more of them say nothing new, and must not look like life.
const TOLD_RETRIES: u32 = 3;

/// How a turn ended, as it says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TurnEnd {
    Completed,
    Interrupted,
    Failed(TurnError),
}

/// An answer to a request of ours: its number, and what was asked for or why not.
pub(super) type Answer = (u64, Result<Value, String>);

/// What one message means.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub lines: Vec<AgentLine>,
    pub answer: Option<Answer>,
    /// What to write back to a request of its.
    pub reply: Option<Value>,
    /// What it is doing without saying anything, when the message was a part of that.
    pub doing: Option<&'static str>,
}

/// What the messages so far add up to.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    thread: Option<String>,
    turn: Option<String>,
    model: Option<String>,
    /// What each thread had used before this turn, and has used now.
    usage: BTreeMap<String, (Usage, Usage)>,
    /// The calls that are on.
    tools: BTreeSet<String>,
    retries: u32,
    /// The last error it tries to overcome.
    retrying: Option<TurnError>,
    error: Option<TurnError>,
    /// What it said last.
    words: Option<String>,
    end: Option<TurnEnd>,
    /// When the windows of the account that are used up begin anew.
    reset: Option<Timestamp>,
}

impl Stream {
    /// Reads one line.
    pub(super) fn line(&mut self, line: &str) -> Heard {
        let Ok(Value::Object(message)) = serde_json::from_str::<Value>(line) else {
            return if line.trim().is_empty() { Heard::default() } else { raw(line) };
        };
        let parameters = message.get("params").unwrap_or(&Value::Null);
        match (message.get("method").and_then(Value::as_str), message.get("id")) {
            (Some(method), Some(id)) => asked(method, id),
            (Some(method), None) => self.notified(method, parameters).unwrap_or_else(|| raw(line)),
            (None, Some(id)) => match id.as_u64() {
                Some(id) => Heard { answer: Some((id, answer(&message))), ..Heard::default() },
                None => raw(line),
            },
            (None, None) => raw(line),
        }
    }

    /// Takes over the thread from the answer to the request for it.
    pub(super) fn begin_thread(&mut self, answer: &Value) -> Option<String> {
        let thread = answer.pointer("/thread/id")?.as_str()?.to_owned();
        self.model = answer.get("model").and_then(Value::as_str).map(str::to_owned);
        self.thread = Some(thread.clone());
        Some(thread)
    }

    /// Takes over the turn from the answer to the request for it.
    pub(super) fn begin_turn(&mut self, answer: &Value) -> Option<String> {
        let turn = answer.pointer("/turn/id")?.as_str()?.to_owned();
        self.turn = Some(turn.clone());
        Some(turn)
    }

    pub(super) fn thread(&self) -> Option<&str> {
        self.thread.as_deref()
    }

    /// The turn, while it is on.
    pub(super) fn turn(&self) -> Option<&str> {
        self.turn.as_deref().filter(|_| self.end.is_none())
    }

    pub(super) fn model(&self) -> Option<String> {
        self.model.clone()
    }

    /// What the turn used, without what the thread had used before.
    pub(super) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for (before, now) in self.usage.values() {
            usage.add(&Usage {
                input_tokens: now.input_tokens.saturating_sub(before.input_tokens),
                cached_tokens: now.cached_tokens.saturating_sub(before.cached_tokens),
                output_tokens: now.output_tokens.saturating_sub(before.output_tokens),
                usd: None,
            });
        }
        usage
    }

    /// Tells whether the turn could be ended now without breaking off a call.
    pub(super) fn is_between_steps(&self) -> bool {
        self.tools.is_empty() && self.turn().is_some()
    }

    pub(super) fn end(&self) -> Option<&TurnEnd> {
        self.end.as_ref()
    }

    /// The error it tries to overcome, while nothing else happened.
    pub(super) fn retrying(&self) -> Option<&TurnError> {
        self.retrying.as_ref()
    }

    /// How often in a row it has tried again.
    pub(super) fn retries(&self) -> u32 {
        self.retries
    }

    pub(super) fn last_words(&self) -> Option<&str> {
        self.words.as_deref()
    }

    /// The last error it has given up on.
    pub(super) fn error(&self) -> Option<&TurnError> {
        self.error.as_ref()
    }

    pub(super) fn reset(&self) -> Option<Timestamp> {
        self.reset
    }

    fn notified(&mut self, method: &str, parameters: &Value) -> Option<Heard> {
        let text = |field: &str| parameters.get(field).and_then(Value::as_str);
        let note = |text: String| Heard { lines: vec![AgentLine::Note { text }], ..Heard::default() };
        Some(match method {
            "item/started" => {
                self.goes_on();
                self.item(parameters.get("item")?, ToolStatus::Started, text("threadId"))
            }
            "item/completed" => {
                self.goes_on();
                self.item(parameters.get("item")?, ToolStatus::Completed, text("threadId"))
            }
            "item/agentMessage/delta" => self.part("it is writing"),
            "item/reasoning/textDelta" | "item/reasoning/summaryTextDelta" => self.part("it is thinking"),
            "item/commandExecution/outputDelta" | "item/mcpToolCall/progress" => {
                self.part("a command prints something")
            }
            "item/fileChange/outputDelta" | "item/fileChange/patchUpdated" | "item/plan/delta" => {
                self.part("it is writing")
            }
            "turn/plan/updated" => self.plan(parameters)?,
            "turn/completed" => self.turn_ended(parameters)?,
            "thread/tokenUsage/updated" => self.used(parameters)?,
            "error" => self.failed(parameters)?,
            "account/rateLimits/updated" => {
                self.reset = reset_of(parameters.get("rateLimits")?);
                Heard::default()
            }
            "model/rerouted" => {
                let to = text("toModel")?.to_owned();
                self.model = Some(to.clone());
                note(format!("the model {to} answers instead"))
            }
            "warning" | "guardianWarning" => note(clip(text("message")?, RAW)),
            "configWarning" => note(clip(text("summary")?, RAW)),
            "mcpServer/startupStatus/updated" => match (text("name")?, text("status")?, text("error")) {
                (name, "failed", Some(error)) => note(format!("the server {name} does not start: {error}")),
                (name, "failed", None) => note(format!("the server {name} does not start")),
                _ => Heard::default(),
            },
            "thread/compacted" => note("its context was summed up to make room".into()),
            _ if is_housekeeping(method) => Heard::default(),
            _ => return None,
        })
    }

    /// Notes a sign that it works: failures before it were overcome.
    fn goes_on(&mut self) {
        (self.retries, self.retrying, self.error) = (0, None, None);
    }

    fn part(&mut self, doing: &'static str) -> Heard {
        self.goes_on();
        Heard { doing: Some(doing), ..Heard::default() }
    }

    fn item(&mut self, item: &Value, status: ToolStatus, thread: Option<&str>) -> Heard {
        let of_helper = thread.is_some() && self.thread.is_some() && thread != self.thread();
        let Some(line) = item::line(item, status, of_helper) else { return Heard::default() };
        match &line {
            AgentLine::Tool { id, status: ToolStatus::Started, .. } => {
                self.tools.insert(id.clone());
            }
            AgentLine::Tool { id, .. } => {
                self.tools.remove(id);
            }
            AgentLine::Said { text } => self.words = Some(text.clone()),
            _ => {}
        }
        Heard { lines: vec![line], ..Heard::default() }
    }

    fn plan(&mut self, parameters: &Value) -> Option<Heard> {
        self.goes_on();
        let steps = parameters.get("plan")?.as_array()?.iter();
        let step = |step: &Value| {
            let status = match step.get("status")?.as_str()? {
                "inProgress" => "in_progress",
                status => status,
            };
            Some(Step { text: step.get("step")?.as_str()?.to_owned(), status: status.to_owned() })
        };
        let steps = steps.filter_map(step).collect();
        Some(Heard { lines: vec![AgentLine::Steps { steps }], ..Heard::default() })
    }

    fn turn_ended(&mut self, parameters: &Value) -> Option<Heard> {
        let turn = parameters.get("turn")?;
        if turn.get("id")?.as_str() != self.turn.as_deref() {
            return Some(Heard::default());
        }
        let error = turn.get("error").filter(|error| error.is_object()).map(TurnError::read);
        self.end = Some(match turn.get("status")?.as_str()? {
            "completed" => TurnEnd::Completed,
            "interrupted" => TurnEnd::Interrupted,
            _ => TurnEnd::Failed(error.or_else(|| self.error.clone()).unwrap_or_default()),
        });
        self.tools.clear();
        Some(Heard::default())
    }

    /// Takes over the usage of a thread. It adds up over all turns of the thread, so what is told before this turn, and
    /// what came before its first answer, is where it starts from.
    fn used(&mut self, parameters: &Value) -> Option<Heard> {
        let thread = parameters.get("threadId")?.as_str()?;
        let total = breakdown(parameters.pointer("/tokenUsage/total")?);
        let last = breakdown(parameters.pointer("/tokenUsage/last")?);
        let of_earlier_turn =
            Some(thread) == self.thread() && parameters.get("turnId")?.as_str() != self.turn.as_deref();
        let before = Usage {
            input_tokens: total.input_tokens.saturating_sub(last.input_tokens),
            cached_tokens: total.cached_tokens.saturating_sub(last.cached_tokens),
            output_tokens: total.output_tokens.saturating_sub(last.output_tokens),
            usd: None,
        };
        let entry = self.usage.entry(thread.to_owned()).or_insert((before, total));
        entry.1 = total;
        if of_earlier_turn {
            entry.0 = total;
        }
        Some(Heard::default())
    }

    fn failed(&mut self, parameters: &Value) -> Option<Heard> {
        let error = TurnError::read(parameters.get("error")?);
        let mut heard = Heard::default();
        if parameters.get("willRetry").and_then(Value::as_bool) == Some(true) {
            self.retries += 1;
            if self.retries <= TOLD_RETRIES {
                heard.lines.push(AgentLine::Note { text: error.words() });
            }
            self.retrying = Some(error);
        } else {
            self.error = Some(error);
        }
        Some(heard)
    }
}

fn raw(line: &str) -> Heard {
    Heard { lines: vec![AgentLine::Raw { text: clip(line, RAW) }], ..Heard::default() }
}

/// Answers a request of its. Nobody is there to be asked, and what it may do was said before, so all are declined.
fn asked(method: &str, id: &Value) -> Heard {
    let result = match method {
        "item/commandExecution/requestApproval" | "item/fileChange/requestApproval" => json!({ "decision": "decline" }),
        "execCommandApproval" | "applyPatchApproval" => json!({ "decision": "denied" }),
        "mcpServer/elicitation/request" => json!({ "action": "decline", "content": null, "_meta": null }),
        _ => Value::Null,
    };
    let reply = if result.is_null() {
        json!({ "id": id, "error": { "code": -32601, "message": "nobody is there to answer" } })
    } else {
        json!({ "id": id, "result": result })
    };
    let text = format!("it asked for {method}, which was declined");
    Heard { lines: vec![AgentLine::Note { text }], reply: Some(reply), ..Heard::default() }
}

fn answer(message: &serde_json::Map<String, Value>) -> Result<Value, String> {
    match message.get("error") {
        Some(error) => Err(error.get("message").and_then(Value::as_str).unwrap_or("unknown error").to_owned()),
        None => Ok(message.get("result").cloned().unwrap_or_default()),
    }
}

fn breakdown(value: &Value) -> Usage {
    let count = |field: &str| value.get(field).and_then(Value::as_u64).unwrap_or_default();
    Usage {
        input_tokens: count("inputTokens"),
        cached_tokens: count("cachedInputTokens"),
        output_tokens: count("outputTokens"),
        usd: None,
    }
}

/// Returns when the last of the windows that are used up begins anew.
fn reset_of(limits: &Value) -> Option<Timestamp> {
    let window = |name: &str| {
        let window = limits.get(name)?;
        let used = window.get("usedPercent")?.as_f64()?;
        let reset = Timestamp::from_second(window.get("resetsAt")?.as_i64()?).ok()?;
        (used >= 100.0).then_some(reset)
    };
    window("primary").into_iter().chain(window("secondary")).max()
}

/// Messages about the program's own state, in which nothing happens.
fn is_housekeeping(method: &str) -> bool {
    ["thread/", "turn/", "account/", "skills/", "app/", "remoteControl/", "hook/", "fs/", "project/", "modelProvider/"]
        .iter()
        .any(|prefix| method.starts_with(prefix))
        || matches!(
            method,
            "deprecationNotice"
                | "serverRequest/resolved"
                | "rawResponseItem/completed"
                | "rawResponse/completed"
                | "item/reasoning/summaryPartAdded"
                | "item/commandExecution/terminalInteraction"
                | "model/verification"
                | "model/safetyBuffering/updated"
        )
}

/// Cuts what a call printed.
pub(super) fn output(text: &str) -> String {
    clip_front(text.trim_end(), TOOL_OUTPUT)
}
