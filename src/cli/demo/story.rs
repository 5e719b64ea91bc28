//! What happens in the demonstration, told while it happens. Everything but the agent is the real thing.

use super::script;
use crate::cli::accept::settled;
use crate::cli::context::{Context, untrusted};
use crate::cli::error::other;
use crate::cli::interrupts::interrupts;
use crate::cli::plan::plan_text;
use crate::cli::run::{Link, PlainLines, Tracker, follow};
use crate::cli::style::{Style, clean};
use crate::cli::{output, plan, review, status_text, summary};
use crate::domain::event::RunEndReason;
use crate::domain::queue::LiveState;
use crate::domain::task::TaskId;
use crate::engine::handle::Handle;
use crate::infra::repository::sample::make_repository;
use crate::protocol::engine_api::{ApiError, Command, PlanRequest, Snapshot, StartRequest};
use std::path::Path;

/// Rounds of running and answering before the demonstration admits that it is stuck.
const ROUNDS: u32 = 3;

/// Plays the demonstration inside `folder`.
///
/// # Errors
///
/// When any step does not end as the story has it.
pub async fn play(context: &Context, folder: &Path) -> Result<(), ApiError> {
    let style = context.style;
    let root = folder.join(script::REPOSITORY);
    let script_file = folder.join("script.json");
    prepare(&root, &script_file)?;
    let agent = format!("scripted:{}", script_file.display());
    output::out(&introduction(&root, style));

    let context = Context { dir: root.clone(), ..context.clone() };
    let handle = context.connect().await?;
    step(style, "1. Plan", &format!("ralph-sidecar plan \"{}\"", script::GOAL));
    let request = PlanRequest { goal: script::GOAL.to_owned(), agent: Some(agent.clone()), ..PlanRequest::default() };
    let planned = plan::plan(&handle, request).await?;
    output::out(&plan_text(&planned, style));

    step(style, "2. Approve", "ralph-sidecar approve --all");
    let tasks: Vec<TaskId> = planned.tasks.iter().map(|task| task.id.clone()).collect();
    let commands = untrusted(&handle, tasks.clone(), None).await?;
    output::line("approving a task trusts its commands, and only these:");
    for command in &commands {
        output::line(&format!("  {}", clean(command)));
    }
    handle.tell(Command::Approve { tasks, trust: commands }).await?;

    step(style, "3. Run", "ralph-sidecar run");
    output::line("each attempt has a worktree of its own; the engine runs the checks, whatever the agent says");
    let end = run(&context, &handle, &agent, style).await?;

    step(style, "4. Review", "ralph-sidecar review");
    let waiting: Vec<TaskId> =
        end.tasks.iter().filter(|view| view.state == LiveState::Review).map(|view| view.task.id.clone()).collect();
    for task in &waiting {
        let view = review::proposal(&handle, task.clone()).await?;
        output::out(&review::text(&view, &[], false, style));
        output::out("\n");
    }

    step(style, "5. Accept", &format!("ralph-sidecar accept {}    (and the others)", script::GREET));
    let accepted = accept(&handle, &waiting).await?;
    output::line("until now nothing in your files was touched; now they hold what was accepted:");
    prove(&root, &accepted, style)?;
    output::line("to make a commit of it, with your hooks: ralph-sidecar land --commit");
    output::out(&ending(style));
    Ok(())
}

fn prepare(root: &Path, script_file: &Path) -> Result<(), ApiError> {
    let failed = |error: std::io::Error| other(format!("write the demonstration's files: {error}"));
    std::fs::create_dir(root).map_err(failed)?;
    make_repository(root, &script::files()).map_err(|error| other(error.to_string()))?;
    std::fs::write(script_file, script::script().to_string()).map_err(failed)
}

fn step(style: Style, title: &str, command: &str) {
    output::line(&format!("\n{}    {}", style.bold(title), style.dim(&format!("$ {command}"))));
}

fn introduction(root: &Path, style: Style) -> String {
    format!(
        "{}\n\
         The agent in it is {}: it does what a file says, and no model is asked.\n\
         Everything else is real: the engine, the worktrees, the checks, the review.\n\
         It happens in {}; nothing of yours is touched.\n",
        style.bold("A demonstration of ralph-sidecar"),
        style.bold("scripted"),
        root.display()
    )
}

