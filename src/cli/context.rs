//! What every command gets: where it was started, how it may speak, and the ways to the engine and the journal.

use super::connect::{self, LocalEngines, Mode};
use super::error::{data, usage};
use super::style::Style;
use super::{compose, output};
use crate::domain::task::TaskId;
use crate::engine::handle::Handle;
use crate::infra::repository::Repository;
use crate::protocol::engine_api::{ApiError, Command, ErrorKind, FrontEnd, Reply, Snapshot, TaskView};
use std::path::PathBuf;
use std::sync::Arc;

/// The surroundings of one command.
#[derive(Clone)]
pub struct Context {
    /// Where to look for the repository from.
    pub dir: PathBuf,
    /// The engines of this process, when they are to live in it: for tests and containers.
    pub local: Option<Arc<LocalEngines>>,
    pub style: Style,
}

impl Context {
    /// Finds the repository.
    ///
    /// # Errors
    ///
    /// `Data` where there is none that can be used.
    pub fn repository(&self) -> Result<Repository, ApiError> {
        // Says what is wrong in the words that every command uses.
        let checkout = connect::discover(&self.dir)?;
        Repository::discover(&checkout.root).map_err(|error| data(format!("failed to {error}")))
    }

    /// Returns the root of the checkout.
    ///
    /// # Errors
    ///
    /// As [`Self::repository`].
    pub fn root(&self) -> Result<PathBuf, ApiError> {
        Ok(self.repository()?.workdir().to_path_buf())
    }

    /// Folds the journal; needs no engine and starts none.
    ///
    /// # Errors
    ///
    /// As [`Self::repository`], and what cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot, ApiError> {
        compose::read_snapshot(&self.root()?)
    }

    /// Reaches the engine, which is started when none is on.
    ///
    /// # Errors
    ///
    /// What keeps it from starting, with the next step.
    pub async fn connect(&self) -> Result<Handle, ApiError> {
        let mode = self.local.clone().map_or(Mode::Process, Mode::InProcess);
        connect::connect(&self.dir, FrontEnd::Terminal, &mode).await
    }

    /// After a refusal for want of trust, asks the person at the terminal and trusts what they agree to.
    ///
    /// # Errors
    ///
    /// The refusal itself, when it has another reason, nobody can be asked, or the person says no.
    pub async fn offer_trust(&self, handle: &Handle, refused: ApiError) -> Result<(), ApiError> {
        let asks = refused.kind == ErrorKind::NotTrusted && !refused.commands.is_empty() && output::can_ask();
        if !asks || !self.shown_and_agreed(&refused.commands, false, false) {
            return Err(refused);
        }
        handle.tell(Command::Trust { commands: refused.commands }).await
    }

    /// Shows command strings that are not trusted yet and asks whether to trust them.
    ///
    /// With `yes`, or when nobody can be asked and `silence_is_yes`, showing them is enough.
    pub fn shown_and_agreed(&self, commands: &[String], yes: bool, silence_is_yes: bool) -> bool {
        if commands.is_empty() {
            return true;
        }
        let mut text = String::from("these commands would run on this machine and are not trusted yet:\n");
        for command in commands {
            text.push_str(&format!("  {}\n", self.style.bold(&super::style::clean(command))));
        }
        output::out(&text);
        if yes {
            return true;
        }
        if output::can_ask() { output::confirm("trust them in this repository?") } else { silence_is_yes }
    }
}

/// Finds a task by its exact id.
///
/// # Errors
///
/// `Usage`, with where to look.
pub fn find_task<'a>(snapshot: &'a Snapshot, id: &str) -> Result<&'a TaskView, ApiError> {
    snapshot.task(&TaskId::from(id)).ok_or_else(|| {
        usage(format!("find task `{id}`: the queue has none of this name")).with_hint("ralph-sidecar tasks list")
    })
}

/// Makes ids of what was typed.
pub fn ids(typed: &[String]) -> Vec<TaskId> {
    typed.iter().map(|id| TaskId::from(id.as_str())).collect()
}

/// Asks which command strings starting these tasks would need trust for; all approved ones for none.
///
/// # Errors
///
/// What the engine says.
pub async fn untrusted(handle: &Handle, tasks: Vec<TaskId>, agent: Option<String>) -> Result<Vec<String>, ApiError> {
    match handle.call(Command::Untrusted { tasks, agent }).await? {
        Reply::Commands(commands) => Ok(commands),
        other => Err(crate::engine::handle::unexpected(&other)),
    }
}
