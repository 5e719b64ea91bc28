//! A reviewer of its own, end to end: the scripted agent works and another looks at the result.

use crate::cli::Place;
use serde_json::{Value, json};

/// Makes a repository in which `worker` does the task and `critic` finds something in the first attempt.
fn place(reviewer: &Value) -> Place {
    let place = Place::new(&[]);
    let writes = |words: &str| {
        json!([
            { "write": { "path": "greet.sh", "text": format!("echo {words}\n") } },
            { "report": { "type": "finished", "summary": "It greets." } }
        ])
    };
    let looks = r#"grep -q echo greet.sh || exit 7
echo spoilt > greet.sh
case "$RALPH_ATTEMPT_NUMBER" in
  1) ralph-sidecar report review --summary "too short" --finding "greet.sh:1: say hello";;
  *) ralph-sidecar report review --summary "I read it";;
esac"#;
    let script = json!({
        "version": 1,
        "tasks": { "a": { "1": writes("hi"), "2": writes("hello") } },
        "reviewer": [{ "run": { "command": looks } }],
    });
    place.write("script.json", &script.to_string());
    let scripted = json!({ "kind": "scripted", "script": "script.json" });
    let config = json!({
        "agents": { "worker": scripted, "critic": scripted },
        "chains": { "implementer": ["worker"], "reviewer": ["critic"] },
        "reviewer": reviewer,
    });
    place.write(".ralph/config.json", &config.to_string());
    place.queue(r#"{"id": "a", "title": "Greet", "status": "todo", "verify": ["test -f greet.sh"]}"#);
    place.ralph(0, &["trust", "--yes"]);
    place
}

#[test]
fn findings_reach_the_next_attempt_and_an_approval_ends_it() {
    let place = place(&json!({}));
    let before = place.ralph(0, &["tasks", "prompt", "a"]).out;
    assert!(before.starts_with("# Task a: Greet") && before.contains("`test -f greet.sh`"), "{before}");
    let lines = place.ralph(0, &["run", "--json"]).out;
    let told: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let of = |kind: &str| told.iter().filter(|line| line["type"] == kind).collect::<Vec<_>>();
    assert_eq!(of("review_request").len(), 2, "{lines}");
    let feedback = of("review_feedback");
    assert_eq!(feedback[0]["findings"][0]["line"], 1, "{lines}");
    assert_eq!((&feedback[1]["findings"], &feedback[1]["summary"]), (&json!([]), &json!("I read it")));
    let outcomes: Vec<&Value> = of("attempt_ended").iter().map(|line| &line["outcome"]).collect();
    assert_eq!(outcomes, ["verify_failed", "verified"]);
    let prompt = place.ralph(0, &["log", "a", "--prompt"]).out;
    assert!(prompt.contains("- greet.sh:1: say hello") && prompt.contains("too short"), "{prompt}");
    // What the reviewer wrote is nowhere: the proposal is what was committed.
    place.ralph(0, &["accept", "a"]);
    assert_eq!(place.read("greet.sh"), "echo hello\n");
    let transcript = place.ralph(0, &["log", "a"]).out;
    assert!(transcript.contains("[ralph: review 2 by critic]"), "{transcript}");
}

#[test]
fn findings_are_shown_with_the_proposal_where_that_is_wanted() {
    let place = place(&json!({ "findings": "with-proposal" }));
    place.ralph(0, &["run"]);
    let shown = place.ralph(0, &["review", "a"]).out;
    assert!(shown.contains("the reviewer wants changed: greet.sh:1: say hello"), "{shown}");
    let document = place.ralph(0, &["review", "a", "--json"]).json();
    assert_eq!(document["findings"], json!([{ "file": "greet.sh", "line": 1, "text": "say hello" }]));
    assert_eq!(place.status()["tasks"][0]["attempts"].as_array().map(Vec::len), Some(1));
}
