//! Ends behind boxes with drawn settings, nonsensical ones among them.

use core::fmt;
use core::ops::RangeInclusive;
use core::time::Duration;

use genkan_sim::Rng;
use genkan_sim::nat::{
    Allocation, Behaviour, Blocks, Counter, Filtering, Foreign, Hairpin, Limits, Mapping,
    NatConfig, Overflow, Pick, Pooling, Preserve, Refresh, Sharing, Translation, Unsolicited,
};
use genkan_sim::oracle::{End, Gate};

/// One of these, each as likely as the others.
fn one<T: Clone>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.index(of.len())].clone()
}

/// Mostly the usual, else one of these.
fn odd<T: Clone>(rng: &mut Rng, usual: T, of: &[T]) -> T {
    if rng.chance(0.15) { one(rng, of) } else { usual }
}

fn behaviour(rng: &mut Rng) -> Behaviour {
    let mapping = one(
        rng,
        &[
            Mapping::EndpointIndependent,
            Mapping::EndpointIndependent,
            Mapping::AddressDependent,
            Mapping::AddressAndPortDependent,
        ],
    );
    let filtering = one(
        rng,
        &[
            Filtering::EndpointIndependent,
            Filtering::AddressDependent,
            Filtering::AddressAndPortDependent,
        ],
    );
    let pick = match rng.index(3) {
        0 => Pick::Sequential {
            step: one(rng, &[1, 1, -1, 2, -3, 64]),
            counter: one(rng, &[Counter::Global, Counter::PerInside, Counter::PerDestination]),
            skip_used: rng.chance(0.7),
        },
        1 => Pick::Random,
        _ => Pick::RandomStart { tries: odd(rng, 128, &[0, 1, 4, u32::MAX]) },
    };
    let preserve = one(rng, &[Preserve::Never, Preserve::First, Preserve::WhenFree]);
    let sharing = one(rng, &[Sharing::Exclusive, Sharing::PerRemote, Sharing::Overloading]);
    let (parity, reuse) = (rng.chance(0.2), rng.chance(0.3));
    let allocation = Allocation { preserve, pick, parity, sharing, reuse };
    Behaviour { mapping, filtering, allocation }
}

fn foreign(rng: &mut Rng) -> Option<Foreign> {
    let fills = Foreign {
        rate: 400.0,
        bursts: 2.0,
        burst_size: 8.0,
        stay: one(rng, &[Duration::from_millis(1), Duration::from_secs(60)]),
    };
    let few = Foreign { rate: 20.0, stay: Duration::from_secs(2), ..fills };
    odd(rng, None, &[Some(few), Some(fills)])
}

/// Ranges that are too small for something, or none.
#[expect(clippy::reversed_empty_ranges, reason = "what a careless user may write")]
const RANGES: [RangeInclusive<u16>; 8] = [
    5_000..=4_000,
    30_000..=30_000,
    30_001..=30_001,
    30_000..=30_003,
    40_000..=40_009,
    40_000..=40_999,
    1..=1_023,
    0..=65_535,
];

const BLOCKS: [Blocks; 9] = [
    Blocks::Contiguous { size: 1, most: 1 },
    Blocks::Contiguous { size: 2, most: 3 },
    Blocks::Contiguous { size: 64, most: 2 },
    Blocks::Masked { mask: 0xff00 },
    Blocks::Masked { mask: 0x7fff },
    Blocks::Scattered { size: 3 },
    Blocks::Scattered { size: 300 },
    Blocks::PortSet { a: 4, k: 8 },
    Blocks::PortSet { a: 0, k: 16 },
];

