//! `ralph-sidecar doctor`: looks for everything that would keep a loop from running, and says what to do about each.

mod agents;

use crate::cli::context::Context;
use crate::cli::error::exit_code;
use crate::cli::output;
use crate::cli::style::{Style, clean};
use crate::infra::paths::{Homes, StatePaths};
use crate::infra::repository::Repository;
use crate::infra::sandbox::{self, Support};
use crate::protocol::config::{Config, Layer, Settings, parse_config};
use crate::protocol::engine_api::{ApiError, ErrorKind, Snapshot};
use clap::Args;
use serde::Serialize;
use std::io;
use std::path::Path;

/// Options of `doctor`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct DoctorArgs {
    /// A versioned JSON document.
    #[arg(long)]
    pub json: bool,
}

/// How one thing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    Fine,
    /// Worth knowing; nothing is kept from running.
    Note,
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub what: &'static str,
    pub health: Health,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Finding {
    fn fine(what: &'static str, message: impl Into<String>) -> Self {
        Self { what, health: Health::Fine, message: message.into(), hint: None }
    }

    fn note(what: &'static str, message: impl Into<String>) -> Self {
        Self { health: Health::Note, ..Self::fine(what, message) }
    }

    fn problem(what: &'static str, message: impl Into<String>) -> Self {
        Self { health: Health::Problem, ..Self::fine(what, message) }
    }

    fn of_error(what: &'static str, error: ApiError) -> Self {
        Self { hint: error.hint, ..Self::problem(what, error.message) }
    }
}

/// Runs the command; returns the exit code: 3 with problems.
///
/// # Errors
///
/// Never for a problem: those are the findings.
pub async fn run(context: &Context, args: &DoctorArgs) -> Result<u8, ApiError> {
    let findings = examine(context).await;
    let ill = findings.iter().any(|finding| finding.health == Health::Problem);
    if args.json {
        output::json(&serde_json::json!({ "version": crate::cli::documents::DOCUMENT_VERSION, "findings": findings }))?;
    } else {
        output::out(&text(&findings, context.style));
    }
    Ok(if ill { exit_code(ErrorKind::Data) } else { 0 })
}

/// Renders findings, one per line, each with its hint below.
pub fn text(findings: &[Finding], style: Style) -> String {
    let mut out = String::new();
    for finding in findings {
        let mark = match finding.health {
            Health::Fine => style.green("ok     "),
            Health::Note => style.yellow("note   "),
            Health::Problem => style.red("problem"),
        };
        out.push_str(&format!("{mark} {}: {}\n", finding.what, clean(&finding.message)));
        for line in finding.hint.iter().flat_map(|hint| hint.lines()) {
            out.push_str(&format!("        {}\n", clean(line)));
        }
    }
    out
}

async fn examine(context: &Context) -> Vec<Finding> {
    let repository = match context.repository() {
        Ok(repository) => repository,
        Err(error) => return vec![Finding::of_error("repository", error)],
    };
    let mut findings = vec![Finding::fine("repository", repository.workdir().display().to_string())];
    preflight(&repository, &mut findings);
    state(&repository, &mut findings);
    let settings = configuration(&repository, &mut findings);
    findings.push(fence());
    agents::examine(&settings, repository.workdir(), &mut findings).await;
    match context.connect().await {
        Ok(handle) => match handle.snapshot().await {
            Ok(snapshot) => {
                findings.push(Finding::fine("engine", "it answers"));
                findings.extend(queue(&snapshot));
            }
            Err(error) => findings.push(Finding::of_error("engine", error)),
        },
        Err(error) => findings.push(Finding::of_error("engine", error)),
    }
    findings
}

/// Tells whether agents are held to what they may write to.
fn fence() -> Finding {
    match sandbox::support() {
        Support::Held { abi } => {
            let words =
                format!("Landlock, version {abi} of its interface; agents and checks write only where their work is");
            // What each version added.
            let gap = match abi {
                1 => Some(
                    "moving files between folders fails, and files elsewhere can be cut to nothing; Linux 6.2 mends both",
                ),
                2 => Some("files elsewhere can be cut to nothing; Linux 6.2 mends that"),
                _ => None,
            };
            match gap {
                Some(gap) => Finding { hint: Some(gap.to_owned()), ..Finding::note("fence", words) },
                None => Finding::fine("fence", words),
            }
        }
        Support::Open { why } => {
            let note = Finding::note("fence", format!("there is none: {why}"));
            let hint = "an agent can do anything on this machine that you can do; what changed outside is asked about";
            Finding { hint: Some(hint.to_owned()), ..note }
        }
    }
}

