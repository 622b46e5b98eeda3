//! What an attempt may cost, and how long it takes.

use core::time::Duration;

use super::room::OBSERVED;
use super::side::Side;
use crate::nat::Mapping;

/// How much each end may spend on an attempt.
///
/// For an end whose port has to be found these are mappings (fresh sockets, or fresh destinations);
/// for one that looks for a port they are probes; where both are looked for, each packet is both. The
/// mapping towards the server, and two more by which ports are observed, are not counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// Mappings or probes of `a`.
    pub a: u32,
    /// Mappings or probes of `b`.
    pub b: u32,
}

impl Default for Budget {
    /// 256 each.
    fn default() -> Self {
        Self { a: 256, b: 256 }
    }
}

/// What time does to predictions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Conditions {
    /// Between neighbouring packets of one end: a counter can be observed this long before and after
    /// a mapping is made, not closer.
    pub gap: Duration,
    /// From a counter's being observed until the other end has acted on it.
    pub delay: Duration,
}

impl Default for Conditions {
    /// 1 ms between packets, 100 ms from one end over the server to the other.
    fn default() -> Self {
        Self { gap: Duration::from_millis(1), delay: Duration::from_millis(100) }
    }
}

/// What one end can spend.
#[derive(Clone, Copy)]
pub(super) struct Purse {
    /// Mappings, or destinations, that it may make at most.
    pub(super) mappings: u32,
    pub(super) probes: u32,
    /// That it can make for certain.
    pub(super) sure_mappings: u32,
    pub(super) sure_probes: u32,
}

impl Purse {
    /// A mapping towards the server is there already; where two mappings may look the same, it may be
    /// the one that is looked for.
    pub(super) fn new(side: &Side, budget: u32) -> Self {
        let within = |most: Option<u32>, other: u32| {
            most.map_or(budget, |most| budget.min(most.saturating_sub(other)))
        };
        let sure = budget.min(side.room.sure.saturating_sub(OBSERVED));
        // Probes to one address share a mapping, if the box does not look at ports.
        let shared = side.strictest() != Mapping::AddressAndPortDependent && side.room.plain;
        Self {
            mappings: within(side.room.most, u32::from(side.splits())),
            probes: within(side.room.destinations, 1),
            sure_mappings: sure,
            sure_probes: if shared { budget } else { sure },
        }
    }
}
