//! Landing accepted work with the user's own git: what a commit holds, what stays as it was, and the way back.

use crate::sandbox::{Ran, Sandbox};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;

/// Changes files in every way there is.
const AGENT: &str = r#"
cat > /dev/null
case "$RALPH_TASK_ID" in
one)
    sed -i 's/^l3$/three/; s/^l27$/twenty-seven/' a.txt
    printf 'crlf\r\nTWO\r\nend' > windows.txt
    printf 'x\377\000y' > data.bin
    mkdir -p made; printf 'new, no newline' > made/new.txt
    rm gone.txt; chmod +x tool.sh; git mv moved.txt elsewhere.txt 2>/dev/null || mv moved.txt elsewhere.txt
    ralph-sidecar report finished --summary "I changed what there was." ;;
two)
    sed -i 's/^three$/THREE/' a.txt; echo more >> made/new.txt
    ralph-sidecar report finished --summary "I did the rest." ;;
small)
    sed -i 's/^l15$/fifteen/' a.txt
    ralph-sidecar report finished --summary "One line." ;;
rounds)
    case "$RALPH_ATTEMPT_NUMBER" in
    1) sed -i 's/^l3$/three/; s/^l27$/wrong/' a.txt ;;
    *) sed -i 's/^l27$/twenty-seven/; s/^wrong$/twenty-seven/' a.txt ;;
    esac
    ralph-sidecar report finished --summary "Round $RALPH_ATTEMPT_NUMBER." ;;
many)
    mkdir -p many; for n in $(seq 40); do echo $n > many/$n.txt; done
    ralph-sidecar report finished --summary "Forty files." ;;
esac
"#;

fn lines() -> String {
    (1..=30).map(|number| format!("l{number}\n")).collect()
}

/// A repository whose every file some task changes, with the user's own beside them.
fn repository() -> Sandbox {
    let sandbox = Sandbox::bare();
    sandbox.git(&["init", "-q", "-b", "main"]);
    sandbox.write("a.txt", lines());
    sandbox.write("windows.txt", "crlf\r\ntwo\r\nend");
    sandbox.write("data.bin", b"x\xff\x00x");
    sandbox.write("gone.txt", "soon\n");
    sandbox.write("tool.sh", "echo tool\n");
    sandbox.write("moved.txt", lines().replace('l', "m"));
    sandbox.write("staged.txt", "one\n");
    sandbox.write("unstaged.txt", "one\n");
    sandbox.write(".gitignore", ".ralph/\n");
    sandbox.commit("First");
    sandbox
}

fn hook(sandbox: &Sandbox, name: &str, script: &str) {
    let path = sandbox.root.join(".git/hooks").join(name);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    std::fs::write(&path, format!("#!/bin/sh\n{}\n", script.replace("@BASE@", &sandbox.base().display().to_string())))
        .expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
}

/// Has the tasks done and accepts them.
fn accepted(sandbox: &Sandbox, tasks: &[&str]) {
    let one = |id: &&str| {
        let depends = if *id == "two" { json!(["one"]) } else { json!([]) };
        json!({ "id": id, "title": format!("Do {id}"), "status": "todo", "depends_on": depends })
    };
    sandbox.queue(tasks.iter().map(one).collect());
    let agent = sandbox.agent(AGENT);
    sandbox.run_loop(&agent, &[]).exits(0);
    for task in tasks {
        sandbox.run(&["accept", task]).exits(0);
        assert_eq!(sandbox.status().state(task), "done", "{:#}", sandbox.status().json());
    }
}

fn staged(sandbox: &Sandbox) -> String {
    sandbox.git(&["ls-files", "--stage"])
}

fn head(sandbox: &Sandbox) -> String {
    sandbox.git(&["rev-parse", "HEAD"])
}

