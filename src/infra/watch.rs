//! Tells when something in a folder changed, by the system's notifications, or by looking again now and then.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// How often is looked when the system gives no notifications (too many watches, an unsupported file system).
const POLL: Duration = Duration::from_secs(1);

/// A watch on the entries of one folder, not of the folders in it.
#[derive(Debug)]
pub struct FolderWatch {
    changed: Arc<Notify>,
    /// `None` when the system gives no notifications.
    watcher: Option<RecommendedWatcher>,
}

impl FolderWatch {
    /// Starts watching. Never fails: without notifications [`FolderWatch::changed`] returns every second.
    pub fn new(folder: &Path) -> Self {
        let changed = Arc::new(Notify::new());
        let watcher = watch(folder, Arc::clone(&changed))
            .inspect_err(|error| tracing::warn!(folder = %folder.display(), %error, "looking every second instead"))
            .ok();
        Self { changed, watcher }
    }

    /// Waits for a change since the watch was started or since this last returned. May return without one.
    ///
    /// Start the watch, look at the folder, then call this: no change is missed between the look and the call. It can
    /// be cancelled and called again without losing one.
    pub async fn changed(&self) {
        match self.watcher {
            Some(_) => self.changed.notified().await,
            None => tokio::time::sleep(POLL).await,
        }
    }
}

fn watch(folder: &Path, changed: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Opening a file to read it is an event too, and would wake the one who reads for ever.
        if event.map_or(true, |event| !event.kind.is_access()) {
            changed.notify_one();
        }
    })?;
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[tokio::test]
    async fn sees_a_change_made_before_the_wait() {
        let folder = tempfile::tempdir().expect("folder");
        let watch = FolderWatch::new(folder.path());
        assert!(watch.watcher.is_some(), "this system gives notifications");
        fs::write(folder.path().join("file"), "text").expect("written");
        tokio::time::timeout(Duration::from_secs(100), watch.changed()).await.expect("told");
    }

    #[tokio::test]
    async fn looks_now_and_then_without_notifications() {
        let watch = FolderWatch::new(Path::new("/no/such/folder"));
        assert!(watch.watcher.is_none());
        tokio::time::timeout(POLL * 10, watch.changed()).await.expect("returns without a change");
    }
}
