//! Turns that come to a regular end, and bounds that end them.

use super::mock::{Mock, Ollama, Reply, tokens};
use super::rig::Rig;
use crate::domain::inbox::{InboxKind, InboxMessage};
use crate::domain::outcome::Outcome;
use crate::domain::report::Report;
use crate::infra::mailbox;
use crate::protocol::agent_lines::{AgentLine, ToolStatus};
use crate::protocol::config::Role;
use serde_json::{Value, json};

const CHECK: &str = "grep -q right a.txt || { echo 'a.txt is wrong'; exit 1; }\n\
                     grep -q right b.txt || { echo 'b.txt is wrong'; exit 1; }\necho good\n";
const SMALL: Ollama = Ollama { window: 4_096, tools: true, cuts: true };

/// The text of the last message, which is what the last call gave.
fn last(request: &Value) -> &str {
    let messages = request["messages"].as_array().expect("messages");
    messages.last().and_then(|message| message["content"].as_str()).unwrap_or_default()
}

fn call(name: &'static str, arguments: Value) -> Reply {
    Reply::Calls(vec![(name, arguments)])
}

fn finished(summary: &str) -> Reply {
    call("report_finished", json!({"summary": summary}))
}

/// Repairs both files as the outputs lead it; any other output ends it in words, without a report.
fn repair(number: usize, request: &Value) -> Reply {
    let edit = |path| ("edit", json!({"path": path, "old": "wrong", "new": "right"}));
    match (number, last(request)) {
        (1, _) => call("run", json!({"command": "sh check.sh"})),
        (2, text) if text.contains("exit code 1") && text.contains("a.txt is wrong") => {
            Reply::Calls(vec![("read", json!({"path": "a.txt"})), ("read", json!({"path": "b.txt", "limit": "5"}))])
        }
        (3, text) if text.contains("1\tit is wrong") => Reply::Calls(vec![edit("a.txt"), edit("b.txt")]),
        (4, text) if text.contains("edited `b.txt` at line 1") => call("run", json!({"command": "sh check.sh"})),
        (5, text) if text.contains("exit code 0") && text.contains("good") => finished("both are right"),
        (_, _) => Reply::Says("I do not understand."),
    }
}

fn broken(rig: &Rig) {
    rig.file("a.txt", "it is wrong\nand more\n");
    rig.file("b.txt", "it is wrong\n");
    rig.file("check.sh", CHECK);
}

#[tokio::test]
async fn a_task_in_two_files_is_repaired() {
    let mock = Mock::openai(repair).await;
    let mut rig = Rig::of(&mock);
    rig.order.agent.key_env = Some("KEY".into());
    rig.env.insert("KEY".into(), "secret-key".into());
    broken(&rig);
    rig.file("AGENTS.md", "Be kind.");
    let turned = rig.turn().await;
    assert_eq!(turned.ending.failure, None, "{:?}", turned.ending);
    assert_eq!(turned.ending.model.as_deref(), Some("mock-model-1"));
    assert_eq!(turned.ending.usage.output_tokens, 50);
    assert_eq!(turned.finished(), ["both are right"]);
    assert_eq!((rig.text("a.txt").as_str(), rig.text("b.txt").as_str()), ("it is right\nand more\n", "it is right\n"));

    let first = &mock.seen()[0];
    assert_eq!(first["model"], "mock-model");
    assert!(first["messages"][0]["content"].as_str().is_some_and(|rules| rules.contains("`AGENTS.md`")));
    assert_eq!(first["messages"][1], json!({"role": "user", "content": "Do the task."}));
    let keys = mock.asked().into_iter().filter(|(path, _)| path.starts_with("/v1"));
    assert!(keys.map(|(_, key)| key).all(|key| key.as_deref() == Some("Bearer secret-key")));
    let shown = |line: &&AgentLine| matches!(line, AgentLine::Tool { status: ToolStatus::Completed, .. });
    assert_eq!(turned.lines.iter().filter(shown).count(), 7);
    assert!(matches!(turned.lines.last(), Some(AgentLine::Ended { .. })));
    assert!(!turned.lines.iter().any(|line| line.write().contains("secret-key")));
}

#[tokio::test]
async fn ollama_is_known_by_its_version_and_repairs_it_too() {
    let mock = Mock::ollama(SMALL, repair).await;
    // Whichever way its address is written, and without one.
    for url in [Some(mock.url.clone()), Some(format!("{}/v1/", mock.url)), None] {
        let script = Mock::ollama(SMALL, repair).await;
        let mut rig = Rig::of(&script);
        rig.order.agent.url = url.map(|url| url.replace(&mock.url, &script.url));
        rig.env.insert("OLLAMA_HOST".into(), script.url.replace("http://", ""));
        broken(&rig);
        let turned = rig.turn().await;
        assert_eq!(turned.finished(), ["both are right"], "{:?}", turned.ending);
        assert_eq!(script.seen()[0]["options"]["num_ctx"], 4_096);
        assert!(script.asked().iter().all(|(path, _)| path.starts_with("/api/")), "{:?}", script.asked());
    }
}

