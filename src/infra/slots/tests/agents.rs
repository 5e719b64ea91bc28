//! What agents do to git in their slots, and what stays true.

use std::fs;

use super::*;

#[test]
fn an_agent_that_commits_itself_changes_nothing_about_the_result_and_loses_nothing() {
    let bench = Bench::new(&[("a", "1\n")]);
    let head = bench.fixture.rev("HEAD");
    let slot = bench.slot();
    write(&slot, "a", "first\n");
    bench.git_in(&slot, &["commit", "-qam", "by the agent"]);
    let first = bench.git_in(&slot, &["rev-parse", "HEAD"]).trim().to_owned();
    bench.git_in(&slot, &["reset", "-q", "--hard", &head]);
    write(&slot, "b", "second\n");
    let made = bench.commit(&slot);
    assert_eq!(made.changed, ["b"]);
    assert!(bench.kept(&first), "a commit the agent threw away is kept");
    bench.slots.prepare(&slot, &head).unwrap();
    assert!(bench.kept(&made.commit), "a result nobody recorded is kept");
    bench.assert_clean(&slot, &head);
}

#[test]
fn nothing_an_agent_does_to_git_reaches_the_engine() {
    let bench = Bench::new(&[("a", "1\n"), ("b", "1\n")]);
    let head = bench.fixture.rev("HEAD");
    type Deed = fn(&Bench, &Slot);
    let deeds: [(&str, Deed); 9] = [
        ("delete .git", |_, slot| fs::remove_file(slot.path.join(".git")).unwrap()),
        ("rewrite .git", |_, slot| write(slot, ".git", "gitdir: /nowhere\n")),
        ("replace .git by a repository", |bench, slot| {
            fs::remove_file(slot.path.join(".git")).unwrap();
            bench.git_in(slot, &["init", "-q"]);
            bench.git_in(slot, &["add", "-A"]);
            bench.git_in(slot, &["commit", "-qm", "own"]);
        }),
        ("prune", |bench, slot| drop(bench.git_in(slot, &["worktree", "prune", "--expire=now"]))),
        ("configure", |bench, slot| {
            bench.git_in(slot, &["config", "extensions.worktreeConfig", "true"]);
            bench.git_in(slot, &["config", "--worktree", "core.bare", "true"]);
        }),
        ("branch", |bench, slot| drop(bench.git_in(slot, &["switch", "-q", "-c", "mine"]))),
        ("lock", |bench, _| bench.fixture.write(".git/worktrees/ralph-one/index.lock", "")),
        ("spoil the index", |bench, _| bench.fixture.write(".git/worktrees/ralph-one/index", "garbage")),
        ("merge", |bench, _| bench.fixture.write(".git/worktrees/ralph-one/MERGE_HEAD", "0")),
    ];
    for (name, deed) in deeds {
        let slot = bench.slot();
        write(&slot, "a", name);
        deed(&bench, &slot);
        let made = bench.commit(&slot);
        assert_eq!(bench.read(&made.commit, "a").unwrap(), name.as_bytes(), "{name}");
        assert_eq!(made.changed, ["a"], "{name}");
        bench.slots.repair(&slot).unwrap();
        bench.slots.prepare(&slot, &head).unwrap();
        bench.assert_clean(&slot, &head);
        assert!(bench.kept(&made.commit), "{name}");
        bench.fixture.try_git(&["branch", "-q", "-D", "mine"]);
    }
}

#[test]
fn an_agent_stash_is_seen_and_its_work_is_in_the_stash() {
    let bench = Bench::new(&[("a", "1\n")]);
    let slot = bench.slot();
    let before = bench.fixture.repository().fingerprint().unwrap();
    write(&slot, "a", "stashed\n");
    bench.git_in(&slot, &["stash", "-q"]);
    assert_eq!(bench.commit(&slot).changed, [""; 0]);
    let after = bench.fixture.repository().fingerprint().unwrap();
    let changes = crate::infra::repository::compare(&before, &after);
    let kinds: Vec<_> = changes.into_iter().map(|change| change.what).collect();
    assert_eq!(kinds, [crate::infra::repository::OutsideKind::Stash]);
}

#[test]
fn files_of_nested_repositories_are_committed_and_their_git_is_moved_aside() {
    let bench = Bench::new(&[(".gitignore", "*.log\n"), ("a", "1\n"), ("lib/tracked", "1\n")]);
    let head = bench.fixture.rev("HEAD");
    let slot = bench.slot();
    for folder in ["sub", "sub/deeper", "lib"] {
        write(&slot, &format!("{folder}/file"), "1\n");
        bench.fixture.git_at(&slot.path.join(folder), &["init", "-q"]);
    }
    write(&slot, "sub/x.log", "ignored");
    let made = bench.commit(&slot);
    assert_eq!(made.changed, ["lib/file", "sub/deeper/file", "sub/file"]);
    write(&slot, "sub/later", "2\n");
    let made = bench.commit(&slot);
    assert_eq!(made.changed, ["lib/file", "sub/deeper/file", "sub/file", "sub/later"]);
    let prepared = bench.slots.prepare(&slot, &head).unwrap();
    assert_eq!(prepared.displaced, ["lib/.git", "sub/.git", "sub/deeper/.git"]);
    assert!(!slot.path.join("sub/file").exists() && slot.path.join("sub/x.log").exists());
    bench.assert_clean(&slot, &head);
}
