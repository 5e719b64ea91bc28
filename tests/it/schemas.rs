//! The committed JSON schemas are those that the types generate.

use ralph_sidecar::protocol::config::config_schema_json;
use ralph_sidecar::protocol::editor::editor_schema_json;
use ralph_sidecar::protocol::queue_schema::queue_schema_json;

/// Compares, or rewrites the file when `RALPH_BLESS` is set.
fn check(name: &str, generated: &str) {
    let path = format!("{}/schemas/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("RALPH_BLESS").is_some() {
        std::fs::write(&path, generated).expect("schemas/ is writable");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == generated, "schemas/{name} is out of date; run the test again with RALPH_BLESS=1");
}

#[test]
fn queue_schema_is_current() {
    check("queue.schema.json", &queue_schema_json());
}

#[test]
fn config_schema_is_current() {
    check("config.schema.json", &config_schema_json());
}

#[test]
fn editor_schema_is_current() {
    check("editor.schema.json", &editor_schema_json());
}
