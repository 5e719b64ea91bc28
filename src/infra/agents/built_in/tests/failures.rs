//! Every way an endpoint fails, over a real connection.

use super::mock::{Mock, Ollama, Reply};
use super::rig::{Rig, Turned};
use crate::domain::ending::Scope;
use crate::domain::outcome::Outcome;
use crate::infra::agents::built_in::tools::specs;
use crate::protocol::config::Role;
use serde_json::{Value, json};
use std::time::Duration;

fn ready() -> Reply {
    Reply::Calls(vec![("report_finished", json!({"summary": "done"}))])
}

async fn failing(reply: fn() -> Reply) -> (Turned, usize) {
    let mock = Mock::openai(move |_, _| reply()).await;
    let turned = Rig::of(&mock).turn().await;
    (turned, mock.seen().len())
}

#[tokio::test]
async fn each_failure_ends_as_what_it_is() {
    use Outcome::*;
    type Play = fn() -> Reply;
    let rows: [(Play, Outcome, usize); 12] = [
        (|| Reply::Status(401, vec![], r#"{"error":{"message":"no"}}"#), Auth, 1),
        (|| Reply::Status(403, vec![], ""), Auth, 1),
        (|| Reply::Status(402, vec![], r#"{"error":{"message":"Insufficient credits"}}"#), Auth, 1),
        (|| Reply::Status(429, vec![], r#"{"error":{"type":"insufficient_quota","message":"quota"}}"#), RateLimited, 1),
        (|| Reply::Status(404, vec![], r#"{"error":{"code":"model_not_found","message":"no"}}"#), ModelUnavailable, 1),
        (|| Reply::Status(400, vec![], r#"{"error":{"message":"hm"}}"#), Crashed, 1),
        (|| Reply::Status(500, vec![], "{}"), Overloaded, 2),
        (|| Reply::Status(502, vec![], "<html>"), Overloaded, 2),
        (|| Reply::Status(529, vec![], ""), Overloaded, 2),
        (|| Reply::Drop, Network, 2),
        (|| Reply::Raw("{\"choices\": ["), InvalidOutput, 1),
        (|| Reply::Raw(""), InvalidOutput, 1),
    ];
    for (reply, outcome, requests) in rows {
        let (turned, seen) = failing(reply).await;
        assert_eq!((turned.ending.failure, seen), (Some(outcome), requests), "{:?}", turned.ending);
        assert!(turned.reports.is_empty());
    }
}

#[tokio::test]
async fn a_limit_tells_when_it_lifts() {
    let (turned, _) = failing(|| Reply::Status(429, vec![("retry-after", "3600")], "{}")).await;
    let until = turned.ending.until_ms.expect("a time");
    let ahead = until - jiff::Timestamp::now().as_millisecond();
    assert!((3_500_000..=3_600_000).contains(&ahead), "{ahead}");
    let (turned, _) = failing(|| Reply::Status(429, vec![], "{}")).await;
    assert_eq!((turned.ending.failure, turned.ending.until_ms), (Some(Outcome::RateLimited), None));
}

#[tokio::test]
async fn a_missing_model_is_told_with_those_there_are() {
    let (turned, _) =
        failing(|| Reply::Status(404, vec![], r#"{"error":{"code":"model_not_found","message":"no"}}"#)).await;
    assert_eq!(turned.ending.scope, Scope::Model);
    assert!(turned.ending.detail.contains("It has `mock-model`"), "{}", turned.ending.detail);

    let ollama = Ollama { window: 8_192, tools: true, cuts: false };
    let mock = Mock::ollama(ollama, |_, _| ready()).await;
    let mut rig = Rig::of(&mock);
    rig.order.model = Some("large".into());
    let ending = rig.turn().await.ending;
    assert_eq!((ending.failure, ending.scope), (Some(Outcome::ModelUnavailable), Scope::Model));
    assert!(
        ending.detail.contains("ollama pull large") && ending.detail.contains("`small:latest`"),
        "{}",
        ending.detail
    );

    let mock = Mock::ollama(Ollama { tools: false, ..ollama }, |_, _| ready()).await;
    let mut rig = Rig::of(&mock);
    let ending = rig.turn().await.ending;
    assert_eq!(ending.failure, Some(Outcome::ModelUnavailable));
    assert!(ending.detail.contains("can call tools"), "{}", ending.detail);
    rig.order.model = Some("small".into());
    let ending = rig.turn().await.ending;
    assert_eq!((ending.failure, ending.scope), (Some(Outcome::ModelUnavailable), Scope::Model));
}

#[tokio::test]
async fn one_failure_of_the_server_is_got_over() {
    let mock = Mock::openai(|number, _| if number == 1 { Reply::Status(503, vec![], "busy") } else { ready() }).await;
    let turned = Rig::of(&mock).turn().await;
    assert_eq!((turned.finished(), mock.seen().len()), (vec!["done"], 2), "{:?}", turned.ending);
    assert!(turned.notes().contains("trying once more"));
}

#[tokio::test]
async fn nobody_there_is_no_network() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    for (url, hint) in [(Some(format!("http://{closed}/v1")), "failed to reach"), (None, "ollama serve")] {
        let mut rig = Rig::new("");
        rig.order.agent.url = url;
        rig.order.model = Some("any".into());
        rig.env.insert("OLLAMA_HOST".into(), closed.to_string());
        let ending = rig.turn().await.ending;
        assert_eq!(ending.failure, Some(Outcome::Network));
        assert!(ending.detail.contains(hint) && ending.detail.contains(&closed.to_string()), "{}", ending.detail);
    }
    let mut rig = Rig::new("http://no-such-host.invalid/v1");
    rig.order.model = Some("any".into());
    assert_eq!(rig.turn().await.ending.failure, Some(Outcome::Network));
}

#[tokio::test]
async fn a_hang_ends_by_the_clock() {
    let mock = Mock::openai(|_, _| Reply::Hang).await;
    let mut rig = Rig::of(&mock);
    rig.patience.answer = Duration::from_secs(2);
    let ending = rig.turn().await.ending;
    assert_eq!(ending.failure, Some(Outcome::Network));
    assert!(ending.detail.contains("no answer within"), "{}", ending.detail);
    assert_eq!(mock.seen().len(), 1, "what hung once is not tried again");
}

#[tokio::test]
async fn stopping_ends_a_hang_and_a_command_at_once() {
    let hanging = Mock::openai(|_, _| Reply::Hang).await;
    let running = Mock::openai(|_, _| Reply::Calls(vec![("run", json!({"command": "echo > on; sleep 300"}))])).await;
    for mock in [&hanging, &running] {
        let rig = Rig::of(mock);
        let on = rig.slot.path().join("on");
        let stopping = async {
            // The first hangs as soon as it is asked, the second when the command is on.
            while mock.seen().is_empty() || (std::ptr::eq(mock, &running) && !on.exists()) {
                tokio::task::yield_now().await;
            }
            rig.stop.cancel();
        };
        let (turned, ()) = tokio::join!(rig.turn(), stopping);
        assert_eq!(turned.ending.failure, Some(Outcome::Cancelled));
    }
}

#[tokio::test]
async fn overflow_drops_what_it_can_and_then_says_so() {
    const LONG: &str =
        r#"{"error":{"code":"context_length_exceeded","message":"maximum context length is 3000 tokens"}}"#;
    // The window is not known before the refusal names it; then all fits, with fewer tools.
    let mock = Mock::openai(|number, request| match number {
        1..=3 => Reply::Calls(vec![("read", json!({"path": "big.txt"}))]),
        _ if request.to_string().len() > 12_000 => Reply::Status(400, vec![], LONG),
        _ => ready(),
    })
    .await;
    let rig = Rig::of(&mock);
    rig.file("big.txt", &"some words of a file\n".repeat(150));
    let turned = rig.turn().await;
    assert_eq!(turned.finished(), ["done"], "{:?}\n{}", turned.ending, turned.notes());
    assert!(turned.notes().contains("maximum context length"), "{}", turned.notes());
    let offered: Vec<usize> = mock.seen().iter().map(offers).collect();
    assert!(offered[..4].iter().all(|count| count == &offered[0]) && offered[4..] == [offers_in(3_000)], "{offered:?}");

    let mock = Mock::openai(|_, _| Reply::Status(400, vec![], LONG)).await;
    let turned = Rig::of(&mock).turn().await;
    assert_eq!(turned.ending.failure, Some(Outcome::ContextExhausted), "{:?}", turned.ending);
    assert!(turned.ending.detail.contains("3000"), "{}", turned.ending.detail);
    assert!(mock.seen().len() <= 2);
}

#[tokio::test]
async fn a_small_window_that_nobody_names_gets_fewer_tools_once() {
    const LONG: &str = r#"{"error":{"code":"context_length_exceeded","message":"the prompt is too long"}}"#;
    let mock = Mock::openai(|_, request| match offers(request) > offers_in(3_000) {
        true => Reply::Status(400, vec![], LONG),
        false => ready(),
    })
    .await;
    let turned = Rig::of(&mock).turn().await;
    assert_eq!(turned.finished(), ["done"], "{:?}\n{}", turned.ending, turned.notes());
    assert_eq!(mock.seen().len(), 2);
    assert!(turned.notes().contains("offers fewer tools"), "{}", turned.notes());

    let mock = Mock::openai(|_, _| Reply::Status(400, vec![], LONG)).await;
    let ending = Rig::of(&mock).turn().await.ending;
    assert_eq!(ending.failure, Some(Outcome::ContextExhausted), "{ending:?}");
    assert_eq!(mock.seen().len(), 2);
}

/// How many tools a request offers.
fn offers(request: &Value) -> usize {
    request["tools"].as_array().map_or(0, Vec::len)
}

/// How many tools an implementer has in a window.
fn offers_in(window: u64) -> usize {
    specs(Role::Implementer, Some(window)).len()
}

#[tokio::test]
async fn a_cut_answer_is_not_carried_out() {
    let mock = Mock::openai(|number, request| match number {
        1 => Reply::Cut("I begin to"),
        _ if request.to_string().contains("was cut off; nothing of it was done") => ready(),
        _ => Reply::Says("I do not understand."),
    })
    .await;
    assert_eq!(Rig::of(&mock).turn().await.finished(), ["done"]);

    let mock = Mock::openai(|_, _| Reply::Cut("on and on")).await;
    let ending = Rig::of(&mock).turn().await.ending;
    assert_eq!(ending.failure, Some(Outcome::ContextExhausted), "{ending:?}");
    assert!(mock.seen().len() <= 6, "{}", mock.seen().len());
}

#[tokio::test]
async fn what_is_missing_in_the_configuration_is_named() {
    let mut rig = Rig::new("http://127.0.0.1:1/v1");
    rig.order.agent.key_env = Some("NO_SUCH_KEY".into());
    let ending = rig.turn().await.ending;
    assert_eq!(ending.failure, Some(Outcome::Auth));
    assert!(ending.detail.contains("NO_SUCH_KEY"), "{}", ending.detail);

    let ending = Rig::new("example.com").turn().await.ending;
    assert_eq!(ending.failure, Some(Outcome::ModelUnavailable));
    assert!(ending.detail.contains("http://"), "{}", ending.detail);
}

#[tokio::test]
async fn a_report_that_cannot_be_delivered_is_no_regular_end() {
    let mock = Mock::openai(|_, _| ready()).await;
    let rig = Rig::of(&mock);
    let ending = rig.turn_without_mailbox().await;
    assert_eq!(ending.failure, Some(Outcome::Crashed));
    assert!(ending.detail.starts_with("failed to report"), "{}", ending.detail);
}
