//! The session: one actor that owns the open documents and knows, for each folder, what its engine last said.
//!
//! Reading order: this file (what can wake the session, and the order in which things happen), [`documents`], [`root`],
//! then what a client sees: [`diagnostics`], [`actions`], [`queue_language`], [`hovers`], [`notices`], [`content`]; then
//! what it can do: [`commands`] and the conversations behind them in [`flows`].
//!
//! Nothing is kept that could not be made again from the documents and an engine's snapshot. The actor never waits: what
//! takes time runs in a task of its own and comes back as an [`Internal`] message.

mod acceptance;
mod actions;
mod commands;
mod connector;
mod content;
mod deciding;
mod diagnostics;
mod documents;
mod engines;
mod flows;
mod hovers;
mod landing;
mod links;
mod markdown;
mod marks;
mod notices;
mod placement;
mod plan_actions;
mod queue_edits;
mod queue_language;
mod review;
mod root;
mod stale;
mod status;
mod texts;

pub use connector::{Connector, FirstConfig, Located};

use super::capabilities::{ClientCapabilities, initialize_result};
use super::convert::to_path;
use super::message::{Inbox, Message, Reply};
use super::outbound::Outbound;
use crate::domain::hunks::HunkId;
use crate::domain::task::TaskId;
use crate::engine::handle::Handle;
use crate::protocol::editor::{Command, SECTION};
use crate::protocol::engine_api::{ApiError, EngineEvent, ProposalView, Snapshot};
use documents::{Documents, Fingerprint};
use lsp_types::{Diagnostic, Url};
use queue_edits::{EditQueue, QueueEdit};
use root::Root;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long an answer may take that only the client's program gives.
const PROMPT: Duration = Duration::from_secs(30);

/// What comes back to the session from the tasks it started.
enum Internal {
    Located {
        folder: PathBuf,
        located: Located,
    },
    Connected {
        root: PathBuf,
        result: Result<Handle, ApiError>,
    },
    /// The engine ended or the connection broke.
    Gone {
        root: PathBuf,
    },
    Snapshot {
        root: PathBuf,
        result: Result<Box<Snapshot>, ApiError>,
    },
    Engine {
        root: PathBuf,
        event: Arc<EngineEvent>,
    },
    /// The engine replied to what it was told about hunks.
    Told {
        root: PathBuf,
        serial: u64,
        accepted: bool,
    },
    Proposal {
        root: PathBuf,
        task: TaskId,
        key: root::Key,
        result: Result<Box<ProposalView>, ApiError>,
    },
    QueueOnDisk {
        root: PathBuf,
        text: Option<String>,
    },
    /// What was on disk when a document was opened.
    DiskAtOpen {
        uri: Url,
        version: i32,
        text: Option<String>,
    },
    /// What is on disk, to tell an undo from a text that came from there.
    DiskAtUndo {
        path: PathBuf,
        hunks: Vec<(TaskId, HunkId)>,
        before: Fingerprint,
        text: Option<String>,
    },
    EditQueue {
        root: PathBuf,
        edit: QueueEdit,
        done: oneshot::Sender<EditQueue>,
    },
    Settings(Value),
    PlanEnded {
        token: String,
    },
    /// The difference a revised plan makes, for its document.
    PlanDiff {
        plan: String,
        diff: String,
    },
}

/// A request that waits until its folder's engine has spoken.
enum Waiting {
    Command(Command, Value, Reply<Value>),
    Content(links::Link, Reply<Value>),
}

/// The actor's state; see the module.
struct Session {
    outbound: Outbound,
    connector: Arc<dyn Connector>,
    post: mpsc::UnboundedSender<Internal>,
    client: Arc<ClientCapabilities>,
    documents: Documents,
    roots: Vec<Root>,
    /// The `ralph` section of the editor's settings.
    settings: Value,
    /// What was last published, by root.
    published: HashMap<PathBuf, HashMap<Url, Vec<Diagnostic>>>,
    /// Documents and roots whose diagnostics must be made again.
    stale_documents: HashSet<Url>,
    stale_roots: HashSet<PathBuf>,
    /// The lenses of an open queue have to be asked for again.
    stale_lenses: bool,
    waiting: Vec<(PathBuf, Waiting)>,
    plan_diffs: HashMap<String, String>,
    /// How many planners were started, and the progress tokens of those that are on.
    plans: u64,
    plan_tokens: HashSet<String>,
    /// Folders whose checkout is being looked for.
    locating: usize,
    is_open: bool,
}

