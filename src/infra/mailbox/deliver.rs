//! The writer's side: a message is delivered whole or not at all, and after everything delivered before.

use std::ffi::OsStr;
use std::path::Path;

use serde::Serialize;

use super::folder::{Folder, new_name, parse_new_name, parse_taken_name};
use super::{CORRUPT, CUR, Envelope, MESSAGE_LIMIT, MailboxError, NEW, TMP, is_valid_id, log};

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
    let whole = Folder::open(mailbox.to_path_buf())?;
    let (tmp, new) = (whole.folder(TMP)?, whole.folder(NEW)?);
    let name = tmp.write_new(&envelope.id, &bytes)?;
    let delivered = link_last(&whole, &tmp, &name, &new);
    // Its name among the messages is the one that counts; what is left in `tmp` is no message.
    let _ = tmp.remove(name.as_ref());
    delivered?;
    new.sync()
}

/// Gives a written message the number after everything that was there before.
fn link_last(whole: &Folder, tmp: &Folder, name: &str, new: &Folder) -> Result<(), MailboxError> {
    let mut arrival = highest_arrival(whole, new)? + 1;
    // A link, not a rename: it fails when another writer took the number first.
    while !tmp.link(name, new, &new_name(arrival))? {
        arrival += 1;
    }
    Ok(())
}

/// The highest number given to a message so far.
///
/// A message moves from `new` to `cur` or `corrupt`, and from `cur` into the log, always forward. Looking in that
/// order, one that moves meanwhile is seen at least once. No lock: a writer that is stopped holds up nobody.
fn highest_arrival(whole: &Folder, new: &Folder) -> Result<u64, MailboxError> {
    let mut highest = 0;
    new.each_name(|name| highest = highest.max(parse_new_name(name).unwrap_or(0)))?;
    for folder in [CUR, CORRUPT] {
        let arrival = |name: &OsStr| parse_taken_name(name).map_or(0, |(_, arrival)| arrival);
        whole.folder(folder)?.each_name(|name| highest = highest.max(arrival(name)))?;
    }
    let Some(mut file) = whole.read_log(super::reader::LOG)? else { return Ok(highest) };
    let logged = log::highest(&mut file).map_err(|source| {
        let path = whole.path().join(super::reader::LOG);
        MailboxError::Io { what: "read", path, source }
    })?;
    Ok(highest.max(logged))
}
