//! Landing accepted work, and taking back what was decided or landed.

use crate::domain::hunks::HunkId;
use crate::domain::landing::{LandTo, short};
use crate::domain::task::TaskId;
use serde::{Deserialize, Serialize};

/// What to land, and where.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LandRequest {
    /// All that can be landed when empty.
    pub tasks: Vec<TaskId>,
    /// The setting `land.to` when absent.
    pub to: Option<LandTo>,
    /// A template; the setting `land.message` when absent.
    pub message: Option<String>,
    /// A template of the branch's name; the setting `land.branch` when absent.
    pub branch: Option<String>,
    /// Settings of the editor or the command line, in the form of `.ralph/config.json`.
    pub layers: Vec<serde_json::Value>,
}

/// What landing did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LandReply {
    pub to: LandTo,
    pub tasks: Vec<TaskId>,
    /// The commit that was made.
    pub commit: Option<String>,
    /// Short name of the branch it is on.
    pub branch: Option<String>,
    /// Paths written, or changed by the commit; sorted.
    pub paths: Vec<String>,
    /// Tasks that were not named and could not be landed, each with the reason.
    pub left_out: Vec<(TaskId, String)>,
    /// Into the files: hunks that do not fit the text as it is now, with the reason.
    pub conflicts: Vec<(HunkId, String)>,
}

impl LandReply {
    /// Returns in one sentence where it landed.
    pub fn words(&self) -> String {
        let tasks = self.tasks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let files = count(self.paths.len(), "file");
        let mut words = match (&self.commit, &self.branch) {
            (Some(commit), Some(branch)) if self.to == LandTo::Branch => {
                format!("landed {tasks} as {} on the branch {branch} ({files})", short(commit))
            }
            (Some(commit), branch) => {
                let on = branch.as_ref().map(|branch| format!(" on {branch}")).unwrap_or_default();
                format!("landed {tasks} as {}{on} ({files})", short(commit))
            }
            _ if self.paths.is_empty() && self.conflicts.is_empty() => {
                "everything that is accepted is in the files already; --commit or --branch makes a commit of it"
                    .to_owned()
            }
            _ => format!("wrote what is accepted of {tasks} into {files}"),
        };
        if !self.conflicts.is_empty() {
            words.push_str(&format!(
                "; {} not fit",
                if self.conflicts.len() == 1 { "1 change does" } else { "some changes do" }
            ));
        }
        for (task, why) in &self.left_out {
            words.push_str(&format!("; left out {task}: {why}"));
        }
        words
    }
}

/// What was taken back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "undone", rename_all = "snake_case")]
pub enum UndoReply {
    /// What the engine wrote into the checkout.
    Accept {
        /// Hunks that wait again.
        hunks: Vec<HunkId>,
        /// Paths that are as they were before.
        restored: Vec<String>,
        /// Paths that were changed since and are left as they are, with what was accepted in them.
        kept: Vec<String>,
    },
    /// A rejection.
    Reject { task: TaskId, hunks: Vec<HunkId> },
    /// A commit.
    Landing { tasks: Vec<TaskId>, commit: String, branch: String },
}

impl UndoReply {
    /// Returns in one sentence what was taken back.
    pub fn words(&self) -> String {
        match self {
            Self::Accept { hunks, restored, kept } => {
                let mut words = format!("restored {}; {} again", count(restored.len(), "file"), waiting(hunks.len()));
                if !kept.is_empty() {
                    words.push_str(&format!("; left as they are, for they were changed since: {}", kept.join(", ")));
                }
                words
            }
            Self::Reject { task, hunks } => format!("{} again in {task}", waiting(hunks.len())),
            Self::Landing { commit, branch, tasks } => {
                let tasks = tasks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                format!("took {} off {branch} ({tasks}); the files are as they were", short(commit))
            }
        }
    }
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn waiting(n: usize) -> String {
    if n == 1 { "1 change waits".to_owned() } else { format!("{n} changes wait") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sentence_says_where_it_landed() {
        let reply = LandReply {
            to: LandTo::Commit,
            tasks: vec!["a".into(), "b".into()],
            commit: Some("0123456789abcdef".into()),
            branch: Some("main".into()),
            paths: vec!["x".into()],
            ..LandReply::default()
        };
        assert_eq!(reply.words(), "landed a, b as 01234567 on main (1 file)");
        let branch =
            LandReply { to: LandTo::Branch, left_out: vec![("c".into(), "x.rs changed".into())], ..reply.clone() };
        assert_eq!(branch.words(), "landed a, b as 01234567 on the branch main (1 file); left out c: x.rs changed");
        let tree = LandReply { to: LandTo::Tree, commit: None, branch: None, ..reply };
        assert_eq!(tree.words(), "wrote what is accepted of a, b into 1 file");
        assert!(LandReply::default().words().contains("in the files already"));
    }

    #[test]
    fn one_sentence_says_what_was_taken_back() {
        let accept = UndoReply::Accept {
            hunks: vec!["h".into()],
            restored: vec!["a".into(), "b".into()],
            kept: vec!["c".into()],
        };
        assert_eq!(
            accept.words(),
            "restored 2 files; 1 change waits again; left as they are, for they were changed since: c"
        );
        let reject = UndoReply::Reject { task: "t".into(), hunks: vec!["h".into(), "i".into()] };
        assert_eq!(reject.words(), "2 changes wait again in t");
    }
}
