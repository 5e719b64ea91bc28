//! What people decide about proposals: marks, comments, sending back, keeping a part.

use super::attempts::option;
use super::{Effect, Next, Refusal, SendBack};
use crate::domain::decision::{Decision, DecisionKind, Evidence, OptionEffect};
use crate::domain::event::{Event, Mark, Requeue};
use crate::domain::hunks::HunkId;
use crate::domain::landing::Landing;
use crate::domain::outcome::CheckResult;
use crate::domain::queue;
use crate::domain::rounds::{Comment, Quote, Remark, RemarkKind};
use crate::domain::state::{Part, Proposal, Record};
use crate::domain::task::{Status, TaskId};
use std::collections::{BTreeMap, BTreeSet};

impl Next {
    /// What stands on the task's proposal has to be moved before it counts again.
    pub(super) fn make_stale(&mut self, because: &TaskId) {
        for task in queue::standing_on(&self.state, because) {
            let proposal = self.state.record(&task).and_then(|record| record.proposal.as_ref());
            if proposal.is_some_and(|proposal| proposal.stale.is_none()) {
                self.emit(Event::ProposalStale { task, because: because.clone() });
            }
        }
    }

    fn proposal(&self, task: &TaskId) -> Result<&Proposal, Refusal> {
        if !self.state.tasks.contains_key(task) && self.state.record(task).is_none() {
            return Err(Refusal::NoTask(task.clone()));
        }
        let record = self.state.record(task).filter(|record| !record.done);
        record.and_then(|record| record.proposal.as_ref()).ok_or_else(|| Refusal::NoProposal(task.clone()))
    }

    pub(super) fn mark_hunks(
        &mut self,
        task: TaskId,
        hunks: Vec<HunkId>,
        mark: Mark,
        by: String,
    ) -> Result<(), Refusal> {
        let proposal = self.proposal(&task)?;
        if let Some(unknown) = proposal.unknown(&hunks) {
            return Err(Refusal::NoHunk { task, hunk: unknown.0.clone() });
        }
        // Saying the same again is nothing new.
        let hunks: Vec<_> = hunks.into_iter().filter(|hunk| proposal.mark(hunk) != mark).collect();
        if !hunks.is_empty() {
            let rejects = matches!(mark, Mark::Rejected { .. });
            if matches!(proposal.part, Part::Failed(_)) {
                // The part that failed is another now.
                self.withdraw_decisions_of(&task);
            }
            self.emit(Event::HunksMarked { task: task.clone(), hunks, mark, by });
            if rejects {
                self.make_stale(&task);
            }
            self.check_part(&task);
        }
        // Also when nothing is new: the file may have been saved since.
        self.order(Effect::LookOnDisk { task });
        Ok(())
    }

    pub(super) fn keep_accepted_part(&mut self, task: TaskId) -> Result<(), Refusal> {
        let proposal = self.proposal(&task)?;
        let failed = matches!(proposal.part, Part::Failed(_));
        if !proposal.part_kept || failed {
            if failed {
                self.withdraw_decisions_of(&task);
            }
            self.emit(Event::AcceptedPartKept { task: task.clone() });
        }
        self.check_part(&task);
        self.order(Effect::LookOnDisk { task });
        Ok(())
    }

    /// Rejects what waits, and keeps what was accepted.
    pub(super) fn drop_rest(&mut self, task: TaskId, why: Option<String>, by: String) -> Result<(), Refusal> {
        let proposal = self.proposal(&task)?;
        if proposal.accepted().is_empty() {
            return Err(Refusal::NothingAccepted(task));
        }
        let hunks = proposal.pending();
        self.mark_hunks(task.clone(), hunks, Mark::Rejected { why }, by)?;
        self.keep_accepted_part(task)
    }

    /// Has the accepted part checked by itself, where a person kept it and nobody knows how it is.
    pub(super) fn check_part(&mut self, task: &TaskId) {
        if self.proposal(task).is_ok_and(Proposal::part_waits) {
            self.order(Effect::CheckPart { task: task.clone() });
        }
    }

