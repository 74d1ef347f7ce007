//! Accounts and their API keys.

use sqlx::any::AnyRow;

use super::row::RowExt;
use super::{Conn, Page, Result};
use crate::domain::Timestamp;
use crate::domain::api_key::Scope;
use crate::domain::ids::{AccountId, ApiKeyId};

/// An API key without the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// Its owner.
    pub account_id: AccountId,
    /// Its first twelve characters.
    pub prefix: String,
    /// For people.
    pub label: String,
    /// `direct`, `mcp` or `sdk`.
    pub client_kind: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Makes an account.
pub async fn insert(
    conn: &mut Conn,
    id: AccountId,
    name: Option<&str>,
    email: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    sqlx::query("INSERT INTO accounts (id, name, email, plan_slug, created_at) VALUES ($1, $2, $3, 'self_hosted', $4)")
        .bind(id.to_string())
        .bind(name)
        .bind(email)
        .bind(now.as_millis())
        .execute(conn)
        .await?;
    Ok(())
}

/// The ids of all accounts, oldest first.
pub async fn list(conn: &mut Conn) -> Result<Vec<AccountId>> {
    let rows = sqlx::query("SELECT id FROM accounts ORDER BY id").fetch_all(conn).await?;
    rows.iter().map(|row| row.id("id")).collect()
}

/// Sets what it may send in a month (none: as many as it likes) and, where one is given, the plan's name; false when there
/// is no such account.
pub async fn set_plan(conn: &mut Conn, id: AccountId, monthly_limit: Option<u64>, slug: Option<&str>) -> Result<bool> {
    let done = sqlx::query("UPDATE accounts SET monthly_limit = $2, plan_slug = COALESCE($3, plan_slug) WHERE id = $1")
        .bind(id.to_string())
        .bind(monthly_limit.map(|limit| i64::try_from(limit).unwrap_or(i64::MAX)))
        .bind(slug)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Makes other transactions that change the account's keys wait for this one.
pub async fn lock(conn: &mut Conn, id: AccountId) -> Result<()> {
    sqlx::query("UPDATE accounts SET name = name WHERE id = $1").bind(id.to_string()).execute(conn).await?;
    Ok(())
}

/// Stores a key by its hash.
pub async fn insert_key(conn: &mut Conn, key: &ApiKey, key_hash: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO api_keys (id, account_id, prefix, key_hash, label, client_kind, scopes, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(key.id.to_string())
    .bind(key.account_id.to_string())
    .bind(&key.prefix)
    .bind(key_hash)
    .bind(&key.label)
    .bind(&key.client_kind)
    .bind(serde_json::to_string(&key.scopes).unwrap_or_default())
    .bind(key.created_at.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// The key with this hash, unless it is revoked.
pub async fn find_key(conn: &mut Conn, key_hash: &str) -> Result<Option<ApiKey>> {
    let row = sqlx::query("SELECT * FROM api_keys WHERE key_hash = $1 AND revoked_at IS NULL")
        .bind(key_hash)
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(key_of).transpose()
}

/// An account's active keys, newest first.
pub async fn list_keys(conn: &mut Conn, account: AccountId, page: &Page) -> Result<Vec<ApiKey>> {
    let rows = sqlx::query(
        "SELECT * FROM api_keys WHERE account_id = $1 AND revoked_at IS NULL AND id < $2 ORDER BY id DESC LIMIT $3",
    )
    .bind(account.to_string())
    .bind(page.before())
    .bind(page.limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(key_of).collect()
}

/// Revokes a key; false when there is no such active key.
pub async fn revoke_key(conn: &mut Conn, account: AccountId, id: ApiKeyId, now: Timestamp) -> Result<bool> {
    let done =
        sqlx::query("UPDATE api_keys SET revoked_at = $3 WHERE id = $1 AND account_id = $2 AND revoked_at IS NULL")
            .bind(id.to_string())
            .bind(account.to_string())
            .bind(now.as_millis())
            .execute(conn)
            .await?;
    Ok(done.rows_affected() > 0)
}

/// Notes that keys were used.
pub async fn touch_keys(conn: &mut Conn, used: &[(ApiKeyId, Timestamp)]) -> Result<()> {
    for (id, at) in used {
        sqlx::query("UPDATE api_keys SET last_used_at = $2 WHERE id = $1")
            .bind(id.to_string())
            .bind(at.as_millis())
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

fn key_of(row: &AnyRow) -> Result<ApiKey> {
    Ok(ApiKey {
        id: row.id("id")?,
        account_id: row.id("account_id")?,
        prefix: row.text("prefix")?,
        label: row.text("label")?,
        client_kind: row.text("client_kind")?,
        scopes: row.json("scopes")?,
        last_used_at: row.opt_time("last_used_at")?,
        created_at: row.time("created_at")?,
    })
}
