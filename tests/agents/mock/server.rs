//! The server itself: reads the address, asks the dialect, plays the scenario, breaks what is to break.

use super::cut::{CuttableListener, Scissors};
use super::dialect::{self, Dialect, End};
use super::fault::{Break, Fault, Refusal, RefusedBody};
use super::journal::{Entry, Journal};
use super::play::{Play, Step};
use super::scenario::Scenario;
use super::toolbox::{self, Answer};
use crate::mock::conversation::Request;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::connect_info::ConnectInfo;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, Response, Uri};
use axum::response::IntoResponse;
use futures::StreamExt;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a request that are taken.
const LARGEST: usize = 64 * 1024 * 1024;

/// A running server, which lives until the test's process ends.
pub struct Mock {
    address: SocketAddr,
    journal: Arc<Journal>,
}

impl Mock {
    /// Starts a server on a port of loopback; 0 takes a free one.
    pub fn start(port: u16) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("a port of loopback");
        listener.set_nonblocking(true).expect("a listener for tokio");
        let address = listener.local_addr().expect("an address");
        let journal = Arc::new(Journal::default());
        let kept = Arc::clone(&journal);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                let router = Router::new().fallback(serve).layer(DefaultBodyLimit::max(LARGEST)).with_state(kept);
                let service = router.into_make_service_with_connect_info::<Scissors>();
                axum::serve(CuttableListener(listener), service).await.expect("it serves");
            });
        });
        Self { address, journal }
    }

    /// The base address without a scenario.
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The base address of a scenario, for one run.
    pub fn url(&self, scenario: &str, run: &str) -> String {
        Scenario::read(scenario).unwrap_or_else(|error| panic!("{scenario}: {error}"));
        format!("http://{}/s/{scenario}@{run}", self.address)
    }

    /// Sets the steps of the scenario `script` for one run.
    pub fn script(&self, run: &str, steps: &[Step]) {
        self.journal.set_script(run, serde_json::to_value(steps).expect("serialises"));
    }

    /// Returns what came in under a run, oldest first.
    pub fn entries(&self, run: &str) -> Vec<Entry> {
        self.journal.entries(run)
    }

    /// Returns how many turns were asked under a run.
    pub fn turns(&self, run: &str) -> usize {
        self.entries(run).iter().filter(|entry| entry.turn.is_some()).count()
    }

    /// Waits until so many turns were asked; returns whether they were in time.
    pub fn wait_for_turns(&self, run: &str, turns: usize, patience: Duration) -> bool {
        self.journal.wait(run, patience, |entries| entries.iter().filter(|entry| entry.turn.is_some()).count() >= turns)
    }
}

/// A part of an answer.
enum Part {
    Text(String),
    /// Nothing more comes, and the connection stays.
    Hang,
    /// The connection is reset.
    Cut,
}

