//! The agent's side of an attempt: reports go into the mailbox that the environment names.

use super::mailbox::{self, Envelope, MAILBOX, MailboxError};
use crate::domain::report::Report;
use std::path::Path;

/// The environment variable with the nonce of the attempt.
pub const NONCE: &str = "RALPH_NONCE";

/// Why a report could not be delivered. Reads after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("report: {MAILBOX} is not set, so this is not inside an attempt")]
    NoMailbox,
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
}

/// Tells whether there is a mailbox to report into.
pub fn inside_attempt() -> bool {
    std::env::var_os(MAILBOX).is_some_and(|value| !value.is_empty())
}

/// Delivers a report of the attempt this process belongs to; it is on disk when this returns.
///
/// # Errors
///
/// Outside an attempt, and when the mailbox cannot be written.
pub fn report(report: Report) -> Result<(), ReportError> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let mailbox = set(MAILBOX).ok_or(ReportError::NoMailbox)?;
    let attempt = set(NONCE).map_or_else(String::new, |nonce| nonce.to_string_lossy().into_owned());
    deliver(Path::new(&mailbox), attempt, report)?;
    Ok(())
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
