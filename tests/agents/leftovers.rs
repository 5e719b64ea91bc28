//! Processes of a test's folder, found as the sandbox of `tests/it` finds them.

#[path = "../it/sandbox/leftovers.rs"]
#[expect(dead_code, reason = "the sandbox also waits for processes, these tests kill them")]
mod found;

use ralph_sidecar::infra::processes::{self, ProcessId};
use rustix::process::Signal;
use std::path::Path;
use std::time::Duration;

pub use found::of;

/// Kills every process of the folder and waits until they are gone.
pub fn kill(folder: &Path) {
    // What is killed may just have started something.
    for _ in 0..3 {
        let ids: Vec<ProcessId> = of(folder).into_iter().map(|(id, _)| id).collect();
        if ids.is_empty() {
            return;
        }
        for id in &ids {
            let _ = processes::signal(*id, Signal::KILL);
        }
        let _ = processes::wait_until_gone(&ids, Duration::from_secs(5));
    }
}
