//! The only door to hickory: names to addresses, domains to mail exchangers. It knows nothing of what an address may be
//! used for; that is the egress guard's business.

mod coalesce;
pub mod local_server;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData};
use tokio::sync::Semaphore;

use coalesce::Coalescer;

/// How names are looked up.
#[derive(Debug, Clone)]
pub struct ResolverOptions {
    /// Recursive servers, asked over UDP and then TCP. Empty: those of the system (`/etc/resolv.conf`).
    pub servers: Vec<SocketAddr>,
    /// How long one try may take.
    pub timeout: Duration,
    /// How many tries a look-up gets, the first included.
    pub attempts: usize,
    /// How many answers are kept, negative ones among them, each for as long as its TTL says.
    pub cache_size: u64,
    /// How many domains may be asked for their mail exchangers at once; the rest wait their turn.
    pub concurrency: usize,
    /// The same of hosts that are asked for their addresses, which have turns of their own: a list of domains whose servers are
    /// silent keeps nobody from being reached.
    pub address_concurrency: usize,
}

impl Default for ResolverOptions {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Duration::from_secs(3),
            attempts: 2,
            cache_size: 65_536,
            concurrency: 64,
            address_concurrency: 256,
        }
    }
}

/// Looks names up. Cheap to clone; clones share the cache.
#[derive(Clone)]
pub struct Resolver {
    shared: Arc<Shared>,
}

struct Shared {
    hickory: TokioResolver,
    address_turns: Semaphore,
    exchanger_turns: Semaphore,
    patience: Duration,
    addresses: Coalescer<Result<Vec<IpAddr>, DnsError>>,
    exchangers: Coalescer<MxAnswer>,
}

/// What the DNS says of a domain's mail.
///
/// A domain with addresses but no MX record counts as [`MxAnswer::NoMx`], although RFC 5321 §5.1 would let mail go to
/// the address itself: the contract is "no MX record → bounced", and a domain that people are written to has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MxAnswer {
    /// Its servers, the most preferred first.
    Exchangers(Vec<Exchanger>),
    /// It says that it takes no mail (RFC 7505).
    NullMx,
    /// It has no MX record, or does not exist.
    NoMx,
    /// Nobody knows: SERVFAIL, REFUSED, silence. Not an answer, and never a reason to bounce.
    NoAnswer {
        /// What went wrong, for people.
        reason: String,
    },
}

/// One MX record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exchanger {
    /// The lower, the sooner.
    pub preference: u16,
    /// Lower case, without the last dot.
    pub host: String,
}

/// Why a name gave no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// No servers were given, and those of the system can't be read.
    #[error("the system's DNS servers can't be read ({reason}); name some in AMPOUT_DNS_SERVERS, such as 9.9.9.9:53")]
    NoSystemServers {
        /// What went wrong.
        reason: String,
    },
    /// The resolver can't be built from these options.
    #[error("the DNS resolver can't be set up: {reason}")]
    Options {
        /// What went wrong.
        reason: String,
    },
    /// The text can't stand in the DNS.
    #[error("{host:?} is not a host name")]
    NotAName {
        /// What was given.
        host: String,
    },
    /// The DNS says that the name has no address.
    #[error("the DNS has no address for {host}")]
    NoSuchHost {
        /// What was asked for.
        host: String,
    },
    /// Nobody knows; worth another try.
    #[error("the DNS gave no answer for {host}: {reason}")]
    NoAnswer {
        /// What was asked for.
        host: String,
        /// What went wrong.
        reason: String,
    },
}

impl DnsError {
    /// Whether the same question may have an answer later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::NoAnswer { .. })
    }
}

impl Resolver {
    /// A resolver for these options. Must be called inside a Tokio runtime.
    pub fn new(options: ResolverOptions) -> Result<Self, DnsError> {
        let provider = TokioRuntimeProvider::default();
        let mut builder = if options.servers.is_empty() {
            TokioResolver::builder(provider).map_err(|e| DnsError::NoSystemServers { reason: e.to_string() })?
        } else {
            let servers = options.servers.iter().copied().map(name_server).collect();
            TokioResolver::builder_with_config(ResolverConfig::from_parts(None, vec![], servers), provider)
        };
        let hickory_options = builder.options_mut();
        hickory_options.timeout = options.timeout;
        hickory_options.attempts = options.attempts.saturating_sub(1);
        hickory_options.cache_size = options.cache_size;
        // Mail providers are reached over IPv4 everywhere; a host with a dead IPv6 route should not pay for it first.
        hickory_options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        let hickory = builder.build().map_err(|e| DnsError::Options { reason: e.to_string() })?;

        // hickory bounds each try; this bounds the look-up, whatever hickory does between tries.
        let tries = u32::try_from(options.attempts.max(1)).unwrap_or(u32::MAX);
        let patience = options.timeout.saturating_mul(tries).saturating_mul(2);
        let shared = Shared {
            hickory,
            address_turns: turns(options.address_concurrency),
            exchanger_turns: turns(options.concurrency),
            patience,
            addresses: Coalescer::default(),
            exchangers: Coalescer::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The addresses of `host`, at least one. `localhost` and what lies under it is never asked for (RFC 6761 §6.3); a
    /// name is always taken as fully qualified, so the system's search list plays no part.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        if name == "localhost" || name.ends_with(".localhost") {
            return Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        }
        self.shared.addresses.run(&name, self.shared.look_up_addresses(&name)).await
    }

