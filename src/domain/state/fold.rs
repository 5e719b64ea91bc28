//! Folding: what each event changes. `apply` is the only thing that changes a state.

use super::{Attempt, EndedRun, Learning, Prepared, Record, Review, ReviewGiven, Run, State};
use crate::domain::budget::BudgetOf;
use crate::domain::decision::{Decision, DecisionId};
use crate::domain::ending::Usage;
use crate::domain::event::{AttemptId, Event, Requeue, RunId};
use crate::domain::inbox::Question;
use crate::domain::landing::LandedAs;
use crate::domain::report::Report;
use crate::domain::rounds::Decided;
use crate::domain::task::{Status, Task, TaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl State {
    /// Folds the events of a journal.
    pub fn fold<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut state = Self::default();
        for event in events {
            state.apply_fact(event);
        }
        // The index follows from the facts alone, so a long journal pays for it once.
        state.reindex_all();
        state
    }

    /// Folds one event. Total: an event that does not fit changes nothing.
    pub fn apply(&mut self, event: &Event) {
        let before = self.index_of_change(event);
        self.apply_fact(event);
        self.reindex(event, before);
    }

    pub(super) fn record_mut(&mut self, task: &TaskId) -> &mut Record {
        Arc::make_mut(self.records.entry(task.clone()).or_default())
    }

    fn attempt_mut(&mut self, id: &AttemptId) -> Option<&mut Attempt> {
        Arc::make_mut(self.records.get_mut(&id.task)?).attempts.iter_mut().find(|attempt| attempt.number == id.number)
    }

    fn apply_fact(&mut self, event: &Event) {
        match event {
            Event::QueueChanged { upserted, removed, order, goals } => {
                for task in removed {
                    self.tasks.remove(task);
                }
                for task in upserted {
                    if let Some(record) = self.records.get_mut(&task.id) {
                        let (done, record) = (task.status == Status::Done, Arc::make_mut(record));
                        record.written |= done;
                        record.reopened &= done;
                    }
                    self.tasks.insert(task.id.clone(), Arc::new(task.clone()));
                }
                if let Some(order) = order {
                    self.order = Arc::new(order.clone());
                }
                if !self.suggested.is_empty() {
                    self.suggested.retain(|task| !upserted.iter().any(|known| known.id == task.id));
                }
                if let Some(goals) = goals {
                    self.goals = Arc::new(goals.clone());
                }
            }
            Event::TrustRead { commands } => self.trusted = Arc::new(commands.clone()),
            Event::RunStarted { .. }
            | Event::RunPaused { .. }
            | Event::RunResumed { .. }
            | Event::RunStopping { .. }
            | Event::RunFinishing { .. }
            | Event::RunEnded { .. } => self.apply_run(event),
            Event::AgentLeft { .. } | Event::LinkLeft { .. } | Event::LinkCooled { .. } | Event::LinkFreed { .. } => {
                self.apply_chain(event)
            }
            Event::UsageCounted { task, run, usage, at_ms, .. } => {
                self.count(task.as_ref(), run.as_ref(), usage, *at_ms);
            }
            Event::BudgetRaised { of, task, day } => match (of, task, day) {
                (BudgetOf::Task, Some(task), _) => self.record_mut(task).raised += 1,
                (BudgetOf::Day, _, Some(day)) => *self.days.raised.entry(*day).or_default() += 1,
                _ => {}
            },
            Event::AttemptStarted { .. }
            | Event::AttemptPrepared { .. }
            | Event::AgentStarted { .. }
            | Event::ReportTaken { .. }
            | Event::AttemptEnded { .. } => self.apply_attempt(event),
            Event::ReviewRequested { .. } | Event::ReviewGiven { .. } => self.apply_review(event),
            Event::ProposalMade { .. }
            | Event::ProposalStale { .. }
            | Event::ProposalMoved { .. }
            | Event::HunksMarked { .. }
            | Event::AcceptedPartKept { .. }
            | Event::AcceptedPartChecked { .. }
            | Event::AcceptedPartTaken { .. } => self.apply_proposal(event),
            Event::CommentMade { .. } | Event::CommentDropped { .. } | Event::RemarksSent { .. } => {
                self.apply_comment(event);
            }
            Event::TaskDone { task } => {
                let written = self.says_done(task);
                let record = self.record_mut(task);
                (record.done, record.reopened, record.written) = (true, false, written);
            }
            Event::AcceptanceUndone { task } => self.take_back_done(task),
            Event::Landed { landing, .. } => {
                let landed = LandedAs { commit: landing.commit.clone(), branch: landing.branch.clone() };
                for task in &landing.tasks {
                    self.record_mut(task).landed = Some(landed.clone());
                }
            }
            Event::LandingUndone { tasks, commit } => {
                for task in tasks {
                    let landed = &mut self.record_mut(task).landed;
                    landed.take_if(|landed| landed.commit == *commit);
                }
            }
            Event::TaskReopened { task } => {
                self.open_latch(task);
                let record = self.record_mut(task);
                record.keep_accepted();
                record.proposal = None;
                record.handoff = None;
                (record.round, record.decided) = (0, Decided::default());
                record.begin_round();
            }
            Event::TaskRequeued { task, requeue } => {
                if matches!(requeue, Requeue::Retry { .. }) {
                    self.take_back_done(task);
                }
                self.record_mut(task).requeue(requeue);
            }
            Event::Steered { task, text } => {
                let record = self.record_mut(task);
                record.steered += 1;
                record.notes.push(text.clone());
            }
            Event::Asked { attempt, id, text } => {
                let question = Question { id: id.clone(), attempt: attempt.number, text: text.clone(), answer: None };
                self.record_mut(&attempt.task).questions.push(question);
            }
            Event::DecisionRaised { decision } => {
                if let Some(task) = &decision.task {
                    let at = self.decisions.len();
                    self.record_mut(task).decisions.push(at);
                }
                self.decisions.push_back(decision.clone());
            }
            Event::DecisionAnswered { id, answer } => {
                if let Some(decision) = self.decision_mut(id) {
                    decision.answer = Some(answer.clone());
                }
            }
            Event::DecisionWithdrawn { id } => {
                if let Some(decision) = self.decision_mut(id) {
                    decision.withdrawn = true;
                }
            }
            Event::LearningKept { task, text } => {
                self.learnings.push_back(Learning { task: task.clone(), text: text.clone() });
            }
        }
    }

    fn decision_mut(&mut self, id: &DecisionId) -> Option<&mut Decision> {
        let at = self.decision_at(id)?;
        self.decisions.get_mut(at)
    }

    fn says_done(&self, task: &TaskId) -> bool {
        self.tasks.get(task).is_some_and(|task| task.status == Status::Done)
    }

    /// Opens the latch of a task that the file may have been told is done, and may not have been read since.
    fn take_back_done(&mut self, task: &TaskId) {
        let was_done = self.record_mut(task).done;
        self.open_latch(task);
        self.record_mut(task).reopened |= was_done;
    }

    fn open_latch(&mut self, task: &TaskId) {
        let reopened = self.says_done(task);
        let record = self.record_mut(task);
        (record.done, record.reopened, record.written) = (false, reopened, false);
        record.landed = None;
    }

    fn apply_run(&mut self, event: &Event) {
        if let Event::RunStarted { run, settings, only, at_ms } = event {
            self.runs += 1;
            self.run = Some(Run {
                id: run.clone(),
                settings: settings.clone(),
                only: only.clone(),
                started_at_ms: *at_ms,
                paused: false,
                stopping: false,
                finishing: false,
                active: None,
                left: BTreeMap::new(),
                used: Usage::default(),
            });
            self.chain.adopt(settings);
            self.days.utc_offset_seconds = settings.utc_offset_seconds;
            return;
        }
        let Some(current) = &mut self.run else { return };
        match event {
            Event::RunPaused { .. } => current.paused = true,
            Event::RunResumed { .. } => {
                current.paused = false;
                current.stopping = false;
            }
            Event::RunStopping { .. } => current.stopping = true,
            Event::RunFinishing { .. } => current.finishing = true,
            Event::RunEnded { run, reason, union, at_ms } => {
                self.last_run = Some(EndedRun {
                    id: run.clone(),
                    reason: *reason,
                    union: union.clone(),
                    settings: current.settings.clone(),
                    only: current.only.clone(),
                    started_at_ms: current.started_at_ms,
                    ended_at_ms: *at_ms,
                    used: current.used,
                });
                self.run = None;
            }
            _ => {}
        }
    }

    fn apply_attempt(&mut self, event: &Event) {
        match event {
            Event::AttemptStarted { attempt, run, agent, model, slot, clean, at_ms } => {
                if let Some(current) = &mut self.run {
                    current.active = Some(attempt.clone());
                    current.finishing = false;
                }
                let claimed = self.tasks.get(&attempt.task).cloned();
                let record = self.record_mut(&attempt.task);
                record.clean = false;
                record.claimed = claimed;
                record.attempts.push(Attempt {
                    number: attempt.number,
                    run: run.clone(),
                    agent: agent.clone(),
                    model: model.clone(),
                    slot: slot.clone(),
                    clean: *clean,
                    started_at_ms: *at_ms,
                    prepared: None,
                    agent_started: false,
                    report_ids: BTreeSet::new(),
                    verdict: None,
                    reviews: Vec::new(),
                    end: None,
                    ended_at_ms: None,
                });
            }
            Event::AttemptPrepared { attempt, base, start, stands_on, notes } => {
                if let Some(attempt) = self.attempt_mut(attempt) {
                    attempt.prepared = Some(Prepared {
                        base: base.clone(),
                        start: start.clone(),
                        stands_on: stands_on.clone(),
                        notes: notes.clone(),
                    });
                }
            }
            Event::AgentStarted { attempt } => {
                if let Some(attempt) = self.attempt_mut(attempt) {
                    attempt.agent_started = true;
                }
            }
            Event::ReportTaken { attempt, id, report } => {
                if let Some(found) = self.attempt_mut(attempt) {
                    found.report_ids.insert(id.clone());
                    if report.is_verdict() && found.verdict.is_none() {
                        found.verdict = Some(report.clone());
                    }
                }
                match report {
                    Report::SuggestTask { task } => {
                        self.suggested.extend(self.read_suggestion(attempt, task));
                    }
                    Report::Reply { to, text } => {
                        let questions = &mut self.record_mut(&attempt.task).questions;
                        if let Some(question) = questions.iter_mut().find(|question| question.id == *to) {
                            question.answer = Some(text.clone());
                        }
                    }
                    Report::Handoff { text } => self.record_mut(&attempt.task).handoff = Some(text.clone()),
                    _ => {}
                }
            }
            Event::AttemptEnded { attempt, end, at_ms } => {
                if let Some(run) = &mut self.run
                    && run.active.as_ref() == Some(attempt)
                {
                    run.active = None;
                }
                let Some(found) = self.attempt_mut(attempt).filter(|found| found.end.is_none()) else { return };
                found.end = Some(end.clone());
                found.ended_at_ms = Some(*at_ms);
                let run = found.run.clone();
                if let Some(ending) = &end.ending {
                    self.count(Some(&attempt.task), Some(&run), &ending.usage, *at_ms);
                }
                let record = self.record_mut(&attempt.task);
                if end.outcome.spends_attempt() {
                    record.failures += 1;
                } else if end.outcome.is_success() {
                    record.failures = 0;
                    record.notes.clear();
                    record.remarks.clear();
                    (record.rest, record.rebase) = (false, false);
                }
            }
            _ => {}
        }
    }

    fn apply_review(&mut self, event: &Event) {
        match event {
            Event::ReviewRequested { attempt, round, agent, model, base, head } => {
                let Some(found) = self.attempt_mut(attempt) else { return };
                found.reviews.push(Review {
                    round: *round,
                    agent: agent.clone(),
                    model: model.clone(),
                    base: base.clone(),
                    head: head.clone(),
                    given: None,
                });
            }
            Event::ReviewGiven { attempt, summary, findings, failure, usage, .. } => {
                let on = self.attempt_mut(attempt).and_then(|found| found.reviews.last_mut());
                let Some(on) = on.filter(|review| review.given.is_none()) else { return };
                on.given = Some(ReviewGiven {
                    summary: summary.clone(),
                    findings: findings.clone(),
                    failure: failure.clone(),
                    usage: *usage,
                });
            }
            _ => {}
        }
    }

    /// Adds what was used to the task, to the run when it is on, and to the day.
    fn count(&mut self, task: Option<&TaskId>, run: Option<&RunId>, usage: &Usage, at_ms: i64) {
        if *usage == Usage::default() {
            return;
        }
        if let Some(task) = task {
            self.record_mut(task).used.add(usage);
        }
        if let Some(current) = self.run.as_mut().filter(|current| run == Some(&current.id)) {
            current.used.add(usage);
        }
        self.days.add(at_ms, usage);
    }

    /// Reads what an agent suggested as a draft under an id of its own: it never takes the place of another task.
    ///
    /// None when it does not read as a task; the report itself is kept all the same.
    fn read_suggestion(&self, attempt: &AttemptId, value: &serde_json::Value) -> Option<Task> {
        let mut value = value.clone();
        let entry = value.as_object_mut()?;
        let title = entry.get("title")?.as_str()?.to_owned();
        let id = entry.get("id").and_then(serde_json::Value::as_str);
        if id.is_none_or(|id| id.trim().is_empty()) {
            entry.insert("id".into(), TaskId(title).key().0.into());
        }
        for command in entry.get_mut("verify").and_then(|verify| verify.as_array_mut()).into_iter().flatten() {
            if command.is_string() {
                *command = serde_json::json!({ "run": command.take() });
            }
        }
        let mut task: Task = serde_json::from_value(value).ok()?;
        task.status = Status::Draft;
        task.origin = Some(format!("suggested:{attempt}"));
        let taken = |id: &TaskId| {
            self.tasks.contains_key(id)
                || self.records.contains_key(id)
                || self.suggested.iter().any(|other| other.id == *id)
        };
        let wanted = task.id.clone();
        let free = |number: u32| Some(TaskId(format!("{wanted}-{number}"))).filter(|id| !taken(id));
        if taken(&wanted) {
            task.id = (2..).find_map(free)?;
        }
        Some(task)
    }
}

impl Record {
    fn begin_round(&mut self) {
        self.failures = 0;
        self.round_start = self.attempts.len();
        self.asked_before = self.decisions.len();
    }

    fn requeue(&mut self, requeue: &Requeue) {
        self.begin_round();
        // With an answer the agent's own work goes on; everything else is a beginning.
        if !matches!(requeue, Requeue::Answered { clean: false, .. }) {
            self.handoff = None;
        }
        match requeue {
            Requeue::Retry { clean } => {
                self.clean = *clean;
                self.end_round();
            }
            Requeue::Answered { clean, .. } => self.clean = *clean,
            Requeue::SentBack { comments, rest, rebase } => {
                self.notes.extend(comments.iter().cloned());
                self.end_round();
                (self.rest, self.rebase) = (*rest, *rebase);
                if !rest {
                    self.decided.forget_accepted();
                }
            }
            Requeue::MoveFailed { detail } => {
                self.notes.push(detail.clone());
                self.end_round();
            }
        }
    }
}
