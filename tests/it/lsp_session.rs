//! The session in front of an engine: the queue as a language, questions, approving, planning, runs.

use crate::support::editor::{Editor, MINIMAL, NEOVIM, VSCODE};
use crate::support::fake_engine::{Fake, FoldersConnector, question, task_view};
use ralph_sidecar::domain::event::RunEndReason;
use ralph_sidecar::domain::outcome::Outcome;
use ralph_sidecar::domain::queue::LiveState;
use ralph_sidecar::domain::task::{Task, TaskId};
use ralph_sidecar::protocol::engine_api::{
    ApiError, Command, EngineEvent, ErrorKind, Milestone, PlanReply, Reply, RunView,
};
use serde_json::{Value, json};

const QUEUE: &str = r#"{
  "version": 1,
  "tasks": [
    { "id": "a", "title": "First", "status": "draft", "verify": ["cargo test"] },
    { "id": "b", "title": "Second", "status": "todo", "depends_on": ["a"] }
  ]
}
"#;

const FILES: &[(&str, &str)] =
    &[(".ralph/queue.json", QUEUE), ("src/lib.rs", "fn a() {}\n// TODO: split\nfn b() {}\n")];

fn start(client: &str) -> (Fake, Editor) {
    let fake = Fake::new();
    fake.task("a", LiveState::Draft);
    fake.task("b", LiveState::Waiting);
    let mut editor = Editor::start(client, &fake, FILES);
    editor.client.ignore("workspace/codeLens/refresh");
    editor.client.ignore("window/showMessage");
    editor.client.request("ralph/status", Value::Null);
    (fake, editor)
}

fn ask(fake: &Fake, id: &str) {
    fake.change(|snapshot| snapshot.decisions.push(question(id, "a")));
}

fn answered(fake: &Fake) -> (String, Option<String>, Option<String>) {
    fake.asked(|command| match command {
        Command::Answer { id, option, text, go_on: true } => Some((id.to_string(), option.clone(), text.clone())),
        _ => None,
    })
}

fn titles(actions: &[Value]) -> Vec<&str> {
    actions.iter().filter_map(|action| action["title"].as_str()).collect()
}

#[test]
fn a_question_is_shown_on_the_task_and_at_its_line_and_answered_by_an_action() {
    for client in [VSCODE, NEOVIM, MINIMAL] {
        let (fake, mut editor) = start(client);
        ask(&fake, "d1");
        let requested = editor.client.notification("ralph/decisionRequested", |_| true);
        assert_eq!(requested["decision"]["options"][1]["label"], "right");
        let on_task = editor.diagnostics(".ralph/queue.json", |shown| !shown.is_empty());
        assert_eq!((&on_task[0]["severity"], &on_task[0]["range"]["start"]["line"]), (&json!(2), &json!(3)));
        let at_line = editor.diagnostics("src/lib.rs", |shown| !shown.is_empty());
        assert_eq!((&at_line[0]["severity"], &at_line[0]["range"]["start"]["line"]), (&json!(2), &json!(2)));
        editor.open("src/lib.rs");
        let actions = editor.actions("src/lib.rs", 2);
        let titles = titles(&actions);
        assert!(titles.starts_with(&["Answer: left", "Answer: right (recommended)"]), "{titles:?}");
        assert_eq!(titles.contains(&"Answer with text…"), client == VSCODE);
        let id = editor.choose(&actions[1]).expect("a command");
        editor.client.response(id);
        assert_eq!(answered(&fake), ("d1".to_owned(), Some("right".to_owned()), None));
        editor.client.notification("ralph/decisionResolved", |params| params["id"] == "d1");
        editor.diagnostics("src/lib.rs", <[Value]>::is_empty);
        editor.diagnostics(".ralph/queue.json", <[Value]>::is_empty);
    }
}

