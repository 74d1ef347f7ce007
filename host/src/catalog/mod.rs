//! The catalog: which extensions are stored, which are loaded, and who is bound where. It brings the three together: rows
//! in the store, programs in the extension host, files in the operator's folders. It asks no extension anything but its
//! examples, and knows nothing of HTTP.
//!
//! A change is one transaction that counts the bindings' version up; every node polls that version (and PostgreSQL tells it
//! to look at once) and swaps its table of bindings in one step, so that calls under way finish on the old one.

mod bind;
mod error;
mod folder;
mod load;
mod news;
mod shipped;
mod upload;
mod versions;

#[cfg(test)]
mod bound_tests;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::domain::Timestamp;
use crate::domain::ids::{AccountId, ExtensionId};
use crate::domain::status::Hook;
use crate::extensions::{CallScope, Called, Failure, HookInput, LoadedExtension};
use crate::store::extensions::StoredExtension;
use crate::store::{self, StoreError};
use crate::wake::Wake;

pub use bind::{BindError, BindingScope, NewBinding, ScopeKind, check_scope};
pub use error::CatalogError;
pub use upload::{MOST_SCRIPTS_OF_AN_ACCOUNT, UploadError, Uploaded};
pub use versions::{MoveError, RolledBack};

use folder::Listing;

/// How often a node looks for changed bindings and files. A swap is to be seen everywhere within two seconds.
const POLL: Duration = Duration::from_secs(1);
/// What is bound and could not be loaded is tried again after this, and then after twice as long each time.
const FIRST_TRY_AFTER: Duration = Duration::from_secs(2);
const LONGEST_BETWEEN_TRIES: Duration = Duration::from_secs(300);

/// The catalog. Cheap to clone; clones are the same catalog.
#[derive(Clone)]
pub struct Catalog(Arc<Inner>);

struct Inner {
    app: App,
    /// What this node has loaded, by the row's id: the shipped, and what is bound.
    loaded: Mutex<HashMap<ExtensionId, Arc<LoadedExtension>>>,
    /// The version of the bindings that are in force here.
    version: AtomicI64,
    /// One reload at a time: an older table must not take the place of a newer one. With it stands when what is bound and
    /// could not be loaded is tried again.
    reloading: tokio::sync::Mutex<Option<NextTry>>,
    /// What the folders held when they were last read.
    folders: tokio::sync::Mutex<Listing>,
    /// Why versions could not be loaded here, and why newer content of their files was not.
    errors: Mutex<HashMap<ExtensionId, String>>,
    file_errors: Mutex<HashMap<ExtensionId, String>>,
}

/// When what could not be loaded is tried again.
#[derive(Debug, Clone, Copy)]
struct NextTry {
    at: Timestamp,
    /// How long it was waited for this; the next wait is twice as long.
    after: Duration,
}

impl NextTry {
    /// Further away than it was ever to be: the clock was set back.
    fn is_due(&self, now: Timestamp) -> bool {
        self.at <= now || self.at > now.plus(self.after)
    }
}

/// How many extensions a node has loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Sizes {
    /// Ready to be asked.
    pub loaded: usize,
    /// Of these, resting after failures.
    pub suspended: usize,
}

/// Follows changes of bindings and folders, and tells of suspended extensions, until `shutdown`.
pub async fn run(app: App, catalog: Catalog, shutdown: CancellationToken) {
    let folders = catalog.watch_folders();
    // What changed since the start and before the watch.
    catalog.look_for_changes().await;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = app.clock.sleep(POLL) => catalog.look_for_changes().await,
            () = folders.rung() => catalog.look_for_changes().await,
            () = app.store.wakeups().wait(Wake::Bindings) => catalog.look_for_changes().await,
            () = app.extensions.suspension_told() => {}
        }
        if let Err(error) = catalog.tell_suspensions().await {
            tracing::error!(error = &error as &dyn std::error::Error, "Suspended extensions could not be told of");
        }
    }
}

impl Catalog {
    /// Loads what is shipped, what is bound and what lies in the operator's folders, and puts the bindings in force.
    ///
    /// A stored version that can't be loaded keeps its place and fails there, and a file that can't be is left out; both are
    /// logged. Only a shipped extension that can't be loaded, or a store that does not answer, is an error.
    pub async fn start(app: &App) -> Result<Self, CatalogError> {
        let catalog = Self(Arc::new(Inner {
            app: app.clone(),
            loaded: Mutex::default(),
            version: AtomicI64::new(-1),
            reloading: tokio::sync::Mutex::default(),
            folders: tokio::sync::Mutex::default(),
            errors: Mutex::default(),
            file_errors: Mutex::default(),
        }));
        catalog.record_shipped().await?;
        catalog.read_folders().await?;
        catalog.read_file_errors().await?;
        catalog.refresh_if_changed().await?;
        Ok(catalog)
    }

