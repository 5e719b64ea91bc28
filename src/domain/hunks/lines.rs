//! What a line is, and differences between lists of lines.

use similar::{Algorithm, DiffOp, capture_diff_slices};
use std::collections::HashMap;
use std::ops::Range;

/// Past this many lines on both sides together the shortest edit script gives way to the bounded search.
const EXACT_DIFF_LINES: usize = 1500;

/// Splits a text after each `\n`. An empty text has no lines.
pub fn split_lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// Returns a line without its line end.
pub fn line_content(line: &str) -> &str {
    line.strip_suffix('\n').map_or(line, |line| line.strip_suffix('\r').unwrap_or(line))
}

/// Returns the end of a line: `"\r\n"`, `"\n"`, or `""` for a last line without one.
pub fn line_ending(line: &str) -> &str {
    &line[line_content(line).len()..]
}

/// Returns a line without its line end and byte order mark, which an editor may change by itself.
pub(crate) fn unmarked(line: &str) -> &str {
    let content = line_content(line);
    content.strip_prefix('\u{feff}').unwrap_or(content)
}

/// Where the lines of one text begin: found once, so that the place of a line costs no second look at the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineStarts {
    /// The start of each line and the end of the text, in bytes.
    boundaries: Vec<usize>,
}

impl LineStarts {
    /// Finds the lines of a text, as [`split_lines`] cuts it.
    pub fn new(text: &str) -> Self {
        let mut boundaries = vec![0];
        boundaries.extend(text.match_indices('\n').map(|(at, _)| at + 1));
        if boundaries.last() != Some(&text.len()) {
            boundaries.push(text.len());
        }
        Self { boundaries }
    }

    /// Returns how many lines there are; none in an empty text.
    pub fn count(&self) -> usize {
        self.boundaries.len() - 1
    }

    /// Returns the bytes of half-open lines; a line past the last is the end of the text.
    pub fn bytes(&self, lines: Range<usize>) -> Range<usize> {
        let at = |line: usize| self.boundaries[line.min(self.count())];
        at(lines.start)..at(lines.end)
    }

    /// Returns a line of the text that this was made from.
    pub fn line<'a>(&self, text: &'a str, line: usize) -> &'a str {
        text.get(self.bytes(line..line + 1)).unwrap_or_default()
    }
}

/// Gives equal lines equal numbers, so that diffs compare numbers.
#[derive(Default)]
pub(crate) struct Interner<'a> {
    ids: HashMap<&'a str, u32>,
}

impl<'a> Interner<'a> {
    /// Returns the number of a line, compared as it is given.
    pub fn id(&mut self, line: &'a str) -> u32 {
        let next = self.ids.len() as u32;
        *self.ids.entry(line).or_insert(next)
    }

    /// Returns the numbers of lines without line end and byte order mark: what an editor may change by itself.
    pub fn keys<S>(&mut self, lines: impl IntoIterator<Item = &'a S>) -> Vec<u32>
    where
        S: AsRef<str> + ?Sized + 'a,
    {
        lines.into_iter().map(|line| self.id(unmarked(line.as_ref()))).collect()
    }
}

/// Returns the changed regions as pairs of half-open ranges (old, new), ascending, each separated from the next by at
/// least one equal line. `exact` asks for a shortest edit script where the texts are small enough for one.
pub(crate) fn line_diff(old: &[u32], new: &[u32], exact: bool) -> Vec<(Range<usize>, Range<usize>)> {
    let prefix = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[prefix..], &new[prefix..]);
    let suffix = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old_rest[..old_rest.len() - suffix], &new_rest[..new_rest.len() - suffix]);
    if old_rest.is_empty() && new_rest.is_empty() {
        return Vec::new();
    }
    let small = old_rest.len() + new_rest.len() <= EXACT_DIFF_LINES;
    let algorithm = if exact && small { Algorithm::RawMyers } else { Algorithm::Myers };
    let mut regions: Vec<(Range<usize>, Range<usize>)> = Vec::new();
    for op in capture_diff_slices(algorithm, old_rest, new_rest) {
        if matches!(op, DiffOp::Equal { .. }) {
            continue;
        }
        let (from, to) = (op.old_range(), op.new_range());
        let (from, to) = (from.start + prefix..from.end + prefix, to.start + prefix..to.end + prefix);
        match regions.last_mut() {
            Some((old, new)) if old.end == from.start && new.end == to.start => {
                old.end = from.end;
                new.end = to.end;
            }
            _ => regions.push((from, to)),
        }
    }
    regions
}
