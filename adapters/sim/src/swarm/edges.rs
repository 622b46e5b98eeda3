//! The edges of a world's networks: which box somebody is behind, and what the lines are like.

use core::time::Duration;

use crate::faults::Faults;
use crate::nat::{
    Behaviour, Blocks, Counter, Filtering, Foreign, Hairpin, Leases, Lifetimes, Limits, Mapping,
    NatConfig, Overflow, Pick, Pooling, Preserve, Refresh, Sharing, Translation, Unsolicited,
    presets,
};
use crate::rng::Rng;

/// Where a device stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Edge {
    /// In the public internet.
    Public,
    /// With a public address behind a stateful firewall.
    Firewall,
    /// Behind a NAT of its own.
    Home,
    /// In the house of somebody who came before it.
    Shared(usize),
    /// Behind a NAT of its own behind a carrier's.
    Cascade,
    /// As [`Edge::Cascade`], and the carrier is somebody's who came before it.
    Neighbour(usize),
}

impl Edge {
    pub(super) const fn of(byte: u8) -> Self {
        let which = (byte / 16) as usize;
        match byte % 16 {
            0..=4 if which < 12 => Self::Public,
            0..=4 => Self::Firewall,
            5..=10 => Self::Home,
            11..=12 => Self::Shared(which),
            _ if which < 8 => Self::Cascade,
            _ => Self::Neighbour(which),
        }
    }
}

/// The drawn bytes of a box: which kind, what pool and lives, and how it differs from the usual.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lot {
    pub(super) kind: u8,
    pub(super) more: u8,
    /// Allocation; blocks and leases; limits; penalties and TCP. 0 is the usual in each.
    pub(super) traits: [u8; 4],
}

impl Lot {
    /// The carrier's, of a box behind a carrier.
    pub(super) const fn carrier(self) -> Self {
        let [a, b, c, d] = self.traits;
        Self { kind: self.more, more: self.kind, traits: [b, a, d, c] }
    }

    /// Whether it has more than one outside address.
    pub(super) const fn pooled(self) -> bool {
        self.more % 5 == 4
    }

    /// Whether it forwards ports to an issuer, where that can do something.
    pub(super) const fn forwards(self) -> bool {
        self.traits[3] & 128 != 0
    }
}

/// The box of a lot, and its name: half of them as boxes that exist, half with each behaviour drawn on
/// its own, so that all combinations come up.
pub(super) fn nat(lot: Lot) -> (&'static str, NatConfig) {
    let preset =
        lot.kind.checked_sub(128).map(|kind| presets::ALL[usize::from(kind) % presets::ALL.len()]);
    let preset = preset.map(|(name, preset)| (name, preset()));
    let translates = |config: &NatConfig| config.translation == Translation::AddressAndPort;
    let (name, mut config) = match preset {
        Some((name, config)) if translates(&config) => (name, config),
        _ => ("drawn", drawn(lot)),
    };
    if lot.pooled() {
        config.pooling = [Pooling::Paired, Pooling::Arbitrary, Pooling::PerDestination]
            [usize::from(lot.more % 3)];
    }
    (name, config)
}

/// A firewall that changes no addresses: every second as RFC 6092 recommends it.
pub(super) fn firewall(lot: Lot) -> (&'static str, NatConfig) {
    if lot.kind >= 128 {
        return ("rfc6092-firewall", presets::rfc6092_firewall());
    }
    let blocks = Blocks::None;
    ("firewall", NatConfig { translation: Translation::None, blocks, ..drawn(lot) })
}

