//! Which addresses are public: the IANA special-purpose registries (RFC 6890 and its updates), read from the side of
//! someone who must not be tricked. It knows nothing of names or of the operator's own ranges.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), prefix)
}

const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

const REFUSED_V4: &[(Ipv4Net, &str)] = &[
    (v4(0, 0, 0, 8), "an address of \"this network\""),
    (v4(10, 0, 0, 8), "a private address"),
    (v4(100, 64, 0, 10), "an address behind a carrier's NAT"),
    (v4(127, 0, 0, 8), "a loopback address"),
    (v4(169, 254, 0, 16), "a link-local address"),
    (v4(172, 16, 0, 12), "a private address"),
    (v4(192, 0, 0, 24), "an address for protocol assignments"),
    (v4(192, 0, 2, 24), "a documentation address"),
    (v4(192, 88, 99, 24), "an address of 6to4 relays"),
    (v4(192, 168, 0, 16), "a private address"),
    (v4(198, 18, 0, 15), "a benchmarking address"),
    (v4(198, 51, 100, 24), "a documentation address"),
    (v4(203, 0, 113, 24), "a documentation address"),
    (v4(224, 0, 0, 4), "a multicast address"),
    (v4(240, 0, 0, 4), "a reserved or broadcast address"),
];

const REFUSED_V6: &[(Ipv6Net, &str)] = &[
    (v6(0x2001, 0xdb8, 0, 32), "a documentation address"),
    (v6(0x3fff, 0, 0, 20), "a documentation address"),
    (v6(0xfc00, 0, 0, 7), "a private address"),
    (v6(0xfe80, 0, 0, 10), "a link-local address"),
    (v6(0xfec0, 0, 0, 10), "a site-local address"),
    (v6(0xff00, 0, 0, 8), "a multicast address"),
];

const TEREDO: Ipv6Net = v6(0x2001, 0, 0, 32);
const SIX_TO_FOUR: Ipv6Net = v6(0x2002, 0, 0, 16);
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 0, 96);
const PROTOCOL_ASSIGNMENTS: Ipv6Net = v6(0x2001, 0, 0, 23);
const GLOBAL_UNICAST: Ipv6Net = v6(0x2000, 0, 0, 3);

/// What kind of address this is when it is not a public one; none when it is.
pub(super) fn why_not_public(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(address) => why_not_public_v4(address),
        IpAddr::V6(address) => why_not_public_v6(address),
    }
}

fn why_not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    REFUSED_V4.iter().find(|(range, _)| range.contains(&address)).map(|(_, why)| *why)
}

fn why_not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    if address.is_loopback() {
        return Some("a loopback address");
    }
    if address.is_unspecified() {
        return Some("the unspecified address");
    }
    if let Some((_, why)) = REFUSED_V6.iter().find(|(range, _)| range.contains(&address)) {
        return Some(why);
    }
    // A tunnel or translator unpacks these and delivers to the IPv4 address inside.
    let octets = address.octets();
    let inside = |at: usize| Ipv4Addr::new(octets[at], octets[at + 1], octets[at + 2], octets[at + 3]);
    if NAT64.contains(&address) {
        return why_not_public_v4(inside(12));
    }
    if SIX_TO_FOUR.contains(&address) {
        return why_not_public_v4(inside(2));
    }
    if TEREDO.contains(&address) {
        // RFC 4380 §4: the server's address in clear, the client's with all bits turned.
        let client = Ipv4Addr::from_bits(!inside(12).to_bits());
        return why_not_public_v4(inside(4)).or_else(|| why_not_public_v4(client));
    }
    if PROTOCOL_ASSIGNMENTS.contains(&address) {
        return Some("an address for protocol assignments");
    }
    // What lies outside is not assigned to anybody (IPv4-compatible ::a.b.c.d among it), or means something local.
    if !GLOBAL_UNICAST.contains(&address) {
        return Some("not a global unicast address");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        let public = [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.255.255",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "64:ff9b::808:808",
            "2002:808:808::1",
            "::ffff:8.8.8.8",
        ];
        for address in public {
            assert_eq!(why_not_public(address.parse().unwrap()), None, "{address}");
        }
        let refused = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "192.88.99.1",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:0:10.0.0.1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "3fff::1",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::808:808",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2002:c0a8:101::",
            "2001:0:7f00:1::f7f7:f7f7",
            "2001:0:808:808::80ff:fffe",
            "2001:2::1",
            "2001:10::1",
            "100::1",
            "5f00::1",
            "4000::1",
        ];
        for address in refused {
            assert!(why_not_public(address.parse().unwrap()).is_some(), "{address}");
        }
    }
}
