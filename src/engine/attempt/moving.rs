//! Proposals that must be moved to a new base, and all proposals of a run together.

use super::start::{Folded, fold};
use crate::domain::event::{Clash, HunkRef, UnionReport};
use crate::domain::outcome::CheckResult;
use crate::domain::reduce::{Input, MoveResult};
use crate::domain::state::{Proposal, State};
use crate::domain::task::{Task, TaskId};
use crate::engine::checks::{self, CheckSite, checks_for};
use crate::engine::context::Context;
use crate::engine::ports::{Merge, PortError, PortResult, all_hunks};
use crate::protocol::config::Settings;
use tokio::sync::watch;

/// The slot for checking what no agent works on.
const CHECK_SLOT: &str = "check";
/// Where the files of such checks go, below those of attempts.
pub(in crate::engine) const MOVES: &str = "moves";

/// Moves a stale proposal to its new base, checks it there, and tells the actor.
pub async fn move_proposal(context: Context, task: TaskId) {
    let _one_at_a_time = context.check_slot.lock().await;
    let Ok(state) = context.state().await else { return };
    // It may have been moved, retried or sent back while this waited for its turn.
    let proposal = state.record(&task).and_then(|record| record.proposal.clone());
    let Some(proposal) = proposal.filter(|proposal| proposal.stale.is_some()) else { return };
    let result = try_move(&context, &state, &task, &proposal).await.unwrap_or_else(|error| MoveResult::Failed {
        detail: format!("it could not be moved to the new base: {error}"),
    });
    context.input(Input::Moved { task, from: proposal.head, result }).await;
}

async fn try_move(context: &Context, state: &State, id: &TaskId, proposal: &Proposal) -> PortResult<MoveResult> {
    let workshop = &context.world.workshop;
    let task = state.tasks.get(id).ok_or_else(|| PortError::new(format!("find `{id}` in the queue")))?;
    let point = workshop.snapshot(context.buffers().await).await?;
    let (base, stands_on) = match fold(context, state, &point.commit, id).await? {
        Folded::Base { commit, stands_on } => (commit, stands_on),
        Folded::Conflict { with, paths } => {
            let detail = format!("what it stands on (`{with}`) does not merge any more: {}", paths.join(", "));
            return Ok(MoveResult::Failed { detail });
        }
    };
    let message = format!("ralph: {id} moved to its new base");
    let head = match workshop.merge(&proposal.base, &base, &proposal.head, &message).await? {
        Merge::Clean(head) => head,
        Merge::Conflict(paths) => {
            let detail = format!("it does not merge with its new base: {}", paths.join(", "));
            return Ok(MoveResult::Failed { detail });
        }
    };
    let results = check_tree(context, state, std::slice::from_ref(task), &head, &base, &id.key().0).await?;
    if let Some(failed) = first_failed(&results) {
        return Ok(MoveResult::Failed { detail: format!("on its new base this fails: {failed}") });
    }
    let files = workshop.files(&base, &head).await?;
    let hunks = all_hunks(&files).map(HunkRef::of).collect();
    workshop.publish(&id.key().0, &base, &head).await?;
    Ok(MoveResult::Moved { base, head, hunks, stands_on })
}

/// Checks the base with just the accepted hunks of a proposal, and tells the actor.
pub async fn check_part(context: Context, task: TaskId) {
    let _one_at_a_time = context.check_slot.lock().await;
    let Ok(state) = context.state().await else { return };
    // More may have been decided, or it was sent back, while this waited for its turn.
    let proposal = state.record(&task).and_then(|record| record.proposal.clone());
    let Some(proposal) = proposal.filter(Proposal::part_waits) else { return };
    let hunks = proposal.accepted();
    let (checks, failed) = match try_part(&context, &state, &task, &proposal).await {
        Ok(checks) => {
            let failed = first_failed(&checks);
            (checks, failed)
        }
        Err(error) => (Vec::new(), Some(format!("it could not be checked: failed to {error}"))),
    };
    context.input(Input::PartChecked { task, head: proposal.head, hunks, checks, failed }).await;
}

async fn try_part(context: &Context, state: &State, id: &TaskId, proposal: &Proposal) -> PortResult<Vec<CheckResult>> {
    let task = state.tasks.get(id).ok_or_else(|| PortError::new(format!("find `{id}` in the queue")))?;
    let part = context.world.workshop.part(&proposal.base, &proposal.head, proposal.accepted()).await?;
    let name = format!("{}-part", id.key());
    check_tree(context, state, std::slice::from_ref(task), &part, &proposal.base, &name).await
}

