//! The classes of Codex's errors: its typed information first, and words only where it has none.
//!
//! | `codexErrorInfo` | outcome |
//! | --- | --- |
//! | `contextWindowExceeded` | `context_exhausted` |
//! | `sessionBudgetExceeded` | `budget_exceeded` |
//! | `usageLimitExceeded`, `rateLimitExceeded`, status 429 | `rate_limited`; `auth` where a person has to pay |
//! | `serverOverloaded`, `flexUnavailable`, `policyCapacityUnavailable` | `overloaded`, of the model |
//! | `internalServerError`, status 5xx | `overloaded` |
//! | `modelNotFound`, status 404 | `model_unavailable` |
//! | `unauthorized`, status 401, 402 or 403 | `auth` |
//! | a connection or stream that failed without a status | `network` |
//! | `threadRollbackFailed`, `sandboxError` | `crashed` |
//! | `badRequest`, refusals by a policy, the rest | `invalid_output` |
//!
//! Shapes and names: the schema that `codex app-server generate-ts` of version 0.169.0 writes.

use super::super::driving::in_sentence;
use crate::domain::ending::{Ending, Scope};
use crate::domain::outcome::Outcome;
use crate::protocol::reset_time;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

/// An error of a turn.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TurnError {
    pub message: String,
    pub info: Value,
    pub details: String,
}

impl TurnError {
    /// Reads an error object.
    pub(super) fn read(value: &Value) -> Self {
        let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let info = value.get("codexErrorInfo").cloned().unwrap_or_default();
        Self { message: text("message"), info, details: text("additionalDetails") }
    }

    /// Returns its words; for a body of JSON the message in it.
    pub(super) fn words(&self) -> String {
        let body: Option<Value> = serde_json::from_str(&self.message).ok();
        let inner = body.as_ref().and_then(|body| body.pointer("/error/message")).and_then(Value::as_str);
        let words = in_sentence(inner.unwrap_or(&self.message));
        if self.details.is_empty() { words } else { format!("{words} ({})", in_sentence(&self.details)) }
    }

    /// Tells whether it waits in silence before it tries again: for a network for ever, after a limit for as long as the
    /// server says, which may be hours.
    pub(super) fn waits(&self) -> bool {
        self.message.contains("waiting for network") || self.class(None).0 == Outcome::RateLimited
    }

    /// Returns the class of the failure and what it is about. `earlier` is the last error it tried to overcome before,
    /// which knows more where this one is only "other".
    pub(super) fn class(&self, earlier: Option<&Self>) -> (Outcome, Scope) {
        match &self.info {
            Value::String(name) => match name.as_str() {
                "contextWindowExceeded" => (Outcome::ContextExhausted, Scope::Agent),
                "sessionBudgetExceeded" => (Outcome::BudgetExceeded, Scope::Agent),
                "usageLimitExceeded" if self.message.contains("billing") => (Outcome::Auth, Scope::Agent),
                "usageLimitExceeded" | "rateLimitExceeded" => (Outcome::RateLimited, Scope::Agent),
                "serverOverloaded" | "flexUnavailable" | "policyCapacityUnavailable" => {
                    (Outcome::Overloaded, Scope::Model)
                }
                "internalServerError" => (Outcome::Overloaded, Scope::Agent),
                "modelNotFound" => (Outcome::ModelUnavailable, Scope::Model),
                "unauthorized" => (Outcome::Auth, Scope::Agent),
                "threadRollbackFailed" | "sandboxError" => (Outcome::Crashed, Scope::Agent),
                "badRequest"
                | "cyberPolicy"
                | "misalignmentPolicyViolation"
                | "tooManyDenials"
                | "inferenceHookDenied" => (Outcome::InvalidOutput, Scope::Agent),
                _ => self.class_in_words(earlier),
            },
            Value::Object(variant) => match variant.iter().next() {
                Some((name, fields)) if is_of_connection(name) => {
                    of_status(fields.get("httpStatusCode").and_then(Value::as_u64))
                }
                _ => self.class_in_words(earlier),
            },
            _ => self.class_in_words(earlier),
        }
    }

    fn is_unpaid(&self) -> bool {
        self.message.contains("billing") || self.message.contains("402 Payment Required")
    }

    fn class_in_words(&self, earlier: Option<&Self>) -> (Outcome, Scope) {
        if self.message.contains("Missing environment variable") {
            return (Outcome::Auth, Scope::Agent);
        }
        if self.message.starts_with("stream disconnected") {
            // With the status of the attempts before, when there was one.
            return match earlier {
                Some(earlier) if earlier.info.is_object() => earlier.class(None),
                _ => (Outcome::Network, Scope::Agent),
            };
        }
        (Outcome::InvalidOutput, Scope::Agent)
    }

    /// Makes the ending of a turn that failed with it; `reset` is when the account's windows say that the limit lifts.
    pub(super) fn ending(
        &self,
        earlier: Option<&Self>,
        reset: Option<Timestamp>,
        now: Timestamp,
        zone: &TimeZone,
    ) -> Ending {
        let (failure, scope) = self.class(earlier);
        let words = self.words();
        let detail = match failure {
            Outcome::Auth if self.is_unpaid() => format!("{words} · see to the account's billing"),
            Outcome::Auth => format!("{words} · log in with `codex login`, or set a valid key"),
            Outcome::ModelUnavailable => format!("{words} · change `models` of this agent"),
            _ if words.is_empty() => format!("it failed without a word ({})", self.info),
            _ => words,
        };
        let mut ending = Ending { scope, ..Ending::failed(failure, detail) };
        if failure == Outcome::RateLimited {
            let told = reset.filter(|reset| *reset >= now);
            let until = told.or_else(|| reset_time::from_text(&self.message, now, zone));
            ending.until_ms = until.map(|until| until.as_millisecond());
        }
        ending
    }
}

fn is_of_connection(name: &str) -> bool {
    matches!(
        name,
        "httpConnectionFailed"
            | "responseStreamConnectionFailed"
            | "responseStreamDisconnected"
            | "responseTooManyFailedAttempts"
    )
}

fn of_status(status: Option<u64>) -> (Outcome, Scope) {
    match status {
        None | Some(408) => (Outcome::Network, Scope::Agent),
        Some(401..=403) => (Outcome::Auth, Scope::Agent),
        Some(404) => (Outcome::ModelUnavailable, Scope::Model),
        Some(429) => (Outcome::RateLimited, Scope::Agent),
        Some(500..=599) => (Outcome::Overloaded, Scope::Agent),
        Some(_) => (Outcome::InvalidOutput, Scope::Agent),
    }
}
