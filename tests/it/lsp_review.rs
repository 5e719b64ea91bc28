//! Review in the editor: hunks shown in the buffers, accepted by ordinary edits, taken back by undo.

use crate::support::editor::{Editor, MINIMAL, NEOVIM, VSCODE};
use crate::support::fake_engine::Fake;
use ralph_sidecar::domain::hunks::HunkId;
use ralph_sidecar::domain::queue::LiveState;
use ralph_sidecar::domain::report::Finding;
use ralph_sidecar::domain::rounds::Comment;
use ralph_sidecar::protocol::engine_api::{AttemptText, Command, Reply};
use serde_json::{Value, json};

const OLD: &str = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\n";
const NEW: &str = "one\nTWO\nthree\nfour\nfive\nsix\nseven\neight\nNINE\nnine and a half\nten\n";
const QUEUE: &str = r#"{
  "version": 1,
  "tasks": [
    { "id": "t1", "title": "Title of t1", "status": "todo" }
  ]
}
"#;

/// An editor on a folder with one file that task `t1` proposes to change in two places.
fn start(client: &str) -> (Fake, Editor, Vec<HunkId>) {
    let fake = Fake::new();
    fake.task("t1", LiveState::Ready);
    let hunks = fake.propose("t1", &[("a.txt", Some(OLD), Some(NEW))]);
    let editor = Editor::start(client, &fake, &[("a.txt", OLD), (".ralph/queue.json", QUEUE)]);
    (fake, editor, hunks)
}

fn accepted(fake: &Fake) -> (Vec<HunkId>, bool) {
    fake.asked(|command| match command {
        Command::Accept { hunks, write, .. } => Some((hunks.clone(), *write)),
        _ => None,
    })
}

fn withdrawn(fake: &Fake) -> Vec<HunkId> {
    fake.asked(|command| match command {
        Command::Withdraw { hunks, .. } => Some(hunks.clone()),
        _ => None,
    })
}

fn codes(diagnostics: &[Value]) -> Vec<&str> {
    diagnostics.iter().filter_map(|diagnostic| diagnostic["code"].as_str()).collect()
}

/// Accepts in a client, takes it back, accepts again and saves.
fn accept_undo_accept(client: &str) {
    let (fake, mut editor, hunks) = start(client);
    editor.client.ignore("textDocument/publishDiagnostics");
    editor.client.ignore("workspace/codeLens/refresh");
    let shown = editor.diagnostics("a.txt", |shown| shown.len() == 2);
    assert_eq!(codes(&shown), ["pending", "pending"]);
    editor.open("a.txt");
    let action = editor.action("a.txt", 1, "Accept this change");
    let id = editor.choose(&action);
    if let Some(id) = id {
        if client == MINIMAL {
            // It takes no edits, so the engine writes; the editor reads the file again by itself.
            assert_eq!(accepted(&fake), (vec![hunks[0].clone()], true));
            editor.client.response(id);
            return;
        }
        editor.expect_edit();
        editor.client.response(id);
    }
    assert_eq!(editor.text("a.txt"), OLD.replace("two", "TWO"));
    editor.client.notification("ralph/proposalChanged", |params| params["pending"] == 1);
    assert_eq!(accepted(&fake), (vec![hunks[0].clone()], false));
    editor.diagnostics("a.txt", |shown| shown.len() == 1);

    editor.undo("a.txt");
    assert_eq!(editor.text("a.txt"), OLD);
    assert_eq!(withdrawn(&fake), [hunks[0].clone()]);
    editor.diagnostics("a.txt", |shown| shown.len() == 2);

    let action = editor.action("a.txt", 1, "Accept all in this file");
    if let Some(id) = editor.choose(&action) {
        editor.expect_edit();
        editor.client.response(id);
    }
    assert_eq!(editor.text("a.txt"), NEW);
    assert_eq!(accepted(&fake).0.len(), 2);
    editor.diagnostics("a.txt", <[Value]>::is_empty);
    editor.save("a.txt");
    fake.asked(|command| matches!(command, Command::Saved { paths } if paths == &["a.txt"]).then_some(()));
}

