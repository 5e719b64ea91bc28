//! `ralph-sidecar schema`: prints the JSON schemas of what others read and write.

use super::output;
use crate::protocol::config::config_schema_json;
use crate::protocol::editor::editor_schema_json;
use crate::protocol::queue_schema::queue_schema_json;
use clap::ValueEnum;

/// Which schema.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaName {
    /// `.ralph/queue.json`.
    Queue,
    /// `.ralph/config.json`.
    Config,
    /// The messages beyond the Language Server Protocol.
    Editor,
}

/// Runs the command.
pub fn run(name: SchemaName) {
    output::out(&match name {
        SchemaName::Queue => queue_schema_json(),
        SchemaName::Config => config_schema_json(),
        SchemaName::Editor => editor_schema_json(),
    });
}
