//! Changes of the queue as minimal text edits: every byte outside the changed value stays.

use super::members::{Placement, append, item_spans, remove};
use super::read;
use super::style::{Style, indentation};
use super::{Span, TextEdit};
use crate::domain::task::{Goal, Status, Task};
use crate::protocol::jsonc::{self, Node, Value};
use crate::protocol::queue_schema::{GoalEntry, QUEUE_VERSION, TaskEntry};
use serde_json::{Map, json};
use std::collections::HashSet;
use thiserror::Error;

/// Why the text was not changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EditError {
    #[error("edit the queue: {message}; repair the file first")]
    Unusable { message: String },
    #[error("edit task `{id}`: no task of the queue has this id")]
    UnknownTask { id: String },
    #[error("add task `{id}`: another task of the queue has this id")]
    DuplicateTask { id: String },
    #[error("write task `{id}`: {message}")]
    Unwritable { id: String, message: String },
}

/// Applies edits made for exactly this text.
pub fn apply_edits(text: &str, edits: &[TextEdit]) -> String {
    let added: usize = edits.iter().map(|edit| edit.new_text.len()).sum();
    let mut result = String::with_capacity(text.len() + added);
    let mut at = 0;
    for edit in edits {
        result.push_str(&text[at..edit.range.start]);
        result.push_str(&edit.new_text);
        at = edit.range.end;
    }
    result.push_str(&text[at..]);
    result
}

/// Writes a task's `status`; no edits when it is already so.
pub fn set_status(text: &str, id: &str, status: Status) -> Result<Vec<TextEdit>, EditError> {
    set_field(text, id, "status", &json!(status.as_str()))
}

/// Writes one field of a task, adding it behind the others when it is absent; no edits when it is already so.
///
/// Of tasks with the same id the first one is meant.
pub fn set_field(text: &str, id: &str, field: &str, value: &serde_json::Value) -> Result<Vec<TextEdit>, EditError> {
    let root = editable(text)?.ok_or_else(|| unknown(id))?;
    if field == "id"
        && let Some(new) = value.as_str().filter(|new| *new != id)
        && find_task(&root, new).is_some()
    {
        return Err(EditError::DuplicateTask { id: new.to_owned() });
    }
    let task = find_task(&root, id).ok_or_else(|| unknown(id))?;
    Ok(set_member(text, task, &Style::detect(text, Some(&root)), field, value, 0))
}

/// Removes one field of a task, every occurrence of it; no edits when it is absent.
pub fn remove_field(text: &str, id: &str, field: &str) -> Result<Vec<TextEdit>, EditError> {
    let root = editable(text)?.ok_or_else(|| unknown(id))?;
    let task = find_task(&root, id).ok_or_else(|| unknown(id))?;
    Ok(remove_member(text, task, field))
}

/// Removes the first task with this id. Dependencies on it stay and become problems of their own.
pub fn remove_task(text: &str, id: &str) -> Result<Vec<TextEdit>, EditError> {
    let root = editable(text)?.ok_or_else(|| unknown(id))?;
    let tasks = root.get("tasks").ok_or_else(|| unknown(id))?;
    let index = tasks.elements().iter().position(|task| has_id(task, id)).ok_or_else(|| unknown(id))?;
    Ok(remove(text, &item_spans(tasks), |item| item == index))
}

/// Appends goals and tasks in the file's own style; an empty text becomes a whole queue. Goals that exist by id are
/// left as they are, a task that exists is an error.
pub fn add_tasks(text: &str, tasks: &[Task], goals: &[Goal]) -> Result<Vec<TextEdit>, EditError> {
    let root = editable(text)?;
    let known: HashSet<&str> = ids(root.as_ref(), "goals");
    let mut goal_values = Vec::new();
    for goal in goals.iter().filter(|goal| !known.contains(goal.id.as_str())) {
        goal_values.push(to_value(&goal.id, &GoalEntry::from_domain(goal))?);
    }
    let mut known = ids(root.as_ref(), "tasks");
    let mut task_values = Vec::new();
    for task in tasks {
        if !known.insert(&task.id.0) {
            return Err(EditError::DuplicateTask { id: task.id.0.clone() });
        }
        task_values.push(to_value(&task.id.0, &TaskEntry::from_domain(task))?);
    }
    let style = Style::detect(text, root.as_ref());
    let Some(root) = root else {
        let mut file = Map::new();
        file.insert("version".to_owned(), QUEUE_VERSION.into());
        file.insert("goals".to_owned(), goal_values.into());
        file.insert("tasks".to_owned(), task_values.into());
        let body = style.render(&file.into(), "", true, 3);
        // Whatever is there can only be comments and blanks, which stay above.
        let eol = style.eol;
        let gap = if text.ends_with(['\n', '\r']) || text.trim_start_matches('\u{feff}').is_empty() { "" } else { eol };
        return Ok(vec![TextEdit { range: text.len()..text.len(), new_text: format!("{gap}{body}{eol}") }]);
    };
    let mut edits = Vec::new();
    let mut missing = Vec::new();
    for (name, values) in [("goals", goal_values), ("tasks", task_values)] {
        if values.is_empty() {
            continue;
        }
        match root.get(name) {
            Some(list) => edits.extend(append_values(text, list, &style, &values)),
            None => missing.push((name, serde_json::Value::from(values))),
        }
    }
    if !missing.is_empty() {
        edits.extend(append_members(text, &root, &style, &missing, 2));
        edits.sort_by_key(|edit| edit.range.start);
    }
    Ok(edits)
}

