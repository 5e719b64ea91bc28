//! The settings in force as the rules of the loop need them; fixed when a run starts.

use crate::domain::settings::{AgentFacts, Allowance, Budgets, Retry, RunSettings};
use crate::protocol::config::{AgentConfig, ReviewMode, Role, Settings};

/// Makes the settings of a run. `commands` are those that must be trusted; `utc_offset_seconds` says how far local time
/// is ahead of UTC now.
///
/// # Errors
///
/// When the settings cannot be written down, which the journal needs.
pub fn run_settings(
    settings: &Settings,
    commands: Vec<String>,
    utc_offset_seconds: i32,
) -> Result<RunSettings, serde_json::Error> {
    let limits = &settings.limits;
    let chains = settings.chains.iter().map(|(role, names)| (role.to_string(), names.clone()));
    Ok(RunSettings {
        attempts: limits.attempts,
        attempt_seconds: limits.attempt_seconds,
        idle_seconds: limits.idle_seconds,
        run_seconds: limits.run_seconds,
        review_each: settings.review == ReviewMode::Each,
        chain: settings.chains.get(&Role::Implementer).cloned().unwrap_or_default(),
        chains: chains.collect(),
        agents: settings.agents.iter().map(|(name, agent)| (name.clone(), facts(agent))).collect(),
        retry: Retry {
            cycles: settings.retry.cycles,
            delay_ms: milliseconds(settings.retry.delay_seconds),
            multiplier: settings.retry.multiplier,
            max_ms: milliseconds(settings.retry.max_seconds),
        },
        budgets: Budgets {
            attempt: Allowance { tokens: limits.attempt_tokens, usd: limits.attempt_usd },
            task: Allowance { tokens: limits.tokens, usd: limits.usd },
            run: Allowance { tokens: limits.run_tokens, usd: limits.run_usd },
            day: Allowance { tokens: limits.day_tokens, usd: limits.day_usd },
        },
        utc_offset_seconds,
        commands,
        effective: serde_json::to_value(settings)?,
    })
}

/// Says what the chain has to know of an agent. Its identity is what a person trusts: its program, environment and
/// address, hashed, for there may be secrets among them.
fn facts(agent: &AgentConfig) -> AgentFacts {
    let identity = blake3::hash(format!("{:?} {}", agent.kind, agent.trust_string()).as_bytes());
    AgentFacts { models: agent.models.clone(), identity: identity.to_hex()[..16].to_owned() }
}

fn milliseconds(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::config::{Layer, parse_config};

    fn made(text: &str) -> RunSettings {
        let config = parse_config(text).expect("it is a configuration").0;
        run_settings(&Settings::resolve(&[(Layer::Repository, config)]), Vec::new(), 3600).expect("settings")
    }

    #[test]
    fn what_the_rules_need_is_taken_over() {
        let it = made(
            r#"{"agents": {"a": {"command": "a", "models": ["m", "n"]}, "b": {"command": "b"}},
                "chains": {"implementer": ["b", "a"], "reviewer": ["a"]},
                "limits": {"attempt_usd": 1, "tokens": 5, "run_usd": 2.5, "day_tokens": 7},
                "retry": {"cycles": 3, "delay_seconds": 1, "max_seconds": 9}}"#,
        );
        let words = |role: &str| it.links(role).iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        assert_eq!(
            (words("implementer"), words("planner"), words("reviewer")),
            ("b, a (m), a (n)".into(), "b, a (m), a (n)".into(), "a (m), a (n)".into())
        );
        assert_eq!(it.retry, Retry { cycles: 3, delay_ms: 1_000, multiplier: 2, max_ms: 9_000 });
        assert_eq!((it.budgets.attempt.usd, it.budgets.task.tokens), (Some(1.0), Some(5)));
        assert_eq!((it.budgets.run.usd, it.budgets.day.tokens), (Some(2.5), Some(7)));
        assert_eq!(it.utc_offset_seconds, 3600);
        assert_eq!(made("{}").retry, Retry::default());
    }

    #[test]
    fn an_agent_is_another_when_its_program_or_account_is() {
        let identity = |agent: &str| made(&format!(r#"{{"agents": {{"a": {agent}}}}}"#)).agents["a"].identity.clone();
        let one = identity(r#"{"command": "a", "env": {"KEY": "secret"}}"#);
        assert_eq!(one, identity(r#"{"command": ["a"], "env": {"KEY": "secret"}, "models": ["m"]}"#));
        assert_ne!(one, identity(r#"{"command": "a", "env": {"KEY": "other"}}"#));
        assert_ne!(one, identity(r#"{"command": "b", "env": {"KEY": "secret"}}"#));
        assert!(!one.contains("secret"));
    }
}
