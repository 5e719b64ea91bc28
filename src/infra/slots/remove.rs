//! Gives a slot up: everything kept first, then a rename, then deletion in the background.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use crate::infra::repository::RepositoryError;
use crate::infra::repository::lock::lock_file;

use super::prepare::Prepared;
use super::record::Record;
use super::secure::filled_submodules;
use super::{Slot, SlotError, Slots, unique};

impl Slots {
    /// Removes a slot and its worktree from git's list. What it held and nobody committed is kept by
    /// [`Slots::leftover_ref`]; ignored files go, submodules with files are
    /// moved to [`Slots::displaced_dir`]. Returns the thread that deletes the folder, for those who want to
    /// wait; interrupted, the next [`Slots::new`] continues. A slot that is gone already is no error.
    pub fn remove(&self, slot: &Slot) -> Result<JoinHandle<()>, SlotError> {
        let _lock = self.lock(slot)?;
        if fs::symlink_metadata(&slot.path).is_ok_and(|metadata| metadata.is_dir()) {
            self.ensure_worktree(slot)?;
            let mut area = self.area(slot)?;
            let mut record = Record::load(&self.state_file(slot, "json"));
            for path in self.secure(slot, &mut area, &mut record)?.stuck {
                self.displace(slot, &area.absolute(&path))?;
            }
            // What git keeps in no commit of this repository goes aside, not away.
            for path in filled_submodules(&area) {
                self.displace(slot, &area.absolute(&path))?;
            }
            self.displace(slot, &self.admin_dir(slot).join("modules"))?;
            self.set_aside_nested(slot, &mut record, &mut Prepared::default())?;
            let trash = self.trash();
            fs::create_dir_all(&trash).map_err(RepositoryError::io("create", &trash))?;
            let target = trash.join(format!("{}-{}", slot.name, unique()));
            fs::rename(&slot.path, &target).map_err(RepositoryError::io("move away", &slot.path))?;
        }
        let _repository = lock_file(&self.folder.join(".state/repository.lock"))?;
        let admin = self.admin_dir(slot);
        for kind in ["index", "json"] {
            discard(&self.state_file(slot, kind), |path| fs::remove_file(path))?;
        }
        discard(&admin, |path| fs::remove_dir_all(path))?;
        Ok(self.empty_trash())
    }

    /// Deletes removed slots in the background.
    pub(super) fn empty_trash(&self) -> JoinHandle<()> {
        let trash = self.trash();
        std::thread::spawn(move || {
            for entry in fs::read_dir(&trash).into_iter().flatten().flatten() {
                delete_tree(&entry.path());
            }
        })
    }

    fn trash(&self) -> PathBuf {
        self.folder.join(".trash")
    }
}

fn discard(path: &Path, remove: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), RepositoryError> {
    match remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(RepositoryError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Deletes as much as it can; folders made read-only, as module caches are, are made writable when that stops it.
fn delete_tree(path: &Path) {
    if fs::remove_dir_all(path).is_ok() {
        return;
    }
    let mut pending = vec![path.to_path_buf()];
    while let Some(folder) = pending.pop() {
        // Links are not followed: only what the entry itself says is a folder is opened up.
        let _ = fs::set_permissions(&folder, fs::Permissions::from_mode(0o700));
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        pending.extend(
            entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()),
        );
    }
    if let Err(error) = fs::remove_dir_all(path) {
        tracing::warn!(path = %path.display(), %error, "a removed slot could not be deleted entirely");
    }
}
