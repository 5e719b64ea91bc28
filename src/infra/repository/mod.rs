//! The user's git repository: the only module, `slots` and `workshop` aside, that names git2 or starts `git`.
//!
//! In reading order: `preflight` says what stands in the way, `snapshot` takes what the user sees, `objects`, `diff`
//! and `merge` work on commits and trees, `refs` keeps things reachable, and `fingerprint` tells afterwards whether
//! anything of the user's was moved. `work_area` is the machinery below snapshots and slots: one folder, one private
//! index, libgit2 or the `git` program (`binary`), chosen once when the repository is opened.
//!
//! Nothing here writes the user's index, HEAD, branches, stash, hooks or configuration. All of it blocks.

pub(in crate::infra) mod binary;
mod diff;
mod error;
mod fingerprint;
pub(in crate::infra) mod lock;
mod merge;
pub(in crate::infra) mod objects;
mod preflight;
pub(in crate::infra) mod refs;
pub mod sample;
mod snapshot;
#[cfg(test)]
pub(in crate::infra) mod testing;
mod tracked;
pub(in crate::infra) mod work_area;

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use git2::{ErrorCode, RepositoryOpenFlags};

pub use diff::{ChangeKind, FileChange};
pub use error::RepositoryError;
pub use fingerprint::{CheckoutFingerprint, OutsideChange, OutsideKind, compare};
pub use merge::{MergeConflict, MergeOutcome};
pub use objects::BlobEntry;
pub use preflight::{PreflightKind, PreflightProblem};
pub use snapshot::{LeftOut, Snapshot, SnapshotRequest};

use preflight::Needs;

/// A commit's object name, 40 hexadecimal digits.
pub type CommitId = String;
/// A tree's object name, 40 hexadecimal digits.
pub type TreeId = String;

/// How the lock reason of every slot's worktree begins, which tells slots from the user's own worktrees.
pub(in crate::infra) const SLOT_LOCK_REASON: &str = "ralph-sidecar slot";

/// What HEAD of the user's checkout points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub commit: CommitId,
    /// The short name of the checked-out branch; none when HEAD is detached.
    pub branch: Option<String>,
}

/// One checkout of a repository; holds paths only and opens git afresh per call, so it is cheap to clone and share.
#[derive(Debug, Clone)]
pub struct Repository {
    workdir: PathBuf,
    git_dir: PathBuf,
    common_dir: PathBuf,
    needs: Needs,
}

impl Repository {
    /// Finds the repository that contains `path`, looking upwards, and decides once what it needs the `git`
    /// program for.
    ///
    /// # Errors
    /// [`RepositoryError::NotARepository`], [`RepositoryError::Bare`] or [`RepositoryError::Unreadable`]. A
    /// repository without commits opens.
    pub fn discover(path: &Path) -> Result<Self, RepositoryError> {
        let start = if path.is_file() { path.parent().unwrap_or(path) } else { path };
        if let Err(error) = std::fs::read_dir(start)
            && error.kind() == io::ErrorKind::PermissionDenied
        {
            return Err(unreadable(path, "permission denied; check who owns the folder"));
        }
        let handle = git2::Repository::open_ext(start, RepositoryOpenFlags::empty(), &[] as &[&OsStr])
            .map_err(|error| open_error(path, &error))?;
        let Some(workdir) = handle.workdir().filter(|_| !handle.is_bare()) else {
            return Err(RepositoryError::Bare { path: path.to_path_buf() });
        };
        let workdir = canonical(workdir)?;
        let git_dir = canonical(handle.path())?;
        let common_dir = canonical(handle.commondir())?;
        let needs = Needs::of(&handle, &workdir);
        Ok(Self { workdir, git_dir, common_dir, needs })
    }

    /// Returns the root of the user's files, absolute and without links.
    pub fn workdir(&self) -> &Path {
        &self.workdir
    }

