//! What the engine itself writes into the queue file.
//!
//! The writes are done one after the other, so that the last word about a task is what the file says in the end. They
//! are numbered, so that a reading that began before one ended is not taken for a change by a person.

use super::commands;
use super::context::Context;
use super::ports::{Order, QueueEdit};
use crate::domain::state::State;
use crate::domain::task::{Task, TaskId};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc;

/// The writes that were given, and which was the last one about each task's status.
pub(super) struct QueueWriter {
    writes: mpsc::UnboundedSender<Write>,
    given: u64,
    statuses: HashMap<TaskId, u64>,
}

struct Write {
    /// Counted from 1.
    number: u64,
    edit: QueueEdit,
    /// Held until the write has ended: whoever ends the engine waits for it.
    order: Order,
}

impl QueueWriter {
    /// Starts the task that writes; it ends with this.
    pub(super) fn start(context: Context) -> Self {
        let (writes, given) = mpsc::unbounded_channel();
        tokio::spawn(write_all(context, given));
        Self { writes, given: 0, statuses: HashMap::new() }
    }

    /// Gives one more write.
    pub(super) fn give(&mut self, edit: QueueEdit, order: Order) {
        self.given += 1;
        if let QueueEdit::SetStatus { task, .. } = &edit {
            self.statuses.insert(task.clone(), self.given);
        }
        // The other end lives as long as this.
        let _ = self.writes.send(Write { number: self.given, edit, order });
    }

    /// Returns the tasks of a reading without what the file says of a status that was being written at that time: it is
    /// what it was until the write has ended. `written` is the newest write that had ended when the reading began.
    pub(super) fn without_unfinished(&self, mut tasks: Vec<Task>, written: u64, state: &State) -> Vec<Task> {
        for task in &mut tasks {
            let unfinished = self.statuses.get(&task.id).is_some_and(|number| *number > written);
            if let Some(known) = state.tasks.get(&task.id).filter(|_| unfinished) {
                task.status = known.status;
            }
        }
        tasks
    }
}

async fn write_all(context: Context, mut given: mpsc::UnboundedReceiver<Write>) {
    while let Some(Write { number, edit, order }) = given.recv().await {
        let done = commands::write_queue(&context, vec![edit]).await;
        // Also when it failed: then the file is as somebody else left it, and it is tried again after a restart.
        context.queue_written.store(number, Ordering::SeqCst);
        if let Err(error) = done {
            context.notice(true, error.message);
        }
        context.read_queue().await;
        drop(order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reduce::testing::queue;
    use crate::domain::task::Status;
    use std::sync::Arc;

    fn known(status: Status) -> State {
        let mut state = State::default();
        let mut task = queue("a").remove(0);
        task.status = status;
        state.tasks.insert(task.id.clone(), Arc::new(task));
        state
    }

    #[test]
    fn a_status_counts_when_the_last_write_of_it_had_ended_before_the_reading() {
        let (writes, _given) = mpsc::unbounded_channel();
        let id = queue("a").remove(0).id;
        // The second write of the task is the third of all.
        let writer = QueueWriter { writes, given: 3, statuses: HashMap::from([(id, 3)]) };
        for (written, counts) in [(0, false), (1, false), (2, false), (3, true), (4, true)] {
            let mut read = queue("a");
            read[0].status = Status::Done;
            let read = writer.without_unfinished(read, written, &known(Status::Todo));
            assert_eq!(read[0].status == Status::Done, counts, "{written}");
        }
    }

    #[test]
    fn what_was_never_written_or_is_not_known_counts_as_it_is() {
        let (writes, _given) = mpsc::unbounded_channel();
        let ids: Vec<TaskId> = queue("a b").into_iter().map(|task| task.id).collect();
        let writer = QueueWriter { writes, given: 1, statuses: HashMap::from([(ids[1].clone(), 1)]) };
        let mut read = queue("a b");
        read.iter_mut().for_each(|task| task.status = Status::Done);
        let read = writer.without_unfinished(read, 0, &known(Status::Todo));
        assert_eq!([read[0].status, read[1].status], [Status::Done; 2]);
    }
}
