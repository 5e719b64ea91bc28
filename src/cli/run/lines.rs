//! Milestones as lines for people.

use crate::cli::style::{Style, clean, one_line};
use crate::domain::decision::Decision;
use crate::domain::outcome::Outcome;
use crate::domain::queue::LiveState;
use crate::protocol::engine_api::Milestone;

/// Longest sentence put behind an outcome, in characters: what an agent's program says about a limit or a login is long,
/// and what to do about it stands at its end.
const DETAIL_WIDTH: usize = 320;

/// Renders a milestone as one line without its end; none for those that other lines already tell.
pub fn line(milestone: &Milestone, style: Style) -> Option<String> {
    Some(match milestone {
        Milestone::RunStarted { run } => format!("run {run} started"),
        Milestone::AttemptStarted { task, attempt, agent } => {
            format!("{}: attempt {attempt} with {}", clean(&task.0), clean(agent))
        }
        Milestone::AttemptEnded { task, attempt, outcome, detail } => {
            let word = coloured(*outcome, style);
            let detail = one_line(detail, DETAIL_WIDTH);
            let colon = if detail.is_empty() { "" } else { ": " };
            format!("{}: attempt {attempt} {word}{colon}{detail}", clean(&task.0))
        }
        Milestone::ReviewRequest { task, round, agent, .. } => {
            format!("{}: review {round} with {}", clean(&task.0), clean(agent))
        }
        Milestone::ReviewFeedback { task, round, summary, findings, failure, .. } => {
            let words = match (failure, findings.as_slice()) {
                (Some(failure), _) => style.yellow(&format!("not given: {}", one_line(failure, DETAIL_WIDTH))),
                (None, []) => format!("{}: {}", style.green("approves"), one_line(summary, DETAIL_WIDTH)),
                (None, [one]) => {
                    format!("{} 1 thing: {}", style.yellow("finds"), one_line(&one.to_string(), DETAIL_WIDTH))
                }
                (None, all) => {
                    let first = one_line(&all[0].to_string(), DETAIL_WIDTH);
                    format!("{} {} things, first {first}", style.yellow("finds"), all.len())
                }
            };
            format!("{}: review {round} {words}", clean(&task.0))
        }
        Milestone::Waiting { why, .. } => format!("the run {}; to try now: ralph-sidecar resume", clean(why)),
        Milestone::TaskState { task, to, .. } => match to {
            LiveState::Stale => format!("{}: {}", clean(&task.0), style.yellow("stale")),
            LiveState::Done => format!("{}: {}", clean(&task.0), style.green("done")),
            _ => return None,
        },
        Milestone::DecisionRequested { decision } => asked(decision, style),
        Milestone::DecisionResolved { id, answer } => match answer {
            Some(answer) => format!("{id} was answered in the {}", clean(&answer.by)),
            None => format!("{id} is no longer asked"),
        },
        Milestone::Replied { task, id, question, answer } => {
            let asked = if question.is_empty() { String::new() } else { format!(" ({})", one_line(question, 60)) };
            let answer = one_line(answer, DETAIL_WIDTH);
            format!("{} replies to {}{asked}: {answer}", clean(&task.0), one_line(id, 12))
        }
        Milestone::RunEnded { .. } => return None,
    })
}

fn asked(decision: &Decision, style: Style) -> String {
    let who = decision.task.as_ref().map_or("the run".to_owned(), |task| clean(&task.0).into_owned());
    let labels: Vec<String> = decision
        .options
        .iter()
        .enumerate()
        .map(|(index, option)| format!("[{}] {}", index + 1, one_line(&option.label, 60)))
        .collect();
    let options = if labels.is_empty() { String::new() } else { format!(" {}", labels.join(" ")) };
    let id = style.yellow(&decision.id.0);
    format!("{who} asks {id}: {}{options}", one_line(&decision.question, DETAIL_WIDTH))
}

fn coloured(outcome: Outcome, style: Style) -> String {
    let word = outcome.words();
    match outcome {
        Outcome::Verified => style.green(word),
        Outcome::Unchecked | Outcome::NeedsDecision | Outcome::Cancelled => style.yellow(word),
        _ => style.red(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::samples;
    use crate::domain::event::RunEndReason;

    #[test]
    fn plain_lines() {
        let task = || "add-greeting".into();
        let milestones = [
            Milestone::RunStarted { run: "r1".into() },
            Milestone::TaskState { task: task(), from: Some(LiveState::Ready), to: LiveState::Running },
            Milestone::AttemptStarted { task: task(), attempt: 1, agent: "claude".into() },
            Milestone::AttemptEnded {
                task: task(),
                attempt: 1,
                outcome: Outcome::VerifyFailed,
                detail: "`sh test.sh` failed\nwith \u{1b}[31mstatus 1".into(),
            },
            Milestone::Waiting { until_ms: 1, why: "waits for claude until 15:04 (rate limited)".into() },
            Milestone::DecisionRequested { decision: samples::decision() },
            Milestone::TaskState { task: task(), from: Some(LiveState::Running), to: LiveState::Blocked },
            Milestone::DecisionResolved { id: samples::decision().id, answer: None },
            Milestone::Replied {
                task: task(),
                id: "q1".into(),
                question: "how far?".into(),
                answer: "half\nway".into(),
            },
            Milestone::Replied { task: task(), id: "s1".into(), question: String::new(), answer: "will do".into() },
            Milestone::RunEnded { run: "r1".into(), reason: RunEndReason::Finished, union: None },
        ];
        let lines: Vec<String> = milestones.iter().filter_map(|milestone| line(milestone, Style::PLAIN)).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        run r1 started
        add-greeting: attempt 1 with claude
        add-greeting: attempt 1 failed its checks: `sh test.sh` failed with ␛[31mstatus 1
        the run waits for claude until 15:04 (rate limited); to try now: ralph-sidecar resume
        pick-name asks d1: Which name? [1] Ada [2] Grace
        d1 is no longer asked
        add-greeting replies to q1 (how far?): half way
        add-greeting replies to s1: will do
        ");
    }
}
