//! What people ask for: answers, steering, retries; what they decide about proposals is in `review`.

use super::{Effect, Next, Refusal};
use crate::domain::budget::BudgetOf;
use crate::domain::decision::{
    Answer, Decision, DecisionId, DecisionKind, DecisionOption, Evidence, OptionEffect, fingerprint,
};
use crate::domain::event::{AttemptId, Event, Requeue, RunEndReason};
use crate::domain::inbox::{InboxKind, InboxMessage};
use crate::domain::state::effective_status;
use crate::domain::task::{Status, TaskId};
use std::collections::BTreeMap;

impl Next {
    #[expect(clippy::too_many_arguments, reason = "a decision has that many parts, and this is its only maker")]
    pub(super) fn raise(
        &mut self,
        task: Option<TaskId>,
        attempt: Option<u32>,
        kind: DecisionKind,
        question: String,
        options: Vec<DecisionOption>,
        evidence: Evidence,
        recommended: Option<String>,
    ) {
        let fingerprint = fingerprint(kind, task.as_ref(), &question);
        if self.state.open_decisions().any(|decision| decision.fingerprint == fingerprint) {
            return;
        }
        let id = DecisionId(format!("d{}", self.state.decisions.len() + 1));
        let decision = Decision {
            id,
            task,
            attempt,
            kind,
            question,
            options,
            recommended,
            evidence,
            fingerprint,
            raised_at_ms: self.now_ms,
            answer: None,
            withdrawn: false,
        };
        self.emit(Event::DecisionRaised { decision });
    }

    pub(super) fn answer(&mut self, id: DecisionId, mut answer: Answer, go_on: bool) -> Result<(), Refusal> {
        let decision = self.state.decision(&id).ok_or_else(|| Refusal::NoDecision(id.clone()))?.clone();
        if let Some(before) = &decision.answer {
            // The same answer twice is one answer: two front ends may press at the same time.
            let label = answer.option.as_deref().map(|option| decision.option(option).map_or(option, |it| &it.label));
            let same = before.option.as_deref() == label && before.text == answer.text;
            return if same { Ok(()) } else { Err(Refusal::AlreadyAnswered(id)) };
        }
        if decision.withdrawn {
            return Err(Refusal::Withdrawn(id));
        }
        let mut does = OptionEffect::Retry;
        match &answer.option {
            Some(option) => {
                let found = decision.option(option).ok_or_else(|| Refusal::NoOption {
                    id: id.clone(),
                    option: option.clone(),
                    known: decision.options.iter().map(|option| option.label.clone()).collect::<Vec<_>>().join(", "),
                })?;
                does = found.does;
                answer.option = Some(found.label.clone());
            }
            None if answer.text.as_deref().is_none_or(|text| text.trim().is_empty()) => {
                return Err(Refusal::EmptyAnswer);
            }
            None => {}
        }
        answer.at_ms = self.now_ms;
        self.emit(Event::DecisionAnswered { id: id.clone(), answer });
        let decision_of_run = decision.task.is_none();
        match decision.task.clone() {
            Some(task) => self.follow_answer(&decision, task, does),
            None => self.follow_answer_of_run(&decision, does),
        }
        let raises_budget = decision_of_run && does == OptionEffect::RaiseLimit;
        let stays_off = decision_of_run && does == OptionEffect::Park;
        if (go_on || raises_budget)
            && !stays_off
            && self.state.run.is_none()
            && let Some(last) = self.state.last_run.clone()
            && (last.reason == RunEndReason::NeedsPerson || (raises_budget && last.reason == RunEndReason::Budget))
        {
            let all = last.only.is_empty();
            let only: Vec<_> = last.only.into_iter().filter(|id| self.state.tasks.contains_key(id)).collect();
            // A run for tasks that are gone must not become a run for all.
            if all || !only.is_empty() {
                self.begin_run(last.settings, only);
            }
        }
        Ok(())
    }

    fn follow_answer_of_run(&mut self, decision: &Decision, does: OptionEffect) {
        match (decision.kind, does) {
            (DecisionKind::Budget, OptionEffect::RaiseLimit) if decision.evidence.budget == Some(BudgetOf::Day) => {
                let day = Some(self.state.days.day_of(self.now_ms));
                self.emit(Event::BudgetRaised { of: BudgetOf::Day, task: None, day });
            }
            // A run that is still on has them back; the next one has them anyway.
            (DecisionKind::Setup, OptionEffect::Retry) => self.free_left(),
            _ => {}
        }
    }

