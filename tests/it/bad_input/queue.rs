//! `.ralph/queue.json` that cannot be used, or changes while a run is on.

use super::HONEST;
use crate::sandbox::Sandbox;
use serde_json::json;
use std::io::{BufRead, BufReader, Write};

/// Every command that would change something refuses, says where and what, and leaves the file as it is.
fn refused(text: &str, words: &[&str]) {
    let sandbox = Sandbox::new();
    let agent = sandbox.agent(HONEST);
    sandbox.write(".ralph/queue.json", text);
    let before = sandbox.fingerprint();
    sandbox.run(&["run", "--agent", &agent]).exits(3).complains(&[&["queue.json"], words].concat());
    sandbox.run(&["approve", "--all", "--yes"]).exits(3).complains(&[&["queue.json"], words].concat());
    let shown = sandbox.run(&["status"]).exits(0).says(&[&["queue.json"], words].concat());
    assert!(!shown.out.contains("the queue is empty"), "it is not empty, it is broken: {}", shown.out);
    assert!(sandbox.status().json()["queue_problem"].as_str().is_some_and(|problem| problem.contains(words[0])));
    before.assert_same(&sandbox.fingerprint());
}

#[test]
fn broken_json() {
    refused("{\"version\": 1,\n \"tasks\": [\n  {\"id\": \"a\", \"title\": }\n]}", &["line 3, column"]);
    refused("[]", &["line 1, column 1"]);
    refused("not json at all", &["line 1, column 1"]);
    refused("{\"version\": 1, \"tasks\": [", &["line 1"]);
}

#[test]
fn an_empty_file_is_an_empty_queue() {
    let sandbox = Sandbox::new();
    sandbox.write(".ralph/queue.json", "");
    sandbox.run(&["status"]).exits(0).says(&["the queue is empty", "next: ralph-sidecar plan"]);
    sandbox.run(&["approve", "--all"]).exits(0).says(&["no drafts"]);
}

#[test]
fn a_version_from_the_future() {
    refused("{\"version\": 99, \"tasks\": []}", &["line 1", "99"]);
}

#[test]
fn bytes_that_are_no_text() {
    let sandbox = Sandbox::new();
    let agent = sandbox.agent(HONEST);
    sandbox.write(".ralph/queue.json", b"{\"version\":1,\"tasks\":[{\"id\":\"\xff\xfe\",\"title\":\"x\"}]}");
    sandbox.run(&["run", "--agent", &agent]).exits(3).complains(&["UTF-8"]);
}

#[test]
fn a_byte_order_mark_is_harmless_and_kept() {
    let sandbox = Sandbox::new();
    let agent = sandbox.agent(HONEST);
    sandbox.write(
        ".ralph/queue.json",
        "\u{feff}{\"version\":1,\"tasks\":[{\"id\":\"a\",\"title\":\"A\",\"status\":\"todo\"}]}",
    );
    sandbox.run_loop(&agent, &[]).exits(0);
    sandbox.run(&["accept", "a"]).exits(0);
    let text = sandbox.read(".ralph/queue.json");
    assert!(text.starts_with('\u{feff}') && text.contains("\"done\""), "{text:?}");
}

#[test]
fn five_megabytes_on_one_line() {
    let sandbox = Sandbox::new();
    let agent = sandbox.agent(HONEST);
    let tasks: Vec<_> = (0..2000)
        .map(|number| json!({"id": format!("t{number}"), "title": "T", "description": "x".repeat(2500)}))
        .chain([json!({"id": "a", "title": "A", "status": "todo"})])
        .collect();
    let text = json!({"version": 1, "tasks": tasks}).to_string();
    assert!(text.len() > 5_000_000 && !text.contains('\n'));
    sandbox.write(".ralph/queue.json", &text);
    sandbox.run_loop(&agent, &[]).exits(0);
    sandbox.run(&["accept", "a"]).exits(0);
    let after = sandbox.read(".ralph/queue.json");
    assert_eq!(after, text.replace("\"title\":\"A\",\"status\":\"todo\"", "\"title\":\"A\",\"status\":\"done\""));
    // A description of that size in the middle of broken JSON is cut in the message.
    sandbox.write(".ralph/queue.json", &text[..text.len() - 10]);
    let ran = sandbox.run(&["run", "--agent", &agent]).exits(0);
    assert!(ran.out.contains("cannot be used: line 1, column"), "{}", ran.out);
    assert!(ran.out.len() + ran.err.len() < 4000, "{} bytes", ran.out.len() + ran.err.len());
}

