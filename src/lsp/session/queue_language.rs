//! The queue file as a language: lenses with the live state, completion, definition, symbols.

use super::Session;
use super::actions::{overlap, to_command};
use super::root::{QUEUE_PATH, Queue, Root};
use crate::domain::queue::LiveState;
use crate::domain::task::{Priority, Status, TaskId};
use crate::lsp::convert::to_path;
use crate::protocol::editor::Command;
use crate::protocol::engine_api::TaskView;
use crate::protocol::queue_text::{CompletionContext, TaskSpan, completion_at};
use lsp_types::{
    CodeLens, CompletionItem, CompletionItemKind, CompletionResponse, CompletionTextEdit, DocumentSymbol,
    DocumentSymbolResponse, GotoDefinitionResponse, InsertTextFormat, Location, LocationLink, Position, Range,
    SymbolInformation, SymbolKind, TextDocumentPositionParams, TextEdit, Url,
};
use serde_json::json;
use std::collections::HashMap;

/// The keys of a task, with the value a completion starts with.
const KEYS: [(&str, &str); 15] = [
    ("id", "\"$1\""),
    ("title", "\"$1\""),
    ("description", "\"$1\""),
    ("status", "\"$1\""),
    ("priority", "\"$1\""),
    ("depends_on", "[$1]"),
    ("goal", "\"$1\""),
    ("acceptance", "[$1]"),
    ("verify", "[$1]"),
    ("files", "[$1]"),
    ("context", "[$1]"),
    ("agent", "\"$1\""),
    ("limits", "{$1}"),
    ("notes", "\"$1\""),
    ("origin", "\"$1\""),
];

impl Session {
    /// Returns the open queue a document is, with the root it belongs to when that is known.
    fn queue(&self, uri: &Url) -> Option<(&Queue, Option<&Root>)> {
        if !to_path(uri)?.ends_with(QUEUE_PATH) {
            return None;
        }
        let document = self.documents.get(uri)?;
        let root = self.rooted(uri).map(|(index, _)| &self.roots[index]);
        Some((document.queue(), root.filter(|root| Some(root.queue_path()) == to_path(uri))))
    }

    /// Returns the tasks whose text a range touches.
    pub(super) fn tasks_at(&self, root: &Root, uri: &Url, range: Range) -> Vec<TaskId> {
        let Some((queue, _)) = self.queue(uri) else { return Vec::new() };
        let touched = queue.parsed.tasks.iter().filter(|task| overlap(queue.text.range(task.range.clone()), range));
        let ids = touched.filter_map(|task| task.id.clone()).map(TaskId);
        ids.filter(|task| root.snapshot.task(task).is_some()).collect()
    }

    pub(super) fn code_lenses(&self, uri: &Url) -> Vec<CodeLens> {
        let Some((queue, Some(root))) = self.queue(uri) else { return Vec::new() };
        let mut lenses = self.loop_lenses(root);
        let views = views(root);
        for span in &queue.parsed.tasks {
            let Some(view) = span.id.as_ref().and_then(|id| views.get(id.as_str())) else { continue };
            let range = lens_range(queue, span);
            let mut lens = |title: String, command: Command, argument: serde_json::Value| {
                let command = Some(to_command(title, command, argument));
                lenses.push(CodeLens { range, command, data: None });
            };
            lens(state_title(view), Command::Status, json!({ "root": root.uri() }));
            for (title, command, argument) in self.task_commands(root, view) {
                lens(title.to_owned(), command, argument);
            }
        }
        lenses
    }

