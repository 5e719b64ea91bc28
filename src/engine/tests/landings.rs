//! A landing that is on while other things are asked for, and one whose engine died before it was written down.

use super::*;
use crate::domain::landing::{LandTo, Landing};
use crate::domain::reduce::testing::Loop;
use crate::protocol::engine_api::{ApiError, ErrorKind, LandRequest, Reply};
use std::time::Duration;

/// A journal by which `a` is done with all of its changes accepted, and `b` waits for review.
fn reviewed() -> Arc<Shared> {
    let mut it = Loop::new("a b");
    it.play("start; end verified; end verified; union; accept a; found a");
    assert!(it.state.run.is_none() && it.state.record(&"a".into()).is_some_and(|record| record.done), "{}", it.told());
    let shared = shared("a b");
    *shared.events.lock().expect("events") = it.events;
    shared
}

fn landing() -> Landing {
    let (commit, previous) = ("landed".to_owned(), Some("head".to_owned()));
    Landing { tasks: vec!["a".into()], to: LandTo::Commit, commit, previous, branch: "main".into() }
}

fn landed(bench: &Bench) -> usize {
    bench.journal().iter().filter(|event| matches!(event, Event::Landed { .. })).count()
}

fn is_left(shared: &Shared) -> bool {
    shared.left_landing.lock().expect("landing").is_some()
}

/// Lets the engine work until what was left is known; time passes by itself.
async fn known(shared: &Shared) {
    while is_left(shared) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn to_commit() -> Command {
    Command::Land(LandRequest { to: Some(LandTo::Commit), ..LandRequest::default() })
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_the_journal_does_not_have_is_caught_up_with() {
    let shared = reviewed();
    *shared.left_landing.lock().expect("landing") = Some(landing());
    let bench = open(&shared).await;
    assert_eq!(landed(&bench), 1, "before anybody can ask");
    known(&shared).await;
    // An engine that died after it had written it down, and before it let go.
    *shared.left_landing.lock().expect("landing") = Some(landing());
    let bench = open(&shared).await;
    known(&shared).await;
    assert_eq!(landed(&bench), 1, "a landing counts once");
    let again = bench.handle.call(to_commit()).await.expect_err("all is landed");
    assert!(again.message.contains("nothing to land"), "{}", again.message);
}

#[tokio::test(start_paused = true)]
async fn what_was_left_is_let_go_only_when_it_is_durable() {
    let shared = reviewed();
    *shared.left_landing.lock().expect("landing") = Some(landing());
    shared.full.store(true, Ordering::SeqCst);
    let bench = open(&shared).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(landed(&bench) == 0 && is_left(&shared));
    shared.full.store(false, Ordering::SeqCst);
    known(&shared).await;
    assert_eq!(landed(&bench), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_to_look_for_it_is_told_and_stops_nothing() {
    let shared = reviewed();
    shared.fail("left landing", 1);
    let bench = open(&shared).await;
    assert_eq!(landed(&bench), 0);
    assert!(matches!(bench.handle.call(to_commit()).await, Ok(Reply::Landed(_))));
    assert_eq!(landed(&bench), 1);
    assert!(shared.position("append landed") < shared.position("landing known"), "{:#?}", shared.log());
}

#[tokio::test(start_paused = true)]
async fn while_a_landing_is_on_the_rest_goes_on_and_a_person_ends_it() {
    let shared = reviewed();
    shared.hooks_hang.store(true, Ordering::SeqCst);
    let bench = open(&shared).await;
    let busy = |reply: Result<Reply, ApiError>| {
        let error = reply.expect_err("one at a time");
        assert!(error.kind == ErrorKind::Busy && error.message.contains("a landing is on"), "{error:?}");
    };
    for stop in [Command::Stop { kill: false }, Command::StopLanding] {
        let handle = bench.handle.clone();
        let landing = tokio::spawn(async move { handle.call(to_commit()).await });
        let before = shared.log().iter().filter(|line| line.starts_with("land {")).count();
        while shared.log().iter().filter(|line| line.starts_with("land {")).count() == before {
            tokio::task::yield_now().await;
        }
        busy(bench.handle.call(to_commit()).await);
        busy(bench.handle.call(Command::Undo).await);
        let accept = Command::Accept { task: "b".into(), hunks: vec!["h1".into()], write: true };
        let _ = bench.handle.call(accept).await;
        bench.handle.tell(stop).await.expect("there is one to stop");
        let ended = landing.await.expect("it ends").expect_err("it was stopped");
        assert!(ended.message.contains("it was stopped"), "{}", ended.message);
    }
    assert!(shared.log().iter().any(|line| line == "write hunks"), "{:#?}", shared.log());
    let none = bench.handle.call(Command::StopLanding).await.expect_err("none is on");
    assert_eq!(none.kind, ErrorKind::Usage);
    shared.hooks_hang.store(false, Ordering::SeqCst);
    assert!(matches!(bench.handle.call(to_commit()).await, Ok(Reply::Landed(_))));
}
