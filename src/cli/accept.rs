//! `accept`, `reject`, `comment`, `send-back` and `undo`: decide about proposals without an editor.

use super::context::{Context, find_task};
use super::error::{data, usage};
use super::hunk_numbers;
use super::land::undone;
use super::output;
use super::review::proposal;
use super::status_text::quoted;
use super::style::{clean, count};
use crate::domain::event::Mark;
use crate::domain::hunks::HunkId;
use crate::domain::queue::LiveState;
use crate::domain::task::TaskId;
use crate::engine::handle::{Events, Handle, unexpected};
use crate::protocol::engine_api::{
    AcceptReply, ApiError, Command, HunkSummary, ProposalView, Reply, Snapshot, TaskView,
};
use clap::Args;
use std::time::Duration;

/// Options of `accept`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct AcceptArgs {
    #[arg(value_name = "TASK")]
    pub task: String,
    /// Only these hunks: the numbers `review` prints, or ids. All that wait when none is given.
    #[arg(long = "hunk", value_name = "N", num_args = 1.., value_delimiter = ',')]
    pub hunks: Vec<String>,
    /// With hunks rejected: finish the task with just what was accepted.
    #[arg(long, conflicts_with = "hunks")]
    pub only_accepted: bool,
}

/// Options of `reject`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct RejectArgs {
    #[arg(value_name = "TASK")]
    pub task: String,
    /// Only these hunks: the numbers `review` prints, or ids. All that wait when none is given.
    #[arg(long = "hunk", value_name = "N", num_args = 1.., value_delimiter = ',')]
    pub hunks: Vec<String>,
    /// The reason, for the next attempt.
    #[arg(long, value_name = "TEXT", conflicts_with = "undo")]
    pub why: Option<String>,
    /// All that wait, and finish the task with what was accepted.
    #[arg(long, conflicts_with = "hunks")]
    pub rest: bool,
    /// Take the rejection back: these hunks wait again, or all that are rejected.
    #[arg(long, conflicts_with = "rest")]
    pub undo: bool,
}

/// Options of `comment`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct CommentArgs {
    #[arg(value_name = "TASK")]
    pub task: String,
    /// What is to be said; it is kept, and goes with the next send back.
    #[arg(value_name = "TEXT", required_unless_present = "drop")]
    pub text: Option<String>,
    /// About this hunk: its number, or its id.
    #[arg(long, value_name = "N", conflicts_with = "at")]
    pub hunk: Option<String>,
    /// About a place in the proposed text.
    #[arg(long, value_name = "FILE:LINE")]
    pub at: Option<String>,
    /// Take a comment back, by the id that `review` prints.
    #[arg(long, value_name = "ID", conflicts_with_all = ["text", "hunk", "at"])]
    pub drop: Option<String>,
}

/// Options of `send-back`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct SendBackArgs {
    #[arg(value_name = "TASK")]
    pub task: String,
    /// What to do differently; may be given several times.
    #[arg(long = "comment", value_name = "TEXT")]
    pub comments: Vec<String>,
    /// Have everything reviewed again: what was accepted waits too, where it is proposed once more.
    #[arg(long)]
    pub all: bool,
    /// Have it put onto the files as they are now; what does not fit is told.
    #[arg(long)]
    pub rebase: bool,
}

/// Puts hunks into the checkout.
///
/// # Errors
///
/// `Data` when some do not fit the files as they are now; the others are accepted all the same.
pub async fn accept(context: &Context, args: AcceptArgs) -> Result<(), ApiError> {
    let handle = context.connect().await?;
    let task = TaskId(args.task);
    let mut events = handle.subscribe();
    if args.only_accepted {
        some_accepted(&handle.snapshot().await?, &task)?;
        handle.tell(Command::KeepAcceptedPart { task: task.clone() }).await?;
    } else {
        let view = proposal(&handle, task.clone()).await?;
        let hunks = hunk_numbers::resolve(&view, &args.hunks)?;
        let reply = accepted(handle.call(Command::Accept { task: task.clone(), hunks, write: true }).await?)?;
        output::out(&accepted_text(&reply, &view));
        if !reply.conflicts.is_empty() {
            return Err(conflict(&view, &reply));
        }
    }
    tell_settled(&handle, &mut events, &task).await
}

