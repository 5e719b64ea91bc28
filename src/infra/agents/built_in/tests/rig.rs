//! One turn in a folder of its own, with what it printed and reported.

use super::mock::Mock;
use crate::domain::ending::Ending;
use crate::domain::report::Report;
use crate::infra::agent_side::Attempt;
use crate::infra::agents::Session;
use crate::infra::agents::built_in::client::Patience;
use crate::infra::agents::built_in::{Surroundings, drive_in};
use crate::infra::mailbox::{self, Reader, Taken};
use crate::protocol::agent_lines::AgentLine;
use crate::protocol::config::{AgentConfig, AgentKind, Role};
use crate::protocol::drive::{Budget, DriveOrder};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A slot with a mailbox, and the order for a turn in it.
pub struct Rig {
    pub slot: TempDir,
    pub mailbox: TempDir,
    pub order: DriveOrder,
    pub prompt: String,
    pub env: BTreeMap<String, String>,
    pub patience: Patience,
    pub stop: CancellationToken,
}

/// What became of a turn.
pub struct Turned {
    pub ending: Ending,
    pub reports: Vec<Report>,
    pub lines: Vec<AgentLine>,
}

#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("printed").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Rig {
    /// A turn of an implementer on an endpoint of the OpenAI kind, or of Ollama's.
    pub fn new(url: &str) -> Self {
        let agent = AgentConfig { kind: AgentKind::BuiltIn, url: Some(url.to_owned()), ..AgentConfig::default() };
        let order = DriveOrder {
            name: "mine".into(),
            agent,
            role: Role::Implementer,
            model: None,
            prompt: "prompt.md".into(),
            session: None,
            budget: Budget::default(),
            fenced: false,
        };
        let folder = || tempfile::tempdir().expect("folder");
        let (slot, mailbox) = (folder(), folder());
        mailbox::create(mailbox.path()).expect("a mailbox");
        let seconds = Duration::from_secs;
        let patience = Patience { answer: seconds(60), question: seconds(10), backoff: Duration::from_millis(1) };
        let stop = CancellationToken::new();
        Self { slot, mailbox, order, prompt: "Do the task.".into(), env: BTreeMap::new(), patience, stop }
    }

    pub fn of(mock: &Mock) -> Self {
        Self::new(&mock.url)
    }

    pub fn file(&self, name: &str, text: &str) {
        let path = self.slot.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.slot.path().join(name)).expect("a file")
    }

    pub async fn turn(&self) -> Turned {
        let (ending, lines) =
            self.run(Some(Attempt { mailbox: self.mailbox.path().to_path_buf(), nonce: "nonce".into() })).await;
        Turned { ending, reports: reports(self.mailbox.path()), lines }
    }

    pub async fn turn_without_mailbox(&self) -> Ending {
        self.run(None).await.0
    }

    async fn run(&self, attempt: Option<Attempt>) -> (Ending, Vec<AgentLine>) {
        let printed = Printed::default();
        let out = Box::new(printed.clone());
        let mut session = Session::for_test(self.order.clone(), &self.prompt, out, self.stop.clone());
        let var = |name: &str| self.env.get(name).cloned();
        let around =
            Surroundings { folder: self.slot.path().to_path_buf(), attempt, var: &var, patience: self.patience };
        let ending = drive_in(&mut session, around).await;
        let ending = session.end(ending);
        let text = String::from_utf8(printed.0.lock().expect("printed").clone()).expect("text");
        (ending, text.lines().map(AgentLine::read).collect())
    }
}

fn reports(mailbox: &Path) -> Vec<Report> {
    let taken = Reader::<Report>::open(mailbox).expect("a reader").take().expect("reports");
    let body = |taken| match taken {
        Taken::Message { envelope, .. } => {
            assert_eq!(envelope.attempt, "nonce");
            envelope.body
        }
        Taken::Corrupt { reason, .. } => panic!("{reason}"),
    };
    taken.into_iter().map(body).collect()
}

impl Turned {
    /// The notes of the transcript, in one text.
    pub fn notes(&self) -> String {
        let note = |line: &AgentLine| match line {
            AgentLine::Note { text } => Some(format!("{text}\n")),
            _ => None,
        };
        self.lines.iter().filter_map(note).collect()
    }

    /// What it claimed to have finished.
    pub fn finished(&self) -> Vec<&str> {
        let claims = self.reports.iter().filter_map(|report| match report {
            Report::Finished { summary, .. } => Some(summary.as_str()),
            _ => None,
        });
        claims.collect()
    }
}
