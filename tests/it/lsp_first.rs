//! *Ralph: Plan* where no agent is configured: those of the machine are found, shown, and used when the person agrees.

use crate::support::editor::{Editor, MINIMAL, NEOVIM, VSCODE};
use crate::support::fake_engine::{Fake, FakeConnector};
use crate::support::lsp_client::TestClient;
use crate::support::repository;
use async_trait::async_trait;
use ralph_sidecar::engine::handle::Handle;
use ralph_sidecar::lsp::session::{Connector, FirstConfig, Located};
use ralph_sidecar::protocol::engine_api::{ApiError, Command, PlanReply, Reply};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Proposes what the test says, and keeps what it was told to write.
struct Proposing {
    inner: FakeConnector,
    proposal: Result<Option<FirstConfig>, String>,
    written: Arc<Mutex<Vec<FirstConfig>>>,
}

#[async_trait]
impl Connector for Proposing {
    async fn locate(&self, folder: &Path) -> Located {
        self.inner.locate(folder).await
    }

    async fn connect(&self, root: &Path) -> Result<Handle, ApiError> {
        self.inner.connect(root).await
    }

    async fn read(&self, path: &Path) -> Option<String> {
        self.inner.read(path).await
    }

    async fn propose(&self, _root: &Path) -> Result<Option<FirstConfig>, String> {
        self.proposal.clone()
    }

    async fn set_up(&self, _root: &Path, first: FirstConfig) -> Result<(), String> {
        self.written.lock().expect("not poisoned").push(first);
        Ok(())
    }
}

fn first() -> FirstConfig {
    FirstConfig {
        chain: vec!["claude".to_owned(), "codex".to_owned()],
        question: "Found: claude, then codex.\n• claude\n• codex\nAt most 4 attempts a task.".to_owned(),
        commands: vec!["claude".to_owned(), "codex".to_owned()],
        text: "{}".to_owned(),
    }
}

type Written = Arc<Mutex<Vec<FirstConfig>>>;

fn start(client: &str, agents: Value, proposal: Result<Option<FirstConfig>, String>) -> (Fake, Editor, Written) {
    let fake = Fake::new();
    fake.change(|snapshot| snapshot.settings = json!({ "agents": agents }));
    fake.answer(|command| match command {
        Command::Plan(_) => Some(Ok(Reply::Plan(PlanReply {
            plan: "p1".to_owned(),
            tasks: Vec::new(),
            applied: true,
            diff: String::new(),
            discarded: Vec::new(),
            replaces: Vec::new(),
        }))),
        _ => None,
    });
    let written = Written::default();
    let connector = Proposing { inner: FakeConnector(fake.engine.clone()), proposal, written: Arc::clone(&written) };
    let mut editor = Editor::connect(client, Arc::new(connector), &[("src/lib.rs", "fn a() {}\n")]);
    for noise in
        ["ralph/status", "ralph/queueChanged", "window/showMessage", "window/workDoneProgress/create", "$/progress"]
    {
        editor.client.ignore(noise);
    }
    (fake, editor, written)
}

fn commands(fake: &Fake) -> (Vec<Vec<String>>, usize) {
    let asked = fake.passed();
    let trusted = asked.iter().filter_map(|command| match command {
        Command::Trust { commands } => Some(commands.clone()),
        _ => None,
    });
    (trusted.collect(), asked.iter().filter(|command| matches!(command, Command::Plan(_))).count())
}

#[test]
fn the_person_sees_what_would_be_started_and_agrees_or_not() {
    for (choice, agrees) in [(Some("Use claude, codex"), true), (Some("Not now"), false), (None, false)] {
        let (fake, mut editor, written) = start(NEOVIM, json!({}), Ok(Some(first())));
        let id = editor.client.send_request("ralph/plan", json!({ "goal": "Do it" }));
        let (message, params) = editor.client.server_request("window/showMessageRequest");
        assert_eq!(params["message"], first().question);
        assert_eq!(params["actions"], json!([{ "title": "Use claude, codex" }, { "title": "Not now" }]));
        assert!(written.lock().expect("not poisoned").is_empty());
        editor.client.reply(&message, choice.map_or(Value::Null, |title| json!({ "title": title })));
        let response = editor.client.response(id);
        assert_eq!(response.get("error").is_none(), agrees, "{response}");
        let expected = if agrees { vec![first()] } else { Vec::new() };
        assert_eq!(*written.lock().expect("not poisoned"), expected);
        let trusted = if agrees { vec![first().commands] } else { Vec::new() };
        assert_eq!(commands(&fake), (trusted, usize::from(agrees)));
    }
}

