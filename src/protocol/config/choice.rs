//! The agent named on the command line: `--agent NAME` or `--agent 'command:PROGRAM ARGS'`.

use super::agent::split;
use super::{AgentConfig, AgentKind, Config, Role};

/// What `--agent` said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentChoice {
    /// An agent of the configuration, by name.
    Named(String),
    /// An agent described on the spot.
    Inline(AgentConfig),
}

/// Name under which an agent described on the command line appears in the settings.
pub const INLINE_AGENT: &str = "command-line";

impl AgentChoice {
    /// Reads `NAME`, `command:PROGRAM ARGS`, `acp:PROGRAM ARGS` or `scripted:FILE`; the error is a sentence for the person who typed it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(line) = text.strip_prefix("command:") {
            let command = split(line).map_err(|reason| format!("read --agent '{text}': {reason}"))?;
            return Ok(Self::Inline(AgentConfig { kind: AgentKind::Command, command, ..AgentConfig::default() }));
        }
        if let Some(file) = text.strip_prefix("scripted:") {
            if file.trim().is_empty() {
                return Err(format!("read --agent '{text}': name the script file after `scripted:`"));
            }
            let script = Some(file.to_owned());
            return Ok(Self::Inline(AgentConfig { kind: AgentKind::Scripted, script, ..AgentConfig::default() }));
        }
        if let Some(line) = text.strip_prefix("acp:") {
            let command = split(line).map_err(|reason| format!("read --agent '{text}': {reason}"))?;
            return Ok(Self::Inline(AgentConfig { kind: AgentKind::Acp, command, ..AgentConfig::default() }));
        }
        if text.trim().is_empty() {
            return Err("read --agent: give the name of an agent or `command:PROGRAM ARGS`".to_owned());
        }
        Ok(Self::Named(text.to_owned()))
    }

    /// Returns the layer of settings that makes this agent the only one of `role`.
    pub fn into_config(self, role: Role) -> Config {
        let mut config = Config::default();
        let name = match self {
            Self::Named(name) => name,
            Self::Inline(agent) => {
                config.agents.insert(INLINE_AGENT.to_owned(), agent);
                INLINE_AGENT.to_owned()
            }
        };
        config.chains.set(role, vec![name]);
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let AgentChoice::Inline(agent) = AgentChoice::parse("command:sh -c 'echo hi'").unwrap() else {
            panic!("inline")
        };
        assert_eq!(agent.command, ["sh", "-c", "echo hi"]);
        let AgentChoice::Inline(agent) = AgentChoice::parse("scripted:a b.json").unwrap() else { panic!("inline") };
        assert_eq!((agent.kind, agent.script.as_deref()), (AgentKind::Scripted, Some("a b.json")));
        assert_eq!(AgentChoice::parse("claude").unwrap(), AgentChoice::Named("claude".into()));
        for bad in ["", "command:", "command:'open", "scripted: "] {
            assert!(AgentChoice::parse(bad).is_err(), "{bad}");
        }
    }
}
