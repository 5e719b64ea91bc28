//! The only place where UTF-16 positions become byte offsets, and URIs become paths, and back.
//!
//! Lines end at `\n`, `\r\n` or a lone `\r`, as the protocol says.

use crate::domain::hunks::LineStarts;
use crate::protocol::line_index::{self, LineIndex};
use lsp_types::{Position, Range, TextDocumentContentChangeEvent, TextEdit, Url};
use std::cell::OnceCell;
use std::path::{Path, PathBuf};

/// A text that knows its lines.
#[derive(Clone, Debug)]
pub struct Text {
    content: String,
    index: LineIndex,
    /// Its lines as hunks count them, once somebody asked.
    starts: OnceCell<LineStarts>,
}

impl Text {
    /// Indexes a text.
    pub fn new(content: impl Into<String>) -> Self {
        let content = content.into();
        let index = LineIndex::new(&content);
        Self { content, index, starts: OnceCell::new() }
    }

    /// Returns where the lines start as hunks count them: they end at `\n` alone.
    pub fn line_starts(&self) -> &LineStarts {
        self.starts.get_or_init(|| LineStarts::new(&self.content))
    }

    /// Returns the whole text.
    pub fn as_str(&self) -> &str {
        &self.content
    }

    /// Returns the position of a byte offset; one inside a character counts as its start, one past the end as the end.
    pub fn position(&self, offset: usize) -> Position {
        let position = self.index.position(floor_boundary(&self.content, offset.min(self.content.len())));
        Position::new(position.line, position.character)
    }

    /// Returns the byte offset of a position; one past the end of a line counts as its end, one inside a character as
    /// its start, one past the last line as the end of the text.
    pub fn offset(&self, position: Position) -> usize {
        let position = line_index::Position { line: position.line, character: position.character };
        self.index.offset(&self.content, position)
    }

    /// Returns the range of positions of a range of byte offsets.
    pub fn range(&self, bytes: std::ops::Range<usize>) -> Range {
        Range::new(self.position(bytes.start), self.position(bytes.end))
    }

    /// Returns the range of byte offsets of a range of positions; one whose ends are swapped is turned around.
    pub fn bytes(&self, range: Range) -> std::ops::Range<usize> {
        let (start, end) = (self.offset(range.start), self.offset(range.end));
        start.min(end)..start.max(end)
    }

    /// Returns the range of the given 0-based lines, `first` to before `end`, without the last line break.
    ///
    /// An empty range of lines gives the empty range at the start of `first`. Lines past the end count as the last.
    pub fn lines_range(&self, first: usize, end: usize) -> Range {
        let last = self.index.line_count() - 1;
        let start = Position::new(to_u32(first.min(last)), 0);
        if end <= first {
            return Range::new(start, start);
        }
        let past_line = Position::new(to_u32((end - 1).min(last)), u32::MAX / 2);
        Range::new(start, self.position(self.offset(past_line)))
    }

    /// Applies one change of `textDocument/didChange`.
    pub fn apply(&mut self, change: &TextDocumentContentChangeEvent) {
        let Some(range) = change.range else { return *self = Self::new(change.text.clone()) };
        let bytes = self.bytes(range);
        self.content.replace_range(bytes.clone(), &change.text);
        self.index.replace(&self.content, bytes, change.text.len());
        self.starts = OnceCell::new();
    }

    /// Returns the edits that turn this text into `new`, as few whole lines as a common prefix and suffix allow.
    ///
    /// Empty when the texts are equal.
    pub fn edits_to(&self, new: &str) -> Vec<TextEdit> {
        if self.content == new {
            return Vec::new();
        }
        let prefix = common_prefix(&self.content, new);
        let suffix = common_suffix(&self.content[prefix..], &new[prefix..]);
        let range = self.range(prefix..self.content.len() - suffix);
        vec![TextEdit { range, new_text: new[prefix..new.len() - suffix].to_owned() }]
    }
}

/// Returns the length in bytes of the common start of two texts that ends at a line start of both.
fn common_prefix(a: &str, b: &str) -> usize {
    let same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    a[..floor_boundary(a, same)].rfind('\n').map_or(0, |at| at + 1)
}