/// One box.
pub(crate) fn config(rng: &mut Rng) -> NatConfig {
    let behaviour = behaviour(rng);
    let on_conflict = if rng.chance(0.1) { vec![self::behaviour(rng)] } else { Vec::new() };
    let count = [None, Some(0), Some(1), Some(2), Some(3), Some(16)];
    let limits = Limits {
        per_inside: odd(rng, None, &count),
        total: odd(rng, None, &count),
        rate: odd(rng, None, &[Some(0), Some(1), Some(2), Some(50)]),
        overflow: one(
            rng,
            &[
                Overflow::Drop,
                Overflow::EvictOldest,
                Overflow::LockOut(Duration::from_secs(9)),
                Overflow::Crash(Duration::from_secs(1)),
            ],
        ),
    };
    let unsolicited = [
        Unsolicited::Icmp,
        Unsolicited::Reject,
        Unsolicited::Occupy,
        Unsolicited::BlockRemote(Duration::from_secs(60)),
        Unsolicited::BlockPort(Duration::from_secs(60)),
    ];
    let translates = rng.chance(0.9);
    let hold_down = odd(rng, Duration::ZERO, &[Duration::from_secs(1), Duration::from_secs(120)]);
    let refresh = Refresh { inbound: rng.chance(0.5), rejected: rng.chance(0.2) };
    NatConfig {
        translation: if translates { Translation::AddressAndPort } else { Translation::None },
        behaviour,
        on_conflict,
        ports: odd(rng, 20_000..=65_535, &RANGES),
        port_classes: rng.chance(0.1),
        blocks: odd(rng, Blocks::None, &BLOCKS),
        extension: odd(rng, None, &[Some(1)]),
        pooling: one(rng, &[Pooling::Paired, Pooling::Arbitrary, Pooling::PerDestination]),
        hairpin: one(rng, &[Hairpin::None, Hairpin::InternalSource, Hairpin::ExternalSource]),
        limits,
        unsolicited: odd(rng, Unsolicited::Drop, &unsolicited),
        icmp_ends_mapping: rng.chance(0.15),
        foreign: foreign(rng),
        tcp_behaviour: rng.chance(0.2).then(|| self::behaviour(rng)),
        hold_down,
        refresh,
        hops: odd(rng, 1, &[0, 2, 5]),
        udp: rng.chance(0.98),
        tcp: rng.chance(0.98),
        ..NatConfig::default()
    }
}

/// A box in its place.
#[derive(Clone)]
pub(crate) struct Placed {
    pub(crate) config: NatConfig,
    pub(crate) addresses: u8,
}

impl fmt::Debug for Placed {
    /// The settings that [`config`] draws.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = &self.config;
        write!(f, "{:?} × {}: {:?}", c.translation, self.addresses, c.behaviour)?;
        write!(f, " tcp {:?} then {:?}", c.tcp_behaviour, c.on_conflict)?;
        write!(f, " ports {:?} {} {:?} {:?}", c.ports, c.port_classes, c.blocks, c.extension)?;
        write!(f, " {:?} {:?} {:?} {:?}", c.pooling, c.hairpin, c.limits, c.unsolicited)?;
        write!(f, " {} {:?} {} {}", c.icmp_ends_mapping, c.foreign, c.udp, c.tcp)?;
        write!(f, " {:?} {:?} {}", c.hold_down, c.refresh, c.hops)
    }
}

/// Two ends: own boxes from the inside to the outside, and one that both are behind, perhaps.
#[derive(Clone, Debug)]
pub(crate) struct Drawn {
    pub(crate) own: [Vec<Placed>; 2],
    pub(crate) shared: Option<Placed>,
}

impl Drawn {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let placed =
            |rng: &mut Rng| Placed { config: config(rng), addresses: odd(rng, 1, &[2, 3]) };
        let own = [0, 1].map(|_| {
            let boxes = one(rng, &[0, 1, 1, 1, 2]);
            (0..boxes).map(|_| placed(rng)).collect()
        });
        let shared = rng.chance(0.25).then(|| placed(rng));
        Self { own, shared }
    }

    /// The two ends as the oracle wants them.
    pub(crate) fn ends(&self) -> [End; 2] {
        let gate = |id, placed: &Placed| {
            Gate::new(id, placed.config.clone()).pool(placed.addresses.into())
        };
        [0, 1].map(|end: usize| {
            let own = (0..).zip(&self.own[end]).map(|(n, b)| gate(10 * (end as u32 + 1) + n, b));
            let shared = self.shared.iter().map(|placed| gate(99, placed));
            End::behind(own.chain(shared))
        })
    }
}
