//! The five dialects: how a request is read, and how an answer and an error inside a stream are written.
//!
//! Every dialect writes an answer as a list of pieces, so that an answer can break after any of them.

mod chat;
mod gemini;
mod messages;
mod ollama;
mod responses;

use super::conversation::Request;
use super::fault::Refusal;
use super::toolbox::Answer;
use serde_json::Value;

pub use ollama::{
    events as ollama_events, show as ollama_show, tags as ollama_tags, whole as ollama_whole, window as ollama_window,
};

/// Tokens every request is said to have read, those from the cache included.
pub const INPUT_TOKENS: u64 = 100;
/// Tokens said to be from the cache.
pub const CACHED_TOKENS: u64 = 40;
/// Tokens every answer is said to have.
pub const OUTPUT_TOKENS: u64 = 20;

/// A protocol of model servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Anthropic's Messages.
    Messages,
    /// OpenAI's Responses.
    Responses,
    /// OpenAI's chat completions.
    Chat,
    /// Gemini's generateContent.
    Gemini,
    /// Ollama's own chat.
    Ollama,
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Regular,
    /// At the limit of its length.
    MaxTokens,
}

impl Dialect {
    /// Reads a request; `path` is the address after the scenario.
    pub fn read(self, path: &str, body: &Value) -> Request {
        match self {
            Self::Messages => messages::read(body),
            Self::Responses => responses::read(body),
            Self::Chat => chat::read(body),
            Self::Gemini => gemini::read(path, body),
            Self::Ollama => ollama::read(body),
        }
    }

    /// Writes an answer that is no stream.
    pub fn whole(self, request: &Request, answer: &Answer, end: End) -> Value {
        match self {
            Self::Messages => messages::whole(request, answer, end),
            Self::Responses => responses::whole(request, answer, end),
            Self::Chat => chat::whole(request, answer, end),
            Self::Gemini => gemini::whole(request, answer, end),
            Self::Ollama => ollama::whole(request, answer, end, INPUT_TOKENS),
        }
    }

    /// Writes an answer as the events of a stream.
    pub fn events(self, request: &Request, answer: &Answer, end: End) -> Vec<String> {
        match self {
            Self::Messages => messages::events(request, answer, end),
            Self::Responses => responses::events(request, answer, end),
            Self::Chat => chat::events(request, answer, end),
            Self::Gemini => gemini::events(request, answer, end),
            Self::Ollama => ollama::events(request, answer, end, INPUT_TOKENS),
        }
    }

    /// Writes an error as an event of a stream.
    pub fn told(self, refusal: Refusal, model: &str) -> String {
        let body = refusal.body(self, model);
        match self {
            Self::Messages => event("error", &body),
            Self::Responses => {
                let mut error = body["error"].clone();
                if let Some(error) = error.as_object_mut() {
                    error.remove("param");
                }
                let response = serde_json::json!({ "id": "resp_mock", "object": "response", "status": "failed",
                    "model": model, "error": error, "output": [] });
                let failed =
                    serde_json::json!({ "type": "response.failed", "sequence_number": 2, "response": response });
                event("response.failed", &failed)
            }
            Self::Chat => data(&body),
            Self::Gemini | Self::Ollama => format!("{body}\n"),
        }
    }

    /// The type of a stream.
    pub fn stream_type(self) -> &'static str {
        if self == Self::Ollama { "application/x-ndjson" } else { "text/event-stream" }
    }
}

/// Writes a named event.
fn event(name: &str, value: &Value) -> String {
    format!("event: {name}\ndata: {value}\n\n")
}

/// Writes an event without a name.
fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// Names the next call, which no other of the conversation is called.
fn call_id(request: &Request) -> String {
    format!("call_{}", request.items.len())
}
