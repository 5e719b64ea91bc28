//! Converts between byte offsets and the UTF-16 positions of editors, in logarithmic time.

/// A place as editors count it; both 0-based.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub line: u32,
    /// UTF-16 code units from the start of the line.
    pub character: u32,
}

/// Knows where the lines and the non-ASCII characters of one text are.
///
/// A line ends at `\n`, `\r\n` or a lone `\r`, as the Language Server Protocol has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineIndex {
    lines: Vec<usize>,
    /// For each non-ASCII character: the offset behind it, and bytes minus UTF-16 units of the text up to there.
    wide: Vec<(usize, usize)>,
    len: usize,
}

impl LineIndex {
    pub fn new(text: &str) -> Self {
        let mut index = Self { lines: vec![0], wide: Vec::new(), len: text.len() };
        line_starts(text.as_bytes(), 0..text.len(), &mut index.lines);
        wide_characters(text, 0..text.len(), 0, &mut index.wide);
        index
    }

    /// Follows a replacement: `text` is the text after it, in which `inserted` bytes stand in place of the bytes
    /// `removed` of the text before. What is outside is not read again.
    pub fn replace(&mut self, text: &str, removed: std::ops::Range<usize>, inserted: usize) {
        let (start, end) = (removed.start, removed.start + inserted);
        let moved = |offset: usize| offset - removed.end + end;
        // Whether a line ends at a lone `\r` depends on the byte behind it, so the byte before is looked at again.
        let again = start.saturating_sub(1);
        let first = self.lines.partition_point(|line| *line <= again);
        let last = self.lines.partition_point(|line| *line <= removed.end);
        let mut between = Vec::new();
        line_starts(text.as_bytes(), again..end, &mut between);
        self.lines.iter_mut().skip(last).for_each(|line| *line = moved(*line));
        self.lines.splice(first..last, between);
        let first = self.wide.partition_point(|(behind, _)| *behind <= start);
        let last = self.wide.partition_point(|(behind, _)| *behind <= removed.end);
        let delta = |entries: &[(usize, usize)]| entries.last().map_or(0, |(_, delta)| *delta);
        let (before, after) = (delta(&self.wide[..first]), delta(&self.wide[..last]));
        let mut between = Vec::new();
        wide_characters(text, start..end, before, &mut between);
        let now = between.last().map_or(before, |(_, delta)| *delta);
        for (behind, delta) in self.wide.iter_mut().skip(last) {
            (*behind, *delta) = (moved(*behind), *delta - after + now);
        }
        self.wide.splice(first..last, between);
        self.len = text.len();
    }

    /// Returns how many lines there are; at least 1.
    pub fn line_count(&self) -> usize {
        self.lines.len()
    }

    /// Returns the position of a byte offset; one past the text is taken as its end.
    pub fn position(&self, offset: usize) -> Position {
        let offset = offset.min(self.len);
        let line = self.lines.partition_point(|start| *start <= offset) - 1;
        let character = self.utf16(offset) - self.utf16(self.lines[line]);
        Position { line: to_u32(line), character: to_u32(character) }
    }

    /// Returns the byte offset of a position; one past its line is the line's end (before its break), one past the
    /// text is the text's end, one inside a surrogate pair is the start of that character.
    pub fn offset(&self, text: &str, position: Position) -> usize {
        let line = position.line as usize;
        let Some(start) = self.lines.get(line).copied() else { return self.len };
        let next = self.lines.get(line + 1).copied();
        let mut end = next.unwrap_or(self.len);
        if next.is_some() {
            let line_text = &text[start..end];
            end = start + line_text.trim_end_matches(['\n', '\r']).len();
        }
        let wanted = self.utf16(start) + position.character as usize;
        // Entries are increasing in UTF-16 units as well, so the last one at or before the wanted unit tells the delta.
        let before = self.wide.partition_point(|(offset, delta)| offset - delta <= wanted);
        let (behind, delta) = if before == 0 { (0, 0) } else { self.wide[before - 1] };
        let mut offset = (wanted + delta).max(behind).min(end);
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }

    fn utf16(&self, offset: usize) -> usize {
        let before = self.wide.partition_point(|(behind, _)| *behind <= offset);
        offset - if before == 0 { 0 } else { self.wide[before - 1].1 }
    }
}

/// Adds where lines start behind the line ends among these bytes.
fn line_starts(text: &[u8], bytes: std::ops::Range<usize>, starts: &mut Vec<usize>) {
    for at in bytes {
        if text[at] == b'\n' || (text[at] == b'\r' && text.get(at + 1) != Some(&b'\n')) {
            starts.push(at + 1);
        }
    }
}

/// Adds the non-ASCII characters among these bytes; `delta` is that of the text before.
fn wide_characters(text: &str, bytes: std::ops::Range<usize>, mut delta: usize, wide: &mut Vec<(usize, usize)>) {
    let part = &text[bytes.clone()];
    if part.is_ascii() {
        return;
    }
    for (at, c) in part.char_indices().filter(|(_, c)| !c.is_ascii()) {
        delta += c.len_utf8() - c.len_utf16();
        wide.push((bytes.start + at + c.len_utf8(), delta));
    }
}

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Counts by walking, the obvious way.
    fn naive(text: &str, offset: usize) -> Position {
        let mut position = Position::default();
        let mut chars = text[..offset].chars().peekable();
        while let Some(c) = chars.next() {
            let half = c == '\r'
                && (chars.peek() == Some(&'\n') || (chars.peek().is_none() && text[offset..].starts_with('\n')));
            if c == '\n' || (c == '\r' && !half) {
                position = Position { line: position.line + 1, character: 0 };
            } else {
                position.character += c.len_utf16() as u32;
            }
        }
        position
    }

    proptest! {
        #[test]
        fn offsets_and_positions_are_inverse(text in "[a-cé日😀\\r\\n]{0,60}") {
            let index = LineIndex::new(&text);
            for (offset, _) in text.char_indices().chain([(text.len(), ' ')]) {
                let position = index.position(offset);
                prop_assert_eq!(position, naive(&text, offset));
                let inside_break = text[..offset].ends_with('\r') && text[offset..].starts_with('\n');
                if !inside_break {
                    prop_assert_eq!(index.offset(&text, position), offset);
                }
            }
        }

        #[test]
        fn an_index_that_follows_is_as_good_as_new(
            text in "[aé😀\\r\\n]{0,20}", changes in prop::collection::vec((0usize..60, 0usize..20, "[bü😀\\r\\n]{0,6}"), 1..6),
        ) {
            let mut text = text;
            let mut index = LineIndex::new(&text);
            for (from, length, inserted) in changes {
                let boundary = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                let removed = boundary(from)..boundary(boundary(from) + length);
                text.replace_range(removed.clone(), &inserted);
                index.replace(&text, removed, inserted.len());
                prop_assert_eq!(&index, &LineIndex::new(&text));
            }
        }

        #[test]
        fn any_position_is_on_a_boundary(text in "[aé😀\\n]{0,20}", line in 0u32..8, character in 0u32..40) {
            let offset = LineIndex::new(&text).offset(&text, Position { line, character });
            prop_assert!(text.is_char_boundary(offset));
        }
    }
}
