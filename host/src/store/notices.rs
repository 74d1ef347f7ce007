//! What one node tells the others: PostgreSQL's `NOTIFY`, heard by those that listen when the transaction commits. A notice
//! that is lost costs the wait until the next look; SQLite has one process, and nobody to tell.

use std::time::Duration;

use sqlx::postgres::PgListener;

use super::{DatabaseUrl, Dialect, Result, Tx};

/// Between two tries to reach the database.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Notices of one channel.
pub struct Notices {
    url: Option<DatabaseUrl>,
    channel: &'static str,
    listener: Option<PgListener>,
}

impl Tx {
    /// Tells all who listen, once this is committed.
    pub async fn notify(&mut self, channel: &str) -> Result<()> {
        if self.dialect() == Dialect::Postgres {
            sqlx::query("SELECT pg_notify($1, '')").bind(channel).execute(self.conn()).await?;
        }
        Ok(())
    }
}

impl Notices {
    /// Those of `channel`. The connection is made when the first is waited for.
    pub fn on(url: &DatabaseUrl, channel: &'static str) -> Self {
        let url = (url.dialect() == Dialect::Postgres).then(|| url.clone());
        Self { url, channel, listener: None }
    }

    /// Waits for the next; after a connection was made or lost there may have been one. On SQLite there never is.
    pub async fn next(&mut self) {
        let Some(url) = &self.url else { return std::future::pending().await };
        if let Some(listener) = &mut self.listener {
            if listener.try_recv().await.is_err() {
                self.listener = None;
            }
            return;
        }
        loop {
            match listen(url, self.channel).await {
                Ok(listener) => {
                    self.listener = Some(listener);
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "The database's notices can't be listened to; changes are looked for");
                    tokio::time::sleep(TRY_AGAIN).await;
                }
            }
        }
    }
}

async fn listen(url: &DatabaseUrl, channel: &str) -> sqlx::Result<PgListener> {
    let mut listener = PgListener::connect(url.for_driver().as_str()).await?;
    listener.listen(channel).await?;
    Ok(listener)
}
