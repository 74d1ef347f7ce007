//! The numbered migrations. A shipped one is never edited; the next change is the next number.

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr};

use super::{Conn, Dialect, Result, StoreError};

const NUMBERED: &[(i64, &str, &str)] = &[
    (1, "accounts", include_str!("../../migrations/0001_accounts.sql")),
    (2, "campaigns", include_str!("../../migrations/0002_campaigns.sql")),
    (3, "credentials", include_str!("../../migrations/0003_credentials.sql")),
    (4, "contacts", include_str!("../../migrations/0004_contacts.sql")),
    (5, "enrollments and ledger", include_str!("../../migrations/0005_enrollments_and_ledger.sql")),
    (6, "inbox and inbound", include_str!("../../migrations/0006_inbox_and_inbound.sql")),
    (7, "events", include_str!("../../migrations/0007_events.sql")),
    (8, "extensions", include_str!("../../migrations/0008_extensions.sql")),
    (9, "idempotency", include_str!("../../migrations/0009_idempotency.sql")),
    (10, "usage", include_str!("../../migrations/0010_usage.sql")),
    (11, "deletions", include_str!("../../migrations/0011_deletions.sql")),
    (12, "events in order", include_str!("../../migrations/0012_events_in_order.sql")),
    (13, "plans and forecasts", include_str!("../../migrations/0013_plans_and_forecasts.sql")),
    (14, "extension files", include_str!("../../migrations/0014_extension_files.sql")),
    (15, "providers", include_str!("../../migrations/0015_providers.sql")),
    (16, "resolutions", include_str!("../../migrations/0016_resolutions.sql")),
    (17, "work in order", include_str!("../../migrations/0017_work_in_order.sql")),
    (18, "fewer writes a message", include_str!("../../migrations/0018_fewer_writes_a_message.sql")),
    (19, "once a message", include_str!("../../migrations/0019_once_a_message.sql")),
    (20, "domains of Message-IDs", include_str!("../../migrations/0020_domains_of_message_ids.sql")),
    (21, "last obeyed", include_str!("../../migrations/0021_last_obeyed.sql")),
    (22, "mailboxes that change", include_str!("../../migrations/0022_mailboxes_that_change.sql")),
    (23, "events as written", include_str!("../../migrations/0023_events_as_written.sql")),
];

/// Applies what is missing and gives the numbers that were applied.
pub(super) async fn run(conn: &mut Conn, dialect: Dialect) -> Result<Vec<i64>> {
    let before = applied(conn).await;
    migrator(dialect).run(conn).await.map_err(StoreError::Migration)?;
    Ok(NUMBERED.iter().map(|(number, ..)| *number).filter(|number| !before.contains(number)).collect())
}

fn migrator(dialect: Dialect) -> Migrator {
    let numbered = NUMBERED.iter().map(|(number, name, text)| {
        // What the two databases do not share: a word, and statements that one of them lacks.
        let text = match dialect {
            Dialect::Sqlite => text.replace("BYTEA", "BLOB"),
            Dialect::Postgres => text.replace("-- PostgreSQL: ", ""),
        };
        Migration::new(*number, (*name).into(), MigrationType::Simple, AssertSqlSafe(text).into_sql_str(), false)
    });
    Migrator::with_migrations(numbered.collect())
}

/// Empty on a new database, which has no such table yet.
async fn applied(conn: &mut Conn) -> Vec<i64> {
    sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(conn).await.unwrap_or_default()
}
