//! The mapping: by position through the difference between the expected text and the buffer, never by searching for text.
//!
//! With S the recorded accepted hunks, the expected text is apply(base, S). Three steps:
//!
//! 1. If the buffer is the base with *some* choice of hunks in it (accepted, undone, or as recorded) and nothing else, that
//!    choice is the answer; of several, the one nearest to S.
//! 2. Otherwise expected and buffer are aligned by a line difference. A hunk whose region lies intact stands as recorded.
//! 3. Hunks whose region does not, or might not (in repetitive text a difference can be slid), are tried the other way
//!    round, all at once: where the flipped text aligns, the hunk was accepted or undone outside the record. The rest are
//!    conflicts.

use super::align::{Alignment, Fate, distance};
use super::{HunkState, LineEnd, Mapped};
use crate::domain::hunks::{Hunk, HunkId, Interner, LineStarts, line_ending, split_lines, unmarked};
use std::collections::BTreeSet;
use std::ops::Range;

/// How many partial explanations of the buffer are kept; repetitive files have many.
const MAX_EXPLANATIONS: usize = 32;
/// How often flipped hunks are tried; each round costs one difference.
const MAX_ROUNDS: usize = 4;
/// Lines on both sides of a hunk that are looked at to tell which of its sides is nearer to the buffer.
const WINDOW: usize = 100;

/// Maps the text hunks of one file onto the buffer, in the order of the base; hunks of other kinds are passed over.
///
/// `accepted` is the recorded set; hunks in `rejected` are left out and expected to be absent. A hunk that does not fit the
/// base, or overlaps an earlier one, is a conflict over no lines at the start of the text.
pub fn map_hunks(
    base: &str,
    hunks: &[Hunk],
    accepted: &BTreeSet<HunkId>,
    rejected: &BTreeSet<HunkId>,
    buffer: &str,
) -> Vec<Mapped> {
    let mut sorted: Vec<&Hunk> = hunks.iter().filter(|hunk| hunk.is_text() && !rejected.contains(&hunk.id)).collect();
    sorted.sort_by_key(|hunk| hunk.old_start);
    let lines = split_lines(base);
    let mut places = Vec::with_capacity(sorted.len());
    let mut misfits = Vec::new();
    let mut free = 0;
    for hunk in sorted {
        if hunk.old_range().start < free || !crate::domain::hunks::fits(hunk, &lines) {
            misfits.push(conflict(hunk));
            continue;
        }
        free = hunk.old_range().end;
        let ends_only = is_alike(&hunk.old_lines, &hunk.new_lines);
        places.push(Place { hunk, ends_only, recorded: accepted.contains(&hunk.id) });
    }
    let mapping = Mapping {
        texts: Texts { base, base_starts: LineStarts::new(base), buffer, buffer_starts: LineStarts::new(buffer) },
        base: lines,
        buffer: split_lines(buffer),
        places,
    };
    let mut mapped = mapping.run();
    mapped.extend(misfits);
    mapped
}

fn conflict(hunk: &Hunk) -> Mapped {
    let id = hunk.id.clone();
    Mapped { hunk: id, state: HunkState::Conflict, lines: 0..0, edited: false, line_end: None, final_newline: None }
}

/// Tells whether lines are equal as mapping compares them.
fn is_alike<A: AsRef<str>, B: AsRef<str>>(lines: &[A], other: &[B]) -> bool {
    let same = |(line, other): (&A, &B)| unmarked(line.as_ref()) == unmarked(other.as_ref());
    lines.len() == other.len() && lines.iter().zip(other).all(same)
}

/// A hunk that fits the base.
struct Place<'a> {
    hunk: &'a Hunk,
    /// Old and new differ in line ends (or a byte order mark) only.
    ends_only: bool,
    recorded: bool,
}

impl Place<'_> {
    fn lines(&self, is_new: bool) -> &[String] {
        if is_new { &self.hunk.new_lines } else { &self.hunk.old_lines }
    }
}

/// Base and buffer with the places of their lines.
struct Texts<'a> {
    base: &'a str,
    base_starts: LineStarts,
    buffer: &'a str,
    buffer_starts: LineStarts,
}

/// Base, buffer and hunks with their lines as numbers, which differences are made of.
struct Keys {
    base: Vec<u32>,
    buffer: Vec<u32>,
    /// The old and the new lines of each place.
    sides: Vec<[Vec<u32>; 2]>,
}

