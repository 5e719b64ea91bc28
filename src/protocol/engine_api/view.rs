//! What front ends see: the snapshot with its parts, and the delta that brings it up to date.

use crate::domain::decision::Decision;
use crate::domain::ending::Usage;
use crate::domain::event::{Mark, RunEndReason, UnionReport};
use crate::domain::hunks::{Hunk, HunkId};
use crate::domain::inbox::Question;
use crate::domain::landing::LandedAs;
use crate::domain::outcome::{CheckResult, Outcome};
use crate::domain::queue::LiveState;
use crate::domain::report::Finding;
use crate::domain::rounds::Comment;
use crate::domain::task::{Goal, Task, TaskId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Everything a front end needs to draw itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Sequence number of the last event it contains.
    pub seq: u64,
    pub root: PathBuf,
    /// In file order.
    pub tasks: Vec<TaskView>,
    pub goals: Vec<Goal>,
    /// The open ones, oldest first.
    pub decisions: Vec<Decision>,
    /// Every decision ever raised that is not open, oldest first.
    pub answered: Vec<Decision>,
    pub run: Option<RunView>,
    pub last_run: Option<EndedRunView>,
    /// Why the queue file cannot be used now; the last good one is in force.
    pub queue_problem: Option<String>,
    /// The effective settings and where each comes from.
    pub settings: serde_json::Value,
    /// Names of the configured agents.
    pub agents: Vec<String>,
    /// Agents and models that rest, or have left the run that is on.
    #[serde(default)]
    pub away: Vec<AwayView>,
    /// What was used since local midnight, over all runs.
    #[serde(default)]
    pub today: Usage,
}

/// An agent or a model that is not tried now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwayView {
    /// Every agent, for want of the network, when absent.
    pub agent: Option<String>,
    /// Every model of the agent when absent.
    pub model: Option<String>,
    /// When it is tried again, in milliseconds since the Unix epoch; with the next run when absent.
    pub until_ms: Option<i64>,
    /// The same in words, in local time.
    pub until: Option<String>,
    pub why: Outcome,
    /// In the agent's own words.
    pub detail: String,
}

/// A task with what happens to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskView {
    pub task: Task,
    pub state: LiveState,
    /// One sentence: why it does not run, or what waits.
    pub why: String,
    pub attempts: Vec<AttemptView>,
    pub proposal: Option<ProposalSummary>,
    /// What people asked its agents at work, oldest first.
    #[serde(default)]
    pub questions: Vec<Question>,
    /// What people said about its proposals, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comments: Vec<Comment>,
    /// What was used on it, as far as agents tell.
    #[serde(default)]
    pub used: Usage,
    /// The commit its accepted text is in.
    #[serde(default)]
    pub landed: Option<LandedAs>,
    /// Whether its accepted text can be made a commit.
    #[serde(default)]
    pub landable: bool,
}

/// An attempt as shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptView {
    pub number: u32,
    pub agent: String,
    /// The agent's own default when absent.
    #[serde(default)]
    pub model: Option<String>,
    /// Absent while it is on.
    pub outcome: Option<Outcome>,
    pub detail: String,
    pub started_at_ms: i64,
    pub ended_at_ms: Option<i64>,
    pub checks: Vec<CheckResult>,
    /// What it used, as far as its agent tells; nothing while it is on.
    #[serde(default)]
    pub used: Usage,
}

/// A proposal without its texts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProposalSummary {
    pub attempt: u32,
    pub outcome: Outcome,
    pub base: String,
    pub head: String,
    /// Sorted.
    pub files: Vec<String>,
    pub hunks: Vec<HunkSummary>,
    /// The agent's summary.
    pub summary: Option<String>,
    pub part_kept: bool,
    /// How the accepted part stands by itself, in words, where a person kept just that.
    #[serde(default)]
    pub part: Option<String>,
    /// How often the task came to review, from 1.
    #[serde(default)]
    pub round: u32,
}

/// A hunk without its text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HunkSummary {
    pub id: HunkId,
    pub path: String,
    pub state: Mark,
    /// New or different since the round before.
    #[serde(default)]
    pub changed: bool,
    /// Rejected before, and here again as it was.
    #[serde(default)]
    pub again: bool,
}

