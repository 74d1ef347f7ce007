//! First-step sends of credentials by UTC day: reserved in the transaction of the claim, given back when no SMTP transaction
//! came of it.

use std::collections::{BTreeMap, HashMap};

use sqlx::AssertSqlSafe;

use super::dialect::json_of;
use super::row::RowExt;
use super::{Conn, Result, Tx};
use crate::domain::ids::CredentialId;

/// How many sends of a day were made or are reserved.
pub async fn reserved(conn: &mut Conn, id: CredentialId, utc_day: i64) -> Result<u64> {
    let row = sqlx::query("SELECT reserved FROM credential_days WHERE credential_id = $1 AND utc_day = $2")
        .bind(id.to_string())
        .bind(utc_day)
        .fetch_optional(conn)
        .await?;
    row.map_or(Ok(0), |row| row.count("reserved"))
}

/// The same of several credentials; one that has sent nothing that day is not among them.
pub async fn reserved_of_each(tx: &mut Tx, ids: &[CredentialId], utc_day: i64) -> Result<HashMap<CredentialId, u64>> {
    let sql = format!(
        "SELECT credential_id, reserved FROM credential_days
         WHERE utc_day = $2 AND credential_id IN (SELECT c0 FROM {} AS given)",
        tx.dialect().json_rows(1)
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(json_of(ids.iter().map(|id| [id.to_string()])))
        .bind(utc_day)
        .fetch_all(tx.conn())
        .await?;
    rows.iter().map(|row| Ok((row.id("credential_id")?, row.count("reserved")?))).collect()
}

/// Takes `count` places of a day's limit; negative gives them back.
pub async fn reserve(tx: &mut Tx, id: CredentialId, utc_day: i64, count: i64) -> Result<()> {
    reserve_many(tx, &BTreeMap::from([(id, count)]), utc_day).await
}

/// Takes so many places of a day's limit of each.
pub async fn reserve_many(tx: &mut Tx, counts: &BTreeMap<CredentialId, i64>, utc_day: i64) -> Result<()> {
    let sql = format!(
        "INSERT INTO credential_days (credential_id, utc_day, reserved)
         SELECT c0, $2, CAST(c1 AS BIGINT) FROM {} AS given WHERE true
         ON CONFLICT (credential_id, utc_day) DO UPDATE SET reserved = credential_days.reserved + excluded.reserved",
        tx.dialect().json_rows(2)
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(json_of(counts.iter().map(|(id, count)| (id.to_string(), count.to_string()))))
        .bind(utc_day)
        .execute(tx.conn())
        .await?;
    Ok(())
}
