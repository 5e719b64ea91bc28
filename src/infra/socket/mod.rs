//! The engine's local socket: one line of JSON per message, a hello first, then calls one way and replies and events
//! the other.

mod client;
mod lines;
mod server;
mod session;

pub use client::{OpenError, RemoteEngine};
pub use lines::HELLO_LIMIT;
pub use server::{Server, ServerOptions};

use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::engine::handle::Handle;
use crate::protocol::engine_api::ApiError;

/// Finds or makes the engine of a checkout, given its canonical root.
pub type Factory = Arc<dyn Fn(PathBuf) -> BoxFuture<'static, Result<Handle, ApiError>> + Send + Sync>;

#[cfg(test)]
mod tests;
