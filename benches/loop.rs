//! What the loop costs: picking and deciding for queues of three sizes side by side, mapping hunks, the journal.
//!
//! `next` and `claim_and_end` must cost about the same for 100 and for 10,000 tasks; `read` is the one that may not.

use divan::{Bencher, black_box};
use ralph_sidecar::domain::event::Event;
use ralph_sidecar::domain::hunks::{FileChangeTexts, file_hunks};
use ralph_sidecar::domain::outcome::{AttemptEnd, Outcome};
use ralph_sidecar::domain::queue::next_task;
use ralph_sidecar::domain::reduce::{Input, decide};
use ralph_sidecar::domain::review::map_hunks;
use ralph_sidecar::domain::settings::RunSettings;
use ralph_sidecar::domain::state::State;
use ralph_sidecar::domain::task::{Priority, Status, Task, TaskId};
use ralph_sidecar::engine::ports::Journal as _;
use ralph_sidecar::infra::journal::SqliteJournal;
use std::collections::BTreeSet;

const SIZES: [usize; 3] = [100, 1_000, 10_000];

fn main() {
    divan::main();
}

/// A queue in which every tenth task is a dependency of the nine after it.
fn tasks(size: usize) -> Vec<Task> {
    let make = |number: usize| {
        let mut task = Task::new(format!("t{number}"), format!("Task {number}"));
        task.status = Status::Todo;
        task.priority = Priority::ALL[1 + number % 3];
        if !number.is_multiple_of(10) {
            task.depends_on = vec![TaskId(format!("t{}", number - number % 10))];
        }
        task
    };
    (0..size).map(make).collect()
}

fn step(state: &mut State, input: Input) -> Vec<Event> {
    let (events, _) = decide(state, input, 1_000).expect("it is not refused");
    for event in &events {
        state.apply(event);
    }
    events
}

fn running(size: usize) -> State {
    let mut state = State::default();
    step(&mut state, Input::QueueRead { tasks: tasks(size), goals: Vec::new(), head_moved: true });
    let settings = RunSettings {
        attempts: 4,
        attempt_seconds: 2_700,
        idle_seconds: 600,
        run_seconds: 28_800,
        review_each: false,
        chain: vec!["one".into()],
        ..RunSettings::default()
    };
    step(&mut state, Input::Start { settings, only: Vec::new() });
    state
}

fn end_of(state: &State, outcome: Outcome) -> Input {
    let attempt = state.run.as_ref().and_then(|run| run.active.clone()).expect("an attempt is on");
    Input::Ended { attempt, end: AttemptEnd::new(outcome, "it ended") }
}

#[divan::bench(args = SIZES)]
fn next(bencher: Bencher, size: usize) {
    let state = running(size);
    bencher.bench_local(|| next_task(black_box(&state)));
}

/// The end of one attempt, what follows from it, and the claim of the next, folded into the live state.
#[divan::bench(args = SIZES)]
fn claim_and_end(bencher: Bencher, size: usize) {
    let state = running(size);
    bencher.with_inputs(|| (state.clone(), end_of(&state, Outcome::AttemptLost))).bench_local_values(
        |(mut state, end)| {
            step(&mut state, end);
            state
        },
    );
}

/// Reading a queue in which nothing changed.
#[divan::bench(args = SIZES)]
fn read(bencher: Bencher, size: usize) {
    let state = running(size);
    let read = || Input::QueueRead { tasks: tasks(size), goals: Vec::new(), head_moved: false };
    bencher.with_inputs(read).bench_local_values(|input| decide(&state, input, 1_000));
}

/// 100 hunks in a file of 10,000 lines, in a buffer with 20 of them accepted and ten lines typed on top.
#[divan::bench]
fn map_a_hundred_hunks(bencher: Bencher) {
    let line = |number: usize| format!("line {number} of the file\n");
    let old: String = (0..10_000).map(line).collect();
    let changed = |number: usize| if number % 100 == 50 { format!("changed {number}\n") } else { line(number) };
    let new: String = (0..10_000).map(changed).collect();
    let change = FileChangeTexts {
        path: "file",
        old: Some(old.as_bytes()),
        new: Some(new.as_bytes()),
        ..FileChangeTexts::default()
    };
    let hunks = file_hunks(&change);
    let accepted: BTreeSet<_> = hunks.iter().take(20).map(|hunk| hunk.id.clone()).collect();
    let some = |number: usize| if number < 2_000 { changed(number) } else { line(number) };
    let typed: String = (0..10).map(|number| format!("typed {number}\n")).collect();
    let buffer = typed + &(0..10_000).map(some).collect::<String>();
    bencher.bench_local(|| map_hunks(black_box(&old), &hunks, &accepted, &BTreeSet::new(), &buffer));
}

/// One durable append of the end of an attempt.
#[divan::bench]
fn append(bencher: Bencher) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut journal = SqliteJournal::open(&folder.path().join("journal.db")).expect("a journal");
    let mut state = running(100);
    let end = end_of(&state, Outcome::AttemptLost);
    let events = step(&mut state, end);
    bencher.bench_local(|| journal.append(&events));
}
