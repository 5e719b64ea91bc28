//! What an agent does to git, from inside its slot.

use super::Stage;

/// The outcome where an agent's git reached what all worktrees share.
fn leaks(script: &str, place: &str) {
    let stage = Stage::new(&["test -f work.txt"], script);
    let head = stage.sandbox.git(&["rev-parse", "HEAD"]);
    let (_, status) = stage.run(&[]);
    assert_eq!(status.outcomes("liar"), ["leaked"], "{script}");
    let question = status.question("liar")["question"].as_str().expect("words").to_owned();
    assert!(question.contains(place), "{question}");
    assert_eq!(stage.sandbox.git(&["rev-parse", "HEAD"]), head);
    assert_eq!(stage.sandbox.git(&["symbolic-ref", "HEAD"]), "refs/heads/main");
}

#[test]
fn stashes() {
    leaks("echo t >> a.txt; git stash -q; echo w > work.txt; finished", "the stash");
}

#[test]
fn configures() {
    leaks("git config user.name Mallory; echo w > work.txt; finished", "git's configuration");
}

#[test]
fn installs_a_hook() {
    leaks(
        "d=$(git rev-parse --git-common-dir); mkdir -p $d/hooks; echo 'exit 1' > $d/hooks/pre-commit; \
         echo w > work.txt; finished",
        "hooks",
    );
}

#[test]
fn makes_a_branch() {
    leaks("git branch evil; echo w > work.txt; finished", "refs/heads/evil");
}

#[test]
fn moves_the_users_branch() {
    leaks(
        "echo w > work.txt; git add -A; git commit -qm evil; git update-ref refs/heads/other HEAD; finished",
        "refs/heads/other",
    );
}

/// What stays inside the slot is the agent's own affair: its files count.
fn stays_inside(script: &str) {
    let mut stage = Stage::new(&["test -f work.txt"], script);
    stage.sandbox.fenced = true;
    let before = stage.sandbox.fingerprint();
    let (ran, status) = stage.run(&[]);
    ran.exits(0);
    assert_eq!(status.outcomes("liar"), ["verified"], "{script}");
    assert_eq!(status.proposal("liar").expect("a proposal")["files"], serde_json::json!(["work.txt"]), "{script}");
    before.assert_same(&stage.sandbox.fingerprint());
    // A second result in the same slot holds nothing of the first.
    assert_eq!(status.proposal("after").expect("a proposal")["files"], serde_json::json!(["after.txt"]), "{script}");
}

#[test]
fn commits_and_resets_and_detaches() {
    stays_inside("echo w > work.txt; git add -A; git commit -qm mine; finished");
    stays_inside("echo w > work.txt; git add -A; git commit -qm mine; git checkout -q HEAD~0; finished");
    stays_inside("echo w > work.txt; git rm -q --cached a.txt; git update-index --assume-unchanged check.sh; finished");
}

#[test]
fn prunes_worktrees() {
    stays_inside("git worktree prune --expire=now; echo w > work.txt; finished");
}

#[test]
fn collects_garbage() {
    let script = "git gc -q --prune=now; echo $N > work.txt; [ $N = 2 ] && echo right > right.txt; finished";
    let stage = Stage::new(&["test -f right.txt"], script);
    let refs = stage.sandbox.git(&["for-each-ref", "refs/heads", "refs/tags"]);
    let (ran, status) = stage.run(&[]);
    ran.exits(0);
    assert_eq!(status.outcomes("liar"), ["verify_failed", "verified"]);
    assert_eq!(stage.sandbox.git(&["for-each-ref", "refs/heads", "refs/tags"]), refs);
    stage.sandbox.git(&["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn rewrites_the_dot_git_of_its_slot() {
    stays_inside("echo 'gitdir: @ROOT@/.git' > .git; echo w > work.txt; finished");
    stays_inside("rm .git; echo w > work.txt; finished");
    stays_inside("rm .git; ln -s @ROOT@/.git .git; echo w > work.txt; finished");
    stays_inside("rm .git; git init -q; git config core.worktree /; echo w > work.txt; finished");
    stays_inside("rm .git; mkfifo .git; echo w > work.txt; finished");
}

#[test]
fn breaks_the_administration_of_its_slot() {
    stays_inside("d=$(git rev-parse --git-dir); echo garbage > $d/HEAD; echo w > work.txt; finished");
    stays_inside("d=$(git rev-parse --git-dir); touch $d/index.lock $d/HEAD.lock; echo w > work.txt; finished");
    stays_inside("d=$(git rev-parse --git-dir); head -c 200 /dev/urandom > $d/index; echo w > work.txt; finished");
    stays_inside("d=$(git rev-parse --git-dir); rm -rf \"$d\"; echo w > work.txt; finished");
}

#[test]
fn empties_its_slot() {
    let stage = Stage::new(&["test -f work.txt"], "d=$PWD; cd /; rm -rf \"$d\"; cd \"$RALPH_MAILBOX\"; finished");
    let (_, status) = stage.run(&["--attempts", "1"]);
    assert_ne!(status.outcomes("liar"), ["verified"]);
    assert_eq!(stage.sandbox.read("a.txt"), "hello\n");
}

#[test]
fn deletes_every_ref_of_ours() {
    let script = r#"
echo $N > work.txt
if [ $N = 2 ]; then
    git for-each-ref --format='delete %(refname)' refs/ralph | git update-ref --stdin
fi
[ $N = 3 ] && echo right > right.txt
finished"#;
    let stage = Stage::new(&["test -f right.txt"], script);
    let (ran, status) = stage.run(&[]);
    ran.exits(0);
    assert_eq!(status.outcomes("liar"), ["verify_failed", "verify_failed", "verified"]);
    stage.sandbox.run(&["accept", "liar"]).exits(0);
    assert_eq!(stage.sandbox.read("right.txt"), "right\n");
}
