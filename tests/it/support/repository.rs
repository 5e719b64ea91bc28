//! A git repository with homes of its own, and the server on it as a process.

use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Makes a repository with one commit of these files.
pub fn make(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let repository = git2::Repository::init(folder.path()).expect("a repository can be made");
    let mut index = repository.index().expect("it has an index");
    for (path, text) in files {
        write(folder.path(), path, text);
        index.add_path(Path::new(path)).expect("files can be added");
    }
    index.write().expect("the index can be written");
    let tree = repository.find_tree(index.write_tree().expect("a tree")).expect("the tree is there");
    let person = git2::Signature::now("Test", "test@example.invalid").expect("a name");
    repository.commit(Some("HEAD"), &person, &person, "Begin", &tree, &[]).expect("a commit");
    drop(tree);
    folder
}

/// Writes a file with its folders.
pub fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().expect("inside the folder")).expect("folders can be made");
    std::fs::write(path, text).expect("files can be written");
}

/// Makes the command that serves an editor, with an engine inside and all homes in `homes`.
pub fn server(root: &Path, homes: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ralph-sidecar"));
    for name in std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("GIT_")) {
        command.env_remove(name);
    }
    for folder in ["home", "run"] {
        std::fs::create_dir_all(homes.join(folder)).expect("folders can be made");
    }
    command
        .args(["--in-process", "lsp"])
        .current_dir(root)
        .env("HOME", homes.join("home"))
        .env("XDG_RUNTIME_DIR", homes.join("run"))
        .env("RALPH_STATE_HOME", homes.join("state"))
        .env("RALPH_CONFIG_HOME", homes.join("config"))
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null");
    command
}
