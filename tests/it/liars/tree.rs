//! Processes that stay, output without end, silence, crashes, programs that are not there.

use super::{PREAMBLE, Stage};
use crate::sandbox::{Sandbox, leftovers};
use serde_json::json;

#[test]
fn children_in_their_own_session_are_dead_afterwards() {
    let script = r#"
for way in 'setsid sh' 'setsid -f sh' 'nohup sh' 'setsid env -i PATH=/usr/bin:/bin sh'; do
    $way -c 'trap "" TERM HUP INT; echo $$ >> @BASE@/pids; while :; do sleep 1000; done' > /dev/null 2>&1 &
done
( ( setsid sh -c 'echo $$ >> @BASE@/pids; exec sleep 1000' & ) & )
while [ "$(wc -l < @BASE@/pids)" -lt 5 ]; do sleep 0.05; done
echo w > work.txt; finished"#;
    let stage = Stage::new(&["test -f work.txt"], script);
    std::fs::write(stage.sandbox.base().join("pids"), "").expect("written");
    let (ran, status) = stage.run(&[]);
    ran.exits(0);
    assert_eq!(status.outcomes("liar"), ["verified"]);
    let pids = std::fs::read_to_string(stage.sandbox.base().join("pids")).expect("pids");
    assert_eq!(pids.lines().count(), 5);
    for pid in pids.lines() {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(state.is_empty() || !state.contains("(sleep)") && !state.contains("(sh)"), "{pid} lives: {state}");
    }
    assert!(leftovers::of(stage.sandbox.base()).is_empty(), "{:?}", leftovers::of(stage.sandbox.base()));
}

#[test]
fn a_check_that_leaves_a_process_behind() {
    let stage =
        Stage::new(&["test -f work.txt && { setsid sleep 1000 & }; test -f work.txt"], "echo w > work.txt; finished");
    let (ran, status) = stage.run(&[]);
    ran.exits(0);
    assert_eq!(status.outcomes("liar"), ["verified"]);
    assert!(leftovers::of(stage.sandbox.base()).is_empty(), "{:?}", leftovers::of(stage.sandbox.base()));
}

#[test]
fn floods_a_gigabyte_of_output() {
    let script = "head -c 1G /dev/zero; head -c 100M /dev/zero >&2; echo w > work.txt; finished";
    let stage = Stage::new(&["test -f work.txt"], script);
    let (ran, status) = stage.run(&[]);
    ran.exits(0);
    assert_eq!(status.outcomes("liar"), ["verified"]);
    let kept = size(&stage.sandbox.state());
    assert!(kept < 100 * 1024 * 1024, "{kept} bytes are kept");
    let log = stage.sandbox.run(&["log", "liar"]).exits(0);
    let path = log.out.lines().next().and_then(|line| line.strip_prefix("[ralph: the end of "));
    let path = path.and_then(|line| line.strip_suffix(']')).expect("it says what it shows");
    let whole = std::fs::read(path).expect("the transcript");
    assert!(String::from_utf8_lossy(&whole).contains("bytes of output were dropped here"));
}

fn size(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    entries
        .map(|entry| {
            let meta = entry.path().symlink_metadata().expect("metadata");
            if meta.is_dir() { size(&entry.path()) } else { meta.len() }
        })
        .sum()
}

#[test]
fn a_line_without_end() {
    let script = "head -c 200M /dev/zero | tr '\\0' x; echo w > work.txt; finished";
    let stage = Stage::new(&["test -f work.txt"], script);
    let (ran, status) = stage.run(&[]);
    ran.exits(0);
    assert_eq!(status.outcomes("liar"), ["verified"]);
}

#[test]
fn is_silent_and_ignores_every_signal() {
    let script = "trap '' TERM INT HUP QUIT; echo w > work.txt; while :; do sleep 1000; done";
    let stage = Stage::new(&["test -f work.txt"], script);
    let (ran, status) = stage.run(&["--attempts", "1", "--idle-seconds", "1"]);
    ran.exits(10).says(&["timed out: it was silent for 1 seconds (idle timeout)"]);
    assert_eq!(status.outcomes("liar"), ["timed_out"]);
}

