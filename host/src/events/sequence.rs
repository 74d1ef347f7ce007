//! The sequencer: after the commit of its fact an event gets its place in the stream, and its deliveries are planned, in one
//! transaction. On SQLite that happened when it was written; what an older program left is found here.

use std::time::Duration;

use crate::app::App;
use crate::store::events::{self, After};
use crate::store::{StoreError, deliveries, webhooks};

/// Events of one transaction.
pub(super) const MOST_EVENTS: usize = 500;
/// How long events can be read by cursor, and deliveries be looked at.
pub const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
const MOST_SWEPT: i64 = 5_000;

/// Gives at most [`MOST_EVENTS`] their places; how many they were.
pub(super) async fn step(app: &App) -> Result<usize, StoreError> {
    if !events::any_unsequenced(&mut *app.store.read().await?).await? {
        return Ok(0);
    }
    let mut tx = app.store.begin().await?;
    let sequenced = events::sequence(&mut tx, i64::try_from(MOST_EVENTS).unwrap_or(i64::MAX)).await?;
    if sequenced.is_empty() {
        return Ok(0);
    }
    let mut writes = tx.writes();
    let webhooks = webhooks::enabled(&mut tx, sequenced.iter().map(|event| event.account_id).collect()).await?;
    deliveries::plan(&mut writes, &webhooks, &sequenced, After::Nothing, app.clock.now());
    writes.run(&mut tx).await?;
    tx.commit().await?;
    Ok(sequenced.len())
}

/// Forgets some of the events and deliveries that are older than a month; whether there may be more.
pub(super) async fn sweep(app: &App) -> Result<bool, StoreError> {
    let before = app.clock.now().minus(KEPT_FOR);
    let mut tx = app.store.begin().await?;
    let events = events::sweep(tx.conn(), before, MOST_SWEPT).await?;
    let deliveries = deliveries::sweep(tx.conn(), before, MOST_SWEPT).await?;
    tx.commit().await?;
    Ok(events.max(deliveries) >= MOST_SWEPT.unsigned_abs())
}
