//! Finds the comments of a source text, knowing just enough of each language to skip its strings.

use super::language::{Block, Quirk, Quote, Syntax};

/// Longest here document and regular expression that are believed, in lines and bytes; what has no end by then was
/// something else, and searching on for each of them would take quadratic time.
const MAX_HEREDOC: usize = 5000;
const MAX_REGEX: usize = 2000;

/// One line of a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CommentLine {
    /// 1-based.
    pub line: u32,
    /// Byte offset in the line where the comment starts; for later lines of a block 0.
    pub column: usize,
    /// Without the comment's own signs.
    pub text: String,
    /// Whether no code stands before it on its line.
    pub own_line: bool,
    /// The number of the block it belongs to; none for line comments.
    pub block: Option<usize>,
}

/// Returns every line of every comment, in text order; linear in the text.
pub(super) fn comments(text: &str, syntax: &Syntax) -> Vec<CommentLine> {
    let mut lexer = Lexer {
        text,
        syntax,
        at: 0,
        line: 1,
        line_start: 0,
        found: Vec::new(),
        blocks: 0,
        templates: Vec::new(),
        unclosed: vec![false; syntax.quotes.len()],
        heredoc: None,
        significant: None,
    };
    while lexer.at < text.len() {
        lexer.step();
    }
    lexer.found
}

