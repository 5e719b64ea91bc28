//! Pure rules. Nothing here knows tokio, the file system, processes, the environment, the clock, git2 or lsp-types.
//!
//! Reading order: what a person wrote ([`task`]), what an agent says ([`report`]) and is told ([`inbox`]), how an attempt
//! ends ([`ending`], [`outcome`]), what a person is asked ([`decision`]), what is reviewed ([`hunks`], [`review`], [`rounds`]); then the
//! facts ([`event`]), what they add up to ([`state`], [`queue`]), who works ([`chain`]), what may be used ([`budget`]),
//! and what happens next ([`reduce`]).

pub mod budget;
pub mod chain;
pub mod decision;
pub mod ending;
pub mod event;
pub mod hunks;
pub mod inbox;
pub mod landing;
pub mod outcome;
pub mod queue;
pub mod reduce;
pub mod report;
pub mod review;
pub mod rounds;
pub mod secrets;
pub mod settings;
pub mod state;
pub mod task;
