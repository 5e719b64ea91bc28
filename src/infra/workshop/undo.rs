//! What can be taken back, newest first, kept on disk so that any front end can do it, also after a restart.

use super::Inside;
use super::commit::{self, LandingRecord};
use super::landing::{Written, git_mode};
use crate::domain::hunks::HunkId;
use crate::domain::task::TaskId;
use crate::engine::ports::{PortError, PortResult, TakenBack};
use crate::infra::checkout::{self, ApplyError, CheckoutEdit, FileMode, FileState};
use crate::infra::durable::atomic_write;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// How many things can be taken back, one after the other.
const KEPT: usize = 50;

/// A folder of numbered files, one per thing that was done.
pub(super) struct UndoLog {
    folder: PathBuf,
    /// Held while a number is taken: an accept and a landing may end at the same time.
    numbering: Mutex<()>,
}

/// What was done. Written by an older version, an accept has its hunks and edits beside `files`, as one file.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Entry {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hunks: Vec<HunkId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    edits: Vec<Image>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<FileImages>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected: Option<Rejected>,
    #[serde(skip_serializing_if = "Option::is_none")]
    landing: Option<LandingRecord>,
}

/// What was written for one file of a proposal; a moved file has two images.
#[derive(Serialize, Deserialize)]
struct FileImages {
    hunks: Vec<HunkId>,
    edits: Vec<Image>,
}

#[derive(Serialize, Deserialize)]
struct Rejected {
    task: TaskId,
    hunks: Vec<HunkId>,
}

#[derive(Serialize, Deserialize)]
struct Image {
    path: String,
    expect: Side,
    write: Side,
}

#[derive(Serialize, Deserialize)]
struct Side {
    bytes: Option<Vec<u8>>,
    /// Git's mode.
    mode: u32,
}

impl Side {
    fn of(state: &FileState) -> Self {
        match state {
            FileState::Absent => Self { bytes: None, mode: 0 },
            FileState::Present { bytes, mode } => Self { bytes: Some(bytes.clone()), mode: git_mode(*mode) },
        }
    }

    fn to_state(&self) -> FileState {
        match &self.bytes {
            None => FileState::Absent,
            Some(bytes) => FileState::Present {
                bytes: bytes.clone(),
                mode: FileMode::from_git(self.mode).unwrap_or(FileMode::Regular),
            },
        }
    }
}

impl Image {
    fn of(edit: &CheckoutEdit) -> Self {
        Self { path: edit.path.clone(), expect: Side::of(&edit.expect), write: Side::of(&edit.write) }
    }

    fn to_edit(&self) -> CheckoutEdit {
        CheckoutEdit { path: self.path.clone(), expect: self.expect.to_state(), write: self.write.to_state() }
    }
}

impl Entry {
    /// Makes the entry of a write; `undo` are the edits that take it back.
    pub(super) fn of_accept(files: &[Written], undo: &[CheckoutEdit]) -> Self {
        let images = |file: &Written| FileImages {
            hunks: file.hunks.clone(),
            edits: undo.iter().filter(|edit| file.paths.contains(&edit.path)).map(Image::of).collect(),
        };
        Self { files: files.iter().map(images).collect(), ..Self::default() }
    }

    /// Makes the entry of a rejection.
    pub(super) fn of_rejection(task: TaskId, hunks: Vec<HunkId>) -> Self {
        Self { rejected: Some(Rejected { task, hunks }), ..Self::default() }
    }

    /// Makes the entry of a landing.
    pub(super) fn of_landing(landing: LandingRecord) -> Self {
        Self { landing: Some(landing), ..Self::default() }
    }

    fn into_files(self) -> Vec<FileImages> {
        let mut files = self.files;
        if !self.edits.is_empty() {
            files.push(FileImages { hunks: self.hunks, edits: self.edits });
        }
        files
    }
}

