//! What the engine needs from the world, as traits; `infra` implements them, tests may fake them.

mod board;
mod landing;

pub use board::{Order, RunBoard};
pub use landing::{LandOrder, LandOutcome, LandPart, TakenBack};

use crate::domain::event::Event;
use crate::domain::hunks::{Hunk, HunkId};
use crate::domain::inbox::InboxMessage;
use crate::domain::landing::Landing;
use crate::domain::report::Report;
use crate::domain::task::{Goal, Status, Task, TaskId};
use crate::protocol::config::{AgentConfig, Config, Layer, StopStep};
use crate::protocol::engine_api::{AcceptReply, Buffer, ProposalFile};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Why the world did not do what it was asked for. Reads after "failed to".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PortError {
    pub message: String,
    pub hint: Option<String>,
    /// The data is wrong, rather than the machine.
    pub data: bool,
}

impl PortError {
    /// Makes an error of the machine.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, data: false }
    }

    /// Adds the next step.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// What a port answers.
pub type PortResult<T> = Result<T, PortError>;

/// Everything the engine of one checkout needs.
#[derive(Clone)]
pub struct World {
    /// The checkout; canonical.
    pub root: PathBuf,
    pub queue: Arc<dyn QueueFile>,
    pub settings: Arc<dyn SettingsSource>,
    pub workshop: Arc<dyn Workshop>,
    pub processes: Arc<dyn Processes>,
    pub clock: Arc<dyn Clock>,
    /// Where attempts keep their files: `<key>/<n>/`.
    pub attempts: PathBuf,
    pub runs: RunBoard,
}

/// Time and chance.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;

    /// How far local time is ahead of UTC now, in seconds.
    fn utc_offset_seconds(&self) -> i32 {
        0
    }

    /// A number nobody can guess.
    fn random(&self) -> u64;
}

/// The journal: append-only, durable before it returns.
pub trait Journal: Send {
    /// Reads every event, in order.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read, or holds an event this version does not know.
    fn load(&mut self) -> PortResult<Vec<Event>>;

    /// Appends the events as one, durably, and returns the sequence number of the last.
    ///
    /// # Errors
    ///
    /// When they are not durable; then none of them is in the journal.
    fn append(&mut self, events: &[Event]) -> PortResult<u64>;
}

/// What the queue file says.
#[derive(Clone, Debug, PartialEq)]
pub enum QueueRead {
    /// There is no file.
    Missing,
    Good {
        tasks: Vec<Task>,
        goals: Vec<Goal>,
        /// Problems that leave the rest usable, as lines for a person.
        warnings: Vec<String>,
    },
    /// It cannot be used; says where and why.
    Broken { problem: String },
}

/// A change of the queue file.
#[derive(Clone, Debug, PartialEq)]
pub enum QueueEdit {
    SetStatus {
        task: TaskId,
        status: Status,
    },
    /// Adds the tasks at the end; replaces in place those whose id is there.
    Put {
        tasks: Vec<Task>,
        goals: Vec<Goal>,
    },
    Remove {
        tasks: Vec<TaskId>,
    },
}

/// `.ralph/queue.json`.
#[async_trait]
pub trait QueueFile: Send + Sync {
    /// Reads the file.
    async fn read(&self) -> PortResult<QueueRead>;

    /// Edits the file as it is now, keeping every byte outside the changed values; replaces it atomically.
    ///
    /// # Errors
    ///
    /// When the file is broken, a task is not in it, or it cannot be written; then it is as it was.
    async fn edit(&self, edits: Vec<QueueEdit>) -> PortResult<()>;

    /// Sends something whenever the file may have changed, until the receiver is dropped.
    fn watch(&self, changed: mpsc::UnboundedSender<()>);
}

/// The layers of configuration in the order to fold them, and warnings about what is ignored in them.
pub type Layers = (Vec<(Layer, Config)>, Vec<String>);

/// Configuration files and trust.
#[async_trait]
pub trait SettingsSource: Send + Sync {
    /// Reads the user's and the repository's configuration, in the order to fold them, with warnings.
    async fn layers(&self) -> PortResult<Layers>;

    /// Returns the command strings a person trusts here.
    async fn trusted(&self) -> PortResult<BTreeSet<String>>;

    /// Adds to them, durably.
    async fn trust(&self, commands: &[String]) -> PortResult<()>;
}

/// What the user sees, as a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartPoint {
    pub commit: String,
    pub head: Option<String>,
    /// Paths that differ from HEAD, sorted.
    pub uncommitted: Vec<String>,
    /// Paths left out, each with the reason.
    pub left_out: Vec<(String, String)>,
}

/// A merge in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merge {
    /// The commit of the result.
    Clean(String),
    Conflict(Vec<String>),
}

/// What was in a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotWork {
    pub head: String,
    /// Paths that differ from the base, sorted.
    pub changed: Vec<String>,
    /// Empty when nothing changed.
    pub diff_hash: String,
}

/// What must stay as it is while an agent runs: an opaque record that can be compared later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutsideState(pub serde_json::Value);

