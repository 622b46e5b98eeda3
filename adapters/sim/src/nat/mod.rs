//! NAT boxes and stateful firewalls: what they do with one packet, for themselves.
//!
//! A [`Nat`] is a pure state machine like the protocol's own: it is told the time and the addresses
//! of a packet, and answers with the translated address or a [`Refusal`]. The simulated network
//! drives it; so can a test, packet by packet.

mod config;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;

use crate::rng::Rng;
pub use config::{
    Allocation, Behaviour, Blocks, Counter, Filtering, Foreign, Hairpin, Leases, Lifetimes, Limits,
    Mapping, NatConfig, Overflow, Pick, Pooling, Preserve, Refresh, Sharing, Translation,
    Unsolicited,
};

/// Which transport a packet uses: each has mappings of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Proto {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

/// What a NAT looks at in a packet besides its addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// A UDP datagram.
    Udp,
    /// A TCP segment with SYN and without ACK.
    Syn,
    /// A TCP segment with SYN and ACK.
    SynAck,
    /// Any other TCP segment.
    Segment,
    /// A TCP segment with FIN.
    Fin,
    /// A TCP segment with RST.
    Rst,
}

impl Flow {
    /// The transport that it belongs to.
    #[must_use]
    pub const fn proto(self) -> Proto {
        match self {
            Self::Udp => Proto::Udp,
            _ => Proto::Tcp,
        }
    }
}

/// Why a packet does not pass, and what its sender hears of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No port is free, or a limit is reached.
    Full,
    /// Nothing is mapped there.
    NoMapping,
    /// The filter does not let the sender in.
    Filtered,
    /// The box lets nothing of this transport pass, or is down.
    Closed,
    /// As [`Refusal::NoMapping`] or [`Refusal::Filtered`], and the box tells the sender by ICMP.
    Icmp,
    /// As [`Refusal::NoMapping`] or [`Refusal::Filtered`], and the sender gets a TCP RST after this
    /// long.
    Reset(Duration),
}

/// A packet that turns round within the box.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turned {
    /// Its source as the receiver sees it.
    pub source: SocketAddr,
    /// Its receiver's inside address.
    pub to: SocketAddr,
    /// How long the turn takes.
    pub delay: Duration,
}

#[derive(Debug)]
struct Entry {
    port: u16,
    used: Duration,
    contacted: BTreeMap<SocketAddr, Duration>,
}

/// One NAT box.
#[derive(Debug)]
pub struct Nat {
    external: Vec<IpAddr>,
    config: NatConfig,
    mappings: BTreeMap<(Proto, SocketAddr), Entry>,
    owners: BTreeMap<(Proto, u16), SocketAddr>,
    next_port: u16,
}

impl Nat {
    /// A NAT without mappings.
    #[must_use]
    pub fn new(external: &[IpAddr], config: NatConfig, rng: Rng) -> Self {
        let next_port = *config.ports.start();
        let _ = rng;
        let external = external.to_vec();
        Self { external, config, mappings: BTreeMap::new(), owners: BTreeMap::new(), next_port }
    }

    /// Its addresses on the outside.
    #[must_use]
    pub fn external(&self) -> &[IpAddr] {
        &self.external
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

    /// Its settings.
    #[must_use]
    pub const fn config(&self) -> &NatConfig {
        &self.config
    }

    /// The external address of `inside` towards `to`, when it is mapped.
    #[must_use]
    pub fn mapped(&self, proto: Proto, inside: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        let _ = to;
        let mapping = self.mappings.get(&(proto, inside))?;
        Some(SocketAddr::new(self.external[0], mapping.port))
    }

    /// It gets other addresses on the outside; its mappings go.
    pub fn renumber(&mut self, external: &[IpAddr]) {
        self.external = external.to_vec();
        self.reboot();
    }

    /// A packet from an inside host to an address of this box.
    ///
    /// # Errors
    /// [`Refusal`]: it does not pass.
    pub fn hairpin(
        &mut self,
        now: Duration,
        flow: Flow,
        inside: SocketAddr,
        to: SocketAddr,
    ) -> Result<Turned, Refusal> {
        if self.config.hairpin == Hairpin::None {
            return Err(Refusal::Filtered);
        }
        let source = self.outbound(now, flow, inside, to)?;
        let to = self.inbound(now, flow, source, to)?;
        let source = if self.config.hairpin == Hairpin::InternalSource { inside } else { source };
        Ok(Turned { source, to, delay: self.config.hairpin_delay })
    }

    /// Translates the source of a packet on its way out.
    ///
    /// # Errors
    /// [`Refusal`]: it does not pass.
    pub fn outbound(
        &mut self,
        now: Duration,
        flow: Flow,
        inside: SocketAddr,
        to: SocketAddr,
    ) -> Result<SocketAddr, Refusal> {
        let proto = flow.proto();
        self.expire(now, proto, inside);
        if !self.mappings.contains_key(&(proto, inside)) {
            let port = self.free_port(now, proto, inside.port()).ok_or(Refusal::Full)?;
            self.owners.insert((proto, port), inside);
            let mapping = Entry { port, used: now, contacted: BTreeMap::new() };
            self.mappings.insert((proto, inside), mapping);
        }
        let mapping = self.mappings.get_mut(&(proto, inside)).ok_or(Refusal::Full)?;
        mapping.used = now;
        mapping.contacted.insert(to, now);
        Ok(SocketAddr::new(self.external[0], mapping.port))
    }

    /// Translates the destination of a packet on its way in.
    ///
    /// # Errors
    /// [`Refusal`]: it does not pass.
    pub fn inbound(
        &mut self,
        now: Duration,
        flow: Flow,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Result<SocketAddr, Refusal> {
        let proto = flow.proto();
        let inside = *self.owners.get(&(proto, to.port())).ok_or(Refusal::NoMapping)?;
        self.expire(now, proto, inside);
        let mapping = self.mappings.get(&(proto, inside)).ok_or(Refusal::NoMapping)?;
        let timeout = self.timeout(proto);
        let mut known =
            mapping.contacted.iter().filter(|&(_, &sent)| now < sent + timeout).map(|(to, _)| to);
        let admitted = match self.config.behaviour.filtering {
            Filtering::EndpointIndependent => true,
            Filtering::AddressDependent => known.any(|to| to.ip() == from.ip()),
            Filtering::AddressAndPortDependent => known.any(|&to| to == from),
        };
        if admitted { Ok(inside) } else { Err(Refusal::Filtered) }
    }

    /// Whose `to` is, as far as a packet from `from` is concerned, whether it would be let in or not.
    #[must_use]
    pub fn owner(&self, proto: Proto, from: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        let _ = from;
        self.owner_of(proto, to.port())
    }

    fn owner_of(&self, proto: Proto, port: u16) -> Option<SocketAddr> {
        self.owners.get(&(proto, port)).copied()
    }

    const fn timeout(&self, proto: Proto) -> Duration {
        match proto {
            Proto::Udp => self.config.lifetimes.udp_initial,
            Proto::Tcp => self.config.lifetimes.tcp_established,
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
        if self.config.behaviour.allocation.preserve == Preserve::WhenFree
            && self.is_free(now, proto, wanted)
        {
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
        if let Some(owner) = self.owner_of(proto, port) {
            self.expire(now, proto, owner);
        }
        self.owner_of(proto, port).is_none()
    }
}
