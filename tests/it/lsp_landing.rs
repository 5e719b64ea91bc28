//! Landing from an editor, and taking a rejection or a landing back.

use crate::support::editor::{Editor, NEOVIM, VSCODE};
use crate::support::fake_engine::Fake;
use ralph_sidecar::domain::landing::{LandTo, LandedAs};
use ralph_sidecar::domain::queue::LiveState;
use ralph_sidecar::protocol::engine_api::{ApiError, Command, ErrorKind, LandReply, LandRequest, Reply, UndoReply};
use serde_json::{Value, json};

const OLD: &str = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\n";
const NEW: &str = "one\nTWO\nthree\nfour\nfive\nsix\nseven\neight\nNINE\nten\n";
const QUEUE: &str = r#"{
  "version": 1,
  "tasks": [
    { "id": "t1", "title": "First", "status": "done" },
    { "id": "t2", "title": "Second", "status": "done" },
    { "id": "t3", "title": "Third", "status": "todo" }
  ]
}
"#;

/// An editor on a queue with two tasks that can be landed and one that waits for review.
fn start(client: &str) -> (Fake, Editor) {
    let fake = Fake::new();
    fake.task("t1", LiveState::Done);
    fake.task("t2", LiveState::Done);
    fake.task("t3", LiveState::Ready);
    fake.propose("t3", &[("a.txt", Some(OLD), Some(NEW))]);
    fake.change(|snapshot| snapshot.tasks[..2].iter_mut().for_each(|view| view.landable = true));
    let mut editor = Editor::start(client, &fake, &[("a.txt", OLD), (".ralph/queue.json", QUEUE)]);
    for method in ["workspace/codeLens/refresh", "window/showMessage", "textDocument/publishDiagnostics"] {
        editor.client.ignore(method);
    }
    editor.client.ignore("ralph/proposalChanged");
    editor.open(".ralph/queue.json");
    // Answered once the engine and the proposal are known, which actions and lenses do not wait for.
    editor.client.request("ralph/proposal", json!({ "task": "t3" }));
    (fake, editor)
}

fn lands(fake: &Fake) {
    fake.answer(|command| match command {
        Command::Land(request) => Some(Ok(Reply::Landed(LandReply {
            to: request.to.unwrap_or_default(),
            tasks: request.tasks.clone(),
            commit: Some("0123456789abcdef".into()),
            branch: Some("main".into()),
            paths: vec!["a.txt".into()],
            ..LandReply::default()
        }))),
        _ => None,
    });
}

fn asked(fake: &Fake) -> LandRequest {
    fake.asked(|command| match command {
        Command::Land(request) => Some(request.clone()),
        _ => None,
    })
}

fn titles(editor: &mut Editor, line: u32) -> Vec<String> {
    let actions = editor.actions(".ralph/queue.json", line);
    let title = |action: &Value| action["title"].as_str().unwrap_or_default().to_owned();
    actions.iter().map(title).filter(|title| title.starts_with("Land")).collect()
}

#[test]
fn what_is_done_is_landed_by_an_action_or_a_lens() {
    let (fake, mut editor) = start(VSCODE);
    lands(&fake);
    let all = "Land as a commit: everything accepted (2 tasks)";
    assert_eq!(titles(&mut editor, 3), ["Land as a commit `t1`", "Land on a branch `t1`", all]);
    assert_eq!(titles(&mut editor, 5), [all]);
    let params = json!({ "textDocument": { "uri": editor.uri(".ralph/queue.json") } });
    let lenses = editor.client.request("textDocument/codeLens", params);
    let lens = |lens: &&Value| lens["command"]["title"] == "Land as a commit";
    assert_eq!(lenses.as_array().expect("a list").iter().filter(lens).count(), 2);

    let action = editor.action(".ralph/queue.json", 3, "Land on a branch");
    let id = editor.choose(&action).expect("a command");
    let request = asked(&fake);
    assert_eq!((request.tasks, request.to), (vec!["t1".into()], Some(LandTo::Branch)));
    let answer = editor.client.response(id)["result"].clone();
    assert_eq!(answer["message"], "landed t1 as 01234567 on the branch main (1 file)");
    assert_eq!(answer["tasks"], json!(["t1"]));

    let action = editor.action(".ralph/queue.json", 3, "Land as a commit: everything");
    let id = editor.choose(&action).expect("a command");
    assert_eq!(asked(&fake).tasks, []);
    editor.client.response(id);

    let landed = LandedAs { commit: "0123456789abcdef".into(), branch: "main".into() };
    fake.change(|snapshot| {
        (snapshot.tasks[0].landable, snapshot.tasks[0].landed) = (false, Some(landed));
    });
    editor.client.notification("ralph/status", |_| true);
    let status = editor.client.request("ralph/status", Value::Null);
    assert_eq!(
        (&status["tasks"][0]["landed"], &status["tasks"][1]["landable"]),
        (&json!("01234567 on main"), &json!(true))
    );
    assert_eq!(titles(&mut editor, 3), Vec::<String>::new());
}

