//! Where a call comes from: what limits per address count by.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use ipnet::IpNet;

use super::error::ApiError;
use super::state::Api;

/// The caller's address, or the network of one that has many; unknown where the server does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Address(Option<IpAddr>);

impl FromRequestParts<Api> for Address {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
        Ok(Self::of(peer, &parts.headers, &api.app.config.trusted_proxies))
    }
}

impl Address {
    /// The header `X-Forwarded-For` is a list to which each proxy adds whom it heard from. What stands left of an entry
    /// that is no trusted proxy's was written by whoever that entry names, who may write what they like: so it is read
    /// from the right, as far as the proxies are ours.
    fn of(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
        let Some(mut client) = peer.map(|peer| peer.to_canonical()) else { return Self(None) };
        let told = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let entries: Vec<&str> = told.flat_map(|value| value.split(',')).collect();
        for entry in entries.iter().rev() {
            if !is_trusted(client) {
                break;
            }
            // What is no address ends the chain: the proxy before it is the last of whom we know.
            let Some(address) = address_of(entry.trim()) else { break };
            client = address;
        }
        Self(Some(network_of(client)))
    }
}

/// An address with or without a port.
fn address_of(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let address = bare.parse().ok().or_else(|| entry.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

/// Who has one IPv6 address has 2^64 of them, usually: they count as one.
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(peer: &str, forwarded: &[&str], expected: &str) {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "2001:db8:ffff::/48".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let address = Address::of(Some(peer.parse().unwrap()), &headers, &trusted);
        assert_eq!(address, Address(Some(expected.parse().unwrap())));
    }

    #[test]
    fn a_stranger_is_not_believed() {
        check("203.0.113.5", &["198.51.100.1"], "203.0.113.5");
        check("203.0.113.5", &[], "203.0.113.5");
    }

    #[test]
    fn a_trusted_proxy_tells_who_called_and_only_that() {
        check("10.0.0.1", &["198.51.100.1"], "198.51.100.1");
        // What the client wrote itself stands further left.
        check("10.0.0.1", &["192.0.2.9, 198.51.100.1"], "198.51.100.1");
        check("10.0.0.1", &["192.0.2.9", "198.51.100.1, 10.0.0.2"], "198.51.100.1");
        check("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
        check("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1");
        check("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::");
        check("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1");
        check("10.0.0.1", &[], "10.0.0.1");
        check("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1");
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one() {
        check("2001:db8:1:2:3:4:5:6", &[], "2001:db8:1:2::");
        check("2001:db8:ffff::1", &["2001:db8:1:2::9"], "2001:db8:1:2::");
    }
}
