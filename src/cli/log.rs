//! `ralph-sidecar log`: what an attempt was told, what it said, and what the checks said.

use super::context::Context;
use super::output;
use super::style::clean;
use crate::domain::task::TaskId;
use crate::engine::handle::unexpected;
use crate::protocol::engine_api::{ApiError, AttemptText, Command, Reply, TaskView};
use clap::Args;

/// Options of `log`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct LogArgs {
    #[arg(value_name = "TASK")]
    pub task: String,
    /// The attempt; the last one when absent.
    #[arg(long, value_name = "N")]
    pub attempt: Option<u32>,
    /// The prompt instead of the transcript.
    #[arg(long, conflicts_with = "checks")]
    pub prompt: bool,
    /// The output of the checks instead of the transcript.
    #[arg(long)]
    pub checks: bool,
}

/// Runs the command.
///
/// # Errors
///
/// For an unknown task or attempt.
pub async fn run(context: &Context, args: LogArgs) -> Result<(), ApiError> {
    let what = match (args.prompt, args.checks) {
        (true, _) => AttemptText::Prompt,
        (_, true) => AttemptText::Checks,
        _ => AttemptText::Transcript,
    };
    let task = TaskId(args.task);
    let handle = context.connect().await?;
    let command = Command::Text { task: task.clone(), attempt: args.attempt, what };
    match handle.call(command).await? {
        Reply::Text(text) => {
            output::out(&clean(&text));
            if !text.is_empty() && !text.ends_with('\n') {
                output::out("\n");
            }
            if what == AttemptText::Transcript {
                output::out(&clean(&exchange(handle.snapshot().await?.task(&task), args.attempt)));
            }
            Ok(())
        }
        other => Err(unexpected(&other)),
    }
}

/// Returns what the agent of the attempt (the last one when absent) was asked, and what it replied.
fn exchange(view: Option<&TaskView>, attempt: Option<u32>) -> String {
    let Some(view) = view else { return String::new() };
    let attempt = attempt.or_else(|| view.attempts.last().map(|attempt| attempt.number));
    let ended = view.attempts.iter().any(|it| Some(it.number) == attempt && it.outcome.is_some());
    let none = if ended { "(no answer)" } else { "(no answer yet)" };
    let asked = view.questions.iter().filter(|question| Some(question.attempt) == attempt);
    asked
        .map(|question| {
            let answer = question.answer.as_deref().unwrap_or(none);
            format!("\n{} you asked: {}\n{} it said: {answer}\n", question.id, question.text, question.id)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::samples;
    use crate::domain::inbox::Question;
    use crate::domain::queue::LiveState;

    #[test]
    fn the_exchange_is_that_of_the_attempt() {
        let mut view = samples::task("a", "A", LiveState::Running, "");
        view.attempts = vec![samples::attempt(1, None, ""), samples::attempt(2, None, "")];
        let question = |id: &str, attempt, answer: Option<&str>| Question {
            id: id.into(),
            attempt,
            text: "how far?".into(),
            answer: answer.map(str::to_owned),
        };
        view.questions = vec![question("q1", 1, Some("half")), question("q2", 2, None)];
        assert_eq!(exchange(Some(&view), Some(1)), "\nq1 you asked: how far?\nq1 it said: half\n");
        assert_eq!(exchange(Some(&view), None), "\nq2 you asked: how far?\nq2 it said: (no answer yet)\n");
        assert_eq!(exchange(None, None), "");
    }
}
