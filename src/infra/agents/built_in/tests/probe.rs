use super::*;
use crate::infra::agents::built_in::tests::mock::{Mock, Ollama, Reply};
use serde_json::json;

fn agent(url: &str) -> AgentConfig {
    AgentConfig { url: Some(url.to_owned()), ..AgentConfig::default() }
}

fn ready() -> Reply {
    Reply::Calls(vec![("report_progress", json!({"text": "ready"}))])
}

#[tokio::test]
async fn a_model_that_calls_the_tool_is_ready() {
    let mock = Mock::openai(|_, _| ready()).await;
    assert_eq!(probe(&agent(&mock.url), None).await, Probe::Ready { model: "mock-model".into(), window: None });
    let ollama = Ollama { window: 16_384, tools: true, cuts: false };
    let mock = Mock::ollama(ollama, |_, _| ready()).await;
    let expected = Probe::Ready { model: "small:latest".into(), window: Some(16_384) };
    assert_eq!(probe(&agent(&mock.url), None).await, expected);
    assert_eq!(mock.seen().len(), 1, "one real call");
    let found = find(&agent(&mock.url)).await.expect("found");
    let model = FoundModel { name: "small:latest".into(), window: Some(16_384), tools: Some(true) };
    assert!(model.may_loop());
    assert_eq!(found, Found { url: mock.url.clone(), is_ollama: true, models: vec![model] });
}

#[tokio::test]
async fn a_model_that_cannot_loop_is_too_weak() {
    let small = Ollama { window: 4_096, tools: true, cuts: false };
    type Play = fn() -> Reply;
    let rows: [(Ollama, Play, &str); 4] = [
        (small, ready, "4096"),
        (Ollama { window: 8_192, tools: false, ..small }, ready, "can call tools"),
        (Ollama { window: 8_192, ..small }, || Reply::Says("ready"), "answered in words"),
        (Ollama { window: 8_192, ..small }, || Reply::Calls(vec![("ready", json!({}))]), "in another way"),
    ];
    for (ollama, reply, words) in rows {
        let mock = Mock::ollama(ollama, move |_, _| reply()).await;
        match probe(&agent(&mock.url), None).await {
            Probe::TooWeak { why } => assert!(why.contains(words), "{why}"),
            other => panic!("{words}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_does_not_answer_is_told_with_a_hint() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let mut local = AgentConfig::default();
    local.env.insert("OLLAMA_HOST".into(), closed.to_string());
    for (agent, words) in [(local.clone(), "ollama serve"), (agent(&format!("http://{closed}/v1")), "speaks as OpenAI")]
    {
        match probe(&agent, Some("any")).await {
            Probe::Unreachable { why, hint } => {
                assert!(why.contains(&closed.to_string()) && hint.contains(words), "{why} {hint}");
            }
            other => panic!("{other:?}"),
        }
    }
    let error = find(&local).await.expect_err("nobody is there");
    assert!(error.contains(&closed.to_string()), "{error}");
    let mock = Mock::openai(|_, _| Reply::Status(401, vec![], "{}")).await;
    let probed = probe(&agent(&mock.url), None).await;
    assert!(matches!(&probed, Probe::Unreachable { why, .. } if why.contains("key_env")), "{probed:?}");
}

#[test]
fn results_are_read_as_they_were_written() {
    let probe = Probe::Ready { model: "m".into(), window: None };
    let text = serde_json::to_string(&probe).expect("written");
    assert_eq!(text, r#"{"state":"ready","model":"m","window":null}"#);
    assert_eq!(serde_json::from_str::<Probe>(&text).expect("read"), probe);
}
