//! What `doctor` finds out about agents: those of the configuration, and those of the machine that are not in it.

use super::{Finding, Health};
use crate::cli::init::first::signed_in;
use crate::infra::agents::built_in::{Probe, probe};
use crate::infra::agents::find::{self, Found, SignedIn, command_line, find_program};
use crate::infra::sandbox;
use crate::protocol::config::{AgentConfig, AgentKind, Role, Settings};
use futures::future::join_all;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// How long a program may take to tell its version; some take seconds.
const VERSION: Duration = Duration::from_secs(10);

/// Looks at every agent of the configuration, then at the others of this machine.
pub async fn examine(settings: &Settings, root: &Path, findings: &mut Vec<Finding>) {
    let found = find::find().await;
    let known = join_all(found.iter().map(|found| version(found.program.as_deref(), found.kind))).await;
    let known: Vec<(&Found, Option<String>)> = found.iter().zip(known).collect();
    for (name, agent) in &settings.agents {
        findings.push(match agent.kind {
            AgentKind::BuiltIn => built_in(name, agent).await,
            _ => configured(name, agent, &known, root),
        });
    }
    let others = known.iter().filter(|(found, _)| !is_configured(settings, found));
    if settings.agents.is_empty() {
        findings.push(none(others.clone().any(|(found, _)| found.is_usable())));
    }
    for (found, version) in others {
        if found.program.is_some() || settings.agents.is_empty() {
            findings.push(unused(found, version.as_deref()));
        }
    }
}

fn is_configured(settings: &Settings, found: &Found) -> bool {
    settings.agents.values().any(|agent| is_same(agent, found))
}

/// Tells whether an agent of the configuration is this program of the machine, found by its bare name.
fn is_same(agent: &AgentConfig, found: &Found) -> bool {
    match found.kind {
        AgentKind::BuiltIn => agent.kind == AgentKind::BuiltIn,
        _ => agent.program().first().is_some_and(|program| program == found.name),
    }
}

fn none(is_one_found: bool) -> Finding {
    let note = Finding::note("agents", "the configuration names none");
    let hint = if is_one_found {
        "ralph-sidecar init writes one with those that were found"
    } else {
        "ralph-sidecar init --agent COMMAND, or at each start: run --agent 'command:PROGRAM ARGS'"
    };
    Finding { hint: Some(hint.to_owned()), ..note }
}

/// An agent of the configuration that is a program.
fn configured(name: &str, agent: &AgentConfig, known: &[(&Found, Option<String>)], root: &Path) -> Finding {
    let program = match agent.kind {
        AgentKind::Scripted => agent.script.as_ref().map(|script| root.join(script)).filter(|path| path.is_file()),
        _ => {
            let path = std::env::var_os("PATH");
            agent.program().first().and_then(|program| find_program(program, path.as_deref(), root))
        }
    };
    let Some(program) = program else {
        let program = agent.program().first().or(agent.script.as_ref()).cloned().unwrap_or_default();
        let problem = Finding::problem("agents", format!("{name}: `{program}` was not found"));
        let known = known.iter().find(|(found, _)| is_same(agent, found)).map(|(found, _)| found.why.clone());
        return Finding { hint: known.or(Some("install it, or put its folder on PATH".to_owned())), ..problem };
    };
    let known = known.iter().find(|(found, _)| is_same(agent, found));
    let version = known.and_then(|(_, version)| version.as_deref());
    let mut words = described(name, &program, version);
    let mut health = Health::Fine;
    if let Some((found, _)) = known {
        words.push_str(&format!("; {}", signed_in(found)));
        // A key may also come from the configuration's own environment.
        if found.signed_in == SignedIn::No && agent.env.is_empty() {
            health = Health::Note;
        }
    }
    Finding { health, hint: Some(lines(name, agent)), ..Finding::fine("agents", words) }
}

/// An agent of the machine that the configuration does not name.
fn unused(found: &Found, version: Option<&str>) -> Finding {
    let Some(program) = &found.program else {
        return Finding::note("agents", format!("{}: {}", found.name, found.why));
    };
    let words = format!("{}; {}; not in the configuration", described(found.name, program, version), signed_in(found));
    Finding { hint: Some(lines(found.name, &found.config)), ..Finding::note("agents", words) }
}

