//! The composition root: the engine's ports get their real implementations here, and only here.

use super::engine::{Compose, EngineContext, Service};
use crate::domain::reduce::{Input, decide};
use crate::domain::state::State;
use crate::domain::task::TaskId;
use crate::engine::actor;
use crate::engine::commands::with_settings;
use crate::engine::context::from_port;
use crate::engine::handle::Handle;
use crate::engine::ports::{Clock, Journal, PortError, QueueRead, RunBoard, World};
use crate::engine::prompt::{self, Kind, Template};
use crate::engine::view;
use crate::infra::journal::SqliteJournal;
use crate::infra::launch;
use crate::infra::paths::{Homes, StatePaths};
use crate::infra::queue_store::{QueueStore, understand};
use crate::infra::repository::Repository;
use crate::infra::runner::Runner;
use crate::infra::sandbox::Places;
use crate::infra::settings_source::{FileSettings, SystemClock};
use crate::infra::workshop::GitWorkshop;
use crate::protocol::config::Settings;
use crate::protocol::engine_api::{ApiError, ErrorKind, Snapshot};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Makes the engine of a repository: one actor per checkout, started when a front end first asks for it.
pub fn compose() -> Compose {
    Arc::new(|context: EngineContext| {
        Box::pin(async move {
            let board = RunBoard::default();
            let opened: Arc<Mutex<HashMap<PathBuf, Handle>>> = Arc::default();
            let (paths, runs, orders) = (context.paths.clone(), board.clone(), board.clone());
            // What an engine before this one left on goes on without a front end asking.
            for root in left_running(&paths) {
                match open_checkout(&paths, &root, runs.clone()).await {
                    Ok(handle) => drop(opened.lock().await.insert(root, handle)),
                    // Front ends of that checkout will be told the same; those of others can work.
                    Err(error) => tracing::error!(%error, root = %root.display(), "a run that was on cannot go on"),
                }
            }
            let factory = Arc::new(move |root: PathBuf| {
                let (paths, runs, opened) = (paths.clone(), runs.clone(), Arc::clone(&opened));
                let opening: futures::future::BoxFuture<'static, Result<Handle, ApiError>> = Box::pin(async move {
                    let mut opened = opened.lock().await;
                    if let Some(handle) = opened.get(&root) {
                        return Ok(handle.clone());
                    }
                    let handle = open_checkout(&paths, &root, runs).await?;
                    opened.insert(root, handle.clone());
                    Ok(handle)
                });
                opening
            });
            Ok(Service {
                factory,
                is_busy: Arc::new(move || board.is_busy()),
                // Facts are durable before they are visible; what was ordered because of them is carried out.
                shutdown: Arc::new(move || {
                    let orders = orders.clone();
                    Box::pin(async move { orders.settled().await })
                }),
            })
        })
    })
}

/// Returns the checkouts whose journal says that a run is on: the main one and linked worktrees that are still there.
fn left_running(paths: &StatePaths) -> Vec<PathBuf> {
    let linked = std::fs::read_dir(paths.repository.join("checkouts")).into_iter().flatten().flatten();
    let folders = std::iter::once(paths.repository.clone()).chain(linked.map(|entry| entry.path()));
    let left = |folder: PathBuf| {
        let mut journal = SqliteJournal::open_to_read(&folder.join("journal.db")).ok()??;
        State::fold(&journal.load().ok()?).run?;
        let root = std::fs::read_to_string(folder.join(ROOT_FILE)).ok()?;
        let root = PathBuf::from(root.trim_end_matches('\n'));
        // Something else may be in its place by now.
        let checkout = super::connect::discover(&root).ok()?;
        let own = StatePaths::from_env(&checkout.common_git_dir).ok()?.repository == paths.repository
            && paths.checkout_state(&checkout.root).ok()?.root == folder;
        own.then_some(checkout.root)
    };
    folders.filter_map(left).collect()
}

/// Says which checkout a state folder belongs to.
const ROOT_FILE: &str = "checkout";

async fn open_checkout(paths: &StatePaths, root: &Path, runs: RunBoard) -> Result<Handle, ApiError> {
    let paths = paths.checkout_state(root)?;
    let failed = |error: std::io::Error| {
        from_port(PortError::new(format!("write into {}: {error}", paths.root.display())).with_hint("make it writable"))
    };
    std::fs::create_dir_all(&paths.attempts).map_err(failed)?;
    std::fs::write(paths.root.join(ROOT_FILE), format!("{}\n", root.display())).map_err(failed)?;
    let homes = Homes::from_env()?;
    let repository = Repository::discover(root).map_err(|error| from_port(PortError::from(error)))?;
    let program =
        launch::program().map_err(|error| from_port(PortError::new(format!("find this program: {error}"))))?;
    let places = Places {
        checkout: root.to_path_buf(),
        common_dir: repository.common_dir().to_path_buf(),
        state: paths.repository.clone(),
    };
    let (mailboxes, slots) = (paths.mailboxes.clone(), paths.slots.clone());
    let runner = Runner::new(program, &paths.root, mailboxes, slots, places).map_err(from_port)?;
    let world = World {
        root: root.to_path_buf(),
        queue: Arc::new(QueueStore::new(root)),
        settings: Arc::new(FileSettings::new(&homes, &paths, root)),
        workshop: Arc::new(GitWorkshop::open(repository, &paths).map_err(from_port)?),
        processes: Arc::new(runner),
        clock: Arc::new(SystemClock),
        attempts: paths.attempts.clone(),
        runs,
    };
    let journal = SqliteJournal::open(&paths.journal).map_err(from_port)?;
    actor::start(world, Box::new(journal)).await.map_err(from_port)
}