fn preflight(repository: &Repository, findings: &mut Vec<Finding>) {
    match repository.preflight() {
        Ok(problems) => findings.extend(problems.into_iter().map(|problem| {
            let health = if problem.blocking { Health::Problem } else { Health::Note };
            Finding { what: "git", health, message: problem.message, hint: None }
        })),
        Err(error) => findings.push(Finding::problem("git", error.to_string())),
    }
}

fn state(repository: &Repository, findings: &mut Vec<Finding>) {
    let paths = StatePaths::from_env(repository.common_dir())
        .and_then(|paths| paths.checkout_state(repository.workdir()))
        .map_err(ApiError::from);
    match paths {
        Ok(paths) => match tempfile::tempfile_in(&paths.root) {
            Ok(_) => findings.push(Finding::fine("state", paths.root.display().to_string())),
            Err(error) => {
                let message = format!("{} cannot be written: {error}", paths.root.display());
                findings.push(Finding::problem("state", message));
            }
        },
        Err(error) => findings.push(Finding::of_error("state", error)),
    }
}

fn configuration(repository: &Repository, findings: &mut Vec<Finding>) -> Settings {
    let mut layers = Vec::new();
    let user = Homes::from_env().map(|homes| homes.config_file());
    let own = repository.workdir().join(".ralph").join("config.json");
    for (layer, path) in user.ok().map(|path| (Layer::User, path)).into_iter().chain([(Layer::Repository, own)]) {
        if let Some(config) = read_config(&path, findings) {
            layers.push((layer, config));
        }
    }
    let settings = Settings::resolve(&layers);
    findings.extend(settings.problems().into_iter().map(|problem| Finding::problem("configuration", problem)));
    settings
}

fn read_config(path: &Path, findings: &mut Vec<Finding>) -> Option<Config> {
    let shown = path.display();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            findings.push(Finding::problem("configuration", format!("{shown} cannot be read: {error}")));
            return None;
        }
    };
    match parse_config(&text) {
        Ok((config, warnings)) => {
            findings.push(Finding::fine("configuration", shown.to_string()));
            for warning in warnings {
                let place = format!("{shown}:{}:{}", warning.line, warning.column);
                findings.push(Finding::note("configuration", format!("{place}: {}", warning.message)));
            }
            Some(config)
        }
        Err(error) => {
            let place = format!("{shown}:{}:{}", error.line, error.column);
            let problem = Finding::problem("configuration", format!("{place}: {}", error.message));
            findings.push(Finding { hint: error.hint, ..problem });
            None
        }
    }
}

fn queue(snapshot: &Snapshot) -> Vec<Finding> {
    match &snapshot.queue_problem {
        Some(problem) => vec![Finding::problem("queue", problem.clone())],
        None => {
            vec![Finding::fine("queue", crate::cli::style::count(snapshot.tasks.len(), "task", "tasks"))]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_read_at_a_glance() {
        let hinted = Finding { hint: Some("install it".into()), ..Finding::problem("agents", "a: `a` was not found") };
        let findings = [Finding::fine("engine", "it answers"), Finding::note("git", "there are submodules"), hinted];
        insta::assert_snapshot!(text(&findings, Style::PLAIN), @r"
        ok      engine: it answers
        note    git: there are submodules
        problem agents: a: `a` was not found
                install it
        ");
    }

    #[test]
    fn a_broken_configuration_is_named_with_its_place() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("config.json");
        let mut findings = Vec::new();
        assert_eq!(read_config(&path, &mut findings), None);
        assert_eq!(findings, vec![]);
        std::fs::write(&path, "{\n  \"agents\": 3\n}").expect("written");
        assert_eq!(read_config(&path, &mut findings), None);
        assert!(findings[0].message.contains("config.json:2:13"), "{findings:?}");
        assert_eq!(findings[0].health, Health::Problem);
    }
}
