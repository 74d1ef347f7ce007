//! Taking a new version in: checked, tried and stored; nothing is bound by it.

use bytes::Bytes;

use super::load::file_name;
use super::shipped::row_of;
use super::{Catalog, CatalogError};
use crate::domain::ids::AccountId;
use crate::extensions::{EngineKind, LoadError};
use crate::store::extensions::{self, StoredExtension};
use crate::store::{Conn, StoreError, accounts, deleted_versions};

/// Versions of scripts that an account may have stored.
pub const MOST_SCRIPTS_OF_AN_ACCOUNT: u64 = 20;
/// The source of an account's script, in bytes.
const LARGEST_SCRIPT_OF_AN_ACCOUNT: usize = 16 * 1024;

/// A version that is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Uploaded {
    /// Its row.
    pub extension: StoredExtension,
    /// How many of its examples came out as it says: all.
    pub examples_passed: usize,
}

/// Why a version is not taken.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// It does not load; the text is one line with the place and the mend.
    #[error("{0}")]
    Refused(LoadError),
    /// The same name and version with other content is stored: a version never changes.
    #[error("{name}@{version} is, or was, stored with other content, and a version never changes; raise the version")]
    VersionTaken {
        /// Its name.
        name: String,
        /// Its version.
        version: String,
    },
    /// An account's script is larger than the system's may be.
    #[error("the script has {bytes} bytes; an account's scripts may have {LARGEST_SCRIPT_OF_AN_ACCOUNT}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The account has as many as it may.
    #[error(
        "the account has {MOST_SCRIPTS_OF_AN_ACCOUNT} versions of scripts already; delete one that is bound nowhere"
    )]
    TooMany,
    /// The store.
    #[error("the store of extensions did not answer")]
    Store(#[from] StoreError),
}

impl From<CatalogError> for UploadError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Load(error) => Self::Refused(error),
            CatalogError::Store(error) => Self::Store(error),
            CatalogError::NotInThisRelease { name, version } => Self::VersionTaken { name, version },
        }
    }
}

impl Catalog {
    /// Checks a file, runs its examples and stores it for `owner` (none: the system). The same content again gives the
    /// row that stands.
    pub async fn upload(
        &self,
        owner: Option<AccountId>,
        bytes: Bytes,
        engine: EngineKind,
    ) -> Result<Uploaded, UploadError> {
        self.store_version(owner, bytes, engine, &file_name("upload", engine), "upload").await
    }

    pub(super) async fn store_version(
        &self,
        owner: Option<AccountId>,
        bytes: Bytes,
        engine: EngineKind,
        file: &str,
        origin: &str,
    ) -> Result<Uploaded, UploadError> {
        if owner.is_some() && bytes.len() > LARGEST_SCRIPT_OF_AN_ACCOUNT {
            return Err(UploadError::TooLarge { bytes: bytes.len() });
        }
        let app = &self.0.app;
        let loaded = app.extensions.load_new(owner, bytes.clone(), engine, file).await.map_err(UploadError::Refused)?;
        self.check_signature(&loaded, owner, origin).map_err(UploadError::Refused)?;
        let row = StoredExtension { account_id: owner, ..row_of(&loaded, origin, "checked", app.clock.now()) };

        let mut tx = app.store.begin().await?;
        if let Some(standing) = extensions::by_version(tx.conn(), owner, &row.name, &row.version).await? {
            if standing.sha256 != row.sha256 {
                return Err(UploadError::VersionTaken { name: row.name, version: row.version });
            }
            return Ok(Uploaded { extension: standing, examples_passed: loaded.examples_passed() });
        }
        let before = deleted_versions::sha256_of(tx.conn(), owner, &row.name, &row.version).await?;
        if before.is_some_and(|sha256| sha256 != row.sha256) {
            return Err(UploadError::VersionTaken { name: row.name, version: row.version });
        }
        check_room(tx.conn(), owner).await?;
        let id = extensions::insert(tx.conn(), &row, Some(bytes.to_vec())).await?;
        tx.commit().await?;
        Ok(Uploaded { extension: StoredExtension { id, ..row }, examples_passed: loaded.examples_passed() })
    }
}

async fn check_room(conn: &mut Conn, owner: Option<AccountId>) -> Result<(), UploadError> {
    let Some(account) = owner else { return Ok(()) };
    accounts::lock(conn, account).await?;
    if extensions::count_of(conn, account).await? >= MOST_SCRIPTS_OF_AN_ACCOUNT {
        return Err(UploadError::TooMany);
    }
    Ok(())
}
