//! Accounts and their API keys.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::row::RowExt;
use super::{Conn, Page, Result, Tx};
use crate::domain::Timestamp;
use crate::domain::api_key::{ClientKind, NewApiKey, Scope, is_same_hash};
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
    /// Through what it is used.
    pub client_kind: ClientKind,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What came of a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// It works nowhere any more.
    Revoked,
    /// The account has no such active key.
    Missing,
    /// It is the account's last one, and stays.
    Last,
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
    list_after(conn, None, i64::MAX).await
}

/// The ids of accounts, oldest first, beginning after one of them.
pub async fn list_after(conn: &mut Conn, after: Option<AccountId>, limit: i64) -> Result<Vec<AccountId>> {
    let rows = sqlx::query("SELECT id FROM accounts WHERE id > $1 ORDER BY id LIMIT $2")
        .bind(after.map(|id| id.to_string()).unwrap_or_default())
        .bind(limit)
        .fetch_all(conn)
        .await?;
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

/// Whether there is such an account.
pub async fn exists(conn: &mut Conn, id: AccountId) -> Result<bool> {
    let row = sqlx::query("SELECT id FROM accounts WHERE id = $1").bind(id.to_string()).fetch_optional(conn).await?;
    Ok(row.is_some())
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
    .bind(key.client_kind.as_str())
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
    let Some(row) = row else { return Ok(None) };
    // The index has compared already, byte by byte; what is let in is decided by a comparison that does not.
    if is_same_hash(&row.text("key_hash")?, key_hash) { key_of(&row).map(Some) } else { Ok(None) }
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

/// Whose key it is, revoked or not.
pub async fn owner_of_key(conn: &mut Conn, id: ApiKeyId) -> Result<Option<AccountId>> {
    let row =
        sqlx::query("SELECT account_id FROM api_keys WHERE id = $1").bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(|row| row.id("account_id")).transpose()
}

/// Whether a key is the last of its account by which keys are made and revoked. Others wait for the transaction before they
/// revoke any.
pub async fn is_last_admin(tx: &mut Tx, account: AccountId, id: ApiKeyId) -> Result<bool> {
    lock(tx.conn(), account).await?;
    let keys = list_keys(tx.conn(), account, &Page::first(i64::MAX)).await?;
    let mut admins = keys.iter().filter(|key| key.scopes.contains(&Scope::Admin));
    Ok(admins.next().is_some_and(|key| key.id == id) && admins.next().is_none())
}

/// Revokes a key, but never an account's last one: revocations of one account wait for each other.
pub async fn revoke_key(tx: &mut Tx, account: AccountId, id: ApiKeyId, now: Timestamp) -> Result<Revocation> {
    lock(tx.conn(), account).await?;
    let keys = list_keys(tx.conn(), account, &Page::first(2)).await?;
    if keys.len() == 1 && keys[0].id == id {
        return Ok(Revocation::Last);
    }
    let done =
        sqlx::query("UPDATE api_keys SET revoked_at = $3 WHERE id = $1 AND account_id = $2 AND revoked_at IS NULL")
            .bind(id.to_string())
            .bind(account.to_string())
            .bind(now.as_millis())
            .execute(tx.conn())
            .await?;
    Ok(if done.rows_affected() > 0 { Revocation::Revoked } else { Revocation::Missing })
}

/// Notes when keys were last used, unless a later use is noted already. `used` has each key once.
pub async fn touch_keys(tx: &mut Tx, used: &[(ApiKeyId, Timestamp)]) -> Result<()> {
    let rows: Vec<_> = used.iter().map(|(id, at)| (id.to_string(), at.as_millis().to_string())).collect();
    let sql = format!(
        "UPDATE api_keys SET last_used_at = CAST(given.c1 AS BIGINT) FROM {} AS given
         WHERE api_keys.id = given.c0 AND COALESCE(api_keys.last_used_at, 0) < CAST(given.c1 AS BIGINT)",
        tx.dialect().json_rows(2)
    );
    sqlx::query(AssertSqlSafe(sql)).bind(serde_json::to_string(&rows).unwrap_or_default()).execute(tx.conn()).await?;
    Ok(())
}

impl ApiKey {
    /// The row of a key that was just made.
    pub fn of(
        new: &NewApiKey,
        account_id: AccountId,
        label: &str,
        client_kind: ClientKind,
        scopes: Vec<Scope>,
        now: Timestamp,
    ) -> Self {
        Self {
            id: ApiKeyId::new(now),
            account_id,
            prefix: new.prefix.clone(),
            label: label.to_owned(),
            client_kind,
            scopes,
            last_used_at: None,
            created_at: now,
        }
    }
}

/// Whoever revokes a key of an account, or counts what it has before adding to it, comes after the other.
pub async fn lock(conn: &mut Conn, id: AccountId) -> Result<()> {
    sqlx::query("UPDATE accounts SET name = name WHERE id = $1").bind(id.to_string()).execute(conn).await?;
    Ok(())
}

fn key_of(row: &AnyRow) -> Result<ApiKey> {
    Ok(ApiKey {
        id: row.id("id")?,
        account_id: row.id("account_id")?,
        prefix: row.text("prefix")?,
        label: row.text("label")?,
        client_kind: row.word("client_kind", ClientKind::parse)?,
        scopes: row.json("scopes")?,
        last_used_at: row.opt_time("last_used_at")?,
        created_at: row.time("created_at")?,
    })
}
