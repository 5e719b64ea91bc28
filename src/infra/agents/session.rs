//! One turn of one agent, as its driver sees it: the order, what it says, what it used, and when to stop.

use crate::domain::ending::{Ending, Usage};
use crate::protocol::agent_lines::AgentLine;
use crate::protocol::drive::DriveOrder;
use std::io::{self, Write};
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a driver has in hand.
pub struct Session {
    order: DriveOrder,
    prompt: String,
    usage: Usage,
    stop: CancellationToken,
    out: Box<dyn Write + Send>,
}

impl Session {
    /// Reads the prompt, and listens for the signals that ask to stop.
    ///
    /// # Errors
    ///
    /// When the prompt cannot be read or signals cannot be listened to.
    pub fn begin(order: DriveOrder) -> io::Result<Self> {
        let stop = CancellationToken::new();
        for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
            let (mut signals, stop) = (signal(kind)?, stop.clone());
            tokio::spawn(async move {
                if signals.recv().await.is_some() {
                    stop.cancel();
                }
            });
        }
        let prompt = std::fs::read_to_string(&order.prompt)?;
        Ok(Self { order, prompt, usage: Usage::default(), stop, out: Box::new(io::stdout()) })
    }

    /// Makes a session that prints into `out` and is stopped by `stop`, for tests.
    pub fn for_test(order: DriveOrder, prompt: &str, out: Box<dyn Write + Send>, stop: CancellationToken) -> Self {
        Self { order, prompt: prompt.to_owned(), usage: Usage::default(), stop, out }
    }

    pub fn order(&self) -> &DriveOrder {
        &self.order
    }

    /// The whole prompt.
    pub fn prompt(&self) -> &str {
        &self.prompt
    }

    /// Cancelled when somebody wants the turn to end: then the agent is to be stopped in its own order, within four
    /// seconds, and the turn ends as `cancelled`.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// The attempt's mailbox, which the agent reports into and whose `inbox` holds words for it.
    pub fn mailbox(&self) -> Option<PathBuf> {
        std::env::var_os(crate::infra::mailbox::MAILBOX).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// Prints a line. Every line counts as a sign of life, so print none for an agent that only says that it waits.
    pub fn say(&mut self, line: &AgentLine) {
        // Nobody left to hear it is the supervisor's business.
        let _ = writeln!(self.out, "{}", line.write()).and_then(|()| self.out.flush());
    }

    pub fn note(&mut self, text: impl Into<String>) {
        self.say(&AgentLine::Note { text: text.into() });
    }

    /// Takes over what the agent says it used since the start of the turn, and prints it when it is news.
    pub fn used(&mut self, usage: Usage) {
        if usage != self.usage {
            self.usage = usage;
            self.say(&AgentLine::Usage { usage });
        }
    }

    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Says which bound of the order was reached, or none: then the turn ends after the step it is in.
    pub fn over_budget(&self) -> Option<String> {
        let budget = self.order.budget;
        if let Some(limit) = budget.tokens.filter(|limit| self.usage.tokens() >= *limit) {
            return Some(format!("it used {} tokens of {limit}", self.usage.tokens()));
        }
        let usd = self.usage.usd.unwrap_or(0.0);
        budget.usd.filter(|limit| usd >= *limit).map(|limit| format!("it used ${usd:.2} of ${limit:.2}"))
    }

    /// Prints the last line and returns the ending with what was used.
    pub fn end(mut self, mut ending: Ending) -> Ending {
        if ending.usage == Usage::default() {
            ending.usage = self.usage;
        }
        self.say(&AgentLine::Ended { ending: ending.clone() });
        ending
    }
}
