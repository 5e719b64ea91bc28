//! Decides which files a snapshot takes, and says why it leaves others out.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use git2::IndexEntry;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use rustix::fs::{Access, access};

use super::super::RepositoryError;
use super::super::work_area::{Change, Difference, WorkArea, is_inside, lossy};
use super::{LeftOut, SnapshotRequest};

/// Untracked files with such names are not handed to agents.
const SECRETS: [&str; 16] = [
    ".env",
    ".env.*",
    "*.env",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "credentials",
    "credentials.{json,yml,yaml,toml,ini,csv,xml}",
    "{.netrc,.pypirc}",
];
/// Names among them that hold no secret.
const NOT_SECRET: [&str; 2] = ["*.pub", "*.{example,sample,template,dist}"];

/// The rules of one snapshot, and what they have left out so far.
pub(super) struct Selection {
    exclude: GlobSet,
    secrets: GlobSet,
    not_secret: GlobSet,
    max_bytes: u64,
    max_files: usize,
    left_out: Vec<LeftOut>,
}

impl Selection {
    pub fn new(request: &SnapshotRequest) -> Result<Self, RepositoryError> {
        Ok(Self {
            exclude: globs(request.exclude.iter().map(String::as_str))?,
            secrets: globs(SECRETS)?,
            not_secret: globs(NOT_SECRET)?,
            max_bytes: request.max_untracked_bytes,
            max_files: request.max_untracked_files,
            left_out: Vec::new(),
        })
    }

    /// Returns the tracked and the untracked paths to stage, each sorted.
    pub fn split(&mut self, area: &WorkArea<'_>, changes: Vec<Change>) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let (mut tracked, mut untracked) = (Vec::new(), Vec::new());
        for Change { path, difference } in changes {
            let name = lossy(&path);
            if self.exclude.is_match(&name) {
                continue;
            }
            let reason = match difference {
                Difference::Deleted => None,
                Difference::Written => unreadable(&area.absolute(&path)),
                _ if is_ours(&name) => continue,
                Difference::Nested => Some("a repository of its own".to_owned()),
                Difference::Untracked => match self.refuse_untracked(area, &path, &name) {
                    Verdict::Skip => continue,
                    Verdict::LeaveOut(reason) => Some(reason),
                    Verdict::Take => None,
                },
            };
            match reason {
                Some(reason) => self.left_out.push(LeftOut { path: name, reason }),
                None if difference == Difference::Untracked => untracked.push(path),
                None => tracked.push(path),
            }
        }
        self.limit(&mut untracked);
        (tracked, untracked)
    }

    /// Whether an unsaved buffer belongs into the snapshot.
    pub fn takes_overlay(&mut self, area: &WorkArea<'_>, path: &str, existing: Option<&IndexEntry>) -> bool {
        if !is_inside(path.as_bytes()) {
            self.leave_out(path, "not a path inside the checkout");
            return false;
        }
        if self.exclude.is_match(path) {
            return false;
        }
        match existing {
            Some(entry) if matches!(entry.mode, 0o100_644 | 0o100_755) => true,
            Some(_) => {
                self.leave_out(path, "the unsaved text of a link or submodule");
                false
            }
            None if is_ours(path) || area.is_ignored(path.as_bytes(), false) => false,
            None if self.is_secret(path) => {
                self.leave_out(path, "looks like a secret");
                false
            }
            None => !self.left_out.iter().any(|left| left.path == path),
        }
    }

    pub fn into_left_out(mut self) -> Vec<LeftOut> {
        self.left_out.sort_by(|left, right| left.path.cmp(&right.path));
        self.left_out.dedup();
        self.left_out
    }

    fn refuse_untracked(&self, area: &WorkArea<'_>, path: &[u8], name: &str) -> Verdict {
        let absolute = area.absolute(path);
        let Ok(metadata) = fs::symlink_metadata(&absolute) else { return Verdict::Skip };
        if !metadata.is_file() && !metadata.is_symlink() {
            return Verdict::Skip;
        }
        if self.is_secret(name) {
            return Verdict::LeaveOut("looks like a secret".to_owned());
        }
        if metadata.len() > self.max_bytes {
            let (size, limit) = (metadata.len(), self.max_bytes);
            return Verdict::LeaveOut(format!("untracked and too large ({size} bytes, the limit is {limit})"));
        }
        unreadable(&absolute).map_or(Verdict::Take, Verdict::LeaveOut)
    }

    /// Leaves out whole top-level folders, the fullest first, until the rest is within the limit.
    fn limit(&mut self, untracked: &mut Vec<Vec<u8>>) {
        let mut total = untracked.len();
        if total <= self.max_files {
            return;
        }
        let mut groups: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for path in untracked.iter() {
            *groups.entry(top(path).to_vec()).or_default() += 1;
        }
        let mut fullest: Vec<_> = groups.into_iter().collect();
        fullest.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let mut dropped = Vec::new();
        for (group, count) in fullest {
            if total <= self.max_files {
                break;
            }
            total -= count;
            let name = if group.is_empty() { ".".to_owned() } else { format!("{}/", lossy(&group)) };
            let limit = self.max_files;
            self.leave_out(&name, &format!("holds {count} untracked files, over the limit of {limit}: ignore them"));
            dropped.push(group);
        }
        untracked.retain(|path| !dropped.iter().any(|group| top(path) == group));
    }

    fn is_secret(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        self.secrets.is_match(name) && !self.not_secret.is_match(name)
    }

    /// Names a path that is not taken.
    pub fn leave_out(&mut self, path: &str, reason: &str) {
        self.left_out.push(LeftOut { path: path.to_owned(), reason: reason.to_owned() });
    }
}

enum Verdict {
    Take,
    /// Not a file, or gone: nothing to say about it.
    Skip,
    LeaveOut(String),
}

fn globs<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<GlobSet, RepositoryError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        // A folder stands for everything below it.
        let below = format!("{}/**", pattern.trim_end_matches('/'));
        for glob in [pattern, below.as_str()] {
            let invalid = |error: globset::Error| RepositoryError::InvalidGlob {
                glob: pattern.to_owned(),
                reason: error.to_string(),
            };
            set.add(GlobBuilder::new(glob).literal_separator(true).build().map_err(invalid)?);
        }
    }
    set.build().map_err(|error| RepositoryError::InvalidGlob { glob: "*".to_owned(), reason: error.to_string() })
}

/// Whether a path is below the folder that belongs to this program.
fn is_ours(path: &str) -> bool {
    path == ".ralph" || path.starts_with(".ralph/")
}

fn unreadable(path: &Path) -> Option<String> {
    let metadata = fs::symlink_metadata(path).ok()?;
    if !metadata.is_file() {
        return None;
    }
    access(path, Access::READ_OK).err().map(|error| format!("cannot be read: {error}"))
}

/// The first folder of a path; empty for a file at the top.
fn top(path: &[u8]) -> &[u8] {
    path.iter().position(|byte| *byte == b'/').map_or(&[], |end| &path[..end])
}
