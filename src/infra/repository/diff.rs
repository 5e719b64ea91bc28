//! The difference of two commits as whole files, which hunks are later made from.

use git2::{Delta, DiffDelta, DiffFindOptions, FileMode, Oid};

use super::objects::find_tree;
use super::work_area::{GITLINK, lossy};
use super::{Repository, RepositoryError};

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    Added,
    Deleted,
    Modified,
    /// Moved, perhaps with changes; `old_path` is set.
    Renamed,
    /// The executable bit only.
    ModeChanged,
    /// File, symbolic link or submodule became another of these.
    TypeChanged,
}

/// One changed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    pub path: String,
    pub old_path: Option<String>,
    pub kind: ChangeKind,
    /// Git's modes (`0o100644`, `0o100755`, `0o120000`, `0o160000`); 0 where the side has no file.
    pub old_mode: u32,
    pub new_mode: u32,
    /// Whether either side has a NUL byte near its beginning, as git tells binary files; submodules count too.
    pub binary: bool,
    /// The bytes as stored; none where the side has no file, or is a submodule.
    pub old: Option<Vec<u8>>,
    pub new: Option<Vec<u8>>,
}

impl Repository {
    /// Lists what changed from `base` to `head`, each a commit or a tree, sorted by path, with renames found.
    pub fn diff(&self, base: &str, head: &str) -> Result<Vec<FileChange>, RepositoryError> {
        let handle = self.handle()?;
        let (base, head) = (find_tree(&handle, base)?, find_tree(&handle, head)?);
        let mut options = git2::DiffOptions::new();
        options.include_typechange(true).skip_binary_check(true);
        let mut diff = handle
            .diff_tree_to_tree(Some(&base), Some(&head), Some(&mut options))
            .map_err(RepositoryError::git("compare two trees"))?;
        let mut find = DiffFindOptions::new();
        find.renames(true).rename_limit(400);
        diff.find_similar(Some(&mut find)).map_err(RepositoryError::git("look for renamed files"))?;
        let mut changes = Vec::new();
        for delta in diff.deltas() {
            changes.extend(to_change(&handle, &delta)?);
        }
        changes.sort_by(|left: &FileChange, right| left.path.cmp(&right.path));
        Ok(changes)
    }
}

fn to_change(handle: &git2::Repository, delta: &DiffDelta<'_>) -> Result<Option<FileChange>, RepositoryError> {
    let (old_file, new_file) = (delta.old_file(), delta.new_file());
    let (old_mode, new_mode) = (mode(old_file.mode()), mode(new_file.mode()));
    let kind = match delta.status() {
        Delta::Added => ChangeKind::Added,
        Delta::Deleted => ChangeKind::Deleted,
        Delta::Renamed => ChangeKind::Renamed,
        Delta::Typechange => ChangeKind::TypeChanged,
        Delta::Modified if old_file.id() == new_file.id() => ChangeKind::ModeChanged,
        Delta::Modified => ChangeKind::Modified,
        _ => return Ok(None),
    };
    let path_of = |file: &git2::DiffFile<'_>| file.path_bytes().map(lossy);
    let Some(path) = path_of(&new_file).or_else(|| path_of(&old_file)) else { return Ok(None) };
    let old_path = path_of(&old_file).filter(|_| kind == ChangeKind::Renamed);
    let old = content(handle, old_file.id(), old_mode, &path)?;
    let new = content(handle, new_file.id(), new_mode, &path)?;
    let binary =
        [&old, &new].into_iter().flatten().any(|bytes| is_binary(bytes)) || [old_mode, new_mode].contains(&GITLINK);
    Ok(Some(FileChange { path, old_path, kind, old_mode, new_mode, binary, old, new }))
}

fn content(handle: &git2::Repository, id: Oid, mode: u32, path: &str) -> Result<Option<Vec<u8>>, RepositoryError> {
    if mode == 0 || mode == GITLINK {
        return Ok(None);
    }
    let blob = handle.find_blob(id).map_err(RepositoryError::git(format!("read {path}")))?;
    Ok(Some(blob.content().to_vec()))
}

fn mode(mode: FileMode) -> u32 {
    u32::from(mode)
}

/// Git's own rule: a NUL among the first 8,000 bytes.
fn is_binary(bytes: &[u8]) -> bool {
    bytes.iter().take(8000).any(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::super::testing::Fixture;
    use super::*;

    #[test]
    fn every_kind_of_change_is_told_in_path_order() {
        let long: String = (0..40).map(|line| format!("line {line}\n")).collect();
        let fixture = Fixture::with_commit(&[
            ("gone", "1\n"),
            ("kept", "1\r\n2"),
            ("link", "was a file\n"),
            ("moved/from", &long),
            ("script", "#!/bin/sh\n"),
        ]);
        let base = fixture.rev("HEAD");
        let at = |path: &str| fixture.workdir().join(path);
        fixture.git(&["rm", "-q", "gone"]);
        fixture.git(&["mv", "moved/from", "to"]);
        std::fs::write(at("to"), long.replace("line 7\n", "seven\n")).unwrap();
        std::fs::write(at("kept"), b"1\r\n\xff2").unwrap();
        std::fs::write(at("data"), b"a\0b").unwrap();
        std::fs::remove_file(at("link")).unwrap();
        symlink("/etc", at("link")).unwrap();
        std::fs::set_permissions(at("script"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let head = fixture.commit_files(&[]);

        let changes = fixture.repository().diff(&base, &head).unwrap();
        let told: Vec<_> = changes
            .iter()
            .map(|change| (change.path.as_str(), change.kind, change.old_mode, change.new_mode, change.binary))
            .collect();
        assert_eq!(
            told,
            [
                ("data", ChangeKind::Added, 0, 0o100_644, true),
                ("gone", ChangeKind::Deleted, 0o100_644, 0, false),
                ("kept", ChangeKind::Modified, 0o100_644, 0o100_644, false),
                ("link", ChangeKind::TypeChanged, 0o100_644, 0o120_000, false),
                ("script", ChangeKind::ModeChanged, 0o100_644, 0o100_755, false),
                ("to", ChangeKind::Renamed, 0o100_644, 0o100_644, false),
            ]
        );
        assert_eq!(changes[2].old.as_deref(), Some(b"1\r\n2".as_slice()));
        assert_eq!(changes[2].new.as_deref(), Some(b"1\r\n\xff2".as_slice()));
        assert_eq!(changes[3].new.as_deref(), Some(b"/etc".as_slice()));
        assert_eq!(changes[5].old_path.as_deref(), Some("moved/from"));
    }
}
