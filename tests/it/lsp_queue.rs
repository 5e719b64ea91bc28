//! The queue file as a language: problems, completion, definition, symbols, lenses, edits of an unsaved buffer.

use crate::support::editor::{Editor, NEOVIM, VSCODE};
use crate::support::fake_engine::{Fake, question};
use ralph_sidecar::domain::queue::LiveState;
use ralph_sidecar::protocol::engine_api::{Command, Reply};
use serde_json::{Value, json};

const QUEUE: &str = r#"{
  "version": 1,
  "tasks": [
    { "id": "a", "title": "First", "status": "draft", "verify": ["cargo test"] },
    { "id": "b", "title": "Second", "status": "todo", "depends_on": ["a"] }
  ]
}
"#;

fn start(client: &str) -> (Fake, Editor) {
    let fake = Fake::new();
    fake.task("a", LiveState::Draft);
    fake.task("b", LiveState::Waiting);
    let mut editor = Editor::start(client, &fake, &[(".ralph/queue.json", QUEUE)]);
    editor.client.ignore("workspace/codeLens/refresh");
    editor.client.ignore("window/showMessage");
    editor.client.request("ralph/status", Value::Null);
    (fake, editor)
}

fn lenses(editor: &mut Editor) -> Vec<(u64, String)> {
    let params = json!({ "textDocument": { "uri": editor.uri(".ralph/queue.json") } });
    let lenses = editor.client.request("textDocument/codeLens", params);
    let lens = |lens: &Value| {
        (
            lens["range"]["start"]["line"].as_u64().unwrap_or(99),
            lens["command"]["title"].as_str().unwrap_or("").to_owned(),
        )
    };
    lenses.as_array().expect("a list").iter().map(lens).collect()
}

#[test]
fn problems_of_the_queue_are_shown_at_their_exact_places_and_stop_nothing() {
    let (fake, mut editor) = start(VSCODE);
    editor.open(".ralph/queue.json");
    editor.replace(".ralph/queue.json", &QUEUE.replace(r#"["a"]"#, r#"["nobody"]"#));
    let shown = editor.diagnostics(".ralph/queue.json", |shown| !shown.is_empty());
    assert_eq!(shown[0]["code"], "unknown-dependency");
    assert_eq!(shown[0]["range"]["start"], json!({ "line": 4, "character": 69 }));
    editor.replace(".ralph/queue.json", &QUEUE.replace("\"tasks\": [", "\"tasks\": "));
    let shown =
        editor.diagnostics(".ralph/queue.json", |shown| shown.iter().any(|problem| problem["code"] == "syntax"));
    let message = shown[0]["message"].as_str().unwrap_or_default();
    assert!(message.contains("the last good queue stays in force"), "{message}");
    let status = editor.client.request("ralph/status", Value::Null);
    assert_eq!(status["tasks"].as_array().map(Vec::len), Some(2));
    editor.replace(".ralph/queue.json", QUEUE);
    editor.diagnostics(".ralph/queue.json", <[Value]>::is_empty);
    drop(fake);
}

#[test]
fn completion_works_in_broken_text_and_definition_and_symbols_in_whole_text() {
    let (_fake, mut editor) = start(NEOVIM);
    editor.open(".ralph/queue.json");
    let broken = "{ \"tasks\": [ { \"id\": \"a\" }, { \"id\": \"b\", \"depends_on\": [ \"\n";
    editor.replace(".ralph/queue.json", broken);
    let uri = editor.uri(".ralph/queue.json");
    let at = |line: u32, character: u32| json!({ "textDocument": { "uri": uri }, "position": { "line": line, "character": character } });
    let items = editor.client.request("textDocument/completion", at(0, broken.trim_end().len() as u32));
    let labels: Vec<&Value> = items.as_array().expect("a list").iter().map(|item| &item["label"]).collect();
    assert_eq!(labels, ["a"]);
    editor.client.ignore("textDocument/publishDiagnostics");
    editor.replace(".ralph/queue.json", QUEUE);
    let definition = editor.client.request("textDocument/definition", at(4, 72));
    assert_eq!(definition[0]["targetSelectionRange"]["start"]["line"], 3);
    let symbols = editor.client.request("textDocument/documentSymbol", json!({ "textDocument": { "uri": uri } }));
    let names: Vec<&Value> = symbols.as_array().expect("a list").iter().map(|symbol| &symbol["name"]).collect();
    assert_eq!(names, ["a", "b"]);
    let hover = editor.client.request("textDocument/hover", at(4, 12));
    let text = hover["contents"]["value"].as_str().unwrap_or_default();
    assert!(text.contains("because of waiting"), "{text}");
}

#[test]
fn lenses_carry_the_live_state() {
    let (fake, mut editor) = start(VSCODE);
    editor.open(".ralph/queue.json");
    let shown = lenses(&mut editor);
    let line = |shown: &[(u64, String)], line: u64| -> Vec<String> {
        shown.iter().filter(|(at, _)| *at == line).map(|(_, title)| title.clone()).collect()
    };
    assert_eq!(line(&shown, 0), ["Approve all drafts (1)"]);
    assert_eq!(line(&shown, 3), ["draft", "Approve", "Drop"]);
    assert_eq!(line(&shown, 4), ["waiting: because of waiting", "Drop"]);
    fake.change(|snapshot| {
        snapshot.decisions.push(question("d1", "a"));
        snapshot.tasks[0].state = LiveState::Blocked;
        snapshot.tasks[1].state = LiveState::Review;
    });
    editor.client.notification("ralph/decisionRequested", |_| true);
    editor.client.ignore("textDocument/publishDiagnostics");
    editor.diagnostics(".ralph/queue.json", |shown| !shown.is_empty());
    let shown = lenses(&mut editor);
    assert_eq!(line(&shown, 0), ["Answer the oldest question (1 open)"]);
    assert_eq!(line(&shown, 3), ["blocked: because of draft", "Answer", "Retry", "Drop"]);
    assert_eq!(line(&shown, 4), ["review: because of waiting", "Review", "Retry"]);
}

#[test]
fn an_unsaved_queue_is_changed_in_its_buffer() {
    let (fake, mut editor) = start(VSCODE);
    fake.answer(|command| match command {
        Command::Untrusted { .. } => Some(Ok(Reply::Commands(vec!["cargo test".to_owned()]))),
        _ => None,
    });
    editor.open(".ralph/queue.json");
    let typed = QUEUE.replace("First", "Typed just now");
    editor.replace(".ralph/queue.json", &typed);
    fake.asked(|command| matches!(command, Command::HoldQueue { held: true }).then_some(()));
    let id = editor.client.send_request("ralph/approve", json!({ "tasks": ["a"], "trust": ["cargo test"] }));
    editor.expect_edit();
    editor.client.response(id);
    let expected = typed.replace("\"status\": \"draft\"", "\"status\": \"todo\"");
    assert_eq!(editor.text(".ralph/queue.json"), expected);
    assert_eq!(std::fs::read_to_string(editor.path(".ralph/queue.json")).ok().as_deref(), Some(QUEUE));
    fake.asked(|command| matches!(command, Command::Trust { commands } if commands == &["cargo test"]).then_some(()));
    assert!(!fake.passed().iter().any(|command| matches!(command, Command::Approve { .. })));
    editor.save(".ralph/queue.json");
    fake.asked(|command| matches!(command, Command::ReadQueue).then_some(()));
    fake.asked(|command| matches!(command, Command::HoldQueue { held: false }).then_some(()));
}
