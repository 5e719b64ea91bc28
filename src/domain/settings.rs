//! The settings a run was started with, as far as the rules need them; fixed for the run.

use serde::{Deserialize, Serialize};

/// What `reduce` needs of the settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSettings {
    /// Attempts that may fail before a person is asked; at least 1.
    pub attempts: u32,
    /// Wall time of one attempt, in seconds.
    pub attempt_seconds: u64,
    /// Longest silence of an agent, in seconds.
    pub idle_seconds: u64,
    /// Wall time of the run, in seconds.
    pub run_seconds: u64,
    /// Whether dependents wait until a result is accepted, rather than start from the verified one.
    pub review_each: bool,
    /// Names of the implementer chain, in order; never empty.
    pub chain: Vec<String>,
    /// Every command string that is not a task's own and must be trusted.
    #[serde(default)]
    pub commands: Vec<String>,
    /// The whole effective settings as their border type writes them, for the executor and `status --json`.
    pub effective: serde_json::Value,
}
