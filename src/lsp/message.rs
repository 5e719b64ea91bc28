//! Everything that can reach the session from the client, as one closed enum, and the way to answer.

use crate::protocol::editor::Command;
use lsp_types::*;
use serde_json::Value;
use tokio::sync::oneshot;
use tower_lsp::jsonrpc::{Error, ErrorCode};

/// The end of the session's mailbox that the session reads.
pub type Inbox = tokio::sync::mpsc::UnboundedReceiver<Message>;

/// One message of the client, in order of arrival.
#[derive(Debug)]
pub enum Message {
    /// `initialize` with its parameters as sent: the typed ones know no LSP 3.18. Answered with the whole result.
    Initialize(Value, Reply<Value>),
    Initialized,
    DidOpen(DidOpenTextDocumentParams),
    DidChange(DidChangeTextDocumentParams),
    DidSave(DidSaveTextDocumentParams),
    DidClose(DidCloseTextDocumentParams),
    DidChangeConfiguration(Value),
    DidChangeWorkspaceFolders(DidChangeWorkspaceFoldersParams),
    DidChangeWatchedFiles(DidChangeWatchedFilesParams),
    CodeAction(CodeActionParams, Reply<Option<CodeActionResponse>>),
    CodeActionResolve(CodeAction, Reply<CodeAction>),
    CodeLens(CodeLensParams, Reply<Option<Vec<CodeLens>>>),
    Completion(CompletionParams, Reply<Option<CompletionResponse>>),
    Hover(HoverParams, Reply<Option<Hover>>),
    Definition(GotoDefinitionParams, Reply<Option<GotoDefinitionResponse>>),
    DocumentSymbol(DocumentSymbolParams, Reply<Option<DocumentSymbolResponse>>),
    /// `workspace/executeCommand`; the name may be one that was never advertised.
    ExecuteCommand(ExecuteCommandParams, Reply<Option<Value>>),
    /// A `ralph/…` request; the same thing as the command, with its argument as parameters.
    Command(Command, Value, Reply<Value>),
    /// `ralph/content` and `workspace/textDocumentContent`: the text of a `ralph:` document.
    Content(String, Reply<Value>),
    /// `window/workDoneProgress/cancel`.
    ProgressCancel(String),
    /// `shutdown`; the session makes durable what it holds, which is nothing, and answers.
    Shutdown(Reply<()>),
    /// The client is gone or leaving; the session ends after this.
    Closed,
}

/// The duty to answer one request. Dropping it answers with an internal error.
#[derive(Debug)]
pub struct Reply<T>(oneshot::Sender<Result<T, Error>>);

impl<T> Reply<T> {
    /// Makes a duty and the receiver its answer arrives at.
    pub fn new() -> (Self, oneshot::Receiver<Result<T, Error>>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// Answers with a result.
    pub fn ok(self, value: T) {
        self.send(Ok(value));
    }

    /// Answers with an error whose message a person may see.
    pub fn fail(self, message: impl Into<String>) {
        self.send(Err(failed(message)));
    }

    /// Answers; an answer nobody waits for any more is dropped.
    pub fn send(self, answer: Result<T, Error>) {
        drop(self.0.send(answer));
    }

    /// Tells whether the client cancelled the request or left.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_closed()
    }
}

/// `RequestFailed` of LSP 3.17: the request was fine, doing it was not possible.
pub const REQUEST_FAILED: ErrorCode = ErrorCode::ServerError(-32803);

/// Makes a `RequestFailed` error.
pub fn failed(message: impl Into<String>) -> Error {
    Error { code: REQUEST_FAILED, message: message.into().into(), data: None }
}
