//! Runs the `git` program where libgit2 cannot do the work, with nothing inherited that could redirect it.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::RepositoryError;

/// Variables that configure git without redirecting it; every other `GIT_*` variable is scrubbed.
const KEPT: [&str; 4] = ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH"];

/// Settings every call overrides: no hooks, no daemons, and an index format libgit2 reads as well.
const OVERRIDES: [&str; 8] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.splitIndex=false",
    "index.sparse=false",
    "index.version=2",
    "index.skipHash=false",
    "submodule.recurse=false",
];

/// One combination of git directory, files and index that commands are run on.
#[derive(Debug, Clone)]
pub(in crate::infra) struct GitBinary<'a> {
    pub program: &'a Path,
    pub git_dir: &'a Path,
    pub workdir: &'a Path,
    pub index: &'a Path,
    /// Whether the sparse patterns of `git_dir` apply to `workdir`.
    pub sparse: bool,
}

impl GitBinary<'_> {
    /// Runs a command that must succeed and returns what it printed.
    pub fn run(&self, args: &[&str], input: &[u8]) -> Result<Vec<u8>, RepositoryError> {
        let (success, output, stderr) = self.run_any(args, input)?;
        if success { Ok(output) } else { Err(failed(args, stderr)) }
    }

    /// Runs a command whose exit code is itself an answer; the flag says whether it was zero.
    pub fn run_any(&self, args: &[&str], input: &[u8]) -> Result<(bool, Vec<u8>, String), RepositoryError> {
        let mut command = Command::new(self.program);
        for (name, _) in std::env::vars_os() {
            if is_scrubbed(&name) {
                command.env_remove(&name);
            }
        }
        command
            .current_dir(self.workdir)
            .env("GIT_DIR", self.git_dir)
            .env("GIT_WORK_TREE", self.workdir)
            .env("GIT_INDEX_FILE", self.index)
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for setting in OVERRIDES {
            command.args(["-c", setting]);
        }
        if !self.sparse {
            command.args(["-c", "core.sparseCheckout=false"]);
        }
        let mut child = command.args(args).spawn().map_err(RepositoryError::io("start", self.program))?;
        let stdin = child.stdin.take();
        let output = std::thread::scope(|scope| {
            // Written beside the reading: git may answer before it has read everything. A broken pipe means git
            // ended early, which its exit code and stderr tell better.
            scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
            child.wait_with_output()
        })
        .map_err(RepositoryError::io("read the output of", self.program))?;
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if output.status.code().is_none_or(|code| code >= 128) {
            return Err(failed(args, stderr));
        }
        Ok((output.status.success(), output.stdout, stderr))
    }
}

/// Finds the `git` program on PATH.
pub(super) fn find_git() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("git")).find(|candidate| candidate.is_file())
}

/// Splits NUL-terminated output into its fields.
pub(in crate::infra) fn fields(output: &[u8]) -> impl Iterator<Item = &[u8]> {
    output.split(|byte| *byte == 0).filter(|field| !field.is_empty())
}

/// Joins paths, each ended by NUL, as `-z --stdin` expects them.
pub(in crate::infra) fn nul_terminated<'a>(paths: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut input = Vec::new();
    for path in paths {
        input.extend_from_slice(path);
        input.push(0);
    }
    input
}

fn is_scrubbed(name: &OsString) -> bool {
    name.as_encoded_bytes().starts_with(b"GIT_") && !KEPT.iter().any(|kept| name == OsStr::new(kept))
}

fn failed(args: &[&str], stderr: String) -> RepositoryError {
    RepositoryError::GitFailed { command: args.join(" "), stderr }
}
