//! `ralph-sidecar status`: what is going on; folds the journal and needs no engine.

use super::context::Context;
use super::{documents, output, status_text};
use crate::protocol::engine_api::ApiError;
use clap::Args;

/// Options of `status`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusArgs {
    /// Also list tasks that are done or dropped.
    #[arg(long)]
    pub all: bool,
    /// A versioned JSON document.
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// What cannot be read.
pub fn run(context: &Context, args: &StatusArgs) -> Result<(), ApiError> {
    let snapshot = context.snapshot()?;
    if args.json {
        return output::json(&documents::status(&snapshot));
    }
    output::out(&status_text::status(&snapshot, args.all, context.style));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::super::style::Style;
    use super::*;
    use crate::protocol::engine_api::{RunView, Snapshot};

    #[test]
    fn status_shows_what_needs_the_person() {
        insta::assert_snapshot!(status_text::status(&samples::snapshot(), false, Style::PLAIN), @r"
        no run is on; the last one, r1, ended because a person is needed
        5 tasks: 1 blocked, 1 to review, 1 waiting, 1 draft, 1 done

        review    add-greeting  Add a greeting
                  1 of 2 hunks wait for review
        blocked   pick-name     Pick a name
                  it needs an answer to d1: Which name?
        waiting   use-name      Use the name
                  it waits for `pick-name`
        draft     write-docs    Write the documentation

        d1 task pick-name: Which name?
           at names.txt:3
           [1] Ada (recommended)
           [2] Grace: the one in the logo
           answer: ralph-sidecar answer d1 1

        next: ralph-sidecar answer d1 OPTION
        ");
    }

    #[test]
    fn an_empty_queue_says_what_to_do() {
        insta::assert_snapshot!(status_text::status(&Snapshot::default(), false, Style::PLAIN), @r#"
        no run was started yet
        the queue is empty

        next: ralph-sidecar plan "GOAL"
        "#);
    }

    #[test]
    fn a_run_that_is_on_is_named() {
        let run = RunView {
            id: "r2".into(),
            started_at_ms: 0,
            paused: false,
            stopping: true,
            task: Some("use-name".into()),
            attempt: Some(2),
            agent: Some("claude".into()),
            ..RunView::default()
        };
        let snapshot = Snapshot { run: Some(run), ..samples::snapshot() };
        insta::assert_snapshot!(status_text::run_line(&snapshot), @"run r2 is on (stops after this attempt): use-name, attempt 2 with claude");
    }
}
