//! Opening the database, and its transactions.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::AnyPool;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyPoolOptions;
use sqlx::pool::PoolConnection;

use super::group::Group;
use super::sqlite_writer::SqliteWriter;
use super::{Conn, Dialect, Result, StoreError, migrations};
use crate::wake::Wakeups;

/// SQLite: memory of one reader's page cache in KiB.
const SQLITE_READER_CACHE_KIB: u32 = 2048;
/// In the place of a password.
const HIDDEN: &str = "***";
/// SQLite: pages of its log that are folded into the file at a time. Pages that are written often are folded once.
const SQLITE_CHECKPOINT_PAGES: u32 = 4000;

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    dialect: Dialect,
    url: String,
}

/// How the database is used.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Connections for reading (and, on PostgreSQL, for writing, too).
    pub connections: u32,
    /// How long a caller waits for a connection before the database counts as gone.
    pub acquire_timeout: Duration,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { connections: 8, acquire_timeout: Duration::from_secs(10) }
    }
}

/// The door to the database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) writers: Writers,
    readers: AnyPool,
    pub(super) wakeups: Wakeups,
    /// What this process signs its notices with, so that it does not take them for another's.
    pub(super) sender: Arc<str>,
    pub(super) group: Arc<Group>,
}

/// Where transactions write.
#[derive(Debug, Clone)]
pub(super) enum Writers {
    /// SQLite has one writer at a time.
    Sqlite(SqliteWriter),
    Postgres(AnyPool),
}

/// A transaction that only reads.
pub type Snapshot = sqlx::Transaction<'static, sqlx::Any>;

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DatabaseUrl").field(&self.redacted()).finish()
    }
}

impl DatabaseUrl {
    /// Reads `sqlite:///path/to/file.db` or `postgres://…`.
    pub fn parse(text: &str) -> Result<Self> {
        let dialect = match text.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => Dialect::Sqlite,
            Some("postgres" | "postgresql") => Dialect::Postgres,
            _ => return Err(StoreError::BadUrl { given: without_password(text) }),
        };
        Ok(Self { dialect, url: text.to_owned() })
    }

    /// The SQLite file at `path`.
    pub fn sqlite_file(path: &Path) -> Self {
        Self { dialect: Dialect::Sqlite, url: format!("sqlite://{}", path.display()) }
    }

    /// Which database it is.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The file, where the database is one.
    pub fn sqlite_path(&self) -> Option<PathBuf> {
        let rest = self.url.strip_prefix("sqlite:")?.trim_start_matches("//");
        Some(PathBuf::from(rest.split('?').next().unwrap_or(rest)))
    }

    /// For people: without a password.
    pub fn redacted(&self) -> String {
        without_password(&self.url)
    }

    pub(super) fn for_driver(&self) -> String {
        match self.dialect {
            Dialect::Sqlite if self.url.contains('?') => format!("{}&mode=rwc", self.url),
            Dialect::Sqlite => format!("{}?mode=rwc", self.url),
            Dialect::Postgres => self.url.clone(),
        }
    }
}

impl Store {
    /// Connects; the schema is not touched (see [`Store::migrate`]).
    pub async fn open(url: &DatabaseUrl, options: &StoreOptions, wakeups: Wakeups) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let driver_url = url.for_driver();
        let pool = |connections: u32| {
            let dialect = url.dialect();
            AnyPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(options.acquire_timeout)
                // A file does not go away between two transactions, and asking costs as much as a statement.
                .test_before_acquire(dialect == Dialect::Postgres)
                .after_connect(move |conn, _| {
                    Box::pin(async move { prepare_connection(conn, dialect, SQLITE_READER_CACHE_KIB).await })
                })
        };
        let (readers, writers) = match url.dialect() {
            Dialect::Sqlite => {
                // The writer comes first: it switches the file to WAL before a reader opens it.
                let writer = SqliteWriter::open(driver_url.clone(), options.acquire_timeout).await?;
                (pool(options.connections).connect(&driver_url).await, Writers::Sqlite(writer))
            }
            Dialect::Postgres => {
                let both = pool(options.connections * 2).connect(&driver_url).await.map_err(StoreError::Unavailable)?;
                (Ok(both.clone()), Writers::Postgres(both))
            }
        };
        let readers = readers.map_err(StoreError::Unavailable)?;
        let sender = format!("{:032x}", rand::random::<u128>()).into();
        Ok(Self { readers, writers, wakeups, sender, group: Arc::default() })
    }

    /// Applies the numbered migrations that are not yet applied; gives their numbers.
    pub async fn migrate(&self) -> Result<Vec<i64>> {
        match &self.writers {
            Writers::Sqlite(writer) => migrations::run(writer.turn().await?.conn(), Dialect::Sqlite).await,
            Writers::Postgres(pool) => migrations::run(&mut *pool.acquire().await?, Dialect::Postgres).await,
        }
    }

    /// A connection to read with.
    pub async fn read(&self) -> Result<PoolConnection<sqlx::Any>> {
        Ok(self.readers.acquire().await?)
    }

    /// A connection on which everything that is read is of one moment, that of the first look.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let statement = match self.dialect() {
            Dialect::Sqlite => "BEGIN",
            Dialect::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        Ok(self.readers.begin_with(statement).await?)
    }

    /// Which database answers.
    pub fn dialect(&self) -> Dialect {
        match self.writers {
            Writers::Sqlite(_) => Dialect::Sqlite,
            Writers::Postgres(_) => Dialect::Postgres,
        }
    }

    /// The bells that commits ring.
    pub fn wakeups(&self) -> &Wakeups {
        &self.wakeups
    }

    pub(super) fn sender(&self) -> &str {
        &self.sender
    }

    /// Tells the planner what the tables hold now, after a bulk write. Until PostgreSQL looks by itself, which is a minute
    /// later, it takes a table that was just filled for an empty one, and reads all of it for each claim. A failure costs
    /// time, nothing else.
    pub async fn refresh_statistics(&self) {
        if let Writers::Postgres(pool) = &self.writers
            && let Err(error) = look_at_some_rows(pool).await
        {
            tracing::debug!(%error, "The planner's statistics could not be refreshed");
        }
    }

    /// Closes all connections; SQLite's log is folded into its file.
    pub async fn close(&self) {
        self.readers.close().await;
        if let Writers::Sqlite(writer) = &self.writers {
            writer.close().await;
        }
    }
}

