//! Where the hunks of a proposal stand in a text as the editor has it, and the edits that accept or take them back.
//!
//! Reading order: this file (states and what a mapping tells), `map` (the mapping), `align` (positions through a
//! difference), `edits` (a mapped hunk to an edit), `anchors` (a mapping that moves with the typing), `whole_file`
//! (hunks that are not decided inside a text), `conflicts` (what does not fit, and what rests on what).
//!
//! Lines are compared without their line end and without a byte order mark, because editors change both by themselves;
//! what is written takes the line end the buffer has at that place, and keeps the buffer's final newline or its absence.
//! Only a hunk whose old and new text are equal in that sense (it changes line ends) is compared and written to the byte.

mod align;
mod anchors;
#[cfg(test)]
mod cases;
mod conflicts;
mod edits;
mod map;
#[cfg(test)]
mod properties;
mod risk;
mod whole_file;

pub use anchors::{Anchor, Anchors, LineEdit};
pub use conflicts::{UserFile, conflicts_with, resting};
pub use edits::{TextEditLines, accept, accept_all, edit_for, edit_in, unaccept};
pub use map::map_hunks;
pub use risk::{Circumstances, Risk, risk};
pub use whole_file::{FileNow, file_level_state};

use super::hunks::HunkId;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How a hunk stands in a text or on disk.
///
/// | recorded | region of the text | state |
/// | --- | --- | --- |
/// | not accepted | as in the base | `Pending` |
/// | not accepted | as in the proposal | `Accepted` |
/// | not accepted | anything else | `Conflict` |
/// | accepted | as in the proposal | `Accepted` |
/// | accepted | as in the base | `Reverted` |
/// | accepted | anything else | `Accepted`, with `edited`: only a return to the old text withdraws an acceptance |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HunkState {
    Pending,
    Accepted,
    Reverted,
    Conflict,
}

/// The end of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineEnd {
    Lf,
    Crlf,
}

impl LineEnd {
    /// Returns the characters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::Crlf => "\r\n",
        }
    }
}

/// One hunk found in a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapped {
    pub hunk: HunkId,
    pub state: HunkState,
    /// 0-based half-open lines of the text; empty where nothing stands yet (a pure insertion) or any more.
    pub lines: Range<u32>,
    /// The hunk counts as accepted, but its lines were edited since: it can no longer be taken back by an edit.
    #[serde(default)]
    pub edited: bool,
    /// The line end to write with, where the text's differs from the proposal's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line_end: Option<LineEnd>,
    /// Whether the text must go on ending with (or without) a newline, where that differs from what was expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_newline: Option<bool>,
}