/// Returns the root, none for a text without a value; refuses what must not be edited.
pub(super) fn editable(text: &str) -> Result<Option<Node>, EditError> {
    let unusable = |message: String| EditError::Unusable { message };
    let document = jsonc::parse(text);
    if let Some(error) = document.errors.first() {
        return Err(unusable(error.message.clone()));
    }
    let Some(root) = document.root else { return Ok(None) };
    if !matches!(root.value, Value::Object(_)) {
        return Err(unusable(format!("it is {} instead of an object", root.type_name())));
    }
    if let Some(message) = read::version_problem(&root) {
        return Err(unusable(message));
    }
    for name in ["tasks", "goals"] {
        if let Some(node) = root.get(name).filter(|node| !matches!(node.value, Value::Array(_))) {
            return Err(unusable(format!("`{name}` is {} instead of a list", node.type_name())));
        }
    }
    Ok(Some(root))
}

fn unknown(id: &str) -> EditError {
    EditError::UnknownTask { id: id.to_owned() }
}

fn has_id(node: &Node, id: &str) -> bool {
    node.get("id").and_then(Node::as_str) == Some(id)
}

fn find_task<'a>(root: &'a Node, id: &str) -> Option<&'a Node> {
    root.get("tasks")?.elements().iter().find(|task| has_id(task, id))
}

fn ids<'a>(root: Option<&'a Node>, list: &str) -> HashSet<&'a str> {
    let elements = root.and_then(|root| root.get(list)).map(Node::elements).unwrap_or_default();
    elements.iter().filter_map(|node| node.get("id")?.as_str()).collect()
}

fn to_value(id: &str, entry: &impl serde::Serialize) -> Result<serde_json::Value, EditError> {
    serde_json::to_value(entry).map_err(|error| EditError::Unwritable { id: id.to_owned(), message: error.to_string() })
}

/// Sets a member of an object of a well-formed text.
pub(super) fn set_member(
    text: &str,
    object: &Node,
    style: &Style,
    name: &str,
    value: &serde_json::Value,
    expand: usize,
) -> Vec<TextEdit> {
    let multiline = text[object.span.clone()].contains(['\n', '\r']);
    let Some(node) = object.get(name) else {
        return append_members(text, object, style, &[(name, value.clone())], expand);
    };
    if node.to_json() == *value {
        return Vec::new();
    }
    let key = object.member(name).map_or(node.span.start, |member| member.key_span.start);
    let new_text = style.render(value, indentation(text, key), multiline, expand);
    vec![TextEdit { range: node.span.clone(), new_text }]
}

fn append_members(
    text: &str,
    object: &Node,
    style: &Style,
    members: &[(&str, serde_json::Value)],
    expand: usize,
) -> Vec<TextEdit> {
    let place = Placement::at_end(text, object, style);
    let render = |(name, value): &(&str, serde_json::Value)| {
        format!("{}{}", style.key(name), style.render(value, &place.indent, place.own_line, expand))
    };
    append(text, object, style, &place, &members.iter().map(render).collect::<Vec<_>>())
}

fn append_values(text: &str, list: &Node, style: &Style, values: &[serde_json::Value]) -> Vec<TextEdit> {
    let place = Placement::at_end(text, list, style);
    // One task per line stays one task per line.
    let multiline = match list.elements().last() {
        Some(last) => text[last.span.clone()].contains(['\n', '\r']),
        None => place.own_line,
    };
    let render = |value| style.render(value, &place.indent, multiline, 1);
    append(text, list, style, &place, &values.iter().map(render).collect::<Vec<_>>())
}

/// Removes every member of this name.
pub(super) fn remove_member(text: &str, object: &Node, name: &str) -> Vec<TextEdit> {
    let spans: Vec<Span> = item_spans(object);
    remove(text, &spans, |index| object.members()[index].key == name)
}
