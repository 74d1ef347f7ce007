//! The sequencer: after the commit of its fact an event gets its place in the stream, and a delivery is planned for each
//! enabled webhook whose filters let it through, in one transaction.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use crate::app::App;
use crate::domain::event::filter_matches;
use crate::domain::ids::AccountId;
use crate::store::webhooks::Webhook;
use crate::store::{StoreError, events, webhooks};

/// Events of one transaction.
pub(super) const MOST_EVENTS: usize = 500;
/// How long events can be read by cursor.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
const MOST_SWEPT: i64 = 5_000;

/// Gives at most [`MOST_EVENTS`] their places; how many they were.
pub(super) async fn step(app: &App) -> Result<usize, StoreError> {
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    let sequenced = events::sequence(&mut tx, i64::try_from(MOST_EVENTS).unwrap_or(i64::MAX)).await?;
    if sequenced.is_empty() {
        return Ok(0);
    }
    let mut by_account: HashMap<AccountId, Vec<Webhook>> = HashMap::new();
    for event in &sequenced {
        let hooks = match by_account.entry(event.account_id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(webhooks::enabled(tx.conn(), event.account_id).await?),
        };
        let asked = hooks
            .iter()
            .filter(|hook| hook.event_filters.iter().any(|filter| filter_matches(filter, event.event_type)));
        for hook in asked {
            webhooks::insert_delivery(tx.conn(), hook.id, event, now).await?;
        }
    }
    tx.commit().await?;
    Ok(sequenced.len())
}

/// Forgets some of the events and ended deliveries that are older than a month; whether there may be more.
pub(super) async fn sweep(app: &App) -> Result<bool, StoreError> {
    let before = app.clock.now().minus(KEPT_FOR);
    let mut tx = app.store.begin().await?;
    let events = events::sweep(tx.conn(), before, MOST_SWEPT).await?;
    let deliveries = webhooks::sweep(tx.conn(), before, MOST_SWEPT).await?;
    tx.commit().await?;
    Ok(events.max(deliveries) >= MOST_SWEPT.unsigned_abs())
}
