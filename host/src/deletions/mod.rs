//! Sweeping away what is marked deleted, chunk by chunk, so that sending and all other writing goes on between. Whoever
//! deletes sweeps at once, for a while; the loop finishes what was left by a crash, by an impatient caller, or because a
//! message was just on its way.

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::domain::ids::{AccountId, CampaignId, ContactId, ContactImportId};
use crate::rounds::{self, Next};
use crate::store::deletions::{self, Doomed};
use crate::store::{Result, StoreError, contacts};
use crate::wake::Wake;

/// Contacts or enrollments of one transaction.
const CHUNK: usize = 500;
/// Deletions of each kind in one round.
const MOST_DOOMED: i64 = 100;
/// What is on its way is waited for this long before it is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Without a bell: another node may have marked something and died.
const LOOK_ANYHOW: Duration = Duration::from_secs(60);
/// How long a caller waits for the sweep of what it deleted.
const PATIENCE: Duration = Duration::from_secs(10);
const SWEEP_EVERY: Duration = Duration::from_secs(24 * 3600);
/// The law asks for thirty days in which an unsubscribe link works; mail is read later than that.
const DEPARTED_KEPT_FOR: Duration = Duration::from_secs(365 * 24 * 3600);
const MOST_SWEPT: i64 = 5_000;

/// Sweeps until `shutdown`.
pub async fn run(app: App, shutdown: CancellationToken) {
    let sweeping = async {
        let round = || async {
            let found = deletions::doomed(&mut *app.store.read().await?, None, MOST_DOOMED).await?;
            let mut is_left = false;
            let mut failed = None;
            for doomed in &found {
                match finish(&app, *doomed).await {
                    Ok(is_all) => is_left |= !is_all,
                    // One that can't be swept keeps no other waiting.
                    Err(error) => failed = Some(error),
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
            let wait = if is_left { LOOK_AGAIN } else { LOOK_ANYHOW };
            let is_full = !is_left && found.len() >= usize::try_from(MOST_DOOMED).unwrap_or(usize::MAX);
            Ok::<_, StoreError>(if is_full { Next::Now } else { Next::At(app.clock.now().plus(wait)) })
        };
        rounds::keep("deletions", &app.clock, &shutdown, round, || app.store.wakeups().wait(Wake::Deletions)).await;
    };
    let forgetting = async {
        let round = || async {
            let mut tx = app.store.begin().await?;
            let before = app.clock.now().minus(DEPARTED_KEPT_FOR);
            let swept = deletions::sweep_departed(tx.conn(), before, MOST_SWEPT).await?;
            tx.commit().await?;
            let more = swept >= MOST_SWEPT.unsigned_abs();
            Ok::<_, StoreError>(if more { Next::Now } else { Next::At(app.clock.now().plus(SWEEP_EVERY)) })
        };
        rounds::keep("deletions", &app.clock, &shutdown, round, std::future::pending::<()>).await;
    };
    tokio::join!(sweeping, forgetting);
}

/// Sweeps what a caller has just marked, for as long as a caller waits; the rest is the loop's.
pub async fn finish_soon(app: &App, doomed: Doomed) {
    match tokio::time::timeout(PATIENCE, finish(app, doomed)).await {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) | Err(_) => app.store.wakeups().ring(Wake::Deletions),
        Ok(Err(error)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "A deletion is finished later");
            app.store.wakeups().ring(Wake::Deletions);
        }
    }
}

/// Sweeps all that an account has deleted: what it imports next must not meet contacts that are going.
pub async fn finish_of(app: &App, account: AccountId) -> Result<()> {
    for doomed in deletions::doomed(&mut *app.store.read().await?, Some(account), MOST_DOOMED).await? {
        if matches!(doomed, Doomed::Import(_)) {
            finish(app, doomed).await?;
        }
    }
    Ok(())
}

/// Sweeps all that may go now; whether that was all.
pub async fn finish(app: &App, doomed: Doomed) -> Result<bool> {
    match doomed {
        Doomed::Import(id) => finish_import(app, id).await,
        Doomed::Contact(id) => sweep_contacts(app, &[id]).await,
        Doomed::Campaign(id) => finish_campaign(app, id).await,
    }
}

async fn finish_import(app: &App, id: ContactImportId) -> Result<bool> {
    let limit = i64::try_from(CHUNK).unwrap_or(i64::MAX);
    let mut after = None;
    let mut is_all = true;
    loop {
        let chunk = deletions::contacts_of_import(&mut *app.store.read().await?, id, after, limit).await?;
        let Some(last) = chunk.last() else { break };
        after = Some(*last);
        is_all &= sweep_contacts(app, &chunk).await?;
    }
    if is_all {
        let mut tx = app.store.begin().await?;
        deletions::take_import(tx.conn(), id).await?;
        tx.commit().await?;
    }
    Ok(is_all)
}

async fn sweep_contacts(app: &App, ids: &[ContactId]) -> Result<bool> {
    let dialect = app.store.dialect();
    let enrolled = contacts::enrollments_of(&mut *app.store.read().await?, dialect, ids).await?;
    for of_campaign in enrolled.chunk_by(|(one, _), (other, _)| one == other) {
        let enrollments: Vec<_> = of_campaign.iter().map(|(_, enrollment)| *enrollment).collect();
        for chunk in enrollments.chunks(CHUNK) {
            let mut tx = app.store.begin().await?;
            deletions::take_enrollments(&mut tx, of_campaign[0].0, chunk, app.clock.now()).await?;
            tx.commit().await?;
        }
    }
    let mut tx = app.store.begin().await?;
    let is_all = deletions::take_contacts(&mut tx, ids, app.clock.now()).await?;
    tx.commit().await?;
    Ok(is_all)
}

async fn finish_campaign(app: &App, id: CampaignId) -> Result<bool> {
    let limit = i64::try_from(CHUNK).unwrap_or(i64::MAX);
    let mut after = None;
    let mut is_all = true;
    loop {
        let chunk = deletions::enrollments_of_campaign(&mut *app.store.read().await?, id, after, limit).await?;
        let Some(last) = chunk.last() else { break };
        after = Some(*last);
        let mut tx = app.store.begin().await?;
        let taken = deletions::take_enrollments(&mut tx, id, &chunk, app.clock.now()).await?;
        tx.commit().await?;
        is_all &= taken == chunk.len();
    }
    if !is_all {
        return Ok(false);
    }
    loop {
        let mut tx = app.store.begin().await?;
        let taken = deletions::take_charges(&mut tx, id, limit).await?;
        if taken < limit.unsigned_abs() {
            deletions::take_campaign(&mut tx, id).await?;
            tx.commit().await?;
            return Ok(true);
        }
        tx.commit().await?;
    }
}
