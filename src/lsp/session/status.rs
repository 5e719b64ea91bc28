//! An engine's snapshot in the words of the editor protocol.

use super::links::{self, Link};
use super::review::{Placed, by_risk, comments_by_hunk, waits_for};
use super::root::Root;
use super::texts::Texts;
use crate::domain::budget;
use crate::domain::decision::{Decision, DecisionKind};
use crate::domain::event::Mark;
use crate::domain::hunks::{Hunk, HunkKind};
use crate::domain::inbox::Question;
use crate::domain::landing::LandedAs;
use crate::domain::report::Finding;
use crate::domain::review::HunkState;
use crate::domain::rounds::Comment;
use crate::protocol::editor::{
    AttemptStatus, CheckStatus, CommentStatus, DecisionChoice, DecisionStatus, FindingStatus, HunkStatus,
    LastRunStatus, ProposalFileResult, ProposalHunk, ProposalResult, QuestionStatus, RunStatus, StatusNotification,
    StatusResult, TaskStatus,
};
use crate::protocol::engine_api::{
    AttemptText, EndedRunView, HunkSummary, ProposalFile, ProposalSummary, RunView, Snapshot, TaskView, after_run,
};
use std::collections::{BTreeMap, HashMap};

/// Returns everything about a root.
pub fn status(root: &Root) -> StatusResult {
    let snapshot = &root.snapshot;
    StatusResult {
        root: root.uri(),
        run: snapshot.run.as_ref().map(run),
        last_run: snapshot.last_run.as_ref().map(|last| last_run(snapshot, last)),
        tasks: snapshot.tasks.iter().map(|view| task(root, view)).collect(),
        decisions: snapshot.decisions.iter().map(decision).collect(),
        queue_problem: snapshot.queue_problem.clone(),
        agents: snapshot.agents.clone(),
        settings: snapshot.settings.clone(),
    }
}

/// Returns what a status bar shows about a root; `problem` when its engine cannot be reached.
pub fn notification(root: &Root, problem: Option<&str>) -> StatusNotification {
    let snapshot = &root.snapshot;
    let mut states = BTreeMap::new();
    for view in &snapshot.tasks {
        *states.entry(view.state.as_str().to_owned()).or_insert(0) += 1;
    }
    let pending = snapshot.tasks.iter().filter_map(|view| view.proposal.as_ref()).map(pending_count).sum();
    let decisions = u32::try_from(snapshot.decisions.len()).unwrap_or(u32::MAX);
    let problem = problem.or(snapshot.queue_problem.as_deref());
    let blocked = states.get("blocked").copied().unwrap_or(0);
    let health = match problem {
        Some(_) => "error",
        None if decisions > 0 || blocked > 0 => "warning",
        None => "ok",
    };
    StatusNotification {
        root: root.uri(),
        health: health.to_owned(),
        message: problem.map_or_else(|| sentence(root, decisions, pending), str::to_owned),
        run: snapshot.run.as_ref().map(run),
        states,
        decisions,
        pending,
    }
}

fn sentence(root: &Root, decisions: u32, pending: u32) -> String {
    let mut parts = Vec::new();
    match &root.snapshot.run {
        Some(run) if run.paused => parts.push("paused".to_owned()),
        Some(run) => match (&run.task, run.attempt) {
            (Some(task), Some(attempt)) => parts.push(format!("{task}, attempt {attempt}")),
            _ => parts.push(run.waiting_why.clone().unwrap_or_else(|| "running".to_owned())),
        },
        None => {}
    }
    let mut count = |n: u32, one: &str, many: &str| {
        if n > 0 {
            parts.push(format!("{n} {}", if n == 1 { one } else { many }));
        }
    };
    count(decisions, "question", "questions");
    count(pending, "hunk to review", "hunks to review");
    if parts.is_empty() { "idle".to_owned() } else { parts.join(", ") }
}

/// Returns how many hunks of a proposal wait for the person.
pub fn pending_count(summary: &ProposalSummary) -> u32 {
    let pending = summary.hunks.iter().filter(|hunk| hunk.state == Mark::Pending).count();
    u32::try_from(pending).unwrap_or(u32::MAX)
}

/// Returns the run that is on.
pub fn run(run: &RunView) -> RunStatus {
    RunStatus {
        id: run.id.clone(),
        paused: run.paused,
        stopping: run.stopping,
        task: run.task.as_ref().map(ToString::to_string),
        attempt: run.attempt,
        agent: run.agent.clone(),
        waiting_until_ms: run.waiting_until_ms,
        waiting_why: run.waiting_why.clone(),
    }
}

