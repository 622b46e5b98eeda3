//! Who is where, and what lies between: networks, NATs, lines, partitions.
//!
//! The public internet is network 0. Each NAT has an inner network of its own and sits on an outer
//! one, so NATs can stand behind NATs. A packet is translated outwards when it is sent and inwards
//! when it arrives; what happens to a NAT in between counts.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use crate::faults::Faults;
use crate::nat::{Flow, Hairpin, Nat, NatConfig, Proto};
use crate::rng::Rng;

/// A host of a [`World`](crate::World).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostId(pub(crate) usize);

/// A NAT of a [`World`](crate::World).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NatId(pub(crate) usize);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    Host(HostId),
    Nat(NatId),
}

/// Why a packet went nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unroutable {
    /// Nobody has that address, or the sender has none of that family.
    NoRoute,
    /// A NAT had no mapping for it, or did not let it in.
    Nat,
}

impl fmt::Display for Unroutable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRoute => "no route",
            Self::Nat => "dropped by a NAT",
        })
    }
}

/// A packet's way after all outward translation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hop {
    pub(crate) network: usize,
    pub(crate) source: SocketAddr,
}

struct NatBox {
    nat: Nat,
    outer: usize,
    name: String,
}

/// The lines of one host.
#[derive(Clone, Debug, Default)]
struct Lines {
    network: usize,
    up: Faults,
    down: Faults,
}

#[derive(Default)]
pub(crate) struct Net {
    members: BTreeMap<(usize, IpAddr), Owner>,
    nats: Vec<NatBox>,
    lines: Vec<Lines>,
    paths: BTreeMap<(HostId, HostId), Faults>,
    cuts: BTreeSet<(HostId, HostId)>,
}

/// The inner network of a NAT.
const fn inner(nat: NatId) -> usize {
    nat.0 + 1
}

impl Net {
    pub(crate) fn add_nat(
        &mut self,
        name: &str,
        external: &[IpAddr],
        behind: Option<NatId>,
        (config, rng): (NatConfig, Rng),
    ) -> NatId {
        let id = NatId(self.nats.len());
        let outer = behind.map_or(0, inner);
        self.nats.push(NatBox { nat: Nat::new(external, config, rng), outer, name: name.into() });
        for &address in external {
            self.claim(outer, address, Owner::Nat(id));
        }
        id
    }

    pub(crate) fn add_host(&mut self, host: HostId, behind: Option<NatId>, addresses: &[IpAddr]) {
        let network = behind.map_or(0, inner);
        self.lines.push(Lines { network, ..Lines::default() });
        assert_eq!(self.lines.len(), host.0 + 1, "hosts are added in order");
        for &address in addresses {
            self.claim(network, address, Owner::Host(host));
        }
    }

    fn claim(&mut self, network: usize, address: IpAddr, owner: Owner) {
        let before = self.members.insert((network, address), owner);
        assert!(before.is_none(), "{address} is taken");
    }

    pub(crate) fn nat_mut(&mut self, nat: NatId) -> &mut Nat {
        &mut self.nats[nat.0].nat
    }

    pub(crate) fn nat_name(&self, nat: NatId) -> &str {
        &self.nats[nat.0].name
    }

    /// A NAT gets another external address and loses its mappings.
    pub(crate) fn renumber_nat(&mut self, nat: NatId, external: IpAddr) {
        let outer = self.nats[nat.0].outer;
        self.members.retain(|_, owner| *owner != Owner::Nat(nat));
        self.claim(outer, external, Owner::Nat(nat));
        self.nats[nat.0].nat.renumber(&[external]);
    }

    /// A host gets other addresses in its network.
    pub(crate) fn renumber_host(&mut self, host: HostId, addresses: &[IpAddr]) {
        let network = self.lines[host.0].network;
        self.members.retain(|_, owner| *owner != Owner::Host(host));
        for &address in addresses {
            self.claim(network, address, Owner::Host(host));
        }
    }

    pub(crate) fn lines_mut(&mut self, host: HostId) -> (&mut Faults, &mut Faults) {
        let lines = &mut self.lines[host.0];
        (&mut lines.up, &mut lines.down)
    }

    pub(crate) fn set_path(&mut self, from: HostId, to: HostId, faults: Faults) {
        self.paths.insert((from, to), faults);
    }

    pub(crate) fn cut(&mut self, from: HostId, to: HostId) {
        self.cuts.insert((from, to));
    }

    pub(crate) fn mend(&mut self, from: HostId, to: HostId) {
        self.cuts.remove(&(from, to));
    }

    pub(crate) fn is_cut(&self, from: HostId, to: HostId) -> bool {
        self.cuts.contains(&(from, to))
    }

    /// What the way from one host to another does. `to` may be unknown (behind a NAT that has no
    /// mapping); then only the sender's line counts.
    pub(crate) fn path(&self, from: HostId, to: Option<HostId>) -> Faults {
        let lines = &self.lines[from.0];
        let Some(to) = to else { return lines.up.clone() };
        if let Some(path) = self.paths.get(&(from, to)) {
            return path.clone();
        }
        let other = &self.lines[to.0];
        if lines.network != 0 && lines.network == other.network {
            return Faults::lan();
        }
        lines.up.then(&other.down)
    }