    pub(super) fn part_checked(
        &mut self,
        task: TaskId,
        head: &str,
        hunks: BTreeSet<HunkId>,
        checks: Vec<CheckResult>,
        failed: Option<String>,
    ) {
        let Ok(proposal) = self.proposal(&task) else { return };
        if !proposal.part_waits() {
            return;
        }
        if proposal.head != head || proposal.accepted() != hunks {
            // More was decided while the checks ran.
            self.order(Effect::CheckPart { task });
            return;
        }
        let attempt = proposal.attempt;
        self.emit(Event::AcceptedPartChecked { task: task.clone(), hunks, checks, failed: failed.clone() });
        let Some(detail) = failed else {
            self.order(Effect::LookOnDisk { task });
            return;
        };
        let first = detail.lines().next().unwrap_or_default();
        let question = format!("the accepted part fails by itself: {first}");
        let options = vec![
            option(
                "Send the rest back",
                "The agent does it again; what you accepted stays.",
                OptionEffect::SendRestBack,
            ),
            option("Keep it all the same", "The task is done with what you accepted.", OptionEffect::TakePart),
            option("Leave it", "The proposal waits; accept more of it, or undo.", OptionEffect::Park),
        ];
        let evidence = Evidence { output: Some(detail), ..Evidence::default() };
        self.raise(Some(task), Some(attempt), DecisionKind::Conflict, question, options, evidence, None);
    }

    pub(super) fn take_part(&mut self, task: TaskId) {
        if self.proposal(&task).is_ok() {
            self.emit(Event::AcceptedPartTaken { task: task.clone() });
            self.order(Effect::LookOnDisk { task });
        }
    }

    /// Follows the answer to a part that failed.
    pub(super) fn send_rest_back(&mut self, task: TaskId, decision: &Decision) {
        let failed = Remark {
            text: "what the user accepted of it fails its checks without the rest".to_owned(),
            quote: decision.evidence.output.clone(),
            ..Remark::default()
        };
        // Without a proposal there is nothing to send back, and the answer is kept all the same.
        if self.proposal(&task).is_ok() {
            drop(self.send_back(SendBack { conflicts: vec![failed], ..SendBack::rest(task) }));
        }
    }

    pub(super) fn send_back(&mut self, order: SendBack) -> Result<(), Refusal> {
        let SendBack { task, comments, rest, rebase, quotes, conflicts } = order;
        let rest = rest && !self.proposal(&task)?.accepted().is_empty();
        self.withdraw_decisions_of(&task);
        self.make_stale(&task);
        self.send_remarks(&task, &quotes, conflicts);
        self.emit(Event::TaskRequeued { task, requeue: Requeue::SentBack { comments, rest, rebase } });
        Ok(())
    }

    /// Gathers what was said about the proposal and did not go to an agent yet: comments, rejections, and what the
    /// caller adds.
    pub(super) fn send_remarks(&mut self, task: &TaskId, quotes: &BTreeMap<HunkId, Quote>, further: Vec<Remark>) {
        let Some(record) = self.state.record(task) else { return };
        let mut remarks = Vec::new();
        for (proposal, (hunk, why)) in record.proposal.iter().flat_map(|it| it.rejections().map(move |hunk| (it, hunk)))
        {
            let quote = quotes.get(&hunk.id);
            remarks.push(Remark {
                kind: RemarkKind::Rejected,
                hunk: Some(hunk.id.clone()),
                path: Some(hunk.path.clone()),
                line: quote.and_then(|quote| quote.line),
                text: why.unwrap_or_default().to_owned(),
                quote: quote.and_then(|quote| quote.diff.clone()),
                again: proposal.again.contains(&hunk.id),
                ..Remark::default()
            });
        }
        for comment in record.comments.iter().filter(|comment| !comment.sent) {
            remarks.push(Remark {
                comment: Some(comment.id.clone()),
                hunk: comment.hunk.clone(),
                path: comment.path.clone(),
                line: comment.line,
                text: comment.text.clone(),
                quote: comment.quote.clone(),
                ..Remark::default()
            });
        }
        remarks.extend(further);
        if !remarks.is_empty() {
            self.emit(Event::RemarksSent { task: task.clone(), remarks });
        }
    }

