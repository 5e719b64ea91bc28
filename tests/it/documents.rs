//! What the documents say about the configuration is what the program reads.

use ralph_sidecar::protocol::config::{Layer, Role, Settings, config_schema_json, parse_config};
use serde_json::Value;
use std::collections::BTreeSet;

fn page(name: &str) -> String {
    std::fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).expect("a page of this repository")
}

/// Returns the blocks of JSON of a page.
fn blocks(page: &str) -> Vec<&str> {
    page.split("```json\n").skip(1).filter_map(|rest| rest.split_once("\n```")).map(|(block, _)| block).collect()
}

/// Collects the settings of a schema with their paths; references are followed.
fn settings(schema: &Value, node: &Value, prefix: &str, paths: &mut BTreeSet<String>) {
    for (name, property) in node["properties"].as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        for (inner, suffix) in
            [(property, "."), (&property["additionalProperties"], ".NAME."), (&property["items"], "[].")]
        {
            settings_of(schema, inner, &format!("{path}{suffix}"), paths);
        }
        paths.insert(path);
    }
}

/// The same below a value that may be one of several forms.
fn settings_of(schema: &Value, node: &Value, prefix: &str, paths: &mut BTreeSet<String>) {
    let pointer = node["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    if let Some(named) = pointer.and_then(|pointer| schema.pointer(pointer)) {
        settings_of(schema, named, prefix, paths);
    }
    for form in node["anyOf"].as_array().into_iter().flatten() {
        settings_of(schema, form, prefix, paths);
    }
    settings(schema, node, prefix, paths);
}

#[test]
fn every_configuration_that_is_shown_can_be_used() {
    for name in ["README.md", "docs/configuration.md"] {
        let text = page(name);
        let blocks = blocks(&text);
        assert!(!blocks.is_empty(), "{name} shows no configuration");
        for block in blocks {
            let (config, warnings) = parse_config(block).unwrap_or_else(|error| panic!("{name}: {error:?}\n{block}"));
            assert_eq!(warnings, vec![], "{name}");
            let settings = Settings::resolve(&[(Layer::Repository, config)]);
            assert_eq!(settings.problems(), Vec::<String>::new(), "{name}");
            for role in [Role::Planner, Role::Implementer] {
                assert!(settings.agent_for(role).is_some(), "{name}: nobody for {role}");
            }
        }
    }
}

#[test]
fn every_setting_has_its_line() {
    let schema: Value = serde_json::from_str(&config_schema_json()).expect("JSON");
    let mut known = BTreeSet::new();
    settings(&schema, &schema, "", &mut known);
    assert!(known.contains("agents.NAME.key_env") && known.contains("verify[].cwd"), "{known:?}");
    let text = page("docs/configuration.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|row| row.split_once('`'));
    let told: BTreeSet<String> = rows.map(|(path, _)| path.to_owned()).collect();
    assert_eq!(told, known);
}