    fn follow_answer(&mut self, decision: &Decision, task: TaskId, does: OptionEffect) {
        if does == OptionEffect::RaiseLimit && decision.evidence.budget == Some(BudgetOf::Task) {
            self.emit(Event::BudgetRaised { of: BudgetOf::Task, task: Some(task.clone()), day: None });
        }
        match does {
            OptionEffect::Park => {}
            OptionEffect::Drop => self.order(Effect::WriteStatus { task, status: Status::Dropped }),
            OptionEffect::KeepResult => self.keep_leaked_result(task, decision.attempt),
            OptionEffect::TakePart => self.take_part(task),
            OptionEffect::SendRestBack => self.send_rest_back(task, decision),
            OptionEffect::Retry
            | OptionEffect::RetryClean
            | OptionEffect::RaiseLimit
            | OptionEffect::CountNewFailures
            | OptionEffect::IgnoreCheck => {
                let (clean, decision) = (does == OptionEffect::RetryClean, decision.id.clone());
                self.emit(Event::TaskRequeued { task, requeue: Requeue::Answered { decision, clean } });
            }
        }
    }

    pub(super) fn steer(&mut self, task: TaskId, text: String) -> Result<(), Refusal> {
        if !self.state.tasks.contains_key(&task) {
            return Err(Refusal::NoTask(task));
        }
        if let Some(attempt) = self.at_work_on(&task) {
            let number = self.state.record(&task).map_or(0, |record| record.steered) + 1;
            let message = InboxMessage { id: format!("s{number}"), kind: InboxKind::Steer, text: text.clone() };
            self.order(Effect::Deliver { attempt, message });
        }
        self.emit(Event::Steered { task, text });
        Ok(())
    }

    pub(super) fn ask_agent(&mut self, task: TaskId, text: String) -> Result<(), Refusal> {
        if !self.state.tasks.contains_key(&task) {
            return Err(Refusal::NoTask(task));
        }
        let Some(attempt) = self.at_work_on(&task) else { return Err(Refusal::NobodyToAsk(task)) };
        let number = self.state.record(&task).map_or(0, |record| record.questions.len()) + 1;
        let id = format!("q{number}");
        let message = InboxMessage { id: id.clone(), kind: InboxKind::Query, text: text.clone() };
        self.emit(Event::Asked { attempt: attempt.clone(), id, text });
        self.order(Effect::Deliver { attempt, message });
        Ok(())
    }

    fn at_work_on(&self, task: &TaskId) -> Option<AttemptId> {
        self.state.run.as_ref()?.active.clone().filter(|on| on.task == *task)
    }

    /// The accepted text was taken back: the task is in review again, with its proposal as it was.
    pub(super) fn reopen(&mut self, task: TaskId) {
        if self.state.record(&task).is_some_and(|record| record.done) {
            self.emit(Event::AcceptanceUndone { task: task.clone() });
            self.order(Effect::WriteStatus { task, status: Status::Todo });
        }
    }

    pub(super) fn cancel(&mut self, task: &TaskId) -> Result<(), Refusal> {
        let active = self.state.run.as_ref().and_then(|run| run.active.clone());
        let attempt = active.filter(|on| on.task == *task).ok_or(Refusal::NoRun)?;
        self.order(Effect::StopAttempt { attempt });
        Ok(())
    }

    pub(super) fn retry(&mut self, task: TaskId, clean: bool) -> Result<(), Refusal> {
        let found = self.state.tasks.get(&task).ok_or_else(|| Refusal::NoTask(task.clone()))?;
        let record = self.state.record(&task);
        let status = effective_status(found, record);
        if status == Status::Draft || status == Status::Dropped {
            return Err(Refusal::NotApproved { task, status: status.as_str() });
        }
        if record.is_some_and(|record| record.active().is_some()) {
            return Err(Refusal::TaskIsRunning(task));
        }
        if status == Status::Done {
            self.order(Effect::WriteStatus { task: task.clone(), status: Status::Todo });
        }
        self.withdraw_decisions_of(&task);
        self.make_stale(&task);
        self.send_remarks(&task, &BTreeMap::new(), Vec::new());
        self.emit(Event::TaskRequeued { task, requeue: Requeue::Retry { clean } });
        Ok(())
    }

    pub(super) fn withdraw_decisions_of(&mut self, task: &TaskId) {
        let open = self.state.open_decisions().filter(|decision| decision.task.as_ref() == Some(task));
        for id in open.map(|decision| decision.id.clone()).collect::<Vec<_>>() {
            self.emit(Event::DecisionWithdrawn { id });
        }
    }
}
