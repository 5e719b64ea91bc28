//! What becomes of a reviewer's findings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a reviewer's findings lead to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object")]
pub struct ReviewerConfig {
    /// Whether findings send the task back to its agent or are shown with the proposal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub findings: Option<FindingsMode>,
    /// How often findings send a task back; after that its result is proposed with them. 2 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rounds: Option<u32>,
}

impl ReviewerConfig {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Where findings go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FindingsMode {
    /// Into the prompt of the next attempt.
    #[default]
    NextAttempt,
    /// To you, with the proposal.
    WithProposal,
}

/// The same in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReviewerSettings {
    pub findings: FindingsMode,
    pub rounds: u32,
}

impl Default for ReviewerSettings {
    fn default() -> Self {
        Self { findings: FindingsMode::default(), rounds: 2 }
    }
}
