//! Landing accepted work into the files or into git, rejecting, and taking back what was decided or landed.

use super::commands::state;
use super::context::{Context, from_port};
use super::ports::{LandOrder, LandPart, TakenBack};
use crate::domain::event::Mark;
use crate::domain::hunks::HunkId;
use crate::domain::landing::{self, LandTo, LandWords};
use crate::domain::reduce::Input;
use crate::domain::state::{Proposal, Record, State};
use crate::domain::task::TaskId;
use crate::protocol::config::{Config, LandSettings, Layer, Settings};
use crate::protocol::engine_api::{AcceptReply, ApiError, ErrorKind, LandReply, LandRequest, UndoReply};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// The landing that is on. Hooks may make it long, so nothing waits for it: a second one is refused, and accepting goes
/// on beside it.
#[derive(Default)]
pub(super) struct Landings(Mutex<Option<watch::Sender<bool>>>);

/// The right to land or take back, until it is dropped.
struct Turn<'a> {
    landings: &'a Landings,
    stop: watch::Receiver<bool>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.landings.on() = None;
    }
}

impl Landings {
    fn on(&self) -> MutexGuard<'_, Option<watch::Sender<bool>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the turn.
    ///
    /// # Errors
    ///
    /// `Busy` while another has it.
    fn begin(&self) -> Result<Turn<'_>, ApiError> {
        let mut on = self.on();
        if on.is_some() {
            return Err(ApiError::new(ErrorKind::Busy, "a landing is on, with the hooks of the repository")
                .with_hint("wait until it ends, or end it: `ralph-sidecar land --stop`"));
        }
        let (stopper, stop) = watch::channel(false);
        *on = Some(stopper);
        Ok(Turn { landings: self, stop })
    }

    /// Has the landing that is on end; tells whether there is one.
    pub(super) fn stop(&self) -> bool {
        self.on().as_ref().is_some_and(|stopper| {
            stopper.send_replace(true);
            true
        })
    }
}

/// Lands accepted work.
pub(super) async fn land(context: &Context, request: LandRequest) -> Result<LandReply, ApiError> {
    let turn = context.landings.begin()?;
    // Whoever ends the engine waits for it.
    let _order = context.world.runs.order();
    let settings = settings(context, &request.layers).await?;
    let current = state(context).await?;
    for task in &request.tasks {
        if !current.tasks.contains_key(task) && current.record(task).is_none() {
            return Err(usage(format!("no task `{task}` in the queue")).with_hint("`ralph-sidecar tasks` lists them"));
        }
    }
    match request.to.unwrap_or(settings.to.to_domain()) {
        LandTo::Tree => {
            let _one_at_a_time = context.writes.lock().await;
            into_files(context, &current, &request.tasks).await
        }
        LandTo::Commit => into_git(context, &current, request, &settings, (false, turn.stop.clone())).await,
        LandTo::Branch => into_git(context, &current, request, &settings, (true, turn.stop.clone())).await,
    }
}

async fn settings(context: &Context, extra: &[serde_json::Value]) -> Result<LandSettings, ApiError> {
    let (mut layers, _warnings) = context.world.settings.layers().await.map_err(from_port)?;
    for value in extra {
        let config: Config = serde_json::from_value(value.clone())
            .map_err(|error| usage(format!("the settings given are wrong: {error}")))?;
        layers.push((Layer::Editor, config));
    }
    Ok(Settings::resolve(&layers).land)
}

/// Writes what is accepted and is not on disk: of the tasks named, or of all that are not done yet. What was on disk
/// once and is not any more is written only for a task that is named.
async fn into_files(context: &Context, current: &State, named: &[TaskId]) -> Result<LandReply, ApiError> {
    let with_accepted = |id: &TaskId| {
        let record = current.record(id).filter(|record| !named.is_empty() || !record.done)?;
        let proposal = record.proposal.as_ref().filter(|proposal| !proposal.accepted().is_empty())?;
        Some((id.clone(), record.done, proposal.clone()))
    };
    let tasks = if named.is_empty() { current.order.to_vec() } else { landing::in_order(current, named) };
    let wanted: Vec<(TaskId, bool, Proposal)> = tasks.iter().filter_map(with_accepted).collect();
    if wanted.is_empty() && !named.is_empty() {
        return Err(not_landable(&named[0], &landing::NotLandable::NothingAccepted));
    }
    let mut reply = LandReply { to: LandTo::Tree, ..LandReply::default() };
    for (task, done, proposal) in wanted {
        let written = write_missing(context, &proposal).await?;
        if !written.written.is_empty() || !written.conflicts.is_empty() {
            reply.tasks.push(task.clone());
        }
        reply.paths.extend(written.written);
        reply.conflicts.extend(written.conflicts);
        if !done {
            // Nothing new to mark; the engine looks whether the task is done by this.
            let hunks = proposal.accepted().into_iter().collect();
            context.ask(Input::MarkHunks { task, hunks, mark: Mark::Accepted, by: "person".into() }).await?;
        }
    }
    reply.paths.sort();
    reply.paths.dedup();
    Ok(reply)
}

