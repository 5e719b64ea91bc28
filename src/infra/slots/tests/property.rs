//! Whatever happens to a slot between two moves, the second is exact and nothing is lost.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use proptest::prelude::*;

use super::{Bench, Path};

/// One thing an agent does to a file.
#[derive(Debug, Clone)]
enum Edit {
    Write(&'static str, u8),
    Delete(&'static str),
    Link(&'static str),
    Executable(&'static str),
    CommitByAgent,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let paths = prop::sample::select(vec!["a", "b", "dir/a", "dir/b", "dir/sub/c", "out/x", ".gitignore", "dir"]);
    let edit = prop_oneof![
        4 => (paths.clone(), 0..4_u8).prop_map(|(path, text)| Edit::Write(path, text)),
        2 => paths.clone().prop_map(Edit::Delete),
        1 => paths.clone().prop_map(Edit::Link),
        1 => paths.prop_map(Edit::Executable),
        1 => Just(Edit::CommitByAgent),
    ];
    prop::collection::vec(edit, 0..8)
}

fn perform(bench: &Bench, folder: &Path, edits: &[Edit]) {
    for edit in edits {
        let at = |path: &str| folder.join(path);
        let clear = |path: &str| {
            let path = at(path);
            for above in path.ancestors().take_while(|above| *above != folder) {
                if fs::symlink_metadata(above).is_ok_and(|metadata| !metadata.is_dir()) {
                    fs::remove_file(above).unwrap();
                }
            }
            if path.is_dir() {
                fs::remove_dir_all(&path).unwrap();
            }
            fs::create_dir_all(path.parent().unwrap()).unwrap();
        };
        match edit {
            Edit::Write(".gitignore", text) => {
                clear(".gitignore");
                fs::write(at(".gitignore"), ["", "out/\n", "b\n", "dir/sub\n"][usize::from(*text)]).unwrap();
            }
            Edit::Write(path, text) => {
                clear(path);
                fs::write(at(path), format!("{text}\n")).unwrap();
            }
            Edit::Delete(path) => clear(path),
            Edit::Link(path) => {
                clear(path);
                symlink("../elsewhere", at(path)).unwrap();
            }
            Edit::Executable(path) if at(path).is_file() && !at(path).is_symlink() => {
                fs::set_permissions(at(path), fs::Permissions::from_mode(0o755)).unwrap();
            }
            Edit::Executable(_) => {}
            Edit::CommitByAgent => {
                bench.fixture.git_at(folder, &["add", "-A"]);
                bench.fixture.git_at(folder, &["commit", "-q", "--allow-empty", "-m", "agent"]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever an agent does, a slot can be moved to any commit, is exactly that commit then, and everything that
    /// was in it is reachable.
    #[test]
    fn moving_is_exact_and_loses_nothing(rounds in prop::collection::vec((edits(), edits(), any::<bool>()), 1..4)) {
        let bench = Bench::new(&[("a", "0\n"), ("dir/a", "0\n"), (".gitignore", "out/\n")]);
        let slot = bench.slot();
        for (by_user, by_agent, committed) in rounds {
            perform(&bench, bench.fixture.workdir(), &by_user);
            let target = bench.fixture.commit_files(&[]);
            perform(&bench, &slot.path, &by_agent);
            let before: BTreeMap<_, _> = bench.git_in(&slot, &["ls-files", "-cmo", "--exclude-standard"])
                .lines()
                .filter_map(|path| Some((path.to_owned(), fs::symlink_metadata(slot.path.join(path)).ok()?)))
                .filter(|(_, metadata)| metadata.is_file())
                .map(|(path, _)| (bench.git_in(&slot, &["hash-object", &path]).trim().to_owned(), path))
                .collect();
            let head = bench.git_in(&slot, &["rev-parse", "HEAD"]).trim().to_owned();
            if committed {
                bench.slots.commit(&slot, &target, "work", 1).unwrap();
            }
            bench.slots.prepare(&slot, &target).unwrap();
            bench.assert_clean(&slot, &target);
            let reachable = bench.fixture.git(&["rev-list", "--objects", "--glob=refs/ralph/*", "main"]);
            for (blob, path) in &before {
                prop_assert!(reachable.contains(blob.as_str()), "{path} is not reachable");
            }
            prop_assert!(reachable.contains(&head), "the agent's HEAD is not reachable");
        }
    }
}
