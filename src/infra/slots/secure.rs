//! Makes everything in a slot reachable from a ref before anything in it is moved or removed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::infra::repository::objects::{commit_tree, find_tree};
use crate::infra::repository::refs::{fold, list_refs, read_ref, set_ref};
use crate::infra::repository::work_area::{Difference, GITLINK, WorkArea, lossy};
use crate::infra::repository::{CommitId, LeftOut};

use super::record::Record;
use super::{Slot, SlotError, Slots, now};

/// What staging a slot could not take.
#[derive(Debug, Default)]
pub(super) struct Staged {
    pub left_out: Vec<LeftOut>,
    /// Those of them that are no part of any tree and have to be moved aside before the slot is another's.
    pub stuck: Vec<Vec<u8>>,
}

/// What securing a slot did.
#[derive(Debug, Default)]
pub(super) struct Secured {
    /// The new value of the leftover ref; none when everything was reachable already.
    pub leftover: Option<CommitId>,
    /// See [`Staged::stuck`].
    pub stuck: Vec<Vec<u8>>,
}

impl Slots {
    /// Returns the ref that keeps what was found in a slot and had not been committed from it.
    pub fn leftover_ref(slot: &Slot) -> String {
        format!("refs/ralph/slots/{}/leftover", slot.name)
    }

    /// Stages everything in the slot that is not ignored. Files of nested repositories count as ordinary ones,
    /// their `.git` does not; submodules stay at the commit they had.
    pub(super) fn stage_all(&self, area: &mut WorkArea<'_>, record: &mut Record) -> Result<Staged, SlotError> {
        let mut staged = Staged::default();
        let mut leave = |path: &[u8], reason: &str| {
            staged.left_out.push(LeftOut { path: lossy(path), reason: reason.to_owned() });
        };
        let mut paths = Vec::new();
        for change in area.scan()? {
            match change.difference {
                Difference::Written | Difference::Deleted => paths.push(change.path),
                Difference::Untracked => match fs::symlink_metadata(area.absolute(&change.path)) {
                    Ok(metadata) if metadata.is_file() || metadata.is_symlink() => paths.push(change.path),
                    Ok(_) => {
                        leave(&change.path, "neither a file nor a link");
                        staged.stuck.push(change.path);
                    }
                    Err(_) => {}
                },
                Difference::Nested => {
                    let below = area.below(&change.path);
                    paths.extend(below.files);
                    below.unreadable.iter().for_each(|folder| leave(folder, "cannot be read"));
                    record.nested.push(lossy(&change.path));
                }
            }
        }
        // A nested folder can take the place of a tracked file: staging a file forgets the entry in its way.
        paths.sort();
        paths.dedup();
        record.nested.extend(nested_above(area, &paths));
        paths.iter().for_each(|path| make_readable(&area.absolute(path)));
        for (path, reason) in area.stage(&paths.iter().map(Vec::as_slice).collect::<Vec<_>>())? {
            leave(&path, &reason);
            staged.stuck.push(path);
        }
        for path in filled_submodules(area) {
            leave(&path, "a submodule: changes inside it are not taken");
        }
        record.nested.sort();
        record.nested.dedup();
        Ok(staged)
    }

    /// Commits to the slot's leftover ref what no ref reaches yet: files nobody committed, the last commit made from
    /// here if the caller recorded it nowhere, and commits the agent made.
    pub(super) fn secure(
        &self,
        slot: &Slot,
        area: &mut WorkArea<'_>,
        record: &mut Record,
    ) -> Result<Secured, SlotError> {
        if area.index.is_empty()
            && let Some(tree) = &record.tree
        {
            // The private index is lost: what was tracked is known all the same.
            let handle = self.repository.handle_on(&slot.path)?;
            area.read_tree(&find_tree(&handle, tree)?)?;
        }
        let stuck = self.stage_all(area, record)?.stuck;
        let tree = area.write_tree()?;
        let mut keep = Vec::new();
        let never_used = record.tree.is_none() && area.index.is_empty();
        if record.tree.as_ref() != Some(&tree) && !never_used {
            let parents: Vec<CommitId> = record.committed.iter().chain(&record.prepared).take(1).cloned().collect();
            keep.push(commit_tree(&area.handle, &tree, &parents, &format!("Left in slot {}", slot.name), now())?);
        }
        if let Some(committed) = record.committed.clone() {
            self.keep_unless_reachable(area, record, committed, &mut keep)?;
        }
        for commit in self.agent_commits(slot, &area.handle) {
            self.keep_unless_reachable(area, record, commit, &mut keep)?;
        }
        Ok(Secured { leftover: self.keep(slot, area, keep)?, stuck })
    }

