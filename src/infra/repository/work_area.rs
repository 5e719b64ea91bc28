//! One folder of files seen through one private index: what differs, staging it, and writing its tree.
//!
//! The private index starts from what is tracked and doubles as the stat cache that makes the next look cheap. It
//! is never the index git itself uses, and the folder's own `.git` is never read: git directory, files and index
//! are named explicitly. libgit2 does the work; where the repository needs filters or sparse patterns, the `git`
//! program finds and stages changes on the same index file.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use git2::{Delta, DiffOptions, ErrorCode, Index, IndexEntry, IndexTime};

use super::binary::{GitBinary, fields, nul_terminated};
use super::{Repository, RepositoryError, TreeId};

/// The mode of an entry that stands for a submodule's commit.
pub(in crate::infra) const GITLINK: u32 = 0o160_000;

/// How a path differs from the private index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::infra) enum Difference {
    /// Tracked, with other content, mode or type.
    Written,
    /// Tracked, gone.
    Deleted,
    /// Neither tracked nor ignored.
    Untracked,
    /// A folder with a `.git` of its own, neither tracked nor ignored; the path has no final slash.
    Nested,
}

/// One path that differs; bytes, because file names need not be UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::infra) struct Change {
    pub path: Vec<u8>,
    pub difference: Difference,
}

/// What is below a nested repository.
#[derive(Debug, Default)]
pub(in crate::infra) struct Below {
    /// Files and links that are not ignored, sorted.
    pub files: Vec<Vec<u8>>,
    /// Folders that cannot be read.
    pub unreadable: Vec<Vec<u8>>,
}

/// A folder, the git directory that owns its objects, and its private index.
pub(in crate::infra) struct WorkArea<'r> {
    pub repository: &'r Repository,
    pub handle: git2::Repository,
    pub index: Index,
    workdir: PathBuf,
    index_path: PathBuf,
}

impl<'r> WorkArea<'r> {
    /// Joins an opened repository with the private index at `index_path`, which is empty if the file is missing
    /// and rebuilt from nothing if it is damaged: it is only a cache.
    pub fn open(
        repository: &'r Repository,
        handle: git2::Repository,
        workdir: &Path,
        index_path: &Path,
    ) -> Result<Self, RepositoryError> {
        if let Some(reason) = repository.needs.binary_reason()
            && repository.needs.git.is_none()
        {
            return Err(RepositoryError::GitMissing { path: workdir.to_path_buf(), reason });
        }
        if let Some(folder) = index_path.parent() {
            fs::create_dir_all(folder).map_err(RepositoryError::io("create", folder))?;
        }
        // A lock of a killed predecessor: the index is private and its users are serialised above, so nobody holds it.
        let _ = fs::remove_file(with_suffix(index_path, ".lock"));
        let index = match Index::open(index_path) {
            Ok(index) => index,
            Err(_) => {
                fs::remove_file(index_path).map_err(RepositoryError::io("remove", index_path))?;
                Index::open(index_path).map_err(RepositoryError::git("create a private index"))?
            }
        };
        let mut area =
            Self { repository, handle, index, workdir: workdir.to_path_buf(), index_path: index_path.to_path_buf() };
        area.attach()?;
        Ok(area)
    }

    /// Lists what differs from the private index, sorted by path; also refreshes the index's stat cache.
    /// Submodules' own changes are not listed.
    pub fn scan(&mut self) -> Result<Vec<Change>, RepositoryError> {
        let mut changes = if self.git().is_some() { self.scan_binary()? } else { self.scan_library()? };
        changes.sort_by(|left, right| left.path.cmp(&right.path));
        changes.dedup();
        Ok(changes)
    }

    /// Puts the present state of the given paths into the index, in memory and on disk; a path that is gone is
    /// removed from it. Filters and line endings are honoured as `git add` does; ignore rules are not asked.
    /// Returns the paths git accepts in no tree, such as `git~1`, with the reason.
    pub fn stage(&mut self, paths: &[&[u8]]) -> Result<Vec<(Vec<u8>, String)>, RepositoryError> {
        let mut refused = Vec::new();
        if !paths.is_empty() && self.git().is_some() {
            self.on_disk(|git| {
                let args = ["update-index", "-z", "--add", "--remove", "--replace", "--stdin"];
                git.run(&args, &nul_terminated(paths.iter().copied())).map(drop)
            })?;
            return Ok(refused);
        }
        for path in paths {
            if let Err(error) = self.stage_one(path) {
                if !error.message().starts_with("invalid path") {
                    return Err(RepositoryError::git(format!("stage {}", lossy(path)))(error));
                }
                refused.push((path.to_vec(), "git accepts no such name".to_owned()));
            }
        }
        self.write()?;
        Ok(refused)
    }

