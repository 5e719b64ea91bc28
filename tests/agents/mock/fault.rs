//! What can go wrong at a model: refusals with their status and headers, and answers that break.

use super::dialect::Dialect;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds until a quota lifts, from the moment it is told.
pub const QUOTA_SECONDS: u64 = 7200;
/// Seconds of `retry-after` in `rate-long`.
pub const LONG_SECONDS: u64 = 3600;
/// Seconds of `retry-after` in `rate-short`.
pub const SHORT_SECONDS: u64 = 2;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request is refused with a status.
    Refused(Refusal),
    /// The answer begins, or does not, and then breaks.
    Broken(Break),
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 429, with the seconds of `retry-after`.
    RateLimit(Option<u64>),
    /// 429: the plan's limit is used up until a time that is told.
    Quota,
    /// 429: the account has no more credit.
    Insufficient,
    Unauthorized,
    Forbidden,
    NoModel,
    Billing,
    Context,
    BadRequest,
    Internal,
    /// 502 with a page of HTML, as a proxy gives.
    BadGateway,
    Unavailable,
    Overloaded,
}

/// How an answer breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// Nothing comes, not even headers.
    HangBefore,
    /// The first events come, then nothing.
    HangMid,
    /// The connection is reset before any answer.
    Dropped,
    /// The connection is reset after the first events.
    DroppedMid,
    /// What comes is no JSON.
    Malformed,
    /// The stream ends in good order, but before its last events.
    Truncated,
    /// 200 with nothing in it.
    Empty,
    /// An error comes as an event of the stream.
    Told(Refusal),
    /// The answer ends at the limit of its length.
    MaxTokens,
}

/// The names of faults, as scenarios take them.
pub const FAULTS: &[(&str, Fault)] = &[
    ("rate", Fault::Refused(Refusal::RateLimit(None))),
    ("rate-short", Fault::Refused(Refusal::RateLimit(Some(SHORT_SECONDS)))),
    ("rate-long", Fault::Refused(Refusal::RateLimit(Some(LONG_SECONDS)))),
    ("quota", Fault::Refused(Refusal::Quota)),
    ("insufficient", Fault::Refused(Refusal::Insufficient)),
    ("unauthorized", Fault::Refused(Refusal::Unauthorized)),
    ("forbidden", Fault::Refused(Refusal::Forbidden)),
    ("no-model", Fault::Refused(Refusal::NoModel)),
    ("billing", Fault::Refused(Refusal::Billing)),
    ("context", Fault::Refused(Refusal::Context)),
    ("bad-request", Fault::Refused(Refusal::BadRequest)),
    ("internal", Fault::Refused(Refusal::Internal)),
    ("html", Fault::Refused(Refusal::BadGateway)),
    ("unavailable", Fault::Refused(Refusal::Unavailable)),
    ("overloaded", Fault::Refused(Refusal::Overloaded)),
    ("hang-before", Fault::Broken(Break::HangBefore)),
    ("hang-mid", Fault::Broken(Break::HangMid)),
    ("dropped", Fault::Broken(Break::Dropped)),
    ("dropped-mid", Fault::Broken(Break::DroppedMid)),
    ("malformed", Fault::Broken(Break::Malformed)),
    ("truncated", Fault::Broken(Break::Truncated)),
    ("empty", Fault::Broken(Break::Empty)),
    ("stream-error", Fault::Broken(Break::Told(Refusal::Internal))),
    ("stream-overloaded", Fault::Broken(Break::Told(Refusal::Overloaded))),
    ("stream-rate", Fault::Broken(Break::Told(Refusal::RateLimit(None)))),
    ("stream-quota", Fault::Broken(Break::Told(Refusal::Insufficient))),
    ("stream-context", Fault::Broken(Break::Told(Refusal::Context))),
    ("max-tokens", Fault::Broken(Break::MaxTokens)),
];

impl Fault {
    /// Returns the fault of the name.
    pub fn named(name: &str) -> Option<Self> {
        FAULTS.iter().find(|(known, _)| *known == name).map(|(_, fault)| *fault)
    }
}

/// A refusal as it goes over the wire.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: RefusedBody,
}

