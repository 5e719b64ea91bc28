//! Facts. They are journaled, and folding them gives the state; their serde form is the journal's only format.

use super::budget::BudgetOf;
use super::chain::Reach;
use super::decision::{Answer, Decision, DecisionId};
use super::ending::Usage;
use super::hunks::{Hunk, HunkId};
use super::landing::Landing;
use super::outcome::{AttemptEnd, CheckResult, Outcome};
use super::report::{Finding, Report};
use super::rounds::{Comment, Remark};
use super::settings::RunSettings;
use super::task::{Goal, Task, TaskId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Identifies a run within one journal, for example `r2`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub String);

/// One attempt of one task.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AttemptId {
    pub task: TaskId,
    /// 1-based, never reused within a task.
    pub number: u32,
}

impl std::fmt::Display for AttemptId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}#{}", self.task, self.number)
    }
}

/// A hunk as the journal knows it; its text comes from git.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HunkRef {
    pub id: HunkId,
    /// Path on the new side, or on the old side of a deletion.
    pub path: String,
    /// Equal for the same change with other lines around it; empty in older journals.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Its text was in the user's checkout already when it was proposed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub there: bool,
}

impl HunkRef {
    /// Makes what the journal keeps of a hunk.
    pub fn of(hunk: &Hunk) -> Self {
        Self { id: hunk.id.clone(), path: hunk.path.clone(), text: hunk.text_key(), there: false }
    }

    /// Tells whether its text was in the checkout; older journals do not know, and there it is taken for granted.
    pub fn is_there(&self) -> bool {
        self.there || self.text.is_empty()
    }
}

/// What a person made of a hunk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mark", rename_all = "snake_case")]
pub enum Mark {
    #[default]
    Pending,
    Accepted,
    Rejected {
        #[serde(default)]
        why: Option<String>,
    },
}

/// A proposal that an attempt's base was built on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandsOn {
    pub task: TaskId,
    pub attempt: u32,
    /// Head of that proposal when it was folded in.
    pub head: String,
}

/// Why a task may be tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Requeue {
    /// A person asked for it.
    Retry {
        #[serde(default)]
        clean: bool,
    },
    /// A decision was answered.
    Answered { decision: DecisionId, clean: bool },
    /// The proposal was sent back with these words.
    SentBack {
        comments: Vec<String>,
        /// Whether what was accepted stays accepted.
        #[serde(default)]
        rest: bool,
        /// It is to be put onto the text as the user has it now.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        rebase: bool,
    },
    /// What it stood on changed, and moving it failed.
    MoveFailed { detail: String },
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEndReason {
    /// Nothing more can run and nobody is needed except for review.
    Finished,
    /// Nothing more can run before a person answers or mends something.
    NeedsPerson,
    /// A person stopped it.
    Stopped,
    /// The run's own budget is used up.
    Budget,
}

impl RunEndReason {
    /// Returns the public word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::NeedsPerson => "needs_person",
            Self::Stopped => "stopped",
            Self::Budget => "budget",
        }
    }
}

/// What merging and checking all proposals of a run together showed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnionReport {
    /// The proposals that were merged, in queue order.
    pub tasks: Vec<TaskId>,
    /// Pairs that cannot be merged, with the paths.
    #[serde(default)]
    pub clashes: Vec<Clash>,
    /// Command lines of checks that pass on each and fail on the union.
    #[serde(default)]
    pub failed_checks: Vec<String>,
}

/// Two proposals that change the same lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clash {
    pub first: TaskId,
    pub second: TaskId,
    pub paths: Vec<String>,
}

