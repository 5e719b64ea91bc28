//! Drivers: each speaks the protocol of one kind of agent for one turn, and prints what happens as lines of
//! [`crate::protocol::agent_lines`]. A driver is a process of its own under the supervisor, so that an agent that is
//! talked to outlives an engine that dies. All that is known about a particular agent is in its file here.

mod acp;
pub mod built_in;
mod child;
mod claude;
mod codex;
mod driving;
#[cfg(test)]
mod fake;
pub mod find;
#[cfg(test)]
mod recorded;
mod session;
mod steering;

pub use child::{AgentChild, ChildEvent, ChildInput, ChildLine, Launch};
pub use session::Session;

use crate::domain::ending::Ending;
use crate::domain::outcome::Outcome;
use crate::protocol::config::AgentKind;
use crate::protocol::drive::DriveOrder;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// The server through which an agent reports, as agents are told of servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpServer {
    pub command: String,
    pub args: Vec<String>,
    pub env: BTreeMap<String, String>,
}

/// The name under which agents know our server; their tools are named after it.
pub const MCP_NAME: &str = "ralph";

impl McpServer {
    /// Returns our server with what it needs of this driver's environment, which some agents do not pass on.
    pub fn ours() -> io::Result<Self> {
        let command = std::env::current_exe()?.display().to_string();
        let env = std::env::vars().filter(|(name, _)| name.starts_with("RALPH_")).collect();
        Ok(Self { command, args: vec!["mcp".into()], env })
    }
}

/// Returns the command line that the driver of this order starts, for a person to read; none where no program is. What
/// differs from turn to turn is left out or named.
pub fn command_line(order: &DriveOrder, own_program: &str) -> Option<Vec<String>> {
    let server = McpServer { command: own_program.to_owned(), args: vec!["mcp".into()], env: BTreeMap::new() };
    match order.agent.kind {
        AgentKind::Claude => Some(claude::command_line(order, &server)),
        AgentKind::Codex => Some(codex::command_line(order)),
        AgentKind::Acp | AgentKind::Command => Some(order.agent.command.clone()),
        AgentKind::BuiltIn | AgentKind::Scripted => None,
    }
}

/// Reads the order in the file, drives the agent through one turn and prints how it ended.
///
/// # Errors
///
/// When the order cannot be read. How the agent ends is never an error here: it is the last line printed.
pub async fn drive(order: &Path) -> io::Result<Ending> {
    let order: DriveOrder = serde_json::from_slice(&std::fs::read(order)?)?;
    let mut session = Session::begin(order)?;
    let ending = match session.order().agent.kind {
        AgentKind::Command | AgentKind::Scripted => Ending::failed(
            Outcome::InvalidOutput,
            format!("the agent `{}` is started as it is, without a driver", session.order().name),
        ),
        AgentKind::Acp => acp::drive(&mut session).await,
        AgentKind::Claude => claude::drive(&mut session).await,
        AgentKind::Codex => codex::drive(&mut session).await,
        AgentKind::BuiltIn => built_in::drive(&mut session).await,
    };
    Ok(session.end(ending))
}
