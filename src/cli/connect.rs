//! How a front end gets its engine: finds the repository, then a process of its own or one inside this process.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Mutex;

use super::engine::{Compose, EngineContext, Service};
use crate::engine::handle::Handle;
use crate::infra::engine_lock::EngineLock;
use crate::infra::identity;
use crate::infra::launch::open_engine;
use crate::infra::paths::StatePaths;
use crate::infra::repository::{Repository, RepositoryError};
use crate::protocol::engine_api::{API_VERSION, ApiError, ErrorKind, FrontEnd, Hello};

/// Where the engine lives.
#[derive(Clone)]
pub enum Mode {
    /// In a process of its own, started when none is on.
    Process,
    /// In this process: for tests and containers.
    InProcess(Arc<LocalEngines>),
}

/// A checkout of a repository; both paths are canonical.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    pub root: PathBuf,
    pub common_git_dir: PathBuf,
}

/// Connects to the engine of the checkout that `start_dir` is in.
///
/// # Errors
///
/// `Data` where there is no checkout, `Busy` when the engine lives inside another program, `NotTrusted` from inside an
/// attempt when no engine is on, and what keeps the engine from starting.
pub async fn connect(start_dir: &Path, front_end: FrontEnd, mode: &Mode) -> Result<Handle, ApiError> {
    let checkout = discover(start_dir)?;
    let paths = StatePaths::from_env(&checkout.common_git_dir)?;
    match mode {
        Mode::Process => {
            let hello = Hello { api_version: API_VERSION, root: checkout.root, front_end };
            Ok(Handle::new(open_engine(&paths, &hello).await?))
        }
        Mode::InProcess(engines) => engines.handle(&paths, checkout.root).await,
    }
}

/// Finds the checkout that `start` is in.
///
/// # Errors
///
/// `Data`, with the next step, for no repository, a bare one, and one that git does not trust or cannot read.
pub fn discover(start: &Path) -> Result<Checkout, ApiError> {
    let data = |message: String| ApiError::new(ErrorKind::Data, message);
    let repository = Repository::discover(start).map_err(|error| match error {
        RepositoryError::NotARepository { .. } => data(format!("{} is not in a git repository", start.display()))
            .with_hint("make one with `git init`, or go to the folder of your project"),
        RepositoryError::Bare { path } => {
            data(format!("the repository {} is bare: it has no files to work on", path.display()))
                .with_hint("make a checkout with `git worktree add FOLDER`, and go there")
        }
        RepositoryError::Format { hint, .. } => data(format!("failed to {error}")).with_hint(hint),
        error => data(format!("failed to {error}")).with_hint(
            "`git status` there may tell more; a repository of another user has to be trusted first: git config \
             --global --add safe.directory FOLDER",
        ),
    })?;
    Ok(Checkout { root: repository.workdir().to_path_buf(), common_git_dir: repository.common_dir().to_path_buf() })
}

/// The engines inside this process, one per repository; each has its repository's lock until this is dropped.
pub struct LocalEngines {
    compose: Compose,
    running: Mutex<HashMap<PathBuf, (Service, EngineLock)>>,
}

impl LocalEngines {
    /// Has no engine yet.
    pub fn new(compose: Compose) -> Self {
        Self { compose, running: Mutex::new(HashMap::new()) }
    }

    /// Ends all of them in order and gives up their locks.
    pub async fn shutdown(&self) {
        for (_, (service, lock)) in self.running.lock().await.drain() {
            (service.shutdown)().await;
            drop(lock);
        }
    }

