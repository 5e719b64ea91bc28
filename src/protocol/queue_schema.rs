//! The serialisable twin of `.ralph/queue.json`, its JSON schema, and the conversions to and from the domain.

use crate::domain::task::{ContextItem, Goal, Limits, Priority, Status, Task, TaskId, VerifyCommand};
use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// The version of the form that this program reads and writes.
pub const QUEUE_VERSION: u32 = 1;

/// What should be done in this repository: goals, and the tasks that lead to them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "ralph-sidecar queue")]
pub struct QueueFile {
    /// Where the schema of this file is, for editors.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Version of the form; 1.
    #[serde(default = "current_version")]
    pub version: u32,
    /// What was asked for.
    #[serde(default)]
    pub goals: Vec<GoalEntry>,
    /// What should be done; the order decides between tasks of equal priority.
    #[serde(default)]
    pub tasks: Vec<TaskEntry>,
    /// Fields of others, kept as they are.
    #[serde(flatten)]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

fn current_version() -> u32 {
    QUEUE_VERSION
}

/// Something a person asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GoalEntry {
    /// Unique among the goals; tasks point to it.
    #[schemars(length(min = 1))]
    pub id: String,
    /// The words of the person, whole.
    pub text: String,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Fields of others, kept as they are.
    #[serde(flatten)]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// One piece of work for one agent in one worktree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskEntry {
    /// Any text that no other task of the file has.
    #[schemars(length(min = 1))]
    pub id: String,
    /// One line that says what will be different.
    #[schemars(length(min = 1))]
    pub title: String,
    /// Everything an agent needs to know that the repository does not tell.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Draft until it is approved.
    #[serde(default)]
    #[schemars(with = "StatusWord")]
    pub status: Status,
    /// Ready tasks are picked by priority, then by how many others they unblock, then by their order here.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(with = "PriorityWord")]
    pub priority: Priority,
    /// Ids of tasks that must be verified first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// Id of the goal it leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<String>,
    /// What must be true when it is finished, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acceptance: Vec<String>,
    /// Commands that prove it; each must exit 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verify: Vec<VerifyEntry>,
    /// Globs of the files it is expected to touch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Places to read first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<ContextEntry>,
    /// Name of the agent that should do it, instead of the implementer's chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Bounds of this task; what is absent comes from the configuration.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: LimitsEntry,
    /// For people; agents see it as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// Where the task came from, so that planning again adds it only once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Fields of others, kept as they are.
    #[serde(flatten)]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What a person or the planner says about a task; what happens to it is shown beside the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StatusWord {
    /// Planned, not approved.
    Draft,
    /// Approved: it runs when its dependencies are verified.
    Todo,
    /// Accepted.
    Done,
    /// Will not be done.
    Dropped,
}

/// How soon a ready task is picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PriorityWord {
    /// Before everything else.
    Critical,
    /// Before most.
    High,
    /// The usual.
    Medium,
    /// When nothing else is ready.
    Low,
}

/// A place to read first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(expecting = "an object with `file`")]
pub struct ContextEntry {
    /// Path relative to the root of the repository.
    #[schemars(length(min = 1))]
    pub file: String,
    /// First and last line, 1-based and inclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<RangeEntry>,
    /// Why it matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// First and last line, 1-based and inclusive: `[3, 9]` or `{"start": 3, "end": 9}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum RangeEntry {
    /// First and last line.
    Pair(#[schemars(range(min = 1))] u32, #[schemars(range(min = 1))] u32),
    /// The same with names.
    Named(LineRange),
}

/// First and last line, 1-based and inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineRange {
    /// First line.
    #[schemars(range(min = 1))]
    pub start: u32,
    /// Last line.
    #[schemars(range(min = 1))]
    pub end: u32,
}

/// Bounds of one task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(expecting = "an object")]
pub struct LimitsEntry {
    /// Attempts that may fail before a person is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub attempts: Option<u32>,
    /// Wall time of one attempt in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub attempt_seconds: Option<u64>,
    /// Longest silence of the agent in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub idle_seconds: Option<u64>,
    /// Tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub usd: Option<f64>,
}