#[test]
fn accept_undo_and_accept_again_in_vs_code() {
    accept_undo_accept(VSCODE);
}

#[test]
fn accept_undo_and_accept_again_in_neovim() {
    accept_undo_accept(NEOVIM);
}

#[test]
fn a_client_without_capabilities_accepts_through_the_engine() {
    accept_undo_accept(MINIMAL);
}

#[test]
fn hunks_follow_the_text_as_it_is_typed() {
    let (_fake, mut editor, _) = start(VSCODE);
    editor.client.ignore("textDocument/publishDiagnostics");
    editor.client.ignore("workspace/codeLens/refresh");
    editor.open("a.txt");
    editor.replace("a.txt", &format!("new\nlines\n{OLD}"));
    let moved =
        editor.diagnostics("a.txt", |shown| shown.first().is_some_and(|first| first["range"]["start"]["line"] == 3));
    assert_eq!(moved.len(), 2);
    editor.replace("a.txt", &OLD.replace("two", "2"));
    let conflict = editor.diagnostics("a.txt", |shown| codes(shown).contains(&"conflict"));
    assert_eq!(codes(&conflict), ["conflict", "pending"]);
    editor.action("a.txt", 1, "Ask the agent to rebase");
}

#[test]
fn a_text_that_comes_back_from_disk_withdraws_nothing() {
    let (fake, mut editor, _) = start(VSCODE);
    editor.client.ignore("textDocument/publishDiagnostics");
    editor.client.ignore("workspace/codeLens/refresh");
    editor.open("a.txt");
    editor.diagnostics("a.txt", |shown| shown.len() == 2);
    let action = editor.action("a.txt", 1, "Accept this change");
    editor.choose(&action);
    accepted(&fake);
    editor.save("a.txt");
    // A branch is switched: disk has the old text, and the editor reads it.
    std::fs::write(editor.path("a.txt"), OLD).expect("the file is writable");
    editor.replace("a.txt", OLD);
    editor.diagnostics("a.txt", |shown| shown.len() == 1);
    editor.client.request("ralph/status", Value::Null);
    // The answer to another reading of the disk comes after that of the first.
    editor.close("a.txt");
    editor.open("a.txt");
    editor.client.request("ralph/status", Value::Null);
    let withdrawn = fake.passed().into_iter().filter(|command| matches!(command, Command::Withdraw { .. })).count();
    assert_eq!(withdrawn, 0);
}

#[test]
fn undo_after_a_save_makes_the_hunk_pending_again() {
    let (fake, mut editor, hunks) = start(VSCODE);
    editor.client.ignore("textDocument/publishDiagnostics");
    editor.client.ignore("workspace/codeLens/refresh");
    editor.open("a.txt");
    editor.diagnostics("a.txt", |shown| shown.len() == 2);
    let action = editor.action("a.txt", 1, "Accept this change");
    editor.choose(&action);
    accepted(&fake);
    editor.save("a.txt");
    editor.undo("a.txt");
    assert_eq!(withdrawn(&fake), [hunks[0].clone()]);
}