    /// Translates outwards, until the destination's address is known where the packet is.
    pub(crate) fn outbound(
        &mut self,
        now: Duration,
        flow: Flow,
        from: HostId,
        (mut source, to): (SocketAddr, SocketAddr),
    ) -> Result<Hop, Unroutable> {
        let mut network = self.lines[from.0].network;
        let mut left = None;
        loop {
            if let Some(&owner) = self.members.get(&(network, to.ip())) {
                // Back through the NAT that the packet has just left: a hairpin.
                let turns = matches!((owner, left), (Owner::Nat(a), Some(b)) if a == b);
                if turns
                    && !left.is_some_and(|nat: NatId| {
                        self.nats[nat.0].nat.config().hairpin != Hairpin::None
                    })
                {
                    return Err(Unroutable::Nat);
                }
                return Ok(Hop { network, source });
            }
            let nat = network.checked_sub(1).ok_or(Unroutable::NoRoute)?;
            let gateway = &mut self.nats[nat];
            source = gateway.nat.outbound(now, flow, source, to).map_err(|_| Unroutable::Nat)?;
            network = gateway.outer;
            left = Some(NatId(nat));
        }
    }

    /// Translates inwards: the host, and its address as the packet finds it.
    pub(crate) fn inbound(
        &mut self,
        now: Duration,
        flow: Flow,
        hop: Hop,
        mut to: SocketAddr,
    ) -> Result<(HostId, SocketAddr), Unroutable> {
        let mut network = hop.network;
        loop {
            match self.members.get(&(network, to.ip())).ok_or(Unroutable::NoRoute)? {
                Owner::Host(host) => return Ok((*host, to)),
                Owner::Nat(nat) => {
                    let nat = *nat;
                    let inside = self.nats[nat.0].nat.inbound(now, flow, hop.source, to);
                    to = inside.map_err(|_| Unroutable::Nat)?;
                    network = inner(nat);
                }
            }
        }
    }

    /// Whose address `to` is at this moment, without touching a mapping.
    pub(crate) fn owner(&self, proto: Proto, hop: Hop, mut to: SocketAddr) -> Option<Owner> {
        let mut network = hop.network;
        loop {
            let owner = *self.members.get(&(network, to.ip()))?;
            let Owner::Nat(nat) = owner else { return Some(owner) };
            let Some(inside) = self.nats[nat.0].nat.owner(proto, hop.source, to) else {
                return Some(owner);
            };
            to = inside;
            network = inner(nat);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn plain() -> (NatConfig, Rng) {
        (NatConfig::default(), Rng::new(1))
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// A server, a host behind a home NAT behind a carrier's NAT, and a neighbour in the same house.
    fn house() -> Net {
        let mut net = Net::default();
        let carrier = net.add_nat("carrier", &[ip("192.0.2.1")], None, plain());
        let home = net.add_nat("home", &[ip("100.64.0.2")], Some(carrier), plain());
        net.add_host(HostId(0), None, &[ip("203.0.113.1")]);
        net.add_host(HostId(1), Some(home), &[ip("10.0.0.2")]);
        net.add_host(HostId(2), Some(home), &[ip("10.0.0.3")]);
        net
    }

    #[test]
    fn two_nats_in_series_translate_both_ways() {
        let mut net = house();
        let (inside, server) = (address("10.0.0.2:5000"), address("203.0.113.1:1"));
        let out = net.outbound(NOW, Flow::Udp, HostId(1), (inside, server)).unwrap();
        assert_eq!((out.network, out.source.ip()), (0, ip("192.0.2.1")));
        assert_eq!(net.inbound(NOW, Flow::Udp, out, server), Ok((HostId(0), server)));
        let back = net.outbound(NOW, Flow::Udp, HostId(0), (server, out.source)).unwrap();
        assert_eq!(net.inbound(NOW, Flow::Udp, back, out.source), Ok((HostId(1), inside)));
        assert_eq!(net.owner(Proto::Udp, back, out.source), Some(Owner::Host(HostId(1))));
        net.nat_mut(NatId(1)).reboot();
        assert_eq!(net.inbound(NOW, Flow::Udp, back, out.source), Err(Unroutable::Nat));
    }

    #[test]
    fn neighbours_reach_each_other_untranslated_and_not_by_the_outside_address() {
        let mut net = house();
        let (inside, neighbour) = (address("10.0.0.2:5000"), address("10.0.0.3:6000"));
        let hop = net.outbound(NOW, Flow::Udp, HostId(1), (inside, neighbour)).unwrap();
        assert_eq!(hop, Hop { network: 2, source: inside });
        assert_eq!(net.path(HostId(1), Some(HostId(2))), Faults::lan());
        let outside = address("100.64.0.2:20000");
        let hairpin = net.outbound(NOW, Flow::Udp, HostId(1), (inside, outside));
        assert_eq!(hairpin, Err(Unroutable::Nat));
        net.nat_mut(NatId(1)).config_mut().hairpin = Hairpin::InternalSource;
        assert!(net.outbound(NOW, Flow::Udp, HostId(1), (inside, outside)).is_ok());
    }

    #[test]
    fn an_address_that_nobody_has_is_unroutable() {
        let mut net = house();
        let (server, nobody) = (address("203.0.113.1:1"), address("198.51.100.1:1"));
        let sent = net.outbound(NOW, Flow::Udp, HostId(0), (server, nobody));
        assert_eq!(sent, Err(Unroutable::NoRoute));
    }

    #[test]
    fn a_pairs_own_path_stands_before_the_hosts_lines() {
        let mut net = house();
        net.set_path(HostId(0), HostId(1), Faults::millis(3));
        assert_eq!(net.path(HostId(0), Some(HostId(1))), Faults::millis(3));
        assert_eq!(net.path(HostId(1), Some(HostId(0))).latency, Duration::from_millis(20));
        assert_eq!(net.path(HostId(1), None).latency, Duration::from_millis(10));
    }
}
