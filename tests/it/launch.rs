//! Starting, sharing and ending the engine process.

use ralph_sidecar::infra::durable::FileLock;
use ralph_sidecar::infra::engine_lock::{Announcement, EngineLock};
use ralph_sidecar::infra::launch::{Launcher, running_engine};
use ralph_sidecar::infra::paths::{Homes, StatePaths};
use ralph_sidecar::infra::processes::{self, ProcessId};
use ralph_sidecar::protocol::engine_api::{API_VERSION, ApiError, ErrorKind, FrontEnd, Hello};
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

const LONG: Duration = Duration::from_secs(100);

struct Place {
    folder: tempfile::TempDir,
    root: PathBuf,
    paths: StatePaths,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let root = folder.path().canonicalize().expect("canonical").join("repo");
        git2::Repository::init(&root).expect("repository");
        let homes = Homes {
            state: folder.path().join("state"),
            config: folder.path().join("config"),
            runtime: vec![folder.path().join("run")],
        };
        let paths = StatePaths::open(&homes, &root.join(".git")).expect("paths");
        Self { folder, root, paths }
    }

    /// Engines that end as soon as nobody is connected.
    fn launcher(&self) -> Launcher {
        let environment = [
            ("RALPH_ENGINE_IDLE_SECONDS", "0".into()),
            ("RALPH_CONFIG_HOME", self.folder.path().join("config").into_os_string()),
            // The runtime folder of the engine is another than the front end's: it is found all the same.
            ("XDG_RUNTIME_DIR", self.folder.path().as_os_str().to_owned()),
        ];
        Launcher {
            program: Some(env!("CARGO_BIN_EXE_ralph-sidecar").into()),
            environment: environment.map(|(name, value)| (name.into(), value)).to_vec(),
            patience: LONG,
        }
    }

    fn engine(&self) -> Announcement {
        Announcement::read(&self.paths).expect("an engine said something")
    }

    fn process(&self) -> ProcessId {
        processes::process(self.engine().pid).expect("it runs").id
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.paths.engine_log).unwrap_or_default()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Nothing is left behind, also when a test fails: this is the engine of this folder alone.
        if let Some(engine) = Announcement::read(&self.paths).filter(|_| !EngineLock::is_free(&self.paths))
            && let Some(process) = processes::process(engine.pid)
            && engine.pid != std::process::id()
        {
            let _ = processes::signal(process.id, Signal::KILL);
            let _ = processes::wait_until_gone(&[process.id], LONG);
        }
    }
}

fn gone(process: ProcessId) -> bool {
    processes::wait_until_gone(&[process], LONG).expect("waited")
}

fn hello(root: &Path) -> Hello {
    Hello { api_version: API_VERSION, root: root.into(), front_end: FrontEnd::Terminal }
}

