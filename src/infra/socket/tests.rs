//! Real sockets between the two sides, with a small engine behind them.

use super::*;
use crate::domain::decision::DecisionId;
use crate::domain::event::AttemptId;
use crate::domain::report::Report;
use crate::domain::task::TaskId;
use crate::engine::handle::Engine;
use crate::infra::engine_lock::{Announcement, EngineLock};
use crate::infra::paths::{Homes, StatePaths};
use crate::protocol::engine_api::{
    API_VERSION, ApiError, AttemptText, Command, EngineEvent, ErrorKind, FrontEnd, Hello, Reply,
};
use async_trait::async_trait;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, broadcast};

/// Answers at once, but `Plan`-like calls (`CancelPlan`) when they are let go.
struct Fake {
    /// Weak, so that a test can end the events as the end of an actor does.
    events: broadcast::WeakSender<Arc<EngineEvent>>,
    release: Arc<Semaphore>,
    finished: Arc<AtomicUsize>,
    text: String,
    order: Arc<std::sync::Mutex<Vec<String>>>,
}

#[async_trait]
impl Engine for Fake {
    async fn call(&self, command: Command) -> Result<Reply, ApiError> {
        match command {
            Command::Text { .. } => Ok(Reply::Text(self.text.clone())),
            Command::CancelPlan => {
                let _permit = self.release.acquire().await.expect("open");
                self.finished.fetch_add(1, Ordering::SeqCst);
                Ok(Reply::Done)
            }
            Command::Saved { paths } => {
                self.order.lock().expect("lock").extend(paths);
                tokio::task::yield_now().await;
                Ok(Reply::Done)
            }
            Command::Buffers { buffers, .. } => Ok(Reply::Text(buffers[0].text.len().to_string())),
            Command::Undo => panic!("as a broken engine would"),
            Command::Report { .. } | Command::Answer { .. } => Ok(Reply::Done),
            _ => Err(ApiError::new(ErrorKind::Usage, "not in this test")),
        }
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<EngineEvent>> {
        self.events.upgrade().map_or_else(|| broadcast::channel(1).1, |events| events.subscribe())
    }
}

struct Bench {
    _folder: tempfile::TempDir,
    paths: StatePaths,
    lock: EngineLock,
    server: Server,
    events: Option<broadcast::Sender<Arc<EngineEvent>>>,
    release: Arc<Semaphore>,
    finished: Arc<AtomicUsize>,
    busy: Arc<AtomicBool>,
    order: Arc<std::sync::Mutex<Vec<String>>>,
}

fn outside(_pid: u32) -> Option<String> {
    None
}

fn inside(_pid: u32) -> Option<String> {
    Some("t#1".into())
}

fn paths(folder: &Path) -> StatePaths {
    std::fs::create_dir_all(folder.join("repo/.git")).expect("folder");
    let homes = Homes { state: folder.join("s"), config: folder.join("c"), runtime: vec![folder.join("r")] };
    StatePaths::open(&homes, &folder.join("repo/.git")).expect("opened")
}

fn bench(text: String, inside_attempt: fn(u32) -> Option<String>) -> Bench {
    let folder = tempfile::tempdir().expect("folder");
    let paths = paths(folder.path());
    let lock = EngineLock::acquire(&paths).expect("free");
    let events = broadcast::Sender::new(8);
    let release = Arc::new(Semaphore::new(0));
    let finished = Arc::new(AtomicUsize::new(0));
    let busy = Arc::new(AtomicBool::new(false));
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let weak = events.downgrade();
    let (held, done, seen) = (release.clone(), finished.clone(), order.clone());
    let factory: Factory = Arc::new(move |root: PathBuf| {
        let fake = Fake {
            events: weak.clone(),
            release: held.clone(),
            finished: done.clone(),
            text: text.clone(),
            order: seen.clone(),
        };
        let made = root.ends_with("repo").then(|| Handle::new(fake));
        Box::pin(async move { made.ok_or_else(|| ApiError::new(ErrorKind::Data, "no such checkout")) })
    });
    let is_busy = busy.clone();
    let options = ServerOptions {
        inside_attempt,
        ..ServerOptions::new(factory, Arc::new(move || is_busy.load(Ordering::SeqCst)), lock.generation())
    };
    let server = Server::bind(&paths, &lock, options).expect("bound");
    Bench { _folder: folder, paths, lock, server, events: Some(events), release, finished, busy, order }
}

fn hello() -> Hello {
    Hello { api_version: API_VERSION, root: "/repo".into(), front_end: FrontEnd::Terminal }
}

impl Bench {
    async fn raw(&self) -> UnixStream {
        UnixStream::connect(self.server.path()).await.expect("connected")
    }

