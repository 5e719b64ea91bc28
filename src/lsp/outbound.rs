//! The one task that talks to the client: it defines the order of everything the server says, and coalesces it.
//!
//! Two rules keep tower-lsp alive. Nobody else owns the client, so no handler can wait for it. And the future of a
//! request is never dropped while the connection lives: tower-lsp panics on the answer to a request nobody waits for,
//! so a timeout sits on a channel behind it.

use super::progress::{Book, Send, Step};
use futures::FutureExt;
use lsp_types::{Diagnostic, Url};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tower::Service;
use tower_lsp::Client;
use tower_lsp::jsonrpc::{Request, Response};

/// Method of progress notifications.
pub const PROGRESS: &str = "$/progress";

const PUBLISH_DIAGNOSTICS: &str = "textDocument/publishDiagnostics";
/// Messages taken at once before they are sent.
const BURST: usize = 1000;

const CREATE_PROGRESS: &str = "window/workDoneProgress/create";

/// Why a request to the client brought no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The client answered with an error.
    #[error("the editor refused {method}: {message}")]
    Refused { method: &'static str, message: String },
    /// The client did not answer in time; a later answer is dropped.
    #[error("the editor did not answer {method} within {seconds} s")]
    TimedOut { method: &'static str, seconds: u64 },
    /// The connection ended.
    #[error("the editor left before it answered {method}")]
    Closed { method: &'static str },
}

/// The way to the client; cheap to clone, never blocks.
#[derive(Clone, Debug)]
pub struct Outbound {
    sender: mpsc::UnboundedSender<Outgoing>,
}

#[derive(Debug)]
enum Outgoing {
    /// The client may be spoken to from here on.
    Open,
    Notify {
        key: Option<String>,
        method: &'static str,
        params: Value,
    },
    Request {
        method: &'static str,
        params: Value,
        answer: oneshot::Sender<Result<Value, RequestError>>,
    },
    Refresh(&'static str),
    Progress {
        token: String,
        step: Step,
    },
    /// Answers once everything before it was handed to the connection.
    Flush(oneshot::Sender<()>),
}

impl Outbound {
    /// Makes the way and the task at its end, which the caller polls as long as the connection lives.
    pub fn new(client: Client, flow: Arc<Flow>) -> (Self, impl Future<Output = ()> + std::marker::Send + 'static) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { sender }, Task::new(client, flow).run(receiver))
    }

    /// Says that the client has its `initialize` result; what was sent before is held back until then.
    pub fn open(&self) {
        self.push(Outgoing::Open);
    }

    /// Sends a notification.
    pub fn notify(&self, method: &'static str, params: impl Serialize) {
        self.push_notification(None, method, params);
    }

    /// Sends a notification that makes an unsent earlier one of the same method and key superfluous.
    pub fn notify_latest(&self, key: &str, method: &'static str, params: impl Serialize) {
        self.push_notification(Some(format!("{method} {key}")), method, params);
    }

    /// Publishes all diagnostics of a document; an empty list clears them.
    pub fn publish_diagnostics(&self, uri: &Url, diagnostics: &[Diagnostic], version: Option<i32>) {
        let mut params = json!({ "uri": uri, "diagnostics": diagnostics });
        if let Some(version) = version {
            params["version"] = version.into();
        }
        self.notify_latest(uri.as_str(), PUBLISH_DIAGNOSTICS, params);
    }

    /// Sends a `…/refresh` request. While one is unanswered, all further ones become one more.
    pub fn refresh(&self, method: &'static str) {
        self.push(Outgoing::Refresh(method));
    }

    /// Takes a step of a piece of work; the token is a readable string.
    pub fn progress(&self, token: impl Into<String>, step: Step) {
        self.push(Outgoing::Progress { token: token.into(), step });
    }

    /// Sends a request; the returned future waits for the answer at most `patience` and may be dropped at any time.
    ///
    /// The request is on its way when this returns, in order with everything else. Never await it in a handler.
    pub fn request(
        &self,
        method: &'static str,
        params: impl Serialize,
        patience: Duration,
    ) -> impl Future<Output = Result<Value, RequestError>> + std::marker::Send + 'static {
        let (answer, answered) = oneshot::channel();
        match serde_json::to_value(params) {
            Ok(params) => self.push(Outgoing::Request { method, params, answer }),
            Err(error) => {
                let message = format!("its parameters cannot be written: {error}");
                drop(answer.send(Err(RequestError::Refused { method, message })));
            }
        }
        async move {
            match tokio::time::timeout(patience, answered).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(RequestError::Closed { method }),
                Err(_) => Err(RequestError::TimedOut { method, seconds: patience.as_secs() }),
            }
        }
    }

    /// Returns once everything sent so far was handed to the connection, or the connection ended.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        self.push(Outgoing::Flush(done));
        drop(flushed.await);
    }

    fn push_notification(&self, key: Option<String>, method: &'static str, params: impl Serialize) {
        match serde_json::to_value(params) {
            Ok(params) => self.push(Outgoing::Notify { key, method, params }),
            Err(error) => tracing::error!(method, %error, "a notification cannot be written"),
        }
    }

    fn push(&self, outgoing: Outgoing) {
        // An error means that the connection ended; there is nobody to tell.
        drop(self.sender.send(outgoing));
    }
}

