//! What this session has said about hunks and the engine has not shown yet.
//!
//! An acceptance and its undo may be milliseconds apart. Until the engine's own state has caught up, what was said last
//! counts here; otherwise a hunk would show as decided, pending and decided again while the messages pass each other.

use crate::domain::event::Mark;
use crate::domain::hunks::HunkId;
use crate::domain::task::TaskId;
use crate::protocol::engine_api::TaskView;
use std::collections::HashMap;

/// The marks that were told and are not settled.
#[derive(Debug, Default)]
pub struct Marks {
    entries: HashMap<TaskId, HashMap<HunkId, Entry>>,
    serial: u64,
}

#[derive(Debug)]
struct Entry {
    mark: Mark,
    serial: u64,
    /// The engine has replied.
    told: bool,
    /// The engine's last word on the hunk was this mark.
    seen: bool,
}

impl Marks {
    /// Notes what is being told; returns the number the reply is matched by.
    pub fn tell(&mut self, task: &TaskId, hunks: &[HunkId], mark: &Mark) -> u64 {
        self.serial += 1;
        for hunk in hunks {
            let entry = Entry { mark: mark.clone(), serial: self.serial, told: false, seen: false };
            self.entries.entry(task.clone()).or_default().insert(hunk.clone(), entry);
        }
        self.serial
    }

    /// Takes what the engine says about tasks.
    pub fn see(&mut self, views: &[TaskView]) {
        for view in views {
            let Some(entries) = self.entries.get_mut(&view.task.id) else { continue };
            for hunk in view.proposal.iter().flat_map(|proposal| &proposal.hunks) {
                if let Some(entry) = entries.get_mut(&hunk.id) {
                    entry.seen = entry.mark == hunk.state;
                }
            }
        }
        self.retain(|entry| !(entry.told && entry.seen));
    }

    /// Takes the engine's reply; tells whether only a fresh snapshot can say what holds now.
    pub fn told(&mut self, serial: u64, accepted: bool) -> bool {
        let mut open = false;
        self.retain(|entry| {
            if entry.serial != serial {
                return true;
            }
            entry.told = true;
            open |= !(accepted && entry.seen);
            accepted && !entry.seen
        });
        open
    }

    /// Takes a whole snapshot, asked for after the replies: it settles what was told.
    pub fn settle(&mut self) {
        self.retain(|entry| !entry.told);
    }

    fn retain(&mut self, mut keeps: impl FnMut(&mut Entry) -> bool) {
        self.entries.retain(|_, entries| {
            entries.retain(|_, entry| keeps(entry));
            !entries.is_empty()
        });
    }

    /// Puts the unsettled marks over what the engine says.
    pub fn apply(&self, views: &mut [TaskView]) {
        for view in views {
            let Some(entries) = self.entries.get(&view.task.id) else { continue };
            for hunk in view.proposal.iter_mut().flat_map(|proposal| &mut proposal.hunks) {
                if let Some(entry) = entries.get(&hunk.id) {
                    hunk.state = entry.mark.clone();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::Outcome;
    use crate::domain::queue::LiveState;
    use crate::domain::task::Task;
    use crate::protocol::engine_api::{HunkSummary, ProposalSummary};

    fn view(state: Mark) -> TaskView {
        let hunk = HunkSummary { id: HunkId::from("h"), path: "f".into(), state, changed: false, again: false };
        let proposal = ProposalSummary {
            attempt: 1,
            outcome: Outcome::Verified,
            base: String::new(),
            head: String::new(),
            files: Vec::new(),
            hunks: vec![hunk],
            summary: None,
            part_kept: false,
            part: None,
            round: 1,
        };
        let task = Task::new("t", "T");
        TaskView {
            task,
            state: LiveState::Review,
            why: String::new(),
            attempts: Vec::new(),
            proposal: Some(proposal),
            questions: Vec::new(),
            comments: Vec::new(),
            used: Default::default(),
            landed: None,
            landable: false,
        }
    }

    fn shown(marks: &mut Marks, engine: Mark) -> Mark {
        let mut views = [view(engine)];
        marks.see(&views);
        marks.apply(&mut views);
        views[0].proposal.as_ref().map(|proposal| proposal.hunks[0].state.clone()).unwrap_or_default()
    }

    fn tell(marks: &mut Marks, mark: &Mark) -> u64 {
        marks.tell(&TaskId::from("t"), &[HunkId::from("h")], mark)
    }

    #[test]
    fn what_was_said_last_counts_until_the_engine_shows_it() {
        let mut marks = Marks::default();
        let accept = tell(&mut marks, &Mark::Accepted);
        assert_eq!(shown(&mut marks, Mark::Pending), Mark::Accepted);
        let withdraw = tell(&mut marks, &Mark::Pending);
        assert!(!marks.told(accept, true), "what was said since is what counts");
        assert_eq!(shown(&mut marks, Mark::Accepted), Mark::Pending);
        assert_eq!(shown(&mut marks, Mark::Pending), Mark::Pending);
        assert!(!marks.told(withdraw, true));
        assert_eq!(shown(&mut marks, Mark::Accepted), Mark::Accepted, "settled: the engine's word counts again");
    }

    #[test]
    fn a_refusal_and_a_change_by_somebody_else_are_settled_by_a_snapshot() {
        let mut marks = Marks::default();
        let serial = tell(&mut marks, &Mark::Accepted);
        assert!(marks.told(serial, false));
        assert_eq!(shown(&mut marks, Mark::Pending), Mark::Pending);
        let serial = tell(&mut marks, &Mark::Accepted);
        assert!(marks.told(serial, true));
        let rejected = Mark::Rejected { why: None };
        assert_eq!(shown(&mut marks, rejected.clone()), Mark::Accepted);
        marks.settle();
        assert_eq!(shown(&mut marks, rejected.clone()), rejected);
    }
}
