//! `ralph-sidecar answer`: answers a question with one of its options or with words.

use super::context::Context;
use super::error::usage;
use super::output;
use super::style::clean;
use crate::domain::decision::DecisionId;
use crate::protocol::engine_api::{ApiError, Command};
use clap::Args;

/// Options of `answer`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerArgs {
    /// The question, as `ralph-sidecar decisions` names it.
    #[arg(value_name = "ID")]
    pub decision: String,
    /// The option: its number or its words.
    #[arg(value_name = "OPTION", required_unless_present = "text")]
    pub option: Option<String>,
    /// An answer in your own words, instead of an option or beside it.
    #[arg(long, value_name = "TEXT")]
    pub text: Option<String>,
    /// Start the loop again when it ended for want of this answer.
    #[arg(long)]
    pub go_on: bool,
}

/// Runs the command.
///
/// # Errors
///
/// `Usage` for an unknown question or option, naming what there is.
pub async fn run(context: &Context, args: AnswerArgs) -> Result<(), ApiError> {
    let handle = context.connect().await?;
    let snapshot = handle.snapshot().await?;
    let id = DecisionId(args.decision);
    let Some(decision) = snapshot.decisions.iter().find(|decision| decision.id == id) else {
        let closed = snapshot.answered.iter().any(|decision| decision.id == id);
        let why = if closed { "it is not open any more" } else { "there is none" };
        return Err(usage(format!("answer {id}: {why}")).with_hint("ralph-sidecar decisions"));
    };
    let option = match &args.option {
        None => None,
        Some(typed) => match decision.option(typed) {
            Some(option) => Some(option.label.clone()),
            None => {
                let known: Vec<&str> = decision.options.iter().map(|option| option.label.as_str()).collect();
                let hint = if known.is_empty() {
                    "answer with --text \"…\"".to_owned()
                } else {
                    format!("its options are: {}; or answer with --text \"…\"", known.join(", "))
                };
                return Err(usage(format!("answer {id}: it has no option `{typed}`")).with_hint(hint));
            }
        },
    };
    let said = [option.as_deref(), args.text.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(": ");
    handle.tell(Command::Answer { id: id.clone(), option, text: args.text.clone(), go_on: args.go_on }).await?;
    output::line(&format!("answered {id}: {}", clean(&said)));
    Ok(())
}
