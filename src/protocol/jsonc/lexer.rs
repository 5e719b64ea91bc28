//! Tokens of JSON with comments, read one at a time from any offset.

use super::Span;

/// A token and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub span: Span,
    pub kind: TokenKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TokenKind {
    OpenBrace,
    CloseBrace,
    OpenBracket,
    CloseBracket,
    Colon,
    Comma,
    /// Decoded text, and what was wrong with it: the span and the message of the first defect.
    String(String, Option<(Span, &'static str)>),
    Number(serde_json::Number),
    True,
    False,
    Null,
    /// Anything else, up to the next blank or structural character.
    Junk,
    End,
}

const BOM: &str = "\u{feff}";

/// Returns the first offset at or after `at` that is neither blank nor in a comment, and whether a comment is unclosed.
pub fn skip_trivia(text: &str, mut at: usize) -> (usize, Option<Span>) {
    if at == 0 && text.starts_with(BOM) {
        at = BOM.len();
    }
    let bytes = text.as_bytes();
    loop {
        match bytes.get(at) {
            Some(b' ' | b'\t' | b'\n' | b'\r') => at += 1,
            Some(b'/') if bytes.get(at + 1) == Some(&b'/') => {
                at = bytes[at..].iter().position(|b| matches!(b, b'\n' | b'\r')).map_or(bytes.len(), |n| at + n);
            }
            Some(b'/') if bytes.get(at + 1) == Some(&b'*') => match text[at + 2..].find("*/") {
                Some(n) => at += 2 + n + 2,
                None => return (bytes.len(), Some(at..at + 2)),
            },
            _ => return (at, None),
        }
    }
}

/// Reads the token at `at`, which is where [`skip_trivia`] stopped.
pub fn next_token(text: &str, at: usize) -> Token {
    let bytes = text.as_bytes();
    let one = |kind| Token { span: at..at + 1, kind };
    match bytes.get(at) {
        None => Token { span: text.len()..text.len(), kind: TokenKind::End },
        Some(b'{') => one(TokenKind::OpenBrace),
        Some(b'}') => one(TokenKind::CloseBrace),
        Some(b'[') => one(TokenKind::OpenBracket),
        Some(b']') => one(TokenKind::CloseBracket),
        Some(b':') => one(TokenKind::Colon),
        Some(b',') => one(TokenKind::Comma),
        Some(b'"') => string(text, at),
        Some(_) => word(text, at),
    }
}

fn word(text: &str, at: usize) -> Token {
    let bytes = text.as_bytes();
    let stop =
        |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | b'{' | b'}' | b'[' | b']' | b':' | b',' | b'"' | b'/');
    let end = bytes[at + 1..].iter().position(stop).map_or(bytes.len(), |n| at + 1 + n);
    let span = at..end;
    let kind = match &text[span.clone()] {
        "true" => TokenKind::True,
        "false" => TokenKind::False,
        "null" => TokenKind::Null,
        other if other.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
            serde_json::from_str(other).map_or(TokenKind::Junk, TokenKind::Number)
        }
        _ => TokenKind::Junk,
    };
    Token { span, kind }
}

/// Reads a string; one without an end stops before the line break, so that the following lines stay readable.
fn string(text: &str, at: usize) -> Token {
    let bytes = text.as_bytes();
    let mut decoded = String::new();
    let mut defect = None;
    let mut from = at + 1;
    let mut i = from;
    let end = loop {
        match bytes.get(i) {
            Some(b'"') => {
                decoded.push_str(&text[from..i]);
                break i + 1;
            }
            None | Some(b'\n' | b'\r') => {
                decoded.push_str(&text[from..i]);
                defect = defect.or(Some((at..i, "this string is never closed")));
                break i;
            }
            Some(b'\\') => {
                decoded.push_str(&text[from..i]);
                match escape(text, i) {
                    Ok((c, next)) => {
                        decoded.push(c);
                        i = next;
                    }
                    Err((span, message)) => {
                        i = span.end;
                        decoded.push(char::REPLACEMENT_CHARACTER);
                        defect = defect.or(Some((span, message)));
                    }
                }
                from = i;
            }
            Some(0..0x20) => {
                defect = defect.or(Some((i..i + 1, "a control character must be written as an escape")));
                i += 1;
            }
            Some(_) => i += 1,
        }
    };
    Token { span: at..end, kind: TokenKind::String(decoded, defect) }
}

/// Decodes the escape at the backslash `at`; returns the character and the offset behind it.
fn escape(text: &str, at: usize) -> Result<(char, usize), (Span, &'static str)> {
    let c = match text.as_bytes().get(at + 1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode(text, at),
        _ => {
            let len = text[at + 1..].chars().next().filter(|c| !matches!(c, '\n' | '\r')).map_or(0, char::len_utf8);
            return Err((at..at + 1 + len, "this is not an escape of JSON; a backslash is written as \\\\"));
        }
    };
    Ok((c, at + 2))
}

fn unicode(text: &str, at: usize) -> Result<(char, usize), (Span, &'static str)> {
    let Some(first) = hex4(text, at + 2) else {
        return Err((at..at + 2, "\\u needs four hexadecimal digits"));
    };
    if let Some(c) = char::from_u32(first) {
        return Ok((c, at + 6));
    }
    let second = text[at + 6..].starts_with("\\u").then(|| hex4(text, at + 8)).flatten();
    match second {
        Some(second @ 0xdc00..=0xdfff) if first < 0xdc00 => {
            let c = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            char::from_u32(c).map(|c| (c, at + 12)).ok_or((at..at + 12, "this is not a character"))
        }
        _ => Err((at..at + 6, "half of a surrogate pair")),
    }
}

fn hex4(text: &str, at: usize) -> Option<u32> {
    let digits = text.get(at..at + 4)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}