fn drawn(lot: Lot) -> NatConfig {
    let Lot { kind, more, traits: [allocation, room, limited, manners] } = lot;
    let mut config = NatConfig { behaviour: behaviour(kind, allocation), ..NatConfig::default() };
    if manners & 32 != 0
        && !lot.forwards()
        && let Pick::Sequential { skip_used, .. } = &mut config.behaviour.allocation.pick
    {
        *skip_used = false;
    }
    if manners & 24 == 24 {
        // TCP otherwise than UDP, by the same bytes turned round.
        config.tcp_behaviour = Some(behaviour(!kind & 127, 0));
    }
    if manners & 64 != 0 {
        let stay = Duration::from_secs(30);
        config.foreign = Some(Foreign { rate: 5.0, bursts: 0.5, burst_size: 3.0, stay });
    }
    config.hold_down = Duration::from_secs([0, 0, 10, 120][usize::from(allocation >> 1 & 3)]);
    config.refresh = Refresh { inbound: more & 1 != 0, rejected: room & 64 != 0 };
    config.icmp_ends_mapping = room & 128 != 0;
    config.hairpin = [Hairpin::None, Hairpin::ExternalSource, Hairpin::InternalSource]
        [usize::from((more >> 1) % 3)];
    // Keepalives come every 20 to 25 s: shorter lives than 30 s are nobody's promise.
    config.lifetimes = Lifetimes::udp(Duration::from_secs(30 + u64::from(more >> 2) * 4));
    (config.blocks, config.extension) = blocks(room);
    if config.blocks != Blocks::None {
        config.ports = 1_024..=65_535;
    }
    if room & 32 != 0 {
        let longest = Duration::from_secs(7_200);
        config.leases = Some(Leases { nat_pmp: true, pcp: true, longest, most: 8 });
    }
    config.limits = limits(limited);
    config.unsolicited = unsolicited(manners);
    config
}

/// Mapping, filtering and allocation.
fn behaviour(kind: u8, traits: u8) -> Behaviour {
    let mapping =
        [Mapping::EndpointIndependent, Mapping::AddressDependent, Mapping::AddressAndPortDependent];
    let filtering = [
        Filtering::EndpointIndependent,
        Filtering::AddressDependent,
        Filtering::AddressAndPortDependent,
    ];
    let mut behaviour =
        Behaviour::new(mapping[usize::from(kind % 3)], filtering[usize::from(kind / 3 % 3)]);
    let allocation = &mut behaviour.allocation;
    let (pick, whose) = (kind / 9 % 5, traits >> 6);
    let counter = [Counter::Global, Counter::PerInside, Counter::PerDestination]
        [usize::from((pick + whose) % 3)];
    let sequential = |step| Pick::Sequential { step, counter, skip_used: true };
    allocation.pick = match pick {
        0 => sequential(1),
        1 => sequential(2),
        2 => sequential(-8),
        3 => Pick::Random,
        _ => Pick::RandomStart { tries: 128 },
    };
    allocation.preserve = match kind / 45 % 3 {
        0 => Preserve::Never,
        1 => Preserve::First,
        _ => Preserve::WhenFree,
    };
    allocation.parity = traits & 1 != 0;
    allocation.sharing = match traits >> 3 & 3 {
        0 | 1 => Sharing::Exclusive,
        2 => Sharing::PerRemote,
        _ => Sharing::Overloading,
    };
    allocation.reuse = traits & 32 != 0;
    behaviour
}

/// Ports for one inside host: enough for a house of eight, as a carrier's subscriber has them.
const fn blocks(byte: u8) -> (Blocks, Option<u16>) {
    let scale = byte >> 3 & 3;
    match byte & 7 {
        4 => {
            let size = 256 << scale;
            (Blocks::Contiguous { size, most: 1 + scale as u16 }, Some(size / 2))
        }
        5 => (Blocks::Masked { mask: 0b1111 << (4 + 2 * scale) }, None),
        6 => (Blocks::Scattered { size: 256 << scale }, None),
        7 => (Blocks::PortSet { a: 4, k: 5 + scale }, None),
        _ => (Blocks::None, None),
    }
}

/// Room for few mappings, and what becomes of what is too much.
fn limits(byte: u8) -> Limits {
    let most = 4 + usize::from(byte >> 5) * 4;
    let overflow = match byte & 7 {
        4 => Overflow::Drop,
        5 => Overflow::EvictOldest,
        6 => Overflow::LockOut(Duration::from_secs(60)),
        7 => Overflow::Crash(Duration::from_secs(30)),
        _ => return NatConfig::default().limits,
    };
    let (per_inside, total) = if byte & 8 == 0 { (Some(most), None) } else { (None, Some(most)) };
    let rate = (byte & 16 != 0).then_some(2);
    Limits { per_inside, total, rate, overflow }
}

const fn unsolicited(byte: u8) -> Unsolicited {
    match byte & 7 {
        0 | 1 => Unsolicited::Drop,
        2 => Unsolicited::Icmp,
        3 => Unsolicited::Reject,
        4 => Unsolicited::Reset(Duration::from_secs(6)),
        5 => Unsolicited::Occupy,
        6 => Unsolicited::BlockRemote(Duration::from_secs(30)),
        _ => Unsolicited::BlockPort(Duration::from_secs(30)),
    }
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
