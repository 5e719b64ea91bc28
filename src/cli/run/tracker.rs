//! Which milestones were told already, so that a front end that lost events catches up from a snapshot.

use crate::domain::decision::DecisionId;
use crate::domain::queue::LiveState;
use crate::domain::task::TaskId;
use crate::protocol::engine_api::{Milestone, Snapshot};
use std::collections::{HashMap, HashSet};

/// Knows what was told since the snapshot it began with.
#[derive(Clone, Debug, Default)]
pub struct Tracker {
    started: HashSet<(TaskId, u32)>,
    ended: HashSet<(TaskId, u32)>,
    states: HashMap<TaskId, LiveState>,
    asked: HashSet<DecisionId>,
    resolved: HashSet<DecisionId>,
    replied: HashSet<(TaskId, String, String)>,
    runs_started: HashSet<String>,
    runs_ended: HashSet<String>,
}

impl Tracker {
    /// Counts everything in the snapshot as told.
    pub fn new(snapshot: &Snapshot) -> Self {
        let mut tracker = Self::default();
        tracker.catch_up(snapshot);
        tracker
    }

    /// Notes a milestone; tells whether it is news.
    pub fn take(&mut self, milestone: &Milestone) -> bool {
        match milestone {
            Milestone::RunStarted { run } => self.runs_started.insert(run.clone()),
            Milestone::RunEnded { run, .. } => self.runs_ended.insert(run.clone()),
            Milestone::AttemptStarted { task, attempt, .. } => self.started.insert((task.clone(), *attempt)),
            Milestone::AttemptEnded { task, attempt, .. } => self.ended.insert((task.clone(), *attempt)),
            Milestone::TaskState { task, to, .. } => self.states.insert(task.clone(), *to) != Some(*to),
            Milestone::DecisionRequested { decision } => self.asked.insert(decision.id.clone()),
            Milestone::DecisionResolved { id, .. } => self.resolved.insert(id.clone()),
            Milestone::Replied { task, id, answer, .. } => {
                self.replied.insert((task.clone(), id.clone(), answer.clone()))
            }
        }
    }

    /// Returns what the snapshot tells beyond what was told, in an order in which it may have happened.
    pub fn catch_up(&mut self, snapshot: &Snapshot) -> Vec<Milestone> {
        let mut missed = Vec::new();
        if let Some(run) = &snapshot.run {
            missed.push(Milestone::RunStarted { run: run.id.clone() });
        }
        for view in &snapshot.tasks {
            let task = &view.task.id;
            for attempt in &view.attempts {
                let (number, agent) = (attempt.number, attempt.agent.clone());
                missed.push(Milestone::AttemptStarted { task: task.clone(), attempt: number, agent });
                if let Some(outcome) = attempt.outcome {
                    let detail = attempt.detail.clone();
                    missed.push(Milestone::AttemptEnded { task: task.clone(), attempt: number, outcome, detail });
                }
            }
            for question in &view.questions {
                if let Some(answer) = question.answer.clone() {
                    let (id, question) = (question.id.clone(), question.text.clone());
                    missed.push(Milestone::Replied { task: task.clone(), id, question, answer });
                }
            }
            let from = self.states.get(task).copied();
            missed.push(Milestone::TaskState { task: task.clone(), from, to: view.state });
        }
        for decision in snapshot.answered.iter().chain(&snapshot.decisions) {
            missed.push(Milestone::DecisionRequested { decision: decision.clone() });
        }
        for decision in &snapshot.answered {
            missed.push(Milestone::DecisionResolved { id: decision.id.clone(), answer: decision.answer.clone() });
        }
        if let Some(last) = &snapshot.last_run {
            let (run, union) = (last.id.clone(), last.union.clone());
            missed.push(Milestone::RunEnded { run, reason: last.reason, union });
        }
        missed.retain(|milestone| self.take(milestone));
        missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::samples;
    use crate::domain::outcome::Outcome;

    #[test]
    fn lost_events_are_told_once_and_in_order() {
        let before = samples::snapshot();
        let mut tracker = Tracker::new(&before);
        assert_eq!(tracker.catch_up(&before), vec![]);

        let mut after = before.clone();
        after.tasks[2].state = LiveState::Running;
        after.tasks[2].attempts = vec![
            samples::attempt(1, Some(Outcome::Incomplete), "ended without a report"),
            samples::attempt(2, None, ""),
        ];
        // One of the events did arrive.
        let told = Milestone::AttemptStarted { task: "use-name".into(), attempt: 1, agent: "claude".into() };
        assert!(tracker.take(&told) && !tracker.take(&told));
        let words: Vec<String> = tracker
            .catch_up(&after)
            .iter()
            .map(|milestone| serde_json::to_value(milestone).expect("serialises")["type"].to_string())
            .collect();
        assert_eq!(words, ["\"attempt_ended\"", "\"attempt_started\"", "\"task_state\""]);
        assert_eq!(tracker.catch_up(&after), vec![]);
    }
}
