//! Coordinators and ends that are told anything, in any order.

extern crate std;

mod attempt;
mod bodies;
mod coordinator;
mod plan;

use core::time::Duration;

use super::{Detector, Limits, Party};
use crate::addr::Endpoint;
use crate::nat::{Allocation, Differential, Filtering, Mapping, NatProfile, Span};

/// Numbers in a fixed order that looks like none.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn port(&mut self) -> u16 {
        match self.below(4) {
            0 => u16::MAX - self.small(),
            1 => self.small(),
            _ => u16::try_from(self.below(65_536)).unwrap(),
        }
    }

    fn small(&mut self) -> u16 {
        u16::try_from(self.below(70)).unwrap()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    fn flag(&mut self) -> bool {
        self.below(2) == 1
    }
}

const MAPPINGS: [Mapping; 5] = [
    Mapping::Unknown,
    Mapping::EndpointIndependent,
    Mapping::PortIndependent,
    Mapping::AddressDependent,
    Mapping::AddressAndPortDependent,
];

const FILTERINGS: [Filtering; 5] = [
    Filtering::Unknown,
    Filtering::EndpointIndependent,
    Filtering::PortIndependent,
    Filtering::AddressDependent,
    Filtering::AddressAndPortDependent,
];

fn allocations() -> [Allocation; 7] {
    [
        Allocation::Unknown,
        Allocation::Preserving,
        Allocation::PreservingFirst,
        Allocation::Sequential(Differential::ONE),
        Allocation::Sequential(Differential::new(-64).unwrap()),
        Allocation::Random,
        Allocation::Random,
    ]
}

/// Every mapping, filtering and allocation with spans wide and narrow.
fn profiles() -> impl Iterator<Item = NatProfile> {
    let kinds = MAPPINGS.into_iter().flat_map(|mapping| FILTERINGS.map(|one| (mapping, one)));
    kinds.flat_map(|(mapping, filtering)| {
        allocations().into_iter().enumerate().map(move |(at, allocation)| {
            let span = if at == 5 {
                Span { low: 5_000, high: 5_511, seen: 10 }
            } else {
                Span { low: 1_024, high: u16::MAX, seen: 20 }
            };
            let last = 40_000;
            NatProfile { mapping, filtering, allocation, span, last, ..NatProfile::default() }
        })
    })
}

fn party(number: u8, profile: NatProfile, limits: Limits) -> Party {
    let observed = Endpoint::from(([192, 0, 2, number], 40_000 + u16::from(number)));
    Party { observed, profile, age: Duration::from_secs(10), limits, detector: Detector::Server }
}
