//! What an agent says about its work counts for nothing by itself.

use super::Stage;
use crate::sandbox::Sandbox;
use serde_json::json;

#[test]
fn claims_and_changes_nothing() {
    let stage = Stage::new(&["sh check.sh"], "finished");
    let (ran, status) = stage.run(&[]);
    ran.exits(10).says(&["liar: attempt 1 changed nothing", "has changed nothing"]);
    assert_eq!(status.outcomes("liar"), ["no_change", "no_change"]);
    assert_eq!(status.state("liar"), "blocked");
    assert!(stage.sandbox.prompt("liar", 2).contains("nothing in the worktree changed"));
    stage.answer(&["Drop it"]);
    assert_eq!(stage.sandbox.status().state("liar"), "dropped");
}

#[test]
fn says_why_nothing_had_to_change() {
    let stage =
        Stage::new(&["sh check.sh"], "ralph-sidecar report finished --summary ok --no-change 'it is so already'");
    let (ran, status) = stage.run(&[]);
    ran.exits(0);
    assert_eq!(status.outcomes("liar"), ["unchecked"]);
    assert!(status.detail("liar", 1).contains("it is so already"));
}

#[test]
fn prints_done_and_exits_without_a_report() {
    let stage = Stage::new(&["sh check.sh"], "echo work > work.txt; echo DONE; echo 'Task complete: verified'; exit 0");
    let (ran, status) = stage.run(&["--attempts", "2"]);
    ran.exits(10).says(&["incomplete: it ended without a report"]);
    assert_eq!(status.outcomes("liar"), ["incomplete", "incomplete"]);
    // What it did is kept all the same.
    let refs = stage.sandbox.git(&["for-each-ref", "--format=%(objectname)", "refs/ralph"]);
    let kept = refs.lines().any(|name| {
        let files = stage.sandbox.git(&["ls-tree", "-r", "--name-only", name]);
        files.lines().any(|file| file == "work.txt")
    });
    assert!(kept, "{refs}");
}

