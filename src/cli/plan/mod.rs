//! `ralph-sidecar plan`: turns a goal, a file or the TODO comments into drafts of the queue.

mod drafts;
mod todos;

pub use drafts::plan_text;

use super::context::{Context, find_task, ids};
use super::error::{data, usage};
use super::interrupts::interrupts;
use super::output;
use super::style::one_line;
use crate::engine::handle::{Handle, unexpected};
use crate::protocol::engine_api::{ApiError, Command, EngineEvent, PlanContext, PlanReply, PlanRequest, Reply};
use clap::Args;
use std::path::Path;

/// Options of `plan`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanArgs {
    /// What you want, in your words; with `--revise`, what to change.
    #[arg(value_name = "GOAL")]
    pub goal: Option<String>,
    /// A file to plan from, or `todos` for the TODO comments of the files git tracks.
    #[arg(long, value_name = "FILE|todos", conflicts_with = "revise")]
    pub from: Option<String>,
    /// The drafts to plan again.
    #[arg(long, value_name = "ID", num_args = 1..)]
    pub revise: Vec<String>,
    /// Take a revised plan without asking.
    #[arg(long, requires = "revise")]
    pub yes: bool,
    /// The agent to use: its name in the configuration, `command:PROGRAM ARGS` or `scripted:FILE`.
    #[arg(long, value_name = "AGENT")]
    pub agent: Option<String>,
}

/// Runs the command.
///
/// # Errors
///
/// What keeps the planner from planning, and a plan that stays wrong.
pub async fn run(context: &Context, args: PlanArgs) -> Result<(), ApiError> {
    if args.from.as_deref() == Some("todos") {
        if args.goal.is_some() || args.agent.is_some() {
            return Err(usage("plan --from todos: it reads the comments and takes neither a goal nor an agent"));
        }
        return todos::run(context).await;
    }
    let yes = args.yes;
    let request = request(context, args)?;
    let handle = context.connect().await?;
    if !request.revise.is_empty() {
        return revise(context, &handle, request, yes).await;
    }
    let reply = plan_with_trust(context, &handle, request).await?;
    output::out(&plan_text(&reply, context.style));
    Ok(())
}

async fn plan_with_trust(context: &Context, handle: &Handle, request: PlanRequest) -> Result<PlanReply, ApiError> {
    match plan(handle, request.clone()).await {
        Ok(reply) => Ok(reply),
        Err(refused) => {
            context.offer_trust(handle, refused).await?;
            plan(handle, request).await
        }
    }
}

fn request(context: &Context, args: PlanArgs) -> Result<PlanRequest, ApiError> {
    let (goal, revise) =
        if args.revise.is_empty() { (args.goal, args.revise) } else { instructions(args.goal, args.revise)? };
    let agent = args.agent;
    let Some(file) = args.from else {
        let goal = goal.filter(|goal| !goal.trim().is_empty());
        let goal = goal.ok_or_else(|| usage("plan: say what you want").with_hint("ralph-sidecar plan \"GOAL\""))?;
        return Ok(PlanRequest { goal, agent, revise: ids(&revise), ..PlanRequest::default() });
    };
    let path = context.dir.join(&file);
    let text = std::fs::read_to_string(&path).map_err(|error| data(format!("read {}: {error}", path.display())))?;
    let goal = goal.unwrap_or_else(|| format!("Do what {file} asks for."));
    let shown = relative(context, &path).unwrap_or(file);
    let pointed_at = PlanContext { file: Some(shown), lines: None, text };
    Ok(PlanRequest { goal, context: vec![pointed_at], agent, ..PlanRequest::default() })
}

/// The words after `--revise` are ids, so instructions behind them arrive among them.
fn instructions(goal: Option<String>, mut revise: Vec<String>) -> Result<(Option<String>, Vec<String>), ApiError> {
    if goal.is_some() {
        return Ok((goal, revise));
    }
    let last = revise.pop();
    if revise.is_empty() {
        let hint = "ralph-sidecar plan --revise ID \"INSTRUCTIONS\"";
        return Err(usage("plan --revise: say what to change").with_hint(hint));
    }
    Ok((last, revise))
}

fn relative(context: &Context, path: &Path) -> Option<String> {
    let root = context.root().ok()?;
    Some(path.canonicalize().ok()?.strip_prefix(root).ok()?.to_str()?.to_owned())
}

/// Plans, showing what the planner does, until it is done; Ctrl-C stops the planner.
///
/// # Errors
///
/// What the engine says.
pub async fn plan(handle: &Handle, request: PlanRequest) -> Result<PlanReply, ApiError> {
    let mut presses = interrupts()?;
    let mut events = handle.subscribe();
    let planning = handle.call(Command::Plan(request));
    tokio::pin!(planning);
    let mut gone = false;
    loop {
        tokio::select! {
            reply = &mut planning => return match reply? {
                Reply::Plan(reply) => Ok(reply),
                other => Err(unexpected(&other)),
            },
            event = events.next(), if !gone => match event.as_deref() {
                Some(EngineEvent::Progress { task: None, text, .. }) => {
                    output::err(&format!("planner: {}\n", one_line(text, 100)));
                }
                Some(_) => {}
                None => gone = true,
            },
            Some(()) = presses.recv() => {
                output::err("stopping the planner\n");
                handle.tell(Command::CancelPlan).await?;
            }
        }
    }
}

async fn revise(context: &Context, handle: &Handle, request: PlanRequest, yes: bool) -> Result<(), ApiError> {
    let snapshot = handle.snapshot().await?;
    for id in &request.revise {
        find_task(&snapshot, &id.0)?;
    }
    let reply = plan_with_trust(context, handle, request).await?;
    output::out(&drafts::diff_text(&reply.diff, context.style));
    if !yes {
        if !output::can_ask() {
            return Err(usage("plan --revise: nobody can be asked here, so the drafts stay as they are")
                .with_hint("add --yes to take what the planner makes"));
        }
        if !output::confirm("replace the drafts by these?") {
            output::line("the drafts stay as they are");
            return Ok(());
        }
    }
    handle.tell(Command::ApplyPlan { plan: reply.plan.clone() }).await?;
    output::out(&plan_text(&PlanReply { applied: true, ..reply }, context.style));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_may_stand_behind_the_ids() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            instructions(None, words(&["a", "b", "make it smaller"])),
            Ok((Some("make it smaller".into()), words(&["a", "b"])))
        );
        assert_eq!(instructions(Some("x".into()), words(&["a"])), Ok((Some("x".into()), words(&["a"]))));
        assert!(instructions(None, words(&["a"])).is_err());
    }
}
