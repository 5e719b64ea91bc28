//! Code actions: what can be done about what is at a place.
//!
//! Actions find their subject from document and range, never from what a diagnostic carried: not every client sends that
//! back. An edit is computed when the action is chosen, against the newest text.

use super::Session;
use super::diagnostics::{placeless_hunks, whole_file_hunks};
use super::review::{Placed, accept, describe, place, place_rejected};
use super::root::{QUEUE_PATH, Root};
use crate::domain::decision::Decision;
use crate::domain::event::Mark;
use crate::domain::queue::LiveState;
use crate::domain::review::HunkState;
use crate::domain::task::TaskId;
use crate::lsp::message::failed;
use crate::protocol::editor::{AcceptParams, Command};
use crate::protocol::engine_api::TaskView;
use lsp_types::{
    CodeAction, CodeActionKind, CodeActionOrCommand, CodeActionParams, CodeActionResponse, CodeActionTriggerKind,
    DocumentChanges, OneOf, OptionalVersionedTextDocumentIdentifier, Range, TextDocumentEdit, TextEdit, Url,
    WorkspaceEdit,
};
use serde_json::{Value, json};
use std::collections::HashMap;
use tower_lsp::jsonrpc::{Error, ErrorCode};

/// Kind of the actions that are not about something that needs the person.
const OTHER: CodeActionKind = CodeActionKind::new("refactor.ralph");

/// What is offered at one place.
pub struct Offer {
    literals: bool,
    resolves: bool,
    only: Option<Vec<CodeActionKind>>,
    actions: CodeActionResponse,
}

impl Offer {
    /// Offers a command as a fix of what a diagnostic shows.
    pub fn fix(&mut self, title: String, command: Command, argument: Value) {
        self.push(title, CodeActionKind::QUICKFIX, command, argument);
    }

    /// Offers a command that nothing asked for.
    pub fn other(&mut self, title: String, command: Command, argument: Value) {
        self.push(title, OTHER, command, argument);
    }

    fn push(&mut self, title: String, kind: CodeActionKind, command: Command, argument: Value) {
        if !self.wants(&kind) {
            return;
        }
        let command = to_command(title.clone(), command, argument);
        self.actions.push(if self.literals {
            let action = CodeAction { title, kind: Some(kind), command: Some(command), ..CodeAction::default() };
            CodeActionOrCommand::CodeAction(action)
        } else {
            CodeActionOrCommand::Command(command)
        });
    }

    /// Offers to accept hunks of one open document: as an edit where the client can wait for it, else as a command.
    fn accept(&mut self, title: String, params: &AcceptParams) {
        let argument = json!(params);
        if !self.resolves {
            return self.fix(title, Command::Accept, argument);
        }
        if self.wants(&CodeActionKind::QUICKFIX) {
            let data = Some(json!({ "accept": argument }));
            let kind = Some(CodeActionKind::QUICKFIX);
            self.actions.push(CodeActionOrCommand::CodeAction(CodeAction {
                title,
                kind,
                data,
                ..CodeAction::default()
            }));
        }
    }

