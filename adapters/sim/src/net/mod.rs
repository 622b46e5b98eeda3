//! Who is where, and what lies between: networks, NATs, lines, partitions.
//!
//! The public internet is network 0. Each NAT has an inner network and sits on an outer one, so NATs
//! can stand behind NATs; a firewall that changes no addresses can stand beside a NAT, as the IPv6
//! half of a home router. A packet is translated outwards when it is sent and inwards when it
//! arrives; what happens to a NAT in between counts.

mod lines;
mod route;
#[cfg(test)]
mod tests;

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use crate::faults::Faults;
use crate::nat::{Nat, NatConfig, Translation};
use crate::numbered::{Numbered, Thing};
use crate::rng::Rng;
use lines::{Lines, Pipe};
pub(crate) use route::{Crossing, End, Hop, Route, Stop, ends};

/// A host of a [`World`](crate::World).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostId(pub(crate) usize);

/// A NAT or firewall of a [`World`](crate::World).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NatId(pub(crate) usize);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    Host(HostId),
    /// Through that box.
    Nat(NatId),
    /// That box itself, by its address on the inside.
    Gateway(NatId),
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

/// What a NAT or firewall is to be, and where.
///
/// A box of [`Translation::AddressAndPort`] carries the address families of its external addresses;
/// one of [`Translation::None`] carries every family that no translating box of the same inner
/// network carries, and the addresses behind it are known on its outer side. The translation must
/// not be changed once the box stands.
#[derive(Clone, PartialEq, Debug)]
pub struct NatSpec {
    pub(crate) name: String,
    pub(crate) external: Vec<IpAddr>,
    pub(crate) inner: Option<IpAddr>,
    pub(crate) behind: Option<NatId>,
    pub(crate) beside: Option<NatId>,
    pub(crate) config: NatConfig,
}

impl NatSpec {
    /// A box in the public internet that behaves like this and has no address yet.
    #[must_use]
    pub fn new(name: &str, config: NatConfig) -> Self {
        let (external, name) = (Vec::new(), name.into());
        Self { name, external, inner: None, behind: None, beside: None, config }
    }

    /// A further address on the outside; several are a pool.
    #[must_use]
    pub fn external(mut self, address: IpAddr) -> Self {
        self.external.push(address);
        self
    }

    /// Its address on the inside, where it answers NAT-PMP and PCP on UDP port 5351.
    #[must_use]
    pub const fn inner(mut self, address: IpAddr) -> Self {
        self.inner = Some(address);
        self
    }

    /// Its outer network is the inner one of that box.
    #[must_use]
    pub const fn behind(mut self, nat: NatId) -> Self {
        self.behind = Some(nat);
        self
    }

    /// Another way out of the inner network of that box: the firewall for the other address family,
    /// or a second line (see [`World::prefer_nat`](crate::World::prefer_nat)).
    #[must_use]
    pub const fn beside(mut self, nat: NatId) -> Self {
        self.beside = Some(nat);
        self
    }
}

struct NatBox {
    nat: Nat,
    /// The network on its inside.
    inner: usize,
    outer: usize,
    name: String,
    gateway: Option<IpAddr>,
}

impl Thing for NatBox {
    const WHAT: &str = "NAT";
}

#[derive(Default)]
pub(crate) struct Net {
    members: BTreeMap<(usize, IpAddr), Owner>,
    /// Addresses that are reached through a box that does not translate.
    routed: BTreeMap<(usize, IpAddr), NatId>,
    /// The ways out of each network but the first, the preferred first.
    exits: BTreeMap<usize, Vec<NatId>>,
    nats: Numbered<NatBox>,
    lines: Numbered<Lines>,
    /// The first host in or behind each network.
    fronts: BTreeMap<usize, HostId>,
    paths: BTreeMap<(HostId, HostId), Faults>,
    cuts: BTreeSet<(HostId, HostId)>,
    /// Until when lines of limited rate are busy.
    busy: BTreeMap<Pipe, Duration>,
}

impl Net {
    /// What the next NAT will be called.
    pub(crate) const fn next_nat(&self) -> NatId {
        NatId(self.nats.len())
    }

    pub(crate) fn add_nat(&mut self, spec: NatSpec, rng: Rng) -> NatId {
        let id = NatId(self.nats.len());
        let (outer, beside) = (self.inner(spec.behind), spec.beside.is_some());
        let inner = match spec.beside {
            Some(sibling) => self.nats[sibling.0].inner,
            None => id.0 + 1,
        };
        let fault = spec.config.check_with(spec.external.len()).err();
        assert!(
            fault.is_none(),
            "{}: {}",
            spec.name,
            fault.map_or_else(String::new, |fault| fault.to_string())
        );
        let nat = Nat::new(&spec.external, spec.config, rng);
        let (name, gateway) = (spec.name, spec.inner);
        self.nats.push(NatBox { nat, inner, outer, name, gateway });
        self.exits.entry(inner).or_default().push(id);
        for &address in &spec.external {
            self.claim(outer, address, Owner::Nat(id));
        }
        if let Some(address) = spec.inner {
            self.claim(inner, address, Owner::Gateway(id));
        }
        // A box with an inner network of its own has nobody behind it yet.
        if beside {
            self.reroute();
        }
        id
    }

