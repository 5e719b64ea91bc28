//! The dialect of OpenAI's chat completions, as many servers speak it: texts only, nothing is sent here.
//!
//! Read tolerantly, since each server leaves out something else; only an answer without a message is none.

use super::chat::{Answer, Arguments, Finish, Message, Spoken, ToolCall, ToolSpec, in_turns};
use super::failure::{Failure, Refusal};
use crate::domain::ending::Usage;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Fields of an answer that their endpoints want to see again beside its calls: DeepSeek's and OpenRouter's reasoning.
const ECHOED: [&str; 2] = ["reasoning_content", "reasoning_details"];

/// Makes the body of a request.
pub fn request(model: &str, messages: &[Message], tools: &[ToolSpec]) -> Value {
    let mut body = json!({"model": model, "stream": false, "messages": in_turns(messages).iter().map(|turn| message(turn)).collect::<Vec<_>>()});
    if !tools.is_empty() {
        body["tools"] = tools.iter().map(ToolSpec::to_value).collect();
    }
    body
}

fn message(message: &Message) -> Value {
    match message {
        Message::System { text } => json!({"role": "system", "content": text}),
        Message::User { text } | Message::Heard { text } => json!({"role": "user", "content": text}),
        Message::Tool { call, text, .. } => json!({"role": "tool", "tool_call_id": call, "content": text}),
        Message::Assistant(spoken) if spoken.calls.is_empty() => json!({"role": "assistant", "content": spoken.text}),
        Message::Assistant(spoken) => {
            let content = if spoken.text.is_empty() { Value::Null } else { spoken.text.clone().into() };
            let mut body = spoken.echo.clone();
            body.insert("role".into(), "assistant".into());
            body.insert("content".into(), content);
            body.insert("tool_calls".into(), spoken.calls.iter().map(call).collect());
            Value::Object(body)
        }
    }
}

fn call(call: &ToolCall) -> Value {
    let arguments = Value::Object(call.arguments.to_map()).to_string();
    let mut body = call.echo.clone();
    body.insert("id".into(), call.id.clone().into());
    body.insert("type".into(), "function".into());
    body.insert("function".into(), json!({"name": call.name, "arguments": arguments}));
    Value::Object(body)
}

/// Reads the body of an answer; calls without a name of their own are named after `number`, that of the request.
///
/// # Errors
///
/// An error in the place of an answer, and what is no answer.
pub fn answer(body: &[u8], number: u32) -> Result<Answer, Failure> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| Failure::Malformed(format!("it is no JSON: {error}")))?;
    if let Some(error) = value.get("error").filter(|error| !error.is_null()) {
        let status = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
        let status = status.filter(|status| (400..600).contains(status)).unwrap_or(200);
        return Err(Failure::Refused(Refusal { status, headers: Vec::new(), body: value.to_string() }));
    }
    let completion: Completion = serde_json::from_value(value)
        .map_err(|error| Failure::Malformed(format!("it is no chat completion: {error}")))?;
    let choice = completion.choices.into_iter().next();
    let choice = choice.ok_or_else(|| Failure::Malformed("it is a chat completion without a choice".into()))?;
    let finish = match choice.finish_reason.as_deref() {
        Some("length" | "max_tokens" | "model_length" | "model_context_window_exceeded") => Finish::Cut,
        _ => Finish::Whole,
    };
    let mut spoken = choice.message;
    let calls = std::mem::take(&mut spoken.tool_calls).unwrap_or_default();
    let calls = calls.into_iter().enumerate().map(|(index, call)| call.into_call(number, index));
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut rest = spoken.rest;
    let mut thought = text(rest.get("reasoning_content"));
    if thought.is_empty() {
        thought = text(rest.get("reasoning"));
    }
    rest.retain(|name, value| ECHOED.contains(&name.as_str()) && !value.is_null());
    let spoken = Spoken { text: words(spoken.content), thought, calls: calls.collect(), echo: rest };
    Ok(Answer { spoken, finish, usage: completion.usage.map(Counts::into_usage), model: completion.model })
}

/// Returns a content as one text: it is a text, or a list of parts.
fn words(content: Value) -> String {
    match content {
        Value::String(text) => text,
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        _ => String::new(),
    }
}

/// Reads a list of models, each with its window where the server tells: OpenRouter, Groq, vLLM, LM Studio and llama.cpp
/// do, each in its own way.
pub fn models(body: &Value) -> Vec<(String, Option<u64>)> {
    const WINDOWS: [&str; 7] = [
        "/context_length",
        "/context_window",
        "/max_model_len",
        "/loaded_context_length",
        "/max_context_length",
        "/meta/n_ctx",
        "/top_provider/context_length",
    ];
    let entries = body.get("data").or(Some(body)).and_then(Value::as_array);
    let entry = |entry: &Value| {
        let id = entry.get("id")?.as_str()?.to_owned();
        let window = WINDOWS.iter().find_map(|path| entry.pointer(path)?.as_u64()).filter(|window| *window > 0);
        Some((id, window))
    };
    entries.map(|entries| entries.iter().filter_map(entry).collect()).unwrap_or_default()
}

#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    model: Option<String>,
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Choice {
    message: Reply,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    content: Value,
    #[serde(default)]
    tool_calls: Option<Vec<Call>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct Call {
    #[serde(default)]
    id: Option<String>,
    function: Function,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Call {
    fn into_call(self, number: u32, index: usize) -> ToolCall {
        let Self { id, function, mut rest } = self;
        rest.retain(|name, _| !matches!(name.as_str(), "type" | "index"));
        let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{number}_{index}"));
        ToolCall { id, name: function.name, arguments: Arguments::from_value(function.arguments), echo: rest }
    }
}

#[derive(Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    arguments: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<Details>,
    /// US dollars, where the endpoint tells.
    cost: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Option<u64>,
}

impl Counts {
    fn into_usage(self) -> Usage {
        Usage {
            input_tokens: self.prompt_tokens.unwrap_or(0),
            cached_tokens: self.prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or(0),
            output_tokens: self.completion_tokens.unwrap_or(0),
            usd: self.cost.filter(|cost| cost.is_finite() && *cost >= 0.0),
        }
    }
}

#[cfg(test)]
#[path = "tests/openai.rs"]
mod tests;
