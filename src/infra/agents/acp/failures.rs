//! What an agent's error means for the loop: its typed words first, then a status of HTTP, then the protocol's code,
//! and the words of its message last. Pure.

use super::connection::RpcError;
use super::updates::clipped;
use crate::domain::ending::{Ending, Scope};
use crate::domain::outcome::Outcome;
use crate::protocol::reset_time;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;

/// The protocol's code for an agent that needs somebody to log in.
const AUTH_REQUIRED: i32 = -32000;
/// How deep typed fields are looked for in the data of an error.
const DEPTH: usize = 5;
/// Characters of an agent's own words that are kept.
const WORDS: usize = 1500;

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
        500..=599 => agent(Outcome::Overloaded),
        _ => None,
    }
}

/// A limit that names the model is about that model only.
fn scope_of_limit(words: &str) -> Scope {
    let words = words.to_ascii_lowercase();
    let named = ["on this model", "for this model", "for model", "per model", "different model"];
    if named.iter().any(|name| words.contains(name)) { Scope::Model } else { Scope::Agent }
}

/// Returns what the words of an error say. Only for an agent's own message about an error, never for what it works on.
pub(super) fn class_of_words(words: &str) -> Option<Class> {
    const TABLE: [(Outcome, &[&str]); 7] = [
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
                "billing",
                "invalid x-api-key",
                "payment required",
            ],
        ),
        (
            Outcome::Overloaded,
            &[
                "overloaded",
                "at capacity",
                "high demand",
                "service unavailable",
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
            ],
        ),
        (Outcome::MissingBinary, &["command not found", "cannot find module"]),
    ];
    let lower = words.to_ascii_lowercase();
    let named = lower.contains("model")
        && ["does not exist", "not supported", "is not available", "not found"].iter().any(|word| lower.contains(word));
    let found =
        TABLE.iter().find(|(_, signs)| signs.iter().any(|sign| lower.contains(sign))).map(|(outcome, _)| *outcome);
    let outcome = match found {
        Some(Outcome::ContextExhausted | Outcome::RateLimited) | None if named && found.is_none() => {
            Outcome::ModelUnavailable
        }
        Some(outcome) => outcome,
        None => return None,
    };
    Some(match outcome {
        Outcome::ModelUnavailable => (outcome, Scope::Model),
        Outcome::RateLimited => (outcome, scope_of_limit(words)),
        outcome => (outcome, Scope::Agent),
    })
}

/// Returns how a turn ended that the agent answered with an error.
pub(super) fn of_error(error: &RpcError, clock: &Clock) -> Ending {
    let words = words_of(error);
    let class = class_of_data(error.code, &error.data, &words)
        .or_else(|| (error.code == AUTH_REQUIRED).then_some((Outcome::Auth, Scope::Agent)))
        .or_else(|| class_of_words(&words))
        .or_else(|| vague_class(&error.data))
        .unwrap_or((Outcome::Crashed, Scope::Agent));
    ending(class, &words, &error.data, clock)
}

/// Returns the ending for a class that is known, with the reset as far as it is told.
pub(super) fn ending((outcome, scope): Class, words: &str, data: &Value, clock: &Clock) -> Ending {
    let until = matches!(outcome, Outcome::RateLimited | Outcome::Overloaded).then(|| reset_of(data, words, clock));
    Ending {
        scope,
        until_ms: until.flatten().map(|until| until.as_millisecond()),
        ..Ending::failed(outcome, clipped(words, WORDS))
    }
}

/// Returns what the typed part of an error says.
pub(super) fn class_of_data(code: i32, data: &Value, words: &str) -> Option<Class> {
    let mut found = Vec::new();
    collect_words(data, DEPTH, &mut found);
    let status = u64::try_from(code).ok().filter(|code| (400..600).contains(code)).or_else(|| status_in(data, DEPTH));
    // A connection that failed with a status did reach somebody.
    let of_status = status.and_then(|status| class_of_status(status, words));
    let of_word = found.iter().find_map(|word| class_of_word(word));
    match (of_word, of_status) {
        (Some((Outcome::Network | Outcome::RateLimited, _)), Some(by_status)) => Some(by_status),
        (Some(by_word), _) => Some(by_word),
        (None, by_status) => by_status,
    }
}