/// Everything that somebody sees: the index, branches and HEAD, and the files as they differ from it.
fn seen(sandbox: &Sandbox) -> [String; 5] {
    let refs = ["for-each-ref", "refs/heads", "refs/tags", "refs/stash"];
    let status = ["--no-optional-locks", "status", "--porcelain", "--branch"];
    assert!(!sandbox.root.join(".git/index.lock").exists());
    let git = |args: &[&str]| sandbox.git(args);
    [staged(sandbox), git(&refs), git(&["rev-parse", "HEAD"]), git(&status), sandbox.read("a.txt")]
}

/// A command that must fail, with these words, and change nothing.
#[track_caller]
fn refuses(sandbox: &Sandbox, args: &[&str], words: &[&str]) {
    let before = seen(sandbox);
    let ran = sandbox.run(args);
    assert_ne!(ran.code, 0, "{args:?}: {}", ran.out);
    assert_eq!(seen(sandbox), before);
    ran.complains(words);
}

#[test]
fn a_commit_holds_what_was_accepted_and_nothing_else() {
    let sandbox = repository();
    // The user's own: in a file of the task, in others, staged and not.
    sandbox.write("a.txt", lines().replace("l12\n", "mine\n"));
    sandbox.write("staged.txt", "two\n");
    sandbox.git(&["add", "staged.txt"]);
    sandbox.write("staged.txt", "three\n");
    sandbox.write("unstaged.txt", "two\n");
    sandbox.write("untracked.txt", "mine\n");
    hook(&sandbox, "pre-commit", "git diff --cached --no-renames --name-only | sort > @BASE@/seen");
    hook(&sandbox, "commit-msg", "echo Reviewed-by: Ann >> \"$1\"");
    accepted(&sandbox, &["one"]);
    let (index, first) = (staged(&sandbox), head(&sandbox));
    let status = sandbox.git(&["status", "--porcelain", "--", "staged.txt", "unstaged.txt", "untracked.txt"]);
    let files = sandbox.read("a.txt");

    sandbox.run(&["land", "--commit"]).exits(0).says(&["landed one as ", " on main (8 files)", "land --undo"]);
    assert_eq!(sandbox.git(&["rev-parse", "HEAD^"]), first);
    assert_eq!(
        sandbox.git(&["log", "-1", "--format=%an|%B"]).trim(),
        "Ann|Do one\n\nI changed what there was.\nReviewed-by: Ann"
    );
    let changed = "a.txt data.bin elsewhere.txt gone.txt made/new.txt moved.txt tool.sh windows.txt";
    assert_eq!(std::fs::read_to_string(sandbox.base().join("seen")).expect("seen").replace('\n', " ").trim(), changed);
    let show = |path: &str| sandbox.git(&["show", &format!("HEAD:{path}")]);
    assert_eq!(show("a.txt"), lines().replace("l3\n", "three\n").replace("l27\n", "twenty-seven\n").trim_end());
    assert_eq!(show("windows.txt"), "crlf\r\nTWO\r\nend");
    assert_eq!(show("made/new.txt"), "new, no newline");
    assert!(sandbox.git(&["ls-tree", "HEAD", "tool.sh"]).starts_with("100755"));
    let blob = sandbox.git(&["hash-object", "--no-filters", "data.bin"]);
    assert!(sandbox.git(&["ls-tree", "HEAD", "data.bin"]).contains(&blob));
    // What is the user's is as it was, and of the task nothing is left to commit.
    assert_eq!(sandbox.read("a.txt"), files);
    assert_eq!(sandbox.git(&["status", "--porcelain", "--", "staged.txt", "unstaged.txt", "untracked.txt"]), status);
    assert_eq!(sandbox.git(&["diff", "--cached", "--no-renames", "--name-only"]), "staged.txt");
    assert_eq!(sandbox.git(&["diff", "--name-only"]).replace('\n', " "), "a.txt staged.txt unstaged.txt");
    let own = sandbox.git(&["diff", "-U0", "a.txt"]);
    assert!(own.contains("-l12\n+mine") && !own.contains("three"), "{own}");

    // Once is enough.
    refuses(&sandbox, &["land", "one", "--commit"], &["`one` is landed already, as ", " on main"]);
    refuses(&sandbox, &["land", "--commit"], &["nothing to land"]);

    sandbox.run(&["land", "--undo"]).exits(0).says(&[" off main (one)"]);
    assert_eq!((head(&sandbox), staged(&sandbox), sandbox.read("a.txt")), (first.clone(), index, files));
    assert_eq!(sandbox.status().state("one"), "done");
    // And again, by the setting this time; what was only meant to be added is in it too.
    sandbox.git(&["add", "--intent-to-add", "made/new.txt"]);
    sandbox.config(json!({ "land": { "to": "commit", "message": "feat({id}): {title}" } }));
    sandbox.run(&["land"]).exits(0);
    assert!(sandbox.git(&["log", "-1", "--format=%s"]).starts_with("feat(one): Do one"));
    assert_eq!(sandbox.git(&["diff", "--cached", "--no-renames", "--name-only"]), "staged.txt");
    // The newest of all is the landing, then the accept.
    sandbox.run(&["undo"]).exits(0).says(&["off main"]);
    sandbox.run(&["undo"]).exits(0).says(&["restored 8 files"]);
    assert_eq!(sandbox.status().state("one"), "review");
    assert_eq!(sandbox.read("a.txt"), lines().replace("l12\n", "mine\n"));
    assert!(!sandbox.root.join("made").exists() && sandbox.root.join("moved.txt").exists());
}

