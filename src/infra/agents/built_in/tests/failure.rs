use super::*;
use proptest::prelude::*;

const NOW: i64 = 1_790_000_000_000;

fn now() -> Timestamp {
    Timestamp::from_millisecond(NOW).expect("a time")
}

fn subject() -> Subject {
    Subject { url: "https://box/v1".into(), model: "qwen3".into(), key_env: Some("BOX_KEY".into()), is_ollama: false }
}

fn meaning(status: u16, headers: &[(&str, &str)], body: &str) -> Meaning {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Failure::Refused(Refusal { status, headers, body: body.to_owned() }).meaning(&subject(), now())
}

#[test]
fn each_refusal_means_one_thing() {
    use Outcome::*;
    let after = |seconds: i64| Some(NOW + seconds * 1_000);
    for (status, headers, body, outcome, scope, until) in [
        (
            401,
            &[][..],
            r#"{"error":{"message":"Incorrect API key","code":"invalid_api_key"}}"#,
            Auth,
            Scope::Agent,
            None,
        ),
        (403, &[], "<html>Forbidden</html>", Auth, Scope::Agent, None),
        (402, &[], r#"{"error":{"message":"Insufficient credits"}}"#, Auth, Scope::Agent, None),
        (
            429,
            &[],
            r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota"}}"#,
            RateLimited,
            Scope::Agent,
            None,
        ),
        (429, &[("retry-after", "20")], r#"{"error":{"message":"slow down"}}"#, RateLimited, Scope::Agent, after(20)),
        (429, &[], "", RateLimited, Scope::Agent, None),
        (
            429,
            &[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "6m0s")],
            r#"{"error":{"message":"Rate limit reached for qwen3 in organization x on tokens per min"}}"#,
            RateLimited,
            Scope::Model,
            after(360),
        ),
        (
            429,
            &[],
            r#"[{"error":{"code":429,"message":"Resource exhausted","details":[{"@type":"x"},{"retryDelay":"37s"}]}}]"#,
            RateLimited,
            Scope::Agent,
            after(37),
        ),
        (
            404,
            &[],
            r#"{"error":{"message":"The model `qwen3` does not exist","code":"model_not_found"}}"#,
            ModelUnavailable,
            Scope::Model,
            None,
        ),
        (404, &[], r#"{"error":"model 'qwen3' not found"}"#, ModelUnavailable, Scope::Model, None),
        (400, &[], r#"{"error":{"message":"no such","code":"model_not_found"}}"#, ModelUnavailable, Scope::Model, None),
        (404, &[], "404 page not found", ModelUnavailable, Scope::Agent, None),
        (405, &[], r#"{"detail":"Method Not Allowed"}"#, ModelUnavailable, Scope::Agent, None),
        (307, &[("location", "https://other/v1")], "", ModelUnavailable, Scope::Agent, None),
        (
            400,
            &[],
            r#"{"error":"registry.ollama.ai/library/qwen3:latest does not support tools"}"#,
            ModelUnavailable,
            Scope::Model,
            None,
        ),
        (
            500,
            &[],
            r#"{"error":"model requires more system memory (9.9 GiB) than is available (1.2 GiB)"}"#,
            ModelUnavailable,
            Scope::Model,
            None,
        ),
        (
            500,
            &[],
            r#"{"error":{"message":"The server had an error","type":"server_error"}}"#,
            Overloaded,
            Scope::Agent,
            None,
        ),
        (502, &[], "<html><body>Bad Gateway</body></html>", Overloaded, Scope::Agent, None),
        (
            503,
            &[],
            r#"{"error":"server busy, please try again. maximum pending requests exceeded"}"#,
            Overloaded,
            Scope::Agent,
            None,
        ),
        (
            529,
            &[],
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            Overloaded,
            Scope::Agent,
            None,
        ),
        (408, &[], "", Overloaded, Scope::Agent, None),
        (400, &[], r#"{"error":{"message":"Unsupported parameter"}}"#, Crashed, Scope::Agent, None),
        (422, &[], r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#, Crashed, Scope::Agent, None),
        (200, &[], r#"{"error":{"message":"too fast","code":"rate_limit_exceeded"}}"#, RateLimited, Scope::Agent, None),
        (200, &[], r#"{"error":{"message":"busy","type":"overloaded_error"}}"#, Overloaded, Scope::Agent, None),
        (200, &[], r#"{"error":{"message":"hm"}}"#, InvalidOutput, Scope::Agent, None),
    ] {
        let Meaning::Ends(ending) = meaning(status, headers, body) else { panic!("{status} {body}: too long") };
        assert_eq!((ending.failure, ending.scope, ending.until_ms), (Some(outcome), scope, until), "{status} {body}");
        assert!(!ending.detail.contains('<') && !ending.detail.is_empty(), "{}", ending.detail);
    }
}

#[test]
fn prompts_that_are_too_long_are_known_in_every_dialect() {
    for (status, body, window) in [
        (
            400,
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 9000","code":"context_length_exceeded"}}"#,
            Some(8_192),
        ),
        (
            400,
            r#"{"object":"error","message":"This model's maximum context length is 4096 tokens","code":400}"#,
            Some(4_096),
        ),
        (
            400,
            r#"{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error","n_prompt_tokens":5000,"n_ctx":4096}}"#,
            Some(4_096),
        ),
        (400, r#"{"error":"the input length exceeds the context length"}"#, None),
        (
            400,
            r#"{"error":"input length (9533 tokens) exceeds the model's maximum context length (2048 tokens)"}"#,
            Some(2_048),
        ),
        (500, r#"{"error":"input exceeds maximum context length and cannot be truncated further"}"#, None),
        (400, r#"{"error":"prompt too long; exceeded max context length by 12 tokens"}"#, None),
        (413, r#"{"error":{"message":"Request too large","code":"rate_limit_exceeded"}}"#, None),
        (200, r#"{"error":{"message":"x","code":"context_length_exceeded"}}"#, None),
    ] {
        match meaning(status, &[], body) {
            Meaning::TooLong { window: found, .. } => assert_eq!(found, window, "{body}"),
            Meaning::Ends(ending) => panic!("{body}: {ending:?}"),
        }
    }
}

#[test]
fn each_text_says_what_to_do() {
    let detail = |status, body: &str| match meaning(status, &[], body) {
        Meaning::Ends(ending) => ending.detail,
        Meaning::TooLong { .. } => panic!("too long"),
    };
    assert!(detail(401, "").contains("check the key in the variable BOX_KEY"));
    assert!(detail(404, "404 page not found").contains("check `url` of the agent"));
    assert!(detail(502, "<html>x").contains("shows a web page"));
    let ollama = Subject { is_ollama: true, ..subject() };
    let gone = Failure::Refused(Refusal {
        status: 404,
        body: r#"{"error":"model 'qwen3' not found"}"#.into(),
        ..Refusal::default()
    });
    let Meaning::Ends(ending) = gone.meaning(&ollama, now()) else { panic!("too long") };
    assert!(ending.detail.contains("ollama pull qwen3"), "{}", ending.detail);
    let off = Failure::Unreached { why: "connection refused".into(), again: false };
    let Meaning::Ends(ending) = off.meaning(&ollama, now()) else { panic!("too long") };
    assert_eq!(ending.failure, Some(Outcome::Network));
    assert!(ending.detail.contains("ollama serve"), "{}", ending.detail);
}

#[test]
fn only_what_broke_is_tried_again() {
    let refused = |status, body: &str| Failure::Refused(Refusal { status, headers: Vec::new(), body: body.into() });
    for (failure, again) in [
        (refused(500, ""), true),
        (refused(529, ""), true),
        (refused(500, r#"{"error":"model requires more system memory"}"#), false),
        (refused(500, r#"{"error":"input exceeds maximum context length"}"#), false),
        (refused(429, ""), false),
        (refused(401, ""), false),
        (refused(408, ""), false),
        (Failure::Unreached { why: "dropped".into(), again: true }, true),
        (Failure::Unreached { why: "refused".into(), again: false }, false),
        (Failure::Malformed("no".into()), false),
        (Failure::Stopped, false),
    ] {
        assert_eq!(failure.is_worth_a_retry(), again, "{failure:?}");
    }
}

proptest! {
    #[test]
    fn no_body_breaks_it(status in 200u16..600, body in "\\PC{0,60}", header in "\\PC{0,12}") {
        let known = meaning(status, &[("retry-after", &header)], &body);
        if let Meaning::Ends(ending) = known {
            prop_assert!(ending.failure.is_some());
            prop_assert!(ending.until_ms.is_none() || ending.failure == Some(Outcome::RateLimited));
        }
    }

    #[test]
    fn a_limit_is_a_limit_whatever_is_said(body in "[a-z {}\":]{0,40}") {
        let known = meaning(429, &[], &body);
        let failure = match known {
            Meaning::Ends(ending) => ending.failure,
            Meaning::TooLong { .. } => None,
        };
        prop_assert_eq!(failure, Some(Outcome::RateLimited));
    }
}
