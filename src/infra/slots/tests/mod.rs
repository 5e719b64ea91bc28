//! Slots of real repositories: what agents do to them, and what users never notice.

mod agents;
mod property;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::infra::repository::testing::Fixture;

/// A repository with slots beside it.
struct Bench {
    fixture: Fixture,
    slots: Slots,
}

impl Bench {
    fn new(files: &[(&str, &str)]) -> Self {
        Self::of(Fixture::with_commit(files))
    }

    fn of(fixture: Fixture) -> Self {
        let slots = Slots::new(fixture.repository(), &fixture.root().join("state/slots")).unwrap();
        Self { fixture, slots }
    }

    /// A slot at HEAD.
    fn slot(&self) -> Slot {
        let slot = self.slots.acquire("one").unwrap();
        self.slots.prepare(&slot, &self.fixture.rev("HEAD")).unwrap();
        slot
    }

    fn commit(&self, slot: &Slot) -> SlotCommit {
        self.slots.commit(slot, &self.fixture.rev("HEAD"), "work", 5).unwrap()
    }

    fn git_in(&self, slot: &Slot, args: &[&str]) -> String {
        self.fixture.git_at(&slot.path, args)
    }

    fn files_of(&self, commit: &str) -> String {
        self.fixture.git(&["ls-tree", "-r", "--format=%(objectmode) %(path)", commit])
    }

    fn read(&self, treeish: &str, path: &str) -> Option<Vec<u8>> {
        self.fixture.repository().read_file(treeish, path).unwrap()
    }

    /// Whether a ref of ours reaches a commit.
    fn kept(&self, commit: &str) -> bool {
        self.fixture.git(&["rev-list", "--glob=refs/ralph/*"]).contains(commit)
    }

    /// Git inside the slot sees it detached at `commit` and clean.
    fn assert_clean(&self, slot: &Slot, commit: &str) {
        assert_eq!(self.git_in(slot, &["status", "--porcelain", "--untracked-files=all"]), "");
        assert_eq!(self.git_in(slot, &["rev-parse", "HEAD"]).trim(), commit);
    }
}

