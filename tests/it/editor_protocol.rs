//! `docs/protocol.md` and the editor protocol say the same: every name and every field, and nothing that is not there.

use ralph_sidecar::protocol::editor::{CONTENT, Command, INPUT, editor_schema_json};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The sections of the page whose heading is a name, by that name.
fn sections() -> BTreeMap<String, String> {
    let path = format!("{}/docs/protocol.md", env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(path).expect("the page is readable");
    let mut sections = BTreeMap::new();
    let mut current: Option<String> = None;
    for line in page.lines() {
        if line.starts_with('#') {
            let name = line.trim_start_matches('#').trim().strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
            current = name.map(str::to_owned);
            if let Some(name) = &current {
                assert!(sections.insert(name.clone(), String::new()).is_none(), "{name} has two sections");
            }
        } else if let Some(section) = current.as_ref().and_then(|name| sections.get_mut(name)) {
            section.push_str(line);
            section.push('\n');
        }
    }
    sections
}

fn schema() -> Value {
    serde_json::from_str(&editor_schema_json()).expect("the schema is JSON")
}

/// The names of one group of the schema, with the type of the parameters each has.
fn names(schema: &Value, group: &str) -> BTreeMap<String, String> {
    let group = schema[group].as_object().expect("a group");
    let type_of =
        |value: &Value| value["params"]["$ref"].as_str().and_then(|path| path.rsplit('/').next()).map(str::to_owned);
    group.iter().map(|(name, value)| (name.clone(), type_of(value).expect("a named type"))).collect()
}

/// The commands of the schema, by their names in `workspace/executeCommand`.
fn commands(schema: &Value) -> BTreeMap<String, String> {
    let requests = names(schema, "requests").into_iter().filter(|(name, _)| name != CONTENT && name != INPUT);
    requests.map(|(method, parameters)| (method.replace('/', "."), parameters)).collect()
}

/// The fields a section documents: the first column of its table.
fn documented(section: &str) -> BTreeSet<String> {
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(field, _)| field.to_owned()).collect()
}

#[test]
fn every_name_and_every_field_is_documented_and_no_other() {
    let (schema, sections) = (schema(), sections());
    let mut expected = BTreeSet::new();
    let mut inlined = BTreeSet::new();
    let fields = |name: &str| -> BTreeSet<String> {
        let properties = schema["$defs"][name]["properties"].as_object();
        properties.into_iter().flatten().map(|(field, _)| field.clone()).collect()
    };
    for (name, parameters) in commands(&schema).into_iter().chain(names(&schema, "notifications")) {
        let section = sections.get(&name).unwrap_or_else(|| panic!("{name} has no section"));
        assert_eq!(documented(section), fields(&parameters), "the fields of {name}");
        assert!(section.lines().any(|line| !line.is_empty() && !line.starts_with('|')), "{name} has no words");
        expected.insert(name);
        inlined.insert(parameters);
    }
    for name in [CONTENT, INPUT] {
        assert!(sections.contains_key(name), "{name} has no section");
        expected.insert(name.to_owned());
    }
    let types = schema["$defs"].as_object().expect("types").keys().filter(|name| !inlined.contains(*name));
    for name in types {
        let section = sections.get(name).unwrap_or_else(|| panic!("{name} has no section"));
        assert_eq!(documented(section), fields(name), "the fields of {name}");
        expected.insert(name.clone());
    }
    let written: BTreeSet<String> = sections.keys().cloned().collect();
    assert_eq!(written, expected, "a section is about something that is not there");
}

#[test]
fn everything_a_command_takes_may_be_left_out() {
    let schema = schema();
    let names: BTreeSet<String> = Command::ALL.iter().map(|command| command.name().to_owned()).collect();
    let in_schema = commands(&schema);
    assert_eq!(in_schema.keys().cloned().collect::<BTreeSet<_>>(), names);
    // The page promises it; what must be there is said by the command itself, in words.
    for (name, parameters) in in_schema {
        let required = &schema["$defs"][&parameters]["required"];
        assert!(required.is_null(), "{name} requires {required}");
    }
}

/// Every text in single quotes of the plug-in's Lua that looks like a name of ours.
fn names_in_lua(folder: &std::path::Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("the plug-in is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            names_in_lua(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "lua") {
            let text = std::fs::read_to_string(&path).expect("readable");
            found.extend(text.split('\'').filter(|text| text.starts_with("ralph/")).map(str::to_owned));
        }
    }
}

#[test]
fn the_plug_in_for_neovim_uses_names_of_the_protocol_only() {
    let schema = schema();
    let mut known: BTreeSet<String> = names(&schema, "requests").into_keys().collect();
    known.extend(names(&schema, "notifications").into_keys());
    let mut used = BTreeSet::new();
    names_in_lua(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("editors/neovim"), &mut used);
    let strangers: Vec<&String> = used.difference(&known).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
    // What the plug-in is for; a scan that found nothing would pass otherwise.
    for needed in ["ralph/plan", "ralph/proposal", "ralph/accept", "ralph/reject", "ralph/answer", "ralph/status"] {
        assert!(used.contains(needed), "{needed} is not used");
    }
}

/// The interfaces of `editors/vscode/src/protocol.ts`, with the names of their fields.
fn interfaces(source: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    for part in source.split("export interface ").skip(1) {
        let (name, rest) = part.split_once(" {").expect("an interface has a body");
        let body = rest.split_once("\n}").expect("an interface ends").0;
        let field = |line: &str| {
            line.strip_prefix("  ")?.split_once(':').map(|(name, _)| name.trim_end_matches('?').to_owned())
        };
        found.insert(name.to_owned(), body.lines().filter_map(field).collect());
    }
    found
}

#[test]
fn the_extension_for_vs_code_mirrors_the_protocol() {
    let schema = schema();
    let path = format!("{}/editors/vscode/src/protocol.ts", env!("CARGO_MANIFEST_DIR"));
    let source = std::fs::read_to_string(path).expect("the mirror is readable");
    let mut known: BTreeSet<String> = names(&schema, "requests").into_keys().collect();
    known.extend(names(&schema, "notifications").into_keys());
    let used: BTreeSet<String> =
        source.split('\'').filter(|text| text.starts_with("ralph/")).map(str::to_owned).collect();
    let strangers: Vec<&String> = used.difference(&known).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
    assert!(names(&schema, "notifications").keys().all(|name| used.contains(name)), "a notification is missing");
    let interfaces = interfaces(&source);
    assert!(interfaces.len() > 10, "{interfaces:?}");
    for (name, fields) in interfaces {
        let properties =
            schema["$defs"][&name]["properties"].as_object().unwrap_or_else(|| panic!("{name} is no type"));
        let strangers: Vec<&String> = fields.iter().filter(|field| !properties.contains_key(*field)).collect();
        assert!(!fields.is_empty() && strangers.is_empty(), "{name} has no {strangers:?}");
    }
}
