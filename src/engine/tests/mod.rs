//! The engine against a world in memory: what comes before what, and what every failure of the world leaves behind.

mod fakes;
mod half_done;
mod landings;
mod reviews;
mod turns;
mod waits;

use super::actor;
use super::handle::{Events, Handle};
use crate::domain::event::{Event, RunEndReason};
use crate::domain::outcome::Outcome;
use crate::domain::queue::LiveState;
use crate::domain::reduce::testing::queue;
use crate::domain::report::Report;
use crate::domain::state::State;
use crate::protocol::engine_api::{Command, EngineEvent, Milestone, StartRequest};
use fakes::{Port, Shared, world};
use std::sync::Arc;
use std::sync::atomic::Ordering;

struct Bench {
    shared: Arc<Shared>,
    handle: Handle,
    events: Events,
}

fn shared(tasks: &str) -> Arc<Shared> {
    let shared = Arc::new(Shared::default());
    *shared.queue.lock().expect("queue") = queue(tasks);
    let finished = Report::Finished { summary: "did it".into(), no_change: None, evidence: None };
    *shared.report.lock().expect("report") = Some(finished);
    shared
}

async fn open(shared: &Arc<Shared>) -> Bench {
    let handle = actor::start(world(shared), Box::new(Port(shared.clone()))).await.expect("the engine starts");
    let events = handle.subscribe();
    Bench { shared: shared.clone(), handle, events }
}

impl Bench {
    async fn start(&self) {
        self.handle.tell(Command::Start(StartRequest::default())).await.expect("a run starts");
    }

    /// Waits for the end of the run and returns its reason.
    async fn ended(&mut self) -> RunEndReason {
        loop {
            let event = self.events.next().await.expect("the engine is there");
            if let EngineEvent::Milestone(Milestone::RunEnded { reason, .. }) = &*event {
                return *reason;
            }
        }
    }

    /// Waits for the end of a run that was on when the engine was opened, and may have ended since.
    async fn taken_up(&mut self) {
        if self.handle.snapshot().await.expect("a snapshot").run.is_some() {
            assert_eq!(self.ended().await, RunEndReason::Finished);
        }
    }

    async fn run(&mut self) -> RunEndReason {
        self.start().await;
        self.ended().await
    }

    fn journal(&self) -> Vec<Event> {
        self.shared.events.lock().expect("events").clone()
    }

