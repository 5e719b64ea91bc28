//! What the session needs from outside: engines for folders, and a look at the disk. Given by the composition root.

use crate::engine::handle::Handle;
use crate::protocol::engine_api::ApiError;
use async_trait::async_trait;
use std::path::{Path, PathBuf};

/// Where a folder belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The checkout the folder is in, written as the folder was: symbolic links are not followed, so that paths made
    /// from it are the editor's own.
    pub root: PathBuf,
    /// The checkout has a `.ralph` folder, so that its engine is wanted without anybody asking.
    pub is_set_up: bool,
}

/// A first configuration that could be written for a checkout, after a person agreed to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirstConfig {
    /// The agents in order, as the person is offered them.
    pub chain: Vec<String>,
    /// Everything they must see before they agree.
    pub question: String,
    /// The commands they agree to.
    pub commands: Vec<String>,
    /// The text of the file.
    pub text: String,
}

/// The session's way to engines and to the disk. Its methods may block and are called off the session's thread.
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// Finds the checkout of a folder; the folder itself when it is in none.
    async fn locate(&self, folder: &Path) -> Located;

    /// Starts or finds the engine of a checkout.
    ///
    /// # Errors
    ///
    /// When there is no engine for it; the message is for the person.
    async fn connect(&self, root: &Path) -> Result<Handle, ApiError>;

    /// Reads a file as text, or nothing when it is not there or not UTF-8.
    async fn read(&self, path: &Path) -> Option<String>;

    /// Looks for agents on this machine and proposes a first configuration of a checkout; none where it has one by now.
    ///
    /// # Errors
    ///
    /// A sentence for the person: no agent was found, and what to do about each.
    async fn propose(&self, _root: &Path) -> Result<Option<FirstConfig>, String> {
        Err("no agent is configured; run `ralph-sidecar init` in a terminal".to_owned())
    }

    /// Writes a first configuration, private to the user, where there still is none.
    ///
    /// # Errors
    ///
    /// A sentence for the person.
    async fn set_up(&self, _root: &Path, _first: FirstConfig) -> Result<(), String> {
        Err("the configuration cannot be written from here; run `ralph-sidecar init` in a terminal".to_owned())
    }
}
