//! OpenAI's Responses, as codex speaks it.

use super::{CACHED_TOKENS, End, INPUT_TOKENS, OUTPUT_TOKENS, call_id, event};
use crate::mock::conversation::{Item, Request, Tool, text_of};
use crate::mock::toolbox::Answer;
use serde_json::{Value, json};

pub fn read(body: &Value) -> Request {
    let mut tools = Vec::new();
    for tool in body["tools"].as_array().into_iter().flatten() {
        let Some(name) = tool["name"].as_str() else { continue };
        if tool["type"] == "namespace" {
            for inner in tool["tools"].as_array().into_iter().flatten() {
                tools.extend(read_tool(inner, Some(name)));
            }
        } else {
            tools.extend(read_tool(tool, None));
        }
    }
    let mut items = Vec::new();
    if let Some(text) = body["input"].as_str() {
        items.push(Item::Person(text.to_owned()));
    }
    for item in body["input"].as_array().into_iter().flatten() {
        let field = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        match item["type"].as_str().unwrap_or("message") {
            "message" if item["role"] == "user" => items.push(Item::Person(text_of(&item["content"]))),
            "message" if item["role"] == "assistant" => items.push(Item::Model(text_of(&item["content"]))),
            "function_call" | "custom_tool_call" => {
                items.push(Item::Call { id: field("call_id"), name: field("name") });
            }
            "function_call_output" | "custom_tool_call_output" => {
                items.push(Item::Result { id: field("call_id"), text: text_of(&item["output"]) });
            }
            _ => {}
        }
    }
    Request {
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        stream: body["stream"] == true,
        tools,
        items,
    }
}

fn read_tool(tool: &Value, namespace: Option<&str>) -> Option<Tool> {
    let name = tool["name"].as_str()?.to_owned();
    Some(Tool { name, namespace: namespace.map(str::to_owned), schema: tool["parameters"].clone() })
}

fn item(request: &Request, answer: &Answer) -> Value {
    let number = request.items.len();
    match answer {
        Answer::Words(text) => json!({
            "type": "message", "id": format!("msg_{number}"), "role": "assistant", "status": "completed",
            "content": [{ "type": "output_text", "text": text, "annotations": [] }],
        }),
        Answer::Call { name, namespace, arguments } => {
            let mut call = json!({
                "type": "function_call", "id": format!("fc_{number}"), "call_id": call_id(request), "name": name,
                "arguments": arguments.to_string(), "status": "completed",
            });
            if let Some(namespace) = namespace {
                call["namespace"] = json!(namespace);
            }
            call
        }
    }
}

pub fn whole(request: &Request, answer: &Answer, end: End) -> Value {
    let cut = end == End::MaxTokens;
    json!({
        "id": format!("resp_{}", request.items.len()),
        "object": "response",
        "created_at": 1_700_000_000,
        "status": if cut { "incomplete" } else { "completed" },
        "incomplete_details": if cut { json!({ "reason": "max_output_tokens" }) } else { Value::Null },
        "error": null,
        "model": request.model,
        "output": [item(request, answer)],
        "usage": {
            "input_tokens": INPUT_TOKENS,
            "input_tokens_details": { "cached_tokens": CACHED_TOKENS },
            "output_tokens": OUTPUT_TOKENS,
            "output_tokens_details": { "reasoning_tokens": 0 },
            "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        },
    })
}

pub fn events(request: &Request, answer: &Answer, end: End) -> Vec<String> {
    let last = whole(request, answer, end);
    let mut first = last.clone();
    first["status"] = json!("in_progress");
    first["incomplete_details"] = Value::Null;
    first["output"] = json!([]);
    first["usage"] = Value::Null;
    let item = item(request, answer);
    let mut begun = item.clone();
    begun["status"] = json!("in_progress");
    let delta = match answer {
        Answer::Words(text) => {
            begun["content"] = json!([]);
            json!({ "type": "response.output_text.delta", "item_id": item["id"], "output_index": 0, "content_index": 0,
                "delta": text })
        }
        Answer::Call { arguments, .. } => {
            begun["arguments"] = json!("");
            json!({ "type": "response.function_call_arguments.delta", "item_id": item["id"], "output_index": 0,
                "delta": arguments.to_string() })
        }
    };
    let name = if end == End::MaxTokens { "response.incomplete" } else { "response.completed" };
    let all = [
        json!({ "type": "response.created", "response": first }),
        json!({ "type": "response.output_item.added", "output_index": 0, "item": begun }),
        delta,
        json!({ "type": "response.output_item.done", "output_index": 0, "item": item }),
        json!({ "type": name, "response": last }),
    ];
    let numbered = all.into_iter().enumerate().map(|(number, mut value)| {
        value["sequence_number"] = json!(number);
        event(value["type"].as_str().unwrap_or_default(), &value)
    });
    numbered.collect()
}
