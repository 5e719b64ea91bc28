//! Hunks to texts: the base with exactly the accepted hunks in it.

use super::lines::split_lines;
use super::{FileChangeTexts, FileVersion, Hunk, HunkId, HunkKind, read_version};
use std::collections::BTreeSet;

/// Why hunks and base do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    #[error(
        "apply hunk {hunk} to {path}: its old lines are not at line {line} of the base; take the base of its proposal"
    )]
    WrongBase {
        hunk: HunkId,
        path: String,
        /// 1-based, as people count.
        line: u32,
    },
    #[error("apply hunk {hunk} to {path}: it overlaps another hunk; take the hunks of one proposal only")]
    Overlap { hunk: HunkId, path: String },
}

/// Returns the base text with exactly the accepted hunks applied; all of them give the proposal, none the base.
///
/// Only hunks of kind `Text`, and `Create` and `Delete` as whole texts, change a text; others are passed over. The hunks
/// are those of one file, in any order.
pub fn apply(base: &str, hunks: &[Hunk], accepted: &BTreeSet<HunkId>) -> Result<String, ApplyError> {
    let mut chosen: Vec<&Hunk> = hunks.iter().filter(|hunk| accepted.contains(&hunk.id)).collect();
    chosen.retain(|hunk| matches!(hunk.kind, HunkKind::Text | HunkKind::Create | HunkKind::Delete));
    chosen.sort_by_key(|hunk| hunk.old_start);
    let lines = split_lines(base);
    let mut text = String::with_capacity(base.len());
    let mut done = 0;
    for hunk in chosen {
        let range = hunk.old_range();
        if range.start < done {
            return Err(ApplyError::Overlap { hunk: hunk.id.clone(), path: hunk.path.clone() });
        }
        if !fits(hunk, &lines) {
            return Err(ApplyError::WrongBase {
                hunk: hunk.id.clone(),
                path: hunk.path.clone(),
                line: hunk.old_start + 1,
            });
        }
        text.extend(lines[done..range.start].iter().copied());
        text.extend(hunk.new_lines.iter().map(String::as_str));
        done = range.end;
    }
    text.extend(lines[done..].iter().copied());
    Ok(text)
}

/// Tells whether the hunk's old lines stand in the base where it says.
pub(crate) fn fits(hunk: &Hunk, base: &[&str]) -> bool {
    base.get(hunk.old_range()).is_some_and(|lines| lines.iter().copied().eq(hunk.old_lines.iter().map(String::as_str)))
}

/// What one file of a proposal becomes when some of its hunks are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileResult {
    /// The path the file has then: the old one where its rename is not taken.
    pub path: String,
    /// The other path of a taken rename, which then must not exist.
    pub removed_path: Option<String>,
    /// `None` when the file does not exist then.
    pub bytes: Option<Vec<u8>>,
    /// Git's mode; `None` when the file does not exist or no mode was given.
    pub mode: Option<u32>,
}

