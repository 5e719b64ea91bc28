//! `ralph-sidecar review`: prints proposals as diffs, with the numbers `accept` and `reject` take.

use super::context::{Context, find_task};
use super::hunk_numbers::numbered;
use super::render_diff::{self, RenderOptions, ShownFile, ShownHunk, ShownProposal, Standing};
use super::status_text::quoted;
use super::style::Style;
use super::{documents, output};
use crate::domain::event::Mark;
use crate::domain::hunks::{Hunk, HunkId};
use crate::domain::outcome::{BaseCheck, Outcome};
use crate::domain::review::{Circumstances, Risk, risk};
use crate::domain::rounds::Comment;
use crate::domain::task::TaskId;
use crate::engine::handle::{Handle, unexpected};
use crate::protocol::engine_api::{ApiError, Command, ProposalFile, ProposalView, Reply};
use clap::Args;
use std::collections::HashMap;

/// Options of `review`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct ReviewArgs {
    /// The task; every proposal that waits when none is named.
    #[arg(value_name = "TASK")]
    pub task: Option<String>,
    /// Only what is new or different since the round before.
    #[arg(long)]
    pub since: bool,
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
    let mut views = Vec::new();
    for task in tasks {
        let misfits = misfits(&handle, task.clone()).await?;
        views.push((proposal(&handle, task).await?, misfits));
    }
    // What needs a person's eyes most comes first; else the queue's order stays.
    views.sort_by_key(|(view, misfits)| riskiest(view, misfits, view.files.iter()));
    for (view, misfits) in views {
        if args.json {
            return output::json(&documents::review(&view, &misfits));
        }
        output::out(&text(&view, &misfits, args.since, context.style));
        let id = quoted(&view.task.0);
        if !misfits.is_empty() {
            output::line(&format!("\nralph-sidecar send-back {id} --rebase has what does not fit put onto your text"));
        }
        output::line(&format!(
            "\nralph-sidecar accept {id} [--hunk N…]  |  reject {id} [--hunk N…]  |  comment {id} TEXT [--hunk N]  |  \
             send-back {id}\n"
        ));
    }
    Ok(())
}

/// Columns of the rules between files; lines of code are never cut.
const WIDTH: usize = 80;

/// Hunks that do not fit the files as they are now, each with the reason.
type Misfits = [(HunkId, String)];

/// Renders a proposal with the numbers of its hunks, the riskiest file first; with `since`, only what is new or different
/// since the round before.
pub fn text(view: &ProposalView, misfits: &Misfits, since: bool, style: Style) -> String {
    let mut numbers = numbered(view);
    let all = || view.files.iter().flat_map(|file| &file.hunks).map(|(hunk, _)| hunk);
    let mut beside: HashMap<&HunkId, Vec<&Comment>> = HashMap::new();
    for comment in &view.review.comments {
        if let Some(hunk) = comment.beside(all()) {
            beside.entry(hunk).or_default().push(comment);
        }
    }
    let mut files: Vec<(Risk, ShownFile<'_>)> = Vec::new();
    for file in &view.files {
        let hunks = numbers.by_ref().take(file.hunks.len());
        let hunks = hunks.map(|(number, hunk, mark)| ShownHunk {
            number,
            hunk,
            standing: standing(view, misfits, hunk, mark),
            remarks: remarks(view, misfits, (hunk, mark), beside.get(&hunk.id).map_or(&[], Vec::as_slice)),
        });
        let hunks: Vec<_> = hunks.filter(|shown| !since || view.review.changed.contains(&shown.hunk.id)).collect();
        if !since || !hunks.is_empty() {
            let shown = ShownFile { path: &file.path, base: file.base_text.as_deref(), hunks };
            files.push((riskiest(view, misfits, std::iter::once(file)), shown));
        }
    }
    files.sort_by_key(|(risk, _)| *risk);
    let shown = ShownProposal {
        task: &view.task.0,
        title: &view.title,
        attempt: view.attempt,
        files: files.into_iter().map(|(_, file)| file).collect(),
        notes: notes(view),
    };
    render_diff::render(&shown, RenderOptions { color: style.colour, width: WIDTH })
}

/// Returns the risk of the hunk that needs most to be looked at.
fn riskiest<'a>(view: &ProposalView, misfits: &Misfits, files: impl Iterator<Item = &'a ProposalFile>) -> Risk {
    let unverified = view.outcome != Outcome::Verified || view.checks.iter().any(|check| !check.passed);
    let of = |file: &ProposalFile, hunk: &Hunk, mark: &Mark| {
        let circumstances = Circumstances {
            decided: *mark != Mark::Pending,
            conflict: waits_for(view, hunk).is_some() || misfit(misfits, hunk).is_some(),
            unverified,
            finding: view.findings.iter().any(|finding| finding.file.as_deref() == Some(file.path.as_str())),
            changed: view.review.changed.contains(&hunk.id),
        };
        risk(hunk, circumstances)
    };
    let risks = files.flat_map(|file| file.hunks.iter().map(move |(hunk, mark)| of(file, hunk, mark)));
    risks.min().unwrap_or(Risk::Decided)
}