/// Runs a session until the client leaves.
pub async fn run(mut inbox: Inbox, outbound: Outbound, connector: Arc<dyn Connector>) {
    let (post, mut internal) = mpsc::unbounded_channel();
    let mut session = Session {
        outbound,
        connector,
        post,
        client: Arc::default(),
        documents: Documents::default(),
        roots: Vec::new(),
        settings: Value::Null,
        published: HashMap::new(),
        stale_documents: HashSet::new(),
        stale_roots: HashSet::new(),
        stale_lenses: false,
        waiting: Vec::new(),
        plan_diffs: HashMap::new(),
        plans: 0,
        plan_tokens: HashSet::new(),
        locating: 0,
        is_open: false,
    };
    loop {
        tokio::select! {
            message = inbox.recv() => match message {
                None | Some(Message::Closed) => return,
                Some(message) => session.guard(|session| session.on_message(message)),
            },
            Some(message) = internal.recv() => session.guard(|session| session.on_internal(message)),
        }
        // Whatever came together is answered together: one publication per burst of changes.
        while let Ok(message) = internal.try_recv() {
            session.guard(|session| session.on_internal(message));
        }
        if inbox.is_empty() {
            session.guard(Session::publish_stale);
        }
    }
}

impl Session {
    /// Runs one step; a panic in it costs that step, and what is known is asked for again.
    fn guard(&mut self, step: impl FnOnce(&mut Self)) {
        if std::panic::catch_unwind(AssertUnwindSafe(|| step(self))).is_err() {
            tracing::error!("a step of the session panicked; it goes on with fresh snapshots");
            for index in 0..self.roots.len() {
                self.ask_snapshot(index);
            }
        }
    }

    fn on_message(&mut self, message: Message) {
        if !self.is_open && !matches!(message, Message::Initialize(..)) {
            self.is_open = true;
            self.outbound.open();
        }
        match message {
            Message::Initialize(params, reply) => self.initialize(&params, reply),
            Message::Initialized => self.initialized(),
            Message::DidOpen(params) => {
                let uri = self.documents.open(params);
                self.opened(&uri);
            }
            Message::DidChange(params) => self.changed(params),
            Message::DidSave(params) => self.saved(&params.text_document.uri),
            Message::DidClose(params) => self.closed(&params.text_document.uri),
            Message::DidChangeConfiguration(settings) => self.configuration_changed(&settings),
            Message::DidChangeWorkspaceFolders(params) => {
                for folder in params.event.removed {
                    self.remove_folder(&folder.uri);
                }
                for folder in params.event.added {
                    self.add_folder(&folder.uri);
                }
            }
            Message::DidChangeWatchedFiles(params) => {
                for change in params.changes {
                    self.file_changed(&change.uri);
                }
            }
            Message::CodeAction(params, reply) => reply.ok(Some(self.code_actions(&params))),
            Message::CodeActionResolve(action, reply) => reply.send(self.resolve_action(action)),
            Message::CodeLens(params, reply) => reply.ok(Some(self.code_lenses(&params.text_document.uri))),
            Message::Completion(params, reply) => reply.ok(self.completion(&params.text_document_position)),
            Message::Hover(params, reply) => reply.ok(self.hover(&params.text_document_position_params)),
            Message::Definition(params, reply) => reply.ok(self.definition(&params.text_document_position_params)),
            Message::DocumentSymbol(params, reply) => reply.ok(self.symbols(&params.text_document.uri)),
            Message::ExecuteCommand(params, reply) => self.execute_named(params, reply),
            Message::Command(command, params, reply) => self.execute(command, params, reply),
            Message::Content(uri, reply) => self.content(&uri, reply),
            Message::ProgressCancel(token) => self.progress_cancelled(&token),
            Message::Shutdown(reply) => reply.ok(()),
            Message::Closed => {}
        }
    }

    fn on_internal(&mut self, message: Internal) {
        match message {
            Internal::Located { folder, located } => self.located(&folder, located),
            Internal::Connected { root, result } => self.connected(&root, result),
            Internal::Gone { root } => self.gone(&root),
            Internal::Snapshot { root, result } => self.on_snapshot(&root, result),
            Internal::Engine { root, event } => self.on_engine(&root, &event),
            Internal::Told { root, serial, accepted } => self.on_told(&root, serial, accepted),
            Internal::Proposal { root, task, key, result } => self.on_proposal(&root, &task, &key, result),
            Internal::QueueOnDisk { root, text } => self.on_queue_on_disk(&root, text),
            Internal::DiskAtOpen { uri, version, text } => {
                self.documents.note_disk(&uri, version, text.as_deref());
                self.follow_queue(&uri);
            }
            Internal::DiskAtUndo { path, hunks, before, text } => self.on_disk_at_undo(&path, hunks, before, text),
            Internal::EditQueue { root, edit, done } => self.edit_queue(&root, edit, done),
            Internal::Settings(settings) => self.set_settings(settings),
            Internal::PlanEnded { token } => {
                self.plan_tokens.remove(&token);
            }
            Internal::PlanDiff { plan, diff } => {
                self.plan_diffs.insert(plan, diff);
            }
        }
    }

    fn initialize(&mut self, params: &Value, reply: Reply<Value>) {
        self.client = Arc::new(ClientCapabilities::from_initialize(params));
        let options = &params["initializationOptions"];
        self.settings = options.get(SECTION).unwrap_or(options).clone();
        let folders = params["workspaceFolders"].as_array().map(|folders| folders.iter().map(|folder| &folder["uri"]));
        let uris: Vec<&Value> = match folders {
            Some(folders) => folders.collect(),
            None => vec![&params["rootUri"]],
        };
        for uri in uris {
            if let Some(uri) = uri.as_str().and_then(|uri| Url::parse(uri).ok()) {
                self.add_folder(&uri);
            }
        }
        reply.ok(initialize_result(&self.client));
    }

