//! A repository in a short temporary folder, the real program in it, and gates by which a test decides when things go on.

use ralph_sidecar::domain::event::Event;
use ralph_sidecar::engine::ports::Journal;
use ralph_sidecar::infra::engine_lock::{Announcement, EngineLock};
use ralph_sidecar::infra::journal::SqliteJournal;
use ralph_sidecar::infra::paths::{Homes, StatePaths};
use ralph_sidecar::infra::processes::{self, ProcessId};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long anything may take before a test gives up.
pub const LONG: Duration = Duration::from_secs(100);
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_ralph-sidecar");

/// A repository with everything that belongs to it, all below one folder.
pub struct Place {
    pub folder: PathBuf,
    pub repo: PathBuf,
    pub paths: StatePaths,
    _kept: tempfile::TempDir,
}

impl Place {
    /// A repository with one commit and a queue of these tasks, each checked by `check`, its commands trusted.
    pub fn new(tasks: &[&str], check: &str) -> Self {
        Self::with_config(tasks, check, "")
    }

    /// As [`Place::new`], with the text of `.ralph/config.json`.
    pub fn with_config(tasks: &[&str], check: &str, config: &str) -> Self {
        // The socket's path must be short.
        let kept = tempfile::Builder::new().prefix("rs").tempdir_in("/tmp").expect("folder");
        let folder = kept.path().canonicalize().expect("canonical");
        let repo = folder.join("repo");
        for name in ["repo/.ralph", "state", "config", "rt"] {
            fs::create_dir_all(folder.join(name)).expect("folder");
        }
        fs::set_permissions(folder.join("rt"), fs::Permissions::from_mode(0o700)).expect("private");
        fs::write(repo.join("a.txt"), "hello\n").expect("file");
        git(&repo, &["init", "-q", "-b", "main"]);
        git(&repo, &["add", "a.txt"]);
        git(&repo, &["commit", "-q", "-m", "first"]);
        let homes = Homes {
            state: folder.join("state"),
            config: folder.join("config"),
            runtime: vec![folder.join("rt/ralph-sidecar")],
        };
        let paths = StatePaths::open(&homes, &repo.join(".git")).expect("paths");
        let place = Self { folder, repo, paths, _kept: kept };
        place.write_queue(&place.repo, tasks, check);
        if !config.is_empty() {
            let text = config.replace("FOLDER", &place.folder.display().to_string());
            fs::write(place.repo.join(".ralph/config.json"), text).expect("config");
        }
        place.ok(&["trust", "--yes"]);
        place
    }

    /// Writes a queue into a checkout; `FOLDER` in the check is this place's folder.
    pub fn write_queue(&self, checkout: &Path, tasks: &[&str], check: &str) {
        let check = check.replace("FOLDER", &self.folder.display().to_string());
        let tasks: Vec<_> = tasks
            .iter()
            .map(|id| {
                let verify: Vec<String> = (!check.is_empty()).then(|| check.replace("TASK", id)).into_iter().collect();
                serde_json::json!({ "id": id, "title": format!("Do {id}"), "status": "todo", "verify": verify })
            })
            .collect();
        fs::create_dir_all(checkout.join(".ralph")).expect("folder");
        let text = serde_json::to_string_pretty(&serde_json::json!({ "version": 1, "tasks": tasks })).expect("json");
        fs::write(checkout.join(".ralph/queue.json"), text).expect("queue");
    }

    /// Writes an executable script outside the checkout; `FOLDER` in it is this place's folder.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        let text = format!("#!/bin/sh\n{}", text.replace("FOLDER", &self.folder.display().to_string()));
        fs::write(&path, text).expect("script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
        path
    }

    /// An agent that counts its starts, writes, passes the gate when there is one, writes more, and reports.
    pub fn agent(&self, gate: Option<&Gate>) -> String {
        let wait = gate.map(Gate::pass).unwrap_or_default();
        let path = self.script(
            "agent.sh",
            &format!(
                "cat >/dev/null\necho \"$RALPH_ATTEMPT\" >> FOLDER/starts\necho \"$RALPH_ATTEMPT began\"\n\
                 echo \"$RALPH_ATTEMPT\" >> \"$RALPH_TASK_ID.txt\"\n{wait}\necho \"$RALPH_ATTEMPT ends\"\n\
                 echo done >> \"$RALPH_TASK_ID.txt\"\nexec ralph-sidecar report finished --summary \"did it\"\n"
            ),
        );
        format!("command:{}", path.display())
    }

