//! The listening side: binds the socket, looks at who connects, and counts what is going on.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Factory;
use super::session::Session;
use crate::infra::engine_lock::EngineLock;
use crate::infra::identity;
use crate::infra::paths::{PathsError, StatePaths};

/// How long connections have to send the replies they owe when the engine ends.
const DRAIN: Duration = Duration::from_secs(2);
/// How long to wait before accepting again when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What connections are served with.
#[derive(Clone)]
pub struct ServerOptions {
    pub factory: Factory,
    /// Tells whether a run is on anywhere; asked before `Shutdown` is obeyed.
    pub is_busy: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Told to front ends.
    pub generation: u64,
    /// Tells whether a process is inside an attempt; [`identity::inside_attempt`] but in tests.
    pub inside_attempt: fn(u32) -> Option<String>,
}

impl ServerOptions {
    /// Uses the real identity check.
    pub fn new(factory: Factory, is_busy: Arc<dyn Fn() -> bool + Send + Sync>, generation: u64) -> Self {
        Self { factory, is_busy, generation, inside_attempt: identity::inside_attempt }
    }
}

/// How many connections are open and how many of their calls are under way.
///
/// A call goes on when its front end hangs up, so it counts by itself.
#[derive(Clone, Debug)]
pub(super) struct Activity(watch::Sender<usize>);

impl Activity {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    pub(super) fn is_none(&self) -> bool {
        *self.0.borrow() == 0
    }

    pub(super) fn watch(&self) -> watch::Receiver<usize> {
        self.0.subscribe()
    }

    pub(super) fn begin(&self) -> ActivityGuard {
        self.0.send_modify(|count| *count += 1);
        ActivityGuard(self.0.clone())
    }
}

/// Counts until it is dropped.
pub(super) struct ActivityGuard(watch::Sender<usize>);

impl Drop for ActivityGuard {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// A socket that is served in the background until it is closed.
pub struct Server {
    path: PathBuf,
    /// Tells our socket from one that was put there since.
    inode: u64,
    session: Session,
    stop_accepting: CancellationToken,
    accepting: JoinHandle<UnixListener>,
}

impl Server {
    /// Listens where `paths` says, and announces it. A socket file that is there is a dead engine's, because the
    /// caller has the lock; only then may it be removed.
    ///
    /// # Errors
    ///
    /// When no folder for the socket is safe, or it cannot be bound.
    pub fn bind(paths: &StatePaths, lock: &EngineLock, options: ServerOptions) -> Result<Self, PathsError> {
        let path = paths.socket()?;
        let (listener, inode) = listen(&path)?;
        let session = Session::new(options);
        let stop_accepting = CancellationToken::new();
        let accepting = tokio::spawn(accept(listener, session.clone(), stop_accepting.clone()));
        let server = Self { path, inode, session, stop_accepting, accepting };
        lock.announce(&server.path)?;
        Ok(server)
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Open connections plus calls under way; zero when nobody needs the engine to answer.
    pub fn activity(&self) -> watch::Receiver<usize> {
        self.session.activity.watch()
    }

    /// Waits until a person asked for the end with `Shutdown` while no run was on.
    pub async fn shutdown_requested(&self) {
        self.session.shutdown.notified().await;
    }

    /// Tells whether front ends can still find the socket: cleaners of temporary folders remove what looks old.
    pub fn still_there(&self) -> bool {
        is_own(&self.path, self.inode)
    }

    /// Listens again at the same place; connections go on. For a socket that is no longer there.
    ///
    /// # Errors
    ///
    /// As [`Server::bind`]. The folder is checked again.
    pub async fn listen_again(&mut self, paths: &StatePaths, lock: &EngineLock) -> Result<(), PathsError> {
        for late in self.stop_listening().await {
            self.session.spawn(late);
        }
        self.path = paths.socket()?;
        let (listener, inode) = listen(&self.path)?;
        self.inode = inode;
        self.stop_accepting = CancellationToken::new();
        self.accepting = tokio::spawn(accept(listener, self.session.clone(), self.stop_accepting.clone()));
        lock.announce(&self.path)
    }

    /// Stops listening when nobody is connected, and tells whether it did. Who came just before is served instead.
    ///
    /// # Errors
    ///
    /// When somebody came and the socket cannot be bound again.
    pub async fn close_if_idle(&mut self, paths: &StatePaths, lock: &EngineLock) -> Result<bool, PathsError> {
        // Once the file is gone nobody can come any more; who waits in the queue came in time.
        let late = self.stop_listening().await;
        if late.is_empty() && self.session.activity.is_none() {
            return Ok(true);
        }
        for stream in late {
            self.session.spawn(stream);
        }
        self.listen_again(paths, lock).await?;
        Ok(false)
    }

    /// Stops listening, lets connections send the replies that are ready, and hangs up.
    pub async fn close(mut self) {
        drop(self.stop_listening().await);
        self.session.hang_up.cancel();
        self.session.tasks.close();
        if tokio::time::timeout(DRAIN, self.session.tasks.wait()).await.is_err() {
            tracing::warn!("a front end did not take its last replies in time");
        }
    }

    /// Removes the socket and returns the connections that nobody accepted yet.
    async fn stop_listening(&mut self) -> Vec<UnixStream> {
        if is_own(&self.path, self.inode) {
            // What cannot be removed is found stale by the next engine.
            let _ = fs::remove_file(&self.path);
        }
        if self.stop_accepting.is_cancelled() {
            return Vec::new();
        }
        self.stop_accepting.cancel();
        match (&mut self.accepting).await {
            Ok(listener) => {
                std::iter::from_fn(|| listener.accept().now_or_never()?.ok()).map(|(stream, _)| stream).collect()
            }
            Err(_) => Vec::new(),
        }
    }
}

async fn accept(listener: UnixListener, session: Session, stop: CancellationToken) -> UnixListener {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return listener,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => session.spawn(stream),
            Err(error) => {
                // Out of descriptors, most likely: accepting again at once would spin.
                tracing::warn!(%error, "a front end could not connect");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn listen(path: &Path) -> Result<(UnixListener, u64), PathsError> {
    let failed = |source| PathsError::from_io(path, source);
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
    let inode = fs::symlink_metadata(path).map_err(failed)?.ino();
    Ok((listener, inode))
}

fn is_own(path: &Path, inode: u64) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.ino() == inode)
}
