//! The server's tools: a call becomes a report in the mailbox, and its result tells what is unread in the inbox.

use crate::infra::agent_side::{Attempt, NOT_INSIDE};
use crate::protocol::config::Role;
use crate::protocol::report_tools::{self, ToolCall, Way};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, Implementation, ListToolsResult,
    PaginatedRequestParams, ProtocolVersion, ServerCapabilities, ServerConfig, Tool, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};
use serde_json::{Map, Value};
use std::borrow::Cow;
use tokio::sync::Mutex;

/// Serves one agent.
pub struct Server {
    attempt: Option<Attempt>,
    role: Role,
    /// One call at a time, in the order in which they came.
    turn: Mutex<()>,
}

impl Server {
    pub fn new(attempt: Option<Attempt>, role: Role) -> Self {
        Self { attempt, role, turn: Mutex::default() }
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("ralph-sidecar", env!("CARGO_PKG_VERSION")))
            .with_instructions(
                "These tools tell the user how your task goes. Nobody reads what you write otherwise: what is not \
                 reported did not happen. Their results also bring what the user says meanwhile, so call \
                 report_progress whenever you begin with something else.",
            )
    }

    /// Versions without a handshake are left to later: agents that know them fall back.
    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(ProtocolVersion::known_up_to(&ProtocolVersion::LATEST_WITH_INITIALIZE))
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(report_tools::tools(self.role).map(to_tool).collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = report_tools::tool(&request.name) else {
            let known: Vec<&str> = report_tools::tools(self.role).map(|tool| tool.name).collect();
            let message = format!("there is no tool `{}`; the tools are: {}", request.name, known.join(", "));
            return Err(ErrorData::invalid_params(message, None));
        };
        let (attempt, role, arguments) = (self.attempt.clone(), self.role, request.arguments.unwrap_or_default());
        let _turn = self.turn.lock().await;
        let done = tokio::task::spawn_blocking(move || perform(attempt.as_ref(), role, tool, arguments)).await;
        let result = match done {
            Ok(Ok(text)) => CallToolResult::success(vec![ContentBlock::text(text)]),
            Ok(Err(text)) => CallToolResult::error(vec![ContentBlock::text(text)]),
            Err(error) => CallToolResult::error(vec![ContentBlock::text(format!("failed to report: {error}"))]),
        };
        Ok(result.into())
    }
}

fn to_tool(tool: &'static report_tools::Tool) -> Tool {
    // A report changes nothing where the agent works, so that no agent needs to ask before it reports.
    let hints = ToolAnnotations::new().read_only(true).destructive(false).open_world(false);
    Tool::new(tool.name, tool.about, tool.schema()).with_annotations(hints)
}

/// Carries out a call; blocks on the disk. The error is for the agent as well.
fn perform(
    attempt: Option<&Attempt>,
    role: Role,
    tool: &report_tools::Tool,
    arguments: Map<String, Value>,
) -> Result<String, String> {
    let attempt = attempt.ok_or_else(|| format!("failed to {NOT_INSIDE}"))?;
    let result = if tool.is_for(role) {
        tool.call(arguments).and_then(|call| match call {
            ToolCall::Report(report) => attempt
                .report(report)
                .map(|()| tool.taken.to_owned())
                .map_err(|error| format!("failed to {error}\nNothing was reported; call {} again.", tool.name)),
            ToolCall::CheckInbox => Ok(String::new()),
        })
    } else {
        let own: Vec<&str> = report_tools::tools(role).map(|tool| tool.name).collect();
        Err(format!("{} is not for the role {role}; its tools are: {}", tool.name, own.join(", ")))
    };
    let mut told = String::new();
    let heard = attempt.hand_on(|messages| {
        told = report_tools::unread(messages, Way::Tool).unwrap_or_default();
        Ok(())
    });
    let unread = match heard {
        Ok(()) => told,
        Err(error) => format!("What the user may have said is unread: failed to {error}"),
    };
    match result {
        Ok(text) if text.is_empty() && unread.is_empty() => Ok(tool.taken.to_owned()),
        Ok(text) => Ok(joined(text, &unread)),
        Err(text) => Err(joined(text, &unread)),
    }
}

fn joined(text: String, more: &str) -> String {
    match (text.is_empty(), more.is_empty()) {
        (_, true) => text,
        (true, false) => more.to_owned(),
        (false, false) => format!("{text}\n\n{more}"),
    }
}
