//! Accepted hunks into the checkout's files, and whether they are there.

use super::proposed::ProposedFile;
use super::undo::Entry;
use super::{Inside, texts_of};
use crate::domain::hunks::{FileVersion, Hunk, HunkId, HunkKind, file_hunks, read_version};
use crate::domain::review::{FileNow, HunkState, Mapped, accept_all, file_level_state, map_hunks};
use crate::engine::ports::{PortError, PortResult};
use crate::infra::checkout::{self, CheckoutEdit, FileMode, FileState, read_state};
use crate::infra::repository::FileChange;
use crate::protocol::engine_api::AcceptReply;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

/// What a person decided, and what they want now.
pub(super) struct Choice {
    pub accepted: BTreeSet<HunkId>,
    pub rejected: BTreeSet<HunkId>,
    pub wanted: BTreeSet<HunkId>,
}

/// What was written for one file of a proposal.
pub(super) struct Written {
    pub hunks: Vec<HunkId>,
    pub paths: Vec<String>,
}

/// A file of a proposal and what is in its place now.
pub(super) struct Place<'a> {
    change: &'a FileChange,
    hunks: Cow<'a, [Hunk]>,
    /// At the new path.
    now: FileState,
    /// At the old path of a rename.
    old_now: FileState,
}

const CONFLICT: &str = "the text there is not what the proposal was made for; send it back to have it redone";

pub(super) fn write(inside: &Inside, proposed: &[ProposedFile], choice: &Choice) -> PortResult<AcceptReply> {
    let mut edits = Vec::new();
    let mut reply = AcceptReply::default();
    let mut files: Vec<Written> = Vec::new();
    for file in proposed.iter().filter(|file| file.concerns(&choice.wanted)) {
        let place = Place::of(&|path| on_disk_now(inside, path), file)?;
        let (hunks, paths) = (reply.hunks.len(), edits.len());
        place.plan(choice, &mut edits, &mut reply);
        let paths = edits[paths..].iter().map(|edit: &CheckoutEdit| edit.path.clone()).collect();
        files.push(Written { hunks: reply.hunks[hunks..].to_vec(), paths });
    }
    if !edits.is_empty() {
        let workdir = inside.repository.workdir();
        let applied = checkout::apply(workdir, edits.clone()).map_err(|error| {
            PortError { data: true, ..PortError::new(error.to_string()) }.with_hint("nothing was written; try again")
        })?;
        inside.undo.keep(&Entry::of_accept(&files, &applied.undo))?;
        reply.written = edits.into_iter().map(|edit| edit.path).collect();
    }
    Ok(reply)
}

/// Returns which of the hunks that are not decided could not be written now, with the reason.
pub(super) fn misfits(
    inside: &Inside,
    proposed: &[ProposedFile],
    accepted: &BTreeSet<HunkId>,
    rejected: &BTreeSet<HunkId>,
) -> PortResult<Vec<(HunkId, String)>> {
    let mut reply = AcceptReply::default();
    for file in proposed {
        let place = Place::of(&|path| on_disk_now(inside, path), file)?;
        let decided: BTreeSet<HunkId> = accepted.union(rejected).cloned().collect();
        let (accepted, rejected) = (accepted.clone(), rejected.clone());
        place.plan(&Choice { accepted, rejected, wanted: place.others(&decided) }, &mut Vec::new(), &mut reply);
    }
    Ok(reply.conflicts)
}

/// Returns which of the accepted hunks are in the files now.
pub(super) fn on_disk(
    inside: &Inside,
    proposed: &[ProposedFile],
    accepted: &BTreeSet<HunkId>,
) -> PortResult<BTreeSet<HunkId>> {
    let mut found = BTreeSet::new();
    for file in proposed.iter().filter(|file| file.concerns(accepted)) {
        let place = Place::of(&|path| on_disk_now(inside, path), file)?;
        let (current, _) = place.current();
        for mapped in place.map(accepted, &BTreeSet::new(), &current) {
            if mapped.state == HunkState::Accepted {
                found.insert(mapped.hunk);
            }
        }
        for hunk in place.hunks.iter().filter(|hunk| !hunk.is_text()) {
            if place.whole_file_state(hunk) == HunkState::Accepted || place.is_later_than(hunk, accepted) {
                found.insert(hunk.id.clone());
            }
        }
    }
    Ok(found)
}