impl Keys {
    fn side(&self, index: usize, is_new: bool) -> &[u32] {
        &self.sides[index][usize::from(is_new)]
    }
}

/// One partial explanation: the first hunks as chosen fill the buffer up to `end`.
#[derive(Clone, Copy)]
struct Explanation {
    end: usize,
    /// Hunks that stand otherwise than recorded.
    flips: usize,
    is_new: bool,
    /// Index among the explanations of the hunk before.
    previous: usize,
}

struct Mapping<'a> {
    texts: Texts<'a>,
    base: Vec<&'a str>,
    buffer: Vec<&'a str>,
    places: Vec<Place<'a>>,
}

impl Mapping<'_> {
    fn run(&self) -> Vec<Mapped> {
        if let Some(sides) = self.explain() {
            let fates = self.regions(&sides).into_iter().map(Fate::Intact).collect();
            return self.describe(&sides, fates);
        }
        let keys = self.keys();
        let mut sides: Vec<bool> = self.places.iter().map(|place| place.recorded).collect();
        let (expected, regions) = (self.expected_keys(&keys, &sides), self.regions(&sides));
        let alignment = Alignment::new(&expected, &keys.buffer);
        // Hunks whose region is gone need the other side intact; those that may only look intact need it to fit without
        // any change beside it, or an edit nearby would count as a decision.
        let mut flipped: Vec<(usize, bool)> = Vec::new();
        for (index, region) in regions.iter().enumerate().filter(|(index, _)| !self.places[*index].ends_only) {
            let is_gone = matches!(alignment.fate(region), Fate::Touched(_));
            if is_gone || alignment.could_reach(region) || self.may_hide(&keys, &alignment, &expected, region, index) {
                flipped.push((index, is_gone));
            }
        }
        for (index, _) in &flipped {
            sides[*index] = !sides[*index];
        }
        if flipped.is_empty() {
            let fates = regions.iter().map(|region| alignment.fate(region)).collect();
            return self.describe(&sides, fates);
        }
        let mut round = 0;
        loop {
            round += 1;
            let (expected, regions) = (self.expected_keys(&keys, &sides), self.regions(&sides));
            let alignment = Alignment::new(&expected, &keys.buffer);
            let tried = flipped.len();
            flipped.retain(|(index, is_gone)| {
                let region = &regions[*index];
                let holds = if *is_gone { alignment.is_grown(region) } else { alignment.is_clean(region) };
                let holds = holds && self.is_right(&keys, &alignment, &expected, region, *index, sides[*index]);
                // The last round takes back what is left, so that the next one finds nothing to take back.
                let holds = holds && round < MAX_ROUNDS;
                if !holds {
                    sides[*index] = !sides[*index];
                }
                holds
            });
            if flipped.len() == tried {
                let fates = regions.iter().map(|region| alignment.fate(region)).collect();
                return self.describe(&sides, fates);
            }
        }
    }

    /// Tells whether a hunk that only inserts or only deletes may have been flipped inside a larger change nearby: in
    /// repetitive text its lines can be taken for those of a neighbour.
    fn may_hide(
        &self,
        keys: &Keys,
        alignment: &Alignment,
        expected: &[u32],
        region: &Range<usize>,
        index: usize,
    ) -> bool {
        let place = &self.places[index];
        if !place.hunk.old_lines.is_empty() && !place.hunk.new_lines.is_empty() {
            return false;
        }
        let holds = |lines: &[u32], wanted: &[u32]| {
            lines.len() >= wanted.len() && lines.len() <= 2 * WINDOW && wanted.iter().all(|line| lines.contains(line))
        };
        let current = keys.side(index, place.recorded);
        let hides = alignment.changes_near(region, WINDOW).iter().any(|(old, new)| match current.is_empty() {
            true => holds(&keys.buffer[new.clone()], keys.side(index, !place.recorded)),
            false => holds(&expected[old.clone()], current),
        });
        hides && !self.is_right(keys, alignment, expected, region, index, place.recorded)
    }

    /// Tells whether the buffer around a hunk is nearer to the expected text, which has this side of the hunk, than to
    /// the same text with its other side. Of two equally near the recorded side is right.
    fn is_right(
        &self,
        keys: &Keys,
        alignment: &Alignment,
        expected: &[u32],
        region: &Range<usize>,
        index: usize,
        is_new: bool,
    ) -> bool {
        let place = &self.places[index];
        let (window, buffer) = alignment.window(region, WINDOW);
        let buffer = &keys.buffer[buffer];
        let (before, after) = (&expected[window.start..region.start], &expected[region.end..window.end]);
        let other = [before, keys.side(index, !is_new), after].concat();
        let (here, there) = (distance(&expected[window], buffer), distance(&other, buffer));
        here < there || (here == there && is_new == place.recorded)
    }

    /// Numbers the lines of everything; only differences need it.
    fn keys(&self) -> Keys {
        let mut interner = Interner::default();
        let base = interner.keys(self.base.iter().copied());
        let buffer = interner.keys(self.buffer.iter().copied());
        let mut sides = Vec::with_capacity(self.places.len());
        for Place { hunk, .. } in &self.places {
            sides.push([interner.keys(&hunk.old_lines), interner.keys(&hunk.new_lines)]);
        }
        Keys { base, buffer, sides }
    }

    /// Returns each hunk's region in the expected text with the given sides.
    fn regions(&self, sides: &[bool]) -> Vec<Range<usize>> {
        let (mut at, mut done) = (0, 0);
        let region = |(place, is_new): (&Place<'_>, &bool)| {
            let range = place.hunk.old_range();
            let start = at + range.start - done;
            at = start + place.lines(*is_new).len();
            done = range.end;
            start..at
        };
        self.places.iter().zip(sides).map(region).collect()
    }

    /// Returns the expected text with the given sides.
    fn expected_keys(&self, keys: &Keys, sides: &[bool]) -> Vec<u32> {
        let mut expected = Vec::with_capacity(keys.base.len());
        let mut done = 0;
        for (index, (place, is_new)) in self.places.iter().zip(sides).enumerate() {
            let range = place.hunk.old_range();
            expected.extend_from_slice(&keys.base[done..range.start]);
            expected.extend_from_slice(keys.side(index, *is_new));
            done = range.end;
        }
        expected.extend_from_slice(&keys.base[done..]);
        expected
    }

    /// Finds the choice of sides that gives exactly the buffer with the fewest flips, if one does.
    fn explain(&self) -> Option<Vec<bool>> {
        let start = Explanation { end: 0, flips: 0, is_new: false, previous: 0 };
        let mut layers: Vec<Vec<Explanation>> = vec![vec![start]];
        let mut done = 0;
        for place in &self.places {
            let range = place.hunk.old_range();
            let gap = done..range.start;
            let mut next: Vec<Explanation> = Vec::new();
            for (previous, explanation) in layers[layers.len() - 1].iter().enumerate() {
                let Some(end) = self.reads_base(explanation.end, gap.clone()) else { continue };
                for is_new in [place.recorded, !place.recorded] {
                    let flip = is_new != place.recorded;
                    if flip && place.ends_only {
                        continue;
                    }
                    let Some(end) = self.reads(end, place.lines(is_new)) else { continue };
                    let found = Explanation { end, flips: explanation.flips + usize::from(flip), is_new, previous };
                    match next.iter_mut().find(|other| other.end == end) {
                        Some(other) if other.flips <= found.flips => {}
                        Some(other) => *other = found,
                        None => next.push(found),
                    }
                }
            }
            next.sort_by_key(|explanation| explanation.flips);
            next.truncate(MAX_EXPLANATIONS);
            layers.push(next);
            done = range.end;
        }
        let tail = done..self.base.len();
        let ends =
            |explanation: &Explanation| self.reads_base(explanation.end, tail.clone()) == Some(self.buffer.len());
        let mut at = layers[layers.len() - 1].iter().position(ends)?;
        let mut sides = vec![false; self.places.len()];
        for (side, layer) in sides.iter_mut().zip(&layers[1..]).rev() {
            *side = layer[at].is_new;
            at = layer[at].previous;
        }
        Some(sides)
    }

    /// Returns where these lines end in the buffer, if they stand at `start`.
    fn reads<S: AsRef<str>>(&self, start: usize, lines: &[S]) -> Option<usize> {
        let end = start + lines.len();
        is_alike(self.buffer.get(start..end)?, lines).then_some(end)
    }

    /// As [`Mapping::reads`], for lines of the base: where nobody touched them their bytes are equal, which is the
    /// quickest thing to see.
    fn reads_base(&self, start: usize, lines: Range<usize>) -> Option<usize> {
        let end = start + lines.len();
        if end > self.buffer.len() {
            return None;
        }
        let texts = &self.texts;
        let buffer = &texts.buffer[texts.buffer_starts.bytes(start..end)];
        if buffer == &texts.base[texts.base_starts.bytes(lines.clone())] {
            return Some(end);
        }
        self.reads(start, &self.base[lines])
    }

    /// Turns sides and fates into what callers see.
    fn describe(&self, sides: &[bool], fates: Vec<Fate>) -> Vec<Mapped> {
        let expected = self.expected_lines(sides);
        let newline = |lines: &[&str]| lines.last().map(|line| line.ends_with('\n'));
        let final_newline = match (newline(&expected), newline(&self.buffer)) {
            (Some(expected), Some(buffer)) if expected != buffer => Some(buffer),
            _ => None,
        };
        let regions = self.regions(sides);
        let mut mapped = Vec::with_capacity(fates.len());
        for (((place, is_new), fate), region) in self.places.iter().zip(sides).zip(fates).zip(regions) {
            let (lines, state, edited) = match fate {
                Fate::Intact(lines) if place.ends_only => {
                    let (state, edited) = self.state_of_ends(place, &self.buffer[lines.clone()]);
                    (lines, state, edited)
                }
                Fate::Intact(lines) => (lines, intact_state(place.recorded, *is_new), false),
                Fate::Touched(lines) if place.recorded => (lines, HunkState::Accepted, true),
                Fate::Touched(lines) => (lines, HunkState::Conflict, false),
            };
            let verbatim = place.ends_only || is_same(&self.buffer[lines.clone()], place.lines(*is_new));
            let line_end = match (near_line_end(&expected, &region), near_line_end(&self.buffer, &lines)) {
                (Some(expected), Some(buffer)) if expected != buffer && !verbatim => Some(buffer),
                _ => None,
            };
            mapped.push(Mapped {
                hunk: place.hunk.id.clone(),
                state,
                lines: lines.start as u32..lines.end as u32,
                edited,
                line_end,
                final_newline: final_newline.filter(|_| !verbatim),
            });
        }
        mapped
    }

    /// Judges a hunk that changes line ends only, to the byte.
    fn state_of_ends(&self, place: &Place<'_>, lines: &[&str]) -> (HunkState, bool) {
        if is_same(lines, place.lines(place.recorded)) {
            return (intact_state(place.recorded, place.recorded), false);
        }
        if is_same(lines, place.lines(!place.recorded)) {
            return (intact_state(place.recorded, !place.recorded), false);
        }
        if place.recorded { (HunkState::Accepted, true) } else { (HunkState::Conflict, false) }
    }

    /// Returns the expected lines with the given sides, with their line ends.
    fn expected_lines(&self, sides: &[bool]) -> Vec<&str> {
        let mut lines = Vec::with_capacity(self.base.len());
        let mut done = 0;
        for (place, is_new) in self.places.iter().zip(sides) {
            let range = place.hunk.old_range();
            lines.extend_from_slice(&self.base[done..range.start]);
            lines.extend(place.lines(*is_new).iter().map(String::as_str));
            done = range.end;
        }
        lines.extend_from_slice(&self.base[done..]);
        lines
    }
}

fn intact_state(recorded: bool, is_new: bool) -> HunkState {
    match (recorded, is_new) {
        (_, true) => HunkState::Accepted,
        (true, false) => HunkState::Reverted,
        (false, false) => HunkState::Pending,
    }
}

/// Tells whether lines are equal to the byte, and there are any.
fn is_same(lines: &[&str], other: &[String]) -> bool {
    !lines.is_empty() && lines.iter().copied().eq(other.iter().map(String::as_str))
}

/// Returns the line end used at a place: of its own first line, else of the nearest line before, else after.
fn near_line_end(lines: &[&str], place: &Range<usize>) -> Option<LineEnd> {
    let inside = lines[place.clone()].iter();
    let mut nearest = inside.chain(lines[..place.start].iter().rev()).chain(&lines[place.end..]);
    nearest.find_map(|line| match line_ending(line) {
        "\r\n" => Some(LineEnd::Crlf),
        "\n" => Some(LineEnd::Lf),
        _ => None,
    })
}
