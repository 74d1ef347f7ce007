//! Whether the database takes writes: a disk that is full and a standby answer all that is read. It is found out by a write,
//! when somebody asks and the last one is some seconds old.

use std::error::Error as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::Store;
use crate::store::{Result, meta};

/// Between two writes.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// A write that takes longer has failed. A claim, an import's chunk and what waits before them take less.
const LONGEST: Duration = Duration::from_secs(15);
/// Who asks waits no longer for one; the next is told.
const WAITS: Duration = Duration::from_secs(1);
/// The row that is written.
const NAME: &str = "writable";

#[derive(Debug, Default)]
pub(super) struct Writable(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    begun: Option<Instant>,
    is_under_way: bool,
    failure: Option<Arc<str>>,
}

impl Store {
    /// Why the database did not take the last write that was tried; none: it did.
    pub async fn write_failure(&self) -> Option<Arc<str>> {
        if self.writable.seen().begins() {
            let store = self.clone();
            let trying = tokio::spawn(async move { store.try_to_write().await });
            // It goes on by itself.
            let _ = timeout(WAITS, trying).await;
        }
        self.writable.seen().failure.clone()
    }

    async fn try_to_write(&self) {
        let failure = match timeout(LONGEST, self.write_a_row()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(match error.source() {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            }),
            Err(_) => Some(format!("a write took longer than {LONGEST:?}")),
        };
        let mut seen = self.writable.seen();
        seen.failure = failure.map(Into::into);
        seen.is_under_way = false;
    }

    async fn write_a_row(&self) -> Result<()> {
        let mut tx = self.begin().await?;
        // Another value each time: a database may write nothing for one that stands.
        meta::set(tx.conn(), NAME, &format!("{:016x}", rand::random::<u64>())).await?;
        tx.commit().await
    }
}

impl Writable {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Whether it is time for another, which then is this caller's to make.
    fn begins(&mut self) -> bool {
        // One that was under way for so long has ended without saying so.
        let pause = if self.is_under_way { LONGEST + TRY_AGAIN } else { TRY_AGAIN };
        let begins = self.begun.is_none_or(|begun| begun.elapsed() >= pause);
        if begins {
            self.begun = Some(Instant::now());
            self.is_under_way = true;
        }
        begins
    }
}

#[cfg(test)]
mod tests {
    use super::super::Writers;
    use crate::test_support::TestApp;

    /// What a full disk or a standby does to all writes.
    async fn refuse_writes(app: &TestApp, statement: &'static str) {
        let Writers::Sqlite(writer) = &app.store.writers else { panic!("it is a file") };
        sqlx::raw_sql(statement).execute(writer.turn().await.unwrap().conn()).await.unwrap();
        app.store.writable.seen().begun = None;
    }

    #[tokio::test]
    async fn a_database_that_takes_no_writes_is_known_until_it_takes_them() {
        let app = TestApp::start().await;
        assert_eq!(app.store.write_failure().await, None);
        refuse_writes(&app, "PRAGMA query_only = ON").await;
        let failure = app.store.write_failure().await.unwrap();
        assert!(failure.contains("readonly"), "{failure}");
        assert_eq!(app.store.write_failure().await.as_deref(), Some(&*failure), "what was found stands for a while");
        refuse_writes(&app, "PRAGMA query_only = OFF").await;
        assert_eq!(app.store.write_failure().await, None);
    }
}
