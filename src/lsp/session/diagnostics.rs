//! What needs the person, as diagnostics: questions and blocked tasks, pending hunks, problems of the queue.
//!
//! They are made anew for one document or one root and published where they differ from what the client has.

use super::Session;
use super::review::{Placed, conflict_reason, describe, lines, new_line, place};
use super::root::{Queue, Root};
use crate::domain::decision::Decision;
use crate::domain::event::Mark;
use crate::domain::hunks::{Hunk, HunkKind};
use crate::domain::queue::LiveState;
use crate::domain::report::Finding;
use crate::domain::review::HunkState;
use crate::domain::task::TaskId;
use crate::lsp::convert::Text;
use crate::protocol::engine_api::TaskView;
use crate::protocol::queue_text::{ProblemCode, Severity};
use lsp_types::{
    Diagnostic, DiagnosticRelatedInformation, DiagnosticSeverity, Location, NumberOrString, Position, Range, Url,
};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashSet};

/// The `source` of all our diagnostics.
pub const SOURCE: &str = "ralph";

/// One kind of diagnostics; each can be silenced by `diagnostics.KIND: false`.
#[derive(Clone, Copy)]
enum Kind {
    Pending,
    Decisions,
    Queue,
}

impl Session {
    /// Publishes what changed since the last time.
    pub(super) fn publish_stale(&mut self) {
        let roots = std::mem::take(&mut self.stale_roots);
        for path in &roots {
            let Some(index) = self.root_index(path) else { continue };
            let mut uris = self.uris_of_interest(index);
            uris.extend(self.published.get(path).into_iter().flat_map(|published| published.keys().cloned()));
            for uri in uris {
                self.publish(index, &uri);
            }
            self.stale_lenses |= self.documents.at(&self.roots[index].queue_path()).is_some();
        }
        if std::mem::take(&mut self.stale_lenses) {
            self.refresh_lenses();
        }
        for uri in std::mem::take(&mut self.stale_documents) {
            let Some((index, _)) = self.rooted(&uri) else { continue };
            if !roots.contains(&self.roots[index].path) {
                self.publish(index, &uri);
            }
        }
    }

    fn publish(&mut self, index: usize, uri: &Url) {
        let root = &self.roots[index];
        let is_open = self.documents.get(uri).is_some();
        if !is_open && !root.queue_was_read && root.relative_uri(uri).as_deref() == Some(super::root::QUEUE_PATH) {
            // Where the tasks are is about to be known; until then everything would be shown at the top.
            return;
        }
        let diagnostics = self.diagnostics(root, uri);
        let published = self.published.entry(root.path.clone()).or_default();
        if published.get(uri).map_or(&[][..], Vec::as_slice) == diagnostics {
            return;
        }
        let version = self.documents.get(uri).map(|document| document.version);
        let version = version.filter(|_| self.client.diagnostic_versions);
        self.outbound.publish_diagnostics(uri, &diagnostics, version);
        if diagnostics.is_empty() {
            published.remove(uri);
        } else {
            published.insert(uri.clone(), diagnostics);
        }
    }

    /// Returns every document of a root that may have diagnostics.
    fn uris_of_interest(&self, index: usize) -> HashSet<Url> {
        let root = &self.roots[index];
        let mut paths: BTreeSet<&str> = BTreeSet::from([super::root::QUEUE_PATH]);
        paths.extend(root.snapshot.decisions.iter().filter_map(|decision| decision.evidence.file.as_deref()));
        for (_, view) in root.loaded() {
            for file in &view.files {
                paths.insert(&file.path);
                paths.extend(file.old_path.as_deref());
            }
            paths.extend(view.findings.iter().filter_map(|finding| finding.file.as_deref()));
        }
        let mut uris: HashSet<Url> = paths.into_iter().filter_map(|path| root.file_uri(path)).collect();
        uris.extend(
            self.documents
                .iter()
                .filter(|document| document.path.as_ref().is_some_and(|path| self.root_of_path(path) == Some(index)))
                .map(|document| document.uri.clone()),
        );
        uris
    }

