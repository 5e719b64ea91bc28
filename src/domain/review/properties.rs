//! Laws of the mapping on random texts.
//!
//! In repetitive text "where did the person edit" has no answer from the texts alone, so the truth comes from how a buffer
//! was made: edits at known positions, with lines that occur nowhere else.

use super::edits::accept_each;
use super::*;
use crate::domain::hunks::{FileChangeTexts, Hunk, HunkId, apply, file_hunks, split_lines};
use proptest::prelude::*;
use std::collections::BTreeSet;

type Ids = BTreeSet<HunkId>;

fn hunks_of(base: &str, new: &str) -> Vec<Hunk> {
    let change =
        FileChangeTexts { path: "a", old: Some(base.as_bytes()), new: Some(new.as_bytes()), ..Default::default() };
    file_hunks(&change)
}

fn choose(hunks: &[Hunk], chosen: &[bool]) -> Ids {
    hunks.iter().zip(chosen).filter(|(_, take)| **take).map(|(hunk, _)| hunk.id.clone()).collect()
}

fn map(base: &str, hunks: &[Hunk], accepted: &Ids, buffer: &str) -> Vec<Mapped> {
    map_hunks(base, hunks, accepted, &Ids::new(), buffer)
}

fn pairs<'a>(mapped: &'a [Mapped], hunks: &'a [Hunk]) -> Vec<(&'a Mapped, &'a Hunk)> {
    mapped.iter().map(|found| (found, hunks.iter().find(|hunk| hunk.id == found.hunk).unwrap())).collect()
}

/// Accepts one hunk after the other in the given order, with anchors that move along, and returns the text.
fn accept_in_order(buffer: &str, mapped: &[Mapped], hunks: &[Hunk], order: &[usize]) -> String {
    let mut text = buffer.to_owned();
    let mut anchors = Anchors::new(mapped);
    let pairs = pairs(mapped, hunks);
    for index in order.iter().filter(|index| **index < pairs.len()) {
        let (found, hunk) = pairs[*index];
        let moved = Mapped { lines: anchors.get(&hunk.id).unwrap().lines.clone(), ..found.clone() };
        if let Some(accepted) = accept(&text, &moved, hunk) {
            text = accepted;
            anchors.flip(&hunk.id, hunk.new_lines.len() as u32);
        }
    }
    text
}

fn repetitive() -> impl Strategy<Value = String> {
    (prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 0..25), any::<bool>())
        .prop_map(|(lines, newline)| lines.join("\n") + if newline && !lines.is_empty() { "\n" } else { "" })
}

fn choices() -> impl Strategy<Value = Vec<bool>> {
    prop::collection::vec(any::<bool>(), 40)
}

fn order() -> impl Strategy<Value = Vec<usize>> {
    Just((0..40).collect::<Vec<usize>>()).prop_shuffle()
}