    fn wants(&self, kind: &CodeActionKind) -> bool {
        let Some(only) = &self.only else { return true };
        let inside = |wanted: &CodeActionKind| {
            let rest = kind.as_str().strip_prefix(wanted.as_str());
            wanted.as_str().is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        only.iter().any(inside)
    }
}

impl Session {
    pub(super) fn code_actions(&self, params: &CodeActionParams) -> CodeActionResponse {
        let uri = &params.text_document.uri;
        let Some((index, _)) = self.rooted(uri) else { return Vec::new() };
        let root = &self.roots[index];
        let client = &self.client;
        let mut offer = Offer {
            literals: client.code_action_literals,
            resolves: client.code_action_literals && client.code_action_resolve && client.code_action_data,
            only: params.context.only.clone(),
            actions: Vec::new(),
        };
        let Some(path) = root.relative_uri(uri) else { return Vec::new() };
        // A client that does not say why it asks was asked by the person.
        let invoked = params.context.trigger_kind != Some(CodeActionTriggerKind::AUTOMATIC);
        self.review_actions(root, uri, &path, params.range, &mut offer);
        let mut asked = Vec::new();
        for decision in &root.snapshot.decisions {
            if decision.evidence.file.as_deref() == Some(path.as_str()) && is_at(decision, params.range) {
                self.decision_actions(root, decision, &mut offer);
                asked.push(&decision.id);
            }
        }
        if path == QUEUE_PATH {
            for task in self.tasks_at(root, uri, params.range) {
                let open = root.snapshot.decisions.iter().filter(|decision| decision.task.as_ref() == Some(&task));
                for decision in open {
                    self.decision_actions(root, decision, &mut offer);
                    asked.push(&decision.id);
                }
                self.task_actions(root, &task, &mut offer);
            }
            self.queue_actions(root, &mut offer);
        }
        let selected = params.range.start != params.range.end;
        if invoked || selected {
            self.plan_actions(root, uri, &path, params, invoked, &mut offer);
        }
        if let Some(oldest) = root.snapshot.decisions.first().filter(|oldest| invoked && !asked.contains(&&oldest.id)) {
            let title = format!("Answer the oldest question: {}", short(&oldest.question));
            offer.other(title, Command::Answer, json!({ "root": root.uri(), "decision": oldest.id }));
        }
        offer.actions
    }

    fn review_actions(&self, root: &Root, uri: &Url, path: &str, range: Range, offer: &mut Offer) {
        let placed = self.documents.get(uri).map(|document| (place(root, document), &document.text));
        let open: Vec<&Placed<'_>> =
            placed.iter().flat_map(|(placed, _)| placed).filter(|placed| placed.is_open()).collect();
        let text = placed.as_ref().map(|(_, text)| *text);
        let here = open.iter().filter(|placed| text.is_some_and(|text| overlap(placed.range(text), range)));
        let mut tasks: Vec<TaskId> = Vec::new();
        for placed in here {
            let params = accept_params(root, placed.task, &[&placed.hunk.id.0], Some(uri));
            if let Some(first) = placed.waits_for {
                let argument = json!({ "root": root.uri(), "task": first, "show": true });
                offer.fix(format!("Review `{first}` first"), Command::Proposal, argument);
            } else if placed.mapped.state == HunkState::Pending {
                offer.accept(format!("Accept this change (`{}`)", placed.task), &params);
            } else {
                let argument = json!({ "root": root.uri(), "task": placed.task, "rebase": true });
                offer.fix(format!("Ask the agent to rebase `{}`", placed.task), Command::SendBack, argument);
            }
            self.reject_action(root, placed.task, &placed.hunk.id.0, offer);
            self.comment_action(root, placed.task, Some(&placed.hunk.id.0), offer);
            note(&mut tasks, placed.task);
        }
        let rejected = self.documents.get(uri).map(|document| place_rejected(root, document)).unwrap_or_default();
        for placed in rejected.iter().filter(|placed| text.is_some_and(|text| overlap(placed.range(text), range))) {
            let argument = json!({ "root": root.uri(), "task": placed.task, "hunks": [placed.hunk.id], "undo": true });
            let title = format!("Undo reject (`{}` {})", placed.task, describe(placed.hunk));
            offer.other(title, Command::Reject, argument);
            self.comment_action(root, placed.task, Some(&placed.hunk.id.0), offer);
        }
        // What is accepted stays so; what is said about it goes with the next send back.
        let accepted = placed.iter().flat_map(|(placed, _)| placed).filter(|placed| *placed.mark == Mark::Accepted);
        for placed in accepted.filter(|placed| text.is_some_and(|text| overlap(placed.range(text), range))) {
            self.comment_action(root, placed.task, Some(&placed.hunk.id.0), offer);
        }
        if range.start.line == 0 {
            for (task, hunk) in whole_file_hunks(root, path) {
                self.whole_file_actions(root, task, hunk, offer);
                note(&mut tasks, task);
            }
        }
        for task in &tasks {
            let mine = |placed: &&&Placed<'_>| placed.task == task && placed.mapped.state == HunkState::Pending;
            if open.iter().filter(mine).count() > 1 {
                let title = format!("Accept all in this file (`{task}`)");
                offer.accept(title, &accept_params(root, task, &[], Some(uri)));
            }
            let title = format!("Accept all of task `{task}`");
            offer.fix(title, Command::Accept, json!(accept_params(root, task, &[], None)));
        }
    }

