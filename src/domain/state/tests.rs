//! Journals of released versions: they keep folding, to the same state.

use super::*;
use crate::domain::event::Event;
use crate::domain::queue::{LiveState, live_state};
use std::collections::BTreeSet;

const JOURNAL_V1: &str = include_str!("../../../tests/fixtures/journal-v1.jsonl");

fn read(journal: &str) -> Vec<Event> {
    let read = |(number, line): (usize, &str)| {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("line {}: {error}", number + 1))
    };
    journal.lines().enumerate().map(read).collect()
}

/// Every kind of event there is; a new one does not compile before it is named here, and not pass before the fixture
/// of the version that brings it has one.
fn kind(event: &Event) -> &'static str {
    match event {
        Event::QueueChanged { .. } => "queue_changed",
        Event::TrustRead { .. } => "trust_read",
        Event::RunStarted { .. } => "run_started",
        Event::RunPaused { .. } => "run_paused",
        Event::RunResumed { .. } => "run_resumed",
        Event::RunStopping { .. } => "run_stopping",
        Event::RunFinishing { .. } => "run_finishing",
        Event::RunEnded { .. } => "run_ended",
        Event::AgentLeft { .. } => "agent_left",
        Event::AttemptStarted { .. } => "attempt_started",
        Event::AttemptPrepared { .. } => "attempt_prepared",
        Event::AgentStarted { .. } => "agent_started",
        Event::ReportTaken { .. } => "report_taken",
        Event::AttemptEnded { .. } => "attempt_ended",
        Event::ProposalMade { .. } => "proposal_made",
        Event::ProposalStale { .. } => "proposal_stale",
        Event::ProposalMoved { .. } => "proposal_moved",
        Event::HunksMarked { .. } => "hunks_marked",
        Event::AcceptedPartKept { .. } => "accepted_part_kept",
        Event::TaskDone { .. } => "task_done",
        Event::AcceptanceUndone { .. } => "acceptance_undone",
        Event::TaskReopened { .. } => "task_reopened",
        Event::TaskRequeued { .. } => "task_requeued",
        Event::Steered { .. } => "steered",
        Event::Asked { .. } => "asked",
        Event::DecisionRaised { .. } => "decision_raised",
        Event::DecisionAnswered { .. } => "decision_answered",
        Event::DecisionWithdrawn { .. } => "decision_withdrawn",
        Event::LearningKept { .. } => "learning_kept",
    }
}

const KINDS: usize = 29;

#[test]
fn the_journal_of_version_1_still_folds() {
    let events = read(JOURNAL_V1);
    let kinds: BTreeSet<&str> = events.iter().map(kind).collect();
    assert_eq!(kinds.len(), KINDS, "the fixture holds every kind of event of its version: {kinds:?}");
    let state = State::fold(&events);
    let live = |id: &str| live_state(&state, &id.into()).map(|live| live.state);
    let states = ["a", "b", "c", "d", "e"].map(live);
    let expected = [LiveState::Done, LiveState::Review, LiveState::Ready, LiveState::Blocked, LiveState::Draft];
    assert_eq!(states, expected.map(Some));
    assert_eq!(state.record(&"a".into()).map(|record| record.attempts.len()), Some(3));
    assert_eq!(
        state.record(&"b".into()).and_then(|it| it.proposal.as_ref()).map(|it| it.head.as_str()),
        Some("b+moved")
    );
    assert_eq!(state.open_decisions().map(|decision| decision.id.0.as_str()).collect::<Vec<_>>(), ["d2"]);
    assert_eq!(state.last_run.as_ref().map(|run| run.reason), Some(RunEndReason::Stopped));
    assert_eq!(state.learnings.len(), 1);
}

#[test]
fn what_is_written_today_reads_as_it_was() {
    for (number, event) in read(JOURNAL_V1).iter().enumerate() {
        let written = serde_json::to_string(event).expect("events serialise");
        let again: Event = serde_json::from_str(&written).expect("what was written reads");
        assert_eq!(again, *event, "line {}", number + 1);
    }
}

#[test]
fn the_index_follows_event_by_event() {
    let events = read(JOURNAL_V1);
    let mut live = State::default();
    for (number, event) in events.iter().enumerate() {
        live.apply(event);
        assert_eq!(live, State::fold(&events[..=number]), "after line {}", number + 1);
    }
}
