//! Opening the database, and its transactions.

mod address;
mod pool;
mod writable;

use std::sync::Arc;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::pool::PoolConnection;

use super::group::Group;
use super::sqlite_writer::SqliteWriter;
use super::{Conn, Dialect, Result, migrations};
use crate::wake::Wakeups;

pub use address::DatabaseUrl;
use pool::Pool;
use writable::Writable;

/// SQLite: memory of one reader's page cache in KiB.
const SQLITE_READER_CACHE_KIB: u32 = 2048;
/// SQLite: pages of its log that are folded into the file at a time. Pages that are written often are folded once.
const SQLITE_CHECKPOINT_PAGES: u32 = 4000;
/// PostgreSQL: what becomes of a session whose node stands still, is cut off or has lost its power: its transaction holds rows
/// that all nodes share. No transaction of ours does anything between its statements that takes a second.
const POSTGRES_LONGEST_IDLE: &str = "SET idle_in_transaction_session_timeout = 10000";
/// The same while its node is told something or asks nothing. The settings of sockets are not had everywhere, and are nothing
/// to a socket of the file system.
const POSTGRES_LONGEST_SILENCE: &str = "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 3; \
                                        SET tcp_keepalives_count = 3; SET tcp_user_timeout = 15000";

/// How the database is used.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Connections for reading; PostgreSQL has twice as many, for writing, too. What the address says comes first.
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
    readers: Pool,
    writable: Arc<Writable>,
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
    Postgres(Pool),
}

/// A transaction that only reads.
pub type Snapshot = sqlx::Transaction<'static, sqlx::Any>;

impl Store {
    /// Connects; the schema is not touched (see [`Store::migrate`]).
    pub async fn open(url: &DatabaseUrl, options: &StoreOptions, wakeups: Wakeups) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let patience = options.acquire_timeout;
        let (readers, writers) = match url.dialect() {
            Dialect::Sqlite => {
                // The writer comes first: it switches the file to WAL before a reader opens it.
                let writer = SqliteWriter::open(url.for_driver(), patience).await?;
                let connections = url.connections().unwrap_or(options.connections);
                (Pool::open(url, connections, patience).await?, Writers::Sqlite(writer))
            }
            Dialect::Postgres => {
                let connections = url.connections().unwrap_or(options.connections * 2);
                let both = Pool::open(url, connections, patience).await?;
                if url.may_be_overheard() && is_in_plain_text(&both).await? {
                    tracing::warn!(
                        database = url.redacted(),
                        "The connection to the database is not encrypted; add sslmode=require or verify-full to \
                         database_url, or sslmode=disable where the network is yours"
                    );
                }
                (both.clone(), Writers::Postgres(both))
            }
        };
        let sender = format!("{:032x}", rand::random::<u128>()).into();
        Ok(Self { readers, writers, writable: Arc::default(), wakeups, sender, group: Arc::default() })
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
        self.readers.acquire().await
    }

    /// A connection on which everything that is read is of one moment, that of the first look.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let statement = match self.dialect() {
            Dialect::Sqlite => "BEGIN",
            Dialect::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        self.readers.begin_with(statement).await
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
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "The planner's statistics could not be refreshed"
            );
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
async fn look_at_some_rows(pool: &Pool) -> Result<()> {
    let mut tx = pool.begin().await?;
    let sql = "SET LOCAL default_statistics_target = 10; ANALYZE contacts, enrollments, sends";
    sqlx::raw_sql(sql).execute(&mut *tx).await?;
    Ok(tx.commit().await?)
}

/// Where the server does not say, nothing is said.
async fn is_in_plain_text(pool: &Pool) -> Result<bool> {
    let mut conn = pool.acquire().await?;
    let sql = "SELECT CAST(CASE WHEN ssl THEN 1 ELSE 0 END AS BIGINT) FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let is_encrypted: sqlx::Result<Option<i64>> = sqlx::query_scalar(sql).fetch_optional(&mut *conn).await;
    Ok(matches!(is_encrypted, Ok(Some(0))))
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
        Dialect::Postgres => "SET random_page_cost = 1.1; SET jit = off;".to_owned(),
    };
    sqlx::raw_sql(AssertSqlSafe(settings)).execute(&mut *conn).await?;
    if dialect == Dialect::Postgres {
        for settings in [POSTGRES_LONGEST_IDLE, POSTGRES_LONGEST_SILENCE] {
            match sqlx::raw_sql(settings).execute(&mut *conn).await {
                Ok(_) => {}
                // It is worth less than a connection.
                Err(sqlx::Error::Database(error)) => tracing::debug!(%error, settings, "The database lacks a setting"),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::store::meta;
    use crate::test_support::TestApp;

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
