//! `ralph-sidecar lsp`: serves one editor over standard input and output.

use super::connect::{self, Mode};
use super::context::Context;
use super::error::other;
use super::init::first::First;
use crate::engine::handle::Handle;
use crate::infra::init_files;
use crate::lsp::serve::{Surroundings, serve};
use crate::lsp::session::{self, Connector, FirstConfig, Located};
use crate::protocol::engine_api::{ApiError, FrontEnd};
use async_trait::async_trait;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How often the editor's process is looked at.
const PARENT_POLL: Duration = Duration::from_secs(3);

/// Runs the command; returns the code to exit with.
///
/// # Errors
///
/// When the process cannot listen for signals.
pub async fn run(context: &Context) -> Result<u8, ApiError> {
    // Standard output carries only the protocol; what is worth a line goes to standard error, which editors keep.
    let filter = tracing_subscriber::EnvFilter::try_from_env("RALPH_LOG");
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let logging =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).try_init();
    if let Err(error) = logging {
        tracing::debug!(%error, "a log is set up already");
    }
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|error| other(format!("listen for signals: {error}")))?;
    let surroundings = Surroundings {
        is_alive: Arc::new(is_alive),
        poll: PARENT_POLL,
        terminated: Box::pin(async move {
            terminate.recv().await;
        }),
    };
    let mode = context.local.as_ref().map_or(Mode::Process, |engines| Mode::InProcess(Arc::clone(engines)));
    let connector: Arc<dyn Connector> = Arc::new(Checkouts { mode });
    let outcome = serve(tokio::io::stdin(), tokio::io::stdout(), surroundings, |inbox, outbound| {
        session::run(inbox, outbound, connector)
    })
    .await;
    tracing::info!(?outcome, "the editor is gone");
    Ok(outcome.exit_code())
}

/// Tells whether a process is there, seen from here.
fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // A process of somebody else cannot be signalled, but it is there.
    pid.is_some_and(|pid| matches!(rustix::process::test_kill_process(pid), Ok(()) | Err(rustix::io::Errno::PERM)))
}

/// Finds checkouts and their engines for the session.
pub struct Checkouts {
    pub mode: Mode,
}

#[async_trait]
impl Connector for Checkouts {
    async fn locate(&self, folder: &Path) -> Located {
        let asked = folder.to_owned();
        let located = tokio::task::spawn_blocking(move || locate(&asked)).await;
        located.unwrap_or_else(|_| Located { root: folder.to_owned(), is_set_up: false })
    }

    async fn connect(&self, root: &Path) -> Result<Handle, ApiError> {
        connect::connect(root, FrontEnd::Editor, &self.mode).await
    }

    async fn read(&self, path: &Path) -> Option<String> {
        tokio::fs::read_to_string(path).await.ok()
    }

    async fn propose(&self, root: &Path) -> Result<Option<FirstConfig>, String> {
        if root.join(CONFIG).exists() {
            return Ok(None);
        }
        let first = First::find().await;
        if first.proposal.chain.is_empty() {
            return Err(format!("no agent was found that can be used:\n{}", first.missing().join("\n")));
        }
        Ok(Some(FirstConfig {
            question: first.question(),
            commands: first.commands(),
            text: first.text(),
            chain: first.proposal.chain,
        }))
    }

    async fn set_up(&self, root: &Path, first: FirstConfig) -> Result<(), String> {
        let root = root.to_owned();
        let written = tokio::task::spawn_blocking(move || {
            let failed = |error: ApiError| error.to_string();
            let checkout = connect::discover(&root).map_err(failed)?;
            let path = root.join(CONFIG);
            let told = |error: std::io::Error| format!("failed to write {}: {error}", path.display());
            // First, so that git never shows the new folder.
            init_files::exclude(&checkout.common_git_dir).map_err(told)?;
            match init_files::write_new(&path, &first.text).map_err(told)? {
                true => Ok(()),
                false => Err(format!("{} was written by someone else just now", path.display())),
            }
        });
        written.await.map_err(|error| format!("failed to write {CONFIG}: {error}"))?
    }
}

/// The configuration of a checkout.
const CONFIG: &str = ".ralph/config.json";

/// Walks up to the checkout without following links, so that the paths stay those the editor uses.
fn locate(folder: &Path) -> Located {
    let root = folder.ancestors().find(|ancestor| ancestor.join(".git").exists());
    let root = root.map_or_else(|| folder.to_owned(), PathBuf::from);
    let is_set_up = root.join(".ralph").is_dir();
    Located { root, is_set_up }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkout_is_found_from_below_and_spelled_as_asked() {
        let folder = tempfile::tempdir().expect("a folder");
        let real = folder.path().join("real");
        std::fs::create_dir_all(real.join(".git")).expect("made");
        std::fs::create_dir_all(real.join("src/deep")).expect("made");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&real, &link).expect("linked");
        assert_eq!(locate(&link.join("src/deep")), Located { root: link.clone(), is_set_up: false });
        std::fs::create_dir(real.join(".ralph")).expect("made");
        assert_eq!(locate(&link), Located { root: link, is_set_up: true });
        let outside = folder.path().join("elsewhere");
        assert_eq!(locate(&outside), Located { root: outside.clone(), is_set_up: false });
    }

    #[test]
    fn this_process_is_alive_and_an_impossible_one_is_not() {
        assert!(is_alive(std::process::id()));
        assert!(!is_alive(0));
        assert!(!is_alive(u32::MAX));
    }
}
