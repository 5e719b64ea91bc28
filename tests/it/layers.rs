//! The layers of the source and what each may name, read off the text of every file; and the tests that
//! `ARCHITECTURE.md` promises for the invariants.

use std::path::{Path, PathBuf};

/// What each layer may name of ours, as prefixes of the path after `crate::`.
const LAYERS: [(&str, &[&str]); 6] = [
    ("domain", &["domain"]),
    ("protocol", &["protocol", "domain"]),
    ("engine", &["engine", "protocol", "domain"]),
    ("infra", &["infra", "engine::ports", "engine::handle", "protocol", "domain"]),
    ("lsp", &["lsp", "engine::handle", "protocol", "domain"]),
    ("cli", &["cli", "lsp", "infra", "engine", "protocol", "domain"]),
];

/// Names that only some layers, or folders in them, may use, with those. `std` paths are meant with their colons.
const KEPT_APART: [(&str, &[&str]); 17] = [
    ("landlock", &["infra/sandbox"]),
    ("tower_lsp", &["lsp"]),
    ("lsp_types", &["lsp"]),
    ("git2", &["infra"]),
    ("agent_client_protocol", &["infra"]),
    ("rusqlite", &["infra"]),
    ("rustix", &["infra", "cli"]),
    ("notify::", &["infra"]),
    ("rmcp", &["infra/mcp"]),
    ("tokio", &["engine", "infra", "lsp", "cli"]),
    ("std::fs", &["infra", "cli"]),
    ("std::process", &["infra", "cli", "lsp"]),
    ("std::env", &["infra", "cli"]),
    ("std::net", &["infra"]),
    ("std::os", &["infra", "cli"]),
    ("SystemTime", &["infra"]),
    ("Instant::now", &["infra", "lsp", "cli"]),
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is readable") {
        let path = entry.expect("the entry is readable").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Returns the code of a file with its line numbers: without comments, and without its tests, which may use anything.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = std::fs::read_to_string(path).expect("the file is readable");
    let mut lines = Vec::new();
    let mut skipping: Option<String> = None;
    let mut in_test = false;
    for (number, line) in text.lines().enumerate() {
        if let Some(indent) = &skipping {
            if line.starts_with(&format!("{indent}}}")) {
                skipping = None;
            }
            continue;
        }
        let trimmed = line.trim_start();
        if trimmed.starts_with("#[cfg(test)]") {
            in_test = true;
            continue;
        }
        if in_test && !trimmed.starts_with("#[") {
            in_test = false;
            if trimmed.ends_with('{') {
                skipping = Some(line[..line.len() - trimmed.len()].to_owned());
            }
            continue;
        }
        if !trimmed.starts_with("//") {
            lines.push((number + 1, line.to_owned()));
        }
    }
    lines
}

/// Tells whether a file is only compiled for tests.
fn is_test(path: &Path) -> bool {
    let inside = path.strip_prefix(source()).expect("below the source");
    let names = ["tests", "testing", "properties", "cases", "fakes", "sample"];
    inside.components().any(|part| {
        let name = part.as_os_str().to_string_lossy();
        names.contains(&name.trim_end_matches(".rs"))
    })
}

fn layer(path: &Path) -> Option<String> {
    let inside = path.strip_prefix(source()).ok()?;
    let mut parts = inside.components();
    let first = parts.next()?.as_os_str().to_string_lossy().into_owned();
    parts.next().map(|_| first)
}

/// Returns every path that follows `crate::` in a line, groups taken apart: `crate::engine::{ports::A, view}`.
fn own_paths(line: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        // `$crate::` and `some_crate::` are something else.
        if line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &line[at + "crate::".len()..];
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
        let (path, after) = rest.split_at(end);
        let group = after.strip_prefix('{').map(|group| group.split('}').next().unwrap_or(group));
        match group {
            // A group that goes on in the next lines names at least this.
            Some("") | None => paths.push(path.trim_end_matches(':').to_owned()),
            Some(group) => {
                let members = group.split(',').map(str::trim).filter(|member| !member.is_empty());
                paths.extend(members.map(|member| format!("{path}{member}")));
            }
        }
    }
    paths
}

#[test]
fn layers_name_only_what_is_below_them() {
    let mut wrong = Vec::new();
    for path in files(&source()).iter().filter(|path| !is_test(path)) {
        let Some(layer) = layer(path) else { continue };
        let (_, allowed) = LAYERS.iter().find(|(name, _)| *name == layer).expect("every folder of src is a layer");
        for (number, line) in code(path) {
            for named in own_paths(&line) {
                let fits = |prefix: &&str| named == **prefix || named.starts_with(&format!("{prefix}::"));
                if !allowed.iter().any(fits) {
                    wrong.push(format!("{}:{number}: {layer} names {named}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_touches_the_world_is_kept_apart() {
    let mut wrong = Vec::new();
    for path in files(&source()).iter().filter(|path| !is_test(path)) {
        let Some(layer) = layer(path) else { continue };
        let inside = path.strip_prefix(source()).expect("below the source");
        for (number, line) in code(path) {
            for (name, layers) in KEPT_APART {
                let named = line.match_indices(name).any(|(at, _)| {
                    // What stands in a string names nothing.
                    if line[..at].matches('"').count() % 2 == 1 {
                        return false;
                    }
                    let before = line[..at].chars().next_back();
                    let after = line[at + name.len()..].chars().next();
                    let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '"');
                    !word(before) && (name.ends_with(':') || !word(after))
                });
                if named && !layers.iter().any(|layer| inside.starts_with(layer)) {
                    wrong.push(format!("{}:{number}: {layer} names {name}: {}", path.display(), line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_imports_sees_groups_and_paths() {
    let rows = [
        ("use crate::infra::journal::SqliteJournal;", vec!["infra::journal::SqliteJournal"]),
        ("use crate::engine::{ports::World, view};", vec!["engine::ports::World", "engine::view"]),
        ("    let end = crate::domain::outcome::AttemptEnd::new(", vec!["domain::outcome::AttemptEnd::new"]),
        ("pub(in crate::engine) fn x() {}", vec!["engine"]),
        ("use crate::engine::ports::{", vec!["engine::ports"]),
        ("use some_crate::thing;", vec![]),
    ];
    for (line, expected) in rows {
        assert_eq!(own_paths(line), expected, "{line}");
    }
}

#[test]
fn the_tests_of_the_invariants_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is readable");
    let section = page.split("## Invariants").nth(1).expect("it has a section `Invariants`");
    let section = section.split("\n## ").next().unwrap_or(section);
    let invariants: Vec<&str> = section.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).collect();
    assert_eq!(invariants.len(), 13, "there are thirteen invariants");
    let mut sources = String::new();
    for folder in ["src", "tests"] {
        for path in files(&root.join(folder)) {
            sources.push_str(&std::fs::read_to_string(path).expect("the file is readable"));
        }
    }
    for line in invariants {
        let tests: Vec<&str> = line.split('`').skip(1).step_by(2).filter(|name| name.contains('_')).collect();
        assert!(!tests.is_empty(), "no test is named: {line}");
        for test in tests {
            let name = test.rsplit("::").next().unwrap_or(test);
            assert!(sources.contains(&format!("fn {name}(")), "there is no test `{test}`: {line}");
        }
    }
}
