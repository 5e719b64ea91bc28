//! Watches one running command: limits, stop requests, escalation, and the end of its whole tree.
//!
//! | phase | event | next |
//! | --- | --- | --- |
//! | running | the command ended | leftover |
//! | running | idle, wall time, stop request | stopping 0 |
//! | stopping n | the command ended | leftover |
//! | stopping n | grace over | stopping n+1; after the last step: killing |
//! | leftover | no process left, or grace over | killing |
//! | any | kill request | killing |
//!
//! Killing always comes last, and finds nothing to do when all went well.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::signal::unix::Signal as SignalStream;
use tokio::time::Instant;

use super::live::Live;
use super::spec::{Control, Status, StopSignal, StoppedBy, SuperviseSpec};
use super::transcript::Transcript;
use crate::domain::secrets::Redactor;
use crate::infra::processes::{Process, descendants, each_of_attempt, kill_all, own_children};

/// How long the kernel gets to end what was killed.
const KILL_LIMIT: Duration = Duration::from_secs(30);
/// How long what is left in the pipe is read when something that could not be killed keeps it filled.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);
/// A line on the control fifo that grows past this is thrown away.
const CONTROL_LINE: usize = 16 * 1024;
const CHUNK: usize = 64 * 1024;

/// What the supervisor listens to.
pub struct Inputs {
    pub output: Receiver,
    pub control: Receiver,
    pub child: SignalStream,
    pub terminate: SignalStream,
}

/// How it ended.
pub struct Ended {
    pub status: Status,
    pub stopped_by: Option<StoppedBy>,
    pub leftover_killed: u32,
    pub survivors: u32,
}

enum Phase {
    Running,
    /// The step of the stop order that was sent, and when the next is due.
    Stopping(usize, Instant),
    Leftover(Instant),
    Killing,
}

/// Watches the command until nothing of its tree is left.
pub async fn watch(
    spec: &SuperviseSpec,
    agent: u32,
    inputs: Inputs,
    transcript: &mut Transcript,
    live: &Live,
) -> io::Result<Ended> {
    let agent = i32::try_from(agent).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    let now = Instant::now();
    let run = Run {
        spec,
        reaper: Reaper { agent, status: None, none_left: false },
        phase: Phase::Running,
        stopped_by: None,
        started: now,
        active: now,
    };
    let variables = spec.env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut output = Output { transcript, live, redactor: Redactor::new(variables) };
    run.until_gone(inputs, &mut output).await
}

struct Run<'a> {
    spec: &'a SuperviseSpec,
    reaper: Reaper,
    phase: Phase,
    stopped_by: Option<StoppedBy>,
    started: Instant,
    /// When the last output or other activity was seen.
    active: Instant,
}