async fn write_missing(context: &Context, proposal: &Proposal) -> Result<AcceptReply, ApiError> {
    let (workshop, accepted) = (&context.world.workshop, proposal.accepted());
    let (base, head) = (&proposal.base, &proposal.head);
    let found = workshop.on_disk(base, head, accepted.clone()).await.map_err(from_port)?;
    let missing: std::collections::BTreeSet<HunkId> = accepted.difference(&found).cloned().collect();
    if missing.is_empty() {
        return Ok(AcceptReply::default());
    }
    let written = workshop.write_hunks(base, head, accepted, proposal.rejected(), missing).await.map_err(from_port)?;
    context.note_saved(written.written.iter().cloned()).await;
    Ok(written)
}

async fn into_git(
    context: &Context,
    current: &State,
    request: LandRequest,
    settings: &LandSettings,
    (on_branch, stop): (bool, watch::Receiver<bool>),
) -> Result<LandReply, ApiError> {
    for task in &request.tasks {
        landing::landable(current.record(task)).map_err(|why| not_landable(task, &why))?;
    }
    let strict = !request.tasks.is_empty();
    let tasks = if strict { request.tasks } else { landing::all_landable(current) };
    if tasks.is_empty() {
        return Err(ApiError::new(ErrorKind::Usage, "there is nothing to land: no task is done and not landed yet")
            .with_hint("`ralph-sidecar status` shows what is still to review"));
    }
    let tasks = landing::in_order(current, &tasks);
    let parts: Vec<LandPart> = tasks.iter().filter_map(|task| part(current, task)).collect();
    let words: Vec<LandWords> = parts.iter().map(|part| part.words.clone()).collect();
    let template = request.branch.as_deref().unwrap_or(&settings.branch);
    let branch = on_branch.then(|| landing::branch_name(template, &words));
    if let Some(branch) = &branch {
        // Before it is there: a run that ends meanwhile would ask who made it.
        context.note_saved([format!("refs/heads/{branch}")]).await;
    }
    let ours = current.records.values().filter_map(|record| record.landed.as_ref());
    let order = LandOrder {
        parts,
        branch,
        message: request.message.unwrap_or_else(|| settings.message.clone()),
        strict,
        ours: ours.map(|landed| landed.commit.clone()).collect(),
        limit: Duration::from_secs(settings.timeout_seconds.max(1)),
    };
    let outcome = context.world.workshop.land(order, stop).await.map_err(from_port)?;
    context.ask(Input::Landed { landing: outcome.landing.clone() }).await?;
    known(context).await;
    let landing = outcome.landing;
    Ok(LandReply {
        to: landing.to,
        tasks: landing.tasks,
        commit: Some(landing.commit),
        branch: Some(landing.branch),
        paths: outcome.paths,
        left_out: outcome.left_out,
        conflicts: Vec::new(),
    })
}

/// Lets go of what would be taken up after a crash: the journal has the landing.
pub(super) async fn known(context: &Context) {
    if let Err(error) = context.world.workshop.landing_known().await {
        // It is looked at once more by the next engine, and counts once.
        tracing::warn!(%error, "the landing is known, and kept as if it were not");
    }
}

fn part(current: &State, task: &TaskId) -> Option<LandPart> {
    let record = current.record(task)?;
    let queued = current.tasks.get(task).or(record.claimed.as_ref());
    let title = queued.map(|task| task.title.clone()).unwrap_or_else(|| task.to_string());
    let words = LandWords { id: task.to_string(), title, summary: summary(record) };
    Some(LandPart { task: task.clone(), rounds: landing::accepted_parts(record), words })
}

fn summary(record: &Record) -> String {
    let attempt = record.proposal.as_ref().map(|proposal| proposal.attempt);
    let attempt = record.attempts.iter().find(|known| Some(known.number) == attempt);
    attempt.and_then(|attempt| attempt.end.as_ref()?.summary.clone()).unwrap_or_default()
}

fn not_landable(task: &TaskId, why: &landing::NotLandable) -> ApiError {
    usage(format!("task `{task}` {why}"))
}

fn usage(message: String) -> ApiError {
    ApiError::new(ErrorKind::Usage, message)
}

