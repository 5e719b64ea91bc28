//! Tasks that stand on each other: what a start holds, what a rejection sets off, and what clashes.

use crate::sandbox::Sandbox;
use serde_json::json;

/// Does each task as its own shell function; `finished` claims.
fn agent(sandbox: &Sandbox, tasks: &str) -> String {
    sandbox.agent(&format!(
        "PROMPT=$(cat)\nN=$RALPH_ATTEMPT_NUMBER\nfinished() {{ ralph-sidecar report finished --summary ok; }}\n\
         case $RALPH_TASK_ID in\n{tasks}\nesac"
    ))
}

/// `low` makes a word, `high` copies it; the check of `high` wants them equal.
fn stacked(low: &str) -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    sandbox.queue(json!([
        {"id": "high", "title": "High", "status": "todo", "depends_on": ["low"],
         "verify": ["test -s high.txt && cmp low.txt high.txt"]},
        {"id": "low", "title": "Low", "status": "todo", "verify": ["test -s low.txt"]},
    ]));
    let agent = agent(&sandbox, &format!("low) {low}; finished ;;\nhigh) cp low.txt high.txt; finished ;;"));
    (sandbox, agent)
}

#[test]
fn a_start_holds_what_the_task_depends_on() {
    let (sandbox, agent) = stacked("echo one > low.txt");
    sandbox.run_loop(&agent, &[]).exits(0);
    let status = sandbox.status();
    assert_eq!((status.outcomes("low"), status.outcomes("high")), (vec!["verified"], vec!["verified"]));
    let proposal = status.proposal("high").expect("a proposal");
    assert_eq!(proposal["files"], json!(["high.txt"]), "the other task's change is none of its own");
    let base = proposal["base"].as_str().expect("a commit");
    assert_eq!(sandbox.git(&["show", &format!("{base}:low.txt")]), "one");
    assert!(sandbox.prompt("high", 1).contains("the result of task `low`, not yet accepted by the user"));
    sandbox.run(&["accept", "low"]).exits(0);
    sandbox.run(&["accept", "high"]).exits(0);
    assert_eq!((sandbox.read("low.txt"), sandbox.read("high.txt")), ("one\n".into(), "one\n".into()));
    let status = sandbox.status();
    assert_eq!((status.state("low"), status.state("high")), ("done", "done"));
}

#[test]
fn what_stood_on_a_rejected_result_is_moved_without_an_agent_where_it_still_holds() {
    let (sandbox, agent) = stacked("echo one > low.txt; echo $N > note.txt");
    sandbox.run_loop(&agent, &[]).exits(0);
    sandbox.run(&["send-back", "low", "--comment", "say more in the note"]).exits(0);
    let status = sandbox.status();
    assert_eq!(status.state("high"), "stale");
    assert!(status.why("high").contains("it stands on `low`"), "{}", status.why("high"));
    sandbox.run_loop(&agent, &[]).exits(0);
    let status = sandbox.status();
    assert_eq!(status.outcomes("low").len(), 2);
    assert_eq!(status.outcomes("high").len(), 1, "no agent was needed: {:#}", status.json());
    assert_eq!(status.state("high"), "review");
    assert!(sandbox.prompt("low", 2).contains("say more in the note"));
    let base = status.proposal("high").expect("a proposal")["base"].as_str().expect("a commit").to_owned();
    assert_eq!(sandbox.git(&["show", &format!("{base}:note.txt")]), "2");
}

#[test]
fn what_stood_on_a_rejected_result_is_done_again_where_it_no_longer_holds() {
    let (sandbox, agent) = stacked("echo word-$N > low.txt");
    sandbox.run_loop(&agent, &[]).exits(0);
    sandbox.run(&["reject", "low", "--hunk", "1", "--why", "another word"]).exits(0);
    assert_eq!(sandbox.status().state("high"), "stale");
    sandbox.run(&["send-back", "low"]).exits(0);
    sandbox.run_loop(&agent, &[]).exits(0);
    let status = sandbox.status();
    assert_eq!(status.outcomes("high").last(), Some(&"verified"), "{:#}", status.json());
    assert!(status.outcomes("high").len() > 1, "its check cannot pass without an agent: {:#}", status.json());
    assert!(sandbox.prompt("low", 2).contains("another word"));
    sandbox.run(&["accept", "low"]).exits(0);
    sandbox.run(&["accept", "high"]).exits(0);
    assert_eq!((sandbox.read("low.txt"), sandbox.read("high.txt")), ("word-2\n".into(), "word-2\n".into()));
}

#[test]
fn tasks_that_change_the_same_lines_are_named() {
    let sandbox = Sandbox::new();
    sandbox.queue(json!([
        {"id": "one", "title": "One", "status": "todo", "verify": ["grep -q one a.txt"]},
        {"id": "two", "title": "Two", "status": "todo", "verify": ["grep -q two a.txt"]},
        {"id": "apart", "title": "Apart", "status": "todo", "verify": ["test -f apart.txt"]},
    ]));
    let agent = agent(
        &sandbox,
        "one) echo one > a.txt; finished ;;\ntwo) echo two > a.txt; finished ;;\napart) echo x > apart.txt; finished ;;",
    );
    sandbox.run_loop(&agent, &[]).exits(0).says(&["one and two change the same lines of a.txt"]);
    let status = sandbox.status();
    let clashes = &status.json()["last_run"]["union"]["clashes"];
    assert_eq!(clashes.as_array().map(Vec::len), Some(1), "{clashes:#}");
    // The second can be taken once the first is: it is shown as what it is, and nothing is overwritten.
    sandbox.run(&["accept", "one"]).exits(0);
    let second = sandbox.run(&["accept", "two"]);
    assert_eq!(sandbox.read("a.txt"), "one\n", "{second:?}");
    assert_ne!(second.code, 0, "{second:?}");
    assert!((second.out + &second.err).contains("a.txt"));
    assert_eq!(sandbox.status().state("two"), "review");
}

