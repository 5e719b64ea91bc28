//! The open documents: their newest text, what of it is saved, and the acceptances that undo can take back.

use super::placement::Placements;
use super::root::Queue;
use crate::domain::hunks::HunkId;
use crate::domain::task::TaskId;
use crate::lsp::convert::{Text, to_path};
use lsp_types::{DidChangeTextDocumentParams, DidOpenTextDocumentParams, Url};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The documents the client has open, by URI.
#[derive(Debug, Default)]
pub struct Documents {
    open: HashMap<Url, Document>,
}

/// One open document.
#[derive(Debug)]
pub struct Document {
    pub uri: Url,
    /// Absent for documents that are not files.
    pub path: Option<PathBuf>,
    pub language: String,
    pub version: i32,
    pub text: Text,
    /// The text at the last save; at the opening until there was one.
    saved: Fingerprint,
    now: Fingerprint,
    /// What the text says as a queue, once somebody asked.
    queue: OnceCell<Queue>,
    /// Where hunks stand in the text, as far as somebody asked.
    placements: Placements,
    /// What an acceptance in this document replaced, oldest first.
    accepted: Vec<Acceptance>,
}

/// A whole text, as short as it takes to recognise it.
pub type Fingerprint = [u8; 32];

/// One hunk that became accepted by a change of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acceptance {
    pub task: TaskId,
    pub hunk: HunkId,
    /// The text right before.
    before: Fingerprint,
    /// The document was saved with the acceptance in it.
    saved: bool,
}

/// What was accepted when the document had the text it has again now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undone {
    /// Taken back by undo.
    pub certain: Vec<(TaskId, HunkId)>,
    /// Saved since, so that the text may also have come from disk; undone unless disk has this text.
    pub unless_on_disk: Vec<(TaskId, HunkId)>,
}

impl Document {
    /// Tells whether the document has changes that are not saved.
    pub fn is_dirty(&self) -> bool {
        self.saved != self.now
    }

    /// Returns the fingerprint of the text.
    pub fn fingerprint(&self) -> Fingerprint {
        self.now
    }

    /// Notes that a change from the text `before` accepted the hunk.
    pub fn note_acceptance(&mut self, task: TaskId, hunk: HunkId, before: Fingerprint) {
        self.accepted.retain(|known| (&known.task, &known.hunk) != (&task, &hunk));
        self.accepted.push(Acceptance { task, hunk, before, saved: false });
    }

    /// Takes the acceptances that the text, which just changed to what it was before them, undoes.
    pub fn take_undone(&mut self) -> Undone {
        let mut undone = Undone::default();
        let Some(first) = self.accepted.iter().position(|acceptance| acceptance.before == self.now) else {
            return undone;
        };
        // A text from before an acceptance is from before all that came after it too.
        for acceptance in self.accepted.drain(first..) {
            let hunk = (acceptance.task, acceptance.hunk);
            let list = if acceptance.saved { &mut undone.unless_on_disk } else { &mut undone.certain };
            list.push(hunk);
        }
        undone
    }

    /// Returns what the text says as a queue; read at most once per text.
    pub fn queue(&self) -> &Queue {
        self.queue.get_or_init(|| Queue::new(self.text.clone()))
    }

    /// Returns where hunks stand in the text, as far as somebody asked.
    pub fn placements(&self) -> &Placements {
        &self.placements
    }

    fn set_text(&mut self, text: Text) {
        self.queue = OnceCell::new();
        self.placements = Placements::default();
        self.now = fingerprint(text.as_str());
        self.text = text;
    }
}

impl Documents {
    /// Opens a document; opening an open one replaces it.
    pub fn open(&mut self, params: DidOpenTextDocumentParams) -> Url {
        let item = params.text_document;
        let text = Text::new(item.text);
        let now = fingerprint(text.as_str());
        let document = Document {
            path: to_path(&item.uri),
            uri: item.uri.clone(),
            language: item.language_id,
            version: item.version,
            saved: now,
            now,
            text,
            queue: OnceCell::new(),
            placements: Placements::default(),
            accepted: Vec::new(),
        };
        self.open.insert(item.uri.clone(), document);
        item.uri
    }

    /// Applies changes in order, each to the result of the one before.
    pub fn change(&mut self, params: DidChangeTextDocumentParams) -> Option<&mut Document> {
        let document = self.open.get_mut(&params.text_document.uri)?;
        document.version = params.text_document.version;
        let mut text = document.text.clone();
        for change in &params.content_changes {
            text.apply(change);
        }
        document.set_text(text);
        Some(document)
    }

