//! The process table of Linux: `/proc`, process descriptors, and adoption of orphans. Twin of `ps.rs`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{self, Pid, PidfdFlags, Signal};

use super::{Process, ProcessId};

/// Makes the calling process the parent of every process that is orphaned below it.
pub fn adopt_orphans() -> io::Result<()> {
    Ok(process::set_child_subreaper(Some(process::getpid()))?)
}

/// Has the kernel kill the calling process when the thread that made it ends; fails when it already has.
///
/// Meant for the moment between fork and exec: it makes system calls only and allocates nothing.
pub fn die_with_parent(parent: u32) -> io::Result<()> {
    process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have ended before the call above; then no signal comes.
    let now = process::getppid().map_or(0, Pid::as_raw_pid);
    if u32::try_from(now) == Ok(parent) { Ok(()) } else { Err(Errno::SRCH.into()) }
}

/// Looks up one process; `None` when there is none with this number.
pub fn process(pid: u32) -> Option<Process> {
    parse_stat(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Shows all processes, each as soon as it is read, the youngest first: those are the ones that may be gone soon.
///
/// Returns whether it is sure: not when one ended between being listed and being read, for what that one had just
/// started may be missing.
pub fn each_process(mut show: impl FnMut(Process)) -> io::Result<bool> {
    let mut pids: Vec<u32> = Vec::new();
    for entry in fs::read_dir("/proc")? {
        pids.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    pids.sort_unstable_by(|one, other| other.cmp(one));
    let mut sure = true;
    for pid in pids {
        match process(pid) {
            Some(process) => show(process),
            None => sure = false,
        }
    }
    Ok(sure)
}

/// The direct children of the calling process: much faster than a look at all processes, and as incomplete as the
/// kernel likes when they come and go. Nothing where the kernel was built without it.
pub fn own_children() -> Vec<Process> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let texts = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    texts
        .flat_map(|text| text.split_ascii_whitespace().filter_map(|pid| process(pid.parse().ok()?)).collect::<Vec<_>>())
        .collect()
}

/// Sends a signal; false when the process is gone. Never reaches a later process with the same number.
pub fn signal(id: ProcessId, signal: Signal) -> io::Result<bool> {
    let Some(pid) = raw(id.pid) else { return Ok(false) };
    let descriptor = match process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(descriptor) => Some(descriptor),
        Err(Errno::SRCH) => return Ok(false),
        // An old kernel, or one without them: the number alone, checked just before.
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => None,
        Err(error) => return Err(error.into()),
    };
    if process(id.pid).is_none_or(|process| process.id != id) {
        return Ok(false);
    }
    let sent = match &descriptor {
        Some(descriptor) => process::pidfd_send_signal(descriptor, signal),
        None => process::kill_process(pid, signal),
    };
    match sent {
        Ok(()) => Ok(true),
        Err(Errno::SRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Blocks until all of them have ended (zombies have), or `limit` is over; tells whether all have.
pub fn wait_until_gone(ids: &[ProcessId], limit: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + limit;
    for id in ids {
        let Some(pid) = raw(id.pid) else { continue };
        let descriptor = match process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => descriptor,
            Err(Errno::SRCH) => continue,
            Err(error) => return Err(error.into()),
        };
        if !super::alive(*id) {
            continue;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut entries = [PollFd::new(&descriptor, PollFlags::IN)];
        if rustix::io::retry_on_intr(|| poll(&mut entries, Some(&left)))? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The entries `NAME=value` a process was started with.
pub fn environ(pid: u32) -> io::Result<Vec<OsString>> {
    let bytes = fs::read(format!("/proc/{pid}/environ"))?;
    Ok(bytes
        .split(|byte| *byte == 0)
        .filter(|entry| !entry.is_empty())
        .map(|entry| OsStr::from_bytes(entry).to_owned())
        .collect())
}

/// The current folder of a process, when it may be known.
pub fn cwd(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

fn raw(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

/// Reads `pid (name) state parent … started …`; the name may hold blanks and parentheses. See proc_pid_stat(5).
fn parse_stat(pid: u32, stat: &[u8]) -> Option<Process> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let state = *fields.first()?;
    let parent = fields.get(1)?.parse().ok()?;
    let started = fields.get(19)?.parse().ok()?;
    Some(Process { id: ProcessId { pid, started }, parent, zombie: matches!(state, "Z" | "X" | "x") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_with_parentheses() {
        let stat = b"42 (a) b (c)) Z 7 42 42 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 98765 0 0\n";
        let parsed = parse_stat(42, stat).expect("parsed");
        assert_eq!(parsed, Process { id: ProcessId { pid: 42, started: 98765 }, parent: 7, zombie: true });
        assert_eq!(parse_stat(42, b"42 (short) S 7"), None);
    }
}