#[test]
fn a_request_says_what_where_and_in_which_words() {
    let (fake, mut editor) = start(NEOVIM);
    lands(&fake);
    let params = json!({ "tasks": ["t1", "t2"], "to": "commit", "message": "Both" });
    let answer = editor.client.request("ralph/land", params);
    assert_eq!(answer["message"], "landed t1, t2 as 01234567 on main (1 file)");
    let request = asked(&fake);
    assert_eq!((request.to, request.message.as_deref()), (Some(LandTo::Commit), Some("Both")));
    let wrong = editor.client.request_error("ralph/land", json!({ "to": "moon" }));
    assert!(wrong.to_string().contains("`tree`, `commit` or `branch`"), "{wrong}");
    fake.answer(|command| {
        let refused = || ApiError::new(ErrorKind::Data, "lint: no").with_hint("mend it");
        matches!(command, Command::Land(_)).then(|| Err(refused()))
    });
    let refused = editor.client.request_error("ralph/land", json!({ "to": "commit" }));
    assert!(refused.to_string().contains("lint: no (mend it)"), "{refused}");
}

#[test]
fn a_rejection_is_taken_back_where_it_was_made() {
    let (fake, mut editor) = start(VSCODE);
    editor.open("a.txt");
    let reject = editor.action("a.txt", 1, "Reject this change");
    // Without a reason to ask for.
    let mut argument = reject["command"]["arguments"][0].clone();
    argument["askWhy"] = json!(false);
    let hunks = argument["hunks"].clone();
    editor.client.request("ralph/reject", argument);
    fake.asked(|command| matches!(command, Command::Reject { .. }).then_some(()));
    // What is said about it now is told with the rejection.
    editor.action("a.txt", 1, "Comment on this change…");
    let action = editor.action("a.txt", 1, "Undo reject (`t3` replaces 1 line by 1 line)");
    let id = editor.choose(&action).expect("a command");
    let withdrawn = fake.asked(|command| match command {
        Command::Withdraw { task, hunks } => Some((task.clone(), json!(hunks))),
        _ => None,
    });
    assert_eq!(withdrawn, ("t3".into(), hunks));
    assert_eq!(editor.client.response(id)["result"]["message"], "waits again");
    editor.action("a.txt", 1, "Reject this change");
    let nothing = editor.client.request_error("ralph/reject", json!({ "task": "t3", "undo": true }));
    assert!(nothing.to_string().contains("nothing of it is rejected"), "{nothing}");
}

#[test]
fn undo_says_what_it_took_back() {
    let (fake, mut editor) = start(NEOVIM);
    fake.answer(|command| {
        let landing =
            UndoReply::Landing { tasks: vec!["t1".into()], commit: "0123456789".into(), branch: "main".into() };
        matches!(command, Command::Undo).then(|| Ok(Reply::Undone(landing)))
    });
    let answer = editor.client.request("ralph/undo", json!({}));
    assert_eq!(answer["message"], "took 01234567 off main (t1); the files are as they were");
    assert_eq!(answer["tasks"], json!(["t1"]));
}
