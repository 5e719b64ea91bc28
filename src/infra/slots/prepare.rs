//! Moves a slot to a commit at the cost of what changed, keeping ignored files such as build caches.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use git2::build::CheckoutBuilder;
use git2::{ObjectType, Oid, TreeWalkMode, TreeWalkResult};

use crate::infra::repository::binary::nul_terminated;
use crate::infra::repository::objects::find_tree;
use crate::infra::repository::work_area::{Difference, GITLINK, WorkArea, bare_entry, is_inside, lossy, to_path};
use crate::infra::repository::{CommitId, RepositoryError};

use super::record::Record;
use super::{Slot, SlotError, Slots};

/// From this many files on, the `git` program writes them where there is one: it is twice as fast, but has to start.
const MANY_FILES: usize = 2000;

/// What moving a slot found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prepared {
    /// The commit that keeps what was in the slot and had not been committed; none when all had been.
    pub leftover: Option<CommitId>,
    /// Paths written or removed, sorted.
    pub changed: Vec<String>,
    /// Paths moved to [`Slots::displaced_dir`]: ignored files in the way, and `.git` folders of nested repositories.
    pub displaced: Vec<String>,
}

/// Files by path: their object and mode.
type Files = BTreeMap<Vec<u8>, (Oid, u32)>;

impl Slots {
    /// Makes the slot hold exactly the files of `commit`, ignored ones aside, with HEAD detached there.
    ///
    /// Whatever is in it that was not committed is first committed to [`Slots::leftover_ref`]; interrupted half-way,
    /// the next call does the same with what it finds. No process may be at work in the slot.
    pub fn prepare(&self, slot: &Slot, commit: &str) -> Result<Prepared, SlotError> {
        let _lock = self.lock(slot)?;
        self.ensure_worktree(slot)?;
        let mut area = self.area(slot)?;
        let state = self.state_file(slot, "json");
        let mut record = Record::load(&state);
        let secured = self.secure(slot, &mut area, &mut record)?;
        // What is there is safe now; remembered at once, so that an interruption does not commit it again.
        record.committed = None;

        let from = area.write_tree()?;
        let mut moved = Prepared { leftover: secured.leftover, ..Prepared::default() };
        for path in &secured.stuck {
            self.aside(slot, path, &mut moved)?;
            remove_empty_parents(&slot.path, &area.absolute(path));
        }
        self.set_aside_nested(slot, &mut record, &mut moved)?;
        let target = {
            let handle = self.repository.handle_on(&slot.path)?;
            find_tree(&handle, commit)?.id()
        };
        let (removals, writes) = difference(&area, &from, target)?;
        self.clear(slot, &area, &removals, &writes, &mut moved)?;
        {
            let handle = self.repository.handle_on(&slot.path)?;
            area.read_tree(&find_tree(&handle, commit)?)?;
        }
        area.write()?;
        check_out(&mut area, target, &writes)?;
        let changed = |path: &Vec<u8>| lossy(path);
        moved.changed = removals.keys().chain(writes.keys()).map(changed).collect();
        moved.changed.sort();
        moved.changed.dedup();
        if moved.changed.iter().any(|path| path.ends_with(".gitignore")) {
            self.set_aside_unignored(slot, &mut area, &mut moved)?;
        }

        self.reset_admin(slot)?;
        self.set_admin_head(slot, commit)?;
        self.share_index(slot)?;
        record.prepared = Some(commit.to_owned());
        record.tree = Some(target.to_string());
        record.save(&state)?;
        moved.displaced.sort();
        Ok(moved)
    }

