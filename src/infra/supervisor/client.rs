//! The engine's side of a supervisor: start one, find one again, tell it to stop, learn how it ended.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::fs::OFlags;
use rustix::io::Errno;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{mpsc, watch};

use super::spec::{Control, ExitRecord, Line, Output, SuperviseSpec};
use super::transcript::join_segments;
use crate::infra::durable::{FileLock, atomic_write};
use crate::infra::processes::MARKER;
use crate::infra::watch::FolderWatch;

/// Pieces of output that wait for a slow reader; what comes on top is left out and counted.
const WAITING: usize = 64;
/// A reason is cut to this many characters, so that a request is written in one piece.
const REASON: usize = 500;
/// Written into the lock of a start that was given up; a supervisor that comes late starts nothing.
const ABANDONED: &[u8] = b"abandoned\n";
const WAITER_STACK: usize = 128 * 1024;

/// Why a supervisor could not be started or asked. Reads after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    #[error("supervise: {0}")]
    Invalid(String),
    #[error("supervise: {} was used before; an attempt is started once", .0.display())]
    StartedBefore(PathBuf),
    #[error("start the supervisor {}: {source}", binary.display())]
    Launch { binary: PathBuf, source: io::Error },
    /// Nothing was started and nothing will be; a further try needs paths of its own.
    #[error("start the command: the supervisor could not {0}")]
    Refused(String),
    #[error("{what} {}: {source}", path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error("understand {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: serde_json::Error },
    #[error("wait for the supervisor: {0}")]
    Wait(String),
}

/// How a supervised command ended, as far as can be known.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    Finished(ExitRecord),
    /// The supervisor died without a record. Its command died with it, but what that had started may still run:
    /// [`super::sweep`] before anything else.
    Lost,
}

/// What became of a supervisor an earlier engine started.
#[derive(Debug)]
pub enum Adopted {
    /// It still watches its command.
    Alive(Supervised),
    Finished(ExitRecord),
    /// There is none and no record, and none can come any more. [`super::sweep`] before anything else.
    Gone,
    /// No supervisor ever took the order, and none can any more: the command was not started and will not be.
    NeverStarted,
}

/// A running supervisor. Dropping this neither stops nor disturbs it.
#[derive(Debug)]
pub struct Supervised {
    spec: SuperviseSpec,
    events: Option<mpsc::Receiver<Output>>,
    /// Set when the lock is free again.
    released: watch::Receiver<Option<Result<(), String>>>,
}

impl Supervised {
    /// Starts `binary supervise SPEC` and returns when it holds the lock and has started the command, or could not
    /// (which the exit record tells).
    ///
    /// The specification is stored at [`SuperviseSpec::path`], private to the user; the folder must exist. When this
    /// is cancelled, [`Supervised::adopt`] tells what became of the start.
    pub async fn start(binary: &Path, spec: SuperviseSpec) -> Result<Self, SuperviseError> {
        if let Some(problem) = spec.problem() {
            return Err(SuperviseError::Invalid(problem));
        }
        blocking({
            let spec = spec.clone();
            move || store(&spec)
        })
        .await?;
        let (go, released) = wait_for_release(&spec)?;
        let mut child = Command::new(binary)
            .arg("supervise")
            .arg(spec.path())
            .current_dir("/")
            // Of an outer attempt, when the engine itself runs in one.
            .env_remove(MARKER)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(false)
            .spawn()
            .map_err(|source| SuperviseError::Launch { binary: binary.to_path_buf(), source })?;
        let stdout = child.stdout.take().ok_or_else(|| SuperviseError::Wait("it has no output".to_owned()))?;
        let mut lines = BufReader::new(stdout);
        let mut first = String::new();
        let read = lines.read_line(&mut first).await;
        match read.ok().and_then(|_| serde_json::from_str(&first).ok()) {
            Some(Line::Ready { .. }) => {}
            Some(Line::Refused { message }) => return Err(SuperviseError::Refused(message)),
            _ => return Err(SuperviseError::Refused(format!("say that it is ready; is {} right?", binary.display()))),
        }
        // The lock is held: from now on its release means the end.
        let _ = go.send(());
        let (sender, events) = mpsc::channel(WAITING);
        tokio::spawn(forward(child, lines, sender));
        Ok(Self { spec, events: Some(events), released })
    }

