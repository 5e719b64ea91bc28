//! One front end's connection, seen from the engine.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::lines::{self, HELLO_LIMIT};
use super::server::{Activity, ServerOptions};
use crate::engine::handle::{Events, Handle};
use crate::infra::identity;
use crate::protocol::engine_api::{API_VERSION, ApiError, Call, Command, ErrorKind, Hello, Line, Reply};

/// How long a connection may say nothing before its hello.
const HELLO_WAIT: Duration = Duration::from_secs(10);
/// Calls of one front end that may be under way; further ones are read when one of these is done.
const CALLS: usize = 256;
/// Replies that may wait for a front end to read.
const REPLIES: usize = 16;

/// What all connections of a server share. Cheap to clone.
#[derive(Clone)]
pub(super) struct Session {
    pub options: ServerOptions,
    pub activity: Activity,
    /// Told when `Shutdown` is to be obeyed.
    pub shutdown: Arc<Notify>,
    /// Ends all connections.
    pub hang_up: CancellationToken,
    pub tasks: TaskTracker,
}

impl Session {
    pub fn new(options: ServerOptions) -> Self {
        Self {
            options,
            activity: Activity::new(),
            shutdown: Arc::new(Notify::new()),
            hang_up: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Serves a connection in the background.
    pub fn spawn(&self, stream: UnixStream) {
        // Counted before the task runs, so that an engine that looks idle is.
        let open = self.activity.begin();
        let session = self.clone();
        self.tasks.spawn(async move {
            if let Err(error) = session.serve(stream).await {
                tracing::debug!(%error, "a front end's connection ended");
            }
            drop(open);
        });
    }

    async fn serve(self, stream: UnixStream) -> io::Result<()> {
        let peer = stream.peer_cred()?;
        if peer.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the peer is another user"));
        }
        let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
        let inside_attempt = self.options.inside_attempt;
        // Reads the process table, which on some platforms means to start a program.
        let attempt = tokio::task::spawn_blocking(move || inside_attempt(pid)).await.map_err(io::Error::other)?;

        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        let welcomed = tokio::select! {
            () = self.hang_up.cancelled() => return Ok(()),
            welcomed = self.welcome(&mut reader) => welcomed?,
        };
        let Some(welcomed) = welcomed else { return Ok(()) };
        let handle = match welcomed {
            Ok(handle) => handle,
            Err(error) => return lines::write(&mut writer, &Line::Refused { error }).await,
        };
        // Subscribed before the welcome: what happens after it is told.
        let events = attempt.is_none().then(|| handle.subscribe());
        let welcome = Line::Welcome { api_version: API_VERSION, generation: self.options.generation };
        lines::write(&mut writer, &welcome).await?;

        let (replies, owed) = mpsc::channel(REPLIES);
        let ended = self.hang_up.child_token();
        let writing = write_lines(writer, owed, events, self.hang_up.clone(), ended.clone());
        let holds = AtomicBool::new(false);
        let reading = async {
            tokio::select! {
                () = ended.cancelled() => Ok(()),
                read = self.read_calls(&mut reader, &handle, attempt.as_deref(), replies, &holds) => read,
            }
        };
        let (written, read) = tokio::join!(writing, reading);
        // An editor that went away with unsaved changes holds nothing any more.
        if holds.load(Ordering::SeqCst) {
            let _ = handle.tell(Command::HoldQueue { held: false }).await;
        }
        written.and(read)
    }

    /// Reads the hello; none when the peer hung up instead.
    async fn welcome(&self, reader: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<Result<Handle, ApiError>>> {
        let hello = tokio::time::timeout(HELLO_WAIT, lines::read_short_line(reader, HELLO_LIMIT));
        let line = match hello.await? {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Ok(Some(Err(ApiError::new(ErrorKind::Usage, error.to_string()))));
            }
            Err(error) => return Err(error),
        };
        // The version first: the rest of another version's hello may look different.
        let version = lines::parse::<serde_json::Value>(&line).ok().and_then(|hello| hello["api_version"].as_u64());
        if version != Some(u64::from(API_VERSION)) {
            return Ok(Some(Err(other_version(version))));
        }
        Ok(Some(match lines::parse::<Hello>(&line) {
            Ok(hello) => (self.options.factory)(hello.root).await,
            Err(error) => Err(ApiError::new(ErrorKind::Usage, format!("the hello cannot be understood: {error}"))),
        }))
    }

    /// Starts a call for each line until the front end hangs up.
    async fn read_calls(
        &self,
        reader: &mut BufReader<OwnedReadHalf>,
        handle: &Handle,
        attempt: Option<&str>,
        replies: mpsc::Sender<Vec<u8>>,
        holds: &AtomicBool,
    ) -> io::Result<()> {
        let permits = Arc::new(Semaphore::new(CALLS));
        while let Some(line) = lines::read_line(reader).await? {
            let permit = permits.clone().acquire_owned().await.map_err(io::Error::other)?;
            let (id, command) = match lines::parse::<Call>(&line) {
                Ok(call) => (call.id, Ok(call.command)),
                Err(error) => {
                    let id = lines::parse::<serde_json::Value>(&line).ok().and_then(|call| call["id"].as_u64());
                    let Some(id) = id else { return Err(error) };
                    (id, Err(ApiError::new(ErrorKind::Usage, format!("the call cannot be understood: {error}"))))
                }
            };
            let shutting_down = matches!(command, Ok(Command::Shutdown));
            let call = match command.and_then(|command| {
                identity::check_command(&command, attempt)?;
                Ok(command)
            }) {
                Ok(Command::Shutdown) if (self.options.is_busy)() => refused(
                    ApiError::new(ErrorKind::Busy, "a run is on; the engine goes on with it")
                        .with_hint("stop the run first, or leave the engine alone: it ends by itself"),
                ),
                Ok(Command::Shutdown) => async { Ok(Reply::Done) }.boxed(),
                // Said again it counts once: what one front end holds is one hold.
                Ok(Command::HoldQueue { held }) if holds.swap(held, Ordering::SeqCst) == held => {
                    async { Ok(Reply::Done) }.boxed()
                }
                Ok(command) => guarded(handle.clone(), command),
                Err(error) => refused(error),
            };
            let running = self.activity.begin();
            let replies = replies.clone();
            let shutdown = self.shutdown.clone();
            let mut answering = async move {
                let result = call.await;
                let obeyed = shutting_down && result.is_ok();
                // A front end that has gone needs no reply.
                let _ = replies.send(reply_line(id, result)).await;
                if obeyed {
                    shutdown.notify_one();
                }
                drop((running, permit));
            }
            .boxed();
            // Polled once here, so that commands reach the engine in the order they were sent; then it goes on by
            // itself, also when the front end hangs up: a command is never stopped half-way.
            if (&mut answering).now_or_never().is_none() {
                tokio::spawn(answering);
            }
        }
        Ok(())
    }
}

fn refused(error: ApiError) -> BoxFuture<'static, Result<Reply, ApiError>> {
    async { Err(error) }.boxed()
}