#[test]
fn the_oldest_question_is_offered_everywhere_and_asked_as_a_message() {
    let (fake, mut editor) = start(NEOVIM);
    editor.client.ignore("textDocument/publishDiagnostics");
    ask(&fake, "d1");
    ask(&fake, "d2");
    editor.client.notification("ralph/decisionRequested", |params| params["decision"]["id"] == "d1");
    editor.client.notification("ralph/decisionRequested", |params| params["decision"]["id"] == "d2");
    editor.open("src/lib.rs");
    let action = editor.action("src/lib.rs", 0, "Answer the oldest question");
    let id = editor.choose(&action).expect("a command");
    let (message, params) = editor.client.server_request("window/showMessageRequest");
    assert_eq!(params["actions"], json!([{ "title": "left" }, { "title": "right" }]));
    editor.client.reply(&message, json!({ "title": "left" }));
    editor.client.response(id);
    assert_eq!(answered(&fake), ("d1".to_owned(), Some("left".to_owned()), None));
    editor.client.notification("ralph/decisionResolved", |params| params["id"] == "d1");
}

#[test]
fn a_text_is_asked_for_where_the_client_can() {
    let (fake, mut editor) = start(VSCODE);
    editor.client.ignore("textDocument/publishDiagnostics");
    ask(&fake, "d1");
    editor.client.notification("ralph/decisionRequested", |_| true);
    editor.open("src/lib.rs");
    let action = editor.action("src/lib.rs", 2, "Answer with text");
    let id = editor.choose(&action).expect("a command");
    let (input, params) = editor.client.server_request("ralph/input");
    assert_eq!(params["prompt"], "Which way, d1?");
    editor.client.reply(&input, json!({ "text": "straight on" }));
    editor.client.response(id);
    assert_eq!(answered(&fake), ("d1".to_owned(), None, Some("straight on".to_owned())));
    editor.client.notification("ralph/decisionResolved", |_| true);
}

fn needs_trust(fake: &Fake) {
    fake.answer(|command| match command {
        Command::Untrusted { .. } => Some(Ok(Reply::Commands(vec!["cargo test".to_owned()]))),
        _ => None,
    });
}

#[test]
fn approving_shows_the_commands_that_are_not_trusted_yet() {
    for (choice, approves) in [(Some("Trust and approve"), true), (Some("Cancel"), false), (None, false)] {
        let (fake, mut editor) = start(NEOVIM);
        needs_trust(&fake);
        editor.open(".ralph/queue.json");
        let action = editor.action(".ralph/queue.json", 3, "Approve `a`");
        let id = editor.choose(&action).expect("a command");
        let (message, params) = editor.client.server_request("window/showMessageRequest");
        assert!(params["message"].as_str().is_some_and(|text| text.contains("\n• cargo test")), "{params}");
        editor.client.reply(&message, choice.map_or(Value::Null, |title| json!({ "title": title })));
        let response = editor.client.response(id);
        assert_eq!(response.get("error").is_none(), approves, "{response}");
        let approved = fake.passed().into_iter().find_map(|command| match command {
            Command::Approve { tasks, trust } => Some((tasks, trust)),
            _ => None,
        });
        assert_eq!(approved, approves.then(|| (vec![TaskId::from("a")], vec!["cargo test".to_owned()])));
    }
}

#[test]
fn a_client_that_cannot_be_asked_is_told_what_to_trust() {
    let (fake, mut editor) = start(MINIMAL);
    needs_trust(&fake);
    let error = editor.client.request_error("ralph/approve", json!({ "tasks": ["a"] }));
    assert!(error["message"].as_str().is_some_and(|message| message.contains("cargo test")), "{error}");
    editor.client.request("ralph/approve", json!({ "tasks": ["a"], "trust": ["cargo test"] }));
    fake.asked(|command| matches!(command, Command::Approve { .. }).then_some(()));
}

#[test]
fn starting_asks_for_trust_and_starts_then() {
    let (fake, mut editor) = start(NEOVIM);
    let trusted = std::sync::atomic::AtomicBool::new(false);
    fake.answer(move |command| match command {
        Command::Trust { .. } => {
            trusted.store(true, std::sync::atomic::Ordering::SeqCst);
            None
        }
        Command::Start(_) if !trusted.load(std::sync::atomic::Ordering::SeqCst) => {
            let error =
                ApiError { commands: vec!["make".into()], ..ApiError::new(ErrorKind::NotTrusted, "not trusted") };
            Some(Err(error))
        }
        _ => None,
    });
    let id = editor.client.send_request("ralph/start", Value::Null);
    let (message, _) = editor.client.server_request("window/showMessageRequest");
    editor.client.reply(&message, json!({ "title": "Trust and start" }));
    assert!(editor.client.response(id).get("error").is_none());
    fake.asked(|command| matches!(command, Command::Trust { .. }).then_some(()));
    fake.asked(|command| matches!(command, Command::Start(_)).then_some(()));
}

