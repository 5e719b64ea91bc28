//! Whatever the user has edited and staged: a landing changes what lands, a refusal and undo leave nothing.

use super::super::{GitWorkshop, Inside, landing};
use super::*;
use crate::domain::hunks::HunkId;
use crate::domain::landing::AcceptedPart;
use crate::engine::ports::TakenBack;
use crate::infra::paths::{Homes, StatePaths};
use crate::infra::repository::BlobEntry;
use crate::infra::repository::testing::Fixture;
use crate::infra::workshop::undo;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

/// A change of one line of a text; every new line is a new word, so that sets of lines tell what changed.
#[derive(Clone, Copy, Debug)]
enum Edit {
    Replace(usize),
    Insert(usize),
    Delete(usize),
}

fn edits(most: usize) -> impl Strategy<Value = Vec<Edit>> {
    let edit = (0..3_u8, 0..24_usize).prop_map(|(kind, line)| match kind {
        0 => Edit::Replace(line),
        1 => Edit::Insert(line),
        _ => Edit::Delete(line),
    });
    prop::collection::vec(edit, 0..=most)
}

fn edited(text: &str, edits: &[Edit], who: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    for edit in edits {
        let new = format!("{who}{}\n", NUMBER.fetch_add(1, Ordering::Relaxed));
        match *edit {
            Edit::Replace(at) if at < lines.len() => lines[at] = new,
            Edit::Delete(at) if at < lines.len() => drop(lines.remove(at)),
            Edit::Insert(at) => lines.insert(at.min(lines.len()), new),
            Edit::Replace(_) | Edit::Delete(_) => {}
        }
    }
    lines.concat()
}

/// Lines that went, and lines that came.
fn difference(old: &str, new: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let set = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (old, new) = (set(old), set(new));
    (old.difference(&new).cloned().collect(), new.difference(&old).cloned().collect())
}

struct Place {
    fixture: Fixture,
    workshop: GitWorkshop,
}

impl Place {
    fn new(files: &[(&str, &str)]) -> Self {
        let fixture = Fixture::with_commit(files);
        fixture.git(&["config", "user.name", "Ann"]);
        fixture.git(&["config", "user.email", "ann@example.org"]);
        let folder = |name: &str| fixture.root().join(name);
        let homes = Homes { state: folder("state"), config: folder("config"), runtime: vec![folder("run")] };
        let repository = fixture.repository();
        let paths = StatePaths::open(&homes, repository.common_dir()).expect("a state folder");
        let workshop = GitWorkshop::open(repository, &paths).expect("opens");
        Self { fixture, workshop }
    }

    fn inside(&self) -> &Inside {
        &self.workshop.0
    }

    fn text(&self, name: &str) -> String {
        self.fixture.git(&["show", name])
    }

