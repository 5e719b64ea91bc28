//! What must not change while an agent runs: the user's files and git's own, by record and comparison.

use super::Inside;
use crate::engine::ports::{OutsideChange, OutsideState, PortError, PortResult};
use crate::infra::repository::{CheckoutFingerprint, OutsideKind, compare};
use serde::{Deserialize, Serialize};

/// Files a snapshot may not show because they are often untracked: they decide what runs.
const OURS: [&str; 2] = [".ralph/queue.json", ".ralph/config.json"];

#[derive(Serialize, Deserialize)]
struct Record {
    /// Snapshot of the files on disk, without anybody's unsaved buffers.
    seen: String,
    fingerprint: CheckoutFingerprint,
    ours: Vec<Option<String>>,
}

fn record(inside: &Inside) -> PortResult<Record> {
    let hash = |path: &str| {
        let bytes = std::fs::read(inside.repository.workdir().join(path)).ok()?;
        Some(blake3::hash(&bytes).to_hex().to_string())
    };
    Ok(Record {
        seen: inside.snapshot(Vec::new())?.commit,
        fingerprint: inside.repository.fingerprint()?,
        ours: OURS.iter().map(|path| hash(path)).collect(),
    })
}

pub(super) fn before(inside: &Inside) -> PortResult<OutsideState> {
    let value = serde_json::to_value(record(inside)?);
    value.map(OutsideState).map_err(|error| PortError::new(format!("record what is outside the slot: {error}")))
}

pub(super) fn since(inside: &Inside, before: &OutsideState) -> PortResult<OutsideChange> {
    let before: Record = serde_json::from_value(before.0.clone())
        .map_err(|error| PortError::new(format!("read what was outside the slot: {error}")))?;
    let after = record(inside)?;
    let changes = compare(&before.fingerprint, &after.fingerprint);
    let head_moved = changes.iter().any(|change| change.what == OutsideKind::Head);
    let place = |what: &OutsideKind| match what {
        // Staging is what people do while they wait, and no agent reaches the index without leaving other traces.
        OutsideKind::Head | OutsideKind::Index => None,
        // Fetching and pushing move these.
        OutsideKind::Ref(name) if name.starts_with("refs/remotes/") => None,
        // Whoever commits or switches moves branches; an agent's own branch shows while HEAD stays.
        OutsideKind::Ref(name) => (!head_moved).then(|| name.clone()),
        OutsideKind::Stash => Some("the stash".to_owned()),
        OutsideKind::Config => Some("git's configuration".to_owned()),
        OutsideKind::Hooks => Some("git's hooks".to_owned()),
        OutsideKind::Worktrees => Some("the list of worktrees".to_owned()),
    };
    let mut files = inside.repository.changed_paths(&before.seen, &after.seen)?;
    for ((path, old), new) in OURS.iter().zip(&before.ours).zip(&after.ours) {
        if old != new && !files.iter().any(|file| file == path) {
            files.push((*path).to_owned());
        }
    }
    files.sort();
    Ok(OutsideChange { files, places: changes.iter().filter_map(|change| place(&change.what)).collect(), head_moved })
}