async fn serve(
    State(journal): State<Arc<Journal>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> Response<Body> {
    let path = uri.path().replace("%40", "@").replace("%3A", ":");
    if let Some(run) = path.strip_prefix("/log/") {
        let mut entries = journal.entries(run);
        if uri.query() != Some("bodies") {
            entries.iter_mut().for_each(|entry| entry.body = Value::Null);
        }
        return as_json(200, &json!(entries));
    }
    let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
    if let Some(run) = path.strip_prefix("/script/") {
        if let Err(error) = serde_json::from_value::<Vec<Step>>(sent.clone()) {
            return as_json(400, &json!({ "error": error.to_string() }));
        }
        journal.set_script(run, sent);
        return as_json(200, &json!({}));
    }
    let Some((scenario, run, rest)) = split(&path) else {
        return as_json(404, &json!({ "error": format!("{path}: expected /s/SCENARIO@RUN/…") }));
    };
    let scenario = match Scenario::read(scenario) {
        Ok(scenario) => scenario,
        Err(error) => return as_json(404, &json!({ "error": error })),
    };
    let exchange = Exchange { journal, run: run.to_owned(), rest: rest.to_owned(), scenario, scissors };
    exchange.answer(&method, &uri, sent).await
}

/// Splits `/s/SCENARIO@RUN/REST`.
fn split(path: &str) -> Option<(&str, &str, &str)> {
    let (scenario, rest) = path.strip_prefix("/s/")?.split_once('@')?;
    let (run, rest) = rest.split_once('/').unwrap_or((rest, ""));
    Some((scenario, run, rest))
}

/// One request and what it needs to be answered.
struct Exchange {
    journal: Arc<Journal>,
    run: String,
    rest: String,
    scenario: Scenario,
    scissors: Scissors,
}

impl Exchange {
    async fn answer(self, method: &Method, uri: &Uri, mut body: Value) -> Response<Body> {
        let path = self.rest.trim_end_matches('/');
        let Some(dialect) = dialect_of(path) else {
            let (status, found) = self.side(path);
            self.keep(method, uri, &Request::default(), None, format!("{status}"), body);
            return as_json(status, &found);
        };
        let sent = body.clone();
        let read = if dialect == Dialect::Ollama {
            dialect::ollama_window(&mut body, self.scenario.context)
        } else {
            dialect::INPUT_TOKENS
        };
        let request = dialect.read(path, &body);
        let turn = request.is_turn().then(|| self.journal.next_turn(&self.run));
        let fault = self.scenario.fault.filter(|(when, _)| when.hits(turn)).map(|(_, fault)| fault);
        let said = self.next(&request, &body);
        let shown = fault.map_or_else(|| said.shown(), |fault| format!("{fault:?}"));
        self.keep(method, uri, &request, turn, shown, sent);
        match fault {
            Some(Fault::Refused(refusal)) => refused(refusal, dialect, &request.model),
            Some(Fault::Broken(broken)) => self.broken(broken, dialect, &request, &said).await,
            None if request.stream => {
                let mut events = dialect.events(&request, &said, End::Regular);
                if dialect == Dialect::Ollama {
                    events = dialect::ollama_events(&request, &said, End::Regular, read);
                }
                streamed(dialect, events.into_iter().map(Part::Text).collect())
            }
            None if dialect == Dialect::Ollama => {
                as_json(200, &dialect::ollama_whole(&request, &said, End::Regular, read))
            }
            None => as_json(200, &dialect.whole(&request, &said, End::Regular)),
        }
    }

    /// Decides what the model says: the next step of the play, or a word for a small request beside it.
    fn next(&self, request: &Request, body: &Value) -> Answer {
        if !request.is_turn() {
            let structured = ["responseJsonSchema", "responseSchema"];
            let wants_json = structured.iter().any(|name| body["generationConfig"].get(*name).is_some());
            let words = if wants_json { r#"{"reasoning":"It is done.","next_speaker":"user"}"# } else { "A greeting" };
            return Answer::Words(words.to_owned());
        }
        if self.scenario.weak {
            return Answer::Words("I would call a tool now.".to_owned());
        }
        let play =
            self.scenario.play.clone().unwrap_or_else(|| {
                Play::once(serde_json::from_value(self.journal.script(&self.run)).unwrap_or_default())
            });
        toolbox::answer(&play.of_role(request).step(request.results()), request)
    }

    /// Answers what is no request to a model.
    fn side(&self, path: &str) -> (u16, Value) {
        match path {
            "" | "api/hello" => (200, json!({})),
            "api/tags" => (200, dialect::ollama_tags()),
            "api/version" => (200, json!({ "version": "0.13.0" })),
            "api/ps" => (200, json!({ "models": [] })),
            "api/show" => (200, dialect::ollama_show(self.scenario.context, self.scenario.tools)),
            _ if path.ends_with("count_tokens") => (200, json!({ "input_tokens": dialect::INPUT_TOKENS })),
            _ if path.ends_with(":countTokens") => (200, json!({ "totalTokens": dialect::INPUT_TOKENS })),
            _ if path.ends_with("/models") => {
                (200, json!({ "object": "list", "data": [{ "id": "mock-model", "object": "model" }], "models": [] }))
            }
            _ => (404, json!({ "error": { "message": format!("{path}: no such thing") } })),
        }
    }

    fn keep(&self, method: &Method, uri: &Uri, request: &Request, turn: Option<u64>, answer: String, body: Value) {
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let entry = Entry {
            at_ms: self.journal.now_ms(),
            method: method.to_string(),
            path: format!("{}{query}", self.rest),
            turn,
            model: request.model.clone(),
            stream: request.stream,
            tools: request.tools.iter().map(|tool| tool.name.clone()).collect(),
            results: request.results(),
            words: request.words().to_owned(),
            last_result: request.last_result().map(str::to_owned),
            answer,
            body,
        };
        self.journal.keep(&self.run, entry);
    }

    async fn broken(&self, broken: Break, dialect: Dialect, request: &Request, said: &Answer) -> Response<Body> {
        match broken {
            Break::HangBefore => return std::future::pending().await,
            Break::Dropped => {
                self.scissors.cut();
                return std::future::pending().await;
            }
            Break::Empty => return streamed(dialect, Vec::new()),
            _ => {}
        }
        let end = if broken == Break::MaxTokens { End::MaxTokens } else { End::Regular };
        // A call that is whole would be carried out all the same, and these write one as a single event.
        let cut = Answer::Words("It begins with".to_owned());
        let whole_calls = matches!(dialect, Dialect::Chat | Dialect::Gemini) && broken == Break::Truncated;
        let said = if broken == Break::MaxTokens || whole_calls { &cut } else { said };
        let (events, whole) = if request.stream {
            (dialect.events(request, said, end), String::new())
        } else {
            (Vec::new(), dialect.whole(request, said, end).to_string())
        };
        // What is no stream breaks in its middle; a stream after its first events.
        let first = if request.stream {
            events[..1.max(events.len() / 2)].concat()
        } else {
            whole.chars().take(whole.len() / 2).collect()
        };
        let parts = match broken {
            Break::HangMid => vec![Part::Text(first), Part::Hang],
            Break::DroppedMid => vec![Part::Text(first), Part::Cut],
            Break::Truncated => vec![Part::Text(first)],
            Break::Malformed if request.stream && dialect != Dialect::Ollama => {
                vec![Part::Text("data: {\"type\": \"mess\n\n".to_owned())]
            }
            Break::Malformed => vec![Part::Text("{\"type\": \"mess\n".to_owned())],
            // Google's own client finds an error only where it comes alone.
            Break::Told(refusal) if request.stream && dialect == Dialect::Gemini => {
                vec![Part::Text(dialect.told(refusal, &request.model))]
            }
            Break::Told(refusal) if request.stream => {
                vec![Part::Text(events[0].clone()), Part::Text(dialect.told(refusal, &request.model))]
            }
            Break::Told(refusal) => return refused(refusal, dialect, &request.model),
            _ if request.stream => events.into_iter().map(Part::Text).collect(),
            _ => vec![Part::Text(whole)],
        };
        if request.stream { streamed(dialect, parts) } else { with_parts("application/json", parts) }
    }
}

/// Tells which protocol a request is of, by the end of its address.
fn dialect_of(path: &str) -> Option<Dialect> {
    if path.ends_with("/messages") {
        Some(Dialect::Messages)
    } else if path.ends_with("/responses") {
        Some(Dialect::Responses)
    } else if path.ends_with("/chat/completions") {
        Some(Dialect::Chat)
    } else if path.ends_with(":generateContent") || path.ends_with(":streamGenerateContent") {
        Some(Dialect::Gemini)
    } else if path.ends_with("api/chat") {
        Some(Dialect::Ollama)
    } else {
        None
    }
}

fn as_json(status: u16, value: &Value) -> Response<Body> {
    let builder = Response::builder().status(status).header("content-type", "application/json");
    builder.body(Body::from(value.to_string())).expect("a response")
}

fn refused(refusal: Refusal, dialect: Dialect, model: &str) -> Response<Body> {
    let refused = refusal.worded(dialect, model);
    let (kind, body) = match refused.body {
        RefusedBody::Json(value) => ("application/json", value.to_string()),
        RefusedBody::Html(page) => ("text/html", page),
    };
    let mut builder = Response::builder().status(refused.status).header("content-type", kind);
    for (name, value) in refused.headers {
        builder = builder.header(name, value);
    }
    builder.body(Body::from(body)).expect("a response")
}

fn streamed(dialect: Dialect, parts: Vec<Part>) -> Response<Body> {
    with_parts(dialect.stream_type(), parts)
}

fn with_parts(kind: &str, parts: Vec<Part>) -> Response<Body> {
    let stream = futures::stream::iter(parts).then(|part| async move {
        match part {
            Part::Text(text) => Ok(Bytes::from(text)),
            Part::Cut => {
                // What came before is on its way once this is polled again.
                tokio::task::yield_now().await;
                Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
            }
            Part::Hang => std::future::pending().await,
        }
    });
    let response = Response::builder().status(200).header("content-type", kind).header("cache-control", "no-cache");
    response.body(Body::from_stream(stream)).expect("a response").into_response()
}
