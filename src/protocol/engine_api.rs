//! What front ends and the engine say to each other: commands, replies and events, all serialisable.
//!
//! Over the socket each is one line of JSON. A front end keeps nothing that it could not rebuild from a
//! [`Snapshot`]; one that lags behind gets [`EngineEvent::Lagged`] and asks for a new one.

mod after_run;
mod landing;
mod view;

pub use after_run::after_run;
pub use landing::{LandReply, LandRequest, UndoReply};
pub use view::*;

use crate::domain::decision::{Answer, Decision, DecisionId};
use crate::domain::event::{AttemptId, RunEndReason, UnionReport};
use crate::domain::hunks::HunkId;
use crate::domain::outcome::Outcome;
use crate::domain::queue::LiveState;
use crate::domain::report::{Finding, Report};
use crate::domain::task::{Goal, Task, TaskId};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Version of these messages; an engine and a front end with different ones refuse each other.
pub const API_VERSION: u32 = 3;

/// The first line of a front end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    pub api_version: u32,
    /// The checkout the front end is about; canonical.
    pub root: PathBuf,
    pub front_end: FrontEnd,
}

/// Who is calling; also recorded as `by` of answers and marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrontEnd {
    Editor,
    Terminal,
}

impl FrontEnd {
    /// Returns the word recorded in answers and marks.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Editor => "editor",
            Self::Terminal => "terminal",
        }
    }
}

/// Every further line of a front end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Chosen by the caller; the reply carries it.
    pub id: u64,
    pub command: Command,
}

/// Every line of the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line {
    /// Answers the hello.
    Welcome {
        api_version: u32,
        generation: u64,
    },
    /// Answers the hello instead, before hanging up.
    Refused {
        error: ApiError,
    },
    Reply {
        id: u64,
        result: Result<Reply, ApiError>,
    },
    Event {
        event: EngineEvent,
    },
}

