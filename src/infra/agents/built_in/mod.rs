//! The built-in agent: a loop of our own around a model, for people with nothing but a model.
//!
//! Reading order: what is said ([`chat`]); how endpoints want it said ([`openai`], [`ollama`]), where they are
//! ([`endpoint`]), and talking to them ([`client`]); what their failures mean ([`failure`]); what the agent can do
//! ([`tools`]); how a conversation stays inside the window ([`window`]); the loop ([`turn`]); and looking at an endpoint
//! beforehand ([`probe`]).
//!
//! Requests are typed by us and sent by `reqwest`. Of the libraries that do more, `genai` fails a whole answer for one
//! call whose arguments are no JSON, takes an answer without a choice for an empty one, changes model names that end
//! in `-high` or hold `::`, and cannot set Ollama's window; `async-openai` does not give the headers of a refusal, which
//! say when a limit lifts, and wants fields that compatible servers leave out.

mod chat;
mod client;
mod endpoint;
mod failure;
mod ollama;
mod openai;
mod probe;
mod tools;
mod turn;
mod window;

pub use probe::{Found, FoundModel, LEAST_WINDOW, Probe, find, probe};

use super::Session;
use crate::domain::ending::{Ending, Scope};
use crate::domain::outcome::Outcome;
use crate::infra::agent_side::Attempt;
use crate::protocol::agent_lines::AgentLine;
use client::{Endpoint, Model, NoModel, Patience, Unusable};
use failure::{Failure, Meaning, Subject};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use tools::{Slot, Toolbox};
use turn::Turn;

/// What tells the agent how to work.
const RULES: &str = include_str!("rules.md");
/// Where repositories keep their instructions for agents.
const INSTRUCTIONS: [&str; 2] = ["AGENTS.md", "CLAUDE.md"];

/// What the loop finds around it.
struct Surroundings<'a> {
    /// The slot.
    folder: PathBuf,
    /// Where reports go; none outside of one.
    attempt: Option<Attempt>,
    var: &'a (dyn Fn(&str) -> Option<String> + Sync),
    patience: Patience,
}

/// Runs one turn of the model in the current folder.
pub async fn drive(session: &mut Session) -> Ending {
    let folder = match std::env::current_dir() {
        Ok(folder) => folder,
        Err(error) => return Ending::failed(Outcome::Crashed, format!("failed to find the slot: {error}")),
    };
    let agent = session.order().agent.clone();
    let var = |name: &str| probe::variable(&agent, name);
    drive_in(session, Surroundings { folder, attempt: Attempt::own(), var: &var, patience: Patience::default() }).await
}

async fn drive_in(session: &mut Session, around: Surroundings<'_>) -> Ending {
    let order = session.order().clone();
    let endpoint = match Endpoint::find(&order.agent, around.var, around.patience, session.stop()).await {
        Ok(endpoint) => endpoint,
        Err(unusable) => return ending_of(unusable),
    };
    let name = order.model.as_deref().or(order.agent.models.first().map(String::as_str));
    let model = match endpoint.model(name).await {
        Ok(model) => model,
        Err(none) => return ending_of_no_model(none).await,
    };
    if model.without_tools {
        let detail = format!("the model `{}` cannot call tools; choose one that can", model.name);
        return Ending { scope: Scope::Model, ..Ending::failed(Outcome::ModelUnavailable, detail) };
    }
    let slot = match Slot::at(&around.folder) {
        Ok(slot) => slot,
        Err(error) => {
            return Ending::failed(Outcome::Crashed, format!("failed to find {}: {error}", around.folder.display()));
        }
    };
    let instructions = order.agent.inherit.unwrap_or(true).then(|| instructions(slot.root())).flatten();
    session.say(&started(&order, &model, instructions));
    let rules = match rules(order.role, instructions) {
        Ok(rules) => rules,
        Err(error) => return Ending::failed(Outcome::Crashed, format!("failed to write the rules: {error}")),
    };
    let specs = tools::specs(order.role, model.window);
    let without = order.agent.key_env.iter().cloned().collect();
    let limit = window::output_limit(model.window);
    let toolbox = Toolbox::new(slot, specs, around.attempt, limit, without, session.stop());
    Turn::new(session, model, toolbox, rules).go().await
}

