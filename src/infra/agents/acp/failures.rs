//! What an agent's error means for the loop: its typed words first, then a status of HTTP, then the protocol's code,
//! and the words of its message last. Pure.

use super::connection::RpcError;
use super::updates::clipped;
use crate::domain::ending::{Ending, Scope};
use crate::domain::outcome::Outcome;
use crate::protocol::reset_time;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value};
use std::time::Duration;

/// The protocol's code for an agent that needs somebody to log in.
const AUTH_REQUIRED: i32 = -32000;
/// How deep typed fields are looked for in the data of an error.
const DEPTH: usize = 5;
/// Characters of an agent's own words that are kept.
const WORDS: usize = 1500;
/// opencode repeats what may pass by itself for a minute at least, with waits of 2, 4, 8, 16 and 30 s, and gives up at
/// once what may not: nothing else tells the two apart where the words do not.
const REPEATED: Duration = Duration::from_secs(50);

/// Fields that hold a typed class of the error.
const CLASS_FIELDS: [&str; 9] =
    ["errorKind", "errorName", "codexErrorInfo", "codex_error_info", "errorCode", "errorType", "name", "type", "code"];
/// Fields that hold a status of HTTP.
const STATUS_FIELDS: [&str; 7] =
    ["httpStatusCode", "http_status_code", "httpStatus", "statusCode", "status_code", "status", "code"];
/// Fields that hold the headers of a response.
const HEADER_FIELDS: [&str; 2] = ["responseHeaders", "headers"];
/// Fields that tell when to come back as a header of that name would.
const RETRY_FIELDS: [(&str, &str); 6] = [
    ("retryAfter", "retry-after"),
    ("retry_after", "retry-after"),
    ("retryDelay", "retry-after"),
    ("retryAfterMs", "retry-after-ms"),
    ("resetsAt", "retry-after"),
    ("resets_at", "retry-after"),
];

/// The time against which relative times count, and the zone of times without one.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    pub now: Timestamp,
    pub zone: TimeZone,
}

type Class = (Outcome, Scope);

const fn agent(outcome: Outcome) -> Option<Class> {
    Some((outcome, Scope::Agent))
}

/// Classes that agents and providers name, without `_`, `-` and capitals. Words such as `server_error`, which say
/// nothing that the status does not say better, stand in [`VAGUE`].
fn class_of_word(word: &str) -> Option<Class> {
    match word {
        "ratelimit"
        | "ratelimited"
        | "ratelimiterror"
        | "ratelimitexceeded"
        | "usagelimitexceeded"
        | "usagelimitreached"
        | "insufficientquota"
        | "quotaexceeded"
        | "resourceexhausted"
        | "responsetoomanyfailedattempts"
        | "sessionbudgetexceeded" => agent(Outcome::RateLimited),
        "authenticationfailed"
        | "authenticationerror"
        | "providerautherror"
        | "unauthorized"
        | "unauthenticated"
        | "invalidapikey"
        | "permissionerror"
        | "permissiondenied"
        | "oauthorgnotallowed"
        | "billingerror" => agent(Outcome::Auth),
        "contextwindowexceeded"
        | "contextlengthexceeded"
        | "contextoverflowerror"
        | "contextoverflow"
        | "prompttoolong"
        | "maxoutputtokens"
        | "messageoutputlengtherror" => agent(Outcome::ContextExhausted),
        "modelnotfound" | "providermodelnotfounderror" | "modelnotfounderror" => {
            Some((Outcome::ModelUnavailable, Scope::Model))
        }
        "overloaded" | "overloadederror" | "serveroverloaded" | "unavailable" => agent(Outcome::Overloaded),
        "httpconnectionfailed"
        | "responsestreamconnectionfailed"
        | "responsestreamdisconnected"
        | "econnreset"
        | "econnrefused"
        | "enotfound"
        | "etimedout" => agent(Outcome::Network),
        _ => None,
    }
}

/// As [`class_of_word`], for words that count only when there is neither a status nor a telling message.
fn class_of_vague_word(word: &str) -> Option<Class> {
    match word {
        "servererror" | "internalservererror" | "apierror" => agent(Outcome::Overloaded),
        "messageabortederror" => agent(Outcome::Crashed),
        _ => None,
    }
}

/// Returns what a status of HTTP says; a request that was found wrong is told from its message.
fn class_of_status(status: u64, words: &str) -> Option<Class> {
    match status {
        401..=403 => agent(Outcome::Auth),
        404 | 410 => Some((Outcome::ModelUnavailable, Scope::Model)),
        408 => agent(Outcome::Network),
        413 => agent(Outcome::ContextExhausted),
        429 => Some((Outcome::RateLimited, scope_of_limit(words))),
        400 | 422 => class_of_words(words).or(agent(Outcome::Crashed)),
        // gemini says so too when there was no status at all, and then the words may know more.
        500 => class_of_words(words).filter(|(outcome, _)| is_told_better(*outcome)).or(agent(Outcome::Overloaded)),
        501..=599 => agent(Outcome::Overloaded),
        _ => None,
    }
}

