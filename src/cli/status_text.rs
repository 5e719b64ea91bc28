//! What `status`, `tasks` and `decisions` print: pure text from a snapshot.

use super::style::{Style, clean, count, one_line, pad};
use crate::domain::budget;
use crate::domain::chain::Reach;
use crate::domain::decision::Decision;
use crate::domain::event::{Mark, RunEndReason, UnionReport};
use crate::domain::queue::LiveState;
use crate::protocol::engine_api::{HunkSummary, ProposalSummary, Snapshot, TaskView};
use std::fmt::Write;

/// Longest id and title shown in a table, in characters.
const ID_WIDTH: usize = 28;
const TITLE_WIDTH: usize = 48;
/// Longest reason why an agent is away, in characters; what to do about it stands at its end.
const DETAIL_WIDTH: usize = 320;

/// Renders `status`: the run, the counts, the tasks that are not over (all with `all`) and the open questions.
pub fn status(snapshot: &Snapshot, all: bool, style: Style) -> String {
    let mut out = format!("{}\n", run_line(snapshot));
    out.push_str(&used(snapshot));
    out.push_str(&away(snapshot));
    if let Some(problem) = &snapshot.queue_problem {
        let _ = writeln!(out, "{} {}", style.yellow("queue:"), clean(problem));
    }
    if snapshot.tasks.is_empty() {
        // A file that cannot be read is not an empty one.
        if snapshot.queue_problem.is_none() {
            out.push_str("the queue is empty\n");
        }
    } else {
        let _ = writeln!(out, "{}", counts(snapshot));
        let over = |view: &&TaskView| matches!(view.state, LiveState::Done | LiveState::Dropped);
        let shown: Vec<&TaskView> = snapshot.tasks.iter().filter(|view| all || !over(view)).collect();
        if !shown.is_empty() {
            let _ = write!(out, "\n{}", table(&shown, style));
        }
    }
    if !snapshot.decisions.is_empty() {
        let _ = write!(out, "\n{}", decisions(snapshot.decisions.iter(), style));
    }
    let _ = writeln!(out, "\nnext: {}", next_command(snapshot));
    out
}

/// Renders what was used, in one line; empty when no agent told anything.
pub fn used(snapshot: &Snapshot) -> String {
    let run = snapshot.run.as_ref().map(|run| run.used);
    let run = run.or_else(|| snapshot.last_run.as_ref().map(|last| last.used)).unwrap_or_default();
    let parts = [("this run", run), ("today", snapshot.today)];
    let parts = parts.iter().map(|(of, usage)| (of, budget::words(usage))).filter(|(_, words)| !words.is_empty());
    let parts: Vec<String> = parts.map(|(of, words)| format!("{words} {of}")).collect();
    if parts.is_empty() { String::new() } else { format!("used: {}\n", parts.join("; ")) }
}

/// Renders who is not tried now and why, one per line.
pub fn away(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    for away in &snapshot.away {
        let reach = Reach { agent: away.agent.clone(), model: away.model.clone() }.to_string();
        let why = away.why.words();
        let until = away.until.as_ref().map_or("has left this run".to_owned(), |until| format!("rests until {until}"));
        let _ = writeln!(out, "{} {until} ({why}): {}", clean(&reach), one_line(&away.detail, DETAIL_WIDTH));
    }
    out
}

/// Renders tasks one per line, with the reason below where there is something to say.
pub fn table(tasks: &[&TaskView], style: Style) -> String {
    let width = tasks.iter().map(|view| view.task.id.0.chars().count()).max().unwrap_or(0).min(ID_WIDTH);
    let mut out = String::new();
    for view in tasks {
        let state = pad(view.state.as_str(), 8);
        let state = match view.state {
            LiveState::Blocked | LiveState::Stale => style.yellow(&state),
            LiveState::Review => style.cyan(&state),
            LiveState::Done => style.green(&state),
            LiveState::Running => style.bold(&state),
            _ => style.dim(&state),
        };
        let id = pad(&one_line(&view.task.id.0, ID_WIDTH), width);
        let _ = writeln!(out, "{state}  {id}  {}", one_line(&view.task.title, TITLE_WIDTH));
        let says_itself =
            matches!(view.state, LiveState::Done | LiveState::Dropped | LiveState::Draft | LiveState::Ready);
        if !says_itself {
            let _ = writeln!(out, "          {}", style.dim(&one_line(&view.why, 110)));
        }
        let last = view.attempts.last().map(|attempt| attempt.number);
        let ended = view.attempts.last().is_some_and(|attempt| attempt.outcome.is_some());
        for question in view.questions.iter().filter(|question| Some(question.attempt) == last) {
            let answer = question.answer.as_deref().unwrap_or(if ended { "(no answer)" } else { "(no answer yet)" });
            let line =
                format!("{}: {} {}", question.id, one_line(&question.text, 60), style.cyan(&one_line(answer, 110)));
            let _ = writeln!(out, "          {line}");
        }
    }
    out
}

