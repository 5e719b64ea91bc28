//! Processes and mailboxes as the engine asks for them: supervised processes, folders in the state directory.

use super::durable::atomic_write;
use super::mailbox::{self, AttemptMail, INBOX, MailboxError, Reader};
use super::supervisor::{
    Adopted, End, ExitRecord, SpawnFailure, Status, StopSignal, StoppedBy, SuperviseError, SuperviseSpec, Supervised,
    sweep,
};
use crate::domain::inbox::InboxMessage;
use crate::engine::ports::{Mail, PortError, PortResult, ProcessEnd, ProcessOrder, Processes, Running, Stopper};
use crate::protocol::config::StopStep;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;

/// How long each step of stopping gets, in milliseconds.
const GRACE_MS: u64 = 5_000;
/// How long what an agent left running gets to end by itself, in milliseconds.
const LEFTOVER_GRACE_MS: u64 = 500;
/// Bytes of output kept from the start and from the end.
const TRANSCRIPT_HEAD: u64 = 32 * 1024 * 1024;
const TRANSCRIPT_TAIL: u64 = 8 * 1024 * 1024;

/// Starts processes under supervisors of this program.
pub struct Runner {
    /// This program.
    program: PathBuf,
    /// Holds a link to this program, so that agents find it.
    tools: PathBuf,
    mailboxes: PathBuf,
    slots: PathBuf,
}

impl Runner {
    /// Prepares the folder that goes onto agents' PATH.
    ///
    /// # Errors
    ///
    /// When the folder or the link cannot be made.
    pub fn new(program: PathBuf, state: &Path, mailboxes: PathBuf, slots: PathBuf) -> PortResult<Self> {
        let tools = state.join("bin");
        let link = tools.join("ralph-sidecar");
        let made = std::fs::create_dir_all(&tools).and_then(|()| {
            if std::fs::read_link(&link).is_ok_and(|target| target == program) {
                return Ok(());
            }
            let fresh = tools.join(format!(".new-{}", std::process::id()));
            let _ = std::fs::remove_file(&fresh);
            std::os::unix::fs::symlink(&program, &fresh)?;
            std::fs::rename(&fresh, &link)
        });
        made.map_err(|error| PortError::new(format!("make {}: {error}", link.display())))?;
        Ok(Self { program, tools, mailboxes, slots })
    }

    fn spec(&self, order: ProcessOrder) -> SuperviseSpec {
        let mut env = scrubbed_environment();
        let path = env.get("PATH").cloned().unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        env.extend(order.env);
        let path = env.get("PATH").filter(|own| **own != path).cloned().unwrap_or(path);
        env.insert("PATH".into(), format!("{}:{path}", self.tools.display()));
        env.insert("PWD".into(), order.cwd.display().to_string());
        let signal = |step: &StopStep| match step {
            StopStep::Interrupt => StopSignal::Interrupt,
            StopStep::Terminate => StopSignal::Terminate,
        };
        let mut stop_order: Vec<StopSignal> = order.stop.iter().map(signal).collect();
        if stop_order.is_empty() {
            stop_order.push(StopSignal::Terminate);
        }
        SuperviseSpec {
            argv: order.argv,
            cwd: order.cwd,
            env,
            stdin_file: order.stdin,
            transcript: order.folder.join("transcript.log"),
            exit_record: order.folder.join("exit.json"),
            lock: order.folder.join("supervisor.lock"),
            control: order.folder.join("control"),
            idle_seconds: order.idle_seconds,
            activity_dir: order.activity,
            wall_seconds: order.wall_seconds,
            grace_ms: GRACE_MS,
            leftover_grace_ms: LEFTOVER_GRACE_MS,
            stop_order,
            transcript_head: TRANSCRIPT_HEAD,
            transcript_tail: TRANSCRIPT_TAIL,
            marker: order.marker,
        }
    }
}

/// Returns the user's environment without what would make git or us look elsewhere.
fn scrubbed_environment() -> BTreeMap<String, String> {
    let ours = |name: &str| {
        name.starts_with("GIT_") && !matches!(name, "GIT_CONFIG_GLOBAL" | "GIT_CONFIG_SYSTEM" | "GIT_SSH_COMMAND")
            || (name.starts_with("RALPH_") && !matches!(name, "RALPH_STATE_HOME" | "RALPH_CONFIG_HOME"))
    };
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| !ours(name))
        .collect()
}

