//! A mapped hunk to the edit that accepts it or takes it back.

use super::{HunkState, LineEnd, Mapped};
use crate::domain::hunks::{Hunk, LineStarts, line_content, line_ending, unmarked};
use std::ops::Range;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Replaces whole lines of a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextEditLines {
    /// 0-based.
    pub start_line: u32,
    /// 0-based, exclusive; the number of lines means the end of the text.
    pub end_line: u32,
    /// Starts with a line end where it is put after a last line that has none.
    pub new_text: String,
}

impl TextEditLines {
    /// Returns the bytes of the buffer that the edit replaces; use it to make positions, because an editor may count
    /// lines differently (the language server protocol also ends a line at a lone `\r`).
    pub fn byte_range(&self, lines: &LineStarts) -> Range<usize> {
        lines.bytes(self.start_line as usize..self.end_line as usize)
    }

    /// Returns the buffer after the edit.
    pub fn apply(&self, buffer: &str) -> String {
        let range = self.byte_range(&LineStarts::new(buffer));
        format!("{}{}{}", &buffer[..range.start], self.new_text, &buffer[range.end..])
    }
}

/// Returns the edit that flips a hunk in the buffer it was mapped onto: the new text where it is pending or reverted, the
/// old text back where it is accepted.
///
/// `None` for a conflict, for an accepted hunk whose lines were edited since, when the mapping is not of this hunk, and
/// when its lines are not in the buffer (it was mapped onto another text).
pub fn edit_for(mapped: &Mapped, hunk: &Hunk, buffer: &str) -> Option<TextEditLines> {
    edit_in(mapped, hunk, buffer, &LineStarts::new(buffer))
}

/// As [`edit_for`], with the lines of the buffer: each of many hunks costs only its own lines then.
pub fn edit_in(mapped: &Mapped, hunk: &Hunk, buffer: &str, lines: &LineStarts) -> Option<TextEditLines> {
    let (start, end) = (mapped.lines.start as usize, mapped.lines.end as usize);
    if mapped.hunk != hunk.id || mapped.edited || start > end || end > lines.count() {
        return None;
    }
    let line = |number: usize| lines.line(buffer, number);
    let region: Vec<&str> = (start..end).map(line).collect();
    let (current, target) = match mapped.state {
        HunkState::Pending | HunkState::Reverted => (&hunk.old_lines, &hunk.new_lines),
        HunkState::Accepted => (&hunk.new_lines, &hunk.old_lines),
        HunkState::Conflict => return None,
    };
    let same = |(line, known): (&&str, &String)| unmarked(line) == unmarked(known);
    if region.len() != current.len() || !region.iter().zip(current).all(same) {
        return None;
    }
    let mut text: Vec<String> = target.iter().map(|line| with_line_end(line, mapped.line_end)).collect();
    keep_byte_order_mark(&mut text, current, &region, start);
    let any_line_end = || {
        let known = mapped.line_end.map(LineEnd::as_str);
        known.or_else(|| (0..lines.count()).map(|at| line_ending(line(at))).find(|end| !end.is_empty())).unwrap_or("\n")
    };
    let mut start_line = start;
    let is_last = end == lines.count();
    let terminated = if is_last { mapped.final_newline } else { Some(true) };
    match (text.last_mut(), terminated) {
        (Some(last), Some(true)) if line_ending(last).is_empty() => last.push_str(any_line_end()),
        (Some(last), Some(false)) => *last = line_content(last).to_owned(),
        // Nothing is left of the region at the end of the text: its absent newline moves to the line before.
        (None, Some(false)) if is_last && start > 0 && !region.is_empty() => {
            start_line = start - 1;
            text.push(line_content(line(start_line)).to_owned());
        }
        _ => {}
    }
    if start_line > 0 && line_ending(line(start_line - 1)).is_empty() && !text.is_empty() {
        text.insert(0, any_line_end().to_owned());
    }
    Some(TextEditLines { start_line: start_line as u32, end_line: end as u32, new_text: text.concat() })
}

/// Returns the buffer with a pending or reverted hunk accepted; `None` as for [`edit_for`], or when it is accepted already.
pub fn accept(buffer: &str, mapped: &Mapped, hunk: &Hunk) -> Option<String> {
    let is_open = matches!(mapped.state, HunkState::Pending | HunkState::Reverted);
    edit_for(mapped, hunk, buffer).filter(|_| is_open).map(|edit| edit.apply(buffer))
}

/// Returns the buffer with an accepted hunk taken back; `None` as for [`edit_for`], or when it is not accepted.
pub fn unaccept(buffer: &str, mapped: &Mapped, hunk: &Hunk) -> Option<String> {
    edit_for(mapped, hunk, buffer).filter(|_| mapped.state == HunkState::Accepted).map(|edit| edit.apply(buffer))
}

/// Returns the buffer with all the given pending and reverted hunks of one mapping accepted; others are left as they are.
/// The pairs must be in the order of the mapping.
pub fn accept_all(buffer: &str, pairs: &[(&Mapped, &Hunk)]) -> String {
    accept_apart(buffer, pairs).unwrap_or_else(|| accept_each(buffer, pairs))
}

/// Accepts hunks that have nothing to do with each other, in one pass; `None` where one may change what another finds: they
/// share lines, or reach the last line, whose line end an edit may give to the line before.
fn accept_apart(buffer: &str, pairs: &[(&Mapped, &Hunk)]) -> Option<String> {
    let lines = LineStarts::new(buffer);
    let is_open = |mapped: &Mapped| matches!(mapped.state, HunkState::Pending | HunkState::Reverted);
    let open = pairs.iter().filter(|(mapped, _)| is_open(mapped));
    let mut text = String::with_capacity(buffer.len());
    let (mut done, mut free) = (0, 0);
    for edit in open.filter_map(|(mapped, hunk)| edit_in(mapped, hunk, buffer, &lines)) {
        if edit.start_line < free || edit.end_line as usize >= lines.count() {
            return None;
        }
        let bytes = edit.byte_range(&lines);
        text.push_str(&buffer[done..bytes.start]);
        text.push_str(&edit.new_text);
        (done, free) = (bytes.end, edit.end_line);
    }
    text.push_str(&buffer[done..]);
    Some(text)
}

/// Accepts one hunk after the other, each in the text that the one before left.
pub(super) fn accept_each(buffer: &str, pairs: &[(&Mapped, &Hunk)]) -> String {
    let mut text = buffer.to_owned();
    // From the end, so that no edit moves the lines of one still to come.
    for (mapped, hunk) in pairs.iter().rev() {
        if let Some(accepted) = accept(&text, mapped, hunk) {
            text = accepted;
        }
    }
    text
}

/// Returns the line with another line end, if it has one at all.
fn with_line_end(line: &str, line_end: Option<LineEnd>) -> String {
    match line_end {
        Some(line_end) if !line_ending(line).is_empty() => format!("{}{}", line_content(line), line_end.as_str()),
        _ => line.to_owned(),
    }
}

/// Keeps the buffer's byte order mark, or its absence, where it differs from that of the hunk's own text there.
fn keep_byte_order_mark(text: &mut [String], current: &[String], region: &[&str], start: usize) {
    let (Some(first), Some(current), Some(line)) = (text.first_mut(), current.first(), region.first()) else { return };
    let has = line.starts_with(BYTE_ORDER_MARK);
    if start == 0 && current.starts_with(BYTE_ORDER_MARK) != has && first.starts_with(BYTE_ORDER_MARK) != has {
        if has {
            first.insert(0, BYTE_ORDER_MARK);
        } else {
            first.remove(0);
        }
    }
}
