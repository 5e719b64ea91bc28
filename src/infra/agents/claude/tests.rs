use super::*;
use crate::domain::ending::Scope;
use crate::infra::agents::fake::{Fake, order};
use crate::infra::agents::recorded;
use crate::protocol::agent_lines::{AgentLine, ToolStatus};
use crate::protocol::config::AgentKind;
use std::os::unix::process::ExitStatusExt;

/// Own recordings of version 2.1.197 against a scripted model server, cleaned.
macro_rules! recording {
    ($name:literal) => {
        include_str!(concat!("recordings/", $name, ".jsonl"))
    };
}

const NOW: &str = "2026-11-21T17:00:00Z";

fn exit(code: i32) -> ExitStatus {
    ExitStatus::from_raw(code << 8)
}

fn read(text: &str) -> (Stream, Vec<AgentLine>) {
    let mut stream = Stream::new("s".into(), TimeZone::UTC);
    let now = NOW.parse().expect("an instant");
    let lines = text.lines().flat_map(|line| stream.line(line, now)).collect();
    (stream, lines)
}

fn ending(text: &str, code: i32) -> Ending {
    ending::of(&read(text).0, exit(code), &ErrorTail::default())
}

#[test]
fn every_failure_has_its_class() {
    use Outcome::*;
    let table = [
        (recording!("rate_limit"), RateLimited, Scope::Agent, "Request rejected (429)"),
        (recording!("authentication"), Auth, Scope::Agent, "claude /login"),
        (recording!("forbidden"), Auth, Scope::Agent, "403"),
        (recording!("no_credit"), Auth, Scope::Agent, "billing"),
        (recording!("missing_model"), ModelUnavailable, Scope::Model, "`models`"),
        (recording!("context"), ContextExhausted, Scope::Agent, "too long"),
        (recording!("bad_request"), InvalidOutput, Scope::Agent, "something is wrong"),
        (recording!("server_error"), Overloaded, Scope::Agent, "500"),
        (recording!("overloaded"), Overloaded, Scope::Model, "529"),
        (recording!("error_in_stream"), Network, Scope::Agent, "malformed response"),
        (recording!("malformed"), Network, Scope::Agent, "malformed response"),
        (recording!("dropped"), Network, Scope::Agent, "ECONNRESET"),
        (recording!("unknown_session"), InvalidOutput, Scope::Agent, "No conversation found"),
        (recording!("budget"), BudgetExceeded, Scope::Agent, "$0.001"),
    ];
    for (text, outcome, scope, words) in table {
        let ending = ending(text, 1);
        assert_eq!((ending.failure, ending.scope), (Some(outcome), scope), "{}", ending.detail);
        assert!(ending.detail.contains(words), "{}", ending.detail);
        // An exit status of 0 makes no success of it.
        assert_eq!(self::ending(text, 0).failure, Some(outcome));
    }
}

#[test]
fn success_needs_a_positive_result_and_the_exit_status() {
    for text in [recording!("write"), recording!("failed_tool"), recording!("steered")] {
        assert_eq!(ending(text, 0).failure, None);
        assert_eq!(ending(text, 1).failure, Some(Outcome::Crashed));
        let without_last = &text[..text.trim_end().rfind('\n').expect("lines")];
        assert_eq!(ending(without_last, 0).failure, Some(Outcome::Crashed));
    }
}

#[test]
fn a_stream_cut_anywhere_is_never_a_success() {
    let now = NOW.parse().expect("an instant");
    for text in [
        recording!("write"),
        recording!("failed_tool"),
        recording!("steered"),
        recording!("overloaded"),
        recording!("unknown_session"),
    ] {
        let mut stream = Stream::new("s".into(), TimeZone::UTC);
        for line in text.lines() {
            for cut in (0..line.len()).filter(|cut| line.is_char_boundary(*cut)) {
                let mut cut_stream = stream.clone();
                cut_stream.line(&line[..cut], now);
                assert!(!cut_stream.is_success(), "cut after {}", &line[..cut]);
            }
            stream.line(line, now);
        }
    }
}

