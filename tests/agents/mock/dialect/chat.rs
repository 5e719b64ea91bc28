//! OpenAI's chat completions.

use super::{CACHED_TOKENS, End, INPUT_TOKENS, OUTPUT_TOKENS, call_id, data};
use crate::mock::conversation::{Item, Request, Tool, text_of};
use crate::mock::toolbox::Answer;
use serde_json::{Value, json};

pub fn read(body: &Value) -> Request {
    Request {
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        stream: body["stream"] == true,
        tools: read_tools(body),
        items: read_messages(body),
    }
}

/// Reads the tools, which Ollama writes in the same form.
pub fn read_tools(body: &Value) -> Vec<Tool> {
    let tool = |tool: &Value| {
        let function = &tool["function"];
        let name = function["name"].as_str()?.to_owned();
        Some(Tool { name, namespace: None, schema: function["parameters"].clone() })
    };
    body["tools"].as_array().into_iter().flatten().filter_map(tool).collect()
}

/// Reads the messages, which Ollama writes in nearly the same form: its calls have no ids.
pub fn read_messages(body: &Value) -> Vec<Item> {
    let mut items = Vec::new();
    for message in body["messages"].as_array().into_iter().flatten() {
        let text = text_of(&message["content"]);
        match message["role"].as_str() {
            Some("user") => items.push(Item::Person(text)),
            Some("tool") => {
                let id = message["tool_call_id"].as_str().unwrap_or_default().to_owned();
                items.push(Item::Result { id, text });
            }
            Some("assistant") => {
                let calls: Vec<&Value> = message["tool_calls"].as_array().into_iter().flatten().collect();
                if calls.is_empty() {
                    items.push(Item::Model(text));
                }
                for call in calls {
                    let id = call["id"].as_str().unwrap_or_default().to_owned();
                    let name = call["function"]["name"].as_str().unwrap_or_default().to_owned();
                    items.push(Item::Call { id, name });
                }
            }
            _ => {}
        }
    }
    items
}

fn finish_reason(answer: &Answer, end: End) -> &'static str {
    match (end, answer) {
        (End::MaxTokens, _) => "length",
        (_, Answer::Call { .. }) => "tool_calls",
        (_, Answer::Words(_)) => "stop",
    }
}

fn usage() -> Value {
    json!({
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        "prompt_tokens_details": { "cached_tokens": CACHED_TOKENS },
    })
}

fn message(request: &Request, answer: &Answer) -> Value {
    match answer {
        Answer::Words(text) => json!({ "role": "assistant", "content": text }),
        Answer::Call { name, arguments, .. } => json!({ "role": "assistant", "content": null, "tool_calls": [{
            "index": 0,
            "id": call_id(request),
            "type": "function",
            "function": { "name": name, "arguments": arguments.to_string() },
        }] }),
    }
}

fn envelope(request: &Request, object: &str) -> Value {
    json!({
        "id": format!("chatcmpl-{}", request.items.len()),
        "object": object,
        "created": 1_700_000_000,
        "model": request.model,
    })
}

pub fn whole(request: &Request, answer: &Answer, end: End) -> Value {
    let mut body = envelope(request, "chat.completion");
    body["choices"] = json!([{
        "index": 0, "message": message(request, answer), "finish_reason": finish_reason(answer, end),
    }]);
    body["usage"] = usage();
    body
}

pub fn events(request: &Request, answer: &Answer, end: End) -> Vec<String> {
    let chunk = |delta: Value, reason: Value| {
        let mut body = envelope(request, "chat.completion.chunk");
        body["choices"] = json!([{ "index": 0, "delta": delta, "finish_reason": reason }]);
        body
    };
    let mut last = envelope(request, "chat.completion.chunk");
    last["choices"] = json!([]);
    last["usage"] = usage();
    vec![
        data(&chunk(json!({ "role": "assistant", "content": "" }), Value::Null)),
        data(&chunk(message(request, answer), Value::Null)),
        data(&chunk(json!({}), json!(finish_reason(answer, end)))),
        data(&last),
        "data: [DONE]\n\n".to_owned(),
    ]
}
