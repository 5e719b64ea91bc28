//! What the server says by itself: notifications of ours, progress, short messages, and the request for new lenses.

use super::Session;
use super::actions::short;
use super::root::Link;
use super::status::{self, pending_count};
use crate::domain::event::RunEndReason;
use crate::domain::rounds::Comment;
use crate::domain::task::TaskId;
use crate::lsp::progress::Step;
use crate::protocol::editor::{
    ATTEMPT, AttemptNotification, DECISION_REQUESTED, DECISION_RESOLVED, DecisionRequestedNotification,
    DecisionResolvedNotification, PROPOSAL_CHANGED, ProposalChangedNotification, QUEUE_CHANGED,
    QueueChangedNotification, RUN_ENDED, RunEndedNotification, STATUS, StatusNotification,
};
use crate::protocol::engine_api::{Command, Milestone, ProposalSummary, Snapshot, after_run};
use serde_json::json;
use std::collections::{HashMap, HashSet};

/// Start of the tokens of runs; the run's id and the root follow.
const RUN_TOKEN: &str = "ralph/run/";

/// Start of the tokens of planners.
pub const PLAN_TOKEN: &str = "ralph/plan/";

/// Why a person is told something they did not ask for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Occasion {
    NeedsMe,
    Finished,
}

impl Session {
    /// Tells the client what differs between the snapshot before and the one now.
    pub(super) fn notify_changes(&mut self, index: usize, before: &Snapshot) {
        let root = &self.roots[index];
        let (uri, now) = (root.uri(), &root.snapshot);
        let known: HashSet<_> = before.decisions.iter().map(|decision| &decision.id).collect();
        for decision in now.decisions.iter().filter(|decision| !known.contains(&decision.id)) {
            let requested = DecisionRequestedNotification { root: uri.clone(), decision: status::decision(decision) };
            self.outbound.notify(DECISION_REQUESTED, requested);
            // What was asked before this editor came is shown, not announced.
            if before.seq > 0 {
                let asker = decision.task.as_ref().map_or("Ralph".to_owned(), |task| format!("Ralph: {task}"));
                self.announce(index, Occasion::NeedsMe, &format!("{asker} asks: {}", short(&decision.question)));
            }
        }
        let open: HashSet<_> = now.decisions.iter().map(|decision| &decision.id).collect();
        for decision in before.decisions.iter().filter(|decision| !open.contains(&decision.id)) {
            let resolved = DecisionResolvedNotification { root: uri.clone(), id: decision.id.to_string() };
            self.outbound.notify(DECISION_RESOLVED, resolved);
        }
        if before.tasks != now.tasks || before.goals != now.goals || before.queue_problem != now.queue_problem {
            let changed = QueueChangedNotification { root: uri.clone(), problem: now.queue_problem.clone() };
            self.outbound.notify_latest(&uri, QUEUE_CHANGED, changed);
        }
        let mut reviewed: Vec<TaskId> = Vec::new();
        // What is said about a proposal changes how it is shown.
        fn proposals(snapshot: &Snapshot) -> HashMap<&TaskId, (&ProposalSummary, &[Comment])> {
            let shown = snapshot.tasks.iter().filter_map(|view| Some((view, view.proposal.as_ref()?)));
            shown.map(|(view, proposal)| (&view.task.id, (proposal, view.comments.as_slice()))).collect()
        }
        let (earlier, later) = (proposals(before), proposals(now));
        let differs = |task: &&&TaskId| earlier.get(**task) != later.get(**task);
        reviewed.extend(later.keys().filter(differs).map(|task| (*task).clone()));
        reviewed.extend(earlier.keys().filter(|task| !later.contains_key(**task)).map(|task| (*task).clone()));
        for task in reviewed {
            self.notify_proposal(index, &task);
        }
        self.notify_status(index);
        self.follow_run(index);
    }

    /// Says how much of a task's proposal is pending.
    pub(super) fn notify_proposal(&self, index: usize, task: &TaskId) {
        let root = &self.roots[index];
        let proposal = root.snapshot.task(task).and_then(|view| view.proposal.as_ref());
        let changed = ProposalChangedNotification {
            root: root.uri(),
            task: task.to_string(),
            pending: proposal.map_or(0, pending_count),
            total: proposal.map_or(0, |proposal| u32::try_from(proposal.hunks.len()).unwrap_or(u32::MAX)),
        };
        self.outbound.notify_latest(&format!("{} {task}", changed.root), PROPOSAL_CHANGED, changed);
    }

