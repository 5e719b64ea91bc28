//! Folders and file names of a mailbox, through descriptors, so that a folder swapped for a link leads nowhere.

use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

use super::{MESSAGE_LIMIT, MailboxError};

/// Numbers above this are not ours: made up by someone to exhaust them.
const HIGHEST: u64 = 999_999_999_999_999;

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

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names in it, hidden ones left out.
    pub fn names(&self) -> Result<Vec<OsString>, MailboxError> {
        let failed = |error: Errno| self.failed("list", OsStr::new(""), error.into());
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.descriptor).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = OsStr::from_bytes(CStr::to_bytes(entry.file_name()));
            if !name.as_bytes().starts_with(b".") {
                names.push(name.to_owned());
            }
        }
        Ok(names)
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

    /// Removes a file; one that is not there is fine.
    pub fn remove(&self, name: &OsStr) -> Result<(), MailboxError> {
        match unlinkat(&self.descriptor, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.failed("remove", name, error.into())),
        }
    }

    /// Opens a file in it for reading and appending, made when missing.
    pub fn open_log(&self, name: &str) -> Result<File, MailboxError> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.descriptor, name, flags, Mode::RUSR | Mode::WUSR)
            .map(File::from)
            .map_err(|error| self.failed("open", OsStr::new(name), error.into()))
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
    number(name.to_str()?.strip_suffix(".json")?).filter(|arrival| *arrival > 0)
}

/// The name of a message that was taken, or of a corrupt one.
pub fn taken_name(seq: u64, arrival: u64) -> String {
    format!("{seq:016}-{arrival:016}.json")
}

/// Reads [`taken_name`]: sequence and arrival number; the latter is 0 for what had no proper name.
pub fn parse_taken_name(name: &OsStr) -> Option<(u64, u64)> {
    let (seq, arrival) = name.to_str()?.strip_suffix(".json")?.split_once('-')?;
    Some((number(seq)?, number(arrival)?))
}

fn number(text: &str) -> Option<u64> {
    if text.len() != 16 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|number| *number <= HIGHEST)
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
        ] {
            assert_eq!(parse_new_name(OsStr::new(bad)), None, "{bad}");
        }
    }
}