fn waits_for<'a>(view: &'a ProposalView, hunk: &Hunk) -> Option<&'a TaskId> {
    view.review.rests_on.iter().find(|rests| rests.hunk == hunk.id).map(|rests| &rests.task)
}

fn misfit<'a>(misfits: &'a Misfits, hunk: &Hunk) -> Option<&'a str> {
    misfits.iter().find(|(id, _)| *id == hunk.id).map(|(_, why)| why.as_str())
}

fn standing(view: &ProposalView, misfits: &Misfits, hunk: &Hunk, mark: &Mark) -> Standing {
    match (mark, waits_for(view, hunk)) {
        // What it waits for may well be what is missing.
        (Mark::Pending, Some(task)) => Standing::WaitsFor(task.0.clone()),
        (Mark::Pending, None) if misfit(misfits, hunk).is_some() => Standing::Conflict,
        (Mark::Pending, None) => Standing::Pending,
        (Mark::Accepted, _) => Standing::Accepted,
        (Mark::Rejected { .. }, _) => Standing::Rejected,
    }
}

/// Says what earlier rounds and the person said about a hunk.
fn remarks(view: &ProposalView, misfits: &Misfits, (hunk, mark): (&Hunk, &Mark), comments: &[&Comment]) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(why) = misfit(misfits, hunk).filter(|_| standing(view, misfits, hunk, mark) == Standing::Conflict) {
        remarks.push(format!("does not fit: {why}"));
    }
    if let Mark::Rejected { why: Some(why) } = mark {
        remarks.push(format!("rejected: {why}"));
    }
    if view.review.again.contains(&hunk.id) {
        remarks.push("came again although rejected".to_owned());
    } else if view.review.changed.contains(&hunk.id) {
        remarks.push(format!("new or different since round {}", view.review.round.saturating_sub(1)));
    }
    remarks.extend(comments.iter().copied().map(said));
    remarks
}

