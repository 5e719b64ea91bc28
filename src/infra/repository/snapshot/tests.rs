//! Snapshots of real repositories, clean and dirty.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::super::testing::Fixture;
use super::*;

fn request(fixture: &Fixture) -> SnapshotRequest {
    SnapshotRequest::new(fixture.root().join("state/snapshot.index"), 1_000)
}

fn take(fixture: &Fixture, request: &SnapshotRequest) -> Snapshot {
    let before = fixture.user_state();
    let snapshot = fixture.repository().snapshot(request).unwrap();
    assert_eq!(fixture.user_state(), before, "the user's git state stays as it was, byte for byte");
    snapshot
}

fn listing(fixture: &Fixture, commit: &str) -> Vec<String> {
    fixture.git(&["ls-tree", "-r", "--format=%(objectmode) %(path)", commit]).lines().map(str::to_owned).collect()
}

fn left_out(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.left_out.iter().map(|left| left.path.as_str()).collect()
}

#[test]
fn a_clean_checkout_is_head_itself() {
    let fixture = Fixture::with_commit(&[(".gitignore", "out/\n"), ("a", "1\n")]);
    fixture.write("out/x", "ignored");
    fixture.write(".ralph/queue.json", "{}");
    let snapshot = take(&fixture, &request(&fixture));
    assert_eq!(snapshot.commit, fixture.rev("HEAD"));
    assert_eq!(snapshot.tree, fixture.rev("HEAD^{tree}"));
    assert_eq!((snapshot.uncommitted.len(), snapshot.left_out.len()), (0, 0));
}

