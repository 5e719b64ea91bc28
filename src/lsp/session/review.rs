//! Where the hunks of the proposals stand in the documents as the editor has them, and the edits that accept them.

use super::documents::Document;
use super::placement::{Decided, Subject};
use super::root::Root;
use super::texts::Texts;
use crate::domain::event::Mark;
use crate::domain::hunks::{Hunk, HunkId, HunkKind};
pub use crate::domain::hunks::{as_diff, describe};
use crate::domain::outcome::Outcome;
use crate::domain::review::{Circumstances, HunkState, Mapped, edit_in, map_hunks, risk};
use crate::domain::rounds::Comment;
use crate::domain::task::TaskId;
use crate::lsp::convert::Text;
use crate::protocol::engine_api::{ProposalFile, ProposalSummary};
use lsp_types::{Position, Range, TextEdit};
use std::collections::{BTreeMap, HashMap};

/// A text hunk at its place in an open document.
#[derive(Clone, Debug)]
pub struct Placed<'a> {
    pub task: &'a TaskId,
    pub hunk: &'a Hunk,
    /// What a person made of it, as the engine has it.
    pub mark: &'a Mark,
    pub mapped: Mapped,
    /// Another task whose pending hunks it rests on.
    pub waits_for: Option<&'a TaskId>,
}

impl Placed<'_> {
    /// Tells whether the person still has to decide.
    pub fn is_open(&self) -> bool {
        *self.mark == Mark::Pending && matches!(self.mapped.state, HunkState::Pending | HunkState::Conflict)
    }

    /// Returns the place as whole lines; for lines that are not there, the line they go before.
    pub fn range(&self, text: &Text) -> Range {
        // Hunks count lines by `\n` alone, editors also by a lone `\r`, so the way leads over bytes.
        let (start, end) = (self.mapped.lines.start, self.mapped.lines.end.max(self.mapped.lines.start + 1));
        let bytes = text.line_starts().bytes(start as usize..end as usize);
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
pub fn place<'a>(root: &'a Root, document: &Document) -> Vec<Placed<'a>> {
    let Some(path) = document.path.as_deref().and_then(|path| root.relative(path)) else { return Vec::new() };
    let mut placed = Vec::new();
    for (summary, texts) in root.loaded() {
        for file in texts.files_at(&path).filter(|file| shows(summary, texts, file, &path)) {
            placed.extend(map_file(root, summary, texts, file, document, true));
        }
    }
    placed
}

/// Finds the rejected text hunks of all proposals in a document, where they would go.
pub fn place_rejected<'a>(root: &'a Root, document: &Document) -> Vec<Placed<'a>> {
    let Some(path) = document.path.as_deref().and_then(|path| root.relative(path)) else { return Vec::new() };
    let mut placed = Vec::new();
    for (summary, texts) in root.loaded() {
        for file in texts.files_at(&path).filter(|file| shows(summary, texts, file, &path)) {
            if file.hunks.iter().any(|(hunk, _)| is_rejected(texts.mark(summary, &hunk.id))) {
                let all = map_file(root, summary, texts, file, document, false);
                placed.extend(all.into_iter().filter(|placed| is_rejected(placed.mark)));
            }
        }
    }
    placed
}

fn is_rejected(mark: &Mark) -> bool {
    matches!(mark, Mark::Rejected { .. })
}

/// Tells whether the text hunks of a file are decided in the document at `path`: at the old path until a rename is taken.
fn shows(summary: &ProposalSummary, texts: &Texts, file: &ProposalFile, path: &str) -> bool {
    let renamed = file.hunks.iter().find(|(hunk, _)| hunk.kind == HunkKind::Rename);
    match (&file.old_path, renamed) {
        (Some(old), Some((rename, _))) if *texts.mark(summary, &rename.id) != Mark::Accepted => old == path,
        _ => file.path == path,
    }
}

