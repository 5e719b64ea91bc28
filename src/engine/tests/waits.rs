//! Waiting for an agent that rests: over a restart, with a countdown, and until somebody says to try now.

use super::{Bench, open, shared};
use crate::domain::chain::run_waits;
use crate::domain::event::Event;
use crate::domain::reduce::testing::Loop;
use crate::protocol::engine_api::{Command, EngineEvent, Milestone};

/// Opens an engine on the journal of one that went while its run waited; returns when the wait is over, too.
async fn waiting(seconds: u32) -> (Bench, i64) {
    let mut before = Loop::new("a");
    // Where the clock of the fakes starts.
    before.now = 1_000_000;
    before.play(&format!("start; end rate_limited in={seconds}"));
    let until = run_waits(&before.state).expect("it waits").cooldown.until_ms;
    let shared = shared("a");
    shared.events.lock().expect("events").clone_from(&before.events);
    (open(&shared).await, until)
}

/// Waits for the next claim; returns its time and what was said meanwhile.
async fn claimed(bench: &mut Bench) -> (i64, Vec<String>) {
    let mut told = Vec::new();
    loop {
        match &*bench.events.next().await.expect("the engine is there") {
            EngineEvent::Waiting { text, .. } => told.push(text.clone()),
            EngineEvent::Milestone(Milestone::AttemptStarted { attempt: 2, .. }) => break,
            _ => {}
        }
    }
    let at = |event: &Event| match event {
        Event::AttemptStarted { attempt, at_ms, .. } if attempt.number == 2 => Some(*at_ms),
        _ => None,
    };
    (bench.journal().iter().find_map(at).expect("it is journaled"), told)
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_starts_during_a_wait_goes_on_waiting_and_counts_down() {
    let (mut bench, until) = waiting(3).await;
    let run = bench.handle.snapshot().await.expect("a snapshot").run.expect("a run is on");
    assert_eq!(run.waiting_until_ms, Some(until));
    assert_eq!(run.waiting_why.as_deref(), Some("waits for one until 00:16 (rate limited)"));
    let (at, told) = claimed(&mut bench).await;
    assert!(at >= until, "{at} is before {until}");
    let words = |left: &str| format!("waits for one until 00:16 (rate limited), {left} left");
    // What was said before anybody listened is lost, and nothing is said twice.
    assert!(told.ends_with(&[words("2 s"), words("1 s")]) && told.len() <= 3, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn resuming_tries_now() {
    let (mut bench, until) = waiting(20_000).await;
    let away = bench.handle.snapshot().await.expect("a snapshot").away;
    assert_eq!(away.iter().map(|away| away.agent.as_deref()).collect::<Vec<_>>(), [Some("one")]);
    bench.handle.tell(Command::Resume).await.expect("a run is on");
    let (at, _) = claimed(&mut bench).await;
    assert!(at < until);
    assert_eq!(bench.handle.snapshot().await.expect("a snapshot").away, []);
}
