//! Stored versions of extensions and their bindings.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::row::RowExt;
use super::{Conn, Page, Result, Tx, meta};
use crate::domain::Timestamp;
use crate::domain::ids::{AccountId, ExtensionId};
use crate::domain::status::Hook;
use crate::wake::Wake;

const BINDINGS_VERSION: &str = "bindings.version";

/// A stored version of an extension.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredExtension {
    /// Its id.
    pub id: ExtensionId,
    /// Its owner; none for the system's.
    pub account_id: Option<AccountId>,
    /// Its name.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// `component` or `script`.
    pub engine: String,
    /// What it serves.
    pub hooks: Vec<Hook>,
    /// Of its content, in hex.
    pub sha256: String,
    /// `shipped`, `folder` or `upload`.
    pub origin: String,
    /// `checked`, `active`, `shadow`, `suspended` or `retired`.
    pub status: String,
    /// As JSON.
    pub manifest: serde_json::Value,
    /// The version of the bindings with which it was last made active; none: it never was, or it was rolled back from.
    pub obeyed_in: Option<i64>,
    /// When it was stored.
    pub created_at: Timestamp,
}

/// One binding of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBinding {
    /// The owner of the scope; none for the system.
    pub account_id: Option<AccountId>,
    /// `system`, `account`, `campaign` or `credential`.
    pub scope: String,
    /// Empty for the system.
    pub scope_id: String,
    /// Which hook.
    pub hook: Hook,
    /// Asked in this order.
    pub position: i64,
    /// Which version.
    pub extension_id: ExtensionId,
    /// `active` or `shadow`.
    pub mode: String,
}

/// Stores a version; one with the same content keeps its row. Gives the id that stands.
pub async fn insert(conn: &mut Conn, extension: &StoredExtension, content: Option<Vec<u8>>) -> Result<ExtensionId> {
    sqlx::query(
        "INSERT INTO extensions (id, account_id, name, version, engine, hooks, sha256, origin, status, manifest, content,
                                 created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         ON CONFLICT (account_id, sha256) DO NOTHING",
    )
    .bind(extension.id.to_string())
    .bind(owner(extension.account_id))
    .bind(&extension.name)
    .bind(&extension.version)
    .bind(&extension.engine)
    .bind(serde_json::to_string(&extension.hooks).unwrap_or_default())
    .bind(&extension.sha256)
    .bind(&extension.origin)
    .bind(&extension.status)
    .bind(extension.manifest.to_string())
    .bind(content)
    .bind(extension.created_at.as_millis())
    .execute(&mut *conn)
    .await?;
    let row = sqlx::query("SELECT id FROM extensions WHERE account_id = $1 AND sha256 = $2")
        .bind(owner(extension.account_id))
        .bind(&extension.sha256)
        .fetch_one(conn)
        .await?;
    row.id("id")
}

/// A version by name, if it is stored: its content must then be the same.
pub async fn by_version(
    conn: &mut Conn,
    account: Option<AccountId>,
    name: &str,
    version: &str,
) -> Result<Option<StoredExtension>> {
    let row = sqlx::query("SELECT * FROM extensions WHERE account_id = $1 AND name = $2 AND version = $3")
        .bind(owner(account))
        .bind(name)
        .bind(version)
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(extension_of).transpose()
}

/// All stored versions of a name, the latest stored first.
pub async fn of_name(conn: &mut Conn, account: Option<AccountId>, name: &str) -> Result<Vec<StoredExtension>> {
    let rows = sqlx::query("SELECT * FROM extensions WHERE account_id = $1 AND name = $2 ORDER BY id DESC LIMIT 1000")
        .bind(owner(account))
        .bind(name)
        .fetch_all(conn)
        .await?;
    rows.iter().map(extension_of).collect()
}

/// One stored version.
pub async fn get(conn: &mut Conn, id: ExtensionId) -> Result<Option<StoredExtension>> {
    let row = sqlx::query("SELECT * FROM extensions WHERE id = $1").bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(extension_of).transpose()
}

/// The bytes of a stored version; none for a shipped one.
pub async fn content(conn: &mut Conn, id: ExtensionId) -> Result<Option<Vec<u8>>> {
    let row = sqlx::query("SELECT content FROM extensions WHERE id = $1 AND content IS NOT NULL")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(|row| row.bytes("content")).transpose()
}

