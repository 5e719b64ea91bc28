//! Talking with the agent at work from an editor, what a reviewer found, and the first words after a run.

use crate::support::editor::{Editor, MINIMAL, VSCODE};
use crate::support::fake_engine::{Fake, question};
use ralph_sidecar::domain::ending::Usage;
use ralph_sidecar::domain::event::RunEndReason;
use ralph_sidecar::domain::inbox::Question;
use ralph_sidecar::domain::outcome::Outcome;
use ralph_sidecar::domain::queue::LiveState;
use ralph_sidecar::domain::report::Finding;
use ralph_sidecar::protocol::engine_api::{AttemptView, Command, EndedRunView, EngineEvent, Milestone};
use serde_json::{Value, json};

const QUEUE: &str = r#"{
  "version": 1,
  "tasks": [
    { "id": "a", "title": "First", "status": "todo" },
    { "id": "b", "title": "Second", "status": "todo" }
  ]
}
"#;

fn start(client: &str, fake: &Fake) -> Editor {
    let mut editor = Editor::start(client, fake, &[(".ralph/queue.json", QUEUE)]);
    editor.client.ignore("workspace/codeLens/refresh");
    editor.client.ignore("textDocument/publishDiagnostics");
    editor.client.request("ralph/status", Value::Null);
    editor.open(".ralph/queue.json");
    editor
}

fn asked(fake: &Fake) -> (String, String) {
    fake.asked(|command| match command {
        Command::Ask { task, text } => Some((task.to_string(), text.clone())),
        Command::Steer { .. } => panic!("{command:?} is no question"),
        _ => None,
    })
}

fn titles(actions: &[Value]) -> Vec<&str> {
    actions.iter().filter_map(|action| action["title"].as_str()).collect()
}

#[test]
fn the_agent_at_work_is_asked_from_the_queue_or_by_the_command() {
    let fake = Fake::new();
    fake.task("a", LiveState::Running);
    fake.task("b", LiveState::Ready);
    let mut editor = start(VSCODE, &fake);
    let ask = editor.action(".ralph/queue.json", 3, "Ask the agent…");
    let elsewhere = editor.actions(".ralph/queue.json", 4);
    assert!(!titles(&elsewhere).iter().any(|title| title.starts_with("Ask")), "{elsewhere:#?}");
    let id = editor.choose(&ask).expect("a command");
    let (input, params) = editor.client.server_request("ralph/input");
    assert_eq!(params["prompt"], "What do you ask the agent of `a`?");
    editor.client.reply(&input, json!({ "text": "how far are you?" }));
    assert_eq!(asked(&fake), ("a".to_owned(), "how far are you?".to_owned()));
    let response = editor.client.response(id);
    assert_eq!(response["result"]["message"], "asked; the reply comes as a message");
    let asking = json!({ "task": "a", "text": "and now?", "ask": true });
    editor.client.request("ralph/steer", asking);
    assert_eq!(asked(&fake).1, "and now?");
    // What is no question goes the other way.
    editor.client.request("ralph/steer", json!({ "task": "a", "text": "use tabs" }));
    let steered = fake.asked(|command| match command {
        Command::Steer { task, text } => Some((task.to_string(), text.clone())),
        _ => None,
    });
    assert_eq!(steered, ("a".to_owned(), "use tabs".to_owned()));
}

#[test]
fn a_client_that_cannot_ask_for_a_text_passes_it() {
    let fake = Fake::new();
    fake.task("a", LiveState::Running);
    let mut editor = start(MINIMAL, &fake);
    let actions = editor.actions(".ralph/queue.json", 3);
    assert!(!titles(&actions).iter().any(|title| title.starts_with("Ask")), "{actions:#?}");
    let error = editor.client.request_error("ralph/steer", json!({ "task": "a", "ask": true }));
    assert!(error["message"].as_str().is_some_and(|message| message.contains("`text`")), "{error}");
    let argument = json!({ "task": "a", "ask": true, "text": "how far?" });
    let params = json!({ "command": "ralph.steer", "arguments": [argument] });
    editor.client.request("workspace/executeCommand", params);
    assert_eq!(asked(&fake), ("a".to_owned(), "how far?".to_owned()));
}

