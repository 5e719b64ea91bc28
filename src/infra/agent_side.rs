//! The agent's side of an attempt: reports go into the mailbox that the environment names, and words of the user come
//! out of its inbox.

use super::mailbox::{self, Envelope, Inbox, MAILBOX, MailboxError};
use crate::domain::inbox::InboxMessage;
use crate::domain::report::Report;
use crate::protocol::config::Role;
use std::io;
use std::path::{Path, PathBuf};

/// The environment variable with the nonce of the attempt.
pub const NONCE: &str = "RALPH_NONCE";
/// The environment variable that says what the agent is used for.
pub const ROLE: &str = "RALPH_ROLE";
/// Why there is nobody to report to; reads after "failed to".
pub const NOT_INSIDE: &str = "report: RALPH_MAILBOX is not set, so this is not inside an attempt";

/// Why a report could not be delivered, or words not be read. Reads after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("{NOT_INSIDE}")]
    NoMailbox,
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
    #[error("tell what is unread: {0}")]
    Tell(#[from] io::Error),
}

/// The attempt an agent works for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub mailbox: PathBuf,
    pub nonce: String,
}

impl Attempt {
    /// Returns the attempt this process belongs to; none outside of one.
    pub fn own() -> Option<Self> {
        let mailbox = set(MAILBOX)?.into();
        let nonce = set(NONCE).map_or_else(String::new, |nonce| nonce.to_string_lossy().into_owned());
        Some(Self { mailbox, nonce })
    }

    /// Delivers a report; it is on disk when this returns.
    ///
    /// # Errors
    ///
    /// When the mailbox cannot be written.
    pub fn report(&self, report: Report) -> Result<(), MailboxError> {
        deliver(&self.mailbox, self.nonce.clone(), report)
    }

    /// Hands what is unread in the inbox to `tell`, nothing included. Only what was told is not handed out again.
    ///
    /// # Errors
    ///
    /// When the inbox cannot be read, and what `tell` returns; no word is lost by either.
    pub fn hand_on(&self, tell: impl FnOnce(&[InboxMessage]) -> io::Result<()>) -> Result<(), ReportError> {
        let mut inbox = Inbox::open(&self.mailbox)?;
        let unread = inbox.unread()?;
        tell(&unread)?;
        Ok(inbox.acknowledge()?)
    }
}

/// Returns what the agent of this process is used for: implementing, unless the environment says otherwise.
pub fn own_role() -> Role {
    let named = |role: &Role| set(ROLE).is_some_and(|name| name == role.as_str());
    Role::ALL.into_iter().find(named).unwrap_or(Role::Implementer)
}

fn set(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Delivers a report into this mailbox, as the attempt with this nonce.
///
/// # Errors
///
/// When the mailbox cannot be written.
pub fn deliver(mailbox: &Path, attempt: String, report: Report) -> Result<(), MailboxError> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let sent_at_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    mailbox::deliver(mailbox, &Envelope { id: mailbox::new_id(), attempt, sent_at_ms, body: report })
}