    fn reject_action(&self, root: &Root, task: &TaskId, hunk: &str, offer: &mut Offer) {
        let dots = if self.client.input { "…" } else { "" };
        let argument = json!({ "root": root.uri(), "task": task, "hunks": [hunk], "askWhy": self.client.input });
        offer.fix(format!("Reject this change{dots} (`{task}`)"), Command::Reject, argument);
    }

    fn comment_action(&self, root: &Root, task: &TaskId, hunk: Option<&str>, offer: &mut Offer) {
        if self.client.input {
            let about = if hunk.is_some() { "this change" } else { "the proposal" };
            let argument = json!({ "root": root.uri(), "task": task, "hunk": hunk });
            offer.other(format!("Comment on {about}… (`{task}`)"), Command::Comment, argument);
        }
    }

    fn whole_file_actions(&self, root: &Root, task: &TaskId, hunk: &crate::domain::hunks::Hunk, offer: &mut Offer) {
        let title = format!("Accept this change (`{task}` {})", describe(hunk));
        offer.fix(title, Command::Accept, json!(accept_params(root, task, &[&hunk.id.0], None)));
        self.reject_action(root, task, &hunk.id.0, offer);
        self.comment_action(root, task, Some(&hunk.id.0), offer);
    }

    fn decision_actions(&self, root: &Root, decision: &Decision, offer: &mut Offer) {
        for option in &decision.options {
            let recommended = decision.recommended.as_ref() == Some(&option.label);
            let mark = if recommended { " (recommended)" } else { "" };
            let argument = json!({ "root": root.uri(), "decision": decision.id, "option": option.label });
            offer.fix(format!("Answer: {}{mark}", option.label), Command::Answer, argument);
        }
        if self.client.input {
            let argument = json!({ "root": root.uri(), "decision": decision.id, "askText": true });
            offer.fix("Answer with text…".to_owned(), Command::Answer, argument);
        }
    }

    /// Offers what can be done with a task of the queue.
    fn task_actions(&self, root: &Root, task: &TaskId, offer: &mut Offer) {
        let Some(view) = root.snapshot.task(task) else { return };
        for (title, command, argument) in self.task_commands(root, view) {
            offer.other(format!("{title} `{task}`"), command, argument);
        }
        self.land_action(root, view, offer);
        if view.state == LiveState::Review {
            let summary = view.proposal.as_ref();
            let pending = summary.is_some_and(|summary| summary.hunks.iter().any(|hunk| hunk.state == Mark::Pending));
            for hunk in placeless_hunks(root, task) {
                self.whole_file_actions(root, task, hunk, offer);
            }
            if pending {
                let title = format!("Accept all of task `{task}`");
                offer.fix(title, Command::Accept, json!(accept_params(root, task, &[], None)));
            }
            let marked = |wanted: fn(&Mark) -> bool| {
                summary.is_some_and(|summary| summary.hunks.iter().any(|hunk| wanted(&hunk.state)))
            };
            let accepted = marked(|mark| *mark == Mark::Accepted);
            if marked(|mark| matches!(mark, Mark::Rejected { .. })) {
                let argument = json!({ "root": root.uri(), "task": task, "undo": true });
                offer.other(format!("Undo reject (all of `{task}`)"), Command::Reject, argument);
                let argument = json!({ "root": root.uri(), "task": task, "keepAcceptedPart": true });
                offer.other(format!("Keep only the accepted part of `{task}`"), Command::Accept, argument);
            }
            if accepted && pending {
                let argument = json!({ "root": root.uri(), "task": task, "rest": true });
                offer.other(format!("Drop the rest of `{task}`"), Command::Reject, argument);
            }
            let argument = json!({ "root": root.uri(), "task": task });
            let what = if accepted { "Send the rest of" } else { "Send" };
            offer.other(format!("{what} `{task}` back to the agent"), Command::SendBack, argument);
            self.comment_action(root, task, None, offer);
        }
        if view.state == LiveState::Running && self.client.input {
            let argument = json!({ "root": root.uri(), "task": task, "ask": true });
            offer.other(format!("Ask the agent… (`{task}`)"), Command::Steer, argument);
        }
        if view.state == LiveState::Draft {
            let argument = json!({ "root": root.uri(), "tasks": [task] });
            if self.client.input {
                offer.other(format!("Revise plan… (`{task}`)"), Command::RevisePlan, argument);
            }
        }
    }

