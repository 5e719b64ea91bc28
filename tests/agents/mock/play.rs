//! What the model does when nothing goes wrong: a list of steps, one per request.

use super::conversation::Request;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One thing the model does; the names of the tools for it are the agent's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Creates or replaces a file.
    Write { path: String, text: String },
    /// Replaces a text in a file; by rewriting through the shell where the agent has no tool for it.
    Edit { path: String, old: String, new: String },
    /// Reads a file.
    Read { path: String },
    /// Runs a command line.
    Shell(String),
    /// Calls a tool of our server.
    Report { tool: String, arguments: Value },
    /// Calls a tool by its name.
    Call { name: String, arguments: Value },
    /// Says something and ends the turn.
    Say(String),
}

/// A list of steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Play {
    pub steps: Vec<Step>,
    /// Whether the steps are repeated for ever.
    pub endless: bool,
    /// What a reviewer plays instead, where a planner plans.
    pub by_role: Option<&'static str>,
}

/// What the file of `write` and its kin holds.
pub const GREETING: &str = "hello from the model\n";
/// The file they write.
pub const FILE: &str = "hello.txt";
/// The summary they report.
pub const SUMMARY: &str = "Wrote the greeting.";

impl Play {
    /// Returns the step after so many results; a play that is over says so.
    pub fn step(&self, results: usize) -> Step {
        let at = if self.endless { results % self.steps.len().max(1) } else { results };
        self.steps.get(at).cloned().unwrap_or_else(|| Step::Say("All is done.".to_owned()))
    }

    /// Returns what is played for a request: a play by role goes by the tools of ours that are on offer.
    pub fn of_role(self, request: &Request) -> Self {
        let offers = |tool: &str| request.tools.iter().any(|offered| offered.name.ends_with(tool));
        let name = match self.by_role {
            Some(_) if offers("submit_plan") => "plan",
            Some(review) if offers("submit_review") => review,
            _ => return self,
        };
        Self::named(name).unwrap_or(self)
    }

    /// Makes a play of steps that are done once.
    pub fn once(steps: Vec<Step>) -> Self {
        Self { steps, endless: false, by_role: None }
    }

    /// Returns the play of the name.
    pub fn named(name: &str) -> Option<Self> {
        let report = |tool: &str, arguments: Value| Step::Report { tool: tool.to_owned(), arguments };
        let finished = || report("report_finished", json!({ "summary": SUMMARY }));
        let write = || Step::Write { path: FILE.to_owned(), text: GREETING.to_owned() };
        let steps = match name {
            "ok" => vec![],
            "write" => vec![write(), Step::Shell(format!("ralph-sidecar report finished --summary '{SUMMARY}'"))],
            "silent" => vec![write()],
            "shell" => vec![Step::Shell("echo out-of-the-shell".to_owned())],
            "mcp" => vec![write(), finished()],
            // What the role is for: see [`Self::of_role`].
            "work" => return Some(Self { by_role: Some("approve"), ..Self::named("mcp")? }),
            "criticised" => return Some(Self { by_role: Some("findings"), ..Self::named("mcp")? }),
            "plan" => vec![report("submit_plan", plan())],
            "plan-command" => vec![Step::Shell(format!(
                "printf '%s' '{}' | ralph-sidecar report submit-plan -",
                plan().to_string().replace('\'', "")
            ))],
            "finished" => vec![finished()],
            "blocked" => vec![report("report_blocked", json!({ "reason": "There is no network here." }))],
            "ask" => vec![report(
                "report_ask",
                json!({ "question": "Which greeting?", "options": ["hello", "good day"], "recommend": "hello" }),
            )],
            "reports" => vec![
                write(),
                report("report_progress", json!({ "text": "Looking around." })),
                report("report_learned", json!({ "text": "The shell is sh." })),
                report(
                    "report_decided",
                    json!({ "question": "Which greeting?", "chosen": "hello",
                        "rejected": [{ "label": "good day", "reason": "too stiff" }] }),
                ),
                report(
                    "suggest_task",
                    json!({ "task": { "id": "bye", "title": "Say goodbye as well", "acceptance": ["bye.txt says bye"] } }),
                ),
                finished(),
            ],
            "approve" => vec![report("submit_review", json!({ "summary": "It is right.", "findings": [] }))],
            "findings" => vec![report(
                "submit_review",
                json!({ "summary": "One thing is wrong.",
                    "findings": [{ "file": FILE, "line": 1, "text": "It greets nobody by name." }] }),
            )],
            // A tool that runs until somebody stops it.
            "slow" => vec![Step::Shell("sleep 600".to_owned())],
            "runaway" => {
                return Some(Self { endless: true, ..Self::once(vec![Step::Shell("true".to_owned())]) });
            }
            // Reads a large file again and again, until a small context window forgets the task.
            "glutton" => {
                return Some(Self { endless: true, ..Self::once(vec![Step::Read { path: "large.txt".to_owned() }]) });
            }
            // Two files are wrong: it looks, repairs one, sees the check fail, repairs the other.
            "repair" => vec![
                Step::Shell("sh check.sh".to_owned()),
                Step::Read { path: "one.txt".to_owned() },
                Step::Edit { path: "one.txt".to_owned(), old: "wrong".to_owned(), new: "right".to_owned() },
                Step::Shell("sh check.sh".to_owned()),
                Step::Read { path: "two.txt".to_owned() },
                Step::Edit { path: "two.txt".to_owned(), old: "wrong".to_owned(), new: "right".to_owned() },
                Step::Shell("sh check.sh".to_owned()),
                finished(),
            ],
            _ => return None,
        };
        Some(Self::once(steps))
    }
}

/// The plan the model submits: one task, with a check that the play `write` makes pass.
fn plan() -> Value {
    json!({ "tasks": [{
        "id": "greet",
        "title": "Write a greeting",
        "description": format!("Write a friendly greeting into {FILE}."),
        "acceptance": [format!("{FILE} says hello")],
        "verify": [format!("grep hello {FILE}")],
        "files": [FILE],
    }] })
}
