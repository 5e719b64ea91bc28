//! Exclusive locks between processes, held on files of the state directory and never on git's.

use std::fs::{File, OpenOptions};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::RepositoryError;

/// A held lock; dropping it, or the process ending, lets go.
#[derive(Debug)]
pub(in crate::infra) struct FileLock {
    _file: File,
}

/// Waits until the lock on `path` is free and takes it; the file is created and stays.
pub(in crate::infra) fn lock_file(path: &Path) -> Result<FileLock, RepositoryError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(RepositoryError::io("create", folder))?;
    }
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(RepositoryError::io("open the lock", path))?;
    loop {
        match flock(&file, FlockOperation::LockExclusive) {
            Ok(()) => return Ok(FileLock { _file: file }),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(RepositoryError::io("take the lock", path)(error.into())),
        }
    }
}
