//! Runs a program that may start others, such as hooks, and ends all of it when its time is up or a person says so.

use crate::infra::processes::{self, ProcessId};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often it is looked whether the program has ended while it prints nothing.
const LOOK: Duration = Duration::from_millis(20);
/// How long a program that was asked to end has for removing its locks.
const GRACE: Duration = Duration::from_secs(2);
/// How long the output of a program that has ended is read on while something it left behind holds it open.
const REST: Duration = Duration::from_secs(1);
const CHUNK: usize = 16 * 1024;

/// How long a program may take, and what ends it before.
#[derive(Clone)]
pub(super) struct Patience {
    pub limit: Duration,
    /// Holds `true` once a person has asked for its end.
    pub stop: Option<watch::Receiver<bool>>,
}

impl Patience {
    fn is_stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| *stop.borrow())
    }
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Exited(ExitStatus),
    /// It was ended, with everything it had started in its process group.
    TimedOut,
    /// As above, because a person asked for it.
    Stopped,
}

/// What came of a program.
#[derive(Debug)]
pub(super) struct Ran {
    pub how: How,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// What is to be run.
pub(super) struct Job<'a> {
    pub command: Command,
    pub input: Vec<u8>,
    /// Whether the output must be whole. Else what the program leaves behind may hold it open without holding us up.
    pub whole: bool,
    /// Hears of the process as soon as it is there.
    pub started: &'a dyn Fn(ProcessId),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

/// Output that comes in from two streams.
struct Output {
    chunks: Receiver<(Stream, Vec<u8>)>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// Both streams have ended.
    ended: bool,
}

impl Output {
    fn of(child: &mut Child) -> Self {
        let (send, chunks) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            read(stdout, Stream::Out, send.clone());
        }
        if let Some(stderr) = child.stderr.take() {
            read(stderr, Stream::Err, send);
        }
        Self { chunks, stdout: Vec::new(), stderr: Vec::new(), ended: false }
    }

    /// Takes what comes within the time; tells whether anything came.
    fn take(&mut self, wait: Duration) -> bool {
        if self.ended {
            std::thread::sleep(wait.min(LOOK));
            return false;
        }
        match self.chunks.recv_timeout(wait) {
            Ok((Stream::Out, chunk)) => self.stdout.extend(chunk),
            Ok((Stream::Err, chunk)) => self.stderr.extend(chunk),
            Err(RecvTimeoutError::Disconnected) => {
                self.ended = true;
                return false;
            }
            Err(RecvTimeoutError::Timeout) => return false,
        }
        true
    }

    fn into_ran(self, how: How) -> Ran {
        Ran { how, stdout: self.stdout, stderr: self.stderr }
    }
}

fn read(mut from: impl Read + Send + 'static, stream: Stream, to: mpsc::Sender<(Stream, Vec<u8>)>) {
    std::thread::spawn(move || {
        let mut chunk = vec![0; CHUNK];
        while let Ok(length @ 1..) = from.read(&mut chunk) {
            if to.send((stream, chunk[..length].to_vec())).is_err() {
                break;
            }
        }
    });
}

/// Runs the program in a process group of its own. Blocks the calling thread.
///
/// # Errors
///
/// When it cannot be started or waited for.
pub(super) fn run(job: Job<'_>, patience: &Patience) -> io::Result<Ran> {
    let Job { mut command, input, whole, started } = job;
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn()?;
    if let Some(process) = processes::process(child.id()) {
        started(process.id);
    }
    if let Some(mut stdin) = child.stdin.take() {
        // Beside the reading, for the program may answer before it has read everything; a broken pipe tells less than
        // its end.
        std::thread::spawn(move || stdin.write_all(&input));
    }
    let mut output = Output::of(&mut child);
    let deadline = Instant::now() + patience.limit;
    let status = loop {
        output.take(LOOK);
        if has_ended(&child)? {
            break child.wait()?;
        }
        let stopped = patience.is_stopped();
        if stopped || Instant::now() >= deadline {
            end(&mut child)?;
            rest(&mut output, Instant::now() + REST);
            return Ok(output.into_ran(if stopped { How::Stopped } else { How::TimedOut }));
        }
    };
    rest(&mut output, if whole { deadline } else { Instant::now() + REST });
    let how = if whole && !output.ended { How::TimedOut } else { How::Exited(status) };
    Ok(output.into_ran(how))
}

