//! The record of what the tests saw, agent by agent, which `docs/agents.md` is made from.
//!
//! Every test compares what it saw with the record, so the page claims nothing that no test saw. `RALPH_BLESS=1` writes
//! the record anew.

use super::recording::blessing;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};

/// The record: agent, then feature or scenario, then what was seen.
pub const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agents/seen.json");

/// What was seen, by agent and by feature.
pub type Seen = BTreeMap<String, BTreeMap<String, String>>;

/// Compares what was seen with the record, or writes it down.
#[track_caller]
pub fn saw(agent: &str, feature: &str, what: &str) {
    if blessing() {
        return bless(agent, feature, what);
    }
    let seen = read();
    let recorded = seen.get(agent).and_then(|features| features.get(feature)).map(String::as_str);
    assert_eq!(
        Some(what),
        recorded,
        "{agent}, {feature}: docs/agents.md says otherwise; if it is right now, run this with RALPH_BLESS=1"
    );
}

/// Reads the record.
pub fn read() -> Seen {
    let text = std::fs::read_to_string(RECORD).unwrap_or_else(|error| panic!("{RECORD}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{RECORD}: {error}"))
}

fn bless(agent: &str, feature: &str, what: &str) {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(RECORD).expect("the record");
    // Other tests write at the same time.
    file.lock().expect("the record alone");
    write(file, agent, feature, what);
}

fn write(mut file: File, agent: &str, feature: &str, what: &str) {
    let mut text = String::new();
    file.read_to_string(&mut text).expect("the record");
    let mut seen: Seen = serde_json::from_str(&text).unwrap_or_default();
    seen.entry(agent.to_owned()).or_default().insert(feature.to_owned(), what.to_owned());
    let text = serde_json::to_string_pretty(&seen).expect("serialises");
    file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{text}")).expect("written");
}