impl GoalEntry {
    pub fn to_domain(&self) -> Goal {
        Goal { id: self.id.clone(), text: self.text.clone(), created_at: self.created_at.clone() }
    }

    pub fn from_domain(goal: &Goal) -> Self {
        let Goal { id, text, created_at } = goal.clone();
        Self { id, text, created_at, extra: serde_json::Map::new() }
    }
}

impl TaskEntry {
    /// Drops only `extra`, which the domain does not know.
    pub fn to_domain(&self) -> Task {
        Task {
            id: TaskId(self.id.clone()),
            title: self.title.clone(),
            description: self.description.clone(),
            status: self.status,
            priority: self.priority,
            depends_on: self.depends_on.iter().cloned().map(TaskId).collect(),
            goal: self.goal.clone(),
            acceptance: self.acceptance.clone(),
            verify: self.verify.iter().map(VerifyEntry::to_domain).collect(),
            files: self.files.clone(),
            context: self.context.iter().map(ContextEntry::to_domain).collect(),
            agent: self.agent.clone(),
            limits: self.limits.to_domain(),
            notes: self.notes.clone(),
            origin: self.origin.clone(),
            created_at: self.created_at.clone(),
        }
    }

    pub fn from_domain(task: &Task) -> Self {
        let task = task.clone();
        Self {
            id: task.id.0,
            title: task.title,
            description: task.description,
            status: task.status,
            priority: task.priority,
            depends_on: task.depends_on.into_iter().map(|id| id.0).collect(),
            goal: task.goal,
            acceptance: task.acceptance,
            verify: task.verify.iter().map(VerifyEntry::from_domain).collect(),
            files: task.files,
            context: task.context.iter().map(ContextEntry::from_domain).collect(),
            agent: task.agent,
            limits: LimitsEntry::from_domain(task.limits),
            notes: task.notes,
            origin: task.origin,
            created_at: task.created_at,
            extra: serde_json::Map::new(),
        }
    }
}

impl ContextEntry {
    pub fn to_domain(&self) -> ContextItem {
        let range = self.range.map(|range| match range {
            RangeEntry::Pair(start, end) | RangeEntry::Named(LineRange { start, end }) => (start, end),
        });
        ContextItem { file: self.file.clone(), range, note: self.note.clone() }
    }

    pub fn from_domain(item: &ContextItem) -> Self {
        let range = item.range.map(|(start, end)| RangeEntry::Pair(start, end));
        Self { file: item.file.clone(), range, note: item.note.clone() }
    }
}

impl LimitsEntry {
    pub fn to_domain(self) -> Limits {
        let Self { attempts, attempt_seconds, idle_seconds, tokens, usd } = self;
        Limits { attempts, attempt_seconds, idle_seconds, tokens, usd }
    }

    pub fn from_domain(limits: Limits) -> Self {
        let Limits { attempts, attempt_seconds, idle_seconds, tokens, usd } = limits;
        Self { attempts, attempt_seconds, idle_seconds, tokens, usd }
    }
}

/// Returns the JSON schema of the queue file, pretty-printed with a final line break.
pub fn queue_schema_json() -> String {
    let mut text = format!("{:#}", schemars::schema_for!(QueueFile).to_value());
    text.push('\n');
    text
}

/// A command that must exit 0: a shell command line, or one with the folder it runs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum VerifyEntry {
    /// A command line for `sh -c`, run at the root of the repository.
    Line(String),
    /// A command line with its folder.
    Command(VerifyIn),
}

/// A command line and the folder it runs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerifyIn {
    /// A command line for `sh -c`.
    pub run: String,
    /// Folder relative to the root of the repository; the root when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
}

impl VerifyEntry {
    pub fn to_domain(&self) -> VerifyCommand {
        match self {
            Self::Line(run) => VerifyCommand { run: run.clone(), cwd: None },
            Self::Command(command) => VerifyCommand { run: command.run.clone(), cwd: command.cwd.clone() },
        }
    }

    /// Uses the short form wherever there is no folder.
    pub fn from_domain(command: &VerifyCommand) -> Self {
        match &command.cwd {
            None => Self::Line(command.run.clone()),
            Some(_) => Self::Command(VerifyIn { run: command.run.clone(), cwd: command.cwd.clone() }),
        }
    }
}

