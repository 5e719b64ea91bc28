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

/// The examples of a section: its blocks of JSON.
fn examples(section: &str) -> Vec<Value> {
    let blocks = section.split("```json\n").skip(1).filter_map(|rest| rest.split_once("\n```"));
    blocks.map(|(text, _)| serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))).collect()
}

/// Whether the value has one of the types that the schema names.
fn has_type(node: &Value, value: &Value) -> bool {
    let named = match &node["type"] {
        Value::Null => return true,
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => vec![one.as_str().expect("the name of a type")],
    };
    named.iter().any(|name| match *name {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("the schema has the type {other}"),
    })
}

/// What is wrong with an example. One of what the server sends has every field; one of parameters only what it is about.
fn faults(schema: &Value, node: &Value, value: &Value, at: &str, is_whole: bool) -> Vec<String> {
    if let Some(name) = node["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return faults(schema, &schema["$defs"][name], value, at, is_whole);
    }
    if let Some(choices) = node["anyOf"].as_array() {
        let mut found = choices.iter().map(|choice| faults(schema, choice, value, at, is_whole));
        return found.find(Vec::is_empty).map_or_else(|| vec![format!("{at} is none of its types")], |_| Vec::new());
    }
    if !has_type(node, value) {
        return vec![format!("{at} is {value}, not {}", node["type"])];
    }
    let mut found = Vec::new();
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(faults(schema, &node["items"], item, &format!("{at}[{index}]"), is_whole));
    }
    let Some(object) = value.as_object().filter(|_| node["type"].is_string()) else { return found };
    let properties = node["properties"].as_object();
    for (name, field) in object {
        let at = format!("{at}.{name}");
        match properties.and_then(|known| known.get(name)).or_else(|| node.get("additionalProperties")) {
            Some(known) => found.extend(faults(schema, known, field, &at, is_whole)),
            None => found.push(format!("{at} is no field")),
        }
    }
    let missing = properties.into_iter().flatten().map(|(name, _)| name).filter(|name| !object.contains_key(*name));
    found.extend(missing.filter(|_| is_whole).map(|name| format!("{at}.{name} is missing")));
    found
}

#[test]
fn everything_that_is_sent_has_an_example_that_is_right() {
    let (schema, sections) = (schema(), sections());
    let node = |name: &str| &schema["$defs"][name];
    let mut expected: Vec<(String, &Value, bool)> = Vec::new();
    expected.extend(commands(&schema).into_iter().map(|(name, parameters)| (name, node(&parameters), false)));
    expected.extend(names(&schema, "notifications").into_iter().map(|(name, fields)| (name, node(&fields), true)));
    let types = ["ContentParams", "ContentResult", "InputParams", "InputResult", "StatusResult", "RunStatus"];
    for name in types.into_iter().chain(["ProposalResult", "CommandResult"]) {
        expected.push((name.to_owned(), node(name), true));
    }
    for (name, node, is_whole) in expected {
        let examples = examples(&sections[&name]);
        assert_eq!(examples.len(), 1, "{name} has one example");
        assert_eq!(faults(&schema, node, &examples[0], &name, is_whole), Vec::<String>::new());
    }
}

#[test]
fn an_example_that_is_wrong_is_found() {
    let schema = schema();
    let node = serde_json::json!({ "$ref": "#/$defs/StatusNotification" });
    let example = serde_json::json!({ "root": 1, "states": { "done": "two" }, "run": { "id": [] }, "strange": null });
    let found = faults(&schema, &node, &example, "it", true);
    for fault in ["it.root is 1", "it.states.done is", "it.run is none", "it.strange is no", "it.pending is missing"] {
        assert!(found.iter().any(|line| line.starts_with(fault)), "{fault}: {found:?}");
    }
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
