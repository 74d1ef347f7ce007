//! From rows to programs: what is bound is loaded, what is bound no more is dropped, and the table of bindings is swapped.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use serde_json::json;

use super::{Catalog, CatalogError, ScopeKind};
use crate::domain::ids::{AccountId, ExtensionId};
use crate::extensions::{Binding, EngineKind, LoadError, LoadedExtension, Manifest, Mode, Scope, shipped};
use crate::store::extensions::{self, StoredBinding, StoredExtension};
use crate::store::{Result, StoreError};

impl Catalog {
    /// The program of a row: the one that is loaded, or loaded now and not kept.
    pub async fn program(&self, stored: &StoredExtension) -> std::result::Result<Arc<LoadedExtension>, CatalogError> {
        if let Some(extension) = self.loaded_by_id(stored.id) {
            return Ok(extension);
        }
        let engine = engine_of(stored)?;
        let (bytes, file) = (self.content_of(stored).await?, file_name(&stored.name, engine));
        let extension = self.0.app.extensions.load_for(stored.account_id, bytes, engine, &file).await?;
        self.check_signature(&extension, stored.account_id, &stored.origin)?;
        Ok(extension)
    }

    /// The bytes of a row: the store's, or those in the binary.
    pub(super) async fn content_of(&self, stored: &StoredExtension) -> std::result::Result<Bytes, CatalogError> {
        let mut conn = self.0.app.store.read().await?;
        if let Some(content) = extensions::content(&mut conn, stored.id).await? {
            return Ok(content.into());
        }
        match shipped::bytes_of(&stored.sha256) {
            Some(bytes) => Ok(Bytes::from_static(bytes)),
            None => {
                let (name, version) = (stored.name.clone(), stored.version.clone());
                Err(CatalogError::NotInThisRelease { name, version })
            }
        }
    }

    /// Where the operator requires signatures, the system's extensions have one; the shipped are part of the program.
    pub(super) fn check_signature(
        &self,
        extension: &LoadedExtension,
        owner: Option<AccountId>,
        origin: &str,
    ) -> std::result::Result<(), LoadError> {
        if !self.0.app.config.require_signatures || owner.is_some() || origin == "shipped" {
            return Ok(());
        }
        extension.require_signature()
    }

    /// Keeps a program under its row's id; one that is there stays, as it may be bound and be known by who it is.
    pub(super) fn keep(&self, id: ExtensionId, extension: Arc<LoadedExtension>) {
        self.loaded().entry(id).or_insert(extension);
    }

    /// Loads what is bound, puts the bindings in force and drops what is bound no more; true when all of it was loaded. A
    /// version that can't be loaded is logged, and fails at its place as long as it is not: a gate that is not there would
    /// let everything leave.
    pub(super) async fn reload(&self) -> Result<bool> {
        // Version, bindings and rows belong together, and a transaction would hold the one writer of SQLite: the version
        // is read first, so that a change in between is seen again at the next look.
        let mut conn = self.0.app.store.read().await?;
        let version = extensions::bindings_version(&mut conn).await?;
        let stored_bindings = extensions::all_bindings(&mut conn).await?;
        let in_use = extensions::in_use(&mut conn).await?;
        drop(conn);

        let mut loaded = HashMap::with_capacity(in_use.len());
        let mut errors = HashMap::new();
        for stored in &in_use {
            match self.program(stored).await {
                Ok(extension) => {
                    loaded.insert(stored.id, extension);
                }
                Err(CatalogError::Store(error)) => return Err(error),
                // Rows of older releases stay for the record; only a binding makes their absence worth a line.
                Err(CatalogError::NotInThisRelease { .. }) if !is_bound(&stored_bindings, stored.id) => {}
                Err(error) => {
                    let reason = error.to_string();
                    if self.load_error(stored.id).as_ref() != Some(&reason) {
                        tracing::error!(
                            extension.name = stored.name,
                            extension.version = stored.version,
                            error = reason,
                            "A stored extension is not loaded; where it is bound, each call of it fails until it is"
                        );
                    }
                    errors.insert(stored.id, reason);
                }
            }
        }
        let rows: HashMap<ExtensionId, &StoredExtension> = in_use.iter().map(|stored| (stored.id, stored)).collect();
        let unloadable: HashMap<ExtensionId, Arc<LoadedExtension>> =
            errors.iter().filter_map(|(id, reason)| Some((*id, unloadable(rows.get(id)?, reason)?))).collect();
        let is_whole = !errors.keys().any(|id| is_bound(&stored_bindings, *id));
        let program = |id: ExtensionId| loaded.get(&id).or_else(|| unloadable.get(&id));
        let bindings: Vec<Binding> =
            stored_bindings.iter().filter_map(|binding| in_force(binding, &rows, program)).collect();
        self.0.app.extensions.set_bindings(&bindings);
        *self.loaded() = loaded;
        *self.0.errors.lock().unwrap_or_else(PoisonError::into_inner) = errors;
        self.0.version.store(version, Ordering::Release);
        Ok(is_whole)
    }

    fn load_error(&self, id: ExtensionId) -> Option<String> {
        self.0.errors.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }
}

/// What stands in the place of a version that can't be loaded. Its manifest is the row's; of one that can't be read either,
/// what the row says beside it is enough to be asked and to fail.
fn unloadable(stored: &StoredExtension, reason: &str) -> Option<Arc<LoadedExtension>> {
    let engine = engine_of(stored).ok()?;
    let manifest = serde_json::from_value(stored.manifest.clone()).or_else(|_| {
        let (name, version, hooks) = (&stored.name, &stored.version, &stored.hooks);
        serde_json::from_value::<Manifest>(json!({ "name": name, "version": version, "hooks": hooks }))
    });
    let (sha256, file) = (stored.sha256.clone(), file_name(&stored.name, engine));
    let extension = LoadedExtension::unloadable(manifest.ok()?, engine, sha256, file, reason.to_owned());
    Some(Arc::new(extension))
}

/// The file name that messages about an extension use.
pub(super) fn file_name(name: &str, engine: EngineKind) -> String {
    match engine {
        EngineKind::Component => format!("{name}.wasm"),
        EngineKind::Script => format!("{name}.rhai"),
    }
}

fn engine_of(stored: &StoredExtension) -> Result<EngineKind> {
    EngineKind::parse(&stored.engine).ok_or_else(|| StoreError::Unreadable {
        column: "engine",
        value: stored.engine.clone(),
        expected: "component or script",
    })
}

fn is_bound(bindings: &[StoredBinding], id: ExtensionId) -> bool {
    bindings.iter().any(|binding| binding.extension_id == id)
}

fn in_force<'a>(
    stored: &StoredBinding,
    rows: &HashMap<ExtensionId, &StoredExtension>,
    program: impl Fn(ExtensionId) -> Option<&'a Arc<LoadedExtension>>,
) -> Option<Binding> {
    let scope = match ScopeKind::parse(&stored.scope)? {
        ScopeKind::System => Scope::System,
        ScopeKind::Account => Scope::Account(stored.scope_id.parse().ok()?),
        ScopeKind::Campaign => Scope::Campaign(stored.scope_id.parse().ok()?),
        ScopeKind::Credential => Scope::Credential(stored.scope_id.parse().ok()?),
    };
    Some(Binding {
        scope,
        hook: stored.hook,
        position: u32::try_from(stored.position).unwrap_or(u32::MAX),
        mode: Mode::parse(&stored.mode)?,
        owner: rows.get(&stored.extension_id)?.account_id,
        extension: Arc::clone(program(stored.extension_id)?),
    })
}
