//! Starts the engine when a front end needs it, so that exactly one is on and it outlives who started it.
//!
//! ```text
//! front end ── launch.lock ──▶ `engine --launch` ──▶ `engine --detached` (a session of its own)
//!     ▲                          exits at once            │
//!     └────────────── one line over a pipe ───────────────┘  ready | busy | failed
//! ```
//!
//! Editors end their language server with its whole process tree. The process in the middle exits first, so the
//! engine is no longer part of that tree; nor of the terminal's session. A service manager that ends a whole control
//! group still reaches it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::time::{Instant, sleep, timeout_at};

use super::durable::FileLock;
use super::engine_lock::{Announcement, EngineLock, LockError};
use super::identity;
use super::paths::{PathsError, STATE_HOME, StatePaths};
use super::socket::{OpenError, RemoteEngine};
use crate::protocol::engine_api::{ApiError, ErrorKind, Hello};

/// Replaces the program that is started as the engine; for tests.
pub const PROGRAM: &str = "RALPH_SIDECAR_BIN";

/// How long a front end waits for an engine.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often an engine that is just starting or ending by itself is looked at; it has no way to tell us.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Connections that may end before the welcome (an engine that ends just then) before that is an error.
const TRIES: usize = 3;
/// What points git to a repository (`git rev-parse --local-env-vars`): a front end that a hook started would lead the
/// engine to that hook's repository.
const GIT_LOCAL: [&str; 16] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];
const LOG_LIMIT: u64 = 5 * 1024 * 1024;

/// Connects to the engine that is on; none when none is.
pub async fn running_engine(paths: &StatePaths) -> Option<UnixStream> {
    // What it said comes first: its environment may have led to another runtime folder than ours.
    let announced = Announcement::read(paths).and_then(|engine| engine.socket);
    for socket in announced.into_iter().chain(paths.socket().ok()) {
        if let Ok(stream) = UnixStream::connect(&socket).await {
            return Some(stream);
        }
    }
    None
}

/// Connects to the engine, and starts one when none is on. `root` is any checkout of the repository.
///
/// # Errors
///
/// `NotTrusted` from inside an attempt; `Busy` when the engine lives inside another front end; otherwise why it does
/// not start, with where its log is.
pub async fn ensure_engine(paths: &StatePaths, root: &Path) -> Result<UnixStream, ApiError> {
    Launcher::from_env().ensure(paths, root).await
}

/// As [`ensure_engine`], and says hello. An engine that ended between the two is started again.
///
/// # Errors
///
/// As [`ensure_engine`], and what the engine refuses.
pub async fn open_engine(paths: &StatePaths, hello: &Hello) -> Result<RemoteEngine, ApiError> {
    Launcher::from_env().open(paths, hello).await
}

/// How engines are started; [`Launcher::from_env`] but in tests.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// This program when absent.
    pub program: Option<PathBuf>,
    /// Added to the environment of the engine.
    pub environment: Vec<(OsString, OsString)>,
    /// How long to wait until it is ready.
    pub patience: Duration,
}

impl Launcher {
    /// Starts this program, or the one of [`PROGRAM`].
    pub fn from_env() -> Self {
        let program = std::env::var_os(PROGRAM).filter(|program| !program.is_empty()).map(PathBuf::from);
        Self { program, environment: Vec::new(), patience: PATIENCE }
    }

    /// See [`ensure_engine`].
    ///
    /// # Errors
    ///
    /// As [`ensure_engine`].
    pub async fn ensure(&self, paths: &StatePaths, root: &Path) -> Result<UnixStream, ApiError> {
        if let Some(stream) = running_engine(paths).await {
            return Ok(stream);
        }
        if let Some(attempt) = identity::own_attempt() {
            return Err(identity::refusal("start an engine", &attempt));
        }
        let deadline = Instant::now() + self.patience;
        // One front end at a time starts an engine; the others then find it on.
        let _turn = turn(paths, deadline).await?;
        loop {
            if let Some(stream) = running_engine(paths).await {
                return Ok(stream);
            }
            let said = match timeout_at(deadline, self.start(paths, root)).await {
                Ok(said) => said?,
                Err(_) => {
                    let what = format!("the engine was not ready after {} seconds", self.patience.as_secs_f32());
                    return Err(no_engine(paths, &what));
                }
            };
            match said {
                Said::Ready => {
                    let stream = running_engine(paths).await;
                    return stream.ok_or_else(|| no_engine(paths, "the engine ended as soon as it had started"));
                }
                Said::Failed { error } => return Err(error),
                // Someone started one by hand, or the one before is just ending.
                Said::Busy { pid } => wait_for_change(paths, pid, deadline).await?,
            }
        }
    }