async fn tell_settled(handle: &Handle, events: &mut Events, task: &TaskId) -> Result<(), ApiError> {
    if let Some(view) = settled(handle, events, task).await? {
        output::line(&format!("{}: {}, {}", clean(&task.0), view.state.as_str(), clean(&view.why)));
    }
    Ok(())
}

/// Refuses to finish a task of which nothing was accepted.
fn some_accepted(snapshot: &Snapshot, task: &TaskId) -> Result<(), ApiError> {
    let proposal = find_task(snapshot, &task.0)?.proposal.as_ref();
    if proposal.is_some_and(|proposal| proposal.hunks.iter().any(|hunk| hunk.state == Mark::Accepted)) {
        return Ok(());
    }
    let id = quoted(&task.0);
    Err(usage(format!("accept --only-accepted: nothing of task `{task}` is accepted"))
        .with_hint(format!("ralph-sidecar send-back {id}, or ralph-sidecar drop {id}")))
}

/// Says what was not accepted, and the way out: hunks that wait for another task's need that one accepted, the others need
/// the text as it is now.
fn conflict(view: &ProposalView, reply: &AcceptReply) -> ApiError {
    let (id, all) = (quoted(&view.task.0), reply.conflicts.len());
    let waiting = |hunk: &HunkId| view.review.rests_on.iter().find(|rests| rests.hunk == *hunk);
    let waits: Vec<_> = reply.conflicts.iter().filter_map(|(hunk, _)| waiting(hunk)).collect();
    let mut hints = Vec::new();
    if waits.len() < all {
        hints.push(format!("ralph-sidecar send-back {id} --rebase has the agent put what does not fit onto your text"));
    }
    if let Some(rests) = waits.first() {
        hints.push(format!("ralph-sidecar review {} shows what has to be accepted first", quoted(&rests.task.0)));
    }
    let number = if waits.len() == all {
        format!("{} on another task's", count(all, "hunk rests", "hunks rest"))
    } else {
        format!("{} not fit the files as they are now", count(all, "hunk does", "hunks do"))
    };
    data(format!("failed to accept all of task `{}`: {number}", view.task)).with_hint(hints.join("; "))
}

/// How long to wait for the engine to see that the accepted text is on disk.
const SETTLE: Duration = Duration::from_secs(5);

/// Returns the task once the engine has drawn its conclusion from what was decided: done, or what is missing.
///
/// # Errors
///
/// When the engine is gone.
pub async fn settled(handle: &Handle, events: &mut Events, task: &TaskId) -> Result<Option<TaskView>, ApiError> {
    let deadline = tokio::time::Instant::now() + SETTLE;
    loop {
        let view = handle.snapshot().await?.task(task).cloned();
        let concludes = view.as_ref().and_then(|view| view.proposal.as_ref()).is_some_and(|proposal| {
            let pending = proposal.hunks.iter().any(|hunk| hunk.state == Mark::Pending);
            !pending && (proposal.part_kept || proposal.hunks.iter().all(|hunk| hunk.state == Mark::Accepted))
        });
        if !concludes || view.as_ref().is_none_or(|view| view.state != LiveState::Review) {
            return Ok(view);
        }
        // Too late or nobody there: what is known now is what can be told.
        if !matches!(tokio::time::timeout_at(deadline, events.next()).await, Ok(Some(_))) {
            return Ok(view);
        }
    }
}