    /// Returns the git directory of this checkout; in a linked worktree it lies below [`Self::common_dir`].
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// Returns the git directory all worktrees share; it identifies the repository.
    pub fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// Reads HEAD; none when there are no commits yet on the checked-out branch.
    pub fn head(&self) -> Result<Option<Head>, RepositoryError> {
        let handle = self.handle()?;
        let head = match handle.head() {
            Ok(head) => head,
            Err(error) if matches!(error.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => return Ok(None),
            Err(error) => return Err(RepositoryError::git("read HEAD")(error)),
        };
        let commit = head.peel_to_commit().map_err(RepositoryError::git("read the commit HEAD points at"))?;
        let branch = head.is_branch().then(|| String::from_utf8_lossy(head.shorthand_bytes()).into_owned());
        Ok(Some(Head { commit: commit.id().to_string(), branch }))
    }

    /// Reads the commit HEAD points at, where a base is needed.
    ///
    /// # Errors
    /// [`RepositoryError::NoCommits`] when there is none yet.
    pub fn base_commit(&self) -> Result<CommitId, RepositoryError> {
        match self.head()? {
            Some(head) => Ok(head.commit),
            None => Err(RepositoryError::NoCommits { path: self.workdir.clone() }),
        }
    }

    /// Reads the commit a branch points at, by its short name; none when there is no such branch.
    pub fn branch_tip(&self, branch: &str) -> Result<Option<CommitId>, RepositoryError> {
        let handle = self.handle()?;
        let failed = |error| RepositoryError::git(format!("read the branch {branch}"))(error);
        match handle.find_branch(branch, git2::BranchType::Local) {
            Ok(found) => Ok(Some(found.get().peel_to_commit().map_err(failed)?.id().to_string())),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Returns what a branch's log says about the commit, in git's words; none when the log does not have it.
    pub fn deed(&self, branch: &str, commit: &str) -> Result<Option<String>, RepositoryError> {
        let handle = self.handle()?;
        let failed = |error| RepositoryError::git(format!("read the log of {branch}"))(error);
        let log = handle.reflog(&format!("refs/heads/{branch}")).map_err(failed)?;
        let of_it = log.iter().find(|entry| entry.id_new().to_string() == commit);
        Ok(of_it.map(|entry| String::from_utf8_lossy(entry.message_bytes().unwrap_or_default()).into_owned()))
    }

    /// Returns the `git` program, if there is one.
    pub(in crate::infra) fn git_program(&self) -> Option<&Path> {
        self.needs.git.as_deref()
    }

    /// Opens the user's checkout.
    pub(in crate::infra) fn handle(&self) -> Result<git2::Repository, RepositoryError> {
        open_exactly(&self.git_dir)
    }

    /// Opens the shared repository with `workdir` as its files, whatever that folder's own `.git` says.
    pub(in crate::infra) fn handle_on(&self, workdir: &Path) -> Result<git2::Repository, RepositoryError> {
        let handle = open_exactly(&self.common_dir)?;
        handle.set_workdir(workdir, false).map_err(RepositoryError::git(format!("use {}", workdir.display())))?;
        Ok(handle)
    }
}

fn open_exactly(git_dir: &Path) -> Result<git2::Repository, RepositoryError> {
    let flags = RepositoryOpenFlags::NO_SEARCH | RepositoryOpenFlags::NO_DOTGIT;
    git2::Repository::open_ext(git_dir, flags, &[] as &[&OsStr]).map_err(|error| open_error(git_dir, &error))
}

fn open_error(path: &Path, error: &git2::Error) -> RepositoryError {
    match error.code() {
        ErrorCode::NotFound => RepositoryError::NotARepository { path: path.to_path_buf() },
        ErrorCode::Owner => unreadable(
            path,
            "it belongs to another user; `git config --global --add safe.directory <folder>` allows it",
        ),
        _ if error.message().contains("object format") => RepositoryError::Format {
            path: path.to_path_buf(),
            problem: "its objects are named by SHA-256, which ralph-sidecar cannot read",
            hint: "use one with SHA-1 names: in a repository made by `git init --object-format=sha1`, \
                   `git -C OLD fast-export --all | git fast-import` brings the history",
        },
        _ if error.message().contains("refstorage") => RepositoryError::Format {
            path: path.to_path_buf(),
            problem: "its refs are kept in a reftable, which ralph-sidecar cannot read",
            hint: "`git refs migrate --ref-format=files` there keeps them in files",
        },
        _ if error.message().contains("unsupported extension") => {
            unreadable(path, &format!("{}; this repository format is not supported", error.message()))
        }
        _ => unreadable(path, &format!("{}; `git status` there may say more", error.message())),
    }
}

fn unreadable(path: &Path, reason: &str) -> RepositoryError {
    RepositoryError::Unreadable { path: path.to_path_buf(), reason: reason.to_owned() }
}

fn canonical(path: &Path) -> Result<PathBuf, RepositoryError> {
    path.canonicalize().map_err(RepositoryError::io("resolve", path))
}

#[cfg(test)]
mod tests {
    use super::testing::Fixture;
    use super::*;

    #[test]
    fn a_repository_can_be_shared_between_threads() {
        fn shared<T: Send + Sync + Clone>() {}
        shared::<Repository>();
        shared::<crate::infra::slots::Slots>();
    }

    #[test]
    fn a_folder_outside_any_repository_is_named_with_the_next_step() {
        let folder = tempfile::tempdir().unwrap();
        let error = Repository::discover(folder.path()).unwrap_err();
        assert!(matches!(error, RepositoryError::NotARepository { .. }), "{error}");
        assert!(error.to_string().contains("git init"));
    }

    #[test]
    fn a_bare_repository_is_refused_but_its_worktree_opens() {
        let fixture = Fixture::with_commit(&[("a", "1\n")]);
        let bare = fixture.root().join("bare.git");
        fixture.git(&["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
        assert!(matches!(Repository::discover(&bare), Err(RepositoryError::Bare { .. })));
        let linked = fixture.root().join("linked");
        fixture.git_at(&bare, &["worktree", "add", "-q", linked.to_str().unwrap()]);
        let repository = Repository::discover(&linked).unwrap();
        assert_eq!(repository.common_dir(), bare.canonicalize().unwrap());
        assert_eq!(repository.head().unwrap().unwrap().branch.as_deref(), Some("linked"));
    }

    #[test]
    fn a_broken_repository_is_unreadable_not_missing() {
        let fixture = Fixture::with_commit(&[("a", "1\n")]);
        fixture.git(&["config", "core.repositoryformatversion", "1"]);
        fixture.git(&["config", "extensions.fromthefuture", "true"]);
        let error = Repository::discover(fixture.workdir()).unwrap_err();
        assert!(matches!(error, RepositoryError::Unreadable { .. }), "{error}");
    }

    #[test]
    fn a_repository_without_commits_opens_and_says_so_where_a_base_is_needed() {
        let fixture = Fixture::empty();
        let repository = fixture.repository();
        assert_eq!(repository.head().unwrap(), None);
        assert!(matches!(repository.base_commit(), Err(RepositoryError::NoCommits { .. })));
    }

    #[test]
    fn head_names_commit_and_branch_from_any_subfolder_and_linked_worktree() {
        let fixture = Fixture::with_commit(&[("sub/a", "1\n")]);
        let repository = Repository::discover(&fixture.workdir().join("sub")).unwrap();
        assert_eq!(repository.workdir(), fixture.workdir());
        let head = repository.head().unwrap().unwrap();
        assert_eq!(head, Head { commit: fixture.rev("HEAD"), branch: Some("main".to_owned()) });

        let linked = fixture.root().join("linked");
        fixture.git(&["worktree", "add", "-q", "--detach", linked.to_str().unwrap()]);
        let other = Repository::discover(&linked).unwrap();
        assert_eq!(other.common_dir(), repository.common_dir());
        assert_ne!(other.git_dir(), repository.git_dir());
        assert_eq!(other.workdir(), linked.canonicalize().unwrap());
        assert_eq!(other.head().unwrap().unwrap().branch, None);
    }
}
