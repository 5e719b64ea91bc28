//! Landing accepted work from an editor, and taking back what was decided or landed.

use super::Session;
use super::actions::Offer;
use super::flows::{Flow, FlowResult, done};
use super::root::Root;
use crate::domain::event::Mark;
use crate::domain::hunks::HunkId;
use crate::domain::landing::LandTo;
use crate::domain::task::TaskId;
use crate::engine::handle::unexpected;
use crate::protocol::editor::{Command, CommandResult, HunkConflict, LandParams};
use crate::protocol::engine_api::{Command as EngineCommand, LandRequest, Reply as EngineReply, TaskView, UndoReply};
use serde_json::{Value, json};

impl Session {
    /// Reads what is to be landed, and where.
    pub(super) fn land_request(&self, index: usize, params: LandParams) -> Result<LandRequest, String> {
        let to = match params.to.as_deref() {
            None => None,
            Some(word) => Some(LandTo::from_word(word).ok_or("`to` is `tree`, `commit` or `branch`")?),
        };
        let tasks: Vec<TaskId> = params.task.into_iter().chain(params.tasks).map(TaskId).collect();
        let root = &self.roots[index];
        if to.unwrap_or_else(|| self.land_setting(root)) == LandTo::Tree
            && let Some(path) = self.unsaved_acceptance(root, &tasks)
        {
            return Err(format!("{path} has unsaved changes with accepted ones among them; save it instead"));
        }
        let layers = if self.settings.is_object() { vec![self.settings.clone()] } else { Vec::new() };
        Ok(LandRequest { tasks, to, message: params.message, branch: params.branch, layers })
    }

    /// Returns where accepted work goes when nobody says so.
    fn land_setting(&self, root: &Root) -> LandTo {
        let of = |settings: &Value| LandTo::from_word(settings["land"]["to"].as_str()?);
        of(&self.settings).or_else(|| of(&root.snapshot.settings)).unwrap_or_default()
    }

    /// Returns a document with unsaved changes that has accepted hunks of the tasks, or of any when none is named.
    fn unsaved_acceptance(&self, root: &Root, tasks: &[TaskId]) -> Option<String> {
        let meant = |view: &&TaskView| tasks.is_empty() || tasks.contains(&view.task.id);
        let proposals = root.snapshot.tasks.iter().filter(meant).filter_map(|view| view.proposal.as_ref());
        let mut accepted = proposals.flat_map(|summary| &summary.hunks).filter(|hunk| hunk.state == Mark::Accepted);
        let dirty = |path: &str| self.documents.at(&root.path.join(path)).is_some_and(|open| open.is_dirty());
        accepted.find(|hunk| dirty(&hunk.path)).map(|hunk| hunk.path.clone())
    }

    /// Returns the landing that fits the settings, for a task of which something can be landed.
    pub(super) fn land_command(&self, root: &Root, view: &TaskView) -> Option<(&'static str, Command, Value)> {
        let to = if self.land_setting(root) == LandTo::Branch { LandTo::Branch } else { LandTo::Commit };
        let argument = json!({ "root": root.uri(), "task": view.task.id, "to": to });
        view.landable.then(|| (title(to), Command::Land, argument))
    }

    /// Offers the other way to land a task.
    pub(super) fn land_action(&self, root: &Root, view: &TaskView, offer: &mut Offer) {
        let to = if self.land_setting(root) == LandTo::Branch { LandTo::Commit } else { LandTo::Branch };
        if view.landable {
            let argument = json!({ "root": root.uri(), "task": view.task.id, "to": to });
            offer.other(format!("{} `{}`", title(to), view.task.id), Command::Land, argument);
        }
    }

    /// Offers to land everything that is done.
    pub(super) fn land_all_action(&self, root: &Root, offer: &mut Offer) {
        let number = root.snapshot.tasks.iter().filter(|view| view.landable).count();
        if number > 1 {
            let to = if self.land_setting(root) == LandTo::Branch { LandTo::Branch } else { LandTo::Commit };
            let argument = json!({ "root": root.uri(), "to": to });
            offer.other(format!("{}: everything accepted ({number} tasks)", title(to)), Command::Land, argument);
        }
    }
}

fn title(to: LandTo) -> &'static str {
    match to {
        LandTo::Branch => "Land on a branch",
        LandTo::Tree | LandTo::Commit => "Land as a commit",
    }
}

/// Lands.
pub async fn land(flow: Flow, request: LandRequest) -> FlowResult {
    let reply = match flow.call(EngineCommand::Land(request)).await? {
        EngineReply::Landed(reply) => reply,
        other => return Err(unexpected(&other).to_string()),
    };
    let conflict = |(hunk, reason): &(HunkId, String)| HunkConflict { hunk: hunk.to_string(), reason: reason.clone() };
    Ok(CommandResult {
        tasks: reply.tasks.iter().map(ToString::to_string).collect(),
        conflicts: reply.conflicts.iter().map(conflict).collect(),
        ..done(&reply.words())
    })
}

/// Takes back the newest of what can be taken back.
pub async fn undo(flow: Flow) -> FlowResult {
    let undone = match flow.call(EngineCommand::Undo).await? {
        EngineReply::Undone(undone) => undone,
        other => return Err(unexpected(&other).to_string()),
    };
    let mut result = done(&undone.words());
    let names = |hunks: Vec<HunkId>| hunks.iter().map(ToString::to_string).collect();
    match undone {
        UndoReply::Accept { hunks, .. } => result.hunks = names(hunks),
        UndoReply::Reject { task, hunks } => (result.tasks, result.hunks) = (vec![task.0], names(hunks)),
        UndoReply::Landing { tasks, .. } => result.tasks = tasks.iter().map(ToString::to_string).collect(),
    }
    Ok(result)
}

/// Makes rejected hunks pending again.
pub async fn undo_reject(flow: Flow, rejected: Vec<(TaskId, Vec<HunkId>)>) -> FlowResult {
    if rejected.is_empty() {
        return Err("nothing of it is rejected".to_owned());
    }
    let mut result = done("waits again");
    for (task, hunks) in rejected {
        result.hunks.extend(hunks.iter().map(ToString::to_string));
        result.tasks.push(task.0.clone());
        flow.call(EngineCommand::Withdraw { task, hunks }).await?;
    }
    Ok(result)
}
