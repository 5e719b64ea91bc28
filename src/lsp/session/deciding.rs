//! Deciding about hunks: accepting them in open buffers and closed files, and saying no.

use super::Session;
use super::actions::chosen;
use super::commands::spawn;
use super::flows::{Flow, done};
use super::landing::undo_reject;
use super::queue_edits::apply_edit;
use super::review::{accept, place};
use crate::domain::event::Mark;
use crate::domain::hunks::HunkId;
use crate::domain::task::TaskId;
use crate::lsp::message::Reply;
use crate::protocol::editor::{AcceptParams, HunkConflict, RejectParams};
use crate::protocol::engine_api::{Command as EngineCommand, Reply as EngineReply};
use lsp_types::{TextEdit, Url};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

impl Session {
    /// Says no to hunks, or takes that back; with `rest`, to all that wait, and what was accepted is kept.
    pub(super) fn reject(&self, index: usize, flow: Flow, params: RejectParams, reply: Reply<Value>) {
        if params.rest {
            let Some(task) = params.task else { return reply.fail("name the task in `task`") };
            let (task, hunks) = (TaskId(task), Vec::new());
            let command = EngineCommand::Reject { task, hunks, why: params.why, rest: true };
            return spawn(reply, flow.simply(command, "the rest is dropped, what was accepted is kept"));
        }
        let wanted = if params.undo { is_rejected } else { is_pending };
        let hunks = self.hunks_of(index, params.task.as_deref(), &params.hunks, params.uri.as_deref(), wanted);
        if params.undo {
            return spawn(reply, undo_reject(flow, hunks));
        }
        spawn(reply, flow.reject(hunks, params.why, params.ask_why));
    }

    /// Accepts hunks: in open buffers by an edit, everything else by the engine.
    pub(super) fn accept(&self, index: usize, flow: Flow, params: AcceptParams, reply: Reply<Value>) {
        if params.keep_accepted_part {
            let Some(task) = params.task else { return reply.fail("name the task in `task`") };
            return spawn(reply, flow.simply(EngineCommand::KeepAcceptedPart { task: TaskId(task) }, "kept"));
        }
        let root = &self.roots[index];
        let meant = self.hunks_of(index, params.task.as_deref(), &params.hunks, params.uri.as_deref(), is_pending);
        let mut left: HashMap<TaskId, HashSet<HunkId>> =
            meant.iter().map(|(task, hunks)| (task.clone(), hunks.iter().cloned().collect())).collect();
        let mut result = done("accepted");
        let mut edits: Vec<(Url, i32, Vec<TextEdit>)> = Vec::new();
        for document in self.documents.iter() {
            let placed = place(root, document);
            let mine: Vec<_> = chosen(&placed, params.task.as_deref(), &params.hunks)
                .into_iter()
                .filter(|placed| left.get(placed.task).is_some_and(|hunks| hunks.contains(&placed.hunk.id)))
                .collect();
            if mine.is_empty() || (!self.client.apply_edit && !document.is_dirty()) {
                // A clean buffer of a client that takes no edits follows the disk, which the engine writes.
                continue;
            }
            for placed in &mine {
                if let Some(hunks) = left.get_mut(placed.task) {
                    hunks.remove(&placed.hunk.id);
                }
            }
            if !self.client.apply_edit {
                let reason = "the document has unsaved changes and this editor takes no edits; save it and try again";
                result.conflicts.extend(mine.iter().map(|placed| conflict(&placed.hunk.id, reason)));
                continue;
            }
            let acceptable = accept(&document.text, &mine);
            result.conflicts.extend(acceptable.conflicts.iter().map(|(hunk, reason)| conflict(hunk, reason)));
            result.hunks.extend(acceptable.hunks.iter().chain(&acceptable.present).map(ToString::to_string));
            if !acceptable.edits.is_empty() {
                edits.push((document.uri.clone(), document.version, acceptable.edits));
            }
        }
        result.conflicts.extend(self.unsaved_whole_files(index, &mut left));
        // To the engine an empty list means all that are pending.
        let by_engine: Vec<(TaskId, Vec<HunkId>)> = meant
            .into_iter()
            .map(|(task, mut hunks)| {
                hunks.retain(|hunk| left.get(&task).is_some_and(|left| left.contains(hunk)));
                (task, hunks)
            })
            .filter(|(_, hunks)| !hunks.is_empty())
            .collect();
        result.tasks = params.task.into_iter().collect();
        let label = match result.tasks.as_slice() {
            [task] => format!("Ralph: accept changes of {task}"),
            _ => "Ralph: accept changes".to_owned(),
        };
        let edit = (!edits.is_empty()).then(|| self.workspace_edit(edits));
        spawn(reply, async move {
            if let Some(edit) = edit {
                // That the hunks are accepted is told by the change of the document, like any other edit of it.
                apply_edit(&flow.outbound, &label, edit).await?;
            }
            for (task, hunks) in by_engine {
                match flow.call(EngineCommand::Accept { task, hunks, write: true }).await? {
                    EngineReply::Accepted(accepted) => {
                        result.hunks.extend(accepted.hunks.iter().map(ToString::to_string));
                        result.conflicts.extend(accepted.conflicts.iter().map(|(hunk, why)| conflict(hunk, why)));
                    }
                    other => return Err(crate::engine::handle::unexpected(&other).to_string()),
                }
            }
            match (result.hunks.is_empty(), result.conflicts.first()) {
                (true, Some(conflict)) => Err(conflict.reason.clone()),
                (true, None) => Err("there is nothing left to accept".to_owned()),
                (false, _) => Ok(result),
            }
        });
    }

