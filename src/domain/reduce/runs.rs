//! The run: starting, pausing, ending it, claiming the next task, moving what became stale.

use super::{Effect, MoveResult, Next, Refusal};
use crate::domain::budget;
use crate::domain::decision::{Decision, DecisionKind, DecisionOption, OptionEffect};
use crate::domain::event::{Event, Requeue, RunEndReason, RunId, UnionReport};
use crate::domain::queue::{self, LiveState, live_state};
use crate::domain::settings::RunSettings;
use crate::domain::state::{Run, State, effective_status};
use crate::domain::task::{Goal, Status, Task, TaskId};
use std::collections::{BTreeMap, HashMap};

/// Tells whether a stale proposal can be moved now: what it stands on has a usable result again.
pub(super) fn can_move(state: &State, id: &TaskId) -> bool {
    let Some(proposal) = state.record(id).and_then(|record| record.proposal.as_ref()) else { return false };
    proposal.stands_on.iter().all(|on| {
        let Some(record) = state.record(&on.task) else { return true };
        let dropped = state.tasks.get(&on.task).is_some_and(|task| task.status == Status::Dropped);
        record.done || dropped || queue::has_usable_result(record)
    })
}

impl Next {
    pub(super) fn queue_read(&mut self, tasks: Vec<Task>, goals: Vec<Goal>, head_moved: bool) {
        let order: Vec<TaskId> = tasks.iter().map(|task| task.id.clone()).collect();
        let new: HashMap<&TaskId, &Task> = tasks.iter().map(|task| (&task.id, task)).collect();
        let removed: Vec<TaskId> = self.state.order.iter().filter(|id| !new.contains_key(id)).cloned().collect();
        // That a reopened task is `done` no longer is news too, though the file may never have been seen to say so.
        let heard = |task: &Task| task.status != Status::Done && self.is_reopened(&task.id);
        let changed = |task: &&Task| heard(task) || self.state.tasks.get(&task.id).is_none_or(|old| **old != **task);
        let upserted: Vec<Task> = tasks.iter().filter(changed).cloned().collect();
        // A status that went back by hand, with HEAD where it was, asks for the task again.
        let went_back = |task: &&Task| {
            let old = self.state.tasks.get(&task.id).map(|old| old.status);
            !head_moved && old == Some(Status::Done) && matches!(task.status, Status::Todo | Status::Draft)
        };
        let reopened: Vec<TaskId> = upserted.iter().filter(went_back).map(|task| task.id.clone()).collect();
        // What a person marks done by hand is done. Of a reopened task it is our own word from before.
        let finished = |task: &&Task| {
            task.status == Status::Done
                && self.state.tasks.get(&task.id).is_some_and(|old| old.status != Status::Done)
                && !self.is_reopened(&task.id)
        };
        let finished: Vec<TaskId> = upserted.iter().filter(finished).map(|task| task.id.clone()).collect();
        let newly_dropped = |task: &&Task| {
            task.status == Status::Dropped
                && self.state.tasks.get(&task.id).is_some_and(|old| old.status != Status::Dropped)
        };
        let dropped: Vec<TaskId> = upserted.iter().filter(newly_dropped).map(|task| task.id.clone()).collect();
        let rewired = upserted
            .iter()
            .any(|task| self.state.tasks.get(&task.id).is_some_and(|known| known.depends_on != task.depends_on));
        // A changed dependency may tie or untie a cycle anywhere, so it counts as a new order.
        let order = (rewired || order != *self.state.order).then_some(order);
        let goals = (goals != *self.state.goals).then_some(goals);
        if !upserted.is_empty() || !removed.is_empty() || order.is_some() || goals.is_some() {
            let old_words = upserted.iter().filter(|task| task.status == Status::Done && self.is_reopened(&task.id));
            let old_words: Vec<TaskId> = old_words.map(|task| task.id.clone()).collect();
            self.emit(Event::QueueChanged { upserted, removed, order, goals });
            for task in old_words {
                // An engine that died had written `done`, and no more.
                self.order(Effect::WriteStatus { task, status: Status::Todo });
            }
        }
        for task in dropped {
            // What stands on it has to do without.
            self.make_stale(&task);
        }
        for task in finished {
            if !self.state.record(&task).is_some_and(|record| record.done) {
                self.emit(Event::TaskDone { task });
            }
        }
        for task in reopened {
            if self.state.record(&task).is_some_and(|record| record.done) {
                self.make_stale(&task);
                self.emit(Event::TaskReopened { task });
            }
        }
        self.withdraw_moot_decisions();
        self.stop_unwanted();
    }

    fn is_reopened(&self, task: &TaskId) -> bool {
        self.state.record(task).is_some_and(|record| record.reopened)
    }

