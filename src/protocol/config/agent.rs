//! How one agent is started, heard and stopped.

use schemars::JsonSchema;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

/// An agent and how it is driven.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object")]
pub struct AgentConfig {
    /// How the agent is driven.
    pub kind: AgentKind,
    /// The program and its arguments: a list, or one line that is split like a shell would. No shell runs it.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "command_words")]
    #[schemars(with = "CommandForm")]
    pub command: Vec<String>,
    /// For `scripted`: the file that says what the agent does, relative to the root of the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// What counts as the agent's claim that it finished.
    pub claims: Claims,
    /// Models to try in order; empty means the agent's own default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// For `built-in`: the base address of the endpoint; Ollama on this machine when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// For `built-in`: the environment variable that holds the key of the endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// Whether your own instructions, servers and settings of the agent apply; by default they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inherit: Option<bool>,
    /// Further folders the agent may write to, besides those every agent of its kind may; `~` is your home folder.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub write: Vec<String>,
    /// Environment variables set for the agent.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Signals sent to stop it, in order, before it is killed; terminate by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<StopStep>,
}

/// How an agent is driven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AgentKind {
    /// A program that reads the prompt from its standard input.
    #[default]
    Command,
    /// A built-in agent that follows a script, for tests and demonstrations.
    Scripted,
    /// Any agent that speaks the Agent Client Protocol over its standard streams.
    Acp,
    /// Claude Code.
    Claude,
    /// Codex.
    Codex,
    /// Our own agent on a model: of Ollama on this machine, or of any endpoint that speaks as OpenAI does.
    BuiltIn,
}

/// What counts as the agent's claim that it finished; our checks decide either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Claims {
    /// A report through `ralph-sidecar report`, the MCP tools or the fenced block.
    #[default]
    Report,
    /// Exit status 0 is a claim as well, for programs that know nothing of reports.
    ExitStatus,
}

/// One step of stopping an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StopStep {
    /// `SIGINT`.
    Interrupt,
    /// `SIGTERM`.
    Terminate,
}

impl AgentConfig {
    /// Returns what a person must trust before this agent may start: its environment and its command line, in one
    /// canonical form that does not depend on how they were written down.
    ///
    /// The environment is part of it because variables such as `LD_PRELOAD` or `PATH` choose what runs.
    pub fn trust_string(&self) -> String {
        let command = match self.kind {
            AgentKind::Command => join(&self.command),
            AgentKind::Acp => join(&[&["acp".to_owned()], self.command.as_slice()].concat()),
            AgentKind::Claude | AgentKind::Codex => join(self.program()),
            // What it is told goes there.
            AgentKind::BuiltIn => {
                join(&["built-in".to_owned()].into_iter().chain(self.url.clone()).collect::<Vec<_>>())
            }
            AgentKind::Scripted => join(&["scripted".to_owned(), self.script.clone().unwrap_or_default()]),
        };
        // Written as a shell would read assignments, which no word of a command can look like once it is quoted.
        let assignments = self.env.iter().map(|(name, value)| format!("{name}={}", join(std::slice::from_ref(value))));
        assignments.chain([command]).collect::<Vec<_>>().join(" ")
    }

    /// Returns the program with its first arguments: what the configuration says, or the one every such agent has.
    pub fn program(&self) -> &[String] {
        static CLAUDE: LazyLock<[String; 1]> = LazyLock::new(|| ["claude".to_owned()]);
        static CODEX: LazyLock<[String; 1]> = LazyLock::new(|| ["codex".to_owned()]);
        match self.kind {
            AgentKind::Claude if self.command.is_empty() => &*CLAUDE,
            AgentKind::Codex if self.command.is_empty() => &*CODEX,
            _ => &self.command,
        }
    }

    /// Tells whether a driver of ours speaks with it, whose output is lines of [`crate::protocol::agent_lines`].
    pub fn is_driven(&self) -> bool {
        matches!(self.kind, AgentKind::Acp | AgentKind::Claude | AgentKind::Codex | AgentKind::BuiltIn)
    }

    /// Returns the signals to send, in order.
    pub fn stop_steps(&self) -> &[StopStep] {
        if self.stop.is_empty() { &[StopStep::Terminate] } else { &self.stop }
    }
}

/// Joins words so that a shell would split them again; a NUL, which no command line can hold, becomes a space.
pub(super) fn join(words: &[String]) -> String {
    let clean: Vec<String> = words.iter().map(|word| word.replace('\0', " ")).collect();
    shlex::try_join(clean.iter().map(String::as_str)).unwrap_or_else(|_| clean.join(" "))
}

/// Splits a command line; the error says what is wrong with it.
pub(super) fn split(line: &str) -> Result<Vec<String>, &'static str> {
    let words = shlex::split(line).ok_or("this command line ends inside a quote or after a backslash")?;
    checked(words)
}

fn checked(words: Vec<String>) -> Result<Vec<String>, &'static str> {
    match words.first() {
        None => Err("a command needs at least the program"),
        Some(program) if program.trim().is_empty() => Err("the program of a command must not be empty"),
        Some(_) if words.iter().any(|word| word.contains('\0')) => Err("a command must not contain a NUL character"),
        Some(_) => Ok(words),
    }
}

/// The two ways to write a command; only the schema uses it.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used; the values are read by `command_words`")]
enum CommandForm {
    Line(String),
    Words(Vec<String>),
}

fn command_words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct CommandVisitor;
    impl<'de> Visitor<'de> for CommandVisitor {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a command line or a list of words")
        }

        fn visit_str<E: de::Error>(self, line: &str) -> Result<Vec<String>, E> {
            split(line).map_err(E::custom)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<String>, A::Error> {
            let mut words = Vec::new();
            while let Some(word) = seq.next_element()? {
                words.push(word);
            }
            checked(words).map_err(de::Error::custom)
        }
    }
    deserializer.deserialize_any(CommandVisitor)
}
