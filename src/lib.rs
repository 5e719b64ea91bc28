//! `ralph-sidecar`: plans, runs and reviews coding-agent loops beside any editor.
//!
//! The layers, in reading order; each may use only those above it, which `tests/it/layers.rs` checks:
//!
//! * [`domain`]: what a queue, an attempt, a decision and a proposal are, and what happens next. Pure.
//! * [`protocol`]: the texts and types at the borders: files, sockets, editors, agents. Pure.
//! * [`engine`]: the loop: one actor that owns the state, and the ports it reaches the world through.
//! * [`infra`]: the only code that touches disk, git, processes, sockets and time.
//! * [`lsp`]: a thin adapter; the only code that names tower-lsp or lsp-types.
//! * [`cli`]: one file per command, and the composition root.

pub mod cli;
pub mod domain;
pub mod engine;
pub mod infra;
pub mod lsp;
pub mod protocol;
