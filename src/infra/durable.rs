//! Writes that survive a crash, and the advisory locks that say who may write.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// Replaces the content of `path` by `bytes`, all or nothing, and returns when both are on stable storage.
///
/// A symbolic link stays one: the file it points to is replaced. An existing file keeps its permission bits; a new
/// one gets what the umask allows.
///
/// What a crash can still lose: until this returns, either the old or the new content is found, never a mixture; a
/// crash before the rename leaves the old content and possibly a stray `.name.*.tmp` beside it; a power cut between
/// the rename and the sync of the folder may bring the old content back. Once this returned, only the disk itself can
/// lose the new content. Hard links to the old file keep the old content, and its extended attributes are not copied.
pub fn atomic_write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = resolve_link(path)?;
    let folder = folder_of(&target);
    let name =
        target.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    let existing = match fs::metadata(&target) {
        Ok(metadata) => Some(metadata.permissions().mode() & 0o7777),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mut temporary = tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".tmp")
        .permissions(Permissions::from_mode(existing.unwrap_or(0o666)))
        .tempfile_in(folder)?;
    if let Some(mode) = existing {
        // Made with the same bits less the umask, so that nobody who may not read the old file can open this one.
        temporary.as_file().set_permissions(Permissions::from_mode(mode))?;
    }
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    temporary.persist(&target).map_err(|failed| failed.error)?;
    sync_dir(folder)
}

/// Makes the entries of a folder (files made, renamed, removed in it) survive a power cut.
pub fn sync_dir(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Appends `bytes` to `path`, makes the file when it is missing, and returns when they are on stable storage.
///
/// The caller is the only writer. When the write fails half-way (a full disk) the half is taken back, so that the next
/// record does not run into it. A power cut while this runs can leave a part of `bytes` at the end: readers must be
/// able to tell a complete record from a torn one.
pub fn append_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (mut file, made) = match OpenOptions::new().append(true).open(path) {
        Ok(file) => (file, false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            (OpenOptions::new().append(true).create(true).mode(0o600).open(path)?, true)
        }
        Err(error) => return Err(error),
    };
    append_to(&mut file, bytes)?;
    if made {
        sync_dir(folder_of(path))?;
    }
    Ok(())
}

/// Does what [`append_synced`] does to a file that is already open for appending.
pub fn append_to(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    let before = file.metadata()?.len();
    if let Err(error) = file.write_all(bytes) {
        // The first error is the one to tell; when this fails too, readers see a torn record.
        let _ = file.set_len(before);
        return Err(error);
    }
    file.sync_data()
}

/// The folder that holds `path`; `.` for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// An advisory lock on a file, held until it is dropped or its process ends, however that happens.
///
/// The descriptor is closed on exec, so a child never keeps the lock alive. The lock belongs to the open file: two
/// locks of one process exclude each other as those of two processes do.
#[derive(Debug)]
pub struct FileLock {
    file: File,
}

impl FileLock {
    /// Takes the lock, making the file (private to the user) when it is missing; `None` when someone else has it.
    pub fn try_exclusive(path: &Path) -> io::Result<Option<Self>> {
        Self::take(path, FlockOperation::NonBlockingLockExclusive)
    }

    /// Takes the lock, and blocks the calling thread for as long as someone else has it.
    pub fn wait_exclusive(path: &Path) -> io::Result<Self> {
        Self::waited(path, FlockOperation::LockExclusive)
    }

    /// Blocks the calling thread while someone has the lock exclusively; any number may wait and then share it.
    pub fn wait_shared(path: &Path) -> io::Result<Self> {
        Self::waited(path, FlockOperation::LockShared)
    }

    /// The locked file, for what its holder notes in it.
    pub fn file(&self) -> &File {
        &self.file
    }

