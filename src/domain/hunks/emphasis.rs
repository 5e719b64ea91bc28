//! Which words of a hunk changed, for showing it.

use super::Hunk;
use similar::{ChangeTag, DiffOp, InlineChangeOptions, TextDiff};
use std::ops::Range;

/// Hunks past either bound get no word-level marks: on a rewrite of thousands of lines they take half a second.
const MAX_LINES: usize = 200;
const MAX_BYTES: usize = 20_000;

/// A changed part of a line, in bytes of that line.
pub type Span = Range<usize>;

/// The changed parts of a hunk's lines: one list per line, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Emphasis {
    pub old: Vec<Vec<Span>>,
    pub new: Vec<Vec<Span>>,
}

/// Returns the parts of the hunk's lines that changed.
///
/// `None` when one side is empty, when the hunk is too large (200 lines, 20 kB), or when the sides have too little in
/// common for marks to help. Spans never include the line end and lie on character boundaries.
pub fn emphasis(hunk: &Hunk) -> Option<Emphasis> {
    let (old, new) = (&hunk.old_lines, &hunk.new_lines);
    let bytes: usize = old.iter().chain(new).map(String::len).sum();
    if old.is_empty() || new.is_empty() || old.len() + new.len() > MAX_LINES || bytes > MAX_BYTES {
        return None;
    }
    let old_slices: Vec<&str> = old.iter().map(String::as_str).collect();
    let new_slices: Vec<&str> = new.iter().map(String::as_str).collect();
    let diff = TextDiff::from_slices(&old_slices, &new_slices);
    let op = DiffOp::Replace { old_index: 0, old_len: old.len(), new_index: 0, new_len: new.len() };
    let mut marks = Emphasis { old: vec![Vec::new(); old.len()], new: vec![Vec::new(); new.len()] };
    let mut found = false;
    // No deadline: the bounds above keep it short, and this layer has no clock.
    for change in diff.iter_inline_changes_with_options_deadline(&op, InlineChangeOptions::new(), None) {
        let spans = match (change.tag(), change.old_index(), change.new_index()) {
            (ChangeTag::Delete, Some(line), _) => marks.old.get_mut(line),
            (ChangeTag::Insert, _, Some(line)) => marks.new.get_mut(line),
            _ => None,
        };
        let Some(spans) = spans else { continue };
        let mut at = 0;
        for (emphasized, part) in change.values() {
            if *emphasized && !part.is_empty() {
                spans.push(at..at + part.len());
                found = true;
            }
            at += part.len();
        }
    }
    found.then_some(marks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hunks::{FileChangeTexts, file_hunks};

    fn hunk(old: &str, new: &str) -> Hunk {
        let change =
            FileChangeTexts { path: "a", old: Some(old.as_bytes()), new: Some(new.as_bytes()), ..Default::default() };
        file_hunks(&change).remove(0)
    }

    #[test]
    fn changed_words_are_marked() {
        let hunk = hunk("let größe = 1 + two;\n", "let größe = 1 + three;\n");
        let Emphasis { old, new } = emphasis(&hunk).expect("words changed");
        assert_eq!(&hunk.old_lines[0][old[0][0].clone()], "two");
        assert_eq!(&hunk.new_lines[0][new[0][0].clone()], "three");
        assert_eq!((old[0].len(), new[0].len()), (1, 1));
    }

    #[test]
    fn large_and_one_sided_hunks_are_left_plain() {
        assert_eq!(emphasis(&hunk("", "a\n")), None);
        assert_eq!(emphasis(&hunk(&"a b\n".repeat(150), &"a c\n".repeat(150))), None);
        assert_eq!(emphasis(&hunk(&"a ".repeat(9_000), &"b ".repeat(9_000))), None);
    }
}
