//! What a commit holds: the files of its parent with the accepted hunks in them.

use super::refused;
use crate::domain::task::TaskId;
use crate::engine::ports::{LandOrder, LandPart, PortError, PortResult};
use crate::infra::checkout::{FileMode, FileState};
use crate::infra::repository::{BlobEntry, FileChange};
use crate::infra::workshop::Inside;
use crate::infra::workshop::landing::{Choice, Place, git_mode, on_disk_now};
use crate::protocol::engine_api::AcceptReply;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Git's mode of a submodule.
const SUBMODULE: u32 = 0o160_000;

/// What is to be committed over a parent.
pub(super) struct Plan {
    pub parent: String,
    /// The paths that differ from the parent.
    pub entries: Vec<(String, Option<BlobEntry>)>,
    /// Tasks that are in it, in the order they were put in.
    pub landed: Vec<TaskId>,
    pub left_out: Vec<(TaskId, String)>,
}

/// Files as something else has them, with edits over them.
pub(super) struct Layered<'a> {
    below: &'a dyn Fn(&str) -> PortResult<Option<BlobEntry>>,
    inside: &'a Inside,
    over: RefCell<BTreeMap<String, FileState>>,
}

impl<'a> Layered<'a> {
    pub(super) fn new(inside: &'a Inside, below: &'a dyn Fn(&str) -> PortResult<Option<BlobEntry>>) -> Self {
        Self { below, inside, over: RefCell::default() }
    }

    /// Writes a file as an object.
    pub(super) fn entry_of(&self, state: &FileState) -> PortResult<Option<BlobEntry>> {
        match state {
            FileState::Absent => Ok(None),
            FileState::Present { bytes, mode } => {
                let id = self.inside.repository.write_blob(bytes)?;
                Ok(Some(BlobEntry { id, mode: git_mode(*mode) }))
            }
        }
    }

    /// Returns the file with the edits.
    pub(super) fn read(&self, path: &str) -> PortResult<FileState> {
        if let Some(state) = self.over.borrow().get(path) {
            return Ok(state.clone());
        }
        match (self.below)(path)? {
            None => Ok(FileState::Absent),
            Some(entry) => {
                let mode = FileMode::from_git(entry.mode).ok_or_else(|| submodule(path))?;
                Ok(FileState::Present { bytes: self.inside.repository.read_blob(&entry.id)?, mode })
            }
        }
    }

    /// Puts the accepted hunks of a task in; tells whether that changed anything.
    ///
    /// # Errors
    ///
    /// Names the first file they do not fit; then nothing of the task is in.
    pub(super) fn put(&self, part: &LandPart, changes: &[FileChange], what: &str) -> PortResult<bool> {
        let mut edits = Vec::new();
        for change in changes {
            let place = Place::look(&|path| self.read(path), change)?;
            if !place.concerns(&part.accepted) {
                continue;
            }
            if change.old_mode == SUBMODULE || change.new_mode == SUBMODULE {
                return Err(submodule(&change.path));
            }
            // Nothing of the proposal is known to be there; what is not accepted is expected to be absent.
            let wanted = part.accepted.clone();
            let choice = Choice { accepted: BTreeSet::new(), rejected: place.others(&wanted), wanted };
            let mut reply = AcceptReply::default();
            place.plan(&choice, &mut edits, &mut reply);
            if !reply.conflicts.is_empty() {
                return Err(self.misfit(change, what)?);
            }
        }
        let changed = !edits.is_empty();
        self.over.borrow_mut().extend(edits.into_iter().map(|edit| (edit.path, edit.write)));
        Ok(changed)
    }

    fn misfit(&self, change: &FileChange, what: &str) -> PortResult<PortError> {
        let path = &change.path;
        let old = change.old_path.as_deref().unwrap_or(path);
        let missing =
            change.old.is_some() && self.read(path)? == FileState::Absent && self.read(old)? == FileState::Absent;
        Ok(if missing {
            refused(
                format!("land {path}: {what} does not have it, though the proposal changes it"),
                "commit the file first, or land the task that made it with this one",
            )
        } else {
            refused(
                format!("land {path}: {what} has another text where the proposal changes it"),
                "commit what was there before the task began, or land the tasks it was built on with it",
            )
        })
    }

    /// Returns the paths that differ from what is below, as objects.
    pub(super) fn entries(&self) -> PortResult<Vec<(String, Option<BlobEntry>)>> {
        let mut entries = Vec::new();
        for (path, state) in self.over.borrow().iter() {
            let entry = self.entry_of(state)?;
            if (self.below)(path)? != entry {
                entries.push((path.clone(), entry));
            }
        }
        Ok(entries)
    }
}

impl Plan {
    /// Decides what goes in over `parent`.
    ///
    /// # Errors
    ///
    /// When nothing does, or, with a strict order, when something does not.
    pub(super) fn make(inside: &Inside, order: &LandOrder, parent: &str) -> PortResult<Self> {
        let changes = order.parts.iter().map(|part| inside.changes(&part.base, &part.head));
        let changes: Vec<Vec<FileChange>> = changes.collect::<PortResult<_>>()?;
        let below = |path: &str| Ok(inside.repository.entry(parent, path)?);
        let files = Layered::new(inside, &below);
        let (mut landed, mut left_out) = (Vec::new(), Vec::new());
        let mut refusal = None;
        for (at, part) in order.parts.iter().enumerate() {
            let put = taken_out(inside, part, &changes[at], &changes[at + 1..])
                .and_then(|()| files.put(part, &changes[at], "the last commit"));
            match put {
                Ok(true) => landed.push(part.task.clone()),
                // Somebody committed it by hand.
                Ok(false) => {}
                Err(error) if order.strict || !error.data => return Err(error),
                Err(error) => {
                    left_out.push((part.task.clone(), error.message.clone()));
                    refusal.get_or_insert(error);
                }
            }
        }
        let entries = files.entries()?;
        if entries.is_empty() {
            let nothing =
                || refused("land: the last commit has all of it already".to_owned(), "there is nothing left to do");
            return Err(refusal.unwrap_or_else(nothing));
        }
        Ok(Self { parent: parent.to_owned(), entries, landed, left_out })
    }

    pub(super) fn tasks(&self) -> Vec<TaskId> {
        self.landed.clone()
    }
}

/// Refuses a task whose accepted text is not in the files any more; a file that a later task changes again is not
/// looked at.
fn taken_out(inside: &Inside, part: &LandPart, changes: &[FileChange], later: &[Vec<FileChange>]) -> PortResult<()> {
    let again = |path: &str| {
        let mut later = later.iter().flatten();
        later.any(|change| change.path == path || change.old_path.as_deref() == Some(path))
    };
    for change in changes.iter().filter(|change| !again(&change.path)) {
        let place = Place::look(&|path| on_disk_now(inside, path), change)?;
        if place.concerns(&part.accepted) && place.lacks(&part.accepted) {
            let hint = format!("`ralph-sidecar land {} --tree` writes it again", part.task);
            return Err(refused(
                format!("land {}: what was accepted of it is not in the file any more", change.path),
                &hint,
            ));
        }
    }
    Ok(())
}

fn submodule(path: &str) -> PortError {
    refused(format!("land {path}: it is a submodule"), "commit it inside the submodule, and then here by hand")
}