#[test]
fn plan_actions_appear_only_when_asked_for() {
    let (_fake, mut editor) = start(VSCODE);
    editor.open("src/lib.rs");
    let empty = json!({ "start": { "line": 1, "character": 0 }, "end": { "line": 1, "character": 0 } });
    let uri = editor.uri("src/lib.rs");
    let mut ask = |range: &Value, trigger: u32, diagnostics: Value| {
        let context = json!({ "diagnostics": diagnostics, "triggerKind": trigger });
        let params = json!({ "textDocument": { "uri": uri }, "range": range, "context": context });
        let actions = editor.client.request("textDocument/codeAction", params).as_array().expect("a list").clone();
        assert!(actions.iter().all(|action| action.get("isPreferred").is_none()));
        titles(&actions).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let none: [&str; 0] = [];
    assert_eq!(ask(&empty, 2, json!([])), none);
    assert_eq!(ask(&empty, 1, json!([])), ["Plan this TODO: split", "Plan a goal…"]);
    let problem = json!([{ "range": empty, "message": "unused", "source": "rustc" }]);
    assert_eq!(ask(&empty, 2, problem.clone()), none);
    assert_eq!(ask(&empty, 1, problem)[0], "Plan a fix for this diagnostic: unused");
    let selection = json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 1, "character": 0 } });
    assert_eq!(ask(&selection, 2, json!([])), ["Plan from selection"]);
}

#[test]
fn a_goal_that_cannot_be_asked_for_can_be_given_otherwise() {
    let (_fake, mut editor) = start(NEOVIM);
    let id = editor.client.send_request("ralph/plan", json!({}));
    let (create, _) = editor.client.server_request("window/workDoneProgress/create");
    editor.client.reply(&create, Value::Null);
    let response = editor.client.response(id);
    let message = response["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("Plan from selection"), "{response}");
    editor.client.ignore("$/progress");
}

#[test]
fn a_todo_becomes_a_draft_without_an_agent_and_only_once() {
    let (fake, mut editor) = start(NEOVIM);
    editor.open("src/lib.rs");
    let action = editor.action("src/lib.rs", 1, "Plan this TODO: split");
    let id = editor.choose(&action).expect("a command");
    editor.client.notification("window/showMessage", |_| true);
    assert!(editor.client.response(id).get("error").is_none());
    let task = fake.asked(|command| match command {
        Command::AddTasks { tasks, .. } => tasks.first().cloned(),
        _ => None,
    });
    assert_eq!((task.context[0].file.as_str(), task.context[0].range.map(|range| range.0)), ("src/lib.rs", Some(2)));
    let mut view = task_view("x", LiveState::Draft);
    view.task = task;
    fake.change(|snapshot| snapshot.tasks.push(view));
    editor.client.request("ralph/status", Value::Null);
    let id = editor.choose(&action).expect("a command");
    let response = editor.client.response(id);
    assert!(
        response["error"]["message"].as_str().is_some_and(|message| message.contains("planned already")),
        "{response}"
    );
}

fn planned(ids: &[&str]) -> PlanReply {
    PlanReply {
        plan: "p1".to_owned(),
        tasks: ids.iter().map(|id| Task::new(*id, "Planned")).collect(),
        applied: true,
        diff: String::new(),
        discarded: Vec::new(),
        replaces: Vec::new(),
    }
}

#[test]
fn planning_shows_progress_and_hands_over_what_was_pointed_at() {
    let (fake, mut editor) = start(NEOVIM);
    fake.answer(|command| match command {
        Command::Plan(_) => Some(Ok(Reply::Plan(planned(&["x", "y"])))),
        _ => None,
    });
    editor.open("src/lib.rs");
    let selection = json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 1, "character": 0 } });
    let actions = editor.actions_in("src/lib.rs", selection);
    let action = actions.iter().find(|action| action["title"] == "Plan from selection").expect("offered").clone();
    let id = editor.choose(&action).expect("a command");
    let (create, params) = editor.client.server_request("window/workDoneProgress/create");
    assert!(params["token"].as_str().is_some_and(|token| token.starts_with("ralph/plan/")), "{params}");
    let request = fake.asked(|command| match command {
        Command::Plan(request) => Some(request.clone()),
        _ => None,
    });
    assert_eq!(request.context[0].file.as_deref(), Some("src/lib.rs"));
    assert_eq!((request.context[0].lines, request.context[0].text.as_str()), (Some((1, 1)), "fn a() {}\n"));
    let result = editor.client.response(id)["result"].clone();
    assert_eq!(result["tasks"], json!(["x", "y"]));
    editor.client.notification("window/showMessage", |params| params["message"] == "Ralph: 2 tasks were planned");
    editor.client.reply(&create, Value::Null);
    editor.client.ignore("$/progress");
}