    /// The attempts whose agent was started, in order.
    pub fn starts(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("starts")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The program with its environment, in the checkout.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        for (name, _) in std::env::vars_os() {
            if name.as_bytes().starts_with(b"RALPH_") || name.as_bytes().starts_with(b"GIT_") {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .current_dir(&self.repo)
            .env("RALPH_STATE_HOME", self.folder.join("state"))
            .env("RALPH_CONFIG_HOME", self.folder.join("config"))
            // The agents here and the tests wait for each other by files beside the slots.
            .env("RALPH_FENCE", "off")
            .env("RALPH_ENGINE_IDLE_SECONDS", "1")
            .env("XDG_RUNTIME_DIR", self.folder.join("rt"))
            .env("HOME", &self.folder)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .stdin(Stdio::null());
        command
    }

    /// Starts the program in the background.
    pub fn start(&self, arguments: &[&str]) -> Front {
        self.start_in(&self.repo, arguments)
    }

    /// Starts the program in the background, in another checkout.
    pub fn start_in(&self, checkout: &Path, arguments: &[&str]) -> Front {
        let output = tempfile::tempfile().expect("file");
        let errors = output.try_clone().expect("file");
        let child = self
            .command(arguments)
            .current_dir(checkout)
            .stdout(output.try_clone().expect("file"))
            .stderr(errors)
            .spawn()
            .expect("started");
        let id = processes::process(child.id()).expect("it is ours to reap").id;
        Front { child, id, output }
    }

    /// Runs the program to its end and returns its exit code with what it said.
    pub fn run(&self, arguments: &[&str]) -> (i32, String) {
        self.start(arguments).end()
    }

    /// Runs the program to its end, which must be a good one.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let (code, said) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {said}\n{}", self.log());
        said
    }

    /// The engine's process.
    pub fn engine(&self) -> ProcessId {
        let pid = Announcement::read(&self.paths).expect("an engine said something").pid;
        processes::process(pid).expect("it runs").id
    }

    pub fn kill_engine(&self) {
        kill(self.engine());
    }

    /// Waits until the engine has ended by itself, and asserts that nothing of this place runs any more.
    pub fn nothing_left(&self) {
        if let Some(said) = Announcement::read(&self.paths)
            && let Some(process) = processes::process(said.pid).filter(|_| !EngineLock::is_free(&self.paths))
        {
            assert!(
                processes::wait_until_gone(&[process.id], LONG).expect("waited"),
                "the engine stays\n{}",
                self.log()
            );
        }
        assert_eq!(self.left(), Vec::<String>::new(), "{}", self.log());
    }

    /// Command lines of what runs with this place in its environment.
    pub fn left(&self) -> Vec<String> {
        self.own_processes().into_iter().map(|id| arguments(id.pid).join(" ")).collect()
    }

    /// What runs with this place in its environment.
    pub fn own_processes(&self) -> Vec<ProcessId> {
        let place = self.folder.join("state").into_os_string();
        let ours = |pid: u32| {
            let environ = processes::environ_of(pid).unwrap_or_default();
            environ.iter().any(|(name, value)| name == "RALPH_STATE_HOME" && *value == place)
        };
        let all = processes::processes().expect("listed");
        all.into_iter().filter(|process| !process.zombie && ours(process.id.pid)).map(|process| process.id).collect()
    }

    /// The supervisors that are on, with the specification they were started with.
    pub fn supervisors(&self) -> Vec<(ProcessId, String)> {
        let of = |id: ProcessId| {
            let arguments = arguments(id.pid);
            (arguments.get(1).map(String::as_str) == Some("supervise")).then(|| (id, arguments[2].clone()))
        };
        self.own_processes().into_iter().filter_map(of).collect()
    }

    /// Every event of the main checkout.
    pub fn events(&self) -> Vec<Event> {
        SqliteJournal::open_to_read(&self.paths.journal)
            .expect("opens")
            .map(|mut journal| journal.load().expect("reads"))
            .unwrap_or_default()
    }

    /// The outcomes of a task's attempts, in order; asserts that each attempt has exactly one end.
    pub fn outcomes(&self, task: &str) -> Vec<&'static str> {
        let mut ends: BTreeMap<u32, Vec<&'static str>> = BTreeMap::new();
        for event in self.events() {
            match event {
                Event::AttemptStarted { attempt, .. } if attempt.task.0 == task => {
                    assert!(ends.insert(attempt.number, Vec::new()).is_none(), "{attempt} was claimed twice");
                }
                Event::AttemptEnded { attempt, end, .. } if attempt.task.0 == task => {
                    ends.get_mut(&attempt.number).expect("claimed before").push(end.outcome.as_str());
                }
                _ => {}
            }
        }
        assert!(ends.values().all(|ends| ends.len() == 1), "{ends:?}\n{}", self.log());
        ends.into_values().flatten().collect()
    }

