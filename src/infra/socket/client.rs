//! The front end's side of the socket: an engine that is another process.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::lines;
use crate::engine::handle::Engine;
use crate::infra::identity;
use crate::protocol::engine_api::{ApiError, Call, Command, EngineEvent, ErrorKind, Hello, Line, Reply};

/// Events a subscriber may be behind before it is told that it lags.
const EVENTS: usize = 1024;
/// Calls that may wait to be written.
const CALLS: usize = 16;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It ended just now; a new one may be started.
    #[error("the engine ended before it answered: {0}")]
    Gone(io::Error),
    #[error(transparent)]
    Refused(ApiError),
}

/// A connection to an engine in another process.
///
/// When that engine goes, every call fails and the events end, for good: a new connection means a new snapshot, so
/// it is the front end's to make. Dropping it hangs up; calls the engine has taken are carried out all the same.
pub struct RemoteEngine {
    outgoing: mpsc::Sender<Vec<u8>>,
    shared: Arc<Shared>,
    next_id: AtomicU64,
    generation: u64,
    attempt: Option<String>,
    reading: tokio::task::JoinHandle<()>,
}

/// What the reading task and the callers share.
struct Shared(Mutex<Connection>);

struct Connection {
    waiting: HashMap<u64, oneshot::Sender<Result<Reply, ApiError>>>,
    /// Absent once the engine has gone.
    events: Option<broadcast::Sender<Arc<EngineEvent>>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Connection> {
        // Nothing panics while it holds the lock half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends every call and every subscription.
    fn end(&self) {
        let mut connection = self.lock();
        connection.waiting.clear();
        connection.events = None;
    }
}

impl RemoteEngine {
    /// Says hello over a fresh connection and waits for the answer. `attempt` is what the calling process is inside
    /// of ([`identity::own_attempt`]); with one, everything but reports is refused here already.
    ///
    /// # Errors
    ///
    /// `Refused` with the engine's reason, or when the other end is another user's; `Gone` when it hung up.
    pub async fn open(stream: UnixStream, hello: &Hello, attempt: Option<String>) -> Result<Self, OpenError> {
        let peer = stream.peer_cred().map_err(OpenError::Gone)?;
        if peer.uid() != rustix::process::geteuid().as_raw() {
            let error = ApiError::new(ErrorKind::NotTrusted, "the engine's socket is served by another user");
            return Err(OpenError::Refused(error));
        }
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::with_capacity(64 * 1024, reader);
        // An engine that refuses may hang up before it has read this; its reason is read all the same.
        let said = lines::write(&mut writer, hello).await;
        let answer = match lines::read_line(&mut reader).await {
            Ok(Some(line)) => line,
            Ok(None) => {
                return Err(OpenError::Gone(said.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())));
            }
            Err(error) => return Err(OpenError::Gone(error)),
        };
        let generation = match lines::parse(&answer) {
            Ok(Line::Welcome { generation, .. }) => generation,
            Ok(Line::Refused { error }) => return Err(OpenError::Refused(error)),
            Ok(_) | Err(_) => {
                let error = ApiError::new(ErrorKind::Other, "the engine's answer cannot be understood")
                    .with_hint("use the same version of ralph-sidecar everywhere");
                return Err(OpenError::Refused(error));
            }
        };
        let events = broadcast::Sender::new(EVENTS);
        let shared = Arc::new(Shared(Mutex::new(Connection { waiting: HashMap::new(), events: Some(events) })));
        let (outgoing, mut lines_out) = mpsc::channel::<Vec<u8>>(CALLS);
        // Written by a task of its own: a call that is given up must not leave half a line.
        tokio::spawn(async move {
            while let Some(line) = lines_out.recv().await {
                if writer.write_all(&line).await.is_err() {
                    // The reading side notices too, and tells everyone.
                    return;
                }
            }
        });
        let reading = tokio::spawn(read_lines(reader, Ending(shared.clone())));
        Ok(Self { outgoing, shared, next_id: AtomicU64::new(1), generation, attempt, reading })
    }

    /// The engine's generation; a higher one than before means another engine.
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

#[async_trait]
impl Engine for RemoteEngine {
    async fn call(&self, command: Command) -> Result<Reply, ApiError> {
        identity::check_command(&command, self.attempt.as_deref())?;
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let line = lines::to_line(&Call { id, command }).map_err(|error| {
            ApiError::new(ErrorKind::Usage, format!("the command cannot be sent to the engine: {error}"))
        })?;
        let (answer, answered) = oneshot::channel();
        {
            let mut connection = self.shared.lock();
            if connection.events.is_none() {
                return Err(gone());
            }
            connection.waiting.insert(id, answer);
        }
        let _waiting = Waiting { shared: &self.shared, id };
        self.outgoing.send(line).await.map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<EngineEvent>> {
        match &self.shared.lock().events {
            Some(events) => events.subscribe(),
            // The sender is dropped at once, so this one has ended.
            None => broadcast::channel(1).1,
        }
    }
}

impl Drop for RemoteEngine {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// Forgets a call that was given up.
struct Waiting<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.lock().waiting.remove(&self.id);
    }
}

/// Tells everyone that the engine has gone, however reading ends.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

async fn read_lines(mut reader: BufReader<OwnedReadHalf>, shared: Ending) {
    loop {
        let line = match lines::read_line(&mut reader).await {
            Ok(Some(line)) => line,
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "the engine's connection ended");
                return;
            }
        };
        match lines::parse(&line) {
            Ok(Line::Reply { id, result }) => {
                if let Some(waiting) = shared.0.lock().waiting.remove(&id) {
                    // Whoever asked may have given up.
                    let _ = waiting.send(result);
                }
            }
            Ok(Line::Event { event }) => {
                if let Some(events) = &shared.0.lock().events {
                    // Nobody may be listening.
                    let _ = events.send(Arc::new(event));
                }
            }
            Ok(Line::Welcome { .. } | Line::Refused { .. }) => {}
            Err(error) => {
                // A reply nobody understands would be waited for without end.
                tracing::warn!(%error, "the engine sent something that cannot be understood");
                return;
            }
        }
    }
}

/// The error of every call once the engine has ended.
fn gone() -> ApiError {
    ApiError::new(ErrorKind::Other, "the engine has gone")
        .with_hint("try again: a new one is started; engine.log in the state folder tells why the old one ended")
}