    /// Adds commits to what the leftover ref reaches.
    pub(super) fn keep(
        &self,
        slot: &Slot,
        area: &WorkArea<'_>,
        mut commits: Vec<CommitId>,
    ) -> Result<Option<CommitId>, SlotError> {
        if commits.is_empty() {
            return Ok(None);
        }
        let name = Self::leftover_ref(slot);
        commits.extend(read_ref(&area.handle, &name)?);
        commits.dedup();
        let kept = fold(&area.handle, &commits, &format!("Left in slot {}", slot.name), now())?;
        if let Some(kept) = &kept {
            set_ref(&area.handle, &name, kept)?;
        }
        Ok(kept)
    }

    /// Collects a commit unless a ref of ours, HEAD or the slot's start point already reaches it.
    pub(super) fn keep_unless_reachable(
        &self,
        area: &WorkArea<'_>,
        record: &Record,
        commit: CommitId,
        keep: &mut Vec<CommitId>,
    ) -> Result<(), SlotError> {
        if record.prepared.as_ref() == Some(&commit) || keep.contains(&commit) {
            return Ok(());
        }
        let refs = list_refs(&area.handle, "refs/ralph/")?;
        if refs.iter().any(|(_, target)| *target == commit) {
            return Ok(());
        }
        let leftover = refs.iter().filter(|(name, _)| name.ends_with("/leftover")).map(|(_, target)| target.clone());
        let head = self.repository.head()?.map(|head| head.commit);
        let roots = leftover.chain(head).chain(record.prepared.clone());
        if !roots.into_iter().any(|root| reaches(&area.handle, &root, &commit)) {
            keep.push(commit);
        }
        Ok(())
    }
}

/// Submodules of the slot that have files.
pub(super) fn filled_submodules(area: &WorkArea<'_>) -> Vec<Vec<u8>> {
    let submodules = area.index.iter().filter(|entry| entry.mode == GITLINK).map(|entry| entry.path);
    let filled = |path: &Vec<u8>| fs::read_dir(area.absolute(path)).is_ok_and(|mut inside| inside.next().is_some());
    submodules.filter(filled).collect()
}

/// Lets the owner read a file an agent made unreadable; what cannot be changed fails when it is read.
fn make_readable(path: &Path) {
    if let Ok(metadata) = fs::symlink_metadata(path)
        && metadata.is_file()
        && metadata.permissions().mode() & 0o400 == 0
    {
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(metadata.permissions().mode() | 0o400));
    }
}

/// Folders above the given paths that have a `.git` of their own.
fn nested_above(area: &WorkArea<'_>, paths: &[Vec<u8>]) -> Vec<String> {
    let folders: BTreeSet<&[u8]> = paths
        .iter()
        .flat_map(|path| path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| &path[..end]))
        .collect();
    let nested = |folder: &&&[u8]| fs::symlink_metadata(area.absolute(folder).join(".git")).is_ok();
    folders.iter().filter(nested).map(|folder| lossy(folder)).collect()
}

fn reaches(handle: &git2::Repository, root: &str, commit: &str) -> bool {
    match (git2::Oid::from_str(root), git2::Oid::from_str(commit)) {
        (Ok(root), Ok(commit)) => root == commit || handle.graph_descendant_of(root, commit).unwrap_or(false),
        _ => false,
    }
}