/// Reads a file of the checkout.
pub(super) fn on_disk_now(inside: &Inside, path: &str) -> PortResult<FileState> {
    read_state(inside.repository.workdir(), path).map_err(|error| PortError::new(error.to_string()))
}

impl<'a> Place<'a> {
    /// Tells whether any of these hunks is one of the file's.
    pub(super) fn concerns(&self, hunks: &BTreeSet<HunkId>) -> bool {
        self.hunks.iter().any(|hunk| hunks.contains(&hunk.id))
    }

    /// Returns the file's other hunks.
    pub(super) fn others(&self, hunks: &BTreeSet<HunkId>) -> BTreeSet<HunkId> {
        self.hunks.iter().map(|hunk| hunk.id.clone()).filter(|id| !hunks.contains(id)).collect()
    }

    /// Returns the accepted hunks that were taken out again: the old text is there.
    pub(super) fn lacking(&self, accepted: &BTreeSet<HunkId>) -> BTreeSet<HunkId> {
        let old = |state: HunkState| matches!(state, HunkState::Pending | HunkState::Reverted);
        let (current, _) = self.current();
        let mapped = self.map(accepted, &self.others(accepted), &current);
        let lines = mapped.into_iter().filter(|mapped| old(mapped.state)).map(|mapped| mapped.hunk);
        let whole = self.hunks.iter().filter(|hunk| !hunk.is_text() && accepted.contains(&hunk.id));
        lines.chain(whole.filter(|hunk| old(self.whole_file_state(hunk))).map(|hunk| hunk.id.clone())).collect()
    }

    /// Looks at the file wherever `read` finds it: on disk, in a commit, in the index.
    pub(super) fn look(read: &dyn Fn(&str) -> PortResult<FileState>, change: &'a FileChange) -> PortResult<Self> {
        Self::with(read, change, Cow::Owned(file_hunks(&texts_of(change))))
    }

    /// As [`Place::look`], with hunks that are known.
    fn of(read: &dyn Fn(&str) -> PortResult<FileState>, file: &'a ProposedFile) -> PortResult<Self> {
        Self::with(read, &file.change, Cow::Borrowed(&file.hunks))
    }

    fn with(
        read: &dyn Fn(&str) -> PortResult<FileState>,
        change: &'a FileChange,
        hunks: Cow<'a, [Hunk]>,
    ) -> PortResult<Self> {
        let old_now = match change.old_path.as_deref().filter(|old| *old != change.path) {
            Some(old) => read(old)?,
            None => FileState::Absent,
        };
        Ok(Self { change, hunks, now: read(&change.path)?, old_now })
    }

    /// Returns the text the text hunks belong into, and whether it is still at the old path.
    fn current(&self) -> (String, bool) {
        let text = |state: &FileState| match state {
            FileState::Present { bytes, .. } => String::from_utf8_lossy(bytes).into_owned(),
            FileState::Absent => String::new(),
        };
        if self.now == FileState::Absent && self.old_now != FileState::Absent {
            (text(&self.old_now), true)
        } else {
            (text(&self.now), false)
        }
    }

    fn base_text(&self) -> &str {
        match read_version(self.change.old.as_deref()) {
            FileVersion::Text(text) => text,
            _ => "",
        }
    }

    fn map(&self, accepted: &BTreeSet<HunkId>, rejected: &BTreeSet<HunkId>, current: &str) -> Vec<Mapped> {
        if self.hunks.iter().any(Hunk::is_text) {
            map_hunks(self.base_text(), &self.hunks, accepted, rejected, current)
        } else {
            Vec::new()
        }
    }

