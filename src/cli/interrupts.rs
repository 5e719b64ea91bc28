//! Ctrl-C, counted.

use super::error::other;
use crate::protocol::engine_api::ApiError;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Counts Ctrl-C from now on: none is missed between two looks, and none ends this process any more. Two that come
/// before the first is looked at may count as one.
///
/// # Errors
///
/// When the system does not let signals be listened for.
pub fn interrupts() -> Result<mpsc::UnboundedReceiver<()>, ApiError> {
    let mut presses =
        signal(SignalKind::interrupt()).map_err(|error| other(format!("listen for interrupts: {error}")))?;
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move { while presses.recv().await.is_some() && sender.send(()).is_ok() {} });
    Ok(receiver)
}
