//! How a turn of Claude Code ended: from its result, its exit status and, where it came to neither, its error stream.
//!
//! | it tells | outcome |
//! | --- | --- |
//! | a result without `is_error`, and exit status 0 | regular |
//! | `error_max_budget_usd`, `error_max_turns` | `budget_exceeded` |
//! | `prompt_too_long` | `context_exhausted` |
//! | `rate_limit`, status 429 | `rate_limited`, of one model when its limit is |
//! | `authentication_failed`, status 401 or 403 | `auth` |
//! | `billing_error`, status 402 | `auth`: a person has to pay |
//! | `model_not_found`, status 404 | `model_unavailable` |
//! | `overloaded`, `server_error` with a status, status 5xx | `overloaded` |
//! | `server_error` without a status, a response that broke off | `network` |
//! | other results with `is_error` | `invalid_output` |
//! | an option, session or mode it does not take | `invalid_output` |
//! | no result | `crashed` |
//!
//! `subtype` says `success` next to `is_error`, so it counts only where it names a bound.

use super::super::driving::{ErrorTail, exit_in_words, in_sentence};
use super::stream::{ResultLine, Stream};
use crate::domain::ending::{Ending, Scope};
use crate::domain::outcome::Outcome;
use crate::protocol::reset_time;
use std::process::ExitStatus;

/// Beginnings of what it prints on its error stream instead of starting a turn.
const REFUSALS: &[&str] = &["error: unknown option", "error: option", "error: argument", "Error: Session ID"];

/// Returns how the turn of a program that ended by itself did.
pub(super) fn of(stream: &Stream, status: ExitStatus, errors: &ErrorTail) -> Ending {
    let Some(result) = stream.result() else { return without_result(status, errors) };
    if result.is_error {
        return failed(stream, result);
    }
    if status.success() {
        return regular(result);
    }
    errors.crashed("it failed after its result", status)
}

/// Returns how the turn of a program did that had to be ended after its result.
pub(super) fn after_result(stream: &Stream) -> Ending {
    match stream.result() {
        Some(result) if result.is_error => failed(stream, result),
        Some(result) => regular(result),
        None => Ending::failed(Outcome::Crashed, "it was ended before its result"),
    }
}

fn regular(result: &ResultLine) -> Ending {
    let words = in_sentence(&result.text);
    Ending::regular(if words.is_empty() { "it ended its turn without a word".into() } else { words })
}

fn failed(stream: &Stream, result: &ResultLine) -> Ending {
    let words = in_sentence(&result.text);
    let failure = class(stream.error_class(), result);
    let detail = match failure {
        Outcome::Auth if is_unpaid(stream.error_class(), result) => format!("{words} · see to the account's billing"),
        Outcome::Auth => format!("{words} · log in with `claude /login`, or set a valid key"),
        Outcome::ModelUnavailable => format!("{words} · change `models` of this agent"),
        _ if words.is_empty() => format!("it failed without a word ({})", result.subtype),
        _ => words,
    };
    let mut ending = Ending::failed(failure, detail);
    match failure {
        Outcome::RateLimited => {
            let (now, zone) = stream.clock();
            let told = stream.limit().and_then(|limit| limit.until).filter(|until| *until >= now);
            let until = told.or_else(|| reset_time::from_text(&result.text, now, zone));
            ending.until_ms = until.map(|until| until.as_millisecond());
            ending.scope = stream.limit().map_or_else(|| scope_in_words(&result.text), |limit| limit.scope);
        }
        Outcome::ModelUnavailable => ending.scope = Scope::Model,
        // 529 is about the capacity of a model; others may have room.
        Outcome::Overloaded if result.status.is_none_or(|status| status == 529) => ending.scope = Scope::Model,
        _ => {}
    }
    ending
}

/// Returns the class of a failure: what it names first, then the status of the response, then its words.
fn class(named: Option<&str>, result: &ResultLine) -> Outcome {
    match result.subtype.as_str() {
        "error_max_budget_usd" | "error_max_turns" => return Outcome::BudgetExceeded,
        _ => {}
    }
    let words = |beginning: &str| result.text.starts_with(beginning);
    if result.reason == "prompt_too_long" || words("Prompt is too long") {
        return Outcome::ContextExhausted;
    }
    match (named, result.status) {
        (Some("rate_limit"), _) | (_, Some(429)) => Outcome::RateLimited,
        (Some("authentication_failed" | "oauth_org_not_allowed" | "billing_error"), _) | (_, Some(401..=403)) => {
            Outcome::Auth
        }
        (Some("model_not_found"), _) | (_, Some(404)) => Outcome::ModelUnavailable,
        (Some("overloaded"), _) | (_, Some(500..=599)) => Outcome::Overloaded,
        (Some("server_error"), None) => Outcome::Network,
        (_, Some(_)) => Outcome::InvalidOutput,
        _ if result.text.contains("usage limit reached") || words("You've hit your") => Outcome::RateLimited,
        _ if result.text.contains("empty or malformed response") || result.text.contains("JSON Parse error") => {
            Outcome::Network
        }
        _ if words("Not logged in") || words("Invalid API key") => Outcome::Auth,
        _ if result.reason.starts_with("aborted") => Outcome::Crashed,
        _ => Outcome::InvalidOutput,
    }
}

fn is_unpaid(named: Option<&str>, result: &ResultLine) -> bool {
    named == Some("billing_error") || result.status == Some(402)
}

/// A limit of one model names it.
fn scope_in_words(text: &str) -> Scope {
    let lower = text.to_ascii_lowercase();
    let of_model = ["opus limit", "sonnet limit", "haiku limit"].iter().any(|words| lower.contains(words));
    if of_model { Scope::Model } else { Scope::Agent }
}

fn without_result(status: ExitStatus, errors: &ErrorTail) -> Ending {
    let refusal = errors.lines().find(|line| {
        REFUSALS.iter().any(|beginning| line.starts_with(beginning)) || line.contains("cannot be used with root")
    });
    match refusal {
        Some(words) => {
            let words = in_sentence(words);
            let hint = "update Claude Code, or change what `command` of this agent adds";
            Ending::failed(
                Outcome::InvalidOutput,
                format!("it refused to start ({}): {words} · {hint}", exit_in_words(status)),
            )
        }
        None => errors.crashed("it ended without a result", status),
    }
}