#[test]
fn tasks_that_stand_on_each_other_land_together_or_in_order() {
    let sandbox = repository();
    accepted(&sandbox, &["one", "two"]);
    refuses(&sandbox, &["land", "two", "--commit"], &["land the task"]);
    sandbox.run(&["land", "--commit"]).exits(0).says(&["landed one, two as"]);
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    assert_eq!(sandbox.git(&["show", "HEAD:made/new.txt"]), "new, no newlinemore");
    let message = sandbox.git(&["log", "-1", "--format=%B"]);
    assert!(
        message.starts_with("Do one, and 1 more\n\nDo one (one)\nI changed what there was.\n\nDo two"),
        "{message}"
    );
    sandbox.run(&["land", "--undo"]).exits(0);
    sandbox.run(&["land", "one", "--commit"]).exits(0);
    sandbox.run(&["land", "two", "--commit"]).exits(0);
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
}

#[test]
fn what_was_accepted_in_an_earlier_round_lands_too() {
    let sandbox = repository();
    sandbox.queue(json!([{ "id": "rounds", "title": "Do it in rounds", "status": "todo" }]));
    let agent = sandbox.agent(AGENT);
    sandbox.run_loop(&agent, &[]).exits(0);
    sandbox.run(&["accept", "rounds", "--hunk", "1"]).exits(0);
    sandbox.run(&["reject", "rounds", "--hunk", "2", "--why", "no"]).exits(0);
    refuses(&sandbox, &["land", "rounds", "--commit"], &["task `rounds` is not done yet"]);
    sandbox.run(&["send-back", "rounds"]).exits(0);
    sandbox.run_loop(&agent, &[]).exits(0);
    sandbox.run(&["accept", "rounds"]).exits(0);
    assert_eq!(sandbox.status().state("rounds"), "done");
    sandbox.run(&["land", "--commit"]).exits(0);
    let expected = lines().replace("l3\n", "three\n").replace("l27\n", "twenty-seven\n");
    assert_eq!(sandbox.git(&["show", "HEAD:a.txt"]), expected.trim_end());
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    sandbox.run(&["land", "--undo"]).exits(0);
    // What the person has taken out since an earlier round is not put in again.
    sandbox.write("a.txt", sandbox.read("a.txt").replace("three\n", "l3\n"));
    sandbox.run(&["land", "--commit"]).exits(0);
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    assert_eq!(sandbox.git(&["show", "HEAD:a.txt"]), lines().replace("l27\n", "twenty-seven\n").trim_end());
}

