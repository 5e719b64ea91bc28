//! `ralph-sidecar approve`: makes drafts `todo`, and trusts the commands that were shown.

use super::context::{Context, find_task, ids, untrusted};
use super::error::{data, usage};
use super::output;
use super::style::count;
use crate::domain::queue::LiveState;
use crate::domain::task::TaskId;
use crate::protocol::engine_api::{ApiError, Command};
use clap::Args;

/// Options of `approve`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct ApproveArgs {
    /// The drafts to approve.
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    pub tasks: Vec<String>,
    /// Every draft.
    #[arg(long)]
    pub all: bool,
    /// Do not ask: what is printed is approved.
    #[arg(long)]
    pub yes: bool,
}

/// Runs the command.
///
/// # Errors
///
/// For unknown tasks, and when the person says no.
pub async fn run(context: &Context, args: ApproveArgs) -> Result<(), ApiError> {
    let handle = context.connect().await?;
    let snapshot = handle.snapshot().await?;
    let tasks: Vec<TaskId> = if args.all {
        let drafts = snapshot.tasks.iter().filter(|view| view.state == LiveState::Draft);
        drafts.map(|view| view.task.id.clone()).collect()
    } else {
        for id in &args.tasks {
            find_task(&snapshot, id)?;
        }
        ids(&args.tasks)
    };
    if tasks.is_empty()
        && let Some(problem) = &snapshot.queue_problem
    {
        return Err(data(problem.clone()).with_hint("mend the file, and try again"));
    }
    if tasks.is_empty() {
        output::line("there are no drafts to approve");
        return Ok(());
    }
    let commands = untrusted(&handle, tasks.clone(), None).await?;
    // Without a person at the terminal, whoever wrote the script approves what it prints.
    if !context.shown_and_agreed(&commands, args.yes, true) {
        return Err(usage("approve: you said no, so nothing was approved"));
    }
    let approved = count(tasks.len(), "task", "tasks");
    let trusted = match commands.len() {
        0 => String::new(),
        number => format!(" and trusted {}", count(number, "command", "commands")),
    };
    handle.tell(Command::Approve { tasks, trust: commands }).await?;
    output::line(&format!("approved {approved}{trusted}; to start: ralph-sidecar run"));
    Ok(())
}