    fn initialized(&mut self) {
        self.ask_settings();
    }

    /// Asks the client for its settings; their arrival is a message of its own.
    fn ask_settings(&mut self) {
        if !self.client.configuration {
            return;
        }
        let items = json!({ "items": [{ "section": SECTION }] });
        let settings = self.outbound.request("workspace/configuration", items, PROMPT);
        let post = self.post.clone();
        tokio::spawn(async move {
            match settings.await {
                Ok(mut settings) => drop(post.send(Internal::Settings(settings[0].take()))),
                Err(error) => tracing::warn!(%error, "the editor's settings are not known"),
            }
        });
    }

    fn configuration_changed(&mut self, settings: &Value) {
        if self.client.configuration {
            // What is sent along differs between clients; what is asked for does not.
            self.ask_settings();
        } else if let Some(settings) = settings.get(SECTION) {
            self.set_settings(settings.clone());
        }
    }

    fn set_settings(&mut self, settings: Value) {
        if !settings.is_null() {
            self.settings = settings;
            self.stale_roots.extend(self.roots.iter().map(|root| root.path.clone()));
        }
    }

    fn opened(&mut self, uri: &Url) {
        self.stale_documents.insert(uri.clone());
        if !self.opened_in_root(uri)
            && let Some(folder) = to_path(uri).as_deref().and_then(Path::parent)
        {
            // A file opened without a folder still belongs to a checkout.
            self.locate(folder.to_owned());
        }
    }

    /// Takes up a document whose root is known; tells whether it is.
    fn opened_in_root(&mut self, uri: &Url) -> bool {
        let Some((index, path)) = self.rooted(uri) else { return false };
        if self.roots[index].queue_path() == path {
            self.want(index);
        }
        if let Some(document) = self.documents.get(uri) {
            self.compare_with_disk(uri.clone(), document.version, path);
        }
        self.note_new_acceptances(uri, None);
        true
    }

    fn compare_with_disk(&self, uri: Url, version: i32, path: PathBuf) {
        let (connector, post) = (self.connector.clone(), self.post.clone());
        tokio::spawn(async move {
            let text = connector.read(&path).await;
            drop(post.send(Internal::DiskAtOpen { uri, version, text }));
        });
    }

    fn changed(&mut self, params: lsp_types::DidChangeTextDocumentParams) {
        let uri = params.text_document.uri.clone();
        let Some(document) = self.documents.get(&uri) else { return };
        let before = document.fingerprint();
        if self.documents.change(params).is_none() {
            return;
        }
        self.stale_documents.insert(uri.clone());
        self.follow_queue(&uri);
        self.take_back_undone(&uri);
        self.note_new_acceptances(&uri, Some(before));
    }

    fn saved(&mut self, uri: &Url) {
        self.documents.save(uri);
        let Some((index, path)) = self.rooted(uri) else { return };
        let root = &self.roots[index];
        if path == root.queue_path() {
            root.tell(crate::protocol::engine_api::Command::ReadQueue);
        }
        if let Some(path) = root.relative(&path) {
            root.tell(crate::protocol::engine_api::Command::Saved { paths: vec![path] });
        }
        self.follow_queue(uri);
    }

    /// Keeps the engine informed about unsaved changes, when the document is a queue.
    fn follow_queue(&mut self, uri: &Url) {
        if let Some((index, path)) = self.rooted(uri)
            && path == self.roots[index].queue_path()
        {
            self.sync_hold(index);
        }
    }

    fn closed(&mut self, uri: &Url) {
        self.documents.close(uri);
        self.stale_documents.insert(uri.clone());
        if let Some((index, path)) = self.rooted(uri)
            && path == self.roots[index].queue_path()
        {
            self.sync_hold(index);
            self.read_queue_on_disk(index);
        }
    }

    /// Takes a file event as a hint; the engine watches by itself.
    fn file_changed(&mut self, uri: &Url) {
        let Some((index, path)) = self.rooted(uri) else { return };
        if path == self.roots[index].queue_path() {
            self.want(index);
            self.roots[index].tell(crate::protocol::engine_api::Command::ReadQueue);
            self.read_queue_on_disk(index);
        }
    }

    /// Returns the root a path belongs to: the innermost one.
    fn root_of_path(&self, path: &Path) -> Option<usize> {
        let inside = self.roots.iter().enumerate().filter(|(_, root)| path.starts_with(&root.path));
        inside.max_by_key(|(_, root)| root.path.as_os_str().len()).map(|(index, _)| index)
    }

    /// Returns the root a document belongs to, and its path.
    fn rooted(&self, uri: &Url) -> Option<(usize, PathBuf)> {
        let path = to_path(uri)?;
        Some((self.root_of_path(&path)?, path))
    }

    fn root_index(&self, path: &Path) -> Option<usize> {
        self.roots.iter().position(|root| root.path == path)
    }
}
