//! What the client can do, resolved once into named booleans, and what the server says it can do.
//!
//! A capability that is missing removes a nicety, never a function: each field says what stands in for it.

use crate::protocol::editor::{Command, SCHEME, SECTION};
use lsp_types::*;
use serde_json::{Value, json};

/// The client's capabilities that make a difference. Not asked for: whether diagnostics come back with their `data`
/// (subjects are found by URI and range) and whether files can be watched (the engine does). All `false` is the minimal client, which can still do everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCapabilities {
    /// Edits may name document versions. Else: `changes`, computed against the newest text.
    pub document_changes: bool,
    /// Edits may create, rename and delete files. Else: the engine writes files that are not open.
    pub resource_operations: bool,
    /// Code actions may be objects with edits. Else: bare commands.
    pub code_action_literals: bool,
    /// The edit of a code action may be computed when it is chosen. Else: the action carries a command.
    pub code_action_resolve: bool,
    /// A code action keeps `data` between request and resolve. Else: as without resolve.
    pub code_action_data: bool,
    /// Diagnostics may point to other places. Else: the place is named in the message.
    pub related_information: bool,
    /// Diagnostics may carry the version of the document they are about. Else: they do not.
    pub diagnostic_versions: bool,
    /// Lenses can be asked to come again. Else: they are right at the next request.
    pub code_lens_refresh: bool,
    /// Progress can be shown. Else: `ralph/status`, diagnostics and lenses show it.
    pub work_done_progress: bool,
    /// The server may change documents. Else: the engine writes to disk.
    pub apply_edit: bool,
    /// The person can be asked by `window/showMessageRequest`. It has no capability of its own, and Emacs and Helix have
    /// it without naming it, so any client with window capabilities counts. Else: refused with what to pass instead.
    pub show_message_actions: bool,
    /// The client can open a document on request. Else: the reply names the URI.
    pub show_document: bool,
    /// Settings can be asked for. Else: those of `initialize` and `didChangeConfiguration` hold.
    pub configuration: bool,
    /// Hovers may be Markdown. Else: plain text.
    pub hover_markdown: bool,
    /// Completions may hold placeholders. Else: plain text.
    pub snippets: bool,
    /// Symbols may be nested. Else: a flat list.
    pub nested_symbols: bool,
    /// Definitions may name the range they came from. Else: plain locations.
    pub definition_links: bool,
    /// The client asks for `ralph:` documents by itself (LSP 3.18). Else: `ralph/content`.
    pub text_document_content: bool,
    /// The client wants the output of agents as it comes. Else: in the transcript.
    pub output: bool,
    /// The client answers `ralph/input`. Else: texts come as command arguments or from a selection.
    pub input: bool,
    /// The client says by itself that a run has ended, with a button. Else: `window/showMessage`.
    pub run_ended: bool,
}

impl ClientCapabilities {
    /// Reads the parameters of `initialize` as sent; what has an unexpected form counts as missing.
    pub fn from_initialize(params: &Value) -> Self {
        let capabilities = &params["capabilities"];
        let at = |pointer: &str| capabilities.pointer(pointer);
        let flag = |pointer: &str| at(pointer).and_then(Value::as_bool).unwrap_or(false);
        let there = |pointer: &str| at(pointer).is_some_and(|value| !value.is_null() && value != &json!(false));
        let lists = |pointer: &str, wanted: &[&str]| {
            let listed = at(pointer).and_then(Value::as_array);
            listed.is_some_and(|listed| wanted.iter().all(|item| listed.iter().any(|entry| entry == item)))
        };
        Self {
            document_changes: flag("/workspace/workspaceEdit/documentChanges"),
            resource_operations: lists("/workspace/workspaceEdit/resourceOperations", &["create", "rename", "delete"]),
            code_action_literals: there("/textDocument/codeAction/codeActionLiteralSupport"),
            code_action_resolve: lists("/textDocument/codeAction/resolveSupport/properties", &["edit"]),
            code_action_data: flag("/textDocument/codeAction/dataSupport"),
            related_information: flag("/textDocument/publishDiagnostics/relatedInformation"),
            diagnostic_versions: flag("/textDocument/publishDiagnostics/versionSupport"),
            code_lens_refresh: flag("/workspace/codeLens/refreshSupport"),
            work_done_progress: flag("/window/workDoneProgress"),
            apply_edit: flag("/workspace/applyEdit"),
            show_message_actions: there("/window"),
            show_document: flag("/window/showDocument/support"),
            configuration: flag("/workspace/configuration"),
            hover_markdown: lists("/textDocument/hover/contentFormat", &["markdown"]),
            snippets: flag("/textDocument/completion/completionItem/snippetSupport"),
            nested_symbols: flag("/textDocument/documentSymbol/hierarchicalDocumentSymbolSupport"),
            definition_links: flag("/textDocument/definition/linkSupport"),
            text_document_content: there("/workspace/textDocumentContent"),
            output: flag(&format!("/experimental/{SECTION}/output")),
            input: flag(&format!("/experimental/{SECTION}/input")),
            run_ended: flag(&format!("/experimental/{SECTION}/runEnded")),
        }
    }
}

