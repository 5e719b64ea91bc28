//! Writes accepted results into the user's checkout, each file only if it is still what the caller saw.
//!
//! Every edit says what it expects and what it writes. All expectations are checked before anything is written and
//! each again at its own file; when one fails half-way, what was written is put back. What is replaced is returned
//! as edits, so undoing is applying those. A file someone changes between the second check and the rename, which
//! are next to each other, is the one race left: POSIX has no compare-and-swap for files.

mod place;
#[cfg(test)]
mod tests;
mod write;

use std::io;
use std::path::Path;

pub use place::read_state;

/// What a path is, or shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileState {
    Absent,
    Present {
        /// The content; for a symbolic link its target.
        bytes: Vec<u8>,
        mode: FileMode,
    },
}

/// What kind of file, as far as git tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileMode {
    Regular,
    Executable,
    Symlink,
}

impl FileMode {
    /// The kind a git mode stands for; none for folders and submodules.
    pub fn from_git(mode: u32) -> Option<Self> {
        match mode {
            0o100_644 | 0o100_664 => Some(Self::Regular),
            0o100_755 => Some(Self::Executable),
            0o120_000 => Some(Self::Symlink),
            _ => None,
        }
    }
}

/// One file to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckoutEdit {
    /// Relative to the checkout, with `/`.
    pub path: String,
    /// What must be there now.
    pub expect: FileState,
    /// What shall be there.
    pub write: FileState,
}

/// All edits were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The edits that undo it, in the order to apply them.
    pub undo: Vec<CheckoutEdit>,
}

/// Why nothing, or not everything, was written; messages read after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error("write {path}: it is not as expected any more; look at its present text and accept again")]
    Conflict { path: String },
    #[error("write {path}: {reason}")]
    Refused { path: String, reason: &'static str },
    #[error("{action} {path}: {source}")]
    Io { action: &'static str, path: String, source: io::Error },
    #[error("{cause}; and then to put back {}: their earlier content is in this error", paths(.unrestored))]
    Incomplete {
        cause: Box<ApplyError>,
        /// Files that keep their new content because putting the old back failed too.
        unrestored: Vec<CheckoutEdit>,
    },
}

/// Makes all edits, or none as far as the file system allows.
///
/// Files are replaced as a whole and durably; permissions beyond the executable bit are kept. Missing folders are
/// created, and folders that become empty by a deletion are removed. An edit whose `expect` equals its `write` only
/// checks.
///
/// # Errors
/// [`ApplyError::Conflict`] names the first path that is not as expected, [`ApplyError::Refused`] one that is
/// absolute, leaves the checkout, passes through a symbolic link, belongs to git, or is named twice.
/// [`ApplyError::Incomplete`] when putting back failed as well.
pub fn apply(workdir: &Path, edits: Vec<CheckoutEdit>) -> Result<Applied, ApplyError> {
    check_all(workdir, &edits)?;
    // Deletions first, deepest first, so that a folder can become a file; then files from the top.
    let (mut removals, mut writes): (Vec<_>, Vec<_>) =
        edits.into_iter().partition(|edit| edit.write == FileState::Absent);
    removals.sort_by(|left, right| right.path.cmp(&left.path));
    writes.sort_by(|left, right| left.path.cmp(&right.path));
    let mut done: Vec<CheckoutEdit> = Vec::new();
    for edit in removals.into_iter().chain(writes) {
        let made = place::resolve(workdir, &edit.path).and_then(|place| write::replace(workdir, &place, &edit));
        match made {
            Ok(()) => done.push(CheckoutEdit { path: edit.path, expect: edit.write, write: edit.expect }),
            Err(cause) => return Err(put_back(workdir, done, cause)),
        }
    }
    done.reverse();
    Ok(Applied { undo: done })
}

/// Checks names and expectations of all edits without writing.
fn check_all(workdir: &Path, edits: &[CheckoutEdit]) -> Result<(), ApplyError> {
    let removed: Vec<&str> =
        edits.iter().filter(|edit| edit.write == FileState::Absent).map(|edit| edit.path.as_str()).collect();
    let mut seen = std::collections::BTreeSet::new();
    for edit in edits {
        if !seen.insert(edit.path.as_str()) {
            return Err(ApplyError::Refused { path: edit.path.clone(), reason: "two edits name it" });
        }
        let place = match place::resolve(workdir, &edit.path) {
            Ok(place) => place,
            // The file that stands where a folder must be goes with the same edits.
            Err(error) if edit.expect == FileState::Absent => {
                let freed =
                    removed.iter().any(|gone| edit.path.strip_prefix(gone).is_some_and(|rest| rest.starts_with('/')));
                if freed && place::is_valid(&edit.path) { continue } else { return Err(error) }
            }
            Err(error) => return Err(error),
        };
        // A folder whose files all go leaves room for a file of its name.
        let makes_room = edit.expect == FileState::Absent && place::only_holds(workdir, &place, &removed);
        if !makes_room && place::state_at(&place, &edit.path)? != edit.expect {
            return Err(ApplyError::Conflict { path: edit.path.clone() });
        }
    }
    Ok(())
}

fn put_back(workdir: &Path, done: Vec<CheckoutEdit>, cause: ApplyError) -> ApplyError {
    let mut unrestored = Vec::new();
    for edit in done.into_iter().rev() {
        let restored = place::resolve(workdir, &edit.path).and_then(|place| write::replace(workdir, &place, &edit));
        if restored.is_err() {
            unrestored.push(edit);
        }
    }
    if unrestored.is_empty() { cause } else { ApplyError::Incomplete { cause: Box::new(cause), unrestored } }
}

fn paths(edits: &[CheckoutEdit]) -> String {
    edits.iter().map(|edit| edit.path.as_str()).collect::<Vec<_>>().join(", ")
}
