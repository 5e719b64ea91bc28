//! Runs `git` as the user would in their checkout: with their configuration, hooks, identity and signing.

use super::bounded::{self, How, Job, Patience};
use super::trace::{self, Holdup};
use super::{moved, refused};
use crate::engine::ports::{PortError, PortResult};
use crate::infra::processes::ProcessId;
use crate::infra::workshop::Inside;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Variables that say who commits; every other `GIT_*` variable that could redirect git is scrubbed, for the engine may
/// have been started from a hook.
const KEPT: [&str; 5] =
    ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "GIT_EXEC_PATH"];

/// An index of our own is whole and plain, whatever the user's is like.
const PLAIN_INDEX: [&str; 6] =
    ["-c", "core.splitIndex=false", "-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false"];

/// How much of what a hook printed is told.
const TOLD: usize = 4000;

/// How long a command may take that runs no hooks and signs nothing.
const PLAIN: Patience = Patience { limit: Duration::from_secs(600), stop: None };

/// The `git` program in the user's checkout.
pub(super) struct UserGit<'a> {
    program: &'a Path,
    workdir: &'a Path,
    /// Where messages are written for it.
    message: PathBuf,
    /// Where it writes what it starts.
    trace: PathBuf,
    /// For what runs hooks or signs.
    patience: Patience,
}

struct Ran {
    ok: bool,
    stdout: Vec<u8>,
    stderr: String,
}

impl Ran {
    /// What was printed, the last of it where it is much.
    fn said(&self) -> String {
        let said = format!("{}\n{}", String::from_utf8_lossy(&self.stdout).trim(), self.stderr);
        let said = said.trim();
        let start = said.char_indices().rev().nth(TOLD).map_or(0, |(at, _)| at);
        said[start..].to_owned()
    }
}

/// Why a commit was not made, as far as git could be asked.
pub(super) enum Uncommitted {
    /// It, or a hook, said no.
    Refused(PortError),
    /// It was ended, with the next step; the commit may be there all the same, where a hook that runs after it was on.
    Ended { message: String, hint: &'static str },
}

impl From<PortError> for Uncommitted {
    fn from(error: PortError) -> Self {
        Self::Refused(error)
    }
}

/// What runs with hooks, or signs.
struct Deed<'a> {
    /// The name of it in the branch's log.
    name: &'a str,
    whole: bool,
    started: &'a dyn Fn(ProcessId),
}

impl<'a> UserGit<'a> {
    pub(super) fn new(inside: &'a Inside) -> PortResult<Self> {
        Self::patient(inside, PLAIN)
    }

    /// As [`Self::new`]; what runs hooks or signs is held to `patience`.
    pub(super) fn patient(inside: &'a Inside, patience: Patience) -> PortResult<Self> {
        let program = inside.repository.git_program().ok_or_else(|| {
            refused("land: commits are made by the `git` program".to_owned(), "install git, or put it on PATH")
        })?;
        let message = inside.index.with_file_name("landing.message");
        let trace = inside.index.with_file_name("landing.trace");
        Ok(Self { program, workdir: inside.repository.workdir(), message, trace, patience })
    }

    fn command(&self, index: Option<&Path>, args: &[&OsStr]) -> Command {
        let mut command = Command::new(self.program);
        for (name, _) in std::env::vars_os() {
            let bytes = name.as_encoded_bytes();
            let kept = bytes.starts_with(b"GIT_CONFIG_") || KEPT.iter().any(|kept| name == OsStr::new(kept));
            if bytes.starts_with(b"GIT_") && !kept {
                command.env_remove(&name);
            }
        }
        command.current_dir(self.workdir).env("GIT_TERMINAL_PROMPT", "0").env("GIT_EDITOR", ":");
        if let Some(index) = index {
            command.env("GIT_INDEX_FILE", index).args(PLAIN_INDEX);
        }
        command.args(args);
        command
    }

    fn failed(&self, error: &std::io::Error) -> PortError {
        PortError::new(format!("run {}: {error}", self.program.display()))
    }

