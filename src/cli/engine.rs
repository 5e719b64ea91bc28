//! `ralph-sidecar engine`: the one process per repository that front ends start when they need it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use futures::future::BoxFuture;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::connect::discover;
use crate::infra::engine_lock::{EngineLock, LockError};
use crate::infra::identity;
use crate::infra::launch::{Readiness, start_detached};
use crate::infra::paths::StatePaths;
use crate::infra::socket::{Factory, Server, ServerOptions};
use crate::protocol::engine_api::{ApiError, ErrorKind};

/// How often an engine that nobody is connected to asks whether a run is still on.
const ASK_BUSY: Duration = Duration::from_secs(1);
/// How long at least a fresh engine waits for its first front end.
const FIRST_VISIT: Duration = Duration::from_secs(10);
/// How often the engine looks whether its lock and its socket are still its own.
const WATCH: Duration = Duration::from_secs(2);
/// How long an engine that was told to end waits for what it has begun.
const LAST_ORDERS: Duration = Duration::from_secs(5);

/// The engine of a repository. Front ends start it by themselves; there is no need to.
#[derive(Args, Clone, Debug)]
pub struct EngineArgs {
    /// A checkout of the repository; the current folder's by default.
    #[arg(long, value_name = "FOLDER")]
    pub root: Option<PathBuf>,
    /// How long to stay when no front end is connected and no run is on, in seconds.
    #[arg(long, value_name = "SECONDS", env = "RALPH_ENGINE_IDLE_SECONDS", default_value_t = 10)]
    pub idle_seconds: u64,
    /// Start the engine in the background and exit; standard input is the pipe to the one who waits.
    #[arg(long, hide = true)]
    pub launch: bool,
    /// Be the engine in the background.
    #[arg(long, hide = true, conflicts_with = "launch")]
    pub detached: bool,
}

/// What an engine is made from.
#[derive(Clone, Debug)]
pub struct EngineContext {
    /// The repository's; a checkout's own by [`StatePaths::checkout_state`].
    pub paths: StatePaths,
    /// Higher than that of every engine before.
    pub generation: u64,
}

/// The engine behind the socket, or in this process.
#[derive(Clone)]
pub struct Service {
    /// Finds or makes the engine of a checkout, given its canonical root.
    pub factory: Factory,
    /// Tells whether a run is on in any checkout. Asked once a second at most; must not block.
    pub is_busy: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Ends in order: what is decided is written, supervisors go on by themselves.
    pub shutdown: Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>,
}

/// Makes the service of a repository, once its lock is held.
pub type Compose = Arc<dyn Fn(EngineContext) -> BoxFuture<'static, Result<Service, ApiError>> + Send + Sync>;

/// The whole process: returns when the engine has ended, in order.
///
/// # Errors
///
/// `NotTrusted` from inside an attempt, `Busy` when another engine has the repository, and what keeps it from
/// starting; a front end that waits has been told the same.
pub fn run(args: &EngineArgs, compose: &Compose) -> Result<(), ApiError> {
    let mut readiness = if args.detached || args.launch { Readiness::from_stdin() } else { Readiness::nobody() };
    let result = run_told(args, compose, &mut readiness);
    if let Err(error) = &result {
        // Said already when it is `Busy`; only the first counts.
        readiness.failed(error);
    }
    result
}

