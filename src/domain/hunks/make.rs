//! Two versions of a file to hunks.

use super::lines::{Interner, line_diff, split_lines};
use super::weaken::mark_weakened;
use super::{Blob, FileChangeTexts, FileVersion, Hunk, HunkId, HunkKind};
use std::collections::HashMap;

/// Lines on each side of a hunk that take part in its id.
const CONTEXT: usize = 3;
/// The bits of a git mode that tell a regular file from a link or a submodule.
const MODE_TYPE: u32 = 0o170_000;
const REGULAR_FILE: u32 = 0o100_000;

/// Decides whether bytes are text: UTF-8 without NUL. A byte order mark and any mix of line ends are text.
pub fn read_version(bytes: Option<&[u8]>) -> FileVersion<'_> {
    let Some(bytes) = bytes else { return FileVersion::Absent };
    match std::str::from_utf8(bytes) {
        Ok(text) if !bytes.contains(&0) => FileVersion::Text(text),
        _ => FileVersion::Binary(Blob::of(bytes)),
    }
}

/// Cuts the change of one file into hunks, in the order of the file: rename, mode, then the whole file or its regions.
///
/// Regions are contiguous changed lines without context. A file that is not text on one of its sides, or is a link or a
/// submodule on one of them, is one `Binary` hunk. Equal versions give no hunks.
pub fn file_hunks(change: &FileChangeTexts<'_>) -> Vec<Hunk> {
    let old_path = change.old_path.filter(|old| *old != change.path).map(str::to_owned);
    let mut maker = Maker { path: change.path, old_path: old_path.clone(), equals: HashMap::new(), hunks: Vec::new() };
    let both = change.old.is_some() && change.new.is_some();
    if both && old_path.is_some() {
        let blank = maker.blank(HunkKind::Rename);
        maker.push(blank, &[]);
    }
    let (old, new) = (versioned(change.old, change.old_mode), versioned(change.new, change.new_mode));
    let special = is_special(change.old_mode) || is_special(change.new_mode);
    if both && !special && change.old_mode.unwrap_or(0o100_644) != change.new_mode.unwrap_or(0o100_644) {
        let blank = maker.blank(HunkKind::Mode);
        let (old_mode, new_mode) = (change.old_mode.or(Some(0o100_644)), change.new_mode.or(Some(0o100_644)));
        maker.push(Hunk { old_mode, new_mode, ..blank }, &[]);
    }
    let owned = |text: &str| split_lines(text).into_iter().map(str::to_owned).collect::<Vec<_>>();
    match (old, new) {
        (FileVersion::Absent, FileVersion::Absent) => {}
        (FileVersion::Absent, FileVersion::Text(text)) => {
            let blank = maker.blank(HunkKind::Create);
            maker.push(Hunk { new_lines: owned(text), new_mode: change.new_mode, ..blank }, &[]);
        }
        (FileVersion::Text(text), FileVersion::Absent) => {
            let blank = maker.blank(HunkKind::Delete);
            maker.push(Hunk { old_lines: owned(text), old_mode: change.old_mode, ..blank }, &[]);
        }
        (FileVersion::Text(old), FileVersion::Text(new)) => maker.push_regions(old, new),
        _ => {
            let modes_differ = special && change.old_mode != change.new_mode;
            if change.old != change.new || modes_differ {
                let blank = maker.blank(HunkKind::Binary);
                let keeps_mode = both && !special;
                maker.push(
                    Hunk {
                        old_blob: change.old.map(Blob::of),
                        new_blob: change.new.map(Blob::of),
                        old_mode: change.old_mode.filter(|_| !keeps_mode),
                        new_mode: change.new_mode.filter(|_| !keeps_mode),
                        ..blank
                    },
                    &[],
                );
            }
        }
    }
    mark_weakened(&mut maker.hunks);
    maker.hunks
}

/// Tells whether a mode is a symbolic link or a submodule, whose content is not lines.
fn is_special(mode: Option<u32>) -> bool {
    mode.is_some_and(|mode| mode & MODE_TYPE != REGULAR_FILE)
}

