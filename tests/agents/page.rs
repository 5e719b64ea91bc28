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

fn row(name: &str, seen: &Seen, key: &str) -> String {
    let mut line = format!("| {name} |");
    for features in seen.values() {
        let cell = features.get(key).map_or("not tested", String::as_str);
        write!(line, " {cell} |").expect("written");
    }
    line.push('\n');
    line
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
