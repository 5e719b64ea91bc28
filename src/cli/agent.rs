//! `ralph-sidecar agent FILE`: drives an agent through one turn; started by the engine, not by people.

use super::error::{data, other};
use crate::infra::agents;
use crate::protocol::engine_api::ApiError;
use std::path::Path;

/// Runs the command; the exit code is 0 when the turn came to its regular end, else 1.
///
/// # Errors
///
/// An order that cannot be read.
pub fn run(order: &Path) -> Result<u8, ApiError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| other(format!("start the driver: {error}")))?;
    let ended = runtime.block_on(agents::drive(order));
    runtime.shutdown_background();
    let ending = ended.map_err(|error| data(format!("read the order {}: {error}", order.display())))?;
    Ok(u8::from(ending.failure.is_some()))
}