    fn waited(path: &Path, operation: FlockOperation) -> io::Result<Self> {
        Self::take(path, operation)?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    fn take(path: &Path, operation: FlockOperation) -> io::Result<Option<Self>> {
        loop {
            // A link in its place is nobody's lock, and what it points to nobody's business here.
            let no_link = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(no_link);
            let file = options.open(path)?;
            match rustix::io::retry_on_intr(|| rustix::fs::flock(&file, operation)) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
            // A lock on a file that was removed or replaced meanwhile excludes nobody.
            let held = file.metadata()?;
            match fs::metadata(path) {
                Ok(now) if now.ino() == held.ino() && now.dev() == held.dev() => return Ok(Some(Self { file })),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Follows symbolic links to the file that is to be replaced; a dangling link is followed to where it points.
fn resolve_link(path: &Path) -> io::Result<PathBuf> {
    const LINKS: usize = 40;
    let mut target = path.to_path_buf();
    for _ in 0..LINKS {
        match fs::symlink_metadata(&target) {
            Ok(metadata) if metadata.file_type().is_symlink() => {
                target = folder_of(&target).join(fs::read_link(&target)?);
            }
            Ok(_) => return Ok(target),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(target),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "too many levels of symbolic links"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .expect("folder is readable")
            .map(|entry| entry.expect("entry").file_name().into_string().expect("utf-8"))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn atomic_write_keeps_permissions_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("queue.json");
        atomic_write(&path, b"one").expect("first write");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("permissions");
        atomic_write(&path, b"two").expect("second write");
        assert_eq!(fs::read(&path).expect("read"), b"two");
        assert_eq!(fs::metadata(&path).expect("metadata").permissions().mode() & 0o7777, 0o640);
        assert_eq!(names(folder.path()), ["queue.json"]);
    }

    #[test]
    fn atomic_write_replaces_what_a_link_points_to() {
        let folder = tempfile::tempdir().expect("folder");
        fs::create_dir(folder.path().join("real")).expect("folder");
        let link = folder.path().join("queue.json");
        std::os::unix::fs::symlink("real/queue.json", &link).expect("link");
        atomic_write(&link, b"text").expect("write through a dangling link");
        atomic_write(&link, b"more").expect("write through a link");
        assert!(fs::symlink_metadata(&link).expect("metadata").file_type().is_symlink());
        assert_eq!(fs::read(folder.path().join("real/queue.json")).expect("read"), b"more");
        std::os::unix::fs::symlink("loop", folder.path().join("loop")).expect("link");
        assert!(atomic_write(&folder.path().join("loop"), b"x").is_err());
    }

    #[test]
    fn a_failed_atomic_write_keeps_the_old_content() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("taken");
        fs::create_dir(&path).expect("a folder in the way");
        assert!(atomic_write(&path, b"text").is_err());
        assert_eq!(names(folder.path()), ["taken"]);
        assert!(atomic_write(&folder.path().join("missing/file"), b"text").is_err());
    }

    #[test]
    fn append_synced_appends() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("log");
        append_synced(&path, b"a\n").expect("made");
        append_synced(&path, b"b\n").expect("appended");
        assert_eq!(fs::read(&path).expect("read"), b"a\nb\n");
    }

    #[test]
    fn one_lock_at_a_time() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("lock");
        let first = FileLock::try_exclusive(&path).expect("lock").expect("free");
        assert!(FileLock::try_exclusive(&path).expect("lock").is_none());
        let waiting = {
            let path = path.clone();
            std::thread::spawn(move || FileLock::wait_exclusive(&path).map(|_| ()))
        };
        drop(first);
        waiting.join().expect("joined").expect("lock");
        let shared = FileLock::wait_shared(&path).expect("shared");
        let _also = FileLock::wait_shared(&path).expect("shared by two");
        assert!(FileLock::try_exclusive(&path).expect("lock").is_none());
        drop(shared);
    }

    #[test]
    fn a_lock_on_a_removed_file_does_not_count() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("lock");
        let _stale = FileLock::try_exclusive(&path).expect("lock").expect("free");
        fs::remove_file(&path).expect("removed");
        assert!(FileLock::try_exclusive(&path).expect("lock").is_some());
        assert!(path.exists());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn children_do_not_inherit_the_lock() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("lock");
        let lock = FileLock::try_exclusive(&path).expect("lock").expect("free");
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("child");
        let open: Vec<PathBuf> = fs::read_dir(format!("/proc/{}/fd", child.id()))
            .expect("descriptors")
            .filter_map(|entry| fs::read_link(entry.expect("entry").path()).ok())
            .collect();
        drop(child.stdin.take());
        child.wait().expect("reaped");
        drop(lock);
        assert!(!open.is_empty() && !open.contains(&path), "{open:?}");
    }
}
