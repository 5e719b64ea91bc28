//! Ends what a killed supervisor left behind.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::infra::processes::{each_of_attempt, kill_all};

const LIMIT: Duration = Duration::from_secs(30);

/// What a sweep found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Processes killed.
    pub killed: usize,
    /// Processes that could not be ended within half a minute; the slot is not safe to reuse while there are any.
    pub survivors: u32,
}

/// Kills every process that carries the marker, what descends from one, and every process of some attempt whose
/// current folder is inside `slot`; repeats until there is none.
///
/// Needed after [`super::End::Lost`] and [`super::Adopted::Gone`] only: a supervisor that ends by itself has done it.
/// A process that has both cleared its environment and lost its parent is not found.
pub async fn sweep(marker: &str, slot: Option<PathBuf>) -> io::Result<Swept> {
    let marker = marker.to_owned();
    let swept = tokio::task::spawn_blocking(move || {
        let killed = kill_all(|show| each_of_attempt(&marker, slot.as_deref(), show), LIMIT)?;
        Ok(Swept { killed: killed.killed.len(), survivors: killed.survivors })
    });
    swept.await.map_err(io::Error::other)?
}
