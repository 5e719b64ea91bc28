//! Edits of real folders.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

fn present(text: &str) -> FileState {
    FileState::Present { bytes: text.as_bytes().to_vec(), mode: FileMode::Regular }
}

fn edit(path: &str, expect: FileState, write: FileState) -> CheckoutEdit {
    CheckoutEdit { path: path.to_owned(), expect, write }
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// Every file, link and folder below, with content and mode.
fn listing(root: &Path) -> Vec<String> {
    let (mut found, mut pending) = (Vec::new(), vec![root.to_path_buf()]);
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let metadata = fs::symlink_metadata(&path).unwrap();
            if metadata.is_symlink() {
                found.push(format!("{name} -> {}", fs::read_link(&path).unwrap().display()));
            } else if metadata.is_dir() {
                found.push(format!("{name}/"));
                pending.push(path);
            } else {
                let mode = metadata.permissions().mode() & 0o777;
                found.push(format!("{name} {mode:o} {}", String::from_utf8_lossy(&fs::read(&path).unwrap())));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn files_are_created_changed_and_deleted_and_all_of_it_undone() {
    let root = folder(&[("a", "1"), ("dir/gone", "2"), ("dir/sub/gone", "3"), ("kept/x", "4")]);
    let before = listing(root.path());
    let script = FileState::Present { bytes: b"#!/bin/sh".to_vec(), mode: FileMode::Executable };
    let link = FileState::Present { bytes: b"../a".to_vec(), mode: FileMode::Symlink };
    let applied = apply(
        root.path(),
        vec![
            edit("a", present("1"), present("one")),
            edit("dir/gone", present("2"), FileState::Absent),
            edit("dir/sub/gone", present("3"), FileState::Absent),
            edit("new/deep/script", FileState::Absent, script.clone()),
            edit("new/link", FileState::Absent, link.clone()),
            edit("kept/x", present("4"), present("4")),
        ],
    )
    .unwrap();
    let after = listing(root.path());
    assert!(!root.path().join("dir").exists());
    assert_eq!(read_state(root.path(), "new/deep/script").unwrap(), script);
    assert_eq!(read_state(root.path(), "new/link").unwrap(), link);
    assert_eq!(read_state(root.path(), "a").unwrap(), present("one"));
    let undone = apply(root.path(), applied.undo).unwrap();
    assert_eq!(listing(root.path()), before);
    apply(root.path(), undone.undo).unwrap();
    assert_eq!(listing(root.path()), after, "and redone");
}

#[test]
fn one_conflict_anywhere_writes_nothing() {
    let root = folder(&[("a", "1"), ("b", "theirs"), ("c", "1")]);
    let before = listing(root.path());
    let executable = FileState::Present { bytes: b"1".to_vec(), mode: FileMode::Executable };
    for (path, expect) in [("b", present("1")), ("b", FileState::Absent), ("missing", present("1")), ("c", executable)]
    {
        let edits = vec![edit("a", present("1"), present("2")), edit(path, expect, present("3"))];
        let error = apply(root.path(), edits).unwrap_err();
        assert!(matches!(&error, ApplyError::Conflict { path: named } if named == path), "{error}");
        assert_eq!(listing(root.path()), before);
    }
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    let outside = folder(&[("file", "precious")]);
    let root = folder(&[("dir/x", "1"), (".git/config", ""), ("nested/.git", "gitdir: x"), ("file", "1")]);
    symlink(outside.path(), root.path().join("link")).unwrap();
    let before = listing(root.path());
    for path in [
        "/etc/passwd",
        "../x",
        "dir/../../x",
        "./a",
        "",
        "dir//x",
        "a\0b",
        ".git/config",
        ".GIT/hooks/x",
        "dir/.git",
        "link/file",
        "link/new",
        "file/below",
        "nested/x",
        "dir",
    ] {
        let error = apply(root.path(), vec![edit(path, FileState::Absent, present("2"))]).unwrap_err();
        assert!(matches!(error, ApplyError::Refused { .. }), "{path:?}: {error}");
        assert!(read_state(root.path(), path).is_err(), "{path:?}");
    }
    let twice = vec![edit("n", FileState::Absent, present("1")), edit("n", FileState::Absent, present("2"))];
    assert!(matches!(apply(root.path(), twice), Err(ApplyError::Refused { .. })));
    assert_eq!(listing(root.path()), before);
    assert_eq!(fs::read_to_string(outside.path().join("file")).unwrap(), "precious");
}

#[test]
fn a_link_itself_is_replaced_and_never_written_through() {
    let outside = folder(&[("file", "precious")]);
    let root = folder(&[]);
    let target = outside.path().join("file");
    symlink(&target, root.path().join("link")).unwrap();
    let expect = read_state(root.path(), "link").unwrap();
    apply(root.path(), vec![edit("link", expect, present("mine"))]).unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    assert_eq!(read_state(root.path(), "link").unwrap(), present("mine"));
}

#[test]
fn permissions_are_kept_and_the_executable_bit_follows_the_edit() {
    let root = folder(&[("private", "1"), ("run", "1")]);
    let mode = |path: &str| fs::metadata(root.path().join(path)).unwrap().permissions().mode() & 0o777;
    for path in ["private", "run"] {
        fs::set_permissions(root.path().join(path), fs::Permissions::from_mode(0o640)).unwrap();
    }
    let executable = FileState::Present { bytes: b"1".to_vec(), mode: FileMode::Executable };
    let edits = vec![edit("private", present("1"), present("2")), edit("run", present("1"), executable)];
    let applied = apply(root.path(), edits).unwrap();
    assert_eq!((mode("private"), mode("run")), (0o640, 0o750));
    apply(root.path(), applied.undo).unwrap();
    assert_eq!((mode("private"), mode("run")), (0o640, 0o640));
}

#[test]
fn a_file_becomes_a_folder_and_back() {
    let root = folder(&[("x", "1")]);
    let edits = vec![edit("x/inside", FileState::Absent, present("2")), edit("x", present("1"), FileState::Absent)];
    let applied = apply(root.path(), edits).unwrap();
    assert_eq!(read_state(root.path(), "x/inside").unwrap(), present("2"));
    apply(root.path(), applied.undo).unwrap();
    assert_eq!(read_state(root.path(), "x").unwrap(), present("1"));
}

#[test]
fn a_failure_half_way_puts_back_what_was_written() {
    let root = folder(&[("a", "1"), ("x/other", "1"), ("x/gone", "1")]);
    let before = listing(root.path());
    // `x` cannot become a file while `x/other` is there; that shows at the check. A name too long shows only when
    // writing, after `a` and `b` were written.
    let long = format!("z{}", "z".repeat(300));
    let edits = vec![
        edit("a", present("1"), present("2")),
        edit("b/new", FileState::Absent, present("2")),
        edit("x/gone", present("1"), FileState::Absent),
        edit(
            "zlink",
            FileState::Absent,
            FileState::Present { bytes: long.repeat(20).into_bytes(), mode: FileMode::Symlink },
        ),
    ];
    let error = apply(root.path(), edits).unwrap_err();
    assert!(matches!(&error, ApplyError::Io { path, .. } if path == "zlink"), "{error}");
    assert_eq!(listing(root.path()), before);
    let edits = vec![edit("x/gone", present("1"), FileState::Absent), edit("x", FileState::Absent, present("2"))];
    assert!(matches!(apply(root.path(), edits), Err(ApplyError::Refused { .. })));
    assert_eq!(listing(root.path()), before);
}
