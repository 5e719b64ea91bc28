//! One workspace folder's checkout: its engine, the last snapshot and the texts of its proposals.
//!
//! Everything here can be thrown away and asked for again; see [`crate::protocol::engine_api::Snapshot`].

use super::marks::Marks;
use super::texts::Texts;
use crate::domain::event::Mark;
use crate::domain::hunks::HunkId;
use crate::domain::rounds::Comment;
use crate::domain::task::TaskId;
use crate::engine::handle::Handle;
use crate::lsp::convert::{Text, to_path, to_uri};
use crate::protocol::engine_api::{ApiError, Command, HunkSummary, ProposalSummary, ProposalView, Snapshot};
use crate::protocol::queue_text::QueueText;
use lsp_types::Url;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

/// Where the queue is, relative to a root.
pub const QUEUE_PATH: &str = ".ralph/queue.json";

/// A checkout.
pub struct Root {
    /// As the editor writes it.
    pub path: PathBuf,
    pub link: Link,
    pub snapshot: Snapshot,
    /// What was said about hunks and is not in a snapshot yet.
    pub marks: Marks,
    /// The texts of the proposals that wait, by task.
    pub proposals: HashMap<TaskId, Loaded>,
    /// The queue file as it is on disk, while it is not open.
    pub queue_on_disk: Option<Queue>,
    /// Token of the progress shown for the run that is on.
    pub run_token: Option<String>,
    /// There was a connection before.
    pub was_up: bool,
    /// The snapshot is the engine's, not the empty one of the beginning.
    pub is_ready: bool,
    /// The queue file was read at least once, so that it is known where tasks are or that there is none.
    pub queue_was_read: bool,
    /// A reading of the queue file is under way, and another one is due after it.
    pub reading_queue: bool,
    pub read_queue_again: bool,
    /// The engine was told that the queue has unsaved changes.
    pub holds_queue: bool,
    /// Reconnections without success.
    pub tries: u32,
}

/// The way to the engine.
pub enum Link {
    /// Nobody wanted it yet.
    Idle,
    Connecting,
    Up(Up),
    /// It could not be reached, or is gone.
    Down(ApiError),
}

/// A live connection.
pub struct Up {
    pub handle: Handle,
    /// Commands that must arrive in order; nobody waits for their replies.
    pub tell: UnboundedSender<Told>,
}

/// What goes to the engine in order.
pub enum Told {
    /// A command, with the number that its reply is matched by where there is one.
    Command(Box<Command>, Option<u64>),
    /// Answered when all before it was carried out.
    AllSoFar(oneshot::Sender<()>),
}

/// A proposal's texts, or why they cannot be had.
pub struct Loaded {
    key: Key,
    pub view: Option<Result<Arc<Texts>, String>>,
}

/// What the texts depend on; marks come from the snapshot.
pub type Key = (u32, String, String);

/// A text of the queue and what it says.
#[derive(Debug)]
pub struct Queue {
    pub text: Text,
    pub parsed: QueueText,
}

impl Queue {
    /// Reads a text.
    pub fn new(text: Text) -> Self {
        let parsed = QueueText::parse(text.as_str());
        Self { text, parsed }
    }
}

