//! What front ends ask for, carried out: each command in a task of its own, against the ports and the actor.

use super::context::{Context, from_port};
use super::ports::{Layers, PortResult, QueueEdit, World};
use super::run_settings::run_settings;
use super::{landing, planner, rounds, texts, view};
use crate::domain::decision::Answer;
use crate::domain::event::Mark;
use crate::domain::hunks::HunkId;
use crate::domain::queue::{LiveState, live_state, untrusted_commands};
use crate::domain::reduce::{Input, SendBack};
use crate::domain::state::{Proposal, State, effective_status};
use crate::domain::task::{Status, TaskId};
use crate::protocol::config::{AgentChoice, Config, INLINE_AGENT, Layer, Role, Settings, trust_string};
use crate::protocol::engine_api::{
    AcceptReply, ApiError, Command, ErrorKind, ProposalFile, ProposalView, Reply, Snapshot, StartRequest,
};
use std::collections::BTreeSet;
use std::path::Path;

/// Carries out one command.
pub async fn execute(context: &Context, command: Command) -> Result<Reply, ApiError> {
    match command {
        Command::Snapshot => snapshot(context).await.map(Reply::Snapshot),
        Command::Start(request) => start(context, request).await,
        Command::Pause => ask(context, Input::Pause).await,
        Command::Resume => ask(context, Input::Resume).await,
        Command::Stop { kill } => stop(context, kill).await,
        Command::Cancel { task } => ask(context, Input::Cancel { task }).await,
        Command::Retry { task, clean } => ask(context, Input::Retry { task, clean }).await,
        Command::Steer { task, text } => ask(context, Input::Steer { task, text }).await,
        Command::Ask { task, text } => ask(context, Input::Ask { task, text }).await,
        Command::Answer { id, option, text, go_on } => {
            let answer = Answer { option, text, by: "person".into(), at_ms: 0 };
            // The answer counts in any case; only one checkout of a repository has a run.
            let go_on = go_on && context.world.runs.other(&context.world.root).is_none();
            ask(context, Input::Answer { id, answer, go_on }).await
        }
        Command::Approve { tasks, trust } => approve(context, tasks, trust).await,
        Command::Drop { tasks } => set_statuses(context, &tasks, Status::Dropped).await,
        Command::AddTasks { tasks, goals } => {
            let ids = tasks.iter().map(|task| task.id.clone()).collect();
            edit(context, vec![QueueEdit::Put { tasks, goals }]).await?;
            Ok(Reply::Tasks(ids))
        }
        Command::Plan(request) => planner::plan(context, request).await.map(Reply::Plan),
        Command::ApplyPlan { plan } => planner::apply(context, &plan).await,
        Command::CancelPlan => {
            context.plans.cancel();
            Ok(Reply::Done)
        }
        Command::Untrusted { tasks, agent } => untrusted(context, &tasks, agent.as_deref()).await.map(Reply::Commands),
        Command::Trust { commands } => {
            trust(context, &commands).await?;
            Ok(Reply::Done)
        }
        Command::Proposal { task } => proposal(context, &task).await.map(Reply::Proposal),
        Command::Conflicts { task } => conflicts(context, &task).await.map(Reply::Conflicts),
        Command::Accept { task, hunks, write } => accept(context, task, hunks, write).await.map(Reply::Accepted),
        Command::Reject { task, hunks, why, rest } => {
            let hunks = if rest { Vec::new() } else { hunks };
            let hunks = or_pending(context, &task, hunks).await?;
            landing::reject(context, task, hunks, why, rest).await.map(|()| Reply::Done)
        }
        Command::Withdraw { task, hunks } => landing::withdraw(context, task, hunks).await.map(|()| Reply::Done),
        Command::KeepAcceptedPart { task } => ask(context, Input::KeepAcceptedPart { task }).await,
        Command::SendBack { task, comments, rest, rebase } => {
            rounds::send_back(context, SendBack { comments, rest, rebase, ..SendBack::rest(task) }).await
        }
        Command::Comment { task, hunk, path, line, text } => {
            rounds::comment(context, task, hunk, path, line, text).await
        }
        Command::DropComment { task, id } => ask(context, Input::DropComment { task, id }).await,
        Command::Land(request) => landing::land(context, request).await.map(Reply::Landed),
        Command::StopLanding => {
            if context.landings.stop() {
                return Ok(Reply::Done);
            }
            Err(ApiError::new(ErrorKind::Usage, "no landing is on")
                .with_hint("`ralph-sidecar land --undo` takes back one that was made"))
        }
        Command::Undo => landing::undo(context, false).await.map(Reply::Undone),
        Command::UndoLanding => landing::undo(context, true).await.map(Reply::Undone),
        Command::Saved { paths } => saved(context, paths).await,
        Command::Buffers { token, buffers } => {
            context.take_buffers(token, buffers);
            Ok(Reply::Done)
        }
        Command::HoldQueue { held } => {
            context.hold_queue(held);
            Ok(Reply::Done)
        }
        Command::Text { task, attempt, what } => texts::text(context, &task, attempt, what).await.map(Reply::Text),
        Command::Report { attempt, report } => {
            let id = format!("socket-{:016x}", context.world.clock.random());
            context.input(Input::Reported { attempt, id, report }).await;
            Ok(Reply::Done)
        }
        Command::ReadQueue => {
            context.read_queue().await;
            Ok(Reply::Done)
        }
        Command::Shutdown => {
            let state = context.state().await.map_err(from_port)?;
            if state.run.is_some() {
                return Err(ApiError::new(ErrorKind::Busy, "a run is on").with_hint("`ralph-sidecar stop` ends it"));
            }
            Ok(Reply::Done)
        }
    }
}

