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
use crate::domain::hunks::{Hunk, HunkId, Interner, line_ending, split_lines};
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
    let (base, buffer) = (split_lines(base), split_lines(buffer));
    let mut sorted: Vec<&Hunk> = hunks.iter().filter(|hunk| hunk.is_text() && !rejected.contains(&hunk.id)).collect();
    sorted.sort_by_key(|hunk| hunk.old_start);
    let mut interner = Interner::default();
    let base_keys = interner.keys(base.iter().copied());
    let buffer_keys = interner.keys(buffer.iter().copied());
    let mut places = Vec::with_capacity(sorted.len());
    let mut misfits = Vec::new();
    let mut free = 0;
    for hunk in sorted {
        if hunk.old_range().start < free || !crate::domain::hunks::fits(hunk, &base) {
            misfits.push(conflict(hunk));
            continue;
        }
        free = hunk.old_range().end;
        let (old, new) = (interner.keys(&hunk.old_lines), interner.keys(&hunk.new_lines));
        let recorded = accepted.contains(&hunk.id);
        places.push(Place { hunk, ends_only: old == new, old, new, recorded });
    }
    let mapping = Mapping { base, base_keys, buffer, buffer_keys, places };
    let mut mapped = mapping.run();
    mapped.extend(misfits);
    mapped
}

fn conflict(hunk: &Hunk) -> Mapped {
    let id = hunk.id.clone();
    Mapped { hunk: id, state: HunkState::Conflict, lines: 0..0, edited: false, line_end: None, final_newline: None }
}

/// A hunk with its lines as numbers.
struct Place<'a> {
    hunk: &'a Hunk,
    old: Vec<u32>,
    new: Vec<u32>,
    /// Old and new differ in line ends (or a byte order mark) only.
    ends_only: bool,
    recorded: bool,
}

impl Place<'_> {
    fn side(&self, is_new: bool) -> &[u32] {
        if is_new { &self.new } else { &self.old }
    }

    fn lines(&self, is_new: bool) -> &[String] {
        if is_new { &self.hunk.new_lines } else { &self.hunk.old_lines }
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
    base: Vec<&'a str>,
    base_keys: Vec<u32>,
    buffer: Vec<&'a str>,
    buffer_keys: Vec<u32>,
    places: Vec<Place<'a>>,
}

