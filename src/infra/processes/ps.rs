//! The process table where there is no `/proc`: read from `ps`. Twin of `linux.rs`.
//!
//! Weaker than its twin: orphans are not adopted, a process does not die with its parent, current folders are not
//! known, and environments are read from what `ps` prints, so an entry with a blank is seen in parts.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsString;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use super::{Process, ProcessId};

/// Does nothing: orphans are found by their marker only.
pub fn adopt_orphans() -> io::Result<()> {
    Ok(())
}

/// Does nothing: a process outlives its parent here and is found by its marker.
pub fn die_with_parent(_parent: u32) -> io::Result<()> {
    Ok(())
}

/// Looks up one process; `None` when there is none with this number.
pub fn process(pid: u32) -> Option<Process> {
    table(&["-p", &pid.to_string()]).ok()?.into_iter().find(|process| process.id.pid == pid)
}

/// Shows all processes. Always sure: `ps` does not tell what it missed.
pub fn each_process(show: impl FnMut(Process)) -> io::Result<bool> {
    table(&["-ax"])?.into_iter().for_each(show);
    Ok(true)
}

/// Nothing: there is no quick way.
pub fn own_children() -> Vec<Process> {
    Vec::new()
}

/// Sends a signal; false when the process is gone.
pub fn signal(id: ProcessId, signal: Signal) -> io::Result<bool> {
    let Some(pid) = i32::try_from(id.pid).ok().and_then(Pid::from_raw) else { return Ok(false) };
    if process(id.pid).is_none_or(|process| process.id != id) {
        return Ok(false);
    }
    match kill_process(pid, signal) {
        Ok(()) => Ok(true),
        Err(Errno::SRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Blocks until all of them have ended, or `limit` is over; tells whether all have.
pub fn wait_until_gone(ids: &[ProcessId], limit: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + limit;
    while ids.iter().any(|id| super::alive(*id)) {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        // These are not children, and there is no descriptor to wait on.
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(true)
}

/// The entries `NAME=value` a process was started with, as far as `ps` shows them.
pub fn environ(pid: u32) -> io::Result<Vec<OsString>> {
    let printed = run(&["-p", &pid.to_string(), "-E", "-ww", "-o", "command="])?;
    Ok(printed.split_ascii_whitespace().filter(|word| word.contains('=')).map(OsString::from).collect())
}

/// Not known without `/proc`.
pub fn cwd(_pid: u32) -> Option<PathBuf> {
    None
}

fn table(which: &[&str]) -> io::Result<Vec<Process>> {
    let mut arguments = which.to_vec();
    arguments.extend(["-o", "pid=,ppid=,stat=,lstart="]);
    Ok(run(&arguments)?.lines().filter_map(parse).collect())
}

fn parse(line: &str) -> Option<Process> {
    let mut words = line.split_ascii_whitespace();
    let pid = words.next()?.parse().ok()?;
    let parent = words.next()?.parse().ok()?;
    let zombie = words.next()?.starts_with('Z');
    // The start time is only compared, so its text will do.
    let mut started = DefaultHasher::new();
    words.collect::<Vec<_>>().hash(&mut started);
    Some(Process { id: ProcessId { pid, started: started.finish() }, parent, zombie })
}

fn run(arguments: &[&str]) -> io::Result<String> {
    let output = Command::new("ps").args(arguments).env("LC_ALL", "C").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
