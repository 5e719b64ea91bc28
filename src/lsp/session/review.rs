//! Where the hunks of the proposals stand in the documents as the editor has them, and the edits that accept them.

use super::documents::Document;
use super::root::{Root, marked};
use crate::domain::event::Mark;
use crate::domain::hunks::{Hunk, HunkId, HunkKind};
pub use crate::domain::hunks::{as_diff, describe};
use crate::domain::outcome::Outcome;
use crate::domain::review::{Circumstances, HunkState, Mapped, TextEditLines, edit_for, map_hunks, risk};
use crate::domain::rounds::Comment;
use crate::domain::task::TaskId;
use crate::lsp::convert::Text;
use crate::protocol::engine_api::{HunkSummary, ProposalFile, ProposalSummary, ProposalView};
use lsp_types::{Position, Range, TextEdit};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// A text hunk at its place in an open document.
#[derive(Clone, Debug)]
pub struct Placed {
    pub task: TaskId,
    pub hunk: Hunk,
    /// What a person made of it, as the engine has it.
    pub mark: Mark,
    pub mapped: Mapped,
    /// Another task whose pending hunks it rests on.
    pub waits_for: Option<TaskId>,
}

impl Placed {
    /// Tells whether the person still has to decide.
    pub fn is_open(&self) -> bool {
        self.mark == Mark::Pending && matches!(self.mapped.state, HunkState::Pending | HunkState::Conflict)
    }

    /// Returns the place as whole lines; for lines that are not there, the line they go before.
    pub fn range(&self, text: &Text) -> Range {
        // Hunks count lines by `\n` alone, editors also by a lone `\r`, so the way leads over bytes.
        let (start, end) = (self.mapped.lines.start, self.mapped.lines.end.max(self.mapped.lines.start + 1));
        let lines = TextEditLines { start_line: start, end_line: end, new_text: String::new() };
        let bytes = lines.byte_range(text.as_str());
        let content = text.as_str()[bytes.clone()].trim_end_matches(['\n', '\r']);
        let found = text.range(bytes.start..bytes.start + content.len());
        // Behind the last line there is nothing to mark but its end.
        if bytes.is_empty() { Range::new(Position::new(found.start.line, 0), found.end) } else { found }
    }
}

/// Returns an editor's lines as a range; an empty range of lines is shown on the line it goes before.
pub fn lines(text: &Text, start: u32, end: u32) -> Range {
    let (start, end) = (start as usize, end as usize);
    text.lines_range(start, end.max(start + 1))
}

/// Finds the text hunks of all proposals in a document. Rejected ones are left out.
pub fn place(root: &Root, document: &Document) -> Vec<Placed> {
    let Some(path) = document.path.as_deref().and_then(|path| root.relative(path)) else { return Vec::new() };
    let mut placed = Vec::new();
    for (summary, view) in root.loaded() {
        for file in view.files.iter().filter(|file| shows(summary, file, &path)) {
            placed.extend(place_file(root, summary, view, file, document.text.as_str()));
        }
    }
    placed
}

/// Finds the rejected text hunks of all proposals in a document, where they would go.
pub fn place_rejected(root: &Root, document: &Document) -> Vec<Placed> {
    let Some(path) = document.path.as_deref().and_then(|path| root.relative(path)) else { return Vec::new() };
    let rejects = |mark: &Mark| matches!(mark, Mark::Rejected { .. });
    let mut placed = Vec::new();
    for (summary, view) in root.loaded().filter(|(summary, _)| summary.hunks.iter().any(|hunk| rejects(&hunk.state))) {
        for file in view.files.iter().filter(|file| shows(summary, file, &path)) {
            let all = map_file(root, summary, view, file, document.text.as_str(), &BTreeSet::new());
            placed.extend(all.into_iter().filter(|placed| rejects(&placed.mark)));
        }
    }
    placed
}

