//! The outbox on its way to the customers' apps: events get their place in the stream, are planned for the webhooks that
//! ask for them, and are delivered signed, in order per subject, again until they are taken. What happened is decided
//! elsewhere; here it is only told.

mod delivery;
mod sequence;
mod sign;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::domain::Timestamp;
use crate::domain::ids::WebhookId;
use crate::rounds::{self, Next};
use crate::store::{StoreError, webhooks};
use crate::wake::Wake;

pub use sign::{BadSecret, signature};

/// Webhooks that are delivered to side by side.
const MOST_WEBHOOKS: usize = 64;
/// Without a bell the outbox is looked into this often: another node may have written, or died with a lease.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
const SWEEP_EVERY: Duration = Duration::from_secs(24 * 3600);

/// What one [`step`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Events that got their place.
    pub sequenced: usize,
    /// Deliveries that were tried.
    pub attempted: usize,
}

/// Tells of events until `shutdown`.
pub async fn run(app: App, shutdown: CancellationToken) {
    // Its own task, so that no delivery waits for the sequencer and no event for a slow endpoint.
    let bell = std::sync::Arc::new(tokio::sync::Notify::new());
    let deliverer = deliver(app.clone(), shutdown.clone(), std::sync::Arc::clone(&bell));
    let sweeper = sweep(app.clone(), shutdown.clone());
    let sequencer = async {
        let round = || async {
            let sequenced = sequence::step(&app).await?;
            bell.notify_one();
            let more = sequenced >= sequence::MOST_EVENTS;
            Ok::<_, StoreError>(if more { Next::Now } else { Next::At(app.clock.now().plus(LOOK_AGAIN)) })
        };
        rounds::keep("events", &app.clock, &shutdown, round, || app.store.wakeups().wait(Wake::Events)).await;
    };
    tokio::join!(sequencer, deliverer, sweeper);
}

/// Gives waiting events their places and makes every delivery that is due, once.
pub async fn step(app: &App) -> Result<Outcome, StoreError> {
    let sequenced = sequence::step(app).await?;
    let mut attempted = 0;
    loop {
        let due = webhooks::with_pending(&mut *app.store.read().await?, app.clock.now()).await?;
        let turns = futures_util::stream::iter(due).map(|webhook| delivery::take_turn(app, webhook));
        let tried: Vec<_> = turns.buffer_unordered(MOST_WEBHOOKS).collect().await;
        let tried = tried.into_iter().sum::<Result<usize, _>>()?;
        if tried == 0 {
            return Ok(Outcome { sequenced, attempted });
        }
        attempted += tried;
    }
}

/// One task for each webhook that has something due, so that a slow endpoint delays no other.
async fn deliver(app: App, shutdown: CancellationToken, bell: std::sync::Arc<tokio::sync::Notify>) {
    let mut tasks: JoinSet<(WebhookId, Result<usize, StoreError>)> = JoinSet::new();
    let mut busy = HashSet::new();
    let mut last_started = None;
    let mut failures = 0;
    while !shutdown.is_cancelled() {
        let next = match start_due(&app, &mut tasks, &mut busy, &mut last_started).await {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "Due deliveries could not be looked for");
                app.clock.now().plus(LOOK_AGAIN)
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = bell.notified() => {}
            () = app.clock.sleep_until(next) => {}
            Some(ended) = tasks.join_next() => {
                let failed = reap(ended, &mut busy);
                failures = if failed { failures + 1 } else { 0 };
                if failed {
                    // The same webhook would be started again at once, and fail at once.
                    let pause = rounds::pause(failures, Duration::from_secs(1), Duration::from_secs(60));
                    let _ = shutdown.run_until_cancelled(app.clock.sleep(pause)).await;
                }
            }
        }
    }
    // What is on its way is given up: its lease ends soon, and telling twice is allowed where telling never is not.
}

/// In the order of their ids, beginning behind the one that was started last: whoever has had a turn waits until all
/// others have had theirs.
fn in_turn(mut due: Vec<WebhookId>, last_started: Option<WebhookId>) -> Vec<WebhookId> {
    due.sort_unstable();
    let next = due.partition_point(|id| Some(*id) <= last_started);
    due.rotate_left(next);
    due
}

/// Starts a task for each webhook with something due that has none. Gives the time to look again.
async fn start_due(
    app: &App,
    tasks: &mut JoinSet<(WebhookId, Result<usize, StoreError>)>,
    busy: &mut HashSet<WebhookId>,
    last_started: &mut Option<WebhookId>,
) -> Result<Timestamp, StoreError> {
    let now = app.clock.now();
    let mut conn = app.store.read().await?;
    let due = webhooks::with_pending(&mut conn, now).await?;
    for webhook in in_turn(due, *last_started) {
        if busy.len() < MOST_WEBHOOKS && busy.insert(webhook) {
            *last_started = Some(webhook);
            let app = app.clone();
            tasks.spawn(async move { (webhook, delivery::take_turn(&app, webhook).await) });
        }
    }
    let next = webhooks::next_try_after(&mut conn, now).await?;
    let look_again = now.plus(LOOK_AGAIN);
    Ok(next.map_or(look_again, |next| next.min(look_again)))
}

/// Whether a task ended by an error.
fn reap(
    ended: Result<(WebhookId, Result<usize, StoreError>), tokio::task::JoinError>,
    busy: &mut HashSet<WebhookId>,
) -> bool {
    match ended {
        Ok((webhook, result)) => {
            busy.remove(&webhook);
            let Err(error) = result else { return false };
            tracing::warn!(webhook.id = %webhook, error = &error as &dyn std::error::Error, "Deliveries were interrupted");
        }
        Err(error) => {
            // Which one it was is not told: all may be started again, and the leases keep apart what is on its way.
            busy.clear();
            tracing::error!(%error, "A delivery ended by a panic");
        }
    }
    true
}

/// Forgets what the contract no longer promises, once a day.
async fn sweep(app: App, shutdown: CancellationToken) {
    let round = || async {
        let swept = sequence::sweep(&app).await?;
        Ok::<_, StoreError>(if swept { Next::Now } else { Next::At(app.clock.now().plus(SWEEP_EVERY)) })
    };
    rounds::keep("events", &app.clock, &shutdown, round, std::future::pending::<()>).await;
}
