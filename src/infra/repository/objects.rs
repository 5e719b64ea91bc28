//! Commits, trees and files as git objects, without any folder.

use git2::{ErrorCode, ObjectType, Oid, Signature, Time};

use super::work_area::lossy;
use super::{CommitId, Repository, RepositoryError, TreeId};

/// What a tree or the index has at a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct BlobEntry {
    /// The object's name.
    pub id: String,
    /// Git's mode.
    pub mode: u32,
}

impl Repository {
    /// Writes a commit of `tree`; the same arguments give the same commit. `unix_time` is in seconds, UTC.
    /// Hooks do not run and nothing is signed. The commit is reachable only once a ref says so.
    pub fn commit_tree(
        &self,
        tree: &str,
        parents: &[CommitId],
        message: &str,
        unix_time: i64,
    ) -> Result<CommitId, RepositoryError> {
        commit_tree(&self.handle()?, tree, parents, message, unix_time)
    }

    /// Returns the tree of a commit.
    pub fn tree_of(&self, commit: &str) -> Result<TreeId, RepositoryError> {
        Ok(find_tree(&self.handle()?, commit)?.id().to_string())
    }

    /// Reads a file of a commit or tree; none when there is none at `path`. A symbolic link's bytes are its target.
    pub fn read_file(&self, treeish: &str, path: &str) -> Result<Option<Vec<u8>>, RepositoryError> {
        let handle = self.handle()?;
        let entry = match find_tree(&handle, treeish)?.get_path(std::path::Path::new(path)) {
            Ok(entry) if entry.kind() == Some(ObjectType::Blob) => entry,
            Ok(_) => return Ok(None),
            Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
            Err(error) => return Err(RepositoryError::git(format!("find {path} in {treeish}"))(error)),
        };
        let blob = handle.find_blob(entry.id()).map_err(RepositoryError::git(format!("read {path} of {treeish}")))?;
        Ok(Some(blob.content().to_vec()))
    }

    /// Reads what is at `path` of a commit or tree: object name and mode; none when there is nothing, or a folder.
    pub fn entry(&self, treeish: &str, path: &str) -> Result<Option<BlobEntry>, RepositoryError> {
        let handle = self.handle()?;
        match find_tree(&handle, treeish)?.get_path(std::path::Path::new(path)) {
            Ok(entry) if entry.kind() == Some(ObjectType::Tree) => Ok(None),
            Ok(entry) => {
                let mode = u32::try_from(entry.filemode()).unwrap_or_default();
                Ok(Some(BlobEntry { id: entry.id().to_string(), mode }))
            }
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(RepositoryError::git(format!("find {path} in {treeish}"))(error)),
        }
    }

    /// Reads the bytes of a blob by its name.
    pub fn read_blob(&self, id: &str) -> Result<Vec<u8>, RepositoryError> {
        let handle = self.handle()?;
        let blob = Oid::from_str(id).and_then(|id| handle.find_blob(id));
        Ok(blob.map_err(RepositoryError::git(format!("read the object {id}")))?.content().to_vec())
    }

    /// Writes bytes as a blob, as they are, and returns its name.
    pub fn write_blob(&self, bytes: &[u8]) -> Result<String, RepositoryError> {
        let id = self.handle()?.blob(bytes).map_err(RepositoryError::git("write an object"))?;
        Ok(id.to_string())
    }

    /// Writes a tree like that of `treeish` in which these paths are as given, or not there.
    pub fn tree_with(&self, treeish: &str, paths: &[(String, Option<BlobEntry>)]) -> Result<TreeId, RepositoryError> {
        let handle = self.handle()?;
        let failed = |path: &str| RepositoryError::git(format!("put {path} into a tree"));
        let mut update = git2::build::TreeUpdateBuilder::new();
        for (path, entry) in paths {
            match entry {
                None => update.remove(path),
                Some(entry) => {
                    let mode = match entry.mode {
                        0o100_755 => git2::FileMode::BlobExecutable,
                        0o120_000 => git2::FileMode::Link,
                        0o160_000 => git2::FileMode::Commit,
                        _ => git2::FileMode::Blob,
                    };
                    update.upsert(path, Oid::from_str(&entry.id).map_err(failed(path))?, mode)
                }
            };
        }
        let tree = update.create_updated(&handle, &find_tree(&handle, treeish)?);
        Ok(tree.map_err(RepositoryError::git("write a tree"))?.to_string())
    }

    /// Returns the parents of a commit.
    pub fn parents_of(&self, commit: &str) -> Result<Vec<CommitId>, RepositoryError> {
        let handle = self.handle()?;
        let commit = find_commit(&handle, commit)?;
        Ok(commit.parent_ids().map(|id| id.to_string()).collect())
    }

    /// Tells whether a commit is another one or comes after it.
    pub fn descends(&self, commit: &str, from: &str) -> Result<bool, RepositoryError> {
        let handle = self.handle()?;
        let id = |name: &str| Oid::from_str(name).map_err(RepositoryError::git(format!("find commit {name}")));
        let (commit, from) = (id(commit)?, id(from)?);
        let follows = || handle.graph_descendant_of(commit, from);
        Ok(commit == from || follows().map_err(RepositoryError::git("compare two commits"))?)
    }