#[test]
fn accepting_a_task_edits_open_buffers_and_lets_the_engine_write_the_rest() {
    let fake = Fake::new();
    fake.task("t1", LiveState::Ready);
    let files = [
        ("a.txt", Some(OLD), Some(NEW)),
        ("b.txt", Some("x\n"), Some("y\n")),
        ("gone.txt", Some("gone\n"), None),
        ("new.txt", None, Some("new\n")),
    ];
    fake.propose("t1", &files);
    let on_disk = [("a.txt", OLD), ("b.txt", "x\n"), ("gone.txt", "gone\n"), (".ralph/queue.json", QUEUE)];
    let mut editor = Editor::start(NEOVIM, &fake, &on_disk);
    editor.client.ignore("textDocument/publishDiagnostics");
    editor.client.ignore("workspace/codeLens/refresh");
    // The new file has no place of its own yet and is shown on the task.
    let on_task = editor.diagnostics(".ralph/queue.json", |shown| !shown.is_empty());
    assert!(
        on_task[0]["message"].as_str().is_some_and(|message| message.contains("makes the file new.txt")),
        "{on_task:?}"
    );
    assert_eq!(on_task[0]["range"]["start"]["line"], 3);
    editor.open("a.txt");
    editor.diagnostics("gone.txt", |shown| shown.len() == 1);
    let action = editor.action("a.txt", 1, "Accept all of task `t1`");
    let id = editor.choose(&action).expect("a command");
    assert_eq!(editor.expect_edit(), "Ralph: accept changes of t1");
    let (hunks, write) = fake.asked(|command| match command {
        Command::Accept { hunks, write: true, .. } => Some((hunks.clone(), true)),
        _ => None,
    });
    assert!(write);
    assert_eq!(hunks.len(), 3);
    let result = editor.client.response(id)["result"].clone();
    assert_eq!(result["hunks"].as_array().map(Vec::len), Some(5), "{result}");
    assert_eq!(editor.text("a.txt"), NEW);
}