/// What a front end can ask for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Everything that is known; replies `Snapshot`.
    Snapshot,
    /// Starts the loop; replies `Done`. Refused with `NotTrusted` while a command string is not trusted.
    Start(StartRequest),
    Pause,
    /// Lets a paused or stopping run go on; one that waits for an agent tries now.
    Resume,
    /// Ends the run after its attempt; with `kill`, at once.
    Stop {
        kill: bool,
    },
    /// Cancels the attempt that is on for the task; the task is ready again and the run goes on.
    Cancel {
        task: TaskId,
    },
    Retry {
        task: TaskId,
        clean: bool,
    },
    Steer {
        task: TaskId,
        text: String,
    },
    /// Asks the agent that is at work on the task; its reply comes as a milestone.
    Ask {
        task: TaskId,
        text: String,
    },
    /// Answers a decision. With `go_on`, a run that ended for want of answers goes on.
    Answer {
        id: DecisionId,
        option: Option<String>,
        text: Option<String>,
        go_on: bool,
    },
    /// Makes drafts `todo` and trusts these command strings, which the person was shown.
    Approve {
        tasks: Vec<TaskId>,
        trust: Vec<String>,
    },
    /// Makes tasks `dropped`.
    Drop {
        tasks: Vec<TaskId>,
    },
    /// Adds tasks and goals to the queue file as they are; replies `Tasks` with what was added.
    AddTasks {
        tasks: Vec<Task>,
        goals: Vec<Goal>,
    },
    /// Plans; replies `Plan` when the planner is done. Long.
    Plan(PlanRequest),
    /// Replaces drafts by those of a plan that was shown, by its id.
    ApplyPlan {
        plan: String,
    },
    /// Stops the planner that is on.
    CancelPlan,
    /// Which command strings starting these tasks would need trust for; all approved ones when empty; replies `Commands`.
    Untrusted {
        tasks: Vec<TaskId>,
        agent: Option<String>,
    },
    /// Trusts command strings a person was shown; replies `Done`.
    Trust {
        commands: Vec<String>,
    },
    /// The proposal with its texts; replies `Proposal`.
    Proposal {
        task: TaskId,
    },
    /// Which hunks of the proposal are pending and do not fit the files as they are on disk; replies `Conflicts`.
    Conflicts {
        task: TaskId,
    },
    /// Accepts hunks (all that are pending when none are named). With `write`, the engine writes the checkout by
    /// compare-and-swap; without, the caller has put the text into an open buffer. Replies `Accepted`.
    Accept {
        task: TaskId,
        hunks: Vec<HunkId>,
        write: bool,
    },
    /// Rejects hunks (all that are pending when none are named). With `rest`, the pending ones, and what was accepted is
    /// kept.
    Reject {
        task: TaskId,
        hunks: Vec<HunkId>,
        why: Option<String>,
        #[serde(default)]
        rest: bool,
    },
    /// Makes hunks pending again: the buffer went back to the text before the acceptance.
    Withdraw {
        task: TaskId,
        hunks: Vec<HunkId>,
    },
    /// With hunks rejected: keep just what was accepted.
    KeepAcceptedPart {
        task: TaskId,
    },
    /// Sends a proposal back with what was said about it. With `rest`, what was accepted stays; with `rebase`, it is to
    /// be put onto the text as the user has it, and what does not fit there is told.
    SendBack {
        task: TaskId,
        comments: Vec<String>,
        #[serde(default = "yes")]
        rest: bool,
        #[serde(default)]
        rebase: bool,
    },
    /// Says something about a proposal: about a hunk, a place in the proposed text (`line` is 1-based), or all of it.
    Comment {
        task: TaskId,
        hunk: Option<HunkId>,
        path: Option<String>,
        line: Option<u32>,
        text: String,
    },
    /// Takes a comment back, by its id.
    DropComment {
        task: TaskId,
        id: String,
    },
    /// Lands accepted work; replies `Landed`. Hooks of the repository may make it long.
    Land(LandRequest),
    /// Ends the landing that is on, whose `Land` then fails.
    StopLanding,
    /// Takes back the newest of what the engine wrote for an accept, a rejection and a landing; replies `Undone`.
    Undo,
    /// Takes back the newest landing, when nothing newer can be taken back; replies `Undone`.
    UndoLanding,
    /// An editor saved these paths (relative to the root).
    Saved {
        paths: Vec<String>,
    },
    /// Answers `EngineEvent::BuffersWanted` with the buffers that differ from disk.
    Buffers {
        token: u64,
        buffers: Vec<Buffer>,
    },
    /// A text of an attempt; replies `Text`.
    Text {
        task: TaskId,
        attempt: Option<u32>,
        what: AttemptText,
    },
    /// A report of an attempt's agent that came over the socket. The only command served from inside an attempt.
    Report {
        attempt: AttemptId,
        report: Report,
    },
    /// An editor has the queue file open with changes that are not on disk (or no longer has): while it holds the
    /// text, the engine does not write the file, and the editor applies status changes to its buffer.
    HoldQueue {
        held: bool,
    },
    /// Reads the queue file again now; replies `Done` when what it says counts.
    ReadQueue,
    /// Ends the engine when no run is on.
    Shutdown,
}

/// How a loop is started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StartRequest {
    /// Only these tasks and what they depend on; all approved ones when empty.
    pub tasks: Vec<TaskId>,
    /// `NAME` or `command:PROGRAM ARGS`, instead of the implementer chain. Typing it trusts it.
    pub agent: Option<String>,
    /// Settings of the editor or the command line, in the form of `.ralph/config.json`; the editor's first.
    pub layers: Vec<serde_json::Value>,
}

/// What plan mode is asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlanRequest {
    /// The user's words.
    pub goal: String,
    /// What they pointed at: a selection, a diagnostic, a file. Data, never instructions.
    pub context: Vec<PlanContext>,
    /// As in [`StartRequest`].
    pub agent: Option<String>,
    pub layers: Vec<serde_json::Value>,
    /// Drafts to revise by these instructions instead of planning something new; then nothing is written before
    /// `ApplyPlan`.
    pub revise: Vec<TaskId>,
}

/// Something the user pointed at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlanContext {
    /// Path relative to the root.
    pub file: Option<String>,
    /// 1-based, inclusive.
    pub lines: Option<(u32, u32)>,
    pub text: String,
}

/// An editor's buffer that differs from disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Buffer {
    /// Path relative to the root.
    pub path: String,
    pub text: String,
}

/// Which text of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptText {
    Prompt,
    /// The prompt of the attempt that is on, else the one that the next attempt would get.
    NextPrompt,
    Transcript,
    /// As `Transcript`, as the agent's driver wrote it.
    RawTranscript,
    Checks,
}

