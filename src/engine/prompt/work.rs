//! The prompt of an attempt, its preview, and what is said in the same session when an answer could not be used.

use super::{Change, Template, as_list};
use crate::domain::outcome::{AttemptEnd, Outcome};
use crate::domain::queue::to_fold;
use crate::domain::rounds::{Remark, RemarkKind};
use crate::domain::state::{Record, State};
use crate::domain::task::{Task, TaskId};
use crate::engine::ports::PortResult;
use crate::protocol::config::{Role, Settings};
use crate::protocol::quoting::fence_for;
use serde::Serialize;
use serde_json::json;

/// How many learnings of other tasks a prompt carries; the newest ones.
const LEARNINGS: usize = 40;

/// What only the start of an attempt tells.
#[derive(Clone, Debug, Default)]
pub struct Facts<'a> {
    pub nonce: &'a str,
    /// Whether the last attempt's changes are in the slot.
    pub continued: bool,
    /// What is in the slot already, as words.
    pub stands_on: &'a [String],
    /// The part about earlier work that does not merge any more, made by [`conflict`].
    pub conflict: Option<String>,
    /// Whether the agent has our tools by MCP; else it runs commands.
    pub tools: bool,
}

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

/// One thing said about the proposal that was sent back.
#[derive(Serialize)]
struct Said {
    path: Option<String>,
    line: Option<u32>,
    kind: RemarkKind,
    text: String,
    again: bool,
    quote: Option<String>,
    quote_fence: String,
    now: Option<String>,
    now_fence: String,
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
/// As [`Template::render`].
pub fn implementer(
    template: &Template,
    settings: &Settings,
    state: &State,
    task: &Task,
    facts: &Facts<'_>,
) -> PortResult<String> {
    let record = state.record(&task.id);
    let (cut_off, failed) = record.map(last_ends).unwrap_or_default();
    let shown = |(number, end): (u32, &AttemptEnd)| {
        let data = format!("{}\n{}", end.detail, end.failure.as_deref().unwrap_or_default());
        Failure {
            number,
            outcome: end.outcome.as_str(),
            detail: end.detail.clone(),
            fence: fence_for(&data),
            text: end.failure.clone(),
            continued: facts.continued,
        }
    };
    let checks: Vec<String> =
        task.verify.iter().chain(&settings.verify).map(crate::protocol::config::trust_string).collect();
    let skip = state.learnings.len().saturating_sub(LEARNINGS);
    let learnings: Vec<&str> = state.learnings.iter().skip(skip).map(|learning| learning.text.as_str()).collect();
    let handoff = record.and_then(|record| record.handoff.as_deref());
    let remarks = record.map(|record| record.remarks.as_slice()).unwrap_or_default();
    let mut notes = record.map(|record| record.notes.clone()).unwrap_or_default();
    if !template.mentions("remarks") {
        // A template of the repository's own that does not know them must not lose what the person said.
        notes.extend(remarks.iter().map(in_words));
    }
    let goal = task.goal.as_ref().and_then(|id| state.goals.iter().find(|goal| goal.id == *id));
    template.render(json!({
        "task": task,
        "goal": goal.map(|goal| goal.text.as_str()),
        "checks": checks,
        "protect": settings.protect,
        "answers": answers(state, &task.id),
        "notes": notes,
        "remarks": remarks.iter().map(said).collect::<Vec<_>>(),
        "rest": record.is_some_and(|record| record.rest),
        "learnings": learnings,
        "learnings_fence": fence_for(&as_list(learnings.iter().copied())),
        "handoff": handoff,
        "handoff_fence": fence_for(handoff.unwrap_or_default()),
        "stands_on": facts.stands_on,
        "conflict": facts.conflict,
        "cut_off": cut_off.map(shown),
        "failure": failed.map(shown),
        "nonce": facts.nonce,
        "tools": facts.tools,
    }))
}

fn said(remark: &Remark) -> Said {
    let fence = |text: &Option<String>| fence_for(text.as_deref().unwrap_or_default());
    Said {
        path: remark.path.clone(),
        line: remark.line,
        kind: remark.kind,
        text: remark.text.clone(),
        again: remark.again,
        quote: remark.quote.clone(),
        quote_fence: fence(&remark.quote),
        now: remark.now.clone(),
        now_fence: fence(&remark.now),
    }
}

/// Returns a remark as one sentence, without what it quotes.
fn in_words(remark: &Remark) -> String {
    let line = remark.line.map(|line| format!(" line {line}")).unwrap_or_default();
    let place = remark.path.as_ref().map(|path| format!("`{path}`{line}: ")).unwrap_or_default();
    let why = if remark.text.is_empty() { "no reason given" } else { &remark.text };
    match remark.kind {
        RemarkKind::Comment => format!("{place}{}", remark.text),
        RemarkKind::Rejected => format!("{place}a change was rejected: {why}"),
        RemarkKind::Conflict => format!("{place}a change does not fit the text as the user has it now"),
    }
}

/// Makes the prompt that the next attempt of a task would get, as far as it is known before the start: what is in the
/// checkout then, and whether it merges, is not.
///
/// # Errors
///
/// As [`Template::render`].
pub fn preview(template: &Template, settings: &Settings, state: &State, task: &Task) -> PortResult<String> {
    let named = task.agent.as_deref().and_then(|name| settings.agents.get(name));
    let agent = named.or(settings.agent_for(Role::Implementer).map(|(_, agent)| agent));
    let mut words = vec!["your checkout as it is when the attempt starts".to_owned()];
    for on in to_fold(state, &task.id) {
        words.push(format!("the result of task `{}`, not yet accepted by the user", on.task));
    }
    let record = state.record(&task.id).filter(|record| !record.clean);
    let left = record.and_then(|record| {
        let mut started = record.attempts.iter().rev().filter(|attempt| attempt.agent_started);
        let attempt = started.find(|attempt| attempt.end.as_ref().is_some_and(|end| end.head.is_some()))?;
        attempt.end.as_ref().is_some_and(|end| !end.changed.is_empty()).then_some(attempt.number)
    });
    words.extend(left.map(|number| format!("what attempt {number} left")));
    let facts = Facts {
        nonce: "code-made-at-the-start",
        continued: left.is_some(),
        stands_on: &words,
        conflict: None,
        tools: agent.is_some_and(|agent| agent.is_driven()),
    };
    implementer(template, settings, state, task, &facts)
}

/// Earlier work that does not merge with what the user has now.
pub struct Conflict<'a> {
    /// The attempt that left it.
    pub number: u32,
    /// What clashes.
    pub paths: &'a [String],
    pub change: &'a Change,
}

