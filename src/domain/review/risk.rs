//! What a person should look at first.

use crate::domain::hunks::Hunk;

/// How much a hunk needs to be looked at; the riskiest is the least, so that sorting puts it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// It may weaken the tests that judge the rest.
    WeakensTest,
    /// It does not fit, or waits for another task's.
    Conflict,
    /// Nothing proves the proposal it belongs to.
    Unverified,
    /// A reviewer wants something changed there.
    Finding,
    /// It is new or different since the round before.
    Changed,
    Plain,
    /// It is decided.
    Decided,
}

/// What is known of a hunk beside its text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Circumstances {
    pub decided: bool,
    pub conflict: bool,
    /// The proposal's checks failed, or there were none.
    pub unverified: bool,
    pub finding: bool,
    pub changed: bool,
}

/// Returns how much a hunk needs to be looked at.
pub fn risk(hunk: &Hunk, circumstances: Circumstances) -> Risk {
    let Circumstances { decided, conflict, unverified, finding, changed } = circumstances;
    match () {
        () if decided => Risk::Decided,
        () if hunk.weakens_test.is_some() => Risk::WeakensTest,
        () if conflict => Risk::Conflict,
        () if unverified => Risk::Unverified,
        () if finding => Risk::Finding,
        () if changed => Risk::Changed,
        () => Risk::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hunks::{FileChangeTexts, file_hunks};

    #[test]
    fn the_riskiest_comes_first() {
        let hunk = |new: &'static str| {
            let old = Some("assert!(a);\n".as_bytes());
            let change = FileChangeTexts { path: "a.rs", old, new: Some(new.as_bytes()), ..FileChangeTexts::default() };
            file_hunks(&change).remove(0)
        };
        let (weak, plain) = (hunk("\n"), hunk("assert!(b);\n"));
        let none = Circumstances::default();
        let rows = [
            risk(&weak, Circumstances { conflict: true, changed: true, ..none }),
            risk(&plain, Circumstances { conflict: true, unverified: true, ..none }),
            risk(&plain, Circumstances { unverified: true, finding: true, ..none }),
            risk(&plain, Circumstances { finding: true, changed: true, ..none }),
            risk(&plain, Circumstances { changed: true, ..none }),
            risk(&plain, none),
            risk(&weak, Circumstances { decided: true, ..none }),
        ];
        assert!(rows.is_sorted() && rows.windows(2).all(|pair| pair[0] != pair[1]), "{rows:?}");
    }
}
