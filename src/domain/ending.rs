//! How an agent's own program ended, as far as it tells: the class of a failure, when a limit lifts, what it used.

use super::outcome::Outcome;
use serde::{Deserialize, Serialize};

/// What an agent used, as far as it tells; counts add up over one start of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Tokens read, those from a cache included.
    pub input_tokens: u64,
    /// The part of `input_tokens` that came from a cache.
    pub cached_tokens: u64,
    /// Tokens written, reasoning included.
    pub output_tokens: u64,
    /// US dollars; absent where the agent does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd: Option<f64>,
}

impl Usage {
    /// Returns what counts against a limit of tokens.
    pub fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    /// Adds what another start used.
    pub fn add(&mut self, other: &Self) {
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(other.cached_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.usd = match (self.usd, other.usd) {
            (None, None) => None,
            (own, other) => Some(own.unwrap_or(0.0) + other.unwrap_or(0.0)),
        };
    }
}

/// What a limit or an unavailability is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The account or the program: other models of the agent are no way out.
    #[default]
    Agent,
    /// Only the model that was asked.
    Model,
}

/// How the turn of an agent ended. Only what its own protocol says counts, and text only where there is nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// The class of the failure; absent when the turn came to its regular end, with a positive mark of that. One of
    /// `rate_limited`, `overloaded`, `network`, `auth`, `model_unavailable`, `missing_binary`, `context_exhausted`,
    /// `crashed`, `invalid_output`, `budget_exceeded`, `timed_out`, `cancelled`.
    #[serde(default)]
    pub failure: Option<Outcome>,
    /// One sentence for a person, with the agent's own words and, where there is one, the next step.
    pub detail: String,
    /// When the limit lifts, in milliseconds since the Unix epoch, as far as the agent tells.
    #[serde(default)]
    pub until_ms: Option<i64>,
    #[serde(default)]
    pub scope: Scope,
    /// The agent's name for the session, to continue it.
    #[serde(default)]
    pub session: Option<String>,
    /// The model that answered.
    #[serde(default)]
    pub model: Option<String>,
    #[serde(default)]
    pub usage: Usage,
}

impl Ending {
    /// Makes the ending of a turn that came to its regular end.
    pub fn regular(detail: impl Into<String>) -> Self {
        Self {
            failure: None,
            detail: detail.into(),
            until_ms: None,
            scope: Scope::Agent,
            session: None,
            model: None,
            usage: Usage::default(),
        }
    }

    /// Makes the ending of a turn that failed.
    pub fn failed(failure: Outcome, detail: impl Into<String>) -> Self {
        Self { failure: Some(failure), ..Self::regular(detail) }
    }
}
