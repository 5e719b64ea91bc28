//! The last lines of a run: what waits for the person.

use super::style::clean;
use super::{error, status_text};
use crate::domain::event::RunEndReason;
use crate::domain::queue::LiveState;
use crate::protocol::engine_api::{Snapshot, after_run};

/// Returns the last lines of `run`: warnings, the numbers, the next command; each ended.
pub fn closing(snapshot: &Snapshot, reason: RunEndReason) -> String {
    let mut out = String::new();
    if let Some(union) = snapshot.last_run.as_ref().and_then(|run| run.union.as_ref()) {
        out.push_str(&status_text::union_warnings(union));
    }
    for view in snapshot.tasks.iter().filter(|view| view.state == LiveState::Blocked) {
        out.push_str(&format!("{}: {}\n", clean(&view.task.id.0), clean(&view.why)));
    }
    out.push_str(&format!(
        "the run {}: {}\nnext: {}\n",
        status_text::reason_words(reason),
        after_run(snapshot),
        status_text::next_command(snapshot)
    ));
    out
}

/// Returns the exit code of `run`.
pub fn exit_code(reason: RunEndReason) -> u8 {
    match reason {
        RunEndReason::Finished => 0,
        RunEndReason::NeedsPerson | RunEndReason::Budget => error::NEEDS_PERSON,
        RunEndReason::Stopped => error::STOPPED,
    }
}