    async fn client(&self) -> RemoteEngine {
        RemoteEngine::open(self.raw().await, &hello(), None).await.expect("welcome")
    }

    async fn send(&self, hello: &Hello) -> Result<RemoteEngine, OpenError> {
        RemoteEngine::open(self.raw().await, hello, None).await
    }

    fn tell(&self, event: EngineEvent) {
        self.events.as_ref().expect("alive").send(Arc::new(event)).expect("someone listens");
    }
}

fn progress(number: usize) -> EngineEvent {
    EngineEvent::Progress { task: None, attempt: None, text: number.to_string() }
}

fn text() -> Command {
    Command::Text { task: TaskId("t".into()), attempt: None, what: AttemptText::Prompt }
}

fn refusal(opened: Result<RemoteEngine, OpenError>) -> ApiError {
    match opened {
        Err(OpenError::Refused(error)) => error,
        Err(OpenError::Gone(error)) => panic!("gone: {error}"),
        Ok(_) => panic!("welcome"),
    }
}

#[tokio::test]
async fn a_long_call_does_not_hold_up_others_and_events_come_meanwhile() {
    let bench = bench("a prompt".into(), outside);
    let client = Arc::new(bench.client().await);
    assert_eq!(client.generation(), 1);
    let mut events = Handle::new(bench.client().await).subscribe();
    let long = tokio::spawn({
        let client = client.clone();
        async move { client.call(Command::CancelPlan).await }
    });
    assert_eq!(client.call(text()).await, Ok(Reply::Text("a prompt".into())));
    // `Handle::new` above is dropped, and with it that connection: its events end.
    assert!(events.next().await.is_none());
    let mut events = client.subscribe();
    bench.tell(progress(1));
    assert_eq!(*events.recv().await.expect("event"), progress(1));
    assert!(!long.is_finished());
    bench.release.add_permits(1);
    assert_eq!(long.await.expect("joined"), Ok(Reply::Done));
}

#[tokio::test]
async fn fifty_megabytes_pass_both_ways() {
    let size = 50 * 1024 * 1024;
    let bench = bench("\u{1F980}\n\"".repeat(size / 6), outside);
    let client = bench.client().await;
    let Ok(Reply::Text(text)) = client.call(text()).await else { panic!("no text") };
    assert_eq!(text.len(), size / 6 * 6);
    let buffer = crate::protocol::engine_api::Buffer { path: "a".into(), text };
    let sent = client.call(Command::Buffers { token: 1, buffers: vec![buffer] }).await;
    assert_eq!(sent, Ok(Reply::Text((size / 6 * 6).to_string())));
}

#[tokio::test]
async fn a_front_end_that_does_not_read_is_told_that_it_lags() {
    let bench = bench(String::new(), outside);
    let mut slow = bench.raw().await;
    let mut line = serde_json::to_vec(&hello()).expect("json");
    line.push(b'\n');
    slow.write_all(&line).await.expect("written");
    // Read nothing but the welcome while far more events happen than the socket and the ring of events hold.
    let mut welcome = vec![0; 1];
    while *welcome.last().expect("a byte") != b'\n' {
        welcome.push(slow.read_u8().await.expect("a byte"));
    }
    let other = bench.client().await;
    let big = "x".repeat(1 << 20);
    for number in 0..40 {
        bench.tell(EngineEvent::Notice { warning: false, text: format!("{number} {big}") });
        // The engine and the other front end go on.
        assert_eq!(other.call(text()).await, Ok(Reply::Text(String::new())));
    }
    let mut reader = tokio::io::BufReader::new(slow);
    let mut notices = 0;
    loop {
        let line = lines::read_line(&mut reader).await.expect("read").expect("more");
        match lines::parse(&line).expect("a line") {
            crate::protocol::engine_api::Line::Event { event: EngineEvent::Lagged } => break,
            crate::protocol::engine_api::Line::Event { event: EngineEvent::Notice { .. } } => notices += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(notices < 32, "{notices} were kept for a front end that does not read");
}

#[tokio::test]
async fn calls_reach_the_engine_in_the_order_they_were_sent() {
    let bench = bench(String::new(), outside);
    let mut raw = bench.raw().await;
    let mut bytes = serde_json::to_vec(&hello()).expect("json");
    bytes.push(b'\n');
    let names: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    for (id, name) in names.iter().enumerate() {
        let command = Command::Saved { paths: vec![name.clone()] };
        let call = crate::protocol::engine_api::Call { id: id as u64, command };
        bytes.extend(serde_json::to_vec(&call).expect("json"));
        bytes.push(b'\n');
    }
    raw.write_all(&bytes).await.expect("written");
    raw.shutdown().await.expect("half closed");
    // What was asked before hanging up is answered.
    let mut answers = String::new();
    raw.read_to_string(&mut answers).await.expect("read");
    assert_eq!(answers.lines().count(), 51);
    assert_eq!(*bench.order.lock().expect("lock"), names);
}

#[tokio::test]
async fn hellos_that_do_not_fit_are_refused_with_a_reason() {
    let bench = bench(String::new(), outside);
    let error = refusal(bench.send(&Hello { api_version: API_VERSION + 1, ..hello() }).await);
    assert!(error.message.contains("speaks version") && error.hint.is_some(), "{error}");
    let error = refusal(bench.send(&Hello { root: "/elsewhere".into(), ..hello() }).await);
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Data, "no such checkout"));
    let long = Hello { root: "x".repeat(HELLO_LIMIT as usize).into(), ..hello() };
    assert!(refusal(bench.send(&long).await).message.contains("longer than 65536 bytes"));
    let mut raw = bench.raw().await;
    raw.write_all(b"GET / HTTP/1.1\n").await.expect("written");
    let mut answer = String::new();
    raw.read_to_string(&mut answer).await.expect("hung up");
    assert!(answer.starts_with("{\"type\":\"refused\""), "{answer}");
}

#[tokio::test]
async fn a_call_that_cannot_be_understood_and_one_that_breaks_are_answered() {
    let bench = bench(String::new(), outside);
    let client = bench.client().await;
    let broken = client.call(Command::Undo).await.expect_err("told");
    assert!(broken.message.contains("failed at this command"));
    assert_eq!(client.call(text()).await, Ok(Reply::Text(String::new())), "the connection goes on");
    let mut raw = bench.raw().await;
    let mut bytes = serde_json::to_vec(&hello()).expect("json");
    bytes.extend(b"\n{\"id\":7,\"command\":{\"command\":\"fly\"}}\n");
    raw.write_all(&bytes).await.expect("written");
    raw.shutdown().await.expect("half closed");
    let mut answers = String::new();
    raw.read_to_string(&mut answers).await.expect("read");
    assert!(answers.contains("\"id\":7") && answers.contains("cannot be understood"), "{answers}");
}

#[tokio::test]
async fn from_inside_an_attempt_only_reports_are_served_and_no_events() {
    let bench = bench(String::new(), inside);
    let client = bench.client().await;
    let mut events = client.subscribe();
    let answer = Command::Answer { id: DecisionId("d".into()), option: None, text: None, go_on: false };
    for command in [answer.clone(), text(), Command::Shutdown, Command::Trust { commands: Vec::new() }] {
        let error = client.call(command).await.expect_err("refused");
        assert_eq!(error.kind, ErrorKind::NotTrusted);
        assert!(error.message.starts_with("an agent cannot"), "{error}");
    }
    let attempt = |number| AttemptId { task: TaskId("t".into()), number };
    let report = |number| Command::Report { attempt: attempt(number), report: Report::Progress { text: "p".into() } };
    assert_eq!(client.call(report(1)).await, Ok(Reply::Done));
    assert_eq!(client.call(report(2)).await.expect_err("another's").kind, ErrorKind::NotTrusted);
    assert!(bench.events.as_ref().expect("alive").send(Arc::new(progress(1))).is_err(), "nobody subscribed");
    assert!(events.try_recv().is_err());
    // The front end's side refuses by itself.
    let outside_bench = self::bench(String::new(), outside);
    let inside = RemoteEngine::open(outside_bench.raw().await, &hello(), Some("t#1".into())).await.expect("welcome");
    assert_eq!(inside.call(answer).await.expect_err("refused").kind, ErrorKind::NotTrusted);
}

#[tokio::test]
async fn when_the_engine_goes_calls_fail_and_events_end() {
    let bench = bench(String::new(), outside);
    let client = Handle::new(bench.client().await);
    let mut events = client.subscribe();
    bench.server.close().await;
    assert!(events.next().await.is_none());
    let error = client.call(text()).await.expect_err("gone");
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Other, "the engine has gone"));
    assert!(error.hint.is_some());
    assert!(client.subscribe().next().await.is_none());
}