    /// Puts the bindings in force anew where another node (or this one) has changed them, or where something that is bound
    /// could not be loaded and it is time to try again; true when what is in force changed.
    pub async fn refresh_if_changed(&self) -> Result<bool, StoreError> {
        let mut next_try = self.0.reloading.lock().await;
        let mut conn = self.0.app.store.read().await?;
        let is_same = store::extensions::bindings_version(&mut conn).await? == self.0.version.load(Ordering::Acquire);
        drop(conn);
        let now = self.0.app.clock.now();
        let due = next_try.filter(|next_try| next_try.is_due(now));
        if is_same && due.is_none() {
            return Ok(false);
        }
        let is_whole = self.reload().await?;
        let after = due.map_or(FIRST_TRY_AFTER, |due| (due.after * 2).min(LONGEST_BETWEEN_TRIES));
        *next_try = (!is_whole).then(|| NextTry { at: now.plus(after), after });
        Ok(!is_same || is_whole)
    }

    /// Asks one version, whatever is bound; nothing is recorded.
    pub async fn test(&self, stored: &StoredExtension, input: &HookInput) -> Result<Called, CatalogError> {
        let extension = self.program(stored).await?;
        let host = &self.0.app.extensions;
        let trial = host.trial(extension, self.content_of(stored).await?).await?;
        Ok(trial.ask(host, input).await)
    }

    /// The names of the adapters that are asked for an account: what its inbound endpoints may name as their provider.
    pub fn providers(&self, account: AccountId) -> Vec<String> {
        let scope = CallScope { account: Some(account), ..CallScope::default() };
        let is_asked = |name: &String| self.0.app.extensions.adapter(&scope, name).is_some();
        let loaded = self.loaded();
        let adapters = loaded.values().filter(|extension| extension.hooks().contains(&Hook::ProviderAdapter));
        let mut names: Vec<String> = adapters.map(|extension| extension.name().to_owned()).filter(is_asked).collect();
        names.sort();
        names.dedup();
        names
    }

    /// The loaded program of a row, where this node has it.
    pub fn loaded_by_id(&self, id: ExtensionId) -> Option<Arc<LoadedExtension>> {
        self.loaded().get(&id).cloned()
    }

    /// What is wrong with a version: why it is not loaded, why it rests for an account (or for anybody), or why newer content
    /// of its file is not taken.
    ///
    /// Why one of the system's rests is told by the kind of its failure: the text may quote one account's mail.
    pub fn last_error(&self, stored: &StoredExtension, account: Option<AccountId>) -> Option<String> {
        let id = stored.id;
        let of = |errors: &Mutex<HashMap<ExtensionId, String>>| {
            errors.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
        };
        let told = |failure: Failure| match stored.account_id {
            Some(_) => failure.text,
            None => news::told_of_the_systems(&failure),
        };
        let failure = || self.loaded_by_id(id).and_then(|extension| extension.last_failure(account)).map(told);
        of(&self.0.errors).or_else(failure).or_else(|| of(&self.0.file_errors))
    }

    /// The row of a program that this node has loaded.
    fn row_of(&self, extension: &Arc<LoadedExtension>) -> Option<ExtensionId> {
        self.loaded().iter().find(|(_, loaded)| Arc::ptr_eq(loaded, extension)).map(|(id, _)| *id)
    }

    /// How many are loaded and how many of them rest.
    pub fn sizes(&self) -> Sizes {
        let loaded = self.loaded();
        Sizes { loaded: loaded.len(), suspended: loaded.values().filter(|extension| extension.is_suspended()).count() }
    }

    fn loaded(&self) -> std::sync::MutexGuard<'_, HashMap<ExtensionId, Arc<LoadedExtension>>> {
        self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What any node found wrong with a file.
    async fn read_file_errors(&self) -> Result<(), StoreError> {
        let files = store::extension_files::all(&mut *self.0.app.store.read().await?).await?;
        let errors = files.into_iter().filter_map(|file| Some((file.extension_id?, file.error?)));
        *self.0.file_errors.lock().unwrap_or_else(PoisonError::into_inner) = errors.collect();
        Ok(())
    }

    async fn look_for_changes(&self) {
        if let Err(error) = self.read_folders().await {
            tracing::error!(error = &error as &dyn std::error::Error, "The folders of extensions could not be read");
        }
        if let Err(error) = self.read_file_errors().await {
            tracing::error!(error = &error as &dyn std::error::Error, "The state of the folders could not be read");
        }
        if let Err(error) = self.refresh_if_changed().await {
            tracing::error!(error = &error as &dyn std::error::Error, "Bindings could not be refreshed");
        }
    }
}
