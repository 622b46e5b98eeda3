//! The external ports of a box: how many an inside host can have, and what is known beforehand about
//! the next one.

use core::time::Duration;

use super::chance;
use crate::nat::{
    Allocation, Blocks, Counter, Foreign, NatConfig, Pick, Sharing, Translation, port_set,
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
        /// Those other users, as far as they move this counter; `stay` is zero where their ports are
        /// not in the way.
        foreign: Option<Foreign>,
        /// Ports of the wrong parity are passed over, so that a distance does not tell how many
        /// mappings came between.
        parity: bool,
        /// After so many mappings the counter comes by the same ports again.
        cycle: u32,
    },
    /// The next one of a counter that nobody has seen yet (one for each destination).
    Unseen {
        /// Where it may begin, as far as the box is concerned.
        own: u32,
        /// Among how many ports a prober has to look.
        all: u32,
        /// After so many mappings it comes by the same ports again.
        cycle: u32,
        /// Ports of the wrong parity count as the next one.
        parity: bool,
        /// A port in use is not given out again; how many others use at most, but for one chance in
        /// 10⁹.
        exclusive: Option<u32>,
    },
    /// Any of a set.
    Among {
        /// How many ports the box may give this end, at the least.
        own: u32,
        /// Among how many a prober has to look: more than `own` when nothing tells which they are
        /// (RFC 6431 section 2.2).
        all: u32,
        /// How a port in use is avoided.
        avoiding: Avoiding,
    },
    /// Nothing is known that helps.
    Unknown,
}

/// What becomes of a draw that hits a port in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Avoiding {
    /// It is drawn again: all free ports are equally likely.
    Again,
    /// The next free port is taken, which is therefore likelier than others.
    Next {
        /// Ports that others use at most, but for one chance in 10⁹.
        others: u32,
    },
    /// Nothing: a port can be given out twice.
    Not,
}

/// How many ports one inside host can have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sets {
    /// How many such sets there are.
    pub(super) count: u32,
    /// Ports in the smallest.
    pub(super) least: u32,
    /// Ports in the largest, extensions not counted.
    pub(super) most: u32,
    /// Ports in all extensions together.
    pub(super) more: u32,
    /// They have no gaps, so that half of the ports are even.
    pub(super) whole: bool,
}

impl Sets {
    /// Ports in the smallest set that an inside port may get.
    pub(super) const fn least_for(&self, allocation: &Allocation) -> u32 {
        match (allocation.parity, self.whole) {
            (false, _) => self.least,
            (true, true) => self.least / 2,
            (true, false) => 0,
        }
    }
}

/// The ports that a box gives out, for an application's port of 1024 and up where that matters.
pub(super) fn sets(config: &NatConfig) -> Sets {
    let (first, last) = (u32::from(*config.ports.start()), u32::from(*config.ports.end()));
    let low = if config.port_classes { 1_024 } else { 1 };
    // Port 0 is never given out.
    let zero = u32::from(first == 0);
    let len = (last + 1).saturating_sub(first);
    let sized = |count: u32, size: u32, more: u32| match count {
        0 => Sets { count: 0, least: 0, most: 0, more: 0, whole: true },
        _ => Sets { count, least: size - zero.min(size), most: size, more, whole: true },
    };
    match config.blocks {
        Blocks::None => {
            let len = (last + 1).saturating_sub(first.max(low));
            Sets { count: u32::MAX, least: len, most: len, more: 0, whole: true }
        }
        Blocks::Contiguous { size, most } => {
            let size = u32::from(size.max(1));
            let extension = config.extension.map_or(size, |extension| u32::from(extension.max(1)));
            let sets = sized(len / size, size, u32::from(most.max(1) - 1) * extension);
            // The class's part of a block can be empty.
            if first < low && low > 1 { Sets { least: 0, ..sets } } else { sets }
        }
        Blocks::Scattered { size } => {
            let size = u32::from(size);
            Sets { whole: false, ..sized(len.checked_div(size).unwrap_or(0), size, 0) }
        }
        Blocks::Masked { mask } => counted(config, |port| Some(port & mask), None),
        Blocks::PortSet { a, k } => {
            let k = k.clamp(1, 16 - a.min(15));
            counted(config, |port| port_set(port, a, k), Some(1 << k))
        }
    }
}

