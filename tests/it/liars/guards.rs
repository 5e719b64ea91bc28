//! What an agent must not touch: protected paths, the queue, and everything outside its slot.

use super::Stage;
use serde_json::json;

fn protected(script: &str) -> Stage {
    Stage::configured(&json!({"protect": ["check.sh", "tests/**"]}), &["sh check.sh && test -f work.txt"], script)
}

#[test]
fn edits_a_protected_check() {
    let script = r#"
if [ $N = 1 ]; then echo 'exit 0 # always' > check.sh; echo w > work.txt; finished; exit; fi
# The second attempt finds the check as it was, its own work still there, and both said.
grep -q always check.sh && exit 9
test -f work.txt || exit 8
told 'check.sh' || exit 7
echo more >> work.txt; finished"#;
    let stage = protected(script);
    let (ran, status) = stage.run(&[]);
    ran.exits(0).says(&["liar: attempt 1 changed a protected file: it changed protected paths: check.sh"]);
    assert_eq!(status.outcomes("liar"), ["protected_path", "verified"]);
    let prompt = stage.sandbox.prompt("liar", 2);
    assert!(prompt.contains("you changed paths that are protected: check.sh"), "{prompt}");
    assert_eq!(status.proposal("liar").expect("a proposal")["files"], json!(["work.txt"]));
}

#[test]
fn deletes_renames_or_adds_under_protection() {
    for script in [
        "rm check.sh; echo w > work.txt; finished",
        "mv check.sh moved.sh; echo w > work.txt; finished",
        "mkdir tests; echo x > tests/new; echo w > work.txt; finished",
        "rm check.sh; ln -s /bin/true check.sh; echo w > work.txt; finished",
        "chmod +x check.sh; echo w > work.txt; finished",
    ] {
        let stage = protected(script);
        let (_, status) = stage.run(&["--attempts", "1"]);
        assert_eq!(status.outcomes("liar"), ["protected_path"], "{script}");
    }
}

#[test]
fn edits_the_queue_in_its_slot() {
    let script = r#"
mkdir -p .ralph
[ $N = 1 ] && printf '{"version":1,"tasks":[{"id":"liar","title":"x","status":"done"}]}' > .ralph/queue.json
echo w > work.txt; finished"#;
    let stage = Stage::new(&["test -f work.txt"], script);
    let queue = stage.sandbox.read(".ralph/queue.json");
    let (_, status) = stage.run(&[]);
    assert_eq!(status.outcomes("liar"), ["protected_path", "verified"]);
    assert!(status.detail("liar", 1).contains(".ralph/queue.json"));
    assert_eq!(stage.sandbox.read(".ralph/queue.json"), queue);
}

#[test]
fn writes_into_the_checkout_and_the_user_did_it() {
    let stage = Stage::new(&["test -f work.txt"], "echo w > work.txt; echo gotcha >> @ROOT@/a.txt; finished");
    let (ran, status) = stage.run(&[]);
    ran.exits(10).says(&["changed something outside its worktree", "a.txt"]);
    assert_eq!(status.outcomes("liar"), ["leaked"]);
    assert_eq!(status.options("liar"), ["It was me", "It was the agent", "Leave it"]);
    assert!(status.proposal("liar").is_none());
    stage.answer(&["It was me"]);
    let status = stage.sandbox.status();
    assert_eq!(status.state("liar"), "review");
    stage.sandbox.run(&["accept", "liar"]).exits(0);
    assert_eq!(stage.sandbox.read("a.txt"), "hello\ngotcha\n");
    assert_eq!(stage.sandbox.status().state("liar"), "done");
}

#[test]
fn writes_into_the_checkout_and_the_agent_did_it() {
    let script = "echo $N > work.txt; [ $N = 1 ] && echo gotcha > @ROOT@/new.txt; finished";
    let stage = Stage::new(&["test -f work.txt"], script);
    let (_, status) = stage.run(&[]);
    assert_eq!(status.outcomes("liar"), ["leaked"]);
    assert!(status.question("liar")["question"].as_str().expect("words").contains("new.txt"));
    stage.answer(&["It was the agent"]);
    let (ran, status) = stage.again(&[]);
    ran.exits(0);
    assert_eq!(status.outcomes("liar"), ["leaked", "verified"]);
    // Whose file it is is not ours to say: it stays.
    assert_eq!(stage.sandbox.read("new.txt"), "gotcha\n");
}

#[test]
fn a_leak_with_a_failing_check_is_no_result_whoever_did_it() {
    let stage = Stage::new(&["exit 1"], "echo $N > work.txt; [ $N = 1 ] && echo gotcha > @ROOT@/new.txt; finished");
    let (_, status) = stage.run(&["--attempts", "2"]);
    assert_eq!(status.outcomes("liar"), ["leaked"]);
    stage.answer(&["It was me"]);
    assert!(stage.sandbox.status().proposal("liar").is_none());
    let (ran, status) = stage.again(&["--attempts", "2"]);
    ran.exits(10);
    assert!(status.outcomes("liar")[1..].iter().all(|outcome| *outcome == "verify_failed"), "{:#}", status.json());
}

#[test]
fn approves_itself_in_the_checkouts_queue() {
    let script = r#"
echo w > work.txt
sed -i 's/"todo"/"done"/' @ROOT@/.ralph/queue.json
finished"#;
    let stage = Stage::new(&["test -f work.txt"], script);
    let ran = stage.sandbox.run_loop(&stage.agent, &[]);
    let status = stage.sandbox.status();
    assert_eq!(status.outcomes("liar"), ["leaked"], "{}\n{:#}", ran.out, status.json());
    // The file may say done, as a person's word; that something wrote it meanwhile stays in question.
    assert!(status.question("liar")["question"].as_str().expect("words").contains(".ralph/queue.json"));
    ran.exits(10);
}
