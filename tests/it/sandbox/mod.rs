//! A repository, a state folder and agents in a temporary folder, and the real program run on them.
//!
//! Reading order: `Sandbox` is the place, `fingerprint` the picture of what must not change, `status` what is asked of
//! the program afterwards, `leftovers` the processes that must be gone.

mod fingerprint;
pub mod leftovers;
mod status;

pub use fingerprint::Fingerprint;
pub use status::Status;

use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_ralph-sidecar");

/// A user's machine in a temporary folder. Dropping it fails the test when a process of it is still alive.
pub struct Sandbox {
    folder: tempfile::TempDir,
    /// The user's checkout.
    pub root: PathBuf,
    /// Whether agents and checks are held to their slots; by default they are not, for those of tests leave traces and
    /// wait for each other in the temporary folder.
    pub fenced: bool,
}

/// How a command ended, with what it printed.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Fails the test unless the exit code is `code`.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\n--- stdout\n{}\n--- stderr\n{}", self.out, self.err);
        self
    }

    /// Fails the test unless standard error holds every one of the words.
    #[track_caller]
    pub fn complains(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.err.contains(word), "`{word}` is not in\n{}", self.err);
        }
        self
    }

    /// Fails the test unless standard output holds every one of the words.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.out.contains(word), "`{word}` is not in\n{}\n--- stderr\n{}", self.out, self.err);
        }
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Sandbox {
    /// Makes the folders without a repository.
    pub fn bare() -> Self {
        // The path of a socket has about a hundred bytes, so the folder's name is short.
        let folder = tempfile::Builder::new().prefix("rh").tempdir_in("/tmp").expect("a folder");
        let base = folder.path().canonicalize().expect("canonical");
        for part in ["repo", "rt", "home"] {
            std::fs::create_dir(base.join(part)).expect("a folder");
        }
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(base.join("rt"), private).expect("private");
        Self { root: base.join("repo"), folder, fenced: false }
    }

    /// Makes a repository with one commit: `a.txt` and `check.sh`, which passes.
    pub fn new() -> Self {
        let sandbox = Self::bare();
        sandbox.git(&["init", "-q", "-b", "main"]);
        sandbox.write("a.txt", "hello\n");
        sandbox.write("check.sh", "exit 0\n");
        sandbox.commit("First");
        sandbox
    }

    /// The temporary folder everything is in.
    pub fn base(&self) -> &Path {
        self.root.parent().expect("a parent")
    }

    /// The state folder of this repository.
    pub fn state(&self) -> PathBuf {
        self.base().join("state")
    }

    /// Writes a file of the checkout.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("written");
    }

    /// Reads a file of the checkout.
    pub fn read(&self, path: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.root.join(path)).expect(path)).into_owned()
    }

    /// Runs git in the checkout and returns what it prints.
    #[track_caller]
    pub fn git(&self, args: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(args).current_dir(&self.root);
        self.surround(&mut command);
        let output = command.output().expect("git runs");
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Commits everything.
    pub fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-qm", message]);
    }

    /// Writes the queue.
    pub fn queue(&self, tasks: Value) {
        let text = serde_json::to_string_pretty(&json!({ "version": 1, "tasks": tasks })).expect("serialises");
        self.write(".ralph/queue.json", text);
    }

    /// Writes the configuration.
    pub fn config(&self, mut config: Value) {
        config["version"] = json!(1);
        self.write(".ralph/config.json", serde_json::to_string_pretty(&config).expect("serialises"));
    }

    /// Writes an agent from the text of a shell script; `@ROOT@`, `@BASE@` and `@RALPH@` stand for the checkout, the
    /// temporary folder and the program under test. Returns what `--agent` takes.
    pub fn agent(&self, script: &str) -> String {
        let path = self.base().join("agent.sh");
        let text = script
            .replace("@ROOT@", &self.root.display().to_string())
            .replace("@BASE@", &self.base().display().to_string())
            .replace("@RALPH@", PROGRAM);
        let mut file = std::fs::File::create(&path).expect("created");
        file.write_all(format!("#!/bin/sh\n{text}\n").as_bytes()).expect("written");
        file.set_permissions(std::fs::Permissions::from_mode(0o755)).expect("executable");
        format!("command:{}", path.display())
    }

    /// Returns a command of the program, in the checkout.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(args).current_dir(&self.root).stdin(Stdio::null());
        self.surround(&mut command);
        command
    }

    /// Gives a command the surroundings of this sandbox and nothing of the machine's.
    pub fn surround(&self, command: &mut Command) {
        let base = self.base();
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("RALPH_") || text.starts_with("GIT_") {
                command.env_remove(&name);
            }
        }
        command
            .env("RALPH_STATE_HOME", base.join("state"))
            .env("RALPH_CONFIG_HOME", base.join("config"))
            .env("XDG_RUNTIME_DIR", base.join("rt"))
            .env("HOME", base.join("home"))
            .env("RALPH_ENGINE_IDLE_SECONDS", "1")
            .env("RALPH_FENCE", if self.fenced { "on" } else { "off" })
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_AUTHOR_NAME", "Ann")
            .env("GIT_AUTHOR_EMAIL", "ann@example.org")
            .env("GIT_COMMITTER_NAME", "Ann")
            .env("GIT_COMMITTER_EMAIL", "ann@example.org");
    }

    /// Runs the program to its end, with the engine inside it.
    pub fn run(&self, args: &[&str]) -> Ran {
        let mut command = self.command(args);
        command.arg("--in-process");
        command.output().expect("the program runs").into()
    }

    /// Runs the program to its end, with the engine in a process of its own.
    pub fn run_with_engine(&self, args: &[&str]) -> Ran {
        self.command(args).output().expect("the program runs").into()
    }

    /// Trusts what there is and runs the loop to its end.
    pub fn run_loop(&self, agent: &str, options: &[&str]) -> Ran {
        self.run(&["trust", "--yes"]).exits(0);
        self.run(&[&["run", "--agent", agent], options].concat())
    }

    /// Waits until the engine's own process has ended, which it does soon after its last front end.
    pub fn wait_for_engine(&self) {
        let left = leftovers::wait(self.folder.path());
        assert!(left.is_empty(), "{left:#?}");
    }

    /// Trusts what there is and starts the loop in the background.
    pub fn spawn_loop(&self, agent: &str, options: &[&str]) -> Child {
        self.run(&["trust", "--yes"]).exits(0);
        let mut command = self.command(&[&["run", "--in-process", "--agent", agent], options].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    }

    /// Makes a named pipe in the temporary folder, for agents and tests to wait for each other.
    pub fn pipe(&self, name: &str) -> PathBuf {
        let path = self.base().join(name);
        let made = Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
        assert!(made.success(), "mkfifo {}", path.display());
        path
    }

    /// Returns what `status --json` says.
    #[track_caller]
    pub fn status(&self) -> Status {
        let ran = self.run(&["status", "--json"]).exits(0);
        Status::new(serde_json::from_str(&ran.out).expect("a document"))
    }

    /// Returns the prompt of an attempt.
    pub fn prompt(&self, task: &str, attempt: u32) -> String {
        self.run(&["log", task, "--attempt", &attempt.to_string(), "--prompt"]).exits(0).out
    }

    /// Takes the picture of the user's checkout.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::take(self)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let left = leftovers::wait(self.folder.path());
        if !std::thread::panicking() {
            assert!(left.is_empty(), "processes outlived the test: {left:#?}");
        }
    }
}