    /// Puts files and folders back to their state in `commit`; those it does not have are removed. What they were
    /// is kept: committed already, or committed now to [`Slots::leftover_ref`], or displaced when ignored.
    pub fn restore_paths(&self, slot: &Slot, commit: &str, paths: &[String]) -> Result<Prepared, SlotError> {
        let _lock = self.lock(slot)?;
        let mut area = self.area(slot)?;
        let state = self.state_file(slot, "json");
        let mut record = Record::load(&state);
        let leftover = self.secure(slot, &mut area, &mut record)?.leftover;
        let mut moved = Prepared { leftover, ..Prepared::default() };
        let target = find_tree(&area.handle, commit)?.id();
        let paths: Vec<&[u8]> =
            paths.iter().map(|path| path.trim_end_matches('/').as_bytes()).filter(|path| is_inside(path)).collect();
        let below = |path: &[u8]| {
            paths.iter().any(|root| path.strip_prefix(*root).is_some_and(|rest| rest.is_empty() || rest[0] == b'/'))
        };
        let from = area.write_tree()?;
        let (mut removals, mut writes) = difference(&area, &from, target)?;
        removals.retain(|path, _| below(path));
        writes.retain(|path, _| below(path));
        self.clear(slot, &area, &removals, &writes, &mut moved)?;
        for path in removals.keys() {
            area.forget(path)?;
        }
        for (path, (id, mode)) in &writes {
            let action = format!("stage {}", lossy(path));
            area.index.add(&bare_entry(path, *id, *mode)).map_err(RepositoryError::git(action))?;
        }
        area.write()?;
        check_out(&mut area, target, &writes)?;
        let target_tree = find_tree(&area.handle, commit)?;
        for path in paths.iter().filter(|path| target_tree.get_path(to_path(path)).is_err()) {
            let absolute = area.absolute(path);
            if fs::symlink_metadata(&absolute).is_ok() {
                self.displace(slot, &absolute)?;
                moved.displaced.push(lossy(path));
            }
        }
        drop(target_tree);
        moved.changed = removals.keys().chain(writes.keys()).map(|path| lossy(path)).collect();
        moved.changed.sort();
        moved.changed.dedup();
        record.tree = Some(area.write_tree()?);
        record.save(&state)?;
        Ok(moved)
    }

    /// Removes files that go or change, and moves aside what is in the way of those that come.
    fn clear(
        &self,
        slot: &Slot,
        area: &WorkArea<'_>,
        removals: &Files,
        writes: &Files,
        moved: &mut Prepared,
    ) -> Result<(), SlotError> {
        for (path, (_, mode)) in removals {
            let absolute = area.absolute(path);
            if *mode == GITLINK {
                if fs::remove_dir(&absolute).is_err() {
                    self.aside(slot, path, moved)?;
                }
            } else if fs::symlink_metadata(&absolute).is_ok_and(|metadata| metadata.is_dir()) {
                // A folder where the index has a file holds ignored files only: all others are secured and staged.
                continue;
            } else {
                match fs::remove_file(&absolute) {
                    Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                        return Err(RepositoryError::io("remove", &absolute)(error).into());
                    }
                    _ => {}
                }
            }
            remove_empty_parents(&slot.path, &absolute);
        }
        for path in writes.keys() {
            self.clear_way(slot, path, moved)?;
        }
        Ok(())
    }

    /// Moves aside an ignored file or link that stands where a path or one of its folders must be.
    fn clear_way(&self, slot: &Slot, path: &[u8], moved: &mut Prepared) -> Result<(), SlotError> {
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| end);
        for end in ends {
            match fs::symlink_metadata(slot.path.join(to_path(&path[..end]))) {
                Ok(metadata) if metadata.is_dir() => {}
                Ok(_) => return self.aside(slot, &path[..end], moved),
                Err(_) => return Ok(()),
            }
        }
        let absolute = slot.path.join(to_path(path));
        match fs::symlink_metadata(&absolute) {
            Ok(metadata) if metadata.is_dir() && fs::remove_dir(&absolute).is_ok() => Ok(()),
            Ok(_) => self.aside(slot, path, moved),
            Err(_) => Ok(()),
        }
    }

    fn aside(&self, slot: &Slot, path: &[u8], moved: &mut Prepared) -> Result<(), SlotError> {
        moved.displaced.push(lossy(path));
        self.displace(slot, &slot.path.join(to_path(path)))
    }

    /// Takes the `.git` out of folders an agent made repositories of, so that they become ordinary ones.
    pub(super) fn set_aside_nested(
        &self,
        slot: &Slot,
        record: &mut Record,
        moved: &mut Prepared,
    ) -> Result<(), SlotError> {
        for nested in std::mem::take(&mut record.nested) {
            let path = format!("{nested}/.git");
            // Reached through a link it would be somebody else's.
            let folder = slot.path.join(&nested);
            let inside = fs::canonicalize(&folder).is_ok_and(|real| real == folder);
            if inside && fs::symlink_metadata(slot.path.join(&path)).is_ok() {
                self.aside(slot, path.as_bytes(), moved)?;
                remove_empty_parents(&slot.path, &slot.path.join(&path));
            }
        }
        Ok(())
    }

    /// Moves aside files that were ignored before and are not under the rules of the new commit.
    fn set_aside_unignored(&self, slot: &Slot, area: &mut WorkArea<'_>, moved: &mut Prepared) -> Result<(), SlotError> {
        for change in area.scan()? {
            if matches!(change.difference, Difference::Untracked | Difference::Nested) {
                self.aside(slot, &change.path, moved)?;
                remove_empty_parents(&slot.path, &area.absolute(&change.path));
            }
        }
        Ok(())
    }
}

