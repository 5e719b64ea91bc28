//! Mappings of one text, kept for all who ask: lenses, hovers, actions, diagnostics, and the proposal itself.
//!
//! They belong to a text and go with it. What else a mapping depends on is in the question: the proposal by its commits,
//! which say what base and hunks are, and what was decided about each hunk. One with another answer is made anew.

use super::root::Key;
use crate::domain::review::Mapped;
use crate::domain::task::TaskId;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

/// What is mapped: the text hunks of one file of a proposal.
pub struct Subject<'a> {
    pub task: &'a TaskId,
    pub key: &'a Key,
    /// Of the file, on the new side.
    pub path: &'a str,
    /// Rejected hunks are left out. Who asks with them and who asks without do not take each other's place.
    pub leaves_out: bool,
}

/// What was decided about a hunk, as far as its mapping depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    Open,
    Accepted,
    LeftOut,
}

/// The mappings of one text.
#[derive(Debug, Default)]
pub struct Placements {
    known: RefCell<HashMap<(TaskId, String, bool), Placement>>,
}

#[derive(Debug)]
struct Placement {
    key: Key,
    /// In the order of the file's text hunks.
    decided: Vec<Decided>,
    mapping: Arc<[Mapped]>,
}

impl Placements {
    /// Returns the mapping that is known, else the one that `map` makes.
    pub fn get(&self, subject: &Subject<'_>, decided: &[Decided], map: impl FnOnce() -> Vec<Mapped>) -> Arc<[Mapped]> {
        let place = (subject.task.clone(), subject.path.to_owned(), subject.leaves_out);
        let holds = |known: &Placement| known.key == *subject.key && known.decided == decided;
        if let Some(known) = self.known.borrow().get(&place).filter(|known| holds(known)) {
            return Arc::clone(&known.mapping);
        }
        let mapping: Arc<[Mapped]> = map().into();
        let known = Placement { key: subject.key.clone(), decided: decided.to_vec(), mapping: Arc::clone(&mapping) };
        self.known.borrow_mut().insert(place, known);
        mapping
    }
}
