//! Ports that lead to an inside address whether or not it sends: forwards that somebody has set up,
//! and leases that inside hosts have asked for.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;

use super::Proto;

/// A lease of an external address and port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lease {
    pub(super) inside: SocketAddr,
    pub(super) until: Duration,
    /// PCP's; NAT-PMP has none.
    pub(super) nonce: Option<[u8; 12]>,
}

#[derive(Debug, Default)]
pub(super) struct Fixed {
    /// By external port, and in a firewall the inside address; else the address is [`any`].
    forwards: BTreeMap<(Proto, SocketAddr), SocketAddr>,
    forwarded: BTreeMap<(Proto, SocketAddr), u16>,
    /// By external address.
    leases: BTreeMap<(Proto, SocketAddr), Lease>,
    leased: BTreeMap<(Proto, SocketAddr), SocketAddr>,
}

/// Where a box that translates has the forwards to a port: on its first address of this family,
/// whichever that is.
pub(super) const fn any(at: SocketAddr) -> SocketAddr {
    let ip = match at {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(ip, at.port())
}

impl Fixed {
    pub(super) fn forward(&mut self, proto: Proto, at: SocketAddr, inside: SocketAddr) {
        self.unforward(proto, |other| other == at);
        self.forwards.insert((proto, at), inside);
        self.forwarded.insert((proto, inside), at.port());
    }

    pub(super) fn unforward(&mut self, proto: Proto, which: impl Fn(SocketAddr) -> bool) {
        let Self { forwards, forwarded, .. } = self;
        forwards.retain(|&(of, at), inside| {
            let goes = of == proto && which(at);
            if goes && forwarded.get(&(proto, *inside)) == Some(&at.port()) {
                forwarded.remove(&(proto, *inside));
            }
            !goes
        });
    }

    pub(super) fn forwarded_at(&self, proto: Proto, at: SocketAddr) -> Option<SocketAddr> {
        self.forwards.get(&(proto, at)).copied()
    }

    pub(super) fn forwarded_for(&self, proto: Proto, inside: SocketAddr) -> Option<u16> {
        self.forwarded.get(&(proto, inside)).copied()
    }

    pub(super) fn leased_at(
        &self,
        now: Duration,
        proto: Proto,
        external: SocketAddr,
    ) -> Option<Lease> {
        self.leases.get(&(proto, external)).copied().filter(|lease| now < lease.until)
    }

    /// The external address that an inside address has leased.
    pub(super) fn leased_for(
        &self,
        now: Duration,
        proto: Proto,
        inside: SocketAddr,
    ) -> Option<SocketAddr> {
        let external = *self.leased.get(&(proto, inside))?;
        self.leased_at(now, proto, external).map(|_| external)
    }

    pub(super) fn lease(&mut self, proto: Proto, external: SocketAddr, lease: Lease) {
        self.leases.insert((proto, external), lease);
        self.leased.insert((proto, lease.inside), external);
    }

    pub(super) fn release(&mut self, proto: Proto, inside: SocketAddr) {
        if let Some(external) = self.leased.remove(&(proto, inside)) {
            self.leases.remove(&(proto, external));
        }
    }

    /// The leases of one inside host for one transport.
    pub(super) fn leases_of(&self, proto: Proto, host: IpAddr) -> Vec<Lease> {
        let (first, last) = (SocketAddr::new(host, 0), SocketAddr::new(host, u16::MAX));
        let externals = self.leased.range((proto, first)..=(proto, last));
        externals.filter_map(|(_, &at)| self.leases.get(&(proto, at)).copied()).collect()
    }

    /// How many leases there are, after those that have run out were taken away.
    pub(super) fn count_leases(&mut self, now: Duration) -> usize {
        self.leases.retain(|_, lease| now < lease.until);
        let leases = &self.leases;
        self.leased.retain(|&(proto, _), external| leases.contains_key(&(proto, *external)));
        self.leases.len()
    }

    pub(super) fn drop_leases(&mut self) {
        self.leases.clear();
        self.leased.clear();
    }
}
