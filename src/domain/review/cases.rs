//! Single cases of the mapping that a person can read.

use super::*;
use crate::domain::hunks::{FileChangeTexts, Hunk, HunkId, apply, file_hunks, split_lines};
use std::collections::BTreeSet;

fn hunks_of(base: &str, new: &str) -> Vec<Hunk> {
    let change =
        FileChangeTexts { path: "a", old: Some(base.as_bytes()), new: Some(new.as_bytes()), ..Default::default() };
    file_hunks(&change)
}

fn ids(hunks: &[Hunk], chosen: &[usize]) -> BTreeSet<HunkId> {
    chosen.iter().map(|index| hunks[*index].id.clone()).collect()
}

/// Maps with the hunks of these indexes recorded as accepted, and shows each as state and lines.
fn check(base: &str, new: &str, accepted: &[usize], buffer: &str, expected: &[&str]) {
    let hunks = hunks_of(base, new);
    let mapped = map_hunks(base, &hunks, &ids(&hunks, accepted), &BTreeSet::new(), buffer);
    let shown: Vec<_> = mapped
        .iter()
        .map(|found| {
            let edited = if found.edited { " edited" } else { "" };
            format!("{:?} {}..{}{edited}", found.state, found.lines.start, found.lines.end)
        })
        .collect();
    assert_eq!(shown, expected, "buffer {buffer:?}");
}

/// Accepts the only hunk and takes it back; the text between must be `after`.
fn check_round_trip(base: &str, new: &str, buffer: &str, after: &str) {
    let hunks = hunks_of(base, new);
    let none = BTreeSet::new();
    let mapped = map_hunks(base, &hunks, &none, &none, buffer);
    let text = accept(buffer, &mapped[0], &hunks[0]).unwrap_or_else(|| panic!("{:?} is not open", mapped[0]));
    assert_eq!(text, after, "accepting in {buffer:?}");
    let mapped = map_hunks(base, &hunks, &ids(&hunks, &[0]), &none, &text);
    assert_eq!(unaccept(&text, &mapped[0], &hunks[0]).as_deref(), Some(buffer), "taking back from {text:?}");
}

#[test]
fn states_follow_the_text() {
    let (base, new) = ("1\n2\n3\n4\n5\n6\n", "1\ntwo\n3\n4\nfour and a half\n5\n");
    // Replaces line 2, inserts after 4, deletes 6.
    check(base, new, &[], base, &["Pending 1..2", "Pending 4..4", "Pending 5..6"]);
    check(base, new, &[0, 2], base, &["Reverted 1..2", "Pending 4..4", "Reverted 5..6"]);
    check(base, new, &[], new, &["Accepted 1..2", "Accepted 4..5", "Accepted 6..6"]);
    // Typing above, between and right beside a hunk moves it.
    check(base, new, &[], "0\n1\nx\n2\ny\n3\n4\n5\n6\n", &["Pending 3..4", "Pending 7..7", "Pending 8..9"]);
    // Typing in a hunk, at the very place of an insertion, and deleting what it deletes along with its surroundings.
    check(base, new, &[], "1\n2x\n3\n4\nz\n5\n6\n", &["Conflict 1..2", "Conflict 4..5", "Pending 6..7"]);
    check(base, new, &[], "1\n2\n3\n", &["Pending 1..2", "Conflict 3..3", "Conflict 3..3"]);
    // Accepted outside the record, then typed below it.
    check(base, new, &[], "1\ntwo\nmine\n3\n4\n5\n6\n", &["Accepted 1..2", "Pending 5..5", "Pending 6..7"]);
    // Only a return to the old text withdraws a recorded acceptance.
    check(base, new, &[0], "1\ntwo!\n3\n4\n5\n6\n", &["Accepted 1..2 edited", "Pending 4..4", "Pending 5..6"]);
    check(base, new, &[0], "1\n2\n3\nx\n4\n5\n6\n", &["Reverted 1..2", "Pending 5..5", "Pending 6..7"]);
    // Everything gone.
    check(base, new, &[], "", &["Conflict 0..0", "Conflict 0..0", "Conflict 0..0"]);
}