/// What a refusal carries.
#[derive(Clone, Debug, PartialEq)]
pub enum RefusedBody {
    Json(Value),
    Html(String),
}

impl Refusal {
    /// Returns the status in a dialect.
    pub fn status(self, dialect: Dialect) -> u16 {
        match self {
            Self::RateLimit(_) | Self::Quota | Self::Insufficient => 429,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NoModel => 404,
            Self::Billing if dialect == Dialect::Messages => 400,
            Self::Billing => 402,
            Self::Context | Self::BadRequest => 400,
            Self::Internal => 500,
            Self::BadGateway => 502,
            Self::Unavailable => 503,
            Self::Overloaded => 529,
        }
    }

    /// Returns the refusal as a dialect words it; `model` is the one asked for.
    pub fn worded(self, dialect: Dialect, model: &str) -> Refused {
        let status = self.status(dialect);
        let mut headers = Vec::new();
        if let Self::RateLimit(Some(seconds)) = self {
            headers.push(("retry-after", seconds.to_string()));
        }
        if self == Self::Quota && dialect == Dialect::Messages {
            headers.extend([
                ("anthropic-ratelimit-unified-status", "rejected".to_owned()),
                ("anthropic-ratelimit-unified-representative-claim", "five_hour".to_owned()),
                ("anthropic-ratelimit-unified-reset", quota_reset().to_string()),
                ("retry-after", QUOTA_SECONDS.to_string()),
                ("x-should-retry", "false".to_owned()),
            ]);
        }
        let body = match self {
            Self::BadGateway => {
                RefusedBody::Html("<html><body><h1>502 Bad Gateway</h1><hr>nginx</body></html>\n".to_owned())
            }
            _ => RefusedBody::Json(self.body(dialect, model)),
        };
        Refused { status, headers, body }
    }

    /// Returns the JSON of the refusal, which is also what an error inside a stream carries.
    pub fn body(self, dialect: Dialect, model: &str) -> Value {
        let message = self.message(dialect, model);
        match dialect {
            Dialect::Messages => json!({
                "type": "error",
                "error": { "type": self.anthropic_type(), "message": message },
                "request_id": "req_mock",
            }),
            Dialect::Responses | Dialect::Chat => {
                let (kind, code) = self.openai_type(dialect);
                let mut error = json!({ "message": message, "type": kind, "param": null, "code": code });
                if self == Self::Quota {
                    error["plan_type"] = json!("plus");
                    error["resets_at"] = json!(quota_reset());
                    error["resets_in_seconds"] = json!(QUOTA_SECONDS);
                }
                json!({ "error": error })
            }
            Dialect::Gemini => json!({ "error": {
                "code": self.status(dialect),
                "message": message,
                "status": self.google_status(),
                "details": self.google_details(),
            } }),
            Dialect::Ollama => json!({ "error": message }),
        }
    }