pub(super) async fn ask(context: &Context, input: Input) -> Result<Reply, ApiError> {
    context.ask(input).await?;
    Ok(Reply::Done)
}

/// Stops the run; without one, the landing that is on.
async fn stop(context: &Context, kill: bool) -> Result<Reply, ApiError> {
    if state(context).await?.run.is_none() && context.landings.stop() {
        return Ok(Reply::Done);
    }
    ask(context, Input::Stop { kill }).await
}

pub(super) async fn state(context: &Context) -> Result<State, ApiError> {
    context.state().await.map_err(from_port)
}

async fn snapshot(context: &Context) -> Result<Snapshot, ApiError> {
    let (state, seq, problem) = context.state_and_seq().await?;
    let layers = context.world.settings.layers().await;
    Ok(with_settings(&context.world.root, layers, view::snapshot(&state, seq, problem, context.world.clock.now_ms())))
}

/// Fills in what comes from the configuration.
pub fn with_settings(root: &Path, layers: PortResult<Layers>, mut snapshot: Snapshot) -> Snapshot {
    snapshot.root = root.to_path_buf();
    let configured = match layers {
        Ok((layers, _)) => {
            let settings = Settings::resolve(&layers);
            snapshot.agents = settings.agents.keys().cloned().collect();
            serde_json::to_value(&settings).unwrap_or_default()
        }
        Err(error) => serde_json::json!({ "error": error.to_string() }),
    };
    // A run keeps the settings it was started with, whatever the files say meanwhile.
    if snapshot.settings.is_null() {
        snapshot.settings = configured;
    }
    snapshot
}