/// Renders questions with their numbered options and how to answer each.
pub fn decisions<'a>(decisions: impl Iterator<Item = &'a Decision>, style: Style) -> String {
    let mut out = String::new();
    for decision in decisions {
        let about = decision.task.as_ref().map_or("the run".to_owned(), |task| format!("task {}", clean(&task.0)));
        let _ = writeln!(out, "{} {about}: {}", style.bold(&decision.id.0), clean(&decision.question));
        if let Some(file) = &decision.evidence.file {
            let place = decision.evidence.line.map_or(String::new(), |line| format!(":{line}"));
            let _ = writeln!(out, "   at {}{place}", clean(file));
        }
        for (index, option) in decision.options.iter().enumerate() {
            let recommended = decision.recommended.as_deref() == Some(option.label.as_str());
            let mark = if recommended { style.green(" (recommended)") } else { String::new() };
            let detail = if option.detail.is_empty() { String::new() } else { format!(": {}", clean(&option.detail)) };
            let _ = writeln!(out, "   [{}] {}{mark}{detail}", index + 1, clean(&option.label));
        }
        match &decision.answer {
            Some(answer) => {
                let said: Vec<&str> =
                    [answer.option.as_deref(), answer.text.as_deref()].into_iter().flatten().collect();
                let _ = writeln!(out, "   answered in the {}: {}", clean(&answer.by), clean(&said.join(", ")));
            }
            None if decision.withdrawn => out.push_str("   no longer asked\n"),
            None => {
                let option = if decision.options.is_empty() { "--text \"…\"" } else { "1" };
                let _ = writeln!(out, "   answer: ralph-sidecar answer {} {option}", decision.id);
            }
        }
    }
    out
}

/// Returns one line about the run that is on or the one before.
pub fn run_line(snapshot: &Snapshot) -> String {
    if let Some(run) = &snapshot.run {
        let doing = match (&run.task, run.attempt) {
            (Some(task), Some(attempt)) => {
                let agent = run.agent.as_deref().map_or(String::new(), |agent| format!(" with {}", clean(agent)));
                format!("{}, attempt {attempt}{agent}", clean(&task.0))
            }
            _ => run.waiting_why.as_deref().map_or("between attempts".to_owned(), |why| clean(why).into_owned()),
        };
        let mode = if run.stopping {
            " (stops after this attempt)"
        } else if run.paused {
            " (paused)"
        } else {
            ""
        };
        return format!("run {} is on{mode}: {doing}", run.id);
    }
    match &snapshot.last_run {
        Some(last) => format!("no run is on; the last one, {}, {}", last.id, reason_words(last.reason)),
        None => "no run was started yet".to_owned(),
    }
}

/// Returns why a run ended, to be put after its name.
pub fn reason_words(reason: RunEndReason) -> &'static str {
    match reason {
        RunEndReason::Finished => "finished",
        RunEndReason::NeedsPerson => "ended because a person is needed",
        RunEndReason::Stopped => "was stopped",
        RunEndReason::Budget => "used up its budget",
    }
}

/// Renders what merging and checking all results together showed; empty when there is nothing to warn of.
pub fn union_warnings(union: &UnionReport) -> String {
    let mut out = String::new();
    for clash in &union.clashes {
        let paths = clash.paths.join(", ");
        let _ = writeln!(out, "{} and {} change the same lines of {}", clash.first, clash.second, clean(&paths));
    }
    for check in &union.failed_checks {
        let _ = writeln!(out, "`{}` passes for each task but fails for all together", clean(check));
    }
    out
}

