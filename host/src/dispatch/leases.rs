//! The leases under which a node holds sends: its own are extended while it works, and those that ended belonged to a node
//! that died.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::held::Held;
use super::lasting::Lasting;
use super::turns::Turns;
use crate::app::App;
use crate::domain::ids::SendId;
use crate::store::sends::{self, Lease};
use crate::store::{self, facts};
use crate::wake::Wake;

/// Sends of dead nodes are looked for this often, by an idle node, too: with the lease it is how long a dead node's work lies.
const RECOVER_AGAIN: Duration = Duration::from_secs(2);
const MOST_RECOVERED: i64 = 500;

/// Frees the sends of dead nodes for as long as it is let, beside the rounds, of which one may take long.
pub(super) async fn free_those_of_the_dead(app: App, held: Held) {
    let mut recovering = Lasting::default();
    loop {
        match recover(&app, &held).await {
            Ok(freed) => {
                recovering.works(Instant::now());
                if freed > 0 {
                    app.store.wakeups().ring(Wake::Dispatch);
                }
            }
            Err(error) if recovering.fails(Instant::now()) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "Freeing the sends of dead nodes failed");
            }
            Err(_) => {}
        }
        app.clock.sleep(RECOVER_AGAIN).await;
    }
}

/// Leases that ended belonged to a node that died. Gives how many sends are due again.
async fn recover(app: &App, held: &Held) -> store::Result<usize> {
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    // After a step of the clock our own leases look ended, too.
    let lease = Lease { owner: app.node, until: now.plus(app.lease()) };
    sends::extend_leases(&mut tx, &held.ids(), lease).await?;
    let (freed, in_doubt) = sends::recover_expired(&mut tx, now, MOST_RECOVERED).await?;
    facts::doubt::left_behind(&mut tx, &in_doubt, now).await?;
    facts::delivery::release_all(&mut tx, &freed).await?;
    tx.commit().await?;
    if !in_doubt.is_empty() {
        tracing::warn!(sends = in_doubt.len(), "Sends are in doubt: a node stopped while it was sending them");
    }
    Ok(freed.len())
}

/// Holds on to what is being worked on, for as long as it takes.
pub(super) async fn keep(app: App, held: Held, turns: Turns, shutdown: CancellationToken) {
    let mut extending = Lasting::default();
    loop {
        app.clock.sleep(app.lease() / 3).await;
        app.smtp.close_idle().await;
        turns.forget_idle();
        let ids = held.ids();
        if ids.is_empty() {
            if shutdown.is_cancelled() {
                return;
            }
            continue;
        }
        let lease = Lease { owner: app.node, until: app.clock.now().plus(app.lease()) };
        match extend(&app, &ids, lease).await {
            Ok(()) => {
                extending.works(Instant::now());
            }
            Err(error) if extending.fails(Instant::now()) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "Leases could not be extended");
            }
            Err(_) => {}
        }
    }
}

async fn extend(app: &App, ids: &[SendId], lease: Lease) -> store::Result<()> {
    let mut tx = app.store.begin().await?;
    sends::extend_leases(&mut tx, ids, lease).await?;
    tx.commit().await
}