/// A fact. Append-only: variants and fields may be added, never change their meaning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The queue file says something new. Absent parts did not change.
    QueueChanged {
        upserted: Vec<Task>,
        removed: Vec<TaskId>,
        #[serde(default)]
        order: Option<Vec<TaskId>>,
        #[serde(default)]
        goals: Option<Vec<Goal>>,
    },
    /// The set of command strings a person trusts in this repository changed.
    TrustRead {
        commands: BTreeSet<String>,
    },
    RunStarted {
        run: RunId,
        settings: RunSettings,
        only: Vec<TaskId>,
        at_ms: i64,
    },
    RunPaused {
        run: RunId,
    },
    RunResumed {
        run: RunId,
    },
    /// Nothing is claimed any more; the run ends when its attempt has.
    RunStopping {
        run: RunId,
    },
    /// Nothing is runnable; the union of the proposals is being checked.
    RunFinishing {
        run: RunId,
    },
    RunEnded {
        run: RunId,
        reason: RunEndReason,
        #[serde(default)]
        union: Option<UnionReport>,
        at_ms: i64,
    },
    /// An agent leaves the chain for the rest of the run. Written by older versions; now it is `LinkLeft`.
    AgentLeft {
        run: RunId,
        agent: String,
        detail: String,
    },
    /// An agent or one of its models leaves the chain for the rest of the run.
    LinkLeft {
        run: RunId,
        reach: Reach,
        why: Outcome,
        detail: String,
    },
    /// An agent, a model or, for want of the network, everything rests until a time; that outlives the run.
    LinkCooled {
        reach: Reach,
        until_ms: i64,
        /// Failures in a row, when the time comes from backoff rather than from the agent.
        #[serde(default)]
        tries: u32,
        why: Outcome,
        #[serde(default)]
        detail: String,
        at_ms: i64,
    },
    /// What rested is free again.
    LinkFreed {
        reach: Reach,
        /// Whether the failures in a row are forgotten, and what left the run is back: it worked, or a person said so.
        #[serde(default)]
        forgotten: bool,
    },
    /// What a turn used that is no attempt's own, such as a planner's or a reviewer's.
    UsageCounted {
        #[serde(default)]
        task: Option<TaskId>,
        #[serde(default)]
        run: Option<RunId>,
        role: String,
        usage: Usage,
        at_ms: i64,
    },
    /// A person allowed as much again.
    BudgetRaised {
        of: BudgetOf,
        #[serde(default)]
        task: Option<TaskId>,
        /// With a day's budget: the local day since the epoch.
        #[serde(default)]
        day: Option<i64>,
    },
    /// The claim: from here on the attempt exists and will have exactly one end.
    AttemptStarted {
        attempt: AttemptId,
        run: RunId,
        agent: String,
        /// The model that was chosen; the agent's own default when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        slot: String,
        clean: bool,
        at_ms: i64,
    },
    /// The slot holds the start point.
    AttemptPrepared {
        attempt: AttemptId,
        /// Commit the proposal will be compared with.
        base: String,
        /// Commit the agent starts from; differs from base when it continues earlier work.
        start: String,
        stands_on: Vec<StandsOn>,
        #[serde(default)]
        notes: Vec<String>,
    },
    /// The supervisor has the order; from here on the agent may have run.
    AgentStarted {
        attempt: AttemptId,
    },
    ReportTaken {
        attempt: AttemptId,
        id: String,
        report: Report,
    },
    /// A reviewer with a fresh context was asked about what passed its checks.
    ReviewRequested {
        attempt: AttemptId,
        /// 1-based: which review of the task since a person last looked at it.
        round: u32,
        agent: String,
        /// The model that was chosen; the agent's own default when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        base: String,
        head: String,
    },
    /// What the reviewer said; without findings and without a failure it approves.
    ReviewGiven {
        attempt: AttemptId,
        round: u32,
        summary: String,
        #[serde(default)]
        findings: Vec<Finding>,
        /// Why there is no review.
        #[serde(default)]
        failure: Option<String>,
        #[serde(default)]
        usage: Usage,
    },
    AttemptEnded {
        attempt: AttemptId,
        end: AttemptEnd,
        at_ms: i64,
    },
    /// A verified or unchecked result waits for review.
    ProposalMade {
        attempt: AttemptId,
        base: String,
        head: String,
        hunks: Vec<HunkRef>,
        stands_on: Vec<StandsOn>,
    },
    /// What the proposal stands on changed; it must be moved before it counts.
    ProposalStale {
        task: TaskId,
        because: TaskId,
    },
    /// The proposal was moved to a new base and its checks passed again.
    ProposalMoved {
        task: TaskId,
        base: String,
        head: String,
        hunks: Vec<HunkRef>,
        stands_on: Vec<StandsOn>,
    },
    HunksMarked {
        task: TaskId,
        hunks: Vec<HunkId>,
        mark: Mark,
        by: String,
    },
    /// With hunks rejected: only the accepted part is kept, and the task counts as decided.
    AcceptedPartKept {
        task: TaskId,
    },
    /// The checks ran on exactly the base with the accepted hunks.
    AcceptedPartChecked {
        task: TaskId,
        /// The accepted hunks it was.
        hunks: BTreeSet<HunkId>,
        #[serde(default)]
        checks: Vec<CheckResult>,
        /// Why the part does not hold; absent when it does, or when there is nothing to check it with.
        #[serde(default)]
        failed: Option<String>,
    },
    /// A person takes the accepted part though its checks failed.
    AcceptedPartTaken {
        task: TaskId,
    },
    /// A person said something about a proposal.
    CommentMade {
        task: TaskId,
        comment: Comment,
    },
    CommentDropped {
        task: TaskId,
        id: String,
    },
    /// What was said about a proposal goes to the next attempt; comments among it are sent now.
    RemarksSent {
        task: TaskId,
        remarks: Vec<Remark>,
    },
    /// Every hunk is decided and the accepted text is on disk. Latched.
    TaskDone {
        task: TaskId,
    },
    /// The accepted text was taken back from disk: the latch opens and the proposal waits again.
    AcceptanceUndone {
        task: TaskId,
    },
    /// The accepted text of finished tasks became a commit.
    Landed {
        landing: Landing,
        at_ms: i64,
    },
    /// The commit was taken back: the branch is where it was, and the tasks can be landed again.
    LandingUndone {
        tasks: Vec<TaskId>,
        commit: String,
    },
    /// A person asked for a finished task again.
    TaskReopened {
        task: TaskId,
    },
    TaskRequeued {
        task: TaskId,
        requeue: Requeue,
    },
    Steered {
        task: TaskId,
        text: String,
    },
    /// A person asked the agent of the attempt something; it answers by a report that names the id.
    Asked {
        attempt: AttemptId,
        id: String,
        text: String,
    },
    DecisionRaised {
        decision: Decision,
    },
    DecisionAnswered {
        id: DecisionId,
        answer: Answer,
    },
    DecisionWithdrawn {
        id: DecisionId,
    },
    /// Something later attempts and tasks should know.
    LearningKept {
        task: TaskId,
        text: String,
    },
}
