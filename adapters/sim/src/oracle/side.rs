//! What a chain of boxes amounts to, seen from outside.
//!
//! Mapping and filtering of a chain are those of its strictest box: a packet gets a new address when
//! any box gives it one, and passes only when every filter lets it (RFC 5128 section 3.5). The boxes
//! inside the first one that gives new addresses have one mapping for server and peer, and their
//! filters know both; those from there on out have another for each. The port that outsiders see is
//! the outermost box's choice, unless that box keeps ports; then it is the next one's, and so on to
//! the port that the application binds.

use super::end::Gate;
use super::ports::{self, Ports};
use super::room::{Inside, Room};
use crate::nat::{
    Allocation, Behaviour, Blocks, Filtering, Mapping, NatConfig, Pooling, Preserve, Proto,
    Sharing, Unsolicited,
};

/// Where applications' ports are: what Linux gives to sockets that ask for none, and within it most of
/// what RFC 6335 section 6 leaves for them.
const APPLICATIONS: (u16, u16) = (32_768, 60_999);

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
    /// Anybody may open a TCP connection to the known address: public, or forwarded all the way. Any
    /// other box has no mapping for a port on which an application only listens, whatever it would
    /// let in by one.
    pub open: bool,
    /// Among how many external addresses a new mapping's is drawn.
    pub addresses: u32,
    /// Whether it is drawn once for a destination address, not for each mapping.
    pub address_by_destination: bool,
    /// A new mapping's port.
    pub ports: Ports,
    /// The share of ports that others use, but for one chance in 10⁹.
    pub taken: f64,
    /// How many mappings the end can have.
    pub room: Room,
    /// An uninvited packet does harm.
    pub punishes: bool,
    /// After a packet to a port without a mapping, the sender or the port is blocked.
    pub blocks: bool,
    /// A packet to a port without a mapping keeps that port from being mapped towards the sender.
    pub occupies: bool,
    /// An uninvited packet is answered by ICMP.
    pub answers: bool,
    /// An ICMP error ends a mapping.
    pub fragile: bool,
    /// The least and the largest port from which packets come to the next box.
    sources: (u16, u16),
    /// The strictest mapping of any box, however it shows.
    strictest: Mapping,
    /// The boxes certainly show two ports to two destinations.
    splits: bool,
}

/// What an end may look like: the behaviours that a box may change to on a conflict (RFC 4787
/// section 8), and what becomes of kept ports that may be another's.
pub(crate) fn variants(gates: &[Gate], others: &[Gate], proto: Proto) -> Vec<Side> {
    let rounds = gates.iter().map(|gate| gate.config.on_conflict.len()).max().unwrap_or(0);
    let mut variants = Vec::new();
    for round in 0..=rounds {
        let look = Look { others, proto, round, kept: true };
        let (best, doubtful) = side(gates, look);
        variants.push(best);
        if doubtful {
            variants.push(side(gates, Look { kept: false, ..look }).0);
        }
    }
    variants
}

/// How to look at an end's boxes.
#[derive(Clone, Copy)]
struct Look<'g> {
    /// The other end's.
    others: &'g [Gate],
    proto: Proto,
    /// After so many conflicts.
    round: usize,
    /// Ports are kept where that is in doubt.
    kept: bool,
}

/// The behaviour of a box after so many conflicts.
fn behaviour<'c>(config: &'c NatConfig, look: Look<'_>) -> &'c Behaviour {
    let first = match look.proto {
        Proto::Udp => &config.behaviour,
        Proto::Tcp => config.tcp_behaviour.as_ref().unwrap_or(&config.behaviour),
    };
    let last = look.round.min(config.on_conflict.len());
    last.checked_sub(1).map_or(first, |nth| &config.on_conflict[nth])
}

/// An end, and whether it depends on [`Look::kept`].
fn side(gates: &[Gate], look: Look<'_>) -> (Side, bool) {
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
        room: Room::ENDLESS,
        punishes: false,
        blocks: false,
        occupies: false,
        answers: false,
        fragile: false,
        sources: APPLICATIONS,
        strictest: Mapping::EndpointIndependent,
        splits: false,
    };
    let mut doubtful = false;
    for gate in gates.iter().filter(|gate| !gate.forwarded) {
        let behaviour = behaviour(&gate.config, look);
        let shared = look.others.iter().any(|other| other.id == gate.id);
        let doubt = gate.translates() && side.may_lose(&gate.config, behaviour, shared);
        doubtful |= doubt;
        side.pass(gate, behaviour, shared, look.kept || !doubt);
    }
    if side.stable {
        side.ports = Ports::Seen;
    }
    (side, doubtful)
}

impl Side {
    /// The strictest mapping of any box, however it shows.
    pub(crate) const fn strictest(&self) -> Mapping {
        self.strictest
    }

    /// Two destinations certainly see two ports.
    pub(crate) const fn splits(&self) -> bool {
        self.splits
    }

