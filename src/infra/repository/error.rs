//! What can go wrong with a repository, told so that the message names the thing and the next step.

use std::io;
use std::path::{Path, PathBuf};

/// A failed repository operation; messages read after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    #[error("find a git repository at {}: run `git init` there, or open a folder inside a repository", path.display())]
    NotARepository { path: PathBuf },
    #[error("use {}: it is a bare repository without files; open one of its worktrees (`git worktree add`)", path.display())]
    Bare { path: PathBuf },
    #[error("open the repository at {}: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },
    /// It is kept in a form that cannot be read here.
    #[error("open the repository at {}: {problem}", path.display())]
    Format { path: PathBuf, problem: &'static str, hint: &'static str },
    #[error("find a commit to start from in {}: it has no commits yet; make a first commit (`git commit`)", path.display())]
    NoCommits { path: PathBuf },
    #[error("read or write files of {}: {reason} needs the `git` program; install git or put it on PATH", path.display())]
    GitMissing { path: PathBuf, reason: String },
    #[error("run `git {command}`: {stderr}")]
    GitFailed { command: String, stderr: String },
    #[error("{action}: {source}")]
    Git { action: String, source: git2::Error },
    #[error("{action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("use the ref name `{name}`: only well-formed names under refs/ralph/ are ours to write")]
    InvalidRef { name: String },
    #[error("use `{glob}` to exclude files: {reason}")]
    InvalidGlob { glob: String, reason: String },
    #[error("record attempt {number} of `{key}`: it already stands for commit {existing}")]
    AttemptTaken { key: String, number: u32, existing: String },
}

impl RepositoryError {
    /// Says what was being done with a path when the operating system refused.
    pub(in crate::infra) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    /// Says what was being done when libgit2 refused.
    pub(in crate::infra) fn git(action: impl Into<String>) -> impl FnOnce(git2::Error) -> Self {
        let action = action.into();
        move |source| Self::Git { action, source }
    }
}
