//! The configuration files: `.ralph/config.json` of a repository and the user's own file of the same form.

mod agent;
mod choice;
mod land;
mod parse;
mod reviewer;
mod settings;

pub use agent::{AgentConfig, AgentKind, Claims, StopStep};
pub use choice::{AgentChoice, INLINE_AGENT};
pub use land::{LandConfig, LandSettings, LandTo};
pub use parse::{ConfigError, Warning, parse_config};
pub use reviewer::{FindingsMode, ReviewerConfig, ReviewerSettings};
pub use settings::{DiagnosticSettings, Layer, RetrySettings, RunLimits, Settings, trust_string};

use super::queue_schema::VerifyEntry;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The version of the form that this program reads and writes.
pub const CONFIG_VERSION: u32 = 1;

/// Settings of ralph-sidecar. Everything is optional; what is absent comes from the user's file, then from defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object")]
#[schemars(title = "ralph-sidecar configuration")]
pub struct Config {
    /// Where the schema of this file is, for editors.
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Version of the form; 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The agents that can be used, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub agents: BTreeMap<String, AgentConfig>,
    /// For each role the names of agents to try, in order. A role that is missing uses the implementer's.
    #[serde(skip_serializing_if = "Chains::is_empty")]
    pub chains: Chains,
    /// Commands that must pass for every task, besides the task's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<Vec<VerifyEntry>>,
    /// Commands that make a fresh worktree ready, such as installing dependencies; run once per state of the lockfiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setup: Option<Vec<VerifyEntry>>,
    /// Globs of paths that no agent may change. Those of all files count together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protect: Option<Vec<String>>,
    /// How much an attempt, a task and a run may use.
    #[serde(skip_serializing_if = "ConfigLimits::is_empty")]
    pub limits: ConfigLimits,
    /// How failures that pass by themselves are waited out.
    #[serde(skip_serializing_if = "RetryConfig::is_empty")]
    pub retry: RetryConfig,
    /// How many attempts may run at the same time; 1 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub parallel: Option<u32>,
    /// What an attempt starts from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// When dependents of a task may start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewMode>,
    /// What the reviewer's findings lead to, where `chains.reviewer` names one.
    #[serde(skip_serializing_if = "ReviewerConfig::is_empty")]
    pub reviewer: ReviewerConfig,
    /// How much happens without a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autonomy: Option<Autonomy>,
    /// Where accepted work goes, and in which words.
    #[serde(skip_serializing_if = "LandConfig::is_empty")]
    pub land: LandConfig,
    /// Which events show a message in the editor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
    /// Which kinds of diagnostics are shown.
    #[serde(skip_serializing_if = "DiagnosticsConfig::is_empty")]
    pub diagnostics: DiagnosticsConfig,
}

/// What an agent is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Planner,
    Implementer,
    Reviewer,
    Fixer,
    Committer,
}

impl Role {
    pub const ALL: [Self; 5] = [Self::Planner, Self::Implementer, Self::Reviewer, Self::Fixer, Self::Committer];

    /// Returns the word used in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planner => "planner",
            Self::Implementer => "implementer",
            Self::Reviewer => "reviewer",
            Self::Fixer => "fixer",
            Self::Committer => "committer",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Names of agents per role, in the order they are tried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object")]
pub struct Chains {
    /// Reads the repository and writes tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planner: Option<Vec<String>>,
    /// Does the tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub implementer: Option<Vec<String>>,
    /// Looks at a result that passed its checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reviewer: Option<Vec<String>>,
    /// Puts a proposal onto a text that changed, when a person asks for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixer: Option<Vec<String>>,
    /// Writes commit messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub committer: Option<Vec<String>>,
}

impl Chains {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the names given for exactly this role.
    pub fn get(&self, role: Role) -> Option<&Vec<String>> {
        match role {
            Role::Planner => self.planner.as_ref(),
            Role::Implementer => self.implementer.as_ref(),
            Role::Reviewer => self.reviewer.as_ref(),
            Role::Fixer => self.fixer.as_ref(),
            Role::Committer => self.committer.as_ref(),
        }
    }

    pub fn set(&mut self, role: Role, names: Vec<String>) {
        let slot = match role {
            Role::Planner => &mut self.planner,
            Role::Implementer => &mut self.implementer,
            Role::Reviewer => &mut self.reviewer,
            Role::Fixer => &mut self.fixer,
            Role::Committer => &mut self.committer,
        };
        *slot = Some(names);
    }
}

/// Bounds; a task may narrow or widen those of an attempt for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object")]
pub struct ConfigLimits {
    /// Attempts that may fail before a person is asked; 4 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub attempts: Option<u32>,
    /// Wall time of one attempt in seconds; 2700 (45 minutes) by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub attempt_seconds: Option<u64>,
    /// Longest silence of an agent in seconds; 600 (10 minutes) by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub idle_seconds: Option<u64>,
    /// Wall time of a whole run in seconds; 28800 (8 hours) by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub run_seconds: Option<u64>,
    /// Tokens of one task; unlimited by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Money of one task in US dollars; unlimited by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub usd: Option<f64>,
    /// Tokens of one attempt; unlimited by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub attempt_tokens: Option<u64>,
    /// Money of one attempt in US dollars; unlimited by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub attempt_usd: Option<f64>,
    /// Tokens of one run; unlimited by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub run_tokens: Option<u64>,
    /// Money of one run in US dollars; unlimited by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub run_usd: Option<f64>,
    /// Tokens of one day, over all runs; unlimited by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub day_tokens: Option<u64>,
    /// Money of one day, over all runs in US dollars; unlimited by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub day_usd: Option<f64>,
}

impl ConfigLimits {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How often and how patiently something is tried again that passes by itself: an overloaded model, a limit that does
/// not tell its end, a network that is away. A limit that tells its end is waited for until then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object")]
pub struct RetryConfig {
    /// Failures in a row after which an agent or model is left out for the rest of the run; 20 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub cycles: Option<u32>,
    /// The first wait in seconds; 30 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub delay_seconds: Option<u64>,
    /// What each further wait is multiplied by; 2 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub multiplier: Option<u32>,
    /// The longest wait in seconds; 600 (10 minutes) by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_seconds: Option<u64>,
}

impl RetryConfig {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What an attempt starts from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Base {
    /// What you see: the last commit with uncommitted, untracked and unsaved changes.
    #[default]
    WorkingTree,
    /// The last commit.
    Head,
}

/// When dependents of a task may start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReviewMode {
    /// As soon as the task is verified; you review when you like.
    #[default]
    Task,
    /// Only when you accepted the task.
    Each,
}

/// How much happens without a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Autonomy {
    /// Each task is approved before it starts.
    Gated,
    /// Approved tasks run by themselves, everything is reviewed.
    #[default]
    Supervised,
    /// Verified results go onto an integration branch by themselves, never into your checkout.
    Full,
}

/// Which events show a message in the editor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Notify {
    /// When you are needed and when a run finished.
    #[default]
    All,
    /// Only when you are needed.
    NeedsMe,
    /// Only when a run finished.
    Finished,
    /// Never.
    Never,
}

/// Which kinds of diagnostics are shown; all by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object")]
pub struct DiagnosticsConfig {
    /// Hunks that wait for review.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<bool>,
    /// Questions and blocked tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decisions: Option<bool>,
    /// Problems of the queue file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<bool>,
}

impl DiagnosticsConfig {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Returns the JSON schema of the configuration file, pretty-printed with a final line break.
pub fn config_schema_json() -> String {
    let mut text = format!("{:#}", schemars::schema_for!(Config).to_value());
    text.push('\n');
    text
}
