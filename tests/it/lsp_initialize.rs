//! What each kind of client is told at `initialize`, as golden files, and what is read from its capabilities.

use ralph_sidecar::lsp::capabilities::{ClientCapabilities, initialize_result};
use serde_json::Value;

const CLIENTS: [(&str, &str); 4] = [
    ("vscode-10", include_str!("support/clients/vscode-10.json")),
    ("neovim-0.12", include_str!("support/clients/neovim-0.12.json")),
    ("neovim-0.10", include_str!("support/clients/neovim-0.10.json")),
    ("minimal", include_str!("support/clients/minimal.json")),
];

#[test]
fn the_result_of_initialize_is_the_golden_one() {
    for (name, params) in CLIENTS {
        let params: Value = serde_json::from_str(params).expect("the fixture is JSON");
        let client = ClientCapabilities::from_initialize(&params);
        let mut result = initialize_result(&client);
        result["serverInfo"]["version"] = "[version]".into();
        let text = serde_json::to_string_pretty(&result).expect("JSON can be written");
        insta::assert_snapshot!(format!("initialize-{name}"), text);
        insta::assert_snapshot!(format!("capabilities-{name}"), format!("{client:#?}"));
    }
}
