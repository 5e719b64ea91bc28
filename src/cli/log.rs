//! `ralph-sidecar log`: what an attempt was told, what it said, and what the checks said.

use super::context::Context;
use super::output;
use super::style::clean;
use crate::domain::task::TaskId;
use crate::engine::handle::unexpected;
use crate::protocol::engine_api::{ApiError, AttemptText, Command, Reply};
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
    /// The transcript as the agent's driver wrote it, line by line.
    #[arg(long, conflicts_with_all = ["prompt", "checks"])]
    pub raw: bool,
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
        _ if args.raw => AttemptText::RawTranscript,
        _ => AttemptText::Transcript,
    };
    let command = Command::Text { task: TaskId(args.task), attempt: args.attempt, what };
    match context.connect().await?.call(command).await? {
        Reply::Text(text) => {
            output::out(&clean(&text));
            if !text.is_empty() && !text.ends_with('\n') {
                output::out("\n");
            }
            Ok(())
        }
        other => Err(unexpected(&other)),
    }
}
