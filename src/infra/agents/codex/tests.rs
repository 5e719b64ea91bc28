use super::failure::TurnError;
use super::*;
use crate::domain::ending::{Scope, Usage};
use crate::infra::agents::fake::{Fake, order};
use crate::infra::agents::recorded;
use crate::protocol::agent_lines::ToolStatus;
use crate::protocol::config::AgentKind;

/// Own recordings of version 0.169.0 against a scripted model server, cleaned.
macro_rules! recording {
    ($name:literal) => {
        include_str!(concat!("recordings/", $name, ".jsonl"))
    };
}

/// Takes in one line as a turn does whose requests for thread and turn have the numbers 2 and 3.
fn hear(stream: &mut Stream, line: &str) -> Vec<AgentLine> {
    let heard = stream.line(line);
    match heard.answer {
        Some((2, Ok(answer))) => assert!(stream.begin_thread(&answer).is_some()),
        Some((3, Ok(answer))) => assert!(stream.begin_turn(&answer).is_some()),
        _ => {}
    }
    heard.lines
}

fn read(text: &str) -> (Stream, Vec<AgentLine>) {
    let mut stream = Stream::default();
    let lines = text.lines().flat_map(|line| hear(&mut stream, line)).collect();
    (stream, lines)
}

fn ending(text: &str) -> Ending {
    let (stream, _) = read(text);
    let Some(TurnEnd::Failed(error)) = stream.end() else { panic!("not failed: {:?}", stream.end()) };
    let now = "2026-11-21T17:00:00Z".parse().expect("an instant");
    error.ending(stream.retrying(), stream.reset(), now, &TimeZone::UTC)
}

#[test]
fn every_failure_has_its_class() {
    use Outcome::*;
    let table = [
        (recording!("rate_limit"), RateLimited, Scope::Agent, "429"),
        (recording!("rate_limit_retried"), RateLimited, Scope::Agent, "429"),
        (recording!("usage_limit"), RateLimited, Scope::Agent, "usage limit"),
        (recording!("no_quota"), Auth, Scope::Agent, "billing"),
        (recording!("authentication"), Auth, Scope::Agent, "codex login"),
        (recording!("no_key"), Auth, Scope::Agent, "MOCK_KEY"),
        (recording!("no_credit"), Auth, Scope::Agent, "billing"),
        (recording!("missing_model"), ModelUnavailable, Scope::Model, "`models`"),
        (recording!("context"), ContextExhausted, Scope::Agent, "ran out of room"),
        (recording!("bad_request"), InvalidOutput, Scope::Agent, "something is wrong"),
        (recording!("server_error"), Overloaded, Scope::Agent, "high demand"),
        (recording!("overloaded"), Overloaded, Scope::Agent, "529"),
        (recording!("error_in_stream"), Overloaded, Scope::Model, "at capacity"),
        (recording!("malformed"), Network, Scope::Agent, "response.completed"),
        (recording!("dropped"), Network, Scope::Agent, "error sending request"),
    ];
    for (text, outcome, scope, words) in table {
        let ending = ending(text);
        assert_eq!((ending.failure, ending.scope), (Some(outcome), scope), "{}", ending.detail);
        assert!(ending.detail.contains(words), "{}", ending.detail);
    }
    // "try again at 6:33 PM"
    let until = ending(recording!("usage_limit")).until_ms.and_then(|at| Timestamp::from_millisecond(at).ok());
    assert_eq!(until.map(|at| at.to_string()).as_deref(), Some("2026-11-21T18:33:00Z"));
}

#[test]
fn typed_errors_without_a_recording_have_their_class() {
    use Outcome::*;
    let table = [
        (json!("sessionBudgetExceeded"), BudgetExceeded),
        (json!("rateLimitExceeded"), RateLimited),
        (json!("unauthorized"), Auth),
        (json!("flexUnavailable"), Overloaded),
        (json!("policyCapacityUnavailable"), Overloaded),
        (json!("sandboxError"), Crashed),
        (json!("cyberPolicy"), InvalidOutput),
        (json!("somethingNew"), InvalidOutput),
        (json!({ "httpConnectionFailed": { "httpStatusCode": null } }), Network),
        (json!({ "responseStreamConnectionFailed": { "httpStatusCode": 403 } }), Auth),
        (json!({ "responseTooManyFailedAttempts": { "httpStatusCode": 503 } }), Overloaded),
        (json!({ "responseStreamDisconnected": { "httpStatusCode": 422 } }), InvalidOutput),
        (json!({ "somethingNew": {} }), InvalidOutput),
        (Value::Null, InvalidOutput),
    ];
    for (info, outcome) in table {
        let error = TurnError { info: info.clone(), ..TurnError::default() };
        assert_eq!(error.class(None).0, outcome, "{info}");
    }
}

