//! Real repositories in temporary folders for tests, independent of the machine's git configuration.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Repository;

/// A repository of its own, removed when dropped.
pub(in crate::infra) struct Fixture {
    folder: tempfile::TempDir,
    workdir: PathBuf,
}

impl Fixture {
    /// A repository without commits.
    pub fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let workdir = folder.path().canonicalize().unwrap().join("repo");
        std::fs::create_dir(&workdir).unwrap();
        let fixture = Self { folder, workdir };
        fixture.git(&["init", "-q", "-b", "main"]);
        // libgit2 reads the machine's configuration too: say here what tests rely on.
        for (name, value) in [
            ("core.autocrlf", "false"),
            ("core.excludesFile", "/dev/null"),
            ("core.attributesFile", "/dev/null"),
            ("commit.gpgSign", "false"),
        ] {
            fixture.git(&["config", name, value]);
        }
        fixture
    }

    /// A repository with one commit of these files.
    pub fn with_commit(files: &[(&str, &str)]) -> Self {
        let fixture = Self::empty();
        fixture.commit_files(files);
        fixture
    }

    /// The temporary folder around the checkout.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn workdir(&self) -> &Path {
        &self.workdir
    }

    pub fn repository(&self) -> Repository {
        Repository::discover(&self.workdir).unwrap()
    }

    /// Writes a file, with its folders.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.workdir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Writes files and commits everything; returns the commit.
    pub fn commit_files(&self, files: &[(&str, &str)]) -> String {
        for (path, content) in files {
            self.write(path, content);
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", "test"]);
        self.rev("HEAD")
    }

    pub fn rev(&self, name: &str) -> String {
        self.git(&["rev-parse", name]).trim().to_owned()
    }

    /// Runs git in the checkout; panics when it fails.
    pub fn git(&self, args: &[&str]) -> String {
        self.git_at(&self.workdir, args)
    }

    /// Runs git in another folder; panics when it fails.
    pub fn git_at(&self, folder: &Path, args: &[&str]) -> String {
        let output = command(folder, args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs git in the checkout and says whether it succeeded.
    pub fn try_git(&self, args: &[&str]) -> bool {
        command(&self.workdir, args).output().unwrap().status.success()
    }

    /// Everything of the user's that must stay as it is, refs/ralph aside, byte for byte.
    pub fn user_state(&self) -> Vec<(String, Vec<u8>)> {
        let git_dir = PathBuf::from(self.git(&["rev-parse", "--absolute-git-dir"]).trim());
        let common = PathBuf::from(self.git(&["rev-parse", "--path-format=absolute", "--git-common-dir"]).trim());
        let mut state = Vec::new();
        for file in [git_dir.join("HEAD"), git_dir.join("index"), common.join("config"), common.join("logs/refs/stash")]
        {
            state.push((file.display().to_string(), std::fs::read(&file).unwrap_or_default()));
        }
        let refs = self.git(&["for-each-ref", "--format=%(refname) %(objectname)"]);
        let refs: String = refs.lines().filter(|line| !line.starts_with("refs/ralph/")).collect();
        state.push(("refs".to_owned(), refs.into_bytes()));
        let mut hooks: Vec<_> = std::fs::read_dir(common.join("hooks"))
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        hooks.sort();
        state.push(("hooks".to_owned(), hooks.join("\n").into_bytes()));
        // Asked last, without the optional refresh of the index.
        let status = self.git(&["--no-optional-locks", "status", "--porcelain", "--untracked-files=all"]);
        state.push(("status".to_owned(), status.into_bytes()));
        state
    }
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"GIT_")) {
        command.env_remove(name);
    }
    command
        .current_dir(folder)
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0");
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "Tester").env(format!("GIT_{role}_EMAIL"), "tester@example.com");
    }
    command
}