/// Reads so much that its outputs do not fit, then repairs.
fn read_much(number: usize, request: &Value) -> Reply {
    if request["was_cut"] == true {
        // It has lost its task.
        return finished("whatever it was");
    }
    match number {
        1..=8 => call("read", json!({"path": format!("big{number}.txt")})),
        9 => Reply::Calls(vec![
            ("edit", json!({"path": "a.txt", "old": "wrong", "new": "right"})),
            ("edit", json!({"path": "b.txt", "old": "wrong", "new": "right"})),
        ]),
        10 => call("run", json!({"command": "sh check.sh"})),
        11 if last(request).contains("good") => finished("both are right"),
        _ => Reply::Says("I do not understand."),
    }
}

#[tokio::test]
async fn in_a_small_window_old_outputs_go_and_the_task_stays() {
    for cuts in [true, false] {
        let mock = Mock::ollama(Ollama { cuts, ..SMALL }, read_much).await;
        let mut rig = Rig::of(&mock);
        rig.prompt = format!("Make both files right. {}", "Take care. ".repeat(100));
        broken(&rig);
        for number in 1..=8 {
            rig.file(&format!("big{number}.txt"), &"some words of a file\n".repeat(300));
        }
        let turned = rig.turn().await;
        assert_eq!(turned.ending.failure, None, "{:?}\n{}", turned.ending, turned.notes());
        assert_eq!(turned.finished(), ["both are right"]);
        assert_eq!(mock.cut(), 0, "no prompt was cut");
        for request in mock.seen() {
            assert_eq!(
                request["messages"][1]["content"].as_str().map(|text| text.starts_with(&rig.prompt)),
                Some(true)
            );
            assert!(tokens(&request["messages"]) + tokens(&request["tools"]) <= 4_096);
        }
        assert!(turned.notes().contains("dropped"), "{}", turned.notes());
        assert!(mock.seen().last().expect("requests").to_string().contains("to save room"));
    }
}

#[tokio::test]
async fn a_cut_prompt_is_noticed_and_asked_again() {
    // Digits take far more tokens than we estimate, so the second prompt does not fit.
    for cuts in [true, false] {
        let mock = Mock::ollama(Ollama { cuts, ..SMALL }, |number, request| {
            if request["was_cut"] == true {
                return finished("whatever it was");
            }
            match number {
                1 => call("read", json!({"path": "digits.txt"})),
                _ if last(request).contains("Ask for a smaller part") => finished("it was too much"),
                _ => Reply::Says("I do not understand."),
            }
        })
        .await;
        let mut rig = Rig::of(&mock);
        rig.prompt = "Look at the digits. ".repeat(150);
        rig.file("digits.txt", &"0123456789 0123456789 0123456789\n".repeat(200));
        let turned = rig.turn().await;
        assert_eq!(turned.finished(), ["it was too much"], "{:?}\n{}", turned.ending, turned.notes());
        assert_eq!(mock.cut(), usize::from(cuts));
        assert!(turned.notes().contains(if cuts { "is full" } else { "too long" }), "{}", turned.notes());
    }
}

#[tokio::test]
async fn a_task_too_large_for_the_window_is_told_with_the_numbers() {
    let mock = Mock::ollama(SMALL, |_, _| finished("whatever it was")).await;
    let mut rig = Rig::of(&mock);
    rig.prompt = "Read all of this. ".repeat(2_000);
    let turned = rig.turn().await;
    assert_eq!(turned.ending.failure, Some(Outcome::ContextExhausted), "{:?}", turned.ending);
    assert!(turned.ending.detail.contains("3584"), "{}", turned.ending.detail);
    assert!(mock.seen().is_empty() && turned.reports.is_empty());
}

#[tokio::test]
async fn who_calls_nothing_is_reminded_once() {
    let mock = Mock::openai(|number, _| match number {
        2 => call("list", json!({})),
        _ => Reply::Says("All done!"),
    })
    .await;
    let turned = Rig::of(&mock).turn().await;
    assert_eq!(turned.ending.failure, None);
    assert!(turned.reports.is_empty());
    // Words, reminder, a call, words, reminder, words.
    assert_eq!(mock.seen().len(), 4);
    assert!(last(&mock.seen()[1]).contains("`report_finished`"));
}

#[tokio::test]
async fn a_report_in_words_is_left_to_the_engine() {
    let words = "```ralph\n{\"nonce\": \"nonce\", \"report\": {\"type\": \"finished\", \"summary\": \"x\"}}\n```";
    let mock = Mock::openai(move |_, _| Reply::Says(words)).await;
    let turned = Rig::of(&mock).turn().await;
    assert_eq!((turned.ending.failure, mock.seen().len()), (None, 1));
    let said = |line: &AgentLine| matches!(line, AgentLine::Said { text } if text == words);
    assert!(turned.lines.iter().any(said));
}