struct Lexer<'a> {
    text: &'a str,
    syntax: &'a Syntax,
    at: usize,
    line: u32,
    line_start: usize,
    found: Vec<CommentLine>,
    blocks: usize,
    /// Open braces inside each open `${…}` of a template.
    templates: Vec<usize>,
    /// Quotes that were seen to have no end in the rest of the text, so that it is not searched again.
    unclosed: Vec<bool>,
    /// The word that ends the here document starting on the next line.
    heredoc: Option<&'a str>,
    /// The last character of code that is not blank, and the word it ends.
    significant: Option<(usize, u8)>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Moves to `to`, counting lines.
    fn advance(&mut self, to: usize) {
        for (i, _) in self.text.as_bytes()[self.at..to].iter().enumerate().filter(|(_, b)| **b == b'\n') {
            self.line += 1;
            self.line_start = self.at + i + 1;
        }
        self.at = to;
    }

    fn before(&self) -> Option<u8> {
        self.at.checked_sub(1).map(|before| self.text.as_bytes()[before])
    }

    /// Returns what stands before the current place on its line.
    fn line_so_far(&self) -> &'a str {
        &self.text[self.line_start..self.at]
    }

    fn step(&mut self) {
        let byte = self.text.as_bytes()[self.at];
        if byte == b'\n' {
            self.advance(self.at + 1);
            if let Some(word) = self.heredoc.take() {
                self.skip_heredoc(word);
            }
            return;
        }
        if byte.is_ascii_whitespace() {
            self.at += 1;
            return;
        }
        if self.lua_long() || self.block() || self.line_comment() || self.raw() || self.template(byte) {
            return;
        }
        if self.character(byte) || self.quote() || self.regex(byte) {
            self.significant = Some((self.at, b'"'));
            return;
        }
        self.here_document();
        self.significant = Some((self.at, byte));
        let width = self.rest().chars().next().map_or(1, char::len_utf8);
        self.at += width;
    }

    fn push(&mut self, start: usize, inner: &str, block: Option<usize>) {
        let column = start - self.line_start;
        let own_line = self.text[self.line_start..start].trim().is_empty();
        for (i, text) in inner.split('\n').enumerate() {
            let text = text.trim();
            let text = if block.is_some() { text.trim_start_matches('*').trim() } else { text };
            self.found.push(CommentLine {
                line: self.line + i as u32,
                column: if i == 0 { column } else { 0 },
                text: text.to_owned(),
                own_line: own_line || i > 0,
                block,
            });
        }
    }

    fn line_comment(&mut self) -> bool {
        let Some(prefix) = self.syntax.line.iter().find(|prefix| self.rest().starts_with(**prefix)) else {
            return false;
        };
        let blank_before =
            self.before().is_none_or(|b| b.is_ascii_whitespace() || matches!(b, b';' | b'(' | b'{' | b','));
        if self.syntax.has(Quirk::BlankBefore) && !blank_before {
            return false;
        }
        if self.syntax.has(Quirk::LineStart) && !self.line_so_far().trim().is_empty() {
            return false;
        }
        let end = self.rest().find('\n').map_or(self.text.len(), |n| self.at + n);
        let sign = prefix.as_bytes()[0] as char;
        let inner = self.text[self.at + prefix.len()..end].trim_start_matches([sign, '!']);
        self.push(self.at, inner, None);
        self.at = end;
        true
    }

    fn block(&mut self) -> bool {
        let rest = self.rest();
        let fits = |block: &&Block| rest.starts_with(block.open) && (!block.line_start || self.at == self.line_start);
        let Some(block) = self.syntax.blocks.iter().find(fits).copied() else { return false };
        let inside = self.at + block.open.len();
        let (close, end) = self.block_end(&block, inside);
        self.blocks += 1;
        self.push(self.at, &self.text[inside..close], Some(self.blocks));
        self.advance(end);
        true
    }

    /// Returns where the content of a block ends and where the code goes on.
    fn block_end(&self, block: &Block, inside: usize) -> (usize, usize) {
        let mut depth = 1_usize;
        let mut at = inside;
        while at < self.text.len() {
            let rest = &self.text[at..];
            if rest.starts_with(block.close) && (!block.line_start || self.text[..at].ends_with('\n')) {
                depth -= 1;
                if depth == 0 {
                    return (at, at + block.close.len());
                }
                at += block.close.len();
            } else if block.nested && rest.starts_with(block.open) {
                depth += 1;
                at += block.open.len();
            } else {
                at += rest.chars().next().map_or(1, char::len_utf8);
            }
        }
        (self.text.len(), self.text.len())
    }

    /// Skips `r#"…"#` and `R"x(…)x"`.
    fn raw(&mut self) -> bool {
        let identifier = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let rest = self.rest();
        if self.syntax.has(Quirk::RustRaw) && rest.starts_with('r') {
            let prefix = self.line_so_far().bytes().rev().take_while(|b| identifier(*b)).count();
            let prefixed = prefix == 1 && matches!(self.before(), Some(b'b' | b'c'));
            let hashes = rest[1..].bytes().take_while(|b| *b == b'#').count();
            if (prefix == 0 || prefixed) && rest[1 + hashes..].starts_with('"') {
                let close = format!("\"{}", "#".repeat(hashes));
                self.skip_past(2 + hashes, &close);
                return true;
            }
        }
        if self.syntax.has(Quirk::CppRaw)
            && let Some(inside) = rest.strip_prefix("R\"")
            && let Some(open) = inside.bytes().take(17).position(|b| b == b'(')
            && inside[..open].bytes().all(|b| !b.is_ascii_whitespace() && b != b'"')
        {
            let close = format!("){}\"", &inside[..open]);
            self.skip_past(3 + open, &close);
            return true;
        }
        false
    }

    /// Moves behind the next `close` after `skip` bytes, or to the end.
    fn skip_past(&mut self, skip: usize, close: &str) {
        let from = self.at + skip;
        let end = self.text[from..].find(close).map_or(self.text.len(), |n| from + n + close.len());
        self.advance(end);
    }

    fn lua_long(&mut self) -> bool {
        if !self.syntax.has(Quirk::LuaLong) {
            return false;
        }
        let rest = self.rest();
        let comment = rest.starts_with("--");
        let bracket = rest.strip_prefix("--").unwrap_or(rest);
        let Some(level) = bracket.strip_prefix('[').map(|rest| rest.bytes().take_while(|b| *b == b'=').count()) else {
            return false;
        };
        if !bracket[1 + level..].starts_with('[') {
            return false;
        }
        let inside = self.at + rest.len() - bracket.len() + level + 2;
        let close = format!("]{}]", "=".repeat(level));
        let end = self.text[inside..].find(&close).map(|n| inside + n);
        if comment {
            self.blocks += 1;
            self.push(self.at, &self.text[inside..end.unwrap_or(self.text.len())], Some(self.blocks));
        }
        self.advance(end.map_or(self.text.len(), |end| end + close.len()));
        true
    }

    /// Follows templates: text is skipped, code in `${…}` is read as code.
    fn template(&mut self, byte: u8) -> bool {
        if !self.syntax.has(Quirk::JavaScript) {
            return false;
        }
        match (byte, self.templates.last_mut()) {
            (b'`', _) => self.at += 1,
            (b'{', Some(depth)) => {
                *depth += 1;
                return false;
            }
            (b'}', Some(0)) => {
                self.templates.pop();
                self.at += 1;
            }
            (b'}', Some(depth)) => {
                *depth -= 1;
                return false;
            }
            _ => return false,
        }
        let bytes = self.text.as_bytes();
        let mut i = self.at;
        while let Some(b) = bytes.get(i) {
            match b {
                b'\\' => i += 1,
                b'`' => break,
                b'$' if bytes.get(i + 1) == Some(&b'{') => {
                    self.templates.push(0);
                    i += 1;
                    break;
                }
                _ => {}
            }
            i += 1;
        }
        let end = self.boundary(i + 1);
        self.advance(end);
        self.significant = Some((self.at, if self.templates.is_empty() { b'"' } else { b'(' }));
        true
    }

    fn boundary(&self, at: usize) -> usize {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at += 1;
        }
        at
    }

    /// Tells a character from a lifetime or a prime.
    fn character(&mut self, byte: u8) -> bool {
        if byte != b'\'' || !self.syntax.has(Quirk::CharOrTick) {
            return false;
        }
        let mut chars = self.rest().char_indices().skip(1);
        let (Some((_, first)), second) = (chars.next(), chars.next()) else { return false };
        if first == '\\' {
            let line = self.rest().split('\n').next().unwrap_or_default();
            // The escaped character itself may be a quote.
            let after = 2 + line[2..].chars().next().map_or(0, char::len_utf8);
            if let Some(close) = line[after..].find('\'').filter(|n| *n <= 10) {
                self.at += after + close + 1;
                return true;
            }
            return false;
        }
        match second {
            Some((close, '\'')) if first != '\'' => self.at += close + 1,
            _ => return false,
        }
        true
    }

    fn quote(&mut self) -> bool {
        let rest = self.rest();
        let fits = |quote: &Quote| rest.starts_with(quote.open);
        let Some(index) = self.syntax.quotes.iter().position(fits) else { return false };
        let quote = self.syntax.quotes[index];
        let before = self.before();
        let blank_before = before.is_none_or(|b| b.is_ascii_whitespace() || b"([{,:=-!.".contains(&b));
        if self.syntax.has(Quirk::QuoteAfterBlank) && !blank_before {
            return false;
        }
        // Digits are grouped with a tick in some languages: 1'000.
        if quote.open == "'"
            && before.is_some_and(|b| b.is_ascii_digit())
            && rest[1..].starts_with(|c: char| c.is_ascii_hexdigit())
        {
            return false;
        }
        if quote.close.is_empty() {
            self.at += quote.open.len();
            return true;
        }
        if self.unclosed[index] {
            return false;
        }
        let from = self.at + quote.open.len();
        match self.quote_end(&quote, from) {
            Some(end) => self.advance(end),
            // Without an end it was no quote: an apostrophe, or a text that was cut.
            None => {
                self.unclosed[index] = true;
                self.at = from;
            }
        }
        true
    }

    fn quote_end(&self, quote: &Quote, from: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let mut i = from;
        while i < bytes.len() {
            match bytes[i] {
                b'\n' if !quote.multiline => return Some(i),
                b'\\' if quote.escape => {
                    // A protected line break still ends a string that must not span lines for our purpose: no
                    // language hides a comment behind one.
                    i += 1;
                }
                _ if bytes[i..].starts_with(quote.close.as_bytes()) => return Some(i + quote.close.len()),
                _ => {}
            }
            i += 1;
        }
        (!quote.multiline).then_some(bytes.len())
    }

    /// Skips a regular expression of JavaScript: a slash where a value must start.
    fn regex(&mut self, byte: u8) -> bool {
        if byte != b'/' || !self.syntax.has(Quirk::JavaScript) {
            return false;
        }
        let value_expected = match self.significant {
            None => true,
            Some((at, b)) if b.is_ascii_alphanumeric() => {
                let before = &self.text[..=at.min(self.text.len() - 1)];
                ["return", "typeof", "case", "in", "of", "do", "else", "void", "await", "yield"].iter().any(|word| {
                    before
                        .strip_suffix(word)
                        .is_some_and(|rest| !rest.ends_with(|c: char| c.is_alphanumeric() || c == '_'))
                })
            }
            Some((_, b)) => b"(,=:[!&|?{};+-*%~^<>".contains(&b),
        };
        if !value_expected {
            return false;
        }
        let bytes = self.text.as_bytes();
        let (mut i, mut class) = (self.at + 1, false);
        while let Some(b) = bytes.get(i).filter(|_| i - self.at < MAX_REGEX) {
            match b {
                b'\n' => return false,
                b'\\' => i += 1,
                b'[' => class = true,
                b']' => class = false,
                b'/' if !class => {
                    self.at = i + 1;
                    return true;
                }
                _ => {}
            }
            i += 1;
        }
        false
    }

    /// Notes the word behind `<<`; the document starts on the next line.
    fn here_document(&mut self) {
        if !self.syntax.has(Quirk::HereDocument) || !self.rest().starts_with("<<") || self.before() == Some(b'<') {
            return;
        }
        let rest = self.rest()[2..].trim_start_matches(['<', '-', '~']);
        let quoted = rest.trim_start_matches(['"', '\'', '\\']);
        let length = quoted.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        let word = &quoted[..length];
        // A shift has a number or a variable behind it.
        if word.starts_with(|c: char| c.is_ascii_uppercase() || c == '_') || (quoted.len() < rest.len() && length > 0) {
            self.heredoc = Some(word);
        }
    }

    fn skip_heredoc(&mut self, word: &str) {
        let mut end = self.at;
        for line in self.rest().split_inclusive('\n').take(MAX_HEREDOC) {
            end += line.len();
            let body = line.trim().trim_end_matches([';', ')', ',']);
            if body == word {
                self.advance(end);
                return;
            }
        }
    }
}
