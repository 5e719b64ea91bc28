//! `ralph-sidecar`: plans, runs and reviews coding-agent loops beside any editor.
//!
//! The layers, in reading order; each may use only those above it, which `tests/it/layers.rs` checks:
//!
//! * [`domain`]: what a queue, an attempt, a decision and a proposal are, and what happens next. Pure.

pub mod domain;
