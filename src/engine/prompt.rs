//! Prompts: the templates beside this file, or the repository's own, filled with what a fresh context has to know.

use super::ports::{PortError, PortResult, World};
use crate::domain::outcome::AttemptEnd;
use crate::domain::state::{Record, State};
use crate::domain::task::{Task, TaskId};
use crate::protocol::config::Settings;
use crate::protocol::engine_api::PlanContext;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;
use serde_json::json;

const IMPLEMENTER: &str = include_str!("prompts/implementer.md");
const PLANNER: &str = include_str!("prompts/planner.md");
/// How many learnings of other tasks a prompt carries; the newest ones.
const LEARNINGS: usize = 40;

#[derive(Serialize)]
struct Failure {
    number: u32,
    outcome: &'static str,
    detail: String,
    text: Option<String>,
    fence: String,
    /// Whether its changes are in the slot.
    continued: bool,
}

#[derive(Serialize)]
struct Answered {
    question: String,
    answer: String,
}

/// Makes the prompt of an attempt. Nothing is cut.
///
/// # Errors
///
/// When the repository's own template cannot be read or does not render; names it and the line.
pub async fn implementer(
    world: &World,
    settings: &Settings,
    state: &State,
    task: &Task,
    nonce: &str,
    continued: bool,
    stands_on: &[String],
) -> PortResult<String> {
    let record = state.record(&task.id);
    let last = record.and_then(last_failure);
    let failure = last.map(|(number, end)| Failure {
        number,
        outcome: end.outcome.as_str(),
        detail: end.detail.clone(),
        fence: fence_for(end.failure.as_deref().unwrap_or_default()),
        text: end.failure.clone(),
        continued,
    });
    let checks: Vec<String> =
        task.verify.iter().chain(&settings.verify).map(crate::protocol::config::trust_string).collect();
    let skip = state.learnings.len().saturating_sub(LEARNINGS);
    let learnings: Vec<&str> = state.learnings.iter().skip(skip).map(|learning| learning.text.as_str()).collect();
    let goal = task.goal.as_ref().and_then(|id| state.goals.iter().find(|goal| goal.id == *id));
    let values = json!({
        "task": task,
        "goal": goal.map(|goal| goal.text.as_str()),
        "checks": checks,
        "protect": settings.protect,
        "answers": answers(state, &task.id),
        "notes": record.map(|record| record.notes.clone()).unwrap_or_default(),
        "learnings": learnings,
        "stands_on": stands_on,
        "failure": failure,
        "nonce": nonce,
    });
    render(world, "implementer", IMPLEMENTER, values).await
}

/// What the planner has to know.
pub struct PlanPrompt<'a> {
    pub goal: &'a str,
    pub context: &'a [PlanContext],
    /// The drafts to revise, as JSON.
    pub drafts: Option<String>,
    pub existing: Vec<String>,
    /// What was wrong with the last plan.
    pub errors: &'a [String],
    pub nonce: &'a str,
}

/// Makes the prompt of the planner.
///
/// # Errors
///
/// As [`implementer`].
pub async fn planner(world: &World, prompt: PlanPrompt<'_>) -> PortResult<String> {
    let item = |item: &PlanContext| {
        json!({
            "file": item.file,
            "lines": item.lines,
            "text": item.text,
            "fence": fence_for(&item.text),
        })
    };
    let values = json!({
        "goal": prompt.goal,
        "context": prompt.context.iter().map(item).collect::<Vec<_>>(),
        "drafts": prompt.drafts,
        "existing": prompt.existing,
        "errors": prompt.errors,
        "nonce": prompt.nonce,
    });
    render(world, "planner", PLANNER, values).await
}

async fn render(world: &World, name: &str, built_in: &str, values: serde_json::Value) -> PortResult<String> {
    let path = world.root.join(".ralph/prompts").join(format!("{name}.md"));
    let own = world.processes.read_tail(path.clone(), u64::MAX).await?;
    let source = own.as_deref().unwrap_or(built_in);
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    let shown = if own.is_some() { path.display().to_string() } else { format!("the built-in {name} prompt") };
    let rendered = environment.render_named_str(name, source, minijinja::Value::from(minijinja::value::Serde(values)));
    rendered.map_err(|error| {
        PortError { data: true, ..PortError::new(format!("render {shown}: {error:#}")) }
            .with_hint("mend the template, or remove it to use the built-in one")
    })
}

/// Returns what the attempt before failed with, unless it succeeded.
fn last_failure(record: &Record) -> Option<(u32, &AttemptEnd)> {
    let ended = record.attempts.iter().rev().find(|attempt| attempt.end.is_some())?;
    let end = ended.end.as_ref()?;
    (!end.outcome.is_success()).then_some((ended.number, end))
}

fn answers(state: &State, task: &TaskId) -> Vec<Answered> {
    let answered = |decision: &crate::domain::decision::Decision| {
        let answer = decision.answer.as_ref().filter(|_| decision.task.as_ref() == Some(task))?;
        let words: Vec<&str> = [answer.option.as_deref(), answer.text.as_deref()].into_iter().flatten().collect();
        Some(Answered { question: decision.question.clone(), answer: words.join(": ") })
    };
    state.decisions.iter().filter_map(answered).collect()
}

/// Returns a fence of backticks longer than any run of them in the text, so that the text cannot end it.
pub fn fence_for(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_cannot_be_closed_by_what_it_holds() {
        for text in ["", "a ``` b", "`````\n```", "no ticks"] {
            let fence = fence_for(text);
            assert!(fence.len() >= 3 && !text.contains(&fence), "{text:?}");
        }
    }
}