    /// Says how a root is.
    pub(super) fn notify_status(&self, index: usize) {
        let root = &self.roots[index];
        let problem = match &root.link {
            Link::Down(error) => Some(error.to_string()),
            _ => None,
        };
        let status = status::notification(root, problem.as_deref());
        self.outbound.notify_latest(&status.root.clone(), STATUS, status);
    }

    /// Shows the run that is on as progress, and ends that of one that is over.
    fn follow_run(&mut self, index: usize) {
        if !self.client.work_done_progress {
            return;
        }
        let root = &self.roots[index];
        let token = root.snapshot.run.as_ref().map(|run| format!("{RUN_TOKEN}{}@{}", run.id, root.uri()));
        if token != root.run_token {
            let ended = self.roots[index].run_token.take();
            self.end_run_progress(ended);
            if let Some(token) = &token {
                let begin = Step::Begin { title: "Ralph".to_owned(), message: None, cancellable: true };
                self.outbound.progress(token, begin);
            }
            self.roots[index].run_token = token;
        }
        let root = &self.roots[index];
        if let (Some(token), Some(run)) = (&root.run_token, &root.snapshot.run) {
            let message = match (&run.task, run.attempt) {
                (Some(task), Some(attempt)) => format!("{task}, attempt {attempt}"),
                _ if run.stopping => "stopping".to_owned(),
                _ if run.waiting_why.is_some() => run.waiting_why.clone().unwrap_or_default(),
                _ => "choosing a task".to_owned(),
            };
            let message = if run.paused { format!("{message} (paused)") } else { message };
            self.outbound.progress(token, Step::Report { message, percentage: None });
        }
    }

    /// Ends the progress of a run.
    pub(super) fn end_run_progress(&self, token: Option<String>) {
        if let Some(token) = token {
            self.outbound.progress(token, Step::End { message: None });
        }
    }

    /// Stops what the person cancelled: the attempt with its run, or the planner; never the engine.
    pub(super) fn progress_cancelled(&self, token: &str) {
        if let Some(root) = self.roots.iter().find(|root| root.run_token.as_deref() == Some(token)) {
            root.tell(Command::Stop { kill: true });
        } else if let Some((_, uri)) = token.strip_prefix(PLAN_TOKEN).and_then(|rest| rest.split_once('@'))
            && let Some(root) = self.roots.iter().find(|root| root.uri() == uri)
        {
            root.tell(Command::CancelPlan);
        }
    }

    pub(super) fn on_milestone(&self, index: usize, milestone: &Milestone) {
        let root = self.roots[index].uri();
        match milestone {
            Milestone::AttemptStarted { task, attempt, agent } => {
                let started = AttemptNotification {
                    root,
                    task: task.to_string(),
                    attempt: *attempt,
                    kind: "started".to_owned(),
                    agent: Some(agent.clone()),
                    ..AttemptNotification::default()
                };
                self.outbound.notify(ATTEMPT, started);
            }
            Milestone::AttemptEnded { task, attempt, outcome, detail } => {
                let ended = AttemptNotification {
                    root,
                    task: task.to_string(),
                    attempt: *attempt,
                    kind: "ended".to_owned(),
                    outcome: Some(outcome.as_str().to_owned()),
                    text: detail.clone(),
                    ..AttemptNotification::default()
                };
                self.outbound.notify(ATTEMPT, ended);
            }
            Milestone::RunEnded { reason, .. } => {
                let (occasion, what) = match reason {
                    RunEndReason::Finished => (Occasion::Finished, "finished"),
                    RunEndReason::NeedsPerson => (Occasion::NeedsMe, "you are needed"),
                    RunEndReason::Budget => (Occasion::NeedsMe, "the budget of the run is used up"),
                    // Whoever stopped it knows.
                    RunEndReason::Stopped => return,
                };
                self.announce_end(index, occasion, what);
            }
            Milestone::Replied { task, question, answer, .. } => {
                let asked =
                    if question.is_empty() { String::new() } else { format!(" to “{}”", first_line(question)) };
                self.show_message(false, &format!("Ralph: {task} replies{asked}: {}", first_line(answer)));
            }
            // These are told from the snapshot, which cannot be missed.
            Milestone::RunStarted { .. }
            | Milestone::ReviewRequest { .. }
            | Milestone::ReviewFeedback { .. }
            | Milestone::Waiting { .. }
            | Milestone::TaskState { .. }
            | Milestone::DecisionRequested { .. }
            | Milestone::DecisionResolved { .. } => {}
        }
    }