/// Says no to hunks.
///
/// # Errors
///
/// For an unknown task or hunk.
pub async fn reject(context: &Context, args: RejectArgs) -> Result<(), ApiError> {
    let handle = context.connect().await?;
    let task = TaskId(args.task);
    if args.undo {
        let hunks = named(&handle, &task, &args.hunks).await?;
        return undo_reject(&handle, task, hunks).await;
    }
    let id = quoted(&task.0);
    if args.rest {
        let mut events = handle.subscribe();
        handle.tell(Command::Reject { task: task.clone(), hunks: Vec::new(), why: args.why, rest: true }).await?;
        return tell_settled(&handle, &mut events, &task).await;
    }
    let hunks = named(&handle, &task, &args.hunks).await?;
    if args.undo {
        return undo_reject(&handle, task, hunks).await;
    }
    handle.tell(Command::Reject { task: task.clone(), hunks, why: args.why, rest: false }).await?;
    output::line(&format!("rejected; to have it done again: ralph-sidecar send-back {id}"));
    let rest = match some_accepted(&handle.snapshot().await?, &task) {
        Ok(()) => format!("ralph-sidecar accept {id} --only-accepted"),
        Err(_) => format!("ralph-sidecar drop {id}"),
    };
    output::line(&format!("to finish without it: {rest}"));
    Ok(())
}

/// Returns a proposal to the agent, with what was rejected and the comments.
///
/// # Errors
///
/// For a task without a proposal.
pub async fn send_back(context: &Context, args: SendBackArgs) -> Result<(), ApiError> {
    let task = TaskId(args.task);
    let (comments, rest, rebase) = (args.comments, !args.all, args.rebase);
    context.connect().await?.tell(Command::SendBack { task: task.clone(), comments, rest, rebase }).await?;
    output::line(&format!("{} goes back to the agent: ralph-sidecar run", clean(&task.0)));
    Ok(())
}

/// Says something about a proposal, or takes that back.
///
/// # Errors
///
/// For an unknown task, hunk or comment, and a place that does not read as `FILE:LINE`.
pub async fn comment(context: &Context, args: CommentArgs) -> Result<(), ApiError> {
    let handle = context.connect().await?;
    let task = TaskId(args.task);
    if let Some(id) = args.drop {
        handle.tell(Command::DropComment { task, id }).await?;
        output::line("taken back");
        return Ok(());
    }
    let typed: Vec<String> = args.hunk.into_iter().collect();
    let hunk = named(&handle, &task, &typed).await?.pop();
    let (path, line) = args.at.as_deref().map(place).transpose()?.unzip();
    let text = args.text.unwrap_or_default();
    handle.tell(Command::Comment { task: task.clone(), hunk, path, line, text }).await?;
    let id = quoted(&task.0);
    output::line(&format!("kept; it goes with the next: ralph-sidecar send-back {id}"));
    Ok(())
}

/// Reads `FILE:LINE`.
fn place(typed: &str) -> Result<(String, u32), ApiError> {
    let read = typed.rsplit_once(':').and_then(|(path, line)| Some((path, line.parse().ok()?)));
    match read {
        Some((path, line)) if !path.is_empty() && line > 0 => Ok((path.to_owned(), line)),
        _ => Err(usage(format!("comment --at {typed}: a place reads FILE:LINE, for example src/main.rs:12"))),
    }
}

async fn undo_reject(handle: &Handle, task: TaskId, named: Vec<HunkId>) -> Result<(), ApiError> {
    let snapshot = handle.snapshot().await?;
    let proposal = find_task(&snapshot, &task.0)?.proposal.as_ref();
    let meant = |hunk: &&HunkSummary| {
        matches!(hunk.state, Mark::Rejected { .. }) && (named.is_empty() || named.contains(&hunk.id))
    };
    let hunks: Vec<HunkId> =
        proposal.iter().flat_map(|it| &it.hunks).filter(meant).map(|hunk| hunk.id.clone()).collect();
    if hunks.is_empty() {
        return Err(usage(format!("reject --undo: nothing of that is rejected in task `{task}`"))
            .with_hint(format!("ralph-sidecar review {}", quoted(&task.0))));
    }
    let number = hunks.len();
    handle.tell(Command::Withdraw { task, hunks }).await?;
    output::line(&format!("{} again", count(number, "hunk waits", "hunks wait")));
    Ok(())
}

