//! The database stands still, comes back, and ends: `GET /status`, which a load balancer asks, says so in time. While it is
//! away nothing leaves, and what had left is written when it is back.

use std::process::Command;
use std::time::Duration;

use ampout_tests::postgres::Cluster;
use ampout_tests::{Api, Installation, Mailing, Serving, eventually, eventually_within};
use anyhow::ensure;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection, PgConnection};
use tokio::time::{sleep, timeout};

/// The engine waits three seconds for its database; the rest is a busy machine's.
const IN_TIME: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_tells_in_time_that_the_database_does_not_answer() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let installation = Installation::new(&[("AMPOUT_DATABASE_URL", &cluster.first_database())])?;
    let serving = installation.serve().await?;
    let api = Api::new(&serving.base(), "")?;
    assert_eq!(status(&api).await?, (200, json!("ok"), json!({ "due": 0, "in_doubt": 0 })));
    for _ in 0..2 {
        cluster.signal("STOP")?;
        assert_eq!(status(&api).await?, (503, json!("unavailable"), Value::Null));
        cluster.signal("CONT")?;
        eventually("the database to be back", async || match status(&api).await {
            Ok((200, ..)) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await?;
    }
    cluster.signal("QUIT")?;
    for _ in 0..3 {
        assert_eq!(status(&api).await?.0, 503);
    }
    ensure!(serving.log().contains("The database does not answer"), "{}", serving.log());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_tells_that_the_database_takes_no_writes() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let url = cluster.first_database();
    let installation = Installation::at(&url, &[])?;
    let serving = installation.serve().await?;
    let api = Api::new(&serving.base(), "")?;
    assert_eq!(status(&api).await?.0, 200);
    // As a primary that has become a standby, or whose disk its host protects.
    let mut admin = PgConnection::connect(&url).await?;
    for (statement, code, database) in [
        ("ALTER SYSTEM SET default_transaction_read_only = on", 503, "unavailable"),
        ("ALTER SYSTEM RESET default_transaction_read_only", 200, "ok"),
    ] {
        sqlx::raw_sql(statement).execute(&mut admin).await?;
        sqlx::raw_sql("SELECT pg_reload_conf()").execute(&mut admin).await?;
        eventually(statement, async || match status(&api).await {
            // What is read is answered all the while.
            Ok((told, shown, queue)) if told == code && shown == database && queue.is_object() => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await?;
        if code == 503 {
            let refused = api.call(Method::POST, "/signup", Some(json!({ "email": "owner@company.test" }))).await?;
            refused.refused(503, "service_unavailable")?;
        }
    }
    ensure!(serving.log().contains("The database takes no writes"), "{}", serving.log());
    Ok(())
}

/// A minute for what is on its way, ten seconds for what comes last, and a busy machine's.
const STOPPED_WITHIN: Duration = Duration::from_secs(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_database_is_silent_ends_when_it_is_told_to() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let installation = Installation::at(&cluster.first_database(), &[])?;
    let mut serving = installation.serve().await?;
    let mailing = Mailing::start(&serving, MESSAGES).await?;
    mailing.half_has_left().await?;
    cluster.signal("STOP")?;
    Command::new("kill").args(["-s", "TERM", &serving.id().to_string()]).status()?;
    let process = format!("/proc/{}/status", serving.id());
    eventually_within(STOPPED_WITHIN, "the node to end", async || {
        // It is our child: it stays listed until it is asked for.
        let status = std::fs::read_to_string(&process).unwrap_or_default();
        if status.contains("State:\tZ") { Ok(()) } else { Err(serving.log()) }
    })
    .await?;
    let status = serving.end_by("CONT").await?;
    ensure!(status.code() == Some(1), "{status}: {}", serving.log());
    cluster.signal("CONT")?;
    Ok(())
}

/// How long it is away. Longer than SQLite waits for a lock, and than the leases.
const AWAY: Duration = Duration::from_secs(12);
const MESSAGES: u64 = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_away_for_twelve_seconds() -> anyhow::Result<()> {
    let mut cluster = Cluster::start().await?;
    let installation = Installation::at(&cluster.first_database(), &[("AMPOUT_LEASE_SECONDS", "5")])?;
    let mut serving = installation.serve().await?;
    let mailing = Mailing::start(&serving, MESSAGES).await?;
    mailing.half_has_left().await?;
    cluster.signal("QUIT")?;
    nothing_leaves_while_it_is_away(&mailing).await?;
    cluster.start_again().await?;
    all_leaves_when_it_is_back(&mailing, &mut serving).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_is_locked_for_twelve_seconds() -> anyhow::Result<()> {
    let installation = Installation::at("", &[("AMPOUT_LEASE_SECONDS", "5")])?;
    let mut serving = installation.serve().await?;
    let mailing = Mailing::start(&serving, MESSAGES).await?;
    mailing.half_has_left().await?;
    sqlx::any::install_default_drivers();
    let file = installation.data_folder().join("ampout.db");
    let mut other = AnyConnection::connect(&format!("sqlite://{}", file.display())).await?;
    sqlx::raw_sql("PRAGMA busy_timeout = 30000; BEGIN IMMEDIATE").execute(&mut other).await?;
    nothing_leaves_while_it_is_away(&mailing).await?;
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await?;
    other.close().await?;
    all_leaves_when_it_is_back(&mailing, &mut serving).await
}

/// But for what had its intent written before: at most a message a connection.
async fn nothing_leaves_while_it_is_away(mailing: &Mailing) -> anyhow::Result<()> {
    let before = mailing.server.accepted();
    sleep(AWAY).await;
    let meanwhile = mailing.server.accepted() - before;
    ensure!(meanwhile <= Mailing::CONNECTIONS, "{meanwhile} messages left without a ledger");
    Ok(())
}

/// By itself, each message once, and with nothing in doubt: the node lives, and knows what the server said.
async fn all_leaves_when_it_is_back(mailing: &Mailing, serving: &mut Serving) -> anyhow::Result<()> {
    mailing.is_done(MESSAGES, 0).await?;
    mailing.each_has_arrived_once(MESSAGES)?;
    let status = serving.end_by("TERM").await?;
    ensure!(status.success(), "{status}: {}", serving.log());
    Ok(())
}

/// The status, what it says of the database, and the queue.
async fn status(api: &Api) -> anyhow::Result<(u16, Value, Value)> {
    let answer = timeout(IN_TIME, api.call(Method::GET, "/status", None)).await??;
    Ok((answer.status.as_u16(), answer.body["database"].clone(), answer.body["queue"].clone()))
}
