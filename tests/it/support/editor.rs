//! An editor for tests: a client with documents, edits, undo and saves, on a folder of its own.

use super::fake_engine::{Fake, FakeConnector};
use super::lsp_client::{TestClient, World};
use ralph_sidecar::lsp::session::{self, Connector};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Capabilities of the clients the golden files are about.
pub const VSCODE: &str = include_str!("clients/vscode-10.json");
pub const NEOVIM: &str = include_str!("clients/neovim-0.12.json");
pub const MINIMAL: &str = include_str!("clients/minimal.json");

/// A client with open documents.
pub struct Editor {
    pub client: TestClient,
    pub folder: tempfile::TempDir,
    documents: HashMap<String, Document>,
    versions: i64,
}

struct Document {
    text: String,
    undo: Vec<String>,
    version: i64,
}

impl Editor {
    /// Starts an editor on a new folder with these files, and a session on a fake engine.
    pub fn start(client: &str, fake: &Fake, files: &[(&str, &str)]) -> Self {
        let connector = Arc::new(FakeConnector(fake.engine.clone()));
        let mut editor = Self::connect(client, connector, files);
        for noise in ["ralph/status", "ralph/queueChanged", "ralph/proposalChanged"] {
            editor.client.ignore(noise);
        }
        editor
    }

