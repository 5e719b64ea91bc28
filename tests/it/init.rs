//! `init` and `doctor` with agents that are found on `PATH`.

use crate::sandbox::{Ran, Sandbox};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// A machine with these programs and nothing else of the kind; nobody answers where Ollama would.
fn machine(programs: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    let bin = sandbox.base().join("bin");
    std::fs::create_dir(&bin).expect("made");
    for program in programs {
        std::fs::write(bin.join(program), "#!/bin/sh\necho 1.2.3\n").expect("written");
        std::fs::set_permissions(bin.join(program), std::fs::Permissions::from_mode(0o755)).expect("executable");
    }
    sandbox
}

fn ran(sandbox: &Sandbox, key: Option<&str>, args: &[&str]) -> Ran {
    let mut command: Command = sandbox.command(args);
    for name in [
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "CLAUDE_CONFIG_DIR",
        "CODEX_API_KEY",
        "CODEX_HOME",
        "OPENAI_API_KEY",
        "GEMINI_API_KEY",
        "XDG_DATA_HOME",
    ] {
        command.env_remove(name);
    }
    if let Some(key) = key {
        command.env(key, "k");
    }
    command
        .env("OLLAMA_HOST", "127.0.0.1:9")
        .env("PATH", format!("{}:/usr/bin:/bin", sandbox.base().join("bin").display()));
    command.arg("--in-process").output().expect("the program runs").into()
}

#[test]
fn what_is_found_is_shown_and_written() {
    let sandbox = machine(&["claude", "codex", "opencode"]);
    // Nobody can be asked here, so a word of consent is needed.
    let shown = ran(&sandbox, Some("ANTHROPIC_API_KEY"), &["init"]).exits(2).complains(&["--yes"]);
    let shown = shown.says(&[
        "1. claude",
        "2. opencode",
        "started as implementer:\n  claude -p",
        "opencode acp",
        "4 attempts",
        "$5.00",
    ]);
    shown.says(&[
        "not used:",
        "codex: nobody is signed in: run `codex login`",
        "gemini: it is not installed: npm install",
    ]);
    assert!(!sandbox.root.join(".ralph/config.json").exists());
    ran(&sandbox, Some("ANTHROPIC_API_KEY"), &["init", "--yes"]).exits(0).says(&["wrote", "info/exclude"]);
    let config: Value = serde_json::from_str(&sandbox.read(".ralph/config.json")).expect("JSON");
    assert_eq!(config["chains"], json!({ "implementer": ["claude", "opencode"] }));
    assert_eq!(config["agents"]["claude"], json!({ "kind": "claude" }));
    assert_eq!(config["agents"]["opencode"], json!({ "kind": "acp", "command": ["opencode", "acp"] }));
    ran(&sandbox, Some("ANTHROPIC_API_KEY"), &["init", "--yes"]).exits(3).complains(&["is there already"]);
    let doctor = ran(&sandbox, Some("ANTHROPIC_API_KEY"), &["doctor"]);
    doctor.says(&[
        "claude: ",
        "1.2.3; signed in (ANTHROPIC_API_KEY is set)",
        "starts: claude -p",
        "codex: ",
        "not in the configuration",
        "fence:",
    ]);
}

#[test]
fn clients_get_a_document_and_nothing_is_written() {
    let sandbox = machine(&["claude"]);
    let shown = ran(&sandbox, Some("ANTHROPIC_API_KEY"), &["init", "--json"]).exits(0);
    let document: Value = serde_json::from_str(&shown.out).expect("one document");
    assert_eq!((&document["version"], &document["chain"]), (&json!(1), &json!(["claude"])));
    assert_eq!(document["trusts"], json!(["claude"]));
    assert!(
        document["command_lines"]["implementer"]["claude"].as_str().is_some_and(|line| line.starts_with("claude -p"))
    );
    assert!(!sandbox.root.join(".ralph").exists());
    let written = ran(&sandbox, Some("ANTHROPIC_API_KEY"), &["init", "--json", "--yes"]).exits(0);
    let again: Value = serde_json::from_str(&written.out).expect("one document");
    let config: Value = serde_json::from_str(&sandbox.read(".ralph/config.json")).expect("JSON");
    assert_eq!(again["config"], config);
}

#[test]
fn without_any_each_is_named_with_the_next_step() {
    let sandbox = machine(&["codex"]);
    ran(&sandbox, None, &["init", "--yes"]).exits(3).complains(&[
        "no agent was found",
        "claude: it is not installed: npm install -g @anthropic-ai/claude-code",
        "codex: nobody is signed in: run `codex login`",
        "opencode: it is not installed",
        "gemini: it is not installed",
        "built-in: no Ollama answers here",
        "--agent PROGRAM",
    ]);
    assert!(!sandbox.root.join(".ralph").exists());
    ran(&sandbox, None, &["doctor"]).says(&["the configuration names none", "codex: ", "claude: it is not installed"]);
}