#[test]
fn tasks_that_cannot_run_say_why_and_the_others_run() {
    let sandbox = Sandbox::new();
    let agent = sandbox.agent(HONEST);
    sandbox.queue(json!([
        {"id": "x", "title": "X", "status": "todo", "depends_on": ["y"]},
        {"id": "y", "title": "Y", "status": "todo", "depends_on": ["z"]},
        {"id": "z", "title": "Z", "status": "todo", "depends_on": ["x"]},
        {"id": "self", "title": "Self", "status": "todo", "depends_on": ["self"]},
        {"id": "lost", "title": "Lost", "status": "todo", "depends_on": ["nowhere"]},
        {"id": "fine", "title": "Fine", "status": "todo"},
    ]));
    sandbox.run_loop(&agent, &[]);
    let status = sandbox.status();
    for (task, words) in [
        ("x", "`x` → `y` → `z` → `x`"),
        ("y", "cycle"),
        ("self", "cycle"),
        ("lost", "it depends on `nowhere`, which is not in the queue"),
    ] {
        assert_eq!(status.state(task), "waiting", "{task}");
        assert!(status.why(task).contains(words), "{task}: {}", status.why(task));
        sandbox.run(&["tasks", "why", task]).exits(0).says(&[words]);
    }
    assert_eq!(status.outcomes("fine"), ["unchecked"]);
}

#[test]
fn two_tasks_of_one_id_are_named_and_neither_is_taken_for_the_other() {
    let sandbox = Sandbox::new();
    let agent = sandbox.agent(HONEST);
    sandbox.write(
        ".ralph/queue.json",
        "{\"version\":1,\"tasks\":[\n{\"id\":\"a\",\"title\":\"First\",\"status\":\"todo\"},\n\
         {\"id\":\"a\",\"title\":\"Second\",\"status\":\"todo\"},\n{\"id\":\"b\",\"title\":\"B\",\"status\":\"todo\"}\n]}",
    );
    let ran = sandbox.run_loop(&agent, &[]);
    let status = sandbox.status();
    assert_eq!(status.outcomes("b"), ["unchecked"], "{}{}", ran.out, ran.err);
    let shown = sandbox.run(&["status"]).exits(0);
    assert!(shown.out.contains("line 3") && shown.out.contains("`a`"), "the doubled id is named: {}", shown.out);
}

#[test]
fn nothing_to_do_says_what_to_do() {
    let sandbox = Sandbox::new();
    let agent = sandbox.agent(HONEST);
    sandbox.run(&["run", "--agent", &agent]).exits(0).says(&["next: ralph-sidecar plan"]);
    sandbox.queue(json!([{"id": "d", "title": "D"}]));
    sandbox.run(&["run", "--agent", &agent]).exits(0).says(&["next: ralph-sidecar approve --all"]);
}

/// A run whose agent waits until the test lets it go on.
struct Waiting {
    sandbox: Sandbox,
    child: std::process::Child,
    lines: BufReader<std::process::ChildStdout>,
    go: std::path::PathBuf,
}

impl Waiting {
    fn start() -> Self {
        let sandbox = Sandbox::new();
        let (ready, go) = (sandbox.pipe("ready"), sandbox.pipe("go"));
        let agent = sandbox.agent(&format!(
            "[ $RALPH_TASK_ID = a ] && {{ echo there > '{}'; cat '{}' > /dev/null; }}\n{HONEST}",
            ready.display(),
            go.display()
        ));
        sandbox.queue(json!([
            {"id": "a", "title": "A", "status": "todo", "verify": ["test -f a.txt"]},
            {"id": "b", "title": "B", "status": "todo", "verify": ["test -f b.txt"]},
        ]));
        let mut child = sandbox.spawn_loop(&agent, &[]);
        let lines = BufReader::new(child.stdout.take().expect("piped"));
        // Opening it waits for the agent.
        std::fs::read_to_string(ready).expect("the agent is there");
        Self { sandbox, child, lines, go }
    }