    /// Starts an editor on a new folder with these files.
    pub fn connect(client: &str, connector: Arc<dyn Connector>, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("inside the folder")).expect("folders can be made");
            std::fs::write(path, text).expect("files can be written");
        }
        Self::in_folder(client, connector, folder)
    }

    /// Starts an editor on a folder that is there.
    pub fn in_folder(client: &str, connector: Arc<dyn Connector>, folder: tempfile::TempDir) -> Self {
        let server =
            TestClient::start(World::default(), move |inbox, outbound| session::run(inbox, outbound, connector));
        Self::over(client, server, folder)
    }

    /// Starts an editor on a folder, with a server that is there.
    pub fn over(capabilities: &str, mut client: TestClient, folder: tempfile::TempDir) -> Self {
        let root = format!("file://{}", folder.path().display());
        let params = capabilities.replace("file:///repo", &root).replace("4242", &std::process::id().to_string());
        let params: Value = serde_json::from_str(&params).expect("the fixture is JSON");
        let asks = params["capabilities"]["workspace"]["configuration"] == true;
        client.initialize(params);
        if asks {
            let (id, _) = client.server_request("workspace/configuration");
            client.reply(&id, json!([null]));
        }
        Self { client, folder, documents: HashMap::new(), versions: 1 }
    }

    /// Returns the URI of a path in the folder.
    pub fn uri(&self, path: &str) -> String {
        format!("file://{}", self.folder.path().join(path).display())
    }

    /// Returns the path of a path in the folder.
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Opens a file as it is on disk.
    pub fn open(&mut self, path: &str) {
        let text = std::fs::read_to_string(self.path(path)).expect("the file is readable");
        self.open_with(path, &text);
    }

    /// Opens a file with a text.
    pub fn open_with(&mut self, path: &str, text: &str) {
        let language = if path.ends_with(".md") { "markdown" } else { "rust" };
        let item = json!({ "uri": self.uri(path), "languageId": language, "version": 1, "text": text });
        self.client.notify("textDocument/didOpen", json!({ "textDocument": item }));
        let document = Document { text: text.to_owned(), undo: Vec::new(), version: 1 };
        self.documents.insert(self.uri(path), document);
    }

    /// Closes a document without saving.
    pub fn close(&mut self, path: &str) {
        let uri = self.uri(path);
        self.documents.remove(&uri);
        self.client.notify("textDocument/didClose", json!({ "textDocument": { "uri": uri } }));
    }

    /// Returns the text of a document as the person sees it.
    pub fn text(&self, path: &str) -> &str {
        &self.documents[&self.uri(path)].text
    }

    /// Replaces the whole text by a change of the person's.
    pub fn replace(&mut self, path: &str, text: &str) {
        let uri = self.uri(path);
        self.edit(&uri, vec![json!({ "text": text })]);
    }

    /// Takes the last change back.
    pub fn undo(&mut self, path: &str) {
        let uri = self.uri(path);
        let text = self.documents.get_mut(&uri).and_then(|document| document.undo.pop()).expect("there is a change");
        self.edit(&uri, vec![json!({ "text": text })]);
        self.documents.get_mut(&uri).expect("open").undo.pop();
    }

    /// Saves a document.
    pub fn save(&mut self, path: &str) {
        std::fs::write(self.path(path), self.text(path)).expect("the file is writable");
        let uri = self.uri(path);
        self.client.notify("textDocument/didSave", json!({ "textDocument": { "uri": uri } }));
    }

    /// Makes the edits of a `WorkspaceEdit` in open documents, as an editor does: all versions must be the newest.
    #[track_caller]
    pub fn apply(&mut self, edit: &Value) {
        if let Some(changes) = edit["documentChanges"].as_array() {
            for change in changes {
                let uri = change["textDocument"]["uri"].as_str().expect("a URI").to_owned();
                assert_eq!(change["textDocument"]["version"], self.documents[&uri].version, "the edit is stale");
                self.apply_edits(&uri, change["edits"].as_array().expect("edits"));
            }
        }
        for (uri, edits) in edit["changes"].as_object().into_iter().flatten() {
            self.apply_edits(uri, edits.as_array().expect("edits"));
        }
    }

    /// Waits for `workspace/applyEdit`, makes the edit and says so; returns its label.
    #[track_caller]
    pub fn expect_edit(&mut self) -> String {
        let (id, params) = self.client.server_request("workspace/applyEdit");
        self.apply(&params["edit"]);
        self.client.reply(&id, json!({ "applied": true }));
        params["label"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the diagnostics of a document are wanted ones, and returns them.
    #[track_caller]
    pub fn diagnostics(&mut self, path: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let uri = self.uri(path);
        // In order and each once: what was published before something that was waited for is no answer.
        loop {
            let published =
                self.client.notification("textDocument/publishDiagnostics", |params| params["uri"] == uri.as_str());
            let diagnostics = published["diagnostics"].as_array().expect("a list");
            if wanted(diagnostics) {
                return diagnostics.clone();
            }
        }
    }

    /// Asks for the code actions at a line, as a person does.
    #[track_caller]
    pub fn actions(&mut self, path: &str, line: u32) -> Vec<Value> {
        self.actions_in(
            path,
            json!({ "start": { "line": line, "character": 0 }, "end": { "line": line, "character": 0 } }),
        )
    }

    /// Asks for the code actions of a range.
    #[track_caller]
    pub fn actions_in(&mut self, path: &str, range: Value) -> Vec<Value> {
        let context = json!({ "diagnostics": [], "triggerKind": 1 });
        let params = json!({ "textDocument": { "uri": self.uri(path) }, "range": range, "context": context });
        self.client.request("textDocument/codeAction", params).as_array().expect("a list").clone()
    }

    /// Finds the action whose title starts so.
    #[track_caller]
    pub fn action(&mut self, path: &str, line: u32, title: &str) -> Value {
        let actions = self.actions(path, line);
        let found = actions.iter().find(|action| action["title"].as_str().is_some_and(|text| text.starts_with(title)));
        found.unwrap_or_else(|| panic!("no action {title:?} in {actions:#?}")).clone()
    }

    /// Chooses an action: resolves it, makes its edit, and asks for its command, whose request id is returned.
    #[track_caller]
    pub fn choose(&mut self, action: &Value) -> Option<i64> {
        let mut action = action.clone();
        if action.get("data").is_some() && action.get("edit").is_none() {
            action = self.client.request("codeAction/resolve", action);
        }
        if let Some(edit) = action.get("edit") {
            self.apply(edit);
        }
        // A bare command has its name where an action has a command.
        let command = if action["command"].is_string() { &action } else { action.get("command")? };
        let params = json!({ "command": command["command"], "arguments": command["arguments"] });
        Some(self.client.send_request("workspace/executeCommand", params))
    }

    fn apply_edits(&mut self, uri: &str, edits: &[Value]) {
        // From the back, so that earlier places stay right.
        let changes = edits.iter().rev().map(|edit| json!({ "range": edit["range"], "text": edit["newText"] }));
        self.edit(uri, changes.collect());
    }

    fn edit(&mut self, uri: &str, changes: Vec<Value>) {
        self.versions += 1;
        let version = self.versions;
        let document = self.documents.get_mut(uri).expect("the document is open");
        document.undo.push(document.text.clone());
        document.version = version;
        for change in &changes {
            let new = change["text"].as_str().expect("a text");
            match change.get("range") {
                Some(range) => {
                    let (start, end) = (offset(&document.text, &range["start"]), offset(&document.text, &range["end"]));
                    document.text.replace_range(start..end, new);
                }
                None => document.text = new.to_owned(),
            }
        }
        let params = json!({ "textDocument": { "uri": uri, "version": version }, "contentChanges": changes });
        self.client.notify("textDocument/didChange", params);
    }
}

/// Counts by walking, independently of the server's own counting.
fn offset(text: &str, position: &Value) -> usize {
    let line = position["line"].as_u64().expect("a line") as usize;
    let mut units = position["character"].as_u64().expect("a character") as usize;
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let mut offset = start;
    for c in text[start..].chars() {
        if units == 0 || c == '\n' {
            break;
        }
        units = units.saturating_sub(c.len_utf16());
        offset += c.len_utf8();
    }
    offset
}
