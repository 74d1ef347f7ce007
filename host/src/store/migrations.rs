//! The numbered migrations. A shipped one is never edited; the next change is the next number. One process at a time applies
//! them: PostgreSQL has a lock for that, which the driver takes; for SQLite, which has none, it is that of a file beside it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    (24, "contacts by domain", include_str!("../../migrations/0024_contacts_by_domain.sql")),
    (25, "former addresses", include_str!("../../migrations/0025_former_addresses.sql")),
    (26, "decisions that go", include_str!("../../migrations/0026_decisions_that_go.sql")),
    (27, "departed addresses", include_str!("../../migrations/0027_departed_addresses.sql")),
    (28, "failures of requests", include_str!("../../migrations/0028_failures_of_requests.sql")),
    (29, "what waits in order", include_str!("../../migrations/0029_what_waits_in_order.sql")),
];

/// Between two looks whether another process has migrated the file.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// The only encoding in which PostgreSQL stores whatever a name or a mail may hold.
const ENCODING: &str = "UTF8";

/// Applies what is missing and gives the numbers that were applied.
pub(super) async fn run(conn: &mut Conn, dialect: Dialect) -> Result<Vec<i64>> {
    // Held until all is applied, as closing the file gives it back.
    let _alone = match dialect {
        Dialect::Sqlite => alone(conn).await?,
        Dialect::Postgres => None,
    };
    let before = applied(conn).await;
    if dialect == Dialect::Postgres && before.is_empty() {
        check_encoding(conn).await?;
    }
    migrator(dialect, NUMBERED).run(conn).await.map_err(StoreError::Migration)?;
    Ok(NUMBERED.iter().map(|(number, ..)| *number).filter(|number| !before.contains(number)).collect())
}

/// Waits until no other process migrates the file, however long that takes: it is of no use before.
async fn alone(conn: &mut Conn) -> Result<Option<File>> {
    let sql = "SELECT CAST(file AS TEXT) FROM pragma_database_list WHERE name = 'main'";
    let database: Option<String> = sqlx::query_scalar(sql).fetch_optional(&mut *conn).await?;
    // One in memory is nobody else's.
    let Some(database) = database.filter(|file| !file.is_empty()) else { return Ok(None) };
    let path = PathBuf::from(format!("{database}.lock"));
    // It stays: who removed it might remove one that another has just locked.
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| unlockable(&path, &error))?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOOK_AGAIN).await,
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                tracing::warn!(file = %path.display(), "This file system has no locks; start one process after another");
                return Ok(None);
            }
            Err(TryLockError::Error(error)) => return Err(unlockable(&path, &error)),
        }
    }
}

fn unlockable(path: &Path, error: &io::Error) -> StoreError {
    let told = format!("{} can't be locked, make its folder writable: {error}", path.display());
    StoreError::Unavailable(io::Error::new(error.kind(), told).into())
}

/// An encoding can't be changed once there are rows, so it is refused before there are tables.
async fn check_encoding(conn: &mut Conn) -> Result<()> {
    let sql = "SELECT current_setting('server_encoding')";
    let encoding: String = sqlx::query_scalar(sql).fetch_one(&mut *conn).await?;
    if encoding == ENCODING { Ok(()) } else { Err(StoreError::WrongEncoding { encoding }) }
}

fn migrator(dialect: Dialect, numbered: &[(i64, &'static str, &str)]) -> Migrator {
    let numbered = numbered.iter().map(|(number, name, text)| {
        // What the two databases do not share: a word, and statements that one of them lacks.
        let text = match dialect {
            Dialect::Sqlite => text.replace("BYTEA", "BLOB").replace("-- SQLite: ", ""),
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

#[cfg(test)]
mod tests {
    use sqlx::{AnyConnection, Connection as _};

    use super::*;
    use crate::store::row::RowExt;
    use crate::store::{DatabaseUrl, Store, StoreOptions};
    use crate::wake::Wakeups;

    #[tokio::test]
    async fn a_new_file_that_many_open_at_once_is_migrated_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::sqlite_file(&folder.path().join("ampout.db"));
        let starts = (0..6).map(|_| async {
            let store = Store::open(&url, &StoreOptions::default(), Wakeups::default()).await.unwrap();
            store.migrate().await.unwrap()
        });
        let applied = futures_util::future::join_all(starts).await.concat();
        assert_eq!(applied, NUMBERED.iter().map(|(number, ..)| *number).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn contacts_of_before_are_there_when_the_table_was_made_anew() {
        sqlx::any::install_default_drivers();
        let mut conn = AnyConnection::connect("sqlite::memory:").await.unwrap();
        let before = &NUMBERED[..23];
        migrator(Dialect::Sqlite, before).run(&mut conn).await.unwrap();
        let insert = "INSERT INTO contacts (id, account_id, contact_import_id, email, email_key, domain, first_name,
                          unsubscribed_at, created_at, deleted_at)
                      VALUES ('1', 'a', 'i', 'Ada@x.test', 'ada@x.test', 'x.test', 'Ada', 7, 8, NULL),
                             ('2', 'a', 'i', 'bo@x.test', '2', 'x.test', NULL, NULL, 8, 9)";
        sqlx::query(insert).execute(&mut conn).await.unwrap();
        assert_eq!(run(&mut conn, Dialect::Sqlite).await.unwrap().first(), Some(&24));
        let rows = sqlx::query("SELECT * FROM contacts ORDER BY id").fetch_all(&mut conn).await.unwrap();
        let told = rows.iter().map(|row| (row.text("email").unwrap(), row.opt_int("deleted_at").unwrap()));
        assert_eq!(told.collect::<Vec<_>>(), [("Ada@x.test".to_owned(), None), ("bo@x.test".to_owned(), Some(9))]);
        let (name, opted_out) = (rows[0].opt_text("first_name").unwrap(), rows[0].opt_int("unsubscribed_at").unwrap());
        assert_eq!((name.as_deref(), opted_out), (Some("Ada"), Some(7)));
        let again = insert.replace("'1', 'a'", "'3', 'a'").replace("('2'", "('4'");
        let refused = sqlx::query(AssertSqlSafe(again)).execute(&mut conn).await.unwrap_err();
        assert!(refused.as_database_error().is_some_and(|error| error.is_unique_violation()), "{refused}");
    }
}