/// Tells whether the client reads: while it does not, messages wait here, where they can be coalesced.
#[derive(Debug)]
pub struct Flow {
    congested: watch::Sender<bool>,
}

impl Default for Flow {
    fn default() -> Self {
        Self { congested: watch::Sender::new(false) }
    }
}

impl Flow {
    /// Notes whether the last write to the client had to wait.
    pub fn set_congested(&self, congested: bool) {
        self.congested.send_if_modified(|state| std::mem::replace(state, congested) != congested);
    }
}

/// What comes back to the task from the requests it started.
enum Internal {
    Created { token: String, accepted: bool },
    Refreshed(&'static str),
}

struct Task {
    client: Client,
    flow: Arc<Flow>,
    waiting: VecDeque<Outgoing>,
    open: bool,
    book: Book,
    /// Refreshes without an answer; `true` when another one is wanted after it.
    refreshing: HashMap<&'static str, bool>,
    /// The unanswered requests. Dropped only with the connection.
    requests: JoinSet<Option<Internal>>,
}

impl Task {
    fn new(client: Client, flow: Arc<Flow>) -> Self {
        Self {
            client,
            flow,
            waiting: VecDeque::new(),
            open: false,
            book: Book::default(),
            refreshing: HashMap::new(),
            requests: JoinSet::new(),
        }
    }

    async fn run(mut self, mut receiver: mpsc::UnboundedReceiver<Outgoing>) {
        let mut congestion = self.flow.congested.subscribe();
        loop {
            tokio::select! {
                Some(ended) = self.requests.join_next() => {
                    if let Ok(Some(internal)) = ended {
                        self.on_internal(internal).await;
                    }
                }
                outgoing = receiver.recv() => match outgoing {
                    Some(outgoing) => {
                        self.take(outgoing);
                        // What was said together is coalesced together; the bound lets it out under a steady stream.
                        for _ in 0..BURST {
                            let Ok(more) = receiver.try_recv() else { break };
                            self.take(more);
                        }
                    }
                    // Every `Outbound` is gone; the answers still due are the only thing left to wait for.
                    None if self.waiting.is_empty() && self.requests.is_empty() => return,
                    None => self.drain_unreceived().await,
                },
                true = async { congestion.wait_for(|congested| !congested).await.is_ok() }, if self.open && !self.waiting.is_empty() => {
                    self.send_waiting().await;
                }
            }
        }
    }

    fn take(&mut self, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Open => self.open = true,
            outgoing => self.waiting.push_back(outgoing),
        }
    }

    /// The end of [`Self::run`]: nothing more can be asked for.
    async fn drain_unreceived(&mut self) {
        self.send_waiting().await;
        while let Some(ended) = self.requests.join_next().await {
            if let Ok(Some(internal)) = ended {
                self.on_internal(internal).await;
            }
        }
    }

