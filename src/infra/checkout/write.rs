//! Replaces one file: readers see the old one or the new one, also after a power cut.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::place::state_at;
use super::{ApplyError, CheckoutEdit, FileMode, FileState};

/// Makes one edit at its place, if that is still as expected.
pub(super) fn replace(workdir: &Path, place: &Path, edit: &CheckoutEdit) -> Result<(), ApplyError> {
    let failed = |action| {
        let path = edit.path.clone();
        move |source| ApplyError::Io { action, path, source }
    };
    let conflict = || ApplyError::Conflict { path: edit.path.clone() };
    match &edit.write {
        FileState::Absent => {
            if state_at(place, &edit.path)? != edit.expect {
                return Err(conflict());
            }
            if edit.expect == FileState::Absent {
                return Ok(());
            }
            fs::remove_file(place).map_err(failed("remove"))?;
            sync_folder(place).map_err(failed("remove"))?;
            remove_empty_parents(workdir, place);
            Ok(())
        }
        FileState::Present { bytes, mode } => {
            if edit.write == edit.expect {
                return if state_at(place, &edit.path)? == edit.expect { Ok(()) } else { Err(conflict()) };
            }
            let created = create_parents(place).map_err(failed("create the folder of"))?;
            let written = prepare(place, bytes, *mode).map_err(failed("write")).and_then(|temporary| {
                // Checked as late as possible: everything slow has happened.
                let outcome = match state_at(place, &edit.path) {
                    Ok(present) if present == edit.expect => {
                        publish(&temporary, place, &edit.expect).map_err(|error| {
                            if error.kind() == ErrorKind::AlreadyExists { conflict() } else { failed("write")(error) }
                        })
                    }
                    Ok(_) => Err(conflict()),
                    Err(error) => Err(error),
                };
                if outcome.is_err() {
                    let _ = fs::remove_file(&temporary);
                }
                outcome
            });
            if written.is_err() && created {
                remove_empty_parents(workdir, place);
            }
            written
        }
    }
}

/// Writes the new content beside the old, complete and on disk, with the permissions the file shall have.
fn prepare(place: &Path, bytes: &[u8], mode: FileMode) -> io::Result<PathBuf> {
    let temporary = temporary_beside(place);
    if mode == FileMode::Symlink {
        std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(bytes), &temporary)?;
        return Ok(temporary);
    }
    let wanted = if mode == FileMode::Executable { 0o777 } else { 0o666 };
    // A new file gets what the user's umask leaves of these.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(wanted).open(&temporary)?;
    let mut write = || {
        file.write_all(bytes)?;
        if let Ok(present) = fs::symlink_metadata(place)
            && present.is_file()
        {
            let kept = present.permissions().mode() & 0o7777;
            // Who may read may execute: a new executable bit follows the read bits, as git sets it.
            let bits = if mode == FileMode::Executable { kept | (kept & 0o444) >> 2 } else { kept & !0o111 };
            file.set_permissions(fs::Permissions::from_mode(bits))?;
        }
        file.sync_all()
    };
    match write() {
        Ok(()) => Ok(temporary),
        Err(error) => {
            let _ = fs::remove_file(&temporary);
            Err(error)
        }
    }
}

/// Puts the prepared file in its place. Where nothing is expected, an appearing file is not overwritten.
fn publish(temporary: &Path, place: &Path, expect: &FileState) -> io::Result<()> {
    if *expect == FileState::Absent && fs::symlink_metadata(temporary)?.is_file() {
        match fs::hard_link(temporary, place) {
            Ok(()) => fs::remove_file(temporary)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(error),
            // Some file systems have no hard links.
            Err(_) => fs::rename(temporary, place)?,
        }
    } else {
        fs::rename(temporary, place)?;
    }
    sync_folder(place)
}

fn temporary_beside(place: &Path) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!(".ralph-{}-{count}.tmp", std::process::id());
    place.with_file_name(name)
}

/// Creates missing folders; says whether there were any.
fn create_parents(place: &Path) -> io::Result<bool> {
    let Some(folder) = place.parent() else { return Ok(false) };
    if folder.is_dir() {
        return Ok(false);
    }
    fs::create_dir_all(folder)?;
    Ok(true)
}

fn sync_folder(place: &Path) -> io::Result<()> {
    match place.parent() {
        // Gone already when it became empty; then there is nothing to make durable.
        Some(folder) => match File::open(folder) {
            Ok(folder) => folder.sync_all(),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        },
        None => Ok(()),
    }
}

/// Removes the folders above a deleted file that are empty now, below the checkout's root.
fn remove_empty_parents(workdir: &Path, place: &Path) {
    for folder in place.ancestors().skip(1).take_while(|folder| *folder != workdir && folder.starts_with(workdir)) {
        if fs::remove_dir(folder).is_err() {
            return;
        }
    }
}
