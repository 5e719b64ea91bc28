//! `ralph-sidecar init`: writes a first `.ralph/config.json`, private or shared, and never over one.

use super::context::Context;
use super::error::{data, other, usage};
use super::output;
use crate::infra::init_files;
use crate::protocol::config::{AgentChoice, AgentConfig};
use crate::protocol::engine_api::ApiError;
use clap::Args;
use serde_json::{Map, Value, json};

/// Options of `init`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct InitArgs {
    /// Keep `.ralph/` out of git, for you alone (`.git/info/exclude`).
    #[arg(long, conflicts_with = "shared")]
    pub private: bool,
    /// Let `.ralph/` be committed, for everybody who works here.
    #[arg(long)]
    pub shared: bool,
    /// The agent: the command that reads a prompt from its standard input, with its arguments.
    #[arg(long, value_name = "COMMAND", num_args = 1.., allow_hyphen_values = true)]
    pub agent: Vec<String>,
}

/// Runs the command.
///
/// # Errors
///
/// Where there is no repository, where a configuration is there already, and when nothing can be written.
pub fn run(context: &Context, args: &InitArgs) -> Result<(), ApiError> {
    let repository = context.repository()?;
    let path = repository.workdir().join(".ralph").join("config.json");
    let text = config_text(&agent(&args.agent)?)?;
    if path.exists() {
        return Err(data(format!("init: {} is there already and stays as it is", path.display()))
            .with_hint("change it by hand; ralph-sidecar doctor says whether it is right"));
    }
    let private = args.private || (!args.shared && asked_private());
    let failed = |error: std::io::Error| other(format!("write {}: {error}", path.display()));
    if private {
        // First, so that git never shows the new folder.
        init_files::exclude(repository.common_dir()).map_err(|error| {
            let list = repository.common_dir().join("info/exclude");
            other(format!("write {}: {error}", list.display()))
        })?;
    }
    if !init_files::write_new(&path, &text).map_err(failed)? {
        return Err(data(format!("init: {} was written by someone else just now", path.display())));
    }
    output::line(&format!("wrote {}", path.display()));
    output::line(if private {
        "git does not see .ralph/ here (.git/info/exclude); ralph-sidecar init --shared would let it be committed"
    } else {
        ".ralph/ can be committed; what runs on a machine is still trusted there by its user"
    });
    if args.agent.is_empty() {
        output::line("name your agent in it, or at each start: ralph-sidecar run --agent 'command:PROGRAM ARGS'");
    }
    output::line("next: ralph-sidecar plan \"GOAL\", or ralph-sidecar plan --from todos");
    Ok(())
}

fn asked_private() -> bool {
    if !output::can_ask() {
        return true;
    }
    let answer = output::ask("keep .ralph/ private to you, or share it by git? [P/s] ");
    !answer.is_some_and(|answer| matches!(answer.to_ascii_lowercase().as_str(), "s" | "share" | "shared"))
}

fn agent(words: &[String]) -> Result<Option<AgentConfig>, ApiError> {
    let line = match words {
        [] => return Ok(None),
        [line] => line.clone(),
        words => shlex::try_join(words.iter().map(String::as_str))
            .map_err(|error| usage(format!("read --agent: {error}")))?,
    };
    match AgentChoice::parse(&format!("command:{line}")).map_err(usage)? {
        AgentChoice::Inline(agent) => Ok(Some(agent)),
        AgentChoice::Named(_) => Err(usage("read --agent: give the command that starts the agent")),
    }
}

/// Returns the first configuration: everything at its default but the agent.
fn config_text(agent: &Option<AgentConfig>) -> Result<String, ApiError> {
    let mut agents = Map::new();
    if let Some(agent) = agent {
        agents.insert("default".to_owned(), json!({ "kind": "command", "command": agent.command }));
    }
    let config = json!({ "version": 1, "agents": Value::Object(agents), "verify": [], "protect": [] });
    let text = serde_json::to_string_pretty(&config);
    Ok(text.map_err(|error| other(format!("write the configuration: {error}")))? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::config::{Layer, Role, Settings, parse_config};

    #[test]
    fn what_is_written_can_be_read() {
        for (words, command) in [
            (&["claude -p"][..], Some(vec!["claude", "-p"])),
            (&["my agent", "--x", "a b"], Some(vec!["my agent", "--x", "a b"])),
            (&[], None),
        ] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let text = config_text(&agent(&words).expect("an agent")).expect("a text");
            let (config, warnings) = parse_config(&text).expect("a configuration");
            assert_eq!(warnings, vec![]);
            let settings = Settings::resolve(&[(Layer::Repository, config)]);
            let found = settings.agent_for(Role::Implementer).map(|(_, agent)| agent.command.clone());
            assert_eq!(found, command.map(|words| words.into_iter().map(str::to_owned).collect()));
        }
        assert!(agent(&["'open".to_owned()]).is_err());
    }
}
