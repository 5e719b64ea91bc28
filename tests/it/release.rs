//! A release: what its workflow makes is what `cargo binstall` looks for, and is called what it is.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const WORKFLOW: &str = include_str!("../../.github/workflows/release.yml");

/// Targets of the programs, and what VS Code calls these platforms.
const PLATFORMS: [(&str, &str); 4] = [
    ("x86_64-unknown-linux-gnu", "linux-x64"),
    ("aarch64-unknown-linux-gnu", "linux-arm64"),
    ("x86_64-apple-darwin", "darwin-x64"),
    ("aarch64-apple-darwin", "darwin-arm64"),
];

fn run(program: &str, arguments: &[&str]) -> Output {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(program);
    Command::new(path).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// Returns a setting of `[package.metadata.binstall]`, with its variables filled in as for a target.
fn binstall(key: &str, target: &str) -> String {
    let manifest = include_str!("../../Cargo.toml");
    let section = manifest.split("\n[").find_map(|section| section.strip_prefix("package.metadata.binstall]\n"));
    let prefix = format!("{key} = \"");
    let line = section.expect("the section is there").lines().find_map(|line| line.strip_prefix(&prefix));
    let mut text = line.and_then(|line| line.strip_suffix('"')).unwrap_or_else(|| panic!("no {key}")).to_owned();
    let variables = [
        ("repo", "REPOSITORY"),
        ("version", env!("CARGO_PKG_VERSION")),
        ("name", env!("CARGO_PKG_NAME")),
        ("bin", "ralph-sidecar"),
        ("target", target),
    ];
    for (name, value) in variables {
        text = text.replace(&format!("{{ {name} }}"), value);
    }
    assert!(!text.contains('{'), "an unknown variable in {key}: {text}");
    text
}

/// Returns what the entries of the workflow's matrices have for two keys, which stand beside each other on one line.
fn matrix(first: &str, second: &str) -> Vec<(&'static str, &'static str)> {
    let value = |line: &'static str, key: &str| {
        let rest = line.split_once(&format!("{key}: "))?.1;
        rest.split([',', ' ', '}']).next()
    };
    let entries = WORKFLOW.lines().filter(|line| line.trim_start().starts_with("- {"));
    entries.filter_map(|line| Some((value(line, first)?, value(line, second)?))).collect()
}

#[test]
fn each_platform_has_a_program_and_an_extension() {
    let programs: Vec<_> = matrix("target", "runner").into_iter().map(|(target, _)| target).collect();
    assert_eq!(programs, PLATFORMS.map(|(target, _)| target));
    assert_eq!(matrix("target", "platform"), PLATFORMS);
}

#[test]
fn what_is_packed_is_what_binstall_looks_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let packed = folder.path().join("packed");
    let built = folder.path().join("built");
    std::fs::write(&built, "#!/bin/sh\necho built\n").expect("a program is written");
    for (target, _) in PLATFORMS {
        let output = run(".github/pack", &[target, &built.to_string_lossy(), &packed.to_string_lossy()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let archive = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        let name = archive.file_name().expect("a name").to_string_lossy().into_owned();
        assert_eq!(
            binstall("pkg-url", target),
            format!("REPOSITORY/releases/download/v{}/{name}", env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(binstall("pkg-fmt", target), "tgz", "what a .tar.gz is");
        assert_eq!(name.replace(target, "${{ matrix.target }}"), "ralph-sidecar-${{ matrix.target }}.tar.gz");
        assert!(WORKFLOW.contains("path: packed/ralph-sidecar-${{ matrix.target }}.tar.gz"), "it is kept");

        let unpacked = folder.path().join(target);
        std::fs::create_dir(&unpacked).expect("a folder is made");
        let tar = Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&unpacked).status().expect("tar");
        assert!(tar.success(), "{name} is an archive");
        let program = unpacked.join(binstall("bin-dir", target));
        let said = Command::new(&program).output();
        let said = said.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        assert_eq!(String::from_utf8_lossy(&said.stdout), "built\n");
    }
}

#[test]
fn a_wrong_tag_or_repository_makes_no_release() {
    let tag = format!("v{}", env!("CARGO_PKG_VERSION"));
    let repository = env!("CARGO_PKG_REPOSITORY");
    let good = run(".github/check-version", &[&tag, repository]);
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    for (tag, repository, named) in [
        ("v99.0.0", repository, ["version in Cargo.toml", "version in editors/vscode/package.json"]),
        (tag.as_str(), "https://example.org/else", ["repository in Cargo.toml", "https://example.org/else"]),
    ] {
        let output = run(".github/check-version", &[tag, repository]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && named.iter().all(|name| errors.contains(name)), "{tag}: {errors}");
    }
}

#[test]
fn the_scripts_the_workflow_runs_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let commands = WORKFLOW.lines().filter_map(|line| line.split_once("run: ")).map(|(_, command)| command);
    let scripts = commands.filter_map(|command| command.split(' ').next()).filter(|word| word.contains('/'));
    let scripts: Vec<_> = scripts.collect();
    for wanted in [".github/check-version", "tests/run", ".github/pack", "tests/editors/package-vscode"] {
        assert!(scripts.contains(&wanted), "{wanted} is not run: {scripts:?}");
    }
    for script in scripts {
        assert!(root.join(script).is_file(), "{script} is not there");
    }
}
