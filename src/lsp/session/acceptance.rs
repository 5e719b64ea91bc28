//! Accepting is an ordinary edit: this notices when an edit accepted hunks, and when undo took that back.

use super::documents::Fingerprint;
use super::review::place;
use super::stale::concerned;
use super::{Internal, Session};
use crate::domain::event::Mark;
use crate::domain::hunks::HunkId;
use crate::domain::review::HunkState;
use crate::domain::task::TaskId;
use crate::lsp::session::documents::fingerprint;
use lsp_types::Url;
use std::collections::BTreeMap;
use std::path::Path;

impl Session {
    /// Tells the engine about hunks whose new text is in the document now, however it got there.
    ///
    /// `before` is the text from which the last change made this one; a return to it takes the acceptance back.
    pub(super) fn note_new_acceptances(&mut self, uri: &Url, before: Option<Fingerprint>) {
        let Some((index, _)) = self.rooted(uri) else { return };
        let Some(document) = self.documents.get(uri) else { return };
        let placed = place(&self.roots[index], document);
        let new = placed.into_iter().filter(|placed| {
            *placed.mark == Mark::Pending && placed.mapped.state == HunkState::Accepted && !placed.mapped.edited
        });
        let mut by_task: BTreeMap<TaskId, Vec<HunkId>> = BTreeMap::new();
        for placed in new {
            by_task.entry(placed.task.clone()).or_default().push(placed.hunk.id.clone());
        }
        for (task, hunks) in by_task {
            if let (Some(before), Some(document)) = (before, self.documents.get_mut(uri)) {
                for hunk in &hunks {
                    document.note_acceptance(task.clone(), hunk.clone(), before);
                }
            }
            self.decide(index, &task, hunks, &Mark::Accepted);
        }
    }

    /// Makes hunks pending again whose acceptance the last change undid.
    pub(super) fn take_back_undone(&mut self, uri: &Url) {
        let Some((index, path)) = self.rooted(uri) else { return };
        let Some(document) = self.documents.get_mut(uri) else { return };
        let before = document.fingerprint();
        let undone = document.take_undone();
        self.withdraw(index, undone.certain);
        if !undone.unless_on_disk.is_empty() {
            let (connector, post, hunks) = (self.connector.clone(), self.post.clone(), undone.unless_on_disk);
            tokio::spawn(async move {
                let text = connector.read(&path).await;
                drop(post.send(Internal::DiskAtUndo { path, hunks, before, text }));
            });
        }
    }

    /// Decides about a text that is again what it was before a saved acceptance: when disk has it too, it came from there
    /// (a branch was switched, a file restored), and nobody undid anything.
    pub(super) fn on_disk_at_undo(
        &mut self,
        path: &Path,
        hunks: Vec<(TaskId, HunkId)>,
        before: Fingerprint,
        text: Option<String>,
    ) {
        let same = text.is_some_and(|text| {
            fingerprint(&text) == before || fingerprint(text.trim_start_matches('\u{feff}')) == before
        });
        if let Some(index) = self.root_of_path(path).filter(|_| !same) {
            self.withdraw(index, hunks);
        }
    }

    fn withdraw(&mut self, index: usize, hunks: Vec<(TaskId, HunkId)>) {
        let mut by_task: BTreeMap<TaskId, Vec<HunkId>> = BTreeMap::new();
        for (task, hunk) in hunks {
            by_task.entry(task).or_default().push(hunk);
        }
        for (task, hunks) in by_task {
            self.decide(index, &task, hunks, &Mark::Pending);
        }
    }

    /// Tells the engine what was decided about hunks, and shows it at once.
    fn decide(&mut self, index: usize, task: &TaskId, hunks: Vec<HunkId>, mark: &Mark) {
        let concerned = concerned(&self.roots[index], task, &hunks);
        self.roots[index].mark(task, hunks, mark);
        self.notify_proposal(index, task);
        self.notify_status(index);
        self.mark_stale(index, concerned);
    }
}