    /// Runs a command whose output is read, without hooks.
    fn run(&self, index: Option<&Path>, args: &[&OsStr], input: &[u8]) -> PortResult<Ran> {
        let mut command = self.command(index, args);
        command.env("LC_ALL", "C").env("GIT_LITERAL_PATHSPECS", "1");
        let job = Job { command, input: input.to_vec(), whole: true, started: &|_| {} };
        let ran = bounded::run(job, &PLAIN).map_err(|error| self.failed(&error))?;
        let How::Exited(status) = ran.how else {
            let (words, seconds) = (args.join(OsStr::new(" ")), PLAIN.limit.as_secs());
            let text = format!("run `git {}`: it was ended after {seconds} seconds", words.display());
            return Err(PortError::new(text).with_hint("the same in a terminal may show what it waits for"));
        };
        let stderr = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
        Ok(Ran { ok: status.success(), stdout: ran.stdout, stderr })
    }

    /// Runs a command as the user would, with hooks and signing, for as long as there is patience.
    fn act(&self, index: Option<&Path>, args: &[&OsStr], deed: &Deed<'_>) -> Result<Ran, Uncommitted> {
        let mut command = self.command(index, args);
        // Of an earlier landing.
        let _ = std::fs::remove_file(&self.trace);
        command.env("GIT_REFLOG_ACTION", deed.name).env("GIT_TRACE2_EVENT", &self.trace);
        let job = Job { command, input: Vec::new(), whole: deed.whole, started: deed.started };
        let ran = bounded::run(job, &self.patience).map_err(|error| self.failed(&error))?;
        let trace = std::fs::read(&self.trace).unwrap_or_default();
        let _ = std::fs::remove_file(&self.trace);
        let stderr = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
        let ended = |ran: &Ran, stopped| {
            let holdup = trace::holdup(&String::from_utf8_lossy(&trace));
            Err(self.ended(&ran.said(), holdup.as_ref(), stopped))
        };
        match ran.how {
            How::Exited(status) => Ok(Ran { ok: status.success(), stdout: ran.stdout, stderr }),
            How::TimedOut => ended(&Ran { ok: false, stdout: ran.stdout, stderr }, false),
            How::Stopped => ended(&Ran { ok: false, stdout: ran.stdout, stderr }, true),
        }
    }

    /// Says what was ended, and why.
    fn ended(&self, said: &str, holdup: Option<&Holdup>, stopped: bool) -> Uncommitted {
        let who = holdup.map_or_else(|| "`git commit`".to_owned(), Holdup::words);
        let last =
            if said.is_empty() { "it had printed nothing".to_owned() } else { format!("its last words: {said}") };
        if stopped {
            let message = format!("{who} was on when you stopped the landing, and was ended; {last}");
            return Uncommitted::Ended { message, hint: "land again when you like" };
        }
        let seconds = match self.patience.limit.as_secs() {
            1 => "1 second".to_owned(),
            many => format!("{many} seconds"),
        };
        let message = format!("{who} had not ended after {seconds}, and was ended; {last}");
        let hint = match holdup {
            Some(Holdup::Signing(_)) => {
                "`git commit -S --allow-empty` in a terminal shows whether it asks for a passphrase; \
                 `land.timeout_seconds` gives it longer"
            }
            _ => "`git commit` in a terminal shows what it waits for; `land.timeout_seconds` gives it longer",
        };
        Uncommitted::Ended { message, hint }
    }

    /// Runs a command that must succeed, on an index of our own or the user's.
    pub(super) fn must(&self, index: Option<&Path>, args: &[&str], input: &[u8]) -> PortResult<Vec<u8>> {
        let words: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        let ran = self.run(index, &words, input)?;
        if ran.ok {
            Ok(ran.stdout)
        } else {
            Err(PortError::new(format!("run `git {}`: {}", args.join(" "), ran.stderr)))
        }
    }

    fn text(&self, args: &[&str]) -> PortResult<(bool, String)> {
        let words: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        let ran = self.run(None, &words, b"")?;
        Ok((ran.ok, String::from_utf8_lossy(&ran.stdout).trim().to_owned()))
    }

    fn keep_message(&self, text: &str) -> PortResult<()> {
        std::fs::write(&self.message, text)
            .map_err(|error| PortError::new(format!("write {}: {error}", self.message.display())))
    }

    /// Commits what an index of our own holds on HEAD, with hooks; the branch's log says `name`.
    pub(super) fn commit(
        &self,
        index: &Path,
        text: &str,
        name: &str,
        started: &dyn Fn(ProcessId),
    ) -> Result<(), Uncommitted> {
        self.keep_message(text)?;
        let args = [OsStr::new("commit"), OsStr::new("--quiet"), OsStr::new("--file"), self.message.as_os_str()];
        let ran = self.act(Some(index), &args, &Deed { name, whole: false, started })?;
        if ran.ok { Ok(()) } else { Err(self.explain(&ran).into()) }
    }

