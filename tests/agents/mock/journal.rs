//! What came in, kept by run.

use serde::Serialize;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Requests of one run whose bodies are kept whole.
const WHOLE_BODIES: usize = 200;

/// One request.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Milliseconds since the server started.
    pub at_ms: u128,
    pub method: String,
    /// The address after the scenario, with its query.
    pub path: String,
    /// The number of the turn, from 1; absent for the small requests agents make beside turns.
    pub turn: Option<u64>,
    pub model: String,
    pub stream: bool,
    /// Names of the tools on offer.
    pub tools: Vec<String>,
    /// How many tool results the turn holds.
    pub results: usize,
    /// The last words of a person.
    pub words: String,
    /// What the last tool gave back.
    pub last_result: Option<String>,
    /// What was answered, in a few words.
    pub answer: String,
    /// The request as it came.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub body: Value,
}

#[derive(Debug, Default)]
struct Run {
    entries: Vec<Entry>,
    turns: u64,
    script: Value,
}

/// Everything that came in.
#[derive(Debug)]
pub struct Journal {
    begun: Instant,
    runs: Mutex<HashMap<String, Run>>,
    arrived: Condvar,
}

impl Default for Journal {
    fn default() -> Self {
        Self { begun: Instant::now(), runs: Mutex::default(), arrived: Condvar::new() }
    }
}

impl Journal {
    fn with<T>(&self, run: &str, act: impl FnOnce(&mut Run) -> T) -> T {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        act(runs.entry(run.to_owned()).or_default())
    }

    /// Milliseconds since the server started.
    pub fn now_ms(&self) -> u128 {
        self.begun.elapsed().as_millis()
    }

    /// Counts a turn and returns its number, from 1.
    pub fn next_turn(&self, run: &str) -> u64 {
        self.with(run, |run| {
            run.turns += 1;
            run.turns
        })
    }

    /// Keeps a request.
    pub fn keep(&self, run: &str, mut entry: Entry) {
        self.with(run, |run| {
            if run.entries.len() >= WHOLE_BODIES {
                entry.body = Value::Null;
            }
            run.entries.push(entry);
        });
        self.arrived.notify_all();
    }

    /// Returns the requests of a run.
    pub fn entries(&self, run: &str) -> Vec<Entry> {
        self.with(run, |run| run.entries.clone())
    }

    /// Waits until the requests of a run satisfy `enough`; returns whether they did in time.
    pub fn wait(&self, run: &str, patience: Duration, enough: impl Fn(&[Entry]) -> bool) -> bool {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = |runs: &mut HashMap<String, Run>| runs.get(run).is_none_or(|run| !enough(&run.entries));
        let waited = self.arrived.wait_timeout_while(runs, patience, waiting);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Sets the steps of the scenario `script`.
    pub fn set_script(&self, run: &str, script: Value) {
        self.with(run, |run| run.script = script);
    }

    /// Returns the steps of the scenario `script`.
    pub fn script(&self, run: &str) -> Value {
        self.with(run, |run| run.script.clone())
    }
}
