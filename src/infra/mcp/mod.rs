//! Reports by MCP: a server over standard input and output, started by an agent, whose tools are
//! [`crate::protocol::report_tools`]. The only code that names rmcp.

mod server;
mod transport;

use super::agent_side::Attempt;
use crate::protocol::config::Role;
use rmcp::ServiceExt;
use server::Server;
use std::io;
use transport::Stdio;

/// Serves until standard input ends. Outside an attempt it serves too, and every call says why it cannot report.
///
/// # Errors
///
/// When standard output cannot be written.
pub async fn serve(attempt: Option<Attempt>, role: Role) -> io::Result<()> {
    match Server::new(attempt, role).serve(Stdio::new()).await {
        Ok(running) => running.waiting().await.map(drop).map_err(io::Error::other),
        // A client that only wanted to see whether it starts.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => Ok(()),
        Err(error) => Err(io::Error::other(error)),
    }
}
