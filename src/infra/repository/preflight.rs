//! Finds out, before anything starts, what a repository needs beyond libgit2 and what stands in the way.

use std::path::{Path, PathBuf};

use git2::RepositoryState;

use super::binary::find_git;
use super::{Repository, RepositoryError};

/// What kind of thing stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreflightKind {
    Submodules,
    SparseCheckout,
    /// Git LFS or another clean/smudge filter, or a working tree encoding.
    Filters,
    /// A merge, rebase, cherry-pick, revert, bisect or patch series is under way.
    OperationInProgress,
    /// There are no commits yet.
    UnbornHead,
    /// Objects are fetched on demand, which only the `git` program does.
    PartialClone,
}

/// One finding of [`Repository::preflight`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreflightProblem {
    pub kind: PreflightKind,
    /// Whether nothing may start before it is solved; otherwise it is worth knowing only.
    pub blocking: bool,
    /// One sentence with the next step.
    pub message: String,
}

/// What a repository needs the `git` program for; decided once, when it is opened.
#[derive(Debug, Clone, Default)]
pub(super) struct Needs {
    /// Filters in use that libgit2 would skip, by name.
    pub filters: Vec<String>,
    pub sparse: bool,
    /// The `git` program, if there is one.
    pub git: Option<PathBuf>,
}

impl Needs {
    pub fn of(handle: &git2::Repository, workdir: &Path) -> Self {
        let sparse = handle.config().and_then(|config| config.get_bool("core.sparseCheckout")).unwrap_or(false);
        Self { filters: filters_in_use(handle, workdir), sparse, git: find_git() }
    }

    /// Why files must be read and written by the `git` program; none when libgit2 does it right.
    pub fn binary_reason(&self) -> Option<String> {
        if !self.filters.is_empty() {
            Some(format!("the filter `{}` in .gitattributes", self.filters.join("`, `")))
        } else if self.sparse {
            Some("the sparse checkout".to_owned())
        } else {
            None
        }
    }
}

impl Repository {
    /// Lists what must or should be known before a loop starts here; empty when all is well.
    pub fn preflight(&self) -> Result<Vec<PreflightProblem>, RepositoryError> {
        let handle = self.handle()?;
        let mut problems = Vec::new();
        let mut push = |kind, blocking, message: String| problems.push(PreflightProblem { kind, blocking, message });
        let covered = self.needs.git.is_some();
        let remedy = if covered { "the `git` program does it" } else { "install git, or put it on PATH" };

        if self.head()?.is_none() {
            let message = "the repository has no commits yet: make a first commit".to_owned();
            push(PreflightKind::UnbornHead, true, message);
        }
        if let Some((what, blocking)) = operation(handle.state()) {
            let message = format!("{what} is in progress: finish or abort it first");
            push(PreflightKind::OperationInProgress, blocking, message);
        }
        if !self.needs.filters.is_empty() {
            let message = format!("files pass through the filter `{}`: {remedy}", self.needs.filters.join("`, `"));
            push(PreflightKind::Filters, !covered, message);
        }
        if self.needs.sparse {
            let message = format!("the checkout is sparse, slots are complete: {remedy}");
            push(PreflightKind::SparseCheckout, !covered, message);
        }
        let submodules = submodules(&self.workdir);
        if !submodules.is_empty() {
            let message = format!(
                "the submodules `{}` stay empty in slots and changes inside them are left out: \
                 add `git submodule update --init` to `setup` if checks need them",
                submodules.join("`, `")
            );
            push(PreflightKind::Submodules, false, message);
        }
        let config = handle.config().map_err(RepositoryError::git("read the configuration"))?;
        if config.get_string("extensions.partialClone").is_ok() {
            let message = "a partial clone lacks objects: run `git fetch --refetch --no-filter` if one is missed";
            push(PreflightKind::PartialClone, false, message.to_owned());
        }
        Ok(problems)
    }
}

impl Repository {
    /// Returns what is under way in the checkout, such as a merge; none when nothing is.
    pub fn operation(&self) -> Result<Option<&'static str>, RepositoryError> {
        Ok(operation(self.handle()?.state()).map(|(what, _)| what))
    }
}

fn operation(state: RepositoryState) -> Option<(&'static str, bool)> {
    Some(match state {
        RepositoryState::Clean => return None,
        RepositoryState::Merge => ("a merge", true),
        RepositoryState::Revert | RepositoryState::RevertSequence => ("a revert", true),
        RepositoryState::CherryPick | RepositoryState::CherryPickSequence => ("a cherry-pick", true),
        RepositoryState::Bisect => ("a bisect", false),
        RepositoryState::Rebase | RepositoryState::RebaseInteractive | RepositoryState::RebaseMerge => {
            ("a rebase", true)
        }
        RepositoryState::ApplyMailbox | RepositoryState::ApplyMailboxOrRebase => ("a patch series", true),
    })
}