/// The sets of ports that have the same `key`; all `keys` are given out, where that is said.
fn counted(config: &NatConfig, key: impl Fn(u16) -> Option<u16>, keys: Option<u32>) -> Sets {
    let mut sizes = vec![None; usize::from(u16::MAX) + 1];
    for (port, key) in config.ports.clone().filter_map(|port| Some((port, key(port)?))) {
        *sizes[usize::from(key)].get_or_insert(0) += u32::from(port != 0);
    }
    let sizes = || sizes.iter().copied().flatten();
    let count = u32::try_from(sizes().count()).unwrap_or(u32::MAX);
    let least = sizes().min().filter(|_| keys.is_none_or(|keys| keys == count));
    Sets {
        count: keys.unwrap_or(count),
        least: least.unwrap_or(0),
        most: sizes().max().unwrap_or(0),
        more: 0,
        whole: false,
    }
}

/// Other users of one external address: those of a box with several addresses are spread over them.
pub(super) fn others(config: &NatConfig, addresses: u32) -> Option<Foreign> {
    let share = if config.blocks == Blocks::None { f64::from(addresses.max(1)) } else { 1.0 };
    let foreign = config.foreign?;
    Some(Foreign { rate: foreign.rate / share, bursts: foreign.bursts / share, ..foreign })
}

/// How many ports others use at most, but for one chance in 10⁹.
pub(super) fn used(config: &NatConfig, allocation: &Allocation, addresses: u32) -> u32 {
    match others(config, addresses) {
        Some(foreign) if allocation.sharing == Sharing::Exclusive => {
            chance::most(foreign, foreign.stay)
        }
        _ => 0,
    }
}

/// Mappings after which a counter comes by a port again, at the earliest.
pub(super) fn cycle(sets: Sets, step: i16, parity: bool) -> u32 {
    let (len, step) = (sets.least, u32::from(step.unsigned_abs()));
    match (parity, sets.whole) {
        (false, _) => len.checked_div(gcd(step, len)).unwrap_or(0),
        (true, true) => len / (step + 1),
        (true, false) => 0,
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The share of the ports that others use, but for one chance in 10⁹.
pub(super) fn taken(config: &NatConfig, allocation: &Allocation, addresses: u32) -> f64 {
    let (used, len) = (used(config, allocation, addresses), sets(config).least);
    if used == 0 { 0.0 } else { (f64::from(used) / f64::from(len.max(1))).min(1.0) }
}

/// What is known of the ports of a box that does not keep them.
pub(super) fn ports(config: &NatConfig, allocation: &Allocation, addresses: u32) -> Ports {
    debug_assert!(config.translation == Translation::AddressAndPort, "ports of a firewall");
    let sets = sets(config);
    let Sets { least, most, more, whole, .. } = sets;
    let used = used(config, allocation, addresses);
    let exclusive = allocation.sharing == Sharing::Exclusive;
    let wide = match config.blocks {
        Blocks::Scattered { .. } => {
            u32::from(*config.ports.end()).saturating_sub(u32::from(*config.ports.start())) + 1
        }
        _ => most,
    };
    if let Pick::Sequential { step, counter, .. } = allocation.pick {
        let cycle = cycle(sets, step, allocation.parity);
        return match counter {
            Counter::Global => {
                let stay = |foreign: Foreign| if exclusive { foreign.stay } else { Duration::ZERO };
                let foreign = others(config, addresses).map(|f| Foreign { stay: stay(f), ..f });
                Ports::Counter { foreign, parity: allocation.parity, cycle }
            }
            Counter::PerInside if used > 0 => Ports::Unknown,
            Counter::PerInside => Ports::Counter { foreign: None, parity: false, cycle },
            Counter::PerDestination => Ports::Unseen {
                own: if allocation.parity && !whole { 1 } else { least.max(1) },
                all: wide.max(1),
                cycle,
                parity: allocation.parity,
                exclusive: exclusive.then_some(used),
            },
        };
    }
    // Where the first block can be full, or a search gives up in it, the next is as small as the
    // extension; and where that is, nobody knows.
    let gives_up = matches!(allocation.pick, Pick::RandomStart { tries } if tries < least);
    let extension = match config.extension {
        Some(extension) if more > 0 && (used > 0 || gives_up) => u32::from(extension.max(1)),
        _ => least,
    };
    let avoiding = match (allocation.sharing, allocation.pick) {
        (Sharing::Overloading, _) => Avoiding::Not,
        (_, Pick::RandomStart { .. }) => Avoiding::Next { others: used },
        _ => Avoiding::Again,
    };
    let smallest = Sets { least: least.min(extension), ..sets };
    let all = if allocation.parity && whole { wide.div_ceil(2) } else { wide };
    Ports::Among { own: smallest.least_for(allocation).max(1), all: all.max(1), avoiding }
}