    /// The mail exchangers of `domain`. Waiters for one domain share one look-up.
    pub async fn mail_exchangers(&self, domain: &str) -> MxAnswer {
        let name = domain.trim_end_matches('.').to_ascii_lowercase();
        self.shared.exchangers.run(&name, self.shared.look_up_exchangers(&name)).await
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Shared {
    async fn look_up_addresses(&self, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        let name = absolute(host).ok_or_else(|| DnsError::NotAName { host: host.to_owned() })?;
        let found = self.bounded(&self.address_turns, self.hickory.lookup_ip(name)).await;
        let addresses: Vec<IpAddr> = match found {
            Ok(found) => found.iter().collect(),
            Err(Failure::Says) => Vec::new(),
            Err(Failure::Silent(reason)) => return Err(DnsError::NoAnswer { host: host.to_owned(), reason }),
        };
        if addresses.is_empty() {
            return Err(DnsError::NoSuchHost { host: host.to_owned() });
        }
        Ok(addresses)
    }

    async fn look_up_exchangers(&self, domain: &str) -> MxAnswer {
        // What can't be written in the DNS can't have a record there.
        let Some(name) = absolute(domain) else { return MxAnswer::NoMx };
        let found = match self.bounded(&self.exchanger_turns, self.hickory.mx_lookup(name)).await {
            Ok(found) => found,
            Err(Failure::Says) => return MxAnswer::NoMx,
            Err(Failure::Silent(reason)) => return MxAnswer::NoAnswer { reason },
        };
        let records = found.answers().iter().filter_map(|record| match &record.data {
            RData::MX(mx) => Some(mx),
            _ => None,
        });
        read_exchangers(records.map(|mx| (mx.preference, mx.exchange.to_ascii())))
    }

    async fn bounded<T>(
        &self,
        turns: &Semaphore,
        look_up: impl Future<Output = Result<T, NetError>>,
    ) -> Result<T, Failure> {
        let silent = |reason: &str| Failure::Silent(reason.to_owned());
        let _turn = turns.acquire().await.map_err(|_| silent("the resolver is shut down"))?;
        match tokio::time::timeout(self.patience, look_up).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) if error.is_no_records_found() => Err(Failure::Says),
            Ok(Err(error)) => Err(Failure::Silent(error.to_string())),
            Err(_) => Err(silent("request timed out")),
        }
    }
}

/// A look-up without records: the DNS said so, or said nothing that counts.
enum Failure {
    Says,
    Silent(String),
}

fn read_exchangers(records: impl Iterator<Item = (u16, String)>) -> MxAnswer {
    let mut some = false;
    let mut exchangers: Vec<Exchanger> = records
        .inspect(|_| some = true)
        // RFC 7505 §3: a null MX stands alone; beside real ones it means nothing.
        .filter(|(_, host)| host != ".")
        .map(|(preference, host)| Exchanger { preference, host: host.trim_end_matches('.').to_ascii_lowercase() })
        .collect();
    exchangers.sort();
    match (some, exchangers.is_empty()) {
        (false, _) => MxAnswer::NoMx,
        (true, true) => MxAnswer::NullMx,
        (true, false) => MxAnswer::Exchangers(exchangers),
    }
}

fn turns(concurrency: usize) -> Semaphore {
    Semaphore::new(concurrency.clamp(1, Semaphore::MAX_PERMITS))
}

fn absolute(name: &str) -> Option<Name> {
    let mut name = Name::from_ascii(name).ok().filter(|name| name.num_labels() > 0)?;
    name.set_fqdn(true);
    Some(name)
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let (mut udp, mut tcp) = (ConnectionConfig::udp(), ConnectionConfig::tcp());
    udp.port = address.port();
    tcp.port = address.port();
    NameServerConfig::new(address.ip(), true, vec![udp, tcp])
}

#[cfg(test)]
mod tests;