#[tokio::test]
async fn when_the_actor_of_a_checkout_ends_its_front_ends_see_that() {
    let mut bench = bench(String::new(), outside);
    let client = Handle::new(bench.client().await);
    let mut events = client.subscribe();
    bench.events = None;
    assert!(events.next().await.is_none());
    assert_eq!(client.call(text()).await.expect_err("gone").message, "the engine has gone");
    assert!(bench.server.still_there(), "others are served");
}

#[tokio::test]
async fn a_call_under_way_fails_when_the_engine_goes() {
    let bench = bench(String::new(), outside);
    let client = Arc::new(bench.client().await);
    let mut activity = bench.server.activity();
    let long = tokio::spawn({
        let client = client.clone();
        async move { client.call(Command::CancelPlan).await }
    });
    activity.wait_for(|count| *count == 2).await.expect("under way");
    bench.server.close().await;
    assert_eq!(long.await.expect("joined").expect_err("gone").message, "the engine has gone");
}

#[tokio::test]
async fn a_call_goes_on_when_its_front_end_hangs_up() {
    let bench = bench(String::new(), outside);
    let mut activity = bench.server.activity();
    assert_eq!(*activity.borrow(), 0);
    let client = Arc::new(bench.client().await);
    let asked = client.clone();
    let call = tokio::spawn(async move { asked.call(Command::CancelPlan).await });
    activity.wait_for(|count| *count == 2).await.expect("connection and call");
    call.abort();
    assert!(call.await.expect_err("aborted").is_cancelled());
    drop(client);
    bench.release.add_permits(1);
    activity.wait_for(|count| *count == 0).await.expect("all done");
    assert_eq!(bench.finished.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn shutdown_is_obeyed_only_when_no_run_is_on() {
    let bench = bench(String::new(), outside);
    let client = bench.client().await;
    bench.busy.store(true, Ordering::SeqCst);
    assert_eq!(client.call(Command::Shutdown).await.expect_err("refused").kind, ErrorKind::Busy);
    bench.busy.store(false, Ordering::SeqCst);
    assert_eq!(client.call(Command::Shutdown).await, Ok(Reply::Done));
    bench.server.shutdown_requested().await;
}

#[tokio::test]
async fn a_stale_socket_is_replaced_by_the_holder_of_the_lock() {
    let folder = tempfile::tempdir().expect("folder");
    let paths = paths(folder.path());
    let stale = paths.socket().expect("path");
    drop(std::os::unix::net::UnixListener::bind(&stale).expect("bound"));
    assert!(UnixStream::connect(&stale).await.is_err());
    let lock = EngineLock::acquire(&paths).expect("free");
    let factory: Factory = Arc::new(|_| Box::pin(async { Err(ApiError::new(ErrorKind::Data, "none")) }));
    let mut server = Server::bind(&paths, &lock, ServerOptions::new(factory, Arc::new(|| false), 1)).expect("bound");
    assert_eq!(Announcement::read(&paths).expect("said").socket.as_deref(), Some(server.path()));
    assert_eq!(std::fs::metadata(server.path()).expect("there").permissions().mode() & 0o777, 0o600);
    assert!(UnixStream::connect(&stale).await.is_ok());
    // A cleaner of temporary folders takes it away.
    std::fs::remove_file(&stale).expect("removed");
    assert!(!server.still_there());
    server.listen_again(&paths, &lock).await.expect("bound");
    assert!(server.still_there() && UnixStream::connect(&stale).await.is_ok());
    server.close().await;
    assert!(!stale.exists());
}

#[tokio::test]
async fn an_idle_server_closes_and_one_that_is_needed_does_not() {
    let mut bench = bench("t".into(), outside);
    let client = bench.client().await;
    assert!(!bench.server.close_if_idle(&bench.paths, &bench.lock).await.expect("bound again"));
    assert_eq!(client.call(text()).await, Ok(Reply::Text("t".into())), "its connection goes on");
    let second = bench.client().await;
    let mut activity = bench.server.activity();
    drop((client, second));
    activity.wait_for(|count| *count == 0).await.expect("gone");
    // One who connected in the last moment waits in the queue of the listener, unseen by the engine.
    let late = std::os::unix::net::UnixStream::connect(bench.server.path()).expect("connected");
    assert_eq!(*activity.borrow(), 0);
    assert!(!bench.server.close_if_idle(&bench.paths, &bench.lock).await.expect("bound again"));
    late.set_nonblocking(true).expect("set");
    let late = UnixStream::from_std(late).expect("a stream");
    let late = RemoteEngine::open(late, &hello(), None).await.expect("welcome");
    assert_eq!(late.call(text()).await, Ok(Reply::Text("t".into())));
    drop(late);
    activity.wait_for(|count| *count == 0).await.expect("gone");
    assert!(bench.server.close_if_idle(&bench.paths, &bench.lock).await.expect("closed"));
    assert!(!bench.server.path().exists());
}

/// Both sides of the next test are this one: as a program of its own when this names a socket.
const AGENT_SOCKET: &str = "RALPH_TEST_AGENT_SOCKET";

#[tokio::test]
async fn a_process_of_an_attempt_is_recognised_through_a_real_socket() {
    if let Some(path) = std::env::var_os(AGENT_SOCKET) {
        let stream = UnixStream::connect(path).await.expect("connected");
        // As a program that does not refuse by itself.
        let client = RemoteEngine::open(stream, &hello(), None).await.expect("welcome");
        println!("answer: {:?}", client.call(text()).await.map_err(|error| error.message));
        return;
    }
    let bench = bench("a prompt".into(), crate::infra::identity::inside_attempt);
    let ask = |attempt: Option<&str>| {
        let mut command = tokio::process::Command::new(std::env::current_exe().expect("this program"));
        command
            .args(["--exact", "--nocapture"])
            .arg("infra::socket::tests::a_process_of_an_attempt_is_recognised_through_a_real_socket")
            .env(AGENT_SOCKET, bench.server.path())
            .env_remove(crate::infra::identity::ATTEMPT);
        if let Some(attempt) = attempt {
            command.env(crate::infra::identity::ATTEMPT, attempt);
        }
        async move { String::from_utf8(command.output().await.expect("ran").stdout).expect("utf-8") }
    };
    let person = ask(None).await;
    assert!(person.contains("answer: Ok(Text(\"a prompt\"))"), "{person}");
    let agent = ask(Some("task-1/2")).await;
    assert!(agent.contains("answer: Err(\"an agent cannot") && agent.contains("task-1/2"), "{agent}");
}