/// Places the text hunks of a file; with `leaves_out` but the rejected ones.
fn map_file<'a>(
    root: &'a Root,
    summary: &'a ProposalSummary,
    texts: &'a Texts,
    file: &'a ProposalFile,
    document: &Document,
    leaves_out: bool,
) -> Vec<Placed<'a>> {
    let hunks: Vec<&Hunk> = file.hunks.iter().map(|(hunk, _)| hunk).filter(|hunk| hunk.is_text()).collect();
    let Some(base) = file.base_text.as_deref().filter(|_| !hunks.is_empty()) else { return Vec::new() };
    let decided = |hunk: &&Hunk| match texts.mark(summary, &hunk.id) {
        Mark::Accepted => Decided::Accepted,
        Mark::Rejected { .. } if leaves_out => Decided::LeftOut,
        Mark::Rejected { .. } | Mark::Pending => Decided::Open,
    };
    let decided: Vec<Decided> = hunks.iter().map(decided).collect();
    let subject = Subject { task: &texts.task, key: &texts.key, path: &file.path, leaves_out };
    let mapping = document.placements().get(&subject, &decided, || {
        let with = |wanted: Decided| {
            let chosen = hunks.iter().zip(&decided).filter(move |(_, decided)| **decided == wanted);
            chosen.map(|(hunk, _)| hunk.id.clone()).collect()
        };
        let owned: Vec<Hunk> = hunks.iter().map(|hunk| (*hunk).clone()).collect();
        let text = document.text.as_str();
        map_hunks(base, &owned, &with(Decided::Accepted), &with(Decided::LeftOut), text)
    });
    let place = |mapped: &Mapped| {
        let (_, hunk) = texts.hunk(&mapped.hunk)?;
        let (mark, waits_for) = (texts.mark(summary, &hunk.id), waits_for(root, texts, &hunk.id));
        Some(Placed { task: &texts.task, hunk, mark, mapped: mapped.clone(), waits_for })
    };
    mapping.iter().filter_map(place).collect()
}

/// Returns the task whose pending hunks the hunk rests on.
pub fn waits_for<'a>(root: &Root, texts: &'a Texts, hunk: &HunkId) -> Option<&'a TaskId> {
    let waits = |task: &TaskId, on: &[HunkId]| {
        on.iter().any(|hunk| root.known(task, hunk).is_some_and(|known| known.state == Mark::Pending))
    };
    texts.rests_on(hunk).find(|(task, on)| waits(task, on)).map(|(task, _)| task)
}

/// Returns the comments on a proposal by the hunk they stand beside, none for those about all of it; what was not sent
/// yet comes first.
pub fn comments_by_hunk<'a>(root: &'a Root, view: &'a Texts) -> HashMap<Option<&'a HunkId>, Vec<&'a Comment>> {
    let mut by_hunk: HashMap<Option<&HunkId>, Vec<&Comment>> = HashMap::new();
    for comment in root.comments(&view.task) {
        by_hunk.entry(comment.beside(view.all_hunks())).or_default().push(comment);
    }
    for comments in by_hunk.values_mut() {
        comments.sort_by_key(|comment| comment.sent);
    }
    by_hunk
}

/// Returns the files of a proposal, the one with the riskiest hunk first; equals stay sorted by path.
pub fn by_risk<'a>(root: &Root, summary: &ProposalSummary, view: &'a Texts) -> Vec<&'a ProposalFile> {
    let unverified = view.outcome != Outcome::Verified || view.checks.iter().any(|check| !check.passed);
    let of = |file: &ProposalFile, hunk: &Hunk| {
        let known = view.known(summary, &hunk.id);
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
pub fn accept(text: &Text, chosen: &[&Placed<'_>]) -> Acceptable {
    let mut acceptable = Acceptable::default();
    // By place; none shares a byte with another, so only its neighbours can clash with a new one.
    let mut edits: BTreeMap<(usize, usize), TextEdit> = BTreeMap::new();
    for placed in chosen {
        let id = placed.hunk.id.clone();
        match placed.mapped.state {
            HunkState::Accepted => acceptable.present.push(id),
            HunkState::Conflict => acceptable.conflicts.push((id, conflict_reason(placed))),
            _ if placed.waits_for.is_some() => acceptable.conflicts.push((id, conflict_reason(placed))),
            HunkState::Pending | HunkState::Reverted => {
                let lines = text.line_starts();
                let Some(edit) = edit_in(&placed.mapped, placed.hunk, text.as_str(), lines) else {
                    acceptable.conflicts.push((id, "its lines are not in the document any more".to_owned()));
                    continue;
                };
                let bytes = edit.byte_range(lines);
                let place = (bytes.start, bytes.end);
                let overlaps = |other: &(usize, usize)| place.0 < other.1 && other.0 < place.1 || place == *other;
                let neighbours = [edits.range(..place).next_back(), edits.range(place..).next()];
                if neighbours.into_iter().flatten().any(|(other, _)| overlaps(other)) {
                    acceptable.conflicts.push((id, "another change wants the same lines; accept one first".to_owned()));
                    continue;
                }
                edits.insert(place, TextEdit { range: exact(text, &bytes), new_text: edit.new_text });
                acceptable.hunks.push(id);
            }
        }
    }
    acceptable.edits = edits.into_values().collect();
    acceptable
}

/// Returns the positions of bytes that start and end at line starts or at the end of the text.
fn exact(text: &Text, bytes: &std::ops::Range<usize>) -> Range {
    let end = |offset: usize| -> Position { text.position(offset) };
    Range::new(end(bytes.start), end(bytes.end))
}

/// Returns why a hunk cannot be accepted.
pub fn conflict_reason(placed: &Placed<'_>) -> String {
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

#[cfg(test)]
mod tests;