    async fn send_waiting(&mut self) {
        let superseded = superseded(&self.waiting);
        let batch = std::mem::take(&mut self.waiting);
        for (index, outgoing) in batch.into_iter().enumerate() {
            if !superseded.contains(&index) {
                self.send(outgoing).await;
            }
        }
    }

    async fn send(&mut self, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Open => {}
            Outgoing::Notify { method, params, .. } => self.send_notification(method, params).await,
            Outgoing::Request { method, params, answer } => self.send_request(method, params, move |result| {
                drop(answer.send(result));
                None
            }),
            Outgoing::Refresh(method) => match self.refreshing.get_mut(method) {
                Some(again) => *again = true,
                None => self.send_refresh(method),
            },
            Outgoing::Progress { token, step } => {
                let sends = self.book.step(&token, step);
                self.send_progress(sends).await;
            }
            Outgoing::Flush(done) => drop(done.send(())),
        }
    }

    async fn on_internal(&mut self, internal: Internal) {
        match internal {
            Internal::Created { token, accepted } => {
                let sends = self.book.created(&token, accepted);
                self.send_progress(sends).await;
            }
            Internal::Refreshed(method) => {
                if self.refreshing.remove(method) == Some(true) {
                    self.send_refresh(method);
                }
            }
        }
    }

    fn send_refresh(&mut self, method: &'static str) {
        self.refreshing.insert(method, false);
        self.send_request(method, Value::Null, move |_| Some(Internal::Refreshed(method)));
    }

    async fn send_progress(&mut self, sends: Vec<Send>) {
        for send in sends {
            match send {
                Send::Notify(method, params) => self.send_notification(method, params).await,
                Send::Create(token) => {
                    self.send_request(CREATE_PROGRESS, json!({ "token": token }), move |result| {
                        Some(Internal::Created { token, accepted: result.is_ok() })
                    });
                }
            }
        }
    }

    async fn send_notification(&mut self, method: &'static str, params: Value) {
        // Each call has a place of its own in tower-lsp's channel, so this does not wait for the client.
        drop(self.client.clone().call(Request::build(method).params(params).finish()).await);
    }

    fn send_request(
        &mut self,
        method: &'static str,
        params: Value,
        then: impl FnOnce(Result<Value, RequestError>) -> Option<Internal> + std::marker::Send + 'static,
    ) {
        let request = Request::build(method).id(self.client.next_request_id());
        let request = if params.is_null() { request.finish() } else { request.params(params).finish() };
        let client = self.client.clone();
        let mut call = self.client.clone().call(request);
        // The first poll puts the request into the channel, which keeps it in order with what is sent next.
        let answered = (&mut call).now_or_never();
        self.requests.spawn(async move {
            let response = match answered {
                Some(response) => response,
                None => call.await,
            };
            // The client holds the place where the answer arrives; without it the wait would panic at the end.
            drop(client);
            then(to_result(method, response.ok().flatten()))
        });
    }
}

fn to_result(method: &'static str, response: Option<Response>) -> Result<Value, RequestError> {
    let (_, result) = response.ok_or(RequestError::Closed { method })?.into_parts();
    result.map_err(|error| RequestError::Refused { method, message: error.message.into_owned() })
}

/// Returns the places of notifications that a later one of the same key replaces.
fn superseded(waiting: &VecDeque<Outgoing>) -> HashSet<usize> {
    let mut later = HashSet::new();
    let mut superseded = HashSet::new();
    for (index, outgoing) in waiting.iter().enumerate().rev() {
        if let Outgoing::Notify { key: Some(key), .. } = outgoing
            && !later.insert(key.as_str())
        {
            superseded.insert(index);
        }
    }
    superseded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_notification_of_the_same_key_replaces_the_earlier() {
        let notify =
            |key: Option<&str>| Outgoing::Notify { key: key.map(str::to_owned), method: "m", params: Value::Null };
        let waiting = [notify(Some("a")), notify(None), notify(Some("b")), notify(Some("a")), notify(None)].into();
        assert_eq!(superseded(&waiting), HashSet::from([0]));
    }
}
