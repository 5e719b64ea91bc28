//! The texts of the virtual documents.

use super::links::{self, Link};
use super::review::{as_diff, by_risk, comments_by_hunk, describe, waits_for};
use super::root::Root;
use super::texts::Texts;
use super::{Session, Waiting, status};
use crate::domain::hunks::{Hunk, HunkId};
use crate::domain::rounds::Comment;
use crate::domain::task::TaskId;
use crate::engine::handle::unexpected;
use crate::lsp::message::Reply;
use crate::lsp::session::flows::explain;
use crate::protocol::editor::ContentResult;
use crate::protocol::engine_api::{Command, ProposalSummary, Reply as EngineReply};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;

impl Session {
    /// Answers a request for a virtual document.
    pub(super) fn content(&mut self, uri: &str, reply: Reply<Value>) {
        let Some((root, link)) = links::from_uri(uri) else {
            return reply.fail(format!("{uri} is no document of ralph"));
        };
        let path = match (root, self.roots.as_slice()) {
            (Some(root), _) => root,
            (None, [root]) => root.path.clone(),
            (None, _) => return reply.fail("several folders are open; name one as `?root=`"),
        };
        self.content_of(&path, link, reply);
    }

    pub(super) fn content_of(&mut self, path: &Path, link: Link, reply: Reply<Value>) {
        let Some(index) = self.root_index(path) else {
            if self.locating > 0 {
                return self.waiting.push((path.to_owned(), Waiting::Content(link, reply)));
            }
            return reply.fail(format!("{} is not an open folder", path.display()));
        };
        let root = &self.roots[index];
        if root.handle().is_none() || !root.is_ready || root.is_loading() {
            if let Some(problem) = self.engine_problem(path) {
                tracing::debug!(%problem, "the engine is tried again for a document");
            }
            self.want(index);
            return self.waiting.push((path.to_owned(), Waiting::Content(link, reply)));
        }
        let text = match &link {
            Link::Plan { plan } => {
                self.plan_diffs.get(plan).cloned().ok_or("this plan is not known any more".to_owned())
            }
            Link::Review { task } => root
                .proposal(&TaskId(task.clone()))
                .map(|(summary, view)| review(root, summary, view))
                .ok_or_else(|| no_proposal(task)),
            Link::Base { task, path } => self.side(index, task, path, |file| file.base_text.clone()),
            Link::Proposal { task, path } => self.side(index, task, path, |file| file.head_text.clone()),
            Link::Attempt { task, attempt, what } => {
                let command = Command::Text { task: TaskId(task.clone()), attempt: *attempt, what: *what };
                let Some(handle) = root.handle().cloned() else { return };
                tokio::spawn(async move {
                    match handle.call(command).await {
                        Ok(EngineReply::Text(text)) => reply.ok(json!(ContentResult { text })),
                        Ok(other) => reply.fail(unexpected(&other).to_string()),
                        Err(error) => reply.fail(explain(&error)),
                    }
                });
                return;
            }
        };
        match text {
            Ok(text) => reply.ok(json!(ContentResult { text })),
            Err(message) => reply.fail(message),
        }
    }

    fn side(
        &self,
        index: usize,
        task: &str,
        path: &str,
        text: impl Fn(&crate::protocol::engine_api::ProposalFile) -> Option<String>,
    ) -> Result<String, String> {
        let (_, view) = self.roots[index].proposal(&TaskId(task.to_owned())).ok_or_else(|| no_proposal(task))?;
        let file = view.files.iter().find(|file| file.path == path);
        let file = file.ok_or_else(|| format!("the proposal of `{task}` does not touch {path}"))?;
        // A side without the file is empty, so that both can always be compared.
        Ok(text(file).unwrap_or_default())
    }
}

fn no_proposal(task: &str) -> String {
    format!("`{task}` has no proposal that waits for review")
}