/// Tells whether words that say this are believed rather than a status of 500.
fn is_told_better(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Network | Outcome::ModelUnavailable | Outcome::ContextExhausted)
}

/// A limit that names the model is about that model only.
fn scope_of_limit(words: &str) -> Scope {
    let words = words.to_ascii_lowercase();
    let named = ["on this model", "for this model", "for model", "per model", "different model"];
    if named.iter().any(|name| words.contains(name)) { Scope::Model } else { Scope::Agent }
}

/// Returns what the words of an error say. Only for an agent's own message about an error, never for what it works on.
pub(super) fn class_of_words(words: &str) -> Option<Class> {
    const TABLE: [(Outcome, &[&str]); 6] = [
        (
            Outcome::ContextExhausted,
            &[
                "prompt is too long",
                "context length",
                "context_length",
                "context window",
                "maximum context",
                "context overflow",
                "too many tokens",
                "maximum number of tokens",
                "output token maximum",
                "max_output_tokens",
            ],
        ),
        (
            Outcome::RateLimited,
            &[
                "rate limit",
                "rate_limit",
                "ratelimit",
                "usage limit",
                "too many requests",
                "quota",
                "hit your limit",
                "limit reached",
                "resource_exhausted",
                "request rejected (429)",
            ],
        ),
        (
            Outcome::ModelUnavailable,
            &[
                "model not found",
                "model_not_found",
                "unknown model",
                "no such model",
                "the selected model (",
                "invalid model",
            ],
        ),
        (
            Outcome::Auth,
            &[
                "api key",
                "unauthorized",
                "not logged in",
                "please run /login",
                "log in",
                "authentication",
                "authenticate",
                "credit balance",
                "insufficient credits",
                "does not have permission",
                "billing",
                "invalid x-api-key",
                "payment required",
                "forbidden",
            ],
        ),
        (
            Outcome::Overloaded,
            &[
                "overloaded",
                "at capacity",
                "high demand",
                "service unavailable",
                "temporarily unavailable",
                "try again later",
                "bad gateway",
                "gateway time",
                "internal server error",
                "server-side issue",
            ],
        ),
        (
            Outcome::Network,
            &[
                "econnrefused",
                "econnreset",
                "enotfound",
                "etimedout",
                "connection refused",
                "connection dropped",
                "connection reset",
                "connection closed",
                "connection error",
                "cannot connect",
                "unable to connect",
                "can't reach",
                "fetch failed",
                "network error",
                "socket connection",
                "getaddrinfo",
                "stream disconnected",
                "stream closed",
                "stream ended",
                "timed out",
                "malformed response",
                "json parsing failed",
                "json parse error",
            ],
        ),
    ];
    let lower = words.to_ascii_lowercase();
    let found = TABLE.iter().find(|(_, signs)| signs.iter().any(|sign| lower.contains(sign)));
    let gone = ["does not exist", "not supported", "is not available", "not found"];
    let outcome = match found {
        Some((outcome, _)) => *outcome,
        None if lower.contains("model") && gone.iter().any(|word| lower.contains(word)) => Outcome::ModelUnavailable,
        None => return None,
    };
    Some(match outcome {
        Outcome::ModelUnavailable => (outcome, Scope::Model),
        Outcome::RateLimited => (outcome, scope_of_limit(words)),
        outcome => (outcome, Scope::Agent),
    })
}

/// An error as it is judged: the agent's own words, and all that is typed about it.
#[derive(Debug)]
pub(super) struct Told {
    pub words: String,
    /// A code of HTTP or of the protocol; zero when there is none.
    code: i32,
    data: Vec<Value>,
    /// How long the agent tried before it gave up.
    tried: Duration,
}

impl Told {
    /// Takes an error answer apart. A message or the data may itself be the body of a response, written as text.
    pub fn by_error(error: &RpcError) -> Self {
        Self::new(&error.message, &error.data, error.code)
    }

    pub fn new(message: &str, data: &Value, code: i32) -> Self {
        let message = message.trim();
        // That is only the name of the protocol's code.
        let message =
            message.strip_prefix("Internal error").map_or(message, |rest| rest.trim_start_matches(':').trim());
        let inner = inner_json(message);
        let mut words = inner.as_ref().and_then(message_of).unwrap_or_else(|| message.to_owned());
        let more = data.as_str().map_or_else(|| message_of(data), |text| Some(text.trim().to_owned()));
        if let Some(more) = more.filter(|more| !more.is_empty() && !words.contains(more.as_str())) {
            words = if more.contains(words.as_str()) { more } else { format!("{words}: {more}") };
        }
        if words.is_empty() {
            words = format!("the agent failed without a word (code {code})");
        }
        Self { words, code, data: std::iter::once(data.clone()).chain(inner).collect(), tried: Duration::ZERO }
    }

    /// Adds how long there was no sign of work before the error came.
    pub fn after(mut self, tried: Duration) -> Self {
        self.tried = tried;
        self
    }