#[test]
fn a_revised_plan_is_shown_before_it_replaces_the_drafts() {
    for (choice, applies) in [("Replace", true), ("Keep the drafts", false)] {
        let (fake, mut editor) = start(VSCODE);
        fake.answer(|command| match command {
            Command::Plan(request) if request.revise == [TaskId::from("a")] => {
                Some(Ok(Reply::Plan(PlanReply { applied: false, diff: "-old\n+new\n".into(), ..planned(&["a"]) })))
            }
            _ => None,
        });
        let id = editor.client.send_request("ralph/revisePlan", json!({ "instructions": "smaller" }));
        let (create, _) = editor.client.server_request("window/workDoneProgress/create");
        editor.client.reply(&create, Value::Null);
        let (show, params) = editor.client.server_request("window/showDocument");
        let text = editor.client.request("workspace/textDocumentContent", json!({ "uri": params["uri"] }));
        assert_eq!(text["text"], "-old\n+new\n");
        editor.client.reply(&show, json!({ "success": true }));
        let (message, _) = editor.client.server_request("window/showMessageRequest");
        editor.client.reply(&message, json!({ "title": choice }));
        assert_eq!(editor.client.response(id).get("error").is_none(), applies);
        let applied =
            fake.passed().iter().any(|command| matches!(command, Command::ApplyPlan { plan } if plan == "p1"));
        assert_eq!(applied, applies);
        editor.client.ignore("$/progress");
    }
}

fn run() -> RunView {
    RunView {
        id: "r1".to_owned(),
        started_at_ms: 0,
        paused: false,
        stopping: false,
        task: Some(TaskId::from("a")),
        attempt: Some(2),
        agent: Some("fake".to_owned()),
        ..RunView::default()
    }
}

#[test]
fn a_run_is_shown_as_progress_and_cancelling_it_stops_the_run() {
    let (fake, mut editor) = start(NEOVIM);
    fake.change(|snapshot| snapshot.run = Some(run()));
    let (create, params) = editor.client.server_request("window/workDoneProgress/create");
    let token = params["token"].clone();
    assert!(token.as_str().is_some_and(|token| token.starts_with("ralph/run/r1@")), "{token}");
    editor.client.reply(&create, Value::Null);
    let begun = editor.client.notification("$/progress", |params| params["value"]["kind"] == "begin");
    assert_eq!((&begun["value"]["message"], &begun["value"]["cancellable"]), (&json!("a, attempt 2"), &json!(true)));
    fake.send(EngineEvent::Milestone(Milestone::AttemptEnded {
        task: TaskId::from("a"),
        attempt: 2,
        outcome: Outcome::VerifyFailed,
        detail: "red".to_owned(),
    }));
    let ended = editor.client.notification("ralph/attempt", |_| true);
    assert_eq!((&ended["kind"], &ended["outcome"]), (&json!("ended"), &json!("verify_failed")));
    fake.send(EngineEvent::Progress { task: Some(TaskId::from("a")), attempt: Some(3), text: "reading".to_owned() });
    editor.client.notification("$/progress", |params| params["value"]["message"] == "a: reading");
    editor.client.notification("ralph/attempt", |params| params["kind"] == "progress");
    // Output is for those who want it.
    fake.send(EngineEvent::Output { task: TaskId::from("a"), attempt: 3, text: "noise".to_owned() });
    editor.client.notify("window/workDoneProgress/cancel", json!({ "token": token }));
    fake.asked(|command| matches!(command, Command::Stop { kill: true }).then_some(()));
    fake.change(|snapshot| snapshot.run = None);
    editor.client.notification("$/progress", |params| params["value"]["kind"] == "end");
}

