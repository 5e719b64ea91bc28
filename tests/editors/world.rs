//! A repository of its own for one test, with an agent that follows a script, and homes nobody else uses.

use ralph_sidecar::infra::engine_lock::{Announcement, EngineLock};
use ralph_sidecar::infra::paths::{Homes, StatePaths};
use ralph_sidecar::infra::processes;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(100);

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_ralph-sidecar");

/// The one source file of the repository. `whole_path.lua` knows its lines.
const SOURCE: &str = r#"#!/bin/sh
# Talks to whoever it is started for.

greet() {
  echo "Hello!"
}

# Kept short on purpose.
leave() {
  echo "Bye"
}

greet "$1"
leave "$1"
"#;

/// What it must be in the end.
pub const RESULT: &str = r#"#!/bin/sh
# Talks to whoever it is started for.

greet() {
  echo "Hello, $1!"
}

# Kept short on purpose.
leave() {
  echo "See you, $1."
}

greet "$1"
leave "$1"
"#;

/// The task the planner makes.
pub const TASK: &str = "talk-by-name-5e1f0a";

/// A temporary folder with everything a test needs.
pub struct World {
    folder: tempfile::TempDir,
    pub repository: PathBuf,
}

impl World {
    /// Makes the repository of one file, committed and clean, with the scripted agent configured for it alone.
    pub fn new() -> Self {
        Self::of(&[("talk.sh", SOURCE.to_owned())], Self::script)
    }

    /// As [`World::new`], with other files and another script of the agent.
    pub fn of(files: &[(&str, String)], script: impl FnOnce(&Self) -> Value) -> Self {
        // A short path: sockets live below it.
        let folder = tempfile::Builder::new().prefix("ralph-ed-").tempdir().expect("a temporary folder");
        let repository = folder.path().canonicalize().expect("the folder has a path").join("talker");
        let world = Self { folder, repository };
        for path in ["home", "run", "talker/.ralph"] {
            std::fs::create_dir_all(world.folder.path().join(path)).expect("a folder is made");
        }
        for (path, text) in files {
            world.write(path, text);
        }
        world.write("script.json", &script(&world).to_string());
        let config = json!({ "version": 1, "agents": { "actor": { "kind": "scripted", "script": "script.json" } },
            "chains": { "implementer": ["actor"] } });
        world.write(".ralph/config.json", &config.to_string());
        for arguments in [&["init", "-q", "-b", "main"][..], &["add", "-A"], &["commit", "-qm", "Start"]] {
            world.run(Path::new("git"), arguments);
        }
        world
    }

