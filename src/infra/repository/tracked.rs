//! Lists the files git tracks, as `git ls-files` does.

use super::{Repository, RepositoryError};
use std::collections::BTreeSet;
use std::path::Path;

/// What a symbolic link's mode has in the place of a regular file's.
const TYPE_MASK: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
/// Git's extended flag of an entry that `git add -N` made.
const INTENT_TO_ADD: u16 = 1 << 13;

impl Repository {
    /// Returns the paths of the tracked regular files, relative to the root, sorted; those that are not UTF-8 are left
    /// out, and so are links and submodules.
    ///
    /// # Errors
    ///
    /// When the index cannot be read.
    pub fn tracked_files(&self) -> Result<Vec<String>, RepositoryError> {
        let handle = self.handle()?;
        let index = handle.index().map_err(RepositoryError::git("read the index"))?;
        let regular = index.iter().filter(|entry| entry.mode & TYPE_MASK == REGULAR);
        let mut paths: Vec<String> = regular.filter_map(|entry| String::from_utf8(entry.path).ok()).collect();
        paths.sort();
        paths.dedup();
        Ok(paths)
    }

    /// Returns the files that an index only says will be added (`git add -N`); none where it cannot be read here.
    pub(in crate::infra) fn intended_files(&self, index: &Path) -> BTreeSet<String> {
        let Ok(index) = git2::Index::open(index) else { return BTreeSet::new() };
        let intended = index.iter().filter(|entry| entry.flags_extended & INTENT_TO_ADD != 0);
        intended.filter_map(|entry| String::from_utf8(entry.path).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;

    #[test]
    fn only_tracked_regular_files_are_listed() {
        let fixture = Fixture::with_commit(&[("b/x.rs", "1\n"), ("a.rs", "2\n")]);
        fixture.write("untracked.rs", "3\n");
        std::os::unix::fs::symlink("a.rs", fixture.workdir().join("link.rs")).expect("link");
        fixture.git(&["add", "link.rs"]);
        assert_eq!(fixture.repository().tracked_files().expect("listed"), ["a.rs", "b/x.rs"]);
    }
}
