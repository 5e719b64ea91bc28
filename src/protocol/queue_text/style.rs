//! The way a text is laid out, and values written in the same way.

use crate::protocol::jsonc::Node;
use serde_json::Value;

/// Longest list or object written on one line inside a text of many lines, in bytes.
const INLINE: usize = 80;

/// How a text is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Style {
    pub eol: &'static str,
    /// One step of indentation.
    pub unit: String,
    /// Whether the text uses more than one line.
    pub multiline: bool,
    /// Whether a space follows colons and commas.
    pub spaced: bool,
}

impl Style {
    pub fn detect(text: &str, root: Option<&Node>) -> Self {
        let eol = match text.find('\n') {
            Some(at) if text[..at].ends_with('\r') => "\r\n",
            None if text.contains('\r') => "\r",
            _ => "\n",
        };
        let Some(root) = root else { return Self { eol, unit: "  ".to_owned(), multiline: true, spaced: true } };
        let first = root.members().first();
        let outer = indentation(text, root.span.start);
        let unit = first
            .filter(|member| starts_line(text, member.key_span.start))
            .and_then(|member| indentation(text, member.key_span.start).strip_prefix(outer))
            .unwrap_or("  ");
        let spaced = first.is_none_or(|member| {
            let value = member.value.as_ref().map_or(member.key_span.end, |value| value.span.start);
            text[member.key_span.end..value].contains([' ', '\t', '\n'])
        });
        let multiline = text[root.span.clone()].contains(['\n', '\r']) || root.members().is_empty();
        Self { eol, unit: unit.to_owned(), multiline, spaced }
    }

    /// Writes `value`; its further lines are indented by `indent`. The outermost `expand` levels get a line for each
    /// item where `multiline`, deeper ones only when they are long.
    pub fn render(&self, value: &Value, indent: &str, multiline: bool, expand: usize) -> String {
        let compact = self.compact(value);
        let children = match value {
            Value::Array(items) if !items.is_empty() => items.len(),
            Value::Object(members) if !members.is_empty() => members.len(),
            _ => return compact,
        };
        if !multiline || (expand == 0 && compact.len() <= INLINE) {
            return compact;
        }
        let inner = format!("{indent}{}", self.unit);
        let mut items = Vec::with_capacity(children);
        let (open, close) = if value.is_array() { ('[', ']') } else { ('{', '}') };
        let nested = |value| self.render(value, &inner, multiline, expand.saturating_sub(1));
        match value {
            Value::Array(values) => items.extend(values.iter().map(nested)),
            Value::Object(members) => {
                items.extend(members.iter().map(|(key, value)| format!("{}{}", self.key(key), nested(value))));
            }
            _ => {}
        }
        let eol = self.eol;
        let body = items.join(&format!(",{eol}{inner}"));
        format!("{open}{eol}{inner}{body}{eol}{indent}{close}")
    }

    /// Writes a key with its colon.
    pub fn key(&self, key: &str) -> String {
        format!("{}:{}", Value::from(key), if self.spaced { " " } else { "" })
    }

    fn compact(&self, value: &Value) -> String {
        let comma = if self.spaced { ", " } else { "," };
        match value {
            Value::Array(items) => {
                format!("[{}]", items.iter().map(|item| self.compact(item)).collect::<Vec<_>>().join(comma))
            }
            Value::Object(members) => {
                let members = members.iter().map(|(key, value)| format!("{}{}", self.key(key), self.compact(value)));
                format!("{{{}}}", members.collect::<Vec<_>>().join(comma))
            }
            scalar => scalar.to_string(),
        }
    }
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind(['\n', '\r']).map_or(0, |newline| newline + 1)
}

/// Tells whether only blanks stand before `at` on its line.
pub(super) fn starts_line(text: &str, at: usize) -> bool {
    let start = line_start(text, at);
    start > 0 && text[start..at].bytes().all(|b| b == b' ' || b == b'\t')
}

/// Returns the blanks at the start of the line of `at`.
pub(super) fn indentation(text: &str, at: usize) -> &str {
    let line = &text[line_start(text, at)..at];
    &line[..line.bytes().take_while(|b| matches!(b, b' ' | b'\t')).count()]
}
