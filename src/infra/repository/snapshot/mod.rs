//! Takes a commit of exactly what the user sees, without touching the checkout or the user's index.
//!
//! What is tracked comes from the user's index, what it contains from the files: so staged and unstaged changes,
//! deletions and untracked files are all in, and ignored files are not. The private index keeps what was hashed,
//! so the next snapshot reads only what changed since.

mod cache;
mod select;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use git2::IndexEntry;
use serde::{Deserialize, Serialize};

use super::lock::lock_file;
use super::objects::{changed_paths, commit_tree, find_tree};
use super::work_area::{WorkArea, bare_entry, lossy, to_path, with_suffix};
use super::{CommitId, Head, Repository, RepositoryError, TreeId};
use cache::Cache;
use select::Selection;

/// What to take, and where the private index lives.
#[derive(Debug, Clone)]
pub struct SnapshotRequest {
    /// The private index, kept between calls; one per checkout, outside it.
    pub index_path: PathBuf,
    /// Unsaved editor buffers: path relative to the checkout, and the bytes a save would write.
    pub overlays: Vec<(String, Vec<u8>)>,
    /// Untracked files larger than this many bytes are left out.
    pub max_untracked_bytes: u64,
    /// With more untracked files than this, the fullest folders are left out until the rest fits.
    pub max_untracked_files: usize,
    /// Globs of paths that stay as the user's index has them, and are not added when untracked.
    pub exclude: Vec<String>,
    /// The commit's time in seconds, UTC.
    pub unix_time: i64,
}

impl SnapshotRequest {
    /// A request with the usual limits: 10 MB per untracked file, 10,000 of them, nothing excluded.
    pub fn new(index_path: impl Into<PathBuf>, unix_time: i64) -> Self {
        Self {
            index_path: index_path.into(),
            overlays: Vec::new(),
            max_untracked_bytes: 10 * 1024 * 1024,
            max_untracked_files: 10_000,
            exclude: Vec::new(),
            unix_time,
        }
    }
}

/// A path that is not in a snapshot or commit although it is there and not ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    pub path: String,
    pub reason: String,
}

/// What the user saw at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// HEAD itself when nothing is uncommitted; otherwise a commit on top of it that no ref reaches yet.
    pub commit: CommitId,
    pub tree: TreeId,
    pub head: Option<Head>,
    /// Paths that differ from HEAD, sorted.
    pub uncommitted: Vec<String>,
    /// What was left out, sorted by path; files below `.ralph/` are left out without being named.
    pub left_out: Vec<LeftOut>,
}

impl Repository {
    /// Takes a snapshot of the checkout. The caller makes its commit reachable with [`Repository::set_ref`].
    ///
    /// # Errors
    /// [`RepositoryError::GitMissing`] where the files need the `git` program and there is none.
    pub fn snapshot(&self, request: &SnapshotRequest) -> Result<Snapshot, RepositoryError> {
        let _lock = lock_file(&with_suffix(&request.index_path, ".lock-file"))?;
        match self.snapshot_with_cache(request) {
            Ok(snapshot) if self.is_complete(&snapshot)? => Ok(snapshot),
            // `git gc` may have removed what only the private index remembers: hash everything again.
            _ => {
                Cache::discard(&request.index_path);
                self.snapshot_with_cache(request)
            }
        }
    }

    fn snapshot_with_cache(&self, request: &SnapshotRequest) -> Result<Snapshot, RepositoryError> {
        let mut selection = Selection::new(request)?;
        let cache = Cache::load(&request.index_path);
        let (mut area, mut record) = cache::open_area(self, &request.index_path, &cache)?;

        let changes = area.scan()?;
        let (tracked, untracked) = selection.split(&area, changes);
        let mut unknown: Vec<&[u8]> = Vec::new();
        for path in tracked.iter().chain(&untracked) {
            match cache.entry(&area, path) {
                Some(entry) => add(&mut area, &entry)?,
                None => unknown.push(path),
            }
        }
        for (path, reason) in area.stage(&unknown)? {
            selection.leave_out(&lossy(&path), &reason);
        }
        record.untracked = untracked.iter().map(|path| path.to_vec()).collect();
        record.save(&request.index_path)?;

        self.add_overlays(&mut area, request, &mut selection)?;
        let tree = area.write_tree()?;
        let head = self.head()?;
        let (commit, uncommitted) = describe(&area, &tree, head.as_ref(), request.unix_time)?;
        Ok(Snapshot { commit, tree, head, uncommitted, left_out: selection.into_left_out() })
    }

