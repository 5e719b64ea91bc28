//! The last line of a run: what waits for the person, in numbers.

use super::style::clean;
use super::{error, status_text};
use crate::domain::budget;
use crate::domain::chain;
use crate::domain::event::RunEndReason;
use crate::domain::queue::LiveState;
use crate::domain::task::TaskId;
use crate::protocol::engine_api::{Snapshot, TaskView};

/// What a run left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tasks whose proposals wait.
    pub review: usize,
    /// Blocked tasks, and questions that hold up no task.
    pub need_you: usize,
    /// Tasks whose last attempt failed and that wait for nobody.
    pub failed: usize,
}

impl Tally {
    /// Counts what is in the snapshot.
    pub fn of(snapshot: &Snapshot) -> Self {
        let of = |state: LiveState| snapshot.tasks.iter().filter(|view| view.state == state).count();
        let blocked = |id: &TaskId| snapshot.task(id).is_some_and(|view| view.state == LiveState::Blocked);
        let open = snapshot.decisions.iter();
        let unbound = open.filter(|decision| !decision.task.as_ref().is_some_and(blocked)).count();
        Self {
            review: of(LiveState::Review),
            need_you: of(LiveState::Blocked) + unbound,
            failed: snapshot.tasks.iter().filter(|view| failed(view)).count(),
        }
    }
}

fn failed(view: &TaskView) -> bool {
    let open = matches!(view.state, LiveState::Ready | LiveState::Waiting | LiveState::Stale);
    let last = view.attempts.last().and_then(|attempt| attempt.outcome);
    open && last.is_some_and(|outcome| outcome.spends_attempt())
}

/// Returns the last lines of `run`: warnings, the numbers, the next command; each ended.
pub fn closing(snapshot: &Snapshot, reason: RunEndReason) -> String {
    let tally = Tally::of(snapshot);
    let mut out = String::new();
    if let Some(union) = snapshot.last_run.as_ref().and_then(|run| run.union.as_ref()) {
        out.push_str(&status_text::union_warnings(union));
    }
    for view in snapshot.tasks.iter().filter(|view| view.state == LiveState::Blocked) {
        out.push_str(&format!("{}: {}\n", clean(&view.task.id.0), clean(&view.why)));
    }
    let need = if tally.need_you == 1 { "1 needs you".to_owned() } else { format!("{} need you", tally.need_you) };
    out.push_str(&format!(
        "the run {}: {} to review, {need}, {} failed{}\nnext: {}\n",
        status_text::reason_words(reason),
        tally.review,
        tally.failed,
        cost(snapshot),
        status_text::next_command(snapshot)
    ));
    out
}

/// Returns what the last run cost in money, tokens and hours, to be put behind the numbers; empty when nothing is known.
fn cost(snapshot: &Snapshot) -> String {
    let Some(last) = &snapshot.last_run else { return String::new() };
    let used = budget::words(&last.used);
    // Without a start, as older journals have it, nothing is known of the time.
    let minutes = if last.started_at_ms == 0 { 0 } else { (last.ended_at_ms - last.started_at_ms) / 60_000 };
    let time = (minutes > 0).then(|| chain::countdown(minutes * 60_000));
    let parts: Vec<String> = Some(used).filter(|words| !words.is_empty()).into_iter().chain(time).collect();
    if parts.is_empty() { String::new() } else { format!("; {}", parts.join(", ")) }
}

/// Returns the exit code of `run`.
pub fn exit_code(reason: RunEndReason) -> u8 {
    match reason {
        RunEndReason::Finished => 0,
        RunEndReason::NeedsPerson | RunEndReason::Budget => error::NEEDS_PERSON,
        RunEndReason::Stopped => error::STOPPED,
    }
}
