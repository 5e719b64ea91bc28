//! Makes the small repository of the demonstration; needs no `git` program and no configuration of the user.

use git2::{IndexAddOption, RepositoryInitOptions, Signature};
use std::fs;
use std::io;
use std::path::Path;

/// Why the repository could not be made. Reads after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    #[error("write the files of the demonstration: {0}")]
    Files(#[from] io::Error),
    #[error("make the repository of the demonstration: {0}")]
    Git(#[from] git2::Error),
}

/// Makes a repository at `root` with these files in one commit on the branch `main`.
///
/// # Errors
///
/// When something cannot be written.
pub fn make_repository(root: &Path, files: &[(&str, &str)]) -> Result<(), SampleError> {
    for (path, text) in files {
        let path = root.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, text)?;
    }
    let repository = git2::Repository::init_opts(root, RepositoryInitOptions::new().initial_head("main"))?;
    let mut index = repository.index()?;
    index.add_all(["*"], IndexAddOption::DEFAULT, None)?;
    index.write()?;
    let tree = repository.find_tree(index.write_tree()?)?;
    let author = Signature::now("Demonstration", "demonstration@localhost")?;
    repository.commit(Some("HEAD"), &author, &author, "Begin", &tree, &[])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_clean_with_one_commit() {
        let folder = tempfile::tempdir().expect("folder");
        make_repository(folder.path(), &[("a.txt", "a\n"), ("b/c.txt", "c\n")]).expect("made");
        let repository = git2::Repository::open(folder.path()).expect("opened");
        assert_eq!(repository.statuses(None).expect("read").len(), 0);
        let head = repository.head().expect("head");
        assert_eq!(head.shorthand(), Ok("main"));
        assert_eq!(head.peel_to_commit().expect("a commit").parent_count(), 0);
    }
}
