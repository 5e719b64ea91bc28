//! Folders and file names of a mailbox, through descriptors, so that a folder swapped for a link leads nowhere.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, linkat, mkdirat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

use super::{MESSAGE_LIMIT, MailboxError};

/// Numbers above this are not ours: made up by someone to exhaust them.
pub const HIGHEST: u64 = 999_999_999_999_999;

/// One open folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    descriptor: OwnedFd,
}

/// What a file in `new/` turned out to be.
pub enum Content {
    Bytes(Vec<u8>),
    /// Not a message, for a reason that no retry changes.
    Not(&'static str),
    /// It is not there any more.
    Gone,
}

impl Folder {
    /// Opens a folder; a symbolic link in its place is an error.
    pub fn open(path: PathBuf) -> Result<Self, MailboxError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(CWD, &path, flags, Mode::empty()) {
            Ok(descriptor) => Ok(Self { path, descriptor }),
            Err(error) => Err(MailboxError::Io { what: "open", path, source: error.into() }),
        }
    }

    /// Opens a folder in it, which is not looked for anywhere else, whatever is put in its place.
    pub fn folder(&self, name: &str) -> Result<Self, MailboxError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&self.descriptor, name, flags, Mode::empty()) {
            Ok(descriptor) => Ok(Self { path: self.path.join(name), descriptor }),
            Err(error) => Err(self.failed("open", OsStr::new(name), error.into())),
        }
    }

    /// Makes a folder in it, private to the user; one that is there stays as it is.
    pub fn make_folder(&self, name: &str) -> Result<(), MailboxError> {
        match mkdirat(&self.descriptor, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(self.failed("make", OsStr::new(name), error.into())),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names in it, hidden ones left out.
    pub fn names(&self) -> Result<Vec<OsString>, MailboxError> {
        let mut names = Vec::new();
        self.each_name(|name| names.push(name.to_owned()))?;
        Ok(names)
    }

    /// Looks at each name in it, hidden ones left out, and keeps none: a folder may hold very many.
    pub fn each_name(&self, mut look: impl FnMut(&OsStr)) -> Result<(), MailboxError> {
        let failed = |error: Errno| self.failed("list", OsStr::new(""), error.into());
        for entry in Dir::read_from(&self.descriptor).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if !name.starts_with(b".") {
                look(OsStr::from_bytes(name));
            }
        }
        Ok(())
    }

    /// Reads a message without following links, waiting on pipes or reading more than the limit.
    ///
    /// Errors are those of the system (no descriptors, a failing disk), and say nothing about the message.
    pub fn read(&self, name: &OsStr) -> Result<Content, MailboxError> {
        let failed = |error: Errno| self.failed("read", name, error.into());
        match statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => {}
                FileType::Symlink => return Ok(Content::Not("it is a symbolic link")),
                FileType::Directory => return Ok(Content::Not("it is a folder")),
                _ => return Ok(Content::Not("it is not a file")),
            },
            Err(Errno::NOENT) => return Ok(Content::Gone),
            Err(error) => return Err(failed(error)),
        }
        // It may have been swapped since: the flags and the second look keep that harmless.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = match openat(&self.descriptor, name, flags, Mode::empty()) {
            Ok(descriptor) => File::from(descriptor),
            Err(Errno::NOENT) => return Ok(Content::Gone),
            Err(Errno::ACCESS) => return Ok(Content::Not("it may not be read")),
            Err(Errno::LOOP | Errno::NXIO) => return Ok(Content::Not("it is not a file")),
            Err(error) => return Err(failed(error)),
        };
        let read = |file: &mut File| -> io::Result<Content> {
            let metadata = file.metadata()?;
            if !metadata.is_file() {
                return Ok(Content::Not("it is not a file"));
            }
            let mut bytes = Vec::new();
            if metadata.len() <= MESSAGE_LIMIT {
                file.take(MESSAGE_LIMIT + 1).read_to_end(&mut bytes)?;
            }
            if metadata.len().max(bytes.len() as u64) > MESSAGE_LIMIT {
                return Ok(Content::Not("it is larger than 1 MiB"));
            }
            Ok(Content::Bytes(bytes))
        };
        read(&mut file).map_err(|source| self.failed("read", name, source))
    }

    /// Moves an entry. The target's name is new.
    pub fn rename(&self, name: &OsStr, to: &Folder, new_name: &str) -> Result<(), MailboxError> {
        renameat(&self.descriptor, name, &to.descriptor, new_name)
            .map_err(|error| self.failed("move", name, error.into()))
    }

    /// Writes a new file to stable storage and returns its name, which begins with `prefix`.
    pub fn write_new(&self, prefix: &str, bytes: &[u8]) -> Result<String, MailboxError> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        loop {
            let number = MADE.fetch_add(1, Ordering::Relaxed);
            let name = format!("{prefix}.{}.{number}", std::process::id());
            let mut file = match openat(&self.descriptor, name.as_str(), flags, Mode::RUSR | Mode::WUSR) {
                Ok(descriptor) => File::from(descriptor),
                // Of a process with the same number, in another namespace or before this one.
                Err(Errno::EXIST) => continue,
                Err(error) => return Err(self.failed("make", OsStr::new(&name), error.into())),
            };
            if let Err(error) = file.write_all(bytes).and_then(|()| file.sync_all()) {
                // The first error is the one to tell; what is left here is no message.
                let _ = self.remove(OsStr::new(&name));
                return Err(self.failed("write", OsStr::new(&name), error));
            }
            return Ok(name);
        }
    }

    /// Gives a file a further name in another folder; tells whether that name was free.
    pub fn link(&self, name: &str, to: &Folder, new_name: &str) -> Result<bool, MailboxError> {
        match linkat(&self.descriptor, name, &to.descriptor, new_name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(to.failed("make", OsStr::new(new_name), error.into())),
        }
    }

    /// Removes a file; one that is not there is fine.
    pub fn remove(&self, name: &OsStr) -> Result<(), MailboxError> {
        match unlinkat(&self.descriptor, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.failed("remove", name, error.into())),
        }
    }

    /// Opens a file in it for reading and appending, made when missing.
    pub fn open_log(&self, name: &str) -> Result<File, MailboxError> {
        self.open_file(name, OFlags::RDWR | OFlags::APPEND | OFlags::CREATE)
    }

    /// Opens a file in it for reading; none when it is missing.
    pub fn read_log(&self, name: &str) -> Result<Option<File>, MailboxError> {
        match self.open_file(name, OFlags::RDONLY) {
            Ok(file) => Ok(Some(file)),
            Err(MailboxError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens what must be a file, so that nobody waits for the other end of a pipe put in its place.
    fn open_file(&self, name: &str, flags: OFlags) -> Result<File, MailboxError> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let failed = |error| self.failed("open", OsStr::new(name), error);
        let file = File::from(
            openat(&self.descriptor, name, flags, Mode::RUSR | Mode::WUSR).map_err(|error| failed(error.into()))?,
        );
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file")));
        }
        Ok(file)
    }

    /// Makes what was moved in and out survive a power cut.
    pub fn sync(&self) -> Result<(), MailboxError> {
        rustix::fs::fsync(&self.descriptor).map_err(|error| self.failed("sync", OsStr::new(""), error.into()))
    }

    fn failed(&self, what: &'static str, name: &OsStr, source: io::Error) -> MailboxError {
        MailboxError::Io { what, path: self.path.join(name), source }
    }
}