    /// Takes a path out of the index in memory; the file stays.
    pub fn forget(&mut self, path: &[u8]) -> Result<(), RepositoryError> {
        self.index.remove_path(to_path(path)).map_err(RepositoryError::git(format!("unstage {}", lossy(path))))
    }

    /// Writes the index to its file.
    pub fn write(&mut self) -> Result<(), RepositoryError> {
        self.index.write().map_err(RepositoryError::git(format!("write {}", self.index_path.display())))
    }

    /// Writes the tree the index stands for.
    pub fn write_tree(&mut self) -> Result<TreeId, RepositoryError> {
        let tree = self.index.write_tree_to(&self.handle).map_err(RepositoryError::git("write a tree"))?;
        Ok(tree.to_string())
    }

    /// Makes the index stand for `tree`, keeping what is cached about entries that stay the same.
    pub fn read_tree(&mut self, tree: &git2::Tree<'_>) -> Result<(), RepositoryError> {
        self.index.read_tree(tree).map_err(RepositoryError::git("read a tree into the private index"))
    }

    /// Reads the index again after its file was replaced or written by the `git` program.
    pub fn reload(&mut self) -> Result<(), RepositoryError> {
        self.index = Index::open(&self.index_path).map_err(RepositoryError::git("read the private index"))?;
        self.attach()
    }

