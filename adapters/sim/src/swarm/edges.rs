//! The edges of a world's networks: which NAT somebody is behind, and what the lines are like.

use core::time::Duration;

use crate::faults::Faults;
use crate::nat::{
    Counter, Filtering, Hairpin, Lifetimes, Mapping, NatConfig, Pick, Pooling, Preserve, Refresh,
    Translation, presets,
};
use crate::rng::Rng;

/// Where a device stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Edge {
    /// In the public internet.
    Public,
    /// Behind a NAT of its own.
    Home,
    /// In the house of whoever came before it.
    Shared,
    /// Behind a NAT of its own behind a carrier's.
    Cascade,
}

impl Edge {
    pub(super) const fn of(byte: u8) -> Self {
        match byte % 16 {
            0..=4 => Self::Public,
            5..=10 => Self::Home,
            11..=12 => Self::Shared,
            _ => Self::Cascade,
        }
    }
}

/// A NAT by two drawn bytes: half of them as boxes that exist, half with each behaviour drawn on its
/// own, so that all combinations come up.
pub(super) fn nat([kind, more]: [u8; 2]) -> NatConfig {
    let mut config = match kind.checked_sub(128).map(|kind| usize::from(kind) % presets::ALL.len())
    {
        Some(preset) if presets::ALL[preset].1().translation == Translation::AddressAndPort => {
            presets::ALL[preset].1()
        }
        _ => drawn([kind, more]),
    };
    if pooled(more) {
        config.pooling =
            [Pooling::Paired, Pooling::Arbitrary, Pooling::PerDestination][usize::from(more % 3)];
    }
    config
}

/// Whether a NAT by that byte has more than one outside address.
pub(super) const fn pooled(more: u8) -> bool {
    more % 5 == 4
}

fn drawn([kind, more]: [u8; 2]) -> NatConfig {
    let mapping =
        [Mapping::EndpointIndependent, Mapping::AddressDependent, Mapping::AddressAndPortDependent];
    let filtering = [
        Filtering::EndpointIndependent,
        Filtering::AddressDependent,
        Filtering::AddressAndPortDependent,
    ];
    let mut config =
        NatConfig::new(mapping[usize::from(kind % 3)], filtering[usize::from(kind / 3 % 3)]);
    let allocation = &mut config.behaviour.allocation;
    let sequential = |step, counter| Pick::Sequential { step, counter, skip_used: true };
    allocation.pick = match kind / 9 % 5 {
        0 => sequential(1, Counter::Global),
        1 => sequential(2, Counter::PerInside),
        2 => sequential(-8, Counter::PerDestination),
        3 => Pick::Random,
        _ => Pick::RandomStart { tries: 128 },
    };
    allocation.preserve = match kind / 45 % 3 {
        0 => Preserve::Never,
        1 => Preserve::First,
        _ => Preserve::WhenFree,
    };
    allocation.parity = kind > 200;
    config.refresh = Refresh { inbound: more & 1 != 0, rejected: false };
    config.hairpin = if more & 2 == 0 { Hairpin::None } else { Hairpin::ExternalSource };
    // Keepalives come every 20 to 25 s: shorter lives than 30 s are nobody's promise.
    config.lifetimes = Lifetimes::udp(Duration::from_secs(30 + u64::from(more >> 2) * 4));
    config
}

/// The line that a host has when nothing is wrong with it.
pub(super) const fn line(byte: u8) -> Faults {
    match byte % 8 {
        0..=3 => Faults::millis(10),
        4..=5 => Faults::broadband(),
        6 => Faults::wifi(),
        _ => Faults::mobile(),
    }
}

/// The same line without loss.
pub(super) const fn clean(line: &Faults) -> Faults {
    Faults::latency(line.latency)
}

/// A bad line: each fault by half a chance.
pub(super) fn bad(rng: &mut Rng) -> Faults {
    let mut line = Faults::millis(5 + rng.below(100));
    let mut rate =
        |most: f64| if rng.chance(0.5) { most * rng.below(1_001) as f64 / 1e3 } else { 0.0 };
    line.loss = rate(0.3);
    line.duplicate = rate(0.5);
    line.reorder = rate(0.3);
    line.corrupt = rate(0.05);
    line.truncate = rate(0.05);
    line.reorder_by = Duration::from_millis(rng.below(5_001));
    line.jitter = Duration::from_millis(if rng.chance(0.5) { rng.below(501) } else { 0 });
    if rng.chance(0.2) {
        line.mtu = 100 + rng.index(1_300);
    }
    line.udp_blocked = rng.chance(0.15);
    line.tcp_blocked = rng.chance(0.15);
    line
}
