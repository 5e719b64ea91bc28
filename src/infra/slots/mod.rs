//! Slots: detached worktrees outside the repository that attempts work in, reused from one to the next.
//!
//! In reading order: `admin` makes git accept a folder as a worktree, and makes it so again; `secure` commits what
//! nobody committed before anything is moved; `prepare` moves a slot to a commit at the cost of what changed;
//! `commit` takes what is in it; `include` brings ignored files of the user's along; `remove` gives it up.
//!
//! The slot's own `.git`, configuration and index belong to the agent and are never believed: each operation opens
//! the shared repository by path and uses an index of its own. What cannot be committed (ignored files in the way,
//! `.git` folders agents made) is moved aside to `.displaced`, never deleted.

mod admin;
mod commit;
mod include;
mod prepare;
mod record;
mod remove;
mod secure;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::infra::repository::lock::{FileLock, lock_file};
use crate::infra::repository::work_area::WorkArea;
use crate::infra::repository::{Repository, RepositoryError};

pub use admin::admin_folder;
pub use commit::SlotCommit;
pub use include::Included;
pub use prepare::Prepared;

/// A failed slot operation; messages read after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    #[error("name a slot `{name}`: use letters, digits, `-`, `_` and `.`, and begin with a letter or digit")]
    InvalidName { name: String },
    #[error("keep slots in {}: it is inside the checkout; choose a state directory outside", path.display())]
    InsideCheckout { path: PathBuf },
    #[error("make slot `{name}`: git knows a worktree of that name at {}; `git worktree remove` it first", path.display())]
    NameTaken { name: String, path: PathBuf },
    #[error("use slot `{name}`: {} is gone; acquire it again", path.display())]
    Missing { name: String, path: PathBuf },
}

/// A slot that exists on disk; whoever holds it says so by the engine's book-keeping, not by this value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    pub name: String,
    /// The folder agents and checks run in; absolute.
    pub path: PathBuf,
}

/// All slots of one repository, below one folder.
#[derive(Debug, Clone)]
pub struct Slots {
    repository: Repository,
    folder: PathBuf,
}

impl Slots {
    /// Uses `slots_dir`, creating it, and deletes in the background what earlier removals left of slots.
    ///
    /// # Errors
    /// [`SlotError::InsideCheckout`]: agents there would edit the user's files by mistake.
    pub fn new(repository: Repository, slots_dir: &Path) -> Result<Self, SlotError> {
        let created = fs::create_dir_all(slots_dir.join(".state")).and_then(|()| slots_dir.canonicalize());
        let folder = created.map_err(RepositoryError::io("create", slots_dir))?;
        if folder.starts_with(repository.workdir()) || folder.starts_with(repository.common_dir()) {
            return Err(SlotError::InsideCheckout { path: folder });
        }
        let slots = Self { repository, folder };
        slots.empty_trash();
        Ok(slots)
    }

    /// Returns the slot of that name, making it, or repairing one that was left half-made. Its files are those of
    /// the last time; [`Self::prepare`] gives them meaning. Safe to call from many processes at once.
    ///
    /// # Errors
    /// [`RepositoryError::NoCommits`] where the repository has none, [`SlotError::InvalidName`],
    /// [`SlotError::NameTaken`].
    pub fn acquire(&self, name: &str) -> Result<Slot, SlotError> {
        let valid = name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && !name.ends_with(".lock")
            && !name.contains("..")
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
        if !valid {
            return Err(SlotError::InvalidName { name: name.to_owned() });
        }
        let slot = Slot { name: name.to_owned(), path: self.folder.join(name) };
        let _lock = self.lock(&slot)?;
        self.ensure_worktree(&slot)?;
        Ok(slot)
    }

    /// Makes git accept the slot again after an agent deleted or rewrote its `.git`; the files stay.
    pub fn repair(&self, slot: &Slot) -> Result<(), SlotError> {
        let _lock = self.lock(slot)?;
        self.ensure_worktree(slot)
    }

    /// Lists the slots there are on disk, by name.
    pub fn list(&self) -> Result<Vec<Slot>, SlotError> {
        let entries = fs::read_dir(&self.folder).map_err(RepositoryError::io("read", &self.folder))?;
        let mut slots: Vec<Slot> = entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .filter_map(|entry| Some(Slot { name: entry.file_name().into_string().ok()?, path: entry.path() }))
            .filter(|slot| !slot.name.starts_with('.'))
            .collect();
        slots.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(slots)
    }

    /// Returns the repository the slots belong to.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Returns the folder that holds what was in the way and could not be committed, per slot.
    pub fn displaced_dir(&self) -> PathBuf {
        self.folder.join(".displaced")
    }

    /// Holds off other operations on the same slot, in this process and others.
    fn lock(&self, slot: &Slot) -> Result<FileLock, SlotError> {
        Ok(lock_file(&self.state_file(slot, "lock"))?)
    }

    fn state_file(&self, slot: &Slot, kind: &str) -> PathBuf {
        self.folder.join(".state").join(format!("{}.{kind}", slot.name))
    }

    /// Opens the slot's files with the shared repository and the slot's private index.
    fn area(&self, slot: &Slot) -> Result<WorkArea<'_>, SlotError> {
        if !fs::symlink_metadata(&slot.path).is_ok_and(|metadata| metadata.is_dir()) {
            return Err(SlotError::Missing { name: slot.name.clone(), path: slot.path.clone() });
        }
        let handle = self.repository.handle_on(&slot.path)?;
        Ok(WorkArea::open(&self.repository, handle, &slot.path, &self.state_file(slot, "index"))?)
    }

    /// Moves something out of a slot without deleting it; nothing there is no error.
    fn displace(&self, slot: &Slot, path: &Path) -> Result<(), SlotError> {
        if fs::symlink_metadata(path).is_err() {
            return Ok(());
        }
        // What is not in the slot's folder is in its administrative one.
        let name = path.file_name().map_or(Path::new("unnamed"), Path::new);
        let relative = path.strip_prefix(&slot.path).unwrap_or(name);
        let target = self.displaced_dir().join(&slot.name).join(unique()).join(relative);
        let folder = target.parent().unwrap_or(&target);
        fs::create_dir_all(folder).map_err(RepositoryError::io("create", folder))?;
        fs::rename(path, &target).map_err(RepositoryError::io("move aside", path))?;
        Ok(())
    }
}

/// Seconds since 1970, UTC.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

/// A name no other call gets, sorted by time.
fn unique() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}-{}", since.as_nanos(), std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