/// What changed outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutsideChange {
    /// Files of the checkout, sorted.
    pub files: Vec<String>,
    /// References, stash, configuration, hooks, and the like, as words for a person.
    pub places: Vec<String>,
    /// HEAD or the branch moved: git did it, so the files that changed with it are the user's.
    pub head_moved: bool,
}

/// Git: start points, slots, proposals, and writes into the checkout.
#[async_trait]
pub trait Workshop: Send + Sync {
    /// Looks for what would make a run fail, before anything starts; returns warnings.
    ///
    /// # Errors
    ///
    /// What blocks, with the next step: no commit yet, an unfinished merge, a filter that cannot be run.
    async fn preflight(&self) -> PortResult<Vec<String>>;

    /// Returns HEAD's commit.
    async fn head(&self) -> PortResult<Option<String>>;

    /// Writes what the user sees as a commit: HEAD, uncommitted and untracked files, and these unsaved buffers.
    async fn snapshot(&self, buffers: Vec<Buffer>) -> PortResult<StartPoint>;

    /// Puts `ancestor..theirs` onto `ours`; all are commits.
    async fn merge(&self, ancestor: &str, ours: &str, theirs: &str, message: &str) -> PortResult<Merge>;

    /// Makes the slot exactly that commit's tree (ignored files aside) and returns its folder.
    async fn fill_slot(&self, slot: &str, commit: &str) -> PortResult<PathBuf>;

    /// Copies what `.worktreeinclude` names into the slot, and runs nothing.
    async fn include_ignored(&self, slot: &str) -> PortResult<()>;

    /// Commits what is in the slot to `refs/ralph/<key>/attempt-<n>`, whatever state its own git files are in.
    async fn commit_slot(&self, slot: &str, base: &str, key: &str, number: u32, message: &str) -> PortResult<SlotWork>;

    /// Makes a commit like `commit` in which these paths are as in `base`.
    async fn with_paths_of(&self, commit: &str, base: &str, paths: &[String]) -> PortResult<String>;

    /// Points `refs/ralph/<key>/base` and `…/head` at a proposal, for any git tool.
    async fn publish(&self, key: &str, base: &str, head: &str) -> PortResult<()>;

    /// Records what must not change while an agent runs.
    async fn outside_before(&self) -> PortResult<OutsideState>;

    /// Compares with the record.
    async fn outside_since(&self, before: &OutsideState) -> PortResult<OutsideChange>;

    /// Returns the files of base..head with their hunks and texts, all marks pending; sorted by path.
    async fn files(&self, base: &str, head: &str) -> PortResult<Vec<ProposalFile>>;

    /// Writes the wanted hunks of base..head into the checkout by compare-and-swap against the text as it is now.
    async fn write_hunks(
        &self,
        base: &str,
        head: &str,
        accepted: BTreeSet<HunkId>,
        rejected: BTreeSet<HunkId>,
        wanted: BTreeSet<HunkId>,
    ) -> PortResult<AcceptReply>;

    /// Makes a commit of the base with exactly the accepted hunks of base..head in it.
    async fn part(&self, base: &str, head: &str, accepted: BTreeSet<HunkId>) -> PortResult<String>;

    /// Returns which of the accepted hunks of base..head are in the checkout's files now.
    async fn on_disk(&self, base: &str, head: &str, accepted: BTreeSet<HunkId>) -> PortResult<BTreeSet<HunkId>>;

    /// Returns which of the hunks of base..head that are not decided do not fit the checkout's files now, with the reason
    /// in words; writes nothing.
    async fn misfits(
        &self,
        base: &str,
        head: &str,
        accepted: BTreeSet<HunkId>,
        rejected: BTreeSet<HunkId>,
    ) -> PortResult<Vec<(HunkId, String)>>;

    /// Makes a commit of the accepted text of tasks, and of nothing else. Hooks of the repository may make it long: they
    /// are ended at the order's limit, and when `stop` holds `true`.
    ///
    /// # Errors
    ///
    /// What keeps it from being right, with the next step; then nothing has changed.
    async fn land(&self, order: LandOrder, stop: watch::Receiver<bool>) -> PortResult<LandOutcome>;

    /// Ends the landing that an engine before this one was at, and returns it where its commit was made. It comes again
    /// until it is known.
    async fn left_landing(&self) -> PortResult<Option<Landing>>;

    /// The journal has what `land` or `left_landing` returned last.
    async fn landing_known(&self) -> PortResult<()>;

    /// Keeps a rejection among what `take_back` takes back.
    async fn keep_rejection(&self, task: &TaskId, hunks: Vec<HunkId>) -> PortResult<()>;

    /// Takes back the newest write of `write_hunks`, rejection or landing that was not yet.
    ///
    /// # Errors
    ///
    /// When there is none, with `landing` when the newest is no landing, and when what it left is not there any more.
    async fn take_back(&self, landing: bool) -> PortResult<TakenBack>;