    async fn handle(&self, paths: &StatePaths, root: PathBuf) -> Result<Handle, ApiError> {
        if let Some(attempt) = identity::own_attempt() {
            return Err(identity::refusal("start an engine", &attempt));
        }
        let mut running = self.running.lock().await;
        let service = match running.get(&paths.repository) {
            Some((service, _)) => service.clone(),
            None => {
                let lock = EngineLock::acquire(paths)?;
                lock.announce_in_process()?;
                let context = EngineContext { paths: paths.clone(), generation: lock.generation() };
                let service = (self.compose)(context).await?;
                running.insert(paths.repository.clone(), (service.clone(), lock));
                service
            }
        };
        drop(running);
        (service.factory)(root).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::handle::Engine;
    use crate::infra::engine_lock::Announcement;
    use crate::infra::paths::Homes;
    use crate::protocol::engine_api::{Command, EngineEvent, Reply};
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::broadcast;

    struct Rooted(PathBuf);

    #[async_trait::async_trait]
    impl Engine for Rooted {
        async fn call(&self, _: Command) -> Result<Reply, ApiError> {
            Ok(Reply::Text(self.0.display().to_string()))
        }

        fn subscribe(&self) -> broadcast::Receiver<Arc<EngineEvent>> {
            broadcast::channel(1).1
        }
    }

    fn compose(made: Arc<AtomicUsize>) -> Compose {
        Arc::new(move |context: EngineContext| {
            made.fetch_add(1, Ordering::SeqCst);
            assert_eq!(context.generation, 1);
            Box::pin(async {
                Ok(Service {
                    factory: Arc::new(|root| Box::pin(async { Ok(Handle::new(Rooted(root))) })),
                    is_busy: Arc::new(|| false),
                    shutdown: Arc::new(|| Box::pin(async {})),
                })
            })
        })
    }

    #[test]
    fn finds_the_checkout_from_below() {
        let folder = tempfile::tempdir().expect("folder");
        let root = folder.path().canonicalize().expect("canonical").join("shop");
        git2::Repository::init(&root).expect("made");
        fs::create_dir_all(root.join("src/deep")).expect("folder");
        let expected = Checkout { root: root.clone(), common_git_dir: root.join(".git") };
        for start in [root.clone(), root.join("src/deep"), root.join("src/../src")] {
            assert_eq!(discover(&start).expect("found"), expected);
        }
    }

    #[test]
    fn a_linked_worktree_has_its_root_and_the_common_directory() {
        let folder = tempfile::tempdir().expect("folder");
        let base = folder.path().canonicalize().expect("canonical");
        let repository = git2::Repository::init_bare(base.join("shop.git")).expect("made");
        let tree = repository.find_tree(repository.treebuilder(None).expect("tree").write().expect("tree"));
        let ann = git2::Signature::new("Ann", "ann@example.org", &git2::Time::new(0, 0)).expect("signature");
        repository.commit(Some("HEAD"), &ann, &ann, "Start", &tree.expect("tree"), &[]).expect("commit");
        repository.worktree("linked", &base.join("linked"), None).expect("worktree");
        let found = discover(&base.join("linked")).expect("found");
        assert_eq!(found, Checkout { root: base.join("linked"), common_git_dir: base.join("shop.git") });
        let error = discover(&base.join("shop.git")).expect_err("bare");
        assert_eq!(error.kind, ErrorKind::Data);
        assert!(error.message.contains("is bare") && error.hint.expect("hint").contains("git worktree add"));
    }

    #[test]
    fn no_repository_says_so_with_the_next_step() {
        let folder = tempfile::tempdir().expect("folder");
        let error = discover(folder.path()).expect_err("none");
        assert_eq!(error.kind, ErrorKind::Data);
        assert!(error.message.contains("is not in a git repository") && error.hint.expect("hint").contains("git init"));
    }

    #[tokio::test]
    async fn checkouts_of_a_repository_share_the_engine_in_this_process() {
        let folder = tempfile::tempdir().expect("folder");
        let homes = Homes { state: folder.path().join("s"), config: folder.path().join("c"), runtime: Vec::new() };
        fs::create_dir_all(folder.path().join("repo/.git")).expect("folder");
        let paths = StatePaths::open(&homes, &folder.path().join("repo/.git")).expect("paths");
        let made = Arc::new(AtomicUsize::new(0));
        let engines = LocalEngines::new(compose(made.clone()));
        let (one, two) = tokio::join!(engines.handle(&paths, "/one".into()), engines.handle(&paths, "/two".into()));
        assert_eq!(one.expect("one").call(Command::Snapshot).await, Ok(Reply::Text("/one".into())));
        assert_eq!(two.expect("two").call(Command::Snapshot).await, Ok(Reply::Text("/two".into())));
        assert_eq!(made.load(Ordering::SeqCst), 1);
        assert!(Announcement::read(&paths).expect("said").in_process);
        let others = LocalEngines::new(compose(made.clone()));
        let busy = others.handle(&paths, "/one".into()).await.err().expect("busy");
        assert_eq!(busy.kind, ErrorKind::Busy);
        assert_eq!(made.load(Ordering::SeqCst), 1);
        engines.shutdown().await;
        assert!(EngineLock::is_free(&paths));
    }
}