/// Returns the effective settings for a request, and the agent typed on the command line, if any.
pub async fn settings_for(
    world: &World,
    extra: &[serde_json::Value],
    agent: Option<&str>,
    role: Role,
) -> Result<Settings, ApiError> {
    let (mut layers, _warnings) = world.settings.layers().await.map_err(from_port)?;
    for (index, value) in extra.iter().enumerate() {
        let config: Config = serde_json::from_value(value.clone())
            .map_err(|error| ApiError::new(ErrorKind::Usage, format!("the settings given are wrong: {error}")))?;
        layers.push((if index + 1 == extra.len() { Layer::CommandLine } else { Layer::Editor }, config));
    }
    if let Some(agent) = agent {
        let choice = AgentChoice::parse(agent).map_err(|error| ApiError::new(ErrorKind::Usage, error))?;
        layers.push((Layer::CommandLine, choice.into_config(role)));
    }
    let settings = Settings::resolve(&layers);
    let none = ApiError::new(ErrorKind::Data, format!("no agent is configured for the {role} role")).with_hint(
        "`ralph-sidecar init` finds the agents of this machine; or name one with --agent 'command:PROGRAM ARGS'",
    );
    if settings.chains.get(&role).is_none_or(Vec::is_empty) {
        return Err(none);
    }
    if let Some(problem) = settings.problems().into_iter().next() {
        return Err(ApiError::new(ErrorKind::Data, problem).with_hint("mend `.ralph/config.json`"));
    }
    Ok(settings)
}

/// Returns the command strings of the settings that a role needs; what was typed is trusted by typing it.
pub fn commands_of(settings: &Settings, role: Role) -> Vec<String> {
    // Whoever reviews what this role did, or puts it onto another text, runs with it.
    let with_it =
        |other: Role| settings.agents_for(other).filter(move |_| role == Role::Implementer && settings.is_named(other));
    let others = with_it(Role::Reviewer).chain(with_it(Role::Fixer));
    let agents = settings.agents_for(role).chain(others).filter(|(name, _)| *name != INLINE_AGENT);
    let mut commands: Vec<String> = Vec::new();
    for command in agents.map(|(_, agent)| agent.trust_string()) {
        if !commands.contains(&command) {
            commands.push(command);
        }
    }
    if role == Role::Implementer {
        commands.extend(settings.setup.iter().chain(&settings.verify).map(trust_string));
    }
    commands.dedup();
    commands
}

async fn untrusted(context: &Context, tasks: &[TaskId], agent: Option<&str>) -> Result<Vec<String>, ApiError> {
    let state = state(context).await?;
    let mut commands = match settings_for(&context.world, &[], agent, Role::Implementer).await {
        Ok(settings) => commands_of(&settings, Role::Implementer),
        // Without an agent, which may come with the run, there is still something to trust.
        Err(_) => {
            let (layers, _) = context.world.settings.layers().await.map_err(from_port)?;
            let settings = Settings::resolve(&layers);
            settings.setup.iter().chain(&settings.verify).map(trust_string).collect()
        }
    };
    commands.retain(|command| !state.trusted.contains(command));
    for id in state.order.iter() {
        let Some(task) = state.tasks.get(id) else { continue };
        let wanted = if tasks.is_empty() { task.status == Status::Todo } else { tasks.contains(id) };
        if wanted {
            commands.extend(untrusted_commands(&state, task));
        }
    }
    let mut seen = BTreeSet::new();
    commands.retain(|command| seen.insert(command.clone()));
    Ok(commands)
}

async fn trust(context: &Context, commands: &[String]) -> Result<(), ApiError> {
    if !commands.is_empty() {
        context.world.settings.trust(commands).await.map_err(from_port)?;
    }
    let commands = context.world.settings.trusted().await.map_err(from_port)?;
    context.ask(Input::TrustRead { commands }).await
}

fn not_trusted(commands: Vec<String>) -> ApiError {
    let mut error = ApiError::new(ErrorKind::NotTrusted, "these commands are not trusted in this repository yet")
        .with_hint("look at them, then run `ralph-sidecar trust`");
    error.commands = commands;
    error
}

/// Said at a start where processes cannot be held to what they may write to.
const UNFENCED: &str = "there is no write fence here: an agent can do anything on this machine that you can do \
                        (ralph-sidecar doctor says why)";

