//! A proposal cut into hunks: the types, and the parts that make, apply and judge them.
//!
//! Reading order: `lines` (what a line is), `make` (two versions of a file to hunks), `apply` (hunks to texts), `weaken`
//! (what a reviewer must see first), `emphasis` (which words of a hunk changed), `describe` (a hunk in words).
//!
//! A line ends with `\n` and nothing else: `\r\n` stays as the end of its line and a lone `\r` stays inside one, so that
//! joining the lines of a text gives back its bytes.

mod apply;
mod describe;
mod emphasis;
mod lines;
mod make;
mod weaken;

pub(crate) use apply::fits;
pub use apply::{ApplyError, FileResult, apply, resolve_file};
pub use describe::{as_diff, describe, quoted};
pub use emphasis::{Emphasis, Span, emphasis};
pub(crate) use lines::{Interner, line_diff, unmarked};
pub use lines::{LineStarts, line_content, line_ending, split_lines};
pub use make::{file_hunks, read_version};
pub use weaken::{review_order, weakens_test};

use serde::{Deserialize, Serialize};
use std::fmt;

/// Identifies a hunk: 12 hex digits over its path, its old and new text, three lines of context and its number among
/// equals. A later round that leaves the hunk alone gives it the same id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HunkId(pub String);

impl fmt::Display for HunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for HunkId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

/// What a hunk does to its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HunkKind {
    /// Moves the file from `old_path` to `path`; changes of its text are hunks of their own.
    Rename,
    /// Changes the executable bit.
    Mode,
    /// Makes a text file; its whole text is in `new_lines`.
    Create,
    /// Removes a text file; its whole text is in `old_lines`.
    Delete,
    /// Replaces, makes or removes a file that has no lines: binary, not UTF-8, a symbolic link, a submodule.
    Binary,
    /// Replaces `old_lines` by `new_lines`; no context lines are in either.
    Text,
}

/// Names bytes that are not shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Blob {
    /// BLAKE3 of the bytes, in hex.
    pub hash: String,
    /// In bytes.
    pub len: u64,
}

impl Blob {
    /// Names these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { hash: blake3::hash(bytes).to_hex().to_string(), len: bytes.len() as u64 }
    }
}

/// One side of a file's change, as review can treat it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileVersion<'a> {
    Absent,
    /// UTF-8 without NUL.
    Text(&'a str),
    /// Anything else; one whole-file hunk.
    Binary(Blob),
}

/// The smallest thing a person accepts or rejects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hunk {
    pub id: HunkId,
    /// Relative to the repository root, with `/`; the new path of a renamed file.
    pub path: String,
    /// Only on the hunks of a renamed file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_path: Option<String>,
    pub kind: HunkKind,
    /// 0-based line of the base where `old_lines` start; for a pure insertion, the line it goes before.
    pub old_start: u32,
    /// With their line ends; only the last line of a file may lack one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub old_lines: Vec<String>,
    /// 0-based line of the proposal where `new_lines` start.
    pub new_start: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub new_lines: Vec<String>,
    /// Number among the hunks of the file that are alike in text and context, from 0.
    pub ordinal: u32,
    /// Git's file mode (`0o100644`) before, where the hunk changes it or removes the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_mode: Option<u32>,
    /// Git's file mode after, where the hunk changes it or makes the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_mode: Option<u32>,
    /// The bytes before, of a binary hunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_blob: Option<Blob>,
    /// The bytes after, of a binary hunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_blob: Option<Blob>,
    /// Why the hunk may weaken the tests, as a short sentence fragment; such hunks are shown first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weakens_test: Option<String>,
}

impl Hunk {
    /// Returns the 0-based half-open lines of the base that the hunk replaces.
    pub fn old_range(&self) -> std::ops::Range<usize> {
        let start = self.old_start as usize;
        start..start + self.old_lines.len()
    }

    /// Returns 12 hex digits over what the hunk changes, without its path and what is around it: equal for a hunk that
    /// moved within its file.
    pub fn text_key(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut field = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        field(format!("{:?} {:?} {:?}", self.kind, self.old_mode, self.new_mode).as_bytes());
        for blob in [&self.old_blob, &self.new_blob] {
            field(blob.as_ref().map_or("", |blob| &blob.hash).as_bytes());
        }
        field(self.old_path.as_deref().filter(|_| self.kind == HunkKind::Rename).unwrap_or_default().as_bytes());
        field(self.old_lines.concat().as_bytes());
        field(self.new_lines.concat().as_bytes());
        hasher.finalize().to_hex()[..12].to_owned()
    }

    /// Tells whether the hunk is decided inside an open text, rather than on the file as a whole.
    pub fn is_text(&self) -> bool {
        self.kind == HunkKind::Text
    }
}

/// Both versions of one file of a proposal, as git's diff of two trees names them.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileChangeTexts<'a> {
    pub path: &'a str,
    /// Present and different from `path` when the file was renamed.
    pub old_path: Option<&'a str>,
    pub old: Option<&'a [u8]>,
    pub new: Option<&'a [u8]>,
    /// Git's mode; the mode of a regular file when absent.
    pub old_mode: Option<u32>,
    pub new_mode: Option<u32>,
}