#[test]
fn what_is_staged_in_the_same_file_stays_staged_over_the_commit() {
    let sandbox = repository();
    sandbox.write("a.txt", lines().replace("l2\n", "staged\n"));
    sandbox.git(&["add", "a.txt"]);
    accepted(&sandbox, &["small"]);
    let index = staged(&sandbox);
    sandbox.run(&["land", "--commit"]).exits(0);
    assert_eq!(sandbox.git(&["show", "HEAD:a.txt"]), lines().replace("l15\n", "fifteen\n").trim_end());
    let diff = sandbox.git(&["diff", "--cached", "-U0"]);
    assert!(diff.contains("-l2\n+staged") && !diff.contains("fifteen"), "{diff}");
    assert_eq!(sandbox.git(&["diff"]), "", "the file is what is staged");
    sandbox.run(&["land", "--undo"]).exits(0);
    assert_eq!(staged(&sandbox), index);
    // All of it staged already is as good as nothing.
    sandbox.git(&["add", "a.txt"]);
    sandbox.run(&["land", "--commit"]).exits(0);
    assert_eq!(sandbox.git(&["diff", "--cached", "-U0"]), diff);
    sandbox.run(&["land", "--undo"]).exits(0);
    // What is staged in the very place is not ours to decide about.
    sandbox.write("other", lines().replace("l15\n", "something else\n"));
    let blob = sandbox.git(&["hash-object", "-w", "other"]);
    std::fs::remove_file(sandbox.root.join("other")).expect("removed");
    sandbox.git(&["update-index", "--cacheinfo", &format!("100644,{blob},a.txt")]);
    refuses(&sandbox, &["land", "--commit"], &["land a.txt: what you have staged", "restore --staged"]);
}

#[test]
fn a_hook_or_a_signature_that_fails_changes_nothing_and_is_told() {
    let sandbox = repository();
    accepted(&sandbox, &["small"]);
    hook(&sandbox, "pre-commit", "echo 'lint: line 15 is bad' >&2; exit 1");
    refuses(&sandbox, &["land", "--commit"], &["lint: line 15 is bad", "nothing was landed"]);
    hook(&sandbox, "pre-commit", "exit 0");
    sandbox.git(&["config", "gpg.program", "/bin/false"]);
    sandbox.git(&["config", "commit.gpgsign", "true"]);
    refuses(&sandbox, &["land", "--commit"], &["signing failed", "nothing was landed"]);
    refuses(&sandbox, &["land", "--branch", "x"], &["signing failed"]);
    sandbox.git(&["config", "commit.gpgsign", "false"]);
    // Another git command is at work.
    let lock = sandbox.root.join(".git/index.lock");
    std::fs::write(&lock, "").expect("written");
    let ran = sandbox.run(&["land", "--commit"]).exits(3);
    std::fs::remove_file(&lock).expect("still theirs");
    ran.complains(&["index.lock is there", "another git command"]);
    // HEAD moves below the commit that is being made.
    let move_head = "git update-ref refs/heads/main $(git commit-tree -m theirs -p HEAD HEAD^{tree})";
    hook(&sandbox, "pre-commit", move_head);
    let (files, before) = (sandbox.read("a.txt"), head(&sandbox));
    sandbox.run(&["land", "--commit"]).exits(3).complains(&["HEAD moved meanwhile"]);
    assert_eq!(sandbox.git(&["log", "--format=%s", &format!("{before}..")]), "theirs");
    assert_eq!(sandbox.read("a.txt"), files);
    hook(&sandbox, "pre-commit", "exit 0");
    sandbox.run(&["land", "--commit"]).exits(0);
    // A commit on top: only a commit of its own takes it back.
    sandbox.git(&["commit", "-q", "--allow-empty", "-m", "Later"]);
    refuses(&sandbox, &["land", "--undo"], &["main has moved on since", "git revert"]);
}

