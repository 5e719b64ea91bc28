//! What the end of an attempt leads to.

use super::{Effect, Next};
use crate::domain::decision::{DecisionKind, DecisionOption, Evidence, OptionEffect};
use crate::domain::ending::Ending;
use crate::domain::event::{AttemptId, Event, StandsOn};
use crate::domain::outcome::{AttemptEnd, Outcome};
use crate::domain::queue;
use crate::domain::report::Report;
use crate::domain::settings::Link;
use crate::domain::state::{Prepared, Review, ReviewGiven};
use crate::domain::task::{Status, TaskId};
use std::collections::HashSet;

/// Failures of one shape that end in a decision.
const SAME_SHAPE_LIMIT: usize = 3;
/// Attempts cut off in a row that end in a decision: they cost nothing, but must not go on for ever.
const LOST_LIMIT: usize = 3;
/// Claims in a row without a change that end in a decision.
const NO_CHANGE_LIMIT: usize = 2;

pub(super) fn option(label: &str, detail: &str, does: OptionEffect) -> DecisionOption {
    DecisionOption { label: label.into(), detail: detail.into(), pros: Vec::new(), cons: Vec::new(), does }
}

pub(super) fn way_out() -> Vec<DecisionOption> {
    vec![
        option("Try again", "As many attempts as the limit allows, from what was left.", OptionEffect::RaiseLimit),
        option(
            "Start clean",
            "Try again from a clean start; the earlier work stays in its ref.",
            OptionEffect::RetryClean,
        ),
        option("Leave it", "The task stays blocked; the others go on.", OptionEffect::Park),
        option("Drop it", "The task will not be done.", OptionEffect::Drop),
    ]
}

impl Next {
    pub(super) fn reported(&mut self, attempt: AttemptId, id: String, report: Report) {
        let Some(found) = self.state.attempt(&attempt).filter(|found| found.end.is_none()) else { return };
        if found.report_ids.contains(&id) {
            return;
        }
        if let Report::Learned { text } = &report {
            let (task, text) = (attempt.task.clone(), text.clone());
            self.emit(Event::LearningKept { task, text });
        }
        let before = self.state.suggested.len();
        self.emit(Event::ReportTaken { attempt, id, report });
        // What does not read as a task is kept as a report and shown there.
        let tasks: Vec<_> = self.state.suggested.iter().skip(before).cloned().collect();
        if !tasks.is_empty() {
            self.order(Effect::AddDrafts { tasks });
        }
    }

    pub(super) fn prepared(&mut self, attempt: AttemptId, start: Prepared) {
        let on = self.state.attempt(&attempt).filter(|on| on.end.is_none() && on.prepared.as_ref() != Some(&start));
        if on.is_some() {
            let Prepared { base, start, stands_on, notes } = start;
            self.emit(Event::AttemptPrepared { attempt, base, start, stands_on, notes });
        }
    }

    /// A review that is on already is not asked for again: after a restart it is taken up.
    pub(super) fn review_requested(&mut self, attempt: AttemptId, review: Review) {
        let Some(found) = self.state.attempt(&attempt).filter(|found| found.end.is_none()) else { return };
        if found.reviews.last().is_some_and(|last| last.given.is_none()) {
            return;
        }
        let Review { round, agent, model, base, head, .. } = review;
        self.emit(Event::ReviewRequested { attempt, round, agent, model, base, head });
    }

    /// One fact with what it used and what its end means for the chain, so that nothing counts twice after a restart.
    pub(super) fn review_given(&mut self, attempt: AttemptId, given: ReviewGiven, ending: &Ending) {
        let found = self.state.attempt(&attempt).filter(|found| found.end.is_none());
        let on = found.and_then(|found| found.reviews.last()).filter(|review| review.given.is_none());
        let Some(on) = on else { return };
        let (round, link) = (on.round, Link { agent: on.agent.clone(), model: on.model.clone() });
        let task = attempt.task.clone();
        let ReviewGiven { summary, findings, failure, usage } = given;
        self.emit(Event::ReviewGiven { attempt, round, summary, findings, failure, usage });
        self.turn_ended("reviewer".to_owned(), Some(task), link, ending);
    }

    pub(super) fn ended(&mut self, attempt: AttemptId, mut end: AttemptEnd) {
        if !self.is_on(&attempt) {
            return;
        }
        let stopping = self.state.run.as_ref().is_some_and(|run| run.stopping);
        if end.outcome == Outcome::Cancelled && stopping && self.is_over_time() {
            // Nobody stopped it but the clock of the run.
            end.outcome = Outcome::BudgetExceeded;
            end.detail = "the run's time was used up; what it had done is kept in its ref".to_owned();
        }
        self.emit(Event::AttemptEnded { attempt: attempt.clone(), end: end.clone(), at_ms: self.now_ms });
        self.follow_on_chain(&attempt, &end);
        self.follow(&attempt, &end, end.outcome);
    }

