//! Messages between an agent and the engine as files in a folder: many writers, one reader, at least once.
//!
//! * `new/`: delivered and not taken. Names are arrival numbers: higher than everything that arrived before.
//! * `cur/`: taken and not acknowledged; names carry the reader's sequence number.
//! * `corrupt/`: what could not be read as a message. Kept.
//! * `tmp/`: being written.
//! * `acked.log`: what was acknowledged, one line each: the memory against duplicates.
//!
//! Writers touch `tmp` and `new` only, so that is all a sandbox has to let them write; they read the rest.
//! Both directions use the same form: an attempt's mailbox holds reports, its inbox what the engine answers. The agent's
//! side may put anything into the place of these folders, so both sides go through descriptors and follow no links.

mod deliver;
mod folder;
mod inbox;
mod log;
mod mail;
mod reader;
#[cfg(test)]
mod tests;

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::report::Report;
use crate::infra::durable::sync_dir;

use folder::Folder;

pub use deliver::deliver;
pub use inbox::{INBOX, Inbox, deliver_to_inbox};
pub use mail::AttemptMail;
pub use reader::{Reader, Taken};

/// The environment variable that tells an agent's helpers where its mailbox is.
pub const MAILBOX: &str = "RALPH_MAILBOX";
/// Larger messages are refused by the writer, and corrupt to the reader.
pub const MESSAGE_LIMIT: u64 = 1024 * 1024;

const NEW: &str = "new";
const CUR: &str = "cur";
const CORRUPT: &str = "corrupt";
const TMP: &str = "tmp";

/// One message and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope<T = Report> {
    /// Names the message; a retry carries the same. See [`new_id`].
    pub id: String,
    /// The nonce of the attempt it belongs to.
    pub attempt: String,
    /// The sender's clock in milliseconds since 1970; for showing, never for ordering.
    pub sent_at_ms: u64,
    pub body: T,
}

/// Why a mailbox operation failed. Reads after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum MailboxError {
    #[error("use {0:?} as a message id: 1 to 64 letters, digits, - and _ are allowed")]
    InvalidId(String),
    #[error("send a message of {0} bytes: the limit is {MESSAGE_LIMIT}; shorten it")]
    TooLarge(usize),
    #[error("write the message: {0}")]
    Encode(#[from] serde_json::Error),
    #[error("read {}: another reader has it", .0.display())]
    Busy(PathBuf),
    #[error("{what} {}: {source}", path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
}

/// Makes the folders of a mailbox, private to the user; those that are there stay as they are, and links in their
/// places lead nowhere.
pub fn create(mailbox: &Path) -> Result<(), MailboxError> {
    let failed = |what, path: &Path, source| MailboxError::Io { what, path: path.to_path_buf(), source };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(mailbox)
        .map_err(|source| failed("make", mailbox, source))?;
    let folder = Folder::open(mailbox.to_path_buf())?;
    for name in [TMP, NEW, CUR, CORRUPT] {
        folder.make_folder(name)?;
    }
    folder.sync()?;
    // The two folders above may be as new.
    for above in mailbox.ancestors().skip(1).take(2).filter(|above| !above.as_os_str().is_empty()) {
        sync_dir(above).map_err(|source| failed("sync", above, source))?;
    }
    Ok(())
}

/// Makes a message id that no other process makes.
pub fn new_id() -> String {
    // Each state is keyed by the system's randomness.
    let part = || RandomState::new().build_hasher().finish();
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:016x}{:x}", time.as_micros(), part(), std::process::id())
}

/// Tells whether a text can be a message id: 1 to 64 of `A-Z a-z 0-9 - _`.
pub fn is_valid_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
