//! Addresses and domains that an account never mails.

use super::{Conn, Result};
use crate::domain::Timestamp;
use crate::domain::ids::{AccountId, SuppressionId};

/// Suppresses an address (given as its key, in lower case); nothing happens when it already is.
pub async fn add_address(
    conn: &mut Conn,
    account: AccountId,
    email_key: &str,
    reason: &str,
    now: Timestamp,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO suppressions (id, account_id, kind, value, reason, created_at) VALUES ($1, $2, 'address', $3, $4, $5)
         ON CONFLICT (account_id, kind, value) DO NOTHING",
    )
    .bind(SuppressionId::new(now).to_string())
    .bind(account.to_string())
    .bind(email_key)
    .bind(reason)
    .bind(now.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}
