//! Kinds of NAT for the rows and columns of a matrix, and what peers do with pairs of them.

use core::time::Duration;

use crate::nat::{
    Blocks, Counter, Filtering, Foreign, Mapping, NatConfig, Pick, Preserve, presets,
};

/// A kind of NAT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind {
    /// Short, for a table.
    pub name: &'static str,
    /// In words.
    pub what: &'static str,
    class: Class,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    /// Endpoint-independent mapping with this filtering.
    Cone(Filtering),
    /// Keeps the port for the first destination.
    First,
    /// A counter.
    Counted(Mapping, i16),
    /// Drawn from a block of so many ports, 0: from all.
    Drawn(u16),
    /// One of RFC 6081's, by its place in figure 1.
    Rfc6081(usize),
}

const APDF: Filtering = Filtering::AddressAndPortDependent;
const ADM: Mapping = Mapping::AddressDependent;
const APDM: Mapping = Mapping::AddressAndPortDependent;

const fn kind(name: &'static str, what: &'static str, class: Class) -> Kind {
    Kind { name, what, class }
}

/// By mapping, filtering and allocation. Where nothing else is said the filtering is address-and-port
/// dependent, and counters are the whole box's.
pub const KINDS: [Kind; 12] = [
    kind("cone", "EIM, EIF", Class::Cone(Filtering::EndpointIndependent)),
    kind("addr", "EIM, ADF", Class::Cone(Filtering::AddressDependent)),
    kind("port", "EIM, APDF", Class::Cone(APDF)),
    kind("first", "APDM, the port is kept for a socket's first destination", Class::First),
    kind("adm+1", "ADM, the next port", Class::Counted(ADM, 1)),
    kind("seq+1", "APDM, the next port", Class::Counted(APDM, 1)),
    kind("seq+2", "APDM, every second port", Class::Counted(APDM, 2)),
    kind("seq+8", "APDM, every eighth port", Class::Counted(APDM, 8)),
    kind("seq-64", "APDM, every 64th port, downwards", Class::Counted(APDM, -64)),
    kind("blk512", "APDM, drawn from a block of 512 ports", Class::Drawn(512)),
    kind("blk4k", "APDM, drawn from a block of 4,096 ports", Class::Drawn(4_096)),
    kind("random", "APDM, drawn from 64,512 ports", Class::Drawn(0)),
];

/// The nine of RFC 6081 figure 1, in its order.
pub const RFC6081: [Kind; 9] = [
    kind("cone", "Cone", Class::Rfc6081(0)),
    kind("addr", "Address-restricted", Class::Rfc6081(1)),
    kind("port", "Port-restricted", Class::Rfc6081(2)),
    kind("u-port", "UPnP port-restricted", Class::Rfc6081(3)),
    kind("u-sym", "UPnP port-symmetric", Class::Rfc6081(4)),
    kind("keep", "Port-preserving port-symmetric", Class::Rfc6081(5)),
    kind("seq", "Sequential port-symmetric", Class::Rfc6081(6)),
    kind("sym", "Port-symmetric", Class::Rfc6081(7)),
    kind("a-sym", "Address-symmetric", Class::Rfc6081(8)),
];

/// How long foreign mappings stay.
const STAY: Duration = Duration::from_secs(30);

impl Kind {
    /// A box of this kind, whose other users make `rate` mappings a second.
    #[must_use]
    pub fn config(self, rate: f64) -> NatConfig {
        let mut config = match self.class {
            Class::Cone(filtering) => NatConfig::new(Mapping::EndpointIndependent, filtering),
            Class::First => {
                let mut config = NatConfig::new(APDM, APDF);
                config.behaviour.allocation.preserve = Preserve::First;
                config
            }
            Class::Counted(mapping, step) => {
                let pick = Pick::Sequential { step, counter: Counter::Global, skip_used: true };
                picking(mapping, pick)
            }
            Class::Drawn(size) => {
                let mut config = picking(APDM, Pick::Random);
                config.ports = 1_024..=u16::MAX;
                if size > 0 {
                    config.blocks = Blocks::Contiguous { size, most: 1 };
                }
                config
            }
            Class::Rfc6081(place) => presets::rfc6081_kind(place),
        };
        config.foreign =
            (rate > 0.0).then_some(Foreign { rate, bursts: 0.0, burst_size: 1.0, stay: STAY });
        config
    }

    /// Whether an end behind it gets a port mapping when it asks.
    #[must_use]
    pub fn gives_leases(self) -> bool {
        self.config(0.0).leases.is_some()
    }

    /// The place in RFC 6081's figure, if it is from there.
    #[must_use]
    pub const fn place(self) -> Option<usize> {
        match self.class {
            Class::Rfc6081(place) => Some(place),
            _ => None,
        }
    }

    /// Whether the server sees the port that every peer sees too; and whether what comes in may
    /// come from any port of an address that was sent to.
    pub(super) fn is_known_and_open(self) -> (bool, bool) {
        let behaviour = self.config(0.0).behaviour;
        (behaviour.mapping == Mapping::EndpointIndependent, behaviour.filtering != APDF)
    }

    /// Whether a block has room for others at this rate: at least a quarter of it stays free.
    #[must_use]
    pub fn has_room(self, rate: f64) -> bool {
        match self.class {
            Class::Drawn(size) if size > 0 => rate * STAY.as_secs_f64() <= f64::from(size) * 0.75,
            _ => true,
        }
    }
}

fn picking(mapping: Mapping, pick: Pick) -> NatConfig {
    let mut config = NatConfig::new(mapping, APDF);
    config.behaviour.allocation.preserve = Preserve::Never;
    config.behaviour.allocation.pick = pick;
    config
}
