//! Ollama's own dialect, below `/api`: texts only, nothing is sent here.
//!
//! Its OpenAI-compatible interface would do for talking, but not for setting and knowing the context window.

use super::chat::{Answer, Arguments, Finish, Message, Spoken, ToolCall, ToolSpec, in_turns};
use super::failure::{Failure, Refusal};
use crate::domain::ending::Usage;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The largest window we ask for where the model's own settings name none: it costs memory.
const MOST: u64 = 32_768;
/// The window where a model tells none; what Ollama itself takes.
const LEAST: u64 = 4_096;

/// What Ollama knows about a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The window we ask for, in tokens: what the model's own settings say, else what it can do up to a cap.
    pub window: u64,
    /// Whether it can call tools; true where Ollama is too old to tell.
    pub tools: bool,
}

/// Reads the answer of `/api/show`.
pub fn shown(body: &Value) -> Shown {
    let info = body.get("model_info").and_then(Value::as_object);
    let length = info.and_then(|info| {
        let lengths = info.iter().filter(|(name, _)| name.ends_with(".context_length"));
        lengths.filter_map(|(_, value)| value.as_u64()).find(|length| *length > 0)
    });
    let set = body.get("parameters").and_then(Value::as_str).and_then(|text| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix("num_ctx"))?;
        line.trim().parse::<u64>().ok().filter(|set| *set > 0)
    });
    let window = match (set, length) {
        (Some(set), Some(length)) => set.min(length),
        (Some(set), None) => set,
        (None, Some(length)) => length.min(MOST),
        (None, None) => LEAST,
    };
    let tools = match body.get("capabilities").and_then(Value::as_array) {
        Some(list) => list.iter().any(|capability| capability == "tools"),
        None => true,
    };
    Shown { window, tools }
}

/// Reads the names in the answer of `/api/tags`, the one changed last first.
pub fn names(body: &Value) -> Vec<String> {
    let models = body.get("models").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    models.iter().filter_map(|model| Some(model.get("name")?.as_str()?.to_owned())).collect()
}

/// Makes the body of a request. A prompt that is too long is to be refused rather than cut; servers that do not know
/// those two fields cut all the same.
pub fn request(model: &str, window: u64, messages: &[Message], tools: &[ToolSpec]) -> Value {
    let mut body = json!({
        "model": model,
        "stream": false,
        "truncate": false,
        "shift": false,
        "options": {"num_ctx": window},
        "messages": in_turns(messages).iter().map(|turn| message(turn)).collect::<Vec<_>>(),
    });
    if !tools.is_empty() {
        body["tools"] = tools.iter().map(ToolSpec::to_value).collect();
    }
    body
}

fn message(message: &Message) -> Value {
    match message {
        Message::System { text } => json!({"role": "system", "content": text}),
        Message::User { text } | Message::Heard { text } => json!({"role": "user", "content": text}),
        Message::Tool { name, text, .. } => json!({"role": "tool", "tool_name": name, "content": text}),
        Message::Assistant(spoken) => {
            let mut body = spoken.echo.clone();
            body.insert("role".into(), "assistant".into());
            body.insert("content".into(), spoken.text.clone().into());
            if !spoken.calls.is_empty() {
                body.insert("tool_calls".into(), spoken.calls.iter().map(call).collect());
            }
            Value::Object(body)
        }
    }
}

fn call(call: &ToolCall) -> Value {
    let mut body = call.echo.clone();
    body.insert("function".into(), json!({"name": call.name, "arguments": call.arguments.to_map()}));
    Value::Object(body)
}

/// Reads the body of an answer; calls are named after `number`, that of the request.
///
/// # Errors
///
/// An error in the place of an answer, and what is no answer.
pub fn answer(body: &[u8], number: u32) -> Result<Answer, Failure> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| Failure::Malformed(format!("it is no JSON: {error}")))?;
    if value.get("error").is_some_and(|error| !error.is_null()) {
        return Err(Failure::Refused(Refusal { status: 200, headers: Vec::new(), body: value.to_string() }));
    }
    let reply: Reply =
        serde_json::from_value(value).map_err(|error| Failure::Malformed(format!("it is no chat answer: {error}")))?;
    let usage = (reply.prompt_eval_count.is_some() || reply.eval_count.is_some()).then(|| Usage {
        input_tokens: reply.prompt_eval_count.unwrap_or(0),
        output_tokens: reply.eval_count.unwrap_or(0),
        ..Usage::default()
    });
    let calls = reply.message.tool_calls.unwrap_or_default().into_iter().enumerate();
    let calls = calls.map(|(index, call)| {
        let Call { id, mut function } = call;
        let arguments = Arguments::from_value(function.arguments.take());
        let mut echo = Map::new();
        if let Some(id) = &id {
            echo.insert("id".into(), id.clone().into());
        }
        ToolCall { id: id.unwrap_or_else(|| format!("call_{number}_{index}")), name: function.name, arguments, echo }
    });
    let calls: Vec<ToolCall> = calls.collect();
    let thought = reply.message.thinking.unwrap_or_default();
    let mut echo = Map::new();
    if !thought.is_empty() && !calls.is_empty() {
        echo.insert("thinking".into(), thought.clone().into());
    }
    let finish = if reply.done_reason.as_deref() == Some("length") { Finish::Cut } else { Finish::Whole };
    let spoken = Spoken { text: reply.message.content.unwrap_or_default(), thought, calls, echo };
    Ok(Answer { spoken, finish, usage, model: reply.model })
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    model: Option<String>,
    message: Said,
    #[serde(default)]
    done_reason: Option<String>,
    #[serde(default)]
    prompt_eval_count: Option<u64>,
    #[serde(default)]
    eval_count: Option<u64>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    thinking: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<Call>>,
}

#[derive(Deserialize)]
struct Call {
    #[serde(default)]
    id: Option<String>,
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    arguments: Option<Value>,
}

#[cfg(test)]
#[path = "tests/ollama.rs"]
mod tests;
