//! The other direction: what a person says to an agent that is at work, in `inbox/` inside the attempt's mailbox.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::folder::Folder;
use super::{Envelope, MailboxError, NEW, Reader, Taken, create, deliver};
use crate::domain::inbox::{InboxKind, InboxMessage};
use crate::infra::watch::FolderWatch;

/// The folder of the inbox inside a mailbox.
pub const INBOX: &str = "inbox";
/// How long another reader may have the inbox before this one gives up.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What is on the disk; the id is the envelope's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Words {
    #[serde(rename = "type")]
    kind: InboxKind,
    text: String,
}

/// The inbox, taken: as long as this is there nobody else reads it, so it is held only while words are handed on.
///
/// The server of tools, the `report` command and a driver may all want what is in it; whoever takes first hands it on.
/// All functions block on the disk.
#[derive(Debug)]
pub struct Inbox {
    /// Absent where nothing was ever delivered.
    reader: Option<Reader<Words>>,
    handed: Vec<u64>,
}

impl Inbox {
    /// Takes the inbox of an attempt's mailbox; waits a few seconds for whoever has it.
    ///
    /// # Errors
    ///
    /// [`MailboxError::Busy`] when somebody else keeps it, and errors of the system; no word is lost by either.
    pub fn open(mailbox: &Path) -> Result<Self, MailboxError> {
        let folder = mailbox.join(INBOX);
        let missing = |error: &MailboxError| match error {
            MailboxError::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            _ => false,
        };
        if Folder::open(folder.clone()).is_err_and(|error| missing(&error)) {
            return Ok(Self { reader: None, handed: Vec::new() });
        }
        let begun = Instant::now();
        loop {
            match Reader::open(&folder) {
                Err(MailboxError::Busy(_)) if begun.elapsed() < PATIENCE => std::thread::sleep(LOOK_AGAIN),
                opened => return Ok(Self { reader: Some(opened?), handed: Vec::new() }),
            }
        }
    }

    /// Returns what nobody has acknowledged, oldest first. It comes again, to whoever takes the inbox next, unless it
    /// is acknowledged.
    pub fn unread(&mut self) -> Result<Vec<InboxMessage>, MailboxError> {
        let mut unread = Vec::new();
        let Some(reader) = &mut self.reader else { return Ok(unread) };
        loop {
            let taken = reader.take()?;
            if taken.is_empty() {
                return Ok(unread);
            }
            for item in taken {
                // What is no message is kept in its folder; nobody here could do anything about it.
                self.handed.push(item.seq());
                if let Taken::Message { envelope: Envelope { id, body: Words { kind, text }, .. }, .. } = item {
                    unread.push(InboxMessage { id, kind, text });
                }
            }
        }
    }

    /// Says that what [`Self::unread`] returned has been handed on; it is not handed out again.
    pub fn acknowledge(&mut self) -> Result<(), MailboxError> {
        match &mut self.reader {
            Some(reader) => reader.ack_all(self.handed.drain(..)),
            None => Ok(()),
        }
    }

    /// Starts telling about arrivals, for whoever hands words on while the agent works.
    pub fn watch(mailbox: &Path) -> FolderWatch {
        FolderWatch::new(&mailbox.join(INBOX).join(NEW))
    }
}

/// Puts words into the inbox of an attempt's mailbox; words with an id that was there before count once.
pub fn deliver_to_inbox(mailbox: &Path, message: &InboxMessage, sent_at_ms: u64) -> Result<(), MailboxError> {
    let folder = mailbox.join(INBOX);
    create(&folder)?;
    let body = Words { kind: message.kind, text: message.text.clone() };
    deliver(&folder, &Envelope { id: message.id.clone(), attempt: String::new(), sent_at_ms, body })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    fn mailbox() -> TempDir {
        let folder = tempfile::tempdir().expect("folder");
        create(folder.path()).expect("mailbox");
        folder
    }

    fn words(id: &str, kind: InboxKind) -> InboxMessage {
        InboxMessage { id: id.to_owned(), kind, text: format!("words of {id}") }
    }

    #[test]
    fn words_are_handed_out_once_in_order_and_again_when_nobody_took_them() {
        let folder = mailbox();
        assert_eq!(Inbox::open(folder.path()).expect("nothing yet").unread().expect("read"), []);
        let (steer, query) = (words("s1", InboxKind::Steer), words("q1", InboxKind::Query));
        for message in [&steer, &query, &steer] {
            deliver_to_inbox(folder.path(), message, 5).expect("delivered");
        }
        let mut inbox = Inbox::open(folder.path()).expect("free");
        assert_eq!(inbox.unread().expect("read"), [steer.clone(), query.clone()]);
        // Its holder dies before it has handed them on.
        drop(inbox);
        let mut inbox = Inbox::open(folder.path()).expect("free");
        assert_eq!(inbox.unread().expect("read"), [steer.clone(), query]);
        inbox.acknowledge().expect("acknowledged");
        drop(inbox);
        // Given again by an engine that does not know whether it was given.
        deliver_to_inbox(folder.path(), &steer, 9).expect("delivered");
        assert_eq!(Inbox::open(folder.path()).expect("free").unread().expect("read"), []);
    }

    #[test]
    fn one_at_a_time_takes_it() {
        let folder = mailbox();
        deliver_to_inbox(folder.path(), &words("s1", InboxKind::Steer), 0).expect("delivered");
        let takes = |path: &Path| -> usize {
            let mut inbox = Inbox::open(path).expect("free in time");
            let count = inbox.unread().expect("read").len();
            inbox.acknowledge().expect("acknowledged");
            count
        };
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| takes(folder.path()))).collect();
            threads.into_iter().map(|thread| thread.join().expect("joined")).sum()
        });
        assert_eq!(taken, 1);
    }

    #[test]
    fn what_the_agent_puts_in_its_place_leads_nowhere() {
        let outside = tempfile::tempdir().expect("folder");
        create(outside.path()).expect("a mailbox of somebody else");
        let before = fs::read_dir(outside.path().join("new")).expect("listed").count();
        for place in ["inbox", "inbox/new", "inbox/tmp", "inbox/acked.log"] {
            let folder = mailbox();
            create(&folder.path().join(INBOX)).expect("made");
            let path = folder.path().join(place);
            let _ = fs::remove_dir_all(&path);
            let target = if place == "inbox" { outside.path().to_path_buf() } else { outside.path().join("new") };
            symlink(target, &path).expect("link");
            assert!(deliver_to_inbox(folder.path(), &words("s1", InboxKind::Steer), 0).is_err(), "{place}");
        }
        assert_eq!(fs::read_dir(outside.path().join("new")).expect("listed").count(), before);
        // Nor does anybody wait for the other end of a pipe.
        let folder = mailbox();
        create(&folder.path().join(INBOX)).expect("made");
        let pipe = folder.path().join("inbox/acked.log");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).expect("fifo");
        assert!(deliver_to_inbox(folder.path(), &words("s1", InboxKind::Steer), 0).is_err());
        assert!(Inbox::open(folder.path()).is_err());
    }
}