    /// Finds out what became of the supervisor started with the specification stored at `spec_path`.
    ///
    /// Decided by the lock, then the record. With [`Adopted::Gone`] and
    /// [`Adopted::NeverStarted`] the start is given up for good, so a supervisor that was launched and had not reached
    /// its lock yet will start nothing.
    pub async fn adopt(spec_path: &Path) -> Result<Adopted, SuperviseError> {
        let spec_path = spec_path.to_path_buf();
        match blocking(move || find(&spec_path)).await? {
            Found::Alive(spec, at) => {
                let (go, released) = wait_for_release(&spec)?;
                let _ = go.send(());
                let (sender, events) = mpsc::channel(WAITING);
                tokio::spawn(follow(spec.transcript.clone(), at, sender, released.clone()));
                Ok(Adopted::Alive(Self { spec: *spec, events: Some(events), released }))
            }
            Found::Finished(record) => Ok(Adopted::Finished(record)),
            Found::Gone => Ok(Adopted::Gone),
            Found::NeverStarted => Ok(Adopted::NeverStarted),
        }
    }

    /// The specification; without the environment after an adoption.
    pub fn spec(&self) -> &SuperviseSpec {
        &self.spec
    }

    /// Takes the live output; `None` the second time. The channel closes at the end.
    ///
    /// It is for showing: what is not read in time is left out and counted, and after an adoption it begins with new
    /// output and ends when the transcript's head is full. Parse the transcript.
    pub fn events(&mut self) -> Option<mpsc::Receiver<Output>> {
        self.events.take()
    }

    /// Asks the supervisor to stop the command by its stop order; returns at once. False when it has ended already.
    pub fn stop(&self, reason: &str) -> Result<bool, SuperviseError> {
        self.ask(&Control::Stop { reason: reason.chars().take(REASON).collect() })
    }

    /// Asks the supervisor to kill everything now, whatever step of stopping was reached.
    pub fn kill(&self, reason: &str) -> Result<bool, SuperviseError> {
        self.ask(&Control::Kill { reason: reason.chars().take(REASON).collect() })
    }

    /// Waits until the supervisor has ended, and with it everything it watched. Any number may wait, any time.
    pub async fn wait(&self) -> Result<End, SuperviseError> {
        let mut released = self.released.clone();
        let outcome = match released.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone(),
            Err(_) => return Err(SuperviseError::Wait("its waiting thread ended".to_owned())),
        };
        if let Some(Err(message)) = outcome {
            return Err(SuperviseError::Wait(message));
        }
        let spec = self.spec.clone();
        blocking(move || {
            let end = conclude(&spec)?;
            // Others may be waiting too: one puts the pieces together.
            if end == End::Lost
                && let Ok(_lock) = FileLock::wait_exclusive(&spec.lock)
            {
                join_pieces(&spec);
            }
            Ok(end)
        })
        .await
    }

    fn ask(&self, request: &Control) -> Result<bool, SuperviseError> {
        let path = &self.spec.control;
        let failed = |source| SuperviseError::Io { what: "ask the supervisor by", path: path.clone(), source };
        let mut line = serde_json::to_vec(request).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits();
        let flags = i32::try_from(flags).map_err(|_| failed(io::ErrorKind::InvalidInput.into()))?;
        let mut fifo = match OpenOptions::new().write(true).custom_flags(flags).open(path) {
            Ok(fifo) => fifo,
            // Without a reader, or without a fifo, there is no supervisor any more.
            Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        match fifo.write_all(&line) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }
}

/// Runs a command under a supervisor from start to end; its output is in the transcript.
///
/// Cancelling this does not stop the command.
pub async fn run_to_end(binary: &Path, spec: SuperviseSpec) -> Result<End, SuperviseError> {
    let mut supervised = Supervised::start(binary, spec).await?;
    drop(supervised.events());
    supervised.wait().await
}

enum Found {
    /// With the length of its transcript.
    Alive(Box<SuperviseSpec>, u64),
    Finished(ExitRecord),
    Gone,
    NeverStarted,
}

fn find(spec_path: &Path) -> Result<Found, SuperviseError> {
    let failed = |what, path: &Path| {
        let path = path.to_path_buf();
        move |source| SuperviseError::Io { what, path, source }
    };
    let text = match fs::read(spec_path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::NeverStarted),
        Err(error) => return Err(failed("read", spec_path)(error)),
    };
    if text.is_empty() {
        // The engine ended before it had stored the specification, so it launched nothing.
        return Ok(Found::NeverStarted);
    }
    let spec: SuperviseSpec = serde_json::from_slice(&text)
        .map_err(|source| SuperviseError::Unreadable { path: spec_path.to_path_buf(), source })?;
    let Some(lock) = FileLock::try_exclusive(&spec.lock).map_err(failed("lock", &spec.lock))? else {
        let length = fs::metadata(&spec.transcript).map_or(0, |metadata| metadata.len());
        return Ok(Found::Alive(Box::new(spec), length));
    };
    match conclude(&spec)? {
        End::Finished(record) => Ok(Found::Finished(record)),
        End::Lost => {
            join_pieces(&spec);
            // A supervisor writes its number here, durably, before it starts anything.
            let mut holders = Vec::new();
            lock.file().read_to_end(&mut holders).map_err(failed("read", &spec.lock))?;
            lock.file().write_all(ABANDONED).map_err(failed("write", &spec.lock))?;
            let started = holders.split_inclusive(|byte| *byte == b'\n').any(|line| line != ABANDONED);
            Ok(if started || spec.transcript.exists() { Found::Gone } else { Found::NeverStarted })
        }
    }
}