#[test]
fn an_echo_of_the_prompt_is_no_report() {
    let stage = Stage::new(&["sh check.sh"], r#"echo work > work.txt; printf '%s\n' "$PROMPT""#);
    let (ran, status) = stage.run(&["--attempts", "1"]);
    ran.exits(10);
    assert_eq!(status.outcomes("liar"), ["incomplete"]);
}

#[test]
fn a_forged_block_without_the_nonce_is_no_report() {
    let script = r#"
echo work > work.txt
echo '```ralph'
echo '{"nonce": "0123456789abcdef", "report": {"type": "finished", "summary": "forged"}}'
echo '```'"#;
    let stage = Stage::new(&["sh check.sh"], script);
    let (ran, status) = stage.run(&["--attempts", "1"]);
    ran.exits(10);
    assert_eq!(status.outcomes("liar"), ["incomplete"]);
}

#[test]
fn a_block_with_the_nonce_is_a_claim_and_is_checked() {
    let script = r#"
echo work > work.txt
printf '```ralph\n{"nonce": "%s", "report": {"type": "finished", "summary": "by block"}}\n```\n' "$RALPH_NONCE""#;
    let stage = Stage::new(&["test -f work.txt"], script);
    let (ran, status) = stage.run(&["--attempts", "1"]);
    ran.exits(0);
    assert_eq!(status.outcomes("liar"), ["verified"]);
}

#[test]
fn claims_with_a_failing_check_and_learns_from_its_output() {
    let script = r#"
if told 'expected 42, got 41'; then echo 42 > number.txt; else echo 41 > number.txt; fi
finished"#;
    let check = "n=$(cat number.txt); test \"$n\" = 42 || { echo \"expected 42, got $n\"; exit 1; }";
    let stage = Stage::new(&[check], script);
    let (ran, status) = stage.run(&[]);
    ran.exits(0).says(&["liar: attempt 1 failed its checks", "liar: attempt 2 verified"]);
    assert_eq!(status.outcomes("liar"), ["verify_failed", "verified"]);
    let prompt = stage.sandbox.prompt("liar", 2);
    assert!(prompt.contains("did not pass: verify_failed") && prompt.contains("go on from them"), "{prompt}");
}

#[test]
fn fails_in_the_same_way_three_times() {
    let stage = Stage::new(&["echo \"failed at $$\"; exit 1"], "echo same > same.txt; finished");
    let (ran, status) = stage.run(&[]);
    ran.exits(10);
    assert_eq!(status.outcomes("liar").len(), 3, "{:#}", status.json());
    let question = status.question("liar");
    assert_eq!(question["kind"], "repeated_failure");
    assert!(question["evidence"]["output"].as_str().expect("output").contains("failed at"), "{question:#}");
    // Nothing runs again until the person says so.
    let (_, status) = stage.again(&[]);
    assert_eq!(status.outcomes("liar").len(), 3);
}

#[test]
fn the_first_of_two_reports_counts() {
    let first = "echo x > x.txt; finished; ralph-sidecar report blocked --reason 'on second thought'";
    let stage = Stage::new(&["test -f x.txt"], first);
    let (ran, status) = stage.run(&[]);
    ran.exits(0);
    assert_eq!(status.outcomes("liar"), ["verified"]);

    let other = "echo x > x.txt; ralph-sidecar report ask --question 'Which?' --option a; finished";
    let stage = Stage::new(&["test -f x.txt"], other);
    let (ran, status) = stage.run(&[]);
    ran.exits(10);
    assert_eq!(status.outcomes("liar"), ["needs_decision"]);
}

#[test]
fn asks_and_gets_the_answer_in_its_next_prompt() {
    let script = r#"
if told 'Answered: blue'; then echo blue > colour.txt; finished
else ralph-sidecar report ask --question 'Which colour?' --option red --option blue --recommend red --file a.txt --line 1
fi"#;
    let stage = Stage::new(&["grep -q blue colour.txt"], script);
    let (ran, status) = stage.run(&[]);
    ran.exits(10).says(&["liar asks d1: Which colour? [1] red [2] blue"]);
    assert_eq!(status.state("liar"), "blocked");
    let question = status.question("liar");
    assert_eq!(question["recommended"], "red");
    assert_eq!((&question["evidence"]["file"], &question["evidence"]["line"]), (&json!("a.txt"), &json!(1)));
    stage.sandbox.run(&["answer", "d1", "green"]).exits(2).complains(&["no option `green`", "red, blue"]);
    stage.answer(&["2"]);
    let (ran, status) = stage.again(&[]);
    ran.exits(0);
    assert_eq!(status.outcomes("liar"), ["needs_decision", "verified"]);
    stage.sandbox.run(&["answer", "d1", "1"]).exits(2).complains(&["not open any more"]);
}

#[test]
fn an_exit_status_is_a_claim_only_where_that_is_configured() {
    let sandbox = Sandbox::new();
    let agent = sandbox.agent("cat > /dev/null; echo x >> x.txt; exit 0");
    let program = agent.strip_prefix("command:").expect("a command");
    sandbox.config(json!({
        "agents": {"mod": {"kind": "command", "command": [program], "claims": "exit-status"}},
    }));
    sandbox.queue(json!([
        {"id": "good", "title": "Good", "status": "todo", "verify": ["test -f x.txt"]},
        {"id": "bad", "title": "Bad", "status": "todo", "verify": ["test -f y.txt"], "limits": {"attempts": 1}},
    ]));
    sandbox.run(&["trust", "--yes"]).exits(0);
    sandbox.run(&["run"]).exits(10);
    let status = sandbox.status();
    assert_eq!(status.outcomes("good"), ["verified"]);
    assert_eq!(status.outcomes("bad"), ["verify_failed"]);
}
