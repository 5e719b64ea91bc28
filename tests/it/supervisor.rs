//! Supervisors on real processes: how commands end, what is left of them, and what an engine finds after a restart.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ralph_sidecar::infra::durable::FileLock;
use ralph_sidecar::infra::processes;
use ralph_sidecar::infra::supervisor::{
    Adopted, End, ExitRecord, SpawnFailure, Status, StopSignal, StoppedBy, SuperviseSpec, Supervised, run_to_end, sweep,
};
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(100);

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_ralph-sidecar"))
}

/// A folder for one attempt, and a specification that runs a shell script in it.
fn attempt(script: &str) -> (TempDir, SuperviseSpec) {
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("slot")).expect("slot");
    let spec = SuperviseSpec {
        argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        cwd: at("slot"),
        env: BTreeMap::from([("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())]),
        stdin_file: None,
        transcript: at("transcript"),
        exit_record: at("exit.json"),
        lock: at("lock"),
        control: at("control"),
        idle_seconds: None,
        activity_dir: None,
        wall_seconds: None,
        grace_ms: 10_000,
        leftover_grace_ms: 100,
        stop_order: vec![StopSignal::Interrupt, StopSignal::Terminate],
        transcript_head: 1 << 20,
        transcript_tail: 1 << 18,
        marker: format!("it-{}", folder.path().file_name().expect("name").to_string_lossy()),
        fence: None,
        temporary: None,
    };
    (folder, spec)
}

async fn finished(supervised: &Supervised) -> ExitRecord {
    match tokio::time::timeout(LONG, supervised.wait()).await.expect("ends in time").expect("waited") {
        End::Finished(record) => record,
        End::Lost => panic!("the supervisor was lost"),
    }
}

async fn run(spec: SuperviseSpec) -> ExitRecord {
    let marker = spec.marker.clone();
    let end = tokio::time::timeout(LONG, run_to_end(binary(), spec)).await.expect("ends in time").expect("ran");
    assert_eq!(sweep(&marker, None).await.expect("swept").killed, 0, "something was left running");
    match end {
        End::Finished(record) => record,
        End::Lost => panic!("the supervisor was lost"),
    }
}

/// Waits until live output holds `text`, and returns all of it.
async fn until(
    events: &mut tokio::sync::mpsc::Receiver<ralph_sidecar::infra::supervisor::Output>,
    text: &str,
) -> String {
    let mut seen = String::new();
    while !seen.contains(text) {
        let output = tokio::time::timeout(LONG, events.recv()).await.expect("in time").expect("more output");
        seen.push_str(&output.text);
    }
    seen
}

fn supervisor_of(spec: &SuperviseSpec) -> processes::ProcessId {
    let pid = fs::read_to_string(&spec.lock).expect("lock").trim().parse().expect("its process number");
    processes::process(pid).expect("it runs").id
}

fn kill_supervisor(spec: &SuperviseSpec) {
    let id = supervisor_of(spec);
    assert!(processes::signal(id, rustix::process::Signal::KILL).expect("killed"));
}

#[tokio::test]
async fn exit_code_and_both_streams() {
    let (_folder, spec) = attempt("echo one; echo two >&2; echo three; exit 7");
    let transcript = spec.transcript.clone();
    let record = run(spec).await;
    assert_eq!(record.status, Status::Exited { code: 7 });
    assert_eq!((record.stopped_by, record.leftover_killed, record.survivors), (None, 0, 0));
    assert_eq!(fs::read_to_string(transcript).expect("transcript"), "one\ntwo\nthree\n");
    assert_eq!((record.transcript_bytes, record.dropped_bytes), (14, 0));
    assert!(record.ended_at_ms >= record.started_at_ms && record.argv0 == "/bin/sh");
}

#[tokio::test]
async fn death_by_signal() {
    let (_folder, spec) = attempt("kill -SEGV $$");
    assert_eq!(run(spec).await.status, Status::Signaled { signal: 11 });
}

#[tokio::test]
async fn spawn_failures_are_told_apart() {
    let plain = |folder: &Path, mode: u32, text: &str| -> PathBuf {
        let path = folder.join("program");
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode");
        path
    };
    type Change = Box<dyn Fn(&Path, &mut SuperviseSpec)>;
    let cases: [(&str, SpawnFailure, Change); 6] = [
        ("a missing name", SpawnFailure::NotFound, Box::new(|_, spec| spec.argv = vec!["no-such-agent".to_owned()])),
        ("a missing path", SpawnFailure::NotFound, Box::new(|_, spec| spec.argv = vec!["/no/such/agent".to_owned()])),
        (
            "no interpreter",
            SpawnFailure::NotFound,
            Box::new(move |at, spec| spec.argv = vec![plain(at, 0o755, "#!/no/such/node\n").display().to_string()]),
        ),
        (
            "not executable",
            SpawnFailure::PermissionDenied,
            Box::new(move |at, spec| spec.argv = vec![plain(at, 0o644, "x").display().to_string()]),
        ),
        ("no folder", SpawnFailure::Other, Box::new(|at, spec| spec.cwd = at.join("missing"))),
        ("no input", SpawnFailure::Other, Box::new(|at, spec| spec.stdin_file = Some(at.join("missing")))),
    ];
    for (name, expected, change) in cases {
        let (folder, mut spec) = attempt("true");
        change(folder.path(), &mut spec);
        match run(spec).await.status {
            Status::SpawnFailed { kind, message } => assert_eq!(kind, expected, "{name}: {message}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn idle_commands_are_stopped() {
    let (_folder, mut spec) = attempt("echo up; trap 'echo interrupted; exit 3' INT; sleep 600 & wait");
    spec.idle_seconds = Some(1);
    let transcript = spec.transcript.clone();
    let record = run(spec).await;
    assert_eq!(record.stopped_by, Some(StoppedBy::Idle));
    assert_eq!(record.status, Status::Exited { code: 3 });
    assert_eq!(fs::read_to_string(transcript).expect("transcript"), "up\ninterrupted\n");
}

#[tokio::test]
async fn output_and_mailbox_activity_hold_off_the_idle_limit() {
    let (folder, mut spec) =
        attempt("for n in 1 2 3; do sleep 0.6; echo $n; done; for n in 1 2 3; do sleep 0.6; touch ../box/new/$n; done");
    fs::create_dir_all(folder.path().join("box/new")).expect("mailbox");
    spec.activity_dir = Some(folder.path().join("box"));
    spec.idle_seconds = Some(1);
    let record = run(spec).await;
    assert_eq!((record.status, record.stopped_by), (Status::Exited { code: 0 }, None));
}

#[tokio::test]
async fn wall_time_ends_a_busy_command() {
    let (_folder, mut spec) = attempt("while :; do echo busy; sleep 0.05; done");
    spec.wall_seconds = Some(1);
    let record = run(spec).await;
    assert_eq!(record.stopped_by, Some(StoppedBy::Wall));
    assert_eq!(record.status, Status::Signaled { signal: 2 });
}

#[tokio::test]
async fn what_ignores_every_signal_is_killed() {
    let (_folder, mut spec) = attempt("trap '' INT TERM HUP; echo up; while :; do sleep 600; done");
    spec.grace_ms = 100;
    let marker = spec.marker.clone();
    let mut supervised = Supervised::start(binary(), spec).await.expect("started");
    until(&mut supervised.events().expect("events"), "up").await;
    assert!(supervised.stop("the user said so").expect("asked"));
    let record = finished(&supervised).await;
    assert_eq!(record.status, Status::Signaled { signal: 9 });
    assert_eq!(record.stopped_by, Some(StoppedBy::Request { reason: "the user said so".to_owned() }));
    assert_eq!(processes::with_marker(&marker).expect("listed"), []);
    assert!(!supervised.stop("again").expect("asked"), "there is nobody to ask");
}

#[tokio::test]
async fn a_suspended_command_is_stopped_in_order() {
    let (_folder, spec) = attempt("trap 'echo bye; exit 4' INT; echo up; kill -STOP $$; while :; do sleep 0.05; done");
    let mut supervised = Supervised::start(binary(), spec).await.expect("started");
    until(&mut supervised.events().expect("events"), "up").await;
    supervised.stop("now").expect("asked");
    let record = finished(&supervised).await;
    assert!(matches!(record.status, Status::Exited { code: 4 } | Status::Signaled { signal: 2 }), "{record:?}");
}

#[tokio::test]
async fn the_supervisor_minds_terminate_only() {
    use rustix::process::Signal;
    let (folder, spec) = attempt(
        "trap 'echo asked; exit 6' INT; echo up; read line < ../gate; echo through; while :; do sleep 0.05; done",
    );
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("gate"), rustix::fs::Mode::RWXU).expect("gate");
    let mut supervised = Supervised::start(binary(), spec.clone()).await.expect("started");
    let mut events = supervised.events().expect("events");
    until(&mut events, "up").await;
    let id = supervisor_of(&spec);
    for signal in [Signal::HUP, Signal::INT, Signal::QUIT, Signal::PIPE] {
        assert!(processes::signal(id, signal).expect("sent"));
    }
    let gate = folder.path().join("gate");
    tokio::task::spawn_blocking(move || fs::write(gate, "go\n")).await.expect("joined").expect("opened the gate");
    until(&mut events, "through").await;
    assert!(processes::signal(id, Signal::TERM).expect("sent"));
    let record = finished(&supervised).await;
    assert!(matches!(record.stopped_by, Some(StoppedBy::Request { .. })));
    assert_eq!(record.status, Status::Exited { code: 6 });
}

#[tokio::test]
async fn a_forking_command_cannot_escape() {
    let (folder, mut spec) = attempt("");
    let file = folder.path().join("fork.sh");
    let path = file.display();
    fs::write(&file, format!("[ $1 -lt 20000 ] && setsid sh {path} $(($1 + 1)) &")).expect("script");
    spec.argv[2] = format!("sh {path} 0; exit 9");
    spec.leftover_grace_ms = 0;
    assert_eq!(run(spec).await.status, Status::Exited { code: 9 });
}

#[tokio::test]
async fn a_kill_request_skips_the_grace() {
    let (_folder, mut spec) = attempt("trap '' INT TERM; echo up; while :; do sleep 600; done");
    spec.grace_ms = 3_600_000;
    let mut supervised = Supervised::start(binary(), spec).await.expect("started");
    until(&mut supervised.events().expect("events"), "up").await;
    supervised.stop("first").expect("asked");
    supervised.kill("second").expect("asked");
    let record = finished(&supervised).await;
    assert_eq!(record.stopped_by, Some(StoppedBy::Request { reason: "first".to_owned() }));
}

#[tokio::test]
async fn what_outlives_the_command_is_killed_and_counted() {
    let script = "mkfifo ../go; setsid sleep 601 & env -i setsid sleep 602 & \
                  (setsid sh -c 'sleep 603 & echo > ../go; wait' &); read line < ../go; exit 0";
    let (_folder, mut spec) = attempt(script);
    spec.leftover_grace_ms = 50;
    let cwd = spec.cwd.canonicalize().expect("slot");
    let record = run(spec).await;
    assert_eq!(record.status, Status::Exited { code: 0 });
    assert_eq!(record.leftover_killed, 4);
    let inside = processes::processes().expect("listed").into_iter().filter(|process| {
        fs::read_link(format!("/proc/{}/cwd", process.id.pid)).is_ok_and(|at| at.starts_with(&cwd)) && !process.zombie
    });
    assert_eq!(inside.count(), 0, "even one with an empty environment is dead");
}

#[tokio::test]
async fn what_ends_within_the_grace_is_not_killed() {
    let (folder, mut spec) = attempt("setsid sh -c 'sleep 0.3; echo late > ../late; echo said late' & exit 0");
    spec.leftover_grace_ms = 150_000;
    let transcript = spec.transcript.clone();
    let started = Instant::now();
    let record = run(spec).await;
    assert!(started.elapsed() < Duration::from_secs(140), "the rest of the grace is not waited for");
    assert_eq!(record.leftover_killed, 0);
    assert!(folder.path().join("late").exists());
    assert_eq!(fs::read_to_string(transcript).expect("transcript"), "said late\n");
}

#[tokio::test]
async fn a_flood_is_bounded() {
    const FLOOD: u64 = 200 << 20;
    let (folder, mut spec) = attempt(&format!("echo first; head -c {FLOOD} /dev/zero; echo last"));
    spec.transcript_head = 100_000;
    spec.transcript_tail = 50_000;
    let transcript = spec.transcript.clone();
    let mut supervised = Supervised::start(binary(), spec).await.expect("started");
    // Taken and not read: a slow reader must not slow the command.
    let _events = supervised.events();
    let record = finished(&supervised).await;
    assert_eq!(record.status, Status::Exited { code: 0 });
    assert_eq!(record.transcript_bytes, 150_000);
    assert_eq!(record.dropped_bytes, FLOOD + 11 - 150_000);
    let text = fs::read(&transcript).expect("transcript");
    assert!(text.starts_with(b"first\n") && text.ends_with(b"last\n"));
    let told = format!("[ralph: {} bytes of output were dropped here]", record.dropped_bytes);
    assert!(text.windows(told.len()).any(|window| window == told.as_bytes()));
    assert!(text.len() < 150_200);
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).expect("listed").map(|e| e.expect("entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["control", "exit.json", "exit.spec.json", "lock", "slot", "transcript"]);
}

#[tokio::test]
async fn live_output_is_whole_when_it_is_read() {
    let (_folder, spec) = attempt("for n in 1 2 3 4 5; do printf 'z\\303'; sleep 0.1; printf '\\274 '; done; echo end");
    let mut supervised = Supervised::start(binary(), spec).await.expect("started");
    let seen = until(&mut supervised.events().expect("events"), "end").await;
    assert_eq!(seen, "zü zü zü zü zü end\n");
    finished(&supervised).await;
}

#[tokio::test]
async fn environment_and_input_are_exact() {
    let (folder, mut spec) = attempt("");
    fs::write(folder.path().join("prompt"), "the prompt").expect("written");
    spec.argv = ["/bin/sh", "-c", "cat; tr '\\0' '\\n' < /proc/$$/environ | sort"].map(str::to_owned).to_vec();
    spec.stdin_file = Some(folder.path().join("prompt"));
    spec.env.insert("KEY".to_owned(), "a secret = with signs".to_owned());
    let (transcript, stored, marker) = (spec.transcript.clone(), spec.path(), spec.marker.clone());
    run(spec).await;
    assert_eq!(
        fs::read_to_string(transcript).expect("transcript"),
        format!(
            "the promptKEY=a secret = with signs\nPATH=/usr/local/bin:/usr/bin:/bin\nRALPH_ATTEMPT_MARKER={marker}\n"
        ),
    );
    assert!(!fs::read_to_string(&stored).expect("spec").contains("secret"), "keys do not stay on disk");
    assert_eq!(fs::metadata(&stored).expect("metadata").permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn the_command_inherits_no_descriptors() {
    let (_folder, spec) = attempt("ls -l /proc/$$/fd | sed 's/.* -> //;1d'");
    let (lock, transcript) = (spec.lock.clone(), spec.transcript.clone());
    run(spec).await;
    let text = fs::read_to_string(transcript).expect("transcript");
    assert!(!text.contains(&*lock.to_string_lossy()), "{text}");
    let others: Vec<&str> = text.lines().filter(|line| !line.starts_with("pipe:") && *line != "/dev/null").collect();
    assert_eq!(others, Vec::<&str>::new());
}

#[tokio::test]
async fn a_killed_supervisor_takes_its_command_along() {
    let (folder, mut spec) = attempt("setsid sleep 604 & echo 0123456789; echo up; while :; do sleep 605; done");
    (spec.transcript_head, spec.transcript_tail) = (5, 8);
    let (marker, slot, transcript) = (spec.marker.clone(), spec.cwd.clone(), spec.transcript.clone());
    let mut supervised = Supervised::start(binary(), spec.clone()).await.expect("started");
    until(&mut supervised.events().expect("events"), "up").await;
    let agent = processes::descendants(supervisor_of(&spec).pid).expect("listed").first().expect("a child").id;
    kill_supervisor(&spec);
    assert_eq!(tokio::time::timeout(LONG, supervised.wait()).await.expect("in time").expect("waited"), End::Lost);
    assert!(processes::wait_until_gone(&[agent], LONG).expect("waited"), "the kernel kills the command");
    let swept = sweep(&marker, Some(slot)).await.expect("swept");
    assert!(swept.killed >= 1 && swept.survivors == 0, "{swept:?}");
    assert_eq!(processes::with_marker(&marker).expect("listed"), []);
    let text = fs::read_to_string(transcript).expect("transcript");
    assert!(text.starts_with("01234") && text.ends_with("789\nup\n"), "{text}");
    assert!(matches!(Supervised::adopt(&spec.path()).await.expect("looked"), Adopted::Gone));
    assert!(Supervised::start(binary(), spec).await.is_err(), "an attempt is started once");
    drop(folder);
}

#[tokio::test]
async fn an_engine_restart_finds_it_alive() {
    let (folder, spec) = attempt("echo up; read line < ../gate; echo \"went on: $line\"; exit 5");
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("gate"), rustix::fs::Mode::RWXU).expect("gate");
    let stored = spec.path();
    let mut supervised = Supervised::start(binary(), spec.clone()).await.expect("started");
    until(&mut supervised.events().expect("events"), "up").await;
    drop(supervised);
    let Adopted::Alive(mut adopted) = Supervised::adopt(&stored).await.expect("looked") else { panic!("not alive") };
    assert!(FileLock::try_exclusive(&spec.lock).expect("lock").is_none());
    let mut events = adopted.events().expect("events");
    let gate = folder.path().join("gate");
    tokio::task::spawn_blocking(move || fs::write(gate, "now\n")).await.expect("joined").expect("opened the gate");
    assert_eq!(until(&mut events, "went on").await, "went on: now\n");
    assert_eq!(finished(&adopted).await.status, Status::Exited { code: 5 });
}

#[tokio::test]
async fn adopted_supervisors_can_be_stopped_and_finished_ones_are_found() {
    let (_folder, spec) = attempt("echo up; exec sleep 606");
    let stored = spec.path();
    let mut supervised = Supervised::start(binary(), spec).await.expect("started");
    until(&mut supervised.events().expect("events"), "up").await;
    drop(supervised);
    let Adopted::Alive(adopted) = Supervised::adopt(&stored).await.expect("looked") else { panic!("not alive") };
    assert!(adopted.stop("after a restart").expect("asked"));
    let record = finished(&adopted).await;
    assert_eq!(record.status, Status::Signaled { signal: 2 });
    match Supervised::adopt(&stored).await.expect("looked") {
        Adopted::Finished(found) => assert_eq!(found, record),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_start_that_was_given_up_starts_nothing_later() {
    let (folder, spec) = attempt("touch ../ran");
    // As if the engine had died between storing the specification and the launch.
    fs::write(spec.path(), serde_json::to_vec(&spec).expect("json")).expect("stored");
    assert!(matches!(Supervised::adopt(&spec.path()).await.expect("looked"), Adopted::NeverStarted));
    let late = std::process::Command::new(binary()).arg("supervise").arg(spec.path()).output().expect("ran");
    assert!(!late.status.success());
    assert!(String::from_utf8_lossy(&late.stdout).contains("refused"), "{late:?}");
    assert!(!folder.path().join("ran").exists());
    assert!(matches!(Supervised::adopt(&spec.path()).await.expect("looked"), Adopted::NeverStarted));
    assert!(matches!(Supervised::adopt(&folder.path().join("none")).await.expect("looked"), Adopted::NeverStarted));
}

#[test]
fn dropping_the_engine_does_not_disturb_the_command() {
    let (folder, spec) = attempt("trap '' PIPE; for n in 1 2 3 4 5 6; do echo $n; sleep 0.1; done; echo done > ../ran");
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let supervised = runtime.block_on(Supervised::start(binary(), spec.clone())).expect("started");
    drop(supervised);
    let started = Instant::now();
    drop(runtime);
    assert!(started.elapsed() < Duration::from_secs(60), "a runtime must end while supervisors run");
    drop(FileLock::wait_shared(&spec.lock).expect("released"));
    let record: ExitRecord = serde_json::from_slice(&fs::read(&spec.exit_record).expect("record")).expect("json");
    assert_eq!((record.status, record.transcript_bytes), (Status::Exited { code: 0 }, 12));
    assert!(folder.path().join("ran").exists());
}

#[tokio::test]
async fn problems_are_refused_before_anything_starts() {
    let (_folder, mut spec) = attempt("true");
    spec.lock = PathBuf::from("relative");
    let error = Supervised::start(binary(), spec).await.expect_err("refused");
    assert!(error.to_string().contains("relative is not absolute"), "{error}");
    let (_folder, spec) = attempt("true");
    fs::write(&spec.transcript, "of an earlier attempt").expect("written");
    let error = Supervised::start(binary(), spec.clone()).await.expect_err("refused");
    assert!(error.to_string().contains("transcript"), "{error}");
    assert_eq!(fs::read_to_string(&spec.transcript).expect("kept"), "of an earlier attempt");
    let (_folder, spec) = attempt("true");
    assert!(Supervised::start(Path::new("/no/such/binary"), spec).await.is_err());
}