/// Tells whether the text hunks of a file are decided in the document at `path`: at the old path until a rename is taken.
fn shows(summary: &ProposalSummary, file: &ProposalFile, path: &str) -> bool {
    let renamed = file.hunks.iter().find(|(hunk, _)| hunk.kind == HunkKind::Rename);
    match (&file.old_path, renamed) {
        (Some(old), Some((rename, _))) if mark_of(summary, &rename.id) != Mark::Accepted => old == path,
        _ => file.path == path,
    }
}

fn place_file(
    root: &Root,
    summary: &ProposalSummary,
    view: &Arc<ProposalView>,
    file: &ProposalFile,
    buffer: &str,
) -> Vec<Placed> {
    let rejected = marked(summary, |mark| matches!(mark, Mark::Rejected { .. }));
    map_file(root, summary, view, file, buffer, &rejected)
}

/// Places the text hunks of a file but those that are left out.
fn map_file(
    root: &Root,
    summary: &ProposalSummary,
    view: &Arc<ProposalView>,
    file: &ProposalFile,
    buffer: &str,
    left_out: &BTreeSet<HunkId>,
) -> Vec<Placed> {
    let hunks: Vec<Hunk> = file.hunks.iter().map(|(hunk, _)| hunk.clone()).filter(Hunk::is_text).collect();
    let Some(base) = file.base_text.as_deref().filter(|_| !hunks.is_empty()) else { return Vec::new() };
    let accepted = marked(summary, |mark| *mark == Mark::Accepted);
    let mapped = map_hunks(base, &hunks, &accepted, left_out, buffer);
    let place = |mapped: Mapped| {
        let hunk = hunks.iter().find(|hunk| hunk.id == mapped.hunk)?.clone();
        let waits_for = waits_for(root, view, &hunk.id);
        Some(Placed { task: view.task.clone(), mark: mark_of(summary, &hunk.id), hunk, mapped, waits_for })
    };
    mapped.into_iter().filter_map(place).collect()
}

/// Returns the task whose pending hunks the hunk rests on.
pub fn waits_for(root: &Root, view: &ProposalView, hunk: &HunkId) -> Option<TaskId> {
    let rests = view.review.rests_on.iter().filter(|rests| rests.hunk == *hunk);
    let waits = |task: &TaskId, on: &[HunkId]| {
        let other = root.snapshot.task(task).and_then(|view| view.proposal.as_ref());
        other.is_some_and(|other| on.iter().any(|hunk| mark_of(other, hunk) == Mark::Pending && has(other, hunk)))
    };
    rests.into_iter().find(|rests| waits(&rests.task, &rests.on)).map(|rests| rests.task.clone())
}

fn has(summary: &ProposalSummary, hunk: &HunkId) -> bool {
    summary.hunks.iter().any(|known| known.id == *hunk)
}

/// Returns the comments on a proposal by the hunk they stand beside, none for those about all of it; what was not sent
/// yet comes first.
pub fn comments_by_hunk<'a>(root: &'a Root, view: &'a ProposalView) -> HashMap<Option<&'a HunkId>, Vec<&'a Comment>> {
    let hunks = || view.files.iter().flat_map(|file| &file.hunks).map(|(hunk, _)| hunk);
    let mut by_hunk: HashMap<Option<&HunkId>, Vec<&Comment>> = HashMap::new();
    for comment in root.comments(&view.task) {
        by_hunk.entry(comment.beside(hunks())).or_default().push(comment);
    }
    for comments in by_hunk.values_mut() {
        comments.sort_by_key(|comment| comment.sent);
    }
    by_hunk
}

/// Returns the files of a proposal, the one with the riskiest hunk first; equals stay sorted by path.
pub fn by_risk<'a>(root: &Root, summary: &ProposalSummary, view: &'a ProposalView) -> Vec<&'a ProposalFile> {
    let unverified = view.outcome != Outcome::Verified || view.checks.iter().any(|check| !check.passed);
    let known: HashMap<&HunkId, &HunkSummary> = summary.hunks.iter().map(|hunk| (&hunk.id, hunk)).collect();
    let of = |file: &ProposalFile, hunk: &Hunk| {
        let known = known.get(&hunk.id);
        let circumstances = Circumstances {
            decided: known.is_some_and(|known| known.state != Mark::Pending),
            conflict: waits_for(root, view, &hunk.id).is_some(),
            unverified,
            finding: view.findings.iter().any(|finding| finding.file.as_deref() == Some(file.path.as_str())),
            changed: known.is_some_and(|known| known.changed),
        };
        risk(hunk, circumstances)
    };
    let mut files: Vec<&ProposalFile> = view.files.iter().collect();
    files.sort_by_cached_key(|file| file.hunks.iter().map(|(hunk, _)| of(file, hunk)).min());
    files
}