async fn start(context: &Context, request: StartRequest) -> Result<Reply, ApiError> {
    context.read_queue().await;
    let current = state(context).await?;
    if current.run.is_some() && context.recovered_run.swap(false, std::sync::atomic::Ordering::SeqCst) {
        // The run outlived the engine before this one; whoever asks for a run now has it.
        return Ok(Reply::Done);
    }
    if let Some(other) = context.world.runs.other(&context.world.root) {
        return Err(on_elsewhere(&other));
    }
    context.world.workshop.preflight().await.map_err(from_port)?;
    usable_queue(context, true).await?;
    let settings = settings_for(&context.world, &request.layers, request.agent.as_deref(), Role::Implementer).await?;
    let wanted = commands_of(&settings, Role::Implementer);
    trust(context, &[]).await?;
    let current = state(context).await?;
    let missing: Vec<String> = wanted.iter().filter(|command| !current.trusted.contains(*command)).cloned().collect();
    if !missing.is_empty() {
        return Err(not_trusted(missing));
    }
    // Only when trust is all that is missing is it an error; otherwise the others go on and the task says why.
    let blocked = untrusted(context, &request.tasks, request.agent.as_deref()).await?;
    let ready = |id: &TaskId| live_state(&current, id).is_some_and(|live| live.state == LiveState::Ready);
    if !blocked.is_empty() && !current.order.iter().any(ready) {
        return Err(not_trusted(blocked));
    }
    let run = run_settings(&settings, wanted, context.world.clock.utc_offset_seconds())
        .map_err(|error| ApiError::new(ErrorKind::Other, format!("failed to keep the settings: {error}")))?;
    let (runs, root) = (&context.world.runs, &context.world.root);
    // Decided again, for another checkout may have started meanwhile.
    let fresh = runs.begin(root).map_err(|other| on_elsewhere(&other))?;
    let started = ask(context, Input::Start { settings: run, only: request.tasks }).await;
    if started.is_err() && fresh {
        runs.set(root, false);
    }
    if started.is_ok() && !context.world.processes.fenced() {
        context.notice(true, UNFENCED);
    }
    started
}

/// Refuses to work from a queue file of which nothing was ever understood. Where the tasks it named before are still
/// in force, they go on, and with `tell` that is said.
async fn usable_queue(context: &Context, tell: bool) -> Result<(), ApiError> {
    let (state, _, problem) = context.state_and_seq().await?;
    let Some(problem) = problem else { return Ok(()) };
    if state.order.is_empty() {
        return Err(ApiError::new(ErrorKind::Data, problem).with_hint("mend the file, and try again"));
    }
    if tell {
        context.notice(true, problem);
    }
    Ok(())
}

fn on_elsewhere(other: &Path) -> ApiError {
    let words = format!("a run is on in another checkout of this repository: {}", other.display());
    ApiError::new(ErrorKind::Busy, words).with_hint("stop it there, or wait until it ends")
}

async fn approve(context: &Context, tasks: Vec<TaskId>, commands: Vec<String>) -> Result<Reply, ApiError> {
    trust(context, &commands).await?;
    set_statuses(context, &tasks, Status::Todo).await
}

async fn set_statuses(context: &Context, tasks: &[TaskId], status: Status) -> Result<Reply, ApiError> {
    if context.is_queue_held() {
        let message = "`.ralph/queue.json` has unsaved changes in an editor";
        return Err(ApiError::new(ErrorKind::Busy, message).with_hint("save or revert it there, then try again"));
    }
    context.read_queue().await;
    let state = state(context).await?;
    let mut edits = Vec::new();
    for id in tasks {
        let task = state.tasks.get(id).ok_or_else(|| {
            ApiError::new(ErrorKind::Usage, format!("no task `{id}` in the queue"))
                .with_hint("`ralph-sidecar tasks` lists them")
        })?;
        let now = effective_status(task, state.record(id));
        if status == Status::Todo && now == Status::Done {
            return Err(ApiError::new(ErrorKind::Usage, format!("task `{id}` is done"))
                .with_hint("retry it to have it done again"));
        }
        if now != status {
            edits.push(QueueEdit::SetStatus { task: id.clone(), status });
        }
    }
    edit(context, edits).await?;
    Ok(Reply::Tasks(tasks.to_vec()))
}

