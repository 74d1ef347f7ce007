//! What the files of the operator's folders held when they were last taken in.

use sqlx::any::AnyRow;

use super::row::RowExt;
use super::{Conn, Result};
use crate::domain::Timestamp;
use crate::domain::ids::ExtensionId;

/// A file of the folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionFile {
    /// Its folder's kind and its name, such as `scripts/polite-declines.rhai`.
    pub file: String,
    /// Of the content that was last looked at.
    pub sha256: String,
    /// The version that it was last taken in as.
    pub extension_id: Option<ExtensionId>,
    /// Why the content that was last looked at is not taken in.
    pub error: Option<String>,
    /// When it was last looked at.
    pub seen_at: Timestamp,
}

/// All files.
pub async fn all(conn: &mut Conn) -> Result<Vec<ExtensionFile>> {
    let rows = sqlx::query("SELECT * FROM extension_files ORDER BY file").fetch_all(conn).await?;
    rows.iter().map(file_of).collect()
}

/// Notes what became of a file.
pub async fn put(conn: &mut Conn, file: &ExtensionFile) -> Result<()> {
    sqlx::query(
        "INSERT INTO extension_files (file, sha256, extension_id, error, seen_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (file) DO UPDATE SET sha256 = excluded.sha256, extension_id = excluded.extension_id,
             error = excluded.error, seen_at = excluded.seen_at",
    )
    .bind(&file.file)
    .bind(&file.sha256)
    .bind(file.extension_id.map(|id| id.to_string()).unwrap_or_default())
    // A script's error may quote it, and PostgreSQL takes no text with a NUL.
    .bind(file.error.as_ref().map(|error| error.replace('\0', "")))
    .bind(file.seen_at.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets a file that is gone.
pub async fn forget(conn: &mut Conn, file: &str) -> Result<()> {
    sqlx::query("DELETE FROM extension_files WHERE file = $1").bind(file).execute(conn).await?;
    Ok(())
}

fn file_of(row: &AnyRow) -> Result<ExtensionFile> {
    let id = row.text("extension_id")?;
    Ok(ExtensionFile {
        file: row.text("file")?,
        sha256: row.text("sha256")?,
        extension_id: if id.is_empty() { None } else { Some(row.id("extension_id")?) },
        error: row.opt_text("error")?,
        seen_at: row.time("seen_at")?,
    })
}