fn last_run(snapshot: &Snapshot, last: &EndedRunView) -> LastRunStatus {
    LastRunStatus {
        id: last.id.clone(),
        reason: last.reason.as_str().to_owned(),
        ended_at_ms: last.ended_at_ms,
        summary: after_run(snapshot),
    }
}

fn task(root: &Root, view: &TaskView) -> TaskStatus {
    let text = |number: u32, what: AttemptText| {
        links::to_uri(&root.path, &Link::Attempt { task: view.task.id.0.clone(), attempt: Some(number), what })
    };
    let attempts = view.attempts.iter().map(|attempt| AttemptStatus {
        number: attempt.number,
        agent: attempt.agent.clone(),
        model: attempt.model.clone(),
        outcome: attempt.outcome.map(|outcome| outcome.as_str().to_owned()),
        detail: attempt.detail.clone(),
        used: Some(budget::words(&attempt.used)).filter(|words| !words.is_empty()),
        prompt_uri: text(attempt.number, AttemptText::Prompt),
        transcript_uri: text(attempt.number, AttemptText::Transcript),
        checks_uri: text(attempt.number, AttemptText::Checks),
    });
    let hunks = view.proposal.iter().flat_map(|summary| &summary.hunks).map(|hunk| HunkStatus {
        id: hunk.id.to_string(),
        path: hunk.path.clone(),
        mark: mark(&hunk.state).to_owned(),
    });
    TaskStatus {
        id: view.task.id.to_string(),
        title: view.task.title.clone(),
        status: view.task.status.as_str().to_owned(),
        state: view.state.as_str().to_owned(),
        why: view.why.clone(),
        attempts: attempts.collect(),
        hunks: hunks.collect(),
        questions: view.questions.iter().map(question).collect(),
        landable: view.landable,
        landed: view.landed.as_ref().map(LandedAs::words),
    }
}

fn question(question: &Question) -> QuestionStatus {
    QuestionStatus {
        id: question.id.clone(),
        attempt: question.attempt,
        text: question.text.clone(),
        answer: question.answer.clone(),
    }
}

/// Returns a decision.
pub fn decision(decision: &Decision) -> DecisionStatus {
    let options = decision.options.iter();
    DecisionStatus {
        id: decision.id.to_string(),
        task: decision.task.as_ref().map(ToString::to_string),
        kind: decision_kind(decision.kind).to_owned(),
        question: decision.question.clone(),
        options: options
            .map(|option| DecisionChoice { label: option.label.clone(), detail: option.detail.clone() })
            .collect(),
        recommended: decision.recommended.clone(),
        file: decision.evidence.file.clone(),
        line: decision.evidence.line,
    }
}