fn yes() -> bool {
    true
}

/// What the engine replies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", content = "value", rename_all = "snake_case")]
pub enum Reply {
    Done,
    Snapshot(Snapshot),
    Tasks(Vec<TaskId>),
    Commands(Vec<String>),
    Plan(PlanReply),
    Proposal(ProposalView),
    /// Each with the reason.
    Conflicts(Vec<(HunkId, String)>),
    Accepted(AcceptReply),
    Landed(LandReply),
    Undone(UndoReply),
    Text(String),
}

/// What planning led to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanReply {
    pub plan: String,
    pub tasks: Vec<Task>,
    /// Whether the drafts are in the queue file already.
    pub applied: bool,
    /// With `revise`: the difference to the drafts before, as a unified diff of their JSON.
    pub diff: String,
    /// What the planner wrote into its slot and was thrown away.
    pub discarded: Vec<String>,
    /// The drafts it revises; those it does not name any more go when it is applied.
    #[serde(default)]
    pub replaces: Vec<TaskId>,
}

/// What accepting did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AcceptReply {
    /// Hunks whose mark changed.
    pub hunks: Vec<HunkId>,
    /// Paths written.
    pub written: Vec<String>,
    /// Hunks that do not fit the text as it is now, with the reason; left pending.
    pub conflicts: Vec<(HunkId, String)>,
}

/// Something a front end may want to show at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EngineEvent {
    /// What changed, to be put over the last snapshot with [`Snapshot::apply`].
    Changed(Delta),
    /// One line of `run --json`.
    Milestone(Milestone),
    /// Coalesced output of an agent or a check; may be dropped.
    Output { task: TaskId, attempt: u32, text: String },
    /// What a planner or an attempt is doing right now.
    Progress { task: Option<TaskId>, attempt: Option<u32>, text: String },
    /// How long the run still waits, in words that need no clock; comes when they change and may be dropped.
    Waiting { left_ms: i64, text: String },
    /// Editors answer with `Command::Buffers` at once; the engine waits at most 300 ms.
    BuffersWanted { token: u64 },
    /// A short line for the person.
    Notice { warning: bool, text: String },
    /// Events were dropped; ask for a snapshot.
    Lagged,
}

/// One line of `run --json`; also drives progress in editors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Milestone {
    RunStarted {
        run: String,
    },
    AttemptStarted {
        task: TaskId,
        attempt: u32,
        agent: String,
    },
    AttemptEnded {
        task: TaskId,
        attempt: u32,
        outcome: Outcome,
        detail: String,
    },
    /// A reviewer is asked about a result that passed its checks.
    ReviewRequest {
        task: TaskId,
        attempt: u32,
        round: u32,
        agent: String,
    },
    /// What it said; without findings and without a failure it approves.
    ReviewFeedback {
        task: TaskId,
        attempt: u32,
        round: u32,
        summary: String,
        findings: Vec<Finding>,
        failure: Option<String>,
    },
    /// Nothing can be claimed before a time (milliseconds since the Unix epoch); `resume` tries at once.
    Waiting {
        until_ms: i64,
        why: String,
    },
    TaskState {
        task: TaskId,
        from: Option<LiveState>,
        to: LiveState,
    },
    DecisionRequested {
        decision: Decision,
    },
    DecisionResolved {
        id: DecisionId,
        answer: Option<Answer>,
    },
    /// An agent replied to what a person said; `question` is empty when `id` is none of a question.
    Replied {
        task: TaskId,
        id: String,
        question: String,
        answer: String,
    },
    RunEnded {
        run: String,
        reason: RunEndReason,
        union: Option<UnionReport>,
    },
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    pub kind: ErrorKind,
    pub message: String,
    /// The next step, when there is one.
    #[serde(default)]
    pub hint: Option<String>,
    /// With `NotTrusted`: the command strings.
    #[serde(default)]
    pub commands: Vec<String>,
}

/// Decides the exit code on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// Exit code 2.
    Usage,
    /// Configuration or data; exit code 3.
    Data,
    /// Exit code 4.
    NotTrusted,
    /// Exit code 5.
    Busy,
    /// Exit code 1.
    Other,
}

impl ApiError {
    /// Makes an error without a hint.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, commands: Vec::new() }
    }

    /// Adds the next step.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