    pub(crate) fn add_host(&mut self, host: HostId, behind: Option<NatId>, addresses: &[IpAddr]) {
        let network = self.inner(behind);
        self.lines.push(Lines { network, ..Lines::default() });
        assert_eq!(self.lines.len(), host.0 + 1, "hosts are added in order");
        for &address in addresses {
            self.claim(network, address, Owner::Host(host));
        }
        let mut outwards = Some(network);
        while let Some(network) = outwards {
            self.fronts.entry(network).or_insert(host);
            let exit = self.exits.get(&network).and_then(|exits| exits.first());
            outwards = exit.map(|nat| self.nats[nat.0].outer);
        }
    }

    /// The network that a host is in.
    pub(crate) fn network(&self, host: HostId) -> usize {
        self.lines[host.0].network
    }

    /// The network on the outside of a box.
    pub(crate) fn outer(&self, nat: NatId) -> usize {
        self.nats[nat.0].outer
    }

    /// The network on the inside of a box, or the public internet.
    pub(crate) fn inner(&self, nat: Option<NatId>) -> usize {
        nat.map_or(0, |nat| self.nats[nat.0].inner)
    }

    fn claim(&mut self, network: usize, address: IpAddr, owner: Owner) {
        let before = self.members.insert((network, address), owner);
        assert!(before.is_none(), "{address} is given twice in one network");
        if !matches!(owner, Owner::Gateway(_)) {
            self.route(network, address);
        }
    }

    /// Makes an address known outside of the boxes that do not translate it.
    fn route(&mut self, mut network: usize, address: IpAddr) {
        while let Some(exit) = self.exit(network, address) {
            let exit = &self.nats[exit.0];
            if exit.nat.config().translation != Translation::None {
                return;
            }
            let through = self.exit(network, address);
            network = exit.outer;
            if let Some(through) = through {
                self.routed.insert((network, address), through);
            }
        }
    }

    fn reroute(&mut self) {
        self.routed.clear();
        let known = self.members.iter().filter(|(_, owner)| !matches!(owner, Owner::Gateway(_)));
        for (network, address) in known.map(|(&key, _)| key).collect::<Vec<_>>() {
            self.route(network, address);
        }
    }

    /// The box by which a packet with such a source leaves a network.
    fn exit(&self, network: usize, source: IpAddr) -> Option<NatId> {
        let exits = self.exits.get(&network)?;
        let translates = |nat: &&NatId| {
            let nat = &self.nats[nat.0].nat;
            nat.config().translation == Translation::AddressAndPort
                && nat.external().iter().any(|address| address.is_ipv4() == source.is_ipv4())
        };
        let passes = |nat: &&NatId| self.nats[nat.0].nat.config().translation == Translation::None;
        exits.iter().find(translates).or_else(|| exits.iter().find(passes)).copied()
    }

    /// Who has an address itself, in one network.
    pub(crate) fn holder(&self, network: usize, address: IpAddr) -> Option<Owner> {
        self.members.get(&(network, address)).copied()
    }

    /// Whose an address is, in one network.
    fn find(&self, network: usize, address: IpAddr) -> Option<Owner> {
        let routed = || self.routed.get(&(network, address)).copied().map(Owner::Nat);
        self.holder(network, address).or_else(routed)
    }

    pub(crate) fn prefer(&mut self, nat: NatId) {
        let inner = self.nats[nat.0].inner;
        let exits = self.exits.entry(inner).or_default();
        exits.sort_by_key(|exit| *exit != nat);
        self.reroute();
    }

    pub(crate) fn nat_mut(&mut self, nat: NatId) -> &mut Nat {
        &mut self.nats[nat.0].nat
    }

    pub(crate) fn nat_name(&self, nat: NatId) -> &str {
        &self.nats[nat.0].name
    }

    /// The box that has an address on its outside.
    pub(crate) fn box_with(&self, external: IpAddr) -> Option<NatId> {
        self.nats.iter().position(|nat| nat.nat.external().contains(&external)).map(NatId)
    }

    pub(crate) fn nat(&self, nat: NatId) -> &Nat {
        &self.nats[nat.0].nat
    }

    /// What a box answers to a request to its inner address.
    pub(crate) fn port_control(
        &mut self,
        now: Duration,
        nat: NatId,
        from: SocketAddr,
        bytes: &[u8],
    ) -> Option<Vec<u8>> {
        self.nats[nat.0].nat.port_control(now, from, bytes)
    }

    pub(crate) fn gateway(&self, nat: NatId) -> Option<IpAddr> {
        self.nats[nat.0].gateway
    }

    pub(crate) const fn nats(&self) -> usize {
        self.nats.len()
    }

    /// A NAT gets other external addresses and loses its mappings.
    pub(crate) fn renumber_nat(&mut self, nat: NatId, external: &[IpAddr]) {
        let outer = self.nats[nat.0].outer;
        self.members.retain(|_, owner| *owner != Owner::Nat(nat));
        self.nats[nat.0].nat.renumber(external);
        for &address in external {
            self.claim(outer, address, Owner::Nat(nat));
        }
        self.reroute();
    }

    /// A host gets other addresses in its network.
    pub(crate) fn renumber_host(&mut self, host: HostId, addresses: &[IpAddr]) {
        let network = self.lines[host.0].network;
        self.members.retain(|_, owner| *owner != Owner::Host(host));
        for &address in addresses {
            self.claim(network, address, Owner::Host(host));
        }
        self.reroute();
    }
}
