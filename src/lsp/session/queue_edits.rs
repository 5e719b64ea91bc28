//! Edits of the queue in an open, unsaved buffer: there the editor has the newest text, so the edit goes through it.

use super::{PROMPT, Session};
use crate::domain::task::{Status, Task, TaskId};
use crate::lsp::outbound::Outbound;
use crate::protocol::engine_api::Command;
use crate::protocol::queue_text::{TextEdit as ByteEdit, add_tasks, apply_edits, set_status};
use lsp_types::{TextEdit, WorkspaceEdit};
use serde_json::json;
use std::path::Path;
use tokio::sync::oneshot;

/// A change of the queue that a person asked for.
#[derive(Clone, Debug)]
pub enum QueueEdit {
    SetStatus { tasks: Vec<TaskId>, status: Status },
    Add { tasks: Vec<Task> },
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditQueue {
    /// It is in the buffer; disk follows at the next save.
    Done,
    /// The file is closed or clean: the engine writes it.
    NotNeeded,
    Failed(String),
}

impl Session {
    /// Tells the engine when the queue has changes in a buffer: until they are saved, it does not write the file.
    pub(super) fn sync_hold(&mut self, index: usize) {
        let root = &self.roots[index];
        let held = self.documents.at(&root.queue_path()).is_some_and(|document| document.is_dirty());
        if held != root.holds_queue && root.handle().is_some() {
            root.tell(Command::HoldQueue { held });
            self.roots[index].holds_queue = held;
        }
    }

    /// Makes an edit of the queue in its buffer when that is open and dirty.
    pub(super) fn edit_queue(&mut self, path: &Path, edit: QueueEdit, done: oneshot::Sender<EditQueue>) {
        let document = self.root_index(path).and_then(|index| self.documents.at(&self.roots[index].queue_path()));
        let Some(document) = document.filter(|document| document.is_dirty()) else {
            return drop(done.send(EditQueue::NotNeeded));
        };
        let text = &document.text;
        let edits = match edits(document.text.as_str(), &edit) {
            Ok(edits) => edits,
            Err(message) => return drop(done.send(EditQueue::Failed(message))),
        };
        if edits.is_empty() {
            return drop(done.send(EditQueue::Done));
        }
        if !self.client.apply_edit {
            let message = "the queue has unsaved changes and this editor takes no edits; save it and try again";
            return drop(done.send(EditQueue::Failed(message.to_owned())));
        }
        let edits =
            edits.into_iter().map(|edit| TextEdit { range: text.range(edit.range), new_text: edit.new_text }).collect();
        let edit = self.workspace_edit(vec![(document.uri.clone(), document.version, edits)]);
        let applied = apply_edit(&self.outbound, "Ralph: change the queue", edit);
        tokio::spawn(async move {
            drop(done.send(match applied.await {
                Ok(()) => EditQueue::Done,
                Err(message) => EditQueue::Failed(message),
            }));
        });
    }
}

fn edits(text: &str, edit: &QueueEdit) -> Result<Vec<ByteEdit>, String> {
    let (tasks, status) = match edit {
        QueueEdit::SetStatus { tasks, status } => (tasks, status),
        QueueEdit::Add { tasks } => return add_tasks(text, tasks, &[]).map_err(|error| format!("failed to {error}")),
    };
    let mut edits = Vec::new();
    for task in tasks {
        edits.extend(set_status(text, &task.0, *status).map_err(|error| format!("failed to {error}"))?);
    }
    edits.sort_by_key(|edit: &ByteEdit| edit.range.start);
    // Edits of different tasks cannot overlap; the result is read once more before it reaches anybody's buffer.
    let result = apply_edits(text, &edits);
    let parsed = crate::protocol::queue_text::QueueText::parse(&result);
    let reached = |task: &TaskId| {
        let task = parsed.task(&task.0).and_then(|span| span.task.as_ref());
        task.is_some_and(|task| task.status == *status)
    };
    match tasks.iter().find(|task| !reached(task)) {
        Some(task) => Err(format!("`{task}` cannot be changed while the queue around it is broken")),
        None => Ok(edits),
    }
}

/// Asks the client to make an edit, under a name for its undo list.
pub fn apply_edit(
    outbound: &Outbound,
    label: &str,
    edit: WorkspaceEdit,
) -> impl Future<Output = Result<(), String>> + Send + 'static {
    // tower-lsp's own request has no label.
    let answer = outbound.request("workspace/applyEdit", json!({ "label": label, "edit": edit }), PROMPT);
    async move {
        let answer = answer.await.map_err(|error| error.to_string())?;
        if answer["applied"] == true {
            return Ok(());
        }
        let reason = answer["failureReason"].as_str().unwrap_or("the document changed meanwhile; try again");
        Err(format!("the editor did not make the edit: {reason}"))
    }
}
