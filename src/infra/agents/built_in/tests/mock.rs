//! A model server on loopback whose model follows a script.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, Response, StatusCode, Uri};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

/// What the server does with a request.
pub enum Reply {
    /// An answer of the model: words and calls of tools.
    Says(&'static str),
    Calls(Vec<(&'static str, Value)>),
    /// As `Says`, but cut by a limit of length.
    Cut(&'static str),
    Status(u16, Vec<(&'static str, &'static str)>, &'static str),
    /// Some text with status 200.
    Raw(&'static str),
    /// The connection breaks in the middle of the answer.
    Drop,
    /// Never.
    Hang,
}

/// Decides what happens at the n-th request to a model, counted from 1.
type Script = Box<dyn Fn(usize, &Value) -> Reply + Send + Sync>;

/// Ollama: what it tells of its only model, and how it treats prompts that are too long.
#[derive(Clone, Copy)]
pub struct Ollama {
    pub window: u64,
    pub tools: bool,
    /// Too old to know `truncate`: it cuts the oldest messages away and says nothing.
    pub cuts: bool,
}

struct Server {
    script: Script,
    ollama: Option<Ollama>,
    /// Every request to a model as it came.
    seen: Mutex<Vec<Value>>,
    /// How many prompts were cut.
    cut: Mutex<usize>,
    /// Every path asked for, with the key.
    asked: Mutex<Vec<(String, Option<String>)>>,
}

pub struct Mock {
    server: Arc<Server>,
    pub url: String,
    serving: JoinHandle<()>,
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Mock {
    pub async fn openai(script: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(Box::new(script), None).await
    }

    pub async fn ollama(ollama: Ollama, script: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(Box::new(script), Some(ollama)).await
    }

    async fn start(script: Script, ollama: Option<Ollama>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (seen, cut, asked) = Default::default();
        let server = Arc::new(Server { script, ollama, seen, cut, asked });
        let app = Router::new().fallback(serve).with_state(server.clone());
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        Self { server, url, serving }
    }

    pub fn seen(&self) -> Vec<Value> {
        self.server.seen.lock().expect("seen").clone()
    }

    pub fn cut(&self) -> usize {
        *self.server.cut.lock().expect("cut")
    }

    pub fn asked(&self) -> Vec<(String, Option<String>)> {
        self.server.asked.lock().expect("asked").clone()
    }
}

async fn serve(
    State(server): State<Arc<Server>>,
    method: Method,
    uri: Uri,
    headers: axum::http::HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let key = headers.get("authorization").and_then(|key| key.to_str().ok()).map(str::to_owned);
    server.asked.lock().expect("asked").push((uri.path().to_owned(), key));
    match (method, uri.path(), server.ollama) {
        (Method::GET, "/api/version", Some(_)) => json_of(json!({"version": "0.40.1"})),
        (Method::GET, "/api/tags", Some(_)) => json_of(json!({"models": [{"name": "small:latest"}]})),
        (Method::POST, "/api/show", Some(ollama)) => show(ollama, &body),
        (Method::POST, "/api/chat", Some(ollama)) => {
            let request: Value = serde_json::from_slice(&body).expect("a request");
            chat(&server, ollama, request).await
        }
        (Method::GET, "/v1/models", None) => json_of(json!({"data": [{"id": "mock-model"}]})),
        (Method::POST, "/v1/chat/completions", None) => {
            let request: Value = serde_json::from_slice(&body).expect("a request");
            let (number, reply) = server.scripted(&request);
            let tokens = (tokens(&request["messages"]) + tokens(&request["tools"])) as usize;
            answer(reply, |text, calls, cut| {
                let call = |(index, (name, arguments)): (usize, &(&str, Value))| {
                    json!({"id": format!("c{number}-{index}"), "type": "function",
                        "function": {"name": name, "arguments": arguments.to_string()}})
                };
                let calls: Vec<Value> = calls.iter().enumerate().map(call).collect();
                json!({"model": "mock-model-1", "choices": [{"finish_reason": if cut { "length" } else { "stop" },
                    "message": {"role": "assistant", "content": text, "tool_calls": calls}}],
                    "usage": {"prompt_tokens": tokens, "completion_tokens": 10}})
            })
            .await
        }
        _ => plain(404, "404 page not found"),
    }
}

impl Server {
    fn scripted(&self, request: &Value) -> (usize, Reply) {
        let mut seen = self.seen.lock().expect("seen");
        seen.push(request.clone());
        (seen.len(), (self.script)(seen.len(), request))
    }
}

fn show(ollama: Ollama, body: &[u8]) -> Response<Body> {
    let question: Value = serde_json::from_slice(body).expect("a question");
    if question["model"] != "small:latest" && question["model"] != "small" {
        return plain(404, &json!({"error": format!("model '{}' not found", question["model"])}).to_string());
    }
    let capabilities = if ollama.tools { json!(["completion", "tools"]) } else { json!(["completion"]) };
    json_of(json!({"model_info": {"small.context_length": ollama.window}, "capabilities": capabilities}))
}

/// Plays a turn of Ollama's model, which sees only what is in the window.
async fn chat(server: &Server, ollama: Ollama, mut request: Value) -> Response<Body> {
    let whole = request.clone();
    let window = request["options"]["num_ctx"].as_u64().expect("a window").min(ollama.window);
    let tools = tokens(&request["tools"]);
    let messages = request["messages"].as_array_mut().expect("messages");
    let mut was_cut = false;
    // The rules stay, the last message stays, the oldest between them goes.
    while tools + tokens(&json!(messages)) > window && messages.len() > 2 {
        messages.remove(1);
        was_cut = true;
    }
    if was_cut && !ollama.cuts && request["truncate"] == false {
        server.seen.lock().expect("seen").push(whole);
        return plain(400, r#"{"error": "the input length exceeds the context length"}"#);
    }
    let counted = (tools + tokens(&request["messages"])).min(window);
    *server.cut.lock().expect("cut") += usize::from(was_cut);
    request["was_cut"] = was_cut.into();
    let (_, reply) = server.scripted(&request);
    answer(reply, |text, calls, cut| {
        let calls: Vec<Value> =
            calls.iter().map(|(name, arguments)| json!({"function": {"name": name, "arguments": arguments}})).collect();
        json!({"model": "small", "done": true, "done_reason": if cut { "length" } else { "stop" },
            "message": {"role": "assistant", "content": text, "tool_calls": calls},
            "prompt_eval_count": counted, "eval_count": 10})
    })
    .await
}

/// Counts as a tokenizer might: four bytes of text are a token, but each digit is one.
pub fn tokens(value: &Value) -> u64 {
    let text = value.to_string();
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    (digits + (text.len() - digits) / 4) as u64
}

async fn answer(reply: Reply, body: impl FnOnce(&str, &[(&'static str, Value)], bool) -> Value) -> Response<Body> {
    match reply {
        Reply::Says(text) => json_of(body(text, &[], false)),
        Reply::Cut(text) => json_of(body(text, &[], true)),
        Reply::Calls(calls) => json_of(body("", &calls, false)),
        Reply::Raw(text) => plain(200, text),
        Reply::Status(status, headers, text) => {
            let mut response = plain(status, text);
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().expect("a header"));
            }
            response
        }
        Reply::Drop => {
            let parts = [Ok("{\"choices\":"), Err(std::io::Error::other("broken"))];
            Response::new(Body::from_stream(futures::stream::iter(parts)))
        }
        Reply::Hang => std::future::pending().await,
    }
}

fn json_of(value: Value) -> Response<Body> {
    plain(200, &value.to_string())
}

fn plain(status: u16, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(text.to_owned()));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}
