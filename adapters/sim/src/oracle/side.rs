//! What a chain of boxes amounts to, seen from outside.
//!
//! Mapping and filtering of a chain are those of its strictest box: a packet gets a new address when
//! any box gives it one, and passes only when every filter lets it (RFC 5128 section 3.5). The boxes
//! inside the first one that gives new addresses have one mapping for server and peer, and their
//! filters know both; those from there on out have another for each. The port that outsiders see is
//! the outermost box's choice, unless that box keeps ports; then it is the next one's, and so on to
//! the port that the application binds.

use std::collections::BTreeMap;

use super::end::Gate;
use crate::nat::{
    Allocation, Behaviour, Blocks, Counter, Filtering, Foreign, Mapping, NatConfig, Pick, Pooling,
    Preserve, Sharing, Unsolicited,
};

/// What is known beforehand about the external port of a new mapping.
#[derive(Clone, PartialEq, Debug)]
pub enum Ports {
    /// It is the one that the server has seen: there is no new mapping.
    Seen,
    /// It is the port that the application binds, as long as that is free and the socket is fresh.
    Chosen,
    /// The next one of a counter that the server can observe; other users' mappings move it on.
    Counter {
        /// Those other users.
        foreign: Option<Foreign>,
        /// Ports of the wrong parity are passed over, so that a distance does not tell how many
        /// mappings came between.
        parity: bool,
    },
    /// The next one of a counter that nobody has seen yet (one for each destination).
    Unseen {
        /// How many ports the counter goes through.
        among: u32,
    },
    /// Any of a set.
    Among {
        /// How many ports the box may give this end.
        own: u32,
        /// Among how many a prober has to look: more than `own` when nothing tells which they are
        /// (RFC 6431 section 2.2).
        all: u32,
    },
}

/// One end as the other meets it.
#[derive(Clone, PartialEq, Debug)]
pub struct Side {
    /// The strictest mapping on the way.
    pub mapping: Mapping,
    /// The strictest filter on the way.
    pub filtering: Filtering,
    /// The strictest filter of the boxes that have different mappings towards server and peer.
    pub filtering_new: Filtering,
    /// The peer sees the address that the server sees.
    pub stable: bool,
    /// Anybody may open a TCP connection to the known address: public, or forwarded all the way.
    pub open: bool,
    /// Among how many external addresses a new mapping's is drawn.
    pub addresses: u32,
    /// Whether it is drawn once for a destination address, not for each mapping.
    pub address_by_destination: bool,
    /// A new mapping's port.
    pub ports: Ports,
    /// Probability that a port that somebody chose is in use by others.
    pub taken: f64,
    /// How many mappings the end may have.
    pub most: Option<u32>,
    /// An uninvited packet does harm.
    pub punishes: bool,
    /// An uninvited packet is answered by ICMP.
    pub answers: bool,
    /// An ICMP error ends a mapping.
    pub fragile: bool,
}

/// The worst that an end can meet: the behaviours that a box may change to on a conflict
/// (RFC 4787 section 8) count too.
pub(crate) fn variants(gates: &[Gate]) -> Vec<Side> {
    let rounds = gates.iter().map(|gate| gate.config.on_conflict.len()).max().unwrap_or(0);
    (0..=rounds).map(|round| side(gates, round)).collect()
}

/// The behaviour of a box after so many conflicts.
fn behaviour(config: &NatConfig, round: usize) -> &Behaviour {
    let last = config.on_conflict.len();
    match round.min(last) {
        0 => &config.behaviour,
        nth => &config.on_conflict[nth - 1],
    }
}

fn side(gates: &[Gate], round: usize) -> Side {
    let mut side = Side {
        mapping: Mapping::EndpointIndependent,
        filtering: Filtering::EndpointIndependent,
        filtering_new: Filtering::EndpointIndependent,
        stable: true,
        open: true,
        addresses: 1,
        address_by_destination: false,
        ports: Ports::Chosen,
        taken: 0.0,
        most: None,
        punishes: false,
        answers: false,
        fragile: false,
    };
    for gate in gates.iter().filter(|gate| !gate.forwarded) {
        side.pass(gate, behaviour(&gate.config, round));
    }
    if side.stable {
        side.ports = Ports::Seen;
    }
    side
}

impl Side {
    /// One box further out.
    fn pass(&mut self, gate: &Gate, behaviour: &Behaviour) {
        let Gate { config, .. } = gate;
        let strict = behaviour.filtering != Filtering::EndpointIndependent;
        if gate.translates() {
            self.pass_translation(gate, behaviour);
        }
        self.filtering = self.filtering.max(behaviour.filtering);
        if !self.stable {
            self.filtering_new = self.filtering_new.max(behaviour.filtering);
        }
        let tcp = config.tcp_behaviour.as_ref().unwrap_or(behaviour);
        self.open &= !gate.translates() && tcp.filtering == Filtering::EndpointIndependent;
        self.answers |= strict
            && matches!(
                config.unsolicited,
                Unsolicited::Icmp | Unsolicited::Reject | Unsolicited::Occupy
            );
        self.punishes |= strict && punishes(config.unsolicited, behaviour.mapping);
        self.fragile |= config.icmp_ends_mapping;
        let limits = [config.limits.per_inside, config.limits.total];
        for limit in limits.into_iter().flatten() {
            let limit = u32::try_from(limit).unwrap_or(u32::MAX);
            self.most = Some(self.most.map_or(limit, |most| most.min(limit)));
        }
    }

