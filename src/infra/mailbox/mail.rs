//! The mailbox of an attempt as the engine reads it: what was taken stays until it is acknowledged.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{MailboxError, Reader, Taken};
use crate::domain::report::Report;
use crate::domain::secrets::Redactor;
use crate::engine::ports::{Mail, MailItem, PortError, PortResult};
use crate::infra::watch::FolderWatch;

/// The reader of one attempt's mailbox, for whoever must not block.
pub struct AttemptMail {
    /// Absent only while a blocking call has it.
    reader: Option<Reader<Report>>,
    watch: FolderWatch,
    /// What was taken and not acknowledged, by number, with its id.
    open: BTreeMap<u64, (String, Report)>,
    /// Numbers of corrupt ones that were told; acknowledged as soon as that can be written.
    told: Vec<u64>,
    /// The last look ended before all was taken.
    more: bool,
    redactor: Redactor,
}

impl AttemptMail {
    pub fn new(reader: Reader<Report>) -> Self {
        let watch = reader.watch();
        let variables: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let variables = variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let redactor = Redactor::new(variables);
        Self { reader: Some(reader), watch, open: BTreeMap::new(), told: Vec::new(), more: false, redactor }
    }

    async fn with<T: Send + 'static>(
        &mut self,
        act: impl FnOnce(&mut Reader<Report>) -> Result<T, MailboxError> + Send + 'static,
    ) -> PortResult<T> {
        let mut reader = self.reader.take().ok_or_else(|| PortError::new("use the mailbox: it broke before"))?;
        let done = tokio::task::spawn_blocking(move || {
            let result = act(&mut reader);
            (reader, result)
        });
        let (reader, result) = done.await.map_err(|error| PortError::new(format!("read the mailbox: {error}")))?;
        self.reader = Some(reader);
        result.map_err(|error| PortError::new(error.to_string()))
    }

    /// Reports are journaled and shown: what looks like a secret goes no further than the mailbox.
    fn without_secrets(&mut self, report: Report) -> Report {
        let Ok(mut value) = serde_json::to_value(&report) else { return report };
        self.redactor.json(&mut value);
        serde_json::from_value(value).unwrap_or(report)
    }

    /// Takes until there is nothing more or something fails; returns what is corrupt.
    async fn take_new(&mut self, poisoned: &mut Vec<MailItem>) -> PortResult<()> {
        loop {
            let taken = self.with(Reader::take).await?;
            if taken.is_empty() {
                return Ok(());
            }
            for item in taken {
                match item {
                    Taken::Message { seq, envelope } => {
                        let report = self.without_secrets(envelope.body);
                        self.open.insert(seq, (envelope.id, report));
                    }
                    Taken::Corrupt { seq, file, reason } => {
                        self.told.push(seq);
                        poisoned.push(MailItem::Poisoned { detail: format!("{reason} (kept as {})", file.display()) });
                    }
                }
            }
        }
    }
}

#[async_trait]
impl Mail for AttemptMail {
    async fn take(&mut self) -> PortResult<Vec<MailItem>> {
        let known = self.open.len();
        let mut items = Vec::new();
        let failed = self.take_new(&mut items).await.err();
        let told = self.told.clone();
        // Each was told; where that cannot be noted now, it is at the next look.
        if !told.is_empty() && self.with(move |reader| reader.ack_all(told)).await.is_ok() {
            self.told.clear();
        }
        self.more = failed.is_some();
        match failed {
            Some(error) if items.is_empty() && self.open.len() == known => Err(error),
            _ => {
                let report = |(seq, (id, report)): (&u64, &(String, Report))| MailItem::Report {
                    id: id.clone(),
                    seq: *seq,
                    report: report.clone(),
                };
                items.extend(self.open.iter().map(report));
                Ok(items)
            }
        }
    }

    async fn acknowledge(&mut self, seq: u64) -> PortResult<()> {
        self.with(move |reader| reader.ack(seq)).await?;
        self.open.remove(&seq);
        Ok(())
    }

    async fn arrived(&mut self) {
        if !self.more {
            self.watch.changed().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infra::mailbox::{Envelope, create, deliver};
    use std::path::Path;

    const CHILD: &str = "RALPH_TEST_NO_SPACE";
    const OWN_NAME: &str = "infra::mailbox::mail::tests::what_cannot_be_acknowledged_comes_again";

    fn ids(items: &[MailItem]) -> Vec<&str> {
        let mut ids = Vec::new();
        for item in items {
            match item {
                MailItem::Report { id, .. } => ids.push(id.as_str()),
                MailItem::Poisoned { .. } => ids.push("poison"),
            }
        }
        ids
    }

    /// Where no file may grow, so that nothing can be acknowledged.
    async fn without_space(folder: &Path) {
        let mut mail = AttemptMail::new(Reader::open(folder).expect("opened"));
        assert_eq!(ids(&mail.take().await.expect("taken")), ["poison", "a", "b"]);
        assert!(mail.acknowledge(1).await.is_err(), "the log cannot grow");
        assert_eq!(ids(&mail.take().await.expect("taken")), ["a", "b"], "reports come again, poison was told");
    }

    #[tokio::test]
    async fn what_cannot_be_acknowledged_comes_again() {
        if let Some(folder) = std::env::var_os(CHILD) {
            return without_space(Path::new(&folder)).await;
        }
        let folder = tempfile::tempdir().expect("folder");
        create(folder.path()).expect("mailbox");
        for id in ["a", "b"] {
            let body = Report::Progress { text: id.into() };
            let envelope = Envelope { id: id.into(), attempt: String::new(), sent_at_ms: 0, body };
            deliver(folder.path(), &envelope).expect("delivered");
        }
        std::fs::write(folder.path().join("new/poison"), "?").expect("written");
        // The limit holds for a whole process and is no error but a signal by default, so a shell sets both.
        let script = format!("trap '' XFSZ; ulimit -f 0; exec \"$0\" {OWN_NAME} --exact --nocapture");
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .arg(std::env::current_exe().expect("this binary"))
            .env(CHILD, folder.path())
            .output()
            .expect("ran");
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        let mut mail = AttemptMail::new(Reader::open(folder.path()).expect("opened"));
        assert_eq!(ids(&mail.take().await.expect("taken")), ["poison", "a", "b"], "to the next engine as well");
        mail.acknowledge(1).await.expect("acknowledged");
        assert_eq!(ids(&mail.take().await.expect("taken")), ["b"]);
    }
}