    /// Makes a commit that no branch has yet. No hooks run; it is signed where the configuration says so.
    pub(super) fn commit_tree(
        &self,
        tree: &str,
        parent: &str,
        text: &str,
        started: &dyn Fn(ProcessId),
    ) -> Result<String, Uncommitted> {
        self.keep_message(text)?;
        let (_, signs) = self.text(&["config", "--type=bool", "--get", "commit.gpgsign"])?;
        let mut args: Vec<&OsStr> = ["commit-tree", tree, "-p", parent, "-F"].into_iter().map(OsStr::new).collect();
        args.push(self.message.as_os_str());
        if signs == "true" {
            args.push(OsStr::new("-S"));
        }
        let ran = self.act(None, &args, &Deed { name: "", whole: true, started })?;
        if ran.ok { Ok(String::from_utf8_lossy(&ran.stdout).trim().to_owned()) } else { Err(self.explain(&ran).into()) }
    }

    /// Says why a commit was not made, with the words of git or the hook, and the next step.
    fn explain(&self, ran: &Ran) -> PortError {
        let said = ran.said();
        let has = |words: &str| said.contains(words);
        if has("cannot lock ref") {
            return moved();
        }
        let hint = if has("failed to sign") || has("gpg") && has("error:") {
            "signing failed, and nothing was landed; `git commit -S --allow-empty` in a terminal shows why"
        } else if has("tell me who you are") || has("user.email") || has("empty ident") {
            "nothing was landed; tell git who you are: `git config user.name` and `git config user.email`"
        } else {
            "nothing was landed; do what it says, and try again"
        };
        let said = if said.is_empty() { "it failed without a word" } else { &said };
        refused(format!("land: git made no commit: {said}"), hint)
    }

    /// Moves a branch that is at `from`, or removes it.
    pub(super) fn move_branch(&self, branch: &str, to: Option<&str>, from: &str, reason: &str) -> PortResult<()> {
        let name = format!("refs/heads/{branch}");
        let done = match to {
            Some(to) => self.must(None, &["update-ref", "-m", reason, &name, to, from], b""),
            None => self.must(None, &["update-ref", "-d", &name, from], b""),
        };
        done.map(|_| ()).map_err(|error| {
            refused(
                format!("move the branch {branch}: {}", error.message),
                "it may have moved on; look at it, and try again",
            )
        })
    }

    /// Points a branch at a commit, when it still is where it was; absent: when there is none of that name.
    pub(super) fn set_branch(&self, branch: &str, to: &str, from: Option<&str>, reason: &str) -> PortResult<()> {
        let none = "0".repeat(to.len());
        self.move_branch(branch, Some(to), from.unwrap_or(&none), reason)
    }

    /// Refuses what can be no branch's name.
    pub(super) fn check_branch_name(&self, branch: &str) -> PortResult<()> {
        let (ok, said) = self.text(&["check-ref-format", "--branch", branch])?;
        if ok && said == branch {
            return Ok(());
        }
        Err(refused(format!("land on the branch `{branch}`: that is no name for a branch"), "take another name"))
    }

    /// Returns the worktree that has the branch checked out.
    pub(super) fn checked_out(&self, branch: &str) -> PortResult<Option<String>> {
        let listed = self.must(None, &["worktree", "list", "--porcelain"], b"")?;
        let (wanted, mut place) = (format!("branch refs/heads/{branch}"), None);
        for line in String::from_utf8_lossy(&listed).lines() {
            match line.strip_prefix("worktree ") {
                Some(path) => place = Some(path.to_owned()),
                None if line == wanted => return Ok(place),
                None => {}
            }
        }
        Ok(None)
    }

    /// Returns a remote branch that has the commit, as far as was fetched.
    pub(super) fn remote_with(&self, commit: &str) -> PortResult<Option<String>> {
        let args = ["for-each-ref", "--contains", commit, "--count=1", "--format=%(refname:short)", "refs/remotes"];
        let (_, found) = self.text(&args)?;
        Ok(Some(found).filter(|found| !found.is_empty()))
    }
}
