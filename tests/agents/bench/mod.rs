//! A machine of its own for one agent: home, repository, mailbox, the model server, and our driver run on them.
//!
//! Reading order: [`Bench`] is the place, [`driving`] a turn of the driver, [`subjects`] the agents, [`cases`] what every
//! agent is put through, [`looping`] what the whole program is put through with it, [`seen`] the record of what came out, which `docs/agents.md` is made from.

pub mod cases;
pub mod driving;
pub mod looping;
mod recording;
pub mod seen;
pub mod subjects;

pub use recording::blessing;

use crate::leftovers;
use crate::mock::Mock;
use driving::Driving;
use ralph_sidecar::domain::inbox::{InboxKind, InboxMessage};
use ralph_sidecar::domain::report::Report;
use ralph_sidecar::infra::mailbox::{self, Envelope, deliver_to_inbox};
use ralph_sidecar::protocol::config::{AgentConfig, Role};
use ralph_sidecar::protocol::drive::{Budget, DriveOrder};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;
use subjects::Subject;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_ralph-sidecar");
/// The nonce of every attempt here.
const NONCE: &str = "n0nce";

/// One agent's machine, in a folder of its own that is removed in the end with every process in it.
pub struct Bench {
    folder: tempfile::TempDir,
    pub subject: &'static Subject,
    /// The agent's program.
    pub program: PathBuf,
    pub mock: Mock,
    /// The scenario the agent meets; several turns of one bench share it.
    pub scenario: String,
}

impl Bench {
    /// Makes the place. The scenario is played under the run [`Self::RUN`].
    pub fn new(subject: &'static Subject, scenario: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("ag").tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let program = subject.program();
        let bench = Self { folder, subject, program, mock: Mock::start(0), scenario: scenario.to_owned() };
        for part in ["home", "slot", "config", "data", "cache", "state", "run", "tmp"] {
            std::fs::create_dir(bench.base().join(part)).expect("a folder");
        }
        mailbox::create(&bench.mailbox()).expect("a mailbox");
        for arguments in [&["init", "-q", "-b", "main"][..], &["commit", "-q", "--allow-empty", "-m", "First"]] {
            let mut git = Command::new("git");
            git.args(arguments).current_dir(bench.slot());
            bench.surround(&mut git);
            assert!(git.status().expect("git runs").success(), "git {arguments:?}");
        }
        bench
    }

    /// The name under which the model server keeps what this bench asks.
    pub const RUN: &'static str = "bench";

    pub fn base(&self) -> &Path {
        self.folder.path()
    }

    /// The agent's working folder.
    pub fn slot(&self) -> PathBuf {
        self.base().join("slot")
    }

    pub fn mailbox(&self) -> PathBuf {
        self.base().join("mailbox")
    }

