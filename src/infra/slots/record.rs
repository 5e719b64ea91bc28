//! What is remembered about a slot beside its private index.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::infra::repository::work_area::with_suffix;
use crate::infra::repository::{CommitId, RepositoryError, TreeId};

/// Written after every operation; without it the slot counts as dirty, so losing it loses nothing.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Record {
    /// What the slot was last moved to.
    pub prepared: Option<CommitId>,
    /// What was last committed from it, which must be reachable before it is moved again.
    pub committed: Option<CommitId>,
    /// The tree its files had after either.
    pub tree: Option<TreeId>,
    /// Folders in it with a `.git` of their own, whose files are committed as ordinary ones.
    pub nested: Vec<String>,
}

impl Record {
    pub fn load(path: &Path) -> Self {
        fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    pub fn save(&self, path: &Path) -> Result<(), RepositoryError> {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        replace_file(path, &bytes)
    }
}

/// Replaces a small file so that readers see the old or the new bytes.
pub(super) fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), RepositoryError> {
    let temporary = with_suffix(path, ".ralph-new");
    let write = || {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&temporary, path)
    };
    write().map_err(RepositoryError::io("write", path))
}
