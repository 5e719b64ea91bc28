//! What does not fit: hunks against the text a user has, told to an agent; and hunks that rest on those of another task.

use super::align::Alignment;
use super::map::map_hunks;
use super::{FileNow, HunkState, file_level_state};
use crate::domain::hunks::{Hunk, HunkId, HunkKind, Interner, quoted, split_lines};
use crate::domain::rounds::{Remark, RemarkKind};
use std::collections::BTreeSet;

/// Lines of the user's text that are shown around what clashes.
const AROUND: usize = 3;
/// Lines of the user's text that are shown at most.
const SHOWN: usize = 120;

/// A file of a proposal as the user has it; none where it is not there or is no text.
#[derive(Clone, Copy, Debug)]
pub struct UserFile<'a> {
    pub base: Option<&'a str>,
    pub now: Option<&'a str>,
}

/// Returns what an agent has to know about the hunks of one file that are not decided and do not fit.
pub fn conflicts_with(
    hunks: &[Hunk],
    file: &UserFile<'_>,
    accepted: &BTreeSet<HunkId>,
    rejected: &BTreeSet<HunkId>,
) -> Vec<Remark> {
    let open = |hunk: &&Hunk| !accepted.contains(&hunk.id) && !rejected.contains(&hunk.id);
    let remark = |hunk: &Hunk, line: Option<u32>, now: String| Remark {
        kind: RemarkKind::Conflict,
        hunk: Some(hunk.id.clone()),
        path: Some(hunk.path.clone()),
        line,
        quote: Some(quoted(hunk)),
        now: Some(now),
        ..Remark::default()
    };
    let mut remarks = Vec::new();
    let gone = "[the file is not there any more]\n".to_owned();
    let whole = |hunk: &&Hunk| matches!(hunk.kind, HunkKind::Create | HunkKind::Delete);
    for hunk in hunks.iter().filter(whole).filter(open) {
        let now = FileNow { bytes: file.now.map(str::as_bytes), ..FileNow::default() };
        if file_level_state(hunk, &now) == HunkState::Conflict {
            let text = file.now.map(|text| excerpt(&split_lines(text), 0, usize::MAX));
            remarks.push(remark(hunk, None, text.unwrap_or_else(|| gone.clone())));
        }
    }
    let text: Vec<&Hunk> = hunks.iter().filter(|hunk| hunk.is_text()).filter(open).collect();
    let (Some(base), Some(now)) = (file.base, file.now) else {
        remarks.extend(text.into_iter().map(|hunk| remark(hunk, None, gone.clone())));
        return remarks;
    };
    let mapped = map_hunks(base, hunks, accepted, rejected, now);
    let lines = split_lines(now);
    for hunk in text {
        let Some(found) = mapped.iter().find(|found| found.hunk == hunk.id && found.state == HunkState::Conflict)
        else {
            continue;
        };
        let (start, end) = (found.lines.start as usize, found.lines.end as usize);
        remarks.push(remark(hunk, Some(found.lines.start + 1), excerpt(&lines, start, end)));
    }
    remarks
}

/// Returns the lines of a text with some around them; what is left out is counted.
fn excerpt(lines: &[&str], start: usize, end: usize) -> String {
    let from = start.saturating_sub(AROUND).min(lines.len());
    let to = end.saturating_add(AROUND).min(lines.len()).max(from);
    let shown = &lines[from..to.min(from + SHOWN)];
    let mut text: String = shown.concat();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let left_out = to - from - shown.len();
    if left_out > 0 {
        text.push_str(&format!("[and {left_out} more lines]\n"));
    }
    text
}

/// Returns which hunks of a proposal rest on hunks of the one below it in the same file: those that change lines that one
/// made, or lines next to them, and everything where that one makes, moves or replaces the file.
///
/// `base` is the file before the upper hunks, and `below` the file after the lower ones; both are texts, or empty.
pub fn resting(upper: &[&Hunk], base: &str, lower: &[&Hunk], below: &str) -> Vec<(HunkId, Vec<HunkId>)> {
    let whole: Vec<HunkId> = lower.iter().filter(|hunk| !hunk.is_text()).map(|hunk| hunk.id.clone()).collect();
    let (below, base) = (split_lines(below), split_lines(base));
    let mut interner = Interner::default();
    let (below_keys, base_keys) = (interner.keys(below.iter().copied()), interner.keys(base.iter().copied()));
    let alignment = Alignment::new(&below_keys, &base_keys);
    let mut found = Vec::new();
    for hunk in upper {
        let mut on = whole.clone();
        if hunk.is_text() {
            let old = hunk.old_range();
            for lower in lower.iter().filter(|lower| lower.is_text()) {
                let start = lower.new_start as usize;
                let place = alignment.fate(&(start..start + lower.new_lines.len())).lines();
                // Neighbours touch: a line put in beside a line that is not there has no place of its own.
                if old.start <= place.end && place.start <= old.end {
                    on.push(lower.id.clone());
                }
            }
        }
        if !on.is_empty() {
            found.push((hunk.id.clone(), on));
        }
    }
    found
}