/// Returns a proposal; `placed` are its hunks in the open documents.
pub fn proposal(root: &Root, summary: &ProposalSummary, view: &Texts, placed: &[Placed<'_>]) -> ProposalResult {
    let link = |link: Link| links::to_uri(&root.path, &link);
    let task = view.task.to_string();
    let comments = comments_by_hunk(root, view);
    let places: HashMap<_, _> = placed.iter().map(|placed| (&placed.hunk.id, placed)).collect();
    let shown =
        |hunk: &Hunk| proposal_hunk(root, view, hunk, view.known(summary, &hunk.id), places.get(&hunk.id).copied());
    let files = by_risk(root, summary, view).into_iter().map(|file| ProposalFileResult {
        path: file.path.clone(),
        old_path: file.old_path.clone(),
        uri: root.file_uri(&file.path).map(String::from).unwrap_or_default(),
        base_uri: link(Link::Base { task: task.clone(), path: file.path.clone() }),
        proposal_uri: link(Link::Proposal { task: task.clone(), path: file.path.clone() }),
        hunks: {
            let mut hunks: Vec<_> = file.hunks.iter().map(|(hunk, _)| shown(hunk)).collect();
            for (shown, (hunk, _)) in hunks.iter_mut().zip(&file.hunks) {
                let beside = comments.get(&Some(&hunk.id));
                shown.comments = beside.into_iter().flatten().map(|comment| comment.text.clone()).collect();
            }
            put_findings(&mut hunks, file, &view.findings);
            hunks
        },
    });
    ProposalResult {
        title: view.title.clone(),
        attempt: view.attempt,
        outcome: view.outcome.as_str().to_owned(),
        summary: view.summary.clone(),
        acceptance: view.acceptance.clone(),
        checks: view
            .checks
            .iter()
            .map(|check| CheckStatus { run: check.run.clone(), passed: check.passed, proof: check.is_proof() })
            .collect(),
        findings: view
            .findings
            .iter()
            .map(|found| FindingStatus { file: found.file.clone(), line: found.line, text: found.text.clone() })
            .collect(),
        round: summary.round,
        comments: root.comments(&view.task).iter().map(comment).collect(),
        accepted_part: summary.part.clone(),
        files: files.collect(),
        uri: link(Link::Review { task: task.clone() }),
        task,
    }
}

/// Puts what a reviewer found in a file beside the hunk that has the line, else the nearest one; what is about no line
/// goes beside the first.
fn put_findings(hunks: &mut [ProposalHunk], file: &ProposalFile, findings: &[Finding]) {
    for finding in findings.iter().filter(|finding| finding.file.as_deref() == Some(file.path.as_str())) {
        let line = finding.line.map(|line| line.saturating_sub(1));
        let distance = |hunk: &Hunk| {
            let end = hunk.new_start + u32::try_from(hunk.new_lines.len().max(1)).unwrap_or(u32::MAX) - 1;
            line.map_or(0, |line| hunk.new_start.saturating_sub(line).max(line.saturating_sub(end)))
        };
        let distances = file.hunks.iter().map(|(hunk, _)| distance(hunk)).zip(hunks.iter_mut());
        if let Some((distance, hunk)) = distances.min_by_key(|(distance, _)| *distance) {
            hunk.findings.push(match finding.line.filter(|_| distance > 0) {
                Some(line) => format!("line {line}: {}", finding.text),
                None => finding.text.clone(),
            });
        }
    }
}

fn comment(comment: &Comment) -> CommentStatus {
    CommentStatus {
        id: comment.id.clone(),
        hunk: comment.hunk.as_ref().map(ToString::to_string),
        path: comment.path.clone(),
        line: comment.line,
        text: comment.text.clone(),
        round: comment.round,
        sent: comment.sent,
    }
}

fn proposal_hunk(
    root: &Root,
    view: &Texts,
    hunk: &Hunk,
    known: Option<&HunkSummary>,
    place: Option<&Placed<'_>>,
) -> ProposalHunk {
    let lines = place.map_or_else(
        || hunk.old_start..hunk.old_start + u32::try_from(hunk.old_lines.len()).unwrap_or(u32::MAX),
        |placed| placed.mapped.lines.clone(),
    );
    ProposalHunk {
        id: hunk.id.to_string(),
        kind: kind(hunk.kind).to_owned(),
        mark: mark(&known.map(|known| known.state.clone()).unwrap_or_default()).to_owned(),
        state: place.map(|placed| state(placed.mapped.state).to_owned()),
        start_line: lines.start,
        end_line: lines.end,
        old_start: hunk.old_start,
        new_start: hunk.new_start,
        old_lines: hunk.old_lines.clone(),
        new_lines: hunk.new_lines.clone(),
        weakens_test: hunk.weakens_test.clone(),
        findings: Vec::new(),
        comments: Vec::new(),
        changed: known.is_some_and(|known| known.changed),
        again: known.is_some_and(|known| known.again),
        waits_for: waits_for(root, view, &hunk.id).map(|task| task.to_string()),
    }
}

/// Returns the word for a mark.
pub fn mark(mark: &Mark) -> &'static str {
    match mark {
        Mark::Pending => "pending",
        Mark::Accepted => "accepted",
        Mark::Rejected { .. } => "rejected",
    }
}

fn state(state: HunkState) -> &'static str {
    match state {
        HunkState::Pending => "pending",
        HunkState::Accepted => "accepted",
        HunkState::Reverted => "reverted",
        HunkState::Conflict => "conflict",
    }
}

fn kind(kind: HunkKind) -> &'static str {
    match kind {
        HunkKind::Rename => "rename",
        HunkKind::Mode => "mode",
        HunkKind::Create => "create",
        HunkKind::Delete => "delete",
        HunkKind::Binary => "binary",
        HunkKind::Text => "text",
    }
}

fn decision_kind(kind: DecisionKind) -> &'static str {
    match kind {
        DecisionKind::Clarification => "clarification",
        DecisionKind::Permission => "permission",
        DecisionKind::Budget => "budget",
        DecisionKind::Conflict => "conflict",
        DecisionKind::RepeatedFailure => "repeated_failure",
        DecisionKind::Plan => "plan",
        DecisionKind::Setup => "setup",
    }
}
