//! What the engine tells a driver: the process that speaks an agent's own protocol for the length of one attempt.
//!
//! The driver finds the rest in its environment (`RALPH_MAILBOX`, `RALPH_NONCE`, `RALPH_ATTEMPT`, `RALPH_ROLE`, …), and
//! its working folder is the slot.

use super::config::{AgentConfig, Role};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One turn of one agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriveOrder {
    /// The agent's name in the configuration.
    pub name: String,
    pub agent: AgentConfig,
    pub role: Role,
    /// The model to use; the agent's own default when absent.
    #[serde(default)]
    pub model: Option<String>,
    /// The file with the prompt.
    pub prompt: PathBuf,
    /// A session of the agent to continue rather than to begin a fresh one.
    #[serde(default)]
    pub session: Option<String>,
    /// What this turn may use.
    #[serde(default)]
    pub budget: Budget,
    /// Whether the driver and all it starts are fenced by us, so that the agent's own sandbox can be off.
    #[serde(default)]
    pub fenced: bool,
}

/// Bounds of one turn; reaching one ends it after the step it is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Budget {
    pub tokens: Option<u64>,
    pub usd: Option<f64>,
}
