//! The texts of one proposal, with what is looked up in them: its files by path, its hunks by id.

use super::root::Key;
use crate::domain::event::Mark;
use crate::domain::hunks::{Hunk, HunkId};
use crate::domain::task::TaskId;
use crate::protocol::engine_api::{HunkSummary, ProposalFile, ProposalSummary, ProposalView};
use std::collections::{BTreeSet, HashMap};
use std::ops::Deref;

/// A proposal's texts. They never change; marks come from the snapshot.
pub struct Texts {
    pub key: Key,
    view: ProposalView,
    /// Numbers of the files at a path, before or after a move.
    files: HashMap<String, Vec<usize>>,
    /// Numbers of the file and, in it, of the hunk.
    hunks: HashMap<HunkId, (usize, usize)>,
    /// Where hunks stood in the summary when the texts came. A hint: it is looked whether they still do.
    numbers: HashMap<HunkId, usize>,
    /// Numbers of what a hunk rests on.
    rests_on: HashMap<HunkId, Vec<usize>>,
}

impl Deref for Texts {
    type Target = ProposalView;

    fn deref(&self) -> &ProposalView {
        &self.view
    }
}

impl Texts {
    /// Prepares texts; `summary` has the hunks as the snapshot lists them.
    pub fn new(key: Key, view: ProposalView, summary: &[HunkSummary]) -> Self {
        let mut files: HashMap<String, Vec<usize>> = HashMap::new();
        let mut hunks = HashMap::new();
        for (number, file) in view.files.iter().enumerate() {
            let paths: BTreeSet<&String> = file.old_path.iter().chain([&file.path]).collect();
            for path in paths {
                files.entry(path.clone()).or_default().push(number);
            }
            for (at, (hunk, _)) in file.hunks.iter().enumerate() {
                hunks.insert(hunk.id.clone(), (number, at));
            }
        }
        let numbers = summary.iter().enumerate().map(|(number, hunk)| (hunk.id.clone(), number)).collect();
        let mut rests_on: HashMap<HunkId, Vec<usize>> = HashMap::new();
        for (number, rests) in view.review.rests_on.iter().enumerate() {
            rests_on.entry(rests.hunk.clone()).or_default().push(number);
        }
        Self { key, view, files, hunks, numbers, rests_on }
    }

    /// Returns the files that are or were at a path.
    pub fn files_at(&self, path: &str) -> impl Iterator<Item = &ProposalFile> {
        let numbers = self.files.get(path).map(Vec::as_slice).unwrap_or_default();
        numbers.iter().map(|number| &self.view.files[*number])
    }

    /// Returns all hunks, file by file.
    pub fn all_hunks(&self) -> impl Iterator<Item = &Hunk> {
        self.view.files.iter().flat_map(|file| &file.hunks).map(|(hunk, _)| hunk)
    }

    /// Returns a hunk with its file.
    pub fn hunk(&self, id: &HunkId) -> Option<(&ProposalFile, &Hunk)> {
        let (file, hunk) = self.hunks.get(id)?;
        let file = &self.view.files[*file];
        Some((file, &file.hunks[*hunk].0))
    }

    /// Returns what a summary of this proposal knows of a hunk.
    pub fn known<'a>(&self, summary: &'a ProposalSummary, id: &HunkId) -> Option<&'a HunkSummary> {
        let hinted = self.numbers.get(id).and_then(|number| summary.hunks.get(*number));
        hinted.filter(|known| known.id == *id).or_else(|| summary.hunks.iter().find(|known| known.id == *id))
    }

    /// Returns what a person made of a hunk.
    pub fn mark<'a>(&self, summary: &'a ProposalSummary, id: &HunkId) -> &'a Mark {
        self.known(summary, id).map_or(&Mark::Pending, |known| &known.state)
    }

    /// Returns the tasks with their hunks that a hunk rests on.
    pub fn rests_on(&self, id: &HunkId) -> impl Iterator<Item = (&TaskId, &[HunkId])> {
        let numbers = self.rests_on.get(id).map(Vec::as_slice).unwrap_or_default();
        let rests = numbers.iter().map(|number| &self.view.review.rests_on[*number]);
        rests.map(|rests| (&rests.task, rests.on.as_slice()))
    }
}
