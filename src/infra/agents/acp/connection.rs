//! The connection with an agent: the crate that speaks the protocol, behind types of our own. No other file names it.
//!
//! What the agent sends is handed on as JSON and not as the crate's types, so that fields and kinds of updates that are
//! newer than the crate are kept.

use agent_client_protocol::schema::ProtocolVersion;
use agent_client_protocol::v1::schema::{
    AGENT_METHOD_NAMES, CLIENT_METHOD_NAMES, CancelNotification, ClientCapabilities, ContentBlock,
    ElicitationCapabilities, ElicitationFormCapabilities, EnvVariable, Implementation, InitializeRequest,
    LoadSessionRequest, McpServer as Server, McpServerStdio, NewSessionRequest, PromptRequest, ResumeSessionRequest,
    SetSessionConfigOptionRequest, TextContent,
};
use agent_client_protocol::v1::{ConnectionTo, Responder};
use agent_client_protocol::{
    Agent, Client, Error, Lines, UntypedMessage, is_connection_terminated, is_incoming_transport_closed,
    on_receive_notification, on_receive_request,
};
use futures::future::BoxFuture;
use futures::{FutureExt, sink, stream};
use serde::Serialize;
use serde_json::{Value, json};
use std::io;
use std::path::Path;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::infra::agents::{MCP_NAME, McpServer};

/// Lines of the agent that may wait for the protocol.
const WAITING: usize = 32;
/// The method of an earlier draft by which some agents still have their model set.
const SET_MODEL: &str = "session/set_model";

/// What an agent answers with when it cannot do what it was asked, and what the protocol does when it has gone.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RpcError {
    pub code: i32,
    pub message: String,
    pub data: Value,
    /// The agent did not answer at all: its output ended.
    pub gone: bool,
}

/// An answer that is awaited.
pub(super) type Answer = BoxFuture<'static, Result<Value, RpcError>>;

/// What an agent sends by itself.
pub(super) enum Incoming {
    /// The `update` of a `session/update`.
    Update(Value),
    /// A notification of another kind.
    Notification {
        method: String,
        params: Value,
    },
    Permission {
        params: Value,
        reply: Reply,
    },
    Elicitation {
        params: Value,
        reply: Reply,
    },
    /// A request that we never offered to answer.
    Unknown {
        method: String,
        reply: Reply,
    },
}

/// Answers one request of the agent; when dropped, the agent gets an error.
pub(super) struct Reply(Responder<Value>);

impl Reply {
    /// Takes the permission's option with this id, or cancels the question.
    pub fn permission(self, option: Option<&str>) {
        let outcome = match option {
            Some(id) => json!({ "outcome": "selected", "optionId": id }),
            None => json!({ "outcome": "cancelled" }),
        };
        self.send(json!({ "outcome": outcome }));
    }

    pub fn decline(self) {
        self.send(json!({ "action": "decline" }));
    }

    /// Says that it is done, with nothing to add.
    pub fn done(self) {
        self.send(json!({}));
    }

    pub fn not_offered(self) {
        // An agent that has gone needs no answer; so in the next function.
        let _ = self.0.respond_with_error(Error::method_not_found());
    }

    fn send(self, answer: Value) {
        let _ = self.0.respond(answer);
    }
}

/// An open connection; the agent's input is closed when this is dropped.
pub(super) struct Connection {
    agent: ConnectionTo<Agent>,
    /// Where the agent's lines go in.
    pub lines: mpsc::Sender<String>,
    pub incoming: mpsc::UnboundedReceiver<Incoming>,
    task: JoinHandle<()>,
}

impl Connection {
    /// Opens a connection whose lines to the agent are written to `input`.
    ///
    /// # Errors
    ///
    /// When the protocol's task ends before it began, which only happens when the runtime is ending.
    pub async fn open(input: impl AsyncWrite + Send + Unpin + 'static) -> io::Result<Self> {
        let (lines, waiting) = mpsc::channel::<String>(WAITING);
        let (heard, incoming) = mpsc::unbounded_channel();
        let (give, given) = oneshot::channel();
        let transport = Lines::new(
            sink::unfold(input, |mut input, line: String| async move {
                input.write_all(line.as_bytes()).await?;
                input.write_all(b"\n").await?;
                input.flush().await?;
                Ok::<_, io::Error>(input)
            }),
            stream::unfold(waiting, |mut waiting| async move { waiting.recv().await.map(|line| (Ok(line), waiting)) }),
        );
        let asked = heard.clone();
        let talk = Client
            .v1()
            .name("ralph-sidecar")
            .on_receive_request(
                async move |request: UntypedMessage, responder: Responder<Value>, _| {
                    // Nobody is left to hear it once the turn is over.
                    let _ = asked.send(request_of(request, Reply(responder)));
                    Ok(())
                },
                on_receive_request!(),
            )
            .on_receive_notification(
                async move |notification: UntypedMessage, _| {
                    let _ = heard.send(notification_of(notification));
                    Ok(())
                },
                on_receive_notification!(),
            )
            .connect_with(transport, async move |agent: ConnectionTo<Agent>| {
                let _ = give.send(agent);
                // The task is aborted when the connection is dropped.
                std::future::pending::<Result<(), Error>>().await
            });
        let task = tokio::spawn(async move {
            if let Err(error) = talk.await {
                tracing::debug!(%error, "the connection with the agent ended");
            }
        });
        let agent = given.await.map_err(|_| io::Error::other("the connection with the agent did not begin"))?;
        Ok(Self { agent, lines, incoming, task })
    }