#[test]
fn recordings_of_the_real_program_end_as_its_tests_saw() {
    let now = NOW.parse().expect("an instant");
    for recording in recorded::of("claude") {
        let mut stream = Stream::new("s".into(), TimeZone::UTC);
        for line in recording.text.lines() {
            for cut in recorded::cuts(line) {
                let mut cut_stream = stream.clone();
                cut_stream.line(&line[..cut], now);
                assert!(!cut_stream.is_success() || stream.is_success(), "{}: {}", recording.name, &line[..cut]);
            }
            stream.line(line, now);
        }
        let Some(outcome) = recording.outcome else { continue };
        let ending = ending::of(&stream, exit(i32::from(outcome.is_some())), &ErrorTail::default());
        let failure = ending.failure.map(|failure| failure.as_str().to_owned());
        assert_eq!(failure, outcome, "{}: {}", recording.name, ending.detail);
    }
}

#[test]
fn a_turn_is_told_in_lines() {
    let (stream, lines) = read(recording!("write"));
    let tools: Vec<(&str, ToolStatus)> = lines
        .iter()
        .filter_map(|line| match line {
            AgentLine::Tool { title, status, .. } => Some((title.as_str(), *status)),
            _ => None,
        })
        .collect();
    assert_eq!(tools, [("Write /slot/made.txt", ToolStatus::Started), ("Write /slot/made.txt", ToolStatus::Completed)]);
    assert!(lines.contains(&AgentLine::Said { text: "All done. ".into() }));
    assert!(!lines.iter().any(|line| matches!(line, AgentLine::Raw { .. })), "{lines:?}");
    assert_eq!(stream.model().as_deref(), Some("claude-sonnet-4-5"));
    let usage = stream.usage();
    assert_eq!((usage.input_tokens, usage.cached_tokens, usage.output_tokens), (225, 20, 42));
    assert!(usage.usd.is_some_and(|usd| usd > 0.0));
    let failed = read(recording!("failed_tool")).1;
    assert!(failed.iter().any(|line| matches!(line, AgentLine::Tool { status: ToolStatus::Failed, .. })));
}

#[test]
fn words_in_the_middle_are_known_to_be_taken_up() {
    assert_eq!(read(recording!("steered")).0.taken_up(), 2);
}

#[test]
fn unknown_lines_are_kept_and_known_ones_say_little() {
    let (stream, lines) = read("panic: at the disco\n{\"type\":\"novelty\"}\n{\"type\":\"result\"}\n[1]\n\n");
    assert!(stream.result().is_none());
    assert_eq!(lines.iter().filter(|line| matches!(line, AgentLine::Raw { .. })).count(), 4);
    let retry = r#"{"type":"system","subtype":"api_retry","attempt":1,"max_retries":10,"error":"overloaded"}"#;
    let text = [retry; 40].join("\n");
    assert_eq!(read(&text).1.len(), 3);
}

#[test]
fn a_limit_of_a_subscription_tells_when_it_lifts() {
    let limit = |kind: &str| {
        format!(
            "{{\"type\":\"rate_limit_event\",\"rate_limit_info\":{{\"status\":\"rejected\",\"resetsAt\":1795287600,\
             \"rateLimitType\":\"{kind}\"}}}}"
        )
    };
    let result = |words: &str| {
        format!("{{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"result\":\"{words}\"}}")
    };
    let words = result("You've hit your limit · resets 7pm (UTC)");
    for (text, scope) in [
        (format!("{}\n{words}", limit("five_hour")), Scope::Agent),
        (format!("{}\n{words}", limit("seven_day_opus")), Scope::Model),
        (words, Scope::Agent),
        (result("You've hit your Opus limit · resets 7pm (UTC)"), Scope::Model),
        (result("Claude AI usage limit reached|1795287600"), Scope::Agent),
    ] {
        let ending = ending(&text, 1);
        assert_eq!((ending.failure, ending.scope), (Some(Outcome::RateLimited), scope), "{text}");
        assert_eq!(ending.until_ms, Some(1_795_287_600_000), "{text}");
    }
}

#[test]
fn a_refusal_names_the_option() {
    let mut errors = ErrorTail::default();
    errors.push("error: unknown option '--frobnicate'");
    let ending = ending::of(&Stream::new(String::new(), TimeZone::UTC), exit(1), &errors);
    assert_eq!(ending.failure, Some(Outcome::InvalidOutput));
    assert!(ending.detail.contains("--frobnicate"), "{}", ending.detail);
}