fn vague_class(data: &Value) -> Option<Class> {
    let mut found = Vec::new();
    collect_words(data, DEPTH, &mut found);
    found.iter().find_map(|word| class_of_vague_word(word))
}

/// Collects the typed words of an error, the outer ones first. A class may be a string, or the only field of an object.
fn collect_words(data: &Value, depth: usize, into: &mut Vec<String>) {
    let Some(fields) = data.as_object().filter(|_| depth > 0) else {
        if let Some(inner) = inner_json(data).filter(|_| depth > 0) {
            collect_words(&inner, depth - 1, into);
        }
        return;
    };
    for name in CLASS_FIELDS {
        match fields.get(name) {
            Some(Value::String(word)) => into.push(plain(word)),
            Some(Value::Object(inner)) if inner.len() == 1 => into.extend(inner.keys().map(|word| plain(word))),
            _ => {}
        }
    }
    fields.values().for_each(|value| collect_words(value, depth - 1, into));
}

/// Returns the first status of HTTP in the data.
fn status_in(data: &Value, depth: usize) -> Option<u64> {
    let Some(fields) = data.as_object().filter(|_| depth > 0) else {
        return inner_json(data).filter(|_| depth > 0).and_then(|inner| status_in(&inner, depth - 1));
    };
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let own = STATUS_FIELDS.iter().filter_map(|name| number(fields.get(*name)?)).find(|code| (400..600).contains(code));
    own.or_else(|| fields.values().find_map(|value| status_in(value, depth - 1)))
}

/// Bodies of responses come as text within the data.
fn inner_json(data: &Value) -> Option<Value> {
    let text = data.as_str()?.trim_start();
    text.starts_with('{').then(|| serde_json::from_str(text).ok()).flatten()
}

fn plain(word: &str) -> String {
    word.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Returns when the limit lifts: by headers, by a field of the data, or by the words.
fn reset_of(data: &Value, words: &str, clock: &Clock) -> Option<Timestamp> {
    let mut headers = Vec::new();
    collect_headers(data, DEPTH, &mut headers);
    let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    reset_time::from_headers(pairs, clock.now).or_else(|| reset_time::from_text(words, clock.now, &clock.zone))
}

fn collect_headers(data: &Value, depth: usize, into: &mut Vec<(String, String)>) {
    if let Some(inner) = inner_json(data).filter(|_| depth > 0) {
        return collect_headers(&inner, depth - 1, into);
    }
    if let Some(items) = data.as_array().filter(|_| depth > 0) {
        return items.iter().for_each(|item| collect_headers(item, depth - 1, into));
    }
    let Some(fields) = data.as_object().filter(|_| depth > 0) else { return };
    let text = |value: &Value| value.as_str().map(str::to_owned).or_else(|| value.as_number().map(ToString::to_string));
    for (name, value) in fields {
        if HEADER_FIELDS.contains(&name.as_str()) {
            let headers = value.as_object().into_iter().flatten();
            into.extend(headers.filter_map(|(name, value)| Some((name.clone(), text(value)?))));
        } else if let Some((_, header)) = RETRY_FIELDS.iter().find(|(field, _)| field == name) {
            into.extend(text(value).map(|value| ((*header).to_owned(), value)));
        } else {
            collect_headers(value, depth - 1, into);
        }
    }
}

/// Returns the agent's own words about an error: its message, and what its data adds to that.
fn words_of(error: &RpcError) -> String {
    let fields = ["message", "details", "detail", "errorMessage", "reason"];
    let mut words = error.message.trim().to_owned();
    let data = match &error.data {
        Value::String(text) => Some(text.as_str()),
        data => {
            let inner = [data, &data["error"], &data["data"]];
            inner.iter().find_map(|data| fields.iter().find_map(|field| data[*field].as_str()))
        }
    };
    if let Some(more) = data.map(str::trim).filter(|more| !more.is_empty() && !words.contains(more)) {
        words = if words.is_empty() || more.contains(&words) { more.to_owned() } else { format!("{words}: {more}") };
    }
    if words.is_empty() { format!("the agent answered with error {} and no words", error.code) } else { words }
}

#[cfg(test)]
#[path = "tests/failures.rs"]
mod tests;
