//! The settings a run was started with, as far as the rules need them; fixed for the run.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What `reduce` needs of the settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// Names per role, in order; a role that is missing uses the implementer's.
    #[serde(default)]
    pub chains: BTreeMap<String, Vec<String>>,
    /// Every configured agent, in a chain or not; tasks may name any. Empty in runs of older versions.
    #[serde(default)]
    pub agents: BTreeMap<String, AgentFacts>,
    /// How failures that pass are waited out.
    #[serde(default)]
    pub retry: Retry,
    /// What may be used.
    #[serde(default)]
    pub budgets: Budgets,
    /// How far local time is ahead of UTC, in seconds; for the day a budget counts in, and for times in words.
    #[serde(default)]
    pub utc_offset_seconds: i32,
    /// Every command string that is not a task's own and must be trusted.
    #[serde(default)]
    pub commands: Vec<String>,
    /// The whole effective settings as their border type writes them, for the executor and `status --json`.
    pub effective: serde_json::Value,
}

/// What the chain has to know of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentFacts {
    /// In the order they are tried; empty means the agent's own default.
    #[serde(default)]
    pub models: Vec<String>,
    /// Changes when the name stands for another program or account; what was known of the old one is forgotten then.
    #[serde(default)]
    pub identity: String,
}

/// How failures that pass by themselves are waited out: `min(max, delay × multiplier^(n - 1))` after the n-th in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Retry {
    /// Failures in a row after which an agent or model leaves the run; at least 1.
    pub cycles: u32,
    /// The first wait, in milliseconds.
    pub delay_ms: i64,
    pub multiplier: u32,
    /// The longest wait, in milliseconds; a limit that does not tell its end may be waited for six times as long.
    pub max_ms: i64,
}

impl Default for Retry {
    fn default() -> Self {
        Self { cycles: 20, delay_ms: 30_000, multiplier: 2, max_ms: 600_000 }
    }
}

/// Bounds of tokens and money; absent ones bound nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Allowance {
    pub tokens: Option<u64>,
    /// US dollars.
    pub usd: Option<f64>,
}

/// What may be used of tokens and money, for each thing it is counted for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Budgets {
    pub attempt: Allowance,
    /// Of all attempts of one task together; a task may set its own.
    pub task: Allowance,
    pub run: Allowance,
    /// Of one local calendar day, over all runs.
    pub day: Allowance,
}

/// An agent with one of its models.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Link {
    pub agent: String,
    /// The agent's own default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.model {
            Some(model) => write!(f, "{} ({model})", self.agent),
            None => f.write_str(&self.agent),
        }
    }
}

/// The role whose chain the others fall back to.
pub const IMPLEMENTER: &str = "implementer";

/// The role that puts a proposal onto a text that changed.
pub const FIXER: &str = "fixer";

impl RunSettings {
    /// Returns the links of a role in the order they are tried: every model of the first agent, then of the next.
    pub fn links(&self, role: &str) -> Vec<Link> {
        let names = self.chains.get(role).filter(|names| !names.is_empty()).unwrap_or(&self.chain);
        names.iter().flat_map(|agent| self.links_of(agent)).collect()
    }

    /// Returns the links of one agent in the order they are tried.
    pub fn links_of(&self, agent: &str) -> Vec<Link> {
        let models = self.agents.get(agent).map(|facts| facts.models.as_slice()).unwrap_or_default();
        let link = |model: Option<&String>| Link { agent: agent.to_owned(), model: model.cloned() };
        if models.is_empty() { vec![link(None)] } else { models.iter().map(|model| link(Some(model))).collect() }
    }

    /// Returns the signature of the configured set of agents and models: equal for the same set in any order, and
    /// untouched by where in the chain a run is.
    pub fn signature(&self) -> String {
        let known = self.agents.keys().chain(&self.chain).chain(self.chains.values().flatten());
        let names: BTreeSet<&String> = known.collect();
        let mut hasher = blake3::Hasher::new();
        for agent in names {
            let facts = self.agents.get(agent);
            let mut models: Vec<&str> =
                facts.iter().flat_map(|facts| facts.models.iter().map(String::as_str)).collect();
            models.sort_unstable();
            models.dedup();
            let identity = facts.map(|facts| facts.identity.as_str()).unwrap_or_default();
            // Length first, so that no two sets can be written alike.
            for part in [agent.as_str(), identity].into_iter().chain(models.iter().copied()) {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part.as_bytes());
            }
            hasher.update(&u64::MAX.to_le_bytes());
        }
        hasher.finalize().to_hex()[..16].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(agents: &[(&str, &[&str], &str)], chain: &[&str]) -> RunSettings {
        let facts = |(name, models, identity): &(&str, &[&str], &str)| {
            let models = models.iter().map(ToString::to_string).collect();
            ((*name).to_owned(), AgentFacts { models, identity: (*identity).to_owned() })
        };
        RunSettings {
            agents: agents.iter().map(facts).collect(),
            chain: chain.iter().map(ToString::to_string).collect(),
            ..RunSettings::default()
        }
    }

    #[test]
    fn links_are_agents_times_models_in_order() {
        let mut it = settings(&[("a", &["m", "n"], ""), ("b", &[], "")], &["b", "a"]);
        it.chains.insert("reviewer".into(), vec!["a".into()]);
        let words = |role: &str| it.links(role).iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        assert_eq!(words(IMPLEMENTER), "b, a (m), a (n)");
        assert_eq!(words("reviewer"), "a (m), a (n)");
        assert_eq!(words("planner"), "b, a (m), a (n)");
    }

    #[test]
    fn the_signature_changes_with_the_set_and_with_nothing_else() {
        let base = settings(&[("a", &["m", "n"], "1"), ("b", &[], "2")], &["a", "b"]).signature();
        let same = [
            settings(&[("b", &[], "2"), ("a", &["m", "n"], "1")], &["b", "a"]),
            settings(&[("a", &["n", "m"], "1"), ("b", &[], "2")], &["a", "b"]),
            settings(&[("a", &["m", "n"], "1"), ("b", &[], "2")], &["a"]),
        ];
        for (number, other) in same.iter().enumerate() {
            assert_eq!(other.signature(), base, "row {number}");
        }
        let others = [
            settings(&[("a", &["m"], "1"), ("b", &[], "2")], &["a", "b"]),
            settings(&[("a", &["m", "n", "o"], "1"), ("b", &[], "2")], &["a", "b"]),
            settings(&[("a", &["m", "n"], "other"), ("b", &[], "2")], &["a", "b"]),
            settings(&[("a", &["m", "n"], "1")], &["a"]),
            settings(&[("a", &["m", "n"], "1"), ("c", &[], "2")], &["a", "c"]),
            settings(&[("a", &["mn"], "1"), ("b", &[], "2")], &["a", "b"]),
        ];
        for (number, other) in others.iter().enumerate() {
            assert_ne!(other.signature(), base, "row {number}");
        }
    }
}
