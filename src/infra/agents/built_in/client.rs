//! Talking to an endpoint over HTTP: finding out what it is, which models it has, and asking one of them.

use super::chat::{Answer, Message, ToolSpec};
use super::endpoint::{Address, Dialect, is_loopback, shown};
use super::failure::{Failure, Refusal, Subject, shorten};
use super::{ollama, openai};
use crate::protocol::config::AgentConfig;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use std::error::Error;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Bytes of one answer; what is longer is no answer.
const ANSWER_LIMIT: usize = 32 * 1024 * 1024;
/// How many models are named in texts.
const NAMED: usize = 12;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For one answer of a model, whole: a little less than the ten minutes of silence that end an attempt, so that it
    /// is told as what it is.
    pub answer: Duration,
    /// For questions about models, which need none.
    pub question: Duration,
    /// Before the one further try after a server broke or a connection did.
    pub backoff: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { answer: seconds(570), question: seconds(10), backoff: seconds(3) }
    }
}

/// An endpoint that was found, and how to speak to it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    client: Client,
    pub dialect: Dialect,
    base: String,
    key: Option<String>,
    key_env: Option<String>,
    patience: Patience,
    pub stop: CancellationToken,
}

/// One model of an endpoint.
#[derive(Clone, Debug)]
pub struct Model {
    pub endpoint: Endpoint,
    pub name: String,
    /// The context window in tokens, as far as the endpoint tells.
    pub window: Option<u64>,
    /// Whether the endpoint says that it cannot call tools.
    pub without_tools: bool,
}

