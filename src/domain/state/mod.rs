//! What the journal adds up to. `apply` folds one event (see `fold`); nothing else changes a state.

use super::budget::Days;
use super::chain::{Chain, Left, Reach};
use super::decision::{Decision, DecisionId};
use super::ending::Usage;
use super::event::{AttemptId, HunkRef, Mark, RunEndReason, RunId, StandsOn, UnionReport};
use super::hunks::HunkId;
use super::inbox::Question;
use super::landing::{AcceptedPart, LandedAs};
use super::outcome::{AttemptEnd, CheckResult, Outcome};
use super::report::{Finding, Report};
use super::rounds::{Comment, Decided, Remark};
use super::settings::RunSettings;
use super::task::{Goal, Status, Task, TaskId};
use imbl::{HashMap, Vector};
use serde::{Deserialize, Serialize};
mod fold;
mod index;
mod review;
#[cfg(test)]
mod tests;

use index::Index;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// Everything that is known. Equal journals give equal states.
///
/// The collections share structure, so that a clone costs the same for ten tasks and for ten thousand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// What the queue file says, by id.
    pub tasks: HashMap<TaskId, Arc<Task>>,
    /// Ids in file order.
    pub order: Arc<Vec<TaskId>>,
    pub goals: Arc<Vec<Goal>>,
    /// What happened to each task that something happened to; kept when the task leaves the file.
    pub records: HashMap<TaskId, Arc<Record>>,
    /// Every decision ever raised, in the order raised.
    pub decisions: Vector<Decision>,
    /// Command strings a person trusts in this repository.
    pub trusted: Arc<BTreeSet<String>>,
    pub run: Option<Run>,
    pub last_run: Option<EndedRun>,
    /// How many runs were ever started.
    pub runs: u32,
    /// Who rests until when; outlives runs.
    pub chain: Chain,
    /// What was used on each day.
    pub days: Days,
    pub learnings: Vector<Learning>,
    /// Tasks that agents suggested and that are not in the queue file yet, oldest first.
    pub suggested: Vector<Task>,
    pub(super) index: Index,
}

/// What happened to one task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// In order; the last may be on.
    pub attempts: Vec<Attempt>,
    pub proposal: Option<Proposal>,
    /// Latched: the accepted text was on disk with every hunk decided.
    pub done: bool,
    /// What was accepted in earlier rounds, in order.
    pub earlier: Vec<AcceptedPart>,
    /// The commit its accepted text is in; gone when there is another proposal.
    pub landed: Option<LandedAs>,
    /// Failures that count since a person last looked at the task.
    pub failures: u32,
    /// Index of the first attempt since a person last looked at the task.
    pub round_start: usize,
    /// The next attempt starts clean.
    pub clean: bool,
    /// Words of people for the next attempt, in order: steering, comments, answers without a decision.
    pub notes: Vec<String>,
    /// What people said about its proposals, in order; only they take it back.
    pub comments: Vec<Comment>,
    /// How many comments were ever made; they are numbered by it.
    pub commented: u32,
    /// How often the task came to review since it was started or reopened.
    pub round: u32,
    /// What was decided in earlier rounds.
    pub decided: Decided,
    /// What the next attempt is told about the proposal that was sent back.
    pub remarks: Vec<Remark>,
    /// It was sent back with what was accepted to be left as it is.
    pub rest: bool,
    /// It was sent back to be put onto the text as the user has it.
    pub rebase: bool,
    /// How often people steered the task; their words are numbered by it.
    pub steered: u32,
    /// What people asked agents at work on the task, in order.
    pub questions: Vec<Question>,
    /// What the last agent that said so left for whoever goes on; gone when a person sends the task into a new round.
    pub handoff: Option<String>,
    /// The file still says `done`, or may say so once more, though the task is wanted again.
    pub reopened: bool,
    /// The file has said `done` since the latch closed: when it says something else now, somebody changed it back.
    pub written: bool,
    /// The task as it was when its last attempt was claimed; the attempt outlives its entry in the queue.
    pub claimed: Option<Arc<Task>>,
    /// Positions in [`State::decisions`] of the decisions about the task, in order.
    pub decisions: Vec<usize>,
    /// How many of them were raised before the task was last queued again.
    pub asked_before: usize,
    /// What was used on the task, by its attempts and for it.
    pub used: Usage,
    /// How often its budget was raised.
    pub raised: u32,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    pub number: u32,
    pub run: RunId,
    pub agent: String,
    pub model: Option<String>,
    pub slot: String,
    pub clean: bool,
    pub started_at_ms: i64,
    pub prepared: Option<Prepared>,
    pub agent_started: bool,
    /// Ids already taken, so that a redelivered report counts once.
    pub report_ids: BTreeSet<String>,
    /// The first report that claims, asks or gives up.
    pub verdict: Option<Report>,
    /// Reviews of its result, in the order asked for; the last may be on.
    pub reviews: Vec<Review>,
    pub end: Option<AttemptEnd>,
    pub ended_at_ms: Option<i64>,
}