/// Reads to the end, or until `until`.
fn rest(output: &mut Output, until: Instant) {
    while !output.ended && Instant::now() < until {
        output.take(LOOK);
    }
}

/// Tells whether the process has ended; it is left to be reaped, so that its number stays its own.
fn has_ended(child: &Child) -> io::Result<bool> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Ok(waitid(WaitId::Pid(Pid::from_child(child)), options)?.is_some())
}

/// Ends a child and what is left of its process group, politely first: git removes its locks then.
fn end(child: &mut Child) -> io::Result<()> {
    let group = Pid::from_child(child);
    // One that is gone already is what is wanted.
    let _ = kill_process_group(group, Signal::TERM);
    let until = Instant::now() + GRACE;
    while !has_ended(child)? && Instant::now() < until {
        std::thread::sleep(LOOK);
    }
    let _ = kill_process_group(group, Signal::KILL);
    child.wait().map(|_| ())
}

/// Ends a process that is nobody's child any more, with its process group, as an earlier engine started it.
pub(super) fn end_left(id: ProcessId) {
    let Some(group) = i32::try_from(id.pid).ok().and_then(Pid::from_raw).filter(|_| processes::alive(id)) else {
        return;
    };
    let _ = kill_process_group(group, Signal::TERM);
    if processes::wait_until_gone(&[id], GRACE).is_err() || processes::alive(id) {
        let _ = kill_process_group(group, Signal::KILL);
        let _ = processes::wait_until_gone(&[id], GRACE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn shell(script: &str, whole: bool) -> Job<'static> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Job { command, input: b"given".to_vec(), whole, started: &|_| {} }
    }

    fn patience(limit: Duration) -> Patience {
        Patience { limit, stop: None }
    }

    #[test]
    fn output_and_status_are_those_of_the_program() {
        let ran = run(shell("cat; echo told >&2; exit 3", true), &patience(Duration::from_secs(600))).expect("runs");
        assert!(matches!(ran.how, How::Exited(status) if status.code() == Some(3)));
        assert_eq!((ran.stdout.as_slice(), ran.stderr.as_slice()), (&b"given"[..], &b"told\n"[..]));
        let long = run(shell("seq 100000", true), &patience(Duration::from_secs(600))).expect("runs");
        assert_eq!(long.stdout.iter().filter(|byte| **byte == b'\n').count(), 100_000);
    }

    #[test]
    fn what_takes_too_long_is_ended_with_all_it_started() {
        // The one that hangs is a grandchild, which holds the output open and ignores the polite signal.
        let script = "trap '' TERM; (trap '' TERM; while :; do sleep 1000; done) & wait";
        let ran = run(shell(script, true), &patience(Duration::from_millis(1))).expect("runs");
        assert_eq!(ran.how, How::TimedOut);
        let (send, stop) = watch::channel(false);
        let seen = Cell::new(None);
        // Asked for when it is there.
        let started = |id: ProcessId| {
            seen.set(Some(id));
            send.send_replace(true);
        };
        let job = Job { started: &started, ..shell("sleep 1000", true) };
        let ran = run(job, &Patience { limit: Duration::from_secs(600), stop: Some(stop) }).expect("runs");
        assert_eq!(ran.how, How::Stopped);
        assert!(!processes::alive(seen.get().expect("it was told")));
    }

    #[test]
    fn what_a_hook_leaves_behind_holds_up_nothing() {
        let ran =
            run(shell("echo out; sleep 1000 & echo $!", false), &patience(Duration::from_secs(600))).expect("runs");
        assert!(matches!(ran.how, How::Exited(status) if status.success()));
        let text = String::from_utf8(ran.stdout).expect("text");
        let left = text.strip_prefix("out\n").and_then(|pid| pid.trim().parse().ok()).expect("its number");
        let process = processes::process(left).expect("still there");
        processes::signal(process.id, Signal::KILL).expect("ended");
    }
}
