//! What every part of the running engine is handed: the doors, the clock, the settings. Made once at start.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::config::Config;
use crate::data_folder;
use crate::dns::{Resolver, ResolverOptions};
use crate::domain::ids::NodeId;
use crate::egress::EgressGuard;
use crate::extensions::{ExtensionHost, HostOptions};
use crate::http_client::HttpClient;
use crate::imap::{ImapTimeouts, Mailbox};
use crate::links::Links;
use crate::secrets::{Sealer, SecretKey};
use crate::smtp::{Connector, PoolLimits, Pools, SmtpOptions, SmtpTimeouts};
use crate::store::{Store, StoreOptions};
use crate::telemetry::Metrics;
use crate::tls::{Plaintext, TlsClient};
use crate::usage::Usage;
use crate::wake::Wakeups;
use crate::{key_file, links};

/// The running engine's parts. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// The parts themselves.
pub struct Parts {
    /// The settings in force.
    pub config: Config,
    /// This process among the nodes.
    pub node: NodeId,
    /// What time it is.
    pub clock: Clock,
    /// The database.
    pub store: Store,
    /// Secrets at rest.
    pub sealer: Sealer,
    /// Addresses that we publish: pixels, unsubscribe links, provider webhooks.
    pub links: Links,
    /// The extensions.
    pub extensions: ExtensionHost,
    /// DNS.
    pub resolver: Resolver,
    /// SMTP.
    pub smtp: Pools,
    /// IMAP.
    pub imap: Mailbox,
    /// Outgoing HTTP.
    pub http: HttpClient,
    /// Counters for Prometheus.
    pub metrics: Metrics,
    /// Calls that were made with keys.
    pub usage: Usage,
}

impl std::ops::Deref for App {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// Opens the database (migrating it), reads the keys, starts the engines of the extensions. `public_base` stands in
    /// links where no public address is configured.
    pub async fn start(config: Config, clock: Clock, public_base: &str) -> anyhow::Result<Self> {
        data_folder::make(&config.data_dir)?;
        let wakeups = Wakeups::default();
        let store = Store::open(&config.database_url, &StoreOptions::default(), wakeups).await?;
        store.migrate().await?;
        let sealer = open_sealer(&config)?;

        let resolver = Resolver::new(ResolverOptions { servers: config.dns_servers.clone(), ..Default::default() })?;
        let egress = EgressGuard::new(resolver.clone(), config.egress_allow.clone());
        let tls = TlsClient::with_extra_ca_file(config.extra_ca.as_deref())?;
        let plaintext = if config.allow_plaintext { Plaintext::Allowed } else { Plaintext::Forbidden };
        let public_url = config.public_url.as_ref().map_or(public_base, |url| url.as_str()).trim_end_matches('/');
        let links = links::open(&store, &sealer, public_url).await?;
        let options =
            SmtpOptions { ehlo_name: ehlo_name(&config, &links), plaintext, timeouts: SmtpTimeouts::default() };
        let connector = Connector::new(egress.clone(), tls.clone(), options)?;
        let limits = PoolLimits {
            per_credential: config.smtp_connections_per_credential,
            per_node: config.smtp_connections,
            ..PoolLimits::default()
        };
        let cache_folder = Some(config.data_dir.join("compiled-extensions"));
        let http = HttpClient::new(egress.clone(), &tls, plaintext)?;
        let extensions = ExtensionHost::start(HostOptions {
            cache_folder,
            http: Some(http.clone()),
            grants: config.extension_hosts.clone(),
            raised: config.extension_limits.clone(),
            trusted_signers: config.trusted_signers.clone(),
            ..HostOptions::new(clock.clone())
        })?;

        Ok(Self(Arc::new(Parts {
            node: NodeId::new(clock.now()),
            http,
            imap: Mailbox::new(egress, tls, ImapTimeouts::default(), config.allow_plaintext),
            smtp: Pools::new(connector, limits),
            metrics: Metrics::default(),
            usage: Usage::new(store.clone()),
            config,
            clock,
            store,
            sealer,
            links,
            extensions,
            resolver,
        })))
    }

    /// How long a node may hold a send without a sign of life.
    pub fn lease(&self) -> Duration {
        self.config.lease
    }
}

/// The sealer of an installation: the configured key, or the key file's.
pub fn open_sealer(config: &Config) -> anyhow::Result<Sealer> {
    use crate::secrets::ExposeSecret;
    let current = match &config.secret_key {
        Some(text) => SecretKey::parse(text.expose_secret())?,
        None => key_file::read_or_make(&config.data_dir)?,
    };
    let earlier = config.old_secret_keys.iter().map(|text| SecretKey::parse(text.expose_secret()));
    Ok(Sealer::new(current, earlier.collect::<Result<_, _>>()?))
}

fn ehlo_name(config: &Config, links: &Links) -> String {
    match &config.ehlo_name {
        Some(name) => name.clone(),
        None => links.host(),
    }
}