/// Waits until the engine hangs up. A connection it had not accepted yet is reset instead.
async fn ends(stream: &mut UnixStream) {
    match stream.read(&mut [0; 1]).await {
        Ok(count) => assert_eq!(count, 0),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

/// The error of a launch that was expected to fail.
async fn failure(place: &Place, launcher: &Launcher) -> ApiError {
    launcher.ensure(&place.paths, &place.root).await.expect_err("no engine")
}

#[tokio::test(flavor = "multi_thread")]
async fn many_front_ends_at_once_start_one_engine() {
    let place = Place::new();
    let starting = (0..8).map(|_| {
        let (launcher, paths, root) = (place.launcher(), place.paths.clone(), place.root.clone());
        tokio::spawn(async move { launcher.ensure(&paths, &root).await })
    });
    let mut streams = Vec::new();
    for started in futures::future::join_all(starting).await {
        streams.push(started.expect("joined").expect("connected"));
    }
    let engine = place.engine();
    for stream in &streams {
        assert_eq!(stream.peer_cred().expect("peer").pid(), i32::try_from(engine.pid).ok());
    }
    assert_eq!(engine.generation, 1, "{}", place.log());
    assert_eq!(place.log().matches("the engine is ready").count(), 1, "{}", place.log());
    assert!(engine.socket.expect("listens").starts_with(place.folder.path().join("ralph-sidecar")));
}

#[tokio::test]
async fn the_engine_is_not_in_the_tree_or_session_of_who_started_it() {
    let place = Place::new();
    let _stream = place.launcher().ensure(&place.paths, &place.root).await.expect("connected");
    let engine = place.engine().pid;
    assert!(!processes::is_descendant_of(engine, std::process::id()));
    // Of its own making, so it is not ours either. Ours may be unknown: in a container its leader can be outside.
    let pid = rustix::process::Pid::from_raw(i32::try_from(engine).expect("a number"));
    let session = rustix::process::getsid(pid).expect("session");
    assert_eq!(u32::try_from(session.as_raw_pid()), Ok(engine));
}

#[tokio::test]
async fn it_ends_when_nobody_is_connected_and_the_next_has_a_higher_generation() {
    let place = Place::new();
    let first = place.launcher().ensure(&place.paths, &place.root).await.expect("connected");
    let second = place.launcher().ensure(&place.paths, &place.root).await.expect("connected");
    let process = place.process();
    drop(first);
    assert!(processes::alive(process));
    drop(second);
    assert!(gone(process));
    let said = place.engine();
    assert!(!said.socket.expect("listened").exists());
    assert!(EngineLock::is_free(&place.paths));
    assert!(running_engine(&place.paths).await.is_none());
    let _third = place.launcher().ensure(&place.paths, &place.root).await.expect("connected");
    assert_eq!(place.engine().generation, 2);
}

#[tokio::test]
async fn a_killed_engine_is_replaced_and_a_terminated_one_ends_in_order() {
    let place = Place::new();
    let mut stream = place.launcher().ensure(&place.paths, &place.root).await.expect("connected");
    let killed = place.process();
    processes::signal(killed, Signal::KILL).expect("sent");
    ends(&mut stream).await;
    assert!(gone(killed));
    assert!(place.engine().socket.expect("listened").exists(), "a stale socket is left");
    let mut stream = place.launcher().ensure(&place.paths, &place.root).await.expect("connected");
    let terminated = place.process();
    assert_eq!(place.engine().generation, 2);
    processes::signal(terminated, Signal::TERM).expect("sent");
    ends(&mut stream).await;
    assert!(gone(terminated));
    assert!(!place.engine().socket.expect("listened").exists());
    assert!(place.log().contains("the engine ends end=Signal"), "{}", place.log());
}

#[tokio::test]
async fn an_engine_that_lost_its_lock_ends_and_one_that_lost_its_socket_listens_again() {
    let place = Place::new();
    let mut stream = place.launcher().ensure(&place.paths, &place.root).await.expect("connected");
    let process = place.process();
    let socket = place.engine().socket.expect("listens");
    let folder = socket.parent().expect("a folder").to_path_buf();
    let (send, mut made) = tokio::sync::mpsc::unbounded_channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| event.kind.is_create()) {
            let _ = send.send(());
        }
    })
    .expect("watcher");
    notify::Watcher::watch(&mut watcher, &folder, notify::RecursiveMode::NonRecursive).expect("watched");
    std::fs::remove_file(&socket).expect("removed");
    tokio::time::timeout(LONG, made.recv()).await.expect("made again in time").expect("made again");
    place.launcher().ensure(&place.paths, &place.root).await.expect("connected");
    assert_eq!(place.process(), process, "it is the same engine");
    std::fs::remove_file(&place.paths.lock).expect("removed");
    ends(&mut stream).await;
    assert!(gone(process));
    assert!(place.log().contains("another engine has taken over"), "{}", place.log());
}

#[tokio::test]
async fn what_the_engine_refuses_reaches_the_front_end() {
    let place = Place::new();
    let wrong = Hello { api_version: API_VERSION + 1, ..hello(&place.root) };
    let error = place.launcher().open(&place.paths, &wrong).await.err().expect("refused");
    assert!(error.message.contains("speaks version"), "{error}");
}

