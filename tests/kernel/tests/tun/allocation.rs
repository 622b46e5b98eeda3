//! Which external port a flow gets.

use genkan_kernel_tests::Step::{Answer, Out, Reboot, Stranger};
use genkan_kernel_tests::scenario::{A, B, R, R2, S, T};
use genkan_kernel_tests::tun::same;
use genkan_kernel_tests::{Inside, Outcome, Remote, Step};
use genkan_sim::nat::{Blocks, Mapping, Pick, Preserve};
use genkan_sim::{NatConfig, Rng};

use crate::{APDF, APDM, counting, picking};

const REMOTES: [Remote; 4] = [R, R2, S, T];

fn ports(outcome: &Outcome) -> Vec<u16> {
    outcome.iter().filter_map(|seen| seen.port()).collect()
}

/// Both hosts send to all, and hear from all.
fn everywhere() -> Vec<Step> {
    let pairs = [A, B].into_iter().flat_map(|inside| REMOTES.map(|remote| (inside, remote)));
    pairs.flat_map(|(inside, remote)| [Out(inside, remote), Answer(remote, inside)]).collect()
}

#[test]
fn a_counter_goes_on_by_its_step_and_no_other() {
    std::thread::scope(|scope| {
        for step in [1, -1, 2, -2, 8, -8, 64, -64] {
            scope.spawn(move || {
                let ports = ports(&same(&counting(step), &everywhere()));
                let first = if step > 0 { 20_000 } else { u16::MAX };
                let expected = (0..8).map(|place| first.wrapping_add_signed(place * step));
                assert_eq!(ports, expected.collect::<Vec<_>>(), "step {step}");
            });
        }
    });
}

#[test]
fn a_counter_wraps_at_the_end_of_its_range() {
    let mut config = counting(8);
    config.ports = 40_000..=40_029;
    let ports = ports(&same(&config, &everywhere()));
    assert_eq!(ports[..5], [40_000, 40_008, 40_016, 40_024, 40_002]);
}

#[test]
fn a_host_draws_its_ports_from_a_block_of_its_own() {
    let mut config = picking(Pick::Random);
    config.ports = 1_024..=u16::MAX;
    config.blocks = Blocks::Contiguous { size: 512, most: 1 };
    let more = |inside: Inside| (0..10).map(move |more| Inside { port: 41_000 + more, ..inside });
    let insides = more(A).chain(more(B));
    let steps = insides.flat_map(|inside| REMOTES.map(|remote| Out(inside, remote)));
    let ports = ports(&same(&config, &steps.collect::<Vec<_>>()));
    let blocks: Vec<_> =
        ports.chunks(40).map(|own| own.iter().map(|p| (p - 1_024) / 512)).collect();
    let [first, second] = [0, 1].map(|host| blocks[host].clone().collect::<Vec<_>>());
    assert!(first.iter().all(|&block| block == first[0]), "{ports:?}");
    assert!(second.iter().all(|&block| block == second[0] && block != first[0]), "{ports:?}");
    let steps = ports.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    let different: std::collections::BTreeSet<u16> = steps.collect();
    assert!(different.len() > 60, "drawn, not counted: {ports:?}");
}

#[test]
fn a_mapping_is_for_all_destinations_for_one_address_or_for_one_port_of_it() {
    let steps = REMOTES.map(|remote| Out(A, remote));
    for (mapping, expected) in [
        (Mapping::EndpointIndependent, [20_000; 4]),
        (Mapping::AddressDependent, [20_000, 20_000, 20_001, 20_002]),
        (APDM, [20_000, 20_001, 20_002, 20_003]),
    ] {
        let mut config = counting(1);
        config.behaviour.mapping = mapping;
        assert_eq!(ports(&same(&config, &steps)), expected, "{mapping:?}");
    }
}

#[test]
fn the_first_destination_keeps_the_port_where_the_settings_say_so() {
    let mut config = counting(1);
    config.behaviour.allocation.preserve = Preserve::First;
    assert_eq!(ports(&same(&config, &everywhere()))[..3], [40_000, 20_000, 20_001]);
    config.behaviour.allocation.preserve = Preserve::WhenFree;
    assert_eq!(ports(&same(&config, &everywhere()))[..3], [40_000, 20_000, 20_001]);
}

/// Nobody thought of these: packets of two hosts in any order, to the port as in the simulator.
#[test]
fn drawn_packets_come_out_as_the_simulator_says() {
    let mut block = picking(Pick::Random);
    block.blocks = Blocks::Contiguous { size: 512, most: 1 };
    let address = NatConfig::new(Mapping::AddressDependent, APDF);
    let configs = [counting(2), counting(-64), block, picking(Pick::Random), address];
    std::thread::scope(|scope| {
        for (seed, config) in (1..).zip(configs) {
            scope.spawn(move || same(&config, &drawn(&mut Rng::new(seed), 200)));
        }
    });
}

fn drawn(rng: &mut Rng, count: usize) -> Vec<Step> {
    let insides = [A, B, Inside { port: 40_001, ..A }, Inside { port: 40_001, ..B }];
    let mut sent: Vec<(Inside, Remote)> = Vec::new();
    let mut steps = Vec::new();
    while steps.len() < count {
        let (inside, remote) = (insides[rng.index(4)], REMOTES[rng.index(4)]);
        let before = sent.get(rng.index(sent.len().max(1))).copied();
        steps.push(match (rng.below(50), before) {
            (0, _) => Reboot,
            (1..25, _) | (_, None) => {
                sent.push((inside, remote));
                Out(inside, remote)
            }
            (25..45, Some((inside, by))) => Answer(by, inside),
            (_, Some((inside, by))) => Stranger(remote, inside, by),
        });
    }
    steps
}
