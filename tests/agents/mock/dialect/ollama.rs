//! Ollama's own API, with a window that forgets as Ollama's does: the oldest messages go, the system's and the last stay.

use super::{End, OUTPUT_TOKENS, chat as openai};
use crate::mock::conversation::Request;
use crate::mock::toolbox::Answer;
use serde_json::{Value, json};

/// Tokens of the window when a request names none, as Ollama has it.
const DEFAULT_WINDOW: u64 = 4096;
/// Bytes that are counted as one token.
const BYTES_PER_TOKEN: u64 = 4;
const CREATED: &str = "2026-01-01T00:00:00Z";

pub fn read(body: &Value) -> Request {
    Request {
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        stream: body["stream"] != false,
        tools: openai::read_tools(body),
        items: openai::read_messages(body),
    }
}

/// Counts tokens roughly: by bytes.
fn tokens(value: &Value) -> u64 {
    u64::try_from(value.to_string().len()).unwrap_or(u64::MAX) / BYTES_PER_TOKEN
}

/// Removes what the window of the model does not hold from a request's body, and returns the tokens that are left.
///
/// `context` is the model's own window, which `num_ctx` cannot exceed.
pub fn window(body: &mut Value, context: u64) -> u64 {
    let limit = body["options"]["num_ctx"].as_u64().unwrap_or(DEFAULT_WINDOW).min(context);
    let tools = tokens(&body["tools"]);
    let Some(messages) = body["messages"].as_array_mut() else { return tools };
    let mut sizes: u64 = tools + messages.iter().map(tokens).sum::<u64>();
    while sizes > limit {
        let last = messages.len().saturating_sub(1);
        let Some(oldest) = messages.iter().take(last).position(|message| message["role"] != "system") else { break };
        sizes -= tokens(&messages.remove(oldest));
    }
    sizes.min(limit)
}

/// Writes `/api/show`.
pub fn show(context: u64, tools: bool) -> Value {
    json!({
        "license": "",
        "modelfile": "",
        "parameters": "",
        "template": "{{ .Prompt }}",
        "details": { "parent_model": "", "format": "gguf", "family": "mock", "families": ["mock"],
            "parameter_size": "8.0B", "quantization_level": "Q4_K_M" },
        "model_info": { "general.architecture": "mock", "general.parameter_count": 8_000_000_000_u64,
            "mock.context_length": context, "mock.embedding_length": 4096 },
        "capabilities": if tools { json!(["completion", "tools"]) } else { json!(["completion"]) },
        "modified_at": CREATED,
    })
}

/// Writes `/api/tags`.
pub fn tags() -> Value {
    json!({ "models": [{
        "name": "mock-model:latest",
        "model": "mock-model:latest",
        "modified_at": CREATED,
        "size": 4_000_000_000_u64,
        "digest": "0000000000000000000000000000000000000000000000000000000000000000",
        "details": { "parent_model": "", "format": "gguf", "family": "mock", "families": ["mock"],
            "parameter_size": "8.0B", "quantization_level": "Q4_K_M" },
    }] })
}

fn begun(request: &Request, answer: &Answer) -> Value {
    let message = match answer {
        Answer::Words(text) => json!({ "role": "assistant", "content": text }),
        Answer::Call { name, arguments, .. } => json!({ "role": "assistant", "content": "",
            "tool_calls": [{ "function": { "name": name, "arguments": arguments } }] }),
    };
    json!({ "model": request.model, "created_at": CREATED, "message": message, "done": false })
}

fn finish(body: &mut Value, end: End, read: u64) {
    body["done"] = json!(true);
    body["done_reason"] = json!(if end == End::MaxTokens { "length" } else { "stop" });
    body["total_duration"] = json!(1_000_000);
    body["load_duration"] = json!(1_000);
    body["prompt_eval_count"] = json!(read);
    body["prompt_eval_duration"] = json!(1_000);
    body["eval_count"] = json!(OUTPUT_TOKENS);
    body["eval_duration"] = json!(1_000);
}

pub fn whole(request: &Request, answer: &Answer, end: End, read: u64) -> Value {
    let mut body = begun(request, answer);
    finish(&mut body, end, read);
    body
}

pub fn events(request: &Request, answer: &Answer, end: End, read: u64) -> Vec<String> {
    let mut last = begun(request, &Answer::Words(String::new()));
    finish(&mut last, end, read);
    vec![format!("{}\n", begun(request, answer)), format!("{last}\n")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_window_forgets_the_oldest_and_keeps_system_and_last() {
        let long = "x".repeat(4000);
        let message = |role: &str| json!({ "role": role, "content": long });
        let messages: Vec<Value> = ["system", "user", "assistant", "tool", "assistant", "tool"].map(message).into();
        let mut body = json!({ "messages": messages, "options": { "num_ctx": 32768 } });
        let read = window(&mut body, 4096);
        assert!(read <= 4096);
        let roles: Vec<_> =
            body["messages"].as_array().expect("a list").iter().map(|one| one["role"].clone()).collect();
        assert_eq!(roles, ["system", "tool", "assistant", "tool"], "the task is forgotten");
        let mut small = json!({ "messages": [{ "role": "user", "content": "hi" }] });
        let before = small.clone();
        assert!(window(&mut small, 4096) < 20);
        assert_eq!(small, before);
    }
}
