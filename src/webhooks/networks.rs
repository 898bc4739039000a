//! The addresses that may be connected to. A subscription must not reach services of the operator's
//! own network, for which its creator has no permission (server-side request forgery).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{AddrParseError, IpNet, Ipv4Net, Ipv6Net};

/// IPv4 networks that are not public: the special-purpose registry of IANA, and multicast.
const SPECIAL_IPV4: [Ipv4Net; 17] = [
    // This network, with the unspecified address.
    ipv4([0, 0, 0, 0], 8),
    // Private.
    ipv4([10, 0, 0, 0], 8),
    ipv4([172, 16, 0, 0], 12),
    ipv4([192, 168, 0, 0], 16),
    // Shared by the customers of a carrier.
    ipv4([100, 64, 0, 0], 10),
    // Loopback.
    ipv4([127, 0, 0, 0], 8),
    // Link-local, with the metadata services of clouds.
    ipv4([169, 254, 0, 0], 16),
    // Protocol assignments, AS112, AMT and 6to4 relays.
    ipv4([192, 0, 0, 0], 24),
    ipv4([192, 31, 196, 0], 24),
    ipv4([192, 52, 193, 0], 24),
    ipv4([192, 88, 99, 0], 24),
    ipv4([192, 175, 48, 0], 24),
    // Benchmarks.
    ipv4([198, 18, 0, 0], 15),
    // Documentation.
    ipv4([192, 0, 2, 0], 24),
    ipv4([198, 51, 100, 0], 24),
    ipv4([203, 0, 113, 0], 24),
    // Multicast, reserved and broadcast.
    ipv4([224, 0, 0, 0], 3),
];
/// The IPv6 network of which all but the next table is public. Outside are loopback, unspecified,
/// unique local, link-local, multicast and NAT64 addresses.
const GLOBAL_IPV6: Ipv6Net = ipv6([0x2000, 0, 0], 3);
/// IPv6 networks in it that are not public.
const SPECIAL_IPV6: [Ipv6Net; 5] = [
    // Protocol assignments, with Teredo, which leads to any IPv4 address.
    ipv6([0x2001, 0, 0], 23),
    // Documentation.
    ipv6([0x2001, 0xdb8, 0], 32),
    ipv6([0x3fff, 0, 0], 20),
    // 6to4, which leads to any IPv4 address.
    ipv6([0x2002, 0, 0], 16),
    // AS112.
    ipv6([0x2620, 0x4f, 0x8000], 48),
];

const fn ipv4([a, b, c, d]: [u8; 4], prefix_length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix_length)
}

const fn ipv6([a, b, c]: [u16; 3], prefix_length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix_length)
}

/// Returns whether an address belongs to the public internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_IPV4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => {
            GLOBAL_IPV6.contains(&address)
                && !SPECIAL_IPV6.iter().any(|network| network.contains(&address))
        }
    }
}

/// Networks that an operator permits in addition to the public internet.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl FromStr for Networks {
    type Err = AddrParseError;

    /// Parses networks in the form `10.1.0.0/16,fd00::/8`; an empty text is none.
    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(str::parse::<IpNet>).collect::<Result<_, _>>().map(Self)
    }
}

impl Networks {
    /// Returns whether an address may be connected to with this scheme. Without TLS only the
    /// permitted networks may.
    #[must_use]
    pub fn permit(&self, address: IpAddr, scheme: Scheme) -> bool {
        // A connection to an IPv4-mapped address is one to the IPv4 address.
        let address = address.to_canonical();
        let is_listed = self.0.iter().any(|network| network.contains(&address));
        is_listed || (scheme == Scheme::Https && is_public(address))
    }
}

/// The scheme of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_need_tls() {
        let none = Networks::default();
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:1.1.1.1",
            "2606:4700::1111",
            "2001:200::1",
            "2a00:1450::1",
        ] {
            let address = address.parse().unwrap();
            assert!(none.permit(address, Scheme::Https), "{address}");
            assert!(!none.permit(address, Scheme::Http), "{address}");
        }
    }

    #[test]
    fn listed_networks_are_permitted_with_both_schemes() {
        let networks: Networks = " 10.1.0.0/16, fd00::/8,127.0.0.1/32,".parse().unwrap();
        for scheme in [Scheme::Http, Scheme::Https] {
            for address in ["10.1.2.3", "::ffff:10.1.2.3", "fd12::1", "127.0.0.1"] {
                assert!(networks.permit(address.parse().unwrap(), scheme), "{address}");
            }
            for address in ["10.2.0.0", "::ffff:10.2.0.0", "fc00::1", "127.0.0.2", "::10.1.2.3"] {
                assert!(!networks.permit(address.parse().unwrap(), scheme), "{address}");
            }
        }
    }

    #[test]
    fn lists_of_networks() {
        assert_eq!("".parse(), Ok(Networks::default()));
        for wrong in ["10.0.0.1", "10.0.0.0/33", "fd00::/129", "example.com/8", "10.0.0.0/8;::/0"] {
            assert!(wrong.parse::<Networks>().is_err(), "{wrong}");
        }
    }
}