/// Reads one side, with links and submodules taken as binary.
fn versioned(bytes: Option<&[u8]>, mode: Option<u32>) -> FileVersion<'_> {
    match bytes {
        Some(bytes) if is_special(mode) => FileVersion::Binary(Blob::of(bytes)),
        _ => read_version(bytes),
    }
}

/// Collects the hunks of one file and numbers those that are alike.
struct Maker<'a> {
    path: &'a str,
    old_path: Option<String>,
    equals: HashMap<blake3::Hash, u32>,
    hunks: Vec<Hunk>,
}

impl Maker<'_> {
    /// Returns a hunk of this file without content or id.
    fn blank(&self, kind: HunkKind) -> Hunk {
        Hunk {
            id: HunkId(String::new()),
            path: self.path.to_owned(),
            old_path: self.old_path.clone(),
            kind,
            old_start: 0,
            old_lines: Vec::new(),
            new_start: 0,
            new_lines: Vec::new(),
            ordinal: 0,
            old_mode: None,
            new_mode: None,
            old_blob: None,
            new_blob: None,
            weakens_test: None,
        }
    }

    /// Adds the changed regions between two texts.
    fn push_regions(&mut self, old: &str, new: &str) {
        let (old_lines, new_lines) = (split_lines(old), split_lines(new));
        let mut interner = Interner::default();
        let old_ids: Vec<u32> = old_lines.iter().map(|line| interner.id(line)).collect();
        let new_ids: Vec<u32> = new_lines.iter().map(|line| interner.id(line)).collect();
        let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        for (from, to) in line_diff(&old_ids, &new_ids, false) {
            let before = &old_lines[from.start.saturating_sub(CONTEXT)..from.start];
            let after = &old_lines[from.end..old_lines.len().min(from.end + CONTEXT)];
            let context: Vec<&str> = before.iter().copied().chain(["\0"]).chain(after.iter().copied()).collect();
            let hunk = Hunk {
                old_start: from.start as u32,
                new_start: to.start as u32,
                old_lines: owned(&old_lines[from]),
                new_lines: owned(&new_lines[to]),
                ..self.blank(HunkKind::Text)
            };
            self.push(hunk, &context);
        }
    }

    /// Gives the hunk its ordinal and id, and keeps it.
    fn push(&mut self, mut hunk: Hunk, context: &[&str]) {
        let mut hasher = blake3::Hasher::new();
        let mut field = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        field(hunk.path.as_bytes());
        // The old path is not part of a text hunk: a rename in a later round leaves the text alone, and so the id
        // changes only with the path it is shown under.
        let old_path = hunk.old_path.as_deref().filter(|_| hunk.kind == HunkKind::Rename);
        field(old_path.unwrap_or_default().as_bytes());
        field(format!("{:?} {:?} {:?}", hunk.kind, hunk.old_mode, hunk.new_mode).as_bytes());
        for blob in [&hunk.old_blob, &hunk.new_blob] {
            field(blob.as_ref().map_or("", |blob| &blob.hash).as_bytes());
        }
        field(hunk.old_lines.concat().as_bytes());
        field(hunk.new_lines.concat().as_bytes());
        for line in context {
            field(line.as_bytes());
        }
        let equals = self.equals.entry(hasher.finalize()).or_default();
        hunk.ordinal = *equals;
        *equals += 1;
        hasher.update(&hunk.ordinal.to_le_bytes());
        hunk.id = HunkId(hasher.finalize().to_hex()[..12].to_owned());
        self.hunks.push(hunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change<'a>(old: Option<&'a [u8]>, new: Option<&'a [u8]>) -> FileChangeTexts<'a> {
        FileChangeTexts { path: "src/a.rs", old, new, ..FileChangeTexts::default() }
    }

    /// One line per hunk: kind, position, old and new text.
    fn check(change: &FileChangeTexts<'_>, expected: &[&str]) {
        let shown: Vec<String> = file_hunks(change)
            .iter()
            .map(|h| {
                format!(
                    "{:?} {}{:?}>{}{:?}",
                    h.kind,
                    h.old_start,
                    h.old_lines.concat(),
                    h.new_start,
                    h.new_lines.concat()
                )
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn text_changes_become_regions_without_context() {
        let cases: &[(&str, &str, &[&str])] = &[
            ("a\nb\nc\n", "a\nB\nc\n", &[r#"Text 1"b\n">1"B\n""#]),
            ("a\nb\nc\n", "a\nc\n", &[r#"Text 1"b\n">1"""#]),
            ("a\nc\n", "a\nb\nc\n", &[r#"Text 1"">1"b\n""#]),
            ("a\nb\nc\nd\n", "A\nB\nc\nD\n", &[r#"Text 0"a\nb\n">0"A\nB\n""#, r#"Text 3"d\n">3"D\n""#]),
            ("", "a", &[r#"Text 0"">0"a""#]),
            ("a\n", "", &[r#"Text 0"a\n">0"""#]),
            ("a\r\nb\r\n", "a\r\nb\n", &[r#"Text 1"b\r\n">1"b\n""#]),
            ("a\rb\n", "a\rc\n", &[r#"Text 0"a\rb\n">0"a\rc\n""#]),
            ("a\nb", "a\nb\n", &[r#"Text 1"b">1"b\n""#]),
            ("a\nb\n", "a\nb", &[r#"Text 1"b\n">1"b""#]),
            ("same\n", "same\n", &[]),
        ];
        for (old, new, expected) in cases {
            check(&change(Some(old.as_bytes()), Some(new.as_bytes())), expected);
        }
    }

    #[test]
    fn whole_files_are_one_hunk() {
        check(&change(None, Some(b"a\nb")), &[r#"Create 0"">0"a\nb""#]);
        check(&change(None, Some(b"")), &[r#"Create 0"">0"""#]);
        check(&change(Some(b"a\n"), None), &[r#"Delete 0"a\n">0"""#]);
        check(&change(Some(b"a\n"), Some(b"\xff\n")), &[r#"Binary 0"">0"""#]);
        check(&change(Some(b"a\0"), Some(b"a\0")), &[]);
        check(&change(None, Some(b"a\0")), &[r#"Binary 0"">0"""#]);
        let link =
            FileChangeTexts { new_mode: Some(0o120_000), old_mode: Some(0o120_000), ..change(Some(b"a"), Some(b"b")) };
        check(&link, &[r#"Binary 0"">0"""#]);
    }

    #[test]
    fn rename_mode_and_text_are_separate() {
        let renamed = FileChangeTexts {
            path: "b.sh",
            old_path: Some("a.sh"),
            old: Some(b"x\n"),
            new: Some(b"y\n"),
            old_mode: Some(0o100_644),
            new_mode: Some(0o100_755),
        };
        check(&renamed, &[r#"Rename 0"">0"""#, r#"Mode 0"">0"""#, r#"Text 0"x\n">0"y\n""#]);
        let hunks = file_hunks(&renamed);
        assert!(hunks.iter().all(|hunk| hunk.path == "b.sh" && hunk.old_path.as_deref() == Some("a.sh")));
        assert_eq!((hunks[1].old_mode, hunks[1].new_mode), (Some(0o100_644), Some(0o100_755)));
    }

    #[test]
    fn ids_survive_changes_elsewhere_and_tell_equals_apart() {
        let base = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let first = file_hunks(&change(Some(base.as_bytes()), Some(b"1\n2\n3\n4\n5\n6\n7\n8\nnine\n")));
        let later = file_hunks(&change(Some(base.as_bytes()), Some(b"one\n2\n3\n4\n5\n6\n7\n8\nnine\n")));
        assert_eq!(first[0].id, later[1].id);
        assert_eq!(first[0].id.0.len(), 12);
        let repetitive = "a\n".repeat(4) + "b\n" + &"a\n".repeat(6) + "b\n" + &"a\n".repeat(4);
        let hunks = file_hunks(&change(Some(repetitive.as_bytes()), Some(repetitive.replace('b', "c").as_bytes())));
        assert_eq!(hunks.iter().map(|hunk| hunk.ordinal).collect::<Vec<_>>(), [0, 1]);
        assert_ne!(hunks[0].id, hunks[1].id);
    }
}