/// What must go from, and what must come into, files of tree `from` to make them those of `to`; a file that
/// changes is in both.
fn difference(area: &WorkArea<'_>, from: &str, to: Oid) -> Result<(Files, Files), RepositoryError> {
    let (mut removals, mut writes) = (Files::new(), Files::new());
    let from = find_tree(&area.handle, from)?;
    let to = find_tree(&area.handle, &to.to_string())?;
    if from.is_empty() {
        let walked = to.walk(TreeWalkMode::PreOrder, |root, entry| {
            if entry.kind() != Some(ObjectType::Tree) {
                let path = [root.as_bytes(), entry.name_bytes()].concat();
                writes.insert(path, (entry.id(), entry.filemode().cast_unsigned()));
            }
            TreeWalkResult::Ok
        });
        walked.map_err(RepositoryError::git("list the files of a commit"))?;
        return Ok((removals, writes));
    }
    let diff = area
        .handle
        .diff_tree_to_tree(Some(&from), Some(&to), None)
        .map_err(RepositoryError::git("compare two trees"))?;
    for delta in diff.deltas() {
        for (file, side) in [(delta.old_file(), &mut removals), (delta.new_file(), &mut writes)] {
            let mode = u32::from(file.mode());
            if let (Some(path), true) = (file.path_bytes(), mode != 0) {
                side.insert(path.to_vec(), (file.id(), mode));
            }
        }
    }
    Ok((removals, writes))
}

/// Writes files of a tree whose entries the index already has; their places are free.
fn check_out(area: &mut WorkArea<'_>, tree: Oid, writes: &Files) -> Result<(), RepositoryError> {
    let (links, files): (Vec<_>, Vec<_>) = writes.iter().partition(|(_, (_, mode))| *mode == GITLINK);
    for (path, _) in links {
        let absolute = area.absolute(path);
        fs::create_dir_all(&absolute).map_err(RepositoryError::io("create", &absolute))?;
    }
    if files.is_empty() {
        return Ok(());
    }
    let paths = files.iter().map(|(path, _)| path.as_slice());
    if area.git().is_some() || (files.len() >= MANY_FILES && area.any_git().is_some()) {
        let input = nul_terminated(paths);
        return area.on_disk(|git| {
            let args = ["-c", "checkout.workers=0", "checkout-index", "-f", "-u", "-z", "--stdin"];
            git.run(&args, &input).map(drop)
        });
    }
    let mut options = CheckoutBuilder::new();
    options.force().recreate_missing(true).disable_pathspec_match(true).update_index(true);
    for path in paths {
        options.path(path);
    }
    area.handle
        .find_tree(tree)
        .and_then(|tree| area.handle.checkout_tree(tree.as_object(), Some(&mut options)))
        .map_err(RepositoryError::git(format!("write files to {}", area.workdir().display())))?;
    area.write()
}

/// Removes the folders above `path` that are empty now, up to but not including `root`.
fn remove_empty_parents(root: &Path, path: &Path) {
    for folder in path.ancestors().skip(1).take_while(|folder| *folder != root && folder.starts_with(root)) {
        if fs::remove_dir(folder).is_err() {
            return;
        }
    }
}