    fn diagnostics(&self, root: &Root, uri: &Url) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        let Some(path) = root.relative_uri(uri) else { return diagnostics };
        if path == super::root::QUEUE_PATH {
            let queue = self.documents.get(uri).map(|document| document.queue()).or(root.queue_on_disk.as_ref());
            self.queue_diagnostics(root, uri, queue, &mut diagnostics);
        }
        if self.shows(root, Kind::Decisions) {
            for decision in &root.snapshot.decisions {
                if decision.evidence.file.as_deref() == Some(path.as_str()) {
                    diagnostics.push(self.decision_in_file(root, uri, decision));
                }
            }
        }
        if self.shows(root, Kind::Pending) {
            self.hunk_diagnostics(root, uri, &path, &mut diagnostics);
            self.finding_diagnostics(root, uri, &path, &mut diagnostics);
        }
        diagnostics
    }

    /// Tells whether the kind is shown: the editor's setting first, then the effective one.
    fn shows(&self, root: &Root, kind: Kind) -> bool {
        let name = match kind {
            Kind::Pending => "pending",
            Kind::Decisions => "decisions",
            Kind::Queue => "queue",
        };
        let setting = |settings: &Value| settings["diagnostics"][name].as_bool();
        setting(&self.settings).or_else(|| setting(&root.snapshot.settings)).unwrap_or(true)
    }

    fn queue_diagnostics(&self, root: &Root, uri: &Url, queue: Option<&Queue>, diagnostics: &mut Vec<Diagnostic>) {
        if self.shows(root, Kind::Queue) {
            match (queue, &root.snapshot.queue_problem) {
                (Some(queue), _) => diagnostics.extend(self.problems(root, uri, queue)),
                (None, Some(problem)) => {
                    diagnostics.push(plain(at_start(), DiagnosticSeverity::ERROR, "queue", problem))
                }
                (None, None) => {}
            }
        }
        let place = |task: Option<&TaskId>| {
            let task = task.and_then(|task| queue.and_then(|queue| queue.range_of(task)));
            task.unwrap_or_else(at_start)
        };
        if self.shows(root, Kind::Decisions) {
            for decision in &root.snapshot.decisions {
                let message = question(decision);
                let diagnostic =
                    plain(place(decision.task.as_ref()), DiagnosticSeverity::WARNING, "decision", &message);
                diagnostics.push(with_data(diagnostic, json!({ "decision": decision.id })));
            }
            let asked = |view: &TaskView| {
                root.snapshot.decisions.iter().any(|decision| decision.task.as_ref() == Some(&view.task.id))
            };
            for view in root.snapshot.tasks.iter().filter(|view| needs_person(view) && !asked(view)) {
                let code = view.state.as_str();
                let message = format!("`{}` is {code}: {}", view.task.id, view.why);
                diagnostics.push(plain(place(Some(&view.task.id)), DiagnosticSeverity::WARNING, code, &message));
            }
        }
        if self.shows(root, Kind::Pending) {
            for (summary, view) in root.loaded() {
                let waits = |hunk: &&Hunk| has_no_place(hunk) && *view.mark(summary, &hunk.id) == Mark::Pending;
                for hunk in view.all_hunks().filter(waits) {
                    diagnostics.push(hunk_diagnostic(place(Some(&view.task)), &view.task, hunk));
                }
                for finding in view.findings.iter().filter(|finding| finding.file.is_none()) {
                    diagnostics.push(finding_diagnostic(place(Some(&view.task)), &view.task, finding));
                }
            }
        }
    }

    /// Turns the problems of a queue text into diagnostics at their exact places.
    fn problems(&self, root: &Root, uri: &Url, queue: &Queue) -> Vec<Diagnostic> {
        let consequence =
            if queue.parsed.valid || !root.is_ready { "" } else { "; the last good queue stays in force" };
        let to_diagnostic = |(number, problem): (usize, &crate::protocol::queue_text::Problem)| {
            let severity = match problem.severity {
                Severity::Error => DiagnosticSeverity::ERROR,
                Severity::Warning => DiagnosticSeverity::WARNING,
            };
            let breaks = matches!(problem.code, ProblemCode::Syntax | ProblemCode::Version | ProblemCode::Schema);
            let consequence = if number == 0 && breaks { consequence } else { "" };
            let message = format!("{}{consequence}", problem.message);
            let mut diagnostic =
                plain(queue.text.range(problem.range.clone()), severity, problem.code.as_str(), &message);
            let related = problem.related.iter().map(|(range, message)| DiagnosticRelatedInformation {
                location: Location { uri: uri.clone(), range: queue.text.range(range.clone()) },
                message: message.clone(),
            });
            diagnostic.related_information = Some(related.collect())
                .filter(|related: &Vec<_>| self.client.related_information && !related.is_empty());
            diagnostic
        };
        queue.parsed.problems.iter().enumerate().map(to_diagnostic).collect()
    }

    fn decision_in_file(&self, root: &Root, uri: &Url, decision: &Decision) -> Diagnostic {
        let line = decision.evidence.line.unwrap_or(1).saturating_sub(1);
        let range = match self.documents.get(uri) {
            Some(document) => lines(&document.text, line, line + 1),
            None => Range::new(Position::new(line, 0), Position::new(line + 1, 0)),
        };
        let mut diagnostic = plain(range, DiagnosticSeverity::WARNING, "decision", &question(decision));
        if self.client.related_information
            && let (Some(queue), Some(task)) = (root.file_uri(super::root::QUEUE_PATH), &decision.task)
            && let Some(range) = root.queue_on_disk.as_ref().and_then(|queue| queue.range_of(task))
        {
            let location = Location { uri: queue, range };
            diagnostic.related_information =
                Some(vec![DiagnosticRelatedInformation { location, message: format!("the task `{task}`") }]);
        }
        with_data(diagnostic, json!({ "decision": decision.id }))
    }

    /// Shows what a reviewer wants changed at its line of the new text, which is near enough while that is not accepted.
    fn finding_diagnostics(&self, root: &Root, uri: &Url, path: &str, diagnostics: &mut Vec<Diagnostic>) {
        for (_, view) in root.loaded() {
            for finding in view.findings.iter().filter(|finding| finding.file.as_deref() == Some(path)) {
                let line = finding.line.unwrap_or(1).saturating_sub(1);
                let range = match self.documents.get(uri) {
                    Some(document) => lines(&document.text, line, line + 1),
                    None => Range::new(Position::new(line, 0), Position::new(line + 1, 0)),
                };
                diagnostics.push(finding_diagnostic(range, &view.task, finding));
            }
        }
    }

    fn hunk_diagnostics(&self, root: &Root, uri: &Url, path: &str, diagnostics: &mut Vec<Diagnostic>) {
        let waiting = waiting_at(root, path);
        match self.documents.get(uri) {
            Some(document) => {
                for placed in place(root, document).iter().filter(|placed| placed.is_open()) {
                    diagnostics.push(placed_diagnostic(placed, &document.text));
                }
            }
            None => {
                for (task, hunk) in waiting.iter().filter(|(_, hunk)| hunk.is_text()) {
                    // Where nobody looks, the place in the base is near enough.
                    let range = Range::new(
                        Position::new(hunk.old_start, 0),
                        Position::new(hunk.old_start + (hunk.old_lines.len() as u32).max(1), 0),
                    );
                    diagnostics.push(hunk_diagnostic(range, task, hunk));
                }
            }
        }
        for (task, hunk) in waiting.iter().filter(|(_, hunk)| !hunk.is_text()) {
            diagnostics.push(hunk_diagnostic(at_start(), task, hunk));
        }
    }
}

