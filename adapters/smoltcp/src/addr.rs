//! Addresses and times as the machines and as smoltcp write them.

use core::net::SocketAddr;

use genkan_core::{AddressClass, Instant};
use smoltcp::iface::Interface;
use smoltcp::wire::{IpAddress, IpCidr, IpEndpoint};

/// smoltcp's form of an address; `None` where this build does not speak that family.
pub(crate) const fn endpoint(address: SocketAddr) -> Option<IpEndpoint> {
    match address {
        #[cfg(feature = "proto-ipv4")]
        SocketAddr::V4(v4) => Some(IpEndpoint { addr: IpAddress::Ipv4(*v4.ip()), port: v4.port() }),
        #[cfg(feature = "proto-ipv6")]
        SocketAddr::V6(v6) => Some(IpEndpoint { addr: IpAddress::Ipv6(*v6.ip()), port: v6.port() }),
        #[allow(unreachable_patterns, reason = "unless both families are spoken")]
        _ => None,
    }
}

/// smoltcp's form of a time; it ends 292,000 years after the epoch.
pub(crate) fn time(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}

/// The reverse.
pub(crate) fn instant(at: smoltcp::time::Instant) -> Instant {
    Instant::from_micros(u64::try_from(at.total_micros()).unwrap_or(0))
}

/// Whether a packet to `remote` has an address to come from and a way to go. Without either smoltcp
/// drops it, or keeps it at the front of its ring until there is one.
pub(crate) fn reaches(iface: &mut Interface, remote: &IpAddress) -> bool {
    let ours = |cidr: &IpCidr| cidr.address().version() == remote.version();
    if !iface.ip_addrs().iter().any(ours) {
        return false;
    }
    let mut found = iface.ip_addrs().iter().any(|cidr| cidr.contains_addr(remote));
    iface.routes_mut().update(|routes| {
        found |= routes.iter().any(|route| route.cidr.contains_addr(remote));
    });
    found
}

/// The interface's address that others can best use: not a link-local one, if there is a choice.
pub(crate) fn own(iface: &Interface) -> Option<IpAddress> {
    let addresses = || iface.ip_addrs().iter().map(IpCidr::address);
    let class = |ip: &IpAddress| AddressClass::of((*ip).into());
    addresses().find(|ip| class(ip) != AddressClass::LinkLocal).or_else(|| addresses().next())
}
