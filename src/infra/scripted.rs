//! The `scripted` agent: does what a file says, for demonstrations and tests. `docs/scripted-agent.md` is its manual.

use super::agent_side;
use super::mailbox::{MAILBOX, MailboxError};
use crate::domain::report::Report;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fs, io};

/// The version of the form that this program reads.
pub const SCRIPT_VERSION: u32 = 1;
/// Stands for every task and every attempt that is not named.
const ANY: &str = "*";

/// What the agent does in each role, task and attempt.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    pub version: u32,
    /// What it does as planner.
    #[serde(default)]
    pub planner: Vec<Step>,
    /// What it does as reviewer, whatever the task.
    #[serde(default)]
    pub reviewer: Vec<Step>,
    /// By task id or `*`, then by attempt number or `*`.
    #[serde(default)]
    pub tasks: BTreeMap<String, BTreeMap<String, Vec<Step>>>,
}

/// One thing the agent does. Paths are relative to the folder the agent was started in.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Writes a file, with its folders.
    Write { path: PathBuf, text: String },
    /// Adds to the end of a file, which is made when it is missing.
    Append { path: PathBuf, text: String },
    /// Replaces the only occurrence of a text in a file.
    Replace { path: PathBuf, find: String, with: String },
    /// Removes a file.
    Delete { path: PathBuf },
    /// Moves a file.
    Rename { from: PathBuf, to: PathBuf },
    /// Runs a command with `sh -c`; when it fails, so does the agent, unless it may.
    Run {
        command: String,
        #[serde(default)]
        may_fail: bool,
    },
    /// Prints a line.
    Say { text: String },
    /// Waits, in milliseconds.
    SleepMs(u64),
    /// Reports to the engine, as `ralph-sidecar report` does.
    Report(Report),
    /// Ends at once with this exit code.
    Exit { code: u8 },
}

/// Who the agent is in this start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Planner,
    Reviewer,
    /// The task and the number of the attempt, from 1.
    Implementer {
        task: String,
        attempt: u32,
    },
}

/// The surroundings of one start.
#[derive(Clone, Debug)]
pub struct Stage {
    pub part: Part,
    /// The slot.
    pub folder: PathBuf,
    pub mailbox: Option<PathBuf>,
    /// The nonce of the attempt.
    pub nonce: String,
}

