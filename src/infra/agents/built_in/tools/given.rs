//! Reading the arguments of a call so that a model that got them wrong learns how to do it right.

use super::super::chat::{Arguments, ToolSpec};
use serde_json::{Map, Value};

/// The arguments of one call of a tool.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    spec: &'a ToolSpec,
    map: &'a Map<String, Value>,
}

impl<'a> Given<'a> {
    /// # Errors
    ///
    /// When the arguments are no JSON object, or a field is none of the tool's while a needed one is missing.
    pub fn read(spec: &'a ToolSpec, arguments: &'a Arguments) -> Result<Self, String> {
        match arguments {
            Arguments::Read(map) => Ok(Self { spec, map }),
            Arguments::Broken { text, error } => {
                let shown: String = text.chars().take(200).collect();
                Err(format!(
                    "the arguments of `{}` cannot be read: {error}. They were: {shown}\n{}",
                    spec.name,
                    right(spec)
                ))
            }
        }
    }

    /// Returns a text that must be there.
    ///
    /// # Errors
    ///
    /// Names the field.
    pub fn text(&self, field: &str) -> Result<&'a str, String> {
        self.optional_text(field)?.ok_or_else(|| self.wrong(field, "is missing"))
    }

    /// Returns a text that may be left out.
    ///
    /// # Errors
    ///
    /// Names the field.
    pub fn optional_text(&self, field: &str) -> Result<Option<&'a str>, String> {
        match self.map.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(field, &format!("must be a text, not {}", kind(other)))),
        }
    }

    /// Returns a text that may be left out or empty, which is the same.
    ///
    /// # Errors
    ///
    /// Names the field.
    pub fn optional_words(&self, field: &str) -> Result<Option<String>, String> {
        Ok(self.optional_text(field)?.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned))
    }

    /// Returns a whole number of at least 1 that may be left out; a text that holds one will do.
    ///
    /// # Errors
    ///
    /// Names the field.
    pub fn number(&self, field: &str) -> Result<Option<u64>, String> {
        let number = match self.map.get(field) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(Value::Number(number)) => number.as_u64().or_else(|| {
                let whole = number.as_f64().filter(|whole| whole.fract() == 0.0 && (0.0..1e15).contains(whole));
                whole.map(|whole| whole as u64)
            }),
            Some(_) => None,
        };
        match number {
            Some(number) if number >= 1 => Ok(Some(number)),
            _ => Err(self.wrong(field, "must be a whole number from 1")),
        }
    }

    /// Says what is wrong with a field and how to do it right.
    pub fn wrong(&self, field: &str, what: &str) -> String {
        let others: Vec<&str> = self.map.keys().map(String::as_str).filter(|name| !self.knows(name)).collect();
        let unknown = match others.as_slice() {
            [] => String::new(),
            _ => format!(" (`{}` is no field of it)", others.join("`, `")),
        };
        format!("`{field}` of `{}` {what}{unknown}. {}", self.spec.name, right(self.spec))
    }

    fn knows(&self, field: &str) -> bool {
        self.spec.parameters.pointer("/properties").and_then(|fields| fields.get(field)).is_some()
    }
}

fn right(spec: &ToolSpec) -> String {
    if spec.example.is_empty() {
        return "Call it again with one JSON object.".to_owned();
    }
    format!("Call it like this: {}", spec.example)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
