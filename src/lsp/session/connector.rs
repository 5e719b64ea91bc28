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
}