    /// Does what the outcome leads to; `outcome` differs from the end's when a person said that nothing had leaked.
    fn follow(&mut self, attempt: &AttemptId, end: &AttemptEnd, outcome: Outcome) {
        match outcome {
            Outcome::Verified | Outcome::Unchecked => self.propose(attempt, end),
            _ if end.red_on_base.is_some() => self.ask_about_setup(attempt, end),
            Outcome::NeedsDecision => self.ask_for_agent(attempt, end),
            Outcome::Blocked => self.ask_about_block(attempt, end),
            Outcome::Leaked => self.ask_about_leak(attempt, end),
            // The chain has heard it; see `chain`.
            Outcome::MissingBinary | Outcome::Auth | Outcome::ModelUnavailable => {}
            Outcome::RateLimited | Outcome::Overloaded | Outcome::Network => {}
            // The run's own budget is a question of its own.
            Outcome::BudgetExceeded if self.is_over_time() => {}
            Outcome::BudgetExceeded => self.ask_about_budget(attempt, end),
            Outcome::Cancelled => {}
            Outcome::AttemptLost => {
                if self.streak(&attempt.task, &[Outcome::AttemptLost]) >= LOST_LIMIT {
                    let question = format!("{LOST_LIMIT} attempts in a row were cut off: {}", end.detail);
                    self.ask(attempt, DecisionKind::RepeatedFailure, question, way_out(), end);
                }
            }
            Outcome::NoChange if self.streak(&attempt.task, &[Outcome::NoChange]) >= NO_CHANGE_LIMIT => {
                let question = "the agent says twice that it is finished, and has changed nothing".to_owned();
                self.ask(attempt, DecisionKind::RepeatedFailure, question, way_out(), end);
            }
            Outcome::Incomplete
            | Outcome::VerifyFailed
            | Outcome::NoChange
            | Outcome::ProtectedPath
            | Outcome::ContextExhausted
            | Outcome::TimedOut
            | Outcome::Crashed
            | Outcome::InvalidOutput => self.count_failure(attempt, end),
        }
    }

    fn streak(&self, task: &TaskId, outcomes: &[Outcome]) -> usize {
        self.state.record(task).map_or(0, |record| record.streak(outcomes))
    }

    fn ask_about_block(&mut self, attempt: &AttemptId, end: &AttemptEnd) {
        let mut options = way_out();
        if let Some(first) = options.first_mut() {
            *first = option("Try again", "From what was left.", OptionEffect::Retry);
        }
        let started = self.state.attempt(attempt).is_some_and(|attempt| attempt.agent_started);
        let (kind, question) = match started {
            true => (DecisionKind::Clarification, format!("the agent is blocked: {}", end.detail)),
            // No agent had a word yet: what the task stands on does not fit together.
            false => (DecisionKind::Conflict, end.detail.clone()),
        };
        self.ask(attempt, kind, question, options, end);
    }

    fn propose(&mut self, attempt: &AttemptId, end: &AttemptEnd) {
        let prepared = self.state.attempt(attempt).and_then(|attempt| attempt.prepared.clone());
        let Some(prepared) = prepared else { return };
        let head = end.head.clone().unwrap_or_else(|| prepared.base.clone());
        self.emit(Event::ProposalMade {
            attempt: attempt.clone(),
            base: prepared.base,
            head,
            hunks: end.hunks.clone(),
            stands_on: prepared.stands_on.clone(),
        });
        // What it stands on may have changed while the agent worked.
        if let Some(changed) = prepared.stands_on.into_iter().find(|on| !self.is_as_it_was(on)) {
            self.emit(Event::ProposalStale { task: attempt.task.clone(), because: changed.task });
        }
    }

    fn is_as_it_was(&self, on: &StandsOn) -> bool {
        let dropped = self.state.tasks.get(&on.task).is_some_and(|task| task.status == Status::Dropped);
        let record = self.state.record(&on.task).filter(|_| !dropped);
        record.is_some_and(|record| {
            queue::has_usable_result(record) && record.proposal.as_ref().is_some_and(|now| now.head == on.head)
        })
    }

    pub(super) fn ask(
        &mut self,
        attempt: &AttemptId,
        kind: DecisionKind,
        question: String,
        options: Vec<DecisionOption>,
        end: &AttemptEnd,
    ) {
        let evidence = Evidence { output: end.failure.clone(), ..Evidence::default() };
        self.raise(Some(attempt.task.clone()), Some(attempt.number), kind, question, options, evidence, None);
    }

