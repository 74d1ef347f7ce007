//! Taking away what was deleted. A deletion marks its row at once, in one transaction with all that must not wait for the
//! sweep; from then on nobody is shown it, enrolled in it or mailed for it. What hangs on it is taken away in chunks, each a
//! transaction of its own that may be made again, until at last the row itself goes (see `crate::deletions`).
//!
//! Locks on PostgreSQL: a chunk waits for the counters of its one campaign while it holds nothing else, and passes over
//! every other row that somebody has at that moment. It waits for nobody who may wait for it.

mod campaigns;
mod contacts;
mod enrollments;

use super::row::RowExt;
use super::{Conn, Result};
use crate::domain::ids::{AccountId, CampaignId, ContactId, ContactImportId};

pub use campaigns::*;
pub use contacts::*;
pub use enrollments::*;

/// Something that is marked deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doomed {
    /// With its contacts and their enrollments.
    Import(ContactImportId),
    /// With its enrollments.
    Contact(ContactId),
    /// With its enrollments, steps and credentials.
    Campaign(CampaignId),
}

/// What marking something found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marked {
    /// It is marked now.
    Now,
    /// It was marked before, and is not all gone yet.
    Before,
    /// The account has no such thing.
    NotThere,
}

/// What is marked and not yet gone, of one account or of all; at most `limit` of each kind.
pub async fn doomed(conn: &mut Conn, account: Option<AccountId>, limit: i64) -> Result<Vec<Doomed>> {
    let account = account.map(|id| id.to_string());
    let mut found = Vec::new();
    let kinds = [
        "SELECT id FROM campaigns WHERE deleted_at IS NOT NULL AND ($1 IS NULL OR account_id = $1) ORDER BY id LIMIT $2",
        "SELECT id FROM contact_imports WHERE deleted_at IS NOT NULL AND ($1 IS NULL OR account_id = $1)
         ORDER BY id LIMIT $2",
        "SELECT id FROM contacts WHERE deleted_at IS NOT NULL AND ($1 IS NULL OR account_id = $1) ORDER BY id LIMIT $2",
    ];
    for (kind, sql) in kinds.into_iter().enumerate() {
        for row in sqlx::query(sql).bind(account.as_deref()).bind(limit).fetch_all(&mut *conn).await? {
            found.push(match kind {
                0 => Doomed::Campaign(row.id("id")?),
                1 => Doomed::Import(row.id("id")?),
                _ => Doomed::Contact(row.id("id")?),
            });
        }
    }
    Ok(found)
}