fn write(slot: &Slot, path: &str, text: impl AsRef<[u8]>) {
    let path = slot.path.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn text(slot: &Slot, path: &str) -> Option<String> {
    fs::read_to_string(slot.path.join(path)).ok()
}

#[test]
fn the_user_notices_nothing_on_clean_and_dirty_checkouts() {
    for dirty in [false, true] {
        let bench = Bench::new(&[("a", "1\n"), ("b", "1\n")]);
        let fixture = &bench.fixture;
        fixture.write("b", "stashed\n");
        fixture.git(&["stash", "-q"]);
        fixture.write(".git/hooks/post-checkout", "#!/bin/sh\ntouch hooked\n");
        fixture.write(".git/hooks/pre-commit", "#!/bin/sh\nexit 1\n");
        for hook in ["post-checkout", "pre-commit"] {
            let path = fixture.workdir().join(".git/hooks").join(hook);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        if dirty {
            fixture.write("a", "staged\n");
            fixture.git(&["add", "a"]);
            fixture.write("a", "unstaged\n");
            fixture.write("new", "untracked\n");
        }
        let before = fixture.user_state();
        let request = crate::infra::repository::SnapshotRequest::new(fixture.root().join("state/index"), 1);
        let snapshot = fixture.repository().snapshot(&request).unwrap();
        let slot = bench.slots.acquire("one").unwrap();
        bench.slots.prepare(&slot, &snapshot.commit).unwrap();
        write(&slot, "a", "by the agent\n");
        let made = bench.slots.commit(&slot, &snapshot.commit, "work", 1).unwrap();
        bench.slots.restore_paths(&slot, &snapshot.commit, &["a".to_owned()]).unwrap();
        bench.slots.prepare(&slot, &fixture.rev("HEAD")).unwrap();
        bench.slots.remove(&slot).unwrap().join().unwrap();
        assert_eq!(made.changed, ["a"]);
        assert_eq!(fixture.user_state(), before, "dirty: {dirty}");
        assert!(!fixture.workdir().join("hooked").exists());
    }
}

#[test]
fn git_accepts_a_slot_as_a_detached_locked_worktree() {
    let bench = Bench::new(&[("a", "1\n"), ("dir/run", "#!/bin/sh\n")]);
    let fixture = &bench.fixture;
    fs::set_permissions(fixture.workdir().join("dir/run"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("../a", fixture.workdir().join("dir/link")).unwrap();
    let head = fixture.commit_files(&[]);
    let slot = bench.slot();
    bench.assert_clean(&slot, &head);
    assert_eq!(fs::read_link(slot.path.join("dir/link")).unwrap().to_str(), Some("../a"));
    assert_ne!(fs::metadata(slot.path.join("dir/run")).unwrap().permissions().mode() & 0o111, 0);
    let listed = fixture.git(&["worktree", "list", "--porcelain"]);
    assert!(listed.contains(&format!("worktree {}\nHEAD {head}\ndetached\nlocked", slot.path.display())), "{listed}");
    fixture.git(&["worktree", "prune", "--expire=now"]);
    bench.assert_clean(&slot, &head);
    assert_eq!(fixture.git(&["branch", "--list"]).lines().count(), 1, "no branch is made for a slot");
}

#[test]
fn slots_need_a_name_a_place_outside_and_a_commit() {
    let bench = Bench::new(&[("a", "1\n")]);
    for name in ["", ".", "..", "../x", "a/b", ".state", "a..b", "x.lock", "a b"] {
        assert!(matches!(bench.slots.acquire(name), Err(SlotError::InvalidName { .. })), "{name}");
    }
    let inside = Slots::new(bench.fixture.repository(), &bench.fixture.workdir().join("slots"));
    assert!(matches!(inside, Err(SlotError::InsideCheckout { .. })));
    let unborn = Bench::of(Fixture::empty());
    let error = unborn.slots.acquire("one").unwrap_err();
    assert!(matches!(error, SlotError::Repository(RepositoryError::NoCommits { .. })), "{error}");
    let theirs = bench.fixture.root().join("ralph-mine");
    bench.fixture.git(&["worktree", "add", "-q", "--detach", theirs.to_str().unwrap()]);
    assert!(matches!(bench.slots.acquire("mine"), Err(SlotError::NameTaken { .. })));
}

#[test]
fn many_acquire_at_once() {
    let bench = Bench::new(&[("a", "1\n")]);
    let head = bench.fixture.rev("HEAD");
    std::thread::scope(|scope| {
        for number in 0..32 {
            let (slots, head) = (&bench.slots, &head);
            scope.spawn(move || {
                let slot = slots.acquire(&format!("slot-{}", number % 16)).unwrap();
                slots.prepare(&slot, head).unwrap();
            });
        }
    });
    assert_eq!(bench.fixture.git(&["worktree", "list"]).lines().count(), 17);
    for number in 0..16 {
        bench.assert_clean(&bench.slots.acquire(&format!("slot-{number}")).unwrap(), &head);
    }
}

#[test]
fn half_made_slots_are_completed() {
    let bench = Bench::new(&[("a", "1\n")]);
    let head = bench.fixture.rev("HEAD");
    let admin = bench.fixture.workdir().join(".git/worktrees/ralph-one");
    for missing in ["HEAD", "commondir", "gitdir", "locked", "index", "", ".git", "everything in git", "the folder"] {
        let slot = bench.slot();
        match missing {
            "" => fs::write(admin.join("HEAD"), "").unwrap(),
            ".git" => fs::remove_file(slot.path.join(".git")).unwrap(),
            "everything in git" => fs::remove_dir_all(&admin).unwrap(),
            "the folder" => fs::remove_dir_all(&slot.path).unwrap(),
            file => fs::remove_file(admin.join(file)).unwrap(),
        }
        let again = bench.slots.acquire("one").unwrap();
        bench.slots.prepare(&again, &head).unwrap();
        bench.assert_clean(&slot, &head);
    }
}

#[test]
fn a_commit_takes_everything_not_ignored_and_links_as_links() {
    let bench =
        Bench::new(&[(".gitignore", "out/\n"), ("gone", "1\n"), ("file", "1\n"), ("folder/x", "1\n"), ("same", "1\n")]);
    let slot = bench.slot();
    fs::remove_file(slot.path.join("gone")).unwrap();
    fs::remove_file(slot.path.join("file")).unwrap();
    write(&slot, "file/now/a/folder", "1\n");
    fs::remove_dir_all(slot.path.join("folder")).unwrap();
    symlink("/etc", slot.path.join("folder")).unwrap();
    write(&slot, "out/cache", "ignored");
    write(&slot, "run", "#!/bin/sh\n");
    fs::set_permissions(slot.path.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    let made = bench.commit(&slot);
    assert_eq!(made.changed, ["file", "file/now/a/folder", "folder", "folder/x", "gone", "run"]);
    assert_eq!(
        bench.files_of(&made.commit),
        "100644 .gitignore\n100644 file/now/a/folder\n120000 folder\n100755 run\n100644 same\n"
    );
    assert_eq!(bench.read(&made.commit, "folder").unwrap(), b"/etc");
    bench.assert_clean(&slot, &made.commit);
    let again = bench.commit(&slot);
    assert_eq!(again, made, "the same files, parent and time give the same commit");
}

#[test]
fn preparing_keeps_ignored_files_and_commits_what_nobody_committed() {
    let bench = Bench::new(&[(".gitignore", "out/\n"), ("a", "1\n")]);
    let first = bench.fixture.rev("HEAD");
    let second = bench.fixture.commit_files(&[("a", "2\n"), ("dir/b", "1\n")]);
    let slot = bench.slot();
    write(&slot, "out/cache", "kept");
    let clean = bench.slots.prepare(&slot, &first).unwrap();
    assert_eq!((clean.leftover, clean.changed), (None, vec!["a".to_owned(), "dir/b".to_owned()]));
    assert!(!slot.path.join("dir").exists());
    write(&slot, "a", "not committed\n");
    write(&slot, "new", "neither\n");
    let moved = bench.slots.prepare(&slot, &second).unwrap();
    let leftover = moved.leftover.unwrap();
    assert_eq!(bench.read(&leftover, "a").unwrap(), b"not committed\n");
    assert_eq!(bench.read(&leftover, "new").unwrap(), b"neither\n");
    assert!(bench.kept(&leftover));
    assert_eq!((text(&slot, "out/cache").as_deref(), text(&slot, "new")), (Some("kept"), None));
    write(&slot, "new", "another time\n");
    let again = bench.slots.prepare(&slot, &first).unwrap().leftover.unwrap();
    assert!(bench.kept(&again) && bench.kept(&leftover), "older leftovers stay reachable");
    bench.assert_clean(&slot, &first);
}

#[test]
fn ignored_files_in_the_way_are_moved_aside_and_links_are_not_followed() {
    let bench = Bench::new(&[(".gitignore", "x\ny\nz\nfree\n")]);
    let first = bench.fixture.rev("HEAD");
    let slot = bench.slot();
    fs::remove_file(bench.fixture.workdir().join(".gitignore")).unwrap();
    let second = bench.fixture.commit_files(&[("x", "tracked\n"), ("y/file", "tracked\n"), ("z/file", "tracked\n")]);
    write(&slot, "x", "agent's");
    write(&slot, "y", "agent's");
    write(&slot, "free", "agent's");
    let outside = bench.fixture.root().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "precious").unwrap();
    symlink(&outside, slot.path.join("z")).unwrap();
    let moved = bench.slots.prepare(&slot, &second).unwrap();
    assert_eq!(moved.displaced, ["free", "x", "y", "z"]);
    assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "precious");
    assert_eq!(text(&slot, "z/file").as_deref(), Some("tracked\n"));
    bench.assert_clean(&slot, &second);
    let displaced = bench.slots.displaced_dir().join("one");
    let kept: Vec<_> = fs::read_dir(displaced).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(kept.iter().any(|folder| fs::read_to_string(folder.join("x")).is_ok_and(|text| text == "agent's")));
    bench.slots.prepare(&slot, &first).unwrap();
    bench.assert_clean(&slot, &first);
}

#[test]
fn what_git_can_store_in_no_commit_is_named_and_moved_aside() {
    let bench = Bench::new(&[("a", "1\n")]);
    let slot = bench.slot();
    write(&slot, "dir/git~1", "work\n");
    write(&slot, "b", "1\n");
    fs::set_permissions(slot.path.join("b"), fs::Permissions::from_mode(0o000)).unwrap();
    let made = bench.commit(&slot);
    assert_eq!(made.changed, ["b"]);
    assert_eq!(made.left_out.iter().map(|left| left.path.as_str()).collect::<Vec<_>>(), ["dir/git~1"]);
    let prepared = bench.slots.prepare(&slot, &bench.fixture.rev("HEAD")).unwrap();
    assert_eq!(prepared.displaced, ["dir/git~1"]);
    assert!(!slot.path.join("dir").exists());
}

#[test]
fn a_lost_record_or_index_loses_no_work() {
    for lost in ["one.json", "one.index"] {
        let bench = Bench::new(&[(".gitignore", "forced\n"), ("a", "1\n")]);
        bench.fixture.write("forced", "1\n");
        bench.fixture.git(&["add", "-f", "forced"]);
        let head = bench.fixture.commit_files(&[]);
        let slot = bench.slot();
        write(&slot, "forced", "changed\n");
        fs::remove_file(bench.slots.folder.join(".state").join(lost)).unwrap();
        let leftover = bench.slots.prepare(&slot, &head).unwrap().leftover.unwrap();
        assert_eq!(bench.read(&leftover, "forced").unwrap(), b"changed\n", "{lost}");
        bench.assert_clean(&slot, &head);
    }
}

#[test]
fn restoring_puts_named_paths_back_only() {
    let bench = Bench::new(&[(".gitignore", ".secret\n"), ("keep/a", "1\n"), ("keep/b", "1\n"), ("other", "1\n")]);
    let head = bench.fixture.rev("HEAD");
    let slot = bench.slot();
    write(&slot, "keep/a", "changed\n");
    fs::remove_file(slot.path.join("keep/b")).unwrap();
    write(&slot, "keep/new", "new\n");
    write(&slot, "other", "changed\n");
    write(&slot, ".secret", "ignored");
    let paths = ["keep/", ".secret", "../escape"].map(str::to_owned);
    let restored = bench.slots.restore_paths(&slot, &head, &paths).unwrap();
    assert_eq!(restored.changed, ["keep/a", "keep/b", "keep/new"]);
    assert_eq!(restored.displaced, [".secret"]);
    assert_eq!(bench.read(&restored.leftover.unwrap(), "keep/new").unwrap(), b"new\n");
    assert_eq!(bench.commit(&slot).changed, ["other"]);
    assert_eq!(text(&slot, "keep/b").as_deref(), Some("1\n"));
}

#[test]
fn removing_keeps_uncommitted_work_and_gits_list_short() {
    let bench = Bench::new(&[("a", "1\n")]);
    let slot = bench.slot();
    write(&slot, "new", "work\n");
    write(&slot, "locked/file", "1\n");
    bench.slots.remove(&slot).unwrap().join().unwrap();
    let leftover = bench.fixture.repository().read_ref(&Slots::leftover_ref(&slot)).unwrap().unwrap();
    assert_eq!(bench.read(&leftover, "new").unwrap(), b"work\n");
    assert!(!slot.path.exists());
    assert_eq!(fs::read_dir(bench.slots.folder.join(".trash")).unwrap().count(), 0);
    assert_eq!(bench.fixture.git(&["worktree", "list"]).lines().count(), 1);
    bench.slots.remove(&slot).unwrap().join().unwrap();
    bench.assert_clean(&bench.slot(), &bench.fixture.rev("HEAD"));
}

#[test]
fn line_endings_and_filters_are_those_of_a_checkout() {
    let fixture =
        Fixture::with_commit(&[(".gitattributes", "*.bat text eol=crlf\n*.up filter=case\n"), ("a.bat", "1\n")]);
    for filtered in [false, true] {
        if filtered {
            fixture.git(&["config", "filter.case.clean", "sed -e s/BIG/small/"]);
            fixture.git(&["config", "filter.case.smudge", "sed -e s/small/BIG/"]);
        }
        fixture.write("a.up", "BIG\n");
        let head = fixture.commit_files(&[]);
        let slots = Slots::new(fixture.repository(), &fixture.root().join("state").join(filtered.to_string())).unwrap();
        let slot = slots.acquire(&format!("slot-{filtered}")).unwrap();
        slots.prepare(&slot, &head).unwrap();
        assert_eq!(text(&slot, "a.bat").as_deref(), Some("1\r\n"));
        assert_eq!(text(&slot, "a.up").as_deref(), Some("BIG\n"));
        assert_eq!(fixture.git_at(&slot.path, &["status", "--porcelain"]), "");
        write(&slot, "a.bat", "1\r\n2\r\n");
        write(&slot, "b.up", "BIG\n");
        let made = slots.commit(&slot, &head, "work", 1).unwrap();
        assert_eq!(made.changed, ["a.bat", "b.up"]);
        let read = |path: &str| fixture.repository().read_file(&made.commit, path).unwrap().unwrap();
        assert_eq!(read("a.bat"), b"1\n2\n");
        assert_eq!(read("b.up"), if filtered { b"small\n".to_vec() } else { b"BIG\n".to_vec() });
        slots.prepare(&slot, &head).unwrap();
        assert_eq!(fixture.git_at(&slot.path, &["status", "--porcelain"]), "");
    }
}

#[test]
fn many_files_go_through_the_git_program_and_sparse_checkouts_have_full_slots() {
    let names: Vec<String> = (0..2100).map(|number| format!("d{}/f{number}", number % 7)).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x\n")).collect();
    let bench = Bench::new(&files);
    bench.assert_clean(&bench.slot(), &bench.fixture.rev("HEAD"));
    bench.fixture.git(&["sparse-checkout", "set", "d1"]);
    let sparse = Bench::of(bench.fixture);
    let slot = sparse.slots.acquire("two").unwrap();
    let head = sparse.fixture.rev("HEAD");
    sparse.slots.prepare(&slot, &head).unwrap();
    assert!(slot.path.join("d2").exists());
    write(&slot, "d3/new", "1\n");
    assert_eq!(sparse.slots.commit(&slot, &head, "work", 1).unwrap().changed, ["d3/new"]);
}

#[test]
fn a_linked_worktree_of_a_bare_repository_has_slots_too() {
    let fixture = Fixture::with_commit(&[("a", "1\n")]);
    let bare = fixture.root().join("bare.git");
    fixture.git(&["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    let linked = fixture.root().join("linked");
    fixture.git_at(&bare, &["worktree", "add", "-q", linked.to_str().unwrap()]);
    let slots = Slots::new(Repository::discover(&linked).unwrap(), &fixture.root().join("slots")).unwrap();
    let slot = slots.acquire("one").unwrap();
    let head = fixture.rev("HEAD");
    slots.prepare(&slot, &head).unwrap();
    write(&slot, "a", "2\n");
    assert_eq!(slots.commit(&slot, &head, "work", 1).unwrap().changed, ["a"]);
    assert_eq!(fixture.git_at(&slot.path, &["status", "--porcelain"]), "");
}

#[test]
fn included_files_are_ignored_ones_only() {
    let bench = Bench::new(&[
        (".gitignore", ".env*\nbuild/\nlocal/\nlinks\nvendor/\n"),
        (".worktreeinclude", ".env*\n!.env.prod\nlocal/keys/*.json\nlinks\nvendor/\nplain\ntracked\n"),
        ("tracked", "1\n"),
    ]);
    let fixture = &bench.fixture;
    for path in [".env", ".env.prod", "build/.env", "local/keys/a.json", "local/keys/b.txt", "vendor/x/y", "plain"] {
        fixture.write(path, path);
    }
    fs::set_permissions(fixture.workdir().join(".env"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("/etc/hosts", fixture.workdir().join("links")).unwrap();
    fixture.write("vendor/repo/file", "1");
    fixture.git_at(&fixture.workdir().join("vendor/repo"), &["init", "-q"]);
    let before = fixture.user_state();
    let slot = bench.slot();
    write(&slot, "vendor/x/y", "older");
    let included = bench.slots.copy_included(&slot).unwrap();
    assert_eq!(included.copied, [".env", "links", "local/keys/a.json", "vendor/x/y"]);
    assert_eq!(included.skipped.iter().map(|left| left.path.as_str()).collect::<Vec<_>>(), ["vendor/repo"]);
    assert_eq!(fs::metadata(slot.path.join(".env")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_link(slot.path.join("links")).unwrap().to_str(), Some("/etc/hosts"));
    assert_eq!(text(&slot, "vendor/x/y").as_deref(), Some("vendor/x/y"));
    assert_eq!(bench.slots.copy_included(&slot).unwrap().copied, [""; 0], "a second time there is nothing to do");
    assert_eq!(bench.commit(&slot).changed, [""; 0]);
    assert_eq!(fixture.user_state(), before);

    fs::remove_dir_all(slot.path.join("local")).unwrap();
    symlink(fixture.root(), slot.path.join("local")).unwrap();
    fs::remove_file(slot.path.join(".env")).unwrap();
    write(&slot, ".gitignore", "build/\nlocal\nvendor/\nlinks\n");
    let skipped = bench.slots.copy_included(&slot).unwrap().skipped;
    let named: Vec<_> = skipped.iter().map(|left| left.path.as_str()).collect();
    assert_eq!(named, [".env", "local/keys/a.json", "vendor/repo"]);
    assert!(!fixture.root().join("keys").exists());
}

#[test]
fn a_move_that_fails_half_way_is_completed_by_the_next() {
    let bench = Bench::new(&[("a", "1\n"), ("b", "1\n")]);
    let head = bench.fixture.rev("HEAD");
    let slot = bench.slot();
    write(&slot, "b", "work\n");
    // A tree whose files are there, but for one whose content is missing.
    let blob = bench.fixture.rev("HEAD:a");
    let list = bench.fixture.root().join("list");
    let missing = "1".repeat(40);
    fs::write(&list, format!("100644 blob {blob}\tc\n100644 blob {missing}\td\n")).unwrap();
    let script = format!("git mktree --missing < {}", list.display());
    let output = std::process::Command::new("sh").current_dir(bench.fixture.workdir()).args(["-c", &script]).output();
    let tree = String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned();
    let broken = bench.fixture.repository().commit_tree(&tree, &[], "broken", 1).unwrap();
    assert!(bench.slots.prepare(&slot, &broken).is_err());
    let leftover = bench.fixture.repository().read_ref(&Slots::leftover_ref(&slot)).unwrap().unwrap();
    assert_eq!(bench.read(&leftover, "b").unwrap(), b"work\n");
    let moved = bench.slots.prepare(&slot, &head).unwrap();
    assert!(moved.leftover.is_none_or(|commit| bench.kept(&commit)));
    assert!(bench.kept(&leftover));
    bench.assert_clean(&slot, &head);
}

#[test]
fn submodules_stay_at_their_commit_and_their_files_are_never_deleted() {
    let library = Fixture::with_commit(&[("lib.c", "1\n")]);
    let fixture = Fixture::with_commit(&[("a", "1\n")]);
    let url = library.workdir().to_str().unwrap().to_owned();
    let allowed = ["-c", "protocol.file.allow=always"];
    fixture.git(&[&allowed[..], &["submodule", "--quiet", "add", &url, "lib"]].concat());
    let head = fixture.commit_files(&[]);
    let bench = Bench::of(fixture);
    let request = crate::infra::repository::SnapshotRequest::new(bench.fixture.root().join("state/index"), 1);
    bench.fixture.write("lib/lib.c", "changed by the user\n");
    assert_eq!(bench.fixture.repository().snapshot(&request).unwrap().commit, head);

    let slot = bench.slot();
    assert!(slot.path.join("lib").is_dir());
    assert_eq!(bench.commit(&slot).changed, [""; 0]);
    bench.git_in(&slot, &[&allowed[..], &["submodule", "--quiet", "update", "--init"]].concat());
    write(&slot, "lib/lib.c", "changed by the agent\n");
    let made = bench.commit(&slot);
    assert_eq!(made.changed, [""; 0]);
    assert_eq!(made.left_out.iter().map(|left| left.path.as_str()).collect::<Vec<_>>(), ["lib"]);
    bench.slots.prepare(&slot, &head).unwrap();
    assert_eq!(text(&slot, "lib/lib.c").as_deref(), Some("changed by the agent\n"));
    assert_eq!(bench.slots.list().unwrap(), std::slice::from_ref(&slot));
    bench.slots.remove(&slot).unwrap().join().unwrap();
    let kept = fs::read_dir(bench.slots.displaced_dir().join("one")).unwrap();
    let texts: Vec<_> = kept.filter_map(|entry| fs::read(entry.unwrap().path().join("lib/lib.c")).ok()).collect();
    assert_eq!(texts, [b"changed by the agent\n"]);
}
