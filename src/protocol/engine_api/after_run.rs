//! The first words after a run, the same in every front end: what waits for the person, in numbers, and what it cost.

use super::{Snapshot, TaskView};
use crate::domain::queue::LiveState;
use crate::domain::task::TaskId;
use crate::domain::{budget, chain};

/// Returns what is left for the person now and what the last run cost: `3 to review, 1 needs you, 0 failed; $1.20, 2 h 5 min`.
pub fn after_run(snapshot: &Snapshot) -> String {
    let tally = Tally::of(snapshot);
    let need = if tally.need_you == 1 { "1 needs you".to_owned() } else { format!("{} need you", tally.need_you) };
    format!("{} to review, {need}, {} failed{}", tally.review, tally.failed, cost(snapshot))
}

/// What a run left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    /// Tasks whose proposals wait.
    review: usize,
    /// Blocked tasks, and questions that hold up no task.
    need_you: usize,
    /// Tasks whose last attempt failed and that wait for nobody.
    failed: usize,
}

impl Tally {
    /// Counts what is in the snapshot.
    fn of(snapshot: &Snapshot) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ending::Usage;
    use crate::domain::event::RunEndReason;
    use crate::protocol::engine_api::EndedRunView;

    #[test]
    fn the_cost_is_told_as_far_as_it_is_known() {
        let usage = |usd| Usage { input_tokens: 30_000, output_tokens: 4_000, usd, ..Usage::default() };
        let minutes = |minutes: i64| (1, 1 + minutes * 60_000);
        let rows = [
            (Usage::default(), (0, 5_000_000), ""),
            (Usage::default(), minutes(125), "; 2 h 5 min"),
            (usage(None), (0, 5), "; 34k tokens"),
            (usage(Some(1.2)), minutes(30), "; $1.20, 34k tokens, 30 min"),
        ];
        for (used, (started_at_ms, ended_at_ms), expected) in rows {
            let (id, reason, union) = ("r1".to_owned(), RunEndReason::Finished, None);
            let last = EndedRunView { id, reason, union, started_at_ms, ended_at_ms, used };
            let snapshot = Snapshot { last_run: Some(last), ..Snapshot::default() };
            assert_eq!(after_run(&snapshot), format!("0 to review, 0 need you, 0 failed{expected}"));
        }
        assert_eq!(after_run(&Snapshot::default()), "0 to review, 0 need you, 0 failed");
    }
}
