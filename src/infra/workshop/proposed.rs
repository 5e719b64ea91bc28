//! The difference of two commits with its hunks, kept for whoever asks next: a person who reviews asks for the same one
//! with every key.

use super::texts_of;
use crate::domain::hunks::{Hunk, HunkId, file_hunks};
use crate::engine::ports::PortResult;
use crate::infra::repository::FileChange;
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// How many differences are kept.
const KEPT: usize = 4;
/// A difference with more bytes of texts is made anew each time.
const MAX_BYTES: usize = 64 << 20;

/// One changed file with its hunks.
pub(super) struct ProposedFile {
    pub change: FileChange,
    pub hunks: Vec<Hunk>,
}

impl ProposedFile {
    /// Tells whether any of these hunks is one of the file's.
    pub(super) fn concerns(&self, hunks: &BTreeSet<HunkId>) -> bool {
        self.hunks.iter().any(|hunk| hunks.contains(&hunk.id))
    }
}

/// The latest differences, the newest last.
///
/// They are known by the ids of two commits, which say all that a difference is made of, so none is ever out of date.
#[derive(Default)]
pub(super) struct Kept(Mutex<VecDeque<Entry>>);

struct Entry {
    commits: (String, String),
    files: Arc<[ProposedFile]>,
}

impl Kept {
    /// Returns the difference of two commits; `changes` is asked for it where it is not known.
    pub(super) fn get(
        &self,
        base: &str,
        head: &str,
        changes: impl FnOnce() -> PortResult<Vec<FileChange>>,
    ) -> PortResult<Arc<[ProposedFile]>> {
        let commits = (base.to_owned(), head.to_owned());
        if let Some(entry) = self.entries().iter().find(|entry| entry.commits == commits) {
            return Ok(Arc::clone(&entry.files));
        }
        let with_hunks = |change: FileChange| ProposedFile { hunks: file_hunks(&texts_of(&change)), change };
        let files: Arc<[ProposedFile]> = changes()?.into_iter().map(with_hunks).collect();
        let bytes: usize =
            files.iter().flat_map(|file| [&file.change.old, &file.change.new]).flatten().map(Vec::len).sum();
        if is_id(base) && is_id(head) && bytes <= MAX_BYTES {
            let mut entries = self.entries();
            entries.push_back(Entry { commits, files: Arc::clone(&files) });
            if entries.len() > KEPT {
                entries.pop_front();
            }
        }
        Ok(files)
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, VecDeque<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells whether a name is a whole id: what a branch or a short id means can change.
fn is_id(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infra::repository::ChangeKind;
    use std::cell::Cell;

    fn change(path: &str, old: &str, new: &str) -> FileChange {
        FileChange {
            path: path.to_owned(),
            old_path: None,
            kind: ChangeKind::Modified,
            old_mode: 0o100_644,
            new_mode: 0o100_644,
            binary: false,
            old: Some(old.into()),
            new: Some(new.into()),
        }
    }

    #[test]
    fn only_whole_ids_are_known_again_and_not_for_ever() {
        let kept = Kept::default();
        let made = Cell::new(0);
        let ask = |base: &str, head: &str| {
            let changes = || {
                made.set(made.get() + 1);
                Ok(vec![change("a", "1\n", &format!("{head}\n"))])
            };
            let files = kept.get(base, head, changes).expect("it is made");
            assert_eq!(files[0].hunks[0].new_lines, [format!("{head}\n")]);
            made.get()
        };
        let id = |digit: char| digit.to_string().repeat(40);
        assert_eq!([ask(&id('a'), &id('b')), ask(&id('a'), &id('b'))], [1, 1]);
        assert_eq!([ask("HEAD", &id('b')), ask("HEAD", &id('b'))], [2, 3], "a name may mean something else by now");
        for (number, digit) in ('c'..='f').enumerate() {
            assert_eq!(ask(&id('a'), &id(digit)), 4 + number);
        }
        assert_eq!(ask(&id('a'), &id('f')), 7);
        assert_eq!(ask(&id('a'), &id('b')), 8, "it was forgotten");
    }
}
