//! A bell that the file system rings when something in the folders changes. It only saves the wait until the next look:
//! what changed is found by looking.

use std::path::Path;
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

/// Watches until it is dropped.
#[derive(Default)]
pub(in crate::catalog) struct FolderWatch {
    bell: Arc<Notify>,
    _watcher: Option<RecommendedWatcher>,
}

impl FolderWatch {
    pub(super) fn start<'a>(folders: impl Iterator<Item = &'a Path>) -> Self {
        let mut folders = folders.peekable();
        if folders.peek().is_none() {
            return Self::default();
        }
        let bell = Arc::new(Notify::new());
        let rung = Arc::clone(&bell);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| is_change(event.kind)) {
                rung.notify_one();
            }
        });
        let watching = watcher.and_then(|mut watcher| {
            folders.try_for_each(|folder| watcher.watch(folder, RecursiveMode::NonRecursive))?;
            Ok(watcher)
        });
        match watching {
            Ok(watcher) => Self { bell, _watcher: Some(watcher) },
            Err(error) => {
                tracing::warn!(%error, "The system does not tell of changes in the extension folders; they are looked through");
                Self::default()
            }
        }
    }

    /// Waits until something may have changed.
    pub(in crate::catalog) async fn rung(&self) {
        self.bell.notified().await;
    }
}

/// Our own reading is no change.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}
