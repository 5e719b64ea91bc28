//! `ralph-sidecar init`: finds the agents of this machine, shows what would be started, and writes a first
//! `.ralph/config.json`, private or shared, and never over one.

pub mod first;

use crate::cli::context::Context;
use crate::cli::error::{data, other, usage};
use crate::cli::output;
use crate::infra::init_files;
use crate::infra::repository::Repository;
use crate::protocol::config::{AgentChoice, AgentConfig};
use crate::protocol::engine_api::ApiError;
use clap::Args;
use first::First;
use serde_json::json;
use std::path::Path;

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
    /// Write what is proposed without asking.
    #[arg(long, short)]
    pub yes: bool,
    /// Show what is proposed as a versioned JSON document; it is written only with --yes.
    #[arg(long, conflicts_with = "agent")]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// Where there is no repository, where a configuration is there already, where no agent was found, and when nothing can
/// be written.
pub async fn run(context: &Context, args: &InitArgs) -> Result<(), ApiError> {
    let repository = context.repository()?;
    let path = repository.workdir().join(".ralph").join("config.json");
    let given = agent(&args.agent)?;
    if path.exists() {
        return Err(data(format!("init: {} is there already and stays as it is", path.display()))
            .with_hint("change it by hand; ralph-sidecar doctor says whether it is right"));
    }
    let text = match given {
        Some(agent) => config_text(&agent)?,
        None => {
            let first = First::find().await;
            if args.json {
                output::json(&first.document(&path))?;
            }
            if !agreed(&first, args)? {
                return Ok(());
            }
            first.text()
        }
    };
    write(&repository, &path, &text, args)
}

/// Shows what was found and asks whether it is meant.
fn agreed(first: &First, args: &InitArgs) -> Result<bool, ApiError> {
    if args.json && !args.yes {
        return Ok(false);
    }
    if first.proposal.chain.is_empty() {
        let words = format!("init: no agent was found that can be used\n{}", first.missing().join("\n"));
        return Err(data(words).with_hint("when one is there, run `ralph-sidecar init` again; for any other program: ralph-sidecar init --agent PROGRAM ARGS"));
    }
    if !args.json {
        output::out(&first.screen());
    }
    if args.yes {
        return Ok(true);
    }
    if !output::can_ask() {
        return Err(usage("init: nobody can be asked whether this is meant, so nothing was written")
            .with_hint("ralph-sidecar init --yes writes it"));
    }
    let answer = output::ask("write this to .ralph/config.json? [Y/n] ");
    let yes = answer.is_some_and(|answer| matches!(answer.to_ascii_lowercase().as_str(), "" | "y" | "yes"));
    if !yes {
        output::line("nothing was written");
    }
    Ok(yes)
}

fn write(repository: &Repository, path: &Path, text: &str, args: &InitArgs) -> Result<(), ApiError> {
    let private = args.private || (!args.shared && asked_private());
    let failed = |error: std::io::Error| other(format!("write {}: {error}", path.display()));
    if private {
        // First, so that git never shows the new folder.
        init_files::exclude(repository.common_dir()).map_err(|error| {
            let list = repository.common_dir().join("info/exclude");
            other(format!("write {}: {error}", list.display()))
        })?;
    }
    if !init_files::write_new(path, text).map_err(failed)? {
        return Err(data(format!("init: {} was written by someone else just now", path.display())));
    }
    if args.json {
        return Ok(());
    }
    output::line(&format!("wrote {}", path.display()));
    output::line(if private {
        "git does not see .ralph/ here; to share it later, take its line out of .git/info/exclude"
    } else {
        ".ralph/ can be committed; what runs on a machine is still trusted there by its user"
    });
    output::line("no check is named yet: put what must pass, such as your tests, into `verify` there");
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
fn config_text(agent: &AgentConfig) -> Result<String, ApiError> {
    let agents = json!({ "default": { "kind": "command", "command": agent.command } });
    let config = json!({ "version": 1, "agents": agents, "verify": [], "protect": [] });
    let text = serde_json::to_string_pretty(&config);
    Ok(text.map_err(|error| other(format!("write the configuration: {error}")))? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::config::{Layer, Role, Settings, parse_config};

    #[test]
    fn what_is_written_can_be_read() {
        for (words, command) in
            [(&["claude -p"][..], vec!["claude", "-p"]), (&["my agent", "--x", "a b"], vec!["my agent", "--x", "a b"])]
        {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let text = config_text(&agent(&words).expect("read").expect("an agent")).expect("a text");
            let (config, warnings) = parse_config(&text).expect("a configuration");
            assert_eq!(warnings, vec![]);
            let settings = Settings::resolve(&[(Layer::Repository, config)]);
            let found = settings.agent_for(Role::Implementer).map(|(_, agent)| agent.command.clone());
            assert_eq!(found, Some(command.into_iter().map(str::to_owned).collect()));
        }
        assert!(agent(&["'open".to_owned()]).is_err());
    }
}