/// A proposal over distinct lines, and what a person did to the lines between its hunks.
#[derive(Clone, Debug)]
struct Scene {
    base: String,
    new: String,
    /// Per base line: how a person left it. Lines in and next to hunks are `Keep`.
    edits: Vec<Edit>,
    changed: Vec<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Edit {
    Keep,
    Delete,
    Replace,
    InsertBefore,
}

fn scene() -> impl Strategy<Value = Scene> {
    let line =
        (0u8..10, prop::sample::select(vec![Edit::Keep, Edit::Keep, Edit::Delete, Edit::Replace, Edit::InsertBefore]));
    prop::collection::vec(line, 1..40).prop_map(|lines| {
        let (mut base, mut new) = (String::new(), String::new());
        let mut changed = Vec::new();
        for (index, (kind, _)) in lines.iter().enumerate() {
            base += &format!("base {index}\n");
            new += &match kind {
                0 => String::new(),
                1 => format!("new {index}\nmore {index}\n"),
                2 => format!("put {index}\nbase {index}\n"),
                _ => format!("base {index}\n"),
            };
            changed.push(*kind <= 2);
        }
        let near = |index: usize| (index.saturating_sub(1)..=index + 1).any(|at| changed.get(at) == Some(&true));
        let edits =
            lines.iter().enumerate().map(|(index, (_, edit))| if near(index) { Edit::Keep } else { *edit }).collect();
        Scene { base, new, edits, changed }
    })
}

impl Scene {
    /// Returns the text with these hunks applied and the person's edits, made by position.
    fn text(&self, hunks: &[Hunk], accepted: &Ids) -> String {
        let lines = split_lines(&self.base);
        let mut text = String::new();
        for (index, line) in lines.iter().enumerate() {
            let index_u32 = index as u32;
            for hunk in hunks.iter().filter(|hunk| hunk.old_start == index_u32 && accepted.contains(&hunk.id)) {
                text += &hunk.new_lines.concat();
            }
            let replaced = hunks.iter().any(|hunk| accepted.contains(&hunk.id) && hunk.old_range().contains(&index));
            match self.edits[index] {
                _ if replaced => {}
                Edit::Keep => text += line,
                Edit::Delete => {}
                Edit::Replace => text += &format!("mine {index}\n"),
                Edit::InsertBefore => text += &format!("mine {index}\n{line}"),
            }
        }
        text
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Without a person's edits every buffer that some choice of hunks makes is understood, however repetitive.
    #[test]
    fn a_buffer_of_hunks_alone_is_explained(
        base in repetitive(), new in repetitive(), recorded in choices(), actual in choices(), order in order(), crlf in any::<bool>(),
    ) {
        let (base, new) = if crlf { (base.replace('\n', "\r\n"), new.replace('\n', "\r\n")) } else { (base, new) };
        let hunks = hunks_of(&base, &new);
        let buffer = apply(&base, &hunks, &choose(&hunks, &actual)).unwrap();
        let mapped = map(&base, &hunks, &choose(&hunks, &recorded), &buffer);
        prop_assert_eq!(mapped.len(), hunks.len());
        for found in &mapped {
            // A hunk on the final newline alone may be out of reach behind another choice that explains the lines.
            prop_assert!(found.state != HunkState::Conflict && !found.edited, "{:?}", found);
        }
        let standing: Ids = mapped.iter().filter(|found| found.state == HunkState::Accepted).map(|found| found.hunk.clone()).collect();
        let explained = apply(&base, &hunks, &standing).unwrap();
        prop_assert_eq!(explained.trim_end_matches(['\r', '\n']), buffer.trim_end_matches(['\r', '\n']));
        let all = accept_all(&buffer, &pairs(&mapped, &hunks));
        prop_assert_eq!(&all, &accept_each(&buffer, &pairs(&mapped, &hunks)));
        prop_assert_eq!(all.trim_end_matches(['\r', '\n']), new.trim_end_matches(['\r', '\n']));
        prop_assert_eq!(accept_in_order(&buffer, &mapped, &hunks, &order), all);
    }

    /// When the buffer is as recorded, every state is as recorded, and accepting is exact to the byte.
    #[test]
    fn a_buffer_as_recorded_is_exact(base in repetitive(), new in repetitive(), recorded in choices(), more in choices()) {
        let hunks = hunks_of(&base, &new);
        let accepted = choose(&hunks, &recorded);
        let buffer = apply(&base, &hunks, &accepted).unwrap();
        let mapped = map(&base, &hunks, &accepted, &buffer);
        for found in &mapped {
            let expected = if accepted.contains(&found.hunk) { HunkState::Accepted } else { HunkState::Pending };
            prop_assert_eq!(found.state, expected);
        }
        let chosen: Vec<_> = pairs(&mapped, &hunks).into_iter().zip(&more).filter(|(_, take)| **take).map(|(pair, _)| pair).collect();
        let taken = accepted.iter().cloned().chain(chosen.iter().map(|(found, _)| found.hunk.clone())).collect();
        prop_assert_eq!(accept_all(&buffer, &chosen), apply(&base, &hunks, &taken).unwrap());
        for (found, hunk) in pairs(&mapped, &hunks) {
            let flipped = edit_for(found, hunk, &buffer).unwrap().apply(&buffer);
            let mut flipped_set = accepted.clone();
            if !flipped_set.remove(&hunk.id) {
                flipped_set.insert(hunk.id.clone());
            }
            prop_assert_eq!(&flipped, &apply(&base, &hunks, &flipped_set).unwrap());
        }
    }

    /// Lines put anywhere into a repetitive text: hunks stand exactly where they should, or are conflicts where the lines
    /// went into them.
    #[test]
    fn insertions_leave_the_other_hunks_alone(
        base in repetitive(), new in repetitive(), recorded in choices(), at in prop::collection::btree_set(0usize..30, 1..4),
    ) {
        let (base, new) = (base.trim_end().to_owned() + "\n", new.trim_end().to_owned() + "\n");
        let hunks = hunks_of(&base, &new);
        let accepted = choose(&hunks, &recorded);
        let expected = apply(&base, &hunks, &accepted).unwrap();
        let lines = split_lines(&expected);
        let mut buffer = String::new();
        for index in 0..=lines.len() {
            if at.contains(&index) {
                buffer += &format!("mine {index}\n");
            }
            buffer += lines.get(index).unwrap_or(&"");
        }
        let earlier = |line: usize| at.iter().filter(|at| **at < line).count();
        let mut shift = 0i64;
        let mapped = map(&base, &hunks, &accepted, &buffer);
        for (found, hunk) in pairs(&mapped, &hunks) {
            let is_new = accepted.contains(&hunk.id);
            let len = if is_new { hunk.new_lines.len() } else { hunk.old_lines.len() };
            let start = (i64::from(hunk.old_start) + shift) as usize;
            shift += len as i64 - hunk.old_lines.len() as i64;
            let broken = if len == 0 { at.contains(&start) } else { at.iter().any(|at| (start + 1..start + len).contains(at)) };
            let (state, edited) = match (broken, is_new) {
                (true, false) => (HunkState::Conflict, false),
                (true, true) => (HunkState::Accepted, true),
                (false, true) => (HunkState::Accepted, false),
                (false, false) => (HunkState::Pending, false),
            };
            prop_assert_eq!((found.state, found.edited), (state, edited), "{:?}\n{:?}", found, buffer);
            if !broken {
                let start = start + earlier(start) + usize::from(len > 0 && at.contains(&start));
                prop_assert_eq!(&found.lines, &(start as u32..(start + len) as u32));
            }
        }
    }

    /// Edits between the hunks, decisions outside the record, other line ends: states are true, accepting is the three-way
    /// merge in any order, and taking back gives the bytes from before.
    #[test]
    fn accepting_is_the_merge(
        scene in scene(), recorded in choices(), actual in choices(), order in order(), crlf in any::<bool>(), newline in any::<bool>(),
    ) {
        let hunks = hunks_of(&scene.base, &scene.new);
        let (recorded, actual) = (choose(&hunks, &recorded), choose(&hunks, &actual));
        let styled = |text: String| {
            let text = if newline { text } else { text.trim_end_matches('\n').to_owned() };
            if crlf { text.replace('\n', "\r\n") } else { text }
        };
        let buffer = styled(scene.text(&hunks, &actual));
        prop_assume!(!buffer.is_empty() && scene.changed.iter().any(|changed| !changed));
        let mapped = map(&scene.base, &hunks, &recorded, &buffer);
        for found in &mapped {
            let expected = match (recorded.contains(&found.hunk), actual.contains(&found.hunk)) {
                (_, true) => HunkState::Accepted,
                (true, false) => HunkState::Reverted,
                (false, false) => HunkState::Pending,
            };
            prop_assert_eq!((found.state, found.edited), (expected, false), "{:?}\n{}", found, buffer);
        }
        let all = hunks.iter().map(|hunk| hunk.id.clone()).collect();
        let merged = scene.text(&hunks, &all);
        prop_assume!(!merged.is_empty());
        let merged = styled(merged);
        prop_assert_eq!(accept_all(&buffer, &pairs(&mapped, &hunks)), merged.clone());
        prop_assert_eq!(accept_in_order(&buffer, &mapped, &hunks, &order), merged);
        for (found, hunk) in pairs(&mapped, &hunks).into_iter().filter(|(found, _)| found.state != HunkState::Accepted) {
            let text = accept(&buffer, found, hunk).unwrap();
            let mut now = actual.clone();
            now.insert(hunk.id.clone());
            let again = map(&scene.base, &hunks, &now, &text);
            let again = again.iter().find(|found| found.hunk == hunk.id).unwrap();
            prop_assert_eq!(again.state, HunkState::Accepted);
            // A text without any line end no longer tells which one it had.
            if !text.contains('\n') {
                continue;
            }
            prop_assert_eq!(unaccept(&text, again, hunk).unwrap(), buffer.clone());
        }
    }

    /// Whatever the buffer is, nothing panics and an accepted edit changes only the lines it names.
    #[test]
    fn any_buffer_is_mapped(base in repetitive(), new in repetitive(), buffer in repetitive(), recorded in choices()) {
        let hunks = hunks_of(&base, &new);
        let mapped = map(&base, &hunks, &choose(&hunks, &recorded), &buffer);
        let pairs_of_all = pairs(&mapped, &hunks);
        prop_assert_eq!(accept_all(&buffer, &pairs_of_all), accept_each(&buffer, &pairs_of_all));
        prop_assert_eq!(mapped.len(), hunks.len());
        let total = split_lines(&buffer).len() as u32;
        for pair in mapped.windows(2) {
            prop_assert!(pair[0].lines.end <= pair[1].lines.start || pair[0].state == HunkState::Conflict
                || pair[1].state == HunkState::Conflict || pair[0].edited || pair[1].edited, "{:?}", mapped);
        }
        for (found, hunk) in pairs(&mapped, &hunks) {
            prop_assert!(found.lines.start <= found.lines.end && found.lines.end <= total);
            let known = found.state != HunkState::Conflict && !found.edited;
            prop_assert_eq!(edit_for(found, hunk, &buffer).is_some(), known, "{:?} {:?}", found, buffer);
        }
    }
}
