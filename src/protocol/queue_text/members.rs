//! Inserting and removing items of an object or a list without touching anything else, comments included.

use super::TextEdit;
use super::style::{Style, indentation, starts_line};
use crate::protocol::jsonc::{Node, Span, Value, skip_trivia};

/// Returns the spans of the items: elements of a list, key to value of the members of an object.
pub(super) fn item_spans(container: &Node) -> Vec<Span> {
    match &container.value {
        Value::Array(elements) => elements.iter().map(|element| element.span.clone()).collect(),
        Value::Object(members) => members.iter().map(|member| member.span()).collect(),
        _ => Vec::new(),
    }
}

/// Where a new item goes: on a line of its own with this indentation, or behind the others.
pub(super) struct Placement {
    pub own_line: bool,
    pub indent: String,
}

impl Placement {
    /// Follows the last item of the container, or the style of the text where there is none.
    pub fn at_end(text: &str, container: &Node, style: &Style) -> Self {
        match item_spans(container).last() {
            Some(last) => {
                let indent = indentation(text, last.start).to_owned();
                Self { own_line: starts_line(text, last.start), indent }
            }
            None => {
                let indent = format!("{}{}", indentation(text, container.span.start), style.unit);
                Self { own_line: style.multiline, indent }
            }
        }
    }
}

/// Appends rendered items (at least one) to a well-formed container.
pub(super) fn append(
    text: &str,
    container: &Node,
    style: &Style,
    place: &Placement,
    items: &[String],
) -> Vec<TextEdit> {
    let own_line = format!("{}{}", style.eol, place.indent);
    let gap = if place.own_line { own_line.as_str() } else { [" ", ""][usize::from(!style.spaced)] };
    let Some(last) = item_spans(container).last().cloned() else {
        return into_empty(text, container, style, place, items);
    };
    let (at, _) = skip_trivia(text, last.end);
    let has_comma = text.as_bytes().get(at) == Some(&b',');
    let behind = if has_comma { at + 1 } else { last.end };
    // A comment on the same line belongs to the item before it.
    let (insert_at, line_comment) = same_line_comments(text, behind);
    let gap = if line_comment { own_line.as_str() } else { gap };
    let body = items.join(&format!(",{gap}"));
    let insertion = |at: usize, new_text: String| TextEdit { range: at..at, new_text };
    match (has_comma, insert_at == behind) {
        (true, _) => vec![insertion(insert_at, format!("{gap}{body},"))],
        (false, true) => vec![insertion(behind, format!(",{gap}{body}"))],
        (false, false) => vec![insertion(behind, ",".to_owned()), insertion(insert_at, format!("{gap}{body}"))],
    }
}

fn into_empty(text: &str, container: &Node, style: &Style, place: &Placement, items: &[String]) -> Vec<TextEdit> {
    let (open, close) = (container.span.start + 1, container.span.end - 1);
    let inside = text[open..close].trim_end_matches([' ', '\t', '\r', '\n']);
    let has_comment = !inside.is_empty();
    let range = open + inside.len()..close;
    let new_text = if place.own_line || has_comment {
        let gap = format!("{}{}", style.eol, place.indent);
        let outer = indentation(text, container.span.start);
        format!("{gap}{}{}{outer}", items.join(&format!(",{gap}")), style.eol)
    } else {
        items.join(if style.spaced { ", " } else { "," })
    };
    vec![TextEdit { range, new_text }]
}

/// Returns the end of the comments that follow `at` on its line, or `at`; and whether the last is a line comment.
fn same_line_comments(text: &str, at: usize) -> (usize, bool) {
    let bytes = text.as_bytes();
    let mut end = at;
    loop {
        let mut next = end;
        while matches!(bytes.get(next), Some(b' ' | b'\t')) {
            next += 1;
        }
        if text[next..].starts_with("//") {
            let length = text[next..].find(['\n', '\r']).unwrap_or(text.len() - next);
            return (next + length, true);
        }
        let block = text[next..].strip_prefix("/*").and_then(|rest| rest.find("*/"));
        match block {
            Some(length) if !text[next..next + length].contains(['\n', '\r']) => end = next + 2 + length + 2,
            _ => return (end, false),
        }
    }
}

/// Removes the items for which `gone` says so, with their commas and, where nothing else is on them, their lines.
pub(super) fn remove(text: &str, items: &[Span], gone: impl Fn(usize) -> bool) -> Vec<TextEdit> {
    let comma_after = |index: usize| {
        let (at, _) = skip_trivia(text, items[index].end);
        (text.as_bytes().get(at) == Some(&b',')).then_some(at)
    };
    let mut edits = Vec::new();
    let mut cut = |range: Span| edits.push(TextEdit { range, new_text: String::new() });
    for index in (0..items.len()).filter(|index| gone(*index)) {
        match comma_after(index) {
            // What stands between an item and its comma can only be a comment, which stays.
            Some(comma) if comma > items[index].end => {
                cut(items[index].clone());
                cut(comma..comma + 1);
            }
            Some(comma) => cut(with_blanks(text, items[index].start..comma + 1)),
            None => cut(with_blanks(text, items[index].clone())),
        }
    }
    let last = items.len().checked_sub(1).filter(|last| gone(*last) && comma_after(*last).is_none());
    let last_kept = (0..items.len()).rev().find(|index| !gone(*index));
    if let (Some(_), Some(kept)) = (last, last_kept)
        && let Some(comma) = comma_after(kept)
    {
        cut(comma..comma + 1);
    }
    edits.sort_by_key(|edit| edit.range.start);
    // Two neighbours may both have claimed the blanks between them.
    let mut from = 0;
    for edit in &mut edits {
        edit.range.start = edit.range.start.max(from);
        from = edit.range.end;
    }
    edits
}

/// Widens a removal to its whole lines where nothing else is on them, else by the blanks on one side.
fn with_blanks(text: &str, range: Span) -> Span {
    let bytes = text.as_bytes();
    let blank = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
    let mut end = range.end;
    while blank(bytes.get(end)) {
        end += 1;
    }
    let break_length = match (bytes.get(end), bytes.get(end + 1)) {
        (Some(b'\r'), Some(b'\n')) => 2,
        (Some(b'\n' | b'\r'), _) => 1,
        _ => 0,
    };
    if starts_line(text, range.start) {
        let start = range.start - indentation(text, range.start).len();
        // With something behind it on the line only the blanks up to there go.
        return if break_length > 0 { start..end + break_length } else { range.start..end };
    }
    if break_length > 0 || matches!(bytes.get(end), Some(b'}' | b']')) {
        let mut start = range.start;
        while start > 0 && blank(bytes.get(start - 1)) {
            start -= 1;
        }
        // The blank after an opening bracket stays, it pairs with the one before the closing bracket.
        let start = if matches!(bytes.get(start.wrapping_sub(1)), Some(b'{' | b'[')) { range.start } else { start };
        return start..range.end;
    }
    range.start..end
}
