//! One attempt's (or verify command's) process tree, owned by a small process that outlives the engine.
//!
//! * `spec`: what a supervisor is told and what it records.
//! * `client`: the engine's side: start, adopt, stop, wait.
//! * `sweep`: what is done when a supervisor itself was killed.
//! * `process`, `child`, `run`, `transcript`, `live`: the supervisor's own process.

mod child;
mod client;
mod live;
mod process;
mod run;
mod spec;
mod sweep;
mod transcript;

pub use client::{Adopted, End, SuperviseError, Supervised, run_to_end};
pub use process::main;
pub use spec::{ExitRecord, Output, SpawnFailure, Status, StopSignal, StoppedBy, SuperviseSpec};
pub use sweep::{Swept, sweep};