    /// Returns the hash of the lockfiles in the slot, for running `setup` once per state.
    async fn lockfiles(&self, slot: &str) -> PortResult<String>;
}

/// A process to supervise.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessOrder {
    /// Where its files go: transcript, exit record, order.
    pub folder: PathBuf,
    pub argv: Vec<String>,
    pub cwd: PathBuf,
    /// Added to the user's scrubbed environment.
    pub env: BTreeMap<String, String>,
    pub stdin: Option<PathBuf>,
    pub idle_seconds: Option<u64>,
    pub wall_seconds: Option<u64>,
    /// Signals before the kill, in order.
    pub stop: Vec<StopStep>,
    /// A folder whose changes count as activity.
    pub activity: Option<PathBuf>,
    /// Found again in every process of its tree.
    pub marker: String,
    /// Where it and what it starts may write, where the system can hold them to that; anywhere when absent.
    pub fence: Option<Fence>,
}

/// What an attempt's processes may write to. What every process needs (devices, its own temporary folder), the slot's
/// own git files and the object store come with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fence {
    /// The slot; absent for who may only read it.
    pub slot: Option<PathBuf>,
    pub mailbox: Option<PathBuf>,
    /// Whose caches and session folders may be written to.
    pub agent: Option<AgentConfig>,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessEnd {
    Exited(i32),
    Signaled(i32),
    NotFound(String),
    NotExecutable(String),
    SpawnFailed(String),
    Idle,
    Wall,
    Stopped,
    /// Its supervisor died; what was left of it has been killed.
    Lost,
}

/// A process that is on.
#[async_trait]
pub trait Running: Send {
    /// Returns the output as it comes, once; a later call returns none.
    fn output(&mut self) -> Option<mpsc::Receiver<String>>;

    /// Returns a way to stop it that outlives this value.
    fn stopper(&self) -> Arc<dyn Stopper>;

    /// Waits for its end; its whole tree is dead then.
    async fn wait(&mut self) -> ProcessEnd;
}

/// Stops a process.
#[async_trait]
pub trait Stopper: Send + Sync {
    /// Asks the supervisor to stop it in the agent's own order; returns at once.
    async fn stop(&self);
}

/// A report from a mailbox.
#[derive(Clone, Debug, PartialEq)]
pub enum MailItem {
    Report {
        id: String,
        seq: u64,
        report: Report,
    },
    /// Kept aside; says where and why.
    Poisoned {
        detail: String,
    },
}

/// The reader of one attempt's mailbox.
#[async_trait]
pub trait Mail: Send {
    /// Takes what arrived. Taken reports come again until they are acknowledged.
    async fn take(&mut self) -> PortResult<Vec<MailItem>>;

    /// Forgets a report that is in the journal.
    async fn acknowledge(&mut self, seq: u64) -> PortResult<()>;

    /// Waits until something may have arrived.
    async fn arrived(&mut self);
}

/// Processes and mailboxes.
#[async_trait]
pub trait Processes: Send + Sync {
    /// Starts a process under a supervisor.
    async fn start(&self, order: ProcessOrder) -> PortResult<Box<dyn Running>>;

    /// Takes over the process whose order is in the folder: waits for it, reads how it ended, or kills what is left.
    /// None when it was never started by that order and never will be.
    async fn adopt(&self, folder: PathBuf, marker: String) -> PortResult<Option<Box<dyn Running>>>;

    /// Ends every process whose order is in the folder or below and that an engine before this one started and nobody
    /// waits for; returns when all of them are gone. A process that has ended is left as it is.
    async fn end_left(&self, folder: PathBuf) -> PortResult<()>;

    /// Makes or opens the mailbox of an attempt; returns its folder and its reader. A report without the attempt's nonce
    /// is kept aside.
    async fn mailbox(&self, key: &str, number: u32, nonce: &str) -> PortResult<(PathBuf, Box<dyn Mail>)>;

    /// Puts words into the inbox of an attempt; those with an id that was there before count once.
    async fn deliver(&self, key: &str, number: u32, message: &InboxMessage) -> PortResult<()>;

    /// Writes a file of an attempt durably; makes its folder.
    async fn write(&self, path: PathBuf, text: String) -> PortResult<()>;

    /// Reads a file, at most its last `limit` bytes, lossily; none when it is not there.
    async fn read_tail(&self, path: PathBuf, limit: u64) -> PortResult<Option<String>>;

    /// Tells whether processes are held to their order's fence here; where not, they may write anywhere.
    fn fenced(&self) -> bool {
        false
    }

    /// Returns the folder to put on the agent's PATH so that it finds `ralph-sidecar`.
    fn tool_folder(&self) -> PathBuf;

    /// Returns the program of this process, to start the scripted agent with.
    fn own_program(&self) -> PathBuf;
}

/// Returns the hunks of the files in review order, with their path.
pub fn all_hunks(files: &[ProposalFile]) -> impl Iterator<Item = &Hunk> {
    files.iter().flat_map(|file| file.hunks.iter().map(|(hunk, _)| hunk))
}
