//! What is to be landed, and what came of it or was taken back.

use crate::domain::hunks::HunkId;
use crate::domain::landing::{AcceptedPart, LandWords, Landing};
use crate::domain::task::TaskId;
use std::collections::BTreeSet;
use std::time::Duration;

/// What was accepted of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LandPart {
    pub task: TaskId,
    /// Of its rounds, in order; at least one.
    pub rounds: Vec<AcceptedPart>,
    /// What the message can say about it.
    pub words: LandWords,
}

/// A commit to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LandOrder {
    /// In the order to put them in.
    pub parts: Vec<LandPart>,
    /// Short name of another branch; the one that is checked out when absent.
    pub branch: Option<String>,
    /// Template of the message.
    pub message: String,
    /// Whether a part that does not fit fails the whole; else it is left out.
    pub strict: bool,
    /// Commits that were landed before: a branch that ends in one is ours.
    pub ours: BTreeSet<String>,
    /// How long hooks and signing may take before they are ended.
    pub limit: Duration,
}

/// A commit that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LandOutcome {
    pub landing: Landing,
    /// Paths it changes, sorted.
    pub paths: Vec<String>,
    /// Parts that are not in it, each with the reason.
    pub left_out: Vec<(TaskId, String)>,
}

/// What was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TakenBack {
    Files {
        /// Hunks that are not in the files any more.
        hunks: Vec<HunkId>,
        /// Paths that are as they were before.
        restored: Vec<String>,
        /// Paths that changed since and stay as they are.
        kept: Vec<String>,
    },
    Rejection {
        task: TaskId,
        hunks: Vec<HunkId>,
    },
    Landing(Landing),
}
