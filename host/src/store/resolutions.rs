//! How sends in doubt were settled, where no event or message of their enrollment tells it.

use sqlx::any::AnyRow;

use super::row::RowExt;
use super::{Conn, Result};
use crate::domain::Timestamp;
use crate::domain::ids::{AccountId, ApiKeyId, EnrollmentId, ResolutionId, SendId};
use crate::domain::status::ResolvedAs;

/// A settled doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// Its id.
    pub id: ResolutionId,
    /// The owner of the send.
    pub account_id: AccountId,
    /// Whose sequence.
    pub enrollment_id: EnrollmentId,
    /// Which send.
    pub send_id: SendId,
    /// As what.
    pub resolved_as: ResolvedAs,
    /// The key that a person called with; none: a copy was found in the Sent folder.
    pub api_key_id: Option<ApiKeyId>,
    /// When.
    pub at: Timestamp,
}

/// A settled doubt with the label of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolutionShown {
    /// It.
    pub resolution: Resolution,
    /// What the key is called.
    pub api_key_label: Option<String>,
}

/// Records one.
pub async fn insert(conn: &mut Conn, resolution: &Resolution) -> Result<()> {
    sqlx::query(
        "INSERT INTO resolutions (id, account_id, enrollment_id, send_id, resolved_as, api_key_id, at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(resolution.id.to_string())
    .bind(resolution.account_id.to_string())
    .bind(resolution.enrollment_id.to_string())
    .bind(resolution.send_id.to_string())
    .bind(resolution.resolved_as.as_str())
    .bind(resolution.api_key_id.map(|id| id.to_string()))
    .bind(resolution.at.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// An enrollment's, oldest first.
pub async fn of_enrollment(conn: &mut Conn, enrollment: EnrollmentId) -> Result<Vec<ResolutionShown>> {
    let rows = sqlx::query(
        "SELECT r.*, k.label FROM resolutions r LEFT JOIN api_keys k ON k.id = r.api_key_id
         WHERE r.enrollment_id = $1 ORDER BY r.id LIMIT 1000",
    )
    .bind(enrollment.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(shown_of).collect()
}

fn shown_of(row: &AnyRow) -> Result<ResolutionShown> {
    let resolution = Resolution {
        id: row.id("id")?,
        account_id: row.id("account_id")?,
        enrollment_id: row.id("enrollment_id")?,
        send_id: row.id("send_id")?,
        resolved_as: row.word("resolved_as", ResolvedAs::parse)?,
        api_key_id: row.opt_id("api_key_id")?,
        at: row.time("at")?,
    };
    Ok(ResolutionShown { resolution, api_key_label: row.opt_text("label")? })
}
