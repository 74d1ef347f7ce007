//! Are these bounces too many? The bounce policy is asked about each credential that something happened to, and what it
//! decides is done: a credential is disabled or throttled, and with the last one its campaign paused. The counters are
//! kept elsewhere; here they are only read.

mod stats;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::domain::Timestamp;
use crate::domain::campaign::Campaign;
use crate::domain::credential::Credential;
use crate::domain::status::Hook;
use crate::extensions::hooks::bounce::Judgement;
use crate::extensions::{Author, CallScope, Decided};
use crate::rounds::{self, Next};
use crate::store::decisions::{self, Decision};
use crate::store::facts::campaign::disable_credential;
use crate::store::{Result, StoreError, Tx, campaigns, counters, credentials};
use crate::wake::Wake;

/// Credentials that are judged in one round.
const MOST_CREDENTIALS: i64 = 50;
const SWEEP_EVERY: Duration = Duration::from_secs(24 * 3600);
/// The longest window that a policy is given, and a day to spare.
const SLOTS_KEPT_FOR: Duration = Duration::from_secs(8 * 24 * 3600);
/// A policy says the same of the same credential many times a day, a gate may be asked of each message, and an adapter's
/// requests go after a month, too (`inbound/`). What was made of a reply stays with it.
const DECISIONS_KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
const MOST_SWEPT: i64 = 5_000;

/// What one [`step`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Credentials that the policy was asked about.
    pub judged: usize,
    /// Those of them that were disabled.
    pub disabled: usize,
    /// Those of them that were throttled.
    pub throttled: usize,
}

/// Judges until `shutdown`.
pub async fn run(app: App, shutdown: CancellationToken) {
    let judging = async {
        let round = || async {
            let outcome = step(&app).await?;
            if outcome.judged >= usize::try_from(MOST_CREDENTIALS).unwrap_or(usize::MAX) {
                return Ok::<_, StoreError>(Next::Now);
            }
            let next = credentials::next_judgement(&mut *app.store.read().await?).await?;
            let look_again = app.clock.now().plus(app.config.health_interval);
            Ok(Next::At(next.map_or(look_again, |next| next.min(look_again))))
        };
        rounds::keep("health", &app.clock, &shutdown, round, || app.store.wakeups().wait(Wake::Health)).await;
    };
    let sweeping = async {
        let round = || async {
            let more = sweep(&app).await?;
            Ok::<_, StoreError>(if more { Next::Now } else { Next::At(app.clock.now().plus(SWEEP_EVERY)) })
        };
        rounds::keep("health", &app.clock, &shutdown, round, std::future::pending::<()>).await;
    };
    tokio::join!(judging, sweeping);
}

/// Asks about the credentials that are to be judged by now, at most fifty. One that can't be judged keeps no other
/// waiting: it is tried again with the next tick.
pub async fn step(app: &App) -> Result<Outcome> {
    let now = app.clock.now();
    let planned = now.plus(app.config.health_interval);
    let mut tx = app.store.begin().await?;
    let taken = credentials::take_to_judge(&mut tx, now, planned, MOST_CREDENTIALS).await?;
    tx.commit().await?;

    let mut outcome = Outcome { judged: taken.len(), ..Outcome::default() };
    let mut failed = None;
    for credential in &taken {
        match judge(app, credential, planned).await {
            Ok(Judgement::Keep) => {}
            Ok(Judgement::Disable { .. }) => outcome.disabled += 1,
            Ok(Judgement::Throttle { .. }) => outcome.throttled += 1,
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(outcome), Err)
}

async fn judge(app: &App, credential: &Credential, planned: Timestamp) -> Result<Judgement> {
    let now = app.clock.now();
    let mut conn = app.store.read().await?;
    let Some(campaign) = campaigns::get(&mut conn, credential.campaign_id).await? else {
        return Ok(Judgement::Keep);
    };
    let stats = stats::gather(&mut conn, credential, &campaign, now).await?;
    // The connection is not held while an extension thinks.
    drop(conn);
    let is_quiet = stats.last_hour.transactions == 0;
    let scope = CallScope {
        account: Some(credential.account_id),
        campaign: Some(campaign.id),
        credential: Some(credential.id),
    };
    let decided = app.extensions.judge(&scope, Arc::new(stats)).await;

    let mut tx = app.store.begin().await?;
    record(&mut tx, credential, &decided, now).await?;
    apply(&mut tx, credential, &campaign, &decided, now).await?;
    if is_quiet {
        // The windows only empty from here on. The next transaction or bounce has it judged again.
        credentials::judged(tx.conn(), credential.id, planned).await?;
    }
    tx.commit().await?;
    Ok(decided.decision)
}

async fn record(tx: &mut Tx, credential: &Credential, decided: &Decided<Judgement>, now: Timestamp) -> Result<()> {
    let subject = credential.id.to_string();
    let mut rows = Decision::of_records(&decided.records, credential.account_id, &subject, None, now);
    if decided.by.is_none() {
        let decision = serde_json::to_value(&decided.decision).unwrap_or_default();
        rows.push(Decision::of_host(Hook::BouncePolicy, credential.account_id, &subject, None, decision, now));
    }
    tx.make(|writes| decisions::insert_many(writes, &rows)).await
}

async fn apply(
    tx: &mut Tx,
    credential: &Credential,
    campaign: &Campaign,
    decided: &Decided<Judgement>,
    now: Timestamp,
) -> Result<()> {
    match &decided.decision {
        Judgement::Keep => {}
        Judgement::Disable { reason } => {
            let by = decided.by.as_ref().map_or_else(|| "host".to_owned(), name_of);
            disable_credential(tx, credential, campaign, reason, &by, now).await?;
        }
        Judgement::Throttle { daily_limit, .. } => {
            if credential.throttled_limit != Some(*daily_limit) {
                credentials::throttle(tx.conn(), credential.id, *daily_limit).await?;
            }
        }
    }
    Ok(())
}

fn name_of(author: &Author) -> String {
    format!("{}@{}", author.extension, author.version)
}

/// Forgets what no window reaches and nobody asks for; whether there may be more.
async fn sweep(app: &App) -> Result<bool> {
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    counters::sweep_slots(tx.conn(), now.minus(SLOTS_KEPT_FOR)).await?;
    let old = now.minus(DECISIONS_KEPT_FOR);
    let swept = decisions::sweep(tx.conn(), old, MOST_SWEPT).await?;
    tx.commit().await?;
    Ok(swept >= MOST_SWEPT.unsigned_abs())
}
