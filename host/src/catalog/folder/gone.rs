//! What becomes of the versions whose files are gone: of a name that is in no other file all is unbound, and where another
//! file has the name its version takes the place of the one that was in force.

use super::super::{Catalog, CatalogError, ScopeKind};
use super::Changes;
use crate::domain::ids::ExtensionId;
use crate::extensions::Mode;
use crate::store::Conn;
use crate::store::extension_files::{self, ExtensionFile};
use crate::store::extensions::{self, StoredExtension};

/// What is to be unbound, and what takes its place.
#[derive(Default)]
pub(super) struct Gone {
    /// Names that are in no other file.
    names: Vec<String>,
    /// Versions that are in no other file, while another version of their name is.
    versions: Vec<ExtensionId>,
    /// What takes the places of those versions that were in force.
    pub(super) heirs: Vec<FromFile>,
    /// What had the names that are in no other file, for the log.
    pub(super) unbound: Vec<FromFile>,
}

/// A version and the file that it came from.
pub(super) struct FromFile {
    pub(super) file: String,
    pub(super) version: StoredExtension,
}

impl Gone {
    /// Whether the folders brought this version and hold it no more.
    pub(super) fn takes_along(&self, stored: &StoredExtension) -> bool {
        stored.origin == "folder" && (self.names.contains(&stored.name) || self.versions.contains(&stored.id))
    }
}

impl Catalog {
    pub(super) async fn gone(&self, changes: &Changes) -> Result<Gone, CatalogError> {
        let mut gone = Gone::default();
        if changes.gone.is_empty() {
            return Ok(gone);
        }
        let mut conn = self.0.app.store.read().await?;
        let kept = kept(&mut conn, changes).await?;
        let bindings = extensions::all_bindings(&mut conn).await?;
        let is_in_force = |id: ExtensionId| {
            bindings.iter().any(|binding| {
                let is_of_system = binding.scope == ScopeKind::System.as_str();
                is_of_system && binding.mode == Mode::Active.as_str() && binding.extension_id == id
            })
        };
        for ExtensionFile { file: gone_file, extension_id, .. } in &changes.gone {
            let Some(id) = *extension_id else { continue };
            let Some(stored) = extensions::get(&mut conn, id).await? else { continue };
            if kept.iter().any(|(_, version)| version.id == id) {
                continue;
            }
            let Some((file, version)) = kept.iter().rfind(|(_, version)| version.name == stored.name) else {
                gone.names.push(stored.name.clone());
                if stored.origin == "folder" {
                    gone.unbound.push(FromFile { file: gone_file.clone(), version: stored });
                }
                continue;
            };
            gone.versions.push(id);
            // What was stored by hand stays bound without a file.
            if stored.origin == "folder" && is_in_force(id) {
                gone.heirs.push(FromFile { file: file.clone(), version: version.clone() });
            }
        }
        Ok(gone)
    }
}

/// The files that are there with their versions, in the order in which they changed: the last of a name is the one that was
/// written last.
pub(super) async fn kept(conn: &mut Conn, changes: &Changes) -> Result<Vec<(String, StoredExtension)>, CatalogError> {
    let changed = |file: &ExtensionFile| {
        let mut changed = changes.gone.iter().chain(&changes.looked_at);
        changed.any(|other| other.file == file.file)
    };
    let mut files = extension_files::all(conn).await?;
    files.retain(|file| !changed(file));
    files.extend(changes.looked_at.iter().cloned());
    files.sort_by_key(|file| file.seen_at);
    let mut kept = Vec::with_capacity(files.len());
    for file in files {
        let Some(id) = file.extension_id else { continue };
        kept.extend(extensions::get(conn, id).await?.map(|version| (file.file, version)));
    }
    Ok(kept)
}