    /// Returns the commands that fit the state of a task, in the order to show them; also the lenses.
    pub(super) fn task_commands(&self, root: &Root, view: &TaskView) -> Vec<(&'static str, Command, Value)> {
        let one = json!({ "root": root.uri(), "task": view.task.id });
        let list = json!({ "root": root.uri(), "tasks": [view.task.id] });
        let answer = || {
            let mine = |decision: &&Decision| decision.task.as_ref() == Some(&view.task.id);
            let decision = root.snapshot.decisions.iter().find(mine)?;
            Some(("Answer", Command::Answer, json!({ "root": root.uri(), "decision": decision.id })))
        };
        match view.state {
            LiveState::Draft => vec![("Approve", Command::Approve, list.clone()), ("Drop", Command::Drop, list)],
            LiveState::Ready if root.snapshot.run.is_none() => {
                vec![("Run", Command::Start, list.clone()), ("Drop", Command::Drop, list)]
            }
            LiveState::Ready | LiveState::Waiting => vec![("Drop", Command::Drop, list)],
            LiveState::Running => vec![("Stop", Command::Stop, json!({ "root": root.uri(), "kill": true }))],
            LiveState::Blocked => {
                let mut commands: Vec<_> = answer().into_iter().collect();
                commands.push(("Retry", Command::Retry, one));
                commands.push(("Drop", Command::Drop, list));
                commands
            }
            LiveState::Review | LiveState::Stale => {
                let show = json!({ "root": root.uri(), "task": view.task.id, "show": true });
                vec![("Review", Command::Proposal, show), ("Retry", Command::Retry, one)]
            }
            LiveState::Done | LiveState::Dropped => {
                let mut commands: Vec<_> = self.land_command(root, view).into_iter().collect();
                commands.push(("Retry", Command::Retry, one));
                commands
            }
        }
    }

    fn queue_actions(&self, root: &Root, offer: &mut Offer) {
        self.land_all_action(root, offer);
        let argument = || json!({ "root": root.uri() });
        let states = |state: LiveState| root.snapshot.tasks.iter().filter(|view| view.state == state).count();
        match (states(LiveState::Draft), states(LiveState::Ready)) {
            (0, _) => {}
            (drafts, _) => offer.other(format!("Approve all drafts ({drafts})"), Command::Approve, argument()),
        }
        match &root.snapshot.run {
            Some(_) => offer.other("Stop the loop".to_owned(), Command::Stop, argument()),
            None if states(LiveState::Ready) > 0 => {
                offer.other("Start the loop".to_owned(), Command::Start, argument());
            }
            None => {}
        }
    }

    /// Computes the edit of a chosen action against the newest text.
    pub(super) fn resolve_action(&self, action: CodeAction) -> Result<CodeAction, Error> {
        let Some(data) = action.data.as_ref().and_then(|data| data.get("accept")) else { return Ok(action) };
        let stale =
            |message: &str| Error { code: ErrorCode::InvalidParams, message: message.to_owned().into(), data: None };
        let params: AcceptParams =
            serde_json::from_value(data.clone()).map_err(|error| stale(&format!("unknown code action: {error}")))?;
        let uri = params.uri.as_deref().and_then(|uri| Url::parse(uri).ok());
        let uri = uri.ok_or_else(|| stale("the code action names no document"))?;
        let index = self.rooted(&uri).map(|(index, _)| index).ok_or_else(|| stale("the document is in no folder"))?;
        let document = self.documents.get(&uri).ok_or_else(|| stale("the document is not open any more"))?;
        let placed = place(&self.roots[index], document);
        let chosen = chosen(&placed, params.task.as_deref(), &params.hunks);
        let acceptable = accept(&document.text, &chosen);
        if acceptable.edits.is_empty() {
            let reason = acceptable.conflicts.first().map(|(_, reason)| reason.clone());
            return Err(failed(reason.unwrap_or_else(|| "there is nothing left to accept here".to_owned())));
        }
        let edit = self.workspace_edit(vec![(uri, document.version, acceptable.edits)]);
        Ok(CodeAction { edit: Some(edit), ..action })
    }

