//! Who is the engine of a repository: one lock, a generation number, and where that engine listens.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::durable::{FileLock, atomic_write};
use super::paths::{PathsError, StatePaths};
use crate::protocol::engine_api::{ApiError, ErrorKind};

/// Why this process is not the engine.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("{}", busy(*pid))]
    Busy {
        /// Its process, when it has said so yet.
        pid: Option<u32>,
    },
    #[error(transparent)]
    Paths(#[from] PathsError),
}

fn busy(pid: Option<u32>) -> String {
    match pid {
        Some(pid) => format!("another engine (process {pid}) has this repository"),
        None => "another engine has this repository".into(),
    }
}

impl From<LockError> for ApiError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Busy { .. } => Self::new(ErrorKind::Busy, error.to_string()).with_hint(
                "leave out --in-process to use that one, or wait: it ends soon after its last run and window",
            ),
            LockError::Paths(error) => error.into(),
        }
    }
}

/// What an engine tells about itself, for those who look for it. Only advice: the lock decides who is the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Higher than that of every engine before.
    pub generation: u64,
    pub pid: u32,
    /// Where it listens; absent while it does not, and for an engine inside a front end.
    #[serde(default)]
    pub socket: Option<PathBuf>,
    /// It lives inside a front end and serves nobody else.
    #[serde(default)]
    pub in_process: bool,
}

impl Announcement {
    /// Reads what the present or the last engine said; none when there never was one.
    pub fn read(paths: &StatePaths) -> Option<Self> {
        serde_json::from_slice(&fs::read(file_of(paths)).ok()?).ok()
    }
}

/// The right to be the engine of a repository, until it is dropped or the process ends, however that happens.
#[derive(Debug)]
pub struct EngineLock {
    lock: FileLock,
    path: PathBuf,
    announcement_file: PathBuf,
    generation: u64,
}

impl EngineLock {
    /// Becomes the engine: takes the lock, and durably writes a generation number that no engine before had.
    ///
    /// # Errors
    ///
    /// `Busy` when another process (or another part of this one) is the engine; the folder's problem otherwise.
    pub fn acquire(paths: &StatePaths) -> Result<Self, LockError> {
        let failed = |source| PathsError::from_io(&paths.lock, source);
        let Some(lock) = FileLock::try_exclusive(&paths.lock).map_err(failed)? else {
            return Err(LockError::Busy { pid: Announcement::read(paths).map(|engine| engine.pid) });
        };
        let announcement_file = file_of(paths);
        let generation = next_generation(&announcement_file)?;
        let lock = Self { lock, path: paths.lock.clone(), announcement_file, generation };
        lock.say(None, false)?;
        Ok(lock)
    }

    /// Tells whether nobody is the engine right now. Only advice: it may have changed when this returns, and asking
    /// can make an [`acquire`](Self::acquire) at the same moment fail.
    pub fn is_free(paths: &StatePaths) -> bool {
        matches!(FileLock::try_exclusive(&paths.lock), Ok(Some(_)))
    }

    /// Higher than that of every engine before.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Tells where the engine listens; durable.
    ///
    /// # Errors
    ///
    /// The folder's problem.
    pub fn announce(&self, socket: &Path) -> Result<(), PathsError> {
        self.say(Some(socket), false)
    }

    /// Tells that the engine serves its own process only, so that others need not wait for it to listen.
    ///
    /// # Errors
    ///
    /// The folder's problem.
    pub fn announce_in_process(&self) -> Result<(), PathsError> {
        self.say(None, true)
    }

    fn say(&self, socket: Option<&Path>, in_process: bool) -> Result<(), PathsError> {
        let said = Announcement {
            generation: self.generation,
            pid: std::process::id(),
            socket: socket.map(Into::into),
            in_process,
        };
        let failed = |source| PathsError::from_io(&self.announcement_file, source);
        let text = serde_json::to_vec(&said).map_err(|error| failed(error.into()))?;
        atomic_write(&self.announcement_file, &text).map_err(failed)
    }

    /// Tells whether the lock still excludes others: false when its file was removed or replaced, or when another
    /// engine has taken a generation since. Such an engine must not write any more.
    pub fn still_held(&self) -> bool {
        let (Ok(held), Ok(now)) = (self.lock.file().metadata(), fs::metadata(&self.path)) else { return false };
        let newest = fs::read(&self.announcement_file)
            .ok()
            .and_then(|text| serde_json::from_slice::<Announcement>(&text).ok())
            .map_or(self.generation, |said| said.generation);
        held.ino() == now.ino() && held.dev() == now.dev() && newest == self.generation
    }
}

fn file_of(paths: &StatePaths) -> PathBuf {
    paths.repository.join("engine.json")
}

/// The number after the last one. When that is lost the time in seconds is taken, which no counter has reached.
fn next_generation(file: &Path) -> Result<u64, PathsError> {
    match fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(1),
        Err(error) => Err(PathsError::from_io(file, error)),
        Ok(text) => Ok(match serde_json::from_slice::<Announcement>(&text) {
            Ok(last) => last.generation.saturating_add(1),
            Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infra::paths::Homes;

    fn paths(folder: &Path) -> StatePaths {
        fs::create_dir_all(folder.join("repo/.git")).expect("folder");
        let homes =
            Homes { state: folder.join("state"), config: folder.join("config"), runtime: vec![folder.join("run")] };
        StatePaths::open(&homes, &folder.join("repo/.git")).expect("opened")
    }

    #[test]
    fn one_engine_at_a_time_and_each_has_a_higher_generation() {
        let folder = tempfile::tempdir().expect("folder");
        let paths = paths(folder.path());
        assert_eq!(Announcement::read(&paths), None);
        let first = EngineLock::acquire(&paths).expect("free");
        assert_eq!(first.generation(), 1);
        let own = std::process::id();
        assert!(matches!(EngineLock::acquire(&paths), Err(LockError::Busy { pid: Some(pid) }) if pid == own));
        first.announce(Path::new("/run/x.sock")).expect("announced");
        assert_eq!(Announcement::read(&paths).expect("said").socket, Some("/run/x.sock".into()));
        assert!(first.still_held());
        drop(first);
        let second = EngineLock::acquire(&paths).expect("free again");
        assert_eq!(second.generation(), 2);
        let said = Announcement { generation: 2, pid: own, socket: None, in_process: false };
        assert_eq!(Announcement::read(&paths), Some(said));
    }

    #[test]
    fn an_engine_notices_that_it_lost_its_lock() {
        let folder = tempfile::tempdir().expect("folder");
        let paths = paths(folder.path());
        let first = EngineLock::acquire(&paths).expect("free");
        fs::remove_file(&paths.lock).expect("removed");
        assert!(!first.still_held());
        let second = EngineLock::acquire(&paths).expect("nobody is in the way");
        assert!(!first.still_held() && second.still_held());
        assert!(second.generation() > first.generation());
    }

    #[test]
    fn a_damaged_announcement_leads_to_a_higher_generation() {
        let folder = tempfile::tempdir().expect("folder");
        let paths = paths(folder.path());
        drop(EngineLock::acquire(&paths).expect("free"));
        fs::write(paths.repository.join("engine.json"), "{\"gen").expect("damaged");
        let lock = EngineLock::acquire(&paths).expect("free");
        assert!(lock.generation() > 1_000_000 && lock.still_held());
    }

    #[test]
    fn busy_reads_as_such_on_the_command_line() {
        let error = ApiError::from(LockError::Busy { pid: Some(7) });
        assert_eq!(error.kind, ErrorKind::Busy);
        assert!(error.message.contains("process 7") && error.hint.is_some());
    }
}