fn started(order: &crate::protocol::drive::DriveOrder, model: &Model, instructions: Option<&str>) -> AgentLine {
    let mut notes = Vec::new();
    match model.window {
        Some(window) => notes.push(format!("window {window} tokens")),
        None => notes.push("the endpoint does not tell its window".to_owned()),
    }
    match instructions {
        Some(file) => notes.push(format!("is told to read {file}")),
        None if order.agent.inherit == Some(false) => {
            notes.push("instructions in the repository are left out".to_owned())
        }
        None => {}
    }
    if model.endpoint.is_key_in_clear() {
        notes.push("the key goes to the endpoint without encryption".to_owned());
    }
    if order.session.is_some() {
        notes.push("sessions are not kept; it begins a fresh one".to_owned());
    }
    let command = format!("built-in agent on {}", model.endpoint.url());
    AgentLine::Started { command, session: None, model: Some(model.name.clone()), notes }
}

/// Returns the file with instructions for agents that the repository has.
fn instructions(root: &Path) -> Option<&'static str> {
    INSTRUCTIONS.into_iter().find(|name| root.join(name).is_file())
}

fn rules(role: crate::protocol::config::Role, instructions: Option<&str>) -> Result<String, minijinja::Error> {
    let offered: Vec<&str> = tools::specs(role, None).iter().map(|spec| spec.name).collect();
    let context = minijinja::context! {
        can_write => offered.contains(&"write"),
        can_run => offered.contains(&"run"),
        instructions,
        last => tools::last_tools(role),
    };
    minijinja::Environment::new().render_str(RULES, context)
}

fn ending_of(unusable: Unusable) -> Ending {
    match unusable {
        Unusable::Address(why) => {
            Ending::failed(Outcome::ModelUnavailable, format!("failed to use the endpoint: {why}"))
        }
        Unusable::NoKey(name) => {
            let detail =
                format!("the variable {name}, which `key_env` of the agent names, is not set; put the key there");
            Ending::failed(Outcome::Auth, detail)
        }
    }
}

async fn ending_of_no_model(none: NoModel) -> Ending {
    let detail = match none {
        NoModel::Failed { failure, model, endpoint } => {
            let mut ending = ending_of_failure(&failure, &endpoint.subject(&model));
            if ending.failure == Some(Outcome::ModelUnavailable)
                && ending.scope == Scope::Model
                && let Ok(models) = endpoint.models().await
            {
                let has = if models.is_empty() { "no model yet".to_owned() } else { client::named(&models) };
                ending.detail.push_str(&format!(". It has {has}"));
            }
            return ending;
        }
        NoModel::Unnamed { url, models } if models.is_empty() => {
            format!("{url} does not tell its models; name one in `models` of the agent")
        }
        NoModel::Unnamed { url, models } => format!("name the model in `models` of the agent; {url} has {models}"),
        NoModel::NoneWithTools { url, models } if models.is_empty() => {
            format!("Ollama at {url} has no model yet; get one that can call tools by `ollama pull`")
        }
        NoModel::NoneWithTools { url, models } => {
            format!("none of the models of Ollama at {url} can call tools: {models}; get one by `ollama pull`")
        }
    };
    Ending::failed(Outcome::ModelUnavailable, detail)
}

/// Says how a failure ends a turn that has not begun.
fn ending_of_failure(failure: &Failure, subject: &Subject) -> Ending {
    match failure.meaning(subject, Timestamp::now()) {
        Meaning::Ends(ending) => ending,
        Meaning::TooLong { words, .. } => Ending::failed(Outcome::ContextExhausted, words),
    }
}

#[cfg(test)]
mod tests;
