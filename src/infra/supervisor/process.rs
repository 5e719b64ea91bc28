//! The supervisor's own process: takes the lock, starts the command, and leaves the exit record.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::OFlags;
use tokio::net::unix::pipe::Receiver;
use tokio::signal::unix::{SignalKind, signal};

use super::child::{close_inherited_on_exec, spawn};
use super::live::{Live, print};
use super::run::{Ended, Inputs, watch};
use super::spec::{ExitRecord, Line, RECORD_VERSION, SuperviseSpec};
use super::transcript::{Summary, Transcript};
use crate::infra::durable::{FileLock, atomic_write};
use crate::infra::processes::adopt_orphans;

/// Runs the command a specification tells, and returns when nothing of it is left.
///
/// This is the whole of `ralph-sidecar supervise SPEC`. It outlives whoever started it; its standard output may be
/// closed or full at any time. It succeeds when there is an exit record, whatever that says.
pub fn main(spec_path: &Path) -> ExitCode {
    match prepare(spec_path).and_then(|prepared| prepared.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Nobody may be reading; then the missing record tells.
            let _ = print(&Line::Refused { message });
            ExitCode::FAILURE
        }
    }
}

/// What holds the right to run the command, and all that could fail before it is started.
struct Prepared {
    spec: SuperviseSpec,
    transcript: Transcript,
    control: fs::File,
    /// Released by the end of the process, after the record is written.
    _lock: FileLock,
}

fn prepare(spec_path: &Path) -> Result<Prepared, String> {
    let told = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    close_inherited_on_exec().map_err(told("list the inherited descriptors"))?;
    // Fails for the leader of a group, as when started by hand from a shell; then it stays in that session.
    let _ = rustix::process::setsid();
    let text = fs::read(spec_path).map_err(|error| format!("read {}: {error}", spec_path.display()))?;
    let spec: SuperviseSpec =
        serde_json::from_slice(&text).map_err(|error| format!("understand {}: {error}", spec_path.display()))?;
    if let Some(problem) = spec.problem() {
        return Err(format!("supervise: {problem}"));
    }
    let lock = claim(&spec)?;
    // The environment holds keys; it is not kept longer than needed.
    let kept = SuperviseSpec { env: Default::default(), ..spec.clone() };
    let kept = serde_json::to_vec(&kept).map_err(|error| format!("write the specification: {error}"))?;
    atomic_write(spec_path, &kept).map_err(told("take the environment out of the specification"))?;
    std::env::set_current_dir("/").map_err(told("leave the working folder"))?;
    adopt_orphans().map_err(told("become the parent of orphans"))?;
    let control = open_control(&spec.control).map_err(|error| format!("open {}: {error}", spec.control.display()))?;
    let transcript = Transcript::create(&spec.transcript, spec.transcript_head, spec.transcript_tail)
        .map_err(|error| format!("make the transcript {}: {error}", spec.transcript.display()))?;
    Ok(Prepared { spec, transcript, control, _lock: lock })
}

/// Takes the lock, once and for all: its file is empty before the first start only.
///
/// An engine that gave up on a start writes into the file too, so a supervisor that comes late starts nothing.
fn claim(spec: &SuperviseSpec) -> Result<FileLock, String> {
    let path = spec.lock.display();
    let lock = FileLock::try_exclusive(&spec.lock)
        .map_err(|error| format!("lock {path}: {error}"))?
        .ok_or_else(|| format!("lock {path}: another supervisor has it"))?;
    let mut holder = String::new();
    lock.file().read_to_string(&mut holder).map_err(|error| format!("read {path}: {error}"))?;
    if !holder.is_empty() || spec.exit_record.exists() {
        return Err(format!("supervise: {path} was used before ({})", holder.trim()));
    }
    writeln!(lock.file(), "{}", std::process::id())
        .and_then(|()| lock.file().sync_all())
        .map_err(|error| format!("write {path}: {error}"))?;
    Ok(lock)
}

/// Opens the fifo for reading and writing, so that it never ends when a writer leaves.
fn open_control(path: &Path) -> io::Result<fs::File> {
    make_fifo(path)?;
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let flags = i32::try_from(flags.bits()).map_err(|_| io::ErrorKind::InvalidInput)?;
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
}

#[cfg(target_os = "linux")]
fn make_fifo(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?)
}

#[cfg(not(target_os = "linux"))]
fn make_fifo(path: &Path) -> io::Result<()> {
    let made = std::process::Command::new("mkfifo").args(["-m", "600"]).arg(path).status()?;
    if made.success() { Ok(()) } else { Err(io::Error::other("mkfifo failed")) }
}

impl Prepared {
    fn run(self) -> Result<(), String> {
        // One thread, this one: the command dies with the thread that started it.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("start the runtime: {error}"))?;
        runtime.block_on(self.supervise())
    }

    async fn supervise(self) -> Result<(), String> {
        let Self { spec, mut transcript, control, _lock } = self;
        let told = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
        let listen = |kind| signal(kind).map_err(told("listen to signals"));
        let (child, terminate) = (listen(SignalKind::child())?, listen(SignalKind::terminate())?);
        // Handled by doing nothing. Ignoring them would be inherited by the command.
        for kind in [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit()] {
            drop(listen(kind)?);
        }
        let control = Receiver::from_file(control).map_err(told("listen to the control fifo"))?;
        let (reader, writer) = io::pipe().map_err(told("make a pipe"))?;
        let output = Receiver::from_owned_fd(reader.into()).map_err(told("listen to the output"))?;

        let started_at_ms = now_ms();
        let spawned = spawn(&spec, writer);
        let live = Live::start(&Line::Ready { pid: std::process::id() });
        let ended = match spawned {
            Ok(agent) => {
                let inputs = Inputs { output, control, child, terminate };
                watch(&spec, agent, inputs, &mut transcript, &live).await.map_err(told("watch the command"))?
            }
            Err(status) => Ended { status, stopped_by: None, leftover_killed: 0, survivors: 0 },
        };
        // What could not be ended may still use it.
        if let Some(folder) = spec.temporary.as_ref().filter(|_| ended.survivors == 0) {
            let _ = fs::remove_dir_all(folder);
        }
        let record = record(&spec, started_at_ms, ended, &transcript.finish());
        let text = serde_json::to_vec(&record).map_err(|error| format!("write the exit record: {error}"))?;
        atomic_write(&spec.exit_record, &text)
            .map_err(|error| format!("write {}: {error}", spec.exit_record.display()))?;
        live.finish(record).await;
        Ok(())
    }
}

fn record(spec: &SuperviseSpec, started_at_ms: u64, ended: Ended, written: &Summary) -> ExitRecord {
    ExitRecord {
        version: RECORD_VERSION,
        argv0: spec.argv.first().cloned().unwrap_or_default(),
        started_at_ms,
        ended_at_ms: now_ms(),
        status: ended.status,
        stopped_by: ended.stopped_by,
        leftover_killed: ended.leftover_killed,
        survivors: ended.survivors,
        transcript_bytes: written.kept,
        dropped_bytes: written.dropped,
        transcript_error: written.error.as_ref().map(ToString::to_string),
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
