//! Ends a set of processes that may fork while it is being ended.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Process, ProcessId, signal, wait_until_gone};

/// How often a set is looked at again before those seen so far are killed.
const FREEZE_PASSES: usize = 16;
/// How long one round waits for the killed to be gone before it looks again.
const ROUND: Duration = Duration::from_secs(2);

/// What [`kill_all`] did.
#[derive(Debug, Default)]
pub struct Killed {
    /// Every process that was sent the kill signal.
    pub killed: HashSet<ProcessId>,
    /// Processes still there when the time was up: not ours to signal, or stuck in the kernel.
    pub survivors: u32,
}

/// Kills what `find` shows until it is sure twice that there is nothing, or `limit` is over. Blocks the calling thread.
///
/// `find` shows each process as soon as it finds it, and returns whether it is sure that it saw all.
///
/// Killing one by one loses against a process that forks in between. So each round first *stops* what it finds, looks
/// again until nothing new turns up (what is stopped cannot fork), and only then kills. A process that starts its
/// successor and ends can be gone whenever it is looked at; that is what an unsure look is. Two sure ones are asked
/// for because a process in the middle of an exec has no environment to be found by.
pub fn kill_all(
    mut find: impl FnMut(&mut dyn FnMut(Process)) -> io::Result<bool>,
    limit: Duration,
) -> io::Result<Killed> {
    let deadline = Instant::now() + limit;
    let mut report = Killed::default();
    let mut empty_looks = 0;
    loop {
        let mut stopped: HashSet<ProcessId> = HashSet::new();
        let mut sure = false;
        for _ in 0..FREEZE_PASSES {
            let before = stopped.len();
            sure = find(&mut |process| {
                if !process.zombie && stopped.insert(process.id) {
                    // One that is gone or not ours shows up again in the next look, or does not.
                    let _ = signal(process.id, Signal::STOP);
                }
            })?;
            if stopped.len() == before {
                break;
            }
        }
        if stopped.is_empty() {
            empty_looks += u32::from(sure);
            if empty_looks == 2 || Instant::now() >= deadline {
                return Ok(report);
            }
            std::thread::yield_now();
            continue;
        }
        empty_looks = 0;
        for id in &stopped {
            if signal(*id, Signal::KILL).unwrap_or(false) {
                report.killed.insert(*id);
            }
        }
        let stopped: Vec<ProcessId> = stopped.into_iter().collect();
        let left = deadline.saturating_duration_since(Instant::now());
        wait_until_gone(&stopped, left.min(ROUND))?;
        if Instant::now() >= deadline {
            let mut left = HashSet::new();
            find(&mut |process| {
                if !process.zombie {
                    left.insert(process.id);
                }
            })?;
            report.survivors = u32::try_from(left.len()).unwrap_or(u32::MAX);
            return Ok(report);
        }
    }
}
