//! What the built-in agent can do: look at files, change them, run commands, and report. What each role may do is
//! decided by which tools it is given; a call of another one is answered with those there are.

mod files;
mod given;
mod paths;
mod reports;
mod run;
mod search;
mod specs;

pub use paths::Slot;
pub use specs::{spec, specs};

use super::chat::{Arguments, ToolCall, ToolSpec};
use crate::domain::report::Report;
use crate::infra::agent_side;
use crate::protocol::config::Role;
use given::Given;
use std::path::PathBuf;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What a call gave.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// For the model.
    Done(String),
    /// A report after which nothing is left to do was delivered.
    Last(Report),
    /// The call was wrong; says how to do it right.
    Wrong(String),
    /// It could not be done, and the turn cannot go on. Reads after "failed to".
    Broken(String),
}

/// The tools of one turn.
#[derive(Debug)]
pub struct Toolbox {
    pub slot: Slot,
    specs: Vec<ToolSpec>,
    /// Where reports go; none outside an attempt.
    mailbox: Option<PathBuf>,
    nonce: String,
    /// Bytes of one output.
    limit: usize,
    /// Variables that commands must not see: the key of the endpoint.
    without: Vec<String>,
    stop: CancellationToken,
}

impl Toolbox {
    pub fn new(
        slot: Slot,
        specs: Vec<ToolSpec>,
        mailbox: (Option<PathBuf>, String),
        limit: usize,
        without: Vec<String>,
        stop: CancellationToken,
    ) -> Self {
        let (mailbox, nonce) = mailbox;
        Self { slot, specs, mailbox, nonce, limit, without, stop }
    }

    pub fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    /// Carries out a call.
    pub async fn call(&self, call: &ToolCall) -> Outcome {
        let Some(spec) = self.specs.iter().find(|spec| spec.name == call.name) else {
            let names: Vec<&str> = self.specs.iter().map(|spec| spec.name).collect();
            return Outcome::Wrong(format!(
                "there is no tool `{}` here; there are `{}`",
                call.name,
                names.join("`, `")
            ));
        };
        let given = match Given::read(spec, &call.arguments) {
            Ok(given) => given,
            Err(wrong) => return Outcome::Wrong(wrong),
        };
        if let Some(report) = reports::report(spec.name, &given) {
            return match report {
                Ok(report) => self.deliver(report),
                Err(wrong) => Outcome::Wrong(wrong),
            };
        }
        let result = match spec.name {
            "read" => files::read(&self.slot, &given, self.limit),
            "list" => files::list(&self.slot, &given, self.limit),
            "edit" => files::edit(&self.slot, &given),
            "write" => files::write(&self.slot, &given),
            "search" => self.search(&given).await,
            "run" => self.run(&given).await,
            name => Err(format!("the tool `{name}` does nothing")),
        };
        result.map_or_else(Outcome::Wrong, Outcome::Done)
    }

    async fn search(&self, given: &Given<'_>) -> Result<String, String> {
        let query = search::Query::read(&self.slot, given)?;
        let (slot, limit, stop) = (self.slot.clone(), self.limit, self.stop.clone());
        let found = tokio::task::spawn_blocking(move || query.run(&slot, limit, &stop)).await;
        found.map_err(|error| format!("failed to search: {error}"))
    }

    async fn run(&self, given: &Given<'_>) -> Result<String, String> {
        let command = given.text("command")?;
        if command.trim().is_empty() || command.contains('\0') {
            return Err(given.wrong("command", "must be a shell command"));
        }
        if let Some(report) = report_command(command) {
            return Err(format!("here, reports are tools of their own: call `{report}` instead of running a command"));
        }
        let timeout = given.number("timeout_seconds")?.map_or(run::TIMEOUT, Duration::from_secs).min(run::MAX_TIMEOUT);
        let ran = run::run(&self.slot, command, &self.without, timeout, self.limit, &self.stop).await;
        let ran = ran.map_err(|error| format!("failed to run the command: {error}"))?;
        let output = ran.output.trim_end();
        let output = if output.is_empty() { "(no output)" } else { output };
        Ok(format!("({})\n{output}", run::ended(ran.end)))
    }

    fn deliver(&self, report: Report) -> Outcome {
        let Some(mailbox) = &self.mailbox else {
            return Outcome::Broken("report: there is no mailbox, so this is not inside an attempt".into());
        };
        match agent_side::deliver(mailbox, self.nonce.clone(), report.clone()) {
            Ok(()) if reports::is_last(&report) => Outcome::Last(report),
            Ok(()) => Outcome::Done("noted".into()),
            Err(error) => Outcome::Broken(format!("report: {error}")),
        }
    }
}

/// Returns the tool that stands for a `ralph-sidecar report …` among the commands of a line.
///
/// The prompt speaks of that command, which would report all right, but this loop would not know that it is over.
fn report_command(line: &str) -> Option<String> {
    line.split(['\n', ';', '|', '&']).find_map(|command| {
        let mut words = command.split_whitespace();
        let program = words.next()?;
        let is_ours = program == "ralph-sidecar" || program.ends_with("/ralph-sidecar");
        if !is_ours || words.next()? != "report" {
            return None;
        }
        Some(match words.next()? {
            name @ ("finished" | "blocked" | "ask" | "progress" | "learned" | "decided") => format!("report_{name}"),
            name => name.replace('-', "_"),
        })
    })
}

/// Says in a few words what a call does, for progress and transcripts.
pub fn title(call: &ToolCall) -> String {
    let Arguments::Read(map) = &call.arguments else { return call.name.clone() };
    let field = ["path", "pattern", "command", "summary", "question", "reason", "text", "title"];
    let about = field.iter().find_map(|field| map.get(*field)?.as_str());
    match about {
        Some(about) => format!("{} {}", call.name, super::failure::shorten(about, 100)),
        None => call.name.clone(),
    }
}

/// Tells what a role's work ends with.
pub fn last_tools(role: Role) -> &'static str {
    match role {
        Role::Planner => "`submit_plan`, or `report_blocked`",
        Role::Reviewer => "`submit_review`, or `report_blocked`",
        Role::Implementer | Role::Fixer | Role::Committer => "`report_finished`, `report_ask` or `report_blocked`",
    }
}

#[cfg(test)]
#[path = "../tests/tools.rs"]
mod tests;
