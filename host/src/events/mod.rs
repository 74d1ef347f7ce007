//! The outbox on its way to the customers' apps: events that have no place in the stream yet get theirs, and deliveries to
//! the webhooks that ask for them are made, signed, in order per subject, again until they are taken. What happened is decided
//! elsewhere; here it is only told.

mod delivery;
mod sequence;
mod sign;
mod turns;

#[cfg(test)]
mod tests;

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::rounds::{self, Next};
use crate::store::{StoreError, deliveries};
use crate::wake::Wake;

pub use sequence::KEPT_FOR;
pub use sign::{BadSecret, signature};

/// Webhooks that [`step`] delivers to side by side.
const MOST_WEBHOOKS: usize = 64;
/// Without a bell the outbox is looked into this often: another node may have written, or died with a lease.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// What is written within so short a time gets its places in one transaction: a commit for each event would cost as much
/// as its fact.
const GATHER: Duration = Duration::from_millis(30);
const SWEEP_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Tells of events until `shutdown`.
pub async fn run(app: App, shutdown: CancellationToken) {
    // Its own task, so that no delivery waits for the sequencer and no event for a slow endpoint.
    let bell = std::sync::Arc::new(tokio::sync::Notify::new());
    let deliverer = turns::run(app.clone(), shutdown.clone(), std::sync::Arc::clone(&bell));
    let sweeper = sweep(app.clone(), shutdown.clone());
    let sequencer = async {
        let round = || async {
            let sequenced = sequence::step(&app).await?;
            bell.notify_one();
            let more = sequenced >= sequence::MOST_EVENTS;
            Ok::<_, StoreError>(if more { Next::Now } else { Next::At(app.clock.now().plus(LOOK_AGAIN)) })
        };
        let bell = || async {
            app.store.wakeups().wait(Wake::Events).await;
            // Real time: it is for the disk's sake.
            tokio::time::sleep(GATHER).await;
        };
        rounds::keep("events", &app.clock, &shutdown, round, bell).await;
    };
    tokio::join!(sequencer, deliverer, sweeper);
}

/// Gives waiting events their places and makes every delivery that is due, once; how many were tried.
pub async fn step(app: &App) -> Result<usize, StoreError> {
    sequence::step(app).await?;
    let mut attempted = 0;
    loop {
        let due = deliveries::with_pending(&mut *app.store.read().await?, app.clock.now()).await?;
        let turns = futures_util::stream::iter(due).map(|webhook| delivery::take_turn(app, webhook));
        let tried: Vec<_> = turns.buffer_unordered(MOST_WEBHOOKS).collect().await;
        let tried = tried.into_iter().sum::<Result<usize, _>>()?;
        if tried == 0 {
            return Ok(attempted);
        }
        attempted += tried;
    }
}

/// Forgets what the contract no longer promises, once a day.
async fn sweep(app: App, shutdown: CancellationToken) {
    let round = || async {
        let swept = sequence::sweep(&app).await?;
        Ok::<_, StoreError>(if swept { Next::Now } else { Next::At(app.clock.now().plus(SWEEP_EVERY)) })
    };
    rounds::keep("events", &app.clock, &shutdown, round, std::future::pending::<()>).await;
}
