//! `ampout serve`: the engine, until SIGTERM, SIGHUP or Ctrl-C.

use anyhow::bail;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::clock::Clock;
use crate::config::Config;
use crate::server::Server;
use crate::store::accounts;
use crate::telemetry;

/// What ends the engine in order.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// None where whoever started us had it ignored, as `nohup` does.
    hang_up: Option<Signal>,
}

pub(super) async fn run(config: Config) -> anyhow::Result<()> {
    telemetry::start_logging(&config.log, config.log_format)?;
    let mut signals = Signals::watch()?;
    let starting = Box::pin(Server::start(config, Clock::system()));
    let mut server = tokio::select! {
        started = starting => started?,
        // Nothing is on its way yet, and a migration that is broken off is undone.
        name = signals.next() => {
            tracing::info!("Stopped on {name} while starting");
            return Ok(());
        }
    };
    tracing::info!(api = %server.address(), metrics = server.metrics_address().map(tracing::field::display), "Listening");
    if accounts::list_after(&mut *server.app().store.read().await?, None, 1).await?.is_empty() {
        tracing::info!("There is no account yet: `ampout keys create` makes one with its first key");
    }
    let mut failed = None;
    tokio::select! {
        room = server.room_failed() => failed = Some(room),
        name = signals.next() => tracing::info!("Stopping on {name}"),
    }
    let is_in_order = server.stop().await;
    tracing::info!("Stopped");
    match failed {
        Some(room) => bail!("{room} ended by a panic, and the engine was stopped; please report the log above"),
        None if !is_in_order => {
            bail!("it was stopped without the database; what was on its way, leases tell the others")
        }
        None => Ok(()),
    }
}

impl Signals {
    fn watch() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: if ignores_hang_up() { None } else { Some(signal(SignalKind::hangup())?) },
        })
    }

    /// The name of the next that comes.
    async fn next(&mut self) -> &'static str {
        let Self { terminate, interrupt, hang_up } = self;
        let hung_up = async {
            match hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "an interrupt",
            _ = hung_up => "SIGHUP",
        }
    }
}

/// Whether SIGHUP was set aside before we began. Where the system does not tell, it was not.
fn ignores_hang_up() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| is_first_ignored(&status))
}

/// SIGHUP is the first of the signals, and the lowest bit of the mask.
fn is_first_ignored(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nohup_started_is_known() {
        assert!(is_first_ignored("Name:\tampout\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n"));
        assert!(!is_first_ignored("Name:\tampout\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\n"));
        assert!(!is_first_ignored(""));
    }
}
