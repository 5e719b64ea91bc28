//! Journals of released versions: they keep folding, to the same state.

use super::*;
use crate::domain::event::Event;
use crate::domain::landing::{self, LandTo, Landing, NotLandable};
use crate::domain::queue::{LiveState, live_state};
use crate::domain::reduce::{Input, decide};
use std::collections::BTreeSet;

const JOURNAL_V1: &str = include_str!("../../../tests/fixtures/journal-v1.jsonl");
/// With chains of agents and models, and budgets; goes on where the first ends.
const JOURNAL_V2: &str = include_str!("../../../tests/fixtures/journal-v2.jsonl");

fn read(journal: &str) -> Vec<Event> {
    let read = |(number, line): (usize, &str)| {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("line {}: {error}", number + 1))
    };
    journal.lines().enumerate().map(read).collect()
}

fn both() -> Vec<Event> {
    [read(JOURNAL_V1), read(JOURNAL_V2)].concat()
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
        Event::LinkLeft { .. } => "link_left",
        Event::LinkCooled { .. } => "link_cooled",
        Event::LinkFreed { .. } => "link_freed",
        Event::UsageCounted { .. } => "usage_counted",
        Event::BudgetRaised { .. } => "budget_raised",
        Event::AttemptStarted { .. } => "attempt_started",
        Event::AttemptPrepared { .. } => "attempt_prepared",
        Event::AgentStarted { .. } => "agent_started",
        Event::ReportTaken { .. } => "report_taken",
        Event::ReviewRequested { .. } => "review_requested",
        Event::ReviewGiven { .. } => "review_given",
        Event::AttemptEnded { .. } => "attempt_ended",
        Event::ProposalMade { .. } => "proposal_made",
        Event::ProposalStale { .. } => "proposal_stale",
        Event::ProposalMoved { .. } => "proposal_moved",
        Event::HunksMarked { .. } => "hunks_marked",
        Event::AcceptedPartKept { .. } => "accepted_part_kept",
        Event::AcceptedPartChecked { .. } => "accepted_part_checked",
        Event::AcceptedPartTaken { .. } => "accepted_part_taken",
        Event::CommentMade { .. } => "comment_made",
        Event::CommentDropped { .. } => "comment_dropped",
        Event::RemarksSent { .. } => "remarks_sent",
        Event::TaskDone { .. } => "task_done",
        Event::AcceptanceUndone { .. } => "acceptance_undone",
        Event::Landed { .. } => "landed",
        Event::LandingUndone { .. } => "landing_undone",
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

/// Kinds of version 1, and of all versions.
const KINDS: [usize; 2] = [29, 43];

#[test]
fn every_kind_of_event_is_in_the_fixture_of_its_version() {
    let mut kinds: BTreeSet<&str> = BTreeSet::new();
    for (journal, expected) in [JOURNAL_V1, JOURNAL_V2].into_iter().zip(KINDS) {
        let events = read(journal);
        kinds.extend(events.iter().map(kind));
        assert_eq!(kinds.len(), expected, "{kinds:?}");
    }
}

#[test]
fn the_journal_of_version_1_still_folds() {
    let events = read(JOURNAL_V1);
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
    for (number, event) in both().iter().enumerate() {
        let written = serde_json::to_string(event).expect("events serialise");
        let again: Event = serde_json::from_str(&written).expect("what was written reads");
        assert_eq!(again, *event, "line {}", number + 1);
    }
}

#[test]
fn the_index_follows_event_by_event() {
    let events = both();
    let mut live = State::default();
    for (number, event) in events.iter().enumerate() {
        live.apply(event);
        assert_eq!(live, State::fold(&events[..=number]), "after line {}", number + 1);
    }
}

#[test]
fn the_journal_of_version_2_folds_onto_the_first() {
    let state = State::fold(&both());
    let run = state.run.as_ref().expect("a run is on");
    let left: Vec<String> = run.left.keys().map(ToString::to_string).collect();
    assert_eq!(left, ["two (n)"]);
    let cooled: Vec<String> = state.chain.cooled.keys().map(ToString::to_string).collect();
    assert_eq!(cooled, ["one"], "what was freed does not rest");
    assert_eq!(state.chain.signature, run.settings.signature());
    assert_eq!((run.used.tokens(), run.used.usd), (1_600, Some(0.75)));
    let record = state.record(&"c".into()).expect("a record");
    assert_eq!((record.used.tokens(), record.raised), (1_500, 1));
    assert_eq!(state.days.raised.values().sum::<u32>(), 1);
    let landed = state.record(&"a".into()).and_then(|record| record.landed.as_ref());
    assert_eq!(landed.map(|landed| landed.words()).as_deref(), Some("bbbbbbbb on main"));
    let live = live_state(&state, &"c".into()).expect("it is in the queue");
    assert_eq!((live.state, live.why.as_str()), (LiveState::Ready, "it is ready to run"));
}

#[test]
fn what_is_done_can_be_landed_once_until_that_is_undone() {
    let events = read(JOURNAL_V1);
    let mut state = State::fold(&events);
    let (a, b) = (TaskId::from("a"), TaskId::from("b"));
    assert_eq!(landing::all_landable(&state), std::slice::from_ref(&a));
    assert_eq!(landing::landable(state.record(&b)), Err(NotLandable::NothingAccepted));
    // `b` was built on `a`, whatever the order they are named in.
    assert_eq!(landing::in_order(&state, &[b.clone(), a.clone(), b.clone()]), [a.clone(), b]);
    let landed = Landing {
        tasks: vec![a.clone()],
        to: LandTo::Commit,
        commit: "0123456789".into(),
        previous: Some("before".into()),
        branch: "main".into(),
    };
    let mut decide_and_fold = |input: Input| {
        let (events, _) = decide(&state, input, 0).expect("never refused");
        events.iter().for_each(|event| state.apply(event));
        (events.len(), landing::landable(state.record(&a)))
    };
    let as_landed = Err(NotLandable::Landed("01234567 on main".into()));
    assert_eq!(decide_and_fold(Input::Landed { landing: landed.clone() }), (1, as_landed.clone()));
    assert_eq!(decide_and_fold(Input::LandingUndone { commit: "another".into() }), (0, as_landed));
    assert_eq!(decide_and_fold(Input::LandingUndone { commit: landed.commit.clone() }), (1, Ok(())));
    assert_eq!(decide_and_fold(Input::Landed { landing: landed }).0, 1);
    // Another round brings text that is in no commit; what was accepted before still counts.
    let retried = decide_and_fold(Input::Retry { task: a.clone(), clean: false });
    assert_eq!(retried.1, Err(NotLandable::NotDone));
    assert_eq!(state.record(&a).map(|record| record.earlier.len()), Some(1));
}
