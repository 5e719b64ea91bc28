//! The real program on real repositories: the whole path from the command line, and every exit code.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A repository with a state folder of its own; its engine ends soon after the last command.
pub struct Place {
    folder: tempfile::TempDir,
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_ralph-sidecar");

impl Place {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let place = Self { folder: tempfile::tempdir().expect("folder") };
        for name in ["repo", "run", "home"] {
            std::fs::create_dir(place.path(name)).expect("folder");
        }
        for (path, text) in files {
            place.write(path, text);
        }
        for words in
            [&["init", "-q", "-b", "main"][..], &["add", "-A"], &["commit", "-q", "--allow-empty", "-m", "Begin"]]
        {
            place.git(words);
        }
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn repo(&self) -> PathBuf {
        self.path("repo")
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.repo().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
        std::fs::write(path, text).expect("written");
    }

    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.repo().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub fn environment(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").expect("PATH"))
            .env("HOME", self.path("home"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("RALPH_STATE_HOME", self.path("state"))
            .env("RALPH_CONFIG_HOME", self.path("config"))
            .env("RALPH_ENGINE_IDLE_SECONDS", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_AUTHOR_NAME", "Test")
            .env("GIT_AUTHOR_EMAIL", "test@localhost")
            .env("GIT_COMMITTER_NAME", "Test")
            .env("GIT_COMMITTER_EMAIL", "test@localhost");
    }

    pub fn git(&self, words: &[&str]) {
        let mut command = Command::new("git");
        self.environment(&mut command);
        let output = command.args(words).current_dir(self.repo()).output().expect("git runs");
        assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        self.environment(&mut command);
        command.args(words).current_dir(self.repo()).stdin(Stdio::null());
        command
    }

    /// Runs the program and checks its exit code.
    pub fn ralph(&self, code: i32, words: &[&str]) -> Said {
        let said = Said::of(self.command(words).output().expect("the program runs"));
        assert_eq!(said.code, Some(code), "{words:?}\nout: {}\nerr: {}", said.out, said.err);
        said
    }

    /// Writes a shell script outside the repository and returns it as `--agent`.
    pub fn agent(&self, name: &str, script: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, format!("cat > /dev/null\n{script}")).expect("written");
        format!("command:sh {}", path.display())
    }

    /// Puts approved tasks into the queue.
    pub fn queue(&self, tasks: &str) {
        self.write(".ralph/queue.json", &format!("{{\"version\": 1, \"goals\": [], \"tasks\": [{tasks}]}}\n"));
    }

    /// Asks for the status until it is as expected; the run is watched from outside, so there is no event to wait for.
    pub fn until(&self, expected: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(100);
        while !expected(&self.status()) {
            assert!(Instant::now() < deadline, "the status stays: {}", self.status());
        }
    }

    pub fn status(&self) -> Value {
        self.ralph(0, &["status", "--json"]).json()
    }
}

pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn of(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    pub fn lines(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }
}

#[test]
fn from_init_to_an_accepted_file() {
    let place = Place::new(&[("greet.sh", "echo hello\n")]);
    let script = place.path("agent.sh");
    std::fs::write(
        &script,
        r#"cat > /dev/null
if [ "$RALPH_ROLE" = planner ]; then
  echo '{"tasks": [{"title": "Greet by name", "acceptance": ["it says hello Ada"], "verify": ["test \"$(sh greet.sh Ada)\" = \"hello Ada\""]}]}' | ralph-sidecar report submit-plan -
else
  echo 'echo "hello $1"' > greet.sh
  echo 'sh greet.sh NAME' > MANUAL
  ralph-sidecar report finished --summary 'It greets by name.'
fi
"#,
    )
    .expect("written");
    let said = place.ralph(0, &["init", "--private", "--agent", &format!("sh {}", script.display())]);
    assert!(said.out.contains("plan"), "{}", said.out);
    place.ralph(3, &["init", "--private"]);
    place.ralph(0, &["trust", "--yes"]);

    let planned = place.ralph(0, &["plan", "greet people by name"]);
    assert!(planned.out.contains("Greet by name") && planned.out.contains("ralph-sidecar approve"), "{}", planned.out);
    let status = place.status();
    assert_eq!(
        (status["tasks"][0]["status"].as_str(), status["tasks"][0]["state"].as_str()),
        (Some("draft"), Some("draft"))
    );
    let task = status["tasks"][0]["id"].as_str().expect("an id").to_owned();

    let approved = place.ralph(0, &["approve", "--all"]);
    assert!(approved.out.contains("test \"$(sh greet.sh Ada)\" = \"hello Ada\""), "{}", approved.out);
    let run = place.ralph(0, &["run", "--json"]);
    let types: Vec<String> = run.lines().iter().map(|line| line["type"].as_str().expect("a type").to_owned()).collect();
    assert_eq!(types.first().map(String::as_str), Some("run_started"));
    assert_eq!(types.last().map(String::as_str), Some("run_ended"));
    let ended = run.lines().into_iter().find(|line| line["type"] == "attempt_ended").expect("an attempt");
    assert_eq!(
        (&ended["task"], &ended["attempt"], &ended["outcome"]),
        (&task.clone().into(), &1.into(), &"verified".into())
    );
    assert!(run.err.contains("1 to review, 0 need you, 0 failed") && run.err.contains("4 attempts"), "{}", run.err);
    assert_eq!(place.read("greet.sh"), "echo hello\n", "nothing is touched before it is accepted");

    let review = place.ralph(0, &["review"]);
    assert!(review.out.contains("hunk 2") && review.out.contains("+echo \"hello $1\""), "{}", review.out);
    assert!(!review.out.contains('\u{1b}'), "no colours in a pipe");
    let document = place.ralph(0, &["review", &task, "--json"]).json();
    let number = document["hunks"].as_array().expect("hunks").iter().find(|hunk| hunk["path"] == "greet.sh");
    let number = number.expect("a hunk")["number"].to_string();
    place.ralph(2, &["accept", &task, "--hunk", "9"]);
    place.ralph(0, &["accept", &task, "--hunk", &number]);
    assert_eq!(place.read("greet.sh"), "echo \"hello $1\"\n");
    assert!(!place.repo().join("MANUAL").exists());
    assert_eq!(place.status()["tasks"][0]["state"], "review");
    place.ralph(0, &["undo"]);
    assert_eq!(place.read("greet.sh"), "echo hello\n");
    place.ralph(0, &["accept", &task]);
    assert_eq!(place.read("MANUAL"), "sh greet.sh NAME\n");
    let status = place.status();
    assert_eq!((&status["tasks"][0]["status"], &status["tasks"][0]["state"]), (&"done".into(), &"done".into()));
    let log = place.ralph(0, &["log", &task, "--prompt"]);
    assert!(log.out.contains("Greet by name"), "{}", log.out);
}

#[test]
fn a_question_ends_the_run_with_ten_and_its_answer_goes_into_the_next_prompt() {
    let place = Place::new(&[("name", "nobody\n")]);
    place.queue(r#"{"id": "name", "title": "Name it", "status": "todo"}"#);
    let agent = place.agent(
        "agent.sh",
        r#"if [ "$RALPH_ATTEMPT_NUMBER" = 1 ]; then
  ralph-sidecar report ask --question 'Which name?' --option Ada --option Grace --file name --line 1
elif grep Grace "$RALPH_PROMPT_FILE"; then
  echo Grace > name; ralph-sidecar report finished --summary named
fi"#,
    );
    let run = place.ralph(10, &["run", "--agent", &agent]);
    assert!(run.out.contains("asks d1: Which name? [1] Ada [2] Grace"), "{}", run.out);
    assert!(run.out.contains("0 to review, 1 needs you") && run.out.contains("ralph-sidecar answer d1"), "{}", run.out);
    let decisions = place.ralph(0, &["decisions", "--json"]).json();
    assert_eq!(decisions["decisions"][0]["options"][1]["label"], "Grace");
    let why = place.ralph(0, &["tasks", "why", "name"]);
    assert!(why.out.starts_with("blocked: "), "{}", why.out);
    let wrong = place.ralph(2, &["answer", "d1", "Ida"]);
    assert!(wrong.err.contains("Ada, Grace"), "{}", wrong.err);
    place.ralph(0, &["answer", "d1", "2"]);
    place.ralph(2, &["answer", "d1", "2"]);
    place.ralph(0, &["run", "--agent", &agent]);
    let unchecked = &place.status()["tasks"][0]["attempts"][1]["outcome"];
    assert_eq!(unchecked, "unchecked");
}

#[test]
fn a_part_can_be_kept_and_the_rest_sent_back() {
    let place = Place::new(&[("a.txt", "1\n2\n3\n4\n5\n6\n7\n8\n9\n")]);
    place.queue(r#"{"id": "a", "title": "A", "status": "todo"}, {"id": "b", "title": "B", "status": "todo"}"#);
    let agent = place.agent(
        "agent.sh",
        r#"if [ "$RALPH_TASK_ID" = b ]; then
  ralph-sidecar report finished --summary s --no-change 'it was there'; exit
fi
sed -i.bak -e s/1/one/ -e s/9/nine/ a.txt; rm -f a.txt.bak
grep -q 'spell it NEUN' "$RALPH_PROMPT_FILE" && sed -i.bak s/nine/neun/ a.txt && rm a.txt.bak
ralph-sidecar report finished --summary s"#,
    );
    let in_process = ["--in-process", "run", "--agent", &agent];
    place.ralph(0, &in_process);
    assert_eq!(place.status()["tasks"][1]["state"], "review");
    place.ralph(0, &["accept", "b"]);
    assert_eq!(place.status()["tasks"][1]["state"], "done");

    place.ralph(0, &["reject", "a", "--hunk", "1", "--why", "keep the digit"]);
    place.ralph(2, &["accept", "a", "--only-accepted"]);
    place.ralph(0, &["send-back", "a", "--comment", "spell it NEUN"]);
    assert_eq!(place.status()["tasks"][0]["state"], "ready");
    place.ralph(0, &["run", "a", "--agent", &agent]);
    assert!(place.ralph(0, &["log", "a", "--prompt"]).out.contains("keep the digit"));
    let rejected = place.ralph(0, &["reject", "a", "--hunk", "1"]);
    assert!(rejected.out.contains("ralph-sidecar drop a"), "{}", rejected.out);
    place.ralph(0, &["accept", "a", "--hunk", "2"]);
    place.ralph(0, &["accept", "a", "--only-accepted"]);
    assert_eq!(place.read("a.txt"), "1\n2\n3\n4\n5\n6\n7\n8\nneun\n");
    assert_eq!(place.status()["tasks"][0]["state"], "done");
}

#[test]
fn what_is_not_trusted_does_not_start() {
    let place = Place::new(&[]);
    place.queue(r#"{"id": "a", "title": "A", "status": "todo", "verify": ["make check"]}"#);
    place.write(".ralph/config.json", r#"{"agents": {"mine": {"command": "sh agent.sh"}}}"#);
    let refused = place.ralph(4, &["run"]);
    assert!(refused.err.contains("sh agent.sh") && refused.err.contains("ralph-sidecar trust"), "{}", refused.err);
    assert!(place.ralph(4, &["plan", "a goal"]).err.contains("sh agent.sh"));
    let listed = place.ralph(0, &["trust", "--list"]);
    assert_eq!(listed.out.lines().collect::<Vec<_>>(), ["sh agent.sh", "make check"]);
    place.ralph(2, &["trust"]);
    place.ralph(0, &["trust", "--yes"]);
    assert_eq!(place.ralph(0, &["trust", "--list"]).out, "");
}

#[test]
fn errors_have_codes_and_hints() {
    let place = Place::new(&[]);
    let outside = place.path("home");
    let outside = outside.to_str().expect("utf-8");
    for (code, words, text) in [
        (2, &["dance"][..], "dance"),
        (2, &["tasks", "why", "nobody"], "nobody"),
        (2, &["run", "nobody"], "nobody"),
        (2, &["report", "blocked", "--reason", "x"], "RALPH_MAILBOX"),
        (2, &["run", "--detach", "--in-process"], "--detach"),
        (3, &["-C", outside, "status"], "git init"),
        (3, &["-C", outside, "run"], "git init"),
    ] {
        let said = place.ralph(code, words);
        assert!(said.err.starts_with("error: ") && said.err.contains(text), "{words:?}: {}", said.err);
        assert_eq!(said.out, "", "{words:?}");
    }
    place.write(".ralph/config.json", "{\n  \"parallel\": \"many\"\n}\n");
    let doctor = place.ralph(3, &["doctor"]);
    assert!(doctor.out.contains("config.json:2:"), "{}", doctor.out);
}

/// Starts a run whose agent waits for good, and returns when its attempt is on.
fn waiting_run(place: &Place) -> (Child, BufReader<std::process::ChildStdout>) {
    place.queue(r#"{"id": "a", "title": "A", "status": "todo"}"#);
    let agent = place.agent("agent.sh", "echo work > work.txt\nwhile true; do sleep 1; done\n");
    let mut child =
        place.command(&["run", "--json", "--agent", &agent]).stdout(Stdio::piped()).spawn().expect("the program runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
    wait_for(&mut lines, "attempt_started");
    (child, lines)
}

fn wait_for(lines: &mut impl BufRead, kind: &str) -> Value {
    loop {
        let mut line = String::new();
        assert_ne!(lines.read_line(&mut line).expect("readable"), 0, "it ended before {kind}");
        let value: Value = serde_json::from_str(&line).expect("a line of JSON");
        if value["type"] == kind {
            return value;
        }
    }
}

fn interrupt(child: &Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("signalled");
}

#[test]
fn two_interrupts_kill_the_attempt_and_its_work_is_kept() {
    let place = Place::new(&[]);
    let (mut child, mut lines) = waiting_run(&place);
    interrupt(&child);
    // The first one is served before the second is sent: they are not counted when they come together.
    place.until(|status| status["run"]["stopping"] == true);
    interrupt(&child);
    assert_eq!(wait_for(&mut lines, "attempt_ended")["outcome"], "cancelled");
    assert_eq!(wait_for(&mut lines, "run_ended")["reason"], "stopped");
    assert_eq!(child.wait().expect("ended").code(), Some(130));
    assert_eq!(place.status()["tasks"][0]["state"], "ready");
}

#[test]
fn a_second_run_is_refused_and_the_first_outlives_its_terminal() {
    let place = Place::new(&[]);
    let (mut child, lines) = waiting_run(&place);
    let busy = place.ralph(5, &["run", "--agent", "command:true"]);
    assert!(busy.err.starts_with("error: "), "{}", busy.err);
    drop(lines);
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert_eq!(place.status()["tasks"][0]["state"], "running");
    place.ralph(0, &["stop", "--kill"]);
    place.until(|status| status["run"].is_null());
    assert_eq!(place.status()["last_run"]["reason"], "stopped");
}

#[test]
fn an_agent_can_report_and_nothing_else() {
    let place = Place::new(&[]);
    place.queue(r#"{"id": "a", "title": "A", "status": "todo"}, {"id": "b", "title": "B", "status": "draft"}"#);
    let repo = place.repo();
    let agent = place.agent(
        "agent.sh",
        &format!(
            r#"for words in 'approve b' 'accept a' 'answer d1 1' 'trust --yes' 'stop' 'engine'; do
  ralph-sidecar -C {repo} $words; echo "$words: $?"
done > codes.txt 2> errors.txt
env -u RALPH_ATTEMPT ralph-sidecar -C {repo} approve b; echo "hidden: $?" >> codes.txt
ralph-sidecar report finished --summary 'I tried.'"#,
            repo = repo.display()
        ),
    );
    place.ralph(0, &["run", "--agent", &agent]);
    place.ralph(0, &["accept", "a"]);
    let codes = place.read("codes.txt");
    assert_eq!(
        codes,
        "approve b: 4\naccept a: 4\nanswer d1 1: 4\ntrust --yes: 4\nstop: 4\nengine: 4\nhidden: 4\n",
        "{}",
        place.read("errors.txt")
    );
    assert_eq!(place.status()["tasks"][1]["status"], "draft");
}

#[test]
fn planning_from_comments_adds_nothing_twice() {
    let place =
        Place::new(&[("a.rs", "// TODO: be faster\nfn a() {}\n"), ("b.sh", "echo '# TODO: no' # FIXME be kind\n")]);
    let first = place.ralph(0, &["plan", "--from", "todos"]);
    assert!(first.out.contains("added 2 drafts, 0 were there already"), "{}", first.out);
    let second = place.ralph(0, &["plan", "--from", "todos"]);
    assert!(second.out.contains("added 0 drafts, 2 were there already"), "{}", second.out);
    assert_eq!(place.status()["tasks"].as_array().map(Vec::len), Some(2));
}

#[test]
fn the_demonstration_ends_well_and_leaves_nothing() {
    let place = Place::new(&[]);
    let mut command = place.command(&["demo"]);
    command.env("TMPDIR", place.path("run"));
    let said = Said::of(command.output().expect("the program runs"));
    assert_eq!(said.code, Some(0), "{}\n{}", said.out, said.err);
    for words in
        ["scripted", "failed its checks", "has a question", "+echo \"Hello, $1!\"", "passes test", "What to do next"]
    {
        assert!(said.out.contains(words), "{words}: {}", said.out);
    }
    let left: Vec<_> =
        std::fs::read_dir(place.path("run")).expect("readable").flatten().map(|entry| entry.path()).collect();
    assert!(left.iter().all(|path| !is_demo(path)), "{left:?}");
    assert!(!place.path("state").exists(), "the demonstration keeps its state to itself");
}

fn is_demo(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ralph-demo-"))
}
