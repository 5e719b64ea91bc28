//! The write fence on real processes: what an agent must not write to is refused, and its normal work is not.

use crate::sandbox::Sandbox;
use ralph_sidecar::infra::sandbox::{Support, support};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Tells, loudly, when there is nothing to test.
fn is_missing() -> bool {
    match support() {
        Support::Held { .. } => false,
        Support::Open { why } => {
            eprintln!("SKIPPED: there is no write fence here: {why}");
            true
        }
    }
}

/// A sandbox with one task whose agent runs a script; `finished` claims.
fn stage(script: &str, verify: &[&str]) -> (Sandbox, String) {
    let mut sandbox = Sandbox::new();
    sandbox.fenced = true;
    sandbox.queue(json!([{"id": "work", "title": "Work", "status": "todo", "verify": verify}]));
    let agent = sandbox.agent(&format!(
        "cat > /dev/null\n{IDENTITY}\nfinished() {{ ralph-sidecar report finished --summary ok; }}\n{script}"
    ));
    (sandbox, agent)
}

/// Git wants to know who commits; the engine keeps its own variables from agents.
const IDENTITY: &str = "export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@b";

/// The state folder of the sandbox's only repository.
fn state_of(sandbox: &Sandbox) -> PathBuf {
    let folders = std::fs::read_dir(sandbox.state()).expect("a folder");
    folders.map(|entry| entry.expect("an entry").path()).find(|path| path.is_dir()).expect("a repository's folder")
}

/// Every file below a folder with its text.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match std::fs::read_dir(&path) {
            Ok(_) => found.extend(files(&path)),
            Err(_) => found.push((path.clone(), std::fs::read(&path).unwrap_or_default())),
        }
    }
    found.sort();
    found
}

/// Each line is tried by a shell of its own; all must fail.
const DEEDS: &str = r#"
echo x >> @ROOT@/a.txt
: > @ROOT@/a.txt
rm @ROOT@/a.txt
mv @ROOT@/a.txt stolen
ln @ROOT@/a.txt stolen && echo x >> stolen
mkdir @ROOT@/new
ln -s @ROOT@ way && echo x > way/new.txt
sed -i s/todo/done/ @ROOT@/.ralph/queue.json
echo x > @ROOT@/.git/index
echo x > @ROOT@/.git/HEAD
echo x >> @ROOT@/.git/info/exclude
echo x > @ROOT@/.git/packed-refs
git branch evil
git tag evil
git checkout -q -b evil
git update-ref refs/heads/main HEAD~0 ''
git update-ref refs/heads/evil HEAD
git pack-refs --all
git symbolic-ref refs/heads/evil refs/heads/main
echo x >> a.txt; git stash -q
git config user.name Mallory
git config --file @ROOT@/.git/config user.name Mallory
echo 'exit 1' > @ROOT@/.git/hooks/pre-commit
mkdir -p @ROOT@/.git/hooks/deep
echo x > @ROOT@/.git/worktrees/ralph-other/HEAD
git worktree add -q ../mine
echo gitdir: @ROOT@/.git > .git; echo x > @ROOT@/.git/description
echo x >> ../other/file.txt
rm -r ../other
touch ../new
echo x >> "$RALPH_PROMPT_FILE"
touch "$(dirname "$RALPH_PROMPT_FILE")/new"
echo x >> @STATE@/journal.db
echo '{}' > @STATE@/trust.json
rm @STATE@/engine.lock
touch @STATE@/mailboxes/new
echo x > ~/.profile
mkdir ~/.ssh
echo x > ~/.cargo/config.toml
mkdir -p @BASE@/config
touch @BASE@/new
touch /tmp/ralph-fence-$$
setsid -w sh -c 'echo x >> @ROOT@/a.txt'
setsid -w env -i sh -c 'setsid -w sh -c "touch @BASE@/new"'
"#;

