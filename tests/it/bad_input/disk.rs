//! Disks that cannot be written, or are full.

use super::HONEST;
use crate::sandbox::{PROGRAM, Ran, Sandbox};
use serde_json::json;
use std::process::Command;

/// Runs a shell script in a mount namespace of its own, where the sandbox's disks can be mounted otherwise.
/// Returns none, loudly, where that is not permitted.
pub fn in_namespace(sandbox: &Sandbox, script: &str) -> Option<Ran> {
    let namespace: &[&str] = if rustix::process::getuid().is_root() { &["-m"] } else { &["-rm"] };
    let permitted = Command::new("unshare").args(namespace).arg("true").status().is_ok_and(|status| status.success());
    if !permitted {
        eprintln!("SKIPPED: unshare is not permitted here, so no disk can be made full or read-only");
        return None;
    }
    let script = script.replace("@BASE@", &sandbox.base().display().to_string()).replace("@RALPH@", PROGRAM);
    let mut command = Command::new("unshare");
    command.args(namespace).args(["sh", "-ec", &script]).current_dir(&sandbox.root);
    sandbox.surround(&mut command);
    Some(command.output().expect("unshare runs").into())
}

#[test]
fn a_state_folder_that_cannot_be_made() {
    let sandbox = Sandbox::new();
    sandbox.queue(json!([{"id": "a", "title": "A", "status": "todo"}]));
    let agent = sandbox.agent(HONEST);
    std::fs::write(sandbox.base().join("file"), "").expect("written");
    let before = sandbox.fingerprint();
    for mode in [&["--in-process"][..], &[]] {
        let mut command = sandbox.command(&[&["run", "--agent", &agent], mode].concat());
        command.env("RALPH_STATE_HOME", sandbox.base().join("file/state"));
        let ran = Ran::from(command.output().expect("it runs"));
        assert_ne!(ran.code, 0);
        ran.complains(&["file/state", "RALPH_STATE_HOME"]);
    }
    before.assert_same(&sandbox.fingerprint());
}

#[test]
fn a_read_only_disk() {
    let sandbox = Sandbox::new();
    sandbox.queue(json!([{"id": "a", "title": "A", "status": "todo"}]));
    let agent = sandbox.agent(HONEST);
    let before = sandbox.fingerprint();
    std::fs::create_dir(sandbox.state()).expect("made");
    let script = format!(
        "mount --bind @BASE@/state @BASE@/state; mount -o remount,ro,bind @BASE@/state; \
         exec @RALPH@ run --in-process --agent '{agent}'"
    );
    let Some(ran) = in_namespace(&sandbox, &script) else { return };
    assert_ne!(ran.code, 0, "{ran:?}");
    ran.complains(&["is read-only", "hint: set RALPH_STATE_HOME"]);
    before.assert_same(&sandbox.fingerprint());
}

#[test]
fn a_read_only_checkout_still_runs_and_says_what_it_cannot_write() {
    let sandbox = Sandbox::new();
    sandbox.queue(json!([{"id": "a", "title": "A", "status": "todo"}]));
    let agent = sandbox.agent(HONEST);
    sandbox.run_loop(&agent, &[]).exits(0);
    let script = "mount --bind @BASE@/repo @BASE@/repo; mount -o remount,ro,bind @BASE@/repo; cd @BASE@/repo; \
                  exec @RALPH@ accept a --in-process";
    let Some(ran) = in_namespace(&sandbox, script) else { return };
    assert_ne!(ran.code, 0, "{ran:?}");
    ran.complains(&["a.txt", "Read-only file system"]);
    assert_eq!(sandbox.status().state("a"), "review", "nothing was taken as accepted");
    sandbox.run(&["accept", "a"]).exits(0);
    assert_eq!(sandbox.read("a.txt"), "done\n");
}

#[test]
fn a_disk_that_fills_up() {
    let sandbox = Sandbox::new();
    sandbox.queue(json!([
        {"id": "a", "title": "A", "status": "todo", "verify": ["test -f a.txt"]},
        {"id": "b", "title": "B", "status": "todo", "verify": ["test -f b.txt"]},
    ]));
    // The agent fills the disk that the state is on; room is made as soon as the program says that it needs some.
    let agent = sandbox.agent(&format!(
        "[ -e @BASE@/filled ] || {{ touch @BASE@/filled; head -c 200M /dev/zero > @BASE@/state/ballast; }}\n{HONEST}"
    ));
    std::fs::create_dir(sandbox.state()).expect("made");
    let script = format!(
        r#"mount -t tmpfs -o size=24m tmpfs @BASE@/state
@RALPH@ trust --yes --in-process
timeout 100 @RALPH@ run --in-process --agent '{agent}' 2>&1 | while read -r line; do
    echo "$line"
    case $line in *'o space left'*|*'is full'*) rm -f @BASE@/state/ballast ;; esac
done
@RALPH@ status --json --in-process > @BASE@/status.json"#
    );
    let Some(ran) = in_namespace(&sandbox, &script) else { return };
    let status = std::fs::read_to_string(sandbox.base().join("status.json")).unwrap_or_default();
    let document: serde_json::Value = serde_json::from_str(&status).unwrap_or_else(|_| panic!("{ran:?}\n{status}"));
    assert!(ran.out.contains("No space left") || ran.err.contains("No space left"), "it says what is wrong: {ran:?}");
    let tasks = document["tasks"].as_array().expect("tasks");
    assert!(tasks.iter().all(|task| task["state"] == "review"), "{ran:?}\n{document:#}");
    assert_eq!(sandbox.read("a.txt"), "hello\n");
}
