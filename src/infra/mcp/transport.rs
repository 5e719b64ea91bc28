//! Messages of the client before rmcp sees them, so that an odd one is answered and never ends the server.
//!
//! Observed in rmcp 3.9: before `initialize` it answers requests it does not know, `server/discover` without metadata
//! included, as if their parameters were wrong, and ends at a notification; and a request whose parameters it cannot
//! read looks to it like one of an unknown method. Clients fall back to `initialize` at -32601 only.

use futures::future::BoxFuture;
use rmcp::RoleServer;
use rmcp::model::{
    CallToolResult, ClientJsonRpcMessage, ClientRequest, ContentBlock, CustomRequest, ErrorCode, ErrorData, RequestId,
    ServerJsonRpcMessage, ServerResult,
};
use rmcp::transport::Transport;
use rmcp::transport::async_rw::AsyncRwTransport;
use std::future::Future;
use std::io;
use tokio::io::{Stdin, Stdout};

/// Standard input and output.
pub struct Stdio {
    inner: AsyncRwTransport<RoleServer, Stdin, Stdout>,
    /// Whether `initialize` was seen.
    begun: bool,
    /// An answer of ours that may not be written yet; kept here because `receive` may be cancelled.
    answer: Option<BoxFuture<'static, io::Result<()>>>,
}

impl Stdio {
    pub fn new() -> Self {
        let inner = AsyncRwTransport::new(tokio::io::stdin(), tokio::io::stdout());
        Self { inner, begun: false, answer: None }
    }
}

impl Transport<RoleServer> for Stdio {
    type Error = io::Error;

    fn send(&mut self, item: ServerJsonRpcMessage) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.inner.send(item)
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            if let Some(answer) = &mut self.answer {
                let written = answer.await;
                self.answer = None;
                written.ok()?;
            }
            match self.inner.receive().await? {
                ClientJsonRpcMessage::Request(request) => {
                    let Some(answer) = own_answer(&request.request, request.id.clone()) else {
                        self.begun |= matches!(request.request, ClientRequest::InitializeRequest(_));
                        return Some(ClientJsonRpcMessage::Request(request));
                    };
                    self.answer = Some(Box::pin(self.inner.send(answer)));
                }
                // There is nothing yet that could be notified or answered.
                _ if !self.begun => {}
                message => return Some(message),
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        self.inner.close().await
    }
}

/// Returns the answer to a request that is not for the server.
fn own_answer(request: &ClientRequest, id: RequestId) -> Option<ServerJsonRpcMessage> {
    /// Whose parameters are read before anybody else sees the request.
    const KNOWN: [&str; 4] = ["initialize", "ping", "tools/list", "tools/call"];
    let unknown =
        |method: &str| ErrorData::new(ErrorCode::METHOD_NOT_FOUND, format!("there is no method `{method}`"), None);
    let error = match request {
        ClientRequest::DiscoverRequest(_) => unknown("server/discover"),
        ClientRequest::CustomRequest(CustomRequest { method, params, .. }) if method == "tools/call" => {
            let named = params.as_ref().is_some_and(|params| params["name"].is_string());
            if named {
                let text = "arguments: they must be an object, with each argument under its name";
                let mut result = CallToolResult::error(vec![ContentBlock::text(text)]);
                // The versions served here do not know it.
                result.result_type = None;
                return Some(ServerJsonRpcMessage::response(ServerResult::CallToolResult(result), id));
            }
            ErrorData::invalid_params("name: is missing; it must be the name of a tool", None)
        }
        ClientRequest::CustomRequest(request) if KNOWN.contains(&request.method.as_str()) => {
            ErrorData::invalid_params(format!("the parameters of {} cannot be understood", request.method), None)
        }
        ClientRequest::CustomRequest(request) => unknown(&request.method),
        _ => return None,
    };
    Some(ServerJsonRpcMessage::error(error, Some(id)))
}
