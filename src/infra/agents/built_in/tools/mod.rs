//! What the built-in agent can do: look at files, change them, run commands, and report. What each role may do is
//! decided by which tools it is given; a call of another one is answered with those there are.

mod files;
mod given;
mod paths;
mod run;
mod search;
mod specs;

pub use paths::Slot;
pub use specs::{SMALL, report as report_spec, specs};

use super::chat::{Arguments, ToolCall, ToolSpec};
use super::window::output_limit;
use crate::domain::report::Report;
use crate::infra::agent_side::{Attempt, NOT_INSIDE};
use crate::protocol::config::Role;
use crate::protocol::report_tools;
use given::Given;
use serde_json::Value;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What a call gave.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// For the model.
    Done(String),
    /// A report after which nothing is left to do was delivered.
    Last(Report),
    /// A command seems to have delivered such a report; what it printed.
    Over(String),
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
    /// Where reports go; none outside of one.
    attempt: Option<Attempt>,
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
        attempt: Option<Attempt>,
        limit: usize,
        without: Vec<String>,
        stop: CancellationToken,
    ) -> Self {
        Self { slot, specs, attempt, limit, without, stop }
    }

    pub fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    /// Returns the tools in the words that are sent with every call.
    pub fn as_told(&self) -> Vec<Value> {
        self.specs.iter().map(ToolSpec::to_value).collect()
    }

    /// Offers what has room in a window of so many tokens, with outputs that have room too.
    pub fn fit(&mut self, role: Role, window: u64) {
        self.specs = specs(role, Some(window));
        self.limit = self.limit.min(output_limit(Some(window)));
    }

    pub fn attempt(&self) -> Option<Attempt> {
        self.attempt.clone()
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
        if let (Some(tool), Arguments::Read(map)) = (report_tools::tool(spec.name), &call.arguments) {
            return match tool.call(map.clone()) {
                Ok(report_tools::ToolCall::Report(report)) => self.deliver(report, tool.taken),
                Ok(report_tools::ToolCall::CheckInbox) => Outcome::Done(tool.taken.to_owned()),
                Err(wrong) => Outcome::Wrong(wrong),
            };
        }
        let result = match spec.name {
            "read" => files::read(&self.slot, &given, self.limit),
            "list" => files::list(&self.slot, &given, self.limit),
            "edit" => files::edit(&self.slot, &given),
            "write" => files::write(&self.slot, &given),
            "search" => self.search(&given).await,
            "run" => return self.run(&given).await.unwrap_or_else(Outcome::Wrong),
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

    async fn run(&self, given: &Given<'_>) -> Result<Outcome, String> {
        let command = given.text("command")?;
        if command.trim().is_empty() || command.contains('\0') {
            return Err(given.wrong("command", "must be a shell command"));
        }
        let timeout = given.number("timeout_seconds")?.map_or(run::TIMEOUT, Duration::from_secs).min(run::MAX_TIMEOUT);
        let ran = run::run(&self.slot, command, &self.without, timeout, self.limit, &self.stop).await;
        let ran = ran.map_err(|error| format!("failed to run the command: {error}"))?;
        let output = ran.output.trim_end();
        let output = if output.is_empty() { "(no output)" } else { output };
        let text = format!("({})\n{output}", run::ended(ran.end));
        Ok(if ran.is_success() && ends_with_last_report(command) { Outcome::Over(text) } else { Outcome::Done(text) })
    }

    fn deliver(&self, report: Report, taken: &str) -> Outcome {
        let Some(attempt) = &self.attempt else { return Outcome::Broken(NOT_INSIDE.to_owned()) };
        match attempt.report(report.clone()) {
            Ok(()) if is_last(&report) => Outcome::Last(report),
            Ok(()) => Outcome::Done(taken.to_owned()),
            Err(error) => Outcome::Broken(format!("report: {error}")),
        }
    }
}

/// Tells whether nothing is left to do after the report.
fn is_last(report: &Report) -> bool {
    report.is_verdict() || matches!(report, Report::SubmitPlan { .. } | Report::Review { .. })
}

/// Tells whether a line of commands that succeeded has reported by its last one that the work is over.
///
/// The prompt speaks of that command. Where this misses one, the turn goes on until the model stops; where a `||` makes
/// it doubtful that the command ran, it counts for nothing.
fn ends_with_last_report(line: &str) -> bool {
    if line.contains("||") {
        return false;
    }
    let mut commands = line.split(['\n', ';', '|', '&']).map(str::trim).filter(|command| !command.is_empty());
    let mut words = commands.next_back().unwrap_or_default().split_whitespace();
    let is_ours = words.next().is_some_and(|program| program.rsplit('/').next() == Some("ralph-sidecar"));
    is_ours
        && words.next() == Some("report")
        && matches!(words.next(), Some("finished" | "blocked" | "ask" | "submit-plan" | "review"))
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
        Role::Planner => "`submit_plan`",
        Role::Reviewer => "`submit_review`",
        Role::Implementer | Role::Fixer | Role::Committer => "`report_finished`, `report_ask` or `report_blocked`",
    }
}

#[cfg(test)]
#[path = "../tests/tools.rs"]
mod tests;
