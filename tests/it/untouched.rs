//! The user's checkout is untouched by a run.

use crate::sandbox::{Ran, Sandbox, Status};
use serde_json::json;

/// Makes, changes and deletes files, uses git as agents do, asks once.
const BUSY_AGENT: &str = r#"
cat > /dev/null
case "$RALPH_TASK_ID" in
edit)
    echo more >> a.txt; mkdir -p made; echo new > made/new.txt; rm gone.txt; chmod +x check.sh
    echo out > build.log
    git add -A; git status --short
    ralph-sidecar report finished --summary "edited" ;;
fail)
    echo wrong > wrong.txt
    ralph-sidecar report finished --summary "not really" ;;
ask)
    ralph-sidecar report ask --question "Which?" --option one --option two ;;
esac
"#;

fn tasks() -> serde_json::Value {
    json!([
        {"id": "edit", "title": "Edit", "status": "todo", "verify": ["test -f made/new.txt", "sh check.sh"]},
        {"id": "fail", "title": "Fail", "status": "todo", "verify": ["test -f right.txt"]},
        {"id": "ask", "title": "Ask", "status": "todo"}
    ])
}

fn repository() -> Sandbox {
    let sandbox = Sandbox::bare();
    sandbox.git(&["init", "-q", "-b", "main"]);
    sandbox.write("a.txt", "hello\n");
    sandbox.write("gone.txt", "soon\n");
    sandbox.write("check.sh", "exit 0\n");
    sandbox.write("staged.txt", "one\n");
    sandbox.write("unstaged.txt", "one\n");
    sandbox.write(".gitignore", "*.log\n.ralph/\n");
    sandbox.commit("First");
    sandbox.git(&["branch", "other"]);
    sandbox.git(&["tag", "v1"]);
    // Hooks that would be seen if anything ran them.
    for hook in ["pre-commit", "post-commit", "post-checkout", "reference-transaction", "post-index-change"] {
        let path = sandbox.root.join(".git/hooks").join(hook);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(&path, format!("#!/bin/sh\necho {hook} >> '{}/hook-ran'\n", sandbox.base().display()))
            .expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, mode).expect("executable");
    }
    sandbox
}

fn make_dirty(sandbox: &Sandbox) {
    sandbox.write("staged.txt", "stashed\n");
    sandbox.git(&["stash", "push", "-q", "-m", "kept for later"]);
    sandbox.write("staged.txt", "two\n");
    sandbox.git(&["add", "staged.txt"]);
    sandbox.write("staged.txt", "three\n");
    sandbox.write("unstaged.txt", "two\n");
    sandbox.write("untracked.txt", "mine\n");
    sandbox.write("ignored.log", "noise\n");
    sandbox.write("intended.txt", "later\n");
    sandbox.git(&["add", "-N", "intended.txt"]);
    std::fs::remove_file(sandbox.root.join("check.sh")).expect("removed");
    sandbox.write("check.sh", "exit 0 # changed\n");
    std::os::unix::fs::symlink("a.txt", sandbox.root.join("link")).expect("linked");
}

fn run_and_compare(sandbox: &Sandbox, act: fn(&Sandbox, &[&str]) -> Ran) -> Status {
    sandbox.queue(tasks());
    // The hooks above run for the test's own git too.
    let _ = std::fs::remove_file(sandbox.base().join("hook-ran"));
    let agent = sandbox.agent(BUSY_AGENT);
    let before = sandbox.fingerprint();
    act(sandbox, &["trust", "--yes"]).exits(0);
    act(sandbox, &["run", "--attempts", "2", "--agent", &agent]).exits(10);
    before.assert_same(&sandbox.fingerprint());
    let status = sandbox.status();
    assert_eq!(status.outcomes("edit"), ["verified"], "{:#}", status.json());
    assert_eq!(status.outcomes("fail"), ["verify_failed", "verify_failed"]);
    assert_eq!(status.outcomes("ask"), ["needs_decision"]);
    // Looking, answering and rejecting touch nothing either.
    act(sandbox, &["review", "edit"]).exits(0).says(&["a.txt", "made/new.txt", "gone.txt"]);
    act(sandbox, &["answer", "d1", "--text", "whatever"]).exits(0);
    act(sandbox, &["reject", "edit", "--hunk", "1", "--why", "no"]).exits(0);
    sandbox.run(&["doctor"]);
    before.assert_same(&sandbox.fingerprint());
    status
}

#[test]
fn a_clean_checkout_is_as_before() {
    let sandbox = repository();
    run_and_compare(&sandbox, Sandbox::run);
    let ran = std::fs::read_to_string(sandbox.base().join("hook-ran")).unwrap_or_default();
    // What the agent's own `git add` sets off in its slot is the agent's doing.
    let ours: Vec<&str> = ran.lines().filter(|hook| *hook != "post-index-change").collect();
    assert!(ours.is_empty(), "hooks ran: {ours:?}");
}

#[test]
fn a_dirty_checkout_is_as_before_and_the_agent_sees_it() {
    let sandbox = repository();
    make_dirty(&sandbox);
    let status = run_and_compare(&sandbox, Sandbox::run_with_engine);
    let base = status.proposal("edit").expect("a proposal")["base"].as_str().expect("a commit").to_owned();
    let seen = |path: &str| sandbox.git(&["show", &format!("{base}:{path}")]);
    assert_eq!(seen("staged.txt"), "three");
    assert_eq!(seen("unstaged.txt"), "two");
    assert_eq!(seen("untracked.txt"), "mine");
    assert_eq!(seen("intended.txt"), "later");
    let files = sandbox.git(&["ls-tree", "-r", "--name-only", &base]);
    assert!(!files.contains("ignored.log") && !files.contains(".ralph"), "{files}");
}

#[test]
fn accepting_writes_the_files_and_the_status_and_nothing_else() {
    let sandbox = repository();
    make_dirty(&sandbox);
    sandbox.queue(json!([tasks()[0]]));
    let agent = sandbox.agent(BUSY_AGENT);
    sandbox.run_loop(&agent, &[]).exits(0);
    let index = std::fs::read(sandbox.root.join(".git/index")).expect("an index");
    let untouched = ["staged.txt", "unstaged.txt", "untracked.txt", "ignored.log", "intended.txt"];
    let before = untouched.map(|path| sandbox.read(path));
    sandbox.run(&["accept", "edit"]).exits(0);
    assert_eq!(std::fs::read(sandbox.root.join(".git/index")).expect("an index"), index);
    assert_eq!(untouched.map(|path| sandbox.read(path)), before);
    assert_eq!(sandbox.read("a.txt"), "hello\nmore\n");
    assert_eq!(sandbox.read("made/new.txt"), "new\n");
    assert!(!sandbox.root.join("gone.txt").exists());
    assert_eq!(sandbox.status().state("edit"), "done");
    assert!(sandbox.read(".ralph/queue.json").contains("\"done\""));
    sandbox.run(&["undo"]).exits(0);
    assert_eq!(sandbox.read("a.txt"), "hello\n");
    assert_eq!(sandbox.read("gone.txt"), "soon\n");
    assert!(!sandbox.root.join("made/new.txt").exists());
    assert_eq!(sandbox.status().state("edit"), "review");
}
