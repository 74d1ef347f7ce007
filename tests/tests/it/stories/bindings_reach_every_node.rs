//! What is bound on one node is asked on the others. Their clocks stand here, so that none of them looks by itself: it is
//! the database that tells them.

use std::sync::Arc;

use ampout::clock::Clock;
use ampout::config::Config;
use ampout::domain::Timestamp;
use ampout::extensions::hooks::reply::Message;
use ampout::extensions::{CallScope, EngineKind, Mode};
use ampout::server::Server;
use ampout_tests::{eventually, postgres};
use anyhow::Context;

/// 2026-11-23T08:00:00Z.
const START: Timestamp = Timestamp::from_millis(1_795_420_800_000);

const FILTER: &str = "//! name: everything\n//! version: 1.0.0\n//! hooks: reply-classifier\n\n\
                      fn classify(message) { #{ verdict: \"challenge\" } }\n";

async fn node(database: &str, folder: &tempfile::TempDir) -> anyhow::Result<Server> {
    let settings = [
        ("listen", "127.0.0.1:0".to_owned()),
        ("metrics_listen", String::new()),
        ("dns_servers", "127.0.0.1:9".to_owned()),
        ("database_url", database.to_owned()),
        ("secret_key", "5e".repeat(32)),
        ("data_dir", folder.path().display().to_string()),
    ];
    Server::start(Config::from_settings(&settings)?, Clock::manual(START)).await
}

async fn verdict(server: &Server) -> anyhow::Result<&'static str> {
    let message = Arc::new(Message::default());
    Ok(server.app().extensions.classify(&CallScope::default(), message).await?.decision.verdict.word())
}

async fn follows(server: &Server, expected: &'static str) -> anyhow::Result<()> {
    eventually("the other node to follow", async || match verdict(server).await {
        Ok(found) if found == expected => Ok(()),
        found => Err(format!("{found:?}")),
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_is_told_to_the_other_nodes() -> anyhow::Result<()> {
    let database = postgres::fresh_database().await?;
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
    let (here, there) = (node(&database, &folders[0]).await?, node(&database, &folders[1]).await?);
    let before = verdict(&there).await?;
    // A catalog of its own: what the shell does beside a running server.
    let catalog = ampout::catalog::Catalog::start(here.app()).await?;
    let first = catalog.upload(None, FILTER.into(), EngineKind::Script).await?.extension;
    catalog.bind_for_system(&first, Mode::Active).await?;
    follows(&there, "challenge").await?;
    let second = FILTER.replace("1.0.0", "1.1.0").replace("challenge", "ignore");
    let second = catalog.upload(None, second.into(), EngineKind::Script).await?.extension;
    catalog.bind_for_system(&second, Mode::Active).await?;
    follows(&there, "ignore").await?;
    catalog.roll_back("everything").await.context("roll back")?;
    follows(&there, "challenge").await?;
    assert_ne!(before, "challenge");
    here.stop().await;
    there.stop().await;
    Ok(())
}