    fn go_on(&mut self) -> (i32, String) {
        let mut go = std::fs::OpenOptions::new().write(true).open(&self.go).expect("the agent waits");
        go.write_all(b"go\n").expect("written");
        drop(go);
        let mut said = String::new();
        while self.lines.read_line(&mut said).expect("read") > 0 {}
        (self.child.wait().expect("ended").code().unwrap_or(-1), said)
    }
}

#[test]
fn deleted_while_a_run_is_on() {
    let mut run = Waiting::start();
    let text = run.sandbox.read(".ralph/queue.json");
    std::fs::remove_file(run.sandbox.root.join(".ralph/queue.json")).expect("removed");
    let (code, said) = run.go_on();
    // What it said last is still in force; that the file is gone is told.
    assert!(code == 0 || code == 10, "{code} {said}");
    assert!(said.contains("a: attempt 1"), "{said}");
    run.sandbox.write(".ralph/queue.json", &text);
    let status = run.sandbox.status();
    assert!(!status.outcomes("a").is_empty() && !status.outcomes("b").is_empty(), "{:#}", status.json());
    assert_eq!(run.sandbox.read("a.txt"), "hello\n");
}

#[test]
fn broken_while_a_run_is_on() {
    let mut run = Waiting::start();
    let text = run.sandbox.read(".ralph/queue.json");
    run.sandbox.write(".ralph/queue.json", "{\"version\": 1, \"tasks\": [ oops");
    let (code, said) = run.go_on();
    assert!(code == 0 || code == 10, "{code} {said}");
    assert_eq!(run.sandbox.read(".ralph/queue.json"), "{\"version\": 1, \"tasks\": [ oops");
    run.sandbox.run(&["status"]).exits(0).says(&["queue.json", "line 1"]);
    run.sandbox.write(".ralph/queue.json", &text);
    assert!(!run.sandbox.status().outcomes("b").is_empty());
}

#[test]
fn another_branch_while_a_run_is_on() {
    let mut run = Waiting::start();
    run.sandbox.git(&["checkout", "-q", "-b", "other"]);
    run.sandbox.write("elsewhere.txt", "x\n");
    run.sandbox.git(&["add", "elsewhere.txt"]);
    run.sandbox.git(&["commit", "-qm", "Elsewhere"]);
    let (code, said) = run.go_on();
    assert_eq!(code, 0, "switching is the user's right and no leak: {said}");
    let status = run.sandbox.status();
    assert_eq!(status.outcomes("a"), ["verified"]);
    assert_eq!(status.outcomes("b"), ["verified"]);
    assert_eq!(run.sandbox.git(&["symbolic-ref", "--short", "HEAD"]), "other");
    // The proposal made on the first branch can be taken into the second.
    run.sandbox.run(&["accept", "a"]).exits(0);
    assert_eq!(run.sandbox.read("a.txt"), "done\n");
}

#[test]
fn a_status_that_went_back_with_the_branch_is_no_request() {
    let sandbox = Sandbox::new();
    let agent = sandbox.agent(HONEST);
    sandbox.queue(json!([{"id": "a", "title": "A", "status": "todo"}]));
    sandbox.commit("Plan");
    sandbox.git(&["branch", "old"]);
    sandbox.run_loop(&agent, &[]).exits(0);
    sandbox.run(&["accept", "a"]).exits(0);
    sandbox.commit("Done");
    sandbox.git(&["checkout", "-q", "old"]);
    assert!(sandbox.read(".ralph/queue.json").contains("todo"));
    sandbox.run_loop(&agent, &[]).exits(0);
    let status = sandbox.status();
    assert_eq!(status.outcomes("a").len(), 1, "it was not run again: {:#}", status.json());
    assert_eq!(status.state("a"), "done");
}
