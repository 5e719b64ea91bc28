//! Gemini's generateContent.

use super::{CACHED_TOKENS, End, INPUT_TOKENS, OUTPUT_TOKENS, call_id, data};
use crate::mock::conversation::{Item, Request, Tool};
use crate::mock::toolbox::Answer;
use serde_json::{Value, json};

/// What the client itself puts in the place of an answer that failed.
const INTERRUPTED: &str = "[The previous response was interrupted";

pub fn read(path: &str, body: &Value) -> Request {
    let mut tools = Vec::new();
    for group in body["tools"].as_array().into_iter().flatten() {
        for tool in group["functionDeclarations"].as_array().into_iter().flatten() {
            let Some(name) = tool["name"].as_str() else { continue };
            let schema = tool.get("parametersJsonSchema").or(tool.get("parameters")).cloned().unwrap_or_default();
            tools.push(Tool { name: name.to_owned(), namespace: None, schema });
        }
    }
    let mut items = Vec::new();
    for content in body["contents"].as_array().into_iter().flatten() {
        for part in content["parts"].as_array().into_iter().flatten() {
            let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
            let id = |value: &Value| value["id"].as_str().map_or_else(|| name(value), str::to_owned);
            if let Some(call) = part.get("functionCall") {
                items.push(Item::Call { id: id(call), name: name(call) });
            } else if let Some(result) = part.get("functionResponse") {
                // A session that is loaded again has each result twice.
                let result = Item::Result { id: id(result), text: result["response"].to_string() };
                if items.last() != Some(&result) {
                    items.push(result);
                }
            } else if let Some(text) = part["text"].as_str().filter(|text| !text.starts_with(INTERRUPTED)) {
                let text = text.to_owned();
                items.push(if content["role"] == "model" { Item::Model(text) } else { Item::Person(text) });
            }
        }
    }
    let model = path.rsplit('/').next().and_then(|last| last.split(':').next()).unwrap_or_default().to_owned();
    Request { model, stream: path.contains(":streamGenerateContent"), tools, items }
}

pub fn whole(request: &Request, answer: &Answer, end: End) -> Value {
    let mut body = begun(request, answer);
    let reason = if end == End::MaxTokens { "MAX_TOKENS" } else { "STOP" };
    body["candidates"][0]["finishReason"] = json!(reason);
    body["usageMetadata"] = json!({
        "promptTokenCount": INPUT_TOKENS,
        "cachedContentTokenCount": CACHED_TOKENS,
        "candidatesTokenCount": OUTPUT_TOKENS,
        "totalTokenCount": INPUT_TOKENS + OUTPUT_TOKENS,
    });
    body
}

fn begun(request: &Request, answer: &Answer) -> Value {
    let part = match answer {
        Answer::Words(text) => json!({ "text": text }),
        Answer::Call { name, arguments, .. } => {
            json!({ "functionCall": { "id": call_id(request), "name": name, "args": arguments } })
        }
    };
    json!({
        "candidates": [{ "index": 0, "content": { "role": "model", "parts": [part] } }],
        "modelVersion": request.model,
        "responseId": format!("resp-{}", request.items.len()),
    })
}

pub fn events(request: &Request, answer: &Answer, end: End) -> Vec<String> {
    let mut last = whole(request, answer, end);
    last["candidates"][0]["content"]["parts"] = json!([{ "text": "" }]);
    vec![data(&begun(request, answer)), data(&last)]
}