#[test]
fn a_fresh_session_is_named_by_a_uuid() {
    let (one, other) = (fresh_session(), fresh_session());
    assert_ne!(one, other);
    assert_eq!((one.len(), &one[14..15]), (36, "4"));
    assert!(matches!(&one[19..20], "8" | "9" | "a" | "b"), "{one}");
}

const RESULT: &str = r#"{"type":"result","subtype":"success","is_error":false,"result":"fine"}"#;

async fn drive_fake(script: &str) -> (Ending, String) {
    let fake = Fake::new(order(AgentKind::Claude, script));
    let mut session = fake.session("do it");
    (drive(&mut session).await, fake.printed())
}

#[tokio::test]
async fn programs_end_in_many_ways() {
    use Outcome::*;
    let table = [
        (format!("read -r l; echo '{RESULT}'; cat >/dev/null"), None),
        (format!("read -r l; echo '{RESULT}'; exit 1"), Some(Crashed)),
        // Whatever it started still holds its streams.
        (format!("echo '{RESULT}'; sleep 30 & exit 0"), None),
        (format!("seq 20000; echo '{RESULT}'"), None),
        (format!("head -c 200000 /dev/zero; echo; echo '{RESULT}'"), None),
        ("read -r l; exit 0".to_owned(), Some(Crashed)),
        ("kill -9 $$".to_owned(), Some(Crashed)),
        ("echo \"error: unknown option '--verbose'\" >&2; exit 1".to_owned(), Some(InvalidOutput)),
        (format!("echo '{RESULT}' | head -c 40"), Some(Crashed)),
    ];
    for (script, failure) in table {
        let (ending, printed) = drive_fake(&script).await;
        assert_eq!(ending.failure, failure, "{script}: {ending:?}");
        assert!(printed.contains("\"line\":\"started\""), "{script}: {printed}");
    }
}

#[tokio::test]
async fn one_that_does_not_read_its_input_holds_up_nobody() {
    let fake = Fake::new(order(AgentKind::Claude, &format!("echo '{RESULT}'")));
    let mut session = fake.session(&"long ".repeat(1_000_000));
    assert_eq!(drive(&mut session).await.failure, None);
}

#[tokio::test]
async fn a_missing_program_is_told() {
    let mut order = order(AgentKind::Claude, "");
    order.agent.command = vec!["/nonexistent/claude".into()];
    let fake = Fake::new(order);
    assert_eq!(drive(&mut fake.session("")).await.failure, Some(Outcome::MissingBinary));
}

#[tokio::test]
async fn a_stop_is_a_cancellation_whatever_the_exit_status() {
    let script = "trap 'echo heard the interrupt >&2; exit 0' INT; echo ready; while :; do sleep 0.05; done";
    let fake = Fake::stopped_at(order(AgentKind::Claude, script), "ready");
    let ending = drive(&mut fake.session("do it")).await;
    assert_eq!(ending.failure, Some(Outcome::Cancelled), "{ending:?}");
    assert!(fake.printed().contains("heard the interrupt"));
    assert!(ending.session.is_some());
}

#[tokio::test]
async fn a_step_is_finished_before_the_budget_ends_the_turn() {
    let usage = r#""usage":{"input_tokens":900,"output_tokens":1}"#;
    let call = format!(
        r#"{{"type":"assistant","message":{{"id":"m1","model":"m",{usage},"content":[{{"type":"tool_use","id":"t1","name":"Bash","input":{{"command":"make"}}}}]}}}}"#
    );
    let done = r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t1","content":"made"}]}}"#;
    let script = format!("trap 'exit 0' INT; echo '{call}'; echo '{done}'; while :; do sleep 0.05; done");
    let mut order = order(AgentKind::Claude, &script);
    order.budget.tokens = Some(500);
    let fake = Fake::new(order);
    let ending = drive(&mut fake.session("do it")).await;
    assert_eq!(ending.failure, Some(Outcome::BudgetExceeded));
    assert!(ending.detail.contains("901 tokens of 500"), "{}", ending.detail);
    assert!(fake.printed().contains("\"status\":\"completed\""));
}