/// Of a tenth of the rows that PostgreSQL would take: the caller waits for it, and all that matters is how many there are.
async fn look_at_some_rows(pool: &AnyPool) -> sqlx::Result<()> {
    let mut tx = pool.begin().await?;
    let sql = "SET LOCAL default_statistics_target = 10; ANALYZE contacts, enrollments, sends";
    sqlx::raw_sql(sql).execute(&mut *tx).await?;
    tx.commit().await
}

pub(super) async fn prepare_connection(conn: &mut Conn, dialect: Dialect, cache_kib: u32) -> sqlx::Result<()> {
    let settings = match dialect {
        // FULL: what the ledger says was about to be sent must survive a power cut; commits are grouped, so it costs
        // little. No mmap and a small cache: memory of many connections adds up.
        Dialect::Sqlite => format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000; \
             PRAGMA foreign_keys = ON; PRAGMA cache_size = -{cache_kib}; PRAGMA temp_store = MEMORY; \
             PRAGMA wal_autocheckpoint = {SQLITE_CHECKPOINT_PAGES};"
        ),
        // What is read here is named by its ids and is in memory, or on something without a moving head: as if each look
        // into an index cost four reads, the planner reads a whole table for a hundred rows.
        Dialect::Postgres => "SET random_page_cost = 1.1;".to_owned(),
    };
    sqlx::raw_sql(AssertSqlSafe(settings)).execute(conn).await?;
    Ok(())
}

/// What can't be read as an address may be a password, for all we know.
fn without_password(url: &str) -> String {
    let Ok(mut parsed) = url::Url::parse(url) else { return HIDDEN.to_owned() };
    if parsed.password().is_some() {
        // Only an address that can't have a password refuses one.
        let _ = parsed.set_password(Some(HIDDEN));
    }
    let parameters: Vec<_> = parsed.query_pairs().into_owned().collect();
    if parameters.iter().any(|(name, _)| name == "password") {
        let shown = parameters.iter().map(|(name, value)| (name, if name == "password" { HIDDEN } else { value }));
        parsed.query_pairs_mut().clear().extend_pairs(shown);
    }
    parsed.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::meta;
    use crate::test_support::TestApp;

    #[test]
    fn a_password_is_shown_nowhere() {
        for address in [
            "postgres://ampout:hunter2@db/ampout",
            "postgres://db/ampout?user=u&password=hunter2&sslmode=require",
            "postgres//u:hunter2@db/x",
            "mysql://u:hunter2@db/x",
        ] {
            let told = match DatabaseUrl::parse(address) {
                Ok(url) => format!("{url:?} {}", url.redacted()),
                Err(error) => error.to_string(),
            };
            assert!(!told.contains("hunter2"), "{told}");
        }
        let file = DatabaseUrl::parse("sqlite:///var/lib/ampout.db").unwrap();
        assert_eq!(file.redacted(), "sqlite:///var/lib/ampout.db");
    }

    #[tokio::test]
    async fn a_transaction_that_sqlite_ended_by_itself_leaves_a_store_that_can_write() {
        let app = TestApp::start().await;
        let mut tx = app.store.begin().await.unwrap();
        // What SQLite does when the disk is full, behind the driver's back.
        sqlx::raw_sql("ROLLBACK").execute(tx.conn()).await.unwrap();
        // Whoever undoes it is told of what had failed, and not that there is nothing to undo.
        tx.rollback().await.unwrap();
        let mut tx = app.store.begin().await.unwrap();
        sqlx::raw_sql("ROLLBACK").execute(tx.conn()).await.unwrap();
        drop(tx);
        let mut tx = app.store.begin().await.unwrap();
        meta::set(tx.conn(), "after", "x").await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(meta::get(&mut app.store.read().await.unwrap(), "after").await.unwrap().as_deref(), Some("x"));
    }
}