    fn outcomes(&self) -> Vec<Outcome> {
        let outcome = |event: &Event| match event {
            Event::AttemptEnded { end, .. } => Some(end.outcome),
            _ => None,
        };
        self.journal().iter().filter_map(outcome).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn effects_come_in_order() {
    let mut bench = open(&shared("a")).await;
    assert_eq!(bench.run().await, RunEndReason::Finished);
    let order = [
        "append run_started,attempt_started",
        "snapshot",
        "append attempt_prepared",
        "fill slot-1 seen",
        "start check check",
        "outside before",
        "append agent_started",
        "start agent",
        "append report_taken",
        "acknowledge",
        "commit slot-1",
        "files work-1",
        "publish work-1",
        "append attempt_ended,proposal_made,run_ended",
    ];
    let positions: Vec<usize> = order.iter().map(|line| bench.shared.position(line)).collect();
    assert!(positions.is_sorted(), "{:#?}", bench.shared.log());
    let log = bench.shared.log();
    assert_eq!(log.iter().filter(|line| *line == "start agent").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_visible_before_it_is_durable() {
    let mut bench = open(&shared("a")).await;
    bench.start().await;
    // Whatever a front end is shown is in the journal at that moment.
    loop {
        let event = bench.events.next().await.expect("the engine is there");
        match &*event {
            EngineEvent::Changed(delta) => assert!(delta.seq <= bench.journal().len() as u64),
            EngineEvent::Milestone(Milestone::AttemptEnded { .. }) => assert_eq!(bench.outcomes().len(), 1),
            EngineEvent::Milestone(Milestone::RunEnded { .. }) => {
                assert!(bench.journal().iter().any(|event| matches!(event, Event::RunEnded { .. })));
                return;
            }
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_cannot_be_written_delays_and_loses_nothing() {
    // As many appends as a run of one task makes, each failing once.
    for at in 1..=7 {
        let shared = shared("a");
        shared.fail("append", at);
        let mut bench = open(&shared).await;
        if bench.handle.tell(Command::Start(StartRequest::default())).await.is_err() {
            let snapshot = bench.handle.snapshot().await.expect("a snapshot");
            assert!(snapshot.run.is_none(), "what could not be written did not happen");
            bench.start().await;
        }
        assert_eq!(bench.ended().await, RunEndReason::Finished, "append {at}");
        assert_eq!(bench.outcomes(), [Outcome::Verified], "append {at}: {:#?}", shared.log());
        let log = shared.log();
        assert_eq!(log.iter().filter(|line| *line == "start agent").count(), 1, "append {at}");
        let snapshot = bench.handle.snapshot().await.expect("a snapshot");
        assert_eq!(snapshot.tasks[0].state, LiveState::Review);
        assert_eq!(State::fold(&bench.journal()).records.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_stops_the_loop_until_there_is_space() {
    let shared = shared("a");
    let mut bench = open(&shared).await;
    bench.start().await;
    let appended = shared.appended.notified();
    shared.full.store(true, Ordering::SeqCst);
    appended.await;
    let before = bench.journal();
    let snapshot = bench.handle.snapshot().await.expect("a snapshot");
    assert_eq!(snapshot.seq, before.len() as u64, "nothing visible that is not durable");
    let refused = bench.handle.tell(Command::Pause).await.expect_err("a person is told at once");
    assert!(refused.message.contains("no space left"), "{refused}");
    assert_eq!(bench.journal(), before);
    shared.full.store(false, Ordering::SeqCst);
    assert_eq!(bench.ended().await, RunEndReason::Finished);
    assert_eq!(bench.outcomes(), [Outcome::Verified]);
}

#[tokio::test(start_paused = true)]
async fn every_port_may_fail_once() {
    let calls = [
        "snapshot",
        "fill",
        "include",
        "start check",
        "outside before",
        "write",
        "mailbox",
        "start agent",
        "read",
        "take mail",
        "acknowledge",
        "commit",
        "outside since",
        "files",
        "publish",
        "end left",
    ];
    for call in calls {
        let shared = shared("a");
        let mut bench = open(&shared).await;
        // The first call of the run, whatever the start made before.
        let before = shared.log().iter().filter(|line| line.starts_with(call)).count() as u32;
        shared.fail(call, before + 1);
        assert_eq!(bench.run().await, RunEndReason::Finished, "{call}: {:#?}", shared.log());
        let outcomes = bench.outcomes();
        assert_eq!(outcomes.last(), Some(&Outcome::Verified), "{call}: {:#?}", shared.log());
        assert!(outcomes[..outcomes.len() - 1].iter().all(|outcome| *outcome == Outcome::AttemptLost), "{call}");
        // Once an agent has been started, what is in the slot is committed before the slot is filled again.
        let log = shared.log();
        let agent = log.iter().position(|line| line == "start agent").expect("an agent was started");
        let commit = log.iter().skip(agent).position(|line| line.starts_with("commit") && !line.ends_with("FAILED"));
        let fill = log.iter().skip(agent).position(|line| line.starts_with("fill slot-1 seen"));
        assert!(commit.is_some() && fill.is_none_or(|fill| commit < Some(fill)), "{call}: {log:#?}");
        assert_eq!(shared.most_running.load(Ordering::SeqCst), 1, "{call}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_port_that_always_fails_ends_in_a_question() {
    let shared = shared("a b");
    shared.fail("snapshot", 0);
    let mut bench = open(&shared).await;
    assert_eq!(bench.run().await, RunEndReason::NeedsPerson);
    assert_eq!(bench.outcomes(), [Outcome::AttemptLost; 6]);
    let snapshot = bench.handle.snapshot().await.expect("a snapshot");
    assert_eq!(snapshot.decisions.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_was_started_is_adopted_and_never_started_again() {
    let shared = shared("a");
    let mut first = open(&shared).await;
    assert_eq!(first.run().await, RunEndReason::Finished);
    // The engine was killed right after the agent's start.
    let mut journal = first.journal();
    let started = journal.iter().position(|event| matches!(event, Event::AgentStarted { .. })).expect("it was started");
    journal.truncate(started + 1);
    let again = self::shared("a");
    *again.events.lock().expect("events") = journal;
    again.adoptable.store(true, Ordering::SeqCst);
    let mut second = open(&again).await;
    if second.handle.snapshot().await.expect("a snapshot").run.is_some() {
        assert_eq!(second.ended().await, RunEndReason::Finished);
    }
    let log = again.log();
    assert!(log.iter().any(|line| line.starts_with("adopt")), "{log:#?}");
    assert!(!log.iter().any(|line| line == "start agent"), "{log:#?}");
    assert_eq!(second.outcomes(), [Outcome::Verified]);
}

#[tokio::test(start_paused = true)]
async fn a_kill_at_any_event_is_come_back_from() {
    let shared = shared("a b:a");
    let mut first = open(&shared).await;
    assert_eq!(first.run().await, RunEndReason::Finished);
    let journal = first.journal();
    let run = journal.iter().position(|event| matches!(event, Event::RunStarted { .. })).expect("a run started");
    for cut in run + 1..journal.len() {
        let again = self::shared("a b:a");
        *again.events.lock().expect("events") = journal[..cut].to_vec();
        again.adoptable.store(true, Ordering::SeqCst);
        let mut bench = open(&again).await;
        if bench.handle.snapshot().await.expect("a snapshot").run.is_some() {
            assert_eq!(bench.ended().await, RunEndReason::Finished, "cut at {cut}");
        }
        let state = State::fold(&bench.journal());
        assert_eq!(state.unfinished_attempts(), [], "cut at {cut}");
        let tasks = bench.handle.snapshot().await.expect("a snapshot").tasks;
        assert!(tasks.iter().all(|task| task.state == LiveState::Review), "cut at {cut}: {tasks:?}");
        assert!(again.most_running.load(Ordering::SeqCst) <= 1, "cut at {cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn stopping_kills_the_agent_and_keeps_its_work() {
    let shared = shared("a");
    shared.endless.store(true, Ordering::SeqCst);
    let mut bench = open(&shared).await;
    bench.start().await;
    while !shared.log().iter().any(|line| line == "start agent") {
        bench.events.next().await.expect("the engine is there");
    }
    bench.handle.tell(Command::Stop { kill: true }).await.expect("it stops");
    assert_eq!(bench.ended().await, RunEndReason::Stopped);
    assert_eq!(bench.outcomes(), [Outcome::Cancelled]);
    assert!(shared.position("commit slot-1") > shared.position("start agent"));
}

#[tokio::test(start_paused = true)]
async fn a_failed_check_is_tried_again_from_what_was_left() {
    let shared = shared("a%2");
    shared.red.store(true, Ordering::SeqCst);
    let mut bench = open(&shared).await;
    assert_eq!(bench.run().await, RunEndReason::NeedsPerson);
    assert_eq!(bench.outcomes(), [Outcome::VerifyFailed, Outcome::VerifyFailed]);
    let log = shared.log();
    assert!(log.iter().any(|line| line == "fill slot-1 seen+work-1"), "{log:#?}");
}