/// Reads the record of a supervisor that has ended.
fn conclude(spec: &SuperviseSpec) -> Result<End, SuperviseError> {
    let path = &spec.exit_record;
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map(End::Finished)
            .map_err(|source| SuperviseError::Unreadable { path: path.clone(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(End::Lost),
        Err(source) => Err(SuperviseError::Io { what: "read", path: path.clone(), source }),
    }
}

/// Completes the transcript of a dead supervisor; the caller holds its lock.
fn join_pieces(spec: &SuperviseSpec) {
    match join_segments(&spec.transcript, spec.transcript_tail, None) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(transcript = %spec.transcript.display(), %error, "the end of the output stays beside it");
        }
    }
}

/// Stores the specification where only the user can read it, for it holds the environment.
fn store(spec: &SuperviseSpec) -> Result<(), SuperviseError> {
    let path = spec.path();
    let used = fs::metadata(&spec.lock).is_ok_and(|metadata| metadata.len() > 0);
    if used || spec.exit_record.exists() {
        return Err(SuperviseError::StartedBefore(spec.lock.clone()));
    }
    let written = || {
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        atomic_write(&path, &serde_json::to_vec(spec)?)
    };
    written().map_err(|source| SuperviseError::Io { what: "write", path: path.clone(), source })
}

type Release = watch::Receiver<Option<Result<(), String>>>;

/// Makes a thread that, once told to go, waits for the lock to be free.
///
/// A thread of its own rather than one of the runtime's: a runtime does not end before its blocking threads do, and
/// this one may wait for hours. It is made before the start, so that nothing can fail after it.
fn wait_for_release(spec: &SuperviseSpec) -> Result<(std::sync::mpsc::Sender<()>, Release), SuperviseError> {
    let (go, told) = std::sync::mpsc::channel();
    let (sender, released) = watch::channel(None);
    let path = spec.lock.clone();
    std::thread::Builder::new()
        .name("supervisor-wait".to_owned())
        .stack_size(WAITER_STACK)
        .spawn(move || {
            if told.recv().is_ok() {
                let outcome = FileLock::wait_shared(&path).map(drop).map_err(|error| error.to_string());
                sender.send_replace(Some(outcome));
            }
        })
        .map_err(|error| SuperviseError::Wait(format!("no thread for it: {error}")))?;
    Ok((go, released))
}

/// Passes output on until the supervisor ends, then reaps it.
async fn forward(mut child: Child, lines: BufReader<ChildStdout>, sender: mpsc::Sender<Output>) {
    let mut lines = lines.lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Ok(Line::Output(output)) = serde_json::from_str(&line) {
            // A reader that left wants no more; the pipe is emptied all the same.
            let _ = sender.send(output).await;
        }
    }
    drop(sender);
    let _ = child.wait().await;
}

/// Passes on what is added to a transcript, for a supervisor whose pipe belonged to an earlier engine.
async fn follow(transcript: PathBuf, mut at: u64, sender: mpsc::Sender<Output>, mut released: Release) {
    let watch = FolderWatch::new(crate::infra::durable::folder_of(&transcript));
    let mut over = false;
    loop {
        let path = transcript.clone();
        match blocking(move || Ok(read_from(&path, at))).await {
            Ok(Ok(bytes)) if !bytes.is_empty() => {
                at += bytes.len() as u64;
                let text = String::from_utf8_lossy(&bytes).into_owned();
                if sender.send(Output { text, missed: 0 }).await.is_err() {
                    return;
                }
            }
            _ if over => return,
            _ => {
                over = tokio::select! {
                    () = watch.changed() => false,
                    _ = released.wait_for(Option::is_some) => true,
                    () = sender.closed() => return,
                };
            }
        }
    }
}

fn read_from(path: &Path, at: u64) -> io::Result<Vec<u8>> {
    const PIECE: u64 = 64 * 1024;
    let mut file = fs::File::open(path)?;
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    file.take(PIECE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SuperviseError> + Send + 'static,
) -> Result<T, SuperviseError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| SuperviseError::Wait(error.to_string()))?
}