    /// Tells the protocol that the agent's output has ended: what is awaited will not come.
    pub fn end_lines(&mut self) {
        // A channel without a receiver takes the place of the one that is dropped.
        self.lines = mpsc::channel(1).0;
    }

    /// Ends the connection, which closes the agent's input.
    pub fn close(&self) {
        self.task.abort();
    }

    /// Tells what we can: questions by form, but no files and no terminals, so that the agent uses its own.
    pub fn initialize(&self) -> Answer {
        let forms = ElicitationCapabilities::new().form(ElicitationFormCapabilities::new());
        let request = InitializeRequest::new(ProtocolVersion::V1)
            .client_capabilities(ClientCapabilities::new().elicitation(forms))
            .client_info(Implementation::new("ralph-sidecar", env!("CARGO_PKG_VERSION")));
        self.request(AGENT_METHOD_NAMES.initialize, request)
    }

    pub fn new_session(&self, cwd: &Path, server: &McpServer) -> Answer {
        let request = NewSessionRequest::new(cwd).mcp_servers(vec![server_of(server)]);
        self.request(AGENT_METHOD_NAMES.session_new, request)
    }

    /// Continues a session; the agent tells its history again.
    pub fn load_session(&self, session: &str, cwd: &Path, server: &McpServer) -> Answer {
        let request = LoadSessionRequest::new(session.to_owned(), cwd).mcp_servers(vec![server_of(server)]);
        self.request(AGENT_METHOD_NAMES.session_load, request)
    }

    /// Continues a session without its history.
    pub fn resume_session(&self, session: &str, cwd: &Path, server: &McpServer) -> Answer {
        let request = ResumeSessionRequest::new(session.to_owned(), cwd).mcp_servers(vec![server_of(server)]);
        self.request(AGENT_METHOD_NAMES.session_resume, request)
    }

    pub fn set_option(&self, session: &str, option: &str, value: &str) -> Answer {
        let request = SetSessionConfigOptionRequest::new(session.to_owned(), option.to_owned(), value);
        self.request(AGENT_METHOD_NAMES.session_set_config_option, request)
    }

    pub fn set_model(&self, session: &str, model: &str) -> Answer {
        self.request(SET_MODEL, json!({ "sessionId": session, "modelId": model }))
    }

    pub fn prompt(&self, session: &str, text: &str) -> Answer {
        let text = ContentBlock::Text(TextContent::new(text));
        self.request(AGENT_METHOD_NAMES.session_prompt, PromptRequest::new(session.to_owned(), vec![text]))
    }

    /// Asks the agent to end its turn; the awaited answer to the prompt then comes with `cancelled`.
    pub fn cancel(&self, session: &str) {
        let params = CancelNotification::new(session.to_owned());
        if let Ok(message) = UntypedMessage::new(AGENT_METHOD_NAMES.session_cancel, params) {
            // An agent that has gone needs no word.
            let _ = self.agent.send_notification(message);
        }
    }

    fn request(&self, method: &str, params: impl Serialize) -> Answer {
        match UntypedMessage::new(method, params) {
            Ok(message) => {
                let sent = self.agent.send_request(message);
                async move { sent.block_task().await.map_err(error_of) }.boxed()
            }
            Err(error) => std::future::ready(Err(error_of(error))).boxed(),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

fn error_of(error: Error) -> RpcError {
    let gone = is_incoming_transport_closed(&error) || is_connection_terminated(&error);
    RpcError { code: error.code.value(), message: error.message, data: error.data.unwrap_or_default(), gone }
}

fn server_of(server: &McpServer) -> Server {
    let env = server.env.iter().map(|(name, value)| EnvVariable::new(name.clone(), value.clone())).collect();
    Server::Stdio(McpServerStdio::new(MCP_NAME, &server.command).args(server.args.clone()).env(env))
}

fn request_of(request: UntypedMessage, reply: Reply) -> Incoming {
    let (method, params) = request.into_parts();
    match method.as_str() {
        name if name == CLIENT_METHOD_NAMES.session_request_permission => Incoming::Permission { params, reply },
        name if name == CLIENT_METHOD_NAMES.elicitation_create => Incoming::Elicitation { params, reply },
        _ => Incoming::Unknown { method, reply },
    }
}

fn notification_of(notification: UntypedMessage) -> Incoming {
    let (method, mut params) = notification.into_parts();
    if method == CLIENT_METHOD_NAMES.session_update
        && let Some(update) = params.get_mut("update")
    {
        return Incoming::Update(update.take());
    }
    Incoming::Notification { method, params }
}