    fn pass_translation(&mut self, gate: &Gate, behaviour: &Behaviour) {
        let Gate { config, addresses, .. } = gate;
        let allocation = &behaviour.allocation;
        self.mapping = self.mapping.max(effective(behaviour));
        // Whether server and peer get different mappings here, be it with the same port.
        let anew = !self.stable
            || (behaviour.mapping != Mapping::EndpointIndependent && !reuses(allocation));
        self.stable &= effective(behaviour) == Mapping::EndpointIndependent;
        let moving = match config.pooling {
            Pooling::Paired => self.addresses > 1,
            Pooling::Arbitrary | Pooling::PerDestination => anew,
        };
        self.addresses = if moving { *addresses } else { 1 };
        if self.addresses > 1 {
            self.address_by_destination = config.pooling == Pooling::PerDestination;
            self.mapping = self.mapping.max(behaviour.mapping);
            self.stable = false;
        }
        if allocation.preserve == Preserve::Never {
            self.ports = ports(config, allocation);
            self.taken = 0.0;
        } else if allocation.sharing == Sharing::Exclusive {
            self.taken = self.taken.max(taken(config));
        }
    }
}

/// The mapping as it shows: a box that keeps the port towards every destination, or uses the first
/// one again, looks endpoint-independent until there is a conflict.
fn effective(behaviour: &Behaviour) -> Mapping {
    let allocation = &behaviour.allocation;
    let keeps = allocation.preserve == Preserve::WhenFree;
    if reuses(allocation) || (allocation.sharing == Sharing::PerRemote && keeps) {
        Mapping::EndpointIndependent
    } else {
        behaviour.mapping
    }
}

fn reuses(allocation: &Allocation) -> bool {
    allocation.sharing == Sharing::PerRemote && allocation.reuse
}

/// Whether an uninvited packet does harm. A port that is occupied towards the sender is missed only
/// where the sender's mapping is still to be made.
fn punishes(unsolicited: Unsolicited, mapping: Mapping) -> bool {
    match unsolicited {
        Unsolicited::BlockRemote(_) | Unsolicited::BlockPort(_) => true,
        Unsolicited::Occupy => mapping != Mapping::EndpointIndependent,
        Unsolicited::Drop | Unsolicited::Icmp | Unsolicited::Reject | Unsolicited::Reset(_) => {
            false
        }
    }
}

/// How many external ports there are for an application's (1024 and up, where that matters).
fn range(config: &NatConfig) -> u32 {
    let (first, last) = (u32::from(*config.ports.start()), u32::from(*config.ports.end()));
    let first = if config.port_classes { first.max(1_024) } else { first.max(1) };
    (last + 1).saturating_sub(first).max(1)
}

/// The smallest and the largest of the sets of ports that have the same `key`.
fn sets(config: &NatConfig, key: impl Fn(u16) -> Option<u16>) -> (u32, u32) {
    let mut sizes = BTreeMap::<u16, u32>::new();
    for key in config.ports.clone().filter(|&port| port != 0).filter_map(key) {
        *sizes.entry(key).or_default() += 1;
    }
    let (least, most) = (sizes.values().min(), sizes.values().max());
    (least.copied().unwrap_or(1), most.copied().unwrap_or(1))
}

/// RFC 7597 section 5.1: ports whose offset bits are all 0 belong to nobody.
fn port_set(port: u16, a: u8, k: u8) -> Option<u16> {
    let a = u32::from(a.min(15));
    let k = u32::from(k).clamp(1, 16 - a);
    let (offset, rest) = (u32::from(port) >> (16 - a), 16 - a - k);
    (a == 0 || offset != 0).then_some((u32::from(port) >> rest & ((1 << k) - 1)) as u16)
}

/// Ports that other users hold, as a share of all: the mean of a queue that never waits.
fn taken(config: &NatConfig) -> f64 {
    config.foreign.map_or(0.0, |foreign| {
        let rate = foreign.rate + foreign.bursts * foreign.burst_size;
        (rate * foreign.stay.as_secs_f64() / f64::from(range(config))).min(1.0)
    })
}

fn ports(config: &NatConfig, allocation: &Allocation) -> Ports {
    let all = range(config);
    if let Pick::Sequential { counter, .. } = allocation.pick {
        return match counter {
            Counter::Global => {
                Ports::Counter { foreign: config.foreign, parity: allocation.parity }
            }
            Counter::PerInside => Ports::Counter { foreign: None, parity: false },
            Counter::PerDestination => Ports::Unseen { among: all },
        };
    }
    let (own, all) = match config.blocks {
        Blocks::None => (all, all),
        Blocks::Contiguous { size, .. } => (u32::from(size), u32::from(size)),
        Blocks::Masked { mask } => sets(config, |port| Some(port & mask)),
        Blocks::Scattered { size } => (u32::from(size), all),
        Blocks::PortSet { a, k } => sets(config, |port| port_set(port, a, k)),
    };
    let half = if allocation.parity { 2 } else { 1 };
    Ports::Among { own: (own / half).max(1), all: (all / half).max(1) }
}