    /// Returns a command in the repository that sees nothing of the machine's own settings.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let own = |name: &str| name.starts_with("GIT_") || name.starts_with("RALPH_") || name.starts_with("XDG_");
        for (name, _) in std::env::vars_os().filter(|(name, _)| own(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        let place = self.folder.path();
        command.current_dir(&self.repository);
        for (name, folder) in [
            ("HOME", "home"),
            ("XDG_RUNTIME_DIR", "run"),
            ("RALPH_STATE_HOME", "state"),
            ("RALPH_CONFIG_HOME", "config"),
        ] {
            command.env(name, place.join(folder));
        }
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "Ada").env(format!("GIT_{role}_EMAIL"), "ada@example.org");
        }
        command.env("RALPH_ENGINE_IDLE_SECONDS", "0");
        command
    }

    /// Runs a program to its end and returns what it printed.
    pub fn run(&self, program: &Path, arguments: &[&str]) -> String {
        let output = self.command(program).args(arguments).output().expect("the program starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program:?} {arguments:?}: {}\n{text}\n{errors}", output.status);
        text
    }

    /// Returns what `ralph-sidecar status --json` says.
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.run(Path::new(PROGRAM), &["status", "--json"])).expect("status is JSON")
    }

    /// Plans in the terminal; what the draft would run is not trusted yet.
    pub fn bring_to_draft(&self) {
        let program = Path::new(PROGRAM);
        self.run(program, &["trust", "--yes"]);
        self.run(program, &["plan", "Talk by name"]);
    }

    /// Plans, approves and runs in the terminal until the task waits for review.
    pub fn bring_to_review(&self) {
        std::fs::write(self.gate(), "").expect("the gate is opened");
        self.bring_to_draft();
        let program = Path::new(PROGRAM);
        self.run(program, &["approve", "--all"]);
        let run = self.command(program).arg("run").output().expect("it starts");
        assert_eq!(run.status.code(), Some(10), "a person is needed: {}", String::from_utf8_lossy(&run.stdout));
        let decision = self.status()["decisions"][0]["id"].as_str().expect("a question").to_owned();
        self.run(program, &["answer", &decision, "See you"]);
        self.run(program, &["run"]);
    }

    /// Checks that the one task is done: file, queue and status say so, and nothing else of the checkout changed. Waits
    /// for the end of the engine.
    pub fn check_done(&self) {
        assert_eq!(self.read("talk.sh"), RESULT);
        let status = self.status();
        assert_eq!(status["tasks"][0]["id"], json!(TASK));
        assert_eq!(status["tasks"][0]["state"], json!("done"), "{status:#}");
        let git = self.run(Path::new("git"), &["status", "--porcelain"]);
        assert_eq!(git, " M talk.sh\n?? .ralph/queue.json\n", "nothing else of the checkout changed");
        self.wait_for_end_of_engine();
    }

    /// Returns the folder that everything of this world is in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the file for which the agent's first attempt waits.
    pub fn gate(&self) -> PathBuf {
        self.folder.path().join("gate")
    }

    /// Returns a shell command that waits for the gate; it gives up in the end, so that nothing is left running when the
    /// test is killed.
    pub fn wait_for_gate(&self) -> String {
        format!("n=0; until [ -e '{}' ] || [ $n -gt 600 ]; do sleep 0.1; n=$((n + 1)); done", self.gate().display())
    }

    /// What the agent does: plan one task, then ask about one line of it, then change two places.
    fn script(&self) -> Value {
        let wait = self.wait_for_gate();
        let plan = json!({ "tasks": [{
            "id": TASK,
            "title": "Talk by name",
            "acceptance": ["`sh talk.sh Ada` greets Ada and takes leave of her"],
            "verify": ["sh talk.sh Ada | grep 'Hello, Ada!'"],
            "files": ["talk.sh"],
        }] });
        let ask = json!({ "type": "ask", "question": "How should it take leave?", "options": ["Goodbye", "See you"],
            "recommend": "See you", "file": "talk.sh", "line": 10 });
        json!({
            "version": 1,
            "planner": [{ "report": { "type": "submit_plan", "plan": plan } }],
            "tasks": { TASK: {
                "1": [{ "report": { "type": "progress", "text": "reading talk.sh" } }, { "run": { "command": wait } },
                    { "report": ask }],
                "*": [
                    { "run": { "command": "grep 'See you' \"$RALPH_PROMPT_FILE\"" } },
                    { "replace": { "path": "talk.sh", "find": "Hello!", "with": "Hello, $1!" } },
                    { "replace": { "path": "talk.sh", "find": "Bye", "with": "See you, $1." } },
                    { "report": { "type": "finished", "summary": "It talks by name." } },
                ],
            } },
        })
    }

    /// Reads a file of the repository.
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.repository.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Returns what the engine logged.
    pub fn engine_log(&self) -> String {
        std::fs::read_to_string(&self.paths().engine_log)
            .unwrap_or_else(|error| format!("no log of the engine: {error}"))
    }

    /// Waits until the engine has ended by itself, which it does when nobody is connected and nothing runs.
    pub fn wait_for_end_of_engine(&self) {
        let engine = Announcement::read(&self.paths()).expect("an engine was there");
        if let Some(process) = processes::process(engine.pid) {
            let gone = processes::wait_until_gone(&[process.id], PATIENCE).expect("waited");
            assert!(gone || EngineLock::is_free(&self.paths()), "the engine stays: {}", self.engine_log());
        }
    }

    fn paths(&self) -> StatePaths {
        let homes = Homes {
            state: self.folder.path().join("state"),
            config: self.folder.path().join("config"),
            runtime: vec![self.folder.path().join("run")],
        };
        StatePaths::open(&homes, &self.repository.join(".git")).expect("the state has a folder")
    }

    /// Writes a file of the repository.
    pub fn write(&self, path: &str, text: &str) {
        std::fs::write(self.repository.join(path), text).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Nothing is left behind, also when a test fails: this is the engine of this folder alone.
        let paths = self.paths();
        if let Some(engine) = Announcement::read(&paths).filter(|_| !EngineLock::is_free(&paths))
            && let Some(process) = processes::process(engine.pid)
        {
            let _ = processes::signal(process.id, Signal::KILL);
            let _ = processes::wait_until_gone(&[process.id], PATIENCE);
        }
    }
}