#[test]
fn a_branch_gets_the_commit_and_nothing_else_changes() {
    let sandbox = repository();
    sandbox.write("staged.txt", "two\n");
    sandbox.git(&["add", "staged.txt"]);
    accepted(&sandbox, &["one", "small"]);
    let (index, files, first) = (staged(&sandbox), sandbox.read("a.txt"), head(&sandbox));
    sandbox.run(&["land", "one", "--branch", "ralph/{id}"]).exits(0).says(&["on the branch ralph/one"]);
    sandbox.run(&["land", "small", "--branch", "ralph/one"]).exits(0);
    assert_eq!((staged(&sandbox), sandbox.read("a.txt"), head(&sandbox)), (index.clone(), files, first.clone()));
    assert_eq!(sandbox.git(&["log", "--format=%s", "main..ralph/one"]), "Do small\nDo one");
    let expected = lines().replace("l3\n", "three\n").replace("l27\n", "twenty-seven\n").replace("l15\n", "fifteen\n");
    assert_eq!(sandbox.git(&["show", "ralph/one:a.txt"]), expected.trim_end());
    let one = sandbox.git(&["rev-parse", "ralph/one^"]);
    sandbox.run(&["land", "--undo"]).exits(0);
    assert_eq!(sandbox.git(&["rev-parse", "ralph/one"]), one);
    // A branch that somebody works on, and one with commits of its own, are not ours.
    refuses(&sandbox, &["land", "small", "--branch", "main"], &["checked out in"]);
    refuses(&sandbox, &["land", "small", "--branch", "a..b"], &["no name for a branch"]);
    let strange = sandbox.git(&["commit-tree", "-m", "strange", "HEAD^{tree}"]);
    sandbox.git(&["update-ref", "refs/heads/strange", &strange]);
    refuses(&sandbox, &["land", "small", "--branch", "strange"], &["commits of its own"]);
    sandbox.git(&["worktree", "add", "-q", "../other", "ralph/one"]);
    refuses(&sandbox, &["land", "small", "--branch", "ralph/one"], &["checked out in", "other"]);
    refuses(&sandbox, &["land", "--undo"], &["checked out in"]);
    sandbox.git(&["worktree", "remove", "../other"]);
    sandbox.run(&["land", "--undo"]).exits(0);
    assert_eq!(sandbox.git(&["branch", "--list", "ralph/*"]), "");
    assert_eq!((staged(&sandbox), head(&sandbox)), (index, first));
}

#[test]
fn a_checkout_that_cannot_take_a_commit_says_the_next_step() {
    let sandbox = repository();
    accepted(&sandbox, &["small"]);
    sandbox.git(&["checkout", "-q", "--detach"]);
    refuses(&sandbox, &["land", "--commit"], &["HEAD is on no branch", "git switch -c"]);
    sandbox.git(&["checkout", "-q", "main"]);
    std::fs::write(sandbox.root.join(".git/MERGE_HEAD"), head(&sandbox)).expect("written");
    refuses(&sandbox, &["land", "--commit"], &["a merge is in progress"]);
    std::fs::remove_file(sandbox.root.join(".git/MERGE_HEAD")).expect("removed");
    refuses(&sandbox, &["land", "nothing", "--commit"], &["no task `nothing`"]);
    // Taken out by hand: it is not what the user has any more.
    let text = sandbox.read("a.txt");
    sandbox.write("a.txt", lines());
    refuses(&sandbox, &["land", "small", "--commit"], &["is not in the file any more", "--tree"]);
    sandbox.run(&["land", "small", "--tree"]).exits(0).says(&["wrote what is accepted of small into 1 file"]);
    assert_eq!(sandbox.read("a.txt"), text);
    sandbox.run(&["land", "small"]).exits(0).says(&["in the files already"]);
    // An agent lands nothing.
    let mut command = sandbox.command(&["land", "--commit", "--in-process"]);
    let ran: Ran = command.env("RALPH_ATTEMPT", "small/1").output().expect("runs").into();
    assert_ne!(ran.code, 0, "{}", ran.out);
    assert!(ran.err.contains("land its work"), "{}", ran.err);
    sandbox.run(&["land", "--commit"]).exits(0);
}

