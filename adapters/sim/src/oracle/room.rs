//! Whether a way out has room for the mappings that an attempt needs, for certain and at all.
//!
//! Three things limit them: a box's limits ([`Limits`]), its ports, and those whom it serves besides.
//! What is certain is counted low, what is possible is counted high; between the two the oracle says
//! neither "must" nor "cannot".

use super::end::Gate;
use super::ports::{self, Sets};
use crate::nat::{Behaviour, Counter, Limits, Mapping, NatConfig, Overflow, Pick, Sharing};

/// Mappings that plain punching makes at most before it has connected, at a box that has one for each
/// destination: towards the server, towards the address that the server saw, and towards the few from
/// which answers and their answers come.
const PLAIN: u32 = 8;
/// Towards the server, and two by which a counter is observed.
pub(crate) const OBSERVED: u32 = 3;

/// With one port of so many in use, runs of so many in use are less likely than 10⁻³⁰.
const LONG: u32 = 32;

/// How many mappings there can be on one way out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    /// There may be a mapping towards the server and one towards the peer.
    pub possible: bool,
    /// There is room for all that plain punching needs.
    pub plain: bool,
    /// So many mappings can be made within a second, for certain.
    pub sure: u32,
    /// No more new addresses of this end than these can be had at once.
    pub most: Option<u32>,
    /// No more destinations than these can be sent to at once.
    pub destinations: Option<u32>,
}

/// What comes to a box from those further in.
#[derive(Clone, Copy)]
pub(super) struct Inside {
    /// Their strictest mapping.
    pub(super) strictest: Mapping,
    /// They certainly show two ports to two destinations.
    pub(super) splits: bool,
    /// Ports below 1024 are among those that they send from.
    pub(super) low_ports: bool,
    /// From so many addresses, each of which is an inside host of this box.
    pub(super) addresses: u32,
}

impl Room {
    pub(super) const ENDLESS: Self =
        Self { possible: true, plain: true, sure: u32::MAX, most: None, destinations: None };

    /// One box further out.
    /// `shared`: the other end goes through it too.
    pub(super) fn pass(&mut self, gate: &Gate, behaviour: &Behaviour, from: Inside, shared: bool) {
        let Inside { strictest, splits, low_ports, addresses } = from;
        let config = &gate.config;
        let Limits { per_inside, total, rate, .. } = config.limits;
        let count = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
        let (per_inside, total) = (per_inside.map(count), total.map(count));
        let (sure_ports, most_ports) =
            if gate.translates() { port_room(gate, behaviour, shared) } else { (u32::MAX, None) };
        // A class of ports below 1024 may have none of the range.
        let sure_ports = if config.port_classes && low_ports { 0 } else { sure_ports };

        let ends = if shared { 2 } else { 1 };
        let limits = [per_inside, total, rate].into_iter().flatten();
        let sure = limits.map(|limit| limit / ends).fold(sure_ports, u32::min);
        self.sure = self.sure.min(sure);
        let several = strictest.max(behaviour.mapping) != Mapping::EndpointIndependent;
        self.plain &= sure >= if several { PLAIN } else { 1 };

        // As many inside hosts as addresses.
        let hosts = |limit: Option<u32>| limit.map(|limit| limit.saturating_mul(addresses));
        let (per_inside, most_ports) = (hosts(per_inside), hosts(most_ports));
        // What comes from two ports, or goes by two mappings of this box.
        let two = splits || behaviour.mapping != Mapping::EndpointIndependent;
        let needed = if two { 2 } else { 1 };
        let below = |limit: Option<u32>, least: u32| limit.is_some_and(|limit| limit < least);
        let never = [per_inside, total, rate, most_ports].into_iter().any(|limit| below(limit, 1));
        let tight = below(per_inside, needed)
            || below(total, needed + ends - 1)
            || below(most_ports, needed);
        self.possible &= !never && (frees(config) || !tight);

        let caps = [per_inside, total, most_ports].into_iter().flatten().min();
        let cap = caps.filter(|_| !frees(config));
        // One mapping of a box further in can become many here.
        self.most = if behaviour.mapping > strictest { cap } else { least_of(self.most, cap) };
        if behaviour.mapping == Mapping::AddressAndPortDependent {
            self.destinations = least_of(self.destinations, cap);
        }
    }
}

fn least_of(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    one.into_iter().chain(other).min()
}

/// Whether a box that has no room makes some, so that no limit is for ever.
const fn frees(config: &NatConfig) -> bool {
    matches!(config.limits.overflow, Overflow::EvictOldest | Overflow::Crash(_))
        || config.icmp_ends_mapping
}

/// How many ports an end can have for certain, and at most.
fn port_room(gate: &Gate, behaviour: &Behaviour, shared: bool) -> (u32, Option<u32>) {
    let (config, allocation) = (&gate.config, &behaviour.allocation);
    let sets = ports::sets(config);
    let Sets { count, most, more, .. } = sets;
    let hosts = if shared { 2 } else { 1 };
    let enough = count >= hosts && !(shared && allocation.sharing == Sharing::Overloading);
    let least = if enough { sets.least_for(allocation) } else { 0 };
    let exclusive = allocation.sharing == Sharing::Exclusive;
    let foreign = exclusive && config.foreign.is_some();
    let found = match allocation.pick {
        Pick::Random => least,
        Pick::RandomStart { tries } => {
            let tries = if allocation.parity { tries / 2 } else { tries };
            // While few ports are in use, no run of them is as long as a search.
            let sparse = if tries >= LONG { least / LONG } else { 0 };
            tries.min(least).max(sparse)
        }
        // Where a port in use ends the search, as port 0 does, nobody else may be there.
        Pick::Sequential { skip_used: false, counter, .. }
            if foreign
                || config.ports.contains(&0)
                || counter == Counter::PerDestination
                || (shared && counter == Counter::PerInside) =>
        {
            0
        }
        Pick::Sequential { .. } if !enough => 0,
        Pick::Sequential { step, .. } => ports::cycle(sets, step, allocation.parity),
    };
    let used = ports::used(config, allocation, gate.addresses);
    // What is forwarded for the other end takes a port.
    let free = found.saturating_sub(used).saturating_sub(hosts - 1) / hosts;
    let sure = if allocation.sharing == Sharing::Overloading && free > 0 { u32::MAX } else { free };
    let range = config.ports.clone().filter(|&port| port != 0).take(2).count();
    let most = if exclusive && !config.port_classes { Some(most + more) } else { None };
    let most = if range == 0 || count == 0 { Some(0) } else { most };
    (sure, most.map(|most| most.saturating_mul(gate.addresses.max(1))))
}
