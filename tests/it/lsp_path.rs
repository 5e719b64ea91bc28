//! The whole path through an editor, with a real engine, real git and a scripted agent: plan, approve, start, answer,
//! review, accept, undo, accept again, save, done.

use crate::support::editor::{Editor, NEOVIM, VSCODE};
use crate::support::lsp_client::{PATIENCE, TestClient};
use crate::support::repository;
use serde_json::{Value, json};
use std::time::Instant;
use tempfile::TempDir;

const GREET: &str = "name=world\necho hello\n# one\n# two\n# three\n# four\n# five\n# six\necho bye\n";
const GREETED: &str =
    "name=${1:-world}\necho \"hello $name\"\n# one\n# two\n# three\n# four\n# five\n# six\necho \"bye $name\"\n";
const TEST: &str = "test \"$(sh greet.sh Ada | head -1)\" = \"hello Ada\"\n";

const CONFIG: &str = r#"{
  "version": 1,
  "agents": { "actor": { "kind": "scripted", "script": "script.json" } },
  "chains": { "implementer": ["actor"], "planner": ["actor"] }
}
"#;

fn script() -> String {
    let plan = json!({ "tasks": [
        { "id": "greet", "title": "Greet by name", "acceptance": ["It greets by name"], "verify": ["sh test.sh"] },
    ] });
    let ask = json!({ "type": "ask", "question": "Say goodbye by name too?", "options": ["Yes", "No"],
        "recommend": "Yes", "file": "greet.sh", "line": 9 });
    json!({
        "version": 1,
        "planner": [{ "report": { "type": "submit_plan", "plan": plan } }],
        "tasks": { "*": {
            "1": [{ "report": ask }],
            "*": [
                { "write": { "path": "greet.sh", "text": GREETED } },
                { "write": { "path": "notes/new.md", "text": "new\n" } },
                { "report": { "type": "finished", "summary": "It greets by name." } },
            ],
        } },
    })
    .to_string()
}

fn start(client: &str) -> (Editor, TempDir) {
    let files = [("greet.sh", GREET), ("test.sh", TEST), ("script.json", &script()), (".ralph/config.json", CONFIG)];
    let folder = repository::make(&files);
    let homes = tempfile::tempdir().expect("a folder can be made");
    let server = TestClient::spawn(repository::server(folder.path(), homes.path()));
    let mut editor = Editor::over(client, server, folder);
    for noise in [
        "ralph/status",
        "ralph/queueChanged",
        "ralph/proposalChanged",
        "ralph/attempt",
        "ralph/decisionResolved",
        "textDocument/publishDiagnostics",
        "workspace/codeLens/refresh",
        "window/showMessage",
        "ralph/runEnded",
        "window/workDoneProgress/create",
        "$/progress",
    ] {
        editor.client.ignore(noise);
    }
    (editor, homes)
}

/// Waits until a task is in a state.
#[track_caller]
fn wait_for_state(editor: &mut Editor, task: &str, state: &str) -> Value {
    loop {
        let status = editor.client.request("ralph/status", Value::Null);
        let tasks = status["tasks"].as_array().expect("a list").clone();
        if let Some(found) = tasks.into_iter().find(|found| found["id"] == task)
            && found["state"] == state
        {
            return found;
        }
        editor.client.notification("ralph/queueChanged", |_| true);
    }
}

/// Waits for the response to a command, trusting what the person is shown on the way.
#[track_caller]
fn trusting(editor: &mut Editor, id: i64) -> (Value, Vec<String>) {
    let mut shown = Vec::new();
    let response = editor.client.response_or_request(id, "window/showMessageRequest", |client, id, params| {
        shown.push(params["message"].as_str().unwrap_or_default().to_owned());
        client.reply(id, params["actions"][0].clone());
    });
    assert!(response.get("error").is_none(), "{response}");
    (response["result"].clone(), shown)
}

/// Accepts the token of the progress that begins now.
fn accept_progress(editor: &mut Editor, prefix: &str) {
    let (id, params) = editor.client.server_request("window/workDoneProgress/create");
    assert!(params["token"].as_str().is_some_and(|token| token.starts_with(prefix)), "{params}");
    editor.client.reply(&id, Value::Null);
    editor.client.notification("$/progress", |params| params["value"]["kind"] == "begin");
}

