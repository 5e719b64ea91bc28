//! What the server says by itself. Dropping any of them changes nothing: `ralph.status` has it all.

use super::results::{DecisionStatus, RunStatus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A persistent state for a status bar.
pub const STATUS: &str = "ralph/status";
/// What an attempt is doing.
pub const ATTEMPT: &str = "ralph/attempt";
/// The hunks of a task changed, or what was made of them.
pub const PROPOSAL_CHANGED: &str = "ralph/proposalChanged";
/// A person is needed.
pub const DECISION_REQUESTED: &str = "ralph/decisionRequested";
/// The person is not needed any more.
pub const DECISION_RESOLVED: &str = "ralph/decisionResolved";
/// Tasks came, went or changed.
pub const QUEUE_CHANGED: &str = "ralph/queueChanged";

/// A run has ended; instead of a message, to clients that announce `runEnded`.
pub const RUN_ENDED: &str = "ralph/runEnded";

/// Every notification of ours.
pub const NOTIFICATIONS: [&str; 7] =
    [STATUS, ATTEMPT, PROPOSAL_CHANGED, DECISION_REQUESTED, DECISION_RESOLVED, QUEUE_CHANGED, RUN_ENDED];

/// `ralph/status`. The method is also a request, `ralph.status`; only the server sends the notification.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct StatusNotification {
    pub root: String,
    /// `ok`, `warning` (a person is needed) or `error` (the engine or the queue cannot be used).
    pub health: String,
    /// A few words for the status bar.
    pub message: String,
    pub run: Option<RunStatus>,
    /// How many tasks are in each state; states without tasks are absent.
    pub states: BTreeMap<String, u32>,
    /// Open decisions.
    pub decisions: u32,
    /// Pending hunks.
    pub pending: u32,
}

/// `ralph/runEnded`: for clients that put a button beside the words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct RunEndedNotification {
    pub root: String,
    /// The words of the message, in one line.
    pub message: String,
    /// A person is needed, else it is only done.
    pub warning: bool,
    /// Open decisions.
    pub decisions: u32,
    /// Pending hunks.
    pub pending: u32,
}

/// `ralph/attempt`: a milestone, or with `experimental.ralph.output` output.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct AttemptNotification {
    pub root: String,
    pub task: String,
    pub attempt: u32,
    /// `started`, `progress`, `output` or `ended`.
    pub kind: String,
    pub agent: Option<String>,
    /// With `ended`.
    pub outcome: Option<String>,
    /// What it is doing, what it printed, or how it ended.
    pub text: String,
}

/// `ralph/proposalChanged`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ProposalChangedNotification {
    pub root: String,
    pub task: String,
    /// Pending hunks; 0 when the proposal is decided or gone.
    pub pending: u32,
    /// All hunks; 0 when there is no proposal any more.
    pub total: u32,
}

/// `ralph/decisionRequested`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct DecisionRequestedNotification {
    pub root: String,
    pub decision: DecisionStatus,
}

/// `ralph/decisionResolved`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct DecisionResolvedNotification {
    pub root: String,
    pub id: String,
}

/// `ralph/queueChanged`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct QueueChangedNotification {
    pub root: String,
    /// Why the queue file cannot be used now.
    pub problem: Option<String>,
}
