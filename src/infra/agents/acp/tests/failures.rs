use super::*;
use serde_json::json;

fn clock() -> Clock {
    Clock { now: "2026-11-21T12:00:00Z".parse().expect("a time"), zone: TimeZone::UTC }
}

fn ended(code: i32, message: &str, data: Value) -> Ending {
    Told::by_error(&RpcError { code, message: message.into(), data, gone: false }).ending(&clock())
}

#[test]
fn errors_of_each_agent_have_their_outcome() {
    use Outcome::{Auth, ContextExhausted, Crashed, InvalidOutput, ModelUnavailable, Network, Overloaded, RateLimited};
    let kind = |kind: &str| json!({ "errorKind": kind });
    let codex = |info: Value| json!({ "message": "it failed", "codexErrorInfo": info });
    let zed = |info: Value| json!({ "codex_error_info": info });
    let opencode = |name: &str| json!({ "service": "session", "errorName": name });
    let rows = [
        // The protocol's own.
        (Auth, -32000, "Authentication required", json!(null)),
        (Crashed, -32603, "Internal error", json!(null)),
        (Crashed, -32602, "Invalid params", json!({ "_errors": [] })),
        // claude-agent-acp.
        (RateLimited, -32603, "Internal error: API Error: Request rejected (429)", kind("rate_limit")),
        (ContextExhausted, -32603, "Internal error: Prompt is too long", kind("invalid_request")),
        (Crashed, -32603, "Internal error: API Error: 400 bad", kind("invalid_request")),
        (Overloaded, -32603, "Internal error: API Error: 529 Overloaded", kind("server_error")),
        (Overloaded, -32603, "Internal error: it broke", kind("server_error")),
        (Network, -32603, "Internal error: Connection dropped (ECONNRESET)", kind("server_error")),
        (Auth, -32603, "Internal error", kind("authentication_failed")),
        (Auth, -32603, "Internal error: Credit balance is too low", kind("billing_error")),
        (ModelUnavailable, -32603, "Internal error: no", kind("model_not_found")),
        (ContextExhausted, -32603, "Internal error: more than 32000", kind("max_output_tokens")),
        // codex-acp and the older adapter.
        (RateLimited, -32603, "Internal error", codex(json!("usageLimitExceeded"))),
        (ContextExhausted, -32603, "Internal error", codex(json!("contextWindowExceeded"))),
        (Overloaded, -32603, "Internal error", codex(json!("serverOverloaded"))),
        (ModelUnavailable, -32603, "Internal error", codex(json!("modelNotFound"))),
        (Auth, -32603, "Internal error", codex(json!({ "httpConnectionFailed": { "httpStatusCode": 401 } }))),
        (Overloaded, -32603, "Internal error", codex(json!({ "httpConnectionFailed": { "httpStatusCode": 529 } }))),
        (Network, -32603, "Internal error", codex(json!({ "httpConnectionFailed": { "httpStatusCode": null } }))),
        (RateLimited, -32603, "", codex(json!({ "responseTooManyFailedAttempts": { "httpStatusCode": 429 } }))),
        (Overloaded, -32603, "", codex(json!({ "responseTooManyFailedAttempts": { "httpStatusCode": 503 } }))),
        (Crashed, -32603, "Internal error", codex(json!("other"))),
        (ContextExhausted, -32603, "Internal error", zed(json!("context_window_exceeded"))),
        (RateLimited, -32603, "Internal error", zed(json!("usage_limit_exceeded"))),
        // opencode, whose errors tell no status.
        (Auth, -32603, "Internal error: Invalid API key", opencode("APIError")),
        (RateLimited, -32603, "Internal error: Rate limit reached", opencode("APIError")),
        (ModelUnavailable, -32603, "Internal error: The model mock-model does not exist", opencode("APIError")),
        (ContextExhausted, -32603, "Internal error: Session too large to compact", opencode("ContextOverflowError")),
        (
            Network,
            -32603,
            "Internal error: Cannot connect to API: The socket connection was closed",
            opencode("APIError"),
        ),
        (InvalidOutput, -32603, "Internal error: boom", opencode("APIError")),
        (Auth, -32603, "Internal error: Insufficient credits. Add more credits to go on.", opencode("APIError")),
        (Auth, -32603, "Internal error: Your account does not have permission to use this.", opencode("APIError")),
        (Overloaded, -32603, "Internal error: The service is temporarily unavailable.", opencode("APIError")),
        (Overloaded, -32603, "Internal error: Bad Gateway: <html>", opencode("APIError")),
        (Auth, -32603, "Internal error: no", opencode("ProviderAuthError")),
        (Crashed, -32603, "Internal error: what", opencode("UnknownError")),
        (Network, -32603, "Internal error: JSON parsing failed: Text: {\"a.", opencode("UnknownError")),
        // gemini, whose code is a status, and whose message is a body.
        (Auth, 401, r#"{"error":{"message":"Invalid API key","code":"invalid_api_key"}}"#, json!(null)),
        (Auth, 403, "Forbidden", json!(null)),
        (RateLimited, 429, "You have exhausted your daily quota on this model.", json!(null)),
        (ModelUnavailable, 404, "models/x is not found", json!(null)),
        (Overloaded, 500, "Incomplete JSON segment at the end", json!(null)),
        (Overloaded, 503, "", json!(null)),
        (Overloaded, 500, "Internal server error", json!(null)),
        (Overloaded, 500, "please log in to the status page", json!(null)),
        (Network, 500, "exception TypeError: fetch failed sending request", json!(null)),
        (ModelUnavailable, 500, "models/gemini-x is not found for API version v1beta.", json!(null)),
        (
            ContextExhausted,
            400,
            "The input token count (2) exceeds the maximum number of tokens allowed (1).",
            json!(null),
        ),
        (ContextExhausted, 400, "The input token count exceeds the maximum context length", json!(null)),
        (Crashed, 400, "Bad Request", json!(null)),
        // Bodies of providers within the data.
        (RateLimited, -32603, "x", json!({ "responseBody": r#"{"error":{"type":"rate_limit_error"}}"# })),
        (Overloaded, -32603, "x", json!({ "error": { "statusCode": 502, "name": "APIError" } })),
        (Auth, -32603, "x", json!({ "status": "401" })),
        (Crashed, -32603, "x", json!({ "status": 4010, "code": "weird" })),
    ];
    for (expected, code, message, data) in rows {
        let ending = ended(code, message, data.clone());
        assert_eq!(ending.failure, Some(expected), "{code} {message} {data}: {}", ending.detail);
        assert!(!ending.detail.is_empty());
    }
}

#[test]
fn what_opencode_repeated_is_not_the_fault_of_the_request() {
    let ended = |name: &str, seconds: u64, words: &str| {
        let data = json!({ "service": "session", "errorName": name });
        let error = RpcError { code: -32603, message: format!("Internal error: {words}"), data, gone: false };
        Told::by_error(&error).after(Duration::from_secs(seconds)).ending(&clock()).failure
    };
    for (name, seconds, words, expected) in [
        ("APIError", 1, "boom", Outcome::InvalidOutput),
        ("APIError", 62, "boom", Outcome::Overloaded),
        ("UnknownError", 1, "boom", Outcome::Crashed),
        ("UnknownError", 62, "boom", Outcome::Overloaded),
        // Words that tell are believed whenever they come.
        ("APIError", 62, "Insufficient credits", Outcome::Auth),
        ("ContextOverflowError", 62, "boom", Outcome::ContextExhausted),
    ] {
        assert_eq!(ended(name, seconds, words), Some(expected), "{name} after {seconds} s: {words}");
    }
}

#[test]
fn a_limit_of_one_model_leaves_the_others() {
    assert_eq!(ended(429, "exhausted your daily quota on this model", json!(null)).scope, Scope::Model);
    assert_eq!(ended(429, "too many", json!(null)).scope, Scope::Agent);
    assert_eq!(ended(404, "no such model", json!(null)).scope, Scope::Model);
}

#[test]
fn the_reset_is_read_from_headers_fields_and_words() {
    let rows = [
        (Some("13:00:00"), "no", json!({ "responseHeaders": { "retry-after": "3600" } })),
        (Some("12:00:57"), "no", json!({ "error": { "details": [{ "retryDelay": "57s" }] } })),
        (Some("12:00:02"), "no", json!({ "retryAfterMs": 1500 })),
        (Some("15:00:00"), "limit reached, resets 3pm", json!(null)),
        (Some("12:00:41"), r#"{"error":{"details":[{"retryDelay":"41s"}],"message":"slow down"}}"#, json!(null)),
        (None, "too many requests", json!({ "retryAfter": "soon" })),
    ];
    for (expected, message, data) in rows {
        let until = ended(429, message, data.clone()).until_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let shown = until.map(|until| until.strftime("%H:%M:%S").to_string());
        match (expected, shown.as_deref()) {
            // Milliseconds are kept.
            (Some("12:00:02"), Some("12:00:01")) => {}
            (expected, shown) => assert_eq!(shown, expected, "{message} {data}"),
        }
    }
    // Only what lifts by itself is waited for.
    assert_eq!(ended(401, "resets 3pm", json!({ "retryAfter": 60 })).until_ms, None);
}

#[test]
fn the_words_are_the_agents_own_and_bounded() {
    assert_eq!(ended(-32603, "Internal error: boom", json!(null)).detail, "boom");
    assert_eq!(ended(-32603, "Internal error", json!({ "details": "it died" })).detail, "it died");
    assert_eq!(ended(401, r#"{"error":{"message":"Invalid API key"}}"#, json!(null)).detail, "Invalid API key");
    assert_eq!(ended(1, "one", json!("two")).detail, "one: two");
    assert!(ended(1, &"x".repeat(100_000), json!(null)).detail.len() < 3000);
    let mut deep = json!({ "statusCode": 401 });
    for _ in 0..50 {
        deep = json!({ "error": deep });
    }
    assert_eq!(ended(1, "deep", deep).failure, Some(Outcome::Crashed));
}