    /// Whether a box that looks endpoint-independent because it keeps ports may not be able to.
    fn may_lose(&self, config: &NatConfig, behaviour: &Behaviour, shared: bool) -> bool {
        keeps(&behaviour.allocation) && (shared || !self.fits(config))
    }

    /// Whether a box that keeps ports can keep all that come.
    fn fits(&self, config: &NatConfig) -> bool {
        let (first, last) = self.sources;
        let inside = config.ports.contains(&first) && config.ports.contains(&last);
        config.blocks == Blocks::None && inside
    }

    /// One box further out. `kept`: what it may not be able to keep, it keeps.
    fn pass(&mut self, gate: &Gate, behaviour: &Behaviour, shared: bool, kept: bool) {
        let Gate { config, .. } = gate;
        let strict = behaviour.filtering != Filtering::EndpointIndependent;
        let low_ports = self.sources.0 < 1_024;
        let from = Inside {
            strictest: self.strictest,
            splits: self.splits,
            low_ports,
            addresses: self.addresses,
        };
        self.room.pass(gate, behaviour, from, shared);
        if gate.translates() {
            self.pass_translation(gate, behaviour, kept);
        }
        self.strictest = self.strictest.max(behaviour.mapping);
        self.filtering = self.filtering.max(behaviour.filtering);
        if !self.stable {
            self.filtering_new = self.filtering_new.max(behaviour.filtering);
        }
        self.open = false;
        let answers = matches!(
            config.unsolicited,
            Unsolicited::Icmp | Unsolicited::Reject | Unsolicited::Occupy
        );
        self.answers |= answers;
        self.punishes |= strict && punishes(config.unsolicited, behaviour.mapping);
        self.blocks |= blocks(config.unsolicited);
        self.occupies |= punishes(config.unsolicited, behaviour.mapping);
        self.fragile |= config.icmp_ends_mapping;
    }

    fn pass_translation(&mut self, gate: &Gate, behaviour: &Behaviour, kept: bool) {
        let Gate { config, addresses, .. } = gate;
        let addresses = (*addresses).max(1);
        let allocation = &behaviour.allocation;
        let mapping = effective(behaviour, kept);
        self.splits |= behaviour.mapping != Mapping::EndpointIndependent
            && allocation.sharing == Sharing::Exclusive;
        self.mapping = self.mapping.max(mapping);
        // Whether server and peer get different mappings here, be it with the same port.
        let anew = !self.stable
            || (behaviour.mapping != Mapping::EndpointIndependent && !reuses(allocation));
        self.stable &= mapping == Mapping::EndpointIndependent;
        let moving = match config.pooling {
            Pooling::Paired => self.addresses > 1,
            Pooling::Arbitrary | Pooling::PerDestination => anew,
        };
        self.addresses = if moving { addresses } else { 1 };
        if self.addresses > 1 {
            self.address_by_destination = config.pooling == Pooling::PerDestination;
            self.mapping = self.mapping.max(behaviour.mapping);
            self.stable = false;
        }
        let (first, last) = (*config.ports.start(), *config.ports.end());
        let first = if config.port_classes { first.max(1_024) } else { first };
        if allocation.preserve == Preserve::Never {
            self.ports = ports::ports(config, allocation, addresses);
            self.taken = 0.0;
            self.sources = (first, last);
        } else {
            let taken = ports::taken(config, allocation, addresses);
            let known = self.ports == Ports::Chosen || taken == 0.0;
            if !self.fits(config) || !known {
                self.ports = Ports::Unknown;
            }
            self.taken = self.taken.max(taken);
            self.sources = (self.sources.0.min(first), self.sources.1.max(last));
        }
    }
}

/// The mapping as it shows: a box that keeps the port towards every destination, or uses the first
/// one again, looks endpoint-independent until there is a conflict.
fn effective(behaviour: &Behaviour, kept: bool) -> Mapping {
    if reuses(&behaviour.allocation) || (kept && keeps(&behaviour.allocation)) {
        Mapping::EndpointIndependent
    } else {
        behaviour.mapping
    }
}

fn reuses(allocation: &Allocation) -> bool {
    allocation.sharing == Sharing::PerRemote && allocation.reuse
}

fn keeps(allocation: &Allocation) -> bool {
    let all = allocation.preserve == Preserve::WhenFree;
    allocation.sharing == Sharing::PerRemote && all && !allocation.reuse
}

/// Whether an uninvited packet does harm. A port that is occupied towards the sender is missed only
/// where the sender's mapping is still to be made.
fn punishes(unsolicited: Unsolicited, mapping: Mapping) -> bool {
    blocks(unsolicited)
        || (unsolicited == Unsolicited::Occupy && mapping != Mapping::EndpointIndependent)
}

const fn blocks(unsolicited: Unsolicited) -> bool {
    matches!(unsolicited, Unsolicited::BlockRemote(_) | Unsolicited::BlockPort(_))
}
