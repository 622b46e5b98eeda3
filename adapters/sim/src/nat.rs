//! A NAT with one external address: endpoint-independent mapping, chosen filtering (RFC 4787 names).
//!
//! An inside address keeps one external port for all destinations, per protocol, until the mapping
//! has been idle for its timeout; only outbound packets keep it alive. What comes from outside is
//! let in according to [`Filtering`]. [`Nat::reboot`] forgets everything. Other kinds of mapping are
//! to come.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;

/// Whom a NAT lets in through a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filtering {
    /// Anybody.
    EndpointIndependent,
    /// Whoever was sent something from the mapping, from any port.
    AddressDependent,
    /// Whoever was sent something from the mapping, from just that port.
    AddressAndPortDependent,
}

/// How a [`Nat`] behaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NatConfig {
    /// Whom it lets in.
    pub filtering: Filtering,
    /// The external port is the inside port when that is free; otherwise the next free one.
    pub preserve_ports: bool,
    /// Where its search for a free port begins.
    pub first_port: u16,
    /// When an idle UDP mapping goes.
    pub udp_timeout: Duration,
    /// When an idle TCP mapping goes.
    pub tcp_timeout: Duration,
    /// Whether inside hosts reach each other by the external address.
    pub hairpin: bool,
}

impl Default for NatConfig {
    /// A common home router: port-restricted, ports not preserved, 120 s for UDP, two hours for TCP,
    /// no hairpin.
    fn default() -> Self {
        Self {
            filtering: Filtering::AddressAndPortDependent,
            preserve_ports: false,
            first_port: 20_000,
            udp_timeout: Duration::from_secs(120),
            tcp_timeout: Duration::from_secs(7_440),
            hairpin: false,
        }
    }
}

/// Which transport a packet uses: each has mappings of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Proto {
    Udp,
    Tcp,
}

#[derive(Debug)]
struct Mapping {
    port: u16,
    used: Duration,
    contacted: BTreeMap<SocketAddr, Duration>,
}

/// One NAT box.
#[derive(Debug)]
pub struct Nat {
    external: IpAddr,
    config: NatConfig,
    mappings: BTreeMap<(Proto, SocketAddr), Mapping>,
    owners: BTreeMap<(Proto, u16), SocketAddr>,
    next_port: u16,
}

impl Nat {
    /// A NAT without mappings.
    #[must_use]
    pub fn new(external: IpAddr, config: NatConfig) -> Self {
        let next_port = config.first_port;
        Self { external, config, mappings: BTreeMap::new(), owners: BTreeMap::new(), next_port }
    }

    /// Its address on the outside.
    #[must_use]
    pub const fn external(&self) -> IpAddr {
        self.external
    }

    /// All mappings go. The search for free ports goes on where it was, so that the same inside
    /// address hardly gets the same port again.
    pub fn reboot(&mut self) {
        self.mappings.clear();
        self.owners.clear();
    }

    /// Its settings, to look at or change; mappings that stand are not moved.
    pub const fn config_mut(&mut self) -> &mut NatConfig {
        &mut self.config
    }

    /// The external address of `inside`, when it is mapped.
    #[must_use]
    pub fn udp_mapping(&self, inside: SocketAddr) -> Option<SocketAddr> {
        let mapping = self.mappings.get(&(Proto::Udp, inside))?;
        Some(SocketAddr::new(self.external, mapping.port))
    }

    pub(crate) const fn set_external(&mut self, external: IpAddr) {
        self.external = external;
    }

    pub(crate) const fn hairpins(&self) -> bool {
        self.config.hairpin
    }

    /// Translates the source of a packet on its way out. `None`: no port is free.
    pub(crate) fn outbound(
        &mut self,
        now: Duration,
        proto: Proto,
        inside: SocketAddr,
        to: SocketAddr,
    ) -> Option<SocketAddr> {
        self.expire(now, proto, inside);
        if !self.mappings.contains_key(&(proto, inside)) {
            let port = self.free_port(now, proto, inside.port())?;
            self.owners.insert((proto, port), inside);
            let mapping = Mapping { port, used: now, contacted: BTreeMap::new() };
            self.mappings.insert((proto, inside), mapping);
        }
        let mapping = self.mappings.get_mut(&(proto, inside))?;
        mapping.used = now;
        mapping.contacted.insert(to, now);
        Some(SocketAddr::new(self.external, mapping.port))
    }

    /// Translates the destination of a packet on its way in. `None`: it is dropped.
    pub(crate) fn inbound(
        &mut self,
        now: Duration,
        proto: Proto,
        from: SocketAddr,
        port: u16,
    ) -> Option<SocketAddr> {
        let inside = *self.owners.get(&(proto, port))?;
        self.expire(now, proto, inside);
        let mapping = self.mappings.get(&(proto, inside))?;
        let timeout = self.timeout(proto);
        let mut known =
            mapping.contacted.iter().filter(|&(_, &sent)| now < sent + timeout).map(|(to, _)| to);
        let admitted = match self.config.filtering {
            Filtering::EndpointIndependent => true,
            Filtering::AddressDependent => known.any(|to| to.ip() == from.ip()),
            Filtering::AddressAndPortDependent => known.any(|&to| to == from),
        };
        admitted.then_some(inside)
    }