    /// Whether every file the snapshot adds to HEAD is stored.
    fn is_complete(&self, snapshot: &Snapshot) -> Result<bool, RepositoryError> {
        let handle = self.handle()?;
        let odb = handle.odb().map_err(RepositoryError::git("open the object store"))?;
        let tree = find_tree(&handle, &snapshot.tree)?;
        Ok(snapshot.uncommitted.iter().all(|path| {
            tree.get_path(to_path(path.as_bytes()))
                .map_or(true, |entry| entry.kind() == Some(git2::ObjectType::Commit) || odb.exists(entry.id()))
        }))
    }

    /// Puts unsaved buffers into the index in memory; the index on disk keeps describing the files on disk.
    fn add_overlays(
        &self,
        area: &mut WorkArea<'_>,
        request: &SnapshotRequest,
        selection: &mut Selection,
    ) -> Result<(), RepositoryError> {
        for (path, bytes) in &request.overlays {
            let existing = area.entry(path.as_bytes());
            if !selection.takes_overlay(area, path, existing.as_ref()) {
                continue;
            }
            let blob = write_buffer(area, path, bytes)?;
            let mode = existing.map_or(0o100_644, |entry| entry.mode);
            add(area, &bare_entry(path.as_bytes(), blob, mode))?;
        }
        Ok(())
    }
}

/// Names the commit that stands for `tree`, and what differs from HEAD.
fn describe(
    area: &WorkArea<'_>,
    tree: &str,
    head: Option<&Head>,
    unix_time: i64,
) -> Result<(CommitId, Vec<String>), RepositoryError> {
    let Some(head) = head else {
        let all = area.index.iter().map(|entry| lossy(&entry.path)).collect();
        return Ok((commit_tree(&area.handle, tree, &[], "Start point", unix_time)?, all));
    };
    let head_tree = find_tree(&area.handle, &head.commit)?;
    let uncommitted: Vec<String> = changed_paths(&area.handle, &head_tree, &find_tree(&area.handle, tree)?)?
        .iter()
        .map(|path| lossy(path))
        .collect();
    if uncommitted.is_empty() {
        return Ok((head.commit.clone(), uncommitted));
    }
    let parents = [head.commit.clone()];
    Ok((commit_tree(&area.handle, tree, &parents, "Start point: uncommitted work", unix_time)?, uncommitted))
}

/// Stores a buffer as saving and adding the file would, line endings and filters included.
fn write_buffer(area: &WorkArea<'_>, path: &str, bytes: &[u8]) -> Result<git2::Oid, RepositoryError> {
    let action = || format!("store the unsaved text of {path}");
    if let Some(git) = area.git() {
        let output = git.run(&["hash-object", "-w", "--stdin", "--path", path], bytes)?;
        let name = String::from_utf8_lossy(&output).trim().to_owned();
        return git2::Oid::from_str(&name).map_err(RepositoryError::git(action()));
    }
    let mut writer = area.handle.blob_writer(Some(to_path(path.as_bytes()))).map_err(RepositoryError::git(action()))?;
    std::io::Write::write_all(&mut writer, bytes)
        .map_err(RepositoryError::io("store the unsaved text of", to_path(path.as_bytes())))?;
    writer.commit().map_err(RepositoryError::git(action()))
}

fn add(area: &mut WorkArea<'_>, entry: &IndexEntry) -> Result<(), RepositoryError> {
    area.index.add(entry).map_err(RepositoryError::git(format!("stage {}", lossy(&entry.path))))
}
