//! The operator's folders: `*.wasm` and `*.rhai` files are stored and bound for the whole system, at start and whenever one
//! changes.
//!
//! A file is looked at when it has been as it is for a moment, so that half of one is never loaded; its content decides
//! whether it changed. One that can't be loaded is told of, in the log and with the version that came from it, and that
//! version stays. One that is gone takes its bindings with it, or leaves its place to another file of its extension; its
//! versions stay stored, to be bound by hand. What was bound, moved or rolled back by hand stays until a file changes, over a
//! restart, too: the store knows what each file held.
//!
//! Several nodes share their bindings. They need not all have the folders, but those that do must have the same.

mod gone;
mod listing;
mod news;
mod watch;

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::versions::{Else, with_version, without};
use super::{BindError, Catalog, CatalogError, UploadError};
use crate::store::extension_files::{self, ExtensionFile};
use crate::store::extensions::StoredExtension;

pub(super) use listing::Listing;
use listing::{Content, FoundFile};
pub(super) use watch::FolderWatch;

/// How long a file must have been as it is.
const SETTLED_AFTER: Duration = Duration::from_millis(300);

/// What came of looking at the files that changed.
#[derive(Default)]
struct Changes {
    /// Files as they are to be remembered.
    looked_at: Vec<ExtensionFile>,
    /// Versions that came from files.
    arrived: Vec<StoredExtension>,
    /// Files that are no more.
    gone: Vec<ExtensionFile>,
    /// Files that changed while they were read.
    again: Vec<String>,
}

impl Catalog {
    /// Watches the folders; dropping the watch ends it. Where the system can't tell of changes they are found by looking.
    pub(super) fn watch_folders(&self) -> FolderWatch {
        let config = &self.0.app.config;
        FolderWatch::start([config.plugins_dir.as_deref(), config.scripts_dir.as_deref()].into_iter().flatten())
    }

    /// Stores and binds what is new or changed in the folders.
    pub(super) async fn read_folders(&self) -> Result<(), CatalogError> {
        let mut known = self.0.folders.lock().await;
        let found = self.list().await;
        if *known == found {
            return Ok(());
        }
        // Real time, whatever clock the engine has: files are written in it.
        tokio::time::sleep(SETTLED_AFTER).await;
        let mut settled = self.list().await.settled_since(&found);
        for error in settled.errors.iter().filter(|error| !known.errors.contains(error)) {
            tracing::error!(error, "A folder of extensions can't be read; what was active stays");
        }
        let changes = self.look_at(&settled, &known).await?;
        self.put_in_force(&changes).await?;
        settled.look_again_at(&changes.again);
        *known = settled;
        Ok(())
    }

    async fn list(&self) -> Listing {
        let config = &self.0.app.config;
        let (plugins, scripts) = (config.plugins_dir.clone(), config.scripts_dir.clone());
        let listed = tokio::task::spawn_blocking(move || Listing::of(plugins.as_deref(), scripts.as_deref())).await;
        // Only a panic: nothing is known then, and nothing is changed.
        listed.unwrap_or_else(|error| Listing::unreadable(error.to_string()))
    }

    async fn look_at(&self, listing: &Listing, known: &Listing) -> Result<Changes, CatalogError> {
        let mut conn = self.0.app.store.read().await?;
        let remembered = extension_files::all(&mut conn).await?;
        drop(conn);
        let mut remembered: BTreeMap<String, ExtensionFile> =
            remembered.into_iter().map(|file| (file.file.clone(), file)).collect();
        let mut changes = Changes::default();
        for (name, found) in &listing.files {
            let before = remembered.remove(name);
            if known.files.get(name) != Some(found) {
                self.look_at_file(name, found, before, &mut changes).await?;
            }
        }
        // Of a folder that can't be read, and of a file that is being written, nothing is known.
        changes.gone = remembered.into_values().filter(|file| listing.knows_of(&file.file)).collect();
        Ok(changes)
    }

    async fn look_at_file(
        &self,
        name: &str,
        found: &FoundFile,
        before: Option<ExtensionFile>,
        changes: &mut Changes,
    ) -> Result<(), CatalogError> {
        let limit = self.0.app.extensions.largest_file(found.engine);
        let bytes = match found.read(limit).await {
            Content::Settled(bytes) => bytes,
            Content::Changed => {
                changes.again.push(name.to_owned());
                return Ok(());
            }
            Content::Unreadable(error) => {
                tracing::error!(extension.file = name, error, "A file of the extension folders can't be read");
                return Ok(());
            }
        };
        let sha256 = hex::encode(Sha256::digest(&bytes));
        let is_as_before = |file: &ExtensionFile| file.sha256 == sha256 && file.error.is_none();
        if before.as_ref().is_some_and(is_as_before) {
            return Ok(());
        }
        let (extension_id, error) = match self.store_version(None, bytes.into(), found.engine, name, "folder").await {
            Ok(uploaded) => {
                let id = uploaded.extension.id;
                // The same content that could not be loaded before is loaded now: it is bound as a new one is.
                changes.arrived.push(uploaded.extension);
                (Some(id), None)
            }
            Err(UploadError::Store(error)) => return Err(error.into()),
            Err(error) => {
                tracing::error!(
                    extension.file = name,
                    error = &error as &dyn std::error::Error,
                    "A file of the extension folders is not loaded; what was active stays"
                );
                (before.and_then(|file| file.extension_id), Some(error.to_string()))
            }
        };
        let seen_at = self.0.app.clock.now();
        changes.looked_at.push(ExtensionFile { file: name.to_owned(), sha256, extension_id, error, seen_at });
        Ok(())
    }

    async fn put_in_force(&self, changes: &Changes) -> Result<(), CatalogError> {
        let gone = self.gone(changes).await?;
        let bound = self.change_system_bindings(|bound| {
            let put = |bound, version: &StoredExtension| with_version(bound, version, None, Else::Last);
            // As if the heirs' files had just been written: each stands where the version stood whose file is gone.
            let inherited = gone.heirs.iter().fold(bound, |bound, heir| put(bound, &heir.version));
            changes.arrived.iter().fold(without(inherited, |stored| gone.takes_along(stored)), put)
        });
        let is_bound = match bound.await {
            Ok(_) => true,
            Err(BindError::Store(error)) => return Err(error.into()),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "The files of the folders are not bound");
                false
            }
        };
        let mut tx = self.0.app.store.begin().await?;
        for file in &changes.looked_at {
            extension_files::put(tx.conn(), file).await?;
        }
        for file in &changes.gone {
            extension_files::forget(tx.conn(), &file.file).await?;
        }
        tx.commit().await?;
        if is_bound && let Err(error) = self.log_changes(changes, &gone).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "What came of the folders' files can't be told");
        }
        Ok(())
    }
}
