//! Tells whether anything of the user's git state was moved while an agent ran.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::work_area::lossy;
use super::{Repository, RepositoryError, SLOT_LOCK_REASON};

/// The user's git state at one moment, `refs/ralph/` and slots aside. It covers git's own files only: what changed
/// among the user's files shows between two snapshots, and ignored files are covered by neither.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckoutFingerprint {
    head: String,
    index: String,
    refs: BTreeMap<String, String>,
    stash: String,
    config: String,
    hooks: BTreeMap<String, String>,
    worktrees: Vec<String>,
}

/// One thing that differs between two fingerprints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutsideChange {
    pub what: OutsideKind,
    /// What it was and is, for people.
    pub detail: String,
}

/// What differs. Commits and switches by the user show as `Head`, `Index` and `Ref` together, and as nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutsideKind {
    Head,
    Index,
    /// A branch, tag or other ref, by its full name.
    Ref(String),
    Stash,
    Config,
    Hooks,
    /// The user's own linked worktrees.
    Worktrees,
}

impl Repository {
    /// Takes the fingerprint of this checkout and what it shares with its siblings.
    pub fn fingerprint(&self) -> Result<CheckoutFingerprint, RepositoryError> {
        let handle = self.handle()?;
        let mut refs = BTreeMap::new();
        for reference in handle.references().map_err(RepositoryError::git("list refs"))? {
            // A ref that broke while it was listed is told by its absence.
            let Ok(reference) = reference else { continue };
            let name = lossy(reference.name_bytes());
            if name.starts_with("refs/ralph/") {
                continue;
            }
            let value = match (reference.target(), reference.symbolic_target_bytes()) {
                (Some(id), _) => id.to_string(),
                (None, Some(target)) => format!("ref: {}", lossy(target)),
                (None, None) => String::new(),
            };
            refs.insert(name, value);
        }
        let config = ["config", "info/exclude", "info/attributes"].map(|file| hash_file(&self.common_dir.join(file)));
        let worktree_config = hash_file(&self.git_dir.join("config.worktree"));
        Ok(CheckoutFingerprint {
            head: fs::read_to_string(self.git_dir.join("HEAD")).unwrap_or_default().trim().to_owned(),
            index: hash_index(&self.git_dir.join("index")),
            refs,
            stash: hash_file(&self.common_dir.join("logs/refs/stash")),
            config: format!("{} {worktree_config}", config.join(" ")),
            hooks: self.hooks(&handle),
            worktrees: self.user_worktrees(),
        })
    }

    /// Every hook, in git's own folder and the configured one, with a hash of its mode and text.
    fn hooks(&self, handle: &git2::Repository) -> BTreeMap<String, String> {
        let mut folders = vec![self.common_dir.join("hooks")];
        if let Ok(path) = handle.config().and_then(|config| config.get_path("core.hooksPath")) {
            folders.push(self.workdir.join(path));
        }
        let mut hooks = BTreeMap::new();
        for entry in folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten() {
            let mode = entry.metadata().map_or(0, |metadata| metadata.permissions().mode());
            hooks.insert(entry.path().display().to_string(), format!("{mode:o} {}", hash_file(&entry.path())));
        }
        hooks
    }

    fn user_worktrees(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.common_dir.join("worktrees")) else { return Vec::new() };
        let mut names: Vec<String> = entries
            .flatten()
            .filter(|entry| {
                let reason = fs::read_to_string(entry.path().join("locked")).unwrap_or_default();
                !reason.starts_with(SLOT_LOCK_REASON)
            })
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

/// Lists what differs, in the order of [`OutsideKind`].
pub fn compare(before: &CheckoutFingerprint, after: &CheckoutFingerprint) -> Vec<OutsideChange> {
    let mut changes = Vec::new();
    let mut push = |what, detail: String| changes.push(OutsideChange { what, detail });
    if before.head != after.head {
        push(OutsideKind::Head, format!("was `{}`, is `{}`", before.head, after.head));
    }
    if before.index != after.index {
        push(OutsideKind::Index, "what is staged changed".to_owned());
    }
    for (name, detail) in differences(&before.refs, &after.refs) {
        if name != "refs/stash" {
            push(OutsideKind::Ref(name), detail);
        }
    }
    let stash = |state: &CheckoutFingerprint| (state.stash.clone(), state.refs.get("refs/stash").cloned());
    if stash(before) != stash(after) {
        let name = |state: &CheckoutFingerprint| state.refs.get("refs/stash").cloned().unwrap_or("empty".to_owned());
        push(OutsideKind::Stash, format!("was {}, is {}", name(before), name(after)));
    }
    if before.config != after.config {
        push(OutsideKind::Config, "git's configuration of this repository changed".to_owned());
    }
    for (name, detail) in differences(&before.hooks, &after.hooks) {
        push(OutsideKind::Hooks, format!("{name} {detail}"));
    }
    if before.worktrees != after.worktrees {
        push(OutsideKind::Worktrees, format!("were {:?}, are {:?}", before.worktrees, after.worktrees));
    }
    changes
}

fn differences(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| {
            let detail = match (before.get(name), after.get(name)) {
                (Some(old), Some(new)) if old != new => format!("moved from {old} to {new}"),
                (Some(old), None) => format!("was deleted, it was {old}"),
                (None, Some(new)) => format!("was created as {new}"),
                _ => return None,
            };
            Some((name.clone(), detail))
        })
        .collect()
}

