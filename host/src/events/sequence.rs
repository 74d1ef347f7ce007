//! The sequencer: after the commit of its fact an event gets its place in the stream, and a delivery is planned for each
//! enabled webhook whose filters let it through, in one transaction.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::app::App;
use crate::domain::Timestamp;
use crate::domain::event::filter_matches;
use crate::domain::ids::AccountId;
use crate::store::events::Sequenced;
use crate::store::webhooks::Webhook;
use crate::store::{StoreError, Tx, deliveries, events, webhooks};

/// Events of one transaction.
pub(super) const MOST_EVENTS: usize = 500;
/// Deliveries of one statement.
const MOST_DELIVERIES: usize = 2_000;
/// How long events can be read by cursor, and deliveries be looked at.
pub const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
const MOST_SWEPT: i64 = 5_000;

/// Gives at most [`MOST_EVENTS`] their places; how many they were.
pub(super) async fn step(app: &App) -> Result<usize, StoreError> {
    let mut tx = app.store.begin().await?;
    let sequenced = events::sequence(&mut tx, i64::try_from(MOST_EVENTS).unwrap_or(i64::MAX)).await?;
    if sequenced.is_empty() {
        return Ok(0);
    }
    fan_out(&mut tx, &sequenced, app.clock.now()).await?;
    tx.commit().await?;
    Ok(sequenced.len())
}

async fn fan_out(tx: &mut Tx, sequenced: &[Sequenced], now: Timestamp) -> Result<(), StoreError> {
    let accounts: HashSet<AccountId> = sequenced.iter().map(|event| event.account_id).collect();
    let accounts: Vec<AccountId> = accounts.into_iter().collect();
    let mut by_account: HashMap<AccountId, Vec<Webhook>> = HashMap::new();
    for webhook in webhooks::enabled(tx, &accounts).await? {
        by_account.entry(webhook.account_id).or_default().push(webhook);
    }
    let asked_by = |event: &Sequenced| {
        let asks = |hook: &&Webhook| hook.event_filters.iter().any(|filter| filter_matches(filter, event.event_type));
        by_account.get(&event.account_id).into_iter().flatten().filter(asks).map(|hook| hook.id).collect::<Vec<_>>()
    };
    let planned: Vec<_> =
        sequenced.iter().flat_map(|event| asked_by(event).into_iter().map(move |hook| (hook, event))).collect();
    for some in planned.chunks(MOST_DELIVERIES) {
        deliveries::insert_many(tx, some, now).await?;
    }
    Ok(())
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
