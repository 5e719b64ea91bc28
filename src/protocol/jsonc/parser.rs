//! Builds the tree; recovers at commas, closing brackets and line ends.

use super::{Document, MAX_DEPTH, Member, Node, Span, SyntaxError, Token, TokenKind, Value, next_token, skip_trivia};

/// Errors kept; a binary file would otherwise fill memory with them.
const MAX_ERRORS: usize = 200;

/// Reads `text` in one pass; never fails, see [`Document::errors`]. Time and memory are linear in the text.
pub fn parse(text: &str) -> Document {
    let mut parser =
        Parser { text, token: Token { span: 0..0, kind: TokenKind::End }, errors: Vec::new(), open: [0; 2] };
    parser.advance_to(0);
    let root = match parser.token.kind {
        TokenKind::End => None,
        _ => Some(parser.value(0)),
    };
    if parser.token.kind != TokenKind::End {
        let span = parser.token.span.clone();
        parser.error(span, "expected the end of the text");
    }
    let mut errors = parser.errors;
    errors.sort_by_key(|error| error.span.start);
    Document { root, errors }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Object = 0,
    Array = 1,
}

struct Parser<'a> {
    text: &'a str,
    token: Token,
    errors: Vec<SyntaxError>,
    /// How many objects and arrays are open around the current token.
    open: [usize; 2],
}

