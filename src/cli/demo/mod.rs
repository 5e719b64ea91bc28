//! `ralph-sidecar demo`: the whole loop in a temporary folder, with an agent that follows a script.
//!
//! The command starts itself again with a home of its own, so that nothing of the user's is read or written: `story` is
//! what that inner program does, `script` is what the repository and the agent are made of.

mod script;
mod story;

use super::context::Context;
use super::error::other;
use super::output;
use crate::infra::mailbox::MAILBOX;
use crate::infra::paths::{CONFIG_HOME, STATE_HOME};
use crate::protocol::engine_api::ApiError;
use clap::Args;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// Options of `demo`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct DemoArgs {
    /// Leave the folder, to look around in it.
    #[arg(long)]
    pub keep: bool,
    /// Play inside this folder, which was made for it.
    #[arg(long, value_name = "FOLDER", hide = true)]
    pub stage: Option<PathBuf>,
}

/// Runs the command; returns the exit code.
///
/// # Errors
///
/// When the folder cannot be made, and what goes wrong in the story.
pub async fn run(context: &Context, args: DemoArgs) -> Result<u8, ApiError> {
    if let Some(stage) = &args.stage {
        return story::play(context, stage).await.map(|()| 0);
    }
    let folder = tempfile::Builder::new().prefix("ralph-demo-").tempdir();
    let folder = folder.map_err(|error| other(format!("make a temporary folder: {error}")))?;
    let code = play_apart(folder.path()).await;
    if args.keep {
        let path = folder.keep();
        output::out(&kept(&path));
    }
    code
}

/// Plays the story in a process whose home, configuration and state are inside the folder.
async fn play_apart(folder: &Path) -> Result<u8, ApiError> {
    let failed = |what: &str, error: std::io::Error| other(format!("{what} the demonstration: {error}"));
    let program = std::env::current_exe().map_err(|error| failed("find the program of", error))?;
    for home in ["home", "run"] {
        std::fs::create_dir(folder.join(home)).map_err(|error| failed("make the folders of", error))?;
    }
    let mut command = Command::new(program);
    command.args(["--in-process", "demo", "--stage"]).arg(folder).current_dir(folder);
    let inherited = std::env::vars_os().map(|(name, _)| name);
    for name in inherited.filter(|name| name.to_string_lossy().starts_with("GIT_")) {
        command.env_remove(name);
    }
    for name in [MAILBOX, "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"] {
        command.env_remove(name);
    }
    command
        .env("HOME", folder.join("home"))
        .env("XDG_RUNTIME_DIR", folder.join("run"))
        .env(STATE_HOME, folder.join("state"))
        .env(CONFIG_HOME, folder.join("config"))
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null");
    let mut child = command.spawn().map_err(|error| failed("start", error))?;
    loop {
        tokio::select! {
            status = child.wait() => {
                let status = status.map_err(|error| failed("wait for", error))?;
                return Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(super::error::STOPPED));
            }
            // The terminal sends it to the inner program as well; this one stays to remove the folder.
            _ = tokio::signal::ctrl_c() => {}
        }
    }
}

fn kept(folder: &Path) -> String {
    let path = folder.display();
    format!(
        "\nthe folder stays: {path}\nto look around in it:\n  \
         cd {path}/{repository}\n  \
         export {STATE_HOME}={path}/state {CONFIG_HOME}={path}/config\n  \
         ralph-sidecar status --all\n  \
         ralph-sidecar log {task}\n\
         when you are done: rm -r {path}\n",
        repository = script::REPOSITORY,
        task = script::GREET,
    )
}
