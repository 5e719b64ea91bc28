//! What a commit holds: the files of its parent with the accepted hunks in them.

use super::refused;
use crate::domain::hunks::HunkId;
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

    /// Puts the accepted hunks of a step in; tells whether that changed anything.
    ///
    /// # Errors
    ///
    /// Names the first file they do not fit; then nothing of the step is in.
    pub(super) fn put(&self, step: &Step<'_>, what: &str) -> PortResult<bool> {
        let mut edits = Vec::new();
        for change in &step.changes {
            let place = Place::look(&|path| self.read(path), change)?;
            if !place.concerns(&step.accepted) {
                continue;
            }
            if change.old_mode == SUBMODULE || change.new_mode == SUBMODULE {
                return Err(submodule(&change.path));
            }
            // Nothing of the proposal is known to be there; what is not accepted is expected to be absent.
            let wanted = step.accepted.clone();
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

    /// Puts all steps of a task in, or none of them.
    pub(super) fn put_all(&self, steps: &[&Step<'_>], what: &str) -> PortResult<bool> {
        let before = self.over.borrow().clone();
        let mut changed = false;
        for step in steps {
            match self.put(step, what) {
                Ok(put) => changed |= put,
                Err(error) => {
                    self.over.replace(before);
                    return Err(error);
                }
            }
        }
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

/// What was accepted of one round of a task, with the files it changes.
pub(super) struct Step<'a> {
    task: &'a TaskId,
    accepted: BTreeSet<HunkId>,
    changes: Vec<FileChange>,
    /// Whether a later round of the task follows.
    is_earlier: bool,
    /// Files whose accepted text is not in them any more, and that no later step changes.
    gone: Vec<String>,
}

impl<'a> Step<'a> {
    /// Returns the steps of an order, in the order to put them in. What was taken out of a file again is left out where
    /// a later step says what the file is, and after an earlier round.
    ///
    /// # Errors
    ///
    /// When a commit of the order is not there any more.
    fn all(inside: &Inside, parts: &'a [LandPart]) -> PortResult<Vec<Self>> {
        let mut steps = Vec::new();
        for part in parts {
            for (at, round) in part.rounds.iter().enumerate() {
                steps.push(Self {
                    task: &part.task,
                    accepted: round.accepted.clone(),
                    changes: inside.changes(&round.base, &round.head)?,
                    is_earlier: at + 1 < part.rounds.len(),
                    gone: Vec::new(),
                });
            }
        }
        for at in 0..steps.len() {
            let (lacking, gone) = steps[at].taken_out(inside, &steps[at + 1..])?;
            steps[at].accepted.retain(|hunk| !lacking.contains(hunk));
            steps[at].gone = gone;
        }
        Ok(steps)
    }

    /// Returns the hunks that may be left out, and the files that may not.
    fn taken_out(&self, inside: &Inside, later: &[Self]) -> PortResult<(BTreeSet<HunkId>, Vec<String>)> {
        let (mut lacking, mut gone) = (BTreeSet::new(), Vec::new());
        for change in &self.changes {
            let place = Place::look(&|path| on_disk_now(inside, path), change)?;
            if !place.concerns(&self.accepted) {
                continue;
            }
            let again = |other: &FileChange| {
                other.path == change.path || other.old_path.as_deref() == Some(change.path.as_str())
            };
            let hunks = place.lacking(&self.accepted);
            if self.is_earlier || later.iter().flat_map(|step| &step.changes).any(again) {
                lacking.extend(hunks);
            } else if !hunks.is_empty() {
                gone.push(change.path.clone());
            }
        }
        Ok((lacking, gone))
    }
}

impl Plan {
    /// Decides what goes in over `parent`.
    ///
    /// # Errors
    ///
    /// When nothing does, or, with a strict order, when something does not.
    pub(super) fn make(inside: &Inside, order: &LandOrder, parent: &str) -> PortResult<Self> {
        let steps = Step::all(inside, &order.parts)?;
        let below = |path: &str| Ok(inside.repository.entry(parent, path)?);
        let files = Layered::new(inside, &below);
        let (mut landed, mut left_out) = (Vec::new(), Vec::new());
        let mut refusal = None;
        for part in &order.parts {
            match still_there(part, &steps).and_then(|mine| files.put_all(&mine, "the last commit")) {
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

    /// Puts what is landed into other files than the parent's.
    ///
    /// # Errors
    ///
    /// As [`Layered::put`].
    pub(super) fn repeat(
        &self,
        inside: &Inside,
        parts: &[LandPart],
        files: &Layered<'_>,
        what: &str,
    ) -> PortResult<()> {
        let steps = Step::all(inside, parts)?;
        let mut landed = steps.iter().filter(|step| self.landed.contains(step.task));
        landed.try_for_each(|step| files.put(step, what).map(|_| ()))
    }

    pub(super) fn tasks(&self) -> Vec<TaskId> {
        self.landed.clone()
    }
}

/// Returns the steps of a task.
///
/// # Errors
///
/// When what was accepted last is not in the files any more.
fn still_there<'s, 'a>(part: &LandPart, steps: &'s [Step<'a>]) -> PortResult<Vec<&'s Step<'a>>> {
    let mine: Vec<&Step<'_>> = steps.iter().filter(|step| *step.task == part.task).collect();
    match mine.iter().flat_map(|step| &step.gone).next() {
        Some(path) => {
            let hint = format!("`ralph-sidecar land {} --tree` writes it again", part.task);
            Err(refused(format!("land {path}: what was accepted of it is not in the file any more"), &hint))
        }
        None => Ok(mine),
    }
}

fn submodule(path: &str) -> PortError {
    refused(format!("land {path}: it is a submodule"), "commit it inside the submodule, and then here by hand")
}
