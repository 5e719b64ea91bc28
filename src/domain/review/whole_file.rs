//! Hunks that are decided on the file as a whole: create, delete, rename, mode, binary.

use super::HunkState;
use crate::domain::hunks::{Blob, Hunk, HunkKind, line_content, split_lines};

/// A file as it is now, on disk or in a buffer.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileNow<'a> {
    /// What is at the hunk's path; `None` when nothing is.
    pub bytes: Option<&'a [u8]>,
    /// Git's mode of it, where known (a buffer has none).
    pub mode: Option<u32>,
    /// What is at the hunk's `old_path`, which only renames look at.
    pub old_path_bytes: Option<&'a [u8]>,
}

/// Returns how a whole-file hunk stands: pending where the file is as before it, accepted where it is as after it, a
/// conflict otherwise. Never `Reverted`: the caller knows what it recorded.
///
/// Texts are compared without their line ends; a mode that is not known is not compared. A mode is also looked for at the
/// old path of a rename that was not taken, so pass that file as `bytes` then. Text hunks have no such state and are
/// always a conflict here; map them instead.
pub fn file_level_state(hunk: &Hunk, now: &FileNow<'_>) -> HunkState {
    let (is_old, is_new) = match hunk.kind {
        HunkKind::Create => (
            now.bytes.is_none(),
            now.bytes.is_some_and(|bytes| is_text(bytes, &hunk.new_lines)) && fits(hunk.new_mode, now),
        ),
        HunkKind::Delete => (now.bytes.is_some_and(|bytes| is_text(bytes, &hunk.old_lines)), now.bytes.is_none()),
        HunkKind::Binary => {
            let blob = now.bytes.map(Blob::of);
            (blob == hunk.old_blob && fits(hunk.old_mode, now), blob == hunk.new_blob && fits(hunk.new_mode, now))
        }
        HunkKind::Mode => {
            let known = now.bytes.is_some() && now.mode.is_some();
            (known && now.mode == hunk.old_mode, known && now.mode == hunk.new_mode)
        }
        HunkKind::Rename => {
            (now.bytes.is_none() && now.old_path_bytes.is_some(), now.bytes.is_some() && now.old_path_bytes.is_none())
        }
        HunkKind::Text => (false, false),
    };
    match (is_old, is_new) {
        (_, true) => HunkState::Accepted,
        (true, false) => HunkState::Pending,
        (false, false) => HunkState::Conflict,
    }
}

/// Tells whether a mode is as the hunk has it, as far as both are known and there is a file.
fn fits(mode: Option<u32>, now: &FileNow<'_>) -> bool {
    now.bytes.is_none() || mode.is_none() || now.mode.is_none() || mode == now.mode
}

/// Tells whether bytes are these lines, whatever the line ends.
fn is_text(bytes: &[u8], lines: &[String]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    split_lines(text).into_iter().map(line_content).eq(lines.iter().map(|line| line_content(line)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hunks::{FileChangeTexts, file_hunks};

    fn check(change: &FileChangeTexts<'_>, now: &FileNow<'_>, expected: HunkState) {
        let hunk = file_hunks(change).remove(0);
        assert_eq!(file_level_state(&hunk, now), expected, "{:?} {now:?}", hunk.kind);
    }

    #[test]
    fn whole_files_stand_as_before_as_after_or_in_conflict() {
        use HunkState::{Accepted, Conflict, Pending};
        let bytes = |bytes| FileNow { bytes, ..FileNow::default() };
        let create = FileChangeTexts { path: "a", new: Some(b"x\n"), new_mode: Some(0o100_755), ..Default::default() };
        check(&create, &bytes(None), Pending);
        check(&create, &bytes(Some(b"x\r\n")), Accepted);
        check(&create, &FileNow { mode: Some(0o100_644), ..bytes(Some(b"x\n")) }, Conflict);
        check(&create, &bytes(Some(b"y\n")), Conflict);
        let delete = FileChangeTexts { path: "a", old: Some(b"x\n"), ..Default::default() };
        check(&delete, &bytes(Some(b"x\n")), Pending);
        check(&delete, &bytes(None), Accepted);
        check(&delete, &bytes(Some(b"x\nmine\n")), Conflict);
        let binary = FileChangeTexts { path: "a", old: Some(b"\0"), new: Some(b"\0\0"), ..Default::default() };
        check(&binary, &bytes(Some(b"\0")), Pending);
        check(&binary, &bytes(Some(b"\0\0")), Accepted);
        check(&binary, &bytes(None), Conflict);
        let gone = FileChangeTexts { path: "a", old: Some(b"\0"), ..Default::default() };
        check(&gone, &bytes(None), Accepted);
        let modes = (Some(0o100_644), Some(0o100_755));
        let mode = FileChangeTexts {
            path: "a",
            old: Some(b"x"),
            new: Some(b"x"),
            old_mode: modes.0,
            new_mode: modes.1,
            ..Default::default()
        };
        check(&mode, &FileNow { mode: modes.0, ..bytes(Some(b"edited")) }, Pending);
        check(&mode, &FileNow { mode: modes.1, ..bytes(Some(b"x")) }, Accepted);
        check(&mode, &bytes(None), Conflict);
        let rename =
            FileChangeTexts { path: "b", old_path: Some("a"), old: Some(b"x"), new: Some(b"x"), ..Default::default() };
        check(&rename, &FileNow { old_path_bytes: Some(b"x"), ..bytes(None) }, Pending);
        check(&rename, &bytes(Some(b"x")), Accepted);
        check(&rename, &FileNow { old_path_bytes: Some(b"x"), ..bytes(Some(b"x")) }, Conflict);
    }
}