/// Returns the whole result of `initialize`.
///
/// Positions are utf-16 for every client: a buffer whose servers disagree about positions makes editors warn, and this
/// server is never alone.
pub fn initialize_result(client: &ClientCapabilities) -> Value {
    let capabilities = ServerCapabilities {
        position_encoding: Some(PositionEncodingKind::UTF16),
        text_document_sync: Some(TextDocumentSyncCapability::Options(TextDocumentSyncOptions {
            open_close: Some(true),
            change: Some(TextDocumentSyncKind::INCREMENTAL),
            save: Some(TextDocumentSyncSaveOptions::SaveOptions(SaveOptions { include_text: Some(false) })),
            ..TextDocumentSyncOptions::default()
        })),
        hover_provider: Some(HoverProviderCapability::Simple(true)),
        completion_provider: Some(CompletionOptions {
            trigger_characters: Some(vec!["\"".to_owned()]),
            ..CompletionOptions::default()
        }),
        definition_provider: Some(OneOf::Left(true)),
        document_symbol_provider: Some(OneOf::Left(true)),
        code_lens_provider: Some(CodeLensOptions { resolve_provider: Some(false) }),
        code_action_provider: Some(CodeActionProviderCapability::Options(CodeActionOptions {
            code_action_kinds: Some(vec![CodeActionKind::QUICKFIX, CodeActionKind::REFACTOR, CodeActionKind::SOURCE]),
            resolve_provider: Some(client.code_action_resolve && client.code_action_data),
            ..CodeActionOptions::default()
        })),
        execute_command_provider: Some(ExecuteCommandOptions {
            commands: Command::ALL.iter().map(|command| command.name().to_owned()).collect(),
            ..ExecuteCommandOptions::default()
        }),
        workspace: Some(WorkspaceServerCapabilities {
            workspace_folders: Some(WorkspaceFoldersServerCapabilities {
                supported: Some(true),
                change_notifications: Some(OneOf::Left(true)),
            }),
            file_operations: None,
        }),
        experimental: Some(json!({ SECTION: { "version": 1 } })),
        ..ServerCapabilities::default()
    };
    let mut result = json!({
        "capabilities": capabilities,
        "serverInfo": { "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") },
    });
    if client.text_document_content {
        result["capabilities"]["workspace"]["textDocumentContent"] = json!({ "schemes": [SCHEME] });
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_or_missing_capabilities_count_as_missing() {
        for params in
            [json!(null), json!({}), json!({ "capabilities": [] }), json!({ "capabilities": { "workspace": 1 } })]
        {
            assert_eq!(ClientCapabilities::from_initialize(&params), ClientCapabilities::default(), "{params}");
        }
    }

    #[test]
    fn the_position_encoding_is_utf_16_whatever_is_offered() {
        let result = initialize_result(&ClientCapabilities::default());
        assert_eq!(result["capabilities"]["positionEncoding"], "utf-16");
    }
}