    /// Makes an edit of open documents, with their versions where the client takes them.
    pub(super) fn workspace_edit(&self, documents: Vec<(Url, i32, Vec<TextEdit>)>) -> WorkspaceEdit {
        // Clients that can create and rename files have the form with versions too, announced or not.
        if self.client.document_changes || self.client.resource_operations {
            let to_edit = |(uri, version, edits): (Url, i32, Vec<TextEdit>)| TextDocumentEdit {
                text_document: OptionalVersionedTextDocumentIdentifier { uri, version: Some(version) },
                edits: edits.into_iter().map(OneOf::Left).collect(),
            };
            let edits = documents.into_iter().map(to_edit).collect();
            WorkspaceEdit { document_changes: Some(DocumentChanges::Edits(edits)), ..WorkspaceEdit::default() }
        } else {
            let changes: HashMap<Url, Vec<TextEdit>> =
                documents.into_iter().map(|(uri, _, edits)| (uri, edits)).collect();
            WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() }
        }
    }
}

/// Returns the hunks of a document that are still open and meant: those named, or all of the task.
pub fn chosen<'p, 'a>(placed: &'p [Placed<'a>], task: Option<&str>, hunks: &[String]) -> Vec<&'p Placed<'a>> {
    let meant = |placed: &&Placed<'_>| {
        *placed.mark == Mark::Pending
            && task.is_none_or(|task| placed.task.0 == task)
            && (hunks.is_empty() || hunks.contains(&placed.hunk.id.0))
    };
    placed.iter().filter(meant).collect()
}

/// Makes a command with its one argument.
pub fn to_command(title: String, command: Command, argument: Value) -> lsp_types::Command {
    lsp_types::Command { title, command: command.name().to_owned(), arguments: Some(vec![argument]) }
}

/// Returns the first words of a text, on one line.
pub fn short(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 60 { line } else { format!("{}…", line.chars().take(59).collect::<String>()) }
}

fn accept_params(root: &Root, task: &TaskId, hunks: &[&String], uri: Option<&Url>) -> AcceptParams {
    AcceptParams {
        root: Some(root.uri()),
        task: Some(task.0.clone()),
        hunks: hunks.iter().map(|hunk| (*hunk).clone()).collect(),
        uri: uri.map(ToString::to_string),
        keep_accepted_part: false,
    }
}

fn note(tasks: &mut Vec<TaskId>, task: &TaskId) {
    if !tasks.contains(task) {
        tasks.push(task.clone());
    }
}

fn is_at(decision: &Decision, range: Range) -> bool {
    let line = decision.evidence.line.unwrap_or(1).saturating_sub(1);
    range.start.line <= line && line <= range.end.line
}

/// Tells whether two ranges share a line.
pub fn overlap(a: Range, b: Range) -> bool {
    a.start.line <= b.end.line && b.start.line <= a.end.line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_offered_for_its_kind_and_the_kinds_above() {
        let wants = |only: Option<&[&str]>| {
            let only = only.map(|only| only.iter().map(|kind| CodeActionKind::from((*kind).to_owned())).collect());
            Offer { literals: true, resolves: true, only, actions: Vec::new() }.wants(&OTHER)
        };
        assert!(wants(None));
        assert!(wants(Some(&[""])));
        assert!(wants(Some(&["refactor"])));
        assert!(wants(Some(&["quickfix", "refactor.ralph"])));
        assert!(!wants(Some(&["refactor.ral"])));
        assert!(!wants(Some(&["quickfix"])));
        assert!(!wants(Some(&[])));
    }
}
