//! The first configuration of a repository: what was found on this machine, what is proposed, and how that is shown.

use crate::cli::documents::DOCUMENT_VERSION;
use crate::infra::agents::find::{self, Found, Proposal, SignedIn};
use crate::infra::sandbox::{self, Support};
use crate::protocol::config::{AgentConfig, AgentKind, CONFIG_VERSION, Role, Settings};
use serde_json::{Value, json};
use std::path::Path;

/// The most a task may cost before a person is asked, in US dollars: what an agent that runs away may spend unseen.
const FIRST_USD: f64 = 5.0;
/// The roles whose command lines are shown; the others start what the implementer starts.
const SHOWN: [Role; 2] = [Role::Implementer, Role::Planner];

/// What was found, and what would be written.
pub struct First {
    pub found: Vec<Found>,
    pub proposal: Proposal,
    pub support: Support,
}

impl First {
    /// Looks at this machine.
    pub async fn find() -> Self {
        let found = find::find().await;
        Self { proposal: find::propose(&found), found, support: sandbox::support().clone() }
    }

    /// The text of the configuration.
    pub fn text(&self) -> String {
        format!("{:#}\n", self.config())
    }

    fn config(&self) -> Value {
        let chain = &self.proposal.chain;
        let agents: serde_json::Map<String, Value> =
            chain.iter().map(|name| (name.clone(), concise(json!(self.proposal.agents[name])))).collect();
        json!({
            "version": CONFIG_VERSION,
            "agents": agents,
            "chains": { "implementer": chain },
            "limits": { "usd": FIRST_USD },
            "verify": [],
            "protect": [],
        })
    }

    /// What trusting this configuration trusts.
    pub fn commands(&self) -> Vec<String> {
        let mut commands: Vec<String> =
            self.proposal.chain.iter().map(|name| self.proposal.agents[name].trust_string()).collect();
        commands.dedup();
        commands
    }

    /// One line for each agent that cannot be used: what to install or to do.
    pub fn missing(&self) -> Vec<String> {
        let missing = self.found.iter().filter(|found| !found.is_usable());
        missing.map(|found| format!("  {}: {}", found.name, found.why)).collect()
    }

    /// The bounds of a first start, as one sentence.
    pub fn bounds(&self) -> String {
        let limits = Settings::default().limits;
        format!(
            "at most {} attempts a task, {} min each, {} h a run, and ${FIRST_USD:.2} a task as far as agents tell",
            limits.attempts,
            limits.attempt_seconds / 60,
            limits.run_seconds / 3600
        )
    }

    /// The agents in order, each with how it was found.
    fn chain_lines(&self) -> Vec<String> {
        let named = |name: &String| self.found.iter().find(|found| found.name == name);
        let lines = self.proposal.chain.iter().filter_map(named).enumerate().map(|(index, found)| {
            let program = found.program.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
            format!("  {}. {} ({program}): {}", index + 1, found.name, signed_in(found))
        });
        lines.collect()
    }

    /// The command lines of a role, in order.
    fn command_lines(&self, role: Role) -> Vec<(String, String)> {
        let line = |name: &String| find::command_line(name, &self.proposal.agents[name], role, &self.support);
        self.proposal.chain.iter().map(|name| (name.clone(), line(name))).collect()
    }

    /// Everything a person must see before they agree, for a terminal.
    pub fn screen(&self) -> String {
        let mut lines = vec!["agents, tried in this order:".to_owned()];
        lines.extend(self.chain_lines());
        for role in SHOWN {
            lines.push(format!("started as {role}:"));
            lines.extend(self.command_lines(role).into_iter().map(|(_, line)| format!("  {line}")));
        }
        lines.push(format!("a start: {}", self.bounds()));
        lines.push(match &self.support {
            Support::Held { .. } => "a write fence holds them to their worktree and their own folders".to_owned(),
            Support::Open { why } => {
                format!("there is no write fence ({why}): they can do anything on this machine that you can do")
            }
        });
        let missing = self.missing();
        if !missing.is_empty() {
            lines.push("not used:".to_owned());
            lines.extend(missing);
        }
        lines.join("\n") + "\n"
    }

    /// The same in a few lines, for an editor's question.
    pub fn question(&self) -> String {
        let own = self.proposal.agents.values().filter(|agent| agent.kind == AgentKind::BuiltIn);
        let own: Vec<String> = own.map(AgentConfig::trust_string).collect();
        let commands: String =
            self.commands().iter().map(|command| format!("\n• {command}{}", of_ours(&own, command))).collect();
        let fence = match &self.support {
            Support::Held { .. } => "A write fence holds them to their worktree.",
            Support::Open { .. } => "There is no write fence here: they can do anything you can do.",
        };
        format!(
            "No agent is configured here. Found: {}. Ralph would start, in worktrees of its own:{commands}\n{}. {fence}",
            self.proposal.chain.join(", then "),
            capitalised(&self.bounds())
        )
    }