/// Makes the part of a prompt that asks for earlier work to be done again on what is there now.
///
/// # Errors
///
/// As [`Template::render`].
pub fn conflict(template: &Template, conflict: &Conflict<'_>) -> PortResult<String> {
    template.render(json!({
        "number": conflict.number,
        "paths": conflict.paths,
        "diff": conflict.change.diff,
        "fence": fence_for(&conflict.change.diff),
        "left_out": conflict.change.left_out,
    }))
}

/// An answer that could not be used.
pub struct Repair<'a> {
    pub role: Role,
    /// The task, or the goal of the plan.
    pub title: &'a str,
    /// What is wrong; without any, there was no report at all.
    pub errors: &'a [String],
    pub nonce: &'a str,
    /// Whether the agent has our tools by MCP; else it runs commands.
    pub tools: bool,
}

/// Makes what an agent is told in the same session, scoped to its task and role.
///
/// # Errors
///
/// As [`Template::render`].
pub fn repair(template: &Template, repair: &Repair<'_>) -> PortResult<String> {
    let errors = as_list(repair.errors.iter().map(String::as_str));
    template.render(json!({
        "role": repair.role.as_str(),
        "title": repair.title,
        "errors": repair.errors,
        "errors_fence": fence_for(&errors),
        "nonce": repair.nonce,
        "tools": repair.tools,
    }))
}

/// Tells whether an outcome says nothing about the work: it was cut off, by whatever.
fn is_cut_off(outcome: Outcome) -> bool {
    !outcome.is_success()
        && !outcome.spends_attempt()
        && !matches!(outcome, Outcome::NeedsDecision | Outcome::Blocked | Outcome::Leaked)
}

/// One ended attempt with its number.
type Ended<'a> = Option<(u32, &'a AttemptEnd)>;

/// Returns how the last attempt was cut off, if it was, and what the last one that was not failed with, unless it
/// succeeded.
fn last_ends(record: &Record) -> (Ended<'_>, Ended<'_>) {
    let ended = record.attempts.iter().rev().filter_map(|attempt| Some((attempt.number, attempt.end.as_ref()?)));
    // A program that was not there has no part in this.
    let mut ended = ended.filter(|(_, end)| end.outcome != Outcome::MissingBinary).peekable();
    // What never had an agent was not cut off.
    let started = |number: u32| record.attempts.iter().any(|attempt| attempt.number == number && attempt.agent_started);
    let cut_off = ended.peek().copied().filter(|(number, end)| is_cut_off(end.outcome) && started(*number));
    let failed = ended.find(|(_, end)| !is_cut_off(end.outcome)).filter(|(_, end)| !end.outcome.is_success());
    (cut_off, failed)
}

fn answers(state: &State, task: &TaskId) -> Vec<Answered> {
    let answered = |decision: &crate::domain::decision::Decision| {
        let answer = decision.answer.as_ref().filter(|_| decision.task.as_ref() == Some(task))?;
        let words: Vec<&str> = [answer.option.as_deref(), answer.text.as_deref()].into_iter().flatten().collect();
        Some(Answered { question: decision.question.clone(), answer: words.join(": ") })
    };
    state.decisions.iter().filter_map(answered).collect()
}

#[cfg(test)]
mod tests;
