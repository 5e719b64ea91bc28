use super::*;
use proptest::prelude::*;

fn read(body: Value) -> Result<Answer, Failure> {
    answer(body.to_string().as_bytes(), 7)
}

#[test]
fn an_answer_with_calls_is_read() {
    let found = read(json!({"id": "x", "model": "m-2", "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
        "role": "assistant", "content": null, "refusal": null, "reasoning_content": "hm",
        "tool_calls": [
            {"id": "c1", "type": "function", "index": 0, "function": {"name": "read", "arguments": "{\"path\": \"a\"}"},
             "extra_content": {"signature": "s"}},
            {"function": {"name": "list", "arguments": {}}},
            {"id": "", "function": {"name": "edit", "arguments": "{\"path\": "}}]}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}, "cost": 0.5}}))
    .expect("an answer");
    assert_eq!(found.finish, Finish::Whole);
    assert_eq!(found.model.as_deref(), Some("m-2"));
    assert_eq!(found.usage, Some(Usage { input_tokens: 10, cached_tokens: 4, output_tokens: 5, usd: Some(0.5) }));
    let spoken = found.spoken;
    assert_eq!((spoken.text.as_str(), spoken.thought.as_str()), ("", "hm"));
    let ids: Vec<_> = spoken.calls.iter().map(|call| call.id.as_str()).collect();
    assert_eq!(ids, ["c1", "call_7_1", "call_7_2"]);
    assert!(matches!(spoken.calls[2].arguments, Arguments::Broken { .. }));

    // What endpoints want to see again is sent again, what they did not understand is not.
    let body = request("m", &[Message::Assistant(spoken)], &[]);
    let message = &body["messages"][0];
    assert_eq!(message["reasoning_content"], "hm");
    assert_eq!(message.get("refusal"), None);
    assert_eq!(message["content"], Value::Null);
    assert_eq!(message["tool_calls"][0]["extra_content"]["signature"], "s");
    assert_eq!(message["tool_calls"][0]["function"]["arguments"], "{\"path\":\"a\"}");
    assert_eq!(message["tool_calls"][2]["function"]["arguments"], "{}");
}

#[test]
fn an_answer_in_words_is_read() {
    for (content, text) in [
        (json!("hello"), "hello"),
        (json!([{"type": "text", "text": "hel"}, {"type": "thinking"}, {"type": "text", "text": "lo"}]), "hello"),
        (Value::Null, ""),
    ] {
        let found = read(json!({"choices": [{"finish_reason": "length", "message": {"content": content}}]}));
        let found = found.expect("an answer");
        assert_eq!((found.spoken.text.as_str(), found.finish, found.usage), (text, Finish::Cut, None));
    }
}

#[test]
fn what_is_no_answer_is_none() {
    for body in ["", "{", "<html>", "[]", "{}", r#"{"choices": []}"#, r#"{"choices": [{}]}"#, "null"] {
        assert!(matches!(answer(body.as_bytes(), 1), Err(Failure::Malformed(_))), "{body}");
    }
    for (error, status) in [
        (json!({"message": "slow down", "code": 429}), 429),
        (json!({"message": "hm", "code": "server_error"}), 200),
        (json!("hm"), 200),
    ] {
        match read(json!({"error": error, "choices": []})) {
            Err(Failure::Refused(refusal)) => assert_eq!(refusal.status, status),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn speakers_take_turns() {
    let user = |text: &str| Message::User { text: text.into() };
    let body = request("m", &[Message::System { text: "s".into() }, user("a"), user("b")], &[]);
    assert_eq!(body["messages"], json!([{"role": "system", "content": "s"}, {"role": "user", "content": "a\n\nb"}]));
    assert_eq!(body.get("tools"), None);
}

#[test]
fn lists_of_models_tell_windows_in_their_own_ways() {
    let list = json!({"object": "list", "data": [
        {"id": "a", "context_length": 1}, {"id": "b", "max_model_len": 2}, {"id": "c", "meta": {"n_ctx": 3}},
        {"id": "d", "context_window": 0}, {"name": "no id"}, {"id": "e"}]});
    let expected: Vec<(String, Option<u64>)> =
        [("a", Some(1)), ("b", Some(2)), ("c", Some(3)), ("d", None), ("e", None)]
            .map(|(id, window)| (id.to_owned(), window))
            .to_vec();
    assert_eq!(models(&list), expected);
    assert_eq!(models(&json!("nothing")), []);
}

proptest! {
    #[test]
    fn no_cut_of_an_answer_is_an_answer(at in 0usize..200) {
        let whole = json!({"model": "m", "choices": [{"message": {"content": "hello", "tool_calls": [
            {"id": "c", "function": {"name": "read", "arguments": "{}"}}]}}], "usage": {"prompt_tokens": 1}}).to_string();
        let at = at.min(whole.len() - 1);
        prop_assert!(matches!(answer(&whole.as_bytes()[..at], 1), Err(Failure::Malformed(_))));
    }
}