// By hand, because the derived untagged form only says that nothing matched, without a place.
impl<'de> Deserialize<'de> for VerifyEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntryVisitor;
        impl<'de> Visitor<'de> for EntryVisitor {
            type Value = VerifyEntry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a command line or an object with `run` and `cwd`")
            }

            fn visit_str<E: de::Error>(self, line: &str) -> Result<VerifyEntry, E> {
                if line.trim().is_empty() {
                    return Err(E::custom("an empty command proves nothing"));
                }
                Ok(VerifyEntry::Line(line.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<VerifyEntry, A::Error> {
                let command = VerifyIn::deserialize(MapAccessDeserializer::new(map))?;
                if command.run.trim().is_empty() {
                    return Err(de::Error::custom("an empty command proves nothing"));
                }
                Ok(VerifyEntry::Command(command))
            }
        }
        deserializer.deserialize_any(EntryVisitor)
    }
}

// By hand for the same reason, and to refuse ranges that hold no line.
impl<'de> Deserialize<'de> for RangeEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RangeVisitor;

        fn checked<E: de::Error>(start: u32, end: u32, entry: RangeEntry) -> Result<RangeEntry, E> {
            if start == 0 || end < start {
                return Err(E::custom("lines count from 1, and the last must not be before the first"));
            }
            Ok(entry)
        }

        impl<'de> Visitor<'de> for RangeVisitor {
            type Value = RangeEntry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("two line numbers, or an object with `start` and `end`")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<RangeEntry, A::Error> {
                let lines = Vec::<u32>::deserialize(SeqAccessDeserializer::new(seq))?;
                match lines[..] {
                    [start, end] => checked(start, end, RangeEntry::Pair(start, end)),
                    _ => Err(de::Error::invalid_length(lines.len(), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RangeEntry, A::Error> {
                let range = LineRange::deserialize(MapAccessDeserializer::new(map))?;
                checked(range.start, range.end, RangeEntry::Named(range))
            }
        }
        deserializer.deserialize_any(RangeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_schema_are_those_of_the_domain() {
        for status in Status::ALL {
            assert!(serde_json::from_str::<StatusWord>(&format!("\"{}\"", status.as_str())).is_ok());
        }
        for priority in Priority::ALL {
            assert!(serde_json::from_str::<PriorityWord>(&format!("\"{}\"", priority.as_str())).is_ok());
        }
    }

    #[test]
    fn a_file_survives_both_conversions() {
        let text = r#"{"version":1,"goals":[{"id":"g","text":"t","mine":1}],"tasks":[{"id":"a","title":"A","status":"todo",
            "priority":"high","depends_on":["b"],"goal":"g","acceptance":["x"],"verify":["make",{"run":"m","cwd":"w"}],
            "files":["src/**"],"context":[{"file":"f","range":[1,2]},{"file":"g","range":{"start":3,"end":3},"note":"n"}],
            "agent":"c","limits":{"attempts":2,"usd":1.5},"notes":"n","origin":"o","created_at":"2026-01-01T00:00:00Z",
            "theirs":{"k":[1]}}],"other":true}"#;
        let file: QueueFile = serde_json::from_str(text).unwrap();
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_value(&file).unwrap(), value);
        let task = file.tasks[0].to_domain();
        assert_eq!(task.context[1].range, Some((3, 3)));
        assert_eq!(TaskEntry::from_domain(&task).to_domain(), task);
        assert_eq!(file.goals[0].to_domain().text, "t");
    }

    #[test]
    fn empty_ranges_and_commands_are_refused() {
        for bad in ["[0, 1]", "[2, 1]", "[1]", "{\"start\": 2, \"end\": 1}", "3"] {
            assert!(serde_json::from_str::<RangeEntry>(bad).is_err(), "{bad}");
        }
        for bad in ["\" \"", "{\"run\": \"\"}", "3", "{}"] {
            assert!(serde_json::from_str::<VerifyEntry>(bad).is_err(), "{bad}");
        }
    }
}