    /// An attempt whose task a person has dropped or done meanwhile is stopped; a task that is merely gone is not.
    fn stop_unwanted(&mut self) {
        let Some(attempt) = self.state.run.as_ref().and_then(|run| run.active.clone()) else { return };
        let Some(task) = self.state.tasks.get(&attempt.task) else { return };
        let status = effective_status(task, self.state.record(&attempt.task));
        if matches!(status, Status::Dropped | Status::Done) {
            self.order(Effect::StopAttempt { attempt });
        }
    }

    fn withdraw_moot_decisions(&mut self) {
        let moot = |state: &State, task: &TaskId| match state.tasks.get(task) {
            Some(task) => matches!(effective_status(task, state.record(&task.id)), Status::Done | Status::Dropped),
            // A queue that is deleted or on another branch withdraws nothing.
            None => false,
        };
        // A leak stays in question: whoever wrote outside the slot may have marked the task done there.
        let leak = |decision: &Decision| {
            let dropped = |id: &TaskId| self.state.tasks.get(id).is_some_and(|task| task.status == Status::Dropped);
            let keeps = decision.options.iter().any(|option| option.does == OptionEffect::KeepResult);
            decision.kind == DecisionKind::Permission && keeps && !decision.task.as_ref().is_some_and(dropped)
        };
        let open = self.state.open_decisions();
        let moot: Vec<_> = open
            .filter(|decision| !leak(decision))
            .filter(|decision| decision.task.as_ref().is_some_and(|task| moot(&self.state, task)))
            .map(|decision| decision.id.clone())
            .collect();
        for id in moot {
            self.emit(Event::DecisionWithdrawn { id });
        }
    }

    pub(super) fn start(&mut self, settings: RunSettings, only: Vec<TaskId>) -> Result<(), Refusal> {
        if self.state.run.is_some() {
            return Err(Refusal::RunIsOn);
        }
        for id in &only {
            let task = self.state.tasks.get(id).ok_or_else(|| Refusal::NoTask(id.clone()))?;
            let status = effective_status(task, self.state.record(id));
            if status != Status::Todo {
                return Err(Refusal::NotApproved { task: id.clone(), status: status.as_str() });
            }
        }
        // Questions that held up an earlier run are asked again when they still stand.
        let stopped: Vec<_> = self.state.open_decisions().filter(|decision| decision.task.is_none()).collect();
        for id in stopped.iter().map(|decision| decision.id.clone()).collect::<Vec<_>>() {
            self.emit(Event::DecisionWithdrawn { id });
        }
        self.begin_run(settings, only);
        Ok(())
    }

    pub(super) fn begin_run(&mut self, settings: RunSettings, only: Vec<TaskId>) {
        let run = RunId(format!("r{}", self.state.runs + 1));
        self.emit(Event::RunStarted { run, settings, only, at_ms: self.now_ms });
    }

    fn run_on(&self) -> Result<&Run, Refusal> {
        self.state.run.as_ref().ok_or(Refusal::NoRun)
    }

    pub(super) fn pause(&mut self) -> Result<(), Refusal> {
        let run = self.run_on()?;
        if !run.paused {
            let run = run.id.clone();
            self.emit(Event::RunPaused { run });
        }
        Ok(())
    }

    pub(super) fn resume(&mut self) -> Result<(), Refusal> {
        let run = self.run_on()?;
        if run.paused || run.stopping {
            let run = run.id.clone();
            self.emit(Event::RunResumed { run });
        } else if self.is_waiting() {
            self.free_cooled();
        }
        Ok(())
    }

    pub(super) fn stop(&mut self, kill: bool) -> Result<(), Refusal> {
        let run = self.run_on()?;
        let active = run.active.clone();
        if !run.stopping {
            let run = run.id.clone();
            self.emit(Event::RunStopping { run });
        }
        if let Some(attempt) = active.filter(|_| kill) {
            self.order(Effect::StopAttempt { attempt });
        }
        Ok(())
    }

    /// Tells whether the run's own time is used up.
    pub(super) fn is_over_time(&self) -> bool {
        let Some(run) = &self.state.run else { return false };
        let elapsed = (self.now_ms - run.started_at_ms).max(0).unsigned_abs() / 1000;
        elapsed >= run.settings.run_seconds
    }

    pub(super) fn tick(&mut self) {
        let Some(run) = self.state.run.clone().filter(|run| !run.stopping) else { return };
        if !self.is_over_time() {
            return;
        }
        let question = format!("the run has used its {} seconds; start another?", run.settings.run_seconds);
        let choice = |label: &str, detail: &str, does| DecisionOption {
            label: label.into(),
            detail: detail.into(),
            pros: Vec::new(),
            cons: Vec::new(),
            does,
        };
        let options = vec![
            choice("Go on", "Another run with the same settings and as much time.", OptionEffect::RaiseLimit),
            choice("Leave it", "Nothing more runs until you start again.", OptionEffect::Park),
        ];
        self.raise(None, None, DecisionKind::Budget, question, options, Default::default(), None);
        self.emit(Event::RunStopping { run: run.id });
        if let Some(attempt) = run.active {
            self.order(Effect::StopAttempt { attempt });
        }
    }