/// Returns the file with exactly the accepted hunks of its change: path, bytes and mode.
pub fn resolve_file(
    change: &FileChangeTexts<'_>,
    hunks: &[Hunk],
    accepted: &BTreeSet<HunkId>,
) -> Result<FileResult, ApplyError> {
    let has = |kind| hunks.iter().any(|hunk| hunk.kind == kind);
    let taken = |kind| hunks.iter().any(|hunk| hunk.kind == kind && accepted.contains(&hunk.id));
    let whole = [HunkKind::Create, HunkKind::Delete, HunkKind::Binary].into_iter().find(|kind| has(*kind));
    let bytes = match whole {
        Some(kind) => if taken(kind) { change.new } else { change.old }.map(<[u8]>::to_vec),
        None => match read_version(change.old) {
            FileVersion::Text(base) => Some(apply(base, hunks, accepted)?.into_bytes()),
            _ => change.old.map(<[u8]>::to_vec),
        },
    };
    let takes_mode = taken(HunkKind::Mode) || (!has(HunkKind::Mode) && whole.is_some_and(taken));
    let mode = if takes_mode { change.new_mode.or(change.old_mode) } else { change.old_mode };
    let (path, removed_path) = match change.old_path.filter(|old| *old != change.path) {
        Some(old) if taken(HunkKind::Rename) => (change.path, Some(old.to_owned())),
        Some(old) => (old, None),
        None => (change.path, None),
    };
    Ok(FileResult { path: path.to_owned(), removed_path, mode: mode.filter(|_| bytes.is_some()), bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hunks::file_hunks;
    use proptest::prelude::*;

    fn ids(hunks: &[Hunk]) -> BTreeSet<HunkId> {
        hunks.iter().map(|hunk| hunk.id.clone()).collect()
    }

    /// Few letters, all line ends, sometimes no last one.
    fn text() -> impl Strategy<Value = String> {
        let line = (prop::sample::select(vec!["a", "b", "", "c\rd"]), prop::sample::select(vec!["\n", "\n", "\r\n"]));
        (prop::collection::vec(line, 0..30), prop::sample::select(vec!["", "", "a", "\r"])).prop_map(|(lines, tail)| {
            lines.into_iter().map(|(content, end)| format!("{content}{end}")).collect::<String>() + tail
        })
    }

    proptest! {
        #[test]
        fn all_gives_the_proposal_and_none_the_base(old in text(), new in text()) {
            let change = FileChangeTexts { path: "a", old: Some(old.as_bytes()), new: Some(new.as_bytes()), ..Default::default() };
            let hunks = file_hunks(&change);
            prop_assert_eq!(ids(&hunks).len(), hunks.len());
            prop_assert_eq!(apply(&old, &hunks, &ids(&hunks)).unwrap(), new.clone());
            prop_assert_eq!(apply(&old, &hunks, &BTreeSet::new()).unwrap(), old.clone());
            let resolved = resolve_file(&change, &hunks, &ids(&hunks)).unwrap();
            prop_assert_eq!(resolved.bytes.unwrap(), new.as_bytes());
            for pair in hunks.windows(2) {
                prop_assert!(pair[0].old_range().end < pair[1].old_range().start, "hunks touch");
            }
        }

        #[test]
        fn half_changes_only_what_was_chosen(old in text(), new in text(), chosen in prop::collection::vec(any::<bool>(), 30)) {
            let change = FileChangeTexts { path: "a", old: Some(old.as_bytes()), new: Some(new.as_bytes()), ..Default::default() };
            let hunks = file_hunks(&change);
            let accepted = hunks.iter().zip(&chosen).filter(|(_, take)| **take).map(|(hunk, _)| hunk.id.clone()).collect();
            let mut lines: Vec<String> = split_lines(&old).into_iter().map(str::to_owned).collect();
            for hunk in hunks.iter().rev().filter(|hunk| BTreeSet::contains(&accepted, &hunk.id)) {
                lines.splice(hunk.old_range(), hunk.new_lines.iter().cloned());
            }
            prop_assert_eq!(apply(&old, &hunks, &accepted).unwrap(), lines.concat());
        }
    }

    #[test]
    fn a_wrong_base_is_an_error() {
        let hunks =
            file_hunks(&FileChangeTexts { path: "a", old: Some(b"x\n"), new: Some(b"y\n"), ..Default::default() });
        let error = apply("z\n", &hunks, &ids(&hunks)).unwrap_err();
        assert!(matches!(error, ApplyError::WrongBase { line: 1, .. }), "{error}");
    }

    #[test]
    fn files_resolve_by_the_hunks_taken() {
        let change = FileChangeTexts {
            path: "b",
            old_path: Some("a"),
            old: Some(b"x\n"),
            new: Some(b"y\n"),
            old_mode: Some(0o100_644),
            new_mode: Some(0o100_755),
        };
        let hunks = file_hunks(&change);
        let taking = |kinds: &[HunkKind]| {
            let accepted = hunks.iter().filter(|hunk| kinds.contains(&hunk.kind)).map(|hunk| hunk.id.clone()).collect();
            let file = resolve_file(&change, &hunks, &accepted).unwrap();
            (file.path, file.removed_path, String::from_utf8(file.bytes.unwrap()).unwrap(), file.mode.unwrap())
        };
        assert_eq!(taking(&[]), ("a".into(), None, "x\n".into(), 0o100_644));
        assert_eq!(taking(&[HunkKind::Text]), ("a".into(), None, "y\n".into(), 0o100_644));
        assert_eq!(
            taking(&[HunkKind::Rename, HunkKind::Mode]),
            ("b".into(), Some("a".into()), "x\n".into(), 0o100_755)
        );
        let created = FileChangeTexts { path: "n", new: Some(b"\0"), ..Default::default() };
        let hunks = file_hunks(&created);
        assert_eq!(resolve_file(&created, &hunks, &BTreeSet::new()).unwrap().bytes, None);
        assert_eq!(resolve_file(&created, &hunks, &ids(&hunks)).unwrap().bytes, Some(vec![0]));
    }
}
