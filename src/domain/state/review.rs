//! Folding what is about review: proposals, marks, comments, rounds.

use super::{Part, Proposal, Record, State};
use crate::domain::event::{Event, HunkRef, Mark};
use crate::domain::hunks::HunkId;
use crate::domain::landing::AcceptedPart;
use crate::domain::rounds::{Carried, pair};
use std::collections::BTreeMap;

impl State {
    pub(super) fn apply_proposal(&mut self, event: &Event) {
        match event {
            Event::ProposalMade { attempt, base, head, hunks, stands_on } => {
                let record = self.record_mut(&attempt.task);
                record.landed = None;
                let Carried { marks, changed, .. } = record.next_round(hunks);
                let rejected = marks.iter().filter(|(_, mark)| matches!(mark, Mark::Rejected { .. }));
                let again = rejected.map(|(hunk, _)| hunk.clone()).collect();
                record.proposal = Some(Proposal {
                    attempt: attempt.number,
                    base: base.clone(),
                    head: head.clone(),
                    hunks: hunks.clone(),
                    marks,
                    stands_on: stands_on.clone(),
                    stale: None,
                    part_kept: false,
                    part: Part::NotVerified,
                    changed,
                    again,
                });
            }
            Event::ProposalStale { task, because } => {
                if let Some(proposal) = &mut self.record_mut(task).proposal {
                    proposal.stale = Some(because.clone());
                }
            }
            Event::ProposalMoved { task, base, head, hunks, stands_on } => {
                let record = self.record_mut(task);
                let Some(proposal) = &mut record.proposal else { return };
                let same = pair(&proposal.hunks, hunks);
                proposal.move_to(hunks, &same, record.round > 1);
                proposal.base = base.clone();
                proposal.head = head.clone();
                proposal.stands_on = stands_on.clone();
                proposal.stale = None;
                record.move_comments(&same);
            }
            Event::HunksMarked { task, hunks, mark, .. } => {
                let Some(proposal) = &mut self.record_mut(task).proposal else { return };
                for hunk in hunks {
                    match mark {
                        Mark::Pending => proposal.marks.remove(hunk),
                        mark => proposal.marks.insert(hunk.clone(), mark.clone()),
                    };
                }
                proposal.part = Part::NotVerified;
            }
            Event::AcceptedPartKept { task } => {
                if let Some(proposal) = &mut self.record_mut(task).proposal {
                    proposal.part_kept = true;
                    // Kept again, it is checked again.
                    if matches!(proposal.part, Part::Failed(_)) {
                        proposal.part = Part::NotVerified;
                    }
                }
            }
            Event::AcceptedPartChecked { task, hunks, checks, failed } => {
                let proposal = self.record_mut(task).proposal.as_mut();
                if let Some(proposal) = proposal.filter(|proposal| proposal.accepted() == *hunks) {
                    proposal.part = match failed {
                        Some(detail) => Part::Failed(detail.clone()),
                        None => Part::Verified(checks.clone()),
                    };
                }
            }
            Event::AcceptedPartTaken { task } => {
                if let Some(proposal) = &mut self.record_mut(task).proposal {
                    proposal.part = Part::Taken;
                }
            }
            _ => {}
        }
    }

    pub(super) fn apply_comment(&mut self, event: &Event) {
        match event {
            Event::CommentMade { task, comment } => {
                let record = self.record_mut(task);
                record.commented += 1;
                record.comments.push(comment.clone());
            }
            Event::CommentDropped { task, id } => self.record_mut(task).comments.retain(|comment| comment.id != *id),
            Event::RemarksSent { task, remarks } => {
                let record = self.record_mut(task);
                for comment in &mut record.comments {
                    comment.sent |= remarks.iter().any(|remark| remark.comment.as_ref() == Some(&comment.id));
                }
                record.remarks.extend(remarks.iter().cloned());
            }
            _ => {}
        }
    }
}

impl Record {
    /// Puts the proposal away; what was decided about it counts for the next.
    pub(super) fn end_round(&mut self) {
        if let Some(proposal) = self.proposal.take() {
            let accepted = proposal.accepted();
            if !accepted.is_empty() {
                // It is in the files, so no later proposal has it.
                let (base, head) = (proposal.base.clone(), proposal.head.clone());
                self.earlier.push(AcceptedPart { base, head, accepted });
            }
            self.decided.end_round(&proposal.hunks, &proposal.marks);
        }
    }

    /// Begins a round with these hunks; returns what they take over.
    fn next_round(&mut self, hunks: &[HunkRef]) -> Carried {
        self.end_round();
        self.round += 1;
        let carried = self.decided.carry(hunks);
        self.move_comments(&carried.same);
        carried
    }

    /// Comments follow their hunks to the new ids.
    fn move_comments(&mut self, same: &BTreeMap<HunkId, HunkId>) {
        for hunk in self.comments.iter_mut().filter_map(|comment| comment.hunk.as_mut()) {
            if let Some(new) = same.get(hunk) {
                *hunk = new.clone();
            }
        }
    }
}

impl Proposal {
    /// Takes other hunks, as they are on another base; `in_rounds` when there was a round before this one.
    fn move_to(&mut self, hunks: &[HunkRef], same: &BTreeMap<HunkId, HunkId>, in_rounds: bool) {
        let moved = |id: &HunkId| same.get(id).cloned();
        self.marks = self.marks.iter().filter_map(|(id, mark)| Some((moved(id)?, mark.clone()))).collect();
        self.again = self.again.iter().filter_map(moved).collect();
        self.changed = self.changed.iter().filter_map(moved).collect();
        if in_rounds {
            let kept: Vec<&HunkId> = same.values().collect();
            self.changed.extend(hunks.iter().map(|hunk| &hunk.id).filter(|id| !kept.contains(id)).cloned());
        }
        self.hunks = hunks.to_vec();
        self.part = Part::NotVerified;
    }
}
