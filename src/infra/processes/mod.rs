//! What runs on this machine: who descends from whom, who carries a marker, and how to end a whole tree.

mod kill;
#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod platform;
#[cfg(not(target_os = "linux"))]
#[path = "ps.rs"]
mod platform;

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub use kill::{Killed, kill_all};
pub use platform::{adopt_orphans, die_with_parent, each_process, own_children, process, signal, wait_until_gone};

/// The environment variable that every process of an attempt inherits; its value names the attempt.
pub const MARKER: &str = "RALPH_ATTEMPT_MARKER";

/// A process, told apart from a later one with the same number by its start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct ProcessId {
    pub pid: u32,
    /// When it started, in a unit of the platform; comparable only within one boot.
    pub started: u64,
}

/// One line of the process table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub id: ProcessId,
    pub parent: u32,
    /// It has ended and only waits to be reaped.
    pub zombie: bool,
}

/// Tells whether the process still runs; a zombie does not, nor does a later process with the same number.
pub fn alive(id: ProcessId) -> bool {
    process(id.pid).is_some_and(|process| process.id == id && !process.zombie)
}

/// All processes, in no order. One that starts or ends meanwhile may or may not be in it.
pub fn processes() -> io::Result<Vec<Process>> {
    let mut found = Vec::new();
    each_process(|process| found.push(process))?;
    Ok(found)
}

/// The processes below `pid`, zombies included, without `pid` itself; parents before their children.
pub fn descendants(pid: u32) -> io::Result<Vec<Process>> {
    Ok(below(&processes()?, &[pid]))
}

/// Tells whether `ancestor` is `pid` or a parent of it, at any distance.
///
/// What was orphaned no longer descends from its maker, unless the maker adopts orphans.
pub fn is_descendant_of(pid: u32, ancestor: u32) -> bool {
    let mut seen = HashSet::new();
    let mut current = pid;
    // A parent chain that changes while it is read could be seen as a cycle.
    while current != 0 && seen.insert(current) {
        if current == ancestor {
            return true;
        }
        match process(current) {
            Some(process) => current = process.parent,
            None => return false,
        }
    }
    false
}

/// The environment a process was started with, in its order; what it changed since is not seen.
pub fn environ_of(pid: u32) -> io::Result<Vec<(OsString, OsString)>> {
    let entries = platform::environ(pid)?;
    Ok(entries
        .iter()
        .filter_map(|entry| {
            let bytes = entry.as_bytes();
            let split = bytes.iter().position(|byte| *byte == b'=')?;
            Some((OsStr::from_bytes(&bytes[..split]).to_owned(), OsStr::from_bytes(&bytes[split + 1..]).to_owned()))
        })
        .collect())
}

/// The running processes that were started with this marker, never the caller or one of its parents.
pub fn with_marker(marker: &str) -> io::Result<Vec<Process>> {
    let own = own_line();
    let exact = format!("{MARKER}={marker}");
    let mut found = processes()?;
    found.retain(|process| {
        !process.zombie
            && !own.contains(&process.id.pid)
            && platform::environ(process.id.pid)
                .is_ok_and(|environ| environ.iter().any(|entry| entry.as_bytes() == exact.as_bytes()))
    });
    Ok(found)
}

/// Shows those of [`with_marker`], what descends from them, and any process of *some* attempt that stands inside
/// `slot`; each as soon as it is found. Returns whether it is sure that it saw all.
///
/// A process without a marker is never among them, wherever it stands, unless it descends from one: it may be the
/// user's.
pub fn each_of_attempt(marker: &str, slot: Option<&Path>, show: &mut dyn FnMut(Process)) -> io::Result<bool> {
    let own = own_line();
    let slot: Option<PathBuf> = slot.map(|slot| slot.canonicalize().unwrap_or_else(|_| slot.to_path_buf()));
    let prefix = format!("{MARKER}=");
    let exact = format!("{prefix}{marker}");
    let mut all_read = true;
    let mut is_of_attempt = |pid| {
        let environ = match platform::environ(pid) {
            Ok(environ) => environ,
            Err(_) => {
                // Someone else's, or the kernel's own, is not ours to find; but one that just ended may have been.
                all_read &= process(pid).is_some_and(|process| !process.zombie);
                return false;
            }
        };
        if environ.iter().any(|entry| entry.as_bytes() == exact.as_bytes()) {
            return true;
        }
        let Some(slot) = &slot else { return false };
        environ.iter().any(|entry| entry.as_bytes().starts_with(prefix.as_bytes()))
            && platform::cwd(pid).is_some_and(|cwd| cwd.starts_with(slot))
    };
    let mut table = Vec::new();
    let mut roots = Vec::new();
    let sure = each_process(|process| {
        table.push(process);
        if !process.zombie && !own.contains(&process.id.pid) && is_of_attempt(process.id.pid) {
            roots.push(process.id.pid);
            show(process);
        }
    })?;
    let rest = below(&table, &roots).into_iter();
    rest.filter(|process| !process.zombie && !own.contains(&process.id.pid)).for_each(show);
    Ok(sure && all_read)
}

