//! A queue file that is looked at while somebody saves it.

use super::*;
use std::time::Duration;

fn removed(bench: &Bench) -> bool {
    bench.journal().iter().any(|event| matches!(event, Event::QueueChanged { removed, .. } if !removed.is_empty()))
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_empty_for_a_moment_removes_nothing() {
    let shared = shared("a b");
    let mut bench = open(&shared).await;
    let text = std::mem::take(&mut *shared.queue.lock().expect("queue"));
    let saving = shared.clone();
    // As an editor that empties the file before it writes it.
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        *saving.queue.lock().expect("queue") = text;
    });
    assert_eq!(bench.run().await, RunEndReason::Finished);
    assert_eq!(bench.outcomes(), [Outcome::Verified; 2]);
    assert!(!removed(&bench));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_stays_empty_removes_everything() {
    let shared = shared("a b");
    let mut bench = open(&shared).await;
    shared.queue.lock().expect("queue").clear();
    assert_eq!(bench.run().await, RunEndReason::Finished);
    assert_eq!(bench.outcomes(), []);
    assert!(removed(&bench));
}