#[test]
fn a_check_that_fails_only_for_all_together_is_named() {
    let sandbox = Sandbox::new();
    sandbox.config(json!({"verify": ["test $(ls *.part 2>/dev/null | wc -l) -lt 2"]}));
    sandbox.queue(json!([
        {"id": "one", "title": "One", "status": "todo"},
        {"id": "two", "title": "Two", "status": "todo"},
    ]));
    let agent = agent(&sandbox, "*) echo x > $RALPH_TASK_ID.part; finished ;;");
    let ran = sandbox.run_loop(&agent, &[]).exits(0);
    ran.says(&["passes for each task but fails for all together", "wc -l"]);
}

#[test]
fn a_blocked_task_stops_only_what_depends_on_it() {
    let sandbox = Sandbox::new();
    sandbox.queue(json!([
        {"id": "first", "title": "First", "status": "todo", "verify": ["test -f first.txt"]},
        {"id": "stuck", "title": "Stuck", "status": "todo"},
        {"id": "behind", "title": "Behind", "status": "todo", "depends_on": ["stuck"]},
        {"id": "last", "title": "Last", "status": "todo", "verify": ["test -f last.txt"], "depends_on": ["first"]},
        {"id": "soon", "title": "Soon", "status": "todo", "priority": "critical"},
        {"id": "idea", "title": "Idea"},
    ]));
    let agent = agent(
        &sandbox,
        "stuck) ralph-sidecar report blocked --reason 'the moon is full' ;;\n*) echo x > $RALPH_TASK_ID.txt; finished ;;",
    );
    let ran = sandbox.run_loop(&agent, &["--json"]).exits(10);
    let events: Vec<serde_json::Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).expect("one object per line")).collect();
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).cloned().collect::<Vec<_>>();
    let order: Vec<_> = of("attempt_started").iter().map(|event| event["task"].as_str().map(str::to_owned)).collect();
    // By priority, then by how many it unblocks, then as in the file.
    assert_eq!(order, ["soon", "first", "stuck", "last"].map(|id| Some(id.to_owned())));
    assert_eq!(of("run_started").len(), 1);
    assert_eq!(of("attempt_ended").len(), 4);
    assert_eq!(of("decision_requested").len(), 1);
    let end = of("run_ended");
    assert_eq!((end.len(), &end[0]["reason"]), (1, &json!("needs_person")));
    assert_eq!(events.last(), end.last());

    let status = sandbox.status();
    assert_eq!(status.state("behind"), "waiting");
    assert_eq!(status.why("behind"), "it waits for `stuck`");
    assert!(status.question("stuck")["question"].as_str().expect("words").contains("the moon is full"));
    assert_eq!(status.outcomes("last"), ["verified"]);
    assert!(status.outcomes("idea").is_empty());
}

#[test]
fn asking_for_one_task_does_what_it_depends_on_and_nothing_else() {
    let (sandbox, agent) = stacked("echo one > low.txt");
    let mut queue: serde_json::Value = serde_json::from_str(&sandbox.read(".ralph/queue.json")).expect("json");
    let other = json!({"id": "other", "title": "Other", "status": "todo"});
    queue["tasks"].as_array_mut().expect("tasks").push(other);
    sandbox.queue(queue["tasks"].clone());
    sandbox.run(&["trust", "--yes"]).exits(0);
    sandbox.run(&["run", "high", "--agent", &agent]).exits(0);
    let status = sandbox.status();
    assert_eq!((status.outcomes("low"), status.outcomes("high")), (vec!["verified"], vec!["verified"]));
    assert!(status.outcomes("other").is_empty());
}

#[test]
fn exit_codes_by_kind() {
    let sandbox = Sandbox::new();
    let good = agent(&sandbox, "*) echo x > $RALPH_TASK_ID.txt; finished ;;");
    sandbox.queue(json!([{"id": "a", "title": "A", "status": "todo", "verify": ["test -f check.sh"]}]));
    // 4 before trust, 2 for what cannot be typed, 3 for data, 0 with only review left, 10 when a person is needed.
    sandbox.run(&["run", "--agent", &good]).exits(4);
    sandbox.run(&["run", "nobody", "--agent", &good]).exits(2);
    sandbox.run(&["run"]).exits(3);
    sandbox.run_loop(&good, &[]).exits(0);
    sandbox.queue(json!([{"id": "b", "title": "B", "status": "todo"}]));
    let asks = agent(&sandbox, "*) ralph-sidecar report ask --question 'Go?' ;;");
    sandbox.run_loop(&asks, &[]).exits(10);
    sandbox.run(&["status"]).exits(0);
    sandbox.run(&["report", "finished", "--summary", "x"]).exits(2).complains(&["not inside an attempt"]);
}