impl Endpoint {
    /// Finds out where the agent's models are; `var` looks up environment variables.
    ///
    /// # Errors
    ///
    /// An address that is none, or a key that is not set; the text says what to do. `Err(None)` never happens for an
    /// endpoint that is merely off: that shows at the first question.
    pub async fn find(
        agent: &AgentConfig,
        var: &(dyn Fn(&str) -> Option<String> + Sync),
        patience: Patience,
        stop: CancellationToken,
    ) -> Result<Self, Unusable> {
        let address = Address::of(agent, var("OLLAMA_HOST").as_deref()).map_err(Unusable::Address)?;
        let key_env = agent.key_env.clone().filter(|name| !name.is_empty());
        let key = match &key_env {
            Some(name) => Some(var(name).filter(|key| !key.trim().is_empty()).ok_or(Unusable::NoKey(name.clone()))?),
            None => None,
        };
        let key = key.map(|key| key.trim().to_owned());
        let (first, is_given) = match &address {
            Address::Local(base) => (base.clone(), false),
            Address::Given { base, .. } => (base.clone(), true),
        };
        let mut builder = Client::builder()
            .user_agent(concat!("ralph-sidecar/", env!("CARGO_PKG_VERSION")))
            // A request must not turn into another one, and a key must not wander.
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(&first) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| Unusable::Address(format!("prepare HTTPS: {}", chain(&error))))?;
        let mut found = Self { client, dialect: Dialect::OpenAi, base: first, key, key_env, patience, stop };
        if !is_given {
            found.dialect = Dialect::Ollama;
        } else if let Address::Given { ollama: Some(base), .. } = address {
            let at = Self { base, dialect: Dialect::Ollama, ..found.clone() };
            if at.is_ollama().await {
                found = at;
            }
        }
        Ok(found)
    }

    /// Asks for Ollama's version, which nothing else has in this place.
    async fn is_ollama(&self) -> bool {
        let answer =
            self.ask(Method::GET, "/api/version", None, self.patience.question.min(Duration::from_secs(4))).await;
        answer.is_ok_and(|body| {
            serde_json::from_slice::<Value>(&body).is_ok_and(|body| body.get("version").is_some_and(Value::is_string))
        })
    }

    /// The base address, for texts.
    pub fn url(&self) -> String {
        shown(&self.base)
    }

    pub fn subject(&self, model: &str) -> Subject {
        Subject {
            url: self.url(),
            model: model.to_owned(),
            key_env: self.key_env.clone(),
            is_ollama: self.dialect == Dialect::Ollama,
        }
    }

    /// Tells whether a key goes over a wire that anybody may listen to.
    pub fn is_key_in_clear(&self) -> bool {
        self.key.is_some() && self.base.starts_with("http://") && !is_loopback(&self.base)
    }

    /// Returns the models it has, each with its window where the list tells.
    ///
    /// # Errors
    ///
    /// As the endpoint answers.
    pub async fn models(&self) -> Result<Vec<(String, Option<u64>)>, Failure> {
        let path = if self.dialect == Dialect::Ollama { "/api/tags" } else { "/models" };
        let body = self.ask(Method::GET, path, None, self.patience.question).await?;
        let body: Value = serde_json::from_slice(&body)
            .map_err(|error| Failure::Malformed(format!("its list of models is no JSON: {error}")))?;
        Ok(match self.dialect {
            Dialect::Ollama => ollama::names(&body).into_iter().map(|name| (name, None)).collect(),
            Dialect::OpenAi => openai::models(&body),
        })
    }

    /// Looks at one model of Ollama.
    ///
    /// # Errors
    ///
    /// As Ollama answers.
    pub async fn show(&self, model: &str) -> Result<ollama::Shown, Failure> {
        let question = json!({"model": model});
        let body = self.ask(Method::POST, "/api/show", Some(&question), self.patience.question).await?;
        let body = serde_json::from_slice(&body)
            .map_err(|error| Failure::Malformed(format!("what it tells of a model is no JSON: {error}")))?;
        Ok(ollama::shown(&body))
    }

    /// Gets a model ready to be asked: the one that is named, else the only or, with Ollama, the first that can call
    /// tools.
    ///
    /// # Errors
    ///
    /// As the endpoint answers, and when it is open which model is meant.
    pub async fn model(self, name: Option<&str>) -> Result<Model, NoModel> {
        match (self.dialect, name) {
            (Dialect::Ollama, Some(name)) => match self.show(name).await {
                Ok(shown) => Ok(self.with(name, Some(shown.window), !shown.tools)),
                Err(failure) => Err(NoModel::Failed { failure, model: name.to_owned(), endpoint: Box::new(self) }),
            },
            (Dialect::Ollama, None) => self.first_of_ollama().await,
            (Dialect::OpenAi, Some(name)) => {
                // Some endpoints have no list; that says nothing about the model.
                let list = self.models().await.unwrap_or_default();
                let window = list.into_iter().find(|(other, _)| other == name).and_then(|(_, window)| window);
                Ok(self.with(name, window, false))
            }
            (Dialect::OpenAi, None) => match self.models().await {
                Ok(list) => match list.as_slice() {
                    [(name, window)] => Ok(self.with(&name.clone(), *window, false)),
                    _ => Err(NoModel::Unnamed { url: self.url(), models: named(&list) }),
                },
                Err(Failure::Refused(refusal)) if refusal.status == 404 => {
                    Err(NoModel::Unnamed { url: self.url(), models: String::new() })
                }
                Err(failure) => Err(NoModel::Failed { failure, model: String::new(), endpoint: Box::new(self) }),
            },
        }
    }

    async fn first_of_ollama(self) -> Result<Model, NoModel> {
        let list = match self.models().await {
            Ok(list) => list,
            Err(failure) => return Err(NoModel::Failed { failure, model: String::new(), endpoint: Box::new(self) }),
        };
        for (name, _) in &list {
            if let Ok(shown) = self.show(name).await
                && shown.tools
            {
                return Ok(self.with(name, Some(shown.window), false));
            }
        }
        Err(NoModel::NoneWithTools { url: self.url(), models: named(&list) })
    }

    fn with(self, name: &str, window: Option<u64>, without_tools: bool) -> Model {
        Model { endpoint: self, name: name.to_owned(), window, without_tools }
    }

    /// Asks once. Every wait ends when the turn is to be stopped.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        patience: Duration,
    ) -> Result<Vec<u8>, Failure> {
        let mut request = self.client.request(method, format!("{}{path}", self.base)).timeout(patience);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        tokio::select! {
            answer = receive(request, patience) => answer,
            () = self.stop.cancelled() => Err(Failure::Stopped),
        }
    }
}