/// Takes back what was last accepted, rejected or landed.
///
/// # Errors
///
/// When there is nothing, or what it left is not there any more.
pub async fn undo(context: &Context) -> Result<(), ApiError> {
    let undone = undone(context.connect().await?.call(Command::Undo).await?)?;
    output::line(&clean(&undone.words()));
    Ok(())
}

async fn named(handle: &Handle, task: &TaskId, typed: &[String]) -> Result<Vec<HunkId>, ApiError> {
    if typed.is_empty() {
        return Ok(Vec::new());
    }
    hunk_numbers::resolve(&proposal(handle, task.clone()).await?, typed)
}

fn accepted(reply: Reply) -> Result<AcceptReply, ApiError> {
    match reply {
        Reply::Accepted(reply) => Ok(reply),
        other => Err(unexpected(&other)),
    }
}

/// Renders what accepting did, without the conflicts' way out.
fn accepted_text(reply: &AcceptReply, view: &ProposalView) -> String {
    let mut out = format!("accepted {}", count(reply.hunks.len(), "hunk", "hunks"));
    if !reply.written.is_empty() {
        out.push_str(&format!(", wrote {}", clean(&reply.written.join(", "))));
    }
    out.push('\n');
    for (hunk, why) in &reply.conflicts {
        let number = hunk_numbers::numbered(view).find(|(_, known, _)| known.id == *hunk);
        let name = number.map_or_else(|| hunk.to_string(), |(number, ..)| number.to_string());
        out.push_str(&format!("conflict, hunk {name}: {}\n", clean(why)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_finished_only_with_something_accepted() {
        use super::super::samples;
        let mut snapshot = samples::snapshot();
        let task = TaskId::from("add-greeting");
        assert_eq!(some_accepted(&snapshot, &task), Ok(()));
        for hunk in &mut snapshot.tasks[0].proposal.as_mut().expect("a proposal").hunks {
            hunk.state = Mark::Rejected { why: None };
        }
        let refused = some_accepted(&snapshot, &task).expect_err("nothing is accepted");
        assert!(refused.hint.expect("a hint").contains("drop add-greeting"));
        assert!(some_accepted(&snapshot, &TaskId::from("pick-name")).is_err());
    }

    #[test]
    fn what_accepting_did() {
        use super::super::samples;
        use crate::protocol::engine_api::RestsOn;
        let reply = AcceptReply {
            hunks: vec!["111111aaaaaa".into()],
            written: vec!["a.txt".into(), "b.txt".into()],
            conflicts: vec![("222222bbbbbb".into(), "the lines changed since".into())],
        };
        let mut view = samples::proposal();
        insta::assert_snapshot!(accepted_text(&reply, &view), @r"
        accepted 1 hunk, wrote a.txt, b.txt
        conflict, hunk 2: the lines changed since
        ");
        let refused = conflict(&view, &reply);
        assert!(refused.message.ends_with("1 hunk does not fit the files as they are now"), "{}", refused.message);
        assert!(refused.hint.is_some_and(|hint| hint.starts_with("ralph-sidecar send-back add-greeting --rebase")));
        let rests = RestsOn { hunk: "222222bbbbbb".into(), task: "low".into(), on: vec!["x".into()] };
        view.review.rests_on = vec![rests];
        let refused = conflict(&view, &reply);
        assert!(refused.message.ends_with("1 hunk rests on another task's"), "{}", refused.message);
        let hint = refused.hint.expect("a hint");
        assert!(hint.starts_with("ralph-sidecar review low") && !hint.contains("--rebase"), "{hint}");
    }
}
