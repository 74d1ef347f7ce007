//! SQLite's one writer. Whoever waits for it is given it at once when it is free, in the order in which they came: a pool
//! of one would have a task of its own ask the connection whether it is well before each of them.
//!
//! Transactions are begun and ended by their own statements, which the driver knows nothing of, because these can go to the
//! database together with what is read and written: with each text that is handed over, the driver's thread and the caller
//! stand in line for a processor once more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sqlx::Connection as _;
use tokio::sync::{Mutex, OwnedMappedMutexGuard, OwnedMutexGuard};

use super::connect::prepare_connection;
use super::{Conn, Dialect, Result, StoreError, sqlite_kind};

/// Memory of its page cache in KiB: it goes over the ledger's indexes all the time.
const CACHE_KIB: u32 = 8192;
/// Between two tries to open a file that somebody else is opening.
const TRY_AGAIN: Duration = Duration::from_millis(50);
/// SQLite: "no transaction is active", for which it has no code but this (https://sqlite.org/rescode.html#error).
const NO_TRANSACTION: &str = "1";
/// SQLite: another process has the file.
const BUSY: u32 = 5;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct SqliteWriter {
    url: Arc<str>,
    patience: Duration,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Who holds it writes.
    place: Arc<Mutex<Place>>,
    /// Whether a transaction may have been left open: its future was dropped on the way.
    is_dirty: AtomicBool,
}

#[derive(Debug)]
enum Place {
    Open(Conn),
    /// Its connection could not undo what was left open; the next one opens another.
    Broken,
    Closed,
}

/// The writer, until this is dropped. What was begun and not committed is undone then.
#[derive(Debug)]
pub(super) struct Turn {
    // Let go before the one below looks at what was left.
    conn: OwnedMappedMutexGuard<Place, Conn>,
    cleaner: Cleaner,
}

/// Sees to it that what was left open is undone even if nobody writes next.
#[derive(Debug)]
struct Cleaner {
    writer: SqliteWriter,
    is_open: bool,
}

impl SqliteWriter {
    pub(super) async fn open(url: String, patience: Duration) -> Result<Self> {
        let conn = connect_to_new(&url, patience).await.map_err(StoreError::Unavailable)?;
        let shared = Shared { place: Arc::new(Mutex::new(Place::Open(conn))), is_dirty: AtomicBool::new(false) };
        Ok(Self { url: url.into(), patience, shared: Arc::new(shared) })
    }

    /// Waits for the writer.
    pub(super) async fn turn(&self) -> Result<Turn> {
        let place = Arc::clone(&self.shared.place).lock_owned();
        let mut place = tokio::time::timeout(self.patience, place).await.map_err(|_| sqlx::Error::PoolTimedOut)?;
        if matches!(*place, Place::Broken) {
            *place = Place::Open(connect(&self.url).await.map_err(StoreError::Unavailable)?);
        }
        if self.shared.is_dirty.load(Ordering::Acquire) {
            self.undo(&mut place).await?;
        }
        let conn = OwnedMutexGuard::try_map(place, |place| match place {
            Place::Open(conn) => Some(conn),
            Place::Broken | Place::Closed => None,
        });
        let conn = conn.map_err(|_| sqlx::Error::PoolClosed)?;
        Ok(Turn { conn, cleaner: Cleaner { writer: self.clone(), is_open: false } })
    }

    async fn undo(&self, place: &mut Place) -> Result<()> {
        if let Place::Open(conn) = place
            && let Err(error) = roll_back(conn).await
        {
            *place = Place::Broken;
            return Err(error.into());
        }
        self.shared.is_dirty.store(false, Ordering::Release);
        Ok(())
    }

    /// Closes it; whoever comes later is refused. The log is folded into the file.
    pub(super) async fn close(&self) {
        let place = std::mem::replace(&mut *self.shared.place.lock().await, Place::Closed);
        if let Place::Open(conn) = place
            && let Err(error) = conn.close().await
        {
            tracing::warn!(%error, "The database file was not closed in order");
        }
    }
}

