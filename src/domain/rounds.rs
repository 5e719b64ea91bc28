//! Rounds of a review: what a person says about a proposal, and what of it counts for the next one.
//!
//! A task comes to review, is sent back and comes again; each time is a round. A hunk of the new proposal is the same as an
//! earlier one when it has its id, or, where the text around it moved, when its path, old and new text are the same and
//! there are as many of that kind on both sides; then they are paired in file order. The same hunk keeps what was decided.

use super::event::{HunkRef, Mark};
use super::hunks::{Hunk, HunkId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Something a person said about a proposal. Kept for good, unless the person takes it back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Comment {
    /// Unique within the task, for example `c2`; short because people type it.
    pub id: String,
    pub hunk: Option<HunkId>,
    /// Relative to the repository root.
    pub path: Option<String>,
    /// 1-based, in the proposed text.
    pub line: Option<u32>,
    pub text: String,
    /// The round it was made in, from 1; 0 before the first.
    pub round: u32,
    /// It went to an agent.
    pub sent: bool,
    /// What it is about, as a diff, for the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
}

impl Comment {
    /// Returns the hunk that the comment stands beside: its own; where the proposal has that one no more, the one of its
    /// file that is nearest to its line. None where it is about all of the proposal.
    pub fn beside<'a>(&self, hunks: impl IntoIterator<Item = &'a Hunk>) -> Option<&'a HunkId> {
        let mut nearest: Option<(u32, &HunkId)> = None;
        for hunk in hunks {
            if self.hunk.as_ref() == Some(&hunk.id) {
                return Some(&hunk.id);
            }
            if self.path.as_deref() != Some(hunk.path.as_str()) {
                continue;
            }
            let line = self.line.map_or(0, |line| line.saturating_sub(1));
            let end = hunk.new_start + u32::try_from(hunk.new_lines.len().max(1)).unwrap_or(u32::MAX) - 1;
            let distance = hunk.new_start.saturating_sub(line).max(line.saturating_sub(end));
            if nearest.is_none_or(|(least, _)| distance < least) {
                nearest = Some((distance, &hunk.id));
            }
        }
        nearest.map(|(_, id)| id)
    }
}

/// Why an agent is told something about a proposal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemarkKind {
    #[default]
    Comment,
    /// The hunk was rejected.
    Rejected,
    /// The hunk does not fit what the user has now.
    Conflict,
}

/// One thing the next agent is told about the proposal that was sent back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Remark {
    pub kind: RemarkKind,
    /// The comment it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    pub hunk: Option<HunkId>,
    pub path: Option<String>,
    /// 1-based, in the proposed text; with a conflict, in the user's.
    pub line: Option<u32>,
    /// The person's words; empty where they gave none.
    pub text: String,
    /// The hunk as a diff.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
    /// With a conflict: what the user has there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
    /// The hunk was rejected before and came again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

/// What the front end or the engine knows of a hunk's text when it is sent back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quote {
    /// 1-based, in the proposed text.
    pub line: Option<u32>,
    pub diff: Option<String>,
}

/// What was decided about hunks of earlier rounds, and what the last of them proposed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decided {
    /// Hunks with the mark a person gave them, in the order in which their rounds ended.
    pub marks: Vec<(HunkRef, Mark)>,
    /// Hunks of the round before; none before the first round ended.
    pub last: Option<Vec<HunkRef>>,
}

/// What a new proposal takes over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Carried {
    pub marks: BTreeMap<HunkId, Mark>,
    /// Hunks that are new or different since the round before; none in the first round.
    pub changed: BTreeSet<HunkId>,
    /// Old ids to new ones, of the hunks that are the same.
    pub same: BTreeMap<HunkId, HunkId>,
}

