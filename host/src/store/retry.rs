//! One small write that stands in nobody's way for long: where the database undoes it for another's sake, it is made again.

use std::time::Duration;

use super::{Result, Store, Tx, Writing};

/// Tries in all. Conflicts of three in a row are rare already.
const MOST_TRIES: u32 = 5;
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);

impl Store {
    /// Runs `job` in a transaction of its own, and again where another transaction was in the way (a deadlock, on
    /// PostgreSQL): a job must be able to run twice. Other errors are told at once.
    pub async fn write<T, F>(&self, job: F) -> Result<T>
    where
        F: for<'a> Fn(&'a mut Tx) -> Writing<'a, T> + Send + Sync,
    {
        let mut tries = 1;
        loop {
            let mut tx = self.begin().await?;
            let written = match job(&mut tx).await {
                Ok(value) => tx.commit().await.map(|()| value),
                Err(error) => {
                    // Its locks are given back before anybody tries again.
                    let undone = tx.rollback().await;
                    if error.is_conflict() { Err(error) } else { undone.and(Err(error)) }
                }
            };
            match written {
                Err(error) if error.is_conflict() && tries < MOST_TRIES => {
                    tokio::time::sleep(SHORTEST_PAUSE * rand::random_range(1..=1 << tries)).await;
                    tries += 1;
                }
                ended => return ended,
            }
        }
    }
}