fn described(name: &str, program: &Path, version: Option<&str>) -> String {
    match version {
        Some(version) => format!("{name}: {}, {version}", program.display()),
        None => format!("{name}: {}", program.display()),
    }
}

/// What would be started, for the roles that differ.
fn lines(name: &str, agent: &AgentConfig) -> String {
    let line = |role| command_line(name, agent, role, sandbox::support());
    let (implementer, planner) = (line(Role::Implementer), line(Role::Planner));
    if implementer == planner {
        return format!("starts: {implementer}");
    }
    format!("starts: {implementer}\nas planner: {planner}")
}

/// The built-in agent, by one real call of a tool.
async fn built_in(name: &str, agent: &AgentConfig) -> Finding {
    match probe(agent, None).await {
        Probe::Ready { model, window } => {
            let window = window.map(|window| format!(", a window of {window} tokens")).unwrap_or_default();
            Finding::fine("agents", format!("{name}: the model `{model}` called a tool{window}"))
        }
        Probe::TooWeak { why } => Finding::problem("agents", format!("{name}: too weak to loop: {why}")),
        Probe::Unreachable { why, hint } => {
            let problem = Finding::problem("agents", format!("{name}: {why}"));
            Finding { hint: Some(hint).filter(|hint| !hint.is_empty()), ..problem }
        }
    }
}

/// Asks a program of `PATH` for its version; commands that only the configuration names are not started here.
async fn version(program: Option<&Path>, kind: AgentKind) -> Option<String> {
    let program = program.filter(|_| kind != AgentKind::BuiltIn)?;
    let mut command = tokio::process::Command::new(program);
    command.arg("--version").current_dir("/").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(VERSION, command.output()).await.ok()?.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(str::trim).find(|line| !line.is_empty()).map(|line| line.chars().take(60).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    fn claude(signed_in: SignedIn, why: &str) -> Found {
        Found {
            name: "claude",
            kind: AgentKind::Claude,
            program: Some(PathBuf::from("/opt/claude")),
            signed_in,
            config: AgentConfig { kind: AgentKind::Claude, ..AgentConfig::default() },
            why: why.to_owned(),
        }
    }

    #[test]
    fn an_agent_of_the_machine_is_described() {
        let finding = unused(&claude(SignedIn::Yes, "ANTHROPIC_API_KEY is set"), Some("2.1.197 (Claude Code)"));
        assert_eq!(
            finding.message,
            "claude: /opt/claude, 2.1.197 (Claude Code); signed in (ANTHROPIC_API_KEY is set); not in the configuration"
        );
        let hint = finding.hint.expect("a hint");
        assert!(hint.starts_with("starts: claude -p ") && hint.contains("as planner: claude -p"), "{hint}");
        let missing = Found { program: None, ..claude(SignedIn::Unknown, "it is not installed: npm install") };
        assert_eq!(unused(&missing, None).message, "claude: it is not installed: npm install");
    }

    #[test]
    fn an_agent_that_is_missing_is_a_problem_with_the_next_step() {
        let agent = AgentConfig { command: vec!["/nowhere/agent".to_owned()], ..AgentConfig::default() };
        let finding = configured("mine", &agent, &[], Path::new("/"));
        assert_eq!(
            (finding.health, finding.message.as_str()),
            (Health::Problem, "mine: `/nowhere/agent` was not found")
        );
        assert!(finding.hint.expect("a hint").contains("PATH"));
    }

    #[test]
    fn one_that_is_configured_is_not_told_twice() {
        let found = claude(SignedIn::Yes, "");
        let agents = |agent: AgentConfig| Settings {
            agents: BTreeMap::from([("mine".to_owned(), agent)]),
            ..Settings::default()
        };
        assert!(is_configured(&agents(found.config.clone()), &found));
        let wrapped = AgentConfig { command: vec!["claude".to_owned(), "-p".to_owned()], ..AgentConfig::default() };
        assert!(is_configured(&agents(wrapped), &found));
        assert!(!is_configured(&agents(AgentConfig::default()), &found));
    }
}