    /// Returns the `git` program set up on this folder and index, if this repository needs it.
    pub fn git(&self) -> Option<GitBinary<'_>> {
        self.repository.needs.binary_reason().and_then(|_| self.any_git())
    }

    /// Returns the `git` program set up on this folder and index, if there is one.
    pub fn any_git(&self) -> Option<GitBinary<'_>> {
        let program = self.repository.needs.git.as_deref()?;
        let sparse = self.repository.needs.sparse && self.workdir == self.repository.workdir;
        let git_dir = self.handle.path();
        Some(GitBinary { program, git_dir, workdir: &self.workdir, index: &self.index_path, sparse })
    }

    /// Writes the index, lets `work` change it through the `git` program, and reads it again.
    pub fn on_disk(
        &mut self,
        work: impl FnOnce(&GitBinary<'_>) -> Result<(), RepositoryError>,
    ) -> Result<(), RepositoryError> {
        self.write()?;
        if let Some(git) = self.any_git() {
            work(&git)?;
        }
        self.reload()
    }

    pub fn workdir(&self) -> &Path {
        &self.workdir
    }

    /// The absolute path of a file of this folder.
    pub fn absolute(&self, path: &[u8]) -> PathBuf {
        self.workdir.join(to_path(path))
    }

    /// The entry of a path in the index, conflicts aside.
    pub fn entry(&self, path: &[u8]) -> Option<IndexEntry> {
        // Asking git2 for a path that leaves the folder panics.
        if is_inside(path) { self.index.get_path(to_path(path), 0) } else { None }
    }

    /// Lists what is below a nested repository, without its `.git`. Links are listed as links.
    pub fn below(&self, nested: &[u8]) -> Below {
        let (mut below, mut pending) = (Below::default(), vec![nested.to_vec()]);
        while let Some(folder) = pending.pop() {
            let Ok(entries) = fs::read_dir(self.absolute(&folder)) else {
                below.unreadable.push(folder);
                continue;
            };
            for entry in entries.flatten() {
                let name = entry.file_name();
                let path = [&folder, b"/".as_slice(), name.as_bytes()].concat();
                let Ok(kind) = entry.file_type() else { continue };
                if name == ".git" || self.is_ignored(&path, kind.is_dir()) {
                    continue;
                }
                if kind.is_dir() {
                    pending.push(path);
                } else if kind.is_file() || kind.is_symlink() {
                    below.files.push(path);
                }
            }
        }
        below.files.sort();
        below
    }

    /// Whether ignore rules cover a path.
    pub fn is_ignored(&self, path: &[u8], folder: bool) -> bool {
        let asked = if folder { [path, b"/"].concat() } else { path.to_vec() };
        self.handle.is_path_ignored(to_path(&asked)).unwrap_or(false)
    }

    fn attach(&mut self) -> Result<(), RepositoryError> {
        self.handle.set_index(&mut self.index).map_err(RepositoryError::git("use the private index"))
    }

    fn stage_one(&mut self, path: &[u8]) -> Result<(), git2::Error> {
        let present = fs::symlink_metadata(self.absolute(path)).is_ok_and(|metadata| !metadata.is_dir());
        if present {
            match self.index.add_path(to_path(path)) {
                // Gone between looking and reading: its deletion is what there is to stage.
                Err(error) if error.code() == ErrorCode::NotFound => {}
                added => return added,
            }
        }
        self.index.remove_path(to_path(path))
    }

    fn scan_library(&mut self) -> Result<Vec<Change>, RepositoryError> {
        // Refreshing writes the index file, which must not bring back entries dropped in memory only.
        self.write()?;
        let mut options = DiffOptions::new();
        options
            .include_untracked(true)
            .recurse_untracked_dirs(true)
            .include_typechange(true)
            .include_unreadable(true)
            .ignore_submodules(true)
            .skip_binary_check(true)
            .update_index(true);
        let diff = self
            .handle
            .diff_index_to_workdir(Some(&self.index), Some(&mut options))
            .map_err(RepositoryError::git(format!("look for changes in {}", self.workdir.display())))?;
        let mut changes = Vec::new();
        for delta in diff.deltas() {
            let Some(path) = delta.new_file().path_bytes().or_else(|| delta.old_file().path_bytes()) else { continue };
            match delta.status() {
                Delta::Untracked | Delta::Added => self.push_untracked(path, &mut changes),
                Delta::Deleted => changes.push(Change { path: path.to_vec(), difference: Difference::Deleted }),
                Delta::Modified | Delta::Typechange | Delta::Conflicted | Delta::Renamed | Delta::Unreadable => {
                    self.push_tracked(path, &mut changes);
                }
                Delta::Unmodified | Delta::Copied | Delta::Ignored => {}
            }
        }
        Ok(changes)
    }

    fn scan_binary(&mut self) -> Result<Vec<Change>, RepositoryError> {
        let mut tracked = Vec::new();
        let mut untracked = Vec::new();
        self.on_disk(|git| {
            // A non-zero exit only says that something differs.
            git.run_any(&["update-index", "-q", "--refresh"], &[])?;
            let args = ["diff-files", "-z", "--name-only", "--no-renames", "--ignore-submodules=all"];
            tracked = git.run(&args, &[])?;
            untracked = git.run(&["ls-files", "-z", "--others", "--exclude-standard"], &[])?;
            Ok(())
        })?;
        let mut changes = Vec::new();
        for path in fields(&tracked) {
            self.push_tracked(path, &mut changes);
        }
        for path in fields(&untracked) {
            self.push_untracked(path, &mut changes);
        }
        Ok(changes)
    }

    fn push_untracked(&self, path: &[u8], changes: &mut Vec<Change>) {
        let (path, difference) = match path.strip_suffix(b"/") {
            Some(folder) => (folder, Difference::Nested),
            None => (path, Difference::Untracked),
        };
        changes.push(Change { path: path.to_vec(), difference });
    }

    /// Adds a tracked path that differs; where a folder with its own `.git` took its place, both are told.
    fn push_tracked(&self, path: &[u8], changes: &mut Vec<Change>) {
        let mut push = |difference| changes.push(Change { path: path.to_vec(), difference });
        match fs::symlink_metadata(self.absolute(path)) {
            Ok(metadata) if metadata.is_dir() => {
                if self.entry(path).is_none_or(|entry| entry.mode != GITLINK) {
                    push(Difference::Deleted);
                    if fs::symlink_metadata(self.absolute(path).join(".git")).is_ok() {
                        push(Difference::Nested);
                    }
                }
            }
            Ok(_) => push(Difference::Written),
            Err(_) => push(Difference::Deleted),
        }
    }
}

/// A path of git's as one of the operating system's.
pub(in crate::infra) fn to_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

/// A path of git's as text, for people; names that are not UTF-8 lose the bytes that are not.
pub(in crate::infra) fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// Whether a path is relative, stays inside its folder and names nothing of git's own.
pub(in crate::infra) fn is_inside(path: &[u8]) -> bool {
    !path.is_empty()
        && !path.contains(&0)
        && path
            .split(|byte| *byte == b'/')
            .all(|part| !part.is_empty() && part != b"." && part != b".." && !part.eq_ignore_ascii_case(b".git"))
}

/// `path` with something appended to its last name.
pub(in crate::infra) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// An entry about which nothing is cached, so that the next look reads the file.
pub(in crate::infra) fn bare_entry(path: &[u8], id: git2::Oid, mode: u32) -> IndexEntry {
    let never = IndexTime::new(0, 0);
    IndexEntry {
        ctime: never,
        mtime: never,
        dev: 0,
        ino: 0,
        mode,
        uid: 0,
        gid: 0,
        file_size: 0,
        id,
        flags: 0,
        flags_extended: 0,
        path: path.to_vec(),
    }
}
