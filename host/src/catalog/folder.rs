//! The operator's folders: `*.wasm` and `*.rhai` files are stored and bound for the whole system, at start and whenever
//! they change. A file that can't be loaded is logged and leaves what was active.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{BindingScope, Catalog, CatalogError, NewBinding, ScopeKind, UploadError};
use crate::domain::ids::ExtensionId;
use crate::domain::status::Hook;
use crate::extensions::{EngineKind, Mode};
use crate::store::extensions::{self, StoredExtension};

/// More files than this are not read: it is a folder of something else.
const MOST_FILES: usize = 256;

/// What the folders held when they were last read: a file's path with its size and time of change.
pub(super) type FolderState = BTreeMap<PathBuf, (u64, Option<std::time::SystemTime>)>;

impl Catalog {
    /// Stores and binds what is new or changed in the folders.
    pub(super) async fn read_folders(&self) -> Result<(), CatalogError> {
        let config = &self.0.app.config;
        if config.plugins_dir.is_none() && config.scripts_dir.is_none() {
            return Ok(());
        }
        let mut known = self.0.folders.lock().await;
        let (plugins, scripts) = (config.plugins_dir.clone(), config.scripts_dir.clone());
        let listed = tokio::task::spawn_blocking(move || list_both(plugins.as_deref(), scripts.as_deref())).await;
        let Ok(found) = listed else { return Ok(()) };
        if *known == found {
            return Ok(());
        }
        let mut present = Vec::with_capacity(found.len());
        let mut all_read = true;
        for path in found.keys() {
            match self.store_file(path).await {
                Ok(stored) => present.push(stored),
                Err(UploadError::Store(error)) => return Err(error.into()),
                Err(error) => {
                    all_read = false;
                    tracing::error!(
                        extension.file = %path.display(),
                        error = &error as &dyn std::error::Error,
                        "A file of the extension folders is not loaded; what was active stays"
                    );
                }
            }
        }
        self.bind_files(&present, all_read).await?;
        *known = found;
        Ok(())
    }

    async fn store_file(&self, path: &Path) -> Result<StoredExtension, UploadError> {
        let engine = engine_of(path).unwrap_or(EngineKind::Script);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let bytes = tokio::fs::read(path).await.map_err(|error| {
            UploadError::Refused(crate::extensions::LoadError::Engine { file: name.clone(), reason: error.to_string() })
        })?;
        Ok(self.store_version(None, bytes.into(), engine, &name, "folder").await?.extension)
    }

    /// Binds the files' versions: each in the place of another version of its name, or behind the others. What came from
    /// a file that is gone is unbound, but only when every file could be read: the name in a broken one is not known.
    async fn bind_files(&self, present: &[StoredExtension], all_read: bool) -> Result<(), CatalogError> {
        let mut conn = self.0.app.store.read().await?;
        let mut bound = Vec::new();
        for binding in extensions::all_bindings(&mut conn).await? {
            if binding.scope != ScopeKind::System.as_str() {
                continue;
            }
            let Some(stored) = extensions::get(&mut conn, binding.extension_id).await? else { continue };
            let mode = Mode::parse(&binding.mode).unwrap_or(Mode::Active);
            bound.push((stored, NewBinding { hook: binding.hook, extension_id: binding.extension_id, mode }));
        }
        drop(conn);
        let list = merged(&bound, present, all_read);
        if list == bound.iter().map(|(_, binding)| *binding).collect::<Vec<_>>() {
            return Ok(());
        }
        match self.replace_bindings(BindingScope::System, &list, None).await {
            Ok(_) => Ok(()),
            Err(super::BindError::Store(error)) => Err(error.into()),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "The files of the folders are not bound");
                Ok(())
            }
        }
    }
}

fn merged(bound: &[(StoredExtension, NewBinding)], present: &[StoredExtension], all_read: bool) -> Vec<NewBinding> {
    let mut list: Vec<NewBinding> = Vec::new();
    let mut placed: Vec<(ExtensionId, Hook)> = Vec::new();
    for (stored, binding) in bound {
        let file = present.iter().find(|file| file.name == stored.name && file.hooks.contains(&binding.hook));
        match file {
            Some(file) if placed.contains(&(file.id, binding.hook)) => {}
            Some(file) => {
                placed.push((file.id, binding.hook));
                list.push(NewBinding { extension_id: file.id, ..*binding });
            }
            None if stored.origin == "folder" && all_read => {}
            None => list.push(*binding),
        }
    }
    for file in present {
        for hook in file.hooks.iter().filter(|hook| !placed.contains(&(file.id, **hook))) {
            list.push(NewBinding { hook: *hook, extension_id: file.id, mode: Mode::Active });
        }
    }
    list
}

fn list_both(plugins: Option<&Path>, scripts: Option<&Path>) -> FolderState {
    let mut found = FolderState::new();
    for (folder, engine) in [(plugins, EngineKind::Component), (scripts, EngineKind::Script)] {
        let Some(entries) = folder.and_then(|folder| std::fs::read_dir(folder).ok()) else { continue };
        for path in entries.take(MOST_FILES).filter_map(|entry| Some(entry.ok()?.path())) {
            let Some(metadata) = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file) else { continue };
            if engine_of(&path) == Some(engine) {
                found.insert(path, (metadata.len(), metadata.modified().ok()));
            }
        }
    }
    found
}

fn engine_of(path: &Path) -> Option<EngineKind> {
    match path.extension()?.to_str()? {
        "wasm" => Some(EngineKind::Component),
        "rhai" => Some(EngineKind::Script),
        _ => None,
    }
}