    /// Returns the lenses above the file, about the loop as a whole.
    fn loop_lenses(&self, root: &Root) -> Vec<CodeLens> {
        if !root.is_ready {
            return Vec::new();
        }
        let count = |state: LiveState| root.snapshot.tasks.iter().filter(|view| view.state == state).count();
        let mut lenses = Vec::new();
        let mut lens = |title: String, command: Command| {
            let command = Some(to_command(title, command, json!({ "root": root.uri() })));
            lenses.push(CodeLens { range: Range::default(), command, data: None });
        };
        match &root.snapshot.run {
            Some(run) if run.paused => {
                lens("Paused".to_owned(), Command::Status);
                lens("Resume".to_owned(), Command::Resume);
                lens("Stop".to_owned(), Command::Stop);
            }
            Some(run) if run.waiting_why.is_some() => {
                let why = run.waiting_why.as_deref().unwrap_or_default();
                lens(format!("The run {why}"), Command::Status);
                lens("Retry now".to_owned(), Command::Resume);
                lens("Stop".to_owned(), Command::Stop);
            }
            Some(run) => {
                let task = run.task.as_ref().map(|task| format!(": {task}")).unwrap_or_default();
                lens(format!("Running{task}"), Command::Status);
                lens("Pause".to_owned(), Command::Pause);
                lens("Stop".to_owned(), Command::Stop);
            }
            None if count(LiveState::Ready) > 0 => {
                lens(format!("Start the loop ({} ready)", count(LiveState::Ready)), Command::Start);
            }
            None => {}
        }
        match count(LiveState::Draft) {
            0 => {}
            drafts => lens(format!("Approve all drafts ({drafts})"), Command::Approve),
        }
        match root.snapshot.decisions.len() {
            0 => {}
            questions => lens(format!("Answer the oldest question ({questions} open)"), Command::Answer),
        }
        lenses
    }

    pub(super) fn completion(&self, params: &TextDocumentPositionParams) -> Option<CompletionResponse> {
        let (queue, root) = self.queue(&params.text_document.uri)?;
        let text = &queue.text;
        let completion = completion_at(text.as_str(), text.offset(params.position));
        let range = text.range(completion.replace);
        let item = |label: &str, kind: CompletionItemKind, detail: Option<String>, new_text: String, snippet: bool| {
            let format = if snippet { InsertTextFormat::SNIPPET } else { InsertTextFormat::PLAIN_TEXT };
            CompletionItem {
                label: label.to_owned(),
                kind: Some(kind),
                detail,
                // Clients filter by what is typed already, which is the quoted word.
                filter_text: Some(new_text.split(':').next().unwrap_or_default().to_owned()),
                text_edit: Some(CompletionTextEdit::Edit(TextEdit { range, new_text })),
                insert_text_format: Some(format),
                ..CompletionItem::default()
            }
        };
        let word = |word: &str, kind, detail| item(word, kind, detail, json!(word).to_string(), false);
        let items: Vec<CompletionItem> = match completion.context {
            CompletionContext::InStatus => {
                Status::ALL.iter().map(|status| word(status.as_str(), CompletionItemKind::ENUM_MEMBER, None)).collect()
            }
            CompletionContext::InPriority => {
                let words = Priority::ALL.iter().map(|priority| priority.as_str());
                words.map(|priority| word(priority, CompletionItemKind::ENUM_MEMBER, None)).collect()
            }
            CompletionContext::InDependsOn { existing, own_id } => {
                let ids = queue.parsed.tasks.iter().filter_map(|task| Some((task.id.as_ref()?, task)));
                let fits = ids.filter(|(id, _)| !existing.contains(id) && own_id.as_ref() != Some(*id));
                let title = |task: &TaskSpan| task.task.as_ref().map(|task| task.title.clone());
                fits.map(|(id, task)| word(id, CompletionItemKind::REFERENCE, title(task))).collect()
            }
            CompletionContext::InAgent => {
                let agents = root.map(|root| root.snapshot.agents.as_slice()).unwrap_or_default();
                agents.iter().map(|agent| word(agent, CompletionItemKind::VALUE, None)).collect()
            }
            CompletionContext::InGoal => {
                let goals = queue.parsed.goals.iter().filter_map(|goal| Some((goal.id.as_ref()?, goal)));
                let said = goals.map(|(id, goal)| (id, goal.goal.as_ref().map(|goal| goal.text.clone())));
                said.map(|(id, text)| word(id, CompletionItemKind::REFERENCE, text)).collect()
            }
            CompletionContext::InTaskKey { present } => {
                let missing = KEYS.iter().filter(|(key, _)| !present.iter().any(|have| have == key));
                let field = |(key, value): &(&str, &str)| {
                    let snippet = self.client.snippets;
                    let value = if snippet { (*value).to_owned() } else { value.replace("$1", "") };
                    item(key, CompletionItemKind::FIELD, None, format!("\"{key}\": {value}"), snippet)
                };
                missing.map(field).collect()
            }
            CompletionContext::None => return None,
        };
        Some(CompletionResponse::Array(items))
    }