#[async_trait]
impl Processes for Runner {
    async fn start(&self, order: ProcessOrder) -> PortResult<Box<dyn Running>> {
        let spec = self.spec(order);
        let folder = spec.exit_record.parent().unwrap_or(Path::new("/")).to_path_buf();
        std::fs::create_dir_all(&folder)
            .map_err(|error| PortError::new(format!("make {}: {error}", folder.display())))?;
        clear_for_repeat(&spec);
        let (marker, cwd) = (spec.marker.clone(), spec.cwd.clone());
        let supervised =
            Supervised::start(&self.program, spec).await.map_err(|error| PortError::new(error.to_string()))?;
        Ok(Box::new(Process { supervised: Arc::new(supervised), output: None, marker, slot: Some(cwd) }.with_output()))
    }

    async fn adopt(&self, folder: PathBuf, marker: String) -> PortResult<Option<Box<dyn Running>>> {
        let path = folder.join("exit.spec.json");
        let end = match Supervised::adopt(&path).await {
            Ok(Adopted::Alive(supervised)) => {
                let slot = Some(supervised.spec().cwd.clone());
                let process = Process { supervised: Arc::new(supervised), output: None, marker, slot };
                return Ok(Some(Box::new(process.with_output())));
            }
            Ok(Adopted::NeverStarted) => return Ok(None),
            Ok(Adopted::Finished(record)) => end_of(&record),
            Ok(Adopted::Gone) | Err(_) => {
                let swept = sweep(&marker, Some(self.slots.clone())).await;
                swept.map_err(|error| PortError::new(format!("end what {marker} left: {error}")))?;
                ProcessEnd::Lost
            }
        };
        Ok(Some(Box::new(Ended(end))))
    }

    async fn end_left(&self, folder: PathBuf) -> PortResult<()> {
        for order in left_below(&folder) {
            let failed = |error: String| PortError::new(format!("end what {} started: {error}", order.display()));
            // One that cannot be read was never launched: it is stored whole before.
            let Some(spec) = read_spec(&order) else { continue };
            let lost = match Supervised::adopt(&order).await.map_err(|error| failed(error.to_string()))? {
                Adopted::Alive(supervised) => {
                    kill_to_end(&supervised).await.map_err(|error| failed(error.to_string()))? == End::Lost
                }
                Adopted::Finished(_) | Adopted::NeverStarted => false,
                Adopted::Gone => true,
            };
            if lost {
                sweep(&spec.marker, Some(self.slots.clone())).await.map_err(|error| failed(error.to_string()))?;
                // So that it is not looked for again.
                let _ = std::fs::rename(&order, order.with_extension("lost"));
            }
        }
        Ok(())
    }

    async fn mailbox(&self, key: &str, number: u32, nonce: &str) -> PortResult<(PathBuf, Box<dyn Mail>)> {
        let folder = self.mailboxes.join(key).join(number.to_string());
        let (path, nonce) = (folder.clone(), nonce.to_owned());
        let reader = blocking(move || {
            mailbox::create(&path)?;
            // So that the agent's side can take what comes without making anything.
            mailbox::create(&path.join(INBOX))?;
            Reader::open_of(&path, &nonce)
        })
        .await?;
        Ok((folder, Box::new(AttemptMail::new(reader))))
    }

    async fn deliver(&self, key: &str, number: u32, message: &InboxMessage) -> PortResult<()> {
        let folder = self.mailboxes.join(key).join(number.to_string());
        let now = jiff::Timestamp::now().as_millisecond().unsigned_abs();
        let message = message.clone();
        blocking(move || mailbox::deliver_to_inbox(&folder, &message, now)).await
    }

    async fn write(&self, path: PathBuf, text: String) -> PortResult<()> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let written = std::fs::create_dir_all(folder).and_then(|()| atomic_write(&path, text.as_bytes()));
        written.map_err(|error| PortError::new(format!("write {}: {error}", path.display())))
    }

    async fn read_tail(&self, path: PathBuf, limit: u64) -> PortResult<Option<String>> {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = std::fs::File::open(&path)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(limit)))?;
            let mut bytes = Vec::new();
            file.take(limit).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PortError::new(format!("read {}: {error}", path.display()))),
        }
    }

    fn tool_folder(&self) -> PathBuf {
        self.tools.clone()
    }

    fn own_program(&self) -> PathBuf {
        self.program.clone()
    }
}

/// How deep below a folder of an attempt its processes keep their files.
const ORDER_DEPTH: usize = 4;

/// Finds the orders in a folder and below that have no exit record.
fn left_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![(folder.to_path_buf(), 0)];
    while let Some((folder, depth)) = pending.pop() {
        let order = folder.join("exit.spec.json");
        if order.exists() && !folder.join("exit.json").exists() {
            found.push(order);
        }
        if depth < ORDER_DEPTH {
            let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            pending.extend(folders.map(|entry| (entry.path(), depth + 1)));
        }
    }
    found
}

fn read_spec(order: &Path) -> Option<SuperviseSpec> {
    serde_json::from_slice(&std::fs::read(order).ok()?).ok()
}

