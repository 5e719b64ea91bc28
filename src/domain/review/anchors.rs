//! A mapping that moves with the edits of an open document, so that it is not computed again for every keystroke.

use super::Mapped;
use crate::domain::hunks::HunkId;
use std::ops::Range;

/// An edit as whole lines: `lines` of the text before became `new_lines` lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineEdit {
    /// 0-based half-open; empty for lines put before `lines.start`.
    pub lines: Range<u32>,
    pub new_lines: u32,
}

impl LineEdit {
    /// Makes the line edit of a replacement of bytes in `text`, the text before it. Lines touched in part count as
    /// replaced, but whole lines put in or taken out touch no other line.
    pub fn from_replacement(text: &str, bytes: Range<usize>, inserted: &str) -> Self {
        let bytes = bytes.start.min(text.len())..bytes.end.min(text.len());
        let newlines = |text: &[u8]| text.iter().filter(|byte| **byte == b'\n').count() as u32;
        let raw = text.as_bytes();
        let (first, last) = (newlines(&raw[..bytes.start]), newlines(&raw[..bytes.end]));
        let at_line_start = |offset: usize| offset == 0 || raw[offset - 1] == b'\n';
        let whole =
            at_line_start(bytes.start) && at_line_start(bytes.end) && (inserted.is_empty() || inserted.ends_with('\n'));
        if whole {
            return Self { lines: first..last, new_lines: newlines(inserted.as_bytes()) };
        }
        // The line the replacement ends in is rewritten, unless the text ends before it has anything.
        let total = newlines(raw) + u32::from(!raw.is_empty() && !raw.ends_with(b"\n"));
        let rewritten = first..(last + 1).min(total).max(first);
        let is_tail_empty =
            bytes.end == raw.len() && (inserted.ends_with('\n') || (inserted.is_empty() && at_line_start(bytes.start)));
        Self { lines: rewritten, new_lines: newlines(inserted.as_bytes()) + u32::from(!is_tail_empty) }
    }

    fn shift(&self, line: u32) -> u32 {
        line - self.lines.end + self.lines.start + self.new_lines
    }
}

/// Where a hunk stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    pub hunk: HunkId,
    /// 0-based half-open lines of the document as it is now.
    pub lines: Range<u32>,
    /// An edit touched the lines: the range is a hull, and the hunks must be mapped again before anything is applied.
    pub touched: bool,
}

/// The places of one document's hunks, in the order of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Anchors {
    anchors: Vec<Anchor>,
}

impl Anchors {
    /// Starts from a fresh mapping.
    pub fn new(mapped: &[Mapped]) -> Self {
        let anchor =
            |mapped: &Mapped| Anchor { hunk: mapped.hunk.clone(), lines: mapped.lines.clone(), touched: false };
        Self { anchors: mapped.iter().map(anchor).collect() }
    }

    /// Returns where a hunk stands.
    pub fn get(&self, hunk: &HunkId) -> Option<&Anchor> {
        self.anchors.iter().find(|anchor| anchor.hunk == *hunk)
    }

    /// Returns all places, in the order of the mapping.
    pub fn all(&self) -> &[Anchor] {
        &self.anchors
    }

    /// Tells whether some hunk must be mapped again.
    pub fn any_touched(&self) -> bool {
        self.anchors.iter().any(|anchor| anchor.touched)
    }

    /// Moves the places with an edit somebody made.
    ///
    /// Lines put right before or after a hunk's lines stay outside it; put right at the place of a hunk without lines,
    /// they touch it.
    pub fn edit(&mut self, edit: &LineEdit) {
        for anchor in &mut self.anchors {
            let lines = anchor.lines.clone();
            let inside_empty = lines.is_empty() && edit.lines.is_empty() && lines.start == edit.lines.start;
            if inside_empty {
                anchor.touched = true;
                anchor.lines = lines.start..lines.end + edit.new_lines;
            } else if edit.lines.end <= lines.start {
                anchor.lines = edit.shift(lines.start)..edit.shift(lines.end);
            } else if edit.lines.start < lines.end {
                anchor.touched = true;
                let end =
                    if lines.end >= edit.lines.end { edit.shift(lines.end) } else { edit.lines.start + edit.new_lines };
                anchor.lines = lines.start.min(edit.lines.start)..end;
            }
        }
    }