#[test]
fn what_is_not_its_own_is_refused() {
    if is_missing() {
        return;
    }
    let script = r#"
n=0
while IFS= read -r deed; do
    n=$((n + 1))
    if (sh -c "$deed") > out 2>&1 < /dev/null; then echo "$deed" >> done.txt; fi
    # Its own files are its own affair.
    git checkout -q HEAD -- . 2> /dev/null; rm -f way stolen out
done < @BASE@/deeds
echo $n > tried.txt; finished"#;
    let (sandbox, agent) = stage(script, &["test -s tried.txt"]);
    sandbox.run(&["trust", "--yes"]).exits(0);
    let state = state_of(&sandbox);
    let deeds = DEEDS
        .trim_start()
        .replace("@ROOT@", &sandbox.root.display().to_string())
        .replace("@BASE@", &sandbox.base().display().to_string())
        .replace("@STATE@", &state.display().to_string());
    std::fs::write(sandbox.base().join("deeds"), &deeds).expect("written");
    for folder in
        [state.join("slots/other"), sandbox.root.join(".git/worktrees/ralph-other"), sandbox.base().join("home/.cargo")]
    {
        std::fs::create_dir_all(folder).expect("made");
    }
    std::fs::write(state.join("slots/other/file.txt"), "theirs").expect("written");
    std::fs::write(sandbox.root.join(".git/worktrees/ralph-other/HEAD"), "theirs").expect("written");
    let before =
        (sandbox.fingerprint(), files(&state.join("slots/other")), std::fs::read(state.join("trust.json")).ok());
    let ran = sandbox.run(&["run", "--agent", &agent]);
    let status = sandbox.status();
    assert_eq!(status.outcomes("work"), ["verified"], "{}\n{}\n{:#}", ran.out, ran.err, status.json());
    sandbox.run(&["accept", "work"]).exits(0);
    assert_eq!(sandbox.read("tried.txt").trim(), deeds.lines().count().to_string());
    let done = std::fs::read_to_string(sandbox.root.join("done.txt")).unwrap_or_default();
    assert!(done.is_empty(), "these were not refused:\n{done}");
    std::fs::remove_file(sandbox.root.join("tried.txt")).expect("removed");
    // The task is done, by us.
    sandbox.queue(json!([{"id": "work", "title": "Work", "status": "todo", "verify": ["test -s tried.txt"]}]));
    before.0.assert_same(&sandbox.fingerprint());
    let theirs = std::fs::read_to_string(sandbox.root.join(".git/worktrees/ralph-other/HEAD"));
    assert_eq!(theirs.expect("there"), "theirs");
    assert_eq!(files(&state.join("slots/other")), before.1);
    assert_eq!(std::fs::read(state.join("trust.json")).ok(), before.2);
    assert!(!state.join("slots/new").exists() && !state.join("mailboxes/new").exists());
    let home = files(&sandbox.base().join("home"));
    assert!(home.is_empty(), "{home:#?}");
    assert!(!sandbox.base().join("new").exists() && !sandbox.base().join("config").exists());
}

