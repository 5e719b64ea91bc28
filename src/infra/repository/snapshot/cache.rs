//! Keeps the private index in step with the user's, and remembers what was hashed before.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use git2::{Index, IndexEntry};
use serde::{Deserialize, Serialize};

use super::super::binary::GitBinary;
use super::super::objects::find_tree;
use super::super::work_area::{WorkArea, to_path, with_suffix};
use super::super::{Repository, RepositoryError};

/// The user marked the file as never looked at.
const ASSUME_VALID: u16 = 0x8000;
/// The same, in the extended flags, as sparse checkouts do.
const SKIP_WORKTREE: u16 = 0x4000;

/// What the last snapshot left behind beside its index.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Record {
    /// Hash of the user's index the private one was derived from.
    user_index: String,
    /// Entries of the private index that are not tracked, which ignore rules and limits are asked again about.
    pub untracked: Vec<Vec<u8>>,
}

impl Record {
    /// Writes the record; a torn or missing one costs time, not truth.
    pub fn save(&self, index_path: &Path) -> Result<(), RepositoryError> {
        let path = with_suffix(index_path, ".json");
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        fs::write(&path, bytes).map_err(RepositoryError::io("write", &path))
    }

    fn load(index_path: &Path) -> Self {
        let bytes = fs::read(with_suffix(index_path, ".json")).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }
}

/// The private index as the last snapshot left it, as a cache of what files hash to.
pub(super) struct Cache {
    index: Option<Index>,
    written: SystemTime,
}

impl Cache {
    pub fn load(index_path: &Path) -> Self {
        let written = fs::metadata(index_path).and_then(|metadata| metadata.modified());
        match (Index::open(index_path), written) {
            (Ok(index), Ok(written)) => Self { index: Some(index), written },
            _ => Self { index: None, written: SystemTime::UNIX_EPOCH },
        }
    }

    /// Throws away what was remembered.
    pub fn discard(index_path: &Path) {
        for path in [index_path.to_path_buf(), with_suffix(index_path, ".json")] {
            let _ = fs::remove_file(path);
        }
    }

    /// Returns the entry of a file if its recorded state is that of the file now. A file as young as the cache is
    /// not trusted: it may have changed in the same instant.
    pub fn entry(&self, area: &WorkArea<'_>, path: &[u8]) -> Option<IndexEntry> {
        let mut entry = self.index.as_ref()?.get_path(to_path(path), 0)?;
        let metadata = fs::symlink_metadata(area.absolute(path)).ok()?;
        let time = |seconds: i64, nanoseconds: i64| (seconds as i32, nanoseconds as u32);
        let mode = match metadata.file_type() {
            kind if kind.is_symlink() => 0o120_000,
            kind if kind.is_file() && metadata.mode() & 0o100 != 0 => 0o100_755,
            kind if kind.is_file() => 0o100_644,
            _ => return None,
        };
        let same = (entry.mtime.seconds(), entry.mtime.nanoseconds()) == time(metadata.mtime(), metadata.mtime_nsec())
            && (entry.ctime.seconds(), entry.ctime.nanoseconds()) == time(metadata.ctime(), metadata.ctime_nsec())
            && entry.ino == metadata.ino() as u32
            && entry.file_size == metadata.size() as u32
            && entry.mode == mode;
        let modified =
            SystemTime::UNIX_EPOCH + Duration::new(u64::try_from(metadata.mtime()).ok()?, metadata.mtime_nsec() as u32);
        entry.flags &= !ASSUME_VALID;
        (same && modified < self.written).then_some(entry)
    }
}

/// Opens the private index so that it tracks what the user's index tracks, no more and no less.
pub(super) fn open_area<'r>(
    repository: &'r Repository,
    index_path: &Path,
    cache: &Cache,
) -> Result<(WorkArea<'r>, Record), RepositoryError> {
    let user_path = repository.git_dir.join("index");
    // Time before bytes: if git replaces the file in between, entries look too young and are read again.
    let modified = fs::metadata(&user_path).and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let bytes = match fs::read(&user_path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(RepositoryError::io("read", &user_path)(error)),
    };
    let user_index = blake3::hash(&bytes).to_hex().to_string();
    let previous = Record::load(index_path);
    let kept = cache.index.is_some() && previous.user_index == user_index && !repository.needs.sparse;
    let readable = kept || replace(repository, index_path, &bytes, modified)?;

    let mut area = WorkArea::open(repository, repository.handle()?, &repository.workdir, index_path)?;
    if kept {
        for path in &previous.untracked {
            area.forget(path)?;
        }
    } else if readable {
        clear_flags(repository, &mut area)?;
    } else if let Some(head) = repository.head()? {
        // An index format nobody here reads: HEAD is the next best idea of what is tracked.
        let handle = repository.handle()?;
        area.read_tree(&find_tree(&handle, &head.commit)?)?;
    }
    Ok((area, Record { user_index, untracked: Vec::new() }))
}

/// Puts a copy of the user's index in place of the private one, with its time, by which git judges what it may
/// trust in it; says whether libgit2 can read it.
fn replace(
    repository: &Repository,
    index_path: &Path,
    bytes: &[u8],
    modified: SystemTime,
) -> Result<bool, RepositoryError> {
    if let Some(folder) = index_path.parent() {
        fs::create_dir_all(folder).map_err(RepositoryError::io("create", folder))?;
    }
    if bytes.is_empty() {
        let _ = fs::remove_file(index_path);
        return Ok(true);
    }
    let temporary = with_suffix(index_path, ".new");
    let write = || {
        fs::write(&temporary, bytes)?;
        fs::File::options().write(true).open(&temporary)?.set_modified(modified)?;
        fs::rename(&temporary, index_path)
    };
    write().map_err(RepositoryError::io("write", index_path))?;
    if !repository.needs.sparse && Index::open(index_path).is_ok() {
        return Ok(true);
    }
    if let Some(program) = &repository.needs.git {
        // Split and sparse indexes become ordinary ones when git writes them under our settings.
        let git = GitBinary {
            program,
            git_dir: &repository.git_dir,
            workdir: &repository.workdir,
            index: index_path,
            sparse: repository.needs.sparse,
        };
        git.run_any(&["update-index", "-q", "--refresh", "--force-write-index"], &[])?;
    }
    Ok(Index::open(index_path).is_ok())
}

/// Makes files count that the user told git not to look at; sparse entries, which have no file, stay.
fn clear_flags(repository: &Repository, area: &mut WorkArea<'_>) -> Result<(), RepositoryError> {
    let hidden = if repository.needs.sparse { 0 } else { SKIP_WORKTREE };
    let flagged: Vec<IndexEntry> = area
        .index
        .iter()
        .filter(|entry| entry.flags & ASSUME_VALID != 0 || entry.flags_extended & hidden != 0)
        .filter(|entry| fs::symlink_metadata(area.absolute(&entry.path)).is_ok())
        .collect();
    for mut entry in flagged {
        entry.flags &= !ASSUME_VALID;
        entry.flags_extended &= !hidden;
        super::add(area, &entry)?;
    }
    Ok(())
}