    pub(super) fn union_checked(&mut self, report: UnionReport) {
        if self.state.run.as_ref().is_some_and(|run| run.finishing && run.active.is_none()) {
            self.end_run(Some(report));
        }
    }

    fn end_run(&mut self, union: Option<UnionReport>) {
        let Some(run) = &self.state.run else { return };
        let reason = match (run.stopping, self.is_over_time()) {
            (true, true) => RunEndReason::Budget,
            (true, false) if budget::reached(&self.state, None, self.now_ms).is_some() => RunEndReason::Budget,
            (true, false) => RunEndReason::Stopped,
            _ if self.needs_person() => RunEndReason::NeedsPerson,
            _ => RunEndReason::Finished,
        };
        let run = run.id.clone();
        self.emit(Event::RunEnded { run, reason, union, at_ms: self.now_ms });
    }

    /// Tells whether something the run is about can only come from a person; review does not count.
    fn needs_person(&self) -> bool {
        let wanted = queue::wanted(&self.state);
        // A question may be open about a task that the queue calls done, such as who wrote that.
        let asked = |task: &TaskId| {
            wanted.as_ref().is_none_or(|wanted| wanted.contains(task)) && self.state.tasks.contains_key(task)
        };
        if self.state.open_decisions().any(|decision| decision.task.as_ref().is_none_or(asked)) {
            return true;
        }
        // What is being dropped needs nobody any more.
        let blocked = |id: &TaskId| {
            live_state(&self.state, id).is_some_and(|live| live.state == LiveState::Blocked)
                && !matches!(queue::put_aside(&self.state, id), Some((_, OptionEffect::Drop)))
        };
        let mut about = self.state.order.iter().filter(|id| wanted.as_ref().is_none_or(|wanted| wanted.contains(id)));
        about.any(blocked)
    }

    /// Does what follows from the state alone: claims, moves, ends. `movable` is what could be moved before the input.
    pub(super) fn schedule(&mut self, movable: &[TaskId]) {
        for task in self.stale_and_movable() {
            // A move that was ordered is not ordered again: it ends in an input of its own.
            if !movable.contains(&task) {
                self.order(Effect::MoveProposal { task });
            }
        }
        if self.state.run.is_some() {
            self.free_due();
        }
        let Some(run) = self.state.run.as_ref().filter(|run| run.active.is_none()) else { return };
        if run.stopping {
            self.end_run(None);
            return;
        }
        if run.paused {
            return;
        }
        if self.ask_about_spent_run() {
            self.end_run(None);
        } else if !self.claim_next() {
            self.finish_run();
        }
    }

    /// Returns the stale proposals that can be moved now, in the order of their ids.
    pub(super) fn stale_and_movable(&self) -> Vec<TaskId> {
        self.state.index.stale.iter().filter(|id| can_move(&self.state, id)).cloned().collect()
    }

    /// Nothing is runnable: the proposals are checked together, then the run ends.
    fn finish_run(&mut self) {
        let Some(run) = &self.state.run else { return };
        if run.finishing {
            return;
        }
        // A stale proposal that is being moved may still make work or a result.
        if !self.stale_and_movable().is_empty() {
            return;
        }
        self.ask_about_agents();
        let Some(run) = &self.state.run else { return };
        let waiting = |id: &&TaskId| {
            let record = self.state.record(id);
            record.is_some_and(|record| !record.done && record.proposal.is_some())
        };
        if self.state.order.iter().filter(waiting).count() > 1 {
            let run = run.id.clone();
            self.emit(Event::RunFinishing { run });
            self.order(Effect::CheckUnion);
        } else {
            self.end_run(None);
        }
    }

    pub(super) fn moved(&mut self, task: TaskId, from: &str, result: MoveResult) {
        let proposal = self.state.record(&task).and_then(|record| record.proposal.as_ref());
        if !proposal.is_some_and(|proposal| proposal.stale.is_some() && proposal.head == from) {
            return;
        }
        match result {
            MoveResult::Moved { base, head, hunks, stands_on } => {
                if stands_on == queue::to_fold(&self.state, &task) && can_move(&self.state, &task) {
                    self.emit(Event::ProposalMoved { task: task.clone(), base, head, hunks, stands_on });
                    self.check_part(&task);
                } else if can_move(&self.state, &task) {
                    // What it was moved onto has changed meanwhile.
                    self.order(Effect::MoveProposal { task });
                }
            }
            // Its new base is no base any more; it is moved again when there is one.
            MoveResult::Failed { .. } if !can_move(&self.state, &task) => {}
            MoveResult::Failed { detail } => {
                self.make_stale(&task);
                self.send_remarks(&task, &BTreeMap::new(), Vec::new());
                self.emit(Event::TaskRequeued { task, requeue: Requeue::MoveFailed { detail } });
            }
        }
    }
}
