//! `ralph-sidecar land`: makes a commit of accepted work, or writes it into the files.

use super::context::{Context, ids};
use super::error::data;
use super::interrupts::interrupts;
use super::output;
use super::style::{clean, count};
use crate::domain::landing::LandTo;
use crate::engine::handle::{Handle, unexpected};
use crate::protocol::engine_api::{ApiError, Command, LandReply, LandRequest, Reply, UndoReply};
use clap::Args;

/// Options of `land`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct LandArgs {
    /// All that are done and not landed yet when none is given.
    #[arg(value_name = "TASK")]
    pub tasks: Vec<String>,
    /// Into the files, uncommitted.
    #[arg(long, group = "to")]
    pub tree: bool,
    /// As a commit on the branch that is checked out.
    #[arg(long, group = "to")]
    pub commit: bool,
    /// As a commit on this branch, which is made when it is not there; {id} and {title} are filled in.
    #[arg(long, value_name = "NAME", group = "to")]
    pub branch: Option<String>,
    /// Message of the commit; {title}, {id}, {summary} and {list} are filled in.
    #[arg(short, long, value_name = "TEXT", conflicts_with = "tree")]
    pub message: Option<String>,
    /// Take the newest landing back instead; the files stay as they are.
    #[arg(long, conflicts_with_all = ["tasks", "to", "message"])]
    pub undo: bool,
    /// End the landing that is on, with its hooks; Ctrl-C where it was started does the same.
    #[arg(long, conflicts_with_all = ["tasks", "to", "message", "undo"])]
    pub stop: bool,
}

/// Runs the command.
///
/// # Errors
///
/// What keeps it from being right, with the next step; `Data` when some of what was to be written does not fit.
pub async fn run(context: &Context, args: LandArgs) -> Result<(), ApiError> {
    let handle = context.connect().await?;
    if args.stop {
        handle.tell(Command::StopLanding).await?;
        output::line("the landing ends; where it was started it says how");
        return Ok(());
    }
    if args.undo {
        let undone = undone(handle.call(Command::UndoLanding).await?)?;
        output::line(&clean(&undone.words()));
        return Ok(());
    }
    let to = match &args {
        LandArgs { tree: true, .. } => Some(LandTo::Tree),
        LandArgs { commit: true, .. } => Some(LandTo::Commit),
        LandArgs { branch: Some(_), .. } => Some(LandTo::Branch),
        _ => None,
    };
    let request =
        LandRequest { tasks: ids(&args.tasks), to, message: args.message, branch: args.branch, layers: Vec::new() };
    let reply = land(&handle, request).await?;
    output::out(&landed_text(&reply));
    if reply.conflicts.is_empty() {
        return Ok(());
    }
    let number = count(reply.conflicts.len(), "change does", "changes do");
    Err(data(format!("failed to write all that is accepted: {number} not fit the files as they are now")))
}

/// Lands, and ends that when the person presses Ctrl-C.
async fn land(handle: &Handle, request: LandRequest) -> Result<LandReply, ApiError> {
    let mut presses = interrupts()?;
    let landing = handle.call(Command::Land(request));
    tokio::pin!(landing);
    loop {
        tokio::select! {
            reply = &mut landing => return match reply? {
                Reply::Landed(reply) => Ok(reply),
                other => Err(unexpected(&other)),
            },
            Some(()) = presses.recv() => {
                output::err("stopping the landing\n");
                // One that has just ended needs no stopping.
                let _ = handle.tell(Command::StopLanding).await;
            }
        }
    }
}

/// Renders what landing did, one thing per line.
fn landed_text(reply: &LandReply) -> String {
    let short = LandReply { left_out: Vec::new(), ..reply.clone() };
    let mut out = format!("{}\n", clean(&short.words()));
    for (task, why) in &reply.left_out {
        out.push_str(&clean(&format!("left out {task}: {why}")));
        out.push('\n');
    }
    for (hunk, why) in &reply.conflicts {
        out.push_str(&clean(&format!("conflict {hunk}: {why}")));
        out.push('\n');
    }
    if reply.commit.is_some() {
        out.push_str("to take it back: ralph-sidecar land --undo\n");
    }
    out
}

/// Returns what was taken back.
pub fn undone(reply: Reply) -> Result<UndoReply, ApiError> {
    match reply {
        Reply::Undone(undone) => Ok(undone),
        other => Err(unexpected(&other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_landing_did() {
        let reply = LandReply {
            to: LandTo::Commit,
            tasks: vec!["a".into()],
            commit: Some("0123456789".into()),
            branch: Some("main".into()),
            paths: vec!["x".into(), "y".into()],
            left_out: vec![("b".into(), "z changed".into())],
            conflicts: Vec::new(),
        };
        insta::assert_snapshot!(landed_text(&reply), @r"
        landed a as 01234567 on main (2 files)
        left out b: z changed
        to take it back: ralph-sidecar land --undo
        ");
    }
}
