//! Brings the user's index up to a commit of ours: what was as in the last commit is as in the new one, what was staged
//! keeps what was staged with the commit's changes below it, and everything else keeps its entry.

use super::plan::{Layered, Plan};
use super::program::UserGit;
use super::refused;
use crate::engine::ports::{LandPart, PortError, PortResult};
use crate::infra::repository::BlobEntry;
use crate::infra::repository::binary::fields;
use crate::infra::workshop::Inside;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long another git command is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Stands for the object of an entry that goes.
const NONE: &str = "0000000000000000000000000000000000000000";

/// An entry that changes; absent where there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct IndexChange {
    path: String,
    before: Option<BlobEntry>,
    after: Option<BlobEntry>,
}

impl IndexChange {
    pub(super) fn reversed(&self) -> Self {
        Self { path: self.path.clone(), before: self.after.clone(), after: self.before.clone() }
    }
}

/// What an index says; a file that is only meant to be added counts as absent.
struct Entries {
    known: BTreeMap<String, BlobEntry>,
    unmerged: BTreeSet<String>,
}

impl Entries {
    fn read(inside: &Inside, git: &UserGit<'_>, index: Option<&Path>) -> PortResult<Self> {
        let place = index.map_or_else(|| inside.repository.git_dir().join("index"), Path::to_path_buf);
        let intended = inside.repository.intended_files(&place);
        let listed = git.must(index, &["ls-files", "--stage", "-z"], b"")?;
        let (mut known, mut unmerged) = (BTreeMap::new(), BTreeSet::new());
        for line in fields(&listed) {
            let line = String::from_utf8_lossy(line);
            let Some((about, path)) = line.split_once('\t') else { continue };
            let mut words = about.split(' ');
            let (Some(mode), Some(id), Some(stage)) = (words.next(), words.next(), words.next()) else { continue };
            let mode = u32::from_str_radix(mode, 8)
                .map_err(|error| PortError::new(format!("understand the index at {path}: {error}")))?;
            if stage != "0" {
                unmerged.insert(path.to_owned());
            } else if !intended.contains(path) {
                known.insert(path.to_owned(), BlobEntry { id: id.to_owned(), mode });
            }
        }
        Ok(Self { known, unmerged })
    }
}

/// What becomes of entries that are staged otherwise than the last commit has them.
pub(super) struct Staged(BTreeMap<String, IndexChange>);

impl Staged {
    /// Makes it of what [`Self::list`] returned.
    pub(super) fn of(changes: Vec<IndexChange>) -> Self {
        Self(changes.into_iter().map(|change| (change.path.clone(), change)).collect())
    }

    /// Returns it as a list, to be kept.
    pub(super) fn list(&self) -> Vec<IndexChange> {
        self.0.values().cloned().collect()
    }

    /// Puts the accepted hunks into what is staged as well, so that the commit does not show there as taken back.
    ///
    /// # Errors
    ///
    /// When they do not fit what is staged, or a file of the commit is unmerged.
    pub(super) fn plan(inside: &Inside, git: &UserGit<'_>, plan: &Plan, parts: &[LandPart]) -> PortResult<Self> {
        let entries = Entries::read(inside, git, None)?;
        if let Some((path, _)) = plan.entries.iter().find(|(path, _)| entries.unmerged.contains(path)) {
            return Err(refused(format!("land {path}: it has conflicts that are not resolved"), "resolve them first"));
        }
        let mut own = BTreeMap::new();
        for (path, planned) in &plan.entries {
            let staged = entries.known.get(path);
            if staged != planned.as_ref() && staged != inside.repository.entry(&plan.parent, path)?.as_ref() {
                own.insert(path.clone(), IndexChange { path: path.clone(), before: staged.cloned(), after: None });
            }
        }
        if own.is_empty() {
            return Ok(Self(own));
        }
        let below = |path: &str| Ok(entries.known.get(path).cloned());
        let files = Layered::new(inside, &below);
        plan.repeat(inside, parts, &files, "what you have staged").map_err(|error| {
            let hint = "commit what is staged first, or unstage it (`git restore --staged FILE`)";
            PortError { hint: Some(hint.to_owned()), ..error }
        })?;
        for change in own.values_mut() {
            change.after = files.entry_of(&files.read(&change.path)?)?;
        }
        Ok(Self(own))
    }

    /// Returns what lets the user's index follow from one commit to the next.
    pub(super) fn changes(
        mut self,
        inside: &Inside,
        from: &str,
        to: &str,
        paths: &[String],
    ) -> PortResult<Vec<IndexChange>> {
        let mut changes = Vec::new();
        for path in paths {
            let entry = |commit: &str| inside.repository.entry(commit, path);
            changes.push(match self.0.remove(path) {
                Some(own) => own,
                None => IndexChange { path: path.clone(), before: entry(from)?, after: entry(to)? },
            });
        }
        Ok(changes)
    }
}

/// As [`change`], where some of it may have been done before; what is there already counts as changed by this.
pub(super) fn bring_up(inside: &Inside, git: &UserGit<'_>, changes: &[IndexChange]) -> PortResult<Vec<IndexChange>> {
    let there = Entries::read(inside, git, None)?;
    let is_there = |change: &&IndexChange| there.known.get(&change.path) == change.after.as_ref();
    let (mut done, rest): (Vec<IndexChange>, Vec<IndexChange>) =
        changes.iter().cloned().partition(|change| is_there(&change));
    done.extend(change(inside, git, &rest)?);
    Ok(done)
}