#[test]
fn a_stream_cut_anywhere_is_never_a_success() {
    for text in [recording!("write"), recording!("steered"), recording!("resumed"), recording!("overloaded")] {
        let mut stream = Stream::default();
        for line in text.lines() {
            for cut in (0..line.len()).filter(|cut| line.is_char_boundary(*cut)) {
                let mut cut_stream = stream.clone();
                cut_stream.line(&line[..cut]);
                assert_ne!(cut_stream.end(), Some(&TurnEnd::Completed), "cut after {}", &line[..cut]);
            }
            hear(&mut stream, line);
        }
    }
}

#[test]
fn recordings_of_the_real_program_end_as_its_tests_saw() {
    for recording in recorded::of("codex") {
        let mut stream = Stream::default();
        for line in recording.text.lines() {
            for cut in recorded::cuts(line) {
                let mut cut_stream = stream.clone();
                cut_stream.line(&line[..cut]);
                let completed = |stream: &Stream| stream.end() == Some(&TurnEnd::Completed);
                assert!(!completed(&cut_stream) || completed(&stream), "{}: {}", recording.name, &line[..cut]);
            }
            hear(&mut stream, line);
        }
        let Some(outcome) = recording.outcome else { continue };
        let failure = match stream.end() {
            Some(TurnEnd::Completed) => None,
            // By us, for a reason that the recording does not tell.
            Some(TurnEnd::Interrupted) => continue,
            _ => ending(&recording.text).failure.map(|failure| failure.as_str().to_owned()),
        };
        assert_eq!(failure, outcome, "{}", recording.name);
    }
}

#[test]
fn a_turn_is_told_in_lines() {
    let tools = |text: &str| -> Vec<(String, ToolStatus, String)> {
        let tool = |line| match line {
            AgentLine::Tool { title, status, detail, .. } => Some((title, status, detail)),
            _ => None,
        };
        let (stream, lines) = read(text);
        assert!(!lines.iter().any(|line| matches!(line, AgentLine::Raw { .. })), "{lines:?}");
        assert!(lines.contains(&AgentLine::Said { text: "All done. ".into() }));
        assert_eq!(stream.end(), Some(&TurnEnd::Completed));
        lines.into_iter().filter_map(tool).collect()
    };
    let table = [
        (recording!("write"), "edit /slot/made.txt", ToolStatus::Completed, ""),
        (recording!("shell"), "echo hi; echo err >&2", ToolStatus::Completed, "hi\nerr"),
        (recording!("failed_tool"), "exit 3", ToolStatus::Failed, "exit status 3"),
        (recording!("server_tool"), "ralph: report_progress", ToolStatus::Completed, "delivered"),
    ];
    for (text, title, status, detail) in table {
        let started = (title.to_owned(), ToolStatus::Started, String::new());
        assert_eq!(tools(text), [started, (title.to_owned(), status, detail.to_owned())]);
    }
}

#[test]
fn usage_counts_this_turn_only() {
    let used = Usage { input_tokens: 100, cached_tokens: 20, output_tokens: 12, usd: None };
    assert_eq!(read(recording!("resumed")).0.usage(), used);
    let twice = Usage { input_tokens: 200, cached_tokens: 40, output_tokens: 24, usd: None };
    assert_eq!(read(recording!("write")).0.usage(), twice);
}

#[test]
fn an_interrupted_turn_is_none_that_completed() {
    assert_eq!(read(recording!("interrupted")).0.end(), Some(&TurnEnd::Interrupted));
}

#[test]
fn waiting_for_a_network_is_told_a_few_times_only() {
    let text = recording!("no_network");
    let (stream, lines) = read(text);
    assert!(stream.retrying().is_some_and(TurnError::waits) && stream.end().is_none());
    let last = text.lines().last().expect("a line");
    assert!(last.contains("waiting for network"));
    let mut stream = stream;
    let more: Vec<AgentLine> = (0..40).flat_map(|_| hear(&mut stream, last)).collect();
    let told =
        lines.iter().chain(&more).filter(|line| matches!(line, AgentLine::Note { text } if text.contains("network")));
    assert_eq!(told.count(), 3);
}

#[test]
fn the_windows_of_the_account_tell_when_the_limit_lifts() {
    let limits = r#"{"method":"account/rateLimits/updated","params":{"rateLimits":{"primary":{"usedPercent":100,"resetsAt":1795287600},"secondary":{"usedPercent":30,"resetsAt":1795890000}}}}"#;
    let text = format!("{}{limits}\n", recording!("usage_limit"));
    assert_eq!(ending(&text).until_ms, Some(1_795_287_600_000));
}