    /// Raises the question the agent asked.
    fn ask_for_agent(&mut self, attempt: &AttemptId, end: &AttemptEnd) {
        let verdict = self.state.attempt(attempt).and_then(|attempt| attempt.verdict.clone());
        let Some(Report::Ask { question, options, recommend, file, line, permission }) = verdict else {
            self.ask(attempt, DecisionKind::Clarification, end.detail.clone(), way_out(), end);
            return;
        };
        let mut seen = HashSet::new();
        let options = options.iter().filter(|label| seen.insert(label.as_str()));
        let options = options.map(|label| option(label, "", OptionEffect::Retry)).collect();
        let (task, number) = (Some(attempt.task.clone()), Some(attempt.number));
        let evidence = Evidence { file, line, ..Evidence::default() };
        let kind = if permission { DecisionKind::Permission } else { DecisionKind::Clarification };
        self.raise(task, number, kind, question, options, evidence, recommend);
    }

    fn ask_about_leak(&mut self, attempt: &AttemptId, end: &AttemptEnd) {
        let question = format!(
            "while attempt {} ran, this changed outside its slot: {}; was it you?",
            attempt.number,
            end.paths.join(", ")
        );
        let options = vec![
            option("It was me", "The result counts as if nothing had leaked.", OptionEffect::KeepResult),
            option(
                "It was the agent",
                "Try again; what the agent did in its slot stays in its ref.",
                OptionEffect::Retry,
            ),
            option("Leave it", "The task stays blocked; the others go on.", OptionEffect::Park),
        ];
        self.ask(attempt, DecisionKind::Permission, question, options, end);
    }

    /// The person says that what changed outside was theirs.
    pub(super) fn keep_leaked_result(&mut self, task: TaskId, number: Option<u32>) {
        let Some(number) = number else { return };
        let attempt = AttemptId { task: task.clone(), number };
        let Some(end) = self.state.attempt(&attempt).and_then(|attempt| attempt.end.clone()) else { return };
        // Its own outcome counts now, a question of the agent's included.
        if let Some(outcome) = end.otherwise.filter(|outcome| *outcome != Outcome::Leaked) {
            self.follow(&attempt, &end, outcome);
        }
    }

    fn ask_about_setup(&mut self, attempt: &AttemptId, end: &AttemptEnd) {
        let check = end.red_on_base.clone().unwrap_or_default();
        let question = format!("the check `{check}` fails before anything is changed");
        let options = vec![
            option("Fix it first", "Tried again after you have mended it.", OptionEffect::Retry),
            option(
                "Count new failures only",
                "It fails an attempt only when its output differs from the base's.",
                OptionEffect::CountNewFailures,
            ),
            option("Ignore it", "It is not run in this repository until you say otherwise.", OptionEffect::IgnoreCheck),
        ];
        let evidence = Evidence { output: end.failure.clone(), check: end.red_on_base.clone(), ..Evidence::default() };
        let (task, number) = (Some(attempt.task.clone()), Some(attempt.number));
        self.raise(task, number, DecisionKind::Setup, question, options, evidence, None);
    }

    /// Asks a person at the limit, at three failures of one shape, and at A→B→A; otherwise the task is ready again.
    fn count_failure(&mut self, attempt: &AttemptId, end: &AttemptEnd) {
        let Some(record) = self.state.record(&attempt.task) else { return };
        // What was cut off says nothing about the agent.
        let ends: Vec<&AttemptEnd> = record.ends_of_round().filter(|end| end.outcome.spends_attempt()).collect();
        let shape = end.shape();
        let same = ends.iter().rev().take_while(|end| end.shape() == shape).count();
        let hashes: Vec<&str> = ends.iter().map(|end| end.diff_hash.as_str()).collect();
        let swings = matches!(hashes[..], [.., a, b, c] if a == c && a != b && !a.is_empty());
        let task = self.state.tasks.get(&attempt.task);
        let settings = self.state.run.as_ref().map(|run| run.settings.attempts).unwrap_or(u32::MAX);
        let limit = task.and_then(|task| task.limits.attempts).unwrap_or(settings).max(1);
        let failures = record.failures;
        if same >= SAME_SHAPE_LIMIT {
            let question = format!("it failed {same} times in the same way: {}", end.detail);
            self.ask(attempt, DecisionKind::RepeatedFailure, question, way_out(), end);
        } else if swings {
            let question = format!("the agent goes back and forth between two results: {}", end.detail);
            self.ask(attempt, DecisionKind::RepeatedFailure, question, way_out(), end);
        } else if failures >= limit {
            let question = format!("{failures} of {limit} attempts failed, the last because {}", end.detail);
            self.ask(attempt, DecisionKind::Budget, question, way_out(), end);
        }
    }
}
