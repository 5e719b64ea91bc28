//! `ralph-sidecar review`: prints proposals as diffs, with the numbers `accept` and `reject` take.

use super::context::{Context, find_task};
use super::hunk_numbers::numbered;
use super::render_diff::{self, RenderOptions, ShownFile, ShownHunk, ShownProposal, Standing};
use super::status_text::quoted;
use super::style::Style;
use super::{documents, output};
use crate::domain::event::Mark;
use crate::domain::outcome::BaseCheck;
use crate::domain::task::TaskId;
use crate::engine::handle::{Handle, unexpected};
use crate::protocol::engine_api::{ApiError, Command, ProposalView, Reply};
use clap::Args;

/// Options of `review`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct ReviewArgs {
    /// The task; every proposal that waits when none is named.
    #[arg(value_name = "TASK")]
    pub task: Option<String>,
    /// A versioned JSON document.
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// For a task without a proposal, and what cannot be read.
pub async fn run(context: &Context, args: ReviewArgs) -> Result<(), ApiError> {
    let snapshot = context.snapshot()?;
    let tasks: Vec<TaskId> = match &args.task {
        Some(id) => vec![find_task(&snapshot, id)?.task.id.clone()],
        None if args.json => return output::json(&documents::reviews(&snapshot)),
        None => {
            let waiting = snapshot.tasks.iter().filter(|view| view.proposal.is_some());
            waiting.map(|view| view.task.id.clone()).collect()
        }
    };
    if tasks.is_empty() {
        output::line("nothing waits for review");
        return Ok(());
    }
    let handle = context.connect().await?;
    for task in tasks {
        let view = proposal(&handle, task).await?;
        if args.json {
            return output::json(&documents::review(&view));
        }
        output::out(&text(&view, context.style));
        let id = quoted(&view.task.0);
        output::line(&format!(
            "\nralph-sidecar accept {id} [--hunk N…]  |  reject {id} [--hunk N…]  |  send-back {id}\n"
        ));
    }
    Ok(())
}

/// Columns of the rules between files; lines of code are never cut.
const WIDTH: usize = 80;

/// Renders a proposal with the numbers of its hunks.
pub fn text(view: &ProposalView, style: Style) -> String {
    let mut numbers = numbered(view);
    let files = view.files.iter().map(|file| {
        let hunks = numbers.by_ref().take(file.hunks.len());
        let hunks = hunks.map(|(number, hunk, mark)| ShownHunk { number, hunk, standing: standing(mark) }).collect();
        ShownFile { path: &file.path, base: file.base_text.as_deref(), hunks }
    });
    let shown = ShownProposal {
        task: &view.task.0,
        title: &view.title,
        attempt: view.attempt,
        files: files.collect(),
        notes: notes(view),
    };
    render_diff::render(&shown, RenderOptions { color: style.colour, width: WIDTH })
}

fn standing(mark: &Mark) -> Standing {
    match mark {
        Mark::Pending => Standing::Pending,
        Mark::Accepted => Standing::Accepted,
        Mark::Rejected { .. } => Standing::Rejected,
    }
}

/// Says what proves the proposal: the outcome, the checks, the agent's own words.
fn notes(view: &ProposalView) -> Vec<String> {
    let mut notes = vec![view.outcome.as_str().to_owned()];
    for check in &view.checks {
        let result = match (check.passed, check.on_base) {
            (true, BaseCheck::Failed) => "passes now, failed before",
            (true, BaseCheck::Passed) => "passes, as before",
            (true, BaseCheck::NotRun) => "passes",
            (false, _) => "fails",
        };
        let flaky = if check.flaky { " (flaky)" } else { "" };
        notes.push(format!("{}: {result}{flaky}", check.run));
    }
    if let Some(summary) = &view.summary {
        notes.push(format!("the agent says: {summary}"));
    }
    notes.extend(view.findings.iter().map(|finding| format!("the reviewer wants changed: {finding}")));
    notes
}

/// Asks for a proposal with its texts.
///
/// # Errors
///
/// When the task has none.
pub async fn proposal(handle: &Handle, task: TaskId) -> Result<ProposalView, ApiError> {
    match handle.call(Command::Proposal { task }).await? {
        Reply::Proposal(view) => Ok(view),
        other => Err(unexpected(&other)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn a_proposal_shows_what_proves_it_and_numbers() {
        insta::assert_snapshot!(text(&samples::proposal(), Style::PLAIN), @r"
        add-greeting  Add a greeting
        attempt 2, 1 file, 2 hunks, 1 pending
        verified
        the agent says: Greets.

        ────────────────────────────────────────────────────────────────────────────────
        greet.sh
        hunk 1  111111aaaaaa  pending
        @@ -1,2 +1,2 @@
        -a
        +A
         b
        hunk 2  222222bbbbbb  accepted
        @@ -2,2 +2,2 @@
         b
        -c
        +C
        ");
    }
}
