//! The code actions of plan mode: from a selection, a diagnostic, a TODO, or a typed goal.

use super::Session;
use super::actions::{Offer, short};
use super::diagnostics::SOURCE;
use super::root::Root;
use crate::domain::task::Task;
use crate::lsp::convert::Text;
use crate::protocol::editor::{Command, PlanParams, PlanPlace, TodoPlace};
use crate::protocol::todos::{Todo, can_scan, scan_todos, todo_tasks};
use lsp_types::{CodeActionParams, Diagnostic, NumberOrString, Range, Url};
use serde_json::json;

/// Languages whose text says what is wanted, rather than being what is worked on.
const PROSE: [&str; 7] = ["markdown", "plaintext", "text", "asciidoc", "restructuredtext", "org", "gitcommit"];

/// Words that mark something left to do in a comment.
const MARKERS: [&str; 4] = ["TODO", "FIXME", "HACK", "XXX"];

/// More fixes than this at one place are noise.
const MAX_FIXES: usize = 3;

impl Session {
    pub(super) fn plan_actions(
        &self,
        root: &Root,
        uri: &Url,
        path: &str,
        params: &CodeActionParams,
        invoked: bool,
        offer: &mut Offer,
    ) {
        let Some(document) = self.documents.get(uri) else { return };
        let text = &document.text;
        if params.range.start != params.range.end {
            let selected = text.as_str()[text.bytes(params.range)].to_owned();
            if !selected.trim().is_empty() {
                let goal = if PROSE.contains(&document.language.as_str()) {
                    selected.trim().to_owned()
                } else {
                    format!("Plan what the selected lines of {path} need")
                };
                self.offer_plan(
                    root,
                    "Plan from selection".to_owned(),
                    goal,
                    place(uri, text, params.range, selected),
                    offer,
                );
            }
        }
        if !invoked {
            return;
        }
        let foreign = |diagnostic: &&Diagnostic| diagnostic.source.as_deref() != Some(SOURCE);
        for diagnostic in params.context.diagnostics.iter().filter(foreign).take(MAX_FIXES) {
            let goal = format!("Fix this problem in {path}: {}", named(diagnostic));
            let lines = whole_lines(text, diagnostic.range);
            let title = format!("Plan a fix for this diagnostic: {}", short(&diagnostic.message));
            self.offer_plan(root, title, goal, place(uri, text, diagnostic.range, lines), offer);
        }
        if let Some(todo) = todo_at(path, text.as_str(), params.range) {
            let title = format!("Plan this TODO: {}", short(&todo.text));
            let place = TodoPlace { uri: uri.to_string(), line: todo.line.saturating_sub(1) };
            let params = PlanParams { root: Some(root.uri()), todo: Some(place), ..PlanParams::default() };
            offer.other(title, Command::Plan, json!(params));
        }
        // Where the language is not known, a marker counts as a comment and an agent reads what it is about.
        let lines = if can_scan(path) { 0 } else { (params.range.end.line - params.range.start.line).min(50) + 1 };
        for line in params.range.start.line..params.range.start.line + lines {
            let range = super::review::lines(text, line, line + 1);
            let content = &text.as_str()[text.bytes(range)];
            if let Some(todo) = todo(content) {
                let title = format!("Plan this TODO: {}", short(todo));
                let goal = format!("Do what this comment in {path} says: {todo}");
                let around = super::review::lines(text, line.saturating_sub(3), line + 8);
                self.offer_plan(root, title, goal, place(uri, text, around, whole_lines(text, around)), offer);
                break;
            }
        }
        // Also where the editor cannot ask for a line of text: then it says how else to give the goal.
        offer.other("Plan a goal…".to_owned(), Command::Plan, json!({ "root": root.uri() }));
    }

    fn offer_plan(&self, root: &Root, title: String, goal: String, place: PlanPlace, offer: &mut Offer) {
        let params =
            PlanParams { root: Some(root.uri()), goal: Some(goal), context: vec![place], ..PlanParams::default() };
        offer.other(title, Command::Plan, json!(params));
    }
}