/// Writes a whole proposal as a diff that editors colour: what it is, then file by file with three lines of context.
fn review(root: &Root, summary: &ProposalSummary, view: &Texts) -> String {
    let mut text = format!("# {} (`{}`, attempt {}, {})\n", view.title, view.task, view.attempt, view.outcome.as_str());
    let mut remark = |line: &str| text.push_str(&format!("# {line}\n"));
    for line in view.summary.iter().flat_map(|summary| summary.lines()) {
        remark(line);
    }
    for check in &view.checks {
        let proof = if check.is_proof() { " (failed before)" } else { "" };
        remark(&format!("{}: {}{proof}", if check.passed { "passed" } else { "failed" }, check.run));
    }
    for line in
        view.findings.iter().flat_map(|finding| finding.to_string().lines().map(str::to_owned).collect::<Vec<_>>())
    {
        remark(&format!("the reviewer: {line}"));
    }
    if summary.round > 1 {
        let changed = summary.hunks.iter().filter(|hunk| hunk.changed).count();
        remark(&format!("round {}: {changed} new or different since the round before", summary.round));
    }
    if let Some(part) = &summary.part {
        remark(part);
    }
    let comments = comments_by_hunk(root, view);
    for comment in comments.get(&None).into_iter().flatten() {
        remark(&said(comment));
    }
    let total: usize = view.files.iter().map(|file| file.hunks.len()).sum();
    let numbers: HashMap<&HunkId, usize> = view.all_hunks().enumerate().map(|(at, hunk)| (&hunk.id, at + 1)).collect();
    for file in by_risk(root, summary, view) {
        let old = file.old_path.as_deref().unwrap_or(&file.path);
        let name =
            |there: bool, side: &str, path: &str| if there { format!("{side}/{path}") } else { "/dev/null".into() };
        let is = |kind| file.hunks.iter().any(|(hunk, _)| hunk.kind == kind);
        let is_new = is(crate::domain::hunks::HunkKind::Create);
        let is_gone = is(crate::domain::hunks::HunkKind::Delete);
        text.push_str(&format!("\n--- {}\n+++ {}\n", name(!is_new, "a", old), name(!is_gone, "b", &file.path)));
        let base: Vec<&str> = file.base_text.as_deref().map(crate::domain::hunks::split_lines).unwrap_or_default();
        for (hunk, _) in &file.hunks {
            let number = numbers.get(&hunk.id).copied().unwrap_or_default();
            let mark = status::mark(view.mark(summary, &hunk.id));
            let mut words = format!("hunk {number} of {total}, {mark}: {}", describe(hunk));
            let known = view.known(summary, &hunk.id);
            if known.is_some_and(|known| known.again) {
                words.push_str("; came again although rejected");
            } else if known.is_some_and(|known| known.changed) {
                words.push_str("; new or different since the round before");
            }
            if let Some(task) = waits_for(root, view, &hunk.id) {
                words.push_str(&format!("; waits for {task}"));
            }
            for comment in comments.get(&Some(&hunk.id)).into_iter().flatten() {
                words.push_str(&format!("; {}", said(comment)));
            }
            text.push_str(&hunk_text(hunk, &base, &words));
        }
    }
    text
}

/// Returns a comment in one line.
fn said(comment: &Comment) -> String {
    let words: Vec<&str> = comment.text.split_whitespace().collect();
    let sent = if comment.sent { ", sent" } else { "" };
    let place = comment.path.as_ref().filter(|_| comment.hunk.is_none()).map(|path| match comment.line {
        Some(line) => format!(", {path}:{line}"),
        None => format!(", {path}"),
    });
    let place = place.unwrap_or_default();
    format!("you said (round {}{place}{sent}): {}", comment.round, words.join(" "))
}

fn hunk_text(hunk: &Hunk, base: &[&str], remark: &str) -> String {
    const CONTEXT: usize = 3;
    if !hunk.is_text() {
        let (old, new) = (hunk.old_lines.len(), hunk.new_lines.len());
        return format!(
            "@@ -{},{old} +{},{new} @@ {remark}\n{}",
            usize::from(old > 0),
            usize::from(new > 0),
            as_diff(hunk)
        );
    }
    let range = hunk.old_range();
    let before = range.start.saturating_sub(CONTEXT)..range.start.min(base.len());
    let after = range.end.min(base.len())..(range.end + CONTEXT).min(base.len());
    let context = before.len() + after.len();
    let mut text = format!(
        "@@ -{},{} +{},{} @@ {remark}\n",
        before.start + 1,
        hunk.old_lines.len() + context,
        (hunk.new_start as usize).saturating_sub(before.len()) + 1,
        hunk.new_lines.len() + context,
    );
    let put = |text: &mut String, lines: std::ops::Range<usize>| {
        for line in &base[lines] {
            text.push(' ');
            text.push_str(line);
            if !line.ends_with('\n') {
                text.push('\n');
            }
        }
    };
    put(&mut text, before);
    text.push_str(&as_diff(hunk));
    put(&mut text, after);
    text
}
