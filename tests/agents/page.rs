//! `docs/agents.md`: the tables in it are made from the record of what the tests saw.

use crate::bench::blessing;
use crate::bench::cases::FEATURES;
use crate::bench::seen::{self, Seen};
use crate::mock::fault::FAULTS;
use std::fmt::Write;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/agents.md");
/// What stands around a table that is made.
const BEGIN: &str = "<!-- made from what the tests saw: ";
const END: &str = "<!-- end -->";

/// What each failure of the model is, in a person's words, in the order of the page.
const FAILURES: &[(&str, &str)] = &[
    ("rate", "429 without a time"),
    ("rate-long", "429, retry after an hour"),
    ("quota", "the plan's limit is used up for two hours"),
    ("insufficient", "no credit left (429)"),
    ("billing", "no credit left (402, or 400)"),
    ("unauthorized", "401, wrong key"),
    ("forbidden", "403"),
    ("no-model", "404, no such model"),
    ("context", "the prompt is too long"),
    ("stream-context", "the same, told inside the stream"),
    ("max-tokens", "the answer is cut at its limit"),
    ("bad-request", "400, something else"),
    ("internal", "500"),
    ("html", "502 with a page of HTML"),
    ("unavailable", "503"),
    ("overloaded", "529, overloaded"),
    ("stream-overloaded", "the same, told inside the stream"),
    ("stream-quota", "no credit left, told inside the stream"),
    ("hang-before", "no answer at all"),
    ("hang-mid", "the answer stops in the middle"),
    ("dropped", "the connection is reset"),
    ("malformed", "the answer is no JSON"),
    ("truncated", "the stream ends too early"),
    ("empty", "an empty answer"),
];

/// Why no test plays a row with an agent: agents, rows, and the reason as the page has it.
const UNPLAYED: &[(&[&str], &[&str], &str)] = &[
    (
        &["built-in on Ollama", "built-in on OpenAI's API"],
        &["reports by command", "resumes a session"],
        "it has no session to resume, and it is told to use its tools rather than the command",
    ),
    (
        &["built-in on Ollama"],
        &[
            "gives way at its limit",
            "waits for its limit",
            "rate",
            "rate-long",
            "quota",
            "insufficient",
            "billing",
            "unauthorized",
            "forbidden",
            "context",
            "stream-context",
            "stream-overloaded",
            "stream-quota",
        ],
        "a model on this machine has no account and no limits, and Ollama forgets what does not fit rather than refuse it",
    ),
    (
        &["gemini"],
        &["resumes a session"],
        "it opens its session again, but when its program was ended soon after a failure, the model was not always given \
         what had been done before",
    ),
    (
        &["opencode"],
        &["gives way at its limit", "waits for its limit"],
        "at a limit it repeats its request for more than a minute before it says so, as the table of failures shows; what \
         follows from that is ours, and is the same for every agent",
    ),
];

/// Returns the sign of a cell without a result, which leads to its reason below the table.
fn unplayed(agent: &str, key: &str) -> String {
    let found = UNPLAYED.iter().position(|(agents, rows, _)| agents.contains(&agent) && rows.contains(&key));
    let number =
        found.unwrap_or_else(|| panic!("nothing was seen of `{key}` with {agent}, and no reason is given why"));
    format!("[{}]", number + 1)
}

fn row(name: &str, seen: &Seen, key: &str) -> String {
    let mut line = format!("| {name} |");
    for (agent, features) in seen {
        let cell = features.get(key).cloned().unwrap_or_else(|| unplayed(agent, key));
        write!(line, " {cell} |").expect("written");
    }
    line.push('\n');
    line
}

/// Lists the reasons, by their numbers in the cells.
fn reasons() -> String {
    let lines = UNPLAYED.iter().enumerate().map(|(at, (.., why))| format!("{}. {why}\n", at + 1));
    format!("\n{}\n", lines.collect::<String>())
}

#[test]
fn every_reason_is_of_a_cell_that_was_not_seen() {
    let seen = seen::read();
    for (agents, rows, why) in UNPLAYED {
        let unseen =
            |row: &str| seen.iter().any(|(agent, all)| agents.contains(&agent.as_str()) && !all.contains_key(row));
        assert!(rows.iter().all(|row| unseen(row)), "{why}");
    }
}

/// Makes a table with a column for each agent; rows no agent was put through are left out.
fn table(head: &str, seen: &Seen, rows: &[(&str, &str)]) -> String {
    let agents: Vec<&str> = seen.keys().map(String::as_str).collect();
    let mut text = format!("\n| {head} | {} |\n| --- |{}\n", agents.join(" | "), " --- |".repeat(agents.len()));
    for (key, name) in rows {
        if seen.values().any(|features| features.contains_key(*key)) {
            text.push_str(&row(name, seen, key));
        }
    }
    text.push('\n');
    text
}

/// Replaces what stands between the marks of the table's name.
fn replace(page: &str, name: &str, table: &str) -> String {
    let begin = format!("{BEGIN}{name} -->\n");
    let start = page.find(&begin).unwrap_or_else(|| panic!("docs/agents.md has no line {begin:?}")) + begin.len();
    let end = start + page[start..].find(END).unwrap_or_else(|| panic!("the table of {name} has no end"));
    format!("{}{table}{}", &page[..start], &page[end..])
}

#[test]
fn the_page_says_what_the_tests_saw() {
    let seen = seen::read();
    let features: Vec<(&str, &str)> = FEATURES.iter().map(|name| (*name, *name)).collect();
    for (agent, features) in &seen {
        for key in features.keys() {
            let known = FEATURES.contains(&key.as_str()) || FAILURES.iter().any(|(name, _)| name == key);
            assert!(known, "the record has `{key}` of {agent}, which no row of the page is for");
        }
    }
    let page = std::fs::read_to_string(PAGE).expect("the page");
    let made = replace(&page, "features", &table("", &seen, &features));
    let made = replace(&made, "failures", &table("what the model does", &seen, FAILURES));
    let made = replace(&made, "reasons", &reasons());
    if blessing() {
        std::fs::write(PAGE, made).expect("written");
    } else {
        assert_eq!(page, made, "docs/agents.md is not what the tests saw; run tests/run agents with RALPH_BLESS=1");
    }
}

#[test]
fn every_row_is_a_scenario() {
    for (name, _) in FAILURES {
        assert!(FAULTS.iter().any(|(fault, _)| fault == name), "{name}");
    }
}
