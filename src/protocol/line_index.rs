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
#[derive(Clone, Debug)]
pub struct LineIndex {
    lines: Vec<usize>,
    /// For each non-ASCII character: the offset behind it, and bytes minus UTF-16 units of the text up to there.
    wide: Vec<(usize, usize)>,
    len: usize,
}

impl LineIndex {
    pub fn new(text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut lines = vec![0];
        for (i, b) in bytes.iter().enumerate() {
            if *b == b'\n' || (*b == b'\r' && bytes.get(i + 1) != Some(&b'\n')) {
                lines.push(i + 1);
            }
        }
        let mut wide = Vec::new();
        if !text.is_ascii() {
            let mut delta = 0;
            for (i, c) in text.char_indices().filter(|(_, c)| !c.is_ascii()) {
                delta += c.len_utf8() - c.len_utf16();
                wide.push((i + c.len_utf8(), delta));
            }
        }
        Self { lines, wide, len: bytes.len() }
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
        fn any_position_is_on_a_boundary(text in "[aé😀\\n]{0,20}", line in 0u32..8, character in 0u32..40) {
            let offset = LineIndex::new(&text).offset(&text, Position { line, character });
            prop_assert!(text.is_char_boundary(offset));
        }
    }
}
