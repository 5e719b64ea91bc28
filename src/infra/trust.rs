//! The command strings a person trusts in one repository, kept outside of it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::durable::{FileLock, atomic_write};
use super::paths::{PathsError, StatePaths};
use crate::protocol::engine_api::{ApiError, ErrorKind};

/// Version of the file's form.
const VERSION: u32 = 1;

/// Why trust could not be read or changed. In every case nothing is trusted that was not before.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("the list of trusted commands was damaged ({why}); it is kept as {kept}, and nothing is trusted now")]
    Damaged { kept: PathBuf, why: String },
    #[error("the list of trusted commands at {path} was written by a newer ralph-sidecar (version {version})")]
    Newer { path: PathBuf, version: u32 },
    #[error(transparent)]
    Paths(#[from] PathsError),
}

impl From<TrustError> for ApiError {
    fn from(error: TrustError) -> Self {
        let hint = match &error {
            TrustError::Damaged { .. } => "look at the commands again and trust them with `ralph-sidecar trust`".into(),
            TrustError::Newer { .. } => "update ralph-sidecar".into(),
            TrustError::Paths(error) => error.hint(),
        };
        Self::new(ErrorKind::Data, error.to_string()).with_hint(hint)
    }
}

/// The trusted command strings of a repository; all its checkouts share them.
#[derive(Clone, Debug)]
pub struct TrustStore {
    file: PathBuf,
    lock: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    commands: BTreeSet<String>,
}

#[derive(Deserialize)]
struct StoredVersion {
    version: u32,
}

impl TrustStore {
    /// Names the file; reads nothing yet.
    pub fn open(paths: &StatePaths) -> Self {
        Self { file: paths.trust.clone(), lock: paths.trust.with_extension("lock") }
    }

    /// Reads what is trusted now; nothing when nobody ever trusted anything.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or understood. A damaged one is put aside, so that this is told once and the
    /// next call finds nothing trusted.
    pub fn commands(&self) -> Result<BTreeSet<String>, TrustError> {
        // Under the lock, so that a damaged file is put aside once and never a good one that replaced it.
        let _lock = self.locked()?;
        self.read()
    }

    /// Trusts these, besides those trusted already; durable when it returns.
    ///
    /// # Errors
    ///
    /// As [`TrustStore::commands`], and when the file cannot be written.
    pub fn add(&self, commands: &[String]) -> Result<(), TrustError> {
        self.change(|trusted| trusted.extend(commands.iter().cloned()))
    }

    /// No longer trusts these; durable when it returns.
    ///
    /// # Errors
    ///
    /// As [`TrustStore::add`].
    pub fn remove(&self, commands: &[String]) -> Result<(), TrustError> {
        self.change(|trusted| trusted.retain(|command| !commands.contains(command)))
    }

    fn change(&self, change: impl FnOnce(&mut BTreeSet<String>)) -> Result<(), TrustError> {
        let _lock = self.locked()?;
        let before = self.read()?;
        let mut commands = before.clone();
        change(&mut commands);
        if commands == before {
            return Ok(());
        }
        let failed = |source| PathsError::from_io(&self.file, source);
        let text =
            serde_json::to_vec_pretty(&Stored { version: VERSION, commands }).map_err(|error| failed(error.into()))?;
        Ok(atomic_write(&self.file, &text).map_err(failed)?)
    }

    fn locked(&self) -> Result<FileLock, TrustError> {
        Ok(FileLock::wait_exclusive(&self.lock).map_err(|source| PathsError::from_io(&self.lock, source))?)
    }

    fn read(&self) -> Result<BTreeSet<String>, TrustError> {
        let text = match fs::read(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(error) => return Err(PathsError::from_io(&self.file, error).into()),
        };
        match serde_json::from_slice::<StoredVersion>(&text) {
            Ok(StoredVersion { version }) if version > VERSION => {
                Err(TrustError::Newer { path: self.file.clone(), version })
            }
            Ok(_) => match serde_json::from_slice::<Stored>(&text) {
                Ok(stored) => Ok(stored.commands),
                Err(error) => Err(self.put_aside(&error)),
            },
            Err(error) => Err(self.put_aside(&error)),
        }
    }

    fn put_aside(&self, why: &serde_json::Error) -> TrustError {
        let kept = unused_name(&self.file);
        match fs::rename(&self.file, &kept) {
            Ok(()) => TrustError::Damaged { kept, why: why.to_string() },
            Err(source) => PathsError::from_io(&self.file, source).into(),
        }
    }
}

/// The first of `NAME.damaged-1`, `NAME.damaged-2`, … that is not there.
fn unused_name(file: &Path) -> PathBuf {
    let mut number = 1u32;
    loop {
        let mut name = file.as_os_str().to_owned();
        name.push(format!(".damaged-{number}"));
        let path = PathBuf::from(name);
        if fs::symlink_metadata(&path).is_err() {
            return path;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(folder: &Path) -> TrustStore {
        TrustStore { file: folder.join("trust.json"), lock: folder.join("trust.lock") }
    }

    fn strings(commands: &[&str]) -> Vec<String> {
        commands.iter().map(|command| (*command).to_owned()).collect()
    }

    #[test]
    fn trust_is_added_and_taken_back() {
        let folder = tempfile::tempdir().expect("folder");
        let store = store(folder.path());
        assert!(store.commands().expect("empty").is_empty());
        store.add(&strings(&["make test", "cargo test"])).expect("added");
        store.add(&strings(&["make test"])).expect("again");
        assert_eq!(store.commands().expect("two"), BTreeSet::from(["cargo test".into(), "make test".into()]));
        store.remove(&strings(&["make test", "never there"])).expect("removed");
        assert_eq!(store.commands().expect("one"), BTreeSet::from(["cargo test".into()]));
    }

    #[test]
    fn two_at_once_lose_nothing() {
        let folder = tempfile::tempdir().expect("folder");
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let store = store(folder.path());
                scope.spawn(move || {
                    for number in 0..8 {
                        store.add(&[format!("{writer}-{number}")]).expect("added");
                    }
                });
            }
        });
        assert_eq!(store(folder.path()).commands().expect("all").len(), 32);
    }

    #[test]
    fn a_damaged_file_is_told_kept_and_trusts_nothing() {
        let folder = tempfile::tempdir().expect("folder");
        let store = store(folder.path());
        for (number, text) in
            ["", "{\"version\":1,\"commands\":[\"make", "[]", "{\"version\":1,\"commands\":\"*\"}", "{\"commands\":[]}"]
                .iter()
                .enumerate()
        {
            fs::write(&store.file, text).expect("damaged");
            let error = store.add(&strings(&["make test"])).expect_err("told");
            let TrustError::Damaged { kept, .. } = &error else { panic!("{error}") };
            assert_eq!(fs::read_to_string(kept).expect("kept"), *text);
            assert!(kept.ends_with(format!("trust.json.damaged-{}", number + 1)));
            assert!(store.commands().expect("told once").is_empty());
        }
        store.add(&strings(&["make test"])).expect("works again");
        assert_eq!(store.commands().expect("one").len(), 1);
    }

    #[test]
    fn a_newer_file_is_left_alone() {
        let folder = tempfile::tempdir().expect("folder");
        let store = store(folder.path());
        let text = "{\"version\":2,\"commands\":{\"any\":true}}";
        fs::write(&store.file, text).expect("written");
        assert!(matches!(store.commands(), Err(TrustError::Newer { version: 2, .. })));
        assert!(store.add(&strings(&["x"])).is_err());
        assert_eq!(fs::read_to_string(&store.file).expect("there"), text);
    }
}
