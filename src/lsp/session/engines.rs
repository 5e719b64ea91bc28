//! Folders and their engines: found and connected when wanted, followed, and found again when they are gone.

use super::flows::explain;
use super::marks::Marks;
use super::root::{Key, Link, Queue, Root, Told, Up};
use super::stale::changed_since;
use super::{Internal, Session, Waiting};
use crate::domain::task::TaskId;
use crate::engine::handle::{Handle, unexpected};
use crate::lsp::convert::{Text, to_path};
use crate::protocol::engine_api::{
    ApiError, Buffer, Command, EngineEvent, ProposalView, Reply as EngineReply, Snapshot,
};
use lsp_types::Url;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;

/// The longest pause between two attempts to reach an engine again.
const MAX_PAUSE: Duration = Duration::from_secs(30);

impl Session {
    /// Adds a workspace folder; its checkout becomes a root once it is found.
    pub(super) fn add_folder(&mut self, uri: &Url) {
        if let Some(folder) = to_path(uri) {
            self.locate(folder);
        }
    }

    /// Forgets a workspace folder and all that was shown for it. The engine and its run go on.
    pub(super) fn remove_folder(&mut self, uri: &Url) {
        let Some(index) = to_path(uri).and_then(|folder| self.root_of_path(&folder)) else { return };
        let root = self.roots.remove(index);
        self.end_run_progress(root.run_token);
        for (uri, _) in self.published.remove(&root.path).unwrap_or_default() {
            self.outbound.publish_diagnostics(&uri, &[], None);
        }
    }

    pub(super) fn locate(&mut self, folder: PathBuf) {
        self.locating += 1;
        let (connector, post) = (self.connector.clone(), self.post.clone());
        tokio::spawn(async move {
            let located = connector.locate(&folder).await;
            drop(post.send(Internal::Located { folder, located }));
        });
    }

    pub(super) fn located(&mut self, folder: &Path, located: super::Located) {
        self.locating = self.locating.saturating_sub(1);
        tracing::debug!(folder = %folder.display(), root = %located.root.display(), "a folder was located");
        let index = self.root_index(&located.root).unwrap_or_else(|| {
            self.roots.push(Root::new(located.root));
            self.roots.len() - 1
        });
        if located.is_set_up {
            self.want(index);
        }
        let path = self.roots[index].path.clone();
        self.release_waiting(Path::new(""));
        self.stale_roots.insert(path);
        let open: Vec<Url> = self.documents.iter().map(|document| document.uri.clone()).collect();
        for uri in open {
            self.opened_in_root(&uri);
        }
    }

    /// Connects to the root's engine unless that is done or under way.
    pub(super) fn want(&mut self, index: usize) {
        let root = &mut self.roots[index];
        if matches!(root.link, Link::Idle | Link::Down(_)) {
            root.link = Link::Connecting;
            self.connect_after(index, Duration::ZERO);
        }
    }