#[test]
fn requests_are_declined_and_unknown_lines_are_kept() {
    let mut stream = Stream::default();
    let heard = stream.line(r#"{"id":"x","method":"item/fileChange/requestApproval","params":{}}"#);
    assert_eq!(heard.reply, Some(json!({ "id": "x", "result": { "decision": "decline" } })));
    let heard = stream.line(r#"{"id":7,"method":"novelty/request","params":{}}"#);
    assert_eq!(heard.reply.expect("answered")["error"]["code"], -32601);
    for line in [
        "panic",
        "[1]",
        "{\"jsonrpc\":\"2.0\"}",
        r#"{"method":"novelty/happened","params":{}}"#,
        r#"{"method":"error"}"#,
    ] {
        assert!(matches!(hear(&mut stream, line).as_slice(), [AgentLine::Raw { .. }]), "{line}");
    }
}

/// A server that takes the first steps and then does as the script says.
fn server(script: &str) -> String {
    let thread = r#"{"id":2,"result":{"thread":{"id":"t1"},"model":"m1","instructionSources":["/slot/AGENTS.md"]}}"#;
    let turn = r#"{"id":3,"result":{"turn":{"id":"u1","status":"inProgress"}}}"#;
    format!(
        "read -r l; echo '{{\"id\":1,\"result\":{{}}}}'; read -r l; read -r l; echo '{thread}'; read -r l; echo '{turn}'; {script}"
    )
}

fn turn_ended(status: &str) -> String {
    format!(
        "echo '{{\"method\":\"turn/completed\",\"params\":{{\"turn\":{{\"id\":\"u1\",\"status\":\"{status}\"}}}}}}'"
    )
}

#[tokio::test]
async fn programs_end_in_many_ways() {
    use Outcome::*;
    let completed = turn_ended("completed");
    let table = [
        (server(&format!("{completed}; cat >/dev/null")), None),
        (server(&format!("{completed}; cat >/dev/null; exit 3")), Some(Crashed)),
        (server(&format!("{completed}; sleep 30 & exit 0")), None),
        (server("exit 0"), Some(Crashed)),
        (server("echo '{\"method\":\"turn/comp'; exit 0"), Some(Crashed)),
        (server(&turn_ended("interrupted")), Some(Crashed)),
        (server(&turn_ended("failed")), Some(InvalidOutput)),
        ("exit 0".to_owned(), Some(Crashed)),
        ("echo 'error: unexpected argument --x found' >&2; exit 2".to_owned(), Some(InvalidOutput)),
        (
            "read -r l; echo '{\"id\":1,\"error\":{\"message\":\"too old\"}}'; cat >/dev/null".to_owned(),
            Some(InvalidOutput),
        ),
    ];
    for (script, failure) in table {
        let fake = Fake::new(order(AgentKind::Codex, &script));
        let ending = drive(&mut fake.session("do it")).await;
        assert_eq!(ending.failure, failure, "{script}: {ending:?}");
        let printed = fake.printed();
        assert_eq!(printed.matches("\"line\":\"started\"").count(), 1, "{script}: {printed}");
        if script.contains("t1") {
            assert_eq!((ending.session.as_deref(), ending.model.as_deref()), (Some("t1"), Some("m1")));
            assert!(printed.contains("/slot/AGENTS.md"));
        }
    }
}

#[tokio::test]
async fn a_stop_interrupts_the_turn_first() {
    let script = server(&format!(
        "echo ready; read -r l; case \"$l\" in *turn/interrupt*) echo asked >&2;; esac; {}; cat >/dev/null",
        turn_ended("interrupted")
    ));
    let fake = Fake::stopped_at(order(AgentKind::Codex, &script), "ready");
    let ending = drive(&mut fake.session("do it")).await;
    assert_eq!(ending.failure, Some(Outcome::Cancelled), "{ending:?}");
    assert!(fake.printed().contains("asked"));
}

#[tokio::test]
async fn one_that_ignores_everything_is_killed_in_time() {
    let script = server("trap '' INT TERM; echo ready; while :; do sleep 0.05; done");
    let fake = Fake::stopped_at(order(AgentKind::Codex, &script), "ready");
    let begun = Instant::now();
    let ending = drive(&mut fake.session("do it")).await;
    assert_eq!(ending.failure, Some(Outcome::Cancelled), "{ending:?}");
    // The longest a driver is given to end, and what a busy machine adds.
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}
