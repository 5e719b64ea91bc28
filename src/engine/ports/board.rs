//! Which checkouts of a repository have a run on, and what is being carried out beside runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// What is going on in the checkouts of a repository, shared by their engines: only one may have a run on.
#[derive(Clone)]
pub struct RunBoard {
    runs: Arc<Mutex<BTreeSet<PathBuf>>>,
    /// How many orders are being carried out that belong to no attempt: the queue's text, proposals that move.
    orders: Arc<watch::Sender<usize>>,
}

impl Default for RunBoard {
    fn default() -> Self {
        Self { runs: Arc::default(), orders: Arc::new(watch::channel(0).0) }
    }
}

/// An order that is being carried out, until it is dropped.
pub struct Order(Arc<watch::Sender<usize>>);

impl Drop for Order {
    fn drop(&mut self) {
        self.0.send_modify(|orders| *orders -= 1);
    }
}

impl RunBoard {
    /// Says whether a run is on in the checkout.
    pub fn set(&self, root: &Path, on: bool) {
        let mut board = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if on {
            board.insert(root.to_path_buf());
        } else {
            board.remove(root);
        }
    }

    /// Takes the right to a run for the checkout; tells whether it did not have it before.
    ///
    /// # Errors
    ///
    /// The other checkout that has a run on.
    pub fn begin(&self, root: &Path) -> Result<bool, PathBuf> {
        let mut board = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        match board.iter().find(|other| *other != root) {
            Some(other) => Err(other.clone()),
            None => Ok(board.insert(root.to_path_buf())),
        }
    }

    /// Returns a checkout with a run on, other than this one.
    pub fn other(&self, root: &Path) -> Option<PathBuf> {
        let board = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        board.iter().find(|other| *other != root).cloned()
    }

    /// Says that an order is being carried out, until the returned value is dropped.
    pub fn order(&self) -> Order {
        self.orders.send_modify(|orders| *orders += 1);
        Order(Arc::clone(&self.orders))
    }

    /// Waits until no order is being carried out.
    pub async fn settled(&self) {
        // Fails only without a sender, and this has one.
        let _ = self.orders.subscribe().wait_for(|orders| *orders == 0).await;
    }

    /// Tells whether a run is on anywhere, or an order is being carried out.
    pub fn is_busy(&self) -> bool {
        *self.orders.borrow() > 0 || !self.runs.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_engine_is_busy_and_not_settled_while_an_order_is_carried_out() {
        let board = RunBoard::default();
        let (first, second) = (board.order(), board.clone().order());
        assert!(board.is_busy());
        drop(first);
        let waiting = tokio::spawn({
            let board = board.clone();
            async move { board.settled().await }
        });
        tokio::task::yield_now().await;
        assert!(board.is_busy() && !waiting.is_finished());
        drop(second);
        waiting.await.expect("settles");
        assert!(!board.is_busy());
        board.set(Path::new("/a"), true);
        assert!(board.is_busy());
    }
}