/// Edits the queue file and waits until what it says now counts.
pub async fn edit(context: &Context, edits: Vec<QueueEdit>) -> Result<(), ApiError> {
    if !edits.is_empty() {
        write_queue(context, edits).await?;
    }
    context.read_queue().await;
    Ok(())
}

/// Edits the queue file, as soon as no editor holds it; what it says then does not count before it is read.
pub(super) async fn write_queue(context: &Context, edits: Vec<QueueEdit>) -> Result<(), ApiError> {
    context.queue_released().await;
    context.note_saved([".ralph/queue.json".to_owned()]).await;
    context.world.queue.edit(edits).await.map_err(from_port)
}

/// Returns the task's proposal.
pub(super) fn proposal_of<'a>(state: &'a State, task: &TaskId) -> Result<&'a Proposal, ApiError> {
    let record = state.record(task).filter(|record| !record.done);
    record.and_then(|record| record.proposal.as_ref()).ok_or_else(|| {
        ApiError::new(ErrorKind::Usage, format!("task `{task}` has no proposal to review"))
            .with_hint("`ralph-sidecar status` shows which have")
    })
}

/// Returns the files of the task's proposal with their marks.
pub(super) async fn files(context: &Context, state: &State, task: &TaskId) -> Result<Vec<ProposalFile>, ApiError> {
    let proposal = proposal_of(state, task)?;
    let mut files = context.world.workshop.files(&proposal.base, &proposal.head).await.map_err(from_port)?;
    for (hunk, mark) in files.iter_mut().flat_map(|file| file.hunks.iter_mut()) {
        *mark = proposal.mark(&hunk.id);
    }
    Ok(files)
}

async fn proposal(context: &Context, task: &TaskId) -> Result<ProposalView, ApiError> {
    let state = state(context).await?;
    let files = files(context, &state, task).await?;
    let summary = state.record(task).and_then(view::proposal_summary);
    let queued = state.tasks.get(task);
    let end = summary.as_ref().and_then(|proposal| {
        let attempts = state.record(task).map(|record| record.attempts.as_slice()).unwrap_or_default();
        attempts.iter().find(|attempt| attempt.number == proposal.attempt)?.end.clone()
    });
    Ok(ProposalView {
        task: task.clone(),
        title: queued.map(|task| task.title.clone()).unwrap_or_default(),
        attempt: summary.as_ref().map_or(0, |proposal| proposal.attempt),
        outcome: summary.as_ref().map_or(crate::domain::outcome::Outcome::Unchecked, |proposal| proposal.outcome),
        summary: summary.and_then(|proposal| proposal.summary),
        checks: end.as_ref().map(|end| end.checks.clone()).unwrap_or_default(),
        findings: end.map(|end| end.findings).unwrap_or_default(),
        acceptance: queued.map(|task| task.acceptance.clone()).unwrap_or_default(),
        review: rounds::review_view(context, &state, task, &files).await?,
        files,
    })
}

async fn conflicts(context: &Context, task: &TaskId) -> Result<Vec<(HunkId, String)>, ApiError> {
    let state = state(context).await?;
    let proposal = proposal_of(&state, task)?;
    let (base, head) = (&proposal.base, &proposal.head);
    context.world.workshop.misfits(base, head, proposal.accepted(), proposal.rejected()).await.map_err(from_port)
}

