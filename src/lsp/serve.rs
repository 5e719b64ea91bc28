//! Starts the connection and ends it: by `exit`, a closed input, a vanished parent or a signal, within 1.5 seconds.

use super::framing::{self, PumpEnd};
use super::gate::{End, Gate, Link};
use super::message::{Inbox, Message};
use super::outbound::{Flow, Outbound};
use super::server;
use futures::future::BoxFuture;
use serde_json::Value;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tower_lsp::Server;

/// Handlers only wait for the session, so places are cheap; with too few, tower-lsp stops reading.
const CONCURRENCY: usize = 1024;

/// Time for what is under way after the end was decided. VS Code kills a server 2 s after it asked it to stop.
const DRAIN: Duration = Duration::from_millis(1500);

/// Bytes between the task that reads the client and the one that decodes.
const PIPE: usize = 256 * 1024;

/// What the connection needs from the operating system; given by the composition root.
pub struct Surroundings {
    /// Tells whether a process id is visible and alive.
    pub is_alive: Arc<dyn Fn(u32) -> bool + Send + Sync>,
    /// How often the parent is looked at.
    pub poll: Duration,
    /// Resolves when the process is asked to terminate.
    pub terminated: BoxFuture<'static, ()>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub end: End,
    /// The client had asked for `shutdown` before.
    pub shut_down: bool,
}

impl Outcome {
    /// Returns the code to exit the process with: 0 after a proper `shutdown`, 143 after SIGTERM, else 1.
    pub fn exit_code(self) -> u8 {
        match self.end {
            End::Terminated => 143,
            End::SessionFailed => 1,
            End::Exit | End::Eof | End::ParentGone => u8::from(!self.shut_down),
        }
    }
}

/// Serves one client until it leaves. `session` gets every message and the way back, and returns at [`Message::Closed`].
///
/// The caller should exit the process soon after: a blocking read of standard input may still be pending.
pub async fn serve<F>(
    input: impl AsyncRead + Unpin + Send + 'static,
    output: impl AsyncWrite + Unpin,
    surroundings: Surroundings,
    session: impl FnOnce(Inbox, Outbound) -> F,
) -> Outcome
where
    F: Future<Output = ()> + Send + 'static,
{
    let link = Arc::new(Link::default());
    let flow = Arc::new(Flow::default());
    let (post, inbox) = mpsc::unbounded_channel();
    let (service, socket, client) = server::service(post.clone(), link.clone());
    let (outbound, outbound_task) = Outbound::new(client, flow.clone());

    let session = tokio::spawn(session(inbox, outbound));
    let outbound_task = tokio::spawn(outbound_task);
    let (reader, writer) = tokio::io::duplex(PIPE);
    let pump = tokio::spawn(pump(input, writer, link.clone()));
    let Surroundings { is_alive, poll, terminated } = surroundings;
    let watcher = tokio::spawn(watch_terminated(terminated, link.clone()));
    let watch = {
        let link = link.clone();
        move |params: &Value| watch_parent(params, is_alive, poll, &link)
    };

    let gate = Gate::new(service, link.clone(), watch);
    let connection =
        Server::new(reader, Watched { inner: output, flow }, socket).concurrency_level(CONCURRENCY).serve(gate);
    let mut session = Ended { link: link.clone(), task: Some(session) };
    tokio::pin!(connection);
    let stop = link.stop();
    let connected = tokio::select! {
        biased;
        // The reader ended by itself: the client closed its side, or nothing more can be understood.
        () = &mut connection => {
            link.end(End::Eof);
            false
        }
        () = stop.cancelled() => true,
        () = session.wait() => true,
    };
    // The session's end answers what still waits for it, which is what the connection waits for.
    drop(post.send(Message::Closed));
    let last_call = async {
        if connected {
            connection.await;
        }
        session.wait().await;
    };
    if tokio::time::timeout(DRAIN, last_call).await.is_err() {
        tracing::warn!("what was under way did not end in time and is left");
    }
    for task in [outbound_task, watcher] {
        task.abort();
    }
    pump.abort();
    Outcome { end: link.ended().unwrap_or(End::Eof), shut_down: link.is_shut_down() }
}

async fn pump(input: impl AsyncRead + Unpin, writer: impl AsyncWrite + Unpin, link: Arc<Link>) {
    if framing::pump(input, writer, link.stop()).await == PumpEnd::Eof {
        link.end(End::Eof);
    }
}

async fn watch_terminated(terminated: BoxFuture<'static, ()>, link: Arc<Link>) {
    let stop = link.stop();
    tokio::select! {
        () = terminated => link.end(End::Terminated),
        () = stop.cancelled() => {}
    }
}

/// Ends the connection when the process named in `initialize` is gone; not watched when it is not visible at the start,
/// as from inside a container.
fn watch_parent(params: &Value, is_alive: Arc<dyn Fn(u32) -> bool + Send + Sync>, poll: Duration, link: &Arc<Link>) {
    let Some(parent) = params.get("processId").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok()) else {
        return;
    };
    if !is_alive(parent) {
        tracing::info!(parent, "the parent process is not visible from here and is not watched");
        return;
    }
    let link = link.clone();
    tokio::spawn(async move {
        let stop = link.stop();
        let mut ticks = tokio::time::interval(poll);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if !is_alive(parent) {
                link.end(End::ParentGone);
            }
        }
    });
}

/// The session's task; its end before that of the connection is a failure.
struct Ended {
    link: Arc<Link>,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Ended {
    /// Waits for the session's end; may be dropped and called again.
    async fn wait(&mut self) {
        let Some(task) = &mut self.task else { return };
        if let Err(error) = task.await {
            tracing::error!(%error, "the session failed");
        }
        self.task = None;
        self.link.end(End::SessionFailed);
    }
}

/// The output, noting whether the client reads it.
struct Watched<W> {
    inner: W,
    flow: Arc<Flow>,
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Watched<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.flow.set_congested(written.is_pending());
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.flow.set_congested(flushed.is_pending());
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
