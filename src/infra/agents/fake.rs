//! Sessions with shell scripts in the place of agents, for tests of how drivers treat processes.

use super::McpServer;
use super::session::Session;
use crate::protocol::config::{AgentConfig, AgentKind, Role};
use crate::protocol::drive::{Budget, DriveOrder};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

/// Makes an order whose agent is a shell script; what the driver adds are its arguments.
pub(super) fn order(kind: AgentKind, script: &str) -> DriveOrder {
    let mut order = plain_order(kind);
    order.agent.command = ["sh", "-c", script, "agent"].map(str::to_owned).to_vec();
    order
}

/// Makes an order of an agent with nothing particular about it.
pub(super) fn plain_order(kind: AgentKind) -> DriveOrder {
    DriveOrder {
        name: "fake".into(),
        agent: AgentConfig { kind, ..AgentConfig::default() },
        role: Role::Implementer,
        model: None,
        prompt: "prompt.md".into(),
        session: None,
        budget: Budget::default(),
        fenced: false,
    }
}

/// Our server, with a secret in its environment.
pub(super) fn server() -> McpServer {
    let env = [("RALPH_NONCE".to_owned(), "secret".to_owned())].into();
    McpServer { command: "/opt/ralph-sidecar".into(), args: vec!["mcp".into()], env }
}

/// A session whose output is kept.
pub(super) struct Fake {
    order: DriveOrder,
    out: Out,
}

#[derive(Clone, Default)]
struct Out {
    printed: Arc<Mutex<Vec<u8>>>,
    /// The turn is stopped when this is printed.
    stop_at: Option<&'static str>,
    stop: CancellationToken,
}

impl Fake {
    pub(super) fn new(order: DriveOrder) -> Self {
        Self { order, out: Out::default() }
    }

    /// Makes one that is asked to stop as soon as the driver has printed the words.
    pub(super) fn stopped_at(order: DriveOrder, words: &'static str) -> Self {
        Self { order, out: Out { stop_at: Some(words), ..Out::default() } }
    }

    pub(super) fn session(&self, prompt: &str) -> Session {
        Session::for_test(self.order.clone(), prompt, Box::new(self.out.clone()), self.out.stop.clone())
    }

    /// Returns what the driver printed so far.
    pub(super) fn printed(&self) -> String {
        self.out.text()
    }
}

impl Out {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.printed.lock().expect("not poisoned")).into_owned()
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.printed.lock().expect("not poisoned").extend_from_slice(bytes);
        // Not in the command line, which is printed first.
        let is_there =
            |words: &&str| self.text().lines().any(|line| !line.contains("\"started\"") && line.contains(*words));
        if self.stop_at.as_ref().is_some_and(is_there) {
            self.stop.cancel();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
