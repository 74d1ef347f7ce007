//! Small values of the whole installation.

use super::row::RowExt;
use super::{Conn, Result, Tx};

/// The value of a name.
pub async fn get(conn: &mut Conn, name: &str) -> Result<Option<String>> {
    let row = sqlx::query("SELECT value FROM meta WHERE name = $1").bind(name).fetch_optional(conn).await?;
    row.map(|row| row.text("value")).transpose()
}

/// Sets a name's value unless it has one, and gives the value that stands.
pub async fn get_or_set(conn: &mut Conn, name: &str, value: &str) -> Result<String> {
    sqlx::query("INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
        .bind(name)
        .bind(value)
        .execute(&mut *conn)
        .await?;
    Ok(get(conn, name).await?.unwrap_or_else(|| value.to_owned()))
}

/// Sets a name's value.
pub async fn set(conn: &mut Conn, name: &str, value: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(name)
    .bind(value)
    .execute(conn)
    .await?;
    Ok(())
}

/// The value of a name, `first` where it has none yet; nobody else locks or sets it before this transaction ends.
pub async fn lock(tx: &mut Tx, name: &str, first: &str) -> Result<String> {
    let row = sqlx::query(
        "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = meta.value RETURNING value",
    )
    .bind(name)
    .bind(first)
    .fetch_one(tx.conn())
    .await?;
    row.text("value")
}