#[tokio::test]
async fn wrong_calls_come_back_with_what_is_right() {
    let mock = Mock::openai(|number, request| match (number, last(request)) {
        (1, _) => call("read", json!({"file": "a.txt"})),
        (2, text) if text.contains("`path` of `read` is missing") && text.contains("{\"path\": ") => {
            call("submit_plan", json!({}))
        }
        (3, text) if text.contains("there is no tool `submit_plan` here") => call("read", json!({"path": "../a"})),
        (4, text) if text.contains("must not go up") => call("report_blocked", json!({"why": "enough"})),
        (5, text) if text.contains("reason: is missing") => call("report_blocked", json!({"reason": "enough"})),
        (_, _) => Reply::Says("I do not understand."),
    })
    .await;
    let turned = Rig::of(&mock).turn().await;
    assert_eq!(turned.reports, [Report::Blocked { reason: "enough".into() }], "{:?}", turned.lines);
}

#[tokio::test]
async fn three_equal_wrong_calls_in_a_row_end_it() {
    let mock = Mock::openai(|number, _| match number {
        // Another one between them counts anew.
        3 => call("list", json!({})),
        _ => call("read", json!({"path": "missing.txt"})),
    })
    .await;
    let turned = Rig::of(&mock).turn().await;
    assert_eq!(turned.ending.failure, Some(Outcome::InvalidOutput));
    assert!(turned.ending.detail.contains("missing.txt"), "{}", turned.ending.detail);
    assert_eq!(mock.seen().len(), 6);
}

#[tokio::test]
async fn endless_work_ends_without_a_failure() {
    let mock = Mock::openai(|_, _| call("list", json!({}))).await;
    let turned = Rig::of(&mock).turn().await;
    assert_eq!(turned.ending.failure, None);
    assert!(turned.ending.detail.contains("200"), "{}", turned.ending.detail);
    assert_eq!(mock.seen().len(), 200);
}

#[tokio::test]
async fn the_budget_ends_it_after_the_step() {
    let mock = Mock::openai(|_, _| call("list", json!({}))).await;
    let mut rig = Rig::of(&mock);
    rig.order.budget.tokens = Some(1);
    let turned = rig.turn().await;
    assert_eq!(turned.ending.failure, Some(Outcome::BudgetExceeded));
    assert_eq!(mock.seen().len(), 1);
    let listed = |line: &AgentLine| matches!(line, AgentLine::Tool { status: ToolStatus::Completed, .. });
    assert!(turned.lines.iter().any(listed), "the step was ended");
}

#[tokio::test]
async fn planner_and_reviewer_cannot_write() {
    for (role, name, arguments) in [
        (Role::Planner, "submit_plan", json!({"tasks": [{"title": "Do it", "description": "all of it"}]})),
        (
            Role::Reviewer,
            "submit_review",
            json!({"summary": "s", "findings": [{"file": "a.txt", "line": 1, "text": "no"}]}),
        ),
    ] {
        let handed_in = arguments.clone();
        let mock = Mock::openai(move |number, request| match number {
            1 => Reply::Calls(vec![
                ("write", json!({"path": "new.txt", "content": "x"})),
                ("edit", json!({"path": "a.txt", "old": "a", "new": "b"})),
                ("report_finished", json!({"summary": "x"})),
            ]),
            _ if last(request).contains("there is no tool") => call(name, handed_in.clone()),
            _ => Reply::Says("I do not understand."),
        })
        .await;
        let mut rig = Rig::of(&mock);
        rig.order.role = role;
        rig.file("a.txt", "a");
        let turned = rig.turn().await;
        assert_eq!(rig.text("a.txt"), "a");
        assert!(!rig.slot.path().join("new.txt").exists());
        match (role, turned.reports.as_slice()) {
            (Role::Planner, [Report::SubmitPlan { plan }]) => assert_eq!(*plan, arguments),
            (Role::Reviewer, [Report::Review { summary, findings }]) => {
                assert_eq!((summary.as_str(), findings.len(), findings[0].line), ("s", 1, Some(1)));
            }
            (_, reports) => panic!("{role:?}: {reports:?}"),
        }
    }
}

#[tokio::test]
async fn words_of_the_user_are_heard_and_stay() {
    let mock = Mock::ollama(SMALL, |number, _| match number {
        1..=6 => call("read", json!({"path": "big.txt"})),
        _ => finished("as you said"),
    })
    .await;
    let rig = Rig::of(&mock);
    rig.file("big.txt", &"some words of a file\n".repeat(300));
    let words = InboxMessage { id: "s1".into(), kind: InboxKind::Steer, text: "Prefer tabs.".into() };
    mailbox::deliver_to_inbox(rig.mailbox.path(), &words, 0).expect("delivered");
    let turned = rig.turn().await;
    assert_eq!(turned.finished(), ["as you said"], "{:?}", turned.ending);
    for request in mock.seen() {
        assert_eq!(request["messages"].to_string().matches("Prefer tabs.").count(), 1);
    }
    assert_eq!(turned.notes().matches("handed on").count(), 1);
}
