//! The server as its clients see it.

use super::Mock;
use super::play::Step;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Posts a body and returns everything that came back until the connection ended.
fn post(url: &str, body: &Value) -> std::io::Result<String> {
    let (host, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("an address");
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let body = body.to_string();
    let head = format!("POST /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}", body.len());
    write!(stream, "{head}\r\ncontent-type: application/json\r\n\r\n{body}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn chat() -> Value {
    let tool = json!({ "type": "function", "function": { "name": "bash",
        "parameters": { "properties": { "command": {} } } } });
    json!({ "model": "m", "messages": [{ "role": "user", "content": "go" }], "tools": [tool] })
}

#[test]
fn a_script_is_followed_and_what_came_is_kept() {
    let mock = Mock::start(0);
    mock.script("one", &[Step::Shell("ls".into()), Step::Say("listed".into())]);
    let url = format!("{}/v1/chat/completions", mock.url("script", "one"));
    let first = post(&url, &chat()).expect("answered");
    assert!(first.contains(r#""arguments":"{\"command\":\"ls\"}"#), "{first}");
    let mut next = chat();
    let messages = next["messages"].as_array_mut().expect("a list");
    messages.push(json!({ "role": "assistant", "tool_calls": [{ "id": "1", "function": { "name": "bash" } }] }));
    messages.push(json!({ "role": "tool", "tool_call_id": "1", "content": "a.txt" }));
    let second = post(&url, &next).expect("answered");
    assert!(second.contains("listed"), "{second}");
    assert!(mock.wait_for_turns("one", 2, Duration::from_secs(1)));
    assert_eq!(mock.turns("one"), 2);
    assert_eq!(mock.turns("other"), 0, "runs are kept apart");
    assert_eq!(mock.entries("one")[1].last_result.as_deref(), Some("a.txt"));
    let told = post(&format!("{}/log/one", mock.address()), &Value::Null).expect("answered");
    assert!(told.contains(r#""turn":2"#), "{told}");
}

#[test]
fn faults_hit_as_often_as_they_should() {
    let mock = Mock::start(0);
    let status = |scenario: &str| {
        let url = format!("{}/v1/chat/completions", mock.url(scenario, scenario));
        post(&url, &chat()).map(|answer| answer.get(9..12).unwrap_or_default().to_owned())
    };
    assert_eq!(status("fail.1.overloaded.ok").expect("answered"), "529");
    assert_eq!(status("fail.1.overloaded.ok").expect("answered"), "200");
    assert_eq!(status("after.1.rate.ok").expect("answered"), "200");
    assert_eq!(status("after.1.rate.ok").expect("answered"), "429");
    assert_eq!(status("unauthorized").expect("answered"), "401");
    let dropped = status("dropped");
    assert!(dropped.as_ref().is_ok_and(String::is_empty) || dropped.is_err(), "{dropped:?}");
}

#[test]
fn every_dialect_streams_a_call_and_breaks_off() {
    let mock = Mock::start(0);
    let tool = json!({ "name": "Bash", "input_schema": {}, "parameters": {} });
    let messages =
        json!({ "model": "m", "stream": true, "tools": [tool], "messages": [{ "role": "user", "content": "go" }] });
    let responses =
        json!({ "model": "m", "stream": true, "tools": [{ "type": "function", "name": "shell" }], "input": "go" });
    let mut stream = chat();
    stream["stream"] = json!(true);
    let gemini = json!({ "contents": [{ "role": "user", "parts": [{ "text": "go" }] }],
        "tools": [{ "functionDeclarations": [{ "name": "run_shell_command" }] }] });
    for (path, body, last) in [
        ("v1/messages", &messages, "message_stop"),
        ("v1/responses", &responses, "response.completed"),
        ("v1/chat/completions", &stream, "[DONE]"),
        ("v1beta/models/m:streamGenerateContent?alt=sse", &gemini, "finishReason"),
        ("api/chat", &chat(), "\"done\":true"),
    ] {
        let whole = post(&format!("{}/{path}", mock.url("shell", "dialects")), body).expect("answered");
        assert!(whole.contains("echo out-of-the-shell") && whole.contains(last), "{path}: {whole}");
        let cut = post(&format!("{}/{path}", mock.url("truncated", "dialects")), body).expect("answered");
        assert!(cut.starts_with("HTTP/1.1 200") && !cut.contains(last), "{path}: {cut}");
    }
}
