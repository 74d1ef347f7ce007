//! What versions of extensions were that are gone.

use super::row::RowExt;
use super::{Conn, Result};
use crate::domain::ids::{AccountId, ExtensionId};

/// Remembers a version that is about to be deleted. A shipped one is what the program has inside.
pub async fn remember(conn: &mut Conn, id: ExtensionId) -> Result<()> {
    sqlx::query(
        "INSERT INTO deleted_versions (account_id, name, version, sha256)
         SELECT account_id, name, version, sha256 FROM extensions WHERE id = $1 AND origin <> 'shipped'
         ON CONFLICT (account_id, name, version) DO NOTHING",
    )
    .bind(id.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// The hash of the content that a version had; none where no such version was deleted.
pub async fn sha256_of(conn: &mut Conn, owner: Option<AccountId>, name: &str, version: &str) -> Result<Option<String>> {
    let row = sqlx::query("SELECT sha256 FROM deleted_versions WHERE account_id = $1 AND name = $2 AND version = $3")
        .bind(owner.map(|id| id.to_string()).unwrap_or_default())
        .bind(name)
        .bind(version)
        .fetch_optional(conn)
        .await?;
    row.map(|row| row.text("sha256")).transpose()
}
