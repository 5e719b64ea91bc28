//! How a session is opened, continued and given its model, and what follows its first prompt.

use super::play;
use crate::domain::ending::Scope;
use crate::domain::inbox::{InboxKind, InboxMessage};
use crate::domain::outcome::Outcome;
use crate::protocol::agent_lines::AgentLine;
use std::time::Duration;

#[tokio::test]
async fn a_session_is_continued_where_the_agent_can() {
    let load = r#"next; answer '{"protocolVersion":1,"agentCapabilities":{"loadSession":true}}'; next"#;
    let resume =
        r#"next; answer '{"protocolVersion":1,"agentCapabilities":{"sessionCapabilities":{"resume":{}}}}'; next"#;
    // What is told again is no news.
    let told = format!("{load}; say old; tool t9 in_progress; answer '{{}}'; next; say new; end");
    let rows = [
        (told, "session/load", "old1", "new", ""),
        (format!("{resume}; answer '{{}}'; next; say new; end"), "session/resume", "old1", "new", ""),
        (
            format!(
                "{resume}; refuse '{{\"code\":-32002,\"message\":\"gone\"}}'; next; answer '{{\"sessionId\":\"s1\"}}'; next; say new; end"
            ),
            "session/new",
            "s1",
            "new",
            "cannot be continued (gone)",
        ),
        ("open; say new; end".to_owned(), "session/new", "s1", "new", "cannot continue session old1"),
    ];
    for (script, method, session, said, note) in rows {
        let played = play(&script).order(|order| order.session = Some("old1".into())).run().await;
        assert_eq!(played.ending.failure, None, "{script}: {}", played.ending.detail);
        assert_eq!(played.ending.session.as_deref(), Some(session), "{script}");
        assert!(played.heard.contains(method), "{script}: {}", played.heard);
        assert_eq!(played.said(), said, "{script}");
        assert!(played.notes().contains(note), "{script}: {}", played.notes());
        assert!(!played.lines.iter().any(|line| matches!(line, AgentLine::Tool { .. })), "{script}");
    }
}

#[tokio::test]
async fn a_session_that_does_not_open_is_told() {
    let methods = r#""authMethods":[{"id":"a","name":"Log in","description":"Run `fake login`"}]"#;
    let script = format!(
        "next; answer '{{\"protocolVersion\":1,{methods}}}'; next; refuse '{{\"code\":-32000,\"message\":\"Authentication required\"}}'; next"
    );
    let played = play(&script).run().await;
    assert_eq!(played.ending.failure, Some(Outcome::Auth), "{}", played.ending.detail);
    assert!(played.ending.detail.contains("Run `fake login`"), "{}", played.ending.detail);
    let played = play("hello; cat > /dev/null").limits(|limits| limits.open = Duration::from_millis(200)).run().await;
    assert_eq!(played.ending.failure, Some(Outcome::TimedOut), "{}", played.ending.detail);
}

#[tokio::test]
async fn a_model_is_chosen_by_what_the_agent_offers() {
    let option = r#"hello; next; answer '{"sessionId":"s1","configOptions":[{"id":"m","category":"model","type":"select","currentValue":"p/a","options":[{"value":"p/a"},{"value":"p/b"}]}]}'; next"#;
    let listed = r#"hello; next; answer '{"sessionId":"s1","models":{"currentModelId":"a","availableModels":[{"modelId":"a"},{"modelId":"b"}]}}'; next"#;
    let rows = [
        (format!("{option}; answer '{{}}'; next; say x; end"), "b", Some("p/b"), r#""configId":"m","value":"p/b""#),
        (format!("{option}; say x; end"), "p/a", Some("p/a"), "session/prompt"),
        (format!("{listed}; answer '{{}}'; next; say x; end"), "b", Some("b"), r#""modelId":"b""#),
        ("open; say x; end".to_owned(), "b", None, "session/prompt"),
    ];
    for (script, wanted, chosen, heard) in rows {
        let played = play(&script).order(|order| order.model = Some(wanted.into())).run().await;
        assert_eq!(played.ending.failure, None, "{script}: {}", played.ending.detail);
        assert_eq!(played.ending.model.as_deref(), chosen, "{script}");
        assert!(played.heard.contains(heard), "{script}: {}", played.heard);
    }
    let refused = format!("{listed}; refuse '{{\"code\":-32602,\"message\":\"Invalid params\"}}'; next");
    let played = play(&refused).order(|order| order.model = Some("zzz".into())).run().await;
    assert_eq!((played.ending.failure, played.ending.scope), (Some(Outcome::ModelUnavailable), Scope::Model));
    assert!(
        played.ending.detail.contains("`zzz`") && played.ending.detail.contains("a, b"),
        "{}",
        played.ending.detail
    );
}

#[tokio::test]
async fn words_of_people_that_wait_are_given_after_the_turn() {
    let mut waiting = play(r#"open; say one; end; say two; end"#);
    waiting.words = Some(InboxMessage { id: "s1".into(), kind: InboxKind::Steer, text: "Use tabs.".into() });
    let played = waiting.run().await;
    assert_eq!((played.ending.failure, played.said().as_str()), (None, "onetwo"), "{}", played.ending.detail);
    assert_eq!(played.heard.matches("session/prompt").count(), 2, "{}", played.heard);
    assert!(played.heard.contains("Use tabs.") && played.notes().contains("Use tabs."), "{}", played.notes());
    // A turn that failed is not followed by another.
    let mut failed = play(r#"open; refuse '{"code":429,"message":"slow"}'; next"#);
    failed.words = Some(InboxMessage { id: "q1".into(), kind: InboxKind::Query, text: "How far?".into() });
    let played = failed.run().await;
    assert_eq!(played.heard.matches("session/prompt").count(), 1, "{}", played.heard);
}