/// A proposal with its texts, for mapping onto buffers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProposalView {
    pub task: TaskId,
    pub title: String,
    pub attempt: u32,
    pub outcome: Outcome,
    pub summary: Option<String>,
    pub checks: Vec<CheckResult>,
    pub acceptance: Vec<String>,
    /// What the reviewer wants changed.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Sorted by path.
    pub files: Vec<ProposalFile>,
    /// What is known beside the texts; the snapshot may know it newer.
    #[serde(flatten)]
    pub review: ReviewView,
}

/// What a person and earlier rounds made of a proposal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReviewView {
    /// How often the task came to review, from 1.
    pub round: u32,
    /// Hunks that are new or different since the round before.
    pub changed: BTreeSet<HunkId>,
    /// Hunks that were rejected before and are here again as they were.
    pub again: BTreeSet<HunkId>,
    pub comments: Vec<Comment>,
    /// How the accepted part stands by itself, in words, where a person kept just that.
    pub part: Option<String>,
    /// Which hunks rest on hunks of other proposals that waited when this was asked for.
    pub rests_on: Vec<RestsOn>,
}

/// A hunk that cannot stand without hunks of another task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestsOn {
    pub hunk: HunkId,
    pub task: TaskId,
    /// Those hunks.
    pub on: Vec<HunkId>,
}

/// One file of a proposal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProposalFile {
    pub path: String,
    /// Where it was on the old side, when that differs.
    pub old_path: Option<String>,
    /// Absent when the file is not there or is not text.
    pub base_text: Option<String>,
    pub head_text: Option<String>,
    /// In file order, with what a person made of each.
    pub hunks: Vec<(Hunk, Mark)>,
}

/// The run that is on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunView {
    pub id: String,
    pub started_at_ms: i64,
    pub paused: bool,
    pub stopping: bool,
    pub task: Option<TaskId>,
    pub attempt: Option<u32>,
    pub agent: Option<String>,
    /// When an agent is free again, in milliseconds since the Unix epoch, while all who could work rest.
    #[serde(default)]
    pub waiting_until_ms: Option<i64>,
    /// For whom, until when in local time, and why: `waits for claude until 15:04 (rate limited)`.
    #[serde(default)]
    pub waiting_why: Option<String>,
    #[serde(default)]
    pub used: Usage,
}

/// The run before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndedRunView {
    pub id: String,
    pub reason: RunEndReason,
    pub union: Option<UnionReport>,
    #[serde(default)]
    pub started_at_ms: i64,
    pub ended_at_ms: i64,
    #[serde(default)]
    pub used: Usage,
}

/// The part of a snapshot that changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    pub seq: u64,
    pub tasks: Vec<TaskView>,
    /// All ids in file order, when tasks came, went or moved.
    pub order: Option<Vec<TaskId>>,
    /// All decisions, when any changed: the open ones, then the others.
    pub decisions: Option<(Vec<Decision>, Vec<Decision>)>,
    pub run: Option<RunView>,
    pub last_run: Option<EndedRunView>,
    pub queue_problem: Option<String>,
    pub goals: Option<Vec<Goal>>,
    #[serde(default)]
    pub away: Vec<AwayView>,
    #[serde(default)]
    pub today: Usage,
}

impl Snapshot {
    /// Puts a delta over the snapshot. An older delta changes nothing.
    pub fn apply(&mut self, delta: Delta) {
        if delta.seq < self.seq {
            return;
        }
        self.seq = delta.seq;
        self.run = delta.run;
        self.last_run = delta.last_run;
        self.queue_problem = delta.queue_problem;
        self.away = delta.away;
        self.today = delta.today;
        if let Some((open, answered)) = delta.decisions {
            self.decisions = open;
            self.answered = answered;
        }
        if let Some(goals) = delta.goals {
            self.goals = goals;
        }
        let mut changed: std::collections::HashMap<TaskId, TaskView> =
            delta.tasks.into_iter().map(|view| (view.task.id.clone(), view)).collect();
        for view in &mut self.tasks {
            if let Some(new) = changed.remove(&view.task.id) {
                *view = new;
            }
        }
        self.tasks.extend(changed.into_values());
        if let Some(order) = delta.order {
            let position: std::collections::HashMap<&TaskId, usize> =
                order.iter().enumerate().map(|(at, id)| (id, at)).collect();
            self.tasks.retain(|view| position.contains_key(&view.task.id));
            self.tasks.sort_by_key(|view| position.get(&view.task.id).copied());
        }
    }

    /// Returns the task's view.
    pub fn task(&self, id: &TaskId) -> Option<&TaskView> {
        self.tasks.iter().find(|view| view.task.id == *id)
    }
}