#[test]
fn a_whole_file_with_unsaved_changes_is_left_alone() {
    let fake = Fake::new();
    fake.task("t1", LiveState::Ready);
    fake.propose("t1", &[("gone.txt", Some("gone\n"), None)]);
    let mut editor = Editor::start(VSCODE, &fake, &[("gone.txt", "gone\n"), (".ralph/queue.json", QUEUE)]);
    editor.client.ignore("textDocument/publishDiagnostics");
    editor.client.ignore("workspace/codeLens/refresh");
    editor.diagnostics("gone.txt", |shown| shown.len() == 1);
    editor.open("gone.txt");
    editor.replace("gone.txt", "precious\n");
    let action = editor.action("gone.txt", 0, "Accept this change");
    let id = editor.choose(&action).expect("a command");
    let error = editor.client.response(id)["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(error.contains("gone.txt has unsaved changes"), "{error}");
    assert!(!fake.passed().iter().any(|command| matches!(command, Command::Accept { .. })));
}

#[test]
fn rejecting_asks_why_where_the_client_can() {
    for (client, asks) in [(VSCODE, true), (NEOVIM, false)] {
        let (fake, mut editor, hunks) = start(client);
        editor.client.ignore("textDocument/publishDiagnostics");
        editor.client.ignore("workspace/codeLens/refresh");
        editor.open("a.txt");
        editor.diagnostics("a.txt", |shown| shown.len() == 2);
        let action = editor.action("a.txt", 1, "Reject this change");
        let id = editor.choose(&action).expect("a command");
        if asks {
            let (ask, _) = editor.client.server_request("ralph/input");
            editor.client.reply(&ask, json!({ "text": "wrong" }));
        }
        let (rejected, why) = fake.asked(|command| match command {
            Command::Reject { hunks, why, .. } => Some((hunks.clone(), why.clone())),
            _ => None,
        });
        assert_eq!((rejected, why.as_deref()), (vec![hunks[0].clone()], asks.then_some("wrong")));
        editor.client.response(id);
        editor.diagnostics("a.txt", |shown| shown.len() == 1);
    }
}

#[test]
fn a_hover_shows_the_hunk_in_a_fence_it_cannot_leave() {
    let fake = Fake::new();
    fake.task("t1", LiveState::Ready);
    fake.propose("t1", &[("a.md", Some("x\n"), Some("```\n[run](command:evil)\n"))]);
    let mut editor = Editor::start(VSCODE, &fake, &[("a.md", "x\n"), (".ralph/queue.json", QUEUE)]);
    editor.client.ignore("textDocument/publishDiagnostics");
    editor.client.ignore("workspace/codeLens/refresh");
    editor.open("a.md");
    editor.diagnostics("a.md", |shown| shown.len() == 1);
    let position = json!({ "textDocument": { "uri": editor.uri("a.md") }, "position": { "line": 0, "character": 0 } });
    let hover = editor.client.request("textDocument/hover", position);
    let text = hover["contents"]["value"].as_str().unwrap_or_default();
    assert!(text.contains("````diff\n-x\n+```\n+[run](command:evil)\n````"), "{text}");
}

#[test]
fn the_proposal_can_be_read_as_documents() {
    let (fake, mut editor, hunks) = start(VSCODE);
    fake.answer(|command| match command {
        Command::Text { attempt: Some(2), what: AttemptText::Checks, .. } => {
            Some(Ok(Reply::Text("green\n".to_owned())))
        }
        _ => None,
    });
    editor.client.ignore("textDocument/publishDiagnostics");
    editor.client.ignore("workspace/codeLens/refresh");
    let proposal = editor.client.request("ralph/proposal", json!({ "task": "t1" }));
    assert_eq!(proposal["files"][0]["hunks"][0]["id"], hunks[0].0.as_str());
    let mut content = |uri: &Value, method: &str| {
        let text = editor.client.request(method, json!({ "uri": uri }));
        text["text"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(content(&proposal["files"][0]["baseUri"], "ralph/content"), OLD);
    assert_eq!(content(&proposal["files"][0]["proposalUri"], "workspace/textDocumentContent"), NEW);
    assert_eq!(content(&json!("ralph:/checks/t1/2.log"), "ralph/content"), "green\n");
    let review = content(&proposal["uri"], "ralph/content");
    assert!(
        review.contains("@@ -1,5 +1,5 @@ hunk 1 of 2, pending: replaces 1 line by 1 line\n one\n-two\n+TWO\n"),
        "{review}"
    );
}

#[test]
fn what_a_reviewer_found_is_shown_at_its_line_and_on_the_task() {
    let fake = Fake::new();
    fake.task("t1", LiveState::Ready);
    fake.propose("t1", &[("a.txt", Some(OLD), Some(NEW))]);
    let find = |file: Option<&str>, line, text: &str| {
        fake.find("t1", Finding { file: file.map(str::to_owned), line, text: text.to_owned() });
    };
    find(Some("a.txt"), Some(4), "four is too many");
    find(None, None, "no test");
    let mut editor = Editor::start(VSCODE, &fake, &[("a.txt", OLD), (".ralph/queue.json", QUEUE)]);
    editor.client.ignore("textDocument/publishDiagnostics");
    editor.client.ignore("workspace/codeLens/refresh");
    let shown = editor.diagnostics("a.txt", |shown| shown.len() == 3);
    let finding = shown.iter().find(|shown| shown["code"] == "finding").expect("a finding");
    assert_eq!((&finding["range"]["start"]["line"], &finding["severity"]), (&json!(3), &json!(3)));
    assert_eq!(finding["message"], "`t1`, the reviewer: four is too many");
    let on_task = editor.diagnostics(".ralph/queue.json", |shown| codes(shown).contains(&"finding"));
    assert!(on_task.iter().any(|shown| shown["message"] == "`t1`, the reviewer: no test"), "{on_task:?}");
    let review = editor.client.request("ralph/proposal", json!({ "task": "t1" }));
    let text = editor.client.request("ralph/content", json!({ "uri": review["uri"] }));
    let text = text["text"].as_str().unwrap_or_default();
    assert!(text.contains("# the reviewer: a.txt:4: four is too many"), "{text}");
}

#[test]
fn comments_rounds_and_conflicts_reach_the_engine_and_come_back() {
    let (fake, mut editor, hunks) = start(VSCODE);
    editor.client.ignore("textDocument/publishDiagnostics");
    editor.client.ignore("workspace/codeLens/refresh");
    editor.open("a.txt");
    let action = editor.action("a.txt", 1, "Comment on this change…");
    let id = editor.choose(&action).expect("a command");
    let (input, params) = editor.client.server_request("ralph/input");
    assert_eq!(params["prompt"], "What is to be said about `t1`?");
    editor.client.reply(&input, json!({ "text": "why?" }));
    let made = fake.asked(|command| match command {
        Command::Comment { task, hunk, text, .. } => Some((task.clone(), hunk.clone(), text.clone())),
        _ => None,
    });
    assert_eq!(made, ("t1".into(), Some(hunks[0].clone()), "why?".to_owned()));
    assert_eq!(editor.client.response(id)["result"]["hunks"], json!([hunks[0]]));
    // What the engine keeps is shown beside the hunk, what was not sent yet first.
    let comment = |id: &str, hunk: Option<&HunkId>, text: &str, sent| Comment {
        id: id.into(),
        hunk: hunk.cloned(),
        text: text.into(),
        round: 1,
        sent,
        ..Comment::default()
    };
    fake.change(|snapshot| {
        snapshot.tasks[0].comments = vec![
            comment("c1", Some(&hunks[0]), "before", true),
            comment("c2", Some(&hunks[0]), "why?", false),
            comment("c3", None, "be brief", false),
        ];
        let proposal = snapshot.tasks[0].proposal.as_mut().expect("a proposal");
        proposal.round = 2;
        proposal.hunks[0].changed = true;
        proposal.part = Some("accepted part not verified".into());
    });
    editor.client.notification("ralph/proposalChanged", |params| params["task"] == "t1");
    let proposal = editor.client.request("ralph/proposal", json!({ "task": "t1" }));
    assert_eq!((&proposal["round"], &proposal["acceptedPart"]), (&json!(2), &json!("accepted part not verified")));
    let first = &proposal["files"][0]["hunks"][0];
    assert_eq!((&first["comments"], &first["changed"]), (&json!(["why?", "before"]), &json!(true)), "{first:#}");
    assert_eq!(proposal["files"][0]["hunks"][1]["comments"], json!([]));
    let all: Vec<_> = proposal["comments"].as_array().expect("comments").iter().map(|it| &it["text"]).collect();
    assert_eq!(all, ["before", "why?", "be brief"]);
    let place = json!({ "textDocument": { "uri": editor.uri("a.txt") }, "position": { "line": 1, "character": 0 } });
    let hover = editor.client.request("textDocument/hover", place)["contents"]["value"].to_string();
    assert!(hover.contains("New or different since round 1") && hover.contains("before"), "{hover}");
    let shown = editor.client.request("ralph/content", json!({ "uri": proposal["uri"] }))["text"].to_string();
    assert!(
        shown.contains("you said (round 1): be brief") && shown.contains("you said (round 1, sent): before"),
        "{shown}"
    );

    editor.client.request("ralph/comment", json!({ "task": "t1", "drop": "c3" }));
    let dropped = fake.asked(|command| match command {
        Command::DropComment { id, .. } => Some(id.clone()),
        _ => None,
    });
    assert_eq!(dropped, "c3");
    // The person's own line where the proposal has another: the agent is asked to move it.
    editor.replace("a.txt", &OLD.replace("two", "zwei"));
    let rebase = editor.action("a.txt", 1, "Ask the agent to rebase `t1`");
    let id = editor.choose(&rebase).expect("a command");
    let sent = fake.asked(|command| match command {
        Command::SendBack { task, rest, rebase, .. } => Some((task.clone(), *rest, *rebase)),
        _ => None,
    });
    assert_eq!(sent, ("t1".into(), true, true));
    editor.client.response(id);
    editor.client.request("ralph/sendBack", json!({ "task": "t1", "comments": ["no"], "rest": false }));
    let sent = fake.asked(|command| match command {
        Command::SendBack { comments, rest, .. } => Some((comments.clone(), *rest)),
        _ => None,
    });
    assert_eq!(sent, (vec!["no".to_owned()], false));
    editor.client.request("ralph/reject", json!({ "task": "t1", "rest": true }));
    let rest = fake.asked(|command| match command {
        Command::Reject { rest, .. } => Some(*rest),
        _ => None,
    });
    assert!(rest, "the rest is dropped");
}