    /// See [`open_engine`].
    ///
    /// # Errors
    ///
    /// As [`open_engine`].
    pub async fn open(&self, paths: &StatePaths, hello: &Hello) -> Result<RemoteEngine, ApiError> {
        let attempt = identity::own_attempt();
        let mut last = None;
        for _ in 0..TRIES {
            let stream = self.ensure(paths, &hello.root).await?;
            match RemoteEngine::open(stream, hello, attempt.clone()).await {
                Ok(engine) => return Ok(engine),
                Err(OpenError::Refused(error)) => return Err(error),
                Err(OpenError::Gone(error)) => last = Some(error),
            }
        }
        let why = last.map(|error| error.to_string()).unwrap_or_default();
        Err(no_engine(paths, &format!("the engine hung up before it answered ({why})")))
    }

    /// Starts the process in the middle and waits for what the engine says.
    async fn start(&self, paths: &StatePaths, root: &Path) -> Result<Said, ApiError> {
        let log = open_log(&paths.engine_log).map_err(|error| PathsError::from_io(&paths.engine_log, error))?;
        let cannot = |error: io::Error| no_engine(paths, &format!("the engine cannot be started: {error}"));
        let (reader, writer) = io::pipe().map_err(cannot)?;
        let program = self.program.clone().map_or_else(own_program, Ok).map_err(cannot)?;
        let mut command = tokio::process::Command::new(program);
        command
            .arg("engine")
            .arg("--launch")
            .arg("--root")
            .arg(root)
            .current_dir(&paths.repository)
            .stdin(Stdio::from(writer))
            .stdout(Stdio::from(log.try_clone().map_err(cannot)?))
            .stderr(Stdio::from(log))
            // An interrupt of the terminal is for the front end alone.
            .process_group(0);
        for name in GIT_LOCAL {
            command.env_remove(name);
        }
        // The same folder as ours, whatever the conventions say where the engine looks.
        command.envs(paths.repository.parent().map(|home| (STATE_HOME, home)));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let mut launcher = command.spawn().map_err(cannot)?;
        // It holds a copy of the pipe's end, and the pipe must close when the engine does.
        drop(command);
        let mut reader = BufReader::new(pipe::Receiver::from_owned_fd(reader.into()).map_err(cannot)?);
        let mut line = Vec::new();
        let read = reader.read_until(b'\n', &mut line).await.map_err(cannot);
        launcher.wait().await.map_err(cannot)?;
        read?;
        serde_json::from_slice(&line).map_err(|_| no_engine(paths, "the engine ended before it was ready"))
    }
}

/// The process in the middle: starts the engine with these arguments and returns at once, to exit.
///
/// # Errors
///
/// When the program cannot be started; the waiting front end has been told.
pub fn start_detached(arguments: &[OsString]) -> Result<(), ApiError> {
    let started = own_program().and_then(|program| {
        // Standard input is the pipe to the front end, the two others are the log: the engine inherits all three.
        Command::new(program).arg("engine").arg("--detached").args(arguments).spawn()
    });
    started.map(|_| ()).map_err(|error| {
        let error = ApiError::new(ErrorKind::Other, format!("the engine's program cannot be started: {error}"));
        Readiness::from_stdin().failed(&error);
        error
    })
}

/// How a fresh engine tells the front end that waits for it; without one (started by hand) it tells nobody.
#[derive(Debug, Default)]
pub struct Readiness(Option<File>);

impl Readiness {
    /// Nobody waits.
    pub fn nobody() -> Self {
        Self(None)
    }

    /// Takes the pipe a launcher put in the place of standard input.
    pub fn from_stdin() -> Self {
        Self(io::stdin().as_fd().try_clone_to_owned().ok().map(File::from))
    }

    /// Front ends can connect now.
    pub fn ready(&mut self) {
        self.say(&Said::Ready);
    }

    /// Another engine has the repository.
    pub fn busy(&mut self, pid: Option<u32>) {
        self.say(&Said::Busy { pid });
    }

