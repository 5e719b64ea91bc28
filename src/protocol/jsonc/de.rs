//! Decodes a node into any `Deserialize` type, with errors that know the exact span and path.

use super::{Member, Node, Span, Value};
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};
use std::cell::RefCell;
use std::fmt;

/// A member that the target type does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// Dotted, with array indexes in brackets: `agents.claude.stop[0]`.
    pub path: String,
    /// The key and its value.
    pub span: Span,
}

/// Why a node is not of the wanted type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// As in [`Ignored::path`]; empty for the node itself.
    pub path: String,
    /// The offending value.
    pub span: Span,
    pub message: String,
}

/// Decodes `node`, and lists the members that were ignored.
pub fn decode<T: DeserializeOwned>(node: &Node) -> Result<(T, Vec<Ignored>), DecodeError> {
    let ignored = RefCell::new(Vec::new());
    let decoder = Decoder { node, key_span: None, path: &Path::Root, ignored: &ignored };
    match T::deserialize(decoder) {
        Ok(value) => Ok((value, ignored.into_inner())),
        Err(Error { message, place }) => {
            let (path, span) = place.unwrap_or_else(|| (String::new(), node.span.clone()));
            Err(DecodeError { path, span, message })
        }
    }
}

enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Key(Path::Root, key) => write!(f, "{key}"),
            Path::Key(parent, key) => write!(f, "{parent}.{key}"),
            Path::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

#[derive(Debug)]
struct Error {
    message: String,
    place: Option<(String, Span)>,
}

impl Error {
    fn or_at(mut self, path: &Path<'_>, span: &Span) -> Self {
        self.place.get_or_insert_with(|| (path.to_string(), span.clone()));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), place: None }
    }
}

#[derive(Clone, Copy)]
struct Decoder<'a> {
    node: &'a Node,
    key_span: Option<&'a Span>,
    path: &'a Path<'a>,
    ignored: &'a RefCell<Vec<Ignored>>,
}

impl<'de> de::Deserializer<'de> for Decoder<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let result = match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), ..) => visitor.visit_u64(value),
                (_, Some(value), _) => visitor.visit_i64(value),
                (.., Some(value)) => visitor.visit_f64(value),
                _ => Err(de::Error::custom("this number is out of range")),
            },
            Value::String(value) => visitor.visit_str(value),
            Value::Array(elements) => visitor.visit_seq(Elements { decoder: self, elements, index: 0 }),
            Value::Object(members) => visitor.visit_map(Members { decoder: self, members, value: None }),
            Value::Invalid => Err(de::Error::custom("this value could not be read")),
        };
        result.map_err(|error| error.or_at(self.path, &self.node.span))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.node.value == Value::Null { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self).map_err(|error| error.or_at(self.path, &self.node.span))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let result = match self.node.as_str() {
            Some(name) => visitor.visit_enum(name.into_deserializer()),
            None => Err(de::Error::custom(format!(
                "invalid type: {}, expected one of {}",
                self.node.type_name(),
                variants.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            ))),
        };
        result.map_err(|error: Error| error.or_at(self.path, &self.node.span))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let start = self.key_span.map_or(self.node.span.start, |key| key.start);
        self.ignored.borrow_mut().push(Ignored { path: self.path.to_string(), span: start..self.node.span.end });
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier
    }
}

struct Elements<'a> {
    decoder: Decoder<'a>,
    elements: &'a [Node],
    index: usize,
}

impl<'de> de::SeqAccess<'de> for Elements<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(node) = self.elements.get(self.index) else { return Ok(None) };
        let path = Path::Index(self.decoder.path, self.index);
        self.index += 1;
        let decoder = Decoder { node, key_span: None, path: &path, ignored: self.decoder.ignored };
        seed.deserialize(decoder).map(Some).map_err(|error| error.or_at(&path, &node.span))
    }
}

struct Members<'a> {
    decoder: Decoder<'a>,
    members: &'a [Member],
    value: Option<(&'a Member, &'a Node)>,
}

impl<'de> de::MapAccess<'de> for Members<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        while let Some((member, rest)) = self.members.split_first() {
            self.members = rest;
            // Of equal keys the last one counts, here as in `Node::member`.
            let overridden = rest.len() < 64 && rest.iter().any(|later| later.key == member.key);
            if let Some(node) = member.value.as_ref().filter(|_| !overridden) {
                self.value = Some((member, node));
                let path = Path::Key(self.decoder.path, &member.key);
                let key: de::value::StrDeserializer<'_, Error> = member.key.as_str().into_deserializer();
                return seed.deserialize(key).map(Some).map_err(|error| error.or_at(&path, &member.key_span));
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some((member, node)) = self.value.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        let path = Path::Key(self.decoder.path, &member.key);
        let decoder = Decoder { node, key_span: Some(&member.key_span), path: &path, ignored: self.decoder.ignored };
        seed.deserialize(decoder).map_err(|error| error.or_at(&path, &node.span))
    }
}
