//! Finds where a path of the checkout is on disk, refusing what leads out of it, and reads what is there.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{ApplyError, FileMode, FileState};

/// Reads the present state of a path relative to `workdir`.
///
/// # Errors
/// [`ApplyError::Refused`] as [`super::apply`] does, also for folders and other things that are not files.
pub fn read_state(workdir: &Path, path: &str) -> Result<FileState, ApplyError> {
    state_at(&resolve(workdir, path)?, path)
}

/// Returns the absolute place of a path, every folder on the way to which is a real one or missing.
pub(super) fn resolve(workdir: &Path, path: &str) -> Result<PathBuf, ApplyError> {
    let refuse = |reason| ApplyError::Refused { path: path.to_owned(), reason };
    if !is_valid(path) {
        return Err(refuse("only relative paths inside the checkout, outside .git, can be written"));
    }
    let mut place = workdir.to_path_buf();
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    for part in folders.split('/').filter(|part| !part.is_empty()) {
        place.push(part);
        match fs::symlink_metadata(&place) {
            Ok(metadata) if metadata.is_symlink() => return Err(refuse("a folder on its way is a symbolic link")),
            Ok(metadata) if !metadata.is_dir() => return Err(refuse("a file stands where its folder must be")),
            Ok(_) if fs::symlink_metadata(place.join(".git")).is_ok() => {
                return Err(refuse("it is inside another repository"));
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(ApplyError::Io { action: "look at", path: path.to_owned(), source }),
        }
    }
    Ok(place.join(name))
}

/// Whether a path is relative, has no empty, `.`, `..` or `.git` part, and no NUL.
pub(super) fn is_valid(path: &str) -> bool {
    !path.contains('\0')
        && path.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.eq_ignore_ascii_case(".git"))
}

/// Reads what is at a place found by [`resolve`].
pub(super) fn state_at(place: &Path, path: &str) -> Result<FileState, ApplyError> {
    let failed = |source| ApplyError::Io { action: "read", path: path.to_owned(), source };
    let metadata = match fs::symlink_metadata(place) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(FileState::Absent);
        }
        Err(error) => return Err(failed(error)),
    };
    if metadata.is_symlink() {
        let target = fs::read_link(place).map_err(failed)?;
        return Ok(FileState::Present { bytes: target.as_os_str().as_bytes().to_vec(), mode: FileMode::Symlink });
    }
    if !metadata.is_file() {
        return Err(ApplyError::Refused { path: path.to_owned(), reason: "it is a folder, or not a file at all" });
    }
    let executable = metadata.permissions().mode() & 0o100 != 0;
    let mode = if executable { FileMode::Executable } else { FileMode::Regular };
    Ok(FileState::Present { bytes: fs::read(place).map_err(failed)?, mode })
}

/// Whether a place is a folder that holds only the files named, so that deleting those deletes it.
pub(super) fn only_holds(workdir: &Path, place: &Path, removed: &[&str]) -> bool {
    if !fs::symlink_metadata(place).is_ok_and(|metadata| metadata.is_dir()) {
        return false;
    }
    let mut pending = vec![place.to_path_buf()];
    let mut files = 0;
    while let Some(folder) = pending.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { return false };
        for entry in entries.flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                pending.push(path);
                continue;
            }
            let relative = path.strip_prefix(workdir).ok().and_then(Path::to_str);
            if !relative.is_some_and(|relative| removed.contains(&relative)) {
                return false;
            }
            files += 1;
        }
    }
    files > 0
}
