use super::*;
use serde_json::json;
use std::path::Path;

fn clock() -> Clock {
    Clock { now: "2026-11-21T12:00:00Z".parse().expect("a time"), zone: jiff::tz::TimeZone::UTC }
}

fn said(text: &str) -> Value {
    json!({ "sessionUpdate": "agent_message_chunk", "content": { "type": "text", "text": text } })
}

fn codex(fields: Value) -> Value {
    json!({ "sessionUpdate": "session_info_update", "_meta": { "codex": fields } })
}

fn status(kind: &str) -> Value {
    codex(json!({ "threadStatus": { "type": kind } }))
}

fn ended(program: Program, heard: &[Value], answer: Value) -> Ending {
    let (mut updates, mut signs) = (Updates::default(), Signs::default());
    for update in heard {
        signs.hear(update, &mut updates);
        updates.hear(update, Path::new("/slot"));
    }
    signs.ending(program, &answer, &updates, &clock())
}

#[test]
fn agents_are_known_by_their_command_or_their_name() {
    let rows = [
        ("opencode acp", Program::OpenCode),
        ("/home/gemini/bin/opencode acp", Program::OpenCode),
        ("gemini --acp -m x", Program::Gemini),
        ("npx -y @agentclientprotocol/claude-agent-acp", Program::Claude),
        ("node /x/codex-acp/dist/index.js", Program::Other),
        ("codex-acp", Program::Codex),
        ("@agentclientprotocol/codex-acp", Program::Codex),
        ("goose acp", Program::Other),
    ];
    for (command, expected) in rows {
        assert_eq!(Program::of(command.split(' ')), expected, "{command}");
    }
    assert_eq!(Program::of(None), Program::Other);
}

#[test]
fn a_turn_is_regular_only_with_its_end_and_a_sign_of_work() {
    use Outcome::{ContextExhausted, Crashed, InvalidOutput, TimedOut};
    let used = json!({ "stopReason": "end_turn", "usage": { "inputTokens": 1 } });
    let unused = json!({ "stopReason": "end_turn", "usage": null });
    let tool = json!({ "sessionUpdate": "tool_call", "toolCallId": "1", "title": "x", "status": "completed" });
    let stop = |reason: &str| json!({ "stopReason": reason });
    let rows = [
        (None, Program::Other, vec![said("done")], stop("end_turn")),
        (None, Program::Other, vec![tool.clone()], stop("end_turn")),
        (None, Program::Codex, vec![said("done")], used.clone()),
        (None, Program::Codex, vec![tool.clone(), said("done")], unused.clone()),
        // A failure that its agent got over.
        (None, Program::Codex, vec![status("systemError"), status("active"), said("done")], used.clone()),
        (Some(InvalidOutput), Program::Other, vec![], stop("end_turn")),
        (Some(InvalidOutput), Program::Other, vec![said("")], used.clone()),
        (Some(Crashed), Program::Codex, vec![said("what")], unused.clone()),
        (Some(Crashed), Program::Codex, vec![said("a"), status("systemError"), said("what")], used),
        (Some(ContextExhausted), Program::Other, vec![said("x")], stop("max_tokens")),
        (Some(TimedOut), Program::Other, vec![said("x")], stop("max_turn_requests")),
        (Some(InvalidOutput), Program::Other, vec![said("x")], stop("refusal")),
        (Some(Crashed), Program::Other, vec![said("x")], stop("cancelled")),
        (Some(InvalidOutput), Program::Other, vec![said("x")], stop("tired")),
        (Some(InvalidOutput), Program::Other, vec![said("x")], json!(null)),
    ];
    for (expected, program, heard, answer) in rows {
        let ending = ended(program, &heard, answer.clone());
        assert_eq!(ending.failure, expected, "{heard:?} {answer}: {}", ending.detail);
    }
}

