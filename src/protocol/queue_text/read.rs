//! Reads tasks and goals out of the tree, each by itself, so that one bad entry costs only itself.

use super::{FieldSpan, GoalSpan, Problem, ProblemCode, QueueText, Severity, TaskSpan};
use crate::domain::task::{ContextItem, Goal, Priority, Status, Task, TaskId, VerifyCommand};
use crate::protocol::jsonc::{self, Node, Span, Value};
use crate::protocol::queue_schema::{ContextEntry, LimitsEntry, QUEUE_VERSION, VerifyEntry};
use serde::de::DeserializeOwned;
use std::collections::HashSet;

pub(super) fn read(text: &str) -> QueueText {
    let document = jsonc::parse(text);
    let mut queue = QueueText { valid: document.errors.is_empty(), ..QueueText::default() };
    for error in document.errors {
        queue.problems.push(problem(error.span, ProblemCode::Syntax, error.message));
    }
    let Some(root) = document.root else { return queue };
    if !matches!(root.value, Value::Object(_)) {
        let message = format!("a queue is an object with `tasks`, not {}", root.type_name());
        queue.problems.push(problem(root.span.clone(), ProblemCode::Schema, message));
        queue.valid = false;
        return queue;
    }
    if let Some(message) = version_problem(&root) {
        let range = root.get("version").map_or(root.span.clone(), |node| node.span.clone());
        queue.problems.push(problem(range, ProblemCode::Version, message));
        queue.valid = false;
    }
    duplicate_fields(&root, &mut queue.problems);
    for (index, node) in list(&root, "tasks", &mut queue).iter().enumerate() {
        let entry = task_entry(node, index, &mut queue.problems);
        queue.tasks.push(entry);
    }
    for node in list(&root, "goals", &mut queue) {
        let entry = goal_entry(node, &mut queue.problems);
        queue.goals.push(entry);
    }
    queue
}

pub(super) fn problem(range: Span, code: ProblemCode, message: impl Into<String>) -> Problem {
    Problem { range, severity: Severity::Error, code, message: message.into(), related: Vec::new() }
}

pub(super) fn version_problem(root: &Node) -> Option<String> {
    let version = root.get("version")?;
    match version.to_json().as_u64() {
        Some(found) if found == u64::from(QUEUE_VERSION) => None,
        Some(found) if found > u64::from(QUEUE_VERSION) => Some(format!(
            "version {found} was written by a newer version of ralph-sidecar; it is left alone until you update"
        )),
        _ => Some(format!("this is not a known version of the queue; this program writes {QUEUE_VERSION}")),
    }
}

/// Returns the entries of a list of the root; anything but a list makes the text unusable.
fn list<'a>(root: &'a Node, name: &str, queue: &mut QueueText) -> &'a [Node] {
    let Some(node) = root.get(name) else { return &[] };
    if !matches!(node.value, Value::Array(_)) {
        let message = format!("`{name}` is a list, not {}", node.type_name());
        queue.problems.push(problem(node.span.clone(), ProblemCode::Schema, message));
        queue.valid = false;
    }
    node.elements()
}

fn duplicate_fields(node: &Node, problems: &mut Vec<Problem>) {
    let mut later: HashSet<&str> = HashSet::new();
    for member in node.members().iter().rev() {
        if !later.insert(&member.key) {
            let message = format!("`{}` is given twice; the last one counts", member.key);
            let mut duplicate = problem(member.key_span.clone(), ProblemCode::DuplicateField, message);
            duplicate.severity = Severity::Warning;
            problems.push(duplicate);
        }
    }
}

fn task_entry(node: &Node, index: usize, problems: &mut Vec<Problem>) -> TaskSpan {
    let (task, found) = read_task(node);
    let id = node.get("id").and_then(Node::as_str).map(str::to_owned);
    let name = match id.as_deref().filter(|id| !id.is_empty()) {
        Some(id) => format!("task `{id}`"),
        None => format!("task {}", index + 1),
    };
    problems.extend(found.into_iter().map(|found| {
        let range = if found.path.is_empty() { head(node) } else { found.span };
        problem(range, ProblemCode::Schema, format!("{name} is left out: {}", found.message))
    }));
    duplicate_fields(node, problems);
    let fields = node.members().iter().map(|member| FieldSpan {
        name: member.key.clone(),
        key: member.key_span.clone(),
        value: member.value.as_ref().map(|value| value.span.clone()),
    });
    let dependencies = node.get("depends_on").map(Node::elements).unwrap_or_default();
    TaskSpan {
        task,
        id,
        range: node.span.clone(),
        fields: fields.collect(),
        depends_on: dependencies.iter().filter_map(|d| Some((d.as_str()?.to_owned(), d.span.clone()))).collect(),
    }
}

/// Where a problem of a whole entry is shown: its id or title if there is one, else its opening brace.
fn head(node: &Node) -> Span {
    match (["id", "title"].into_iter().find_map(|name| node.get(name)), &node.value) {
        (Some(label), _) => label.span.clone(),
        (None, Value::Object(_)) => node.span.start..node.span.start + 1,
        (None, _) => node.span.clone(),
    }
}

