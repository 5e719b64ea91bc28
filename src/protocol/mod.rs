//! Pure types and texts at the borders.

pub mod agent_lines;
pub mod config;
pub mod drive;
pub mod editor;
pub mod engine_api;
pub mod jsonc;
pub mod line_index;
pub mod plan_text;
pub mod queue_schema;
pub mod queue_text;
pub mod quoting;
pub mod report_tools;
pub mod reset_time;
pub mod todos;
