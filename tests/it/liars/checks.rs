//! Checks that mislead: red before anything changed, or red now and then.

use super::Stage;
use serde_json::json;

/// A check of the configuration that is red on the base in one way, and in a second way when `work.txt` says so.
const RED: &str = "echo 'old: 3 failures'; grep -q bad work.txt 2>/dev/null && echo 'new: something else'; exit 1";

fn stage(script: &str) -> Stage {
    Stage::configured(&json!({"verify": [RED]}), &["test -f work.txt"], script)
}

#[test]
fn a_check_that_is_red_before_is_asked_about_once_and_charged_to_nobody() {
    let stage = stage("echo good > work.txt; finished");
    stage.sandbox.run_loop(&stage.agent, &[]).exits(10).says(&["fails before anything is changed"]);
    let status = stage.sandbox.status();
    let questions = status.json()["decisions"].as_array().expect("decisions").clone();
    assert_eq!(questions.len(), 1, "one check, one question: {questions:#?}");
    assert_eq!(questions[0]["kind"], "setup");
    assert!(questions[0]["evidence"]["output"].as_str().expect("output").contains("old: 3 failures"));
    let labels: Vec<_> = questions[0]["options"].as_array().expect("options").iter().map(|o| &o["label"]).collect();
    assert_eq!(labels, ["Fix it first", "Count new failures only", "Ignore it"]);

    stage.sandbox.run(&["answer", "d1", "Ignore it"]).exits(0);
    let (ran, status) = stage.again(&["--attempts", "1"]);
    ran.exits(0);
    for task in ["liar", "after"] {
        assert_eq!(status.outcomes(task).last(), Some(&"verified"), "{task} {:#}", status.json());
        let attempts = status.checks(task, status.outcomes(task).len()).as_array().expect("checks").clone();
        assert!(attempts.iter().all(|check| check["run"] != RED), "{attempts:#?}");
    }
}

#[test]
fn only_new_failures_count_when_the_person_says_so() {
    let stage = stage("[ $N = 2 ] && echo bad > work.txt || echo good > work.txt; finished");
    stage.sandbox.run_loop(&stage.agent, &[]).exits(10);
    stage.sandbox.run(&["answer", "d1", "Count new failures only"]).exits(0);
    let (_, status) = stage.again(&[]);
    // The second attempt made a new failure, the third only had the old one.
    assert_eq!(status.outcomes("liar")[1..], ["verify_failed", "verified"], "{:#}", status.json());
    assert!(stage.sandbox.prompt("liar", 3).contains("new: something else"));
}

#[test]
fn mended_first() {
    let stage = Stage::configured(&json!({"verify": ["sh check.sh"]}), &[], "echo good > work.txt; finished");
    stage.sandbox.write("check.sh", "echo broken; exit 1\n");
    stage.sandbox.run_loop(&stage.agent, &[]).exits(10);
    stage.sandbox.write("check.sh", "exit 0\n");
    stage.sandbox.run(&["answer", "d1", "Fix it first"]).exits(0);
    let (ran, status) = stage.again(&["--attempts", "1"]);
    ran.exits(0);
    assert_eq!(status.outcomes("liar").last(), Some(&"verified"));
    assert_eq!(status.outcomes("after").last(), Some(&"verified"));
}

#[test]
fn a_check_that_fails_now_and_then_is_named() {
    // Passes on the base, fails on the result, passes when repeated.
    let flaky = "n=$(cat \"$COUNT\" 2>/dev/null || echo 0); echo $((n+1)) > \"$COUNT\"; [ $n != 1 ]";
    let stage = Stage::new(&["test -f work.txt"], "echo good > work.txt; finished");
    let flaky = flaky.replace("$COUNT", &stage.sandbox.base().join("count").display().to_string());
    stage.sandbox.queue(json!([
        {"id": "liar", "title": "Lie", "status": "todo", "verify": [flaky]},
        {"id": "after", "title": "Work", "status": "todo", "verify": ["grep -q done after.txt"]},
    ]));
    let (ran, status) = stage.run(&[]);
    ran.exits(0).says(&["flaky"]);
    assert_eq!(status.outcomes("liar"), ["verified"]);
    assert_eq!(status.checks("liar", 1)[0]["flaky"], true);
    assert!(status.detail("liar", 1).contains("flaky"), "{}", status.detail("liar", 1));
    stage.sandbox.run(&["review", "liar"]).exits(0).says(&["flaky"]);
}

#[test]
fn setup_that_fails_is_asked_about_and_done_once() {
    let config = json!({"setup": ["echo installing; echo x >> @COUNT@; test -f @OK@"]});
    let stage = Stage::new(&["test -f work.txt"], "echo good > work.txt; finished");
    let base = stage.sandbox.base().display().to_string();
    let config = config.to_string().replace("@COUNT@", &format!("{base}/count")).replace("@OK@", &format!("{base}/ok"));
    stage.sandbox.config(serde_json::from_str(&config).expect("json"));
    stage.sandbox.run_loop(&stage.agent, &[]).exits(10).says(&["the setup command", "failed"]);
    std::fs::write(stage.sandbox.base().join("ok"), "").expect("written");
    std::fs::remove_file(stage.sandbox.base().join("count")).expect("removed");
    let open = stage.sandbox.status().json()["decisions"].as_array().expect("decisions").len();
    assert_eq!(open, 1, "one cause, one question");
    stage.sandbox.run(&["answer", "d1", "1"]).exits(0);
    let (ran, status) = stage.again(&["--attempts", "1"]);
    ran.exits(0);
    assert_eq!(status.outcomes("liar").last(), Some(&"verified"));
    assert_eq!(status.outcomes("after").last(), Some(&"verified"));
    let times = std::fs::read_to_string(stage.sandbox.base().join("count")).expect("count").lines().count();
    assert_eq!(times, 1, "setup runs once");
}