/// Returns what a person made of a hunk.
pub fn mark_of(summary: &ProposalSummary, hunk: &HunkId) -> Mark {
    summary.hunks.iter().find(|known| known.id == *hunk).map(|known| known.state.clone()).unwrap_or_default()
}

/// The edits that accept hunks in one document, and those they cannot accept.
#[derive(Debug, Default)]
pub struct Acceptable {
    /// Sorted, without overlaps; all refer to the same text.
    pub edits: Vec<TextEdit>,
    /// Hunks whose text is put in by the edits.
    pub hunks: Vec<HunkId>,
    /// Hunks whose text is there already.
    pub present: Vec<HunkId>,
    pub conflicts: Vec<(HunkId, String)>,
}

/// Makes the edits for the chosen hunks of one document.
pub fn accept(text: &Text, chosen: &[&Placed]) -> Acceptable {
    let mut acceptable = Acceptable::default();
    let mut taken: Vec<std::ops::Range<usize>> = Vec::new();
    let mut edits = Vec::new();
    for placed in chosen {
        let id = placed.hunk.id.clone();
        match placed.mapped.state {
            HunkState::Accepted => acceptable.present.push(id),
            HunkState::Conflict => acceptable.conflicts.push((id, conflict_reason(placed))),
            _ if placed.waits_for.is_some() => acceptable.conflicts.push((id, conflict_reason(placed))),
            HunkState::Pending | HunkState::Reverted => {
                let Some(edit) = edit_for(&placed.mapped, &placed.hunk, text.as_str()) else {
                    acceptable.conflicts.push((id, "its lines are not in the document any more".to_owned()));
                    continue;
                };
                let bytes = edit.byte_range(text.as_str());
                let overlaps = |other: &std::ops::Range<usize>| {
                    bytes.start < other.end && other.start < bytes.end || bytes == *other
                };
                if taken.iter().any(overlaps) {
                    acceptable.conflicts.push((id, "another change wants the same lines; accept one first".to_owned()));
                    continue;
                }
                edits.push((bytes.start, TextEdit { range: exact(text, &bytes), new_text: edit.new_text }));
                taken.push(bytes);
                acceptable.hunks.push(id);
            }
        }
    }
    edits.sort_by_key(|(start, _)| *start);
    acceptable.edits = edits.into_iter().map(|(_, edit)| edit).collect();
    acceptable
}

/// Returns the positions of bytes that start and end at line starts or at the end of the text.
fn exact(text: &Text, bytes: &std::ops::Range<usize>) -> Range {
    let end = |offset: usize| -> Position { text.position(offset) };
    Range::new(end(bytes.start), end(bytes.end))
}

/// Returns why a hunk cannot be accepted.
pub fn conflict_reason(placed: &Placed) -> String {
    match &placed.waits_for {
        Some(task) => format!("it waits for a change of `{task}` that it rests on; accept that one first"),
        None => "the text was changed in the same place; send it back to the agent to move it".to_owned(),
    }
}

/// Returns `: ` and the new line of a hunk that has just one, cut to what fits beside a line of code; else nothing.
pub fn new_line(hunk: &Hunk) -> String {
    const SHOWN: usize = 60;
    let ([_] | [], [new]) = (hunk.old_lines.as_slice(), hunk.new_lines.as_slice()) else { return String::new() };
    if hunk.kind != HunkKind::Text || new.trim().is_empty() {
        return String::new();
    }
    let line: String = new.trim().chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    let rest = if new.trim().chars().count() > SHOWN { "…" } else { "" };
    format!(": {line}{rest}")
}