    /// Writes a file of the slot.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.slot().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Reads a file of the slot; none when it is not there.
    pub fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.slot().join(path)).ok()
    }

    /// Returns the reports in the mailbox, in the order of their arrival.
    pub fn reports(&self) -> Vec<Report> {
        let entries = std::fs::read_dir(self.mailbox().join("new")).expect("a mailbox");
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        let read = |path: &PathBuf| {
            let text = std::fs::read(path).expect("a message");
            let envelope: Envelope = serde_json::from_slice(&text).expect("an envelope");
            assert_eq!(envelope.attempt, NONCE, "the nonce of the attempt");
            envelope.body
        };
        paths.iter().map(read).collect()
    }

    /// Says something to the agent at work, as the engine does for a person.
    pub fn say(&self, words: &str) {
        let message = InboxMessage { id: "s1".to_owned(), kind: InboxKind::Steer, text: words.to_owned() };
        deliver_to_inbox(&self.mailbox(), &message, 0).expect("delivered");
    }

    /// Makes an order of the implementer, with a prompt and the agent's own settings for the scenario.
    pub fn order(&self) -> DriveOrder {
        let prompt = self.base().join("prompt.md");
        std::fs::write(&prompt, "Write a greeting into hello.txt and report.\n").expect("a prompt");
        DriveOrder {
            name: self.subject.name.to_owned(),
            agent: AgentConfig { models: Vec::new(), ..self.subject.agent(self, &self.scenario) },
            role: Role::Implementer,
            model: self.subject.model.map(str::to_owned),
            prompt,
            session: None,
            budget: Budget::default(),
            // As where the kernel has a fence, so that the agents' own sandboxes are off.
            fenced: true,
        }
    }

    /// Starts a turn.
    pub fn start(&self, order: &DriveOrder) -> Driving {
        let mut order = order.clone();
        recording::tap(self, &mut order.agent.command);
        let path = self.base().join("order.json");
        std::fs::write(&path, serde_json::to_vec(&order).expect("serialises")).expect("an order");
        let mut command = Command::new(PROGRAM);
        command.arg("agent").arg(&path).current_dir(self.slot());
        self.surround(&mut command);
        command
            .envs(&order.agent.env)
            .env("RALPH_MAILBOX", self.mailbox())
            .env("RALPH_NONCE", NONCE)
            .env("RALPH_ROLE", order.role.as_str())
            .env("RALPH_ATTEMPT", "greet#1")
            .env("RALPH_TASK_ID", "greet");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Driving::new(command.spawn().expect("the driver starts"), self.base().to_path_buf())
    }

    /// Runs our program in the slot as a person would in their checkout, with the engine inside it; returns what it
    /// printed, and fails the test unless it succeeds in time.
    #[track_caller]
    pub fn ralph(&self, arguments: &[&str], patience: Duration) -> String {
        let (status, printed) = self.try_ralph(arguments, patience);
        assert!(status.success(), "{arguments:?}: {status}\n{printed}");
        printed
    }

    /// As [`Self::ralph`], with whatever exit status; fails the test only when it does not end in time.
    #[track_caller]
    pub fn try_ralph(&self, arguments: &[&str], patience: Duration) -> (ExitStatus, String) {
        let mut command = self.command(arguments);
        command.arg("--in-process");
        let out = self.base().join("printed");
        let file = std::fs::File::create(&out).expect("a file");
        command.stdout(file.try_clone().expect("a file")).stderr(file);
        let mut child = command.spawn().expect("the program starts");
        let (pid, (sender, ended)) = (child.id(), std::sync::mpsc::channel());
        std::thread::spawn(move || sender.send(child.wait()));
        let status = ended.recv_timeout(patience);
        let printed = std::fs::read_to_string(&out).unwrap_or_default();
        let Ok(status) = status else {
            leftovers::kill(self.base());
            panic!("{arguments:?} ({pid}) did not end within {patience:?}\n{printed}");
        };
        (status.expect("it ended"), printed)
    }

    /// Returns a command of our program in the slot, as a person would give it in their checkout.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).current_dir(self.slot()).stdin(Stdio::null());
        self.surround(&mut command);
        command
            .env("RALPH_STATE_HOME", self.base().join("ralph/state"))
            .env("RALPH_CONFIG_HOME", self.base().join("ralph/config"))
            .env("RALPH_ENGINE_IDLE_SECONDS", "1");
        command
    }

    /// Gives a command this place and nothing of the machine's.
    pub fn surround(&self, command: &mut Command) {
        let tools = Path::new(PROGRAM).parent().expect("a folder").display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("PATH", format!("{tools}:{path}"))
            .env("LANG", "C.UTF-8")
            .env("TZ", "UTC")
            .env("TMPDIR", self.base().join("tmp"))
            .env("HOME", self.base().join("home"))
            .env("XDG_CONFIG_HOME", self.base().join("config"))
            .env("XDG_DATA_HOME", self.base().join("data"))
            .env("XDG_CACHE_HOME", self.base().join("cache"))
            .env("XDG_STATE_HOME", self.base().join("state"))
            .env("XDG_RUNTIME_DIR", self.base().join("run"))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "Ann")))
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "ann@example.org")));
    }

    /// Keeps what the agent's program printed as the recording of this name, when results are to be blessed.
    pub fn record(&self, name: &str) {
        recording::keep(self, name);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Shells of an agent have sessions of their own; sweeping them is the supervisor's, which is not here.
        leftovers::kill(self.folder.path());
    }
}