#[tokio::test]
async fn an_engine_that_does_not_start_says_why_and_where_its_log_is() {
    let place = Place::new();
    let script = |name: &str, text: &str| {
        let path = place.folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("permissions");
        Launcher { program: Some(path), ..place.launcher() }
    };
    let breaks = script("breaks", "#!/bin/sh\necho broken >&2\nexit 1\n");
    let error = failure(&place, &breaks).await;
    assert_eq!(error.message, "the engine ended before it was ready");
    assert!(error.hint.expect("hint").contains("engine.log"));
    assert!(place.log().contains("broken"));
    let missing = Launcher { program: Some(place.folder.path().join("none")), ..place.launcher() };
    assert!(failure(&place, &missing).await.message.starts_with("the engine cannot be started"));
    // It says nothing for as long as the front end has the pipe.
    let silent = Launcher { patience: Duration::from_millis(300), ..script("silent", "#!/bin/sh\nexec sleep 3\n") };
    assert_eq!(failure(&place, &silent).await.message, "the engine was not ready after 0.3 seconds");
    // The folder of the repository is gone: the engine itself tells so.
    std::fs::remove_dir_all(&place.root).expect("removed");
    let error = failure(&place, &place.launcher()).await;
    assert_eq!(error.kind, ErrorKind::Data);
    assert!(error.message.contains("is not in a git repository"), "{error}");
}

#[tokio::test]
async fn an_engine_inside_another_program_is_busy_at_once() {
    let place = Place::new();
    let lock = EngineLock::acquire(&place.paths).expect("free");
    lock.announce_in_process().expect("announced");
    let error = failure(&place, &place.launcher()).await;
    assert_eq!(error.kind, ErrorKind::Busy);
    assert!(error.message.contains(&format!("inside process {}", std::process::id())), "{error}");
}

#[tokio::test]
async fn a_front_end_waits_for_an_engine_that_is_just_ending() {
    let place = Place::new();
    let lock = EngineLock::acquire(&place.paths).expect("free");
    let launcher = place.launcher();
    let (paths, root) = (place.paths.clone(), place.root.clone());
    let waiting = tokio::spawn(async move { launcher.ensure(&paths, &root).await });
    // The log is made when the first engine is tried, which finds the lock taken.
    while !place.paths.engine_log.exists() {
        tokio::task::yield_now().await;
    }
    drop(lock);
    let _stream = waiting.await.expect("joined").expect("connected");
    assert!(place.engine().generation >= 2);
}

#[tokio::test]
async fn one_front_end_at_a_time_starts_an_engine() {
    let place = Place::new();
    let turn = FileLock::try_exclusive(&place.paths.repository.join("launch.lock")).expect("lock").expect("free");
    let hasty = Launcher { patience: Duration::from_millis(200), ..place.launcher() };
    assert!(failure(&place, &hasty).await.message.contains("another program has been starting"));
    drop(turn);
    place.launcher().ensure(&place.paths, &place.root).await.expect("connected");
}

#[test]
fn from_inside_an_attempt_no_engine_is_started() {
    let place = Place::new();
    for flags in [&["engine"][..], &["engine", "--launch"], &["engine", "--detached"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_ralph-sidecar"))
            .args(flags)
            .arg("--root")
            .arg(&place.root)
            .env("RALPH_ATTEMPT", "task-1/2")
            .env("RALPH_STATE_HOME", place.folder.path().join("state"))
            .stdin(Stdio::null())
            .output()
            .expect("started");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("an agent cannot start an engine"), "{said}");
    }
    assert_eq!(Announcement::read(&place.paths), None);
}

#[test]
fn an_engine_started_by_hand_says_that_another_has_the_repository() {
    let place = Place::new();
    let _lock = EngineLock::acquire(&place.paths).expect("free");
    let output = Command::new(env!("CARGO_BIN_EXE_ralph-sidecar"))
        .args(["engine", "--root"])
        .arg(&place.root)
        .env("RALPH_STATE_HOME", place.folder.path().join("state"))
        .stdin(Stdio::null())
        .output()
        .expect("started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(said.contains(&format!("another engine (process {})", std::process::id())), "{said}");
}