impl Run<'_> {
    async fn until_gone(mut self, mut inputs: Inputs, output: &mut Output<'_>) -> io::Result<Ended> {
        let mut chunk = vec![0; CHUNK];
        let mut note = [0; 1024];
        let mut notes = Vec::new();
        let mut open = true;
        // A child that ended before the signal stream listened is seen here.
        self.reap()?;
        while !matches!(self.phase, Phase::Killing) {
            let due = self.due();
            tokio::select! {
                biased;
                _ = inputs.child.recv() => self.reap()?,
                _ = inputs.terminate.recv() => self.stop(StoppedBy::Request { reason: "the supervisor was told to terminate".to_owned() }),
                () = sleep_until(due) => self.time_is_up(),
                read = inputs.control.read(&mut note) => {
                    notes.extend_from_slice(&note[..read?]);
                    self.take_notes(&mut notes);
                }
                read = inputs.output.read(&mut chunk), if open => match read {
                    Ok(0) => open = false,
                    Ok(size) => {
                        self.active = Instant::now();
                        output.take(&chunk[..size]);
                    }
                    Err(error) => return Err(error),
                },
            }
        }
        let ended = self.kill_the_rest()?;
        drain(&inputs.output, &mut chunk, output);
        output.end();
        Ok(ended)
    }

    /// When something happens if nothing else does.
    fn due(&self) -> Option<Instant> {
        match self.phase {
            Phase::Running => self.idle_due().into_iter().chain(self.wall_due()).min(),
            Phase::Stopping(_, due) | Phase::Leftover(due) => Some(due),
            Phase::Killing => None,
        }
    }

    fn idle_due(&self) -> Option<Instant> {
        self.active.checked_add(Duration::from_secs(self.spec.idle_seconds?))
    }

    fn wall_due(&self) -> Option<Instant> {
        self.started.checked_add(Duration::from_secs(self.spec.wall_seconds?))
    }

    fn time_is_up(&mut self) {
        let now = Instant::now();
        match self.phase {
            Phase::Running if self.wall_due().is_some_and(|due| due <= now) => self.stop(StoppedBy::Wall),
            Phase::Running => {
                // Activity elsewhere is looked for only now, when it decides.
                let age = self.spec.activity_dir.as_deref().and_then(age_of_last_change);
                if let Some(at) = age.and_then(|age| now.checked_sub(age)) {
                    self.active = self.active.max(at);
                }
                if self.idle_due().is_some_and(|due| due <= now) {
                    self.stop(StoppedBy::Idle);
                }
            }
            Phase::Stopping(step, _) => self.send_step(step + 1),
            Phase::Leftover(_) => self.phase = Phase::Killing,
            Phase::Killing => {}
        }
    }

    /// Begins to stop; a second request while stopping changes nothing.
    fn stop(&mut self, why: StoppedBy) {
        if matches!(self.phase, Phase::Running) {
            self.stopped_by = Some(why);
            self.send_step(0);
        }
    }

    fn send_step(&mut self, step: usize) {
        let Some(signal) = self.spec.stop_order.get(step) else {
            self.phase = Phase::Killing;
            return;
        };
        let signal = match signal {
            StopSignal::Interrupt => Signal::INT,
            StopSignal::Terminate => Signal::TERM,
        };
        // The agent is not reaped yet, so its number is its own. It may have just ended: then the reaping decides.
        let _ = rustix::process::kill_process_group(self.reaper.agent, signal);
        // A command that was suspended could not follow.
        let _ = rustix::process::kill_process_group(self.reaper.agent, Signal::CONT);
        self.phase = Phase::Stopping(step, after(self.spec.grace_ms));
    }

    fn take_notes(&mut self, notes: &mut Vec<u8>) {
        while let Some(end) = notes.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = notes.drain(..=end).collect();
            match serde_json::from_slice(&line) {
                Ok(Control::Stop { reason }) => self.stop(StoppedBy::Request { reason }),
                Ok(Control::Kill { reason }) => {
                    if self.reaper.status.is_none() && self.stopped_by.is_none() {
                        self.stopped_by = Some(StoppedBy::Request { reason });
                    }
                    self.phase = Phase::Killing;
                }
                // Anyone of this user can write here; what is no order is none.
                Err(_) => {}
            }
        }
        if notes.len() > CONTROL_LINE {
            notes.clear();
        }
    }

    fn reap(&mut self) -> io::Result<()> {
        self.reaper.reap()?;
        if self.reaper.status.is_some() && matches!(self.phase, Phase::Running | Phase::Stopping(..)) {
            self.phase = Phase::Leftover(after(self.spec.leftover_grace_ms));
        }
        if self.reaper.none_left {
            self.phase = Phase::Killing;
        }
        Ok(())
    }

    /// Ends everything below the supervisor and whatever else carries the marker.
    fn kill_the_rest(mut self) -> io::Result<Ended> {
        let spec = self.spec;
        let agent = u32::try_from(self.reaper.agent.as_raw_pid()).unwrap_or(0);
        let agent_ended = self.reaper.status.is_some();
        let find = |show: &mut dyn FnMut(Process)| -> io::Result<bool> {
            self.reaper.reap()?;
            // Quick, for what is always somewhere else when all processes are looked at.
            own_children().into_iter().for_each(&mut *show);
            descendants(std::process::id())?.into_iter().for_each(&mut *show);
            each_of_attempt(&spec.marker, None, show)?;
            // Having no child left is proof, for every orphan below is a child; a look at the table is none.
            Ok(self.reaper.none_left)
        };
        let killed = kill_all(find, KILL_LIMIT)?;
        self.reaper.reap()?;
        let others = killed.killed.iter().filter(|id| agent_ended || id.pid != agent).count();
        Ok(Ended {
            // Without a status the kill was sent and the kernel has not carried it out: `survivors` tells.
            status: self.reaper.status.unwrap_or(Status::Signaled { signal: Signal::KILL.as_raw() }),
            stopped_by: self.stopped_by,
            leftover_killed: u32::try_from(others).unwrap_or(u32::MAX),
            survivors: killed.survivors,
        })
    }
}

/// Collects ended children, adopted ones too.
struct Reaper {
    agent: Pid,
    status: Option<Status>,
    none_left: bool,
}

impl Reaper {
    fn reap(&mut self) -> io::Result<()> {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.agent => self.status = status_of(status),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return Ok(()),
                Err(Errno::CHILD) => {
                    self.none_left = true;
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn status_of(status: WaitStatus) -> Option<Status> {
    if let Some(code) = status.exit_status() {
        return Some(Status::Exited { code });
    }
    status.terminating_signal().map(|signal| Status::Signaled { signal })
}

fn after(milliseconds: u64) -> Instant {
    let now = Instant::now();
    now.checked_add(Duration::from_millis(milliseconds)).unwrap_or(now)
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Where output goes, without secrets.
struct Output<'a> {
    transcript: &'a mut Transcript,
    live: &'a Live,
    redactor: Redactor,
}

impl Output<'_> {
    fn take(&mut self, bytes: &[u8]) {
        let clean = self.redactor.feed(bytes);
        self.pass_on(&clean);
    }

    /// Nothing comes any more.
    fn end(&mut self) {
        let clean = self.redactor.finish();
        self.pass_on(&clean);
    }

    fn pass_on(&mut self, clean: &[u8]) {
        if !clean.is_empty() {
            self.transcript.write(clean);
            self.live.push(clean);
        }
    }
}

/// Reads what is still in the pipe; everything that could write is dead, so an empty pipe is the end.
fn drain(output: &Receiver, chunk: &mut [u8], into: &mut Output<'_>) {
    let until = Instant::now() + DRAIN_LIMIT;
    while Instant::now() < until {
        match rustix::io::read(output, &mut *chunk) {
            Ok(0) => return,
            Ok(size) => into.take(&chunk[..size]),
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// How long ago the folder, or one right in it, last changed; `None` when it cannot be told.
fn age_of_last_change(folder: &Path) -> Option<Duration> {
    let inside = fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.metadata().ok());
    let newest = fs::metadata(folder)
        .into_iter()
        .chain(inside)
        .filter(fs::Metadata::is_dir)
        .filter_map(|metadata| metadata.modified().ok())
        .max()?;
    // A clock that was set back makes a change look like one of the future: then it is recent.
    Some(SystemTime::now().duration_since(newest).unwrap_or_default())
}
