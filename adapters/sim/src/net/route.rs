//! The way of one packet through the boxes, outwards and inwards, and of an ICMP error back.
//!
//! Routers count from the sender: a packet with hop limit `n` is stopped by the `n`th. A box is the
//! last of its [`NatConfig::hops`](crate::NatConfig) routers on the way out and the first of as many
//! on the way in. On the way out it looks at the hop limit before it makes a mapping; on the way in
//! its filter has seen the packet before, as in Linux, where the one comes before routing and the
//! other after it.

use core::net::SocketAddr;
use core::time::Duration;

use super::{HostId, NatId, Net, Owner, Unroutable};
use crate::capture::Interface;
use crate::nat::{Flow, Proto, Refusal};

/// A packet's way after all outward translation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hop {
    pub(crate) network: usize,
    pub(crate) source: SocketAddr,
    /// Its destination there.
    pub(crate) to: SocketAddr,
    /// Its destination as its sender knows it: another one after a hairpin.
    pub(crate) asked: SocketAddr,
    /// Routers that it has passed.
    pub(crate) routers: u8,
    /// What a hairpin takes on top.
    pub(crate) delay: Duration,
}

impl Hop {
    /// A packet that has passed nothing.
    pub(crate) const fn at(network: usize, source: SocketAddr, to: SocketAddr) -> Self {
        Self { network, source, to, asked: to, routers: 0, delay: Duration::ZERO }
    }
}

/// A packet at an interface of a box.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Crossing {
    pub(crate) interface: Interface,
    /// It comes in there.
    pub(crate) inbound: bool,
    pub(crate) source: SocketAddr,
    pub(crate) to: SocketAddr,
    /// Routers that it has passed.
    pub(crate) routers: u8,
}

/// Why and where a packet goes no further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    NoRoute,
    /// That box refuses it.
    Refused(NatId, Refusal),
    /// Its hop limit is used up at that box.
    Expired(NatId),
    /// Its hop limit is used up at the router of that number, counted from the sender.
    ExpiredAt(u8),
}

impl Stop {
    pub(crate) const fn why(self) -> Option<Unroutable> {
        match self {
            Self::NoRoute => Some(Unroutable::NoRoute),
            Self::Refused(..) => Some(Unroutable::Nat),
            Self::Expired(_) | Self::ExpiredAt(_) => None,
        }
    }
}

/// Where a packet ends that arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// At a host, as the packet is there.
    Host(HostId, Hop),
    /// At a box itself.
    Gateway(NatId, Hop),
}

/// A packet's way through boxes.
#[derive(Debug)]
pub(crate) struct Route<T> {
    pub(crate) crossings: Vec<Crossing>,
    /// On the way out: the packet in the last network that it came to. On the way in: as it came.
    pub(crate) at: Hop,
    pub(crate) end: Result<T, Stop>,
}

/// Whether a packet with this hop limit gets no further than router number `routers`.
pub(crate) fn ends(limit: Option<u8>, routers: u8) -> bool {
    limit.is_some_and(|limit| limit <= routers)
}

/// Routers without a name, the last of which is number `last`: the one at which the hop limit is used
/// up, if it is.
fn pass_routers(limit: Option<u8>, last: u8) -> Result<(), Stop> {
    limit.filter(|&limit| limit <= last).map_or(Ok(()), |limit| Err(Stop::ExpiredAt(limit.max(1))))
}

impl Net {
    /// Translates outwards, until the destination's address is known where the packet is.
    pub(crate) fn outbound(
        &mut self,
        now: Duration,
        flow: Flow,
        from: HostId,
        (source, to): (SocketAddr, SocketAddr),
        limit: Option<u8>,
    ) -> Route<Hop> {
        let mut hop = Hop::at(self.lines[from.0].network, source, to);
        let mut crossings = Vec::new();
        let end = loop {
            if self.find(hop.network, hop.to.ip()).is_some() {
                break Ok(hop);
            }
            let Some(nat) = self.exit(hop.network, hop.source.ip()) else {
                break Err(Stop::NoRoute);
            };
            let turns = self.nats[nat.0].nat.external().contains(&hop.to.ip());
            match self.leave(now, flow, nat, hop, limit, &mut crossings) {
                Err(stop) => break Err(stop),
                Ok(next) if turns => break Ok(next),
                Ok(next) => hop = next,
            }
        };
        Route { crossings, at: hop, end }
    }

    /// Out through one box, or round within it.
    fn leave(
        &mut self,
        now: Duration,
        flow: Flow,
        nat: NatId,
        hop: Hop,
        limit: Option<u8>,
        crossings: &mut Vec<Crossing>,
    ) -> Result<Hop, Stop> {
        let gateway = &mut self.nats[nat.0];
        let hops = gateway.nat.config().hops.max(1);
        let mut next = Hop { routers: hop.routers.saturating_add(hops), ..hop };
        let before = next.routers - 1;
        pass_routers(limit, before)?;
        let inside = Interface::Inside(nat);
        crossings.push(crossing(inside, true, Hop { routers: before, ..hop }));
        if ends(limit, next.routers) {
            return Err(Stop::Expired(nat));
        }
        let refused = |refusal| Stop::Refused(nat, refusal);
        if gateway.nat.external().contains(&hop.to.ip()) {
            let turned = gateway.nat.hairpin(now, flow, hop.source, hop.to).map_err(refused)?;
            (next.source, next.to, next.delay) = (turned.source, turned.to, turned.delay);
            crossings.push(crossing(inside, false, next));
            next.routers = next.routers.saturating_add(hops - 1);
            return pass_routers(limit, next.routers).map(|()| next);
        }
        next.source = gateway.nat.outbound(now, flow, hop.source, hop.to).map_err(refused)?;
        next.network = gateway.outer;
        crossings.push(crossing(Interface::Outside(nat), false, next));
        Ok(next)
    }

