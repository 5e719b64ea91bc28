//! The base of a proposal with just some of its hunks, as a commit.

use super::{Inside, now, texts_of};
use crate::domain::hunks::{HunkId, file_hunks, resolve_file};
use crate::engine::ports::{PortError, PortResult};
use std::collections::BTreeSet;

/// Git's mode of a submodule, whose content is no file.
const SUBMODULE: u32 = 0o160_000;

pub(super) fn commit(inside: &Inside, base: &str, head: &str, accepted: &BTreeSet<HunkId>) -> PortResult<String> {
    let failed = |error: git2::Error| PortError::new(format!("make the accepted part of a proposal: {error}"));
    let handle = inside.repository.handle_on(inside.repository.workdir())?;
    let tree = |name: &str| git2::Oid::from_str(name).and_then(|id| handle.find_commit(id)?.tree());
    let (before, after) = (tree(base).map_err(failed)?, tree(head).map_err(failed)?);
    let mut update = git2::build::TreeUpdateBuilder::new();
    let is_there = |path: &str| before.get_path(std::path::Path::new(path)).is_ok();
    for change in inside.changes(base, head)? {
        let texts = texts_of(&change);
        let hunks = file_hunks(&texts);
        if !hunks.iter().any(|hunk| accepted.contains(&hunk.id)) {
            continue;
        }
        let file = resolve_file(&texts, &hunks, accepted).map_err(|error| PortError::new(error.to_string()))?;
        for gone in file.removed_path.iter().chain(file.bytes.is_none().then_some(&file.path)) {
            if is_there(gone) {
                update.remove(gone);
            }
        }
        let Some(bytes) = &file.bytes else { continue };
        let mode = file.mode.unwrap_or(0o100_644);
        let id = match after.get_path(std::path::Path::new(&file.path)) {
            Ok(entry) if mode == SUBMODULE => entry.id(),
            _ => handle.blob(bytes).map_err(failed)?,
        };
        let mode = match mode {
            0o100_755 => git2::FileMode::BlobExecutable,
            0o120_000 => git2::FileMode::Link,
            SUBMODULE => git2::FileMode::Commit,
            _ => git2::FileMode::Blob,
        };
        update.upsert(&file.path, id, mode);
    }
    let tree = update.create_updated(&handle, &before).map_err(failed)?.to_string();
    Ok(inside.repository.commit_tree(&tree, &[base.to_owned()], "ralph: the accepted part of a proposal", now())?)
}
