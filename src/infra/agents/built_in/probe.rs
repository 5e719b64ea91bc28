//! Looking at an endpoint before a task is wasted on it: is it there, which models has it, can one of them loop.

use super::chat::{Answer, Arguments, Message};
use super::client::{Endpoint, Model, Patience};
use super::failure::Failure;
use super::{ending_of, ending_of_no_model, tools};
use crate::domain::ending::Ending;
use crate::domain::outcome::Outcome;
use crate::protocol::config::AgentConfig;
use crate::protocol::report_tools;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The smallest window, in tokens, that a model can loop in.
pub const LEAST_WINDOW: u64 = 8_192;

/// What one real call of a tool showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Probe {
    /// It can loop.
    Ready {
        model: String,
        /// The context window in tokens, as far as the endpoint tells.
        window: Option<u64>,
    },
    /// There is a model, but it is too weak to loop.
    TooWeak { why: String },
    /// There is no model that answers.
    Unreachable {
        why: String,
        /// What to do about it; may be empty where `why` says it.
        hint: String,
    },
}

/// An endpoint and its models, without asking any of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The base address.
    pub url: String,
    pub is_ollama: bool,
    pub models: Vec<FoundModel>,
}

/// One model of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundModel {
    pub name: String,
    /// The context window we would use, in tokens, as far as the endpoint tells.
    pub window: Option<u64>,
    /// Whether it can call tools, as far as the endpoint tells.
    pub tools: Option<bool>,
}

impl FoundModel {
    /// Tells whether nothing that is known speaks against it.
    pub fn may_loop(&self) -> bool {
        self.tools != Some(false) && self.window.is_none_or(|window| window >= LEAST_WINDOW)
    }
}

/// How long a look may take: loading a model into memory does.
fn patience() -> Patience {
    let seconds = Duration::from_secs;
    Patience { answer: seconds(120), question: seconds(5), backoff: seconds(1) }
}

/// Looks for the agent's endpoint and its models; with a default agent, for Ollama on this machine. Sends no prompt.
///
/// # Errors
///
/// Says why there is none.
pub async fn find(agent: &AgentConfig) -> Result<Found, String> {
    let var = |name: &str| variable(agent, name);
    let endpoint = Endpoint::find(agent, &var, patience(), CancellationToken::new()).await;
    let endpoint = endpoint.map_err(|unusable| ending_of(unusable).detail)?;
    let models = endpoint.models().await;
    let models = models.map_err(|failure| failed(&failure, &endpoint, "").detail)?;
    let is_ollama = endpoint.subject("").is_ollama;
    let mut found = Vec::new();
    for (name, window) in models {
        let shown = if is_ollama { endpoint.show(&name).await.ok() } else { None };
        found.push(match shown {
            Some(shown) => FoundModel { name, window: Some(shown.window), tools: Some(shown.tools) },
            None => FoundModel { name, window, tools: None },
        });
    }
    Ok(Found { url: endpoint.url(), is_ollama, models: found })
}

/// Makes one real call: the model is asked to call a tool that reports a word. Nothing is reported.
pub async fn probe(agent: &AgentConfig, model: Option<&str>) -> Probe {
    let var = |name: &str| variable(agent, name);
    probe_with(agent, model, &var, patience()).await
}

/// As [`probe`], with another environment and patience.
pub(super) async fn probe_with(
    agent: &AgentConfig,
    model: Option<&str>,
    var: &(dyn Fn(&str) -> Option<String> + Sync),
    patience: Patience,
) -> Probe {
    let unreachable = |why: String| Probe::Unreachable { hint: hint(agent), why };
    let name = model.or(agent.models.first().map(String::as_str));
    let endpoint = match Endpoint::find(agent, var, patience, CancellationToken::new()).await {
        Ok(endpoint) => endpoint,
        Err(unusable) => return Probe::Unreachable { why: ending_of(unusable).detail, hint: String::new() },
    };
    let model = match endpoint.model(name).await {
        Ok(model) => model,
        Err(none) => {
            let is_weak = matches!(none, super::client::NoModel::NoneWithTools { .. });
            let why = ending_of_no_model(none).await.detail;
            return if is_weak { Probe::TooWeak { why } } else { unreachable(why) };
        }
    };
    if model.without_tools {
        return Probe::TooWeak { why: format!("`{}` cannot call tools", model.name) };
    }
    if let Some(window) = model.window.filter(|window| *window < LEAST_WINDOW) {
        let why = format!("the context window of `{}` is {window} tokens; a loop needs {LEAST_WINDOW}", model.name);
        return Probe::TooWeak { why };
    }
    match call(&model).await {
        Ok(answer) if is_the_call(&answer) => Probe::Ready { model: model.name, window: model.window },
        Ok(answer) => Probe::TooWeak { why: instead(&model, &answer) },
        Err(failure) => {
            let ending = failed(&failure, &model.endpoint, &model.name);
            let is_weak = matches!(ending.failure, Some(Outcome::InvalidOutput | Outcome::ContextExhausted))
                || ending.detail.contains("cannot call tools");
            if is_weak { Probe::TooWeak { why: ending.detail } } else { unreachable(ending.detail) }
        }
    }
}

async fn call(model: &Model) -> Result<Answer, Failure> {
    let messages = [
        Message::System { text: "You work by calling tools only.".into() },
        Message::User { text: "Call the tool `report_progress` with the text `ready`.".into() },
    ];
    let tools: Vec<_> =
        report_tools::tool("report_progress").map(|tool| tools::report_spec(tool, true)).into_iter().collect();
    model.ask(&messages, &tools, 1, &mut |_| {}).await
}

fn is_the_call(answer: &Answer) -> bool {
    answer.spoken.calls.iter().any(|call| match &call.arguments {
        Arguments::Read(map) => {
            let text = map.get("text").and_then(|text| text.as_str()).unwrap_or_default();
            call.name == "report_progress" && text.to_lowercase().contains("ready")
        }
        Arguments::Broken { .. } => false,
    })
}

fn instead(model: &Model, answer: &Answer) -> String {
    let did = match answer.spoken.calls.first() {
        Some(call) => format!("called `{}` in another way", call.name),
        None => "answered in words".to_owned(),
    };
    format!("`{}` was asked to call a tool and {did}", model.name)
}

fn failed(failure: &Failure, endpoint: &Endpoint, model: &str) -> Ending {
    super::ending_of_failure(failure, &endpoint.subject(model))
}

fn hint(agent: &AgentConfig) -> String {
    match &agent.url {
        None => {
            "start Ollama by `ollama serve` and get a model that can call tools, or set `url` of the agent".to_owned()
        }
        Some(url) => {
            format!("check that a server that speaks as OpenAI does answers at {}", super::endpoint::shown(url))
        }
    }
}

/// Looks up a variable as the agent would see it.
pub(super) fn variable(agent: &AgentConfig, name: &str) -> Option<String> {
    agent.env.get(name).cloned().or_else(|| std::env::var(name).ok())
}

#[cfg(test)]
#[path = "tests/probe.rs"]
mod tests;