    pub(super) fn definition(&self, params: &TextDocumentPositionParams) -> Option<GotoDefinitionResponse> {
        let uri = &params.text_document.uri;
        let (queue, _) = self.queue(uri)?;
        let (_, id, origin) = queue.parsed.dependency_at(queue.text.offset(params.position))?;
        let target = queue.parsed.task(id)?;
        let selection = queue.text.range(target.label_range());
        if !self.client.definition_links {
            let location = Location { uri: uri.clone(), range: selection };
            return Some(GotoDefinitionResponse::Scalar(location));
        }
        Some(GotoDefinitionResponse::Link(vec![LocationLink {
            origin_selection_range: Some(queue.text.range(origin)),
            target_uri: uri.clone(),
            target_range: queue.text.range(target.range.clone()),
            target_selection_range: selection,
        }]))
    }

    pub(super) fn symbols(&self, uri: &Url) -> Option<DocumentSymbolResponse> {
        let (queue, root) = self.queue(uri)?;
        let views = root.map(views).unwrap_or_default();
        let describe = |task: &TaskSpan| {
            let id = task.id.clone().unwrap_or_else(|| "(no id)".to_owned());
            let state = views.get(id.as_str()).map(|view| view.state.as_str());
            let status = state.or_else(|| task.task.as_ref().map(|task| task.status.as_str()));
            let title = task.task.as_ref().map(|task| task.title.clone()).unwrap_or_default();
            (id, format!("{} {title}", status.unwrap_or("broken")))
        };
        let tasks = queue.parsed.tasks.iter();
        if !self.client.nested_symbols {
            let flat = tasks.map(|task| {
                let (id, _) = describe(task);
                let location = Location { uri: uri.clone(), range: queue.text.range(task.range.clone()) };
                symbol_information(id, location)
            });
            return Some(DocumentSymbolResponse::Flat(flat.collect()));
        }
        let nested = tasks.map(|task| {
            let (name, detail) = describe(task);
            let range = queue.text.range(task.range.clone());
            document_symbol(name, detail, range, queue.text.range(task.label_range()))
        });
        Some(DocumentSymbolResponse::Nested(nested.collect()))
    }
}

/// Returns the tasks by id: looking each up in a long queue would take time by its square.
fn views(root: &Root) -> HashMap<&str, &TaskView> {
    root.snapshot.tasks.iter().map(|view| (view.task.id.0.as_str(), view)).collect()
}

/// Returns the live state as the title of a lens.
fn state_title(view: &TaskView) -> String {
    match view.state {
        LiveState::Draft | LiveState::Done | LiveState::Dropped | LiveState::Ready => view.state.as_str().to_owned(),
        _ => format!("{}: {}", view.state.as_str(), super::actions::short(&view.why)),
    }
}

fn lens_range(queue: &Queue, span: &TaskSpan) -> Range {
    let start = queue.text.position(span.range.start);
    Range::new(start, Position::new(start.line, start.character + 1))
}

#[expect(deprecated, reason = "the type has no constructor, and its deprecated field no default")]
fn symbol_information(name: String, location: Location) -> SymbolInformation {
    SymbolInformation { name, kind: SymbolKind::OBJECT, tags: None, deprecated: None, location, container_name: None }
}

#[expect(deprecated, reason = "the type has no constructor, and its deprecated field no default")]
fn document_symbol(name: String, detail: String, range: Range, selection_range: Range) -> DocumentSymbol {
    DocumentSymbol {
        name,
        detail: Some(detail),
        kind: SymbolKind::OBJECT,
        tags: None,
        deprecated: None,
        range,
        selection_range,
        children: None,
    }
}
