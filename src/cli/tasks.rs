//! `ralph-sidecar tasks`, `tasks why ID` and `tasks prompt ID`: the queue with its live states; need no engine.

use super::context::{Context, find_task};
use super::style::clean;
use super::{compose, documents, output, status_text};
use crate::domain::queue::LiveState;
use crate::domain::task::TaskId;
use crate::protocol::engine_api::{ApiError, TaskView};
use clap::{Args, Subcommand};

/// List the tasks, or ask about one.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(args_conflicts_with_subcommands = true)]
pub struct TasksArgs {
    #[command(subcommand)]
    pub command: Option<TasksCommand>,
    #[command(flatten)]
    pub list: ListArgs,
}

/// What to know about the tasks.
#[derive(Subcommand, Clone, Debug, PartialEq, Eq)]
pub enum TasksCommand {
    /// List the tasks in the order of the queue.
    List(ListArgs),
    /// Say in one sentence why a task does not run, or what waits.
    Why(WhyArgs),
    /// Print the prompt that the next attempt of a task would get.
    Prompt(PromptArgs),
}

/// Options of `tasks list`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct ListArgs {
    /// Only tasks in this state.
    #[arg(long, value_name = "STATE", value_parser = state)]
    pub state: Option<LiveState>,
    /// A versioned JSON document.
    #[arg(long)]
    pub json: bool,
}

/// Options of `tasks why`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct WhyArgs {
    #[arg(value_name = "ID")]
    pub task: String,
    /// A versioned JSON document.
    #[arg(long)]
    pub json: bool,
}

/// Options of `tasks prompt`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct PromptArgs {
    #[arg(value_name = "ID")]
    pub task: String,
}

const STATES: [LiveState; 9] = [
    LiveState::Draft,
    LiveState::Waiting,
    LiveState::Ready,
    LiveState::Running,
    LiveState::Blocked,
    LiveState::Review,
    LiveState::Stale,
    LiveState::Done,
    LiveState::Dropped,
];

fn state(word: &str) -> Result<LiveState, String> {
    let known = STATES.into_iter().find(|state| state.as_str() == word);
    known.ok_or_else(|| format!("use one of {}", STATES.map(LiveState::as_str).join(", ")))
}

/// Runs the command.
///
/// # Errors
///
/// What cannot be read, and an id the queue does not have.
pub fn run(context: &Context, args: &TasksArgs) -> Result<(), ApiError> {
    if let Some(TasksCommand::Prompt(args)) = &args.command {
        let text = compose::next_prompt(&context.root()?, &TaskId::from(args.task.as_str()))?;
        output::line(clean(&text).trim_end_matches('\n'));
        return Ok(());
    }
    let snapshot = context.snapshot()?;
    // Without a word, they are listed.
    let list = TasksCommand::List(args.list.clone());
    match args.command.as_ref().unwrap_or(&list) {
        TasksCommand::List(args) => {
            let wanted = |view: &&TaskView| args.state.is_none_or(|state| view.state == state);
            let shown: Vec<&TaskView> = snapshot.tasks.iter().filter(wanted).collect();
            if args.json {
                return output::json(&documents::tasks(shown.into_iter()));
            }
            output::out(&status_text::table(&shown, context.style));
        }
        TasksCommand::Why(args) => {
            let view = find_task(&snapshot, &args.task)?;
            if args.json {
                return output::json(&documents::why(view));
            }
            output::line(&format!("{}: {}", view.state.as_str(), clean(&view.why)));
        }
        // Needs more than the snapshot, and has been answered above.
        TasksCommand::Prompt(_) => {}
    }
    Ok(())
}