fn run_told(args: &EngineArgs, compose: &Compose, readiness: &mut Readiness) -> Result<(), ApiError> {
    if let Some(attempt) = identity::own_attempt() {
        return Err(identity::refusal("start an engine", &attempt));
    }
    let start = match &args.root {
        Some(root) => root.clone(),
        None => std::env::current_dir()
            .map_err(|error| ApiError::new(ErrorKind::Usage, format!("the current folder is not known: {error}")))?,
    };
    let checkout = discover(&start)?;
    if args.launch {
        let idle = args.idle_seconds.to_string();
        return start_detached(&["--root".into(), checkout.root.into(), "--idle-seconds".into(), idle.into()]);
    }
    if args.detached {
        // Away from the terminal that the front end may have. Fails only for one that is a leader already.
        let _ = rustix::process::setsid();
        log_to_stderr();
    }
    let paths = StatePaths::from_env(&checkout.common_git_dir)?;
    let lock = EngineLock::acquire(&paths).inspect_err(|error| {
        if let LockError::Busy { pid } = error {
            readiness.busy(*pid);
        }
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| ApiError::new(ErrorKind::Other, format!("the engine's threads cannot be made: {error}")))?;
    let ended = runtime.block_on(serve(Duration::from_secs(args.idle_seconds), &paths, &lock, compose, readiness));
    // A call that never ends must not keep the process.
    runtime.shutdown_background();
    ended
}

/// Serves front ends until nobody needs the engine, a person ends it, or its lock is lost.
async fn serve(
    idle: Duration,
    paths: &StatePaths,
    lock: &EngineLock,
    compose: &Compose,
    readiness: &mut Readiness,
) -> Result<(), ApiError> {
    let mut signals = Signals::new()?;
    let context = EngineContext { paths: paths.clone(), generation: lock.generation() };
    let service = compose(context).await?;
    let options = ServerOptions::new(service.factory.clone(), service.is_busy.clone(), lock.generation());
    let mut server = Server::bind(paths, lock, options)?;
    tracing::info!(generation = lock.generation(), socket = %server.path().display(), "the engine is ready");
    readiness.ready();
    let end = until_end(idle, paths, lock, &service, &mut server, &mut signals).await;
    tracing::info!(?end, "the engine ends");
    server.close().await;
    if end == End::LockLost {
        // The files are the other engine's now: whatever is still to be written would be written over its work.
        return Err(ApiError::new(ErrorKind::Busy, "another engine has taken over this repository"));
    }
    tokio::select! {
        () = (service.shutdown)() => {}
        // The next engine gives the orders again that this one could not end.
        () = tokio::time::sleep(LAST_ORDERS), if end == End::Signal => tracing::warn!("ended with orders unfinished"),
        () = signals.next() => tracing::warn!("ended by a second signal"),
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Idle,
    Signal,
    Asked,
    LockLost,
}

async fn until_end(
    idle: Duration,
    paths: &StatePaths,
    lock: &EngineLock,
    service: &Service,
    server: &mut Server,
    signals: &mut Signals,
) -> End {
    let mut activity = server.activity();
    let mut watch = interval(WATCH);
    watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Since when nobody needs the engine.
    let mut idle_since: Option<Instant> = None;
    let mut visited = false;
    loop {
        let alone = *activity.borrow_and_update() == 0;
        // The one who started it needs a moment to come, however short the grace.
        visited |= !alone;
        let idle = if visited { idle } else { idle.max(FIRST_VISIT) };
        let now = Instant::now();
        if !alone || (service.is_busy)() {
            idle_since = None;
        } else if now >= *idle_since.get_or_insert(now) + idle {
            match server.close_if_idle(paths, lock).await {
                Ok(true) => return End::Idle,
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "the socket cannot be opened again"),
            }
            idle_since = None;
            continue;
        }
        let look = idle_since.map_or(now + ASK_BUSY, |since| (since + idle).min(now + ASK_BUSY));
        tokio::select! {
            () = signals.next() => return End::Signal,
            () = server.shutdown_requested() => return End::Asked,
            // The server has the sending side, so this never fails.
            _ = activity.changed() => {
                idle_since = None;
                visited = true;
            }
            () = sleep_until(look), if alone => {}
            _ = watch.tick() => {
                if !lock.still_held() {
                    return End::LockLost;
                }
                if !server.still_there() {
                    tracing::warn!("the socket was removed; listening again");
                    if let Err(error) = server.listen_again(paths, lock).await {
                        tracing::error!(%error, "the socket cannot be opened again");
                    }
                }
            }
        }
    }
}

/// The signals that ask for the end.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> Result<Self, ApiError> {
        let listen = |kind| {
            signal(kind).map_err(|error| ApiError::new(ErrorKind::Other, format!("signals cannot be read: {error}")))
        };
        Ok(Self([listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?, listen(SignalKind::hangup())?]))
    }

    async fn next(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Standard error of a detached engine is `engine.log`.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("RALPH_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    // Someone who set up logging before has their reasons.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).try_init();
}