    /// Moves the places with our own edit, which gave `hunk` this number of lines (its new or its old lines).
    pub fn flip(&mut self, hunk: &HunkId, new_lines: u32) {
        let Some(index) = self.anchors.iter().position(|anchor| anchor.hunk == *hunk) else { return };
        let edit = LineEdit { lines: self.anchors[index].lines.clone(), new_lines };
        self.anchors[index].lines = edit.lines.start..edit.lines.start + new_lines;
        // Order decides between neighbours that touch: later hunks move, earlier ones stay.
        for anchor in &mut self.anchors[index + 1..] {
            if anchor.lines.start >= edit.lines.end {
                anchor.lines = edit.shift(anchor.lines.start)..edit.shift(anchor.lines.end);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hunks::split_lines;
    use crate::domain::review::HunkState;
    use proptest::prelude::*;

    fn anchors(ranges: &[Range<u32>]) -> Anchors {
        let mapped = |(index, lines): (usize, &Range<u32>)| Mapped {
            hunk: HunkId(index.to_string()),
            state: HunkState::Pending,
            lines: lines.clone(),
            edited: false,
            line_end: None,
            final_newline: None,
        };
        Anchors::new(&ranges.iter().enumerate().map(mapped).collect::<Vec<_>>())
    }

    #[test]
    fn places_move_with_edits() {
        let cases = [
            (5..7, 0..0, 2, 7..9, false),
            (5..7, 5..5, 1, 6..8, false),
            (5..7, 7..7, 3, 5..7, false),
            (5..7, 2..5, 0, 2..4, false),
            (5..7, 6..6, 1, 5..8, true),
            (5..7, 4..6, 1, 4..6, true),
            (5..7, 6..9, 0, 5..6, true),
            (5..5, 5..5, 2, 5..7, true),
            (5..5, 4..5, 1, 5..5, false),
            (5..5, 5..6, 1, 5..5, false),
            (5..5, 4..6, 1, 4..5, true),
        ];
        for (place, lines, new_lines, expected, touched) in cases {
            let mut moved = anchors(std::slice::from_ref(&place));
            moved.edit(&LineEdit { lines: lines.clone(), new_lines });
            assert_eq!(
                (moved.all()[0].lines.clone(), moved.all()[0].touched),
                (expected, touched),
                "{place:?} {lines:?}+{new_lines}"
            );
        }
    }

    #[test]
    fn own_edits_move_later_places_only() {
        let mut moved = anchors(&[1..1, 1..1, 1..2, 4..4]);
        moved.flip(&HunkId("1".into()), 2);
        let lines: Vec<_> = moved.all().iter().map(|anchor| anchor.lines.clone()).collect();
        assert_eq!(lines, [1..1, 1..3, 3..4, 6..6]);
        assert!(!moved.any_touched());
    }

    proptest! {
        /// Lines outside the line edit are the same before and after.
        #[test]
        fn line_edits_cover_the_replacement(text in "[ab\n]{0,12}", inserted in "[ab\n]{0,5}", a in 0usize..13, b in 0usize..13) {
            let (start, end) = (a.min(b).min(text.len()), a.max(b).min(text.len()));
            let edit = LineEdit::from_replacement(&text, start..end, &inserted);
            let after = format!("{}{}{}", &text[..start], inserted, &text[end..]);
            let (before, after) = (split_lines(&text), split_lines(&after));
            let (from, to) = (edit.lines.start as usize, edit.lines.end as usize);
            prop_assert!(from <= to && to <= before.len(), "{edit:?}");
            prop_assert_eq!(&before[..from], &after[..from]);
            prop_assert_eq!(after.len(), before.len() - (to - from) + edit.new_lines as usize, "{:?}", edit);
            prop_assert_eq!(&before[to..], &after[from + edit.new_lines as usize..]);
        }
    }
}
