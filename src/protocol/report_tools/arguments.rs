//! Arguments of tools: what is expected, as a schema for the model and as a check with words for it.

use serde_json::{Map, Value, json};

/// One argument.
#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    pub shape: Shape,
    pub required: bool,
    pub about: &'static str,
}

/// What an argument looks like.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    Text,
    /// A whole number from 1.
    Number,
    Texts,
    /// A list of objects with these fields and no others.
    Objects(&'static [Field]),
    /// An object with these fields and perhaps others; looked into elsewhere.
    Open(&'static [Field]),
    /// A list of such.
    OpenList(&'static [Field]),
}

/// Makes a required argument.
pub const fn needed(name: &'static str, shape: Shape, about: &'static str) -> Field {
    Field { name, shape, required: true, about }
}

/// Makes an argument that may be left out.
pub const fn optional(name: &'static str, shape: Shape, about: &'static str) -> Field {
    Field { name, shape, required: false, about }
}

/// Returns the schema of an object with these fields and no others.
pub fn schema(fields: &[Field]) -> Map<String, Value> {
    let mut schema = object(fields);
    schema.insert("additionalProperties".to_owned(), json!(false));
    schema
}

fn object(fields: &[Field]) -> Map<String, Value> {
    let mut properties = Map::new();
    for field in fields {
        let mut property = field.shape.schema();
        property.insert("description".to_owned(), json!(field.about));
        properties.insert(field.name.to_owned(), Value::Object(property));
    }
    let required: Vec<&str> = fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), Value::Object(properties));
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    schema
}

impl Shape {
    fn schema(self) -> Map<String, Value> {
        let value = match self {
            Self::Text => json!({ "type": "string" }),
            Self::Number => json!({ "type": "integer", "minimum": 1 }),
            Self::Texts => json!({ "type": "array", "items": { "type": "string" } }),
            Self::Objects(fields) => json!({ "type": "array", "items": schema(fields) }),
            Self::Open(fields) => Value::Object(object(fields)),
            Self::OpenList(fields) => json!({ "type": "array", "minItems": 1, "items": object(fields) }),
        };
        match value {
            Value::Object(schema) => schema,
            _ => Map::new(),
        }
    }

    /// Says what is expected, after "it must be".
    fn expected(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Number => "a whole number from 1",
            Self::Texts => "a list of texts, such as [\"one\", \"two\"]",
            Self::Objects(_) | Self::OpenList(_) => "a list of objects",
            Self::Open(_) => "an object",
        }
    }
}

/// Checks the arguments against the fields, and returns those that are there as they were meant.
///
/// # Errors
///
/// One line for each that is wrong, naming it and what to write instead.
pub fn read(fields: &[Field], arguments: Map<String, Value>) -> Result<Map<String, Value>, Vec<String>> {
    let mut problems = Vec::new();
    let read = read_object("", fields, arguments, &mut problems);
    if problems.is_empty() { Ok(read) } else { Err(problems) }
}

fn read_object(
    at: &str,
    fields: &[Field],
    mut given: Map<String, Value>,
    problems: &mut Vec<String>,
) -> Map<String, Value> {
    let mut read = Map::new();
    for field in fields {
        let path = format!("{at}{}", field.name);
        let value = given.shift_remove(field.name).filter(|value| !is_absent(value, field));
        match value {
            None if field.required => problems.push(format!("{path}: is missing; {}", field.about)),
            None => {}
            Some(value) => {
                if let Some(value) = read_value(&path, field.shape, value, problems) {
                    read.insert(field.name.to_owned(), value);
                }
            }
        }
    }
    let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
    for name in given.keys() {
        let known = if known.is_empty() { "there are none".to_owned() } else { known.join(", ") };
        problems.push(format!("{at}{name}: there is no such argument; leave it out (known: {known})"));
    }
    read
}

/// Tells whether a value stands for nothing: models fill in what they were not asked for.
fn is_absent(value: &Value, field: &Field) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty() && (matches!(field.shape, Shape::Text) || !field.required),
        _ => false,
    }
}

fn read_value(path: &str, shape: Shape, value: Value, problems: &mut Vec<String>) -> Option<Value> {
    // A list or an object as a text is what it says.
    let value = match (shape, value) {
        (Shape::Text, value) => value,
        (_, Value::String(text)) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        (_, value) => value,
    };
    match (shape, value) {
        (Shape::Text, Value::String(text)) => Some(Value::String(text)),
        (Shape::Number, Value::Number(number)) if number.as_u64().is_some_and(is_line) => Some(Value::Number(number)),
        (Shape::Texts, Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                if item.as_str().is_none_or(|text| text.trim().is_empty()) {
                    problems.push(format!("{path}[{index}]: it must be a text that is not empty"));
                }
            }
            Some(Value::Array(items))
        }
        (Shape::Objects(fields), Value::Array(items)) => {
            let read = |(index, item): (usize, Value)| match item {
                Value::Object(item) => {
                    Some(Value::Object(read_object(&format!("{path}[{index}]."), fields, item, problems)))
                }
                _ => {
                    let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
                    problems.push(format!("{path}[{index}]: it must be an object with {}", names.join(", ")));
                    None
                }
            };
            Some(Value::Array(items.into_iter().enumerate().filter_map(read).collect()))
        }
        (Shape::Open(_), Value::Object(object)) => Some(Value::Object(object)),
        (Shape::OpenList(_), Value::Array(items)) => Some(Value::Array(items)),
        (shape, _) => {
            problems.push(format!("{path}: it must be {}", shape.expected()));
            None
        }
    }
}

fn is_line(number: u64) -> bool {
    (1..=u64::from(u32::MAX)).contains(&number)
}
