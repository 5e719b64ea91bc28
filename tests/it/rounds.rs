//! Rounds of a review, end to end: what was said goes to the next attempt, what was decided stays decided.

use crate::cli::Place;
use serde_json::{Value, json};

/// Thirty lines, far enough apart for changes that are hunks of their own.
fn base() -> String {
    (1..=30).map(|line| format!("line {line}\n")).collect()
}

/// The base with lines replaced.
fn with(lines: &[(u32, &str)]) -> String {
    lines.iter().fold(base(), |text, (line, new)| text.replace(&format!("line {line}\n"), &format!("{new}\n")))
}

fn finished() -> Value {
    json!({ "report": { "type": "finished", "summary": "done" } })
}

fn write(path: &str, text: &str) -> Value {
    json!({ "write": { "path": path, "text": text } })
}

/// Makes a repository whose scripted agent does these parts, by task and attempt.
fn place(tasks: &Value, queue: &str) -> Place {
    let place = Place::new(&[("words.txt", &base())]);
    place.write("script.json", &json!({ "version": 1, "tasks": tasks }).to_string());
    let scripted = json!({ "kind": "scripted", "script": "script.json" });
    let config = json!({
        "agents": { "worker": scripted, "mender": scripted },
        "chains": { "implementer": ["worker"], "fixer": ["mender"] },
    });
    place.write(".ralph/config.json", &config.to_string());
    place.queue(queue);
    place.ralph(0, &["trust", "--yes"]);
    place
}

fn proposal(place: &Place, task: &str) -> Value {
    let status = place.status();
    let proposals = status["proposals"].as_array().expect("proposals");
    proposals.iter().find(|it| it["task"] == task).unwrap_or_else(|| panic!("{task} has none: {status:#}")).clone()
}

fn task(place: &Place, id: &str) -> Value {
    let status = place.status();
    let tasks = status["tasks"].as_array().expect("tasks");
    tasks.iter().find(|it| it["id"] == id).expect("it is in the queue").clone()
}

const CHECKED: &str = r#"{"id": "a", "title": "Words", "status": "todo", "verify": ["grep -q TWO words.txt"]}"#;

#[test]
fn two_rounds_from_a_comment_to_done() {
    let first = with(&[(2, "TWO"), (12, "TWELVE!"), (22, "TWENTY-TWO")]);
    let parts = json!({ "a": {
        "1": [write("words.txt", &first), finished()],
        // The second line is accepted and there; the twelfth comes again as it was.
        "2": [
            { "run": { "command": "grep -q '^TWO$' words.txt" } },
            { "replace": { "path": "words.txt", "find": "TWENTY-TWO\n", "with": "twenty, two\n" } },
            write("new.txt", "more\n"),
            finished(),
        ],
    } });
    let place = place(&parts, CHECKED);
    place.ralph(0, &["run"]);
    place.ralph(0, &["accept", "a", "--hunk", "1"]);
    assert_eq!(place.read("words.txt"), with(&[(2, "TWO")]));
    place.ralph(0, &["reject", "a", "--hunk", "2", "--why", "not so loud"]);
    place.ralph(0, &["comment", "a", "mind the comma", "--hunk", "3"]);
    place.ralph(0, &["comment", "a", "never mind", "--at", "words.txt:13"]);
    place.ralph(0, &["comment", "a", "be brief"]);
    place.ralph(0, &["comment", "a", "--drop", "c2"]);
    place.ralph(2, &["comment", "a", "what?", "--hunk", "9"]);
    place.ralph(2, &["comment", "a", "where?", "--at", "words.txt"]);
    let shown = place.ralph(0, &["review", "a"]).out;
    assert!(shown.contains("c1 (round 1, line 22): mind the comma\n@@"), "{shown}");
    assert!(shown.contains("c3 (round 1): be brief") && !shown.contains("never mind"), "{shown}");
    let comments = task(&place, "a")["comments"].clone();
    assert_eq!((&comments[0]["text"], &comments[0]["sent"]), (&json!("mind the comma"), &json!(false)));
    assert_eq!(proposal(&place, "a")["round"], 1);

    place.ralph(0, &["send-back", "a", "--comment", "once more"]);
    let prompt = place.ralph(0, &["tasks", "prompt", "a"]).out;
    for words in [
        "- once more",
        "What they accepted of it is in the worktree and counts",
        "1. `words.txt`, line 12: this change was rejected: not so loud",
        "-line 12\n+TWELVE!\n```",
        "2. `words.txt`, line 22: mind the comma",
        "-line 22\n+TWENTY-TWO\n```",
        "3. be brief",
    ] {
        assert!(prompt.contains(words), "{words} is missing: {prompt}");
    }
    assert_eq!(task(&place, "a")["comments"][0]["sent"], true);

    place.ralph(0, &["run"]);
    assert!(place.ralph(0, &["log", "a", "--prompt"]).out.contains("not so loud"));
    let second = proposal(&place, "a");
    assert_eq!(second["round"], 2, "{second:#}");
    let hunks: Vec<_> = second["hunks"].as_array().expect("hunks").iter().collect();
    let told: Vec<_> = hunks
        .iter()
        .map(|it| {
            (
                it["path"].as_str().unwrap_or_default(),
                it["state"].as_str().unwrap_or_default(),
                &it["changed"],
                &it["again"],
            )
        })
        .collect();
    let (yes, no) = (json!(true), json!(false));
    let expected =
        [("new.txt", "pending", &yes, &no), ("words.txt", "rejected", &no, &yes), ("words.txt", "pending", &yes, &no)];
    assert_eq!(told, expected, "what was accepted is in the base: {second:#}");
    assert_eq!(hunks[1]["why"], "not so loud");
    let since = place.ralph(0, &["review", "a", "--since"]).out;
    assert!(since.contains("+twenty, two") && since.contains("+more") && !since.contains("TWELVE!"), "{since}");
    assert!(since.contains("round 2: 2 new or different since round 1, 1 came again although rejected"), "{since}");
    let whole = place.ralph(0, &["review", "a"]).out;
    assert!(
        whole.contains("came again although rejected\n@@") && whole.contains("c1 (round 1, line 22, sent)"),
        "{whole}"
    );

    place.ralph(0, &["accept", "a"]);
    assert_eq!(place.read("words.txt"), with(&[(2, "TWO"), (22, "twenty, two")]));
    assert_eq!(task(&place, "a")["state"], "review", "one hunk is rejected, and nobody said what then");
    place.ralph(0, &["accept", "a", "--only-accepted"]);
    place.until(|status| status["tasks"][0]["state"] == "done");
    assert_eq!(place.read("words.txt"), with(&[(2, "TWO"), (22, "twenty, two")]));
    assert_eq!(task(&place, "a")["comments"].as_array().map(Vec::len), Some(2), "nothing that was said is lost");
}

