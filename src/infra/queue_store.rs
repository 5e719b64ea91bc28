//! `.ralph/queue.json` on disk: read as it is, edited minimally, replaced atomically, watched.

use super::durable::atomic_write;
use super::watch::FolderWatch;
use crate::domain::task::{Task, TaskId};
use crate::engine::ports::{PortError, PortResult, QueueEdit, QueueFile, QueueRead};
use crate::protocol::line_index::LineIndex;
use crate::protocol::queue_schema::TaskEntry;
use crate::protocol::queue_text::{
    EditError, QueueText, Severity, add_tasks, apply_edits, remove_field, remove_task, set_field, set_status,
};
use async_trait::async_trait;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use tokio::sync::mpsc;

/// The queue file of a checkout.
pub struct QueueStore {
    root: PathBuf,
    /// Held while the file is read, edited and replaced.
    writing: Mutex<()>,
}

impl QueueStore {
    /// Names the file of a checkout; reads nothing yet. For the engine alone, which is the only writer.
    pub fn new(root: &Path) -> Self {
        sweep_strays(&root.join(".ralph"));
        Self { root: root.to_path_buf(), writing: Mutex::new(()) }
    }

    fn path(&self) -> PathBuf {
        self.root.join(".ralph/queue.json")
    }

    fn read_text(&self) -> PortResult<Option<String>> {
        let path = self.path();
        match std::fs::read(&path) {
            Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| PortError {
                data: true,
                ..PortError::new(format!("read {}: it is not UTF-8", path.display())).with_hint("save it as UTF-8")
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PortError::new(format!("read {}: {error}", path.display()))),
        }
    }

    fn edit_blocking(&self, edits: &[QueueEdit]) -> PortResult<()> {
        let _one_writer = self.writing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let path = self.path();
        let before = self.read_text()?;
        let mut text = before.clone().unwrap_or_default();
        for edit in edits {
            text = apply(&text, edit).map_err(|error| PortError {
                data: true,
                ..PortError::new(format!("edit {}: {error}", path.display())).with_hint("mend the file and try again")
            })?;
        }
        if before.as_deref() == Some(text.as_str()) {
            return Ok(());
        }
        // Someone else may have saved meanwhile; theirs must not be lost.
        if self.read_text()? != before {
            return Err(PortError::new(format!("edit {}: it changed meanwhile", path.display())).with_hint("try again"));
        }
        let folder = self.root.join(".ralph");
        let written = std::fs::create_dir_all(&folder).and_then(|()| atomic_write(&path, text.as_bytes()));
        written
            .map_err(|error| PortError::new(format!("write {}: {error}", path.display())).with_hint(hint_for(&error)))
    }
}

/// Removes what a write that was killed left beside the queue; there is no other writer when a store is made.
fn sweep_strays(folder: &Path) {
    let stray = |name: &std::ffi::OsStr| {
        let name = name.to_string_lossy();
        name.starts_with(".queue.json.") && name.ends_with(".tmp")
    };
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten().filter(|entry| stray(&entry.file_name())) {
        let _ = std::fs::remove_file(entry.path());
    }
}

fn hint_for(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::StorageFull => "free some space; the file is as it was",
        std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied => {
            "make it writable; the file is as it was"
        }
        _ => "the file is as it was",
    }
}

fn apply(text: &str, edit: &QueueEdit) -> Result<String, EditError> {
    match edit {
        QueueEdit::SetStatus { task, status } => Ok(apply_edits(text, &set_status(text, &task.0, *status)?)),
        QueueEdit::Put { tasks, goals } => {
            let known = QueueText::parse(text);
            let there = |id: &TaskId| known.task(&id.0).is_some();
            let mut text = text.to_owned();
            for task in tasks.iter().filter(|task| there(&task.id)) {
                text = replace(&text, task)?;
            }
            let new: Vec<Task> = tasks.iter().filter(|task| !there(&task.id)).cloned().collect();
            let has_goal = |id: &str| known.goals.iter().any(|goal| goal.id.as_deref() == Some(id));
            let goals: Vec<_> = goals.iter().filter(|goal| !has_goal(&goal.id)).cloned().collect();
            if new.is_empty() && goals.is_empty() {
                return Ok(text);
            }
            let edits = add_tasks(&text, &new, &goals)?;
            Ok(apply_edits(&text, &edits))
        }
        QueueEdit::Remove { tasks } => {
            let mut text = text.to_owned();
            for task in tasks {
                text = apply_edits(&text, &remove_task(&text, &task.0)?);
            }
            Ok(text)
        }
    }
}

/// Makes the task's fields those of `task`; fields the schema does not know stay.
fn replace(text: &str, task: &Task) -> Result<String, EditError> {
    let wanted = serde_json::to_value(TaskEntry::from_domain(task)).unwrap_or_default();
    let wanted = wanted.as_object().cloned().unwrap_or_default();
    let everything = serde_json::to_value(TaskEntry::from_domain(&full(task))).unwrap_or_default();
    let mut text = text.to_owned();
    for field in everything.as_object().into_iter().flat_map(|fields| fields.keys()) {
        let present = QueueText::parse(&text).task(&task.id.0).is_some_and(|span| span.field(field).is_some());
        if present && !wanted.contains_key(field) {
            text = apply_edits(&text, &remove_field(&text, &task.id.0, field)?);
        }
    }
    for (field, value) in wanted.iter().filter(|(field, _)| *field != "id") {
        text = apply_edits(&text, &set_field(&text, &task.id.0, field, value)?);
    }
    Ok(text)
}

