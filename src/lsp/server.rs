//! tower-lsp's handlers: each posts one message to the session at once and waits for the answer, nothing else.
//!
//! The first statement of every handler is the synchronous post. tower-lsp starts handlers in arrival order but lets
//! them run on in any, so what comes before the first wait is the only thing that is ordered.

use super::gate::Link;
use super::message::{Message, Reply, failed};
use crate::protocol::editor::{self, Command};
use futures::FutureExt;
use futures::future::BoxFuture;
use lsp_types::*;
use serde_json::Value;
use std::future::Future;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;
use tower_lsp::jsonrpc::Result;
use tower_lsp::{Client, ClientSocket, LanguageServer, LspService};

/// The handlers; they own nothing but the way to the session.
#[derive(Debug)]
pub struct Server {
    session: UnboundedSender<Message>,
    link: Arc<Link>,
}

/// Builds the service with all methods of the editor protocol, and the client it speaks to.
pub fn service(session: UnboundedSender<Message>, link: Arc<Link>) -> (LspService<Server>, ClientSocket, Client) {
    let mut client = None;
    let builder = LspService::build(|made| {
        client = Some(made);
        Server { session, link }
    });
    let mut builder = builder
        .custom_method("window/workDoneProgress/cancel", Server::progress_cancel)
        .custom_method("workspace/textDocumentContent", Server::content)
        .custom_method(editor::CONTENT, Server::content);
    for command in Command::ALL {
        let run = move |server: &Server, params: Value| -> BoxFuture<'static, Result<Value>> {
            server.ask(|reply| Message::Command(command, params, reply)).boxed()
        };
        builder = builder.custom_method(command.method(), run);
    }
    let (service, socket) = builder.finish();
    let client = client.unwrap_or_else(|| unreachable!("tower-lsp calls the constructor at once"));
    (service, socket, client)
}

impl Server {
    fn post(&self, message: Message) {
        // An error means that the session has ended; the connection is ending too.
        drop(self.session.send(message));
    }

    fn ask<T: Send + 'static>(
        &self,
        message: impl FnOnce(Reply<T>) -> Message,
    ) -> impl Future<Output = Result<T>> + Send + 'static {
        let (reply, answer) = Reply::new();
        self.post(message(reply));
        async move { answer.await.unwrap_or_else(|_| Err(failed("the request was given up; see the log"))) }
    }

    async fn progress_cancel(&self, params: WorkDoneProgressCancelParams) {
        self.post(Message::ProgressCancel(match params.token {
            NumberOrString::Number(number) => number.to_string(),
            NumberOrString::String(text) => text,
        }));
    }

    async fn content(&self, params: editor::ContentParams) -> Result<Value> {
        self.ask(|reply| Message::Content(params.uri, reply)).await
    }
}

#[tower_lsp::async_trait]
impl LanguageServer for Server {
    async fn initialize(&self, _: InitializeParams) -> Result<InitializeResult> {
        let params = self.link.take_initialize_params();
        let result = self.ask(|reply| Message::Initialize(params, reply)).await?;
        self.link.set_initialize_result(result);
        Ok(InitializeResult::default())
    }

    async fn initialized(&self, _: InitializedParams) {
        self.post(Message::Initialized);
    }

    async fn shutdown(&self) -> Result<()> {
        self.ask(Message::Shutdown).await
    }

    async fn did_open(&self, params: DidOpenTextDocumentParams) {
        self.post(Message::DidOpen(params));
    }

    async fn did_change(&self, params: DidChangeTextDocumentParams) {
        self.post(Message::DidChange(params));
    }

    async fn did_save(&self, params: DidSaveTextDocumentParams) {
        self.post(Message::DidSave(params));
    }

    async fn did_close(&self, params: DidCloseTextDocumentParams) {
        self.post(Message::DidClose(params));
    }

    async fn did_change_configuration(&self, params: DidChangeConfigurationParams) {
        self.post(Message::DidChangeConfiguration(params.settings));
    }

    async fn did_change_workspace_folders(&self, params: DidChangeWorkspaceFoldersParams) {
        self.post(Message::DidChangeWorkspaceFolders(params));
    }

    async fn did_change_watched_files(&self, params: DidChangeWatchedFilesParams) {
        self.post(Message::DidChangeWatchedFiles(params));
    }

    async fn code_action(&self, params: CodeActionParams) -> Result<Option<CodeActionResponse>> {
        self.ask(|reply| Message::CodeAction(params, reply)).await
    }

    async fn code_action_resolve(&self, action: CodeAction) -> Result<CodeAction> {
        self.ask(|reply| Message::CodeActionResolve(action, reply)).await
    }

    async fn code_lens(&self, params: CodeLensParams) -> Result<Option<Vec<CodeLens>>> {
        self.ask(|reply| Message::CodeLens(params, reply)).await
    }

    async fn completion(&self, params: CompletionParams) -> Result<Option<CompletionResponse>> {
        self.ask(|reply| Message::Completion(params, reply)).await
    }

    async fn hover(&self, params: HoverParams) -> Result<Option<Hover>> {
        self.ask(|reply| Message::Hover(params, reply)).await
    }

    async fn goto_definition(&self, params: GotoDefinitionParams) -> Result<Option<GotoDefinitionResponse>> {
        self.ask(|reply| Message::Definition(params, reply)).await
    }

    async fn document_symbol(&self, params: DocumentSymbolParams) -> Result<Option<DocumentSymbolResponse>> {
        self.ask(|reply| Message::DocumentSymbol(params, reply)).await
    }

    async fn execute_command(&self, params: ExecuteCommandParams) -> Result<Option<Value>> {
        self.ask(|reply| Message::ExecuteCommand(params, reply)).await
    }
}