    /// The state of a task as `status --json` tells it.
    pub fn task_state(&self, task: &str) -> String {
        let status: serde_json::Value = serde_json::from_str(&self.ok(&["status", "--json"])).expect("json");
        let tasks = status["tasks"].as_array().expect("tasks").clone();
        let found = tasks.into_iter().find(|found| found["id"] == task).expect("the task");
        found["state"].as_str().expect("a word").to_owned()
    }

    /// The folder of an attempt.
    pub fn attempt(&self, task: &str, number: u32) -> PathBuf {
        let key = ralph_sidecar::domain::task::TaskId::from(task).key();
        self.paths.attempts.join(key.0).join(number.to_string())
    }

    /// A file as the ref of an attempt has it; none when it is not there.
    pub fn in_attempt(&self, task: &str, number: u32, path: &str) -> Option<String> {
        let key = ralph_sidecar::domain::task::TaskId::from(task).key();
        let name = format!("refs/ralph/{}/attempt-{number}:{path}", key.0);
        let output = git_command(&self.repo, &["show", &name]).output().expect("git");
        output.status.success().then(|| String::from_utf8(output.stdout).expect("text"))
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.paths.engine_log).unwrap_or_default()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Also when a test failed: only what has this folder in its environment.
        for _ in 0..3 {
            for id in self.own_processes() {
                let _ = processes::signal(id, Signal::KILL);
                let _ = processes::wait_until_gone(&[id], Duration::from_secs(5));
            }
        }
    }
}

/// The program, running in the background.
pub struct Front {
    child: Child,
    pub id: ProcessId,
    output: File,
}

impl Front {
    pub fn signal(&self, signal: Signal) {
        assert!(processes::signal(self.id, signal).expect("sent"), "it had ended");
    }

    /// Waits for its end; returns the exit code (-1 for a signal) and what it said on both streams.
    pub fn end(mut self) -> (i32, String) {
        if !processes::wait_until_gone(&[self.id], LONG).expect("waited") {
            let _ = self.child.kill();
            panic!("it did not end: {}", self.said());
        }
        let code = self.child.wait().expect("reaped").code().unwrap_or(-1);
        (code, self.said())
    }

    /// What it said so far.
    pub fn said(&self) -> String {
        use std::os::unix::fs::FileExt;
        let mut bytes = vec![0; usize::try_from(self.output.metadata().expect("length").len()).expect("short")];
        self.output.read_exact_at(&mut bytes, 0).expect("read");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two fifos: a script says by the one that it has come, and waits at the other until the test lets it go.
pub struct Gate {
    path: PathBuf,
    come: File,
    go: File,
}

impl Gate {
    pub fn new(place: &Place, name: &str) -> Self {
        let path = place.folder.join(name);
        let fifo = |end: &str| {
            let path = path.with_extension(end);
            rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
                .expect("fifo");
            // Open for both, so that neither side waits for the other to open.
            OpenOptions::new().read(true).write(true).open(&path).expect("open")
        };
        let (come, go) = (fifo("come"), fifo("go"));
        Self { path, come, go }
    }

    /// The line of a shell script that passes the gate.
    pub fn pass(&self) -> String {
        let path = self.path.display();
        format!("echo $$ > {path}.come; read word < {path}.go")
    }

    /// Waits until a script has come; returns its process.
    pub fn wait(&self) -> ProcessId {
        self.wait_for(LONG).expect("nobody came to the gate")
    }

    /// As [`Gate::wait`]; none when nobody comes in time.
    pub fn wait_for(&self, limit: Duration) -> Option<ProcessId> {
        let limit = Timespec::try_from(limit).expect("short");
        let mut entries = [PollFd::new(&self.come, PollFlags::IN)];
        if rustix::io::retry_on_intr(|| poll(&mut entries, Some(&limit))).expect("polled") == 0 {
            return None;
        }
        let (mut line, mut byte) = (String::new(), [0]);
        while byte != *b"\n" {
            (&self.come).read_exact(&mut byte).expect("read");
            line.push(char::from(byte[0]));
        }
        processes::process(line.trim().parse().expect("a process number")).map(|process| process.id)
    }

    /// Lets one script go on.
    pub fn open(&self) {
        (&self.go).write_all(b"go\n").expect("written");
    }
}

/// Kills a process and waits until it is gone.
pub fn kill(id: ProcessId) {
    processes::signal(id, Signal::KILL).expect("sent");
    assert!(processes::wait_until_gone(&[id], LONG).expect("waited"), "{id:?} stays");
}

/// The arguments a process was started with.
pub fn arguments(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    bytes.split(|byte| *byte == 0).map(|part| OsStr::from_bytes(part).to_string_lossy().into_owned()).collect()
}

/// Runs git, which must succeed.
pub fn git(folder: &Path, arguments: &[&str]) {
    let output = git_command(folder, arguments).output().expect("git");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn git_command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "Ann")))
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "ann@example.org")));
    command
}
