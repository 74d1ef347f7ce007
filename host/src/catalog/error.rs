//! Why the catalog could not do what it was asked.

use crate::extensions::LoadError;
use crate::store::StoreError;

/// Why an extension can't be had.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// It does not load; the text says how to mend it.
    #[error("{0}")]
    Load(#[from] LoadError),
    /// A row that has no content and is in this binary no more: an older release shipped it.
    #[error("{name}@{version} was shipped with another release and is not in this one")]
    NotInThisRelease {
        /// Its name.
        name: String,
        /// Its version.
        version: String,
    },
    /// The store.
    #[error("the store of extensions did not answer")]
    Store(#[from] StoreError),
}