    pub(super) fn comment(&mut self, task: TaskId, mut comment: Comment) -> Result<(), Refusal> {
        if comment.text.trim().is_empty() {
            return Err(Refusal::EmptyComment);
        }
        if !self.state.tasks.contains_key(&task) && self.state.record(&task).is_none() {
            return Err(Refusal::NoTask(task));
        }
        // What was looked at may have been sent back meanwhile; the words wait for the next round then.
        let Some(record) = self.state.record(&task).filter(|record| record.round > 0 && !record.done) else {
            return Err(Refusal::NoProposal(task));
        };
        if let Some(proposal) = &record.proposal {
            if let Some(unknown) = comment.hunk.as_ref().filter(|id| !proposal.has(id)) {
                return Err(Refusal::NoHunk { task, hunk: unknown.0.clone() });
            }
            let about = proposal.hunks.iter().find(|hunk| Some(&hunk.id) == comment.hunk.as_ref());
            comment.path = comment.path.or_else(|| about.map(|hunk| hunk.path.clone()));
        }
        comment.id = format!("c{}", record.commented + 1);
        comment.round = record.round;
        self.emit(Event::CommentMade { task, comment });
        Ok(())
    }

    pub(super) fn drop_comment(&mut self, task: TaskId, id: String) -> Result<(), Refusal> {
        let record = self.state.record(&task);
        if !record.is_some_and(|record| record.comments.iter().any(|comment| comment.id == id)) {
            return Err(Refusal::NoComment { task, id });
        }
        self.emit(Event::CommentDropped { task, id });
        Ok(())
    }

    /// The commit exists, whatever happened to its tasks meanwhile; it counts for those that are still done.
    pub(super) fn landed(&mut self, mut landing: Landing) {
        let is_new = |record: &Record| record.landed.as_ref().is_none_or(|landed| landed.commit != landing.commit);
        let counts = |task: &TaskId| self.state.record(task).is_some_and(|record| record.done && is_new(record));
        let tasks = landing.tasks.iter().filter(|task| counts(task)).cloned().collect();
        landing.tasks = tasks;
        if !landing.tasks.is_empty() {
            self.emit(Event::Landed { landing, at_ms: self.now_ms });
        }
    }

    pub(super) fn landing_undone(&mut self, commit: String) {
        let of_it = |record: &Record| record.landed.as_ref().is_some_and(|landed| landed.commit == commit);
        let records = self.state.records.iter().filter(|(_, record)| of_it(record));
        let mut tasks: Vec<TaskId> = records.map(|(task, _)| task.clone()).collect();
        tasks.sort();
        if !tasks.is_empty() {
            self.emit(Event::LandingUndone { tasks, commit });
        }
    }

    pub(super) fn found_on_disk(&mut self, task: TaskId, found: &BTreeSet<HunkId>) {
        let Ok(proposal) = self.proposal(&task) else { return };
        // Somebody may have accepted more, or dropped the task, while the disk was looked at.
        let dropped = self.state.tasks.get(&task).is_some_and(|task| task.status == Status::Dropped);
        if dropped || !proposal.accepted().is_subset(found) {
            return;
        }
        let none_rejected = proposal.rejected().is_empty();
        if !proposal.is_decided() || !(none_rejected || proposal.part_holds()) {
            return;
        }
        // With everything rejected there is nothing that could be done.
        if !proposal.hunks.is_empty() && proposal.accepted().is_empty() {
            return;
        }
        self.emit(Event::TaskDone { task: task.clone() });
        self.order(Effect::WriteStatus { task, status: Status::Done });
    }
}
