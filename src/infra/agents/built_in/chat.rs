//! What is said between the loop and a model, in no particular dialect.

use crate::domain::ending::Usage;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// One message of the conversation.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// How to work; always the first.
    System { text: String },
    /// The task, a reminder, or a note of ours.
    User { text: String },
    /// What a person said meanwhile.
    Heard { text: String },
    /// What the model answered.
    Assistant(Spoken),
    /// What a call of a tool gave.
    Tool { call: String, name: String, text: String },
}

/// Joins words for the model that follow each other, all as the user's: the templates of some models want the speakers to
/// take turns.
pub fn in_turns(messages: &[Message]) -> Vec<Cow<'_, Message>> {
    let mut turns: Vec<Cow<'_, Message>> = Vec::with_capacity(messages.len());
    for message in messages {
        let (Message::User { text } | Message::Heard { text }) = message else {
            turns.push(Cow::Borrowed(message));
            continue;
        };
        match turns.last_mut() {
            Some(last) if matches!(last.as_ref(), Message::User { .. }) => {
                if let Message::User { text: before } = last.to_mut() {
                    before.push_str("\n\n");
                    before.push_str(text);
                }
            }
            _ => turns.push(Cow::Owned(Message::User { text: text.clone() })),
        }
    }
    turns
}

/// An answer of the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spoken {
    pub text: String,
    /// What it thinks aloud, for the transcript.
    pub thought: String,
    pub calls: Vec<ToolCall>,
    /// Fields of the answer that some endpoints want to see again beside its calls, such as its reasoning.
    pub echo: Map<String, Value>,
}

/// A call of a tool that the model wants.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall {
    /// Made by us where the endpoint gives none.
    pub id: String,
    pub name: String,
    pub arguments: Arguments,
    /// Fields of the call that some endpoints want to see again, such as signatures.
    pub echo: Map<String, Value>,
}

/// The arguments of a call as they came.
#[derive(Clone, Debug, PartialEq)]
pub enum Arguments {
    Read(Map<String, Value>),
    /// They are no JSON object; the text and why it is none.
    Broken {
        text: String,
        error: String,
    },
}

impl Arguments {
    /// Takes what an endpoint gave: an object, or a text that holds one. An empty text is an empty object.
    pub fn from_value(value: Option<Value>) -> Self {
        match value {
            None | Some(Value::Null) => Self::Read(Map::new()),
            Some(Value::Object(map)) => Self::Read(map),
            Some(Value::String(text)) if text.trim().is_empty() => Self::Read(Map::new()),
            Some(Value::String(text)) => match serde_json::from_str(&text) {
                Ok(Value::Object(map)) => Self::Read(map),
                Ok(_) => Self::Broken { text, error: "this is JSON, but no object".into() },
                Err(error) => Self::Broken { error: error.to_string(), text },
            },
            Some(other) => Self::Broken { text: other.to_string(), error: "this is JSON, but no object".into() },
        }
    }

    /// Returns them as an object; broken ones are empty, since endpoints refuse to see them again.
    pub fn to_map(&self) -> Map<String, Value> {
        match self {
            Self::Read(map) => map.clone(),
            Self::Broken { .. } => Map::new(),
        }
    }
}

/// Why the model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It said all it wanted.
    Whole,
    /// It ran into a limit of length, so what it said is cut.
    Cut,
}

/// One answer with what it cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub spoken: Spoken,
    pub finish: Finish,
    /// Of this call only; absent where the endpoint does not tell.
    pub usage: Option<Usage>,
    /// The model that answered, by its own name.
    pub model: Option<String>,
}

/// A tool as a model is told of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolSpec {
    pub name: &'static str,
    /// What it does, in as few words as it takes: they are sent with every call.
    pub about: &'static str,
    /// Arguments as they could be, for error texts.
    pub example: &'static str,
    /// A JSON schema.
    pub parameters: Value,
}

impl ToolSpec {
    /// Returns the tool in the form that both dialects use.
    pub fn to_value(&self) -> Value {
        serde_json::json!({"type": "function", "function": {
            "name": self.name, "description": self.about, "parameters": self.parameters}})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_come_as_objects_and_as_texts() {
        let read = |value| Arguments::from_value(value);
        let path = json!({"path": "a"}).as_object().cloned().expect("an object");
        for (given, expected) in [
            (None, Some(Map::new())),
            (Some(Value::Null), Some(Map::new())),
            (Some(json!(" ")), Some(Map::new())),
            (Some(json!({"path": "a"})), Some(path.clone())),
            (Some(json!("{\"path\": \"a\"}")), Some(path)),
            (Some(json!("{\"path\": ")), None),
            (Some(json!("[1]")), None),
            (Some(json!([1])), None),
        ] {
            match (read(given.clone()), expected) {
                (Arguments::Read(map), Some(expected)) => assert_eq!(map, expected, "{given:?}"),
                (broken @ Arguments::Broken { .. }, None) => assert!(broken.to_map().is_empty()),
                (found, expected) => panic!("{given:?}: {found:?} instead of {expected:?}"),
            }
        }
    }
}