/// Paths of the submodules `.gitmodules` names.
fn submodules(workdir: &Path) -> Vec<String> {
    let Ok(text) = std::fs::read_to_string(workdir.join(".gitmodules")) else { return Vec::new() };
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("path"))
        .filter_map(|rest| rest.trim_start().strip_prefix('='))
        .map(|path| path.trim().trim_matches('"').to_owned())
        .collect()
}

/// Names the filters that attributes ask for and configuration defines, and encodings libgit2 does not convert.
fn filters_in_use(handle: &git2::Repository, workdir: &Path) -> Vec<String> {
    let Ok(config) = handle.config() else { return Vec::new() };
    let mut files = vec![workdir.join(".gitattributes"), handle.commondir().join("info/attributes")];
    match config.get_path("core.attributesFile") {
        Ok(path) => files.push(path),
        Err(_) => files.extend(default_attributes()),
    }
    if let Ok(index) = handle.index() {
        let attributes = index.iter().filter(|entry| entry.path.ends_with(b"/.gitattributes"));
        files.extend(attributes.map(|entry| workdir.join(String::from_utf8_lossy(&entry.path).as_ref())));
    }
    let mut found = Vec::new();
    for text in files.iter().filter_map(|file| std::fs::read(file).ok()) {
        for word in
            String::from_utf8_lossy(&text).lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace)
        {
            if let Some(name) = word.strip_prefix("filter=") {
                let defined = ["clean", "smudge", "process"]
                    .iter()
                    .any(|step| config.get_entry(&format!("filter.{name}.{step}")).is_ok());
                if defined {
                    found.push(name.to_owned());
                }
            } else if word.starts_with("working-tree-encoding=") {
                found.push(word.to_owned());
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

fn default_attributes() -> Option<PathBuf> {
    let folder = match std::env::var_os("XDG_CONFIG_HOME").filter(|value| !value.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".config"),
    };
    Some(folder.join("git/attributes"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;

    fn kinds(fixture: &Fixture) -> Vec<(PreflightKind, bool)> {
        let problems = fixture.repository().preflight().unwrap();
        problems.into_iter().map(|problem| (problem.kind, problem.blocking)).collect()
    }

    #[test]
    fn an_ordinary_repository_has_no_problems() {
        assert_eq!(kinds(&Fixture::with_commit(&[("a", "1\n")])), []);
    }

    #[test]
    fn an_unborn_head_blocks() {
        assert_eq!(kinds(&Fixture::empty()), [(PreflightKind::UnbornHead, true)]);
    }

    #[test]
    fn a_merge_in_progress_blocks() {
        let fixture = Fixture::with_commit(&[("a", "1\n")]);
        fixture.git(&["checkout", "-q", "-b", "other"]);
        fixture.commit_files(&[("a", "2\n")]);
        fixture.git(&["checkout", "-q", "main"]);
        fixture.commit_files(&[("a", "3\n")]);
        assert!(!fixture.try_git(&["merge", "-q", "other"]));
        assert_eq!(kinds(&fixture), [(PreflightKind::OperationInProgress, true)]);
    }

    #[test]
    fn filters_count_only_when_attributes_use_what_configuration_defines() {
        let fixture = Fixture::with_commit(&[("sub/.gitattributes", "*.bin filter=shout\n")]);
        assert_eq!(kinds(&fixture), []);
        fixture.git(&["config", "filter.shout.clean", "cat"]);
        assert_eq!(kinds(&fixture), [(PreflightKind::Filters, false)]);
        let mut repository = fixture.repository();
        repository.needs.git = None;
        assert!(repository.preflight().unwrap()[0].blocking);
    }

    #[test]
    fn submodules_and_sparse_checkouts_are_named() {
        let fixture = Fixture::with_commit(&[(".gitmodules", "[submodule \"x\"]\n\tpath = libs/x\n\turl = ../x\n")]);
        fixture.git(&["config", "core.sparseCheckout", "true"]);
        assert_eq!(kinds(&fixture), [(PreflightKind::SparseCheckout, false), (PreflightKind::Submodules, false)]);
        let problems = fixture.repository().preflight().unwrap();
        assert!(problems[1].message.contains("libs/x"));
    }
}
