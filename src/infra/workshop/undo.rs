//! What was last written into the checkout, kept on disk so that any front end can take it back, also later.

use crate::domain::hunks::HunkId;
use crate::engine::ports::{PortError, PortResult};
use crate::infra::checkout::{self, CheckoutEdit, FileMode, FileState};
use crate::infra::durable::atomic_write;
use crate::protocol::engine_api::AcceptReply;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// How many writes can be taken back, one after the other.
const KEPT: usize = 50;

/// A folder of numbered files, one per write.
pub(super) struct UndoLog {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    hunks: Vec<HunkId>,
    edits: Vec<Image>,
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
            FileState::Present { bytes, mode } => Self {
                bytes: Some(bytes.clone()),
                mode: match mode {
                    FileMode::Regular => 0o100_644,
                    FileMode::Executable => 0o100_755,
                    FileMode::Symlink => 0o120_000,
                },
            },
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

impl UndoLog {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
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

    /// Keeps what takes a write back.
    pub(super) fn keep(&self, hunks: &[HunkId], undo: &[CheckoutEdit]) -> PortResult<()> {
        let image = |edit: &CheckoutEdit| Image {
            path: edit.path.clone(),
            expect: Side::of(&edit.expect),
            write: Side::of(&edit.write),
        };
        let entry = Entry { hunks: hunks.to_vec(), edits: undo.iter().map(image).collect() };
        let numbers = self.numbers();
        let number = numbers.last().map_or(1, |last| last + 1);
        let bytes =
            serde_json::to_vec(&entry).map_err(|error| PortError::new(format!("keep what undo needs: {error}")))?;
        std::fs::create_dir_all(&self.folder)
            .and_then(|()| atomic_write(&self.path(number), &bytes))
            .map_err(|error| PortError::new(format!("keep what undo needs in {}: {error}", self.folder.display())))?;
        for old in numbers.iter().rev().skip(KEPT - 1) {
            let _ = std::fs::remove_file(self.path(*old));
        }
        Ok(())
    }

    /// Takes the last write back, when the files are still as it left them.
    pub(super) fn undo(&self, workdir: &Path) -> PortResult<AcceptReply> {
        let nothing =
            || PortError { data: true, ..PortError::new("undo: nothing was accepted here that could be taken back") };
        let number = self.numbers().pop().ok_or_else(nothing)?;
        let path = self.path(number);
        let bytes =
            std::fs::read(&path).map_err(|error| PortError::new(format!("read {}: {error}", path.display())))?;
        let entry: Entry = serde_json::from_slice(&bytes)
            .map_err(|error| PortError::new(format!("understand {}: {error}", path.display())))?;
        let edit = |image: &Image| CheckoutEdit {
            path: image.path.clone(),
            expect: image.expect.to_state(),
            write: image.write.to_state(),
        };
        let edits = entry.edits.iter().map(edit).collect();
        checkout::apply(workdir, edits).map_err(|error| {
            PortError { data: true, ..PortError::new(format!("undo: {error}")) }
                .with_hint("the file changed since it was accepted; take the change out by hand")
        })?;
        std::fs::remove_file(&path).map_err(|error| PortError::new(format!("remove {}: {error}", path.display())))?;
        let written = entry.edits.into_iter().map(|image| image.path).collect();
        Ok(AcceptReply { hunks: entry.hunks, written, conflicts: Vec::new() })
    }
}