    /// Notes that the text is on disk.
    pub fn save(&mut self, uri: &Url) -> Option<&mut Document> {
        let document = self.open.get_mut(uri)?;
        document.saved = document.now;
        for acceptance in &mut document.accepted {
            acceptance.saved = true;
        }
        Some(document)
    }

    /// Notes what is on disk: a text the client restored unsaved is dirty from the start.
    pub fn note_disk(&mut self, uri: &Url, version: i32, disk: Option<&str>) {
        if let Some(document) = self.open.get_mut(uri)
            && document.version == version
            && let Some(disk) = disk
        {
            document.saved = fingerprint(disk.strip_prefix('\u{feff}').unwrap_or(disk));
            // A byte order mark is not part of the text an editor sends.
            if document.text.as_str() == disk {
                document.saved = document.now;
            }
        }
    }

    /// Closes a document.
    pub fn close(&mut self, uri: &Url) -> Option<Document> {
        self.open.remove(uri)
    }

    /// Returns a document.
    pub fn get(&self, uri: &Url) -> Option<&Document> {
        self.open.get(uri)
    }

    /// Returns a document to change.
    pub fn get_mut(&mut self, uri: &Url) -> Option<&mut Document> {
        self.open.get_mut(uri)
    }

    /// Returns the document of a path.
    pub fn at(&self, path: &Path) -> Option<&Document> {
        self.open.values().find(|document| document.path.as_deref() == Some(path))
    }

    /// Returns all documents, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Document> {
        self.open.values()
    }
}

/// Returns the fingerprint of a text.
pub fn fingerprint(text: &str) -> Fingerprint {
    *blake3::hash(text.as_bytes()).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn open(documents: &mut Documents, text: &str) -> Url {
        let item = json!({ "textDocument": { "uri": "file:///f", "languageId": "x", "version": 1, "text": text } });
        documents.open(serde_json::from_value(item).expect("parameters"))
    }

    fn replace(documents: &mut Documents, text: &str) {
        let params =
            json!({ "textDocument": { "uri": "file:///f", "version": 2 }, "contentChanges": [{ "text": text }] });
        documents.change(serde_json::from_value(params).expect("parameters"));
    }

    #[test]
    fn a_document_is_dirty_between_a_change_and_its_save_or_undo() {
        let mut documents = Documents::default();
        let uri = open(&mut documents, "a");
        let dirty = |documents: &Documents| documents.get(&uri).expect("open").is_dirty();
        assert!(!dirty(&documents));
        replace(&mut documents, "b");
        assert!(dirty(&documents));
        replace(&mut documents, "a");
        assert!(!dirty(&documents));
        replace(&mut documents, "b");
        documents.save(&uri);
        assert!(!dirty(&documents));
    }

    #[test]
    fn a_text_restored_unsaved_is_dirty_once_the_disk_was_read() {
        let mut documents = Documents::default();
        let uri = open(&mut documents, "a");
        for (disk, dirty) in [(Some("a"), false), (Some("\u{feff}a"), false), (None, false), (Some("b"), true)] {
            documents.note_disk(&uri, 1, disk);
            assert_eq!(documents.get(&uri).expect("open").is_dirty(), dirty, "{disk:?}");
        }
    }

    #[test]
    fn only_the_text_before_an_acceptance_takes_it_back() {
        let mut documents = Documents::default();
        let uri = open(&mut documents, "a");
        let accept = |documents: &mut Documents, text: &str, hunk: &str| {
            let before = documents.get(&uri).expect("open").fingerprint();
            replace(documents, text);
            let document = documents.get_mut(&uri).expect("open");
            document.note_acceptance(TaskId::from("t"), HunkId::from(hunk), before);
        };
        let undone = |documents: &mut Documents, text: &str| {
            replace(documents, text);
            documents.get_mut(&uri).expect("open").take_undone()
        };
        accept(&mut documents, "ab", "1");
        accept(&mut documents, "abc", "2");
        assert_eq!(undone(&mut documents, "x"), Undone::default());
        let hunk = |id: &str| vec![(TaskId::from("t"), HunkId::from(id))];
        assert_eq!(undone(&mut documents, "ab"), Undone { certain: hunk("2"), ..Undone::default() });
        documents.save(&uri);
        assert_eq!(undone(&mut documents, "a"), Undone { unless_on_disk: hunk("1"), ..Undone::default() });
        assert_eq!(undone(&mut documents, "a"), Undone::default());
        accept(&mut documents, "ab", "1");
        accept(&mut documents, "abc", "2");
        assert_eq!(undone(&mut documents, "a").certain.len(), 2, "all changes thrown away at once");
    }
}
