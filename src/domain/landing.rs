//! Accepted work on its way into git: what can be landed, in which order, and in which words.

use super::hunks::HunkId;
use super::state::{Record, State};
use super::task::TaskId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Where accepted work goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LandTo {
    /// Into the files of the checkout, uncommitted.
    #[default]
    Tree,
    /// As a commit on the branch that is checked out.
    Commit,
    /// As a commit on another branch.
    Branch,
}

impl LandTo {
    pub const ALL: [Self; 3] = [Self::Tree, Self::Commit, Self::Branch];

    /// Returns the public word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tree => "tree",
            Self::Commit => "commit",
            Self::Branch => "branch",
        }
    }

    /// Finds what a word means.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|to| to.as_str() == word)
    }
}

/// A commit that holds the accepted text of tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landing {
    /// In the order they were put in.
    pub tasks: Vec<TaskId>,
    /// `Commit` or `Branch`.
    pub to: LandTo,
    /// The commit that was made.
    pub commit: String,
    /// What the branch pointed at before; absent for a branch that was made.
    #[serde(default)]
    pub previous: Option<String>,
    /// Short name of the branch.
    pub branch: String,
}

/// Accepted hunks of one proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedPart {
    pub base: String,
    pub head: String,
    pub accepted: BTreeSet<HunkId>,
}

/// Where a task's accepted text is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandedAs {
    pub commit: String,
    pub branch: String,
}

impl LandedAs {
    /// Returns it for a person: `1a2b3c4d on main`.
    pub fn words(&self) -> String {
        format!("{} on {}", short(&self.commit), self.branch)
    }
}

/// Returns the beginning of a commit's name, for a person.
pub fn short(commit: &str) -> &str {
    commit.get(..8).unwrap_or(commit)
}

/// Why a task cannot be landed now. Reads after its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotLandable {
    #[error("is landed already, as {0}")]
    Landed(String),
    #[error("has no accepted change; `ralph-sidecar status` shows which have")]
    NothingAccepted,
    #[error("is not done yet: decide about its other changes first")]
    NotDone,
}

/// Tells whether the accepted text of a task may become a commit: the task is done, something of it was accepted, and
/// it is in no commit of ours.
///
/// # Errors
///
/// Why not.
pub fn landable(record: Option<&Record>) -> Result<(), NotLandable> {
    let Some(record) = record else { return Err(NotLandable::NothingAccepted) };
    match &record.landed {
        Some(landed) => Err(NotLandable::Landed(landed.words())),
        None if accepted_parts(record).is_empty() => Err(NotLandable::NothingAccepted),
        None if !record.done => Err(NotLandable::NotDone),
        None => Ok(()),
    }
}

/// Returns what was accepted of a task: in earlier rounds, which is in the files since, and of its proposal.
pub fn accepted_parts(record: &Record) -> Vec<AcceptedPart> {
    let last = record.proposal.as_ref().map(|proposal| AcceptedPart {
        base: proposal.base.clone(),
        head: proposal.head.clone(),
        accepted: proposal.accepted(),
    });
    record.earlier.iter().cloned().chain(last).filter(|part| !part.accepted.is_empty()).collect()
}

/// Returns the tasks of the queue that can be landed, in file order.
pub fn all_landable(state: &State) -> Vec<TaskId> {
    state.order.iter().filter(|id| landable(state.record(id)).is_ok()).cloned().collect()
}

/// Returns the tasks with those first that others of them depend on or were built on; otherwise in file order.
pub fn in_order(state: &State, tasks: &[TaskId]) -> Vec<TaskId> {
    let place = |id: &TaskId| state.order.iter().position(|known| known == id).unwrap_or(usize::MAX);
    let mut waiting: Vec<&TaskId> = tasks.iter().collect();
    waiting.sort_by_key(|id| place(id));
    waiting.dedup();
    let needs = |task: &TaskId, other: &TaskId| {
        let depends = state.tasks.get(task).is_some_and(|task| task.depends_on.contains(other));
        let proposal = state.record(task).and_then(|record| record.proposal.as_ref());
        depends || proposal.is_some_and(|proposal| proposal.stands_on.iter().any(|base| base.task == *other))
    };
    let mut sorted = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let free = |at: &usize| waiting.iter().all(|other| other == &waiting[*at] || !needs(waiting[*at], other));
        // A circle has no right order; the file's is as good as any.
        let next = (0..waiting.len()).find(free).unwrap_or(0);
        sorted.push(waiting.remove(next).clone());
    }
    sorted
}

/// What a template can say about a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LandWords {
    pub id: String,
    pub title: String,
    /// The agent's own summary; may be empty.
    pub summary: String,
}

