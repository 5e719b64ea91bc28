//! Whole turns with agents that are small shell scripts, and the recordings of real ones.

mod corpus;
mod sessions;
mod turns;

use super::{Limits, Surroundings, run};
use crate::domain::ending::Ending;
use crate::domain::report::Report;
use crate::infra::agents::{McpServer, Session};
use crate::infra::mailbox::{self, Reader, Taken};
use crate::protocol::agent_lines::AgentLine;
use crate::protocol::config::{AgentConfig, AgentKind, Role};
use crate::protocol::drive::{Budget, DriveOrder};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// What every script begins with: how to read a message and to answer it.
const PRELUDE: &str = r#"
next() { IFS= read -r line || exit 0; id=${line#*\"id\":}; id=${id%%[,\}]*}; printf '%s\n' "$line" >> "$HEARD"; }
answer() { printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$1"; }
refuse() { printf '{"jsonrpc":"2.0","id":%s,"error":%s}\n' "$id" "$1"; }
update() { printf '{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"s1","update":%s}}\n' "$1"; }
request() { printf '{"jsonrpc":"2.0","id":%s,"method":"%s","params":%s}\n' "$1" "$2" "$3"; }
say() { update '{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"'"$1"'"}}'; }
tool() { update '{"sessionUpdate":"tool_call","toolCallId":"'"$1"'","title":"'"$1"'","kind":"execute","status":"'"$2"'"}'; }
hello() { next; answer '{"protocolVersion":1,"agentInfo":{"name":"fake","version":"7"}}'; }
open() { hello; next; answer '{"sessionId":"s1"}'; next; }
end() { answer '{"stopReason":"end_turn"}'; next; }
"#;

/// A turn to play: a script and what is particular about its order.
struct Play {
    order: DriveOrder,
    prompt: String,
    limits: Limits,
    /// The turn is stopped as soon as the transcript holds this.
    stop_at: Option<&'static str>,
    /// Words that wait for the agent.
    words: Option<crate::domain::inbox::InboxMessage>,
}

/// What came of it.
struct Played {
    ending: Ending,
    lines: Vec<AgentLine>,
    reports: Vec<Report>,
    /// What the agent read, line by line.
    heard: String,
    took: Duration,
}

fn play(script: &str) -> Play {
    let command = vec!["sh".to_owned(), "-c".to_owned(), format!("{PRELUDE}\n{script}")];
    command_play(command)
}

fn command_play(command: Vec<String>) -> Play {
    let agent = AgentConfig { kind: AgentKind::Acp, command, ..AgentConfig::default() };
    let order = DriveOrder {
        name: "fake".into(),
        agent,
        role: Role::Implementer,
        model: None,
        prompt: PathBuf::new(),
        session: None,
        budget: Budget::default(),
        fenced: false,
    };
    Play { order, prompt: "Do it.".into(), limits: Limits::default(), stop_at: None, words: None }
}

impl Play {
    fn order(mut self, change: impl FnOnce(&mut DriveOrder)) -> Self {
        change(&mut self.order);
        self
    }

    fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    fn stop_at(mut self, words: &'static str) -> Self {
        self.stop_at = Some(words);
        self
    }

    async fn run(mut self) -> Played {
        let folder = TempDir::new().expect("a folder");
        let place = folder.path().canonicalize().expect("a path");
        let (slot, mailbox, heard) = (place.join("slot"), place.join("mailbox"), place.join("heard"));
        std::fs::create_dir(&slot).expect("a slot");
        mailbox::create(&mailbox).expect("a mailbox");
        if let Some(words) = &self.words {
            mailbox::deliver_to_inbox(&mailbox, words, 1).expect("delivered");
        }
        self.order.agent.env.insert("HEARD".into(), heard.display().to_string());
        self.order.agent.env.insert("SLOT".into(), slot.display().to_string());
        let stop = CancellationToken::new();
        let out = Out { text: Arc::default(), stop_at: self.stop_at, stop: stop.clone() };
        let mut session = Session::for_test(self.order, &self.prompt, Box::new(out.clone()), stop);
        let around = Surroundings {
            cwd: slot,
            write: Vec::new(),
            server: McpServer {
                command: "/bin/ours".into(),
                args: vec!["mcp".into()],
                env: [("A".into(), "b".into())].into(),
            },
            mailbox: Some((mailbox.clone(), "nonce".into())),
            limits: self.limits,
        };
        let begun = Instant::now();
        let ending = run(&mut session, &around).await;
        let took = begun.elapsed();
        let ending = session.end(ending);
        let text = String::from_utf8(out.text.lock().expect("not poisoned").clone()).expect("text");
        let taken = Reader::open(&mailbox).expect("a reader").take().expect("reports");
        let reports = taken.into_iter().filter_map(|taken| match taken {
            Taken::Message { envelope, .. } => {
                assert_eq!(envelope.attempt, "nonce");
                Some(envelope.body)
            }
            Taken::Corrupt { .. } => None,
        });
        Played {
            ending,
            lines: text.lines().map(AgentLine::read).collect(),
            reports: reports.collect(),
            heard: std::fs::read_to_string(heard).unwrap_or_default(),
            took,
        }
    }
}

impl Played {
    fn notes(&self) -> String {
        let notes = self.lines.iter().filter_map(|line| match line {
            AgentLine::Note { text } => Some(text.as_str()),
            _ => None,
        });
        notes.collect::<Vec<_>>().join("\n")
    }

    fn raw(&self) -> Vec<&str> {
        let raw = self.lines.iter().filter_map(|line| match line {
            AgentLine::Raw { text } => Some(text.as_str()),
            _ => None,
        });
        raw.collect()
    }

    fn said(&self) -> String {
        let said = self.lines.iter().filter_map(|line| match line {
            AgentLine::Said { text } => Some(text.as_str()),
            _ => None,
        });
        said.collect()
    }
}

/// The transcript, which stops the turn at some words.
#[derive(Clone)]
struct Out {
    text: Arc<Mutex<Vec<u8>>>,
    stop_at: Option<&'static str>,
    stop: CancellationToken,
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut text = self.text.lock().expect("not poisoned");
        text.extend_from_slice(bytes);
        if self.stop_at.is_some_and(|words| String::from_utf8_lossy(&text).contains(words)) {
            self.stop.cancel();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn folders_below_home_are_written_with_a_tilde() {
    let home = std::path::Path::new("/home/x");
    let rows = [("~", "/home/x"), ("~/.cache", "/home/x/.cache"), ("~other/x", "~other/x"), ("/tmp/~", "/tmp/~")];
    for (written, expected) in rows {
        assert_eq!(super::below_home(written, Some(home)), PathBuf::from(expected), "{written}");
    }
    assert_eq!(super::below_home("~/x", None), PathBuf::from("~/x"));
}
