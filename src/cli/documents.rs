//! The versioned JSON documents of the reading commands; their fields are public.

use crate::domain::decision::Decision;
use crate::domain::event::Mark;
use crate::domain::hunks::HunkId;
use crate::protocol::engine_api::{AttemptView, HunkSummary, ProposalSummary, ProposalView, Snapshot, TaskView};
use serde_json::{Value, json};

/// Version of every document here. Fields may be added under the same version, never removed or changed.
pub const DOCUMENT_VERSION: u32 = 1;

/// Returns `status --json`.
pub fn status(snapshot: &Snapshot) -> Value {
    json!({
        "version": DOCUMENT_VERSION,
        "root": snapshot.root,
        "run": snapshot.run,
        "last_run": snapshot.last_run,
        "tasks": snapshot.tasks.iter().map(task).collect::<Vec<_>>(),
        "decisions": snapshot.decisions.iter().map(decision).collect::<Vec<_>>(),
        "proposals": proposals(snapshot),
        "queue_problem": snapshot.queue_problem,
        "away": snapshot.away,
        "usage": usage(snapshot),
        "settings": snapshot.settings,
    })
}

/// What was used, as far as agents tell: by the run that is on or the last one, and today; by task it is with the task.
fn usage(snapshot: &Snapshot) -> Value {
    let run = snapshot.run.as_ref().map(|run| run.used);
    json!({ "run": run.or_else(|| snapshot.last_run.as_ref().map(|last| last.used)), "today": snapshot.today })
}

/// Returns `tasks list --json`.
pub fn tasks<'a>(tasks: impl Iterator<Item = &'a TaskView>) -> Value {
    json!({ "version": DOCUMENT_VERSION, "tasks": tasks.map(task).collect::<Vec<_>>() })
}

/// Returns `tasks why ID --json`.
pub fn why(view: &TaskView) -> Value {
    json!({ "version": DOCUMENT_VERSION, "id": view.task.id, "state": view.state, "why": view.why })
}

/// Returns `decisions --json`.
pub fn decisions<'a>(decisions: impl Iterator<Item = &'a Decision>) -> Value {
    json!({ "version": DOCUMENT_VERSION, "decisions": decisions.map(decision).collect::<Vec<_>>() })
}

/// Returns `review --json` without a task.
pub fn reviews(snapshot: &Snapshot) -> Value {
    json!({ "version": DOCUMENT_VERSION, "proposals": proposals(snapshot) })
}

/// Returns `review TASK --json`: the proposal with its texts and the numbers `accept --hunk` takes, and why a hunk does not
/// fit the files as they are now, where it does not.
pub fn review(view: &ProposalView, conflicts: &[(HunkId, String)]) -> Value {
    let conflict = |hunk: &HunkId| conflicts.iter().find(|(id, _)| id == hunk).map(|(_, why)| why);
    let mut document = serde_json::to_value(view).unwrap_or_default();
    let hunks: Vec<Value> = super::hunk_numbers::numbered(view)
        .map(|(number, hunk, mark)| {
            json!({
                "number": number,
                "id": hunk.id,
                "path": hunk.path,
                "state": word(mark),
                "weakens_test": hunk.weakens_test,
                "conflict": conflict(&hunk.id),
            })
        })
        .collect();
    document["version"] = json!(DOCUMENT_VERSION);
    document["hunks"] = Value::Array(hunks);
    document
}

/// Returns the public word of a mark.
pub fn word(mark: &Mark) -> &'static str {
    match mark {
        Mark::Pending => "pending",
        Mark::Accepted => "accepted",
        Mark::Rejected { .. } => "rejected",
    }
}

fn task(view: &TaskView) -> Value {
    json!({
        "id": view.task.id,
        "title": view.task.title,
        "status": view.task.status,
        "state": view.state,
        "why": view.why,
        "priority": view.task.priority,
        "depends_on": view.task.depends_on,
        "goal": view.task.goal,
        "origin": view.task.origin,
        "attempts": view.attempts.iter().map(attempt).collect::<Vec<_>>(),
        "questions": view.questions,
        "comments": view.comments,
        "usage": view.used,
    })
}

fn attempt(view: &AttemptView) -> Value {
    json!({
        "number": view.number,
        "agent": view.agent,
        "model": view.model,
        "usage": view.used,
        "outcome": view.outcome,
        "detail": view.detail,
        "started_at_ms": view.started_at_ms,
        "ended_at_ms": view.ended_at_ms,
        "checks": view.checks,
    })
}

fn decision(decision: &Decision) -> Value {
    let mut document = serde_json::to_value(decision).unwrap_or_default();
    document["open"] = json!(decision.is_open());
    document
}

fn proposals(snapshot: &Snapshot) -> Vec<Value> {
    let with_proposal = snapshot.tasks.iter().filter_map(|view| Some((view, view.proposal.as_ref()?)));
    with_proposal.map(|(view, summary)| proposal(view, summary)).collect()
}

fn proposal(view: &TaskView, summary: &ProposalSummary) -> Value {
    json!({
        "task": view.task.id,
        "attempt": summary.attempt,
        "outcome": summary.outcome,
        "base": summary.base,
        "head": summary.head,
        "summary": summary.summary,
        "files": summary.files,
        "hunks": summary.hunks.iter().map(hunk).collect::<Vec<_>>(),
        "part_kept": summary.part_kept,
        "part": summary.part,
        "round": summary.round,
        "stale": view.state == crate::domain::queue::LiveState::Stale,
    })
}

fn hunk(hunk: &HunkSummary) -> Value {
    let why = if let Mark::Rejected { why } = &hunk.state { why.clone() } else { None };
    json!({ "id": hunk.id, "path": hunk.path, "state": word(&hunk.state), "why": why, "changed": hunk.changed, "again": hunk.again })
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn status_has_the_promised_fields() {
        let document = status(&samples::snapshot());
        let keys =
            |value: &Value| value.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
        for (value, wanted) in [
            (&document, &["version", "run", "tasks", "decisions", "proposals", "settings", "away", "usage"][..]),
            (&document["tasks"][0], &["id", "status", "state", "attempts"]),
            (&document["tasks"][0], &["usage"]),
            (&document["tasks"][0]["attempts"][0], &["outcome", "model", "usage"]),
            (&document["usage"], &["run", "today"]),
            (&document["decisions"][0], &["id", "task", "question", "options"]),
            (&document["proposals"][0], &["task", "files", "hunks"]),
            (&document["proposals"][0]["hunks"][0], &["id", "path", "state"]),
        ] {
            let present = keys(value);
            for key in wanted {
                assert!(present.iter().any(|name| name == key), "{key} is missing in {present:?}");
            }
        }
        assert_eq!(document["version"], 1);
        assert_eq!(document["proposals"][0]["hunks"][1]["state"], "accepted");
        assert_eq!(document["tasks"][0]["state"], "review");
        assert_eq!(document["tasks"][0]["attempts"][1]["outcome"], "verified");
    }
}