#[test]
fn gemini_hides_an_answer_that_broke_off() {
    let told = |tokens: u64| {
        let count = json!({ "input_tokens": tokens, "output_tokens": 0 });
        json!({ "stopReason": "end_turn", "_meta": { "quota": { "token_count": count } } })
    };
    let tool = json!({ "sessionUpdate": "tool_call", "toolCallId": "1", "title": "x", "status": "completed" });
    for (program, heard, answer, expected) in [
        (Program::Gemini, vec![said("It begins")], told(0), Some(Outcome::Network)),
        (Program::Gemini, vec![], told(0), Some(Outcome::Network)),
        (Program::Gemini, vec![said("done")], told(7), None),
        // Not every endpoint counts.
        (Program::Gemini, vec![tool, said("done")], told(0), None),
        (Program::Gemini, vec![said("done")], json!({ "stopReason": "end_turn" }), None),
        (Program::Other, vec![said("done")], told(0), None),
    ] {
        let ending = ended(program, &heard, answer.clone());
        assert_eq!(ending.failure, expected, "{heard:?} {answer}: {}", ending.detail);
    }
}

#[test]
fn opencode_is_stuck_when_its_messages_follow_each_other_without_end() {
    let message = |id: usize| {
        json!({ "sessionUpdate": "agent_message_chunk", "messageId": format!("m{id}"),
        "content": { "type": "text", "text": "It begins" } })
    };
    let tool = json!({ "sessionUpdate": "tool_call_update", "toolCallId": "1", "status": "completed" });
    let (mut updates, mut signs) = (Updates::default(), Signs::default());
    for id in 1..UNFINISHED {
        // However many pieces one comes in.
        for _ in 0..3 {
            signs.hear(&message(id), &mut updates);
        }
    }
    assert!(!signs.is_stuck(Program::OpenCode));
    signs.hear(&message(UNFINISHED), &mut updates);
    assert!(signs.is_stuck(Program::OpenCode) && !signs.is_stuck(Program::Other));
    signs.hear(&tool, &mut updates);
    assert!(!signs.is_stuck(Program::OpenCode), "it works");
}

#[test]
fn codex_tells_a_failure_by_its_status_and_its_last_words() {
    let end = json!({ "stopReason": "end_turn", "usage": null });
    let retry = |status: u64| {
        codex(json!({ "error": { "message": "Reconnecting... 1/1", "willRetry": true,
            "codexErrorInfo": { "responseStreamDisconnected": { "httpStatusCode": status } } } }))
    };
    let rows = [
        (Outcome::RateLimited, vec![retry(429)], "exceeded retry limit, last status: 429 Too Many Requests"),
        (Outcome::Overloaded, vec![retry(529)], "unexpected status 529 <unknown status code>: Overloaded"),
        // A try that went wrong for another reason, and words that tell nothing.
        (Outcome::ContextExhausted, vec![retry(529)], "ran out of room in the model's context window."),
        (Outcome::Overloaded, vec![retry(529)], "it went wrong"),
        (Outcome::Overloaded, vec![], "Selected model is at capacity. Please try a different model."),
        (Outcome::Overloaded, vec![], "We're currently experiencing high demand, try later"),
        (Outcome::ContextExhausted, vec![], "ran out of room in the model's context window."),
        (
            Outcome::ContextExhausted,
            vec![],
            r#"{"error":{"message":"maximum context length is 8192","code":"context_length_exceeded"}}"#,
        ),
        (Outcome::Network, vec![], "stream disconnected before completion: error sending request"),
        (Outcome::Auth, vec![], "unexpected status 403 Forbidden: no"),
    ];
    for (expected, mut heard, words) in rows {
        heard.insert(0, said("Warning: the rate limit of model x is not known."));
        heard.extend([status("systemError"), said(words)]);
        let ending = ended(Program::Codex, &heard, end.clone());
        assert_eq!(ending.failure, Some(expected), "{words}");
        assert!(!ending.detail.contains("Warning"), "{}", ending.detail);
    }
    let (mut updates, mut signs) = (Updates::default(), Signs::default());
    assert_eq!(signs.hear(&retry(529), &mut updates).as_deref(), Some("Reconnecting... 1/1"));
    assert_eq!(signs.hear(&status("idle"), &mut updates), None);
}
