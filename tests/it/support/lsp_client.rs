//! A language client for tests: typed by hand, in memory or over a process, and strict about what it was told.
//!
//! It waits for messages, never for time. Dropping it does the `shutdown` handshake and fails the test when the server
//! said something that nobody read.

use ralph_sidecar::lsp::gate::End;
use ralph_sidecar::lsp::message::Inbox;
use ralph_sidecar::lsp::outbound::Outbound;
use ralph_sidecar::lsp::serve::{Outcome, Surroundings, serve};
use serde_json::{Value, json};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Longer than anything takes on a busy machine; reached only by a hang.
pub const PATIENCE: Duration = Duration::from_secs(100);

/// A client and the server at its other end.
pub struct TestClient {
    to_server: Option<tokio::sync::mpsc::UnboundedSender<Vec<u8>>>,
    from_server: Receiver<Value>,
    unread: VecDeque<Value>,
    ignored: HashSet<String>,
    next_id: i64,
    outcome: Receiver<Ended>,
    left: bool,
    /// Id of the server's process, when it has one of its own.
    pub pid: Option<u32>,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// In memory.
    Served(Outcome),
    /// As a process, with this code; none when a signal killed it.
    Exited(Option<i32>),
}

/// What a test decides about the surroundings of an in-memory server.
pub struct World {
    /// Answers whether a process id is alive.
    pub is_alive: Arc<dyn Fn(u32) -> bool + Send + Sync>,
    pub poll: Duration,
    /// Sent to, or dropped, to ask the server to terminate.
    pub terminate: Option<tokio::sync::oneshot::Receiver<()>>,
    /// Bytes the client leaves unread before the server's writes wait.
    pub pipe: usize,
}

impl Default for World {
    fn default() -> Self {
        Self { is_alive: Arc::new(|_| true), poll: Duration::from_millis(5), terminate: None, pipe: 1 << 20 }
    }
}