#[test]
fn a_linked_worktree_lands_on_its_own_branch() {
    let sandbox = repository();
    sandbox.git(&["worktree", "add", "-q", "-b", "side", "../side"]);
    let mut side = sandbox;
    let main = side.root.clone();
    side.root = side.base().join("side");
    accepted(&side, &["small"]);
    side.run(&["land", "--commit"]).exits(0).says(&["on side"]);
    assert_eq!(side.git(&["log", "--format=%s"]), "Do small\nFirst");
    assert_eq!(side.git(&["status", "--porcelain"]), "");
    assert_eq!(side.git(&["-C", &main.display().to_string(), "status", "--porcelain"]), "");
    side.run(&["land", "--undo"]).exits(0);
    assert_eq!(side.git(&["status", "--porcelain"]), " M a.txt");
}

#[test]
fn forty_files_are_one_undo_and_one_that_was_edited_stays() {
    let sandbox = repository();
    accepted(&sandbox, &["many"]);
    assert!(sandbox.root.join("many/40.txt").exists());
    sandbox.write("many/7.txt", "7, and mine\n");
    // Each command has an engine of its own here, so what undo needs outlived one.
    sandbox.run(&["undo"]).exits(0).says(&["restored 39 files", "changed since: many/7.txt"]);
    let left: Vec<_> = std::fs::read_dir(sandbox.root.join("many")).expect("a folder").collect();
    assert_eq!(left.len(), 1);
    assert_eq!(sandbox.read("many/7.txt"), "7, and mine\n");
    assert_eq!(sandbox.status().state("many"), "review");
    let proposal = sandbox.status().proposal("many").expect("a proposal").clone();
    let accepted = |hunk: &&serde_json::Value| hunk["state"]["mark"] == "accepted" || hunk["state"] == "accepted";
    let hunks = proposal["hunks"].as_array().expect("hunks");
    let kept: Vec<_> = hunks.iter().filter(accepted).map(|hunk| hunk["path"].as_str()).collect();
    assert_eq!(kept, [Some("many/7.txt")], "{proposal:#}");
    sandbox.run(&["accept", "many"]).exits(0);
    assert_eq!(sandbox.status().state("many"), "done");
}

#[test]
fn a_rejection_is_taken_back_by_name_and_as_the_newest() {
    let sandbox = repository();
    sandbox.queue(json!([{ "id": "one", "title": "Do one", "status": "todo" }]));
    let agent = sandbox.agent(AGENT);
    sandbox.run_loop(&agent, &[]).exits(0);
    let rejected = || {
        let status = sandbox.status();
        let proposal = status.proposal("one").expect("a proposal");
        let hunks = proposal["hunks"].as_array().expect("hunks");
        hunks.iter().filter(|hunk| hunk["state"].to_string().contains("rejected")).count()
    };
    sandbox.run(&["accept", "one", "--hunk", "1"]).exits(0);
    sandbox.run(&["reject", "one", "--hunk", "2,3", "--why", "no"]).exits(0);
    sandbox.run(&["reject", "one", "--hunk", "4"]).exits(0);
    assert_eq!(rejected(), 3);
    sandbox.run(&["reject", "one", "--hunk", "2", "--undo"]).exits(0).says(&["1 hunk waits again"]);
    assert_eq!(rejected(), 2);
    sandbox.run(&["undo"]).exits(0).says(&["1 change waits again in one"]);
    assert_eq!(rejected(), 1);
    sandbox.run(&["undo"]).exits(0).says(&["1 change waits again in one"]);
    assert_eq!(rejected(), 0);
    sandbox.run(&["reject", "one", "--undo"]).exits(2).complains(&["nothing of that is rejected"]);
    sandbox.run(&["undo"]).exits(0).says(&["restored"]);
    sandbox.run(&["undo"]).exits(3).complains(&["nothing was accepted, rejected or landed"]);
}
