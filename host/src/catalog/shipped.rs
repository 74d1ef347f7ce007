//! The shipped extensions in the store: a row each, so that bindings, decisions and pages can name them. Their bytes stay
//! in the binary.

use super::{Catalog, CatalogError};
use crate::domain::ids::ExtensionId;
use crate::extensions::LoadedExtension;
use crate::store::extensions::{self, StoredExtension};

impl Catalog {
    /// Loads what is shipped and writes its rows; rows of what is shipped no more are retired.
    pub(super) async fn record_shipped(&self) -> Result<(), CatalogError> {
        let app = &self.0.app;
        let shipped = app.extensions.load_shipped().await?;
        let mut kept = Vec::with_capacity(shipped.len());
        let mut tx = app.store.begin().await?;
        for extension in &shipped {
            let row = row_of(extension, "shipped", "active", app.clock.now());
            let standing = extensions::by_version(tx.conn(), None, &row.name, &row.version).await?;
            let id = match standing {
                Some(standing) if standing.origin != "shipped" => {
                    // Somebody stored this name and version first: the shipped one is asked, and has no row.
                    tracing::warn!(
                        extension.name = row.name,
                        extension.version = row.version,
                        "A stored extension has the name and version of a shipped one; raise its version"
                    );
                    continue;
                }
                Some(standing) => {
                    extensions::replace_shipped(tx.conn(), standing.id, &row).await?;
                    standing.id
                }
                None => extensions::insert(tx.conn(), &row, None).await?,
            };
            kept.push((id, extension.clone()));
        }
        let ids: Vec<ExtensionId> = kept.iter().map(|(id, _)| *id).collect();
        extensions::retire_shipped_except(&mut tx, &ids).await?;
        tx.commit().await?;
        for (id, extension) in kept {
            self.keep(id, extension);
        }
        Ok(())
    }
}

/// The row of a loaded extension of the system.
pub(super) fn row_of(
    extension: &LoadedExtension,
    origin: &str,
    status: &str,
    now: crate::domain::Timestamp,
) -> StoredExtension {
    StoredExtension {
        id: ExtensionId::new(now),
        account_id: None,
        name: extension.name().to_owned(),
        version: extension.version().to_string(),
        engine: extension.engine().as_str().to_owned(),
        hooks: extension.hooks().to_vec(),
        sha256: extension.sha256().to_owned(),
        origin: origin.to_owned(),
        status: status.to_owned(),
        manifest: extension.manifest().to_json(),
        obeyed_in: None,
        created_at: now,
    }
}