impl Decided {
    /// Takes in a proposal that no longer waits. Hunks without a mark are undecided again, whatever was decided earlier.
    pub fn end_round(&mut self, hunks: &[HunkRef], marks: &BTreeMap<HunkId, Mark>) {
        let before: Vec<HunkRef> = self.marks.iter().map(|(hunk, _)| hunk.clone()).collect();
        let again: BTreeSet<HunkId> = pair(&before, hunks).into_keys().collect();
        self.marks.retain(|(hunk, _)| !again.contains(&hunk.id));
        let marked = hunks.iter().filter_map(|hunk| Some((hunk.clone(), marks.get(&hunk.id)?.clone())));
        self.marks.extend(marked);
        self.last = Some(hunks.to_vec());
    }

    /// Forgets what was accepted, so that it waits for the person if it comes again.
    pub fn forget_accepted(&mut self) {
        self.marks.retain(|(_, mark)| *mark != Mark::Accepted);
    }

    /// Returns what the hunks of a new proposal take over.
    ///
    /// An acceptance counts only while its text is `there`: what the person took out again waits for them.
    pub fn carry(&self, hunks: &[HunkRef]) -> Carried {
        let mut carried = Carried::default();
        let known: Vec<HunkRef> = self.marks.iter().map(|(hunk, _)| hunk.clone()).collect();
        let there: BTreeSet<&HunkId> = hunks.iter().filter(|hunk| hunk.is_there()).map(|hunk| &hunk.id).collect();
        let same = pair(&known, hunks);
        for (old, mark) in &self.marks {
            let Some(new) = same.get(&old.id) else { continue };
            if *mark != Mark::Accepted || there.contains(new) {
                carried.marks.insert(new.clone(), mark.clone());
            }
        }
        if let Some(last) = &self.last {
            let same_as_last = pair(last, hunks);
            let kept: BTreeSet<&HunkId> = same_as_last.values().collect();
            let new = hunks.iter().filter(|hunk| !kept.contains(&hunk.id));
            carried.changed = new.map(|hunk| hunk.id.clone()).collect();
            carried.same.extend(same_as_last);
        }
        carried.same.extend(same);
        carried
    }
}

/// Returns which new hunk each old one is, by id: the same id first, then the same path and text.
pub fn pair(old: &[HunkRef], new: &[HunkRef]) -> BTreeMap<HunkId, HunkId> {
    let new_ids: BTreeSet<&HunkId> = new.iter().map(|hunk| &hunk.id).collect();
    let old_ids: BTreeSet<&HunkId> = old.iter().map(|hunk| &hunk.id).collect();
    let mut pairs: BTreeMap<HunkId, HunkId> =
        old_ids.intersection(&new_ids).map(|id| ((*id).clone(), (*id).clone())).collect();
    let left = group(old, |hunk| !new_ids.contains(&hunk.id));
    let free = group(new, |hunk| !old_ids.contains(&hunk.id));
    for (text, old) in left {
        // With another number of them nobody can say which is which.
        let Some(new) = free.get(&text).filter(|new| new.len() == old.len()) else { continue };
        pairs.extend(old.into_iter().cloned().zip(new.iter().copied().cloned()));
    }
    pairs
}