async fn or_pending(context: &Context, task: &TaskId, hunks: Vec<HunkId>) -> Result<Vec<HunkId>, ApiError> {
    if !hunks.is_empty() {
        return Ok(hunks);
    }
    let state = state(context).await?;
    let proposal = state.record(task).and_then(|record| record.proposal.as_ref());
    let pending = |proposal: &Proposal| {
        let hunks = proposal.hunks.iter().filter(|hunk| proposal.mark(&hunk.id) == Mark::Pending);
        hunks.map(|hunk| hunk.id.clone()).collect()
    };
    Ok(proposal.map(pending).unwrap_or_default())
}

async fn accept(context: &Context, task: TaskId, hunks: Vec<HunkId>, write: bool) -> Result<AcceptReply, ApiError> {
    let _one_at_a_time = context.writes.lock().await;
    let current = state(context).await?;
    let proposal = proposal_of(&current, &task)?;
    let wanted = or_pending(context, &task, hunks).await?;
    if let Some(unknown) = proposal.unknown(&wanted) {
        return Err(ApiError::new(ErrorKind::Usage, format!("task `{task}` has no hunk `{unknown}`"))
            .with_hint(format!("look at `ralph-sidecar review {task}`")));
    }
    let mut wanted = wanted;
    // What an editor has put into a buffer is there, whatever it rests on.
    let waiting = if write { rounds::waits_for(context, &current, &task, &wanted).await? } else { Vec::new() };
    wanted.retain(|hunk| !waiting.iter().any(|(waits, _)| waits == hunk));
    let mut reply = if write {
        let (accepted, rejected) = (proposal.accepted(), proposal.rejected());
        let wanted = wanted.into_iter().collect();
        let workshop = &context.world.workshop;
        let reply = workshop.write_hunks(&proposal.base, &proposal.head, accepted, rejected, wanted).await;
        let reply = reply.map_err(from_port)?;
        context.note_saved(reply.written.iter().cloned()).await;
        reply
    } else {
        AcceptReply { hunks: wanted, ..AcceptReply::default() }
    };
    let words = |on: &TaskId| format!("it rests on a change of `{on}` that is not decided; accept that first");
    reply.conflicts.extend(waiting.into_iter().map(|(hunk, on)| (hunk, words(&on))));
    let mark =
        Input::MarkHunks { task: task.clone(), hunks: reply.hunks.clone(), mark: Mark::Accepted, by: "person".into() };
    context.ask(mark).await?;
    Ok(reply)
}

/// Looks whether everything that was accepted is on disk, and tells the actor when it is.
pub async fn look_on_disk(context: &Context, task: &TaskId) {
    let Ok(current) = state(context).await else { return };
    let Ok(proposal) = proposal_of(&current, task) else { return };
    if !proposal.is_decided() {
        // Whatever is there, nothing follows from it yet; and this is asked for with every decision.
        return;
    }
    let accepted = proposal.accepted();
    match context.world.workshop.on_disk(&proposal.base, &proposal.head, accepted.clone()).await {
        Ok(found) if accepted.is_subset(&found) => {
            context.input(Input::FoundOnDisk { task: task.clone(), hunks: accepted }).await;
        }
        Ok(_) => {}
        Err(error) => context.notice(true, format!("failed to {error}")),
    }
}

async fn saved(context: &Context, paths: Vec<String>) -> Result<Reply, ApiError> {
    context.note_saved(paths.iter().cloned()).await;
    if paths.iter().any(|path| path == ".ralph/queue.json") {
        context.read_queue().await;
    }
    let current = state(context).await?;
    let concerned = |record: &crate::domain::state::Record| {
        let proposal = record.proposal.as_ref().filter(|proposal| !record.done && !proposal.marks.is_empty());
        proposal.is_some_and(|proposal| proposal.hunks.iter().any(|hunk| paths.contains(&hunk.path)))
    };
    for (task, _) in current.records.iter().filter(|(_, record)| concerned(record)) {
        look_on_disk(context, task).await;
    }
    Ok(Reply::Done)
}
