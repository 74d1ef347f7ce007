//! The egress guard: every outgoing connection goes to an address that it has checked. A tenant chooses host names, and
//! a name can point anywhere, so what is checked is the address that is connected to, not the name that was looked up.

mod ranges;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::dns::{DnsError, Resolver};

/// However many addresses a name has, no more than these are tried.
const ADDRESSES_TRIED: usize = 8;

/// Resolves and connects, to public addresses and the operator's own ranges only. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EgressGuard {
    resolver: Resolver,
    allow: Arc<[IpNet]>,
}

/// Why no connection was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// Neither a host name nor an address in its usual form.
    #[error("{host:?} is neither a host name nor an IP address in its usual form")]
    NotAHost {
        /// What was given.
        host: String,
    },
    /// All of the host's addresses are out of bounds.
    // Which address it is, is not for everybody: who reads this may be a tenant who asks what names a network has.
    #[error("{host} is at {why}; to let the engine connect there, the operator adds its range to AMPOUT_EGRESS_ALLOW")]
    Refused {
        /// What was asked for.
        host: String,
        /// What kind of address that is.
        why: &'static str,
    },
    /// The name gave no address.
    #[error(transparent)]
    Dns(#[from] DnsError),
    /// No address took the connection.
    #[error("{host} port {port} can't be reached: {reason}")]
    Unreachable {
        /// What was asked for.
        host: String,
        /// The port.
        port: u16,
        /// What the last try said.
        reason: String,
    },
    /// No address took the connection in time.
    #[error("{host} port {port} did not answer within {} s", .after.as_secs_f32())]
    TimedOut {
        /// What was asked for.
        host: String,
        /// The port.
        port: u16,
        /// How long was waited.
        after: Duration,
    },
}

impl EgressError {
    /// Whether the same connection may be made later without anybody changing a setting.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::NotAHost { .. } | Self::Refused { .. } => false,
            Self::Dns(error) => error.is_temporary(),
            Self::Unreachable { .. } | Self::TimedOut { .. } => true,
        }
    }
}

impl EgressGuard {
    /// A guard that lets connections out to public addresses and to those in `allow`.
    pub fn new(resolver: Resolver, allow: Vec<IpNet>) -> Self {
        Self { resolver, allow: allow.into() }
    }

    /// The addresses of `host` that may be connected to, at least one. `host` is a name, an IPv4 address in dotted
    /// decimal, or an IPv6 address with or without brackets; `0x7f.1` and its like are refused rather than guessed at.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, EgressError> {
        let found = match parse_host(host)? {
            Host::Address(address) => vec![address],
            Host::Name(name) => self.resolver.addresses(&name).await?,
        };
        let mut refused = None;
        let mut allowed = Vec::new();
        for address in found.into_iter().map(|address| address.to_canonical()) {
            match self.check(address) {
                Ok(()) => allowed.push(SocketAddr::new(address, port)),
                Err(why) => {
                    tracing::debug!(host, %address, why, "A connection is refused by the egress guard");
                    refused = refused.or(Some(why));
                }
            }
        }
        match refused {
            Some(why) if allowed.is_empty() => Err(EgressError::Refused { host: host.to_owned(), why }),
            _ => Ok(allowed),
        }
    }

    /// A connection to one of the checked addresses of `host`, tried in turn, with Nagle's algorithm off. `limit` is for
    /// the whole, the look-up included.
    pub async fn connect(&self, host: &str, port: u16, limit: Duration) -> Result<TcpStream, EgressError> {
        let deadline = Instant::now() + limit;
        let timed_out = || EgressError::TimedOut { host: host.to_owned(), port, after: limit };
        let mut addresses = timeout_at(deadline, self.resolve(host, port)).await.map_err(|_| timed_out())??;
        addresses.truncate(ADDRESSES_TRIED);

        let mut last = timed_out();
        for (tried, &address) in addresses.iter().enumerate() {
            // Each address gets its share of what is left, so that a silent first one leaves time for the second.
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - tried).unwrap_or(1);
            let outcome = tokio::time::timeout(share, dial(address)).await;
            last = match outcome {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => {
                    // Which address of the operator's network it is, is told to the operator alone.
                    tracing::debug!(host, %address, %error, "A connection failed");
                    EgressError::Unreachable { host: host.to_owned(), port, reason: error.to_string() }
                }
                Err(_) => timed_out(),
            };
        }
        Err(last)
    }

    fn check(&self, address: IpAddr) -> Result<(), &'static str> {
        if self.allow.iter().any(|range| range.contains(&address)) {
            return Ok(());
        }
        ranges::why_not_public(address).map_or(Ok(()), Err)
    }
}

enum Host {
    Address(IpAddr),
    Name(String),
}

fn parse_host(host: &str) -> Result<Host, EgressError> {
    let not_a_host = || EgressError::NotAHost { host: host.chars().take(255).collect() };
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse().map(|address| Host::Address(IpAddr::V6(address))).map_err(|_| not_a_host());
    }
    let bare = host.strip_suffix('.').unwrap_or(host);
    if let Ok(address) = bare.parse() {
        return Ok(Host::Address(address));
    }
    let name = idna::domain_to_ascii_strict(bare).map_err(|_| not_a_host())?;
    // `2130706433`, `127.1`, `0x7f.0.0.1`: some resolvers read these as addresses (URL standard, "ends in a number").
    let last = name.rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    if name.is_empty() || hex || last.bytes().all(|b| b.is_ascii_digit()) {
        return Err(not_a_host());
    }
    Ok(Host::Name(name))
}

/// A message and the dot behind it leave in one write; Nagle would hold the next command back for 40 ms.
#[expect(clippy::disallowed_methods, reason = "this is the guard that the others must dial through")]
async fn dial(checked: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(checked).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests;
