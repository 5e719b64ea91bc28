//! A task as a person or the planner wrote it: intent only. What happens to it lives in `state`.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Identifies a task inside one queue: any non-empty string, unique in the file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(pub String);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for TaskId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl TaskId {
    /// Returns the stable key used in refs and paths: a readable slug and eight hex digits of the id's hash.
    ///
    /// Only `[a-z0-9-]`, at most 41 characters, so it is safe in a ref name and in a path on any platform.
    /// Different ids have different keys but for a 32-bit hash collision between equal slugs.
    pub fn key(&self) -> TaskKey {
        let mut slug = String::new();
        for c in self.0.chars() {
            let c = c.to_ascii_lowercase();
            if c.is_ascii_alphanumeric() {
                slug.push(c);
            } else if !slug.ends_with('-') && !slug.is_empty() {
                slug.push('-');
            }
            if slug.len() >= 32 {
                break;
            }
        }
        let slug = slug.trim_end_matches('-');
        let hash = blake3::hash(self.0.as_bytes()).to_hex();
        if slug.is_empty() { TaskKey(hash[..8].to_owned()) } else { TaskKey(format!("{slug}-{}", &hash[..8])) }
    }
}

/// A path- and ref-safe name made from a [`TaskId`]; see [`TaskId::key`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskKey(pub String);

impl fmt::Display for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the file says about a task; see section 5 of the design.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Planned, not approved.
    #[default]
    Draft,
    /// Approved.
    Todo,
    /// Accepted.
    Done,
    /// Will not be done.
    Dropped,
}

impl Status {
    /// Every status, in the order a task usually passes through them.
    pub const ALL: [Self; 4] = [Self::Draft, Self::Todo, Self::Done, Self::Dropped];

    /// Returns the word used in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Todo => "todo",
            Self::Done => "done",
            Self::Dropped => "dropped",
        }
    }
}

/// How soon a ready task is picked; higher first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    Low,
    #[default]
    Medium,
    High,
    Critical,
}

impl Priority {
    /// Every priority, most urgent first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Medium, Self::Low];

    /// Returns the word used in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// A command that proves a task: run by the engine in the slot with `sh -c`, green when it exits 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VerifyCommand {
    /// The shell command line.
    pub run: String,
    /// Folder relative to the repository root; the root when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
}

/// A place the planner thinks the implementer should read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextItem {
    /// Path relative to the repository root.
    pub file: String,
    /// First and last line, both 1-based and inclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<(u32, u32)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Bounds of a task or of the configuration; an absent field inherits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Attempts that may fail before a person is asked; at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Wall time of one attempt, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_seconds: Option<u64>,
    /// Longest silence of an agent, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_seconds: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<f64>,
}

/// One entry of the queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    pub id: TaskId,
    pub title: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub status: Status,
    #[serde(default)]
    pub priority: Priority,
    #[serde(default)]
    pub depends_on: Vec<TaskId>,
    /// Id of an entry of `goals[]`.
    #[serde(default)]
    pub goal: Option<String>,
    #[serde(default)]
    pub acceptance: Vec<String>,
    #[serde(default)]
    pub verify: Vec<VerifyCommand>,
    /// Declared scope, as globs relative to the repository root.
    #[serde(default)]
    pub files: Vec<String>,
    #[serde(default)]
    pub context: Vec<ContextItem>,
    /// Name of the agent that should do it, instead of the chain's.
    #[serde(default)]
    pub agent: Option<String>,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub notes: Option<String>,
    /// Where it came from, for example `todo:src/lib.rs:…`; used to plan again without doubles.
    #[serde(default)]
    pub origin: Option<String>,
    /// RFC 3339.
    #[serde(default)]
    pub created_at: Option<String>,
}

impl Task {
    /// Makes an empty draft.
    pub fn new(id: impl Into<String>, title: impl Into<String>) -> Self {
        Self {
            id: TaskId(id.into()),
            title: title.into(),
            description: String::new(),
            status: Status::Draft,
            priority: Priority::Medium,
            depends_on: Vec::new(),
            goal: None,
            acceptance: Vec::new(),
            verify: Vec::new(),
            files: Vec::new(),
            context: Vec::new(),
            agent: None,
            limits: Limits::default(),
            notes: None,
            origin: None,
            created_at: None,
        }
    }
}

/// What the user asked plan mode for; tasks point to it by id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    pub id: String,
    /// The user's words, whole.
    pub text: String,
    #[serde(default)]
    pub created_at: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_path_safe_and_differ() {
        let long = "x".repeat(500);
        let ids = ["a", "A", "../../etc", "fix: the Thing", "日本", long.as_str(), "a b", "a-b"];
        let mut seen = std::collections::HashSet::new();
        for id in ids {
            let key = TaskId::from(id).key().0;
            assert!(key.len() <= 41, "{key}");
            assert!(key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{key}");
            assert!(!key.starts_with('-') && !key.ends_with('-'), "{key}");
            assert!(seen.insert(key), "two ids share a key");
        }
    }
}
