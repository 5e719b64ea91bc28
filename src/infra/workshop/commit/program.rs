//! Runs `git` as the user would in their checkout: with their configuration, hooks, identity and signing.

use super::{moved, refused};
use crate::engine::ports::{PortError, PortResult};
use crate::infra::workshop::Inside;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Variables that say who commits; every other `GIT_*` variable that could redirect git is scrubbed, for the engine may
/// have been started from a hook.
const KEPT: [&str; 5] =
    ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "GIT_EXEC_PATH"];

/// An index of our own is whole and plain, whatever the user's is like.
const PLAIN_INDEX: [&str; 6] =
    ["-c", "core.splitIndex=false", "-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false"];

/// How much of what a hook printed is told.
const TOLD: usize = 4000;

/// The `git` program in the user's checkout.
pub(super) struct UserGit<'a> {
    program: &'a Path,
    workdir: &'a Path,
    /// Where messages are written for it.
    message: PathBuf,
}

struct Ran {
    ok: bool,
    stdout: Vec<u8>,
    stderr: String,
}

impl<'a> UserGit<'a> {
    pub(super) fn new(inside: &'a Inside) -> PortResult<Self> {
        let program = inside.repository.git_program().ok_or_else(|| {
            refused("land: commits are made by the `git` program".to_owned(), "install git, or put it on PATH")
        })?;
        let message = inside.index.with_file_name("landing.message");
        Ok(Self { program, workdir: inside.repository.workdir(), message })
    }

    fn run(&self, index: Option<&Path>, parsed: bool, args: &[&OsStr], input: &[u8]) -> PortResult<Ran> {
        let failed = |error: std::io::Error| PortError::new(format!("run {}: {error}", self.program.display()));
        let mut command = Command::new(self.program);
        for (name, _) in std::env::vars_os() {
            let bytes = name.as_encoded_bytes();
            let kept = bytes.starts_with(b"GIT_CONFIG_") || KEPT.iter().any(|kept| name == OsStr::new(kept));
            if bytes.starts_with(b"GIT_") && !kept {
                command.env_remove(&name);
            }
        }
        command
            .current_dir(self.workdir)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_EDITOR", ":")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if parsed {
            // Not where hooks run, which have patterns of their own.
            command.env("LC_ALL", "C").env("GIT_LITERAL_PATHSPECS", "1");
        }
        if let Some(index) = index {
            command.env("GIT_INDEX_FILE", index).args(PLAIN_INDEX);
        }
        let mut child = command.args(args).spawn().map_err(failed)?;
        let stdin = child.stdin.take();
        let output = std::thread::scope(|scope| {
            // Beside the reading, for git may answer before it has read everything; a broken pipe tells less than its end.
            scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
            child.wait_with_output()
        })
        .map_err(failed)?;
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Ok(Ran { ok: output.status.success(), stdout: output.stdout, stderr })
    }

    /// Runs a command that must succeed, on an index of our own or the user's.
    pub(super) fn must(&self, index: Option<&Path>, args: &[&str], input: &[u8]) -> PortResult<Vec<u8>> {
        let words: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        let ran = self.run(index, true, &words, input)?;
        if ran.ok {
            Ok(ran.stdout)
        } else {
            Err(PortError::new(format!("run `git {}`: {}", args.join(" "), ran.stderr)))
        }
    }

    fn text(&self, args: &[&str]) -> PortResult<(bool, String)> {
        let words: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        let ran = self.run(None, true, &words, b"")?;
        Ok((ran.ok, String::from_utf8_lossy(&ran.stdout).trim().to_owned()))
    }

    fn keep_message(&self, text: &str) -> PortResult<()> {
        std::fs::write(&self.message, text)
            .map_err(|error| PortError::new(format!("write {}: {error}", self.message.display())))
    }

    /// Commits what an index of our own holds on HEAD, with hooks.
    pub(super) fn commit(&self, index: &Path, text: &str) -> PortResult<()> {
        self.keep_message(text)?;
        let args = [OsStr::new("commit"), OsStr::new("--quiet"), OsStr::new("--file"), self.message.as_os_str()];
        let ran = self.run(Some(index), false, &args, b"")?;
        if ran.ok { Ok(()) } else { Err(self.explain(&ran)) }
    }

    /// Makes a commit that no branch has yet. No hooks run; it is signed where the configuration says so.
    pub(super) fn commit_tree(&self, tree: &str, parent: &str, text: &str) -> PortResult<String> {
        self.keep_message(text)?;
        let (_, signs) = self.text(&["config", "--type=bool", "--get", "commit.gpgsign"])?;
        let mut args: Vec<&OsStr> = ["commit-tree", tree, "-p", parent, "-F"].into_iter().map(OsStr::new).collect();
        args.push(self.message.as_os_str());
        if signs == "true" {
            args.push(OsStr::new("-S"));
        }
        let ran = self.run(None, false, &args, b"")?;
        if ran.ok { Ok(String::from_utf8_lossy(&ran.stdout).trim().to_owned()) } else { Err(self.explain(&ran)) }
    }

    /// Says why a commit was not made, with the words of git or the hook, and the next step.
    fn explain(&self, ran: &Ran) -> PortError {
        let said = format!("{}\n{}", String::from_utf8_lossy(&ran.stdout).trim(), ran.stderr);
        let said = said.trim();
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
        let start = said.char_indices().rev().nth(TOLD).map_or(0, |(at, _)| at);
        let said = if said.is_empty() { "it failed without a word" } else { &said[start..] };
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