#[test]
fn a_part_that_fails_by_itself_is_a_question_and_not_done() {
    let queue = r#"{"id": "a", "title": "Words", "status": "todo", "verify": ["test -f need.txt || { echo no need; exit 1; }"]}"#;
    let parts = json!({ "a": {
        "1": [write("words.txt", &with(&[(2, "TWO")])), write("need.txt", "x\n"), finished()],
        "2": [finished()],
    } });
    let place = place(&parts, queue);
    place.ralph(0, &["run"]);
    place.ralph(2, &["reject", "a", "--rest"]);
    let document = place.ralph(0, &["review", "a", "--json"]).json();
    let hunks = document["hunks"].as_array().expect("hunks");
    let words = hunks.iter().find(|hunk| hunk["path"] == "words.txt").expect("a hunk");
    let number = words["number"].to_string();
    place.ralph(0, &["accept", "a", "--hunk", &number]);
    place.ralph(0, &["reject", "a", "--rest"]);
    place.until(|status| status["tasks"][0]["state"] == "blocked");
    assert!(proposal(&place, "a")["part"].as_str().is_some_and(|part| part.starts_with("accepted part fails: ")));
    let decision = place.ralph(0, &["decisions", "--json"]).json()["decisions"][0].clone();
    assert!(decision["question"].as_str().is_some_and(|words| words.contains("the accepted part fails by itself")));
    assert!(decision["evidence"]["output"].as_str().is_some_and(|output| output.contains("no need")), "{decision:#}");
    let id = decision["id"].as_str().expect("an id");
    place.ralph(0, &["answer", id, "Send the rest back"]);
    let prompt = place.ralph(0, &["tasks", "prompt", "a"]).out;
    assert!(prompt.contains("no need") && prompt.contains("`need.txt`"), "{prompt}");
    place.ralph(0, &["run"]);
    // What was rejected came again; taken now, it is what was missing.
    let hunk = proposal(&place, "a")["hunks"][0].clone();
    assert_eq!((&hunk["path"], &hunk["state"], &hunk["again"]), (&json!("need.txt"), &json!("rejected"), &json!(true)));
    place.ralph(0, &["accept", "a", "--hunk", "1"]);
    place.until(|status| status["tasks"][0]["state"] == "done");
    assert_eq!((place.read("words.txt"), place.read("need.txt")), (with(&[(2, "TWO")]), "x\n".to_owned()));
}