/// Reads what is known about a checkout without an engine: the journal folded, and the queue as it is now.
///
/// # Errors
///
/// When the folder is in no usable repository, or the journal cannot be read.
pub fn read_snapshot(root: &Path) -> Result<Snapshot, ApiError> {
    let known = read_known(root)?;
    let snapshot = view::snapshot(&known.state, known.seq, known.problem, SystemClock.now_ms());
    Ok(with_settings(&known.root, known.settings.read(), snapshot))
}

/// Makes the prompt that the next attempt of a task would get, without an engine.
///
/// # Errors
///
/// As [`read_snapshot`], for a task the queue does not have, and for a template that cannot be used.
pub fn next_prompt(root: &Path, id: &TaskId) -> Result<String, ApiError> {
    let known = read_known(root)?;
    let task = known.state.tasks.get(id).ok_or_else(|| {
        ApiError::new(ErrorKind::Usage, format!("find task `{id}`: the queue has none of this name"))
            .with_hint("ralph-sidecar tasks list")
    })?;
    let (layers, _) = known.settings.read().map_err(from_port)?;
    let file = known.root.join(Kind::Implementer.path());
    let own = match std::fs::read(&file) {
        Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            return Err(ApiError::new(ErrorKind::Data, format!("failed to read {}: {error}", file.display())));
        }
    };
    let template = Template::new(Kind::Implementer, &known.root, own);
    prompt::preview(&template, &Settings::resolve(&layers), &known.state, task).map_err(from_port)
}

/// What the files of a checkout tell.
struct Known {
    root: PathBuf,
    state: State,
    /// Of the last event.
    seq: u64,
    /// What is wrong with the queue file.
    problem: Option<String>,
    settings: FileSettings,
}

fn read_known(root: &Path) -> Result<Known, ApiError> {
    let checkout = super::connect::discover(root)?;
    let homes = Homes::from_env()?;
    let paths = StatePaths::open(&homes, &checkout.common_git_dir)?.checkout_state(&checkout.root)?;
    let (mut state, seq) = match SqliteJournal::open_to_read(&paths.journal).map_err(from_port)? {
        None => (State::default(), 0),
        Some(mut journal) => {
            let events = journal.load().map_err(from_port)?;
            (State::fold(&events), events.len() as u64)
        }
    };
    let settings = FileSettings::new(&homes, &paths, &checkout.root);
    let mut problem = None;
    let queue = checkout.root.join(".ralph/queue.json");
    match std::fs::read(&queue) {
        Ok(bytes) => match understand(&String::from_utf8_lossy(&bytes)) {
            // An engine that is on has read it already; otherwise this is what it will make of it.
            QueueRead::Good { tasks, goals, warnings } => {
                problem = warnings.first().map(|first| match warnings.len() {
                    1 => format!("`.ralph/queue.json`, {first}"),
                    all => format!("`.ralph/queue.json`, {first} (and {} more)", all - 1),
                });
                foresee(&mut state, Input::QueueRead { tasks, goals, head_moved: true });
            }
            QueueRead::Broken { problem: why } => problem = Some(format!("`.ralph/queue.json` cannot be used: {why}")),
            QueueRead::Missing => {}
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(ApiError::new(ErrorKind::Data, format!("failed to read {}: {error}", queue.display())));
        }
    }
    if let Ok(commands) = settings.trusted_now() {
        foresee(&mut state, Input::TrustRead { commands });
    }
    Ok(Known { root: checkout.root, state, seq, problem, settings })
}

/// Folds what an engine would record, and records nothing.
fn foresee(state: &mut State, input: Input) {
    if let Ok((events, _)) = decide(state, input, SystemClock.now_ms()) {
        // Claims are the engine's: only what the files say is foreseen.
        let told = |event: &&crate::domain::event::Event| {
            use crate::domain::event::Event;
            matches!(event, Event::QueueChanged { .. } | Event::TrustRead { .. } | Event::TaskDone { .. })
        };
        for event in events.iter().filter(told) {
            state.apply(event);
        }
    }
}
