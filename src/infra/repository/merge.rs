//! Three-way merges of trees, in memory: no folder and no index is touched.

use git2::MergeOptions;

use super::objects::find_tree;
use super::work_area::lossy;
use super::{Repository, RepositoryError, TreeId};

/// How a merge ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergeOutcome {
    /// Everything fitted; the tree holds both sides' changes.
    Merged { tree: TreeId },
    /// Some paths need a decision, sorted; no tree was written.
    Conflicts(Vec<MergeConflict>),
}

/// One path both sides changed in ways that do not fit together; a side without the file is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeConflict {
    pub path: String,
    pub ancestor: Option<Vec<u8>>,
    pub ours: Option<Vec<u8>>,
    pub theirs: Option<Vec<u8>>,
}

impl MergeOutcome {
    /// The paths in conflict, sorted; empty when merged.
    pub fn conflicting_paths(&self) -> Vec<&str> {
        match self {
            Self::Merged { .. } => Vec::new(),
            Self::Conflicts(conflicts) => conflicts.iter().map(|conflict| conflict.path.as_str()).collect(),
        }
    }
}

impl Repository {
    /// Applies the changes from `ancestor` to `theirs` onto `ours`, each a commit or a tree; renames are followed.
    pub fn merge_trees(&self, ancestor: &str, ours: &str, theirs: &str) -> Result<MergeOutcome, RepositoryError> {
        let handle = self.handle()?;
        let [ancestor, ours, theirs] =
            [find_tree(&handle, ancestor)?, find_tree(&handle, ours)?, find_tree(&handle, theirs)?];
        let mut options = MergeOptions::new();
        options.find_renames(true);
        let mut merged = handle
            .merge_trees(&ancestor, &ours, &theirs, Some(&options))
            .map_err(RepositoryError::git("merge two trees"))?;
        if !merged.has_conflicts() {
            let tree = merged.write_tree_to(&handle).map_err(RepositoryError::git("write the merged tree"))?;
            return Ok(MergeOutcome::Merged { tree: tree.to_string() });
        }
        let content = |entry: &Option<git2::IndexEntry>| {
            let entry = entry.as_ref()?;
            handle.find_blob(entry.id).ok().map(|blob| blob.content().to_vec())
        };
        let mut conflicts = Vec::new();
        for conflict in merged.conflicts().map_err(RepositoryError::git("list merge conflicts"))? {
            let conflict = conflict.map_err(RepositoryError::git("read a merge conflict"))?;
            let sides = [&conflict.our, &conflict.their, &conflict.ancestor];
            let Some(path) = sides.into_iter().flatten().map(|entry| lossy(&entry.path)).next() else { continue };
            conflicts.push(MergeConflict {
                path,
                ancestor: content(&conflict.ancestor),
                ours: content(&conflict.our),
                theirs: content(&conflict.their),
            });
        }
        conflicts.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(MergeOutcome::Conflicts(conflicts))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;

    #[test]
    fn changes_that_fit_merge_and_the_checkout_stays() {
        let fixture = Fixture::with_commit(&[("a", "1\n2\n3\n4\n5\n"), ("b", "x\n")]);
        let ancestor = fixture.rev("HEAD");
        let ours = fixture.commit_files(&[("a", "one\n2\n3\n4\n5\n")]);
        fixture.git(&["checkout", "-q", "-b", "other", &ancestor]);
        let theirs = fixture.commit_files(&[("a", "1\n2\n3\n4\nfive\n"), ("c", "new\n")]);
        let before = fixture.user_state();
        let repository = fixture.repository();
        let outcome = repository.merge_trees(&ancestor, &ours, &theirs).unwrap();
        let MergeOutcome::Merged { tree } = &outcome else { panic!("{outcome:?}") };
        assert_eq!(repository.read_file(tree, "a").unwrap().unwrap(), b"one\n2\n3\n4\nfive\n");
        assert_eq!(repository.read_file(tree, "c").unwrap().unwrap(), b"new\n");
        assert!(outcome.conflicting_paths().is_empty());
        assert_eq!(fixture.user_state(), before);
    }

    #[test]
    fn conflicts_are_listed_with_all_sides() {
        let fixture = Fixture::with_commit(&[("a", "1\n"), ("b", "1\n")]);
        let ancestor = fixture.rev("HEAD");
        fixture.git(&["rm", "-q", "b"]);
        let ours = fixture.commit_files(&[("a", "2\n")]);
        fixture.git(&["checkout", "-q", "-b", "other", &ancestor]);
        let theirs = fixture.commit_files(&[("a", "3\n"), ("b", "3\n")]);
        let outcome = fixture.repository().merge_trees(&ancestor, &ours, &theirs).unwrap();
        assert_eq!(outcome.conflicting_paths(), ["a", "b"]);
        let MergeOutcome::Conflicts(conflicts) = outcome else { panic!() };
        assert_eq!(conflicts[0].ours.as_deref(), Some(b"2\n".as_slice()));
        assert_eq!(conflicts[0].theirs.as_deref(), Some(b"3\n".as_slice()));
        assert_eq!((conflicts[1].ancestor.as_deref(), conflicts[1].ours.as_deref()), (Some(b"1\n".as_slice()), None));
    }
}