/// Returns the length in bytes of the common end of two texts that begins at a line start of both.
fn common_suffix(a: &str, b: &str) -> usize {
    let same = a.bytes().rev().zip(b.bytes().rev()).take_while(|(a, b)| a == b).count();
    if same == a.len() || same == b.len() {
        // The whole of one text; it began at a line start already.
        let whole = a.len().min(b.len());
        let longer = if a.len() > b.len() { a } else { b };
        if longer.len() == whole || longer[..longer.len() - whole].ends_with('\n') {
            return whole;
        }
    }
    let mut start = a.len() - same;
    while !a.is_char_boundary(start) {
        start += 1;
    }
    match a[start..].find('\n') {
        Some(at) => a.len() - start - at - 1,
        None => 0,
    }
}

fn floor_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn to_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Returns the path of a `file:` URI, or `None` for any other.
pub fn to_path(uri: &Url) -> Option<PathBuf> {
    if uri.scheme() == "file" { uri.to_file_path().ok() } else { None }
}

/// Returns the `file:` URI of an absolute path, or `None` for a relative one.
pub fn to_uri(path: &Path) -> Option<Url> {
    Url::from_file_path(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn change(range: Option<Range>, text: &str) -> TextDocumentContentChangeEvent {
        TextDocumentContentChangeEvent { range, range_length: None, text: text.to_owned() }
    }

    fn at(line: u32, character: u32) -> Position {
        Position::new(line, character)
    }

    #[test]
    fn positions_count_utf_16_units() {
        let text = Text::new("aé😀b\r\nx\ry\n");
        let cases = [
            (0, at(0, 0)),
            (1, at(0, 1)),
            (3, at(0, 2)),
            (7, at(0, 4)),
            (8, at(0, 5)),
            (10, at(1, 0)),
            (12, at(2, 0)),
            (14, at(3, 0)),
        ];
        for (offset, position) in cases {
            assert_eq!(text.position(offset), position, "offset {offset}");
            assert_eq!(text.offset(position), offset, "position {position:?}");
        }
        assert_eq!(text.offset(at(0, 3)), 3, "inside a pair counts as its start");
        assert_eq!(text.offset(at(0, 99)), 8, "past the end of a line counts as its end");
        assert_eq!(text.offset(at(99, 0)), 14);
    }

    #[test]
    fn changes_apply_in_the_middle_of_wide_characters_and_as_a_whole() {
        let mut text = Text::new("let 😀 = 1;\nlet b = 2;\n");
        text.apply(&change(Some(Range::new(at(0, 4), at(0, 6))), "x"));
        text.apply(&change(Some(Range::new(at(1, 10), at(1, 10))), "\nmore"));
        assert_eq!(text.as_str(), "let x = 1;\nlet b = 2;\nmore\n");
        text.apply(&change(None, "new"));
        assert_eq!(text.as_str(), "new");
    }

    #[test]
    fn ranges_of_lines_end_before_the_line_break() {
        let text = Text::new("one\ntwo\r\nthree");
        assert_eq!(text.lines_range(0, 2), Range::new(at(0, 0), at(1, 3)));
        assert_eq!(text.lines_range(1, 1), Range::new(at(1, 0), at(1, 0)));
        assert_eq!(text.lines_range(2, 9), Range::new(at(2, 0), at(2, 5)));
        assert_eq!(text.lines_range(9, 10), Range::new(at(2, 0), at(2, 5)));
    }

    #[test]
    fn paths_with_spaces_and_signs_come_back() {
        for path in ["/tmp/a b", "/tmp/ü#?%20", "/tmp/x[1].rs"] {
            let uri = to_uri(Path::new(path)).expect("the path is absolute");
            assert_eq!(to_path(&uri), Some(PathBuf::from(path)), "{uri}");
        }
        assert_eq!(to_uri(Path::new("relative")), None);
        assert_eq!(to_path(&Url::parse("untitled:Untitled-1").expect("a URI")), None);
    }

    proptest! {
        #[test]
        fn offsets_and_positions_are_inverse(content in "[a😀é\r\n]{0,40}", at in 0usize..120) {
            let text = Text::new(content);
            let position = text.position(at);
            let offset = text.offset(position);
            prop_assert!(text.as_str().is_char_boundary(offset));
            let inside_break = text.as_str()[..offset].len() < at.min(text.as_str().len());
            if !inside_break {
                prop_assert_eq!(text.position(offset), position);
            }
        }

        #[test]
        fn edits_lead_to_the_new_text(old in "[ab😀\r\n]{0,24}", new in "[ab😀\r\n]{0,24}") {
            let mut text = Text::new(old);
            for edit in text.edits_to(&new) {
                text.apply(&change(Some(edit.range), &edit.new_text));
            }
            prop_assert_eq!(text.as_str(), new);
        }
    }
}