/// Runs, answers what is asked, and runs on until nobody is needed but for the review.
async fn run(context: &Context, handle: &Handle, agent: &str, style: Style) -> Result<Snapshot, ApiError> {
    let mut interrupts = interrupts()?;
    let reconnect = || async {
        let handle = context.connect().await?;
        let events = handle.subscribe();
        Ok(Link { handle, events })
    };
    for _ in 0..ROUNDS {
        let tracker = Tracker::new(&handle.snapshot().await?);
        let link = Link { handle: handle.clone(), events: handle.subscribe() };
        let request = StartRequest { agent: Some(agent.to_owned()), ..StartRequest::default() };
        handle.tell(Command::Start(request)).await?;
        let mut view = PlainLines { style };
        let end = follow(link, tracker, &mut view, &mut interrupts, reconnect).await?;
        output::out(&summary::closing(&end.snapshot, end.reason));
        match end.reason {
            RunEndReason::Finished => return Ok(end.snapshot),
            RunEndReason::NeedsPerson => answer(handle, &end.snapshot, style).await?,
            RunEndReason::Stopped | RunEndReason::Budget => {
                let how = status_text::reason_words(end.reason);
                return Err(other(format!("finish the demonstration: its run {how}")));
            }
        }
    }
    Err(other("finish the demonstration: its run needs more answers than the story has"))
}

/// Answers every open question as the story has it, saying that it is the demonstration that answers.
async fn answer(handle: &Handle, snapshot: &Snapshot, style: Style) -> Result<(), ApiError> {
    if snapshot.decisions.is_empty() {
        let blocked: Vec<&str> = snapshot
            .tasks
            .iter()
            .filter(|view| view.state == LiveState::Blocked)
            .map(|view| view.why.as_str())
            .collect();
        return Err(other(format!("finish the demonstration: it is stuck ({})", blocked.join("; "))));
    }
    for decision in &snapshot.decisions {
        let option = decision.recommended.clone().or_else(|| Some(decision.options.first()?.label.clone()));
        let label = option.clone().ok_or_else(|| other(format!("answer {}: it has no options", decision.id)))?;
        step(style, "   Answer", &format!("ralph-sidecar answer {} \"{}\"", decision.id, clean(&label)));
        output::line("(you would answer here; the demonstration does it for you)");
        let (id, text, go_on) = (decision.id.clone(), None, false);
        handle.tell(Command::Answer { id, option, text, go_on }).await?;
    }
    step(style, "   Run on", "ralph-sidecar run");
    Ok(())
}

async fn accept(handle: &Handle, waiting: &[TaskId]) -> Result<Vec<String>, ApiError> {
    let mut checks = Vec::new();
    for task in waiting {
        let mut events = handle.subscribe();
        handle.tell(Command::Accept { task: task.clone(), hunks: Vec::new(), write: true }).await?;
        let view = settled(handle, &mut events, task).await?;
        let view = view.ok_or_else(|| other(format!("accept {task}: it is not in the queue any more")))?;
        if view.state != LiveState::Done {
            return Err(other(format!("accept {task}: it is {} ({})", view.state.as_str(), view.why)));
        }
        output::line(&format!("accepted {task}"));
        checks.extend(view.task.verify.iter().map(|command| command.run.clone()));
    }
    if checks.is_empty() {
        return Err(other("finish the demonstration: there was nothing to accept"));
    }
    Ok(checks)
}

/// Runs the checks on the files as they are now.
fn prove(root: &Path, checks: &[String], style: Style) -> Result<(), ApiError> {
    for check in checks {
        let output = std::process::Command::new("/bin/sh").arg("-c").arg(check).current_dir(root).output();
        let output = output.map_err(|error| other(format!("run `{check}`: {error}")))?;
        if !output.status.success() {
            return Err(other(format!("prove the result: `{check}` fails on the accepted files")));
        }
        output::line(&format!("  {} {}", style.green("passes"), clean(check)));
    }
    Ok(())
}

fn ending(style: Style) -> String {
    format!(
        "\n{}\n\
         A goal became three tasks. One failed its check, and a fresh attempt repaired it.\n\
         One asked a question, and went on with the answer. One was built on the results of both.\n\
         What the agent claimed did not count; what the checks said did.\n\
         \n{}\n  \
         cd your-repository\n  \
         ralph-sidecar init --agent COMMAND     (a program that reads a prompt from its standard input)\n  \
         ralph-sidecar plan \"GOAL\"              (or: plan --from todos, which needs no agent)\n  \
         ralph-sidecar approve --all && ralph-sidecar run\n  \
         ralph-sidecar review\n",
        style.bold("What happened"),
        style.bold("What to do next, with an agent of your own")
    )
}
