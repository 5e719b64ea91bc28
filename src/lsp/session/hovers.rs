//! Hovers: a task with its live state, a hunk as a diff, a question with its options.

use super::Session;
use super::links::{self, Link};
use super::markdown::{escape, fence};
use super::review::{Placed, as_diff, comments_by_hunk, conflict_reason, describe, place};
use super::root::{QUEUE_PATH, Root};
use crate::domain::decision::Decision;
use crate::domain::review::HunkState;
use crate::domain::task::TaskId;
use crate::protocol::engine_api::{AttemptText, TaskView};
use lsp_types::{Hover, HoverContents, MarkupContent, MarkupKind, TextDocumentPositionParams};

/// Attempts shown in a hover, the latest ones.
const MAX_ATTEMPTS: usize = 5;

/// A text in both forms a client may want.
#[derive(Default)]
struct Page {
    markdown: String,
    plain: String,
}

impl Page {
    fn heading(&mut self, text: &str) {
        self.markdown.push_str(&format!("**{}**\n\n", escape(text)));
        self.plain.push_str(&format!("{text}\n\n"));
    }

    fn paragraph(&mut self, text: &str) {
        self.markdown.push_str(&format!("{}\n\n", escape(text)));
        self.plain.push_str(&format!("{text}\n\n"));
    }

    fn item(&mut self, text: &str) {
        self.markdown.push_str(&format!("* {}\n", escape(&text.replace('\n', " "))));
        self.plain.push_str(&format!("- {text}\n"));
    }

    /// Links to a document of ours; only in Markdown.
    fn link(&mut self, text: &str, uri: &str) {
        self.markdown.push_str(&format!("  [{text}](<{uri}>)\n"));
    }

    fn end_list(&mut self) {
        self.markdown.push('\n');
        self.plain.push('\n');
    }

    fn code(&mut self, language: &str, text: &str) {
        self.markdown.push_str(&format!("{}\n", fence(language, text)));
        self.plain.push_str(&format!("{text}\n"));
    }

    fn is_empty(&self) -> bool {
        self.plain.is_empty()
    }
}

impl Session {
    pub(super) fn hover(&self, params: &TextDocumentPositionParams) -> Option<Hover> {
        let uri = &params.text_document.uri;
        let (index, _) = self.rooted(uri)?;
        let root = &self.roots[index];
        let path = root.relative_uri(uri)?;
        let document = self.documents.get(uri)?;
        let line = params.position.line;
        let mut page = Page::default();
        let mut range = None;
        if path == QUEUE_PATH {
            let queue = document.queue();
            let offset = document.text.offset(params.position);
            let named = queue.parsed.dependency_at(offset).map(|(_, id, span)| (id.to_owned(), span));
            let whole = || {
                let task = queue.parsed.task_at(offset)?;
                Some((task.id.clone()?, task.label_range()))
            };
            let (task, span) = named.or_else(whole)?;
            let view = root.snapshot.task(&TaskId(task))?;
            task_page(root, view, self.client.text_document_content, &mut page);
            range = Some(document.text.range(span));
        }
        for decision in root.snapshot.decisions.iter().filter(|decision| {
            decision.evidence.file.as_deref() == Some(path.as_str())
                && decision.evidence.line.unwrap_or(1).saturating_sub(1) == line
        }) {
            decision_page(decision, &mut page);
        }
        for placed in place(root, document).iter().filter(|placed| placed.is_open()) {
            let place = placed.range(&document.text);
            if place.start.line <= line && line <= place.end.line {
                let title = root.snapshot.task(placed.task).map(|view| view.task.title.clone()).unwrap_or_default();
                page.heading(&format!("{}: {title}", placed.task));
                page.paragraph(&describe(placed.hunk));
                if let Some(why) = &placed.hunk.weakens_test {
                    page.paragraph(&format!("Look closely: {why}"));
                }
                if placed.mapped.state == HunkState::Conflict || placed.waits_for.is_some() {
                    page.paragraph(&conflict_reason(placed));
                }
                self.round_page(root, placed, &mut page);
                page.code("diff", &as_diff(placed.hunk));
                range = Some(place);
            }
        }
        if page.is_empty() {
            return None;
        }
        let contents = if self.client.hover_markdown {
            MarkupContent { kind: MarkupKind::Markdown, value: page.markdown }
        } else {
            MarkupContent { kind: MarkupKind::PlainText, value: page.plain }
        };
        Some(Hover { contents: HoverContents::Markup(contents), range })
    }
}

impl Session {
    /// Says what earlier rounds and the person said about a hunk.
    fn round_page(&self, root: &Root, placed: &Placed<'_>, page: &mut Page) {
        let Some((summary, view)) = root.proposal(placed.task) else { return };
        if view.known(summary, &placed.hunk.id).is_some_and(|known| known.changed) {
            page.paragraph(&format!("New or different since round {}", summary.round.saturating_sub(1)));
        }
        let comments = comments_by_hunk(root, view);
        for comment in comments.get(&Some(&placed.hunk.id)).into_iter().flatten() {
            let sent = if comment.sent { ", sent" } else { "" };
            page.paragraph(&format!("You said (round {}{sent}): {}", comment.round, comment.text));
        }
    }
}

fn task_page(root: &Root, view: &TaskView, has_documents: bool, page: &mut Page) {
    page.heading(&format!("{}: {}", view.task.id, view.task.title));
    page.paragraph(&format!("{}: {}", view.state.as_str(), view.why));
    if let Some(summary) = view.proposal.as_ref().and_then(|proposal| proposal.summary.as_ref()) {
        page.paragraph(summary);
    }
    let skipped = view.attempts.len().saturating_sub(MAX_ATTEMPTS);
    for attempt in view.attempts.iter().skip(skipped) {
        let outcome = attempt.outcome.map_or("is on", |outcome| outcome.as_str());
        page.item(&format!("attempt {} with {}: {outcome}. {}", attempt.number, attempt.agent, attempt.detail));
        if has_documents {
            let link = Link::Attempt {
                task: view.task.id.0.clone(),
                attempt: Some(attempt.number),
                what: AttemptText::Transcript,
            };
            page.link("transcript", &links::to_uri(&root.path, &link));
        }
    }
    if !view.attempts.is_empty() {
        page.end_list();
    }
    for decision in root.snapshot.decisions.iter().filter(|decision| decision.task.as_ref() == Some(&view.task.id)) {
        decision_page(decision, page);
    }
}

fn decision_page(decision: &Decision, page: &mut Page) {
    page.heading(&decision.question);
    for option in &decision.options {
        let recommended = if decision.recommended.as_ref() == Some(&option.label) { " (recommended)" } else { "" };
        let detail = if option.detail.is_empty() { String::new() } else { format!(": {}", option.detail) };
        page.item(&format!("{}{recommended}{detail}", option.label));
        for pro in &option.pros {
            page.item(&format!("for {}: {pro}", option.label));
        }
        for con in &option.cons {
            page.item(&format!("against {}: {con}", option.label));
        }
    }
    page.end_list();
    if let Some(output) = &decision.evidence.output {
        page.code("text", output);
    }
}