    /// Everything of the user's that a refusal must leave.
    fn everything(&self) -> (String, String, String, String) {
        let git = |args: &[&str]| self.fixture.git(args);
        let refs = git(&["for-each-ref", "refs/heads", "refs/tags"]);
        let file = std::fs::read_to_string(self.fixture.workdir().join("a")).expect("readable");
        (git(&["ls-files", "--stage"]), refs, file, git(&["status", "--porcelain"]))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn nothing_of_the_users_changes_but_what_lands(
        staged in edits(2),
        unstaged in edits(2),
        proposed in edits(4),
        later in edits(1),
        chosen in prop::collection::vec(any::<bool>(), 4),
    ) {
        let base: String = (0..24).map(|number| format!("line {number}\n")).collect();
        let place = Place::new(&[("a", &base), ("b", "1\n")]);
        let fixture = &place.fixture;
        // What the user has: in the index, in the file, and in another file.
        let in_index = edited(&base, &staged, "staged");
        fixture.write("a", &in_index);
        fixture.write("b", "2\n");
        fixture.git(&["add", "a", "b"]);
        fixture.write("b", "3\n");
        let seen = edited(&in_index, &unstaged, "mine");
        fixture.write("a", &seen);
        let inside = place.inside();
        let start = inside.snapshot(Vec::new()).expect("a snapshot").commit;
        let text = edited(&seen, &proposed, "agent");
        let entry = BlobEntry { id: inside.repository.write_blob(text.as_bytes()).expect("written"), mode: 0o100_644 };
        let tree = inside.repository.tree_with(&start, &[("a".to_owned(), Some(entry))]).expect("a tree");
        let head = inside.repository.commit_tree(&tree, std::slice::from_ref(&start), "work", 1).expect("a commit");
        let files = inside.proposed(&start, &head).expect("files");
        let hunks: Vec<_> = files.iter().flat_map(|file| &file.hunks).collect();
        let taken = |(at, _): &(usize, _)| chosen.get(*at).copied().unwrap_or(true);
        let accepted: BTreeSet<HunkId> =
            hunks.iter().enumerate().filter(taken).map(|(_, hunk)| hunk.id.clone()).collect();
        prop_assume!(!accepted.is_empty());
        let choice = landing::Choice { accepted: BTreeSet::new(), rejected: BTreeSet::new(), wanted: accepted.clone() };
        let written = landing::write(inside, &files, &choice).expect("written");
        prop_assert_eq!(written.hunks.len(), accepted.len());
        let on_disk = std::fs::read_to_string(fixture.workdir().join("a")).expect("readable");
        fixture.write("a", edited(&on_disk, &later, "later"));

        let before = place.everything();
        let (old_head, old_index) = (place.text("HEAD:a"), place.text(":a"));
        let words = LandWords { id: "t".to_owned(), title: "T".to_owned(), summary: String::new() };
        let part = LandPart { task: "t".into(), rounds: vec![AcceptedPart { base: start, head, accepted: accepted.clone() }], words };
        let order = LandOrder {
            parts: vec![part], branch: None, message: "{title}".to_owned(), strict: true, ours: BTreeSet::new(),
            limit: std::time::Duration::from_secs(600),
        };
        let (_stopper, stop) = watch::channel(false);
        match land(inside, &order, stop) {
            Err(error) => {
                prop_assert!(error.data && error.hint.is_some(), "{error:?}");
                prop_assert_eq!(place.everything(), before);
            }
            Ok(outcome) => {
                prop_assert_eq!(&outcome.paths, &["a".to_owned()]);
                prop_assert!(outcome.left_out.is_empty(), "{:?}", outcome.left_out);
                let (mut gone, mut come) = (BTreeSet::new(), BTreeSet::new());
                for hunk in hunks.iter().filter(|hunk| accepted.contains(&hunk.id)) {
                    let (old, new) = difference(&hunk.old_lines.concat(), &hunk.new_lines.concat());
                    gone.extend(old);
                    come.extend(new);
                }
                let (new_head, new_index) = (place.text("HEAD:a"), place.text(":a"));
                // A line that only the user's index had goes there and nowhere else.
                let (mut own_gone, mut own_come) = difference(&old_head, &old_index);
                own_gone.retain(|line| !gone.contains(line));
                own_come.retain(|line| !gone.contains(line));
                gone.retain(|line| old_head.lines().any(|known| known == line));
                prop_assert_eq!(difference(&old_head, &new_head), (gone, come));
                prop_assert_eq!(difference(&new_head, &new_index), (own_gone, own_come));
                let after = place.everything();
                prop_assert_eq!(&after.2, &before.2);
                let other = |listed: &str| listed.lines().find(|line| line.ends_with("\tb")).map(str::to_owned);
                prop_assert_eq!(other(&after.0), other(&before.0));
                let taken = undo::take_back(inside, true).expect("taken back");
                prop_assert!(matches!(taken, TakenBack::Landing(_)), "{taken:?}");
                prop_assert_eq!(place.everything(), before);
            }
        }
    }
}