/// Returns the first TODO comment that the range touches.
fn todo_at(path: &str, text: &str, range: Range) -> Option<Todo> {
    let touches = |todo: &Todo| todo.line <= range.end.line + 1 && range.start.line < todo.end_line;
    scan_todos(path, text).into_iter().find(touches)
}

/// Makes the draft of the TODO comment at a place, or says which task it is already.
pub fn todo_task(path: &str, text: &str, line: u32, existing: &[Task]) -> Result<Task, String> {
    let todos = scan_todos(path, text);
    let index = todos.iter().position(|todo| todo.line <= line + 1 && line < todo.end_line);
    let index = index.ok_or_else(|| format!("there is no TODO comment at line {} of {path}", line + 1))?;
    // All notes of the file are counted, because equal ones are told apart by their number.
    let origin = todo_tasks(&todos, &[]).get(index).and_then(|task| task.origin.clone());
    if let Some(known) = existing.iter().find(|task| task.origin == origin) {
        return Err(format!("it is planned already, as `{}`", known.id));
    }
    let made = todo_tasks(&todos, existing).into_iter().find(|task| task.origin == origin);
    made.ok_or_else(|| format!("the TODO comment at line {} of {path} cannot be planned", line + 1))
}

/// Returns what a comment marker is followed by, together with the marker.
fn todo(line: &str) -> Option<&str> {
    let starts = MARKERS.iter().filter_map(|marker| {
        let at = line.find(marker)?;
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let whole = !line[..at].ends_with(is_word) && !line[at + marker.len()..].starts_with(is_word);
        whole.then_some(at)
    });
    starts.min().map(|at| line[at..].trim_end().trim_end_matches("*/").trim_end_matches("-->").trim_end())
}

fn place(uri: &Url, text: &Text, range: Range, content: String) -> PlanPlace {
    // A selection of whole lines ends at the start of the next one.
    let end =
        if range.end.character == 0 && range.end.line > range.start.line { range.end.line - 1 } else { range.end.line };
    let last = text.position(text.as_str().len()).line;
    PlanPlace {
        uri: Some(uri.to_string()),
        start_line: range.start.line.min(last),
        end_line: end.min(last),
        text: content,
    }
}

fn whole_lines(text: &Text, range: Range) -> String {
    let range = super::review::lines(text, range.start.line, range.end.line + 1);
    text.as_str()[text.bytes(range)].to_owned()
}

fn named(diagnostic: &Diagnostic) -> String {
    let code = match &diagnostic.code {
        Some(NumberOrString::String(code)) => format!(" [{code}]"),
        Some(NumberOrString::Number(code)) => format!(" [{code}]"),
        None => String::new(),
    };
    let source = diagnostic.source.as_ref().map(|source| format!("{source}: ")).unwrap_or_default();
    format!("{source}{}{code}", diagnostic.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_planned_once_wherever_it_moves() {
        let text = "// TODO: one\nfn a() {}\n// TODO: two\n// and more\nfn b() {}\n";
        let task = todo_task("a.rs", text, 3, &[]).expect("a note");
        assert!(task.title.contains("two and more"), "{task:?}");
        let moved = format!("\n\n{text}");
        let error = todo_task("a.rs", &moved, 4, std::slice::from_ref(&task)).expect_err("planned already");
        assert!(error.contains(&task.id.0), "{error}");
        assert!(todo_task("a.rs", &moved, 2, &[task]).is_ok());
        assert!(todo_task("a.rs", text, 1, &[]).is_err());
    }

    #[test]
    fn markers_are_whole_words() {
        let cases = [
            ("    // TODO: split this", Some("TODO: split this")),
            ("/* FIXME(a) later */", Some("FIXME(a) later")),
            ("let todo = TODOS;", None),
            ("x_TODO", None),
            ("plain", None),
            ("<!-- XXX and TODO -->", Some("XXX and TODO")),
        ];
        for (line, expected) in cases {
            assert_eq!(todo(line), expected, "{line}");
        }
    }
}
