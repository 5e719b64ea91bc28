//! The administrative files by which git accepts a folder as a linked worktree.
//!
//! libgit2 can only add worktrees with a branch, and `git worktree add` is neither atomic nor safe to run twice at
//! once, so the four files are written here: under one lock per repository, in an order in which every
//! interruption leaves something the next call completes and `git worktree prune` spares.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::infra::repository::lock::lock_file;
use crate::infra::repository::objects::find_commit;
use crate::infra::repository::work_area::with_suffix;
use crate::infra::repository::{CommitId, RepositoryError, SLOT_LOCK_REASON};

use super::record::{Record, replace_file};
use super::{Slot, SlotError, Slots};

/// What may stay in the administrative folder of a slot that is moved: everything else is an unfinished operation
/// of the agent that had it.
const KEPT: [&str; 7] = ["HEAD", "commondir", "gitdir", "locked", "index", "logs", "modules"];

impl Slots {
    /// Creates or repairs whatever is missing of a slot's worktree. The caller holds the slot's lock.
    pub(super) fn ensure_worktree(&self, slot: &Slot) -> Result<(), SlotError> {
        let _lock = lock_file(&self.folder.join(".state/repository.lock"))?;
        let admin = self.admin_dir(slot);
        let link = slot.path.join(".git");
        if let Ok(bytes) = fs::read(admin.join("gitdir")) {
            let other = PathBuf::from(std::ffi::OsStr::from_bytes(bytes.trim_ascii_end()));
            if other != link && fs::symlink_metadata(&other).is_ok() && !self.owns(&admin) {
                let path = other.parent().unwrap_or(&other).to_path_buf();
                return Err(SlotError::NameTaken { name: slot.name.clone(), path });
            }
        }
        for folder in [&slot.path, &admin] {
            fs::create_dir_all(folder).map_err(RepositoryError::io("create", folder))?;
        }
        // First the lock: from here on `git worktree prune` leaves the half-made worktree alone.
        ensure(&admin.join("locked"), format!("{SLOT_LOCK_REASON} {}\n", slot.name).as_bytes())?;
        ensure(&admin.join("commondir"), b"../..\n")?;
        if self.admin_head(slot).is_none() {
            let record = Record::load(&self.state_file(slot, "json"));
            let commit = match record.committed.or(record.prepared) {
                Some(commit) => commit,
                None => self.repository.base_commit()?,
            };
            self.set_admin_head(slot, &commit)?;
        }
        ensure(&admin.join("gitdir"), &[link.as_os_str().as_bytes(), b"\n"].concat())?;
        let pointer = [b"gitdir: ", admin.as_os_str().as_bytes(), b"\n"].concat();
        if fs::symlink_metadata(&link).is_ok_and(|metadata| !metadata.is_file()) {
            // A repository the agent made, or a link: keep it, aside.
            self.displace(slot, &link)?;
        }
        ensure(&link, &pointer)?;
        Ok(())
    }

    /// Returns the folder inside the git directory that is this slot's own, which agents' git must be able to write.
    pub fn admin_dir(&self, slot: &Slot) -> PathBuf {
        admin_folder(self.repository.common_dir(), &slot.name)
    }

    /// Detaches the slot's HEAD at a commit.
    pub(super) fn set_admin_head(&self, slot: &Slot, commit: &str) -> Result<(), SlotError> {
        let admin = self.admin_dir(slot);
        let _ = fs::remove_file(admin.join("HEAD.lock"));
        Ok(replace_file(&admin.join("HEAD"), format!("{commit}\n").as_bytes())?)
    }

    /// Gives git inside the slot the same index as the private one, so that `git status` there is cheap and right.
    pub(super) fn share_index(&self, slot: &Slot) -> Result<(), SlotError> {
        let admin = self.admin_dir(slot);
        let (from, to) = (self.state_file(slot, "index"), admin.join("index"));
        let temporary = with_suffix(&to, ".ralph-new");
        let copy = || {
            fs::copy(&from, &temporary)?;
            // Git trusts entries older than the index file: the copy must not look younger than its source.
            let modified = fs::metadata(&from)?.modified()?;
            fs::File::options().write(true).open(&temporary)?.set_modified(modified)?;
            fs::rename(&temporary, &to)
        };
        copy().map_err(RepositoryError::io("write", &to))?;
        let _ = fs::remove_file(admin.join("index.lock"));
        Ok(())
    }

    /// Commits the agent made or visited in this slot, newest last: its HEAD and the log of it.
    pub(super) fn agent_commits(&self, slot: &Slot, handle: &git2::Repository) -> Vec<CommitId> {
        let admin = self.admin_dir(slot);
        let log = fs::read(admin.join("logs/HEAD")).unwrap_or_default();
        let logged = log.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(1));
        let mut commits: Vec<CommitId> = Vec::new();
        for name in logged.map(|name| String::from_utf8_lossy(name).into_owned()).chain(self.admin_head(slot)) {
            if !commits.contains(&name) && find_commit(handle, &name).is_ok() {
                commits.push(name);
            }
        }
        commits
    }

    /// Ends whatever git operation an agent left unfinished in the slot. The log of HEAD is emptied: what it
    /// named has been made reachable by [`Slots::secure`].
    pub(super) fn reset_admin(&self, slot: &Slot) -> Result<(), SlotError> {
        let admin = self.admin_dir(slot);
        let entries = fs::read_dir(&admin).map_err(RepositoryError::io("read", &admin))?;
        for entry in entries.flatten() {
            let path = entry.path();
            if KEPT.iter().any(|kept| entry.file_name() == *kept) {
                continue;
            }
            let folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let removed = if folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(RepositoryError::io("remove", &path))?;
        }
        let logs = admin.join("logs");
        match fs::remove_dir_all(&logs) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(RepositoryError::io("remove", &logs)(error).into())
            }
            _ => Ok(()),
        }
    }

    /// The commit the slot's HEAD names directly; none on a branch, or when the file is missing or damaged.
    fn admin_head(&self, slot: &Slot) -> Option<CommitId> {
        let text = fs::read_to_string(self.admin_dir(slot).join("HEAD")).ok()?;
        let name = text.trim();
        (name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| name.to_owned())
    }

    /// Whether an administrative folder says that it belongs to a slot.
    fn owns(&self, admin: &Path) -> bool {
        fs::read_to_string(admin.join("locked")).is_ok_and(|reason| reason.starts_with(SLOT_LOCK_REASON))
    }
}

/// Returns the folder in a git folder that is the own one of the slot of this name.
pub fn admin_folder(common_dir: &Path, slot: &str) -> PathBuf {
    common_dir.join("worktrees").join(format!("ralph-{slot}"))
}

/// Makes a file have these bytes, leaving it alone when it has them.
fn ensure(path: &Path, bytes: &[u8]) -> Result<(), RepositoryError> {
    match fs::read(path) {
        Ok(present) if present == bytes => Ok(()),
        _ => replace_file(path, bytes),
    }
}
