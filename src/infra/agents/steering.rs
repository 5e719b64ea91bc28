//! Words of a person for an agent that is at work, taken from the attempt's inbox as they arrive.

use crate::infra::mailbox::{Inbox, MailboxError};
use crate::infra::watch::FolderWatch;
use crate::protocol::report_tools::{Way, unread};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long after a look that failed the next is.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The inbox of one attempt. It is not kept open, so that others may look into it as well; who takes words hands them
/// on.
pub(super) struct Steering {
    inbox: Option<(PathBuf, FolderWatch)>,
}

impl Steering {
    /// Starts to watch the inbox in the mailbox; without a mailbox there are never any words.
    pub(super) fn new(mailbox: Option<PathBuf>) -> Self {
        Self { inbox: mailbox.map(|mailbox| (mailbox.clone(), Inbox::watch(&mailbox))) }
    }

    /// Waits for words, and returns them as the agent reads them; waits for ever where none can come. Can be cancelled:
    /// words that were not returned come again.
    pub(super) async fn next(&mut self) -> String {
        let Some((mailbox, watch)) = &self.inbox else { return std::future::pending().await };
        loop {
            match take(mailbox) {
                Ok(None) => watch.changed().await,
                Ok(Some(words)) => return words,
                Err(error) => {
                    tracing::warn!(%error, "the inbox cannot be read");
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
            }
        }
    }
}

/// Takes what is in the inbox and remembers that it was handed on.
fn take(mailbox: &Path) -> Result<Option<String>, MailboxError> {
    let mut inbox = Inbox::open(mailbox)?;
    let words = unread(&inbox.unread()?, Way::Tool);
    inbox.acknowledge()?;
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::inbox::{InboxKind, InboxMessage};
    use crate::infra::mailbox::{create, deliver_to_inbox};

    fn message(id: &str, kind: InboxKind, text: &str) -> InboxMessage {
        InboxMessage { id: id.into(), kind, text: text.into() }
    }

    #[tokio::test]
    async fn words_come_as_they_are_delivered_and_only_once() {
        let folder = tempfile::tempdir().expect("a folder");
        create(folder.path()).expect("a mailbox");
        let mut steering = Steering::new(Some(folder.path().to_path_buf()));
        deliver_to_inbox(folder.path(), &message("s1", InboxKind::Steer, "use tabs"), 0).expect("delivered");
        assert!(steering.next().await.contains("\nuse tabs\n"));
        let (words, ()) = tokio::join!(steering.next(), async {
            deliver_to_inbox(folder.path(), &message("q2", InboxKind::Query, "how far?"), 0).expect("delivered");
        });
        assert!(words.contains("[q2] question") && words.contains("how far?") && !words.contains("tabs"), "{words}");
        assert_eq!(take(folder.path()).expect("read"), None);
    }
}