/// A review of an attempt's result by another agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Review {
    pub round: u32,
    pub agent: String,
    pub model: Option<String>,
    pub base: String,
    pub head: String,
    /// Absent while it is on.
    pub given: Option<ReviewGiven>,
}

/// What a reviewer said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReviewGiven {
    pub summary: String,
    pub findings: Vec<Finding>,
    /// Why there is no review.
    pub failure: Option<String>,
    pub usage: Usage,
}

/// The start point of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    pub base: String,
    pub start: String,
    pub stands_on: Vec<StandsOn>,
    pub notes: Vec<String>,
}

/// A result that waits for review.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    pub attempt: u32,
    pub base: String,
    pub head: String,
    pub hunks: Vec<HunkRef>,
    /// Only hunks that are not pending.
    pub marks: BTreeMap<HunkId, Mark>,
    pub stands_on: Vec<StandsOn>,
    /// The task whose change made it stale.
    pub stale: Option<TaskId>,
    /// With hunks rejected, the person chose to keep just the accepted part.
    pub part_kept: bool,
    /// What is known of that part.
    pub part: Part,
    /// Hunks that are new or different since the round before.
    pub changed: BTreeSet<HunkId>,
    /// Hunks that were rejected before and came again as they were.
    pub again: BTreeSet<HunkId>,
}

/// What is known of the accepted part of a proposal by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// Nobody has checked it as it is now.
    #[default]
    NotVerified,
    /// Its checks passed on exactly the base with the accepted hunks; empty when there was nothing to check it with.
    Verified(Vec<CheckResult>),
    /// Says what failed.
    Failed(String),
    /// The person takes it as it is.
    Taken,
}

impl Proposal {
    /// Returns what a person made of the hunk.
    pub fn mark(&self, hunk: &HunkId) -> Mark {
        self.marks.get(hunk).cloned().unwrap_or_default()
    }

    /// Returns the ids of the accepted hunks.
    pub fn accepted(&self) -> BTreeSet<HunkId> {
        self.with_mark(|mark| *mark == Mark::Accepted)
    }

    /// Returns the ids of the rejected hunks.
    pub fn rejected(&self) -> BTreeSet<HunkId> {
        self.with_mark(|mark| matches!(mark, Mark::Rejected { .. }))
    }

    /// Tells whether no hunk waits for the person.
    pub fn is_decided(&self) -> bool {
        self.hunks.iter().all(|hunk| self.mark(&hunk.id) != Mark::Pending)
    }

    /// Tells whether the hunk is one of the proposal's.
    pub fn has(&self, hunk: &HunkId) -> bool {
        self.hunks.iter().any(|known| known.id == *hunk)
    }

    /// Returns the first of these hunks that the proposal does not have.
    pub fn unknown<'a>(&self, hunks: &'a [HunkId]) -> Option<&'a HunkId> {
        let known: HashSet<&HunkId> = self.hunks.iter().map(|hunk| &hunk.id).collect();
        hunks.iter().find(|hunk| !known.contains(hunk))
    }

    /// Returns the ids of the hunks that wait for the person, in file order.
    pub fn pending(&self) -> Vec<HunkId> {
        let pending = self.hunks.iter().filter(|hunk| self.mark(&hunk.id) == Mark::Pending);
        pending.map(|hunk| hunk.id.clone()).collect()
    }

    /// Returns the rejected hunks in file order, each with why.
    pub fn rejections(&self) -> impl Iterator<Item = (&HunkRef, Option<&str>)> {
        self.hunks.iter().filter_map(|hunk| match self.marks.get(&hunk.id)? {
            Mark::Rejected { why } => Some((hunk, why.as_deref())),
            _ => None,
        })
    }

    /// Tells whether the accepted part was kept and still has to be checked by itself.
    pub fn part_waits(&self) -> bool {
        self.part_kept
            && self.part == Part::NotVerified
            && self.stale.is_none()
            && self.is_decided()
            && !self.rejected().is_empty()
            && !self.accepted().is_empty()
    }

    /// Tells whether the accepted part was kept and counts: it was checked by itself, or a person took it as it is.
    pub fn part_holds(&self) -> bool {
        self.part_kept && matches!(self.part, Part::Verified(_) | Part::Taken)
    }

    fn with_mark(&self, wanted: impl Fn(&Mark) -> bool) -> BTreeSet<HunkId> {
        self.marks.iter().filter(|(_, mark)| wanted(mark)).map(|(id, _)| id.clone()).collect()
    }
}

