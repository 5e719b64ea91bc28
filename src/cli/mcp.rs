//! `ralph-sidecar mcp`: serves the tools through which an agent reports; started by the agent.

use super::error::other;
use crate::infra::{agent_side, mcp};
use crate::protocol::engine_api::ApiError;

/// Runs the command, until standard input ends.
///
/// # Errors
///
/// When standard output cannot be written.
pub fn run() -> Result<(), ApiError> {
    // One thread, so that calls are taken in the order in which they come.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| other(format!("start the server: {error}")))?;
    let served = runtime.block_on(mcp::serve(agent_side::Attempt::own(), agent_side::own_role()));
    // A read of standard input that nobody waits for must not keep the program.
    runtime.shutdown_background();
    served.map_err(|error| other(format!("serve the agent: {error}")))
}
