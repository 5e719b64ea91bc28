//! The writer's side: a message is delivered whole or not at all, and after everything delivered before.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::folder::{new_name, parse_new_name, parse_taken_name};
use super::{CORRUPT, CUR, Envelope, MESSAGE_LIMIT, MailboxError, NEW, TMP, is_valid_id, log};
use crate::infra::durable::sync_dir;

/// Puts a message into a mailbox, and returns when it is there on stable storage.
///
/// Any number of processes may deliver at once. Whatever was delivered before this began is taken before it, so the
/// order of one sender is kept whichever processes it used. After an error it may or may not be delivered: deliver
/// it again with the same id, the reader yields it once.
pub fn deliver<T: Serialize>(mailbox: &Path, envelope: &Envelope<T>) -> Result<(), MailboxError> {
    if !is_valid_id(&envelope.id) {
        return Err(MailboxError::InvalidId(envelope.id.clone()));
    }
    let bytes = serde_json::to_vec(envelope)?;
    if bytes.len() as u64 > MESSAGE_LIMIT {
        return Err(MailboxError::TooLarge(bytes.len()));
    }
    let failed = |source| MailboxError::Io { what: "deliver to", path: mailbox.to_path_buf(), source };
    let written = || -> io::Result<tempfile::NamedTempFile> {
        let mut file = tempfile::Builder::new().prefix(&envelope.id).tempfile_in(mailbox.join(TMP))?;
        file.write_all(&bytes)?;
        file.as_file().sync_all()?;
        Ok(file)
    };
    let file = written().map_err(failed)?;
    let new = mailbox.join(NEW);
    let mut arrival = highest_arrival(mailbox).map_err(failed)? + 1;
    // A link, not a rename: it fails when another writer took the number first.
    while let Err(error) = fs::hard_link(file.path(), new.join(new_name(arrival))) {
        if error.kind() != io::ErrorKind::AlreadyExists {
            return Err(failed(error));
        }
        arrival += 1;
    }
    sync_dir(&new).map_err(failed)
}

/// The highest number given to a message so far.
///
/// A message moves from `new` to `cur` or `corrupt`, and from `cur` into the log, always forward. Looking in that
/// order, one that moves meanwhile is seen at least once. No lock: a writer that is stopped holds up nobody.
fn highest_arrival(mailbox: &Path) -> io::Result<u64> {
    let mut highest = 0;
    for name in names(&mailbox.join(NEW))? {
        highest = highest.max(parse_new_name(&name).unwrap_or(0));
    }
    for folder in [CUR, CORRUPT] {
        for name in names(&mailbox.join(folder))? {
            highest = highest.max(parse_taken_name(&name).map_or(0, |(_, arrival)| arrival));
        }
    }
    match File::open(mailbox.join(super::reader::LOG)) {
        Ok(mut file) => Ok(highest.max(log::highest(&mut file)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(highest),
        Err(error) => Err(error),
    }
}

fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
}
