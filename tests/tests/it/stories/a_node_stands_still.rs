//! A node that is cut off in the middle of a transaction holds rows that all nodes share. PostgreSQL ends it after ten seconds,
//! and the others go on.

use std::time::{Duration, Instant};

use ampout::store::{DatabaseUrl, Store, StoreOptions};
use ampout::wake::Wakeups;
use ampout_tests::{Installation, Mailing, postgres};
use anyhow::ensure;

const MESSAGES: u64 = 600;
/// The ten seconds, and what a busy machine needs.
const IN_TIME: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_go_on_within_seconds() -> anyhow::Result<()> {
    let url = postgres::fresh_database().await?;
    let installation = Installation::at(&url, &[("AMPOUT_LEASE_SECONDS", "5")])?;
    let mut serving = installation.serve().await?;
    let mailing = Mailing::start(&serving, MESSAGES).await?;
    mailing.half_has_left().await?;

    // What a node looks like that was stopped between two statements: its connection is as ours are, and it is silent.
    let still = Store::open(&DatabaseUrl::parse(&url)?, &StoreOptions::default(), Wakeups::default()).await?;
    let mut tx = still.begin().await?;
    sqlx::raw_sql("UPDATE campaign_counters SET pending = pending").execute(tx.conn()).await?;
    let since = Instant::now();
    // Nothing that is written counts as sent, so at most what was on its way leaves.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let held_at = mailing.server.accepted();
    ensure!(held_at < MESSAGES, "all had left before the node stood still");
    let goes_on = mailing.server.wait_for(MESSAGES, IN_TIME).await;
    ensure!(goes_on, "{} of {MESSAGES} after {:?}: {}", mailing.server.accepted(), since.elapsed(), serving.log());

    mailing.is_done(MESSAGES, 0).await?;
    mailing.each_has_arrived_once(MESSAGES)?;
    let lost = tx.commit().await;
    ensure!(lost.as_ref().is_err_and(|error| error.is_passing()), "whoever wakes is told to try again: {lost:?}");
    let status = serving.end_by("TERM").await?;
    ensure!(status.success(), "{status}: {}", serving.log());
    Ok(())
}