fn goal_entry(node: &Node, problems: &mut Vec<Problem>) -> GoalSpan {
    let mut fields = Fields { node, found: Vec::new() };
    let id = fields.text("id");
    let text = fields.text("text");
    let created_at = fields.optional("created_at");
    let goal = match (id, text, fields.found.is_empty()) {
        (Some(id), Some(text), true) => Some(Goal { id, text, created_at }),
        _ => None,
    };
    problems.extend(fields.found.into_iter().map(|found| {
        let range = if found.path.is_empty() { head(node) } else { found.span };
        problem(range, ProblemCode::Schema, format!("this goal is left out: {}", found.message))
    }));
    let id = node.get("id");
    GoalSpan {
        goal,
        id: id.and_then(Node::as_str).map(str::to_owned),
        range: node.span.clone(),
        id_range: id.map(|id| id.span.clone()),
    }
}

/// What is wrong with one field.
pub(in crate::protocol) struct FieldProblem {
    /// Such as `verify[1].run`; empty when the entry lacks something.
    pub path: String,
    pub span: Span,
    pub message: String,
}

/// Reads one task; the second list is empty exactly when the first is there.
pub(in crate::protocol) fn read_task(node: &Node) -> (Option<Task>, Vec<FieldProblem>) {
    let mut fields = Fields { node, found: Vec::new() };
    if !matches!(node.value, Value::Object(_)) {
        fields.wrong("", &node.span, format!("a task is an object, not {}", node.type_name()));
        return (None, fields.found);
    }
    let id = fields.text("id");
    let title = fields.text("title");
    let task = Task {
        description: fields.or_default("description"),
        status: fields.word("status", &Status::ALL, Status::as_str),
        priority: fields.word("priority", &Priority::ALL, Priority::as_str),
        depends_on: fields.or_default::<Vec<TaskId>>("depends_on"),
        goal: fields.optional("goal"),
        acceptance: fields.or_default("acceptance"),
        verify: fields.or_default::<Vec<VerifyEntry>>("verify").iter().map(to_verify).collect(),
        files: fields.or_default("files"),
        context: fields.or_default::<Vec<ContextEntry>>("context").iter().map(to_context).collect(),
        agent: fields.optional("agent"),
        limits: fields.limits(),
        notes: fields.optional("notes"),
        origin: fields.optional("origin"),
        created_at: fields.optional("created_at"),
        ..Task::new(id.unwrap_or_default(), title.unwrap_or_default())
    };
    let usable = fields.found.is_empty();
    (usable.then_some(task), fields.found)
}

fn to_verify(entry: &VerifyEntry) -> VerifyCommand {
    entry.to_domain()
}

fn to_context(entry: &ContextEntry) -> ContextItem {
    entry.to_domain()
}

struct Fields<'a> {
    node: &'a Node,
    found: Vec<FieldProblem>,
}

impl Fields<'_> {
    fn wrong(&mut self, path: &str, span: &Span, message: String) {
        self.found.push(FieldProblem { path: path.to_owned(), span: span.clone(), message });
    }

    /// Reads an optional field; null is the same as absence.
    fn optional<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let node = self.node.get(name).filter(|node| node.value != Value::Null)?;
        match jsonc::decode(node) {
            Ok((value, _)) => Some(value),
            Err(error) => {
                let dot = if error.path.is_empty() || error.path.starts_with('[') { "" } else { "." };
                let path = format!("{name}{dot}{}", error.path);
                let message = format!("`{path}`: {}", error.message);
                self.wrong(&path, &error.span, message);
                None
            }
        }
    }

    fn or_default<T: DeserializeOwned + Default>(&mut self, name: &str) -> T {
        self.optional(name).unwrap_or_default()
    }

    /// Reads a text that must be there and not be blank.
    fn text(&mut self, name: &str) -> Option<String> {
        let Some(node) = self.node.get(name).filter(|node| node.value != Value::Null) else {
            let (path, span) = match self.node.get(name) {
                Some(null) => (name, null.span.clone()),
                None => ("", self.node.span.clone()),
            };
            self.wrong(path, &span, format!("`{name}` is missing"));
            return None;
        };
        let span = node.span.clone();
        let text: String = self.optional(name)?;
        if text.trim().is_empty() {
            self.wrong(name, &span, format!("`{name}` is empty"));
            return None;
        }
        Some(text)
    }

    fn word<T: Copy + Default>(&mut self, name: &str, all: &[T], as_str: fn(T) -> &'static str) -> T {
        let node = self.node;
        let Some(node) = node.get(name).filter(|node| node.value != Value::Null) else { return T::default() };
        let word = node.as_str();
        if let Some(found) = all.iter().find(|value| Some(as_str(**value)) == word) {
            return *found;
        }
        let allowed = all.iter().map(|value| format!("`{}`", as_str(*value))).collect::<Vec<_>>().join(", ");
        let got = word.map_or_else(|| node.type_name().to_owned(), |word| format!("`{word}`"));
        self.wrong(name, &node.span, format!("`{name}` is {got}, expected one of {allowed}"));
        T::default()
    }

    fn limits(&mut self) -> crate::domain::task::Limits {
        let limits: LimitsEntry = self.or_default("limits");
        let node = self.node.get("limits");
        let zero = [
            ("attempts", limits.attempts == Some(0)),
            ("attempt_seconds", limits.attempt_seconds == Some(0)),
            ("idle_seconds", limits.idle_seconds == Some(0)),
            ("usd", limits.usd.is_some_and(|usd| usd < 0.0)),
        ];
        for (name, wrong) in zero {
            if let Some(node) = node.and_then(|node| node.get(name)).filter(|_| wrong) {
                let path = format!("limits.{name}");
                self.wrong(&path, &node.span, format!("`{path}` leaves no room to run"));
            }
        }
        limits.to_domain()
    }
}
