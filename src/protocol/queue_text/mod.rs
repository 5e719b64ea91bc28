//! `.ralph/queue.json` as a document: spans, problems, minimal edits, merge of stale saves, completion.

mod complete;
mod edit;
mod graph;
mod members;
mod merge;
mod read;
mod style;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use super::line_index::{LineIndex, Position};
pub use complete::{Completion, CompletionContext, completion_at};
pub use edit::{EditError, add_tasks, apply_edits, remove_field, remove_task, set_field, set_status};
pub use merge::{Conflict, MergeError, Merged, merge};

pub(super) use read::read_task;

use super::jsonc::Span;
use crate::domain::task::{Goal, Task};

/// A replacement of `range` (byte offsets) by `new_text`; empty range: an insertion.
///
/// Edits of one list refer to the same text, are sorted and do not overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextEdit {
    pub range: Span,
    pub new_text: String,
}

/// What one text of the queue says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueueText {
    /// In file order, those that could not be used included.
    pub tasks: Vec<TaskSpan>,
    /// In file order.
    pub goals: Vec<GoalSpan>,
    /// In text order.
    pub problems: Vec<Problem>,
    /// Whether the text may be acted upon: well formed, of a known version and shape. A task that is wrong by itself
    /// does not count against it; it has no `task` and a problem names it. An empty text is a valid, empty queue.
    pub valid: bool,
}

/// One entry of `tasks[]`.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskSpan {
    /// Absent where the entry is wrong by itself or repeats an id.
    pub task: Option<Task>,
    /// What `id` says, if it is a text.
    pub id: Option<String>,
    pub range: Span,
    /// In text order, unknown ones included.
    pub fields: Vec<FieldSpan>,
    /// Each entry of `depends_on` that is a text, with its quotes.
    pub depends_on: Vec<(String, Span)>,
}

/// A field of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldSpan {
    pub name: String,
    /// With quotes.
    pub key: Span,
    /// Absent in broken text.
    pub value: Option<Span>,
}

/// One entry of `goals[]`.
#[derive(Clone, Debug, PartialEq)]
pub struct GoalSpan {
    /// Absent where the entry is wrong.
    pub goal: Option<Goal>,
    pub id: Option<String>,
    pub range: Span,
    /// The id's value.
    pub id_range: Option<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

/// What kind of problem it is; `as_str` is what editors show as the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemCode {
    Syntax,
    Version,
    Schema,
    DuplicateField,
    DuplicateId,
    UnknownDependency,
    SelfDependency,
    Cycle,
    UnknownGoal,
}

impl ProblemCode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Version => "version",
            Self::Schema => "schema",
            Self::DuplicateField => "duplicate-field",
            Self::DuplicateId => "duplicate-id",
            Self::UnknownDependency => "unknown-dependency",
            Self::SelfDependency => "self-dependency",
            Self::Cycle => "cycle",
            Self::UnknownGoal => "unknown-goal",
        }
    }
}

/// Something wrong with the text, at the offending value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub range: Span,
    pub severity: Severity,
    pub code: ProblemCode,
    pub message: String,
    /// Other places that belong to it, each with a few words.
    pub related: Vec<(Span, String)>,
}

impl QueueText {
    /// Reads any text, broken ones as far as possible; time and memory are linear in its length.
    pub fn parse(text: &str) -> Self {
        let mut queue = read::read(text);
        let complete = !queue.problems.iter().any(|problem| problem.code == ProblemCode::Syntax);
        graph::check(&mut queue, complete);
        queue.problems.sort_by_key(|problem| problem.range.start);
        queue
    }

    /// Returns the usable tasks, in file order.
    pub fn usable_tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.iter().filter_map(|span| span.task.as_ref())
    }

    /// Returns the usable goals, in file order.
    pub fn usable_goals(&self) -> impl Iterator<Item = &Goal> {
        self.goals.iter().filter_map(|span| span.goal.as_ref())
    }

    /// Returns the first entry with this id.
    pub fn task(&self, id: &str) -> Option<&TaskSpan> {
        self.tasks.iter().find(|task| task.id.as_deref() == Some(id))
    }

    /// Returns the task that contains the offset, its end included.
    pub fn task_at(&self, offset: usize) -> Option<&TaskSpan> {
        let next = self.tasks.partition_point(|task| task.range.start <= offset);
        let task = &self.tasks[next.checked_sub(1)?];
        (offset <= task.range.end).then_some(task)
    }

    /// Returns the entry of `depends_on` at the offset: its task, the id it names and its range.
    pub fn dependency_at(&self, offset: usize) -> Option<(&TaskSpan, &str, Span)> {
        let task = self.task_at(offset)?;
        let (id, range) = task.depends_on.iter().find(|(_, range)| range.start <= offset && offset <= range.end)?;
        Some((task, id, range.clone()))
    }
}

impl TaskSpan {
    /// Returns the field that counts: the last of that name.
    pub fn field(&self, name: &str) -> Option<&FieldSpan> {
        self.fields.iter().rev().find(|field| field.name == name)
    }

    /// Returns the range a diagnostic about the whole task belongs to: the id, the title, or all of it.
    pub fn label_range(&self) -> Span {
        let value = |name| self.field(name).and_then(|field| field.value.clone());
        value("id").or_else(|| value("title")).unwrap_or_else(|| self.range.clone())
    }
}