/// The caller and its parents: what must not be ended even when it carries a marker, as under a nested run.
fn own_line() -> HashSet<u32> {
    let mut line = HashSet::new();
    let mut current = std::process::id();
    while current != 0 && line.insert(current) {
        match process(current) {
            Some(process) => current = process.parent,
            None => break,
        }
    }
    line
}

fn below(table: &[Process], roots: &[u32]) -> Vec<Process> {
    let mut children: HashMap<u32, Vec<&Process>> = HashMap::new();
    for process in table {
        children.entry(process.parent).or_default().push(process);
    }
    let mut seen: HashSet<u32> = roots.iter().copied().collect();
    let mut queue: Vec<u32> = roots.to_vec();
    let mut found = Vec::new();
    let mut next = 0;
    while next < queue.len() {
        for process in children.get(&queue[next]).into_iter().flatten() {
            if seen.insert(process.id.pid) {
                found.push(**process);
                queue.push(process.id.pid);
            }
        }
        next += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    /// Starts a shell script and returns it with the first line it printed.
    fn script(text: &str, marker: &str) -> (Child, String) {
        let mut child = Command::new("sh")
            .args(["-c", text])
            .env(MARKER, marker)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("a line");
        (child, line.trim().to_owned())
    }

    fn unique(name: &str) -> String {
        format!("test-{name}-{}", std::process::id())
    }

    #[test]
    fn finds_descendants_parents_first() {
        let (mut child, pid) = script("sh -c 'echo $$; exec sleep 600' & wait", &unique("descendants"));
        let pid: u32 = pid.parse().expect("a number");
        let found: Vec<u32> = descendants(std::process::id()).expect("listed").iter().map(|p| p.id.pid).collect();
        let at = |pid| found.iter().position(|found| *found == pid).expect("found");
        assert!(at(child.id()) < at(pid));
        assert!(is_descendant_of(pid, child.id()) && is_descendant_of(pid, std::process::id()));
        assert!(!is_descendant_of(child.id(), pid));
        let id = process(pid).expect("runs").id;
        assert!(alive(id) && !alive(ProcessId { started: id.started + 1, ..id }));
        kill_all(
            |show| descendants(child.id()).map(|found| found.into_iter().for_each(show)).map(|()| true),
            Duration::from_secs(10),
        )
        .expect("killed");
        child.wait().expect("reaped");
        assert!(!alive(id));
    }

    #[test]
    fn finds_marked_processes_and_their_environment() {
        let marker = unique("marker");
        let (mut child, _) = script("(cd / && env -i sleep 600) & sleep 600 & echo up; wait", &marker);
        let environ = environ_of(child.id()).expect("readable");
        assert!(environ.contains(&(MARKER.into(), marker.clone().into())));
        assert!(with_marker(&marker).expect("listed").iter().any(|process| process.id.pid == child.id()));
        assert!(with_marker(&marker[..marker.len() - 1]).expect("listed").is_empty(), "a prefix is another marker");
        let killed = kill_all(|show| each_of_attempt(&marker, None, show), Duration::from_secs(10)).expect("killed");
        child.wait().expect("reaped");
        assert!(killed.killed.len() >= 3 && killed.survivors == 0, "{killed:?}");
        assert!(with_marker(&marker).expect("listed").is_empty());
    }

    #[test]
    fn stands_inside_the_slot_and_has_a_marker() {
        let slot = tempfile::tempdir().expect("folder");
        let at = slot.path().display();
        let (mut ours, _) = script(&format!("cd {at} && echo up && exec sleep 600"), &unique("another attempt"));
        let mut users =
            Command::new("sleep").arg("600").current_dir(slot.path()).env_remove(MARKER).spawn().expect("sleep");
        let mut found = Vec::new();
        each_of_attempt(&unique("slot"), Some(slot.path()), &mut |process| found.push(process.id.pid)).expect("listed");
        ours.kill().and_then(|()| ours.wait()).expect("ended");
        users.kill().and_then(|()| users.wait()).expect("ended");
        assert_eq!(found, [ours.id()]);
    }

    #[test]
    fn a_forking_process_cannot_escape() {
        let marker = unique("forks");
        // Every generation starts the next one in a session of its own and then ends: no parent, no group to kill.
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("fork.sh");
        let path = file.display();
        std::fs::write(&file, format!("[ $1 -lt 20000 ] && setsid sh {path} $(($1 + 1)) &")).expect("script");
        let text = format!("sh {path} 0 & setsid sleep 600 & echo up; exec sleep 600");
        let (mut child, _) = script(&text, &marker);
        let killed = kill_all(|show| each_of_attempt(&marker, None, show), Duration::from_secs(20)).expect("killed");
        child.wait().expect("reaped");
        assert_eq!(killed.survivors, 0);
        let again = kill_all(|show| each_of_attempt(&marker, None, show), Duration::from_secs(20)).expect("looked");
        assert!(again.killed.is_empty(), "{again:?}");
    }
}