    fn connect_after(&self, index: usize, pause: Duration) {
        let root = self.roots[index].path.clone();
        let (connector, post) = (self.connector.clone(), self.post.clone());
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let result = connector.connect(&root).await;
            drop(post.send(Internal::Connected { root, result }));
        });
    }

    pub(super) fn connected(&mut self, path: &Path, result: Result<Handle, ApiError>) {
        let Some(index) = self.root_index(path) else { return };
        if matches!(self.roots[index].link, Link::Up(_)) {
            return;
        }
        let handle = match result {
            Ok(handle) => handle,
            Err(error) => return self.failed(index, error),
        };
        let post = self.post.clone();
        let root = path.to_owned();
        // Subscribed before the snapshot is asked for: what happens in between is in one of them or in both.
        let mut events = handle.subscribe();
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                if post.send(Internal::Engine { root: root.clone(), event }).is_err() {
                    return;
                }
            }
            drop(post.send(Internal::Gone { root }));
        });
        let (tell, told) = mpsc::unbounded_channel();
        tokio::spawn(tell_in_order(handle.clone(), told, path.to_owned(), self.post.clone()));
        let root = &mut self.roots[index];
        root.link = Link::Up(Up { handle, tell });
        root.was_up = true;
        root.is_ready = false;
        root.marks = Marks::default();
        self.roots[index].holds_queue = false;
        self.sync_hold(index);
        self.ask_snapshot(index);
        self.read_queue_on_disk(index);
    }

    /// Notes that the engine cannot be had, and answers those who wait for it.
    fn failed(&mut self, index: usize, error: ApiError) {
        let root = &mut self.roots[index];
        tracing::warn!(root = %root.path.display(), %error, "the engine cannot be reached");
        root.link = Link::Down(error.clone());
        let path = root.path.clone();
        let (failed, kept) = std::mem::take(&mut self.waiting).into_iter().partition(|(root, _)| *root == path);
        self.waiting = kept;
        for (_, waiting) in failed {
            match waiting {
                Waiting::Command(_, _, reply) | Waiting::Content(_, reply) => reply.fail(explain(&error)),
            }
        }
        self.notify_status(index);
        self.stale_roots.insert(path);
        if self.roots[index].was_up {
            // It was there before, so it is looked for until it is there again.
            self.connect_again(index);
        }
    }

    /// The engine is gone; nothing is lost with it, so it is found again after a pause.
    pub(super) fn gone(&mut self, path: &Path) {
        let Some(index) = self.root_index(path) else { return };
        self.roots[index].link = Link::Connecting;
        self.connect_again(index);
    }

    /// Tries to reach the engine again, after a pause that grows with every failure.
    fn connect_again(&mut self, index: usize) {
        let root = &mut self.roots[index];
        root.tries += 1;
        let pause = Duration::from_millis(50 << root.tries.min(10)).min(MAX_PAUSE);
        self.connect_after(index, pause);
    }

    pub(super) fn ask_snapshot(&self, index: usize) {
        let root = self.roots[index].path.clone();
        let Some(handle) = self.roots[index].handle().cloned() else { return };
        let post = self.post.clone();
        tokio::spawn(async move {
            let result = handle.snapshot().await.map(Box::new);
            drop(post.send(Internal::Snapshot { root, result }));
        });
    }

    pub(super) fn on_snapshot(&mut self, path: &Path, result: Result<Box<Snapshot>, ApiError>) {
        let Some(index) = self.root_index(path) else { return };
        match result {
            Ok(snapshot) if self.roots[index].is_ready && snapshot.seq < self.roots[index].snapshot.seq => {
                tracing::debug!(seq = snapshot.seq, "a snapshot was overtaken by events");
            }
            Ok(snapshot) => {
                self.roots[index].tries = 0;
                self.roots[index].is_ready = true;
                self.roots[index].marks.settle();
                self.roots[index].marks.see(&snapshot.tasks);
                self.replace_snapshot(index, *snapshot);
                // What counted on the snapshot before may be of another engine.
                self.stale_roots.insert(path.to_owned());
                self.release_waiting(path);
            }
            Err(error) => self.failed(index, error),
        }
    }

    /// Takes the engine's reply to what was told about hunks.
    pub(super) fn on_told(&mut self, path: &Path, serial: u64, accepted: bool) {
        if let Some(index) = self.root_index(path)
            && self.roots[index].marks.told(serial, accepted)
        {
            self.ask_snapshot(index);
        }
    }

    pub(super) fn on_engine(&mut self, path: &Path, event: &EngineEvent) {
        let Some(index) = self.root_index(path) else { return };
        match event {
            EngineEvent::Changed(delta) => {
                self.roots[index].marks.see(&delta.tasks);
                let mut snapshot = self.roots[index].snapshot.clone();
                snapshot.apply(delta.clone());
                self.replace_snapshot(index, snapshot);
                self.read_queue_on_disk(index);
            }
            EngineEvent::Lagged => self.ask_snapshot(index),
            EngineEvent::BuffersWanted { token } => self.send_buffers(index, *token),
            EngineEvent::Milestone(milestone) => self.on_milestone(index, milestone),
            EngineEvent::Output { task, attempt, text } => self.on_output(index, task, *attempt, text),
            EngineEvent::Progress { task, attempt, text } => self.on_progress(index, task.as_ref(), *attempt, text),
            EngineEvent::Waiting { text, .. } => self.on_waiting(index, text),
            EngineEvent::Notice { warning, text } => self.show_message(*warning, text),
        }
    }

    /// Puts a new snapshot in place of the old one and tells the client what differs.
    fn replace_snapshot(&mut self, index: usize, mut snapshot: Snapshot) {
        self.roots[index].marks.apply(&mut snapshot.tasks);
        let before = std::mem::replace(&mut self.roots[index].snapshot, snapshot);
        for (task, key) in self.roots[index].sync_proposals() {
            self.ask_proposal(index, task, key);
        }
        self.notify_changes(index, &before);
        match changed_since(&self.roots[index], &before) {
            Some(paths) => self.mark_stale(index, paths),
            None => drop(self.stale_roots.insert(self.roots[index].path.clone())),
        }
    }

    fn ask_proposal(&self, index: usize, task: TaskId, key: Key) {
        let root = self.roots[index].path.clone();
        let Some(handle) = self.roots[index].handle().cloned() else { return };
        let post = self.post.clone();
        tokio::spawn(async move {
            let result = match handle.call(Command::Proposal { task: task.clone() }).await {
                Ok(EngineReply::Proposal(view)) => Ok(Box::new(view)),
                Ok(other) => Err(unexpected(&other)),
                Err(error) => Err(error),
            };
            drop(post.send(Internal::Proposal { root, task, key, result }));
        });
    }

    pub(super) fn on_proposal(
        &mut self,
        path: &Path,
        task: &TaskId,
        key: &Key,
        result: Result<Box<ProposalView>, ApiError>,
    ) {
        let Some(index) = self.root_index(path) else { return };
        if let Err(error) = &result {
            tracing::warn!(%task, %error, "a proposal cannot be shown");
        }
        let view = result.map(|view| *view).map_err(|error| explain(&error));
        self.roots[index].set_proposal(task, key, view);
        let open: Vec<Url> = self.documents.iter().map(|document| document.uri.clone()).collect();
        for uri in open {
            self.note_new_acceptances(&uri, None);
        }
        self.notify_proposal(index, task);
        self.stale_roots.insert(path.to_owned());
        self.release_waiting(path);
    }

    /// Takes up again what waited for the root.
    fn release_waiting(&mut self, path: &Path) {
        let (released, kept) = std::mem::take(&mut self.waiting).into_iter().partition(|(root, _)| root == path);
        self.waiting = kept;
        for (_, waiting) in released {
            match waiting {
                Waiting::Command(command, params, reply) => self.execute(command, params, reply),
                Waiting::Content(link, reply) => self.content_of(path, link, reply),
            }
        }
    }

    /// Sends the buffers that differ from disk; the engine waits only a moment.
    fn send_buffers(&self, index: usize, token: u64) {
        let root = &self.roots[index];
        let dirty = self.documents.iter().filter(|document| document.is_dirty());
        let buffers = dirty.filter_map(|document| {
            let path = document.path.as_ref().filter(|path| self.root_of_path(path) == Some(index))?;
            Some(Buffer { path: root.relative(path)?, text: document.text.as_str().to_owned() })
        });
        let command = Command::Buffers { token, buffers: buffers.collect() };
        let Some(handle) = root.handle().cloned() else { return };
        tokio::spawn(async move {
            if let Err(error) = handle.tell(command).await {
                tracing::warn!(%error, "the engine did not take the unsaved buffers");
            }
        });
    }

    /// Reads the queue file, whose places decisions and problems are shown at, unless it is open.
    ///
    /// At most one reading is under way, and one more is due after it.
    pub(super) fn read_queue_on_disk(&mut self, index: usize) {
        let path = self.roots[index].queue_path();
        if self.documents.at(&path).is_some() {
            return;
        }
        let root = &mut self.roots[index];
        if root.reading_queue {
            root.read_queue_again = true;
            return;
        }
        root.reading_queue = true;
        let root = root.path.clone();
        let (connector, post) = (self.connector.clone(), self.post.clone());
        tokio::spawn(async move {
            let text = connector.read(&path).await;
            drop(post.send(Internal::QueueOnDisk { root, text }));
        });
    }

    pub(super) fn on_queue_on_disk(&mut self, path: &Path, text: Option<String>) {
        let Some(index) = self.root_index(path) else { return };
        let root = &mut self.roots[index];
        root.reading_queue = false;
        let known = root.queue_on_disk.as_ref().map(|queue| queue.text.as_str());
        if known != text.as_deref() || !root.queue_was_read {
            root.queue_was_read = true;
            root.queue_on_disk = text.map(|text| Queue::new(Text::new(text)));
            self.stale_roots.insert(path.to_owned());
        }
        if std::mem::take(&mut self.roots[index].read_queue_again) {
            self.read_queue_on_disk(index);
        }
    }
}

/// Carries commands out one after the other: an acceptance and its undo must not overtake each other.
async fn tell_in_order(
    handle: Handle,
    mut commands: mpsc::UnboundedReceiver<Told>,
    root: PathBuf,
    post: mpsc::UnboundedSender<Internal>,
) {
    while let Some(told) = commands.recv().await {
        let (command, serial) = match told {
            Told::Command(command, serial) => (*command, serial),
            Told::AllSoFar(done) => {
                // Who asked may have gone.
                let _ = done.send(());
                continue;
            }
        };
        let result = handle.tell(command).await;
        if let Err(error) = &result {
            tracing::warn!(%error, "the engine refused what it was told");
        }
        if let Some(serial) = serial {
            drop(post.send(Internal::Told { root: root.clone(), serial, accepted: result.is_ok() }));
        }
    }
}
