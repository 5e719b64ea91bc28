//! Rounds of a review: comments, sending back with what was said, and what a proposal rests on.

use super::commands::{ask, files, proposal_of, state};
use super::context::{Context, from_port};
use super::view::part_words;
use crate::domain::hunks::{HunkId, quoted};
use crate::domain::reduce::{Input, SendBack};
use crate::domain::review::{UserFile, conflicts_with, resting};
use crate::domain::rounds::Quote;
use crate::domain::state::{Proposal, State};
use crate::domain::task::TaskId;
use crate::protocol::engine_api::{ApiError, ProposalFile, Reply, RestsOn, ReviewView};

/// Lines around a commented line that are quoted where no hunk has it.
const AROUND: usize = 3;

/// Keeps what a person says about a proposal.
pub async fn comment(
    context: &Context,
    task: TaskId,
    hunk: Option<HunkId>,
    path: Option<String>,
    line: Option<u32>,
    text: String,
) -> Result<Reply, ApiError> {
    let current = state(context).await?;
    // Without texts it is kept all the same: what is said must not hang on what can be quoted.
    let texts = match proposal_of(&current, &task) {
        Ok(_) => files(context, &current, &task).await.unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    let (hunk, line, quote) = match (hunk, path.as_deref(), line) {
        (Some(id), _, line) => {
            let found = hunks(&texts).find(|hunk| hunk.id == id);
            (Some(id), line.or(found.map(|hunk| hunk.new_start + 1)), found.map(quoted))
        }
        (None, Some(path), Some(at)) => {
            let (hunk, quote) = at_line(&texts, path, at);
            (hunk, Some(at), quote)
        }
        (None, _, line) => (None, line, None),
    };
    ask(context, Input::Comment { task, hunk, path, line, text, quote }).await
}

fn hunks(files: &[ProposalFile]) -> impl Iterator<Item = &crate::domain::hunks::Hunk> {
    files.iter().flat_map(|file| &file.hunks).map(|(hunk, _)| hunk)
}

/// Returns the hunk that has the 1-based line of the proposed text, and what to quote: the hunk, or the lines around.
fn at_line(files: &[ProposalFile], path: &str, line: u32) -> (Option<HunkId>, Option<String>) {
    let Some(file) = files.iter().find(|file| file.path == path) else { return (None, None) };
    let at = line.saturating_sub(1) as usize;
    let has = |hunk: &&crate::domain::hunks::Hunk| {
        let start = hunk.new_start as usize;
        start <= at && at < start + hunk.new_lines.len().max(1)
    };
    if let Some(hunk) = file.hunks.iter().map(|(hunk, _)| hunk).filter(|hunk| hunk.is_text()).find(has) {
        return (Some(hunk.id.clone()), Some(quoted(hunk)));
    }
    let lines = file.head_text.as_deref().unwrap_or_default().lines().skip(at.saturating_sub(AROUND));
    let around: String = lines.take(2 * AROUND + 1).map(|line| format!(" {line}\n")).collect();
    (None, Some(around).filter(|around| !around.is_empty()))
}

/// Sends a proposal back with everything that was said about it; with a rebase, also with what does not fit.
pub async fn send_back(context: &Context, mut order: SendBack) -> Result<Reply, ApiError> {
    let current = state(context).await?;
    let texts = files(context, &current, &order.task).await?;
    let quote = |hunk: &crate::domain::hunks::Hunk| Quote { line: Some(hunk.new_start + 1), diff: Some(quoted(hunk)) };
    order.quotes = hunks(&texts).map(|hunk| (hunk.id.clone(), quote(hunk))).collect();
    if order.rebase {
        let proposal = proposal_of(&current, &order.task)?;
        order.conflicts = conflicts(context, proposal, &texts).await?;
        order.comments.push(rebase_words(&order));
    }
    ask(context, Input::SendBack(order)).await
}

/// Returns what does not fit the text as the user has it, unsaved changes included.
async fn conflicts(
    context: &Context,
    proposal: &Proposal,
    texts: &[ProposalFile],
) -> Result<Vec<crate::domain::rounds::Remark>, ApiError> {
    let workshop = &context.world.workshop;
    let seen = workshop.snapshot(context.buffers().await).await.map_err(from_port)?.commit;
    let now = workshop.files(&proposal.base, &seen).await.map_err(from_port)?;
    let mut remarks = Vec::new();
    for file in texts {
        let hunks: Vec<_> = file.hunks.iter().map(|(hunk, _)| hunk.clone()).collect();
        let old = file.old_path.as_deref().unwrap_or(&file.path);
        let changed = now.iter().find(|now| now.path == file.path || now.path == old);
        let user = UserFile {
            base: file.base_text.as_deref(),
            // What the user did not touch is as in the base.
            now: changed.map_or(file.base_text.as_deref(), |now| now.head_text.as_deref()),
        };
        remarks.extend(conflicts_with(&hunks, &user, &proposal.accepted(), &proposal.rejected()));
    }
    Ok(remarks)
}

fn rebase_words(order: &SendBack) -> String {
    let mut paths: Vec<String> =
        order.conflicts.iter().filter_map(|remark| Some(format!("`{}`", remark.path.as_ref()?))).collect();
    paths.dedup();
    let place = if paths.is_empty() { String::new() } else { format!(" in {}", paths.join(", ")) };
    format!(
        "Your last proposal does not fit the text as I have it now{place}. Put it onto that text, which is in your \
         worktree: keep what I changed, and change only what the task needs."
    )
}

/// Returns what earlier rounds and other proposals mean for a proposal.
pub async fn review_view(
    context: &Context,
    state: &State,
    task: &TaskId,
    texts: &[ProposalFile],
) -> Result<ReviewView, ApiError> {
    let Some(record) = state.record(task) else { return Ok(ReviewView::default()) };
    let Some(proposal) = &record.proposal else { return Ok(ReviewView::default()) };
    let mut rests_on = Vec::new();
    for on in &proposal.stands_on {
        // What is gone or done holds nothing up.
        let Ok(other) = proposal_of(state, &on.task) else { continue };
        if other.pending().is_empty() {
            continue;
        }
        let below = files(context, state, &on.task).await?;
        for file in texts {
            let old = file.old_path.as_deref().unwrap_or(&file.path);
            for lower in below.iter().filter(|lower| lower.path == old) {
                let upper: Vec<_> = file.hunks.iter().map(|(hunk, _)| hunk).collect();
                let waits: Vec<_> = lower.hunks.iter().map(|(hunk, _)| hunk).collect();
                let base = file.base_text.as_deref().unwrap_or_default();
                let head = lower.head_text.as_deref().unwrap_or_default();
                let pending = other.pending();
                for (hunk, on_hunks) in resting(&upper, base, &waits, head) {
                    if !on_hunks.iter().any(|hunk| pending.contains(hunk)) {
                        continue;
                    }
                    rests_on.push(RestsOn { hunk, task: on.task.clone(), on: on_hunks });
                }
            }
        }
    }
    Ok(ReviewView {
        round: record.round,
        changed: proposal.changed.clone(),
        again: proposal.again.clone(),
        comments: record.comments.clone(),
        part: part_words(proposal),
        rests_on,
    })
}

/// Returns the task and its pending hunks that a hunk rests on, if any.
pub async fn waits_for(
    context: &Context,
    state: &State,
    task: &TaskId,
    wanted: &[HunkId],
) -> Result<Vec<(HunkId, TaskId)>, ApiError> {
    let stands = proposal_of(state, task)?.stands_on.iter().any(|on| proposal_of(state, &on.task).is_ok());
    if !stands {
        return Ok(Vec::new());
    }
    let texts = files(context, state, task).await?;
    let view = review_view(context, state, task, &texts).await?;
    let pending = |rests: &RestsOn| {
        proposal_of(state, &rests.task).is_ok_and(|other| rests.on.iter().any(|hunk| other.pending().contains(hunk)))
    };
    let waiting = view.rests_on.into_iter().filter(|rests| wanted.contains(&rests.hunk) && pending(rests));
    Ok(waiting.map(|rests| (rests.hunk, rests.task)).collect())
}
