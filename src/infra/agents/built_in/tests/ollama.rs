use super::*;

#[test]
fn the_window_is_the_models_own_or_what_it_can_up_to_a_cap() {
    for (parameters, length, window) in [
        (None, Some(4_096), 4_096),
        (None, Some(131_072), 32_768),
        (Some("stop \"<end>\"\nnum_ctx                        16384\ntemperature 0.7"), Some(131_072), 16_384),
        (Some("num_ctx 65536"), Some(131_072), 65_536),
        (Some("num_ctx 65536"), Some(8_192), 8_192),
        (Some("num_ctx many"), None, 4_096),
        (Some("temperature 1"), None, 4_096),
    ] {
        let mut body = json!({"model_info": {"general.architecture": "qwen3", "qwen3.embedding_length": 1}});
        if let Some(parameters) = parameters {
            body["parameters"] = parameters.into();
        }
        if let Some(length) = length {
            body["model_info"]["qwen3.context_length"] = length.into();
        }
        assert_eq!(shown(&body).window, window, "{body}");
    }
}

#[test]
fn capabilities_tell_of_tools() {
    for (body, tools) in [
        (json!({"capabilities": ["completion", "tools"]}), true),
        (json!({"capabilities": ["completion"]}), false),
        (json!({}), true),
    ] {
        assert_eq!(shown(&body).tools, tools, "{body}");
    }
    let list = json!({"models": [{"name": "a:latest", "model": "a:latest"}, {"size": 1}]});
    assert_eq!(names(&list), ["a:latest"]);
    assert!(names(&json!([])).is_empty());
}

#[test]
fn answers_go_back_as_they_came() {
    let body = json!({"model": "qwen3", "done": true, "done_reason": "stop", "prompt_eval_count": 30, "eval_count": 4,
        "message": {"role": "assistant", "content": "", "thinking": "hm",
            "tool_calls": [{"function": {"index": 0, "name": "read", "arguments": {"path": "a"}}}]}});
    let found = answer(body.to_string().as_bytes(), 3).expect("an answer");
    assert_eq!(found.finish, Finish::Whole);
    assert_eq!(found.usage, Some(Usage { input_tokens: 30, output_tokens: 4, ..Usage::default() }));
    assert_eq!(found.spoken.calls[0].id, "call_3_0");
    let tool = Message::Tool { call: "call_3_0".into(), name: "read".into(), text: "x".into() };
    let body = request("qwen3", 4_096, &[Message::Assistant(found.spoken), tool], &[]);
    assert_eq!(body["options"]["num_ctx"], 4_096);
    assert_eq!(body["truncate"], false);
    assert_eq!(
        body["messages"],
        json!([
            {"role": "assistant", "content": "", "thinking": "hm",
             "tool_calls": [{"function": {"name": "read", "arguments": {"path": "a"}}}]},
            {"role": "tool", "tool_name": "read", "content": "x"}])
    );
}

#[test]
fn what_is_no_answer_is_none() {
    for body in ["", "{}", r#"{"message": 3}"#, "[]", "{\"message\": {\"tool_calls\": [{}]}}"] {
        assert!(matches!(answer(body.as_bytes(), 1), Err(Failure::Malformed(_))), "{body}");
    }
    let error = answer(br#"{"error": "llama runner process has terminated"}"#, 1);
    assert!(matches!(error, Err(Failure::Refused(Refusal { status: 200, .. }))), "{error:?}");
    let cut = answer(br#"{"message": {"content": "a"}, "done_reason": "length"}"#, 1).expect("an answer");
    assert_eq!(cut.finish, Finish::Cut);
}