impl Model {
    /// Asks the model to go on; `number` is that of the request, and `retried` hears of a second try.
    ///
    /// # Errors
    ///
    /// As the endpoint answers the second time, where the first failure was worth one.
    pub async fn ask(
        &self,
        messages: &[Message],
        tools: &[ToolSpec],
        number: u32,
        retried: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Answer, Failure> {
        let endpoint = &self.endpoint;
        let (path, body) = match endpoint.dialect {
            Dialect::Ollama => {
                let window = self.window.unwrap_or_default();
                ("/api/chat", ollama::request(&self.name, window, messages, tools))
            }
            Dialect::OpenAi => ("/chat/completions", openai::request(&self.name, messages, tools)),
        };
        let once = || endpoint.ask(Method::POST, path, Some(&body), endpoint.patience.answer);
        let mut answer = once().await;
        if let Err(failure) = &answer
            && failure.is_worth_a_retry()
        {
            retried(&what(failure));
            tokio::select! {
                () = tokio::time::sleep(endpoint.patience.backoff) => answer = once().await,
                () = endpoint.stop.cancelled() => return Err(Failure::Stopped),
            }
        }
        match endpoint.dialect {
            Dialect::Ollama => ollama::answer(&answer?, number),
            Dialect::OpenAi => openai::answer(&answer?, number),
        }
    }

    pub fn subject(&self) -> Subject {
        self.endpoint.subject(&self.name)
    }
}

/// Why there is nothing to speak to. Reads after "failed to" where it is no sentence of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    Address(String),
    /// The variable that should hold the key.
    NoKey(String),
}

/// Why there is no model to ask.
#[derive(Clone, Debug)]
pub enum NoModel {
    Failed {
        failure: Failure,
        model: String,
        endpoint: Box<Endpoint>,
    },
    /// It has several, or does not tell, and none was named.
    Unnamed {
        url: String,
        models: String,
    },
    /// None of Ollama's models can call tools.
    NoneWithTools {
        url: String,
        models: String,
    },
}

/// Returns the names of some models for a text.
pub fn named(models: &[(String, Option<u64>)]) -> String {
    let names: Vec<String> = models.iter().take(NAMED).map(|(name, _)| format!("`{name}`")).collect();
    let more = models.len().saturating_sub(NAMED);
    if more > 0 { format!("{} and {more} more", names.join(", ")) } else { names.join(", ") }
}

fn what(failure: &Failure) -> String {
    match failure {
        Failure::Refused(refusal) => format!("the endpoint answered {}", refusal.status),
        Failure::Unreached { why, .. } => why.clone(),
        Failure::Malformed(why) => why.clone(),
        Failure::Stopped => "stopped".to_owned(),
    }
}

async fn receive(request: RequestBuilder, patience: Duration) -> Result<Vec<u8>, Failure> {
    let unreached = |error: reqwest::Error| {
        if error.is_timeout() {
            let seconds = patience.as_secs_f32();
            return Failure::Unreached { why: format!("no answer within {seconds} seconds"), again: false };
        }
        // Nobody listens: a second look a moment later would see the same, and the chain knows how to wait.
        Failure::Unreached { again: !error.is_connect() && !error.is_builder(), why: chain(&error) }
    };
    let mut response = request.send().await.map_err(unreached)?;
    let status = response.status();
    let pairs = response.headers().iter();
    let headers = pairs.filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    let headers: Vec<_> = headers.collect();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreached)? {
        if body.len() + chunk.len() > ANSWER_LIMIT {
            return Err(Failure::Malformed(format!("it is longer than {ANSWER_LIMIT} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    if status.is_success() {
        return Ok(body);
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    Err(Failure::Refused(Refusal { status: status.as_u16(), headers, body }))
}

/// Returns an error with its causes; the address is left out, it is named elsewhere and may hold a password.
fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&words);
        }
        next = cause.source();
    }
    if text.is_empty() { "the connection broke".to_owned() } else { shorten(&text, 300) }
}
