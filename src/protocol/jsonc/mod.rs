//! A tree of JSON with comments that has byte spans everywhere and survives broken text.
//!
//! People edit `.ralph/queue.json` by hand while we watch, so half-typed text is the normal case: the parser reports
//! every problem with its exact span and keeps what it could read. Comments and trailing commas are accepted, a byte
//! order mark at the start is skipped. `jsonc-parser` stops at the first error, which is why it only serves as the
//! oracle of the tests here.

mod de;
mod lexer;
mod parser;

pub use de::{DecodeError, Ignored, decode};
pub use lexer::{Token, TokenKind, next_token, skip_trivia};
pub use parser::parse;

use std::ops::Range;

/// Byte offsets into the text, end exclusive; always on character boundaries.
pub type Span = Range<usize>;

/// Nesting accepted before the rest is skipped with an error; the depth `serde_json` accepts as well.
pub const MAX_DEPTH: usize = 128;

/// What could be read of a text, and what was wrong with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The first value of the text; absent in an empty text.
    pub root: Option<Node>,
    /// In text order; empty exactly when the text is well formed.
    pub errors: Vec<SyntaxError>,
}

/// One place where the text is not JSON with comments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    pub span: Span,
    pub message: String,
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub span: Span,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    String(String),
    Array(Vec<Node>),
    Object(Vec<Member>),
    /// Stands where a value could not be read; an error names it.
    Invalid,
}

/// A key of an object with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    pub key: String,
    /// The key with its quotes.
    pub key_span: Span,
    /// Absent in text such as `{"id"}` or `{"id":}`.
    pub value: Option<Node>,
}

impl Member {
    /// Returns the span from the key to the end of the value.
    pub fn span(&self) -> Span {
        self.key_span.start..self.value.as_ref().map_or(self.key_span.end, |value| value.span.end)
    }
}

impl Node {
    /// Returns the member that counts for `key`: the last one, as other readers of JSON have it.
    pub fn member(&self, key: &str) -> Option<&Member> {
        self.members().iter().rev().find(|member| member.key == key)
    }

    /// Returns the value of [`Self::member`].
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.member(key)?.value.as_ref()
    }

    /// Returns the members of an object; none for anything else.
    pub fn members(&self) -> &[Member] {
        if let Value::Object(members) = &self.value { members } else { &[] }
    }

    /// Returns the elements of an array; none for anything else.
    pub fn elements(&self) -> &[Node] {
        if let Value::Array(elements) = &self.value { elements } else { &[] }
    }

    /// Returns the decoded text of a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Value::String(text) = &self.value { Some(text) } else { None }
    }

    /// Returns the value without its spans; what could not be read becomes null.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null | Value::Invalid => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(value) => serde_json::Value::Number(value.clone()),
            Value::String(value) => value.as_str().into(),
            Value::Array(elements) => elements.iter().map(Self::to_json).collect(),
            Value::Object(members) => serde_json::Value::Object(
                members
                    .iter()
                    .filter_map(|member| Some((member.key.clone(), member.value.as_ref()?.to_json())))
                    .collect(),
            ),
        }
    }

    /// Names the type for messages: "a string", "an array".
    pub fn type_name(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
            Value::Invalid => "nothing readable",
        }
    }
}