#[test]
fn the_engine_gets_the_buffers_that_differ_from_disk() {
    let (fake, mut editor) = start(VSCODE);
    editor.open("src/lib.rs");
    editor.open(".ralph/queue.json");
    editor.replace("src/lib.rs", "fn changed() {}\n");
    editor.client.request("ralph/status", Value::Null);
    fake.send(EngineEvent::BuffersWanted { token: 7 });
    let buffers = fake.asked(|command| match command {
        Command::Buffers { token: 7, buffers } => Some(buffers.clone()),
        _ => None,
    });
    assert_eq!(buffers.len(), 1);
    assert_eq!((buffers[0].path.as_str(), buffers[0].text.as_str()), ("src/lib.rs", "fn changed() {}\n"));
}

#[test]
fn an_engine_that_is_gone_is_found_again() {
    let (fake, mut editor) = start(VSCODE);
    fake.drop_connections();
    fake.change(|snapshot| snapshot.tasks.retain(|view| view.task.id.0 == "b"));
    fake.asked(|command| matches!(command, Command::Snapshot).then_some(()));
    fake.asked(|command| matches!(command, Command::Snapshot).then_some(()));
    let status = editor.client.request("ralph/status", Value::Null);
    assert_eq!(status["tasks"].as_array().map(Vec::len), Some(1));
}

#[test]
fn events_that_were_lost_are_made_up_for_by_a_snapshot() {
    let (fake, mut editor) = start(VSCODE);
    ask(&fake, "d1");
    editor.client.notification("ralph/decisionRequested", |_| true);
    editor.diagnostics("src/lib.rs", |shown| !shown.is_empty());
    editor.diagnostics(".ralph/queue.json", |shown| !shown.is_empty());
    fake.change(|snapshot| snapshot.decisions.clear());
    fake.send(EngineEvent::Lagged);
    editor.client.notification("ralph/decisionResolved", |_| true);
    editor.diagnostics("src/lib.rs", <[Value]>::is_empty);
    editor.diagnostics(".ralph/queue.json", <[Value]>::is_empty);
}

#[test]
fn one_setting_silences_each_class() {
    let fake = Fake::new();
    fake.task("a", LiveState::Blocked);
    ask(&fake, "d1");
    let client = NEOVIM.replace(
        "\"trace\": \"off\"",
        "\"initializationOptions\": { \"ralph\": { \"diagnostics\": { \"decisions\": false } } }",
    );
    let mut editor = Editor::start(&client, &fake, FILES);
    editor.client.ignore("workspace/codeLens/refresh");
    editor.client.notification("ralph/decisionRequested", |_| true);
    editor.client.request("ralph/status", Value::Null);
    // The drop of the client fails when a diagnostic was published.
}

#[test]
fn a_folder_without_a_ralph_folder_wakes_no_engine() {
    let fake = Fake::new();
    let mut editor = Editor::start(NEOVIM, &fake, &[("src/lib.rs", "fn a() {}\n")]);
    editor.open("src/lib.rs");
    editor.actions("src/lib.rs", 0);
    assert!(fake.passed().is_empty());
    // Asking for something is what wakes it.
    editor.client.request("ralph/status", Value::Null);
    fake.asked(|command| matches!(command, Command::Snapshot).then_some(()));
}

#[test]
fn unknown_commands_and_arguments_are_refused_with_a_reason() {
    let (_fake, mut editor) = start(VSCODE);
    let error =
        editor.client.request_error("workspace/executeCommand", json!({ "command": "ralph.launch", "arguments": [] }));
    assert!(error["message"].as_str().is_some_and(|message| message.contains("ralph.launch")), "{error}");
    let error = editor.client.request_error("ralph/retry", json!({ "task": 1 }));
    assert!(error["message"].as_str().is_some_and(|message| message.contains("ralph.retry")), "{error}");
    let error = editor.client.request_error("ralph/status", json!({ "root": "file:///elsewhere" }));
    assert!(error["message"].as_str().is_some_and(|message| message.contains("/elsewhere")), "{error}");
    let error = editor.client.request_error("ralph/content", json!({ "uri": "ralph:/review/nobody.diff" }));
    assert!(error["message"].as_str().is_some_and(|message| message.contains("nobody")), "{error}");
}