/// The system's versions and an account's own, newest first.
pub async fn list(conn: &mut Conn, account: AccountId, page: &Page) -> Result<Vec<StoredExtension>> {
    let rows = sqlx::query(
        "SELECT * FROM extensions WHERE (account_id = '' OR account_id = $1) AND id < $2 ORDER BY id DESC LIMIT $3",
    )
    .bind(account.to_string())
    .bind(page.before())
    .bind(page.limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(extension_of).collect()
}

/// Every stored version that is bound or shipped: what a node has to have loaded.
pub async fn in_use(conn: &mut Conn) -> Result<Vec<StoredExtension>> {
    let rows = sqlx::query(
        "SELECT * FROM extensions WHERE origin = 'shipped' OR id IN (SELECT extension_id FROM bindings) ORDER BY id",
    )
    .fetch_all(conn)
    .await?;
    rows.iter().map(extension_of).collect()
}

/// Whether any binding names it.
pub async fn is_bound(conn: &mut Conn, id: ExtensionId) -> Result<bool> {
    let row = sqlx::query("SELECT COUNT(*) AS bound FROM bindings WHERE extension_id = $1")
        .bind(id.to_string())
        .fetch_one(conn)
        .await?;
    row.flag("bound")
}

/// Deletes an unbound version.
pub async fn delete(conn: &mut Conn, id: ExtensionId) -> Result<()> {
    sqlx::query("DELETE FROM extensions WHERE id = $1").bind(id.to_string()).execute(conn).await?;
    Ok(())
}

/// Writes a shipped version anew: the binary is what counts, and a build of the same version may differ.
pub async fn replace_shipped(conn: &mut Conn, id: ExtensionId, extension: &StoredExtension) -> Result<()> {
    sqlx::query(
        "UPDATE extensions SET engine = $2, hooks = $3, sha256 = $4, manifest = $5, status = $6
         WHERE id = $1 AND origin = 'shipped'",
    )
    .bind(id.to_string())
    .bind(&extension.engine)
    .bind(serde_json::to_string(&extension.hooks).unwrap_or_default())
    .bind(&extension.sha256)
    .bind(extension.manifest.to_string())
    .bind(&extension.status)
    .execute(conn)
    .await?;
    Ok(())
}

/// Marks the shipped versions that the binary no longer has.
pub async fn retire_shipped_except(tx: &mut Tx, kept: &[ExtensionId]) -> Result<()> {
    let rows: Vec<_> = kept.iter().map(|id| [id.to_string()]).collect();
    let sql = format!(
        "UPDATE extensions SET status = 'retired' WHERE origin = 'shipped' AND id NOT IN (SELECT c0 FROM {} AS given)",
        tx.dialect().json_rows(1)
    );
    sqlx::query(AssertSqlSafe(sql)).bind(serde_json::to_string(&rows).unwrap_or_default()).execute(tx.conn()).await?;
    Ok(())
}

/// How many versions an account has stored.
pub async fn count_of(conn: &mut Conn, account: AccountId) -> Result<u64> {
    let row = sqlx::query("SELECT COUNT(*) AS stored FROM extensions WHERE account_id = $1")
        .bind(account.to_string())
        .fetch_one(conn)
        .await?;
    row.count("stored")
}

/// Makes the statuses follow the bindings: `active` or `shadow` while bound, `retired` once it was. What becomes active by
/// this is remembered with the version of the bindings.
pub async fn refresh_statuses(conn: &mut Conn) -> Result<()> {
    let version = bindings_version(conn).await?;
    sqlx::query(
        "UPDATE extensions SET obeyed_in = $1
         WHERE origin <> 'shipped' AND status <> 'active'
           AND EXISTS (SELECT 1 FROM bindings b WHERE b.extension_id = extensions.id AND b.mode = 'active')",
    )
    .bind(version)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "UPDATE extensions SET status = CASE
             WHEN EXISTS (SELECT 1 FROM bindings b WHERE b.extension_id = extensions.id AND b.mode = 'active') THEN 'active'
             WHEN EXISTS (SELECT 1 FROM bindings b WHERE b.extension_id = extensions.id) THEN 'shadow'
             WHEN status = 'checked' THEN 'checked'
             ELSE 'retired' END
         WHERE origin <> 'shipped'",
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets that a version was obeyed: one that was rolled back from is none to roll back to.
pub async fn forget_obeyed(conn: &mut Conn, id: ExtensionId) -> Result<()> {
    sqlx::query("UPDATE extensions SET obeyed_in = NULL WHERE id = $1").bind(id.to_string()).execute(conn).await?;
    Ok(())
}

/// All bindings of the installation.
pub async fn all_bindings(conn: &mut Conn) -> Result<Vec<StoredBinding>> {
    let rows = sqlx::query("SELECT * FROM bindings ORDER BY scope, scope_id, hook, position").fetch_all(conn).await?;
    rows.iter().map(binding_of).collect()
}

/// Replaces the bindings of a scope, and counts the installation's version up. Who changes bindings at the same time waits
/// here: two changes with one version would be one that a node never sees.
pub async fn replace_bindings(tx: &mut Tx, scope: &str, scope_id: &str, bindings: &[StoredBinding]) -> Result<()> {
    let version = lock_bindings(tx).await? + 1;
    sqlx::query("DELETE FROM bindings WHERE scope = $1 AND scope_id = $2")
        .bind(scope)
        .bind(scope_id)
        .execute(tx.conn())
        .await?;
    for binding in bindings {
        sqlx::query(
            "INSERT INTO bindings (account_id, scope, scope_id, hook, position, extension_id, mode)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(owner(binding.account_id))
        .bind(&binding.scope)
        .bind(&binding.scope_id)
        .bind(binding.hook.as_str())
        .bind(binding.position)
        .bind(binding.extension_id.to_string())
        .bind(&binding.mode)
        .execute(tx.conn())
        .await?;
    }
    meta::set(tx.conn(), BINDINGS_VERSION, &version.to_string()).await?;
    tx.wake(Wake::Bindings);
    Ok(())
}

/// Takes the bindings of a scope that is gone away.
pub async fn unbind(tx: &mut Tx, scope: &str, scope_id: &str) -> Result<()> {
    let row = sqlx::query("SELECT 1 AS one FROM bindings WHERE scope = $1 AND scope_id = $2 LIMIT 1")
        .bind(scope)
        .bind(scope_id)
        .fetch_optional(tx.conn())
        .await?;
    if row.is_some() {
        replace_bindings(tx, scope, scope_id, &[]).await?;
        refresh_statuses(tx.conn()).await?;
    }
    Ok(())
}

/// The version, which nobody else changes before this transaction ends.
pub async fn lock_bindings(tx: &mut Tx) -> Result<i64> {
    Ok(meta::lock(tx, BINDINGS_VERSION, "0").await?.parse().unwrap_or(0))
}

/// Counts up with every change of a binding; nodes poll it.
pub async fn bindings_version(conn: &mut Conn) -> Result<i64> {
    Ok(meta::get(conn, BINDINGS_VERSION).await?.and_then(|text| text.parse().ok()).unwrap_or(0))
}

fn owner(account: Option<AccountId>) -> String {
    account.map(|id| id.to_string()).unwrap_or_default()
}

fn owner_of(row: &AnyRow) -> Result<Option<AccountId>> {
    if row.text("account_id")?.is_empty() { Ok(None) } else { row.id("account_id").map(Some) }
}

fn extension_of(row: &AnyRow) -> Result<StoredExtension> {
    Ok(StoredExtension {
        id: row.id("id")?,
        account_id: owner_of(row)?,
        name: row.text("name")?,
        version: row.text("version")?,
        engine: row.text("engine")?,
        hooks: row.json("hooks")?,
        sha256: row.text("sha256")?,
        origin: row.text("origin")?,
        status: row.text("status")?,
        manifest: row.json("manifest")?,
        obeyed_in: row.opt_int("obeyed_in")?,
        created_at: row.time("created_at")?,
    })
}

fn binding_of(row: &AnyRow) -> Result<StoredBinding> {
    Ok(StoredBinding {
        account_id: owner_of(row)?,
        scope: row.text("scope")?,
        scope_id: row.text("scope_id")?,
        hook: row.word("hook", Hook::parse)?,
        position: row.int("position")?,
        extension_id: row.id("extension_id")?,
        mode: row.text("mode")?,
    })
}