#[test]
fn repetitive_text_is_told_apart_by_position() {
    let base = "{\n}\n{\n}\n{\n}\n";
    // Deletes the second block; each line of it is elsewhere, too.
    check(base, "{\n}\n{\n}\n", &[], base, &["Pending 4..6"]);
    check(base, "{\n}\n{\n}\n", &[0], "{\n}\n{\n}\n", &["Accepted 4..4"]);
    check(base, "{\n}\n{\n}\n", &[0], base, &["Reverted 4..6"]);
    check(base, "{\n}\n{\n}\n", &[0], "mine\n{\n}\n{\n}\n", &["Accepted 5..5"]);
    check(base, "{\n}\n{\n}\n", &[0], "mine\n{\n}\n{\n}\n{\n}\n", &["Reverted 5..7"]);
}

#[test]
fn rejected_hunks_are_left_out() {
    let (base, new) = ("1\n2\n3\n", "one\n2\nthree\n");
    let hunks = hunks_of(base, new);
    let mapped = map_hunks(base, &hunks, &BTreeSet::new(), &ids(&hunks, &[0]), base);
    assert_eq!(mapped.iter().map(|found| &found.hunk).collect::<Vec<_>>(), [&hunks[1].id]);
}

#[test]
fn hunks_of_another_base_are_conflicts() {
    let hunks = hunks_of("1\n2\n3\n", "1\ntwo\n3\n");
    let mapped = map_hunks("other\n", &hunks, &BTreeSet::new(), &BTreeSet::new(), "other\n");
    assert_eq!((mapped[0].state, mapped[0].lines.clone()), (HunkState::Conflict, 0..0));
    assert_eq!(edit_for(&mapped[0], &hunks[0], "other\n"), None);
}

#[test]
fn the_buffer_keeps_its_own_line_ends_and_final_newline() {
    // base, proposal, buffer, buffer after accepting
    let cases = [
        ("a\nb\nc\n", "a\nB\nX\nc\n", "a\r\nb\r\nc\r\n", "a\r\nB\r\nX\r\nc\r\n"),
        ("a\r\nb\r\nc\r\n", "a\r\nX\r\nb\r\nc\r\n", "a\nb\nc\n", "a\nX\nb\nc\n"),
        ("a\nb\n", "a\nB\n", "a\nb", "a\nB"),
        ("a\nb", "a\nB", "a\nb\n", "a\nB\n"),
        ("a\n", "a\nb\n", "a", "a\nb"),
        ("a\n", "a\nb\n", "a\r\nx\r\na", "a\r\nx\r\na\r\nb"),
        ("a\nb\n", "a\n", "a\nb", "a"),
        ("a\nb", "a\n", "a\nb", "a\n"),
        ("x", "y", "x\nz", "y\nz"),
        ("", "a\nb", "", "a\nb"),
        ("\u{feff}a\nb\n", "\u{feff}A\nb\n", "a\nb\n", "A\nb\n"),
        ("a\nb\n", "A\nb\n", "\u{feff}a\nb\n", "\u{feff}A\nb\n"),
        ("a\rb\nc\n", "a\rB\nc\n", "a\rb\nc\nd\n", "a\rB\nc\nd\n"),
        // Hunks on line ends alone are taken to the byte.
        ("a\nb", "a\nb\n", "a\nb", "a\nb\n"),
        ("a\r\nb\r\n", "a\nb\n", "a\r\nb\r\n", "a\nb\n"),
    ];
    for (base, new, buffer, after) in cases {
        if base == "a\n" && buffer.starts_with("a\r") {
            // The person's lines went right to the place of the insertion.
            check(base, new, &[], buffer, &["Conflict 1..3"]);
            continue;
        }
        check_round_trip(base, new, buffer, after);
    }
}

#[test]
fn line_end_hunks_are_judged_to_the_byte() {
    check("a\nb", "a\nb\n", &[], "a\nb\n", &["Accepted 1..2"]);
    check("a\nb", "a\nb\n", &[0], "a\nb", &["Reverted 1..2"]);
    check("a\r\nb\r\n", "a\nb\n", &[], "a\r\nb\n", &["Conflict 0..2"]);
    check("a\r\nb\r\n", "a\nb\n", &[0], "a\r\nb\n", &["Accepted 0..2 edited"]);
}