impl Queue {
    /// Returns the place of a task's label.
    pub fn range_of(&self, task: &TaskId) -> Option<Range> {
        Some(self.text.range(self.parsed.task(&task.0)?.label_range()))
    }
}

/// Tells whether a task waits for the person without having asked.
fn needs_person(view: &TaskView) -> bool {
    matches!(view.state, LiveState::Blocked | LiveState::Stale)
}

/// Returns the pending hunks that the file at a path shows.
fn waiting_at<'a>(root: &'a Root, path: &str) -> Vec<(&'a TaskId, &'a Hunk)> {
    let mut waiting = Vec::new();
    for (summary, texts) in root.loaded() {
        let hunks = texts.files_at(path).flat_map(|file| &file.hunks).map(|(hunk, _)| hunk);
        let shown = hunks.filter(|hunk| path == if hunk.is_text() { &hunk.path } else { shown_at(hunk) });
        let open = shown.filter(|hunk| !has_no_place(hunk) && *texts.mark(summary, &hunk.id) == Mark::Pending);
        waiting.extend(open.map(|hunk| (&texts.task, hunk)));
    }
    waiting
}

/// Returns the path of the file at which a hunk is shown that is decided on it as a whole.
fn shown_at(hunk: &Hunk) -> &str {
    hunk.old_path.as_deref().unwrap_or(&hunk.path)
}

