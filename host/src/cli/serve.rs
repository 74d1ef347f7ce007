//! `ampout serve`: the engine, until SIGTERM or Ctrl-C.

use anyhow::bail;
use tokio::signal::unix::{SignalKind, signal};

use crate::clock::Clock;
use crate::config::Config;
use crate::server::Server;
use crate::store::accounts;
use crate::telemetry;

pub(super) async fn run(config: Config) -> anyhow::Result<()> {
    telemetry::start_logging(&config.log, config.log_format)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut server = Server::start(config, Clock::system()).await?;
    tracing::info!(api = %server.address(), metrics = server.metrics_address().map(tracing::field::display), "Listening");
    if accounts::list_after(&mut *server.app().store.read().await?, None, 1).await?.is_empty() {
        tracing::info!("There is no account yet: `ampout keys create` makes one with its first key");
    }
    let mut failed = None;
    tokio::select! {
        room = server.room_failed() => failed = Some(room),
        _ = terminate.recv() => tracing::info!("Stopping on SIGTERM"),
        _ = tokio::signal::ctrl_c() => tracing::info!("Stopping on an interrupt"),
    }
    server.stop().await;
    tracing::info!("Stopped");
    match failed {
        None => Ok(()),
        Some(room) => bail!("{room} ended by a panic, and the engine was stopped; please report the log above"),
    }
}