/// The run that is on.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub id: RunId,
    pub settings: RunSettings,
    /// Only these tasks, when not empty.
    pub only: Vec<TaskId>,
    pub started_at_ms: i64,
    pub paused: bool,
    pub stopping: bool,
    /// The union of the proposals is being checked.
    pub finishing: bool,
    pub active: Option<AttemptId>,
    /// Agents and models that left the chain, with the reason.
    pub left: BTreeMap<Reach, Left>,
    pub used: Usage,
}

/// The run before.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedRun {
    pub id: RunId,
    pub reason: RunEndReason,
    pub union: Option<UnionReport>,
    pub settings: RunSettings,
    pub only: Vec<TaskId>,
    pub started_at_ms: i64,
    pub ended_at_ms: i64,
    pub used: Usage,
}

/// Something an agent learned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learning {
    pub task: TaskId,
    pub text: String,
}

impl State {
    /// Returns the record of the task, when anything happened to it.
    pub fn record(&self, task: &TaskId) -> Option<&Record> {
        self.records.get(task).map(Arc::as_ref)
    }

    /// Returns the attempt.
    pub fn attempt(&self, id: &AttemptId) -> Option<&Attempt> {
        self.records.get(&id.task)?.attempts.iter().find(|attempt| attempt.number == id.number)
    }

    /// Returns the decision.
    pub fn decision(&self, id: &DecisionId) -> Option<&Decision> {
        self.decisions.get(self.decision_at(id)?)
    }

    /// Returns the decisions about the task, in the order raised.
    pub fn decisions_of(&self, task: &TaskId) -> impl DoubleEndedIterator<Item = &Decision> {
        let positions = self.record(task).map(|record| record.decisions.as_slice()).unwrap_or_default();
        positions.iter().filter_map(|at| self.decisions.get(*at))
    }

    fn decision_at(&self, id: &DecisionId) -> Option<usize> {
        // Ids count: `d3` is the third. Any other id is found by looking at all.
        let named = |at: &usize| self.decisions.get(*at).is_some_and(|decision| decision.id == *id);
        let counted = id.0.strip_prefix('d').and_then(|number| number.parse::<usize>().ok());
        let counted = counted.and_then(|number| number.checked_sub(1)).filter(named);
        counted.or_else(|| self.decisions.iter().position(|decision| decision.id == *id))
    }

    /// Returns the decisions a person still has to answer, oldest first.
    pub fn open_decisions(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().filter(|decision| decision.is_open())
    }

    /// Returns every attempt without an end, in no particular order.
    pub fn unfinished_attempts(&self) -> Vec<AttemptId> {
        let unfinished = |(task, record): (&TaskId, &Arc<Record>)| {
            let attempt = record.attempts.last().filter(|attempt| attempt.end.is_none())?;
            Some(AttemptId { task: task.clone(), number: attempt.number })
        };
        self.records.iter().filter_map(unfinished).collect()
    }
}

impl Record {
    /// Returns the attempt that is on.
    pub fn active(&self) -> Option<&Attempt> {
        self.attempts.last().filter(|attempt| attempt.end.is_none())
    }

    /// Returns the ends of this round's attempts, in order.
    pub fn ends_of_round(&self) -> impl Iterator<Item = &AttemptEnd> {
        self.attempts.iter().skip(self.round_start).filter_map(|attempt| attempt.end.as_ref())
    }

    /// Returns how the last finished attempt ended.
    pub fn last_end(&self) -> Option<&AttemptEnd> {
        self.attempts.iter().rev().find_map(|attempt| attempt.end.as_ref())
    }

    /// Returns how many attempts of this round ended with one of the outcomes, back from the last one without a gap.
    pub fn streak(&self, outcomes: &[Outcome]) -> usize {
        let ends: Vec<_> = self.ends_of_round().collect();
        ends.iter().rev().take_while(|end| outcomes.contains(&end.outcome)).count()
    }
}

/// The status a task has, the journal's latch included.
pub fn effective_status(task: &Task, record: Option<&Record>) -> Status {
    match (task.status, record) {
        (Status::Dropped, _) => Status::Dropped,
        (_, Some(record)) if record.done => Status::Done,
        (Status::Done, Some(record)) if record.reopened => Status::Todo,
        (status, _) => status,
    }
}