#[test]
fn the_status_has_questions_and_what_each_attempt_used() {
    let fake = Fake::new();
    fake.task("a", LiveState::Running);
    let attempt = |number, model: Option<&str>, used| AttemptView {
        number,
        agent: "claude".to_owned(),
        model: model.map(str::to_owned),
        outcome: (number == 1).then_some(Outcome::VerifyFailed),
        detail: String::new(),
        started_at_ms: 1,
        ended_at_ms: None,
        checks: Vec::new(),
        used,
    };
    let used = Usage { input_tokens: 30_000, output_tokens: 4_000, usd: Some(0.12), ..Usage::default() };
    fake.change(|snapshot| {
        let view = &mut snapshot.tasks[0];
        view.attempts = vec![attempt(1, Some("opus"), used), attempt(2, None, Usage::default())];
        let question = |id: &str, answer: Option<&str>| Question {
            id: id.to_owned(),
            attempt: 2,
            text: "how far?".to_owned(),
            answer: answer.map(str::to_owned),
        };
        view.questions = vec![question("q1", Some("half way")), question("q2", None)];
    });
    let mut editor = start(VSCODE, &fake);
    let task = editor.client.request("ralph/status", Value::Null)["tasks"][0].clone();
    let first = &task["attempts"][0];
    assert_eq!((&first["model"], &first["used"]), (&json!("opus"), &json!("$0.12, 34k tokens")));
    let second = &task["attempts"][1];
    assert_eq!((&second["model"], &second["used"]), (&Value::Null, &Value::Null));
    let expected = json!([
        { "id": "q1", "attempt": 2, "text": "how far?", "answer": "half way" },
        { "id": "q2", "attempt": 2, "text": "how far?", "answer": null },
    ]);
    assert_eq!(task["questions"], expected);
}

#[test]
fn findings_are_beside_the_hunk_that_has_their_line_or_the_nearest() {
    let old = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\n";
    let new = "one\nTWO\nthree\nfour\nfive\nsix\nseven\neight\nNINE\nnine and a half\nten\n";
    let fake = Fake::new();
    fake.task("a", LiveState::Ready);
    fake.propose("a", &[("a.txt", Some(old), Some(new)), ("b.txt", Some("b\n"), Some("c\n"))]);
    let find = |file: Option<&str>, line, text: &str| {
        fake.find("a", Finding { file: file.map(str::to_owned), line, text: text.to_owned() });
    };
    find(Some("a.txt"), Some(10), "in the second");
    find(Some("a.txt"), Some(4), "nearer to the first");
    find(Some("a.txt"), Some(99), "behind the last");
    find(Some("a.txt"), None, "in no line");
    find(Some("else.txt"), Some(1), "in no file of it");
    find(None, None, "nowhere");
    let mut editor = start(VSCODE, &fake);
    let proposal = editor.client.request("ralph/proposal", json!({ "task": "a" }));
    let hunks = |file: usize| -> Vec<Value> {
        let hunks = proposal["files"][file]["hunks"].as_array().expect("hunks").iter();
        hunks.map(|hunk| hunk["findings"].clone()).collect()
    };
    let first = json!(["line 4: nearer to the first", "in no line"]);
    assert_eq!(hunks(0), [first, json!(["in the second", "line 99: behind the last"])]);
    assert_eq!(hunks(1), [json!([])]);
    let all = proposal["findings"].as_array().expect("findings");
    assert_eq!(all.len(), 6);
    assert_eq!(all[0], json!({ "file": "a.txt", "line": 10, "text": "in the second" }));
}

#[test]
fn the_first_words_after_a_run_are_said_once_by_server_or_client() {
    for (client, by_client) in [(VSCODE, true), (MINIMAL, false)] {
        let fake = Fake::new();
        fake.task("a", LiveState::Ready);
        fake.task("b", LiveState::Blocked);
        fake.propose("a", &[("a.txt", Some("a\n"), Some("b\n"))]);
        let mut editor = start(client, &fake);
        editor.client.ignore("ralph/decisionRequested");
        let used = Usage { input_tokens: 30_000, output_tokens: 4_000, usd: Some(1.2), ..Usage::default() };
        fake.change(|snapshot| {
            let (id, reason, union) = ("r1".to_owned(), RunEndReason::NeedsPerson, None);
            let (started_at_ms, ended_at_ms) = (1, 1 + 125 * 60_000);
            snapshot.last_run = Some(EndedRunView { id, reason, union, started_at_ms, ended_at_ms, used });
        });
        let (run, union) = ("r1".to_owned(), None);
        fake.send(EngineEvent::Milestone(Milestone::RunEnded { run, reason: RunEndReason::NeedsPerson, union }));
        let summary = "1 to review, 1 needs you, 0 failed; $1.20, 34k tokens, 2 h 5 min";
        let words = format!("Ralph: you are needed: {summary}");
        // The drop of the client fails when it was said twice.
        if by_client {
            let told = editor.client.notification("ralph/runEnded", |_| true);
            assert_eq!((&told["message"], &told["warning"]), (&json!(words), &json!(true)));
            assert_eq!((&told["decisions"], &told["pending"]), (&json!(0), &json!(1)));
        } else {
            editor.client.notification("window/showMessage", |params| params["message"] == words.as_str());
        }
        let last = editor.client.request("ralph/status", Value::Null)["lastRun"].clone();
        assert_eq!((&last["reason"], &last["summary"]), (&json!("needs_person"), &json!(summary)));
        fake.change(|snapshot| snapshot.decisions.push(question("d1", "b")));
        let told = "Ralph: b asks: Which way, d1?";
        editor.client.notification("window/showMessage", |params| params["message"] == told);
    }
}
