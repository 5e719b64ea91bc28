//! What follows from the facts and would cost a look at every task: which can be claimed, in what order, and which
//! proposals are stale. Kept up to date event by event, so that an iteration costs the same whatever the queue holds.

use super::{State, effective_status};
use crate::domain::decision::DecisionKind;
use crate::domain::event::Event;
use crate::domain::queue;
use crate::domain::task::{Priority, Status, Task, TaskId};
use imbl::{HashMap, OrdSet};
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// The order of claiming: priority, how many tasks it unblocks, file order. The first is next.
type Rank = (Reverse<Priority>, Reverse<usize>, usize, TaskId);

/// Derived from the rest of the state; see the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::domain) struct Index {
    positions: HashMap<TaskId, usize>,
    /// Which tasks name each one as a dependency.
    dependents: HashMap<TaskId, OrdSet<TaskId>>,
    /// Tasks in a dependency cycle or leading into one, whatever their status.
    pub(in crate::domain) tangled: Arc<HashSet<TaskId>>,
    ranks: HashMap<TaskId, Rank>,
    pub(in crate::domain) ready: OrdSet<Rank>,
    pub(in crate::domain) stale: OrdSet<TaskId>,
    /// Positions of open decisions about a check that fails before anything is changed: they hold up every task.
    pub(in crate::domain) gates: OrdSet<usize>,
}

/// What has to be looked at again after an event.
pub(super) enum Change {
    /// The order or a dependency changed.
    Shape,
    /// Something that every task's readiness depends on.
    Everything,
    /// These, what depends on them and what they depend on.
    Around(Vec<TaskId>),
    /// These alone.
    Only(Vec<TaskId>),
}

impl State {
    /// Returns the tasks that name the given one as a dependency, by id.
    pub fn dependents(&self, id: &TaskId) -> impl Iterator<Item = &TaskId> {
        self.index.dependents.get(id).into_iter().flatten()
    }

    /// Says what the event will change; asked before it is applied.
    pub(super) fn index_of_change(&self, event: &Event) -> Change {
        match event {
            Event::QueueChanged { upserted, removed, order, .. } => {
                let rewired =
                    |task: &Task| self.tasks.get(&task.id).is_none_or(|known| known.depends_on != task.depends_on);
                if order.is_some() || !removed.is_empty() || upserted.iter().any(rewired) {
                    Change::Shape
                } else {
                    Change::Around(upserted.iter().map(|task| task.id.clone()).collect())
                }
            }
            Event::TrustRead { .. }
            | Event::RunStarted { .. }
            | Event::RunEnded { .. }
            | Event::AgentLeft { .. }
            | Event::LinkLeft { .. } => Change::Everything,
            // What rests can be claimed as soon as it is free; only what had left was not ready.
            Event::LinkFreed { reach, forgotten } => {
                let back = *forgotten && self.run.as_ref().is_some_and(|run| run.left.contains_key(reach));
                if back { Change::Everything } else { Change::Only(Vec::new()) }
            }
            Event::DecisionRaised { decision } if decision.kind == DecisionKind::Setup => Change::Everything,
            Event::DecisionRaised { decision } => Change::Only(decision.task.iter().cloned().collect()),
            Event::DecisionAnswered { id, .. } | Event::DecisionWithdrawn { id } => match self.decision(id) {
                Some(decision) if decision.kind == DecisionKind::Setup => Change::Everything,
                decision => Change::Only(decision.and_then(|decision| decision.task.clone()).into_iter().collect()),
            },
            Event::AttemptStarted { attempt, .. }
            | Event::AttemptEnded { attempt, .. }
            | Event::ProposalMade { attempt, .. } => Change::Around(vec![attempt.task.clone()]),
            Event::ProposalStale { task, .. }
            | Event::ProposalMoved { task, .. }
            | Event::HunksMarked { task, .. }
            | Event::AcceptedPartKept { task }
            | Event::AcceptedPartChecked { task, .. }
            | Event::AcceptedPartTaken { task }
            | Event::TaskDone { task }
            | Event::AcceptanceUndone { task }
            | Event::TaskReopened { task }
            | Event::TaskRequeued { task, .. } => Change::Around(vec![task.clone()]),
            Event::RunPaused { .. }
            | Event::RunResumed { .. }
            | Event::RunStopping { .. }
            | Event::RunFinishing { .. }
            | Event::AttemptPrepared { .. }
            | Event::AgentStarted { .. }
            | Event::ReportTaken { .. }
            | Event::ReviewRequested { .. }
            | Event::ReviewGiven { .. }
            | Event::LinkCooled { .. }
            | Event::UsageCounted { .. }
            | Event::BudgetRaised { .. }
            | Event::Steered { .. }
            | Event::Asked { .. }
            | Event::CommentMade { .. }
            | Event::CommentDropped { .. }
            | Event::RemarksSent { .. }
            | Event::Landed { .. }
            | Event::LandingUndone { .. }
            | Event::LearningKept { .. } => Change::Only(Vec::new()),
        }
    }