    /// The document for clients.
    pub fn document(&self, path: &Path) -> Value {
        let lines = |role: Role| -> Value { self.command_lines(role).into_iter().collect() };
        json!({
            "version": DOCUMENT_VERSION,
            "path": path,
            "found": self.found,
            "chain": self.proposal.chain,
            "command_lines": { "implementer": lines(Role::Implementer), "planner": lines(Role::Planner) },
            "trusts": self.commands(),
            "bounds": self.bounds(),
            "fence": self.support.is_held(),
            "config": self.config(),
        })
    }
}

/// Says whether somebody is signed in, and how that was told.
pub fn signed_in(found: &Found) -> String {
    match found.signed_in {
        SignedIn::Yes => format!("signed in ({})", found.why),
        SignedIn::No | SignedIn::Unknown => found.why.clone(),
    }
}

/// Says what the agent is that has no program of its own.
fn of_ours(own: &[String], command: &str) -> &'static str {
    if own.iter().any(|ours| ours == command) { ", our own agent, with a model of Ollama" } else { "" }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Leaves out what is at its default.
fn concise(mut agent: Value) -> Value {
    if let Some(members) = agent.as_object_mut() {
        members.retain(|name, value| name == "kind" || *value != json!("report"));
    }
    agent
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::config::{Layer, parse_config};
    use std::path::PathBuf;

    fn found(name: &'static str, kind: AgentKind, command: &[&str], signed_in: SignedIn, why: &str) -> Found {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        let config = AgentConfig { kind, command, ..AgentConfig::default() };
        let program = (!why.contains("not installed")).then(|| PathBuf::from(format!("/usr/bin/{name}")));
        Found { name, kind, program, signed_in, config, why: why.to_owned() }
    }

    fn first() -> First {
        let found = vec![
            found("claude", AgentKind::Claude, &[], SignedIn::No, "nobody is signed in: run `claude` once and sign in"),
            found("codex", AgentKind::Codex, &[], SignedIn::Yes, "/home/ann/.codex/auth.json is there"),
            found("opencode", AgentKind::Acp, &["opencode", "acp"], SignedIn::Unknown, "it shows at its first request"),
            found(
                "gemini",
                AgentKind::Acp,
                &["gemini", "--acp"],
                SignedIn::Unknown,
                "it is not installed: npm install",
            ),
        ];
        First { proposal: find::propose(&found), found, support: Support::Held { abi: 7 } }
    }

    #[test]
    fn everything_that_matters_is_on_one_screen() {
        insta::assert_snapshot!(first().screen(), @r"
        agents, tried in this order:
          1. codex (/usr/bin/codex): signed in (/home/ann/.codex/auth.json is there)
          2. opencode (/usr/bin/opencode): it shows at its first request
        started as implementer:
          codex app-server
          opencode acp
        started as planner:
          codex app-server
          opencode acp
        a start: at most 4 attempts a task, 45 min each, 8 h a run, and $5.00 a task as far as agents tell
        a write fence holds them to their worktree and their own folders
        not used:
          claude: nobody is signed in: run `claude` once and sign in
          gemini: it is not installed: npm install
        ");
        insta::assert_snapshot!(first().question(), @r"
        No agent is configured here. Found: codex, then opencode. Ralph would start, in worktrees of its own:
        • codex
        • acp opencode acp
        At most 4 attempts a task, 45 min each, 8 h a run, and $5.00 a task as far as agents tell. A write fence holds them to their worktree.
        ");
    }

    #[test]
    fn our_own_agent_is_introduced() {
        let found = vec![found("built-in", AgentKind::BuiltIn, &[], SignedIn::Unknown, "Ollama has a model")];
        let first = First { proposal: find::propose(&found), found, support: Support::Held { abi: 7 } };
        insta::assert_snapshot!(first.question().lines().nth(1).unwrap_or_default(), @"• built-in, our own agent, with a model of Ollama");
    }

    #[test]
    fn what_is_written_is_what_was_shown() {
        let first = first();
        let written: Value = serde_json::from_str(&first.text()).expect("JSON");
        let expected = json!({
            "version": 1,
            "agents": { "codex": { "kind": "codex" }, "opencode": { "kind": "acp", "command": ["opencode", "acp"] } },
            "chains": { "implementer": ["codex", "opencode"] },
            "limits": { "usd": FIRST_USD },
            "verify": [],
            "protect": [],
        });
        assert_eq!(written, expected);
        let (config, warnings) = parse_config(&first.text()).expect("a configuration");
        assert_eq!(warnings, vec![]);
        let settings = Settings::resolve(&[(Layer::Repository, config)]);
        for role in [Role::Planner, Role::Implementer, Role::Reviewer] {
            let names: Vec<&str> = settings.agents_for(role).map(|(name, _)| name).collect();
            assert_eq!(names, ["codex", "opencode"], "{role}");
        }
        assert_eq!(settings.commands(), first.commands());
        assert_eq!(settings.limits.usd, Some(FIRST_USD));
    }
}
