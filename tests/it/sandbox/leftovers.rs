//! Processes of a sandbox, found by its path in what they were started with, work in, or have open.

use ralph_sidecar::infra::processes::{self, ProcessId};
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Longer than an engine without work stays.
const PATIENCE: Duration = Duration::from_secs(100);

/// Waits for the processes of the folder to end by themselves, kills what does not, and names it.
pub fn wait(folder: &Path) -> Vec<String> {
    let alive = of(folder);
    let ids: Vec<ProcessId> = alive.iter().map(|(id, _)| *id).collect();
    if ids.is_empty() || processes::wait_until_gone(&ids, PATIENCE).unwrap_or(false) {
        return Vec::new();
    }
    let left = of(folder);
    for (id, _) in &left {
        // A test that failed must not leave anything behind either.
        let _ = processes::signal(*id, Signal::KILL);
    }
    left.into_iter().map(|(_, words)| words).collect()
}

/// Returns the processes that have the folder's path in their environment, their command line, or as working folder.
pub fn of(folder: &Path) -> Vec<(ProcessId, String)> {
    let needle = folder.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if pid == std::process::id() {
            continue;
        }
        let text = |name: &str| {
            let bytes = fs::read(entry.path().join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', " ")
        };
        let cwd = fs::read_link(entry.path().join("cwd")).map(|path| path.display().to_string()).unwrap_or_default();
        let command = text("cmdline");
        let concerned = [&text("environ"), &command, &cwd].iter().any(|part| part.contains(&needle));
        if concerned && let Some(process) = processes::process(pid) {
            found.push((process.id, format!("{pid}: {command} in {cwd}")));
        }
    }
    found
}
