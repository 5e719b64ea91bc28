//! A landing that is on, kept on disk: what an engine that dies in the middle of it leaves for the next one to find.
//!
//! Written before git makes the commit, removed when the journal has the landing. The next engine ends a git that is
//! still on, so that no commit comes that nobody knows of; where the commit is there, it brings the index up to it.

use super::bounded;
use super::index::{self, IndexChange, Staged};
use super::{LandingRecord, UserGit};
use crate::domain::landing::{LandTo, Landing};
use crate::domain::task::TaskId;
use crate::engine::ports::{PortError, PortResult};
use crate::infra::durable::atomic_write;
use crate::infra::processes::ProcessId;
use crate::infra::workshop::Inside;
use crate::infra::workshop::undo::Entry;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::path::PathBuf;

/// How git names the deed in the branch's log.
pub(super) const DEED: &str = "ralph: land";
/// How many commits back from a branch's tip one of ours is looked for.
const BACK: usize = 1000;

/// What a landing is about to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Left {
    pub tasks: Vec<TaskId>,
    pub to: LandTo,
    pub branch: String,
    /// The commit below the one to be made.
    pub parent: String,
    /// What the branch pointed at before.
    pub previous: Option<String>,
    pub tree: String,
    /// The commit, where it is made before the branch moves.
    #[serde(default)]
    pub commit: Option<String>,
    /// What becomes of entries of the index that are staged otherwise than in the last commit.
    #[serde(default)]
    pub staged: Vec<IndexChange>,
    /// The git that makes the commit.
    #[serde(default)]
    pub process: Option<ProcessId>,
}

impl Left {
    fn path(inside: &Inside) -> PathBuf {
        inside.index.with_file_name("landing.json")
    }

    /// Writes it durably.
    pub(super) fn keep(&self, inside: &Inside) -> PortResult<()> {
        let path = Self::path(inside);
        let bytes = serde_json::to_vec(self).map_err(|error| PortError::new(format!("keep what lands: {error}")))?;
        atomic_write(&path, &bytes).map_err(|error| PortError::new(format!("write {}: {error}", path.display())))
    }

    fn read(inside: &Inside) -> PortResult<Option<Self>> {
        let path = Self::path(inside);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(PortError::new(format!("read {}: {error}", path.display()))),
        };
        let understood = serde_json::from_slice(&bytes);
        understood.map(Some).map_err(|error| PortError::new(format!("understand {}: {error}", path.display())))
    }

    /// Returns the commit of this landing, where the branch has it: right above its parent, and made by us as the
    /// branch's log says. Where that log is not kept, a commit of just what was to be committed counts.
    pub(super) fn made(&self, inside: &Inside) -> PortResult<Option<String>> {
        let Some(mut commit) = inside.repository.branch_tip(&self.branch)? else { return Ok(None) };
        for _ in 0..BACK {
            let parents = inside.repository.parents_of(&commit)?;
            if parents.first() == Some(&self.parent) {
                let ours = match (&self.commit, inside.repository.deed(&self.branch, &commit)?) {
                    (Some(made), _) => *made == commit,
                    (None, Some(deed)) => deed.starts_with(DEED),
                    (None, None) => inside.repository.tree_of(&commit)? == self.tree,
                };
                return Ok(Some(commit).filter(|_| ours && parents.len() == 1));
            }
            match parents.into_iter().next() {
                Some(parent) => commit = parent,
                None => break,
            }
        }
        Ok(None)
    }

    pub(super) fn landing(&self, commit: String) -> Landing {
        let (tasks, branch, previous) = (self.tasks.clone(), self.branch.clone(), self.previous.clone());
        Landing { tasks, to: self.to, commit, previous, branch }
    }
}

/// Keeps the process that makes the commit, as soon as it is there.
pub(super) fn with_process(inside: &Inside, left: &RefCell<Left>, process: ProcessId) {
    left.borrow_mut().process = Some(process);
    if let Err(error) = left.borrow().keep(inside) {
        tracing::warn!(%error, "a git that is on would outlive the engine");
    }
}

/// Removes it: the journal has the landing, or there is none.
pub(in crate::infra::workshop) fn forget(inside: &Inside) -> PortResult<()> {
    let path = Left::path(inside);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(PortError::new(format!("remove {}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

/// Ends what an earlier engine had begun, and returns its commit where that was made.
pub(in crate::infra::workshop) fn take_up(inside: &Inside) -> PortResult<Option<Landing>> {
    let Some(left) = Left::read(inside)? else { return Ok(None) };
    if let Some(process) = left.process {
        bounded::end_left(process);
    }
    let Some(commit) = left.made(inside)? else {
        forget(inside)?;
        return Ok(None);
    };
    let landing = left.landing(commit);
    if inside.undo.has_landing(&landing.commit) {
        return Ok(Some(landing));
    }
    let mut changes = Vec::new();
    if left.to == LandTo::Commit {
        let git = UserGit::new(inside)?;
        let paths = inside.repository.changed_paths(&left.parent, &landing.commit)?;
        let wanted = Staged::of(left.staged).changes(inside, &left.parent, &landing.commit, &paths)?;
        changes = index::bring_up(inside, &git, &wanted)?;
    }
    inside.undo.keep(&Entry::of_landing(LandingRecord { landing: landing.clone(), index: changes }))?;
    Ok(Some(landing))
}