#[test]
fn staged_unstaged_untracked_deleted_modes_and_links_are_all_in() {
    let fixture =
        Fixture::with_commit(&[("a", "1\n"), ("b", "1\n"), ("gone", "1\n"), ("dir", "file\n"), ("run", "1\n")]);
    fixture.write("a", "staged\n");
    fixture.git(&["add", "a"]);
    fixture.write("a", "then changed\n");
    fixture.write("b", "unstaged\n");
    fs::remove_file(fixture.workdir().join("gone")).unwrap();
    fs::remove_file(fixture.workdir().join("dir")).unwrap();
    fixture.write("dir/inside", "new\n");
    symlink("/nowhere/else", fixture.workdir().join("link")).unwrap();
    fs::set_permissions(fixture.workdir().join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    let snapshot = take(&fixture, &request(&fixture));
    assert_eq!(
        listing(&fixture, &snapshot.commit),
        ["100644 a", "100644 b", "100644 dir/inside", "120000 link", "100755 run"]
    );
    assert_eq!(snapshot.uncommitted, ["a", "b", "dir", "dir/inside", "gone", "link", "run"]);
    let repository = fixture.repository();
    assert_eq!(repository.read_file(&snapshot.tree, "a").unwrap().unwrap(), b"then changed\n");
    assert_eq!(fixture.git(&["rev-parse", &format!("{}^", snapshot.commit)]).trim(), fixture.rev("HEAD"));
    let again = take(&fixture, &request(&fixture));
    assert_eq!(again, snapshot, "the same files give the same commit");
}

#[test]
fn later_snapshots_follow_every_change_of_files_ignores_and_the_index() {
    let fixture = Fixture::with_commit(&[("a", "1\n")]);
    let request = request(&fixture);
    let names = |snapshot: &Snapshot| listing(&fixture, &snapshot.tree);
    fixture.write("new", "1\n");
    assert_eq!(names(&take(&fixture, &request)), ["100644 a", "100644 new"]);
    fixture.write("new", "2\n");
    let snapshot = take(&fixture, &request);
    assert_eq!(fixture.repository().read_file(&snapshot.tree, "new").unwrap().unwrap(), b"2\n");
    fixture.write(".gitignore", "new\n");
    assert_eq!(names(&take(&fixture, &request)), ["100644 .gitignore", "100644 a"]);
    fixture.git(&["add", "-f", "new"]);
    assert_eq!(names(&take(&fixture, &request)), ["100644 .gitignore", "100644 a", "100644 new"]);
    fixture.git(&["rm", "-q", "--cached", "new"]);
    assert_eq!(names(&take(&fixture, &request)), ["100644 .gitignore", "100644 a"]);
    fs::remove_file(fixture.workdir().join(".gitignore")).unwrap();
    fs::remove_file(fixture.workdir().join("new")).unwrap();
    assert_eq!(take(&fixture, &request).commit, fixture.rev("HEAD"));
}

#[test]
fn a_damaged_private_index_costs_nothing_but_time() {
    let fixture = Fixture::with_commit(&[("a", "1\n")]);
    let request = request(&fixture);
    take(&fixture, &request);
    fs::write(&request.index_path, b"garbage").unwrap();
    fixture.write("a", "2\n");
    assert_eq!(take(&fixture, &request).uncommitted, ["a"]);
}

#[test]
fn objects_that_git_pruned_are_written_again() {
    let fixture = Fixture::with_commit(&[("a", "1\n"), ("dir/b", "1\n")]);
    fixture.write("dir/b", "2\n");
    fixture.write("dir/new", "3\n");
    let first = take(&fixture, &request(&fixture));
    fixture.git(&["prune", "--expire=now"]);
    assert!(!fixture.try_git(&["cat-file", "-e", &first.commit]));
    let again = take(&fixture, &request(&fixture));
    assert_eq!(again, first);
    assert!(fixture.try_git(&["fsck", "--full", "--strict", &again.commit]));
    assert_eq!(fixture.git(&["cat-file", "-p", &format!("{}:dir/new", again.commit)]), "3\n");
    assert_eq!(fixture.git(&["cat-file", "-p", &format!("{}:dir/b", again.commit)]), "2\n");
}

#[test]
fn unsaved_buffers_count_and_are_forgotten_afterwards() {
    let fixture =
        Fixture::with_commit(&[(".gitattributes", "*.txt text eol=crlf\n"), ("a.txt", "1\n"), (".gitignore", "x\n")]);
    let mut with = request(&fixture);
    let buffer = |path: &str, text: &str| (path.to_owned(), text.as_bytes().to_vec());
    with.overlays = vec![
        buffer("a.txt", "2\r\n"),
        buffer("fresh", "3"),
        buffer("x", "ignored"),
        buffer("../out", ""),
        buffer(".env", ""),
    ];
    let snapshot = take(&fixture, &with);
    assert_eq!(snapshot.uncommitted, ["a.txt", "fresh"]);
    assert_eq!(left_out(&snapshot), ["../out", ".env"]);
    assert_eq!(fixture.repository().read_file(&snapshot.tree, "a.txt").unwrap().unwrap(), b"2\n");
    with.overlays.clear();
    assert_eq!(take(&fixture, &with).commit, fixture.rev("HEAD"));
}

#[test]
fn secrets_large_files_nested_repositories_and_excluded_paths_are_left_out() {
    let fixture = Fixture::with_commit(&[("a", "1\n"), ("tracked.pem", "public\n")]);
    for path in [".env", "sub/.env.local", "id_rsa", "x.key", "credentials.json"] {
        fixture.write(path, "secret");
    }
    for path in [".env.example", "id_rsa.pub", "credentials.rs", "skip/this", "skip.rs"] {
        fixture.write(path, "fine");
    }
    fixture.write("tracked.pem", "changed\n");
    fixture.write("big", vec![b'x'; 2000]);
    fixture.write("nested/file", "1\n");
    fixture.git_at(&fixture.workdir().join("nested"), &["init", "-q"]);
    let mut request = request(&fixture);
    request.max_untracked_bytes = 1000;
    request.exclude = vec!["skip".to_owned(), "*.rs".to_owned()];
    for _ in 0..2 {
        let snapshot = take(&fixture, &request);
        assert_eq!(snapshot.uncommitted, [".env.example", "id_rsa.pub", "tracked.pem"]);
        assert_eq!(
            left_out(&snapshot),
            [".env", "big", "credentials.json", "id_rsa", "nested", "sub/.env.local", "x.key"]
        );
    }
}

#[test]
fn too_many_untracked_files_leave_out_the_fullest_folder_only() {
    let fixture = Fixture::with_commit(&[("a", "1\n")]);
    for number in 0..20 {
        fixture.write(&format!("many/{}/{number}", number % 3), "x");
    }
    fixture.write("few/1", "x");
    let mut request = request(&fixture);
    request.max_untracked_files = 10;
    let snapshot = take(&fixture, &request);
    assert_eq!(
        (snapshot.uncommitted.as_slice(), left_out(&snapshot)),
        (["few/1".to_owned()].as_slice(), vec!["many/"])
    );
}

#[test]
fn a_repository_without_commits_has_a_snapshot_without_parent() {
    let fixture = Fixture::empty();
    fixture.write("a", "1\n");
    let snapshot = fixture.repository().snapshot(&request(&fixture)).unwrap();
    assert_eq!((snapshot.head.as_ref(), snapshot.uncommitted.as_slice()), (None, ["a".to_owned()].as_slice()));
    assert_eq!(fixture.git(&["log", "--format=%P", &snapshot.commit]).trim(), "");
}

#[test]
fn line_endings_are_converted_as_git_add_does() {
    let fixture = Fixture::with_commit(&[("a.txt", "1\n2\n"), ("b.txt", "1\r\n")]);
    fixture.git(&["config", "core.autocrlf", "true"]);
    fixture.write("a.txt", "1\r\n2\r\n");
    fixture.write("new.txt", "1\r\n");
    let snapshot = take(&fixture, &request(&fixture));
    assert_eq!(snapshot.uncommitted, ["new.txt"]);
    assert_eq!(fixture.repository().read_file(&snapshot.tree, "new.txt").unwrap().unwrap(), b"1\n");
}

#[test]
fn filters_go_through_the_git_program_also_for_buffers() {
    let fixture = Fixture::with_commit(&[(".gitattributes", "*.up filter=case\n")]);
    fixture.git(&["config", "filter.case.clean", "tr A-Z a-z"]);
    fixture.git(&["config", "filter.case.smudge", "tr a-z A-Z"]);
    fixture.commit_files(&[("a.up", "HELLO\n")]);
    let mut request = request(&fixture);
    assert_eq!(take(&fixture, &request).commit, fixture.rev("HEAD"));
    fixture.write("new.up", "NEW\n");
    request.overlays = vec![("a.up".to_owned(), b"BYE\n".to_vec())];
    let snapshot = take(&fixture, &request);
    let read = |path: &str| fixture.repository().read_file(&snapshot.tree, path).unwrap().unwrap();
    assert_eq!((read("new.up"), read("a.up")), (b"new\n".to_vec(), b"bye\n".to_vec()));
}

#[test]
fn sparse_and_split_indexes_keep_what_has_no_file() {
    let fixture = Fixture::with_commit(&[("in/a", "1\n"), ("out/b", "1\n"), ("out/deep/c", "1\n")]);
    fixture.git(&["sparse-checkout", "set", "--cone", "--sparse-index", "in"]);
    assert!(!fixture.workdir().join("out").exists());
    assert_eq!(take(&fixture, &request(&fixture)).commit, fixture.rev("HEAD"));
    fixture.write("in/new", "1\n");
    let snapshot = take(&fixture, &request(&fixture));
    assert_eq!(snapshot.uncommitted, ["in/new"]);

    let split = Fixture::with_commit(&[("a", "1\n")]);
    split.git(&["update-index", "--split-index"]);
    split.write("a", "2\n");
    assert_eq!(take(&split, &request(&split)).uncommitted, ["a"]);
}

#[test]
fn a_linked_worktree_is_the_users_checkout_like_any_other() {
    let fixture = Fixture::with_commit(&[("a", "1\n")]);
    let linked = fixture.root().join("linked");
    fixture.git(&["worktree", "add", "-q", "-b", "side", linked.to_str().unwrap()]);
    fs::write(linked.join("a"), "2\n").unwrap();
    let repository = Repository::discover(&linked).unwrap();
    let snapshot = repository.snapshot(&request(&fixture)).unwrap();
    assert_eq!(snapshot.uncommitted, ["a"]);
    assert_eq!(snapshot.head.unwrap().branch.as_deref(), Some("side"));
    assert_eq!(take(&fixture, &SnapshotRequest::new(fixture.root().join("state/main"), 1)).uncommitted.len(), 0);
}

#[test]
fn names_that_are_not_utf8_and_files_nobody_may_read_are_handled() {
    use std::os::unix::ffi::OsStrExt as _;
    let fixture = Fixture::with_commit(&[("a", "1\n")]);
    fs::write(fixture.workdir().join(std::ffi::OsStr::from_bytes(b"caf\xe9")), "1\n").unwrap();
    let snapshot = take(&fixture, &request(&fixture));
    assert_eq!(snapshot.uncommitted, ["caf\u{fffd}"]);
}

#[test]
fn files_told_to_be_unchanged_or_in_conflict_count_as_they_are() {
    let fixture = Fixture::with_commit(&[("a", "1\n"), ("hidden", "1\n")]);
    fixture.git(&["update-index", "--assume-unchanged", "hidden"]);
    fixture.write("hidden", "2\n");
    assert_eq!(take(&fixture, &request(&fixture)).uncommitted, ["hidden"]);
    fixture.git(&["update-index", "--no-assume-unchanged", "hidden"]);
    fixture.git(&["checkout", "-q", "hidden"]);
    fixture.git(&["switch", "-q", "-c", "other"]);
    fixture.commit_files(&[("a", "2\n")]);
    fixture.git(&["switch", "-q", "main"]);
    fixture.commit_files(&[("a", "3\n")]);
    assert!(!fixture.try_git(&["merge", "-q", "other"]));
    let snapshot = take(&fixture, &request(&fixture));
    let text = fixture.repository().read_file(&snapshot.tree, "a").unwrap().unwrap();
    assert!(String::from_utf8(text).unwrap().contains("<<<<<<<"));
}