/// Why the agent could not do what its script says. Reads after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    #[error("read the script {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("read the script {}: {source}", path.display())]
    Parse { path: PathBuf, source: serde_json::Error },
    #[error("read the script {}: version {found} is not {SCRIPT_VERSION}", path.display())]
    Version { path: PathBuf, found: u32 },
    #[error("play the agent: {0} is not set; it is started by ralph-sidecar")]
    Environment(&'static str),
    #[error("find a part in the script for {0}; name it or add `*`")]
    NoPart(String),
    #[error("{what} {}: {source}", path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error("replace in {}: the text `{find}` is there {times} times, not once", path.display())]
    Replace { path: PathBuf, find: String, times: usize },
    #[error("run `{command}`: {source}")]
    Start { command: String, source: io::Error },
    #[error("run `{command}`: it ended with {status}")]
    Failed { command: String, status: std::process::ExitStatus },
    #[error("report: {MAILBOX} is not set, so this is not inside an attempt")]
    NoMailbox,
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    ///
    /// Names the file and the place; an unknown step is named, with those there are.
    pub fn read(path: &Path) -> Result<Self, ScriptError> {
        let failed = |source| ScriptError::Read { path: path.to_path_buf(), source };
        let text = fs::read_to_string(path).map_err(failed)?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ScriptError> {
        let path = path.to_path_buf();
        let script: Self =
            serde_json::from_str(text).map_err(|source| ScriptError::Parse { path: path.clone(), source })?;
        if script.version == SCRIPT_VERSION {
            Ok(script)
        } else {
            Err(ScriptError::Version { path, found: script.version })
        }
    }

    /// Returns the steps of a part: the named task before `*`, and within each the numbered attempt before `*`.
    fn steps(&self, part: &Part) -> Result<&[Step], ScriptError> {
        let (task, attempt) = match part {
            Part::Planner => return Ok(&self.planner),
            Part::Reviewer => return Ok(&self.reviewer),
            Part::Implementer { task, attempt } => (task, attempt),
        };
        let number = attempt.to_string();
        let mut found = [task.as_str(), ANY].into_iter().filter_map(|id| {
            let attempts = self.tasks.get(id)?;
            attempts.get(&number).or_else(|| attempts.get(ANY))
        });
        let missing = || ScriptError::NoPart(format!("attempt {attempt} of task `{task}`"));
        found.next().map(Vec::as_slice).ok_or_else(missing)
    }

    /// Does the steps of a part and returns the exit code: 0 unless a step says otherwise.
    ///
    /// # Errors
    ///
    /// The first step that fails; the ones after it are not done.
    pub fn play(&self, stage: &Stage) -> Result<u8, ScriptError> {
        for step in self.steps(&stage.part)? {
            if let Some(code) = stage.perform(step)? {
                return Ok(code);
            }
        }
        Ok(0)
    }
}

impl Stage {
    /// Reads what the engine put into the environment of an agent.
    ///
    /// # Errors
    ///
    /// Names the variable that is missing.
    pub fn from_env() -> Result<Self, ScriptError> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let part = match set("RALPH_ROLE").as_deref() {
            Some("planner") => Part::Planner,
            Some("reviewer") => Part::Reviewer,
            _ => {
                let task = set("RALPH_TASK_ID").ok_or(ScriptError::Environment("RALPH_TASK_ID"))?;
                let number = set("RALPH_ATTEMPT_NUMBER").and_then(|number| number.parse().ok());
                Part::Implementer { task, attempt: number.ok_or(ScriptError::Environment("RALPH_ATTEMPT_NUMBER"))? }
            }
        };
        let folder = std::env::current_dir();
        let folder = folder.map_err(|source| ScriptError::Io { what: "find", path: ".".into(), source })?;
        let mailbox = set(MAILBOX).map(PathBuf::from);
        Ok(Self { part, folder, mailbox, nonce: set(agent_side::NONCE).unwrap_or_default() })
    }

    /// Does one step; returns the exit code when it ends the agent.
    fn perform(&self, step: &Step) -> Result<Option<u8>, ScriptError> {
        match step {
            Step::Write { path, text } => {
                self.change("write", path, |path| make_parents(path).and_then(|()| fs::write(path, text)))?;
            }
            Step::Append { path, text } => self.change("append to", path, |path| {
                make_parents(path)?;
                fs::OpenOptions::new().append(true).create(true).open(path)?.write_all(text.as_bytes())
            })?,
            Step::Replace { path, find, with } => {
                let mut old = String::new();
                self.change("read", path, |path| fs::read_to_string(path).map(|text| old = text))?;
                let times = if find.is_empty() { 0 } else { old.matches(find.as_str()).count() };
                if times != 1 {
                    return Err(ScriptError::Replace { path: path.clone(), find: find.clone(), times });
                }
                self.change("write", path, |path| fs::write(path, old.replace(find.as_str(), with)))?;
            }
            Step::Delete { path } => self.change("delete", path, |path| fs::remove_file(path))?,
            Step::Rename { from, to } => {
                let to = self.folder.join(to);
                self.change("rename", from, |from| make_parents(&to).and_then(|()| fs::rename(from, &to)))?;
            }
            Step::Run { command, may_fail } => self.run(command, *may_fail)?,
            Step::Say { text } => {
                // The transcript may be gone; the work is not.
                let _ = writeln!(io::stdout().lock(), "{text}");
            }
            Step::SleepMs(milliseconds) => std::thread::sleep(Duration::from_millis(*milliseconds)),
            Step::Report(report) => {
                let mailbox = self.mailbox.as_deref().ok_or(ScriptError::NoMailbox)?;
                agent_side::deliver(mailbox, self.nonce.clone(), report.clone())?;
            }
            Step::Exit { code } => return Ok(Some(*code)),
        }
        Ok(None)
    }

    fn change(
        &self,
        what: &'static str,
        path: &Path,
        work: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<(), ScriptError> {
        let path = self.folder.join(path);
        work(&path).map_err(|source| ScriptError::Io { what, path, source })
    }

    fn run(&self, command: &str, may_fail: bool) -> Result<(), ScriptError> {
        let mut shell = Command::new("/bin/sh");
        let status = shell.arg("-c").arg(command).current_dir(&self.folder).stdin(Stdio::null()).status();
        let status = status.map_err(|source| ScriptError::Start { command: command.to_owned(), source })?;
        if status.success() || may_fail {
            Ok(())
        } else {
            Err(ScriptError::Failed { command: command.to_owned(), status })
        }
    }
}

fn make_parents(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infra::mailbox::{self, Reader, Taken};
    use serde_json::json;

    fn script(value: &serde_json::Value) -> Result<Script, ScriptError> {
        Script::parse(Path::new("script.json"), &value.to_string())
    }

    fn stage(folder: &Path, task: &str, attempt: u32) -> Stage {
        let part = Part::Implementer { task: task.to_owned(), attempt };
        Stage { part, folder: folder.to_path_buf(), mailbox: None, nonce: "n".into() }
    }

    fn play(folder: &Path, steps: serde_json::Value) -> Result<u8, ScriptError> {
        script(&json!({ "version": 1, "tasks": { "*": { "*": steps } } }))?.play(&stage(folder, "a", 1))
    }

    #[test]
    fn files_are_changed_as_the_script_says() {
        let folder = tempfile::tempdir().expect("folder");
        let code = play(
            folder.path(),
            json!([
                { "write": { "path": "deep/a.txt", "text": "one\ntwo\n" } },
                { "append": { "path": "deep/a.txt", "text": "three\n" } },
                { "replace": { "path": "deep/a.txt", "find": "two", "with": "2" } },
                { "rename": { "from": "deep/a.txt", "to": "b/c.txt" } },
                { "write": { "path": "gone.txt", "text": "" } },
                { "delete": { "path": "gone.txt" } },
                { "run": { "command": "echo ran > ran.txt" } },
                { "run": { "command": "exit 3", "may_fail": true } },
                { "sleep_ms": 1 },
                { "say": { "text": "done" } },
                { "exit": { "code": 7 } },
                { "write": { "path": "never.txt", "text": "" } }
            ]),
        );
        assert_eq!(code.expect("played"), 7);
        let read = |name: &str| fs::read_to_string(folder.path().join(name));
        assert_eq!(read("b/c.txt").expect("there"), "one\n2\nthree\n");
        assert_eq!(read("ran.txt").expect("there"), "ran\n");
        for name in ["gone.txt", "never.txt", "deep/a.txt"] {
            assert!(read(name).is_err(), "{name}");
        }
    }

    #[test]
    fn the_nearest_part_is_played() {
        let say = |code: u8| json!([{ "exit": { "code": code } }]);
        let script = script(&json!({ "version": 1, "tasks": {
            "a": { "1": say(1), "*": say(2) },
            "b": { "1": say(3) },
            "*": { "2": say(4), "*": say(5) },
        } }))
        .expect("a script");
        let folder = Path::new("/");
        for (task, attempt, code) in [("a", 1, 1), ("a", 2, 2), ("b", 1, 3), ("b", 2, 4), ("c", 2, 4), ("c", 9, 5)] {
            assert_eq!(script.play(&stage(folder, task, attempt)).expect("a part"), code, "{task}#{attempt}");
        }
        let planner = Stage { part: Part::Planner, ..stage(folder, "a", 1) };
        assert_eq!(script.play(&planner).expect("an empty part"), 0);
        let reviewing = Script { reviewer: vec![Step::Exit { code: 9 }], ..script };
        let reviewer = Stage { part: Part::Reviewer, ..stage(folder, "a", 1) };
        assert_eq!(reviewing.play(&reviewer).expect("a part"), 9);
    }

    #[test]
    fn reports_arrive_in_the_mailbox() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("mail");
        mailbox::create(&path).expect("made");
        let steps = json!([{ "report": { "type": "learned", "text": "x" } }]);
        let script = script(&json!({ "version": 1, "tasks": { "*": { "*": steps } } })).expect("a script");
        let with_mail = Stage { mailbox: Some(path.clone()), ..stage(folder.path(), "a", 1) };
        assert_eq!(script.play(&with_mail).expect("played"), 0);
        let taken = Reader::<Report>::open(&path).expect("opened").take().expect("taken");
        let [Taken::Message { envelope, .. }] = taken.as_slice() else { panic!("one message, not {taken:?}") };
        assert_eq!((&envelope.body, envelope.attempt.as_str()), (&Report::Learned { text: "x".into() }, "n"));
        assert!(matches!(script.play(&stage(folder.path(), "a", 1)), Err(ScriptError::NoMailbox)));
    }

    #[test]
    fn what_cannot_be_played_is_named() {
        let folder = tempfile::tempdir().expect("folder");
        fs::write(folder.path().join("twice.txt"), "x x").expect("written");
        for (steps, words) in [
            (json!([{ "dance": {} }]), "unknown variant `dance`, expected one of `write`"),
            (json!([{ "write": { "path": "a" } }]), "missing field `text`"),
            (json!([{ "write": { "path": "a", "text": "", "mode": 1 } }]), "unknown field `mode`"),
            (json!([{ "report": { "type": "shout" } }]), "unknown variant `shout`"),
            (json!([{ "delete": { "path": "none.txt" } }]), "none.txt"),
            (json!([{ "replace": { "path": "twice.txt", "find": "x", "with": "" } }]), "2 times"),
            (json!([{ "run": { "command": "exit 3" } }]), "`exit 3`: it ended with exit status: 3"),
        ] {
            let error = play(folder.path(), steps.clone()).expect_err("refused").to_string();
            assert!(error.contains(words), "{steps}: {error}");
        }
        let later = script(&json!({ "version": 2 })).expect_err("refused").to_string();
        assert!(later.contains("version 2"), "{later}");
        let none = script(&json!({ "version": 1 })).expect("a script").play(&stage(folder.path(), "a", 4));
        assert!(none.expect_err("refused").to_string().contains("attempt 4 of task `a`"));
    }

    #[test]
    fn the_example_of_the_manual_is_a_script() {
        let manual = include_str!("../../docs/scripted-agent.md");
        let (_, rest) = manual.split_once("```json\n").expect("an example");
        let (example, _) = rest.split_once("```").expect("its end");
        let script = Script::parse(Path::new("docs/scripted-agent.md"), example).expect("a valid example");
        // The error for an unknown step names every known one, so none can be missing in the manual.
        let unknown = serde_json::from_str::<Step>(r#"{ "?": {} }"#).expect_err("unknown").to_string();
        let (_, known) = unknown.split_once("expected one of ").expect("the known steps");
        for name in known.split(['`', ',', ' ']).take_while(|word| *word != "at").filter(|word| !word.is_empty()) {
            assert!(manual.contains(&format!("| `{name}` |")), "{name} is not in the manual");
        }
        let [Step::Report(Report::SubmitPlan { plan })] = script.planner.as_slice() else { panic!("a plan") };
        let plan = crate::protocol::plan_text::parse_plan(plan, &[], 1).expect("a valid plan");
        assert!(script.tasks.contains_key(&plan.tasks[0].id.0));
    }
}