    fn whole_file_state(&self, hunk: &Hunk) -> HunkState {
        let side = |state: &'_ FileState| match state {
            FileState::Present { bytes, mode } => (Some(bytes.clone()), Some(git_mode(*mode))),
            FileState::Absent => (None, None),
        };
        let (bytes, mode) = side(&self.now);
        let (old_bytes, _) = side(&self.old_now);
        file_level_state(hunk, &FileNow { bytes: bytes.as_deref(), mode, old_path_bytes: old_bytes.as_deref() })
    }

    /// Tells whether an accepted new file is there, though edited since.
    fn is_later_than(&self, hunk: &Hunk, accepted: &BTreeSet<HunkId>) -> bool {
        hunk.kind == HunkKind::Create && accepted.contains(&hunk.id) && self.now != FileState::Absent
    }

    /// Adds the edits that put the wanted hunks in, and says what became of each.
    pub(super) fn plan(&self, choice: &Choice, edits: &mut Vec<CheckoutEdit>, reply: &mut AcceptReply) {
        let (current, at_old_path) = self.current();
        let mut move_it = false;
        let mut mode = None;
        let mut whole: Option<FileState> = None;
        for hunk in self.hunks.iter().filter(|hunk| !hunk.is_text() && choice.wanted.contains(&hunk.id)) {
            match self.whole_file_state(hunk) {
                HunkState::Accepted => reply.hunks.push(hunk.id.clone()),
                HunkState::Pending | HunkState::Reverted => {
                    reply.hunks.push(hunk.id.clone());
                    match hunk.kind {
                        HunkKind::Rename => move_it = true,
                        HunkKind::Mode => mode = hunk.new_mode.and_then(FileMode::from_git),
                        HunkKind::Create | HunkKind::Binary | HunkKind::Delete => whole = Some(self.proposed()),
                        HunkKind::Text => {}
                    }
                }
                HunkState::Conflict => reply.conflicts.push((hunk.id.clone(), format!("{}: {CONFLICT}", hunk.path))),
            }
        }
        let mapping = self.map(&choice.accepted, &choice.rejected, &current);
        let by_id: HashMap<&HunkId, &Hunk> = self.hunks.iter().map(|hunk| (&hunk.id, hunk)).collect();
        let mut pairs: Vec<(&Mapped, &Hunk)> = Vec::new();
        for mapped in mapping.iter().filter(|mapped| choice.wanted.contains(&mapped.hunk)) {
            let Some(hunk) = by_id.get(&mapped.hunk).copied() else { continue };
            match mapped.state {
                HunkState::Accepted => reply.hunks.push(hunk.id.clone()),
                HunkState::Pending | HunkState::Reverted => {
                    reply.hunks.push(hunk.id.clone());
                    pairs.push((mapped, hunk));
                }
                HunkState::Conflict => reply.conflicts.push((hunk.id.clone(), format!("{}: {CONFLICT}", hunk.path))),
            }
        }
        if let Some(write) = whole {
            push(edits, &self.change.path, &self.now, write);
            return;
        }
        if pairs.is_empty() && !move_it && mode.is_none() {
            return;
        }
        let text = accept_all(&current, &pairs);
        let source = if at_old_path { &self.old_now } else { &self.now };
        let FileState::Present { bytes, mode: old_mode } = source else { return };
        // Bytes that are not text are moved as they are.
        let bytes = if pairs.is_empty() { bytes.clone() } else { text.into_bytes() };
        let write = FileState::Present { bytes, mode: mode.unwrap_or(*old_mode) };
        match self.change.old_path.as_deref().filter(|_| at_old_path) {
            Some(old) if move_it => {
                push(edits, old, &self.old_now, FileState::Absent);
                push(edits, &self.change.path, &self.now, write);
            }
            Some(old) => push(edits, old, &self.old_now, write),
            None => push(edits, &self.change.path, &self.now, write),
        }
    }

    /// Returns the file as the proposal has it.
    fn proposed(&self) -> FileState {
        match &self.change.new {
            None => FileState::Absent,
            Some(bytes) => FileState::Present {
                bytes: bytes.clone(),
                mode: FileMode::from_git(self.change.new_mode).unwrap_or(FileMode::Regular),
            },
        }
    }
}

fn push(edits: &mut Vec<CheckoutEdit>, path: &str, expect: &FileState, write: FileState) {
    if *expect != write {
        edits.push(CheckoutEdit { path: path.to_owned(), expect: expect.clone(), write });
    }
}

pub(super) fn git_mode(mode: FileMode) -> u32 {
    match mode {
        FileMode::Regular => 0o100_644,
        FileMode::Executable => 0o100_755,
        FileMode::Symlink => 0o120_000,
    }
}
