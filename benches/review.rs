//! What reviewing large proposals costs: 2,100 hunks in 300 files, and 500 hunks in 50,000 lines.
//!
//! `map` and `map_typed_in` may grow with the size of the text and no faster: ten times the lines and hunks, ten times the
//! time. `edits_each` and `accept_each` are what `edits` and `accept_everything` replaced, and `index_anew` what `index_follows`
//! did: looking at the whole text for each hunk, or for each letter.

use divan::{Bencher, black_box};
use ralph_sidecar::domain::hunks::{FileChangeTexts, Hunk, LineStarts, file_hunks};
use ralph_sidecar::domain::review::{Mapped, accept, accept_all, edit_for, edit_in, map_hunks};
use ralph_sidecar::protocol::line_index::LineIndex;
use std::collections::{BTreeSet, HashMap};

/// Hunks and lines of one file.
const FILES: [(usize, usize); 3] = [(7, 70), (50, 5_000), (500, 50_000)];

fn main() {
    divan::main();
}

struct File {
    base: String,
    hunks: Vec<Hunk>,
    /// The base with every other hunk in it.
    buffer: String,
    accepted: BTreeSet<ralph_sidecar::domain::hunks::HunkId>,
}

impl File {
    fn new((hunks, lines): (usize, usize)) -> Self {
        let every = lines / hunks;
        let line = |number: usize| format!("line {number} of the file\n");
        let changed = |number: usize| if number % every == 2 { format!("changed {number}\n") } else { line(number) };
        let half = |number: usize| if (number / every).is_multiple_of(2) { changed(number) } else { line(number) };
        let text = |line: &dyn Fn(usize) -> String| (0..lines).map(line).collect::<String>();
        let (base, new) = (text(&line), text(&changed));
        let change = FileChangeTexts {
            path: "file",
            old: Some(base.as_bytes()),
            new: Some(new.as_bytes()),
            ..FileChangeTexts::default()
        };
        let hunks = file_hunks(&change);
        let accepted = hunks.iter().step_by(2).map(|hunk| hunk.id.clone()).collect();
        Self { base, hunks, buffer: text(&half), accepted }
    }

    fn map(&self, buffer: &str) -> Vec<Mapped> {
        map_hunks(&self.base, &self.hunks, &self.accepted, &BTreeSet::new(), buffer)
    }

    /// Returns the hunks with their places, all of which wait.
    fn pairs<'a>(&'a self, mapped: &'a [Mapped]) -> Vec<(&'a Mapped, &'a Hunk)> {
        let by_id: HashMap<_, _> = self.hunks.iter().map(|hunk| (&hunk.id, hunk)).collect();
        mapped.iter().map(|mapped| (mapped, by_id[&mapped.hunk])).collect()
    }
}

/// The buffer is the base with some of the hunks.
#[divan::bench(args = FILES)]
fn map(bencher: Bencher, size: (usize, usize)) {
    let file = File::new(size);
    bencher.bench_local(|| file.map(black_box(&file.buffer)));
}

/// Somebody typed a line on top as well.
#[divan::bench(args = FILES)]
fn map_typed_in(bencher: Bencher, size: (usize, usize)) {
    let file = File::new(size);
    let typed = format!("typed\n{}", file.buffer);
    bencher.bench_local(|| file.map(black_box(&typed)));
}

/// All files of a proposal of 2,100 hunks in 300 files.
#[divan::bench]
fn map_300_files(bencher: Bencher) {
    let files: Vec<File> = (0..300).map(|_| File::new(FILES[0])).collect();
    bencher.bench_local(|| files.iter().map(|file| file.map(black_box(&file.buffer)).len()).sum::<usize>());
}

/// The edits of all hunks of a file, which one line index serves.
#[divan::bench(args = FILES)]
fn edits(bencher: Bencher, size: (usize, usize)) {
    let file = File::new(size);
    let mapped = file.map(&file.buffer);
    let pairs = file.pairs(&mapped);
    bencher.bench_local(|| {
        let lines = LineStarts::new(black_box(&file.buffer));
        pairs.iter().filter_map(|(mapped, hunk)| edit_in(mapped, hunk, &file.buffer, &lines)).count()
    });
}

/// The same, with the lines found again for each hunk.
#[divan::bench(args = FILES, sample_count = 3)]
fn edits_each(bencher: Bencher, size: (usize, usize)) {
    let file = File::new(size);
    let mapped = file.map(&file.buffer);
    let pairs = file.pairs(&mapped);
    bencher.bench_local(|| {
        pairs.iter().filter_map(|(mapped, hunk)| edit_for(mapped, hunk, black_box(&file.buffer))).count()
    });
}

/// All that waits in a file, put in.
#[divan::bench(args = FILES)]
fn accept_everything(bencher: Bencher, size: (usize, usize)) {
    let file = File::new(size);
    let mapped = file.map(&file.buffer);
    let pairs = file.pairs(&mapped);
    bencher.bench_local(|| accept_all(black_box(&file.buffer), &pairs));
}

/// The same, hunk by hunk.
#[divan::bench(args = FILES, sample_count = 3)]
fn accept_each(bencher: Bencher, size: (usize, usize)) {
    let file = File::new(size);
    let mapped = file.map(&file.buffer);
    let pairs = file.pairs(&mapped);
    bencher.bench_local(|| {
        let text = file.buffer.clone();
        pairs.iter().rev().fold(text, |text, (mapped, hunk)| accept(&text, mapped, hunk).unwrap_or(text))
    });
}

/// A letter typed in the middle of a text: its line index follows.
#[divan::bench(args = FILES)]
fn index_follows(bencher: Bencher, size: (usize, usize)) {
    let mut text = File::new(size).buffer;
    let mut index = LineIndex::new(&text);
    let middle = text.len() / 2;
    bencher.bench_local(|| {
        text.insert(middle, 'x');
        index.replace(black_box(&text), middle..middle, 1);
    });
}

/// The same, with an index made anew.
#[divan::bench(args = FILES)]
fn index_anew(bencher: Bencher, size: (usize, usize)) {
    let mut text = File::new(size).buffer;
    let middle = text.len() / 2;
    bencher.bench_local(|| {
        text.insert(middle, 'x');
        LineIndex::new(black_box(&text))
    });
}
