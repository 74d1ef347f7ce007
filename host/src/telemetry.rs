//! Logs and metrics: how lines look, which counters exist. Inside the call stack nothing logs; whoever stands at a
//! boundary does, once.

use std::io::IsTerminal as _;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::LogFormat;

/// One word that splits a counter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Outcome {
    /// Such as `accepted`.
    pub outcome: String,
}

/// The counters of this node. Cheap to clone; clones count together.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// How held sends came out.
    pub sends: Family<Outcome, Counter>,
    /// What inbound messages turned out to be.
    pub inbound_messages: Family<Outcome, Counter>,
    /// What became of providers' requests.
    pub inbound_requests: Family<Outcome, Counter>,
    /// How webhook deliveries ended.
    pub deliveries: Family<Outcome, Counter>,
    /// Requests to the API by status class.
    pub requests: Family<Outcome, Counter>,
    /// Open SMTP connections.
    pub smtp_connections: Gauge<i64>,
    /// Sends that are due.
    pub queue_due: Gauge<i64>,
    /// Sends in doubt.
    pub queue_in_doubt: Gauge<u64, AtomicU64>,
    /// How long claims took that found something.
    claims: Durations,
    /// Sends that they took.
    claimed_sends: Counter,
}

/// From a millisecond to eight seconds.
#[derive(Debug, Clone)]
struct Durations(Histogram);

impl Default for Durations {
    fn default() -> Self {
        Self(Histogram::new(exponential_buckets(0.001, 2.0, 14)))
    }
}

impl Metrics {
    /// Counts one outcome.
    pub fn count(family: &Family<Outcome, Counter>, outcome: &str) {
        family.get_or_create(&Outcome { outcome: outcome.to_owned() }).inc();
    }

    /// Counts one claim that took `sends`.
    pub fn claimed(&self, sends: usize, took: Duration) {
        self.claims.0.observe(took.as_secs_f64());
        self.claimed_sends.inc_by(u64::try_from(sends).unwrap_or(u64::MAX));
    }

    /// Everything in the text format of OpenMetrics.
    pub fn encode(&self) -> String {
        let mut registry = Registry::with_prefix("ampout");
        registry.register("sends", "Sends that this node held, by how they came out", self.sends.clone());
        registry.register("inbound_messages", "Inbound messages, by verdict", self.inbound_messages.clone());
        registry.register(
            "inbound_requests",
            "Requests of providers, by what became of them",
            self.inbound_requests.clone(),
        );
        registry.register(
            "webhook_deliveries",
            "Attempts to deliver events, by how they ended",
            self.deliveries.clone(),
        );
        registry.register("http_requests", "Requests to the API, by status", self.requests.clone());
        registry.register("smtp_connections", "Open SMTP connections", self.smtp_connections.clone());
        registry.register("queue_due", "Sends that are due", self.queue_due.clone());
        registry.register("queue_in_doubt", "Sends that may have left", self.queue_in_doubt.clone());
        registry.register(
            "claim_seconds",
            "How long it took to claim what is due, where something was",
            self.claims.0.clone(),
        );
        registry.register("claimed_sends", "Sends that were claimed", self.claimed_sends.clone());
        let mut text = String::new();
        // Writing into a String can't fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }
}

/// Begins to log to standard error; a second call changes nothing.
pub fn start_logging(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| anyhow::anyhow!("log = {filter:?} is no filter: {error}; write info, or info,ampout=debug"))?;
    // async-imap logs each command at TRACE, the one with the password among them.
    let filter = filter.add_directive("async_imap=info".parse()?);
    // Colours are for who watches, not for files and journals.
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    // An error says that logging has begun already, as in a test.
    let _ = match format {
        LogFormat::Human => lines.finish().try_init(),
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init(),
    };
    Ok(())
}