    pub(super) fn on_output(&self, index: usize, task: &TaskId, attempt: u32, text: &str) {
        if self.client.output {
            self.notify_attempt(index, task, attempt, "output", text);
        }
    }

    /// Counts down in the progress of the run.
    pub(super) fn on_waiting(&self, index: usize, text: &str) {
        if let Some(token) = &self.roots[index].run_token {
            self.outbound.progress(token, Step::Report { message: text.to_owned(), percentage: None });
        }
    }

    pub(super) fn on_progress(&self, index: usize, task: Option<&TaskId>, attempt: Option<u32>, text: &str) {
        let line = text.lines().next().unwrap_or_default();
        match task {
            Some(task) => {
                self.notify_attempt(index, task, attempt.unwrap_or_default(), "progress", text);
                if let Some(token) = &self.roots[index].run_token {
                    let message = format!("{task}: {line}");
                    self.outbound.progress(token, Step::Report { message, percentage: None });
                }
            }
            None => {
                for token in self.plan_tokens.iter().filter(|token| token.ends_with(&self.roots[index].uri())) {
                    let report = Step::Report { message: line.to_owned(), percentage: None };
                    self.outbound.progress(token, report);
                }
            }
        }
    }

    fn notify_attempt(&self, index: usize, task: &TaskId, attempt: u32, kind: &str, text: &str) {
        let notification = AttemptNotification {
            root: self.roots[index].uri(),
            task: task.to_string(),
            attempt,
            kind: kind.to_owned(),
            text: text.to_owned(),
            ..AttemptNotification::default()
        };
        self.outbound.notify(ATTEMPT, notification);
    }

    /// Says that a run has ended and what it left, or lets the client say so.
    fn announce_end(&self, index: usize, occasion: Occasion, what: &str) {
        let root = &self.roots[index];
        let message = format!("Ralph: {what}: {}", after_run(&root.snapshot));
        if !self.client.run_ended {
            return self.announce(index, occasion, &message);
        }
        if self.is_wanted(index, occasion) {
            let StatusNotification { root, decisions, pending, .. } = status::notification(root, None);
            let warning = occasion == Occasion::NeedsMe;
            self.outbound.notify(RUN_ENDED, RunEndedNotification { root, message, warning, decisions, pending });
        }
    }

    /// Shows one short line nobody asked for, unless the person does not want it on such occasions.
    fn announce(&self, index: usize, occasion: Occasion, text: &str) {
        if self.is_wanted(index, occasion) {
            self.show_message(occasion == Occasion::NeedsMe, text);
        }
    }

    /// Tells whether the person wants to hear of it unasked.
    fn is_wanted(&self, index: usize, occasion: Occasion) -> bool {
        let setting = |settings: &serde_json::Value| settings["notify"].as_str().map(str::to_owned);
        let setting = setting(&self.settings).or_else(|| setting(&self.roots[index].snapshot.settings));
        match setting.as_deref() {
            Some("never") => false,
            Some("needs-me") => occasion == Occasion::NeedsMe,
            Some("finished") => occasion == Occasion::Finished,
            _ => true,
        }
    }

    /// Shows one short line.
    pub(super) fn show_message(&self, warning: bool, text: &str) {
        let line = text.lines().next().unwrap_or_default();
        self.outbound.notify("window/showMessage", json!({ "type": if warning { 2 } else { 3 }, "message": line }));
    }

    /// Asks the client to ask for lenses again.
    pub(super) fn refresh_lenses(&self) {
        if self.client.code_lens_refresh {
            self.outbound.refresh("workspace/codeLens/refresh");
        }
    }
}

/// The part of a text that fits into a line of a message.
fn first_line(text: &str) -> &str {
    text.trim().lines().next().unwrap_or_default()
}