    fn message(self, dialect: Dialect, model: &str) -> String {
        let words = match (self, dialect) {
            (Self::RateLimit(_), Dialect::Messages) => {
                "This request would exceed your organization's rate limit of 50 requests per minute."
            }
            (Self::RateLimit(Some(seconds)), Dialect::Responses | Dialect::Chat) => {
                return format!("Rate limit reached for {model}. Please try again in {seconds}s.");
            }
            (Self::RateLimit(_), Dialect::Gemini) => "Resource has been exhausted (e.g. check quota).",
            (Self::RateLimit(_), _) => "Rate limit reached. Please slow down.",
            (Self::Quota, Dialect::Messages) => "This request would exceed your account's rate limit.",
            (Self::Quota, Dialect::Gemini) => {
                "You exceeded your current quota, please check your plan and billing details. Quota exceeded for metric: \
                 generativelanguage.googleapis.com/generate_requests_per_model_per_day"
            }
            (Self::Quota, _) => "The usage limit has been reached",
            (Self::Insufficient, _) => "You exceeded your current quota, please check your plan and billing details.",
            (Self::Unauthorized, Dialect::Messages) => "invalid x-api-key",
            (Self::Unauthorized, Dialect::Gemini) => "API key not valid. Please pass a valid API key.",
            (Self::Unauthorized, _) => "Incorrect API key provided.",
            (Self::Forbidden, _) => "Your account does not have permission to use this resource.",
            (Self::NoModel, Dialect::Messages) => return format!("model: {model}"),
            (Self::NoModel, Dialect::Gemini) => {
                return format!("models/{model} is not found for API version v1beta.");
            }
            (Self::NoModel, Dialect::Ollama) => return format!("model '{model}' not found"),
            (Self::NoModel, _) => {
                return format!("The model `{model}` does not exist or you do not have access to it.");
            }
            (Self::Billing, Dialect::Messages) => {
                "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or \
                 purchase credits."
            }
            (Self::Billing, _) => "Insufficient credits. Add more credits to go on.",
            (Self::Context, Dialect::Messages) => "prompt is too long: 250000 tokens > 200000 maximum",
            (Self::Context, Dialect::Gemini) => {
                "The input token count (1500000) exceeds the maximum number of tokens allowed (1048576)."
            }
            (Self::Context, _) => {
                "This model's maximum context length is 128000 tokens. However, your messages resulted in 250000 tokens. \
                 Please reduce the length of the messages."
            }
            (Self::BadRequest, _) => "messages: something about them is wrong",
            (Self::Internal, _) => "Internal server error",
            (Self::BadGateway, _) => "Bad gateway",
            (Self::Unavailable, _) => "The service is temporarily unavailable.",
            (Self::Overloaded, Dialect::Gemini) => "The model is overloaded. Please try again later.",
            (Self::Overloaded, _) => "Overloaded",
        };
        words.to_owned()
    }

    fn anthropic_type(self) -> &'static str {
        match self {
            Self::RateLimit(_) | Self::Quota | Self::Insufficient => "rate_limit_error",
            Self::Unauthorized => "authentication_error",
            Self::Forbidden => "permission_error",
            Self::NoModel => "not_found_error",
            Self::Billing | Self::Context | Self::BadRequest => "invalid_request_error",
            Self::Internal | Self::BadGateway => "api_error",
            Self::Unavailable | Self::Overloaded => "overloaded_error",
        }
    }

    fn openai_type(self, dialect: Dialect) -> (&'static str, &'static str) {
        match self {
            Self::RateLimit(_) => ("requests", "rate_limit_exceeded"),
            Self::Quota => ("usage_limit_reached", "usage_limit_reached"),
            Self::Insufficient => ("insufficient_quota", "insufficient_quota"),
            Self::Unauthorized => ("invalid_request_error", "invalid_api_key"),
            Self::Forbidden => ("invalid_request_error", "forbidden"),
            Self::NoModel => ("invalid_request_error", "model_not_found"),
            Self::Billing => ("billing", "insufficient_credits"),
            Self::Context => ("invalid_request_error", "context_length_exceeded"),
            Self::BadRequest => ("invalid_request_error", "invalid_value"),
            Self::Overloaded if dialect == Dialect::Responses => ("server_error", "server_is_overloaded"),
            Self::Internal | Self::BadGateway | Self::Unavailable | Self::Overloaded => {
                ("server_error", "server_error")
            }
        }
    }

    fn google_status(self) -> &'static str {
        match self {
            Self::RateLimit(_) | Self::Quota | Self::Insufficient => "RESOURCE_EXHAUSTED",
            Self::Unauthorized => "UNAUTHENTICATED",
            Self::Forbidden | Self::Billing => "PERMISSION_DENIED",
            Self::NoModel => "NOT_FOUND",
            Self::Context | Self::BadRequest => "INVALID_ARGUMENT",
            Self::Internal | Self::BadGateway => "INTERNAL",
            Self::Unavailable | Self::Overloaded => "UNAVAILABLE",
        }
    }

    fn google_details(self) -> Value {
        match self {
            Self::Quota => json!([
                { "@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{
                    "quotaMetric": "generativelanguage.googleapis.com/generate_requests_per_model_per_day",
                    "quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
                }] },
                { "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{QUOTA_SECONDS}s") },
            ]),
            Self::RateLimit(Some(seconds)) => json!([
                { "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{seconds}s") },
            ]),
            _ => json!([]),
        }
    }
}

/// When the quota lifts, in seconds since the Unix epoch.
fn quota_reset() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs()) + QUOTA_SECONDS
}