impl UndoLog {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, numbering: Mutex::default() }
    }

    /// Tells whether this landing can be taken back.
    pub(super) fn has_landing(&self, commit: &str) -> bool {
        let read = |number: &u64| std::fs::read(self.path(*number)).ok();
        let entry = |number: &u64| serde_json::from_slice::<Entry>(&read(number)?).ok();
        let of_it = |entry: Entry| entry.landing.is_some_and(|record| record.landing.commit == commit);
        self.numbers().iter().rev().filter_map(entry).any(of_it)
    }

    /// Returns the numbers of the entries, oldest first.
    fn numbers(&self) -> Vec<u64> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.strip_suffix(".json")?.parse().ok();
        let mut numbers: Vec<u64> = entries.filter_map(number).collect();
        numbers.sort_unstable();
        numbers
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number}.json"))
    }

    /// Keeps what takes something back.
    pub(super) fn keep(&self, entry: &Entry) -> PortResult<()> {
        let _one_at_a_time = self.numbering.lock().unwrap_or_else(PoisonError::into_inner);
        let numbers = self.numbers();
        let number = numbers.last().map_or(1, |last| last + 1);
        let bytes =
            serde_json::to_vec(entry).map_err(|error| PortError::new(format!("keep what undo needs: {error}")))?;
        std::fs::create_dir_all(&self.folder)
            .and_then(|()| atomic_write(&self.path(number), &bytes))
            .map_err(|error| PortError::new(format!("keep what undo needs in {}: {error}", self.folder.display())))?;
        for old in numbers.iter().rev().skip(KEPT - 1) {
            let _ = std::fs::remove_file(self.path(*old));
        }
        Ok(())
    }

    fn newest(&self) -> PortResult<(PathBuf, Entry)> {
        let number = self.numbers().pop().ok_or_else(|| {
            data("undo: nothing was accepted, rejected or landed here that could be taken back".to_owned())
        })?;
        let path = self.path(number);
        let bytes =
            std::fs::read(&path).map_err(|error| PortError::new(format!("read {}: {error}", path.display())))?;
        let entry = serde_json::from_slice(&bytes)
            .map_err(|error| PortError::new(format!("understand {}: {error}", path.display())))?;
        Ok((path, entry))
    }
}

/// Takes back the newest thing that was done.
pub(super) fn take_back(inside: &Inside, landing: bool) -> PortResult<TakenBack> {
    let (path, mut entry) = inside.undo.newest()?;
    if landing && entry.landing.is_none() {
        return Err(data("undo the landing: the newest that can be taken back is an accept or a rejection".to_owned())
            .with_hint("`ralph-sidecar undo` takes that back first; or `git revert` the commit"));
    }
    let taken = if let Some(record) = entry.landing.take() {
        TakenBack::Landing(commit::undo(inside, record)?)
    } else if let Some(Rejected { task, hunks }) = entry.rejected.take() {
        TakenBack::Rejection { task, hunks }
    } else {
        restore(inside.repository.workdir(), &entry.into_files())?
    };
    std::fs::remove_file(&path).map_err(|error| PortError::new(format!("remove {}: {error}", path.display())))?;
    Ok(taken)
}

/// Puts files back: all at once where every one is as the write left it, else each that is.
fn restore(workdir: &Path, files: &[FileImages]) -> PortResult<TakenBack> {
    let edits = |file: &FileImages| file.edits.iter().map(Image::to_edit).collect::<Vec<_>>();
    let failed = |error: ApplyError| {
        data(format!("undo: {error}")).with_hint("the file changed since it was accepted; take the change out by hand")
    };
    let mut back: Vec<&FileImages> = files.iter().collect();
    let mut kept: Vec<String> = Vec::new();
    match checkout::apply(workdir, files.iter().flat_map(edits).collect()) {
        Ok(_) => {}
        Err(error @ ApplyError::Incomplete { .. }) => return Err(failed(error)),
        Err(error) => {
            // What somebody changed since is theirs; the files beside it are still what the write left.
            back.retain(|file| {
                let done = checkout::apply(workdir, edits(file)).is_ok();
                if !done {
                    kept.extend(file.edits.iter().map(|image| image.path.clone()));
                }
                done
            });
            if back.iter().all(|file| file.edits.is_empty()) {
                return Err(failed(error));
            }
        }
    }
    let restored = back.iter().flat_map(|file| &file.edits).map(|image| image.path.clone()).collect();
    let hunks = back.iter().flat_map(|file| file.hunks.iter().cloned()).collect();
    Ok(TakenBack::Files { hunks, restored, kept })
}

fn data(message: String) -> PortError {
    PortError { data: true, ..PortError::new(message) }
}