/// Returns the pending hunks that are decided on a file as a whole and that is there to be shown at.
pub fn whole_file_hunks<'a>(root: &'a Root, path: &str) -> Vec<(&'a TaskId, &'a Hunk)> {
    let mut hunks = waiting_at(root, path);
    hunks.retain(|(_, hunk)| !hunk.is_text());
    hunks
}

/// Returns the pending hunks of a task that are shown on the task, since their files are not there yet.
pub fn placeless_hunks<'a>(root: &'a Root, task: &TaskId) -> Vec<&'a Hunk> {
    let Some((summary, texts)) = root.proposal(task) else { return Vec::new() };
    let waits = |hunk: &&Hunk| has_no_place(hunk) && *texts.mark(summary, &hunk.id) == Mark::Pending;
    texts.all_hunks().filter(waits).collect()
}

/// Tells whether the file a hunk is about does not exist before it is accepted.
fn has_no_place(hunk: &Hunk) -> bool {
    hunk.kind == HunkKind::Create || (hunk.kind == HunkKind::Binary && hunk.old_blob.is_none())
}

fn placed_diagnostic(placed: &Placed<'_>, text: &Text) -> Diagnostic {
    let range = placed.range(text);
    if placed.mapped.state == HunkState::Conflict {
        let message = format!("`{}` {}, but {}", placed.task, describe(placed.hunk), conflict_reason(placed));
        let diagnostic = plain(range, DiagnosticSeverity::WARNING, "conflict", &message);
        return with_data(diagnostic, json!({ "task": placed.task, "hunk": placed.hunk.id }));
    }
    let mut diagnostic = hunk_diagnostic(range, placed.task, placed.hunk);
    if placed.waits_for.is_some() {
        diagnostic.message.push_str(&format!("; {}", conflict_reason(placed)));
    }
    diagnostic
}

fn hunk_diagnostic(range: Range, task: &TaskId, hunk: &Hunk) -> Diagnostic {
    let weakens = hunk.weakens_test.as_ref().map(|why| format!("; look closely: {why}")).unwrap_or_default();
    let message = format!("`{task}` {}{weakens}{}", describe(hunk), new_line(hunk));
    let diagnostic = plain(range, DiagnosticSeverity::INFORMATION, "pending", &message);
    with_data(diagnostic, json!({ "task": task, "hunk": hunk.id }))
}

fn finding_diagnostic(range: Range, task: &TaskId, finding: &Finding) -> Diagnostic {
    let message = format!("`{task}`, the reviewer: {}", finding.text);
    plain(range, DiagnosticSeverity::INFORMATION, "finding", &message)
}

fn question(decision: &Decision) -> String {
    let options: Vec<&str> = decision.options.iter().map(|option| option.label.as_str()).collect();
    let options = if options.is_empty() { String::new() } else { format!(" ({})", options.join(" / ")) };
    match &decision.task {
        Some(task) => format!("`{task}` asks: {}{options}", decision.question),
        None => format!("{}{options}", decision.question),
    }
}

fn at_start() -> Range {
    Range::new(Position::new(0, 0), Position::new(0, 1))
}

fn plain(range: Range, severity: DiagnosticSeverity, code: &str, message: &str) -> Diagnostic {
    Diagnostic {
        range,
        severity: Some(severity),
        code: Some(NumberOrString::String(code.to_owned())),
        source: Some(SOURCE.to_owned()),
        message: message.to_owned(),
        ..Diagnostic::default()
    }
}

fn with_data(diagnostic: Diagnostic, data: Value) -> Diagnostic {
    Diagnostic { data: Some(data), ..diagnostic }
}