fn whole_path(client: &str) {
    let (mut editor, _homes) = start(client);
    editor.open("greet.sh");

    // Plan, by an action on a selection.
    let selection = json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 2, "character": 0 } });
    let actions = editor.actions_in("greet.sh", selection);
    let action = actions.iter().find(|action| action["title"] == "Plan from selection").expect("offered").clone();
    let id = editor.choose(&action).expect("a command");
    accept_progress(&mut editor, "ralph/plan/");
    let (planned, _) = trusting(&mut editor, id);
    let task = planned["tasks"][0].as_str().expect("one task was planned").to_owned();
    wait_for_state(&mut editor, &task, "draft");

    // Approve, having seen the command.
    editor.open(".ralph/queue.json");
    let action = editor.action(".ralph/queue.json", 5, "Approve all drafts");
    let id = editor.choose(&action).expect("a command");
    let (_, shown) = trusting(&mut editor, id);
    assert!(shown.iter().any(|message| message.contains("sh test.sh")), "{shown:?}");
    let ready = wait_for_state(&mut editor, &task, "ready");
    assert_eq!(ready["status"], "todo");

    // Start, and see it as progress.
    let action = editor.action(".ralph/queue.json", 5, "Start the loop");
    let id = editor.choose(&action).expect("a command");
    trusting(&mut editor, id);
    accept_progress(&mut editor, "ralph/run/");

    // Answer at the line the question is about.
    editor.client.notification("ralph/decisionRequested", |_| true);
    editor.diagnostics("greet.sh", |shown| shown.iter().any(|one| one["code"] == "decision"));
    let action = editor.action("greet.sh", 8, "Answer: Yes (recommended)");
    let id = editor.choose(&action).expect("a command");
    trusting(&mut editor, id);
    let review = wait_for_state(&mut editor, &task, "review");
    assert_eq!(review["attempts"].as_array().map(Vec::len), Some(2));
    assert_eq!(review["attempts"][1]["outcome"], "verified");

    // Review: accept, take back by undo, accept again.
    editor.diagnostics("greet.sh", |shown| shown.iter().filter(|one| one["code"] == "pending").count() == 2);
    let action = editor.action("greet.sh", 0, "Accept this change");
    assert!(editor.choose(&action).is_none(), "the edit is the action's own");
    assert_ne!(editor.text("greet.sh"), GREET);
    editor.diagnostics("greet.sh", |shown| shown.len() == 1);
    editor.undo("greet.sh");
    assert_eq!(editor.text("greet.sh"), GREET);
    editor.diagnostics("greet.sh", |shown| shown.len() == 2);
    let action = editor.action("greet.sh", 0, &format!("Accept all of task `{task}`"));
    let id = editor.choose(&action).expect("a command");
    editor.expect_edit();
    let accepted = editor.client.response(id);
    assert!(accepted.get("error").is_none(), "{accepted}");
    assert_eq!(editor.text("greet.sh"), GREETED);
    assert_eq!(
        std::fs::read_to_string(editor.path("greet.sh")).ok().as_deref(),
        Some(GREET),
        "disk waits for the save"
    );
    assert_eq!(std::fs::read_to_string(editor.path("notes/new.md")).ok().as_deref(), Some("new\n"));
    editor.save("greet.sh");

    // Done: in the state, and in the file.
    wait_for_state(&mut editor, &task, "done");
    editor.diagnostics("greet.sh", <[Value]>::is_empty);
    assert_eq!(std::fs::read_to_string(editor.path("greet.sh")).ok().as_deref(), Some(GREETED));
    // The file follows the state; nothing is said when it has.
    let since = Instant::now();
    while !std::fs::read_to_string(editor.path(".ralph/queue.json")).is_ok_and(|queue| queue.contains("\"done\"")) {
        assert!(since.elapsed() < PATIENCE, "the queue file does not say that the task is done");
        editor.client.request("ralph/status", Value::Null);
    }
}

#[test]
fn the_whole_path_in_vs_code() {
    whole_path(VSCODE);
}

#[test]
fn the_whole_path_in_neovim() {
    whole_path(NEOVIM);
}