    pub(super) fn reindex(&mut self, event: &Event, change: Change) {
        self.reindex_gates(event);
        match change {
            Change::Shape => {
                self.reindex_shape();
                self.reindex_tasks();
            }
            Change::Everything => self.reindex_tasks(),
            Change::Only(ids) => ids.iter().for_each(|id| self.reindex_task(id)),
            Change::Around(ids) => {
                let mut around: BTreeSet<TaskId> = ids.iter().cloned().collect();
                for id in &ids {
                    around.extend(self.dependents(id).cloned());
                    // How many tasks a dependency unblocks counts only while it can be claimed.
                    let needs = self.tasks.get(id).map(|task| task.depends_on.as_slice()).unwrap_or_default();
                    around.extend(needs.iter().filter(|need| self.index.ranks.contains_key(*need)).cloned());
                }
                around.iter().for_each(|id| self.reindex_task(id));
            }
        }
    }

    pub(super) fn reindex_all(&mut self) {
        let setup = |(at, decision): (usize, &crate::domain::decision::Decision)| is_gate(decision).then_some(at);
        self.index.gates = self.decisions.iter().enumerate().filter_map(setup).collect();
        self.reindex_shape();
        self.reindex_tasks();
    }

    fn reindex_gates(&mut self, event: &Event) {
        let at = match event {
            Event::DecisionRaised { .. } => self.decisions.len().checked_sub(1),
            Event::DecisionAnswered { id, .. } | Event::DecisionWithdrawn { id } => self.decision_at(id),
            _ => None,
        };
        let Some(at) = at else { return };
        if self.decisions.get(at).is_some_and(is_gate) {
            self.index.gates.insert(at);
        } else {
            self.index.gates.remove(&at);
        }
    }

    fn reindex_shape(&mut self) {
        self.index.positions = self.order.iter().enumerate().map(|(at, id)| (id.clone(), at)).collect();
        let mut dependents: HashMap<TaskId, OrdSet<TaskId>> = HashMap::new();
        for task in self.tasks.values() {
            for dependency in &task.depends_on {
                dependents.entry(dependency.clone()).or_default().insert(task.id.clone());
            }
        }
        self.index.dependents = dependents;
        self.index.tangled = Arc::new(self.find_tangled());
    }

    /// Takes away, again and again, the tasks that depend on nothing left; what remains is in a cycle or leads to one.
    fn find_tangled(&self) -> HashSet<TaskId> {
        let known = |task: &Task| {
            let known: BTreeSet<&TaskId> = task.depends_on.iter().filter(|id| self.tasks.contains_key(*id)).collect();
            known.len()
        };
        let mut open: std::collections::HashMap<&TaskId, usize> =
            self.tasks.iter().map(|(id, task)| (id, known(task))).collect();
        let mut free: Vec<&TaskId> = open.iter().filter(|(_, count)| **count == 0).map(|(id, _)| *id).collect();
        while let Some(id) = free.pop() {
            open.remove(id);
            for dependent in self.dependents(id) {
                if let Some(count) = open.get_mut(dependent) {
                    *count -= 1;
                    if *count == 0 {
                        free.push(dependent);
                    }
                }
            }
        }
        open.into_keys().cloned().collect()
    }

    fn reindex_tasks(&mut self) {
        self.index.ranks = HashMap::new();
        self.index.ready = OrdSet::new();
        self.index.stale = OrdSet::new();
        for id in Arc::clone(&self.order).iter() {
            self.reindex_task(id);
        }
    }

    fn reindex_task(&mut self, id: &TaskId) {
        let stale = self.record(id).and_then(|record| record.proposal.as_ref()).is_some_and(|it| it.stale.is_some());
        if stale && self.tasks.contains_key(id) {
            self.index.stale.insert(id.clone());
        } else {
            self.index.stale.remove(id);
        }
        let rank = self.rank(id);
        if self.index.ranks.get(id) == rank.as_ref() {
            return;
        }
        if let Some(old) = self.index.ranks.remove(id) {
            self.index.ready.remove(&old);
        }
        if let Some(rank) = rank {
            self.index.ready.insert(rank.clone());
            self.index.ranks.insert(id.clone(), rank);
        }
    }

    fn rank(&self, id: &TaskId) -> Option<Rank> {
        let task = self.tasks.get(id)?;
        let position = *self.index.positions.get(id)?;
        if !queue::is_ready(self, task) {
            return None;
        }
        let waits = |dependent: &&TaskId| {
            let task = self.tasks.get(*dependent);
            task.is_some_and(|task| effective_status(task, self.record(dependent)) == Status::Todo)
        };
        let unblocks = self.dependents(id).filter(waits).count();
        Some((Reverse(task.priority), Reverse(unblocks), position, id.clone()))
    }
}

fn is_gate(decision: &crate::domain::decision::Decision) -> bool {
    decision.kind == DecisionKind::Setup && decision.evidence.check.is_some() && decision.is_open()
}