impl Parser<'_> {
    fn error(&mut self, span: Span, message: impl Into<String>) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(SyntaxError { span, message: message.into() });
        }
    }

    fn advance_to(&mut self, at: usize) {
        let (at, unclosed) = skip_trivia(self.text, at);
        if let Some(span) = unclosed {
            self.error(span, "this comment is never closed");
        }
        self.token = next_token(self.text, at);
    }

    fn advance(&mut self) {
        self.advance_to(self.token.span.end);
    }

    /// Reads one value; the current token is its first. A token that starts no value is consumed unless it is
    /// structural, so that the caller can recover there.
    fn value(&mut self, depth: usize) -> Node {
        let span = self.token.span.clone();
        let kind = std::mem::replace(&mut self.token.kind, TokenKind::Junk);
        let value = match kind {
            TokenKind::OpenBrace | TokenKind::OpenBracket if depth >= MAX_DEPTH => {
                self.error(span.clone(), format!("nested deeper than {MAX_DEPTH} levels"));
                return Node { span: span.start..self.skip_balanced(), value: Value::Invalid };
            }
            TokenKind::OpenBrace => return self.object(span, depth + 1),
            TokenKind::OpenBracket => return self.array(span, depth + 1),
            TokenKind::String(text, defect) => {
                if let Some((span, message)) = defect {
                    self.error(span, message);
                }
                Value::String(text)
            }
            TokenKind::Number(number) => Value::Number(number),
            TokenKind::True => Value::Bool(true),
            TokenKind::False => Value::Bool(false),
            TokenKind::Null => Value::Null,
            TokenKind::Junk => {
                let word: String = self.text[span.clone()].chars().take(40).collect();
                self.error(span.clone(), format!("`{word}` is not a value; a text needs double quotes"));
                Value::Invalid
            }
            structural => {
                self.error(span.clone(), "expected a value");
                self.token.kind = structural;
                return Node { span: span.start..span.start, value: Value::Invalid };
            }
        };
        self.advance();
        Node { span, value }
    }

    /// Skips a container without building it and without recursion; returns its end.
    fn skip_balanced(&mut self) -> usize {
        let mut depth = 1_usize;
        self.advance();
        loop {
            let end = self.token.span.end;
            match self.token.kind {
                TokenKind::OpenBrace | TokenKind::OpenBracket => depth += 1,
                TokenKind::CloseBrace | TokenKind::CloseBracket => depth -= 1,
                TokenKind::End => return end,
                _ => {}
            }
            self.advance();
            if depth == 0 {
                return end;
            }
        }
    }

    fn object(&mut self, open: Span, depth: usize) -> Node {
        self.open[Kind::Object as usize] += 1;
        self.advance();
        let mut members = Vec::new();
        let mut comma = true;
        let end = loop {
            match self.token.kind {
                TokenKind::String(..) => {
                    if !comma {
                        self.missing_comma();
                    }
                    let member = self.member(depth);
                    // Without its value the rest of the line says nothing about commas.
                    let broken = member.value.is_none();
                    members.push(member);
                    comma = self.comma() || broken;
                }
                TokenKind::CloseBrace => break self.close(),
                // A brace where a key should be: the object before it was not closed.
                TokenKind::OpenBrace if self.open[Kind::Array as usize] > 0 => break self.abandon(&open, '{'),
                _ => match self.stray(&open, Kind::Object) {
                    Some(end) => break end,
                    None => comma = true,
                },
            }
        };
        self.open[Kind::Object as usize] -= 1;
        Node { span: open.start..end, value: Value::Object(members) }
    }

    fn member(&mut self, depth: usize) -> Member {
        let key_span = self.token.span.clone();
        let mut key = String::new();
        if let TokenKind::String(text, defect) = std::mem::replace(&mut self.token.kind, TokenKind::Junk) {
            if let Some((span, message)) = defect {
                self.error(span, message);
            }
            key = text;
        }
        self.advance();
        if self.token.kind != TokenKind::Colon {
            self.error(key_span.clone(), "expected `:` and a value after this key");
            return Member { key, key_span, value: None };
        }
        self.advance();
        let value = match self.token.kind {
            TokenKind::Comma | TokenKind::CloseBrace | TokenKind::CloseBracket | TokenKind::End => {
                self.error(key_span.clone(), "expected a value after this key");
                None
            }
            TokenKind::String(..) if self.is_key() => {
                self.error(key_span.clone(), "expected a value after this key");
                None
            }
            _ => Some(self.value(depth)),
        };
        Member { key, key_span, value }
    }

    /// Tells whether the current string is followed by a colon: then it is the next key, and a value is missing.
    fn is_key(&self) -> bool {
        let (at, _) = skip_trivia(self.text, self.token.span.end);
        self.text.as_bytes().get(at) == Some(&b':')
    }

    fn array(&mut self, open: Span, depth: usize) -> Node {
        self.open[Kind::Array as usize] += 1;
        self.advance();
        let mut elements = Vec::new();
        let mut comma = true;
        let end = loop {
            match self.token.kind {
                TokenKind::CloseBracket => break self.close(),
                TokenKind::Comma | TokenKind::Colon | TokenKind::CloseBrace | TokenKind::End => {
                    match self.stray(&open, Kind::Array) {
                        Some(end) => break end,
                        None => comma = true,
                    }
                }
                _ => {
                    if !comma {
                        self.missing_comma();
                    }
                    elements.push(self.value(depth));
                    comma = self.comma();
                }
            }
        };
        self.open[Kind::Array as usize] -= 1;
        Node { span: open.start..end, value: Value::Array(elements) }
    }

    /// Consumes the closing bracket and returns its end.
    fn close(&mut self) -> usize {
        let end = self.token.span.end;
        self.advance();
        end
    }

    /// Ends a container that was never closed, before the current token.
    fn abandon(&mut self, open: &Span, bracket: char) -> usize {
        self.error(open.clone(), format!("this `{bracket}` is never closed"));
        self.token.span.start
    }

    fn comma(&mut self) -> bool {
        let found = self.token.kind == TokenKind::Comma;
        if found {
            self.advance();
        }
        found
    }

    fn missing_comma(&mut self) {
        let span = self.token.span.clone();
        self.error(span, "expected `,` before this");
    }

    /// Handles a token that cannot stand in this container; returns its end when that closes the container.
    fn stray(&mut self, open: &Span, kind: Kind) -> Option<usize> {
        let bracket = if kind == Kind::Object { '{' } else { '[' };
        let closes_outer = match self.token.kind {
            TokenKind::End => true,
            TokenKind::CloseBrace => self.open[Kind::Object as usize] > 0,
            TokenKind::CloseBracket => self.open[Kind::Array as usize] > 0,
            _ => false,
        };
        if closes_outer {
            return Some(self.abandon(open, bracket));
        }
        let span = self.token.span.clone();
        let message = if kind == Kind::Object { "expected a key in double quotes" } else { "expected a value" };
        self.error(span, message);
        match self.token.kind {
            TokenKind::OpenBrace | TokenKind::OpenBracket => {
                self.skip_balanced();
            }
            _ => self.advance(),
        }
        None
    }
}