    /// Returns what is typed about it; none when nothing tells a class.
    fn typed(&self) -> Option<Class> {
        let (mut classes, mut statuses) = (Vec::new(), Vec::new());
        statuses.extend(u64::try_from(self.code).ok());
        self.visit(&mut |fields| {
            for value in CLASS_FIELDS.iter().filter_map(|name| fields.get(*name)) {
                match value {
                    Value::String(word) => classes.push(plain(word)),
                    Value::Object(inner) if inner.len() == 1 => classes.extend(inner.keys().map(|word| plain(word))),
                    _ => {}
                }
            }
            let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
            statuses.extend(STATUS_FIELDS.iter().filter_map(|name| number(fields.get(*name)?)));
        });
        let of_status =
            statuses.iter().filter(|code| (400..600).contains(*code)).find_map(|code| self.class_of_status(*code));
        match (classes.iter().find_map(|word| class_of_word(word)), of_status) {
            // A connection that failed with a status did reach somebody, and a status says which limit it was.
            (Some((Outcome::Network | Outcome::RateLimited, _)), Some(by_status)) => Some(by_status),
            (Some((Outcome::RateLimited, _)), None) => Some((Outcome::RateLimited, scope_of_limit(&self.words))),
            (Some(by_word), _) => Some(by_word),
            (None, by_status) => by_status,
        }
    }

    fn class_of_status(&self, status: u64) -> Option<Class> {
        class_of_status(status, &self.words)
    }

    fn vague(&self) -> Option<Class> {
        let mut found = None;
        self.visit(&mut |fields| {
            // opencode names every error of a provider so, and tells nothing else of it.
            found = found.or_else(|| match fields.get("errorName")?.as_str()? {
                "APIError" | "UnknownError" if self.tried >= REPEATED => agent(Outcome::Overloaded),
                "APIError" => agent(Outcome::InvalidOutput),
                _ => None,
            });
            let words = CLASS_FIELDS.iter().filter_map(|name| fields.get(*name)?.as_str());
            found = found.or_else(|| words.map(plain).find_map(|word| class_of_vague_word(&word)));
        });
        found
    }

    /// Returns when the limit lifts: by headers, by a field of the data, or by the words.
    fn reset(&self, clock: &Clock) -> Option<Timestamp> {
        let mut headers: Vec<(String, String)> = Vec::new();
        let text =
            |value: &Value| value.as_str().map(str::to_owned).or_else(|| value.as_number().map(ToString::to_string));
        self.visit(&mut |fields| {
            for name in HEADER_FIELDS {
                let told = fields.get(name).and_then(Value::as_object).into_iter().flatten();
                headers.extend(told.filter_map(|(name, value)| Some((name.clone(), text(value)?))));
            }
            let told = RETRY_FIELDS
                .iter()
                .filter_map(|(field, header)| Some(((*header).to_owned(), text(fields.get(*field)?)?)));
            headers.extend(told);
        });
        let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        reset_time::from_headers(pairs, clock.now)
            .or_else(|| reset_time::from_text(&self.words, clock.now, &clock.zone))
    }

    /// Visits every object of the data, outer ones first.
    fn visit(&self, look: &mut dyn FnMut(&Map<String, Value>)) {
        self.data.iter().for_each(|data| visit(data, DEPTH, look));
    }

    /// Returns the ending of a turn with this error.
    pub fn ending(&self, clock: &Clock) -> Ending {
        let (outcome, scope) = self
            .typed()
            .or_else(|| (self.code == AUTH_REQUIRED).then_some((Outcome::Auth, Scope::Agent)))
            .or_else(|| class_of_words(&self.words))
            .or_else(|| self.vague())
            .unwrap_or((Outcome::Crashed, Scope::Agent));
        let until = matches!(outcome, Outcome::RateLimited | Outcome::Overloaded).then(|| self.reset(clock)).flatten();
        Ending {
            scope,
            until_ms: until.map(Timestamp::as_millisecond),
            ..Ending::failed(outcome, clipped(&self.words, WORDS))
        }
    }
}

fn visit(data: &Value, depth: usize, look: &mut dyn FnMut(&Map<String, Value>)) {
    if depth == 0 {
        return;
    }
    match data {
        Value::Object(fields) => {
            look(fields);
            fields.values().for_each(|value| visit(value, depth - 1, look));
        }
        Value::Array(items) => items.iter().for_each(|item| visit(item, depth - 1, look)),
        Value::String(text) => {
            if let Some(inner) = inner_json(text) {
                visit(&inner, depth - 1, look);
            }
        }
        _ => {}
    }
}

/// Bodies of responses come as text.
fn inner_json(text: &str) -> Option<Value> {
    let text = text.trim_start();
    text.starts_with('{').then(|| serde_json::from_str(text).ok()).flatten()
}

/// Returns the message in an error's data, which each agent puts elsewhere.
fn message_of(data: &Value) -> Option<String> {
    let fields = ["message", "details", "detail", "errorMessage", "reason"];
    let places = [data, &data["error"], &data["data"]];
    let found = places.iter().find_map(|data| fields.iter().find_map(|field| data[*field].as_str()))?;
    let inner = inner_json(found).filter(|_| !data.is_null());
    Some(inner.and_then(|inner| message_of(&inner)).unwrap_or_else(|| found.trim().to_owned()))
}

fn plain(word: &str) -> String {
    word.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
#[path = "tests/failures.rs"]
mod tests;