/// Ten thousand lines and a hundred hunks, with typing and undone hunks all over: right, and not quadratic (the test would
/// take minutes).
#[test]
fn large_files_are_mapped() {
    let base: String = (0..10_000).map(|line| format!("line {}\n", line % 50)).collect();
    let edit = |text: &str, every: usize, at: usize, word: &str| -> String {
        let replaced = |(line, content): (usize, &str)| {
            if line % every == at { format!("{word} {line}\n{content}\n") } else { format!("{content}\n") }
        };
        text.lines().enumerate().map(replaced).collect()
    };
    let hunks = hunks_of(&base, &edit(&base, 100, 20, "new"));
    assert_eq!(hunks.len(), 100);
    let even: Vec<usize> = (0..100).step_by(2).collect();
    let third: Vec<usize> = (0..100).step_by(3).collect();
    let text = apply(&base, &hunks, &ids(&hunks, &third)).expect("the base is right");
    let mapped = map_hunks(&base, &hunks, &ids(&hunks, &even), &BTreeSet::new(), &edit(&text, 500, 70, "mine"));
    for (index, found) in mapped.iter().enumerate() {
        let expected = match (index % 2 == 0, index % 3 == 0) {
            (_, true) => HunkState::Accepted,
            (true, false) => HunkState::Reverted,
            (false, false) => HunkState::Pending,
        };
        assert_eq!(found.state, expected, "hunk {index}");
    }
}

/// A fixed sequence of numbers that look random.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// One hunk flipped outside the record and one line typed anywhere. In repetitive text some such buffers have two
/// readings; how many hunks are then read otherwise than they came about is held here: none where lines differ, next to
/// none elsewhere.
#[test]
fn decisions_outside_the_record_are_found_beside_typing() {
    for (letters, tolerated) in [(2, 10), (3, 5), (20, 1), (1000, 0)] {
        let mut dice = Dice(88_172_645_463_325_252);
        let (mut total, mut wrong, mut open) = (0, 0, 0);
        for _ in 0..600 {
            let length = 20 + dice.below(40);
            let base: String = (0..length).map(|_| format!("{}\n", dice.below(letters))).collect();
            let mut changed = |line: &str| match dice.below(10) {
                0 => String::new(),
                1 => format!("{}\n{line}\n", dice.below(letters)),
                2 => format!("{}\n", dice.below(letters)),
                _ => format!("{line}\n"),
            };
            let new: String = base.lines().map(&mut changed).collect();
            let hunks = hunks_of(&base, &new);
            if hunks.is_empty() {
                continue;
            }
            let recorded: BTreeSet<HunkId> =
                hunks.iter().filter(|_| dice.below(2) == 0).map(|hunk| hunk.id.clone()).collect();
            let flipped = &hunks[dice.below(hunks.len() as u64) as usize].id;
            let mut actual = recorded.clone();
            if !actual.remove(flipped) {
                actual.insert(flipped.clone());
            }
            let text = apply(&base, &hunks, &actual).expect("the base is right");
            let lines = split_lines(&text);
            let at = dice.below(lines.len() as u64 + 1) as usize;
            let buffer = lines[..at].concat() + "typed\n" + &lines[at..].concat();
            for found in map_hunks(&base, &hunks, &recorded, &BTreeSet::new(), &buffer) {
                let truth = match (recorded.contains(&found.hunk), actual.contains(&found.hunk)) {
                    (_, true) => HunkState::Accepted,
                    (true, false) => HunkState::Reverted,
                    (false, false) => HunkState::Pending,
                };
                let is_open = found.state == HunkState::Conflict || found.edited;
                total += 1;
                open += usize::from(is_open);
                wrong += usize::from(found.state != truth && !is_open);
            }
        }
        assert!(wrong <= tolerated, "{letters} letters: {wrong} of {total} hunks");
        // The typed line breaks at most the hunk it is in.
        assert!(open * 20 < total, "{letters} letters: {open} of {total} hunks are conflicts");
    }
}