    /// Lists the paths whose content, mode or existence differs between two commits or trees, sorted, each once.
    ///
    /// Between two snapshots of the user's checkout this is what changed outside the slots meanwhile; ignored files
    /// are in no snapshot, so their changes are not seen.
    pub fn changed_paths(&self, from: &str, to: &str) -> Result<Vec<String>, RepositoryError> {
        let handle = self.handle()?;
        let paths = changed_paths(&handle, &find_tree(&handle, from)?, &find_tree(&handle, to)?)?;
        Ok(paths.iter().map(|path| lossy(path)).collect())
    }
}

/// Writes a commit as [`Repository::commit_tree`] does.
pub(in crate::infra) fn commit_tree(
    handle: &git2::Repository,
    tree: &str,
    parents: &[CommitId],
    message: &str,
    unix_time: i64,
) -> Result<CommitId, RepositoryError> {
    let signature = Signature::new("ralph-sidecar", "ralph-sidecar@localhost", &Time::new(unix_time, 0))
        .map_err(RepositoryError::git("make a signature"))?;
    let parents: Vec<_> = parents.iter().map(|parent| find_commit(handle, parent)).collect::<Result<_, _>>()?;
    let commit = handle
        .commit(None, &signature, &signature, message, &find_tree(handle, tree)?, &parents.iter().collect::<Vec<_>>())
        .map_err(RepositoryError::git("write a commit"))?;
    Ok(commit.to_string())
}

/// Finds a commit by its name.
pub(in crate::infra) fn find_commit<'h>(
    handle: &'h git2::Repository,
    commit: &str,
) -> Result<git2::Commit<'h>, RepositoryError> {
    Oid::from_str(commit)
        .and_then(|id| handle.find_commit(id))
        .map_err(RepositoryError::git(format!("find commit {commit}")))
}

/// Finds a tree by its own name or that of a commit.
pub(in crate::infra) fn find_tree<'h>(
    handle: &'h git2::Repository,
    treeish: &str,
) -> Result<git2::Tree<'h>, RepositoryError> {
    Oid::from_str(treeish)
        .and_then(|id| handle.find_object(id, None)?.peel_to_tree())
        .map_err(RepositoryError::git(format!("find the tree of {treeish}")))
}

/// Lists changed paths as bytes, sorted.
pub(in crate::infra) fn changed_paths(
    handle: &git2::Repository,
    from: &git2::Tree<'_>,
    to: &git2::Tree<'_>,
) -> Result<Vec<Vec<u8>>, RepositoryError> {
    if from.id() == to.id() {
        return Ok(Vec::new());
    }
    let diff =
        handle.diff_tree_to_tree(Some(from), Some(to), None).map_err(RepositoryError::git("compare two trees"))?;
    let mut paths: Vec<Vec<u8>> = diff
        .deltas()
        .flat_map(|delta| [delta.old_file().path_bytes(), delta.new_file().path_bytes()])
        .flatten()
        .map(<[u8]>::to_vec)
        .collect();
    paths.sort();
    paths.dedup();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;

    #[test]
    fn commits_are_deterministic_and_reach_no_ref() {
        let fixture = Fixture::with_commit(&[("a", "1\n")]);
        let repository = fixture.repository();
        let head = fixture.rev("HEAD");
        let tree = repository.tree_of(&head).unwrap();
        let before = fixture.user_state();
        let first = repository.commit_tree(&tree, std::slice::from_ref(&head), "m", 7).unwrap();
        assert_eq!(first, repository.commit_tree(&tree, &[head], "m", 7).unwrap());
        assert_eq!(fixture.git(&["log", "-1", "--format=%an|%at|%s", &first]).trim(), "ralph-sidecar|7|m");
        assert_eq!(fixture.user_state(), before);
    }

    #[test]
    fn files_are_read_from_commits_and_trees() {
        let fixture = Fixture::with_commit(&[("dir/a", "1\n")]);
        let repository = fixture.repository();
        let head = fixture.rev("HEAD");
        assert_eq!(repository.read_file(&head, "dir/a").unwrap().as_deref(), Some(b"1\n".as_slice()));
        let tree = repository.tree_of(&head).unwrap();
        assert_eq!(repository.read_file(&tree, "dir/b").unwrap(), None);
        assert_eq!(repository.read_file(&tree, "dir").unwrap(), None);
        assert!(repository.read_file("not a name", "dir").is_err());
    }

    #[test]
    fn changed_paths_are_sorted_and_name_both_sides() {
        let fixture = Fixture::with_commit(&[("b", "1\n"), ("gone", "2\n")]);
        let from = fixture.rev("HEAD");
        fixture.git(&["rm", "-q", "gone"]);
        let to = fixture.commit_files(&[("b", "3\n"), ("a", "4\n")]);
        let repository = fixture.repository();
        assert_eq!(repository.changed_paths(&from, &to).unwrap(), ["a", "b", "gone"]);
        assert_eq!(repository.changed_paths(&to, &to).unwrap(), [""; 0]);
    }
}