/// Kills what a supervisor watches and waits for the supervisor's end.
async fn kill_to_end(supervised: &Supervised) -> Result<End, SuperviseError> {
    /// A supervisor that is just starting listens a moment after it has its lock.
    const ASK_AGAIN: std::time::Duration = std::time::Duration::from_millis(50);
    loop {
        supervised.kill("nobody waits for it any more")?;
        if let Ok(end) = tokio::time::timeout(ASK_AGAIN, supervised.wait()).await {
            return end;
        }
    }
}

/// Moves the files of an earlier start out of the way: steps before the agent's start may be repeated.
fn clear_for_repeat(spec: &SuperviseSpec) {
    if !spec.transcript.exists() && !spec.exit_record.exists() && !spec.path().exists() {
        return;
    }
    let folder = spec.exit_record.parent().unwrap_or(Path::new("/"));
    for number in 1..1000 {
        let earlier = folder.join(format!("earlier-{number}"));
        if std::fs::create_dir(&earlier).is_ok() {
            let spec_path = spec.path();
            for path in [&spec.transcript, &spec.exit_record, &spec.lock, &spec.control, &spec_path] {
                if let Some(name) = path.file_name() {
                    let _ = std::fs::rename(path, earlier.join(name));
                }
            }
            return;
        }
    }
}

fn end_of(record: &ExitRecord) -> ProcessEnd {
    match (&record.stopped_by, &record.status) {
        (Some(StoppedBy::Idle), _) => ProcessEnd::Idle,
        (Some(StoppedBy::Wall), _) => ProcessEnd::Wall,
        (Some(StoppedBy::Request { .. }), _) => ProcessEnd::Stopped,
        (None, Status::Exited { code }) => ProcessEnd::Exited(*code),
        (None, Status::Signaled { signal }) => ProcessEnd::Signaled(*signal),
        (None, Status::SpawnFailed { kind, message }) => match kind {
            SpawnFailure::NotFound => ProcessEnd::NotFound(record.argv0.clone()),
            SpawnFailure::PermissionDenied => ProcessEnd::NotExecutable(record.argv0.clone()),
            SpawnFailure::Other => ProcessEnd::SpawnFailed(message.clone()),
        },
    }
}

/// A process that is on.
struct Process {
    supervised: Arc<Supervised>,
    output: Option<mpsc::Receiver<String>>,
    marker: String,
    slot: Option<PathBuf>,
}

impl Process {
    fn with_output(mut self) -> Self {
        let events = Arc::get_mut(&mut self.supervised).and_then(Supervised::events);
        self.output = events.map(|mut events| {
            let (sender, receiver) = mpsc::channel(16);
            tokio::spawn(async move {
                while let Some(output) = events.recv().await {
                    if sender.send(output.text).await.is_err() {
                        break;
                    }
                }
            });
            receiver
        });
        self
    }
}

#[async_trait]
impl Running for Process {
    fn output(&mut self) -> Option<mpsc::Receiver<String>> {
        self.output.take()
    }

    fn stopper(&self) -> Arc<dyn Stopper> {
        Arc::new(SupervisedStopper(Arc::clone(&self.supervised)))
    }

    async fn wait(&mut self) -> ProcessEnd {
        match self.supervised.wait().await {
            Ok(End::Finished(record)) => end_of(&record),
            Ok(End::Lost) | Err(_) => {
                if let Err(error) = sweep(&self.marker, self.slot.clone()).await {
                    tracing::error!(%error, marker = self.marker, "what a lost supervisor left could not be ended");
                }
                ProcessEnd::Lost
            }
        }
    }
}

struct SupervisedStopper(Arc<Supervised>);

#[async_trait]
impl Stopper for SupervisedStopper {
    async fn stop(&self) {
        if let Err(error) = self.0.stop("a person stopped it") {
            tracing::warn!(%error, "a process could not be asked to stop");
        }
    }
}

/// A process that ended before anybody waited.
struct Ended(ProcessEnd);

#[async_trait]
impl Running for Ended {
    fn output(&mut self) -> Option<mpsc::Receiver<String>> {
        None
    }

    fn stopper(&self) -> Arc<dyn Stopper> {
        Arc::new(NothingToStop)
    }

    async fn wait(&mut self) -> ProcessEnd {
        self.0.clone()
    }
}

struct NothingToStop;

#[async_trait]
impl Stopper for NothingToStop {
    async fn stop(&self) {}
}

/// Does what blocks on a mailbox's disk.
async fn blocking<T: Send + 'static>(act: impl FnOnce() -> Result<T, MailboxError> + Send + 'static) -> PortResult<T> {
    let done = tokio::task::spawn_blocking(act).await;
    let result = done.map_err(|error| PortError::new(format!("use the mailbox: {error}")))?;
    result.map_err(|error| PortError::new(error.to_string()))
}
