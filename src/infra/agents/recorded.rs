//! For tests: what the real agents printed in `tests/agents`, and what its tests saw come of it.

use serde_json::Value;
use std::path::{Path, PathBuf};

/// Scenarios that end regularly, with a report.
const REGULAR: [&str; 3] = ["mcp", "reports", "write"];
/// One turn of a real agent.
pub struct Recording {
    pub name: String,
    pub text: String,
    /// The outcome the tests saw, none for a regular end; absent where they saw none that the lines alone tell.
    pub outcome: Option<Option<String>>,
}

/// Returns the recordings of an agent, by its name in `docs/agents.md`.
pub fn of(agent: &str) -> Vec<Recording> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agents");
    let seen = std::fs::read_to_string(root.join("seen.json")).expect("the record");
    let seen: Value = serde_json::from_str(&seen).expect("JSON");
    let recording = |path: PathBuf| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let outcome = if REGULAR.contains(&name.as_str()) { Some(None) } else { outcome(&seen[agent][&name]) };
        Recording { outcome, text: std::fs::read_to_string(&path).expect("readable"), name }
    };
    let folder = std::fs::read_dir(root.join("recordings").join(agent)).expect("recordings");
    let mut found: Vec<Recording> = folder.map(|entry| recording(entry.expect("an entry").path())).collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(found.len() >= 10, "{agent}: {} recordings", found.len());
    found
}

/// Reads a cell such as ``rate_limited` with its time`; what a limit of ours did is in no recording.
fn outcome(cell: &Value) -> Option<Option<String>> {
    let (outcome, rest) = cell.as_str()?.strip_prefix('`')?.split_once('`')?;
    (!rest.contains("our limit")).then(|| Some(outcome.to_owned()).filter(|outcome| outcome != "incomplete"))
}

/// Returns where a line is cut: at every byte, never inside a character.
pub fn cuts(line: &str) -> impl Iterator<Item = usize> {
    (0..line.len()).filter(|cut| line.is_char_boundary(*cut))
}