/// Returns the task with every optional field filled, to learn the names of all fields.
fn full(task: &Task) -> Task {
    let word = || Some("x".to_owned());
    Task {
        depends_on: vec![task.id.clone()],
        goal: word(),
        acceptance: vec![String::new()],
        verify: vec![crate::domain::task::VerifyCommand { run: String::new(), cwd: None }],
        files: vec![String::new()],
        context: vec![Default::default()],
        agent: word(),
        limits: crate::domain::task::Limits { attempts: Some(1), ..Default::default() },
        notes: word(),
        origin: word(),
        created_at: word(),
        description: "x".to_owned(),
        ..task.clone()
    }
}

/// Turns the text into what the engine works with.
pub fn understand(text: &str) -> QueueRead {
    let parsed = QueueText::parse(text);
    let lines = LineIndex::new(text);
    let words = |problem: &crate::protocol::queue_text::Problem| {
        let at = lines.position(problem.range.start);
        format!("line {}, column {}: {}", at.line + 1, at.character + 1, problem.message)
    };
    if !parsed.valid {
        let first = parsed.problems.iter().find(|problem| problem.severity == Severity::Error);
        return QueueRead::Broken { problem: first.map_or("it has no tasks".to_owned(), words) };
    }
    QueueRead::Good {
        tasks: parsed.usable_tasks().cloned().collect(),
        goals: parsed.usable_goals().cloned().collect(),
        warnings: parsed.problems.iter().map(words).collect(),
    }
}

#[async_trait]
impl QueueFile for QueueStore {
    async fn read(&self) -> PortResult<QueueRead> {
        match self.read_text() {
            Ok(None) => Ok(QueueRead::Missing),
            Ok(Some(text)) => Ok(understand(&text)),
            Err(error) if error.data => Ok(QueueRead::Broken { problem: error.message }),
            Err(error) => Err(error),
        }
    }

    async fn edit(&self, edits: Vec<QueueEdit>) -> PortResult<()> {
        tokio::task::block_in_place(|| self.edit_blocking(&edits))
    }

    fn watch(&self, changed: mpsc::UnboundedSender<()>) {
        let (root, folder) = (self.root.clone(), self.root.join(".ralph"));
        tokio::spawn(async move {
            while !changed.is_closed() {
                let exists = folder.is_dir();
                let watch = FolderWatch::new(if exists { &folder } else { &root });
                // Something may have happened before the watch was there.
                if changed.send(()).is_err() {
                    return;
                }
                loop {
                    tokio::select! {
                        () = watch.changed() => {}
                        () = changed.closed() => return,
                    }
                    if changed.send(()).is_err() {
                        return;
                    }
                    if folder.is_dir() != exists {
                        break;
                    }
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::task::Status;

    fn put(id: &str, title: &str) -> QueueEdit {
        QueueEdit::Put { tasks: vec![Task::new(id, title)], goals: Vec::new() }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn tasks_are_added_replaced_and_removed_in_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = QueueStore::new(folder.path());
        assert_eq!(store.read().await.expect("reads"), QueueRead::Missing);
        store.edit(vec![put("a", "First"), put("b", "Second")]).await.expect("edits");
        let path = folder.path().join(".ralph/queue.json");
        let text = std::fs::read_to_string(&path).expect("is there");
        let marked = text.replacen("\"title\": \"First\"", "\"mine\": 1, \"title\": \"First\"", 1);
        std::fs::write(&path, &marked).expect("writes");
        let status = QueueEdit::SetStatus { task: TaskId::from("b"), status: Status::Todo };
        store.edit(vec![put("a", "Other"), status]).await.expect("edits");
        let after = std::fs::read_to_string(&path).expect("is there");
        assert!(after.contains("\"mine\": 1"), "an unknown field went: {after}");
        let QueueRead::Good { tasks, .. } = store.read().await.expect("reads") else { panic!("{after}") };
        assert_eq!(tasks.iter().map(|task| task.title.as_str()).collect::<Vec<_>>(), ["Other", "Second"]);
        assert_eq!(tasks[1].status, Status::Todo);
        store.edit(vec![QueueEdit::Remove { tasks: vec![TaskId::from("a")] }]).await.expect("edits");
        let QueueRead::Good { tasks, .. } = store.read().await.expect("reads") else { panic!() };
        assert_eq!(tasks.len(), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_broken_file_is_named_and_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = QueueStore::new(folder.path());
        std::fs::create_dir(folder.path().join(".ralph")).expect("makes");
        let path = folder.path().join(".ralph/queue.json");
        for broken in ["{\"tasks\": [", "{\"version\": 99, \"tasks\": []}"] {
            std::fs::write(&path, broken).expect("writes");
            let QueueRead::Broken { problem } = store.read().await.expect("reads") else { panic!("{broken}") };
            assert!(problem.contains("line 1"), "{problem}");
            let error = store.edit(vec![put("a", "A")]).await.expect_err("refuses");
            assert!(error.data, "{}", error.message);
            assert_eq!(std::fs::read_to_string(&path).expect("is there"), broken);
        }
    }
}
