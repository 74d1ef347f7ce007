//! What one node tells the others: bells that ring in every process on the same PostgreSQL, by `NOTIFY` in the transaction
//! that rings them, so that they are heard when it commits. One connection of a process listens. A notice that is lost
//! costs the wait until the next look; SQLite has one process, and nobody to tell.
//!
//! `LISTEN` needs a connection of its own for as long as the process lives: a pooler that lends connections for one
//! transaction (PgBouncer's transaction mode) loses notices.

use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio_util::sync::CancellationToken;

use super::{Conn, DatabaseUrl, Dialect, Result, Store};
use crate::wake::{Wake, Wakeups};

const CHANNEL: &str = "ampout";
/// Between two tries to reach the database.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Tells the other nodes of those of the bells that are theirs, too: once for each bell and transaction.
pub(super) async fn tell(conn: &mut Conn, sender: &str, wakes: &[Wake]) -> Result<()> {
    for word in wakes.iter().filter_map(|wake| wake.told_as()) {
        sqlx::query("SELECT pg_notify($1, $2)")
            .bind(CHANNEL)
            .bind(format!("{word} {sender}"))
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Rings this process's bells when other nodes tell of them, until `shutdown`.
pub async fn listen(store: Store, url: DatabaseUrl, shutdown: CancellationToken) {
    if url.dialect() == Dialect::Sqlite {
        return shutdown.cancelled().await;
    }
    while !shutdown.is_cancelled() {
        let error = shutdown.run_until_cancelled(hear(&store, &url)).await;
        if let Some(Err(error)) = error {
            tracing::warn!(%error, "The notices of other nodes can't be heard; what they write is looked for");
            let _ = shutdown.run_until_cancelled(tokio::time::sleep(TRY_AGAIN)).await;
        }
    }
}

/// One connection, until it is lost.
async fn hear(store: &Store, url: &DatabaseUrl) -> sqlx::Result<()> {
    let mut listener = PgListener::connect(url.for_driver().as_str()).await?;
    listener.listen(CHANNEL).await?;
    // Nobody was listening until now: something may have been told.
    ring_all(store.wakeups());
    while let Some(notice) = listener.try_recv().await? {
        if let Some(wake) = read(notice.payload(), store.sender()) {
            store.wakeups().ring(wake);
        }
    }
    Ok(())
}

/// The bell that a notice of another process is about. What a newer version may tell beside is none of ours.
fn read(notice: &str, own: &str) -> Option<Wake> {
    let (word, sender) = notice.split_once(' ')?;
    let wake = Wake::OF_ALL_NODES.into_iter().find(|wake| wake.told_as() == Some(word))?;
    (sender != own).then_some(wake)
}

fn ring_all(wakeups: &Wakeups) {
    Wake::OF_ALL_NODES.into_iter().for_each(|wake| wakeups.ring(wake));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_hears_the_others_and_neither_itself_nor_what_it_does_not_know() {
        assert_eq!(read("dispatch b", "a"), Some(Wake::Dispatch));
        assert_eq!(read("bindings b", "a"), Some(Wake::Bindings));
        for unheard in ["dispatch a", "events b", "of tomorrow b", "dispatch", ""] {
            assert_eq!(read(unheard, "a"), None, "{unheard:?}");
        }
        for wake in Wake::OF_ALL_NODES {
            assert!(wake.told_as().is_some());
        }
    }
}
