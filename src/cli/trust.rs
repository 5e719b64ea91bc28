//! `ralph-sidecar trust`: shows which commands would run here and trusts them.

use super::context::{Context, untrusted};
use super::error::usage;
use super::output;
use super::style::{clean, count};
use crate::protocol::engine_api::{ApiError, Command};
use clap::Args;

/// Options of `trust`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustArgs {
    /// Trust what is printed without asking.
    #[arg(long)]
    pub yes: bool,
    /// Only print the commands that are not trusted yet.
    #[arg(long, conflicts_with = "yes")]
    pub list: bool,
}

/// Runs the command.
///
/// # Errors
///
/// When the person says no, and when nobody can be asked and `--yes` is missing.
pub async fn run(context: &Context, args: TrustArgs) -> Result<(), ApiError> {
    let handle = context.connect().await?;
    let commands = untrusted(&handle, Vec::new(), None).await?;
    if args.list {
        for command in &commands {
            output::line(&clean(command));
        }
        return Ok(());
    }
    if commands.is_empty() {
        output::line("every command of the configuration and of the approved tasks is trusted");
        return Ok(());
    }
    if !context.shown_and_agreed(&commands, args.yes, false) {
        let why = if output::can_ask() { "you said no" } else { "nobody can be asked here" };
        return Err(usage(format!("trust: {why}, so nothing is trusted"))
            .with_hint("when you have read them: ralph-sidecar trust --yes"));
    }
    let number = commands.len();
    handle.tell(Command::Trust { commands }).await?;
    output::line(&format!("trusted {}", count(number, "command", "commands")));
    Ok(())
}