    /// Who has `port`, whether a packet would be let in or not.
    pub(crate) fn owner(&self, proto: Proto, port: u16) -> Option<SocketAddr> {
        self.owners.get(&(proto, port)).copied()
    }

    const fn timeout(&self, proto: Proto) -> Duration {
        match proto {
            Proto::Udp => self.config.udp_timeout,
            Proto::Tcp => self.config.tcp_timeout,
        }
    }

    fn expire(&mut self, now: Duration, proto: Proto, inside: SocketAddr) {
        let timeout = self.timeout(proto);
        let key = (proto, inside);
        if let Some(mapping) = self.mappings.get(&key)
            && now >= mapping.used + timeout
        {
            self.owners.remove(&(proto, mapping.port));
            self.mappings.remove(&key);
        }
    }

    fn free_port(&mut self, now: Duration, proto: Proto, wanted: u16) -> Option<u16> {
        if self.config.preserve_ports && self.is_free(now, proto, wanted) {
            return Some(wanted);
        }
        for _ in 0..=u16::MAX {
            let port = self.next_port.max(1_024);
            self.next_port = port.checked_add(1).unwrap_or(1_024);
            if self.is_free(now, proto, port) {
                return Some(port);
            }
        }
        None
    }

    fn is_free(&mut self, now: Duration, proto: Proto, port: u16) -> bool {
        if let Some(owner) = self.owner(proto, port) {
            self.expire(now, proto, owner);
        }
        self.owner(proto, port).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000);

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn nat(filtering: Filtering) -> Nat {
        let config = NatConfig { filtering, ..NatConfig::default() };
        Nat::new("192.0.2.1".parse().unwrap(), config)
    }

    #[test]
    fn one_inside_address_has_one_external_port_for_all_destinations() {
        let mut nat = nat(Filtering::EndpointIndependent);
        let (inside, other) = (address("10.0.0.2:5000"), address("10.0.0.3:5000"));
        let first = nat.outbound(NOW, Proto::Udp, inside, address("203.0.113.1:1"));
        assert_eq!(first, nat.outbound(NOW, Proto::Udp, inside, address("203.0.113.2:2")));
        assert_ne!(first, nat.outbound(NOW, Proto::Udp, other, address("203.0.113.1:1")));
        assert_eq!(first, nat.udp_mapping(inside));
        assert!(first.unwrap().port() >= 20_000);
    }

    #[test]
    fn each_filtering_lets_in_whom_its_name_says() {
        for (filtering, admitted) in [
            (Filtering::EndpointIndependent, [true, true, true]),
            (Filtering::AddressDependent, [true, true, false]),
            (Filtering::AddressAndPortDependent, [true, false, false]),
        ] {
            let mut nat = nat(filtering);
            let inside = address("10.0.0.2:5000");
            let peer = address("203.0.113.1:1");
            let port = nat.outbound(NOW, Proto::Udp, inside, peer).unwrap().port();
            for (from, admitted) in
                ["203.0.113.1:1", "203.0.113.1:2", "203.0.113.2:1"].into_iter().zip(admitted)
            {
                let found = nat.inbound(NOW, Proto::Udp, address(from), port);
                assert_eq!(found, admitted.then_some(inside), "{filtering:?} {from}");
            }
            assert_eq!(nat.inbound(NOW, Proto::Tcp, peer, port), None);
        }
    }

    #[test]
    fn a_mapping_goes_when_idle_and_at_a_reboot_and_comes_back_with_another_port() {
        let mut nat = nat(Filtering::EndpointIndependent);
        let (inside, peer) = (address("10.0.0.2:5000"), address("203.0.113.1:1"));
        let first = nat.outbound(NOW, Proto::Udp, inside, peer).unwrap();
        let almost = NOW + Duration::from_secs(119);
        assert!(nat.inbound(almost, Proto::Udp, peer, first.port()).is_some());
        let idle = NOW + Duration::from_secs(120);
        assert!(nat.inbound(idle, Proto::Udp, peer, first.port()).is_none());
        let second = nat.outbound(idle, Proto::Udp, inside, peer).unwrap();
        assert_ne!(first, second);
        nat.reboot();
        assert!(nat.inbound(idle, Proto::Udp, peer, second.port()).is_none());
    }

    #[test]
    fn ports_are_preserved_where_that_is_set_and_the_port_is_free() {
        let mut nat = nat(Filtering::EndpointIndependent);
        nat.config_mut().preserve_ports = true;
        let peer = address("203.0.113.1:1");
        let first = nat.outbound(NOW, Proto::Udp, address("10.0.0.2:5000"), peer).unwrap();
        let second = nat.outbound(NOW, Proto::Udp, address("10.0.0.3:5000"), peer).unwrap();
        assert_eq!((first.port(), second.port()), (5_000, 20_000));
    }
}
