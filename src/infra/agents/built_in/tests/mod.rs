//! The loop against a model server on loopback, with the real client in between.

mod failures;
mod loops;
pub mod mock;
pub mod rig;