/// Rejects hunks, and keeps that so that it can be taken back; with `rest`, all that wait, and what was accepted is kept.
pub(super) async fn reject(
    context: &Context,
    task: TaskId,
    hunks: Vec<HunkId>,
    why: Option<String>,
    rest: bool,
) -> Result<(), ApiError> {
    let before = state(context).await?;
    let proposal = before.record(&task).and_then(|record| record.proposal.as_ref());
    let fresh = |hunk: &&HunkId| !proposal.is_some_and(|it| matches!(it.mark(hunk), Mark::Rejected { .. }));
    let fresh: Vec<HunkId> = hunks.iter().filter(fresh).cloned().collect();
    let by = "person".to_owned();
    context
        .ask(if rest {
            Input::DropRest { task: task.clone(), why, by }
        } else {
            Input::MarkHunks { task: task.clone(), hunks, mark: Mark::Rejected { why }, by }
        })
        .await?;
    if !fresh.is_empty()
        && let Err(error) = context.world.workshop.keep_rejection(&task, fresh).await
    {
        // The rejection counts; each hunk of it can still be taken back by name.
        context.notice(true, format!("failed to {error}"));
    }
    Ok(())
}

/// Takes back the newest accept, rejection or landing; with `landing`, only a landing.
pub(super) async fn undo(context: &Context, landing: bool) -> Result<UndoReply, ApiError> {
    let _turn = context.landings.begin()?;
    let _one_at_a_time = context.writes.lock().await;
    loop {
        match context.world.workshop.take_back(landing).await.map_err(from_port)? {
            TakenBack::Files { hunks, restored, kept } => {
                context.note_saved(restored.iter().cloned()).await;
                make_pending(context, &hunks).await?;
                return Ok(UndoReply::Accept { hunks, restored, kept });
            }
            TakenBack::Rejection { task, hunks } => {
                let current = state(context).await?;
                let proposal = current.record(&task).filter(|record| !record.done).and_then(|it| it.proposal.as_ref());
                let rejected = proposal.map(Proposal::rejected).unwrap_or_default();
                let hunks: Vec<HunkId> = hunks.into_iter().filter(|hunk| rejected.contains(hunk)).collect();
                // What was decided otherwise since, or went back to the agent, is nothing to take back.
                if !hunks.is_empty() {
                    let (mark, by) = (Mark::Pending, "person".into());
                    context.ask(Input::MarkHunks { task: task.clone(), hunks: hunks.clone(), mark, by }).await?;
                    return Ok(UndoReply::Reject { task, hunks });
                }
            }
            TakenBack::Landing(landing) => {
                context.note_saved([format!("refs/heads/{}", landing.branch)]).await;
                context.ask(Input::LandingUndone { commit: landing.commit.clone() }).await?;
                let (tasks, commit, branch) = (landing.tasks, landing.commit, landing.branch);
                return Ok(UndoReply::Landing { tasks, commit, branch });
            }
        }
    }
}

/// Makes hunks of a task pending again. Those whose acceptance had made it done put it into review again.
pub(super) async fn withdraw(context: &Context, task: TaskId, hunks: Vec<HunkId>) -> Result<(), ApiError> {
    let current = state(context).await?;
    let done = current.record(&task).filter(|record| record.done);
    let accepted = done.and_then(|record| record.proposal.as_ref()).map(Proposal::accepted).unwrap_or_default();
    if hunks.iter().any(|hunk| accepted.contains(hunk)) {
        context.ask(Input::Reopen { task: task.clone() }).await?;
    }
    context.ask(Input::MarkHunks { task, hunks, mark: Mark::Pending, by: "person".into() }).await
}

/// Makes hunks pending again, whatever proposal they are of; what was undone is to be reviewed again, also when it had
/// made the task done.
async fn make_pending(context: &Context, undone: &[HunkId]) -> Result<(), ApiError> {
    let current = state(context).await?;
    for id in current.records.keys() {
        let Some(proposal) = current.record(id).and_then(|record| record.proposal.as_ref()) else { continue };
        let known = |hunk: &&HunkId| proposal.hunks.iter().any(|known| known.id == **hunk);
        let hunks: Vec<HunkId> = undone.iter().filter(known).cloned().collect();
        if !hunks.is_empty() {
            mark_pending(context, id, hunks).await?;
        }
    }
    Ok(())
}

/// Makes hunks of one task pending again. The task may become done at any moment before that, since its files were as the
/// accept left them a moment ago; then it is reopened and marked once more.
async fn mark_pending(context: &Context, id: &TaskId, hunks: Vec<HunkId>) -> Result<(), ApiError> {
    loop {
        if is_done(context, id).await? {
            context.ask(Input::Reopen { task: id.clone() }).await?;
        }
        let (mark, by) = (Mark::Pending, "person".into());
        match context.ask(Input::MarkHunks { task: id.clone(), hunks: hunks.clone(), mark, by }).await {
            Err(error) if !is_done(context, id).await? => return Err(error),
            Err(_) => {}
            Ok(_) => return Ok(()),
        }
    }
}

async fn is_done(context: &Context, id: &TaskId) -> Result<bool, ApiError> {
    Ok(state(context).await?.record(id).is_some_and(|record| record.done))
}
