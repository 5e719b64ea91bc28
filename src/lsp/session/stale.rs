//! Which documents show something else after a change: of hundreds, a decision concerns one or two.

use super::Session;
use super::root::{QUEUE_PATH, Root, key};
use crate::domain::hunks::HunkId;
use crate::domain::task::TaskId;
use crate::protocol::engine_api::{ProposalSummary, Snapshot, TaskView};
use std::collections::BTreeSet;

/// Paths of files, relative to a root.
pub type Paths = BTreeSet<String>;

impl Session {
    /// Has the diagnostics of these files made again, before the session sleeps.
    pub(super) fn mark_stale(&mut self, index: usize, paths: Paths) {
        let root = &self.roots[index];
        self.stale_documents.extend(paths.iter().filter_map(|path| root.file_uri(path)));
        self.stale_lenses |= paths.contains(QUEUE_PATH) && self.documents.at(&root.queue_path()).is_some();
    }
}

/// Returns the files that show something else after a decision about hunks of a task: those of the hunks, those of hunks
/// that rest on the task's, and the queue, which counts.
pub fn concerned(root: &Root, task: &TaskId, hunks: &[HunkId]) -> Paths {
    let mut paths = Paths::from([QUEUE_PATH.to_owned()]);
    let mut add = |texts: &super::texts::Texts, id: &HunkId| {
        if let Some((file, _)) = texts.hunk(id) {
            // A rename that is decided takes the other hunks of its file from one document to the other.
            paths.extend(file.old_path.iter().chain([&file.path]).cloned());
        }
    };
    for (_, texts) in root.loaded() {
        if texts.task == *task {
            hunks.iter().for_each(|hunk| add(texts, hunk));
        }
        for rests in texts.review.rests_on.iter().filter(|rests| rests.task == *task) {
            add(texts, &rests.hunk);
        }
    }
    paths
}

/// Returns the files that show something else since the snapshot before the root's; `None` where it may be any.
pub fn changed_since(root: &Root, before: &Snapshot) -> Option<Paths> {
    let now = &root.snapshot;
    let same = before.settings == now.settings
        && before.decisions == now.decisions
        && before.queue_problem == now.queue_problem
        && before.tasks.len() == now.tasks.len();
    if !same {
        return None;
    }
    let mut paths = Paths::from([QUEUE_PATH.to_owned()]);
    for (before, now) in before.tasks.iter().zip(&now.tasks) {
        if before.task.id != now.task.id {
            return None;
        }
        let decided = decided_between(before, now)?;
        if !decided.is_empty() {
            paths.extend(concerned(root, &now.task.id, &decided));
        }
    }
    Some(paths)
}

/// Returns the hunks of a task about which something else was said; `None` where its proposal is another one.
fn decided_between(before: &TaskView, now: &TaskView) -> Option<Vec<HunkId>> {
    let (before, now): (&ProposalSummary, &ProposalSummary) = match (&before.proposal, &now.proposal) {
        (None, None) => return Some(Vec::new()),
        (Some(before), Some(now)) if key(before) == key(now) && before.hunks.len() == now.hunks.len() => (before, now),
        _ => return None,
    };
    let mut decided = Vec::new();
    for (before, now) in before.hunks.iter().zip(&now.hunks) {
        if before.id != now.id {
            return None;
        }
        if before.state != now.state {
            decided.push(now.id.clone());
        }
    }
    Some(decided)
}