#[test]
fn an_editor_that_cannot_ask_is_told_the_command() {
    let (fake, mut editor, written) = start(MINIMAL, json!({}), Ok(Some(first())));
    let error = editor.client.request_error("ralph/plan", json!({ "goal": "Do it" }));
    assert!(error["message"].as_str().is_some_and(|message| message.contains("ralph-sidecar init")), "{error}");
    assert!(written.lock().expect("not poisoned").is_empty());
    assert_eq!(commands(&fake), (Vec::new(), 0));
}

#[test]
fn nothing_is_asked_where_an_agent_is_known() {
    let unasked = || Err("it was asked".to_owned());
    let cases = [
        (json!({ "mine": {} }), json!({ "goal": "Do it" }), unasked()),
        (json!({}), json!({ "goal": "Do it", "agent": "command:true" }), unasked()),
        // A configuration that came meanwhile.
        (json!({}), json!({ "goal": "Do it" }), Ok(None)),
    ];
    for (agents, params, proposal) in cases {
        let (fake, mut editor, written) = start(VSCODE, agents, proposal);
        editor.client.request("ralph/plan", params);
        assert!(written.lock().expect("not poisoned").is_empty());
        assert_eq!(commands(&fake), (Vec::new(), 1));
    }
}

#[test]
fn without_any_agent_each_is_named_with_what_to_do() {
    let (fake, mut editor, _) = start(NEOVIM, json!({}), Err("no agent was found:\n  claude: install it".to_owned()));
    let error = editor.client.request_error("ralph/plan", json!({ "goal": "Do it" }));
    assert!(error["message"].as_str().is_some_and(|message| message.contains("claude: install it")), "{error}");
    assert_eq!(commands(&fake), (Vec::new(), 0));
}

/// With the real server, a program of the name `claude`, and a key: everything but the model is real.
#[test]
fn the_real_server_writes_a_private_configuration_and_trusts_what_was_shown() {
    let folder = repository::make(&[("a.txt", "a\n")]);
    let homes = tempfile::tempdir().expect("a folder can be made");
    let bin = homes.path().join("bin");
    std::fs::create_dir_all(&bin).expect("made");
    let program = bin.join("claude");
    std::fs::write(&program, "#!/bin/sh\necho 'error: no model here' >&2\nexit 1\n").expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).expect("executable");
    let mut server = repository::server(folder.path(), homes.path());
    server.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display())).env("ANTHROPIC_API_KEY", "k");
    let mut editor = Editor::over(NEOVIM, TestClient::spawn(server), folder);
    for noise in [
        "ralph/status",
        "ralph/queueChanged",
        "ralph/attempt",
        "textDocument/publishDiagnostics",
        "workspace/codeLens/refresh",
        "window/showMessage",
        "window/workDoneProgress/create",
        "$/progress",
    ] {
        editor.client.ignore(noise);
    }
    let id = editor.client.send_request("ralph/plan", json!({ "goal": "Do it" }));
    let mut shown = String::new();
    let response = editor.client.response_or_request(id, "window/showMessageRequest", |client, id, params| {
        shown = params["message"].as_str().unwrap_or_default().to_owned();
        client.reply(id, params["actions"][0].clone());
    });
    assert!(shown.contains("\n• claude") && shown.contains("4 attempts") && shown.contains('$'), "{shown}");
    // The agent is none, so the plan fails; that it was started is what counts, and that nobody was asked twice.
    assert!(response["error"]["message"].as_str().is_some_and(|text| !text.contains("trusted")), "{response}");
    let config = std::fs::read_to_string(editor.path(".ralph/config.json")).expect("written");
    let config: Value = serde_json::from_str(&config).expect("JSON");
    assert_eq!(config["chains"]["implementer"][0], "claude");
    let excluded = std::fs::read_to_string(editor.path(".git/info/exclude")).expect("there");
    assert!(excluded.lines().any(|line| line == "/.ralph/"), "{excluded}");
}
