//! What a failed call of an endpoint means, without touching the world.
//!
//! | what came | outcome | scope |
//! | --- | --- | --- |
//! | the prompt is longer than the window, 413 | the caller drops something and asks again, else `context_exhausted` | model |
//! | no such model, no tools, not enough memory for it | `model_unavailable` | model |
//! | nothing there (another 404), moved (3xx) | `model_unavailable` | agent |
//! | quota used up | `rate_limited`, until as far as it tells | agent |
//! | 429 | `rate_limited`, until as headers or body tell | model where the words name it, else agent |
//! | 401, 403; 402, which waiting does not mend | `auth` | agent |
//! | 408, 5xx | `overloaded` | agent |
//! | another 4xx | `crashed` | agent |
//! | refused, no such host, dropped, too late | `network` | agent |
//! | an answer that is none | `invalid_output` | agent |
//!
//! Typed codes of the body count first, then the status, and words only where endpoints give nothing else.

use crate::domain::ending::{Ending, Scope};
use crate::domain::outcome::Outcome;
use crate::protocol::reset_time;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

/// How much of an endpoint's words is kept, in characters.
const WORDS: usize = 400;

/// An answer that is a refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Refusal {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// Why a call gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    Refused(Refusal),
    /// Nothing came, or not all; whether trying again at once may help.
    Unreached {
        why: String,
        again: bool,
    },
    /// What came is no answer.
    Malformed(String),
    /// Somebody wants the turn to end.
    Stopped,
}

/// Whom the call was meant for, to name in texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The base address.
    pub url: String,
    pub model: String,
    /// The variable that holds the key, as configured.
    pub key_env: Option<String>,
    pub is_ollama: bool,
}

/// What a failure means.
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning {
    /// The prompt does not fit; the window where the endpoint names it.
    TooLong {
        window: Option<u64>,
        words: String,
    },
    Ends(Ending),
}

impl Failure {
    /// Tells whether trying once more may help: the endpoint broke, or the connection did.
    pub fn is_worth_a_retry(&self) -> bool {
        match self {
            Self::Refused(refusal) => {
                refusal.status >= 500 && matches!(kind(refusal, &Words::of(refusal), ""), Kind::Overloaded)
            }
            Self::Unreached { again, .. } => *again,
            Self::Malformed(_) | Self::Stopped => false,
        }
    }

    /// Says what it means.
    pub fn meaning(&self, subject: &Subject, now: Timestamp) -> Meaning {
        let Subject { url, .. } = subject;
        match self {
            Self::Refused(refusal) => refused(refusal, subject, now),
            Self::Unreached { why, .. } => {
                let hint = if subject.is_ollama { "; is Ollama on? Start it with `ollama serve`" } else { "" };
                Meaning::Ends(Ending::failed(Outcome::Network, format!("failed to reach {url}: {why}{hint}")))
            }
            Self::Malformed(why) => {
                let detail = format!("failed to understand the answer of {url}: {why}");
                Meaning::Ends(Ending::failed(Outcome::InvalidOutput, detail))
            }
            Self::Stopped => Meaning::Ends(Ending::failed(Outcome::Cancelled, "stopped as asked")),
        }
    }
}

/// The class of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    TooLong,
    NoModel,
    NoTools,
    NoMemory,
    Quota,
    Credit,
    Limited,
    Auth,
    Nothing,
    Moved,
    Overloaded,
    Senseless,
    Other,
}