/// Changes the entries that are as `before` says, all at once, and returns those; others are left as they are.
///
/// # Errors
///
/// When another git command holds the index for long, or it cannot be written; then it is as it was.
pub(super) fn change(inside: &Inside, git: &UserGit<'_>, changes: &[IndexChange]) -> PortResult<Vec<IndexChange>> {
    let place = inside.repository.git_dir().join("index");
    if !place.exists() || changes.is_empty() {
        return Ok(Vec::new());
    }
    let lock = Lock::take(&place)?;
    let copy = copy(inside, "landed.index")?;
    let entries = Entries::read(inside, git, Some(&copy))?;
    let fits = |change: &&IndexChange| {
        !entries.unmerged.contains(&change.path) && entries.known.get(&change.path) == change.before.as_ref()
    };
    let fitting: Vec<IndexChange> = changes.iter().filter(fits).cloned().collect();
    if fitting.is_empty() {
        return Ok(fitting);
    }
    let mut lines = Vec::new();
    // Those that go first: a folder may become a file.
    for gone in [true, false] {
        for change in fitting.iter().filter(|change| change.after.is_none() == gone) {
            let (mode, id) = match &change.after {
                Some(entry) => (entry.mode, entry.id.clone()),
                None => (0, NONE.to_owned()),
            };
            lines.extend_from_slice(format!("{mode:o} {id}\t{}\0", change.path).as_bytes());
        }
    }
    git.must(Some(&copy), &["update-index", "-z", "--index-info"], &lines)?;
    let there = fitting.iter().filter(|change| change.after.is_some());
    let paths: Vec<u8> = there.flat_map(|change| change.path.bytes().chain([0])).collect();
    // Only so that `git status` need not read the files: what cannot be refreshed is no matter.
    let refresh = ["add", "--refresh", "--pathspec-from-file=-", "--pathspec-file-nul"];
    if let Err(error) = git.must(Some(&copy), &refresh, &paths) {
        tracing::debug!(%error, "the index was not refreshed");
    }
    let bytes = std::fs::read(&copy).map_err(|error| unwritten(&copy, &error))?;
    lock.publish(&bytes)?;
    let _ = std::fs::remove_file(&copy);
    Ok(fitting)
}

/// Waits until no other git command has the user's index.
///
/// # Errors
///
/// When one has it for long.
pub(super) fn free(inside: &Inside) -> PortResult<()> {
    let place = inside.repository.git_dir().join("index");
    if place.exists() { Lock::take(&place).map(drop) } else { Ok(()) }
}

/// Makes an index of our own that holds the tree; what it knows about unchanged files comes from the user's.
pub(super) fn private(inside: &Inside, git: &UserGit<'_>, tree: &str) -> PortResult<PathBuf> {
    let copied = copy(inside, "landing.index")?;
    let read = ["read-tree", "--reset", tree];
    if git.must(Some(&copied), &read, b"").is_err() {
        // An index that cannot be read is not needed, only quicker.
        let _ = std::fs::remove_file(&copied);
        git.must(Some(&copied), &read, b"")?;
    }
    Ok(copied)
}

fn copy(inside: &Inside, name: &str) -> PortResult<PathBuf> {
    let copy = inside.index.with_file_name(name);
    // A killed engine may have left them.
    for left in [copy.clone(), copy.with_file_name(format!("{name}.lock"))] {
        match std::fs::remove_file(&left) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unwritten(&left, &error)),
            _ => {}
        }
    }
    let user = inside.repository.git_dir().join("index");
    match std::fs::copy(&user, &copy) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(unwritten(&copy, &error)),
        _ => Ok(copy),
    }
}

/// The lock that git's own commands take on an index.
struct Lock {
    index: PathBuf,
    path: PathBuf,
    file: std::fs::File,
    published: bool,
}

impl Lock {
    fn take(index: &Path) -> PortResult<Self> {
        let path = index.with_file_name("index.lock");
        let begun = Instant::now();
        loop {
            match std::fs::OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self { index: index.to_path_buf(), path, file, published: false }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && begun.elapsed() < PATIENCE => {
                    std::thread::sleep(LOOK_AGAIN);
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    return Err(refused(
                        format!("use git's index: {} is there", path.display()),
                        "another git command is at work, or was killed; in that case remove the file, and try again",
                    ));
                }
                Err(error) => return Err(unwritten(&path, &error)),
            }
        }
    }

    fn publish(mut self, bytes: &[u8]) -> PortResult<()> {
        if let Ok(metadata) = std::fs::metadata(&self.index) {
            let _ = self.file.set_permissions(metadata.permissions());
        }
        self.file
            .write_all(bytes)
            .and_then(|()| self.file.sync_all())
            .and_then(|()| std::fs::rename(&self.path, &self.index))
            .map_err(|error| unwritten(&self.index, &error))?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if !self.published {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn unwritten(path: &Path, error: &std::io::Error) -> PortError {
    PortError::new(format!("write {}: {error}", path.display()))
}