    /// Takes out hunks that replace, remove or move a file whose buffer has unsaved changes.
    fn unsaved_whole_files(&self, index: usize, meant: &mut HashMap<TaskId, HashSet<HunkId>>) -> Vec<HunkConflict> {
        let root = &self.roots[index];
        let mut conflicts = Vec::new();
        for (task, hunks) in meant {
            let Some((_, view)) = root.proposal(task) else { continue };
            let is_dirty = |path: &str| self.documents.at(&root.path.join(path)).is_some_and(|open| open.is_dirty());
            hunks.retain(|id| {
                let hunk = view.hunk(id).map(|(_, hunk)| hunk);
                let paths = hunk.into_iter().flat_map(|hunk| [Some(hunk.path.as_str()), hunk.old_path.as_deref()]);
                let dirty = paths.flatten().find(|path| is_dirty(path));
                if let Some(path) = dirty {
                    conflicts.push(conflict(id, &format!("{path} has unsaved changes; save it and try again")));
                }
                dirty.is_none()
            });
        }
        conflicts
    }

    /// Returns the hunks of a mark that are meant, by task: those named, or all of the task or the document.
    fn hunks_of(
        &self,
        index: usize,
        task: Option<&str>,
        named: &[String],
        uri: Option<&str>,
        wanted: fn(&Mark) -> bool,
    ) -> Vec<(TaskId, Vec<HunkId>)> {
        let root = &self.roots[index];
        if task.is_none() && named.is_empty() && uri.is_none() {
            return Vec::new();
        }
        let path = uri.and_then(|uri| root.relative_uri(&Url::parse(uri).ok()?));
        let named: HashSet<&str> = named.iter().map(String::as_str).collect();
        let mut found = Vec::new();
        for (summary, view) in root.loaded().filter(|(_, view)| task.is_none_or(|task| view.task.0 == task)) {
            let meant = view.all_hunks().filter(|hunk| {
                wanted(view.mark(summary, &hunk.id))
                    && (named.is_empty() || named.contains(hunk.id.0.as_str()))
                    && (uri.is_none() || path.as_deref() == Some(&hunk.path) || path == hunk.old_path)
            });
            let meant: Vec<HunkId> = meant.map(|hunk| hunk.id.clone()).collect();
            if !meant.is_empty() {
                found.push((view.task.clone(), meant));
            }
        }
        found
    }
}

fn is_pending(mark: &Mark) -> bool {
    *mark == Mark::Pending
}

fn is_rejected(mark: &Mark) -> bool {
    matches!(mark, Mark::Rejected { .. })
}

fn conflict(hunk: &HunkId, reason: &str) -> HunkConflict {
    HunkConflict { hunk: hunk.to_string(), reason: reason.to_owned() }
}
