//! `ralph-sidecar scripted-agent FILE`: plays the scripted agent; started by the engine, not by people.

use super::error::data;
use crate::infra::scripted::{Script, Stage};
use crate::protocol::engine_api::ApiError;
use std::path::Path;

/// Runs the command; returns the exit code the script asks for.
///
/// # Errors
///
/// A script that cannot be read, and the first step that fails.
pub fn run(script: &Path) -> Result<u8, ApiError> {
    let play = || Script::read(script)?.play(&Stage::from_env()?);
    play().map_err(|error| {
        data(format!("play the scripted agent: {error}")).with_hint("docs/scripted-agent.md has every step")
    })
}