/// The name of a message that arrived.
pub fn new_name(arrival: u64) -> String {
    format!("{arrival:016}.json")
}

/// Reads [`new_name`]; numbers begin at 1.
pub fn parse_new_name(name: &OsStr) -> Option<u64> {
    number(name.as_bytes().strip_suffix(b".json")?).filter(|arrival| *arrival > 0)
}

/// The name of a message that was taken, or of a corrupt one.
pub fn taken_name(seq: u64, arrival: u64) -> String {
    format!("{seq:016}-{arrival:016}.json")
}

/// Reads [`taken_name`]: sequence and arrival number; the latter is 0 for what had no proper name.
pub fn parse_taken_name(name: &OsStr) -> Option<(u64, u64)> {
    let (seq, arrival) = name.as_bytes().strip_suffix(b".json")?.split_at_checked(16)?;
    Some((number(seq)?, number(arrival.strip_prefix(b"-")?)?))
}

/// Reads sixteen digits. Every delivery reads all names there are, so this is one pass without a detour by text.
fn number(digits: &[u8]) -> Option<u64> {
    let digits: &[u8; 16] = digits.try_into().ok()?;
    let mut number = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number * 10 + u64::from(digit - b'0');
    }
    (number <= HIGHEST).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_nothing_else_is() {
        assert_eq!(parse_new_name(OsStr::new(&new_name(42))), Some(42));
        assert_eq!(parse_taken_name(OsStr::new(&taken_name(7, 42))), Some((7, 42)));
        for bad in [
            "1.json",
            "0000000000000000.json",
            "+000000000000001.json",
            "9999999999999999.json",
            "x",
            "0000000000000001.json.bak",
            "00000000000000ü1.json",
        ] {
            assert_eq!(parse_new_name(OsStr::new(bad)), None, "{bad}");
        }
        for bad in [
            "0000000000000001.json",
            "0000000000000001-000000000000002.json",
            "0000000000000001_0000000000000002.json",
            "000000000000000-00000000000000002.json",
            "0000000000000001-0000000000000002",
            "-.json",
        ] {
            assert_eq!(parse_taken_name(OsStr::new(bad)), None, "{bad}");
        }
    }
}
