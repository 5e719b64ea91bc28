//! Where the system has nothing to hold a process with.

use super::{Support, WriteFence};
use std::io;

/// A fence that is ready to be entered; there are none here.
#[derive(Debug)]
pub struct Held(std::convert::Infallible);

impl Held {
    /// # Errors
    ///
    /// Always: nothing that must be held may start here.
    pub fn prepare(_fence: &WriteFence) -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no write fence"))
    }

    /// Never called.
    pub fn enter(&mut self) -> io::Result<()> {
        match self.0 {}
    }
}

pub(super) fn try_out() -> Support {
    Support::Open { why: "this system has none that is supported".to_owned() }
}