#[test]
fn talks_for_ever() {
    let script = "while :; do echo busy; sleep 0.1; done";
    let stage = Stage::new(&["test -f work.txt"], script);
    let (ran, status) = stage.run(&["--attempts", "1", "--attempt-seconds", "2"]);
    ran.exits(10).says(&["timed out: it ran for 2 seconds (wall timeout)"]);
    assert_eq!(status.outcomes("liar"), ["timed_out"]);
}

#[test]
fn claims_and_stays() {
    let script = "echo w > work.txt; finished; trap '' TERM; while :; do sleep 1000; done";
    let stage = Stage::new(&["test -f work.txt"], script);
    let (ran, status) = stage.run(&["--attempts", "1", "--idle-seconds", "2"]);
    ran.exits(0);
    assert_eq!(status.outcomes("liar"), ["verified"], "its claim is checked like any other");
}

#[test]
fn crashes() {
    for (script, words) in [
        ("kill -SEGV $$", "it was ended by signal 11"),
        ("kill -KILL $$", "it was ended by signal 9"),
        ("echo 'panic: out of cheese' >&2; exit 3", "it ended with exit status 3 and no report"),
    ] {
        let stage = Stage::new(&["test -f work.txt"], script);
        let (ran, status) = stage.run(&["--attempts", "2"]);
        ran.exits(10);
        assert_eq!(status.outcomes("liar"), ["crashed", "crashed"]);
        assert!(status.detail("liar", 1).contains(words), "{}", status.detail("liar", 1));
        if words.contains("status 3") {
            assert!(stage.sandbox.prompt("liar", 2).contains("out of cheese"));
        }
    }
}

#[test]
fn is_not_there_or_not_a_program() {
    let sandbox = Sandbox::new();
    sandbox.queue(json!([{"id": "one", "title": "One", "status": "todo"}]));
    sandbox.run_loop("command:/nowhere/agent --fast", &[]).exits(10).says(&["program missing", "/nowhere/agent"]);
    let status = sandbox.status();
    assert_eq!(status.outcomes("one"), ["missing_binary"]);
    assert!(status.json()["decisions"][0]["question"].as_str().expect("words").contains("was not found"));

    let plain = sandbox.base().join("plain");
    std::fs::write(&plain, "#!/bin/sh\n").expect("written");
    let ran = sandbox.run_loop(&format!("command:{}", plain.display()), &[]);
    ran.exits(10).says(&["program missing", "cannot be executed; check its permissions"]);
}

#[test]
fn the_next_of_the_chain_takes_over_from_one_that_is_missing() {
    let sandbox = Sandbox::new();
    let agent = sandbox.agent(&format!("{PREAMBLE}\necho w > work.txt; finished"));
    let program = agent.strip_prefix("command:").expect("a command");
    sandbox.config(json!({
        "agents": {"gone": {"command": ["/nowhere/agent"]}, "good": {"command": [program]}},
        "chains": {"implementer": ["gone", "good"]},
    }));
    sandbox.queue(json!([
        {"id": "one", "title": "One", "status": "todo", "verify": ["test -f work.txt"]},
        {"id": "own", "title": "Own", "status": "todo", "agent": "gone"},
        {"id": "typo", "title": "Typo", "status": "todo", "agent": "goood"},
        {"id": "after", "title": "After", "status": "todo", "verify": ["test -f after.txt"]},
    ]));
    sandbox.run(&["trust", "--yes"]).exits(0);
    sandbox.run(&["run"]).exits(10);
    let status = sandbox.status();
    assert_eq!(status.outcomes("one"), ["missing_binary", "verified"]);
    // Its own agent has left the run, so it was not even tried; the question names the program.
    assert!(status.outcomes("own").is_empty());
    let decisions = status.json()["decisions"].to_string();
    assert!(decisions.contains("`gone`: the program `/nowhere/agent` was not found"), "{decisions}");
    assert_eq!(status.state("typo"), "blocked", "{:#}", status.json());
    assert!(status.why("typo").contains("goood") || status.question("typo")["question"].to_string().contains("goood"));
    assert_eq!(status.outcomes("after"), ["verified"]);
}