#[test]
fn each_folder_has_its_own_engine_and_commands_find_theirs() {
    let (left, right) = (Fake::new(), Fake::new());
    left.task("l", LiveState::Draft);
    right.task("r", LiveState::Draft);
    let connector =
        FoldersConnector(vec![("left".to_owned(), left.engine.clone()), ("right".to_owned(), right.engine.clone())]);
    let files = [("left/.ralph/queue.json", QUEUE), ("right/.ralph/queue.json", QUEUE), ("right/a.txt", "a\n")];
    let folders = json!([{ "uri": "file:///repo/left", "name": "left" }]).to_string();
    let client = NEOVIM.replace("[{ \"uri\": \"file:///repo\", \"name\": \"/repo\" }]", &folders);
    let mut editor = Editor::connect(&client, std::sync::Arc::new(connector), &files);
    for noise in ["ralph/status", "ralph/queueChanged", "workspace/codeLens/refresh"] {
        editor.client.ignore(noise);
    }
    let status = editor.client.request("ralph/status", Value::Null);
    assert_eq!(status["tasks"][0]["id"], "l");
    let right_uri = editor.uri("right");
    let added = json!({ "event": { "added": [{ "uri": right_uri, "name": "right" }], "removed": [] } });
    editor.client.notify("workspace/didChangeWorkspaceFolders", added);
    let status = editor.client.request("ralph/status", json!({ "root": editor.uri("right/a.txt") }));
    assert_eq!((&status["tasks"][0]["id"], &status["root"]), (&json!("r"), &json!(right_uri)));
    let error = editor.client.request_error("ralph/approve", json!({ "tasks": ["r"] }));
    assert!(error["message"].as_str().is_some_and(|message| message.contains("several folders")), "{error}");
    editor.client.request("ralph/approve", json!({ "root": right_uri, "tasks": ["r"] }));
    right.asked(|command| matches!(command, Command::Approve { .. }).then_some(()));
    assert!(!left.passed().iter().any(|command| matches!(command, Command::Approve { .. })));
    let removed = json!({ "event": { "added": [], "removed": [{ "uri": right_uri, "name": "right" }] } });
    editor.client.notify("workspace/didChangeWorkspaceFolders", removed);
    let status = editor.client.request("ralph/status", Value::Null);
    assert_eq!(status["tasks"][0]["id"], "l");
}

#[test]
fn a_person_is_told_when_needed_and_when_a_run_has_finished_as_they_wish() {
    let cases = [("all", true, true), ("needs-me", true, false), ("finished", false, true), ("never", false, false)];
    for (notify, needed, finished) in cases {
        let fake = Fake::new();
        fake.task("a", LiveState::Ready);
        let options = format!("\"initializationOptions\": {{ \"notify\": \"{notify}\" }}");
        let client = NEOVIM.replace("\"trace\": \"off\"", &options);
        let mut editor = Editor::start(&client, &fake, FILES);
        editor.client.ignore("textDocument/publishDiagnostics");
        editor.client.request("ralph/status", Value::Null);
        ask(&fake, "d1");
        editor.client.notification("ralph/decisionRequested", |_| true);
        if needed {
            editor
                .client
                .notification("window/showMessage", |params| params["message"] == "Ralph: a asks: Which way, d1?");
        }
        fake.send(EngineEvent::Milestone(Milestone::RunEnded {
            run: "r1".to_owned(),
            reason: RunEndReason::Finished,
            union: None,
        }));
        if finished {
            editor.client.notification("window/showMessage", |params| {
                params["message"] == "Ralph: finished: 0 to review, 1 needs you, 0 failed"
            });
        }
        // Whoever asked wants to know in any case.
        let (id, question, answer) = ("q1".to_owned(), "how far?".to_owned(), "half way\nthrough".to_owned());
        fake.send(EngineEvent::Milestone(Milestone::Replied { task: "a".into(), id, question, answer }));
        let reply = "Ralph: a replies to “how far?”: half way";
        editor.client.notification("window/showMessage", |params| params["message"] == reply);
        fake.change(|_| {});
        editor.client.request("ralph/status", Value::Null);
        // The drop of the client fails when something else was said.
    }
}
