//! The picture of a user's checkout: everything a run must leave as it was.

use super::Sandbox;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Parts of git's folder that are the program's own, or grow by content and change nothing anybody sees.
const OWN: [&str; 4] = ["objects", "worktrees", "refs/ralph", "logs/refs/ralph"];

/// Every fact by a readable name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint(BTreeMap<String, String>);

impl Fingerprint {
    pub(super) fn take(sandbox: &Sandbox) -> Self {
        let mut facts = BTreeMap::new();
        let root = &sandbox.root;
        walk(root, root, &mut facts);
        // `git status` would refresh the index, which is one of the things that must not change.
        let status = ["--no-optional-locks", "status", "--porcelain=v2", "--branch", "--ignored"];
        for (name, args) in [
            ("git status", &status[..]),
            ("git stash list", &["stash", "list"]),
            ("git config", &["config", "--list", "--local"]),
            ("git for-each-ref", &["for-each-ref"]),
            ("git branch", &["branch", "-a", "-v"]),
        ] {
            let text = sandbox.git(args);
            let lines = text.lines().filter(|line| !line.contains("refs/ralph/"));
            facts.insert(name.to_owned(), lines.collect::<Vec<_>>().join("\n"));
        }
        Self(facts)
    }

    /// Fails the test, naming what differs.
    #[track_caller]
    pub fn assert_same(&self, after: &Self) {
        let names = self.0.keys().chain(after.0.keys());
        let different = names.filter(|name| self.0.get(*name) != after.0.get(*name));
        let words: Vec<String> = different
            .map(|name| format!("{name}:\n  before {:?}\n  after  {:?}", self.0.get(name), after.0.get(name)))
            .collect();
        assert!(words.is_empty(), "the user's checkout changed:\n{}", words.join("\n"));
    }
}

fn walk(root: &Path, folder: &Path, facts: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.strip_prefix(root).expect("below").display().to_string();
        if OWN.iter().any(|own| name == format!(".git/{own}")) {
            continue;
        }
        let meta = fs::symlink_metadata(&path).expect("metadata");
        if meta.is_symlink() {
            facts.insert(name, format!("-> {}", fs::read_link(&path).expect("a link").display()));
        } else if meta.is_dir() {
            walk(root, &path, facts);
        } else {
            let hash = blake3::hash(&fs::read(&path).expect("a file")).to_hex()[..16].to_owned();
            facts.insert(name, format!("{:o} {} {hash}", meta.mode(), meta.len()));
        }
    }
}
