//! The oracle's word about plain punching, held against ends that do just that in the simulator.

mod puncher;

use core::slice::from_ref;

use genkan_sim::Rng;
use genkan_sim::nat::presets;
use genkan_sim::nat::{
    Allocation, Counter, Filtering, Mapping, NatConfig, Pick, Preserve, Sharing, Translation,
};
use genkan_sim::oracle::{Budget, Conditions, End, Gate, Order, Verdict, judge};
use puncher::punch;

const MAPPINGS: [Mapping; 3] =
    [Mapping::EndpointIndependent, Mapping::AddressDependent, Mapping::AddressAndPortDependent];
const FILTERINGS: [Filtering; 3] = [
    Filtering::EndpointIndependent,
    Filtering::AddressDependent,
    Filtering::AddressAndPortDependent,
];

/// How ports are given out: keeping the first, keeping all, counting, drawing.
fn allocations() -> [Allocation; 4] {
    let pick = Pick::Sequential { step: 1, counter: Counter::Global, skip_used: true };
    let counting = Allocation {
        preserve: Preserve::Never,
        pick,
        parity: false,
        sharing: Sharing::Exclusive,
        reuse: false,
    };
    let first = Allocation { preserve: Preserve::First, ..counting.clone() };
    let all = Allocation {
        preserve: Preserve::WhenFree,
        sharing: Sharing::PerRemote,
        ..counting.clone()
    };
    let drawing = Allocation { pick: Pick::Random, ..counting.clone() };
    [first, all, counting, drawing]
}

fn kinds() -> Vec<NatConfig> {
    let mut kinds = Vec::new();
    for mapping in MAPPINGS {
        for filtering in FILTERINGS {
            for allocation in allocations() {
                let mut config = NatConfig::new(mapping, filtering);
                config.behaviour.allocation = allocation;
                kinds.push(config);
            }
        }
    }
    kinds
}

fn end(first: u32, configs: &[NatConfig]) -> End {
    let gates = configs.iter().zip(first..);
    End::behind(gates.map(|(config, id)| Gate::new(id, config.clone())))
}

/// What the oracle says: plain punching must connect, or must not.
fn expected(one: &[NatConfig], other: &[NatConfig]) -> bool {
    let judgement = judge(&end(1, one), &end(101, other));
    assert_eq!(judgement.order, Order::Any);
    let verdict = judgement.verdict(Budget::default(), Conditions::default());
    assert_eq!(judgement.plain, verdict == Verdict::MustConnect);
    judgement.plain
}

fn check(seed: u64, one: &[NatConfig], other: &[NatConfig]) -> bool {
    let (expected, seen) = (expected(one, other), punch(seed, one, other));
    let names = |configs: &[NatConfig]| -> Vec<_> {
        configs.iter().map(|config| config.behaviour.clone()).collect()
    };
    assert_eq!(expected, seen, "seed {seed}: {:?} × {:?}", names(one), names(other));
    expected
}

#[test]
fn every_pair_of_boxes_behaves_as_the_oracle_says() {
    let kinds = kinds();
    let mut connected = 0;
    for one in &kinds {
        for other in &kinds {
            for seed in 1..=3 {
                connected += u32::from(check(seed, from_ref(one), from_ref(other)));
            }
        }
    }
    // Both answers occur, each in a good part of the 36 × 36 pairs.
    assert!((1_000..3_500).contains(&connected), "{connected} of {}", 3 * 36 * 36);
}

/// Nobody, or up to three boxes.
fn chain(rng: &mut Rng, kinds: &[NatConfig]) -> Vec<NatConfig> {
    (0..rng.index(4)).map(|_| kinds[rng.index(kinds.len())].clone()).collect()
}

#[test]
fn chains_of_boxes_behave_as_the_oracle_says() {
    let (kinds, mut rng) = (kinds(), Rng::new(4_787));
    let mut answers = [0, 0];
    for seed in 0..10_000 {
        let (one, other) = (chain(&mut rng, &kinds), chain(&mut rng, &kinds));
        answers[usize::from(check(seed, &one, &other))] += 1;
    }
    assert!(answers.iter().all(|&count| count > 2_500), "{answers:?}");
}

#[test]
fn boxes_that_exist_behave_as_the_oracle_says() {
    let known = presets::ALL.map(|(name, preset)| (name, preset()));
    let translates = |config: &NatConfig| config.translation == Translation::AddressAndPort;
    for (one_name, one) in known.iter().filter(|(_, config)| translates(config)) {
        for (other_name, other) in known.iter().filter(|(_, config)| translates(config)) {
            let judgement = judge(&end(1, from_ref(one)), &end(2, from_ref(other)));
            // Whoever is punished for being early is not, when both begin at once.
            let seen = punch(9, from_ref(one), from_ref(other));
            assert_eq!(judgement.plain, seen, "{one_name} × {other_name}");
        }
    }
}