/// Returns how many tasks are in each state, most urgent first.
pub fn counts(snapshot: &Snapshot) -> String {
    let of = |state: LiveState| snapshot.tasks.iter().filter(|view| view.state == state).count();
    let parts: Vec<String> = [
        (of(LiveState::Running), "running"),
        (of(LiveState::Blocked), "blocked"),
        (of(LiveState::Review), "to review"),
        (of(LiveState::Stale), "stale"),
        (of(LiveState::Ready), "ready"),
        (of(LiveState::Waiting), "waiting"),
        (of(LiveState::Draft), "draft"),
        (of(LiveState::Done), "done"),
        (of(LiveState::Dropped), "dropped"),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, word)| format!("{number} {word}"))
    .collect();
    format!("{}: {}", count(snapshot.tasks.len(), "task", "tasks"), parts.join(", "))
}

/// Returns the command a person would type next.
pub fn next_command(snapshot: &Snapshot) -> String {
    let find = |state: LiveState| snapshot.tasks.iter().find(|view| view.state == state).map(|view| &view.task.id);
    if let Some(decision) = snapshot.decisions.first() {
        let option = if decision.options.is_empty() { "--text \"…\"" } else { "OPTION" };
        return format!("ralph-sidecar answer {} {option}", decision.id);
    }
    let pending = |view: &&TaskView| {
        let proposal = view.proposal.as_ref().filter(|_| view.state == LiveState::Review);
        let waits = |hunks: &[HunkSummary]| hunks.is_empty() || hunks.iter().any(|hunk| hunk.state == Mark::Pending);
        proposal.is_some_and(|proposal| waits(&proposal.hunks))
    };
    if let Some(view) = snapshot.tasks.iter().find(pending) {
        return format!("ralph-sidecar review {}", quoted(&view.task.id.0));
    }
    if let Some(view) = snapshot.tasks.iter().find(|view| view.state == LiveState::Review) {
        let accepted = |proposal: &ProposalSummary| proposal.hunks.iter().any(|hunk| hunk.state == Mark::Accepted);
        let task = quoted(&view.task.id.0);
        let without = match view.proposal.as_ref().is_some_and(accepted) {
            true => format!("accept {task} --only-accepted"),
            false => format!("drop {task}"),
        };
        return format!("ralph-sidecar send-back {task}, or {without}");
    }
    if snapshot.run.as_ref().is_some_and(|run| run.waiting_why.is_some()) {
        return "ralph-sidecar resume, to try now".to_owned();
    }
    if let Some(task) = find(LiveState::Running) {
        return format!("ralph-sidecar log {}, to see what the agent does", quoted(&task.0));
    }
    if snapshot.run.is_some() {
        return "ralph-sidecar status".to_owned();
    }
    if find(LiveState::Ready).is_some() {
        return "ralph-sidecar run".to_owned();
    }
    if find(LiveState::Draft).is_some() {
        return "ralph-sidecar approve --all".to_owned();
    }
    if let Some(task) = find(LiveState::Blocked) {
        return format!("ralph-sidecar tasks why {}", quoted(&task.0));
    }
    if snapshot.tasks.is_empty() && snapshot.queue_problem.is_some() {
        return "mend .ralph/queue.json".to_owned();
    }
    "ralph-sidecar plan \"GOAL\"".to_owned()
}

/// Returns the text as a shell takes it back.
pub fn quoted(text: &str) -> String {
    shlex::try_quote(&clean(text)).map_or_else(|_| "TASK".to_owned(), std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::samples;

    #[test]
    fn what_was_accepted_is_kept_rather_than_dropped() {
        let mut snapshot = samples::snapshot();
        snapshot.decisions.clear();
        for (states, next) in [
            ([Mark::Pending, Mark::Accepted], "ralph-sidecar review add-greeting"),
            (
                [Mark::Rejected { why: None }, Mark::Accepted],
                "ralph-sidecar send-back add-greeting, or accept add-greeting --only-accepted",
            ),
            (
                [Mark::Rejected { why: None }, Mark::Rejected { why: None }],
                "ralph-sidecar send-back add-greeting, or drop add-greeting",
            ),
        ] {
            let hunks = &mut snapshot.tasks[0].proposal.as_mut().expect("a proposal").hunks;
            hunks.iter_mut().zip(states).for_each(|(hunk, state)| hunk.state = state);
            assert_eq!(next_command(&snapshot), next);
        }
    }
}
