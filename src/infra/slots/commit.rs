//! Takes what is in a slot as a commit, whatever the agent did to git there.

use crate::infra::repository::objects::{changed_paths, commit_tree, find_tree};
use crate::infra::repository::work_area::lossy;
use crate::infra::repository::{CommitId, LeftOut, TreeId};

use super::record::Record;
use super::{Slot, SlotError, Slots};

/// What was in a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotCommit {
    /// The slot's HEAD; no ref reaches it until the caller records it (`Repository::record_attempt`).
    pub commit: CommitId,
    pub tree: TreeId,
    /// Paths that differ from the parent commit, sorted; empty when nothing changed.
    pub changed: Vec<String>,
    /// What is there, not ignored, and still not in the commit: inside submodules, or not a file.
    pub left_out: Vec<LeftOut>,
}

impl Slots {
    /// Tells whether the commit was taken from this slot, and nothing else was put into it or taken from it since.
    pub fn holds(&self, slot: &Slot, commit: &str) -> bool {
        let record = Record::load(&self.state_file(slot, "json"));
        record.committed.or(record.prepared).is_some_and(|last| last == commit)
    }

    /// Commits the slot's files on top of `parent_commit`, untracked ones included, ignored ones not.
    ///
    /// Only the files count: not the slot's own index, nor commits the agent made, nor its `.git`. No hook runs and
    /// nothing is signed. Links are committed as links wherever they point. `unix_time` is in seconds, UTC.
    pub fn commit(
        &self,
        slot: &Slot,
        parent_commit: &str,
        message: &str,
        unix_time: i64,
    ) -> Result<SlotCommit, SlotError> {
        let _lock = self.lock(slot)?;
        let mut area = self.area(slot)?;
        let state = self.state_file(slot, "json");
        let mut record = Record::load(&state);
        if area.index.is_empty() {
            // The private index is lost or new: what the parent tracks is tracked here.
            let handle = self.repository.handle_on(&slot.path)?;
            area.read_tree(&find_tree(&handle, parent_commit)?)?;
        }
        let left_out = self.stage_all(&mut area, &mut record)?.left_out;
        let tree = area.write_tree()?;
        let commit = commit_tree(&area.handle, &tree, &[parent_commit.to_owned()], message, unix_time)?;
        let parent_tree = find_tree(&area.handle, parent_commit)?;
        let changed = changed_paths(&area.handle, &parent_tree, &find_tree(&area.handle, &tree)?)?;

        if let Some(previous) =
            record.committed.take().filter(|previous| *previous != commit && previous != parent_commit)
        {
            let mut keep = Vec::new();
            self.keep_unless_reachable(&area, &record, previous, &mut keep)?;
            self.keep(slot, &area, keep)?;
        }
        // HEAD is moved below: a commit of the agent's own must not depend on it.
        let agents: Vec<CommitId> = self.agent_commits(slot, &area.handle);
        let mut keep = Vec::new();
        for other in agents.into_iter().filter(|other| *other != commit && other != parent_commit) {
            self.keep_unless_reachable(&area, &record, other, &mut keep)?;
        }
        self.keep(slot, &area, keep)?;

        record.committed = Some(commit.clone());
        record.tree = Some(tree.clone());
        record.save(&state)?;
        self.ensure_worktree(slot)?;
        self.set_admin_head(slot, &commit)?;
        self.share_index(slot)?;
        drop(parent_tree);
        Ok(SlotCommit { commit, tree, changed: changed.iter().map(|path| lossy(path)).collect(), left_out })
    }
}