fn kind(refusal: &Refusal, words: &Words, model: &str) -> Kind {
    let Refusal { status, .. } = *refusal;
    let code = |known: &[&str]| known.iter().any(|known| words.code == *known || words.kind == *known);
    let says = |parts: &[&str]| parts.iter().any(|part| words.lower.contains(part));
    if code(&["context_length_exceeded", "exceed_context_size_error", "request_too_large"])
        || status == 413
        || (matches!(status, 200 | 400 | 422 | 500) && says(TOO_LONG))
    {
        return Kind::TooLong;
    }
    if code(&["insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "quota_exceeded"]) {
        return Kind::Quota;
    }
    if code(&["model_not_found", "model_not_available", "invalid_model"]) {
        return Kind::NoModel;
    }
    if matches!(status, 400 | 404 | 422)
        && says(&["does not support tools", "no endpoints found that support tool use"])
    {
        return Kind::NoTools;
    }
    match status {
        300..400 => Kind::Moved,
        401 | 403 => Kind::Auth,
        402 => Kind::Credit,
        404 if says(&["model"]) || (!model.is_empty() && words.lower.contains(&model.to_lowercase())) => Kind::NoModel,
        404 | 405 => Kind::Nothing,
        429 => Kind::Limited,
        500.. if says(&["more system memory", "out of memory", "insufficient memory"]) => Kind::NoMemory,
        408 | 500.. => Kind::Overloaded,
        400..500 => Kind::Other,
        // An error in the place of an answer.
        _ if code(&["rate_limit_exceeded", "rate_limit_error", "rate_limited"]) => Kind::Limited,
        _ if code(&["invalid_api_key", "authentication_error"]) => Kind::Auth,
        _ if code(&["server_error", "overloaded_error", "overloaded", "service_unavailable"]) => Kind::Overloaded,
        _ => Kind::Senseless,
    }
}

/// How endpoints say that a prompt is too long where they have no code for it: OpenAI, vLLM, llama.cpp, Ollama.
const TOO_LONG: &[&str] = &[
    "maximum context length",
    "exceeds the context",
    "exceed context",
    "exceeds the available context",
    "context length exceeded",
    "exceeded max context length",
    "longer than the context length",
    "context window",
    "prompt is too long",
    "too many tokens",
];

fn refused(refusal: &Refusal, subject: &Subject, now: Timestamp) -> Meaning {
    let words = Words::of(refusal);
    let Subject { url, model, .. } = subject;
    let kind = kind(refusal, &words, model);
    let said = &words.text;
    let (outcome, detail) = match kind {
        Kind::TooLong => return Meaning::TooLong { window: words.window, words: words.text },
        Kind::NoModel if subject.is_ollama => (
            Outcome::ModelUnavailable,
            format!("{url} has no model `{model}`: {said}; get it with `ollama pull {model}`"),
        ),
        Kind::NoModel => (Outcome::ModelUnavailable, format!("{url} has no model `{model}`: {said}")),
        Kind::NoTools => {
            (Outcome::ModelUnavailable, format!("the model `{model}` cannot call tools: {said}; choose one that can"))
        }
        Kind::NoMemory => (
            Outcome::ModelUnavailable,
            format!("the machine has too little memory for `{model}`: {said}; choose a smaller model"),
        ),
        Kind::Nothing => (
            Outcome::ModelUnavailable,
            format!("nothing answers at {url} ({}): {said}; check `url` of the agent", refusal.status),
        ),
        Kind::Moved => {
            let to = refusal.header("location").unwrap_or("another place");
            (Outcome::ModelUnavailable, format!("{url} sends on to {to}; set that as `url` of the agent"))
        }
        Kind::Quota => (Outcome::RateLimited, format!("the account at {url} has no quota left: {said}")),
        Kind::Limited => (Outcome::RateLimited, format!("{url} limits requests for now: {said}")),
        Kind::Auth => {
            (Outcome::Auth, format!("{url} does not let us in ({}): {said}; {}", refusal.status, key(subject)))
        }
        Kind::Credit => (Outcome::Auth, format!("the account at {url} has no credit: {said}; add some")),
        Kind::Overloaded => {
            (Outcome::Overloaded, format!("{url} is overloaded or broken ({}): {said}", refusal.status))
        }
        Kind::Senseless => (Outcome::InvalidOutput, format!("{url} answered with an error: {said}")),
        Kind::Other => (Outcome::Crashed, format!("{url} refused the request ({}): {said}", refusal.status)),
    };
    let mut ending = Ending::failed(outcome, detail);
    if outcome == Outcome::RateLimited {
        ending.until_ms = until(refusal, &words, now).map(Timestamp::as_millisecond);
    }
    let names_model = !model.is_empty() && words.lower.contains(&model.to_lowercase());
    if matches!(kind, Kind::NoModel | Kind::NoTools | Kind::NoMemory) || (kind == Kind::Limited && names_model) {
        ending.scope = Scope::Model;
    }
    Meaning::Ends(ending)
}

/// When a limit lifts: headers say it best, then what the body carries, then its words.
fn until(refusal: &Refusal, words: &Words, now: Timestamp) -> Option<Timestamp> {
    let headers = refusal.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let from_text = |text: &str| reset_time::from_text(text, now, &TimeZone::UTC);
    reset_time::from_headers(headers, now)
        .or_else(|| from_text(&format!("try again in {}", words.retry_delay.as_deref()?)))
        .or_else(|| from_text(&words.lower))
}

/// What to do about a key that is not accepted.
fn key(subject: &Subject) -> String {
    match &subject.key_env {
        Some(name) => format!("check the key in the variable {name}"),
        None => "name the variable that holds its key in `key_env` of the agent".to_owned(),
    }
}

/// An error as endpoints write it: `{"error": {message, type, code}}`, `{"error": "…"}`, `{message, type, code}`,
/// `{"detail": "…"}`, any of them in a list, or plain text.
#[derive(Debug, Default)]
struct Words {
    text: String,
    /// `text` in lower case, whole.
    lower: String,
    code: String,
    kind: String,
    /// The window, where the endpoint names it.
    window: Option<u64>,
    /// How long to wait, as Google writes it.
    retry_delay: Option<String>,
}

impl Words {
    fn of(refusal: &Refusal) -> Self {
        let Ok(body) = serde_json::from_str::<Value>(&refusal.body) else { return Self::plain(&refusal.body) };
        let body = body.get(0).unwrap_or(&body);
        let error = body.get("error").unwrap_or(body);
        let text = |name: &str| match error.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let message = match error {
            Value::String(text) => text.clone(),
            _ => [text("message"), text("detail")].into_iter().find(|text| !text.is_empty()).unwrap_or_default(),
        };
        let mut words = Self::plain(if message.is_empty() { &refusal.body } else { &message });
        words.code = text("code");
        words.kind = text("type");
        words.window = error.get("n_ctx").and_then(Value::as_u64).or_else(|| named_window(&words.lower));
        let details = error.get("details").and_then(Value::as_array);
        let delay = details.and_then(|details| details.iter().find_map(|detail| detail.get("retryDelay")?.as_str()));
        words.retry_delay = delay.map(str::to_owned);
        words
    }

    fn plain(text: &str) -> Self {
        let trimmed = text.trim();
        let shown = if trimmed.is_empty() {
            "it says nothing".to_owned()
        } else if trimmed.starts_with('<') {
            "it shows a web page".to_owned()
        } else {
            shorten(trimmed, WORDS)
        };
        Self { text: shown, lower: trimmed.to_lowercase(), ..Self::default() }
    }
}

/// Finds `maximum context length is 8192 tokens` and `maximum context length (2048 tokens)`.
fn named_window(lower: &str) -> Option<u64> {
    let (_, rest) = lower.split_once("maximum context length")?;
    let rest = rest.trim_start_matches([' ', '(', ':']);
    let rest = rest.strip_prefix("is ").or_else(|| rest.strip_prefix("of ")).unwrap_or(rest);
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|window| *window > 0)
}

/// Returns the text in one line of at most so many characters.
pub fn shorten(text: &str, limit: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(limit) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
#[path = "tests/failure.rs"]
mod tests;