#[test]
fn normal_work_goes_on() {
    if is_missing() {
        return;
    }
    // Cargo by its own path: the sandbox's home has no toolchain.
    let cargo = Path::new(env!("CARGO")).parent().expect("a folder");
    let script = r#"
set -eu
trap 'echo "failed after: $(tail -1 steps.txt)" >&2' EXIT
step() { echo "$1" >> steps.txt; }
unset CARGO_TARGET_DIR || true
PATH=@CARGO@:$PATH
step 'edits'; echo more >> a.txt; mkdir -p deep/er; echo new > deep/er/new.txt; mv deep/er deep/moved; mv deep/moved/new.txt new.txt
step 'git'; git status --short > /dev/null; git add -A; git commit -qm one; git log -1 --format=%s | grep -q one
step 'amends'; echo again >> a.txt; git commit -qa --amend -m two; git reset -q --soft HEAD~1; git commit -qm three
step 'diffs'; git diff --stat HEAD~1 HEAD > /dev/null; git show HEAD:a.txt > /dev/null; git checkout -q HEAD~1 -- a.txt; git reset -q --hard HEAD
step 'devices'; echo x > /dev/null; echo x 2> /dev/null >&2; : > /dev/shm/ralph-fence-$$; rm /dev/shm/ralph-fence-$$
step 'temporary files'; t=$(mktemp); echo x > "$t"; d=$(mktemp -d); mkfifo "$d/pipe"; test "${t#"$TMPDIR"}" != "$t"; echo "$TMPDIR" > @TMP@
step 'a socket'; test ${#TMPDIR} -lt 70; ln -s "$TMPDIR" tmp-link; rm tmp-link
step 'caches'; mkdir -p ~/.cache/tool; echo x > ~/.cache/tool/file; mv ~/.cache/tool/file cached.txt
step 'moving in and out of the slot'; echo x > "$TMPDIR/in"; mv "$TMPDIR/in" moved-in.txt; ln moved-in.txt "$TMPDIR/linked"
step 'cargo'; mkdir -p crate/src; cd crate; printf '[package]\nname = "tiny"\nversion = "0.1.0"\nedition = "2021"\n[workspace]\n' > Cargo.toml
echo 'fn main() {} #[test] fn works() {}' > src/main.rs; cargo test -q --offline > ../cargo.log 2>&1 || { cat ../cargo.log; exit 1; }; cd ..
mkdir -p "$CARGO_HOME/registry/index"; echo x > "$CARGO_HOME/registry/index/file"; rm -r crate/target
step 'reports'; ralph-sidecar report progress "half way"
step 'its own session'; setsid -w sh -c 'echo x > from-session.txt'
step 'all'; finished; trap - EXIT"#;
    let tmp = "\"$CARGO_HOME/registry/tmp-was\"";
    let script = script.replace("@CARGO@", &cargo.display().to_string()).replace("@TMP@", tmp);
    let (sandbox, agent) =
        stage(&script, &["grep -q all steps.txt", "t=$(mktemp) && echo x > $t && echo x > checked.txt"]);
    let home = sandbox.base().join("home");
    std::fs::create_dir_all(home.join(".cargo/registry")).expect("made");
    sandbox.run(&["trust", "--yes"]).exits(0);
    let before = sandbox.fingerprint();
    let mut run = sandbox.command(&["run", "--in-process", "--agent", &agent]);
    run.args(["--attempts", "1"])
        .env("CARGO_HOME", home.join(".cargo"))
        .env("PATH", format!("{}:{}", cargo.display(), std::env::var("PATH").expect("set")));
    let ran = crate::sandbox::Ran::from(run.output().expect("runs"));
    let status = sandbox.status();
    let log = sandbox.run(&["log", "work"]).out;
    assert_eq!(status.outcomes("work"), ["verified"], "{}\n{}\n{log}", ran.out, ran.err);
    before.assert_same(&sandbox.fingerprint());
    // Its temporary folder went with it.
    let tmp = std::fs::read_to_string(home.join(".cargo/registry/tmp-was")).expect("told");
    assert!(tmp.contains("/ralph-") && !Path::new(tmp.trim()).exists(), "{tmp}");
}

#[test]
fn what_outlives_the_agent_stays_behind_the_fence() {
    if is_missing() {
        return;
    }
    let gate = "@BASE@/gate";
    // It waits for the end of its parent, and says what came of it before the supervisor ends it.
    let script = format!(
        r#"
setsid sh -c 'while kill -0 '$$' 2> /dev/null; do :; done; echo x > {gate} 2> /dev/null && echo out >> late.txt; echo tried >> late.txt' &
finished"#
    );
    let (sandbox, agent) = stage(&script, &["true"]);
    sandbox.run_loop(&agent, &["--attempts", "1"]);
    assert!(!sandbox.base().join("gate").exists());
    let status = sandbox.status();
    assert_eq!(status.outcomes("work").len(), 1, "{:#}", status.json());
}

#[test]
fn checks_are_held_too() {
    if is_missing() {
        return;
    }
    let (sandbox, agent) = stage("echo w > work.txt; finished", &["@CHECK@"]);
    let check = format!("! touch {0}/new.txt && ! git branch evil && touch made-by-check.txt", sandbox.root.display());
    sandbox.queue(json!([{"id": "work", "title": "Work", "status": "todo", "verify": [check]}]));
    let before = sandbox.fingerprint();
    let ran = sandbox.run_loop(&agent, &["--attempts", "1"]);
    assert_eq!(sandbox.status().outcomes("work"), ["verified"], "{}\n{}", ran.out, ran.err);
    before.assert_same(&sandbox.fingerprint());
}

#[test]
fn the_configuration_opens_further_folders() {
    if is_missing() {
        return;
    }
    let mut sandbox = Sandbox::new();
    sandbox.fenced = true;
    let agent = sandbox.agent("cat > /dev/null; echo x > ~/shared/from-agent && echo x > work.txt; ralph-sidecar report finished --summary ok");
    let program = agent.strip_prefix("command:").expect("a command");
    std::fs::create_dir(sandbox.base().join("home/shared")).expect("made");
    sandbox.config(json!({"agents": {"mine": {"kind": "command", "command": [program], "write": ["~/shared"]}}}));
    sandbox.queue(json!([{"id": "work", "title": "Work", "status": "todo", "verify": ["test -f work.txt"]}]));
    sandbox.run(&["trust", "--yes"]).exits(0);
    sandbox.run(&["run"]).exits(0);
    assert!(sandbox.base().join("home/shared/from-agent").exists());
}

#[test]
fn a_start_without_a_fence_says_so_once() {
    let sandbox = Sandbox::new();
    sandbox.queue(json!([{"id": "work", "title": "Work", "status": "todo", "verify": ["test -f work.txt"]}]));
    let agent = sandbox
        .agent("cat > /dev/null; echo x > work.txt; touch @BASE@/out; ralph-sidecar report finished --summary ok");
    sandbox.run(&["trust", "--yes"]).exits(0);
    let mut run = sandbox.command(&["run", "--in-process", "--agent", &agent]);
    let ran = crate::sandbox::Ran::from(run.output().expect("runs"));
    let said = format!("{}{}", ran.out, ran.err);
    assert_eq!(said.matches("there is no write fence here").count(), 1, "{said}");
    assert!(sandbox.base().join("out").exists());
}
