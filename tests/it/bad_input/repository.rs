//! Places where no loop can run.

use super::HONEST;
use crate::sandbox::Sandbox;
use serde_json::json;

#[test]
fn no_repository() {
    let sandbox = Sandbox::bare();
    for args in [&["run"][..], &["status"], &["plan", "x"], &["review"], &["init"], &["trust"]] {
        sandbox.run(args).exits(3).complains(&["is not in a git repository", "git init"]);
    }
    sandbox.run(&["doctor"]).exits(3).says(&["is not in a git repository", "git init"]);
    assert_eq!(std::fs::read_dir(&sandbox.root).expect("a folder").count(), 0, "nothing was made");
}

#[test]
fn a_bare_one() {
    let sandbox = Sandbox::bare();
    sandbox.git(&["init", "-q", "--bare"]);
    for args in [&["run"][..], &["status"], &["init"]] {
        sandbox.run(args).exits(3).complains(&["is bare", "git worktree add"]);
    }
}

#[test]
fn objects_named_by_sha_256() {
    let sandbox = Sandbox::bare();
    sandbox.git(&["init", "-q", "--object-format=sha256"]);
    sandbox.write("a.txt", "hello\n");
    sandbox.commit("First");
    let before = sandbox.git(&["status", "--porcelain", "--ignored"]);
    for args in [&["run"][..], &["status"], &["plan", "x"], &["review"], &["init"], &["trust"], &["land"]] {
        let ran = sandbox.run(args).exits(3).complains(&["named by SHA-256", "git init --object-format=sha1"]);
        assert!(!ran.err.contains("safe.directory"), "{}", ran.err);
    }
    sandbox.run(&["doctor"]).exits(3).says(&["named by SHA-256", "fast-import"]);
    assert_eq!(sandbox.git(&["status", "--porcelain", "--ignored"]), before);
    assert!(!sandbox.root.join(".ralph").exists() && !sandbox.state().exists(), "nothing was made");
}

#[test]
fn no_commits_yet() {
    let sandbox = Sandbox::bare();
    sandbox.git(&["init", "-q", "-b", "main"]);
    sandbox.write("a.txt", "hello\n");
    sandbox.queue(json!([{"id": "a", "title": "A", "status": "todo"}]));
    let agent = sandbox.agent(HONEST);
    sandbox.run(&["run", "--agent", &agent]).exits(3).complains(&["no commits yet", "first commit"]);
    sandbox.run(&["status"]).exits(0).says(&["a"]);
    sandbox.commit("First");
    sandbox.run_loop(&agent, &[]).exits(0);
}

#[test]
fn in_the_middle_of_a_merge() {
    let sandbox = Sandbox::new();
    sandbox.git(&["checkout", "-q", "-b", "other"]);
    sandbox.write("a.txt", "theirs\n");
    sandbox.git(&["commit", "-qam", "Theirs"]);
    sandbox.git(&["checkout", "-q", "main"]);
    sandbox.write("a.txt", "ours\n");
    sandbox.git(&["commit", "-qam", "Ours"]);
    let mut merge = std::process::Command::new("git");
    merge.args(["merge", "-q", "other"]).current_dir(&sandbox.root);
    sandbox.surround(&mut merge);
    assert!(!merge.output().expect("git runs").status.success());
    let agent = sandbox.agent(HONEST);
    sandbox.queue(json!([{"id": "a", "title": "A", "status": "todo"}]));
    let before = sandbox.fingerprint();
    sandbox
        .run(&["run", "--agent", &agent])
        .exits(3)
        .complains(&["a merge is in progress", "finish or abort it first"]);
    before.assert_same(&sandbox.fingerprint());
}

#[test]
fn a_damaged_one() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.root.join(".git/HEAD"), "garbage\n").expect("written");
    sandbox.run(&["run", "--agent", "command:true"]).exits(1).complains(&["HEAD", "hint: `git status` and `git fsck`"]);
}

#[test]
fn from_a_folder_below_and_from_elsewhere() {
    let sandbox = Sandbox::new();
    sandbox.write("deep/er/x.txt", "x");
    sandbox.queue(json!([{"id": "a", "title": "A", "status": "draft"}]));
    let below = sandbox.root.join("deep/er").display().to_string();
    sandbox.run(&["-C", &below, "status"]).exits(0).says(&["1 draft"]);
    sandbox.run(&["-C", "/nowhere/at/all", "status"]).exits(3).complains(&["/nowhere/at/all"]);
}

#[test]
fn a_run_that_is_on_already() {
    let sandbox = Sandbox::new();
    let (ready, go) = (sandbox.pipe("ready"), sandbox.pipe("go"));
    let agent = sandbox.agent(&format!("echo x > '{}'; cat '{}'; {HONEST}", ready.display(), go.display()));
    sandbox.queue(json!([{"id": "a", "title": "A", "status": "todo"}]));
    sandbox.run_with_engine(&["run", "--detach", "--agent", &agent]).exits(0);
    std::fs::read_to_string(&ready).expect("the agent is there");
    sandbox.run_with_engine(&["run", "--agent", &agent]).exits(5).complains(&["a run is on already", "stop"]);
    sandbox.run(&["run", "--agent", &agent]).exits(5).complains(&["another engine", "--in-process"]);
    sandbox.run_with_engine(&["stop"]).exits(0);
    std::fs::write(&go, "go\n").expect("the agent waits");
    sandbox.wait_for_engine();
    assert_eq!(sandbox.status().outcomes("a"), ["unchecked"]);
}