impl Root {
    /// Makes a root that nobody wanted yet.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            link: Link::Idle,
            snapshot: Snapshot::default(),
            marks: Marks::default(),
            proposals: HashMap::new(),
            queue_on_disk: None,
            run_token: None,
            was_up: false,
            is_ready: false,
            queue_was_read: false,
            reading_queue: false,
            read_queue_again: false,
            holds_queue: false,
            tries: 0,
        }
    }

    /// Returns the engine, when it is reachable.
    pub fn handle(&self) -> Option<&Handle> {
        match &self.link {
            Link::Up(up) => Some(&up.handle),
            _ => None,
        }
    }

    /// Sends a command whose reply nobody needs, in order with the others; dropped when the engine is not there, which
    /// learns the same from the next snapshot's reader.
    pub fn tell(&self, command: Command) {
        if let Link::Up(up) = &self.link {
            drop(up.tell.send(Told::Command(Box::new(command), None)));
        }
    }

    /// Tells what became of hunks, and takes it for granted from now on.
    pub fn mark(&mut self, task: &TaskId, hunks: Vec<HunkId>, mark: &Mark) {
        if let Link::Up(up) = &self.link {
            let serial = self.marks.tell(task, &hunks, mark);
            let task = task.clone();
            let command = match mark {
                Mark::Accepted => Command::Accept { task, hunks, write: false },
                Mark::Pending => Command::Withdraw { task, hunks },
                Mark::Rejected { why } => Command::Reject { task, hunks, why: why.clone(), rest: false },
            };
            drop(up.tell.send(Told::Command(Box::new(command), Some(serial))));
            self.marks.apply(&mut self.snapshot.tasks);
        }
    }

    /// Returns the URI of the root.
    pub fn uri(&self) -> String {
        to_uri(&self.path).map(String::from).unwrap_or_default()
    }

    /// Returns the path of the queue file.
    pub fn queue_path(&self) -> PathBuf {
        self.path.join(QUEUE_PATH)
    }

    /// Returns the path relative to the root, with `/`.
    pub fn relative(&self, path: &Path) -> Option<String> {
        path.strip_prefix(&self.path).ok()?.to_str().map(str::to_owned)
    }

    /// Returns the URI of a path relative to the root.
    pub fn file_uri(&self, path: &str) -> Option<Url> {
        to_uri(&self.path.join(path))
    }

    /// Returns the path of a document relative to the root.
    pub fn relative_uri(&self, uri: &Url) -> Option<String> {
        self.relative(&to_path(uri)?)
    }

    /// Drops proposals that are gone or were made anew, and returns those whose texts must be asked for.
    pub fn sync_proposals(&mut self) -> Vec<(TaskId, Key)> {
        let wanted: HashMap<TaskId, Key> = self
            .snapshot
            .tasks
            .iter()
            .filter_map(|view| Some((view.task.id.clone(), key(view.proposal.as_ref()?))))
            .collect();
        self.proposals.retain(|task, loaded| wanted.get(task) == Some(&loaded.key));
        let mut missing = Vec::new();
        for (task, key) in wanted {
            self.proposals.entry(task.clone()).or_insert_with(|| {
                missing.push((task, key.clone()));
                Loaded { key, view: None }
            });
        }
        missing
    }

    /// Takes a proposal's texts, unless it was made anew since they were asked for.
    pub fn set_proposal(&mut self, task: &TaskId, key: &Key, view: Result<ProposalView, String>) {
        let summary = self.snapshot.task(task).and_then(|view| view.proposal.as_ref());
        let hunks = summary.map(|summary| summary.hunks.as_slice()).unwrap_or_default();
        let texts = view.map(|view| Arc::new(Texts::new(key.clone(), view, hunks)));
        if let Some(loaded) = self.proposals.get_mut(task).filter(|loaded| loaded.key == *key) {
            loaded.view = Some(texts);
        }
    }

    /// Tells whether the texts of a proposal are still on their way.
    pub fn is_loading(&self) -> bool {
        self.proposals.values().any(|loaded| loaded.view.is_none())
    }

    /// Returns the proposals with their texts, in the order of the queue.
    pub fn loaded(&self) -> impl Iterator<Item = (&ProposalSummary, &Arc<Texts>)> {
        self.snapshot.tasks.iter().filter_map(|view| {
            let summary = view.proposal.as_ref()?;
            let loaded = self.proposals.get(&view.task.id)?.view.as_ref()?.as_ref().ok()?;
            Some((summary, loaded))
        })
    }

    /// Returns the texts of a task's proposal.
    fn texts(&self, task: &TaskId) -> Option<&Arc<Texts>> {
        self.proposals.get(task)?.view.as_ref()?.as_ref().ok()
    }

    /// Returns what is known of a hunk of a task's proposal.
    pub fn known(&self, task: &TaskId, hunk: &HunkId) -> Option<&HunkSummary> {
        let summary = self.snapshot.task(task)?.proposal.as_ref()?;
        match self.texts(task) {
            Some(texts) => texts.known(summary, hunk),
            None => summary.hunks.iter().find(|known| known.id == *hunk),
        }
    }

    /// Returns what people said about the task's proposals, oldest first.
    pub fn comments(&self, task: &TaskId) -> &[Comment] {
        self.snapshot.task(task).map(|view| view.comments.as_slice()).unwrap_or_default()
    }

    /// Returns one proposal with its texts.
    pub fn proposal(&self, task: &TaskId) -> Option<(&ProposalSummary, &Arc<Texts>)> {
        let summary = self.snapshot.task(task)?.proposal.as_ref()?;
        Some((summary, self.texts(task)?))
    }
}

/// Returns what the texts of a proposal depend on.
pub fn key(summary: &ProposalSummary) -> Key {
    (summary.attempt, summary.base.clone(), summary.head.clone())
}