impl Mapping<'_> {
    fn run(&self) -> Vec<Mapped> {
        if let Some(sides) = self.explain() {
            let (_, regions) = self.expected_keys(&sides);
            let fates = regions.into_iter().map(Fate::Intact).collect();
            return self.describe(&sides, fates);
        }
        let mut sides: Vec<bool> = self.places.iter().map(|place| place.recorded).collect();
        let (expected, regions) = self.expected_keys(&sides);
        let alignment = Alignment::new(&expected, &self.buffer_keys);
        // Hunks whose region is gone need the other side intact; those that may only look intact need it to fit without
        // any change beside it, or an edit nearby would count as a decision.
        let mut flipped: Vec<(usize, bool)> = Vec::new();
        for (index, region) in regions.iter().enumerate().filter(|(index, _)| !self.places[*index].ends_only) {
            let is_gone = matches!(alignment.fate(region), Fate::Touched(_));
            if is_gone || alignment.could_reach(region) || self.may_hide(&alignment, &expected, region, index) {
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
            let (expected, regions) = self.expected_keys(&sides);
            let alignment = Alignment::new(&expected, &self.buffer_keys);
            let tried = flipped.len();
            flipped.retain(|(index, is_gone)| {
                let region = &regions[*index];
                let holds = if *is_gone { alignment.is_grown(region) } else { alignment.is_clean(region) };
                let holds = holds && self.is_right(&alignment, &expected, region, *index, sides[*index]);
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
    fn may_hide(&self, alignment: &Alignment, expected: &[u32], region: &Range<usize>, index: usize) -> bool {
        let place = &self.places[index];
        if !place.old.is_empty() && !place.new.is_empty() {
            return false;
        }
        let holds = |lines: &[u32], wanted: &[u32]| {
            lines.len() >= wanted.len() && lines.len() <= 2 * WINDOW && wanted.iter().all(|line| lines.contains(line))
        };
        let current = place.side(place.recorded);
        let hides = alignment.changes_near(region, WINDOW).iter().any(|(old, new)| match current.is_empty() {
            true => holds(&self.buffer_keys[new.clone()], place.side(!place.recorded)),
            false => holds(&expected[old.clone()], current),
        });
        hides && !self.is_right(alignment, expected, region, index, place.recorded)
    }

    /// Tells whether the buffer around a hunk is nearer to the expected text, which has this side of the hunk, than to
    /// the same text with its other side. Of two equally near the recorded side is right.
    fn is_right(
        &self,
        alignment: &Alignment,
        expected: &[u32],
        region: &Range<usize>,
        index: usize,
        is_new: bool,
    ) -> bool {
        let place = &self.places[index];
        let (window, buffer) = alignment.window(region, WINDOW);
        let buffer = &self.buffer_keys[buffer];
        let (before, after) = (&expected[window.start..region.start], &expected[region.end..window.end]);
        let other = [before, place.side(!is_new), after].concat();
        let (here, there) = (distance(&expected[window], buffer), distance(&other, buffer));
        here < there || (here == there && is_new == place.recorded)
    }

    /// Returns the expected text with the given sides, and each hunk's region in it.
    fn expected_keys(&self, sides: &[bool]) -> (Vec<u32>, Vec<Range<usize>>) {
        let mut keys = Vec::with_capacity(self.base_keys.len());
        let mut regions = Vec::with_capacity(self.places.len());
        let mut done = 0;
        for (place, is_new) in self.places.iter().zip(sides) {
            let range = place.hunk.old_range();
            keys.extend_from_slice(&self.base_keys[done..range.start]);
            let start = keys.len();
            keys.extend_from_slice(place.side(*is_new));
            regions.push(start..keys.len());
            done = range.end;
        }
        keys.extend_from_slice(&self.base_keys[done..]);
        (keys, regions)
    }

    /// Finds the choice of sides that gives exactly the buffer with the fewest flips, if one does.
    fn explain(&self) -> Option<Vec<bool>> {
        let start = Explanation { end: 0, flips: 0, is_new: false, previous: 0 };
        let mut layers: Vec<Vec<Explanation>> = vec![vec![start]];
        let mut done = 0;
        for place in &self.places {
            let range = place.hunk.old_range();
            let gap = &self.base_keys[done..range.start];
            let mut next: Vec<Explanation> = Vec::new();
            for (previous, explanation) in layers[layers.len() - 1].iter().enumerate() {
                let Some(end) = self.reads(explanation.end, gap) else { continue };
                for is_new in [place.recorded, !place.recorded] {
                    let flip = is_new != place.recorded;
                    if flip && place.ends_only {
                        continue;
                    }
                    let Some(end) = self.reads(end, place.side(is_new)) else { continue };
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
        let tail = &self.base_keys[done..];
        let ends = |explanation: &Explanation| self.reads(explanation.end, tail) == Some(self.buffer_keys.len());
        let mut at = layers[layers.len() - 1].iter().position(ends)?;
        let mut sides = vec![false; self.places.len()];
        for (side, layer) in sides.iter_mut().zip(&layers[1..]).rev() {
            *side = layer[at].is_new;
            at = layer[at].previous;
        }
        Some(sides)
    }

    /// Returns where these lines end in the buffer, if they stand at `start`.
    fn reads(&self, start: usize, keys: &[u32]) -> Option<usize> {
        self.buffer_keys[start..].starts_with(keys).then_some(start + keys.len())
    }

    /// Turns sides and fates into what callers see.
    fn describe(&self, sides: &[bool], fates: Vec<Fate>) -> Vec<Mapped> {
        let expected = self.expected_lines(sides);
        let newline = |lines: &[&str]| lines.last().map(|line| line.ends_with('\n'));
        let final_newline = match (newline(&expected), newline(&self.buffer)) {
            (Some(expected), Some(buffer)) if expected != buffer => Some(buffer),
            _ => None,
        };
        let (_, regions) = self.expected_keys(sides);
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