impl TestClient {
    /// Starts a server around a session in a thread of its own.
    pub fn start<F>(world: World, session: impl FnOnce(Inbox, Outbound) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (to_server, mut outgoing) = tokio::sync::mpsc::unbounded_channel::<Vec<u8>>();
        let (incoming, from_server) = std::sync::mpsc::channel();
        let (ended, outcome) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.expect("a runtime can be made").block_on(async move {
                let (mut client_write, server_read) = tokio::io::duplex(1 << 20);
                let (server_write, client_read) = tokio::io::duplex(world.pipe);
                tokio::spawn(async move {
                    while let Some(bytes) = outgoing.recv().await {
                        if client_write.write_all(&bytes).await.is_err() {
                            return;
                        }
                    }
                });
                let reader = tokio::spawn(read_messages(client_read, incoming));
                let terminate = world.terminate;
                let terminated = async move {
                    match terminate {
                        Some(terminate) => drop(terminate.await),
                        None => std::future::pending().await,
                    }
                };
                let surroundings =
                    Surroundings { is_alive: world.is_alive, poll: world.poll, terminated: Box::pin(terminated) };
                let outcome = serve(server_read, server_write, surroundings, session).await;
                drop(reader.await);
                let _ = ended.send(Ended::Served(outcome));
            });
        });
        Self::new(to_server, from_server, outcome, None)
    }

    /// Starts a server as a process that speaks over its standard input and output.
    pub fn spawn(command: std::process::Command) -> Self {
        let (to_server, mut outgoing) = tokio::sync::mpsc::unbounded_channel::<Vec<u8>>();
        let (incoming, from_server) = std::sync::mpsc::channel();
        let (ended, outcome) = std::sync::mpsc::channel();
        let (started, pid) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be made").block_on(async move {
                let mut command = tokio::process::Command::from(command);
                command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).kill_on_drop(true);
                let mut child = command.spawn().expect("the server starts");
                let _ = started.send(child.id());
                let mut stdin = child.stdin.take().expect("piped");
                let stdout = child.stdout.take().expect("piped");
                tokio::spawn(async move {
                    while let Some(bytes) = outgoing.recv().await {
                        if stdin.write_all(&bytes).await.is_err() {
                            return;
                        }
                    }
                });
                let reader = tokio::spawn(read_messages(stdout, incoming));
                let status = child.wait().await.expect("the server is waited for");
                drop(reader.await);
                let _ = ended.send(Ended::Exited(status.code()));
            });
        });
        let pid = pid.recv_timeout(PATIENCE).expect("the server starts");
        Self::new(to_server, from_server, outcome, pid)
    }

    fn new(
        to_server: tokio::sync::mpsc::UnboundedSender<Vec<u8>>,
        from_server: Receiver<Value>,
        outcome: Receiver<Ended>,
        pid: Option<u32>,
    ) -> Self {
        Self {
            to_server: Some(to_server),
            from_server,
            unread: VecDeque::new(),
            ignored: HashSet::new(),
            next_id: 1,
            outcome,
            left: false,
            pid,
        }
    }

    /// Does the handshake and returns the result of `initialize`.
    pub fn initialize(&mut self, params: Value) -> Value {
        let result = self.request("initialize", params);
        self.notify("initialized", json!({}));
        result
    }

    /// Sends a request and returns its id.
    pub fn send_request(&mut self, method: &str, params: Value) -> i64 {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    /// Sends a request and returns its result; an error fails the test.
    #[track_caller]
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.send_request(method, params);
        let response = self.response(id);
        assert!(response.get("error").is_none(), "{method} was refused: {response}");
        response["result"].clone()
    }

    /// Sends a request and returns the error it is answered with.
    #[track_caller]
    pub fn request_error(&mut self, method: &str, params: Value) -> Value {
        let id = self.send_request(method, params);
        let response = self.response(id);
        assert!(response.get("error").is_some(), "{method} was not refused: {response}");
        response["error"].clone()
    }

    /// Waits for the response to a request.
    #[track_caller]
    pub fn response(&mut self, id: i64) -> Value {
        self.wait_for(&format!("the response to {id}"), |message| {
            message.get("method").is_none() && message["id"] == id
        })
    }

    /// Waits for the response to a request; requests of the server's with this method go to `answer` meanwhile.
    #[track_caller]
    pub fn response_or_request(
        &mut self,
        id: i64,
        method: &str,
        mut answer: impl FnMut(&mut Self, &Value, &Value),
    ) -> Value {
        loop {
            let message = self.wait_for(&format!("the response to {id}, or {method}"), |message| {
                (message.get("method").is_none() && message["id"] == id)
                    || (message["method"] == method && message.get("id").is_some())
            });
            if message.get("method").is_none() {
                return message;
            }
            answer(self, &message["id"], &message["params"]);
        }
    }

    /// Sends a notification.
    pub fn notify(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// Waits for a notification that satisfies `wanted` and returns its parameters.
    #[track_caller]
    pub fn notification(&mut self, method: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = self.wait_for(&format!("the notification {method}"), |message| {
            message["method"] == method && message.get("id").is_none() && wanted(&message["params"])
        });
        found["params"].clone()
    }

    /// Waits for a request of the server; returns its id and its parameters.
    #[track_caller]
    pub fn server_request(&mut self, method: &str) -> (Value, Value) {
        let found = self.wait_for(&format!("the request {method}"), |message| {
            message["method"] == method && message.get("id").is_some()
        });
        (found["id"].clone(), found["params"].clone())
    }

    /// Answers a request of the server.
    pub fn reply(&mut self, id: &Value, result: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "result": result }));
    }

    /// Says that messages of a method may stay unread.
    pub fn ignore(&mut self, method: &str) {
        self.ignored.insert(method.to_owned());
    }

    /// Returns the next message whatever it is.
    #[track_caller]
    pub fn next_message(&mut self) -> Value {
        self.wait_for("any message", |_| true)
    }

    /// Sends a body in its frame, well-formed or not.
    pub fn send_raw(&mut self, body: &str) {
        let frame = format!("Content-Length: {}\r\n\r\n{body}", body.len());
        self.send_bytes(frame.into_bytes());
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: Vec<u8>) {
        if let Some(to_server) = &self.to_server {
            drop(to_server.send(bytes));
        }
    }

    /// Closes the client's side without a word.
    pub fn hang_up(&mut self) {
        self.to_server = None;
        self.left = true;
    }

    /// Waits for the end of a server in memory and returns how it ended.
    #[track_caller]
    pub fn ended(&mut self) -> Outcome {
        match self.wait_for_end() {
            Ended::Served(outcome) => outcome,
            Ended::Exited(code) => panic!("the server is a process; it exited with {code:?}"),
        }
    }

    /// Waits for the end of a server and returns the code it exits with.
    #[track_caller]
    pub fn exit_code(&mut self) -> Option<i32> {
        match self.wait_for_end() {
            Ended::Served(outcome) => Some(i32::from(outcome.exit_code())),
            Ended::Exited(code) => code,
        }
    }

    #[track_caller]
    fn wait_for_end(&mut self) -> Ended {
        self.left = true;
        self.outcome.recv_timeout(PATIENCE).expect("the server ends")
    }

    fn send(&mut self, message: &Value) {
        self.send_raw(&message.to_string());
    }

    #[track_caller]
    fn wait_for(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(index) = self.unread.iter().position(&wanted) {
            return self.unread.remove(index).expect("the index was just found");
        }
        let until = Instant::now() + PATIENCE;
        loop {
            match self.from_server.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(message) if wanted(&message) => return message,
                Ok(message) => self.unread.push_back(message),
                Err(error) => {
                    self.left = true;
                    let why = if error == RecvTimeoutError::Timeout { "did not come" } else { "cannot come any more" };
                    panic!("{what} {why}; unread: {:#?}", self.unread);
                }
            }
        }
    }
}

impl Drop for TestClient {
    fn drop(&mut self) {
        if self.left || std::thread::panicking() {
            return;
        }
        self.request("shutdown", Value::Null);
        self.notify("exit", Value::Null);
        match self.wait_for_end() {
            Ended::Served(outcome) => assert_eq!(outcome, Outcome { end: End::Exit, shut_down: true }),
            Ended::Exited(code) => assert_eq!(code, Some(0)),
        }
        self.unread.extend(self.from_server.try_iter());
        let ignored = std::mem::take(&mut self.ignored);
        self.unread.retain(|message| !message["method"].as_str().is_some_and(|method| ignored.contains(method)));
        assert!(self.unread.is_empty(), "the server said what nobody read: {:#?}", self.unread);
    }
}

/// Cuts what the server writes into messages. The test's own reader, so that a bug of the server's cannot hide in it.
async fn read_messages(mut input: impl tokio::io::AsyncRead + Unpin, messages: Sender<Value>) {
    let mut bytes = Vec::new();
    loop {
        while let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let header = String::from_utf8(bytes[..end].to_vec()).expect("the header is text");
            let length = header.strip_prefix("Content-Length: ").expect("the header is a length");
            let body = end + 4..end + 4 + length.parse::<usize>().expect("the length is a number");
            if bytes.len() < body.end {
                break;
            }
            let message = serde_json::from_slice(&bytes[body.clone()]).expect("the server writes JSON");
            bytes.drain(..body.end);
            if messages.send(message).is_err() {
                return;
            }
        }
        let mut chunk = [0; 65536];
        match input.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}
