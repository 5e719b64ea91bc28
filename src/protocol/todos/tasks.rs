//! Turns notes into draft tasks, each at most once however often the code is planned.

use super::{Marker, Todo};
use crate::domain::task::{ContextItem, Priority, Task, TaskId};
use std::collections::{HashMap, HashSet};

/// Longest title, in characters.
const TITLE: usize = 72;

/// Makes a draft of every note that no task of `existing` stands for yet.
///
/// A task stands for a note by its `origin`: path, text and which of the equal ones, but not the line, so that notes
/// may move. The ids follow from the origin: the same note gets the same id in two clones, which then merge.
pub fn todo_tasks(todos: &[Todo], existing: &[Task]) -> Vec<Task> {
    let mut origins: HashSet<String> = existing.iter().filter_map(|task| task.origin.clone()).collect();
    let mut ids: HashSet<String> = existing.iter().map(|task| task.id.0.clone()).collect();
    let mut ordinals: HashMap<(&str, String), usize> = HashMap::new();
    let mut tasks = Vec::new();
    for todo in todos {
        let normal = normalised(todo);
        let ordinal = ordinals.entry((&todo.path, normal.clone())).or_default();
        let hash = blake3::hash(format!("{normal}\0{ordinal}").as_bytes()).to_hex();
        *ordinal += 1;
        let origin = format!("todo:{}:{}", todo.path, &hash[..16]);
        if !origins.insert(origin.clone()) {
            continue;
        }
        let id = unused_id(&origin, &mut ids);
        tasks.push(task_of(todo, id, origin));
    }
    tasks
}

/// Whitespace, case and final punctuation may change without making another note of it.
fn normalised(todo: &Todo) -> String {
    let text = todo.text.trim_end_matches(['.', '!', ' ']).to_lowercase();
    format!("{} {}", todo.marker.as_str(), text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn unused_id(origin: &str, ids: &mut HashSet<String>) -> String {
    let hash = blake3::hash(origin.as_bytes()).to_hex();
    let candidates = (6..=hash.len()).step_by(2).map(|length| format!("todo-{}", &hash[..length]));
    let id = candidates.clone().find(|id| !ids.contains(id)).unwrap_or_else(|| format!("todo-{hash}"));
    ids.insert(id.clone());
    id
}

fn task_of(todo: &Todo, id: String, origin: String) -> Task {
    let Todo { path, line, end_line, marker, .. } = todo;
    let marker_word = marker.as_str();
    let author = todo.author.as_ref().map(|author| format!(" ({author})")).unwrap_or_default();
    let text = if todo.text.is_empty() { "it gives no reason".to_owned() } else { todo.text.clone() };
    let mut description = format!("{marker_word}{author} at {path}:{line}: {text}");
    if let Some(context) = &todo.context {
        description.push_str(&format!("\n\nIt stands at: {context}"));
    }
    Task {
        id: TaskId(id),
        description,
        priority: if *marker == Marker::Fixme { Priority::High } else { Priority::Medium },
        acceptance: vec![format!("the {marker_word} at {path}:{line} is resolved and its comment removed")],
        files: vec![globset::escape(path)],
        context: vec![ContextItem {
            file: path.clone(),
            range: Some((*line, *end_line)),
            note: Some(format!("the {marker_word}")),
        }],
        origin: Some(origin),
        ..Task::new("", title(todo))
    }
}

/// The first sentence, cut at a word.
fn title(todo: &Todo) -> String {
    let sentence = todo.text.split_inclusive(". ").next().unwrap_or_default().trim().trim_end_matches('.');
    if sentence.is_empty() {
        return format!("Resolve the {} at {}:{}", todo.marker.as_str(), todo.path, todo.line);
    }
    if sentence.chars().count() <= TITLE {
        return sentence.to_owned();
    }
    let cut: String = sentence.chars().take(TITLE - 1).collect();
    let at = cut.rfind(' ').filter(|at| *at > TITLE / 2).unwrap_or(cut.len());
    format!("{}…", cut[..at].trim_end())
}