/// Groups hunks by path and text, in order; those of journals that do not know the text are left out.
fn group(hunks: &[HunkRef], wanted: impl Fn(&HunkRef) -> bool) -> HashMap<(&str, &str), Vec<&HunkId>> {
    let mut groups: HashMap<(&str, &str), Vec<&HunkId>> = HashMap::new();
    for hunk in hunks.iter().filter(|hunk| !hunk.text.is_empty() && wanted(hunk)) {
        groups.entry((&hunk.path, &hunk.text)).or_default().push(&hunk.id);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hunks::{FileChangeTexts, file_hunks};

    fn hunk(id: &str, path: &str, text: &str) -> HunkRef {
        HunkRef { id: id.into(), path: path.into(), text: text.into(), there: false }
    }

    fn words(pairs: &BTreeMap<HunkId, HunkId>) -> String {
        pairs.iter().map(|(old, new)| format!("{old}>{new}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_same_hunk_is_found_again() {
        let old = [hunk("1", "a", "x"), hunk("2", "a", "y"), hunk("3", "b", "x"), hunk("4", "a", "")];
        for (new, expected) in [
            (vec![hunk("1", "a", "x"), hunk("2", "a", "other")], "1>1 2>2"),
            (vec![hunk("9", "a", "x")], "1>9"),
            (vec![hunk("9", "b", "x"), hunk("8", "a", "y")], "2>8 3>9"),
            (vec![hunk("9", "c", "x"), hunk("8", "a", "")], ""),
            // Two where there was one: which of them it is cannot be said.
            (vec![hunk("8", "a", "x"), hunk("9", "a", "x")], ""),
            (vec![hunk("1", "a", "x"), hunk("9", "a", "x")], "1>1"),
        ] {
            assert_eq!(words(&pair(&old, &new)), expected, "{new:?}");
        }
        let twice = [hunk("1", "a", "x"), hunk("2", "a", "x")];
        assert_eq!(words(&pair(&twice, &[hunk("8", "a", "x"), hunk("9", "a", "x")])), "1>8 2>9");
    }

    #[test]
    fn what_was_decided_stays_decided_over_rounds() {
        let no = Mark::Rejected { why: Some("no".into()) };
        let mut decided = Decided::default();
        let first = [hunk("1", "a", "x"), hunk("2", "a", "y"), hunk("3", "b", "z")];
        assert_eq!(decided.carry(&first), Carried::default(), "nothing is new in the first round");
        decided.end_round(&first, &BTreeMap::from([("1".into(), no.clone()), ("3".into(), Mark::Accepted)]));
        let there = HunkRef { there: true, ..hunk("3", "b", "z") };
        let second = decided.carry(&[hunk("2", "a", "y2"), hunk("5", "a", "w"), there]);
        assert_eq!(second.marks, BTreeMap::from([("3".into(), Mark::Accepted)]));
        assert_eq!(second.changed, BTreeSet::from(["5".into()]));
        // Gone in the second round, it comes again in the third, elsewhere in the file.
        decided.end_round(&[hunk("2", "a", "y")], &BTreeMap::new());
        let third = decided.carry(&[hunk("7", "a", "x"), hunk("3", "b", "z")]);
        assert_eq!(third.marks, BTreeMap::from([("7".into(), no)]), "what was taken out again waits for the person");
        assert_eq!(third.changed, BTreeSet::from(["3".into(), "7".into()]));
        decided.end_round(&[hunk("7", "a", "x")], &BTreeMap::new());
        assert_eq!(decided.carry(&[hunk("1", "a", "x")]).marks, BTreeMap::new(), "the person made it pending again");
    }

    #[test]
    fn a_comment_stands_beside_its_hunk_else_in_its_file() {
        let change = |path, new: &'static str| {
            let old = Some("1\n2\n3\n4\n5\n6\n".as_bytes());
            file_hunks(&FileChangeTexts { path, old, new: Some(new.as_bytes()), ..FileChangeTexts::default() })
        };
        let (a, b) = (change("a", "x\n2\n3\n4\n5\ny\n"), change("b", "1\n2\nz\n4\n5\n6\n"));
        let all: Vec<&Hunk> = b.iter().chain(&a).collect();
        let comment = |hunk: Option<&Hunk>, path: Option<&str>, line| Comment {
            hunk: hunk.map(|hunk| hunk.id.clone()),
            path: path.map(str::to_owned),
            line,
            ..Comment::default()
        };
        for (comment, expected) in [
            (comment(Some(&a[1]), Some("a"), Some(1)), Some(&a[1])),
            (comment(None, Some("a"), Some(5)), Some(&a[1])),
            (comment(None, Some("a"), None), Some(&a[0])),
            (comment(Some(&a[0]), Some("b"), None), Some(&a[0])),
            (comment(None, Some("c"), Some(1)), None),
            (comment(None, None, None), None),
        ] {
            assert_eq!(comment.beside(all.iter().copied()), expected.map(|hunk| &hunk.id), "{comment:?}");
        }
        let gone = Comment { hunk: Some("gone".into()), ..comment(None, Some("a"), Some(6)) };
        assert_eq!(gone.beside(all.iter().copied()), Some(&a[1].id));
    }
}
