//! Anthropic's Messages.

use super::{CACHED_TOKENS, End, INPUT_TOKENS, OUTPUT_TOKENS, call_id, event};
use crate::mock::conversation::{Item, Request, Tool, text_of};
use crate::mock::toolbox::Answer;
use serde_json::{Value, json};

pub fn read(body: &Value) -> Request {
    let tool = |tool: &Value| {
        let name = tool["name"].as_str()?.to_owned();
        Some(Tool { name, namespace: None, schema: tool["input_schema"].clone() })
    };
    let tools = body["tools"].as_array().into_iter().flatten().filter_map(tool).collect();
    let mut items = Vec::new();
    for message in body["messages"].as_array().into_iter().flatten() {
        let person = message["role"] == "user";
        if let Some(text) = message["content"].as_str() {
            items.push(words(person, text));
        }
        for block in message["content"].as_array().into_iter().flatten() {
            let id = |name: &str| block[name].as_str().unwrap_or_default().to_owned();
            match block["type"].as_str() {
                Some("text") => items.push(words(person, block["text"].as_str().unwrap_or_default())),
                Some("tool_use") => items.push(Item::Call { id: id("id"), name: id("name") }),
                Some("tool_result") => {
                    items.push(Item::Result { id: id("tool_use_id"), text: text_of(&block["content"]) });
                }
                _ => {}
            }
        }
    }
    Request {
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        stream: body["stream"] == true,
        tools,
        items,
    }
}

fn words(person: bool, text: &str) -> Item {
    if person { Item::Person(text.to_owned()) } else { Item::Model(text.to_owned()) }
}

fn stop_reason(answer: &Answer, end: End) -> &'static str {
    match (end, answer) {
        (End::MaxTokens, _) => "max_tokens",
        (_, Answer::Call { .. }) => "tool_use",
        (_, Answer::Words(_)) => "end_turn",
    }
}

fn usage(output: u64) -> Value {
    json!({
        "input_tokens": INPUT_TOKENS - CACHED_TOKENS,
        "cache_read_input_tokens": CACHED_TOKENS,
        "cache_creation_input_tokens": 0,
        "output_tokens": output,
    })
}

fn block(request: &Request, answer: &Answer) -> Value {
    match answer {
        Answer::Words(text) => json!({ "type": "text", "text": text }),
        Answer::Call { name, arguments, .. } => {
            json!({ "type": "tool_use", "id": call_id(request), "name": name, "input": arguments })
        }
    }
}

pub fn whole(request: &Request, answer: &Answer, end: End) -> Value {
    json!({
        "id": format!("msg_{}", request.items.len()),
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": [block(request, answer)],
        "stop_reason": stop_reason(answer, end),
        "stop_sequence": null,
        "usage": usage(OUTPUT_TOKENS),
    })
}

pub fn events(request: &Request, answer: &Answer, end: End) -> Vec<String> {
    let mut message = whole(request, answer, end);
    message["content"] = json!([]);
    message["stop_reason"] = Value::Null;
    message["usage"] = usage(1);
    let mut start = block(request, answer);
    let delta = match answer {
        Answer::Words(text) => {
            start["text"] = json!("");
            json!({ "type": "text_delta", "text": text })
        }
        Answer::Call { arguments, .. } => {
            start["input"] = json!({});
            json!({ "type": "input_json_delta", "partial_json": arguments.to_string() })
        }
    };
    let delta = json!({ "type": "content_block_delta", "index": 0, "delta": delta });
    let last = json!({
        "type": "message_delta",
        "delta": { "stop_reason": stop_reason(answer, end), "stop_sequence": null },
        "usage": { "output_tokens": OUTPUT_TOKENS },
    });
    vec![
        event("message_start", &json!({ "type": "message_start", "message": message })),
        event("content_block_start", &json!({ "type": "content_block_start", "index": 0, "content_block": start })),
        event("content_block_delta", &delta),
        event("content_block_stop", &json!({ "type": "content_block_stop", "index": 0 })),
        event("message_delta", &last),
        event("message_stop", &json!({ "type": "message_stop" })),
    ]
}
