//! `ralph-sidecar drop`: says that tasks will not be done.

use super::context::{Context, ids};
use super::output;
use super::style::count;
use crate::protocol::engine_api::{ApiError, Command};
use clap::Args;

/// Options of `drop`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct DropArgs {
    #[arg(value_name = "ID", required = true)]
    pub tasks: Vec<String>,
}

/// Runs the command.
///
/// # Errors
///
/// For unknown tasks.
pub async fn run(context: &Context, args: DropArgs) -> Result<(), ApiError> {
    let tasks = ids(&args.tasks);
    let number = tasks.len();
    context.connect().await?.tell(Command::Drop { tasks }).await?;
    output::line(&format!("dropped {}", count(number, "task", "tasks")));
    Ok(())
}
