//! Addresses: one form for each, and which of them an appliance may be sent to.
//!
//! An appliance that dials whatever it is told is a weapon against its own LAN and against third
//! parties (threats T11, T12, T17). So every address that came from elsewhere passes
//! [`canonical`], [`AddressClass::of`] and an [`AddressPolicy`] that denies by default. Address
//! filters have been walked around by encodings again and again (coturn, three times); here an IPv6
//! address that carries an IPv4 one is never followed, except the mapped form, which *is* IPv4.

mod endpoint;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub use endpoint::Endpoint;

/// The one form of an address: IPv4-mapped IPv6 becomes IPv4; flow label and scope are dropped.
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    Endpoint::from(address).into()
}

/// What kind of network an address belongs to (IANA special-purpose registries).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum AddressClass {
    /// The Internet. The documentation prefixes count as such, for laboratories.
    Public,
    /// RFC 1918, RFC 4193, and the shared space between customer and carrier NAT (RFC 6598).
    Private,
    /// This host.
    Loopback,
    /// 169.254/16 (cloud metadata services live there) and fe80::/10.
    LinkLocal,
    /// Unspecified, multicast, broadcast, reserved, site-local, or IPv6 that embeds IPv4
    /// (compatible, 6to4, Teredo, NAT64).
    Never,
}

impl AddressClass {
    /// The class of an address in whatever encoding.
    #[must_use]
    pub const fn of(ip: IpAddr) -> Self {
        Self::of_canonical(ip.to_canonical())
    }

    const fn of_canonical(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::of_v4(v4),
            IpAddr::V6(v6) => Self::of_v6(v6),
        }
    }

    const fn of_v4(ip: Ipv4Addr) -> Self {
        match ip.octets() {
            [127, ..] => Self::Loopback,
            [169, 254, ..] => Self::LinkLocal,
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Self::Private,
            // This network, IETF protocol assignments, 6to4 relay anycast, benchmarking, multicast,
            // reserved and broadcast.
            [0, ..] | [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] | [224..=255, ..] => {
                Self::Never
            }
            _ => Self::Public,
        }
    }

    const fn of_v6(ip: Ipv6Addr) -> Self {
        match ip.segments() {
            [0, 0, 0, 0, 0, 0, 0, 1] => Self::Loopback,
            [0xfe80..=0xfebf, ..] => Self::LinkLocal,
            [0xfc00..=0xfdff, ..] => Self::Private,
            // Teredo and the other special blocks of 2001::/23, and 6to4.
            [0x2001, 0..=0x1ff, ..] | [0x2002, ..] => Self::Never,
            [0x2000..=0x3fff, ..] => Self::Public,
            // IPv4-compatible, NAT64, discard-only, site-local, multicast and unassigned space.
            _ => Self::Never,
        }
    }
}

/// Which addresses a device may contact because somebody asked it to. Everything but public
/// addresses with ports from 1,024 up is denied unless a field says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AddressPolicy {
    /// Loopback too: for demonstrations and tests on one host.
    pub loopback: bool,
    /// Private and link-local addresses too: for a server of one's own on the LAN.
    pub private: bool,
    /// Ports below 1,024 too.
    pub low_ports: bool,
}

impl AddressPolicy {
    /// Whether `address` may be contacted.
    #[must_use]
    pub fn permits(self, address: impl Into<Endpoint>) -> bool {
        let address = address.into();
        let port = address.port();
        let class = match AddressClass::of_canonical(address.ip()) {
            AddressClass::Public => true,
            AddressClass::Private | AddressClass::LinkLocal => self.private,
            AddressClass::Loopback => self.loopback,
            AddressClass::Never => false,
        };
        class && (port >= 1_024 || (self.low_ports && port != 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_pass_by_default_in_any_encoding() {
        let denied = "127.0.0.1 127.255.255.254 0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 \
            172.16.0.1 172.31.255.255 192.168.0.1 192.168.255.254 100.64.0.1 100.127.255.255 \
            169.254.169.254 169.254.0.1 192.0.0.1 192.0.0.170 192.88.99.1 198.18.0.1 198.19.255.255 \
            224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255 :: ::1 ::127.0.0.1 ::10.0.0.1 \
            ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1 \
            ::ffff:192.168.1.1 ::ffff:0.0.0.0 64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b:1::1 \
            2002:7f00:1:: 2002:a00:1::1 2002:c0a8:101::1 2001::1 2001:0:7f00:1:: 2001:2::1 \
            2001:10::1 2001:20::1 100::1 fe80::1 febf::1 fec0::1 fc00::1 fd00::1 fdff::1 ff02::1 \
            ff0e::1 4000::1 8000::1 e000::1 5f00::1 1::1 0:0:0:1::1 ::2 ::fffe:127.0.0.1";
        let mut count = 0;
        for text in denied.split_whitespace() {
            let address = SocketAddr::new(text.parse().unwrap(), 5_000);
            assert!(!AddressPolicy::default().permits(address), "{text}");
            count += 1;
        }
        assert!(count >= 60, "{count} encodings");
        for text in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2a00::1", "2600::1", "::ffff:8.8.8.8"]
        {
            let address = SocketAddr::new(text.parse().unwrap(), 5_000);
            assert!(AddressPolicy::default().permits(address), "{text}");
        }
    }

    #[test]
    fn low_ports_are_denied_and_zero_always() {
        let at = |port| SocketAddr::from(([8, 8, 8, 8], port));
        let lax = AddressPolicy { low_ports: true, ..AddressPolicy::default() };
        assert!(!AddressPolicy::default().permits(at(22)) && lax.permits(at(22)));
        assert!(!lax.permits(at(0)) && AddressPolicy::default().permits(at(1_024)));
    }

    #[test]
    fn mapped_addresses_become_ipv4() {
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:7".parse().unwrap();
        assert_eq!(canonical(mapped), "192.0.2.1:7".parse::<SocketAddr>().unwrap());
    }
}
