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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hunks::{FileChangeTexts, file_hunks};

    fn hunks(old: &str, new: &str) -> Vec<Hunk> {
        let (old, new) = (Some(old.as_bytes()), Some(new.as_bytes()));
        file_hunks(&FileChangeTexts { path: "a", old, new, ..FileChangeTexts::default() })
    }

    const BASE: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";

    #[test]
    fn what_does_not_fit_is_told_with_the_text_there_is() {
        let all = hunks(BASE, "one\n2\n3\n4\n5\n6\n7\n8\nnine\n");
        let none = BTreeSet::new();
        let told = |now: Option<&str>, decided: &BTreeSet<HunkId>| {
            let file = UserFile { base: Some(BASE), now };
            let remarks = conflicts_with(&all, &file, &none, decided);
            remarks.into_iter().map(|remark| (remark.line, remark.now.unwrap_or_default())).collect::<Vec<_>>()
        };
        assert_eq!(told(Some(BASE), &none), []);
        let mine = BASE.replace("9\n", "neun\n");
        assert_eq!(told(Some(&mine), &none), [(Some(9), "6\n7\n8\nneun\n".to_owned())]);
        assert_eq!(told(Some(&mine), &BTreeSet::from([all[1].id.clone()])), [], "what is decided clashes with nothing");
        let gone = "[the file is not there any more]\n".to_owned();
        assert_eq!(told(None, &none), [(None, gone.clone()), (None, gone)]);
        let made = FileChangeTexts { path: "a", new: Some(b"x\n"), ..FileChangeTexts::default() };
        let made = conflicts_with(&file_hunks(&made), &UserFile { base: None, now: Some("y\n") }, &none, &none);
        assert_eq!(made.len(), 1);
        assert_eq!(made[0].now.as_deref(), Some("y\n"));
    }

    #[test]
    fn a_hunk_rests_on_what_it_changes_or_touches() {
        let below = "1\n2\nnew\n3\n4\n5\n6\n7\n8\n9\n";
        let lower = hunks(BASE, below);
        let lower: Vec<&Hunk> = lower.iter().collect();
        for (what, base, head, expected) in [
            ("its line", below, below.replace("new\n", "newer\n"), 1),
            ("beside it", below, below.replace("3\n", "three\n"), 1),
            ("elsewhere", below, below.replace("9\n", "nine\n"), 0),
            ("its line, moved by the user's own", "0\n1\n2\nnew\n3\n", "0\n1\n2\n3\n".to_owned(), 1),
        ] {
            let upper = hunks(base, &head);
            let upper: Vec<&Hunk> = upper.iter().collect();
            let found = resting(&upper, base, &lower, below);
            assert_eq!(found.len(), expected, "{what}");
            assert!(found.iter().all(|(_, on)| *on == [lower[0].id.clone()]), "{what}");
        }
        let made = file_hunks(&FileChangeTexts { path: "a", new: Some(b"x\n"), ..FileChangeTexts::default() });
        let upper = hunks("x\n", "y\n");
        let (upper, made): (Vec<&Hunk>, Vec<&Hunk>) = (upper.iter().collect(), made.iter().collect());
        assert_eq!(resting(&upper, "x\n", &made, "x\n").len(), 1, "all of a file that is not there yet");
    }
}
