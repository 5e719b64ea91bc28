//! Snapshots and proposals for the tests of the renderers.

use crate::domain::decision::{Decision, DecisionId, DecisionKind, DecisionOption, Evidence, OptionEffect};
use crate::domain::ending::Usage;
use crate::domain::event::{Mark, RunEndReason};
use crate::domain::hunks::{Hunk, HunkId, HunkKind};
use crate::domain::outcome::Outcome;
use crate::domain::queue::LiveState;
use crate::domain::task::{Status, Task, VerifyCommand};
use crate::protocol::engine_api::{
    AttemptView, EndedRunView, HunkSummary, ProposalFile, ProposalSummary, ProposalView, ReviewView, Snapshot, TaskView,
};

/// A task in review, one that is blocked by a question, one that waits for it, a draft and a done one.
pub fn snapshot() -> Snapshot {
    let mut review = task("add-greeting", "Add a greeting", LiveState::Review, "1 of 2 hunks wait for review");
    review.attempts = vec![
        attempt(1, Some(Outcome::VerifyFailed), "`sh test.sh` failed"),
        attempt(2, Some(Outcome::Verified), "all checks passed"),
    ];
    review.proposal = Some(ProposalSummary {
        attempt: 2,
        outcome: Outcome::Verified,
        base: "b".repeat(40),
        head: "a".repeat(40),
        files: vec!["greet.sh".into()],
        hunks: vec![
            HunkSummary {
                id: HunkId("111111aaaaaa".into()),
                path: "greet.sh".into(),
                state: Mark::Pending,
                changed: false,
                again: false,
            },
            HunkSummary {
                id: HunkId("222222bbbbbb".into()),
                path: "greet.sh".into(),
                state: Mark::Accepted,
                changed: false,
                again: false,
            },
        ],
        summary: Some("Greets.".into()),
        part_kept: false,
        part: None,
        round: 1,
    });
    let mut blocked = task("pick-name", "Pick a name", LiveState::Blocked, "it needs an answer to d1: Which name?");
    blocked.attempts = vec![attempt(1, Some(Outcome::NeedsDecision), "asked: Which name?")];
    let waiting = task("use-name", "Use the name", LiveState::Waiting, "it waits for `pick-name`");
    let mut draft = task("write-docs", "Write the documentation", LiveState::Draft, "it is not approved yet");
    draft.task.status = Status::Draft;
    draft.task.acceptance = vec!["README says how".into()];
    draft.task.verify = vec![VerifyCommand { run: "grep -q how README".into(), cwd: None }];
    let mut done = task("set-up", "Set up", LiveState::Done, "accepted");
    done.task.status = Status::Done;
    Snapshot {
        seq: 7,
        root: "/home/ada/shop".into(),
        tasks: vec![review, blocked, waiting, draft, done],
        decisions: vec![decision()],
        last_run: Some(EndedRunView {
            id: "r1".into(),
            reason: RunEndReason::NeedsPerson,
            union: None,
            started_at_ms: 1,
            ended_at_ms: 9,
            used: Usage::default(),
        }),
        ..Snapshot::default()
    }
}

pub fn decision() -> Decision {
    let option = |label: &str, detail: &str| DecisionOption {
        label: label.into(),
        detail: detail.into(),
        pros: vec![],
        cons: vec![],
        does: OptionEffect::Retry,
    };
    Decision {
        id: DecisionId("d1".into()),
        task: Some("pick-name".into()),
        attempt: Some(1),
        kind: DecisionKind::Clarification,
        question: "Which name?".into(),
        options: vec![option("Ada", ""), option("Grace", "the one in the logo")],
        recommended: Some("Ada".into()),
        evidence: Evidence { file: Some("names.txt".into()), line: Some(3), ..Evidence::default() },
        fingerprint: "f".into(),
        raised_at_ms: 5,
        answer: None,
        withdrawn: false,
    }
}

pub fn task(id: &str, title: &str, state: LiveState, why: &str) -> TaskView {
    let task = Task { status: Status::Todo, ..Task::new(id, title) };
    TaskView {
        task,
        state,
        why: why.into(),
        attempts: vec![],
        proposal: None,
        questions: Vec::new(),
        comments: Vec::new(),
        used: Usage::default(),
        landed: None,
        landable: false,
    }
}

pub fn attempt(number: u32, outcome: Option<Outcome>, detail: &str) -> AttemptView {
    let ended_at_ms = outcome.map(|_| 2000);
    let agent = "claude".to_owned();
    AttemptView {
        number,
        agent,
        model: None,
        outcome,
        detail: detail.into(),
        started_at_ms: 1000,
        ended_at_ms,
        checks: vec![],
        used: Usage::default(),
    }
}

pub fn proposal() -> ProposalView {
    let hunk = |id: &str, line: u32, old: &str, new: &str| Hunk {
        id: HunkId(id.into()),
        path: "greet.sh".into(),
        old_path: None,
        kind: HunkKind::Text,
        old_start: line,
        old_lines: vec![old.into()],
        new_start: line,
        new_lines: vec![new.into()],
        ordinal: 0,
        old_mode: None,
        new_mode: None,
        old_blob: None,
        new_blob: None,
        weakens_test: None,
    };
    ProposalView {
        task: "add-greeting".into(),
        title: "Add a greeting".into(),
        attempt: 2,
        outcome: Outcome::Verified,
        summary: Some("Greets.".into()),
        checks: vec![],
        acceptance: vec![],
        findings: vec![],
        review: ReviewView { round: 1, ..ReviewView::default() },
        files: vec![ProposalFile {
            path: "greet.sh".into(),
            old_path: None,
            base_text: Some("a\nb\nc\n".into()),
            head_text: Some("A\nb\nC\n".into()),
            hunks: vec![
                (hunk("111111aaaaaa", 0, "a\n", "A\n"), Mark::Pending),
                (hunk("222222bbbbbb", 2, "c\n", "C\n"), Mark::Accepted),
            ],
        }],
    }
}
