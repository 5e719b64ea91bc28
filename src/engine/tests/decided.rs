//! What people decide about proposals, and take back.

use super::*;
use crate::domain::hunks::HunkId;
use crate::domain::task::TaskId;
use std::time::Duration;

impl Bench {
    /// Waits until the only task is in a state.
    async fn becomes(&mut self, wanted: LiveState) {
        let waiting = async {
            while self.handle.snapshot().await.expect("a snapshot").tasks[0].state != wanted {
                self.events.next().await.expect("the engine is there");
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap_or_else(|_| panic!("it is not {wanted:?}"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_acceptance_that_is_taken_back_puts_a_done_task_into_review_again() {
    let mut bench = open(&shared("a")).await;
    assert_eq!(bench.run().await, RunEndReason::Finished);
    let snapshot = bench.handle.snapshot().await.expect("a snapshot");
    let proposal = snapshot.tasks[0].proposal.as_ref().expect("a proposal");
    let hunks: Vec<HunkId> = proposal.hunks.iter().map(|hunk| hunk.id.clone()).collect();
    assert!(!hunks.is_empty());
    let task = TaskId("a".into());
    let accept = Command::Accept { task: task.clone(), hunks: hunks.clone(), write: true };
    bench.handle.tell(accept).await.expect("it is accepted");
    bench.becomes(LiveState::Done).await;
    bench.handle.tell(Command::Withdraw { task, hunks }).await.expect("it is taken back");
    bench.becomes(LiveState::Review).await;
}