impl Turn {
    pub(super) fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }

    /// What is handed over next begins a transaction.
    pub(super) fn begins(&mut self) {
        self.set_open(true);
    }

    /// Undoes what was begun.
    pub(super) async fn undo(&mut self) -> Result<()> {
        roll_back(&mut self.conn).await?;
        self.has_ended();
        Ok(())
    }

    /// It was committed.
    pub(super) fn has_ended(&mut self) {
        self.set_open(false);
    }

    fn set_open(&mut self, is_open: bool) {
        self.cleaner.is_open = is_open;
        self.cleaner.writer.shared.is_dirty.store(is_open, Ordering::Release);
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        if self.is_open
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let writer = self.writer.clone();
            runtime.spawn(async move {
                if let Err(error) = writer.turn().await {
                    tracing::debug!(error = &error as &dyn std::error::Error, "The next to write undoes it");
                }
            });
        }
    }
}

/// That there is nothing to undo is no error: it was committed, or SQLite has undone it by itself, as it does on a full disk.
async fn roll_back(conn: &mut Conn) -> sqlx::Result<()> {
    match sqlx::query("ROLLBACK").execute(conn).await {
        Err(error) if error.as_database_error().and_then(|error| error.code()).as_deref() == Some(NO_TRANSACTION) => {
            Ok(())
        }
        ended => ended.map(|_| ()),
    }
}

/// Another process that opens the same new file at once may be switching it to WAL: SQLite does not wait for that.
async fn connect_to_new(url: &str, patience: Duration) -> sqlx::Result<Conn> {
    let begun = Instant::now();
    loop {
        match connect(url).await {
            Err(error) if is_busy(&error) && begun.elapsed() < patience => tokio::time::sleep(TRY_AGAIN).await,
            ended => return ended,
        }
    }
}

fn is_busy(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| sqlite_kind(&error.code()?)) == Some(BUSY)
}

async fn connect(url: &str) -> sqlx::Result<Conn> {
    let mut conn = Conn::connect(url).await?;
    prepare_connection(&mut conn, Dialect::Sqlite, CACHE_KIB).await?;
    Ok(conn)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use crate::store::{DatabaseUrl, Store, StoreError, StoreOptions, meta};
    use crate::test_support::TestApp;
    use crate::wake::Wakeups;

    #[tokio::test]
    async fn what_is_dropped_on_the_way_is_undone_before_anybody_writes() {
        let app = TestApp::start().await;
        let mut tx = app.store.begin().await.unwrap();
        meta::set(tx.conn(), "dropped", "x").await.unwrap();
        // The next one waits already, and has the writer before it is cleaned up.
        let next = app.store.begin();
        tokio::pin!(next);
        assert!(next.as_mut().now_or_never().is_none());
        drop(tx);
        let mut tx = next.await.unwrap();
        assert_eq!(meta::get(tx.conn(), "dropped").await.unwrap(), None);
        meta::set(tx.conn(), "kept", "x").await.unwrap();
        tx.commit().await.unwrap();

        // A caller that goes away while its transaction begins.
        for _ in 0..20 {
            let begun = app.store.begin();
            tokio::pin!(begun);
            let _ = begun.as_mut().now_or_never();
            tokio::task::yield_now().await;
        }
        let mut tx = app.store.begin().await.unwrap();
        assert_eq!(meta::get(tx.conn(), "kept").await.unwrap().as_deref(), Some("x"));
        tx.rollback().await.unwrap();
    }

    #[tokio::test]
    async fn what_is_left_open_is_undone_though_nobody_writes_next() {
        let app = TestApp::start().await;
        let mut tx = app.store.begin().await.unwrap();
        meta::set(tx.conn(), "dropped", "x").await.unwrap();
        drop(tx);
        // Another process could not write for as long as this one's transaction were open.
        let url = DatabaseUrl::sqlite_file(&app.config.data_dir.join("ampout.db"));
        let other = Store::open(&url, &StoreOptions::default(), Wakeups::default()).await.unwrap();
        let mut tx = other.begin().await.unwrap();
        meta::set(tx.conn(), "other", "x").await.unwrap();
        tx.commit().await.unwrap();
    }

    #[tokio::test]
    async fn who_comes_after_the_end_is_refused() {
        let app = TestApp::start().await;
        app.store.close().await;
        assert!(matches!(app.store.begin().await, Err(StoreError::Unavailable(sqlx::Error::PoolClosed))));
    }
}