/// A call whose panic is a reply: the front end would wait forever otherwise.
fn guarded(handle: Handle, command: Command) -> BoxFuture<'static, Result<Reply, ApiError>> {
    AssertUnwindSafe(async move { handle.call(command).await })
        .catch_unwind()
        .map(|result| {
            result.unwrap_or_else(|_| {
                Err(ApiError::new(ErrorKind::Other, "the engine failed at this command")
                    .with_hint("see engine.log in the state folder"))
            })
        })
        .boxed()
}

fn reply_line(id: u64, result: Result<Reply, ApiError>) -> Vec<u8> {
    lines::to_line(&Line::Reply { id, result }).unwrap_or_else(|error| {
        let error = ApiError::new(ErrorKind::Other, format!("the reply cannot be sent: {error}"));
        lines::to_line(&Line::Reply { id, result: Err(error) }).unwrap_or_default()
    })
}

fn other_version(version: Option<u64>) -> ApiError {
    let theirs = version.map_or("none".into(), |version| version.to_string());
    ApiError::new(
        ErrorKind::Other,
        format!("the engine that is running speaks version {API_VERSION} and this program {theirs}"),
    )
    .with_hint("use the same ralph-sidecar everywhere; the engine ends when no editor is connected and no run is on")
}

/// Writes replies as they come, and events in between, until nobody can owe a reply any more.
///
/// A front end that reads slowly makes this wait, never the engine: meanwhile the engine's own ring of events
/// overwrites the oldest, and the front end is told that it lags.
async fn write_lines(
    mut writer: OwnedWriteHalf,
    mut owed: mpsc::Receiver<Vec<u8>>,
    mut events: Option<Events>,
    hang_up: CancellationToken,
    ended: CancellationToken,
) -> io::Result<()> {
    // Whatever ends this ends reading too.
    let _ended = ended.drop_guard();
    loop {
        let next_event = async {
            match &mut events {
                Some(events) => events.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            reply = owed.recv() => match reply {
                Some(line) => writer.write_all(&line).await?,
                None => return writer.shutdown().await,
            },
            () = hang_up.cancelled() => {
                // Everything ready was written: replies go first.
                return writer.shutdown().await;
            }
            event = next_event => match event {
                Some(event) => {
                    let line = lines::to_line(&EventLine { kind: "event", event: &event })?;
                    writer.write_all(&line).await?;
                }
                // The engine of this checkout has ended; its front end has to see that.
                None => return writer.shutdown().await,
            },
        }
    }
}

/// [`Line::Event`] without a copy of the event, which all connections share.
#[derive(serde::Serialize)]
struct EventLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    event: &'a crate::protocol::engine_api::EngineEvent,
}
