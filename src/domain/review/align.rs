//! Positions of an expected text's regions in a buffer, through the difference of the two.

use crate::domain::hunks::line_diff;
use std::ops::Range;

const UNMATCHED: u32 = u32::MAX;

/// Which buffer line each expected line became, and where the difference could lie just as well.
pub(super) struct Alignment {
    /// Buffer line of each expected line, or [`UNMATCHED`].
    position: Vec<u32>,
    /// Per expected line boundary: the end of the last matched line before it, in buffer lines.
    before: Vec<u32>,
    /// Per expected line boundary: the start of the first matched line from it on, in buffer lines.
    after: Vec<u32>,
    /// Per expected line: a pure deletion touches it, or could be slid over it without changing the result.
    deletable: Vec<bool>,
    /// Per expected line boundary: a pure insertion stands there, or could be slid there.
    insertable: Vec<bool>,
    /// Changed regions (expected, buffer), ascending.
    changes: Vec<(Range<usize>, Range<usize>)>,
}

/// How a region of the expected text fares in the buffer, with its buffer lines.
pub(super) enum Fate {
    /// All its lines are there, together; or, for an empty region, its place is unambiguous.
    Intact(Range<usize>),
    /// Some are changed, or something was put between them, or right where an empty region stands.
    Touched(Range<usize>),
}

impl Fate {
    /// Returns its buffer lines, whatever became of it.
    pub fn lines(self) -> Range<usize> {
        match self {
            Self::Intact(lines) | Self::Touched(lines) => lines,
        }
    }
}

impl Alignment {
    /// Aligns two texts given as line numbers of one interner.
    pub fn new(expected: &[u32], buffer: &[u32]) -> Self {
        let length = expected.len();
        let mut deletable = vec![false; length];
        let mut insertable = vec![false; length + 1];
        let mut position = vec![UNMATCHED; length];
        let changes = line_diff(expected, buffer, true);
        let (mut from, mut to) = (0, 0);
        for (index, (old, new)) in changes.iter().enumerate() {
            for (line, position) in position[from..old.start].iter_mut().enumerate() {
                *position = (to + line) as u32;
            }
            let limits = from..changes.get(index + 1).map_or(length, |(next, _)| next.start);
            if old.is_empty() {
                let (up, down) = slide(expected, old.start..old.end, &buffer[new.clone()], &limits);
                insertable[old.start - up..=old.start + down].fill(true);
            } else if new.is_empty() {
                let (up, down) = slide(expected, old.clone(), &expected[old.clone()], &limits);
                deletable[old.start - up..old.end + down].fill(true);
            }
            (from, to) = (old.end, new.end);
        }
        for (line, position) in position[from..].iter_mut().enumerate() {
            *position = (to + line) as u32;
        }
        let mut before = vec![0; length + 1];
        for line in 0..length {
            before[line + 1] = if position[line] == UNMATCHED { before[line] } else { position[line] + 1 };
        }
        let mut after = vec![buffer.len() as u32; length + 1];
        for line in (0..length).rev() {
            after[line] = if position[line] == UNMATCHED { after[line + 1] } else { position[line] };
        }
        Self { position, before, after, deletable, insertable, changes }
    }

    /// Tells how a region of expected lines fares.
    pub fn fate(&self, region: &Range<usize>) -> Fate {
        let (before, after) = (self.before[region.start] as usize, self.after[region.end] as usize);
        let touched = Fate::Touched(before..after);
        if region.is_empty() {
            return match (self.matched_before(region.start), self.matched_after(region.end)) {
                (true, true) if before == after => Fate::Intact(before..before),
                (true, false) => Fate::Intact(before..before),
                (false, true) => Fate::Intact(after..after),
                _ => touched,
            };
        }
        let first = self.position[region.start];
        let contiguous = first != UNMATCHED
            && self.position[region.clone()].iter().zip(first..).all(|(position, expected)| *position == expected);
        if contiguous { Fate::Intact(first as usize..first as usize + region.len()) } else { touched }
    }

    /// Tells whether a change of the same result could reach into the region.
    pub fn could_reach(&self, region: &Range<usize>) -> bool {
        if region.is_empty() {
            return self.insertable[region.start];
        }
        self.deletable[region.clone()].contains(&true) || self.insertable[region.start + 1..region.end].contains(&true)
    }

    /// Tells whether the region and the lines beside it are all there, whichever way the difference is slid. Lines may
    /// have been put beside it, but not beside an empty one, which they could hide.
    pub fn is_grown(&self, region: &Range<usize>) -> bool {
        let around = region.start.saturating_sub(1)..(region.end + 1).min(self.deletable.len());
        self.matched_before(region.start)
            && self.matched_after(region.end)
            && !self.deletable[around].contains(&true)
            && !(region.is_empty() && self.insertable[region.start])
            && matches!(self.fate(region), Fate::Intact(_))
    }

    /// Tells whether nothing changed at the region and right beside it, whichever way the difference is slid.
    pub fn is_clean(&self, region: &Range<usize>) -> bool {
        self.is_grown(region) && !self.insertable[region.start..=region.end].contains(&true)
    }

    /// Returns the changed regions (expected, buffer) that lie within `reach` lines of the region.
    pub fn changes_near(&self, region: &Range<usize>, reach: usize) -> &[(Range<usize>, Range<usize>)] {
        let first = self.changes.partition_point(|(old, _)| old.end + reach < region.start);
        let last = self.changes.partition_point(|(old, _)| old.start <= region.end + reach);
        &self.changes[first..last]
    }

    /// Returns a window around the region, in expected and in buffer lines, that reaches `reach` lines further on both
    /// sides and then to the next lines that are there.
    pub fn window(&self, region: &Range<usize>, reach: usize) -> (Range<usize>, Range<usize>) {
        let mut start = region.start.saturating_sub(reach);
        while !self.matched_before(start) {
            start -= 1;
        }
        let mut end = (region.end + reach).min(self.position.len());
        while !self.matched_after(end) {
            end += 1;
        }
        (start..end, self.before[start] as usize..self.after[end] as usize)
    }

    fn matched_before(&self, boundary: usize) -> bool {
        boundary == 0 || self.position[boundary - 1] != UNMATCHED
    }

    fn matched_after(&self, boundary: usize) -> bool {
        self.position.get(boundary).is_none_or(|position| *position != UNMATCHED)
    }
}

/// Returns how many lines must be taken out and put in to make one text from the other.
pub(super) fn distance(old: &[u32], new: &[u32]) -> usize {
    line_diff(old, new, true).iter().map(|(old, new)| old.len() + new.len()).sum()
}

/// Returns by how many lines a block that was inserted at, or deleted from, `at` could lie earlier and later with the same
/// result, within `limits` (the neighbouring changes).
fn slide(expected: &[u32], at: Range<usize>, block: &[u32], limits: &Range<usize>) -> (usize, usize) {
    let rotated = |step: usize| block[step % block.len()];
    let down = (at.end..limits.end).enumerate().take_while(|(step, line)| expected[*line] == rotated(*step)).count();
    let up = (limits.start..at.start)
        .rev()
        .enumerate()
        .take_while(|(step, line)| expected[*line] == block[block.len() - 1 - step % block.len()])
        .count();
    (up, down)
}