    /// Translates inwards: who gets the packet, and as what.
    pub(crate) fn inbound(
        &mut self,
        now: Duration,
        flow: Flow,
        mut hop: Hop,
        limit: Option<u8>,
    ) -> Route<End> {
        let origin = hop;
        let mut crossings = Vec::new();
        let end = loop {
            match self.find(hop.network, hop.to.ip()) {
                None => break Err(Stop::NoRoute),
                Some(Owner::Host(host)) => break Ok(End::Host(host, hop)),
                Some(Owner::Gateway(nat)) => break Ok(End::Gateway(nat, hop)),
                Some(Owner::Nat(nat)) => {
                    match self.come_in(now, flow, nat, hop, limit, &mut crossings) {
                        Ok(next) => hop = next,
                        Err(stop) => break Err(stop),
                    }
                }
            }
        };
        Route { crossings, at: origin, end }
    }

    /// In through one box.
    fn come_in(
        &mut self,
        now: Duration,
        flow: Flow,
        nat: NatId,
        hop: Hop,
        limit: Option<u8>,
        crossings: &mut Vec<Crossing>,
    ) -> Result<Hop, Stop> {
        crossings.push(crossing(Interface::Outside(nat), true, hop));
        let gateway = &mut self.nats[nat.0];
        let inside = gateway.nat.inbound(now, flow, hop.source, hop.to);
        let inside = inside.map_err(|refusal| Stop::Refused(nat, refusal))?;
        let passed = hop.routers.saturating_add(1);
        if ends(limit, passed) {
            return Err(Stop::Expired(nat));
        }
        let mut next = Hop { network: gateway.inner, to: inside, routers: passed, ..hop };
        crossings.push(crossing(Interface::Inside(nat), false, next));
        next.routers = hop.routers.saturating_add(gateway.nat.config().hops.max(1));
        pass_routers(limit, next.routers).map(|()| next)
    }

    /// Whose a packet's destination is at this moment, without touching a mapping.
    pub(crate) fn owner(&self, proto: Proto, hop: Hop) -> Option<Owner> {
        let (mut network, mut to) = (hop.network, hop.to);
        loop {
            let owner = self.find(network, to.ip())?;
            let Owner::Nat(nat) = owner else { return Some(owner) };
            let Some(inside) = self.nats[nat.0].nat.owner(proto, hop.source, to) else {
                return Some(owner);
            };
            to = inside;
            network = self.nats[nat.0].inner;
        }
    }

    /// Whether a packet would be let in by every box on its way now, without touching a mapping.
    pub(crate) fn admits(&self, proto: Proto, hop: Hop) -> bool {
        let (mut network, mut to) = (hop.network, hop.to);
        while let Some(Owner::Nat(nat)) = self.find(network, to.ip()) {
            let gateway = &self.nats[nat.0];
            let inside = gateway.nat.owner(proto, hop.source, to);
            match inside.filter(|_| gateway.nat.admits(proto, hop.source, to)) {
                Some(inside) => (network, to) = (gateway.inner, inside),
                None => return false,
            }
        }
        true
    }

    /// Takes an ICMP error about a packet that was as `quoted` to that packet's sender: the host,
    /// and the source that it gave the packet. `None`: a box did not know the packet.
    pub(crate) fn icmp(
        &mut self,
        now: Duration,
        proto: Proto,
        quoted: Hop,
    ) -> Route<(HostId, SocketAddr)> {
        let (mut network, mut source) = (quoted.network, quoted.source);
        let mut crossings = Vec::new();
        let end = loop {
            let at = Hop { source, network, ..quoted };
            // After a hairpin the source is an address of the box that leads out.
            let turns = || {
                let exit = self.exit(network, quoted.to.ip())?;
                let own = self.nats[exit.0].nat.external().contains(&source.ip());
                own.then_some(Owner::Nat(exit))
            };
            match self.find(network, source.ip()).or_else(turns) {
                Some(Owner::Host(host)) => break Ok((host, source)),
                Some(Owner::Nat(nat)) => {
                    crossings.push(crossing(Interface::Outside(nat), true, at));
                    let inside = self.nats[nat.0].nat.icmp_error(now, proto, source, quoted.asked);
                    let Some(inside) = inside else {
                        break Err(Stop::Refused(nat, Refusal::NoMapping));
                    };
                    (source, network) = (inside, self.nats[nat.0].inner);
                    let at = Hop { source, network, ..quoted };
                    crossings.push(crossing(Interface::Inside(nat), false, at));
                }
                Some(Owner::Gateway(_)) | None => break Err(Stop::NoRoute),
            }
        };
        Route { crossings, at: quoted, end }
    }
}

const fn crossing(interface: Interface, inbound: bool, hop: Hop) -> Crossing {
    let Hop { source, to, routers, .. } = hop;
    Crossing { interface, inbound, source, to, routers }
}
