//! Connections that are lent out. The pool itself only knows that its time was up: why no connection was to be had is asked of
//! the database, with one more.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::any::AnyPoolOptions;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyPool, Connection as _, Transaction};
use tokio::time::timeout;

use super::{DatabaseUrl, SQLITE_READER_CACHE_KIB, prepare_connection};
use crate::store::{Conn, Dialect, Result, StoreError};

/// Between two questions why there is none.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// How long the answer may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::store) struct Pool {
    connections: AnyPool,
    question: Question,
}

/// Why is there none?
#[derive(Debug, Clone)]
struct Question {
    url: DatabaseUrl,
    most: u32,
    asked: Arc<Mutex<Option<Instant>>>,
}

impl Pool {
    /// Connects once, so that a database that is not there is told of.
    pub(super) async fn open(url: &DatabaseUrl, most: u32, patience: Duration) -> Result<Self> {
        let dialect = url.dialect();
        let options = AnyPoolOptions::new()
            .max_connections(most)
            .acquire_timeout(patience)
            // A file does not go away between two transactions, and asking costs as much as a statement.
            .test_before_acquire(dialect == Dialect::Postgres)
            .after_connect(move |conn, _| {
                Box::pin(async move { prepare_connection(conn, dialect, SQLITE_READER_CACHE_KIB).await })
            });
        let question = Question { url: url.clone(), most, asked: Arc::default() };
        match options.connect(&url.for_driver()).await {
            Ok(connections) => Ok(Self { connections, question }),
            // A server that refuses is given time to start; what it said is lost by then.
            Err(error @ sqlx::Error::PoolTimedOut) => {
                Err(StoreError::Unavailable(question.answer().await.unwrap_or(error)))
            }
            Err(error) => Err(StoreError::Unavailable(error)),
        }
    }

    pub(in crate::store) async fn acquire(&self) -> Result<PoolConnection<Any>> {
        self.lend(self.connections.acquire()).await
    }

    pub(in crate::store) async fn begin(&self) -> Result<Transaction<'static, Any>> {
        self.lend(self.connections.begin()).await
    }

    pub(super) async fn begin_with(&self, statement: &'static str) -> Result<Transaction<'static, Any>> {
        self.lend(self.connections.begin_with(statement)).await
    }

    pub(super) async fn close(&self) {
        self.connections.close().await;
    }

    /// The pool bounds the wait for a connection, and asks whether its server is there. What is said on it then is not cut
    /// off: a BEGIN that was sent and not heard would leave the next who has the connection in a transaction.
    async fn lend<T>(&self, lent: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
        let lent = lent.await;
        if matches!(lent, Err(sqlx::Error::PoolTimedOut)) {
            self.question.ask();
        }
        Ok(lent?)
    }
}

impl Question {
    /// Looks for the answer beside, and logs it; not each time, as many wait where one does.
    fn ask(&self) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.is_some_and(|at| at.elapsed() < ASK_AGAIN) {
            return;
        }
        *asked = Some(Instant::now());
        drop(asked);
        let question = self.clone();
        tokio::spawn(async move { question.log().await });
    }

    async fn log(&self) {
        match self.answer().await {
            Some(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "No connection to the database is to be had");
            }
            None => tracing::warn!(
                connections = self.most,
                "All connections to the database are in use; raise database_connections if that stays so"
            ),
        }
    }

    /// What the database says to one more connection; none: it takes it.
    async fn answer(&self) -> Option<sqlx::Error> {
        let connecting = async {
            let mut conn = Conn::connect(&self.url.for_driver()).await?;
            prepare_connection(&mut conn, self.url.dialect(), SQLITE_READER_CACHE_KIB).await?;
            conn.close().await
        };
        match timeout(ANSWERED_WITHIN, connecting).await {
            Ok(connected) => connected.err(),
            Err(_) => Some(io::Error::new(io::ErrorKind::TimedOut, "it is silent").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[tokio::test]
    async fn a_database_that_is_not_there_is_told_in_the_drivers_words() {
        sqlx::any::install_default_drivers();
        // Nobody listens there.
        let url = DatabaseUrl::parse("postgres://ampout@127.0.0.1:9/ampout").unwrap();
        let StoreError::Unavailable(error) = Pool::open(&url, 4, Duration::from_millis(300)).await.unwrap_err() else {
            panic!("it is to be had");
        };
        assert!(error.to_string().to_lowercase().contains("refused"), "{error}");
    }

    #[tokio::test]
    async fn connections_that_are_all_in_use_are_no_fault_of_the_database() {
        sqlx::any::install_default_drivers();
        let folder = TempDir::new().unwrap();
        let url = DatabaseUrl::sqlite_file(&folder.path().join("ampout.db"));
        let pool = Pool::open(&url, 1, Duration::from_millis(100)).await.unwrap();
        let lent = pool.acquire().await.unwrap();
        let refused = pool.acquire().await.unwrap_err();
        assert!(matches!(refused, StoreError::Unavailable(sqlx::Error::PoolTimedOut)), "{refused}");
        assert!(pool.question.answer().await.is_none());
        drop(lent);
        pool.acquire().await.unwrap();
    }
}