/// Returns the words of the first check that failed.
fn first_failed(results: &[CheckResult]) -> Option<String> {
    results.iter().find(|result| !result.passed).map(|result| format!("{}\n{}", result.run, result.output_tail))
}

/// Runs the checks of the tasks on a tree.
async fn check_tree(
    context: &Context,
    state: &State,
    tasks: &[impl AsRef<Task>],
    head: &str,
    base: &str,
    name: &str,
) -> PortResult<Vec<CheckResult>> {
    let settings = current_settings(state)?;
    let mut wanted = Vec::new();
    for task in tasks {
        for check in checks_for(state, &settings, task.as_ref()) {
            if !wanted.contains(&check) {
                wanted.push(check);
            }
        }
    }
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let slot = context.world.workshop.fill_slot(CHECK_SLOT, head).await?;
    context.world.workshop.include_ignored(CHECK_SLOT).await?;
    let (_keep, stop) = watch::channel(false);
    let number = context.world.clock.now_ms();
    let folder = context.world.attempts.join(MOVES).join(format!("{name}-{number}"));
    let site = CheckSite { slot: &slot, folder, marker: format!("move-{name}-{number}"), stop };
    checks::run_all(context, &site, &wanted, base).await
}

fn current_settings(state: &State) -> PortResult<Settings> {
    let run = state.run.as_ref().map(|run| &run.settings);
    let settings = run.or(state.last_run.as_ref().map(|run| &run.settings));
    match settings {
        Some(settings) => serde_json::from_value(settings.effective.clone())
            .map_err(|error| PortError::new(format!("read the settings of the run: {error}"))),
        None => Ok(Settings::default()),
    }
}

/// Merges all proposals, names the tasks that clash, checks the union, and tells the actor.
pub async fn check_union(context: Context) {
    let _one_at_a_time = context.check_slot.lock().await;
    let report = match try_union(&context).await {
        Ok(report) => report,
        Err(error) => {
            context.notice(true, format!("the proposals could not be checked together: {error}"));
            UnionReport::default()
        }
    };
    context.input(Input::UnionChecked { report }).await;
}

async fn try_union(context: &Context) -> PortResult<UnionReport> {
    let state = context.state().await?;
    let workshop = &context.world.workshop;
    let waiting = |id: &&TaskId| {
        let record = state.record(id).filter(|record| !record.done);
        record.and_then(|record| record.proposal.as_ref()).is_some_and(|proposal| proposal.stale.is_none())
    };
    let ids: Vec<TaskId> = state.order.iter().filter(waiting).cloned().collect();
    let seen = workshop.snapshot(context.buffers().await).await?.commit;
    let mut union = seen.clone();
    let mut report = UnionReport { tasks: ids.clone(), ..UnionReport::default() };
    let mut merged: Vec<TaskId> = Vec::new();
    for id in &ids {
        let Some(proposal) = state.record(id).and_then(|record| record.proposal.clone()) else { continue };
        if proposal.base == proposal.head {
            continue;
        }
        let message = format!("ralph: all proposals together, with {id}");
        match workshop.merge(&proposal.base, &union, &proposal.head, &message).await? {
            Merge::Clean(commit) => {
                union = commit;
                merged.push(id.clone());
            }
            Merge::Conflict(paths) => {
                let first = clashes_with(context, &state, &merged, &proposal.base, &proposal.head).await?;
                report.clashes.push(Clash { first: first.unwrap_or_else(|| id.clone()), second: id.clone(), paths });
            }
        }
    }
    let tasks: Vec<_> = merged.iter().filter_map(|id| state.tasks.get(id).cloned()).collect();
    if tasks.len() > 1
        && let Some(failed) = first_failed(&check_tree(context, &state, &tasks, &union, &seen, "union").await?)
    {
        report.failed_checks.push(failed.lines().next().unwrap_or_default().to_owned());
    }
    Ok(report)
}

/// Returns the first of the merged proposals that the given one does not merge with.
async fn clashes_with(
    context: &Context,
    state: &State,
    merged: &[TaskId],
    base: &str,
    head: &str,
) -> PortResult<Option<TaskId>> {
    for id in merged {
        let Some(other) = state.record(id).and_then(|record| record.proposal.as_ref()) else { continue };
        if let Merge::Conflict(_) = context.world.workshop.merge(base, &other.head, head, "ralph: probe").await? {
            return Ok(Some(id.clone()));
        }
    }
    Ok(None)
}