/// Returns a comment in one line.
fn said(comment: &Comment) -> String {
    let place = match (comment.path.as_ref().filter(|_| comment.hunk.is_none()), comment.line) {
        (Some(path), Some(line)) => format!(", {path}:{line}"),
        (Some(path), None) => format!(", {path}"),
        (None, Some(line)) => format!(", line {line}"),
        (None, None) => String::new(),
    };
    let sent = if comment.sent { ", sent" } else { "" };
    format!("{} (round {}{place}{sent}): {}", comment.id, comment.round, comment.text)
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
    let review = &view.review;
    if review.round > 1 {
        let (changed, again) = (review.changed.len(), review.again.len());
        let again = if again > 0 { format!(", {again} came again although rejected") } else { String::new() };
        notes.push(format!(
            "round {}: {changed} new or different since round {}{again}",
            review.round,
            review.round - 1
        ));
    }
    notes.extend(review.part.clone());
    let all = || view.files.iter().flat_map(|file| &file.hunks).map(|(hunk, _)| hunk);
    let about_all = review.comments.iter().filter(|comment| comment.beside(all()).is_none());
    notes.extend(about_all.map(said));
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

/// Asks which hunks do not fit the files as they are now.
async fn misfits(handle: &Handle, task: TaskId) -> Result<Vec<(HunkId, String)>, ApiError> {
    match handle.call(Command::Conflicts { task }).await? {
        Reply::Conflicts(misfits) => Ok(misfits),
        other => Err(unexpected(&other)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::protocol::engine_api::RestsOn;

    #[test]
    fn a_proposal_shows_what_proves_it_and_numbers() {
        insta::assert_snapshot!(text(&samples::proposal(), &[], false, Style::PLAIN), @r"
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

    #[test]
    fn what_does_not_fit_is_marked_and_told() {
        let mut view = samples::proposal();
        let why = |hunk: &str| (HunkId::from(hunk), "greet.sh: the text there is another".to_owned());
        // The second is accepted: what became of it since is no conflict any more.
        let misfits = [why("111111aaaaaa"), why("222222bbbbbb")];
        let shown = text(&view, &misfits, false, Style::PLAIN);
        assert!(
            shown.contains("hunk 1  111111aaaaaa  conflict\n  does not fit: greet.sh: the text there is another\n@@"),
            "{shown}"
        );
        assert!(shown.contains("hunk 2  222222bbbbbb  accepted\n@@"), "{shown}");
        let document = documents::review(&view, &misfits[..1]);
        assert_eq!(document["hunks"][0]["conflict"], "greet.sh: the text there is another");
        assert_eq!(
            (&document["hunks"][0]["state"], &document["hunks"][1]["conflict"]),
            (&"pending".into(), &().into())
        );
        // One that waits for another task says that instead.
        let rests = RestsOn { hunk: "111111aaaaaa".into(), task: "low".into(), on: vec!["x".into()] };
        view.review.rests_on = vec![rests];
        assert!(text(&view, &misfits, false, Style::PLAIN).contains("111111aaaaaa  waits for low\n@@"));
    }

    #[test]
    fn a_later_round_shows_what_changed_and_what_was_said() {
        let mut view = samples::proposal();
        let ids: Vec<_> = view.files[0].hunks.iter().map(|(hunk, _)| hunk.id.clone()).collect();
        view.files[0].hunks[1].1 = Mark::Rejected { why: None };
        let comment = |id: &str, hunk: Option<usize>, text: &str| Comment {
            id: id.into(),
            hunk: hunk.map(|at| ids[at].clone()),
            line: hunk.map(|at| at as u32 + 1),
            text: text.into(),
            round: 1,
            sent: id == "c1",
            ..Comment::default()
        };
        view.review.round = 2;
        view.review.changed.insert(ids[0].clone());
        view.review.again.insert(ids[1].clone());
        view.review.comments = vec![comment("c1", Some(0), "why A?"), comment("c2", None, "be\nbrief")];
        insta::assert_snapshot!(text(&view, &[], true, Style::PLAIN), @r"
        add-greeting  Add a greeting
        attempt 2, 1 file, 1 hunk, 1 pending
        verified
        the agent says: Greets.
        round 2: 1 new or different since round 1, 1 came again although rejected
        c2 (round 1): be\nbrief

        ────────────────────────────────────────────────────────────────────────────────
        greet.sh
        hunk 1  111111aaaaaa  pending
          new or different since round 1
          c1 (round 1, line 1, sent): why A?
        @@ -1,3 +1,3 @@
        -a
        +A
         b
         c
        ");
        assert!(text(&view, &[], false, Style::PLAIN).contains("came again although rejected\n@@"));
    }
}