/// The hash of what an index says is staged. Its bytes would not do: looking at the status refreshes the file times
/// in it, and editors do that all the time. An index libgit2 cannot read counts by its bytes.
fn hash_index(path: &Path) -> String {
    let Ok(index) = git2::Index::open(path) else { return hash_file(path) };
    let mut hasher = blake3::Hasher::new();
    for entry in index.iter() {
        let length = entry.path.len() as u64;
        hasher.update(&length.to_le_bytes()).update(&entry.path).update(entry.id.as_bytes());
        // The stage and what the user hid, without the name's length that shares the bits.
        let flags = [entry.flags & 0xb000, entry.flags_extended & 0x6000];
        hasher.update(&entry.mode.to_le_bytes()).update(&flags[0].to_le_bytes()).update(&flags[1].to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// The hash of a file's bytes; empty when there is none.
fn hash_file(path: &Path) -> String {
    fs::read(path).map(|bytes| blake3::hash(&bytes).to_hex().to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;

    fn kinds(fixture: &Fixture, act: impl FnOnce()) -> Vec<OutsideKind> {
        let before = fixture.repository().fingerprint().unwrap();
        act();
        let after = fixture.repository().fingerprint().unwrap();
        compare(&before, &after).into_iter().map(|change| change.what).collect()
    }

    #[test]
    fn each_kind_of_change_is_told_apart() {
        let fixture = Fixture::with_commit(&[("a", "1\n")]);
        let main = || OutsideKind::Ref("refs/heads/main".to_owned());
        assert_eq!(kinds(&fixture, || ()), []);
        assert_eq!(kinds(&fixture, || fixture.write("untracked", "x")), []);
        let refresh = || {
            let file = std::fs::File::options().write(true).open(fixture.workdir().join("a")).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
            let before = std::fs::read(fixture.workdir().join(".git/index")).unwrap();
            fixture.git(&["update-index", "--refresh"]);
            assert_ne!(before, std::fs::read(fixture.workdir().join(".git/index")).unwrap());
        };
        assert_eq!(kinds(&fixture, refresh), [], "only file times in the index changed");
        let hide = |flag: &str| drop(fixture.git(&["update-index", flag, "a"]));
        assert_eq!(kinds(&fixture, || hide("--assume-unchanged")), [OutsideKind::Index]);
        hide("--no-assume-unchanged");
        assert_eq!(kinds(&fixture, || drop(fixture.commit_files(&[("a", "2\n")]))), [OutsideKind::Index, main()]);
        assert_eq!(
            kinds(&fixture, || drop(fixture.git(&["switch", "-q", "-c", "other"]))),
            [OutsideKind::Head, OutsideKind::Ref("refs/heads/other".to_owned())]
        );
        fixture.write("a", "3\n");
        assert!(kinds(&fixture, || drop(fixture.git(&["stash", "-q"]))).contains(&OutsideKind::Stash));
        assert_eq!(kinds(&fixture, || drop(fixture.git(&["config", "user.name", "x"]))), [OutsideKind::Config]);
        assert_eq!(kinds(&fixture, || fixture.write(".git/hooks/pre-push", "#!/bin/sh\n")), [OutsideKind::Hooks]);
        let linked = fixture.root().join("linked");
        assert_eq!(
            kinds(&fixture, || drop(fixture.git(&["worktree", "add", "-q", "--detach", linked.to_str().unwrap()]))),
            [OutsideKind::Worktrees]
        );
        let head = fixture.rev("HEAD");
        assert_eq!(kinds(&fixture, || fixture.repository().set_ref("refs/ralph/k/base", &head).unwrap()), []);
    }

    #[test]
    fn a_fingerprint_survives_storage() {
        let fixture = Fixture::with_commit(&[("a", "1\n")]);
        let fingerprint = fixture.repository().fingerprint().unwrap();
        let text = serde_json::to_string(&fingerprint).unwrap();
        assert_eq!(serde_json::from_str::<CheckoutFingerprint>(&text).unwrap(), fingerprint);
    }
}
