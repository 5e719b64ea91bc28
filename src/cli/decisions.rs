//! `ralph-sidecar decisions`: the questions that wait for a person; needs no engine.

use super::context::Context;
use super::{documents, output, status_text};
use crate::protocol::engine_api::ApiError;
use clap::Args;

/// Options of `decisions`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct DecisionsArgs {
    /// Also show the answered ones.
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
pub fn run(context: &Context, args: &DecisionsArgs) -> Result<(), ApiError> {
    let snapshot = context.snapshot()?;
    let answered = snapshot.answered.iter().filter(|_| args.all);
    let shown = answered.chain(&snapshot.decisions);
    if args.json {
        return output::json(&documents::decisions(shown));
    }
    let text = status_text::decisions(shown, context.style);
    output::out(if text.is_empty() { "nothing waits for an answer\n" } else { &text });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::super::style::Style;
    use super::*;
    use crate::domain::decision::{Answer, Decision};

    #[test]
    fn open_and_answered_questions() {
        let open = samples::decision();
        let answer = Answer { option: Some("Ada".into()), text: None, by: "editor".into(), at_ms: 1 };
        let answered = Decision { answer: Some(answer), ..samples::decision() };
        insta::assert_snapshot!(status_text::decisions([&answered, &open].into_iter(), Style::PLAIN), @r"
        d1 task pick-name: Which name?
           at names.txt:3
           [1] Ada (recommended)
           [2] Grace: the one in the logo
           answered in the editor: Ada
        d1 task pick-name: Which name?
           at names.txt:3
           [1] Ada (recommended)
           [2] Grace: the one in the logo
           answer: ralph-sidecar answer d1 1
        ");
    }
}