/// Fills a template of a commit message: `{title}`, `{id}`, `{summary}` and `{list}`; other braces stay as they are.
///
/// With several tasks the title is the first one's with the number of the others, the ids are separated by commas, and
/// `{summary}` has a paragraph for each. `{list}` has a line for each task. Empty lines are never doubled.
pub fn message(template: &str, tasks: &[LandWords]) -> String {
    let filled = fill(template, |name| {
        Some(match name {
            "title" => title(tasks),
            "id" => join(tasks.iter().map(|task| task.id.clone()), ", "),
            "list" => join(tasks.iter().map(|task| format!("* {}", line(&task.title))), "\n"),
            "summary" => match tasks {
                [one] => one.summary.trim().to_owned(),
                _ => join(tasks.iter().map(paragraph), "\n\n"),
            },
            _ => return None,
        })
    });
    let mut lines: Vec<&str> = Vec::new();
    for text in filled.lines().map(str::trim_end) {
        if !(text.is_empty() && lines.last().is_none_or(|last| last.is_empty())) {
            lines.push(text);
        }
    }
    while lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Fills a template of a branch name: `{id}` and `{title}`, each made of letters, digits and `-` only.
pub fn branch_name(template: &str, tasks: &[LandWords]) -> String {
    let more = tasks.len().saturating_sub(1);
    let of = |text: fn(&LandWords) -> &str| {
        let first = tasks.first().map(|task| slug(text(task))).unwrap_or_default();
        if more > 0 { format!("{first}-and-{more}-more") } else { first }
    };
    fill(template, |name| match name {
        "id" => Some(of(|task| &task.id)),
        "title" => Some(of(|task| &task.title)),
        _ => None,
    })
}

fn title(tasks: &[LandWords]) -> String {
    match tasks {
        [] => String::new(),
        [one] => line(&one.title),
        [first, rest @ ..] => format!("{}, and {} more", line(&first.title), rest.len()),
    }
}

fn paragraph(task: &LandWords) -> String {
    let (title, summary) = (line(&task.title), task.summary.trim());
    if summary.is_empty() { format!("{title} ({})", task.id) } else { format!("{title} ({})\n{summary}", task.id) }
}

fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn join(parts: impl Iterator<Item = String>, between: &str) -> String {
    parts.collect::<Vec<_>>().join(between)
}

fn slug(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let slug = words.collect::<Vec<_>>().join("-").to_lowercase();
    slug.chars().take(48).collect::<String>().trim_end_matches('-').to_owned()
}

/// Replaces `{name}` by its value; a name without one stays.
fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let named = rest.find('}').and_then(|end| Some((end, value(&rest[1..end])?)));
        match named {
            Some((end, text)) => {
                out.push_str(&text);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('{');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(id: &str, title: &str, summary: &str) -> LandWords {
        LandWords { id: id.to_owned(), title: title.to_owned(), summary: summary.to_owned() }
    }

    #[test]
    fn messages_of_one_task_and_of_several() {
        let one = [words("greet", "Say\nhello", "It greets.\n")];
        let two = [words("greet", "Say hello", "It greets."), words("b", "Be kind", "")];
        let standard = "{title}\n\n{summary}";
        for (template, tasks, expected) in [
            (standard, &one[..], "Say hello\n\nIt greets.\n"),
            (standard, &two[1..], "Be kind\n"),
            (standard, &two, "Say hello, and 1 more\n\nSay hello (greet)\nIt greets.\n\nBe kind (b)\n"),
            ("{title} [{id}]\n\n\n\n{list}\n\n", &two, "Say hello, and 1 more [greet, b]\n\n* Say hello\n* Be kind\n"),
            ("fix({id}): {Title} {", &one, "fix(greet): {Title} {\n"),
            ("{summary}", &two[1..], ""),
        ] {
            assert_eq!(message(template, tasks), expected, "{template:?}");
        }
    }

    #[test]
    fn a_value_is_not_filled_again() {
        assert_eq!(message("{title}", &[words("a", "Use {id} here", "")]), "Use {id} here\n");
    }

    #[test]
    fn branch_names_have_letters_digits_and_dashes_of_tasks_only() {
        let one = [words("Fix ../it: ~now", "Größe", "")];
        assert_eq!(branch_name("ralph/{id}", &one), "ralph/fix-it-now");
        assert_eq!(branch_name("x/{title}/{no}", &one), "x/größe/{no}");
        let two = [words("a", "", ""), words("b", "", ""), words("c", "", "")];
        assert_eq!(branch_name("ralph/{id}", &two), "ralph/a-and-2-more");
    }
}