#[test]
fn a_conflict_goes_back_to_be_put_onto_the_text_there_is() {
    let parts = json!({ "a": {
        "1": [write("words.txt", &with(&[(2, "TWO")])), finished()],
        "2": [{ "replace": { "path": "words.txt", "find": "zwei\n", "with": "zwei TWO\n" } }, finished()],
    } });
    let place = place(&parts, CHECKED);
    place.ralph(0, &["run"]);
    place.write("words.txt", &with(&[(2, "zwei")]));
    let shown = place.ralph(0, &["review", "a"]).out;
    assert!(shown.contains("  conflict\n  does not fit: words.txt: the text there"), "{shown}");
    assert!(shown.contains("send-back a --rebase has what does not fit put onto your text"), "{shown}");
    let document = place.ralph(0, &["review", "a", "--json"]).json();
    assert!(
        document["hunks"][0]["conflict"].as_str().is_some_and(|why| why.starts_with("words.txt: ")),
        "{document:#}"
    );
    let refused = place.ralph(3, &["accept", "a"]);
    assert!(refused.err.contains("send-back a --rebase"), "{}", refused.err);
    assert_eq!(place.read("words.txt"), with(&[(2, "zwei")]), "nothing is overwritten");
    place.ralph(0, &["send-back", "a", "--rebase"]);
    let prompt = place.ralph(0, &["tasks", "prompt", "a"]).out;
    for words in [
        "Your last proposal does not fit the text as I have it now in `words.txt`",
        "this change does not fit the text as the user has it now",
        "+TWO\n",
        "line 1\nzwei\nline 3\n",
    ] {
        assert!(prompt.contains(words), "{words} is missing: {prompt}");
    }
    place.ralph(0, &["run"]);
    let attempts = task(&place, "a")["attempts"].clone();
    assert_eq!((&attempts[0]["agent"], &attempts[1]["agent"]), (&json!("worker"), &json!("mender")), "{attempts:#}");
    let told = place.ralph(0, &["log", "a", "--prompt"]).out;
    assert!(told.contains("Earlier work that does not merge any more"), "{told}");
    place.ralph(0, &["accept", "a"]);
    assert_eq!(place.read("words.txt"), with(&[(2, "zwei TWO")]));
    assert_eq!(task(&place, "a")["state"], "done");
}

#[test]
fn a_change_that_rests_on_another_tasks_waits_for_it() {
    let low = with(&[(2, "two")]);
    let high = with(&[(2, "two, and more")]);
    let parts = json!({
        "low": { "1": [write("words.txt", &low), finished()] },
        "high": { "1": [write("words.txt", &high), finished()] },
    });
    let place = place(
        &parts,
        r#"{"id": "low", "title": "Low", "status": "todo"},
           {"id": "high", "title": "High", "status": "todo", "depends_on": ["low"]}"#,
    );
    place.ralph(0, &["run"]);
    let shown = place.ralph(0, &["review", "high"]).out;
    assert!(shown.contains("waits for low"), "{shown}");
    let refused = place.ralph(3, &["accept", "high"]);
    assert!(refused.out.contains("it rests on a change of `low` that is not decided"), "{}", refused.out);
    assert_eq!(place.read("words.txt"), base());
    place.ralph(0, &["accept", "low"]);
    assert!(!place.ralph(0, &["review", "high"]).out.contains("waits for"));
    place.ralph(0, &["accept", "high"]);
    assert_eq!(place.read("words.txt"), high);
    assert_eq!((&task(&place, "low")["state"], &task(&place, "high")["state"]), (&json!("done"), &json!("done")));
}

#[test]
fn an_agent_that_only_takes_out_what_was_rejected_has_done_its_work() {
    let parts = json!({ "a": {
        "1": [write("words.txt", &with(&[(2, "TWO"), (22, "loud")])), finished()],
        "2": [{ "replace": { "path": "words.txt", "find": "loud\n", "with": "line 22\n" } }, finished()],
    } });
    let place = place(&parts, CHECKED);
    place.ralph(0, &["run"]);
    place.ralph(0, &["accept", "a", "--hunk", "1"]);
    place.ralph(0, &["reject", "a", "--hunk", "2", "--why", "quiet"]);
    let shown = place.ralph(0, &["review", "a"]).out;
    assert!(shown.contains("  rejected: quiet\n@@"), "{shown}");
    place.ralph(0, &["send-back", "a"]);
    place.ralph(0, &["run"]);
    let attempts = task(&place, "a")["attempts"].clone();
    assert_eq!(attempts[1]["outcome"], "verified", "{attempts:#}");
    assert_eq!(proposal(&place, "a")["hunks"], json!([]), "nothing is left to decide");
    place.ralph(0, &["accept", "a"]);
    assert_eq!(task(&place, "a")["state"], "done");
    assert_eq!(place.read("words.txt"), with(&[(2, "TWO")]));
}

#[test]
fn what_was_said_survives_a_retry_and_reaches_the_agent() {
    let parts = json!({ "a": { "*": [
        { "run": { "command": "printf 'line 1\\nTWO\\n' > words.txt; echo $RALPH_ATTEMPT_NUMBER >> words.txt" } },
        finished(),
    ] } });
    let place = place(&parts, CHECKED);
    place.ralph(0, &["run"]);
    place.ralph(0, &["comment", "a", "why so short?", "--hunk", "1"]);
    place.ralph(0, &["reject", "a", "--hunk", "1"]);
    place.ralph(0, &["retry", "a", "--clean"]);
    assert!(place.ralph(0, &["tasks", "prompt", "a"]).out.contains("why so short?"));
    place.ralph(0, &["run"]);
    let shown = place.ralph(0, &["review", "a"]).out;
    assert!(
        shown.contains("c1 (round 1, line 2, sent): why so short?"),
        "by its file, for the hunk is another: {shown}"
    );
    assert!(shown.contains("new or different since round 1"), "{shown}");
}
