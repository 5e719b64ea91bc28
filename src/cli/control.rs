//! `pause`, `resume`, `stop`, `steer` and `retry`: words to a run that is on, and to its tasks.

use super::context::Context;
use super::output;
use super::style::clean;
use crate::domain::task::TaskId;
use crate::protocol::engine_api::{ApiError, Command};
use clap::Args;

/// Options of `stop`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct StopArgs {
    /// Kill the attempt that is on instead of waiting for it; what it wrote is kept.
    #[arg(long)]
    pub kill: bool,
}

/// Options of `steer`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct SteerArgs {
    #[arg(value_name = "TASK")]
    pub task: String,
    /// What the agent should know.
    #[arg(value_name = "TEXT")]
    pub text: String,
    /// Ask instead: the agent that is at work answers and goes on as it was.
    #[arg(long)]
    pub ask: bool,
}

/// Options of `retry`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryArgs {
    #[arg(value_name = "TASK")]
    pub task: String,
    /// Start from a clean tree instead of from what the last attempt left.
    #[arg(long)]
    pub clean: bool,
}

/// Keeps the run from claiming further tasks.
///
/// # Errors
///
/// When no run is on.
pub async fn pause(context: &Context) -> Result<(), ApiError> {
    context.connect().await?.tell(Command::Pause).await?;
    output::line("paused: the attempt that is on goes on, nothing new starts; ralph-sidecar resume");
    Ok(())
}

/// Lets a paused or stopping run go on.
///
/// # Errors
///
/// When no run is on.
pub async fn resume(context: &Context) -> Result<(), ApiError> {
    context.connect().await?.tell(Command::Resume).await?;
    output::line("the run goes on");
    Ok(())
}

/// Ends the run.
///
/// # Errors
///
/// When no run is on.
pub async fn stop(context: &Context, args: StopArgs) -> Result<(), ApiError> {
    context.connect().await?.tell(Command::Stop { kill: args.kill }).await?;
    output::line(if args.kill { "stopping now" } else { "the run stops after its attempt" });
    Ok(())
}

/// Gives words to the agent at work on a task and to the next attempt, or asks the one at work.
///
/// # Errors
///
/// When there is no such task, or nobody at work on it to ask.
pub async fn steer(context: &Context, args: SteerArgs) -> Result<(), ApiError> {
    let task = TaskId(args.task);
    if args.ask {
        context.connect().await?.tell(Command::Ask { task: task.clone(), text: args.text }).await?;
        let name = clean(&task.0);
        output::line(&format!("asked; the answer will be in `ralph-sidecar status` and `ralph-sidecar log {name}`"));
        return Ok(());
    }
    let handle = context.connect().await?;
    handle.tell(Command::Steer { task: task.clone(), text: args.text }).await?;
    let at_work = handle.snapshot().await?.run.is_some_and(|run| run.task.as_ref() == Some(&task));
    let also = if at_work { "the agent at work hears it with its next report, and " } else { "" };
    output::line(&format!("{also}the next attempt of {} will read it", clean(&task.0)));
    Ok(())
}

/// Makes a task that gave up ready again.
///
/// # Errors
///
/// When there is no such task, or nothing to retry.
pub async fn retry(context: &Context, args: RetryArgs) -> Result<(), ApiError> {
    let task = TaskId(args.task);
    context.connect().await?.tell(Command::Retry { task: task.clone(), clean: args.clean }).await?;
    output::line(&format!("{} can run again: ralph-sidecar run", clean(&task.0)));
    Ok(())
}