    /// There will be no engine.
    pub fn failed(&mut self, error: &ApiError) {
        self.say(&Said::Failed { error: error.clone() });
    }

    /// Only the first thing that is said counts.
    fn say(&mut self, said: &Said) {
        let Some(mut pipe) = self.0.take() else { return };
        let Ok(mut line) = serde_json::to_vec(said) else { return };
        line.push(b'\n');
        if let Err(error) = pipe.write_all(&line) {
            // The front end has gone; another one may come.
            tracing::debug!(%error, "nobody waits for the engine any more");
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "snake_case")]
enum Said {
    Ready,
    Busy { pid: Option<u32> },
    Failed { error: ApiError },
}

/// Waits until no other front end is starting an engine.
async fn turn(paths: &StatePaths, deadline: Instant) -> Result<FileLock, ApiError> {
    let file = paths.repository.join("launch.lock");
    let (send, receive) = tokio::sync::oneshot::channel();
    let path = file.clone();
    // A thread of its own: one of the runtime's would keep a front end that gives up from ending.
    std::thread::spawn(move || {
        // Who gave up takes no lock: it is dropped with the message.
        let _ = send.send(FileLock::wait_exclusive(&path));
    });
    match timeout_at(deadline, receive).await {
        Ok(Ok(Ok(lock))) => Ok(lock),
        Ok(Ok(Err(error))) => Err(PathsError::from_io(&file, error).into()),
        Ok(Err(_)) | Err(_) => Err(no_engine(paths, "another program has been starting the engine all the time")),
    }
}

/// Waits until the engine that has the lock listens, or lets it go.
async fn wait_for_change(paths: &StatePaths, pid: Option<u32>, deadline: Instant) -> Result<(), ApiError> {
    loop {
        if let Some(engine) = Announcement::read(paths).filter(|engine| engine.in_process && Some(engine.pid) == pid) {
            let message = format!("the engine of this repository lives inside process {}", engine.pid);
            return Err(ApiError::new(ErrorKind::Busy, message).with_hint("end that program, which runs in process"));
        }
        sleep(LOOK_AGAIN).await;
        if EngineLock::is_free(paths) || running_engine(paths).await.is_some() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(LockError::Busy { pid }.into());
        }
    }
}

/// The program to start: the one of [`PROGRAM`], or this one.
///
/// # Errors
///
/// When the system does not tell which program this is.
pub fn program() -> io::Result<PathBuf> {
    match std::env::var_os(PROGRAM).filter(|program| !program.is_empty()) {
        Some(program) => Ok(program.into()),
        None => own_program(),
    }
}

/// This program, also when an update has replaced it since.
fn own_program() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let replaced = program.to_str().and_then(|path| path.strip_suffix(" (deleted)")).map(PathBuf::from);
    Ok(replaced.filter(|path| path.is_file()).unwrap_or(program))
}

/// Opens the log for appending; a long one is put aside first, and the one put aside before that goes.
fn open_log(path: &Path) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() > LOG_LIMIT) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn no_engine(paths: &StatePaths, what: &str) -> ApiError {
    ApiError::new(ErrorKind::Other, what).with_hint(format!("its log tells more: {}", paths.engine_log.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_put_aside() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("engine.log");
        open_log(&path).expect("made").write_all(b"short").expect("written");
        open_log(&path).expect("kept");
        assert_eq!(fs::read(&path).expect("read"), b"short");
        fs::write(&path, vec![b'x'; LOG_LIMIT as usize + 1]).expect("written");
        open_log(&path).expect("fresh");
        assert_eq!(fs::metadata(&path).expect("there").len(), 0);
        assert_eq!(fs::metadata(folder.path().join("engine.log.1")).expect("kept").len(), LOG_LIMIT + 1);
    }

    #[test]
    fn readiness_is_told_once() {
        let (mut reader, writer) = io::pipe().expect("pipe");
        let mut readiness = Readiness(Some(File::from(std::os::fd::OwnedFd::from(writer))));
        readiness.ready();
        readiness.busy(Some(1));
        let mut text = String::new();
        io::Read::read_to_string(&mut reader, &mut text).expect("the end is closed");
        assert_eq!(text, "{\"said\":\"ready\"}\n");
        Readiness::nobody().ready();
    }
}
