//! The oracle's probabilities, held against the best strategies in the simulator.
//!
//! Where the oracle's two numbers are the same, this shows the formula to be right; where they
//! differ, that the strategy reaches what it should and the bound holds.

mod prober;

use core::net::SocketAddr;
use core::time::Duration;

use genkan_sim::Rng;
use genkan_sim::nat::{
    Blocks, Counter, Filtering, Foreign, Mapping, NatConfig, Pick, Preserve, Sharing,
};
use genkan_sim::oracle::{Budget, Conditions, End, Gate, judge};
use prober::Side::{A, B};
use prober::{FIRST_PORT, Match, ONE_WAY, bound, external, measure};

fn config(mapping: Mapping) -> NatConfig {
    NatConfig::new(mapping, Filtering::AddressAndPortDependent)
}

/// Endpoint-independent and strict: what has to be told the other's port exactly.
fn strict() -> NatConfig {
    config(Mapping::EndpointIndependent)
}

fn sequential(mapping: Mapping, step: i16, foreign: Option<Foreign>) -> NatConfig {
    let mut config = config(mapping);
    let pick = Pick::Sequential { step, counter: Counter::Global, skip_used: true };
    config.behaviour.allocation.pick = pick;
    config.foreign = foreign;
    config
}

fn random(ports: u16) -> NatConfig {
    let mut config = config(Mapping::AddressAndPortDependent);
    config.behaviour.allocation.pick = Pick::Random;
    config.ports = 20_000..=20_000 + (ports - 1);
    config
}

/// Other users, whose mappings go at once.
const fn users(rate: f64, bursts: f64, burst_size: f64) -> Option<Foreign> {
    Some(Foreign { rate, bursts, burst_size, stay: Duration::from_millis(1) })
}

const GAP: Duration = Duration::from_millis(10);
const SYMMETRIC: Mapping = Mapping::AddressAndPortDependent;

/// `a` is bracketed, `b` sends its probes to the likeliest ports.
fn one_bracket(seed: u64, a: &NatConfig, probes: usize) -> bool {
    let mut game = Match::new(seed, [a, &strict()], 3);
    game.show(B, 0);
    game.world.run_for(ONE_WAY);
    let peer = game.seen(B, 0);
    game.bracket(A, 1, peer, GAP);
    game.world.run_for(ONE_WAY);
    for port in game.between(A, 1, a, GAP).into_iter().take(probes) {
        game.probe(B, 0, port);
    }
    game.connects()
}

#[test]
fn a_counter_is_found_as_often_as_the_bracket_says() {
    let busy = users(100.0, 0.0, 1.0);
    let bursty = users(20.0, 20.0, 4.0);
    for (step, foreign, probes) in
        [(1, None, 1), (1, busy, 1), (1, busy, 2), (-3, busy, 4), (64, bursty, 1), (2, bursty, 3)]
    {
        let a = sequential(SYMMETRIC, step, foreign);
        let conditions = Conditions { gap: GAP, ..Conditions::default() };
        let said = bound([&a, &strict()], (1, probes), conditions);
        assert!(said.at_most - said.reached < 1e-9);
        let name = format!("step {step}, {foreign:?}, {probes} probes");
        measure(&name, said, 2_000, |seed| one_bracket(seed, &a, probes as usize));
    }
}

/// `a` opens mappings towards `b`, which asks different ports out of `among`.
fn birthday(
    seed: u64,
    a: &NatConfig,
    (mappings, probes): (u16, u32),
    among: impl Fn(u16) -> Vec<u16>,
) -> bool {
    let mut game = Match::new(seed, [a, &strict()], mappings);
    game.show(A, 0);
    game.show(B, 0);
    game.world.run_for(ONE_WAY);
    let peer = game.seen(B, 0);
    for socket in 1..=mappings {
        game.probe(A, socket, peer);
    }
    let seen = game.seen(A, 0);
    let mut ports = among(seen.port());
    ports.retain(|&port| port != seen.port());
    let mut rng = Rng::new(seed).fork("probes");
    for _ in 0..probes {
        let port = ports.swap_remove(rng.index(ports.len()));
        game.probe(B, 0, SocketAddr::new(seen.ip(), port));
    }
    game.connects()
}

#[test]
fn random_ports_are_met_as_often_as_the_birthday_formula_says() {
    for (ports, mappings, probes) in [(512, 16, 16), (512, 1, 64), (2_048, 40, 40), (64, 32, 32)] {
        let a = random(ports);
        let said = bound([&a, &strict()], (mappings, probes), Conditions::default());
        let name = format!("{mappings} of {ports} ports, {probes} probes");
        let among = |_| a.ports.clone().collect();
        measure(&name, said, 2_000, |seed| birthday(seed, &a, (mappings as u16, probes), among));
    }
}

#[test]
fn a_block_is_as_small_as_it_is_and_a_scattered_one_as_wide_as_its_range() {
    let mut a = random(8_192);
    a.blocks = Blocks::Contiguous { size: 256, most: 1 };
    let said = bound([&a, &strict()], (8, 16), Conditions::default());
    let block = |port: u16| {
        let first = port - (port - 20_000) % 256;
        (first..first + 256).collect()
    };
    measure("a block of 256", said, 2_000, |seed| birthday(seed, &a, (8, 16), block));
    assert!(said.reached > 0.35);

    a.blocks = Blocks::Scattered { size: 256 };
    let said = bound([&a, &strict()], (8, 16), Conditions::default());
    let all = |_| a.ports.clone().collect();
    measure("256 scattered ports", said, 2_000, |seed| birthday(seed, &a, (8, 16), all));
    assert!(said.reached < 0.05 && said.at_most > 0.35);
}

/// Both are symmetric. `b` aims at a port that `a` has not reached yet and is bracketed; `a` then
/// walks: it sends from one fresh socket after the other to where `b` sends from.
fn ahead(
    seed: u64,
    [a, b]: [&NatConfig; 2],
    walk: u16,
    aim: impl Fn(u16, &mut Rng) -> u16,
) -> bool {
    let mut game = Match::new(seed, [a, b], walk.max(3) + 1);
    game.show(A, 1);
    game.world.run_for(2 * ONE_WAY);
    let mut rng = Rng::new(seed).fork("aim");
    let aimed = aim(game.seen(A, 1).port(), &mut rng);
    game.bracket(B, 1, SocketAddr::new(external(1), aimed), GAP);
    game.world.run_for(2 * ONE_WAY);
    let to = game.between(B, 1, b, GAP)[0];
    for socket in 2..=walk + 1 {
        game.probe(A, socket, to);
        game.world.run_for(GAP);
    }
    // What `a` sent before `b` was ready is gone; both try again from where they are.
    game.probe(B, 2, SocketAddr::new(external(1), aimed));
    game.connects()
}

/// From `a`'s showing its counter until it walks.
const UNTIL_WALK: Duration = Duration::from_millis(80 + 2 * 10);

#[test]
fn two_counters_meet_when_one_is_aimed_at_ahead() {
    let conditions = Conditions { gap: GAP, delay: UNTIL_WALK };
    for (rate, walk, other_rate) in
        [(0.0, 1, 0.0), (10.0, 8, 5.0), (30.0, 12, 10.0), (30.0, 6, 20.0)]
    {
        let a = sequential(SYMMETRIC, 1, users(rate, 0.0, 1.0));
        let b = sequential(SYMMETRIC, 1, users(other_rate, 0.0, 1.0));
        let said = bound([&a, &b], (walk, 1), conditions);
        // The best window for what comes between begins about where its mean is less half of it.
        let mean = rate * UNTIL_WALK.as_secs_f64();
        let behind = (mean - f64::from(walk) / 2.0).round().max(0.0) as u16;
        let name = format!("counters at {rate}/s and {other_rate}/s, {walk} steps");
        measure(&name, said, 2_000, |seed| {
            let aim = |seen: u16, _: &mut Rng| seen + behind + walk as u16;
            ahead(seed, [&a, &b], walk as u16, aim)
        });
    }
}

#[test]
fn a_counter_and_random_ports_meet_as_often_as_mappings_make_up_ports() {
    let (a, b) = (random(256), sequential(SYMMETRIC, 1, None));
    let said = bound([&a, &b], (32, 256), Conditions::default());
    measure("32 of 256 random ports, and a counter", said, 2_000, |seed| {
        ahead(seed, [&a, &b], 32, |_, rng| 20_000 + rng.below(256) as u16)
    });
    assert!(said.at_most < 0.13);
}

#[test]
fn two_random_ones_meet_as_often_as_both_are_lucky() {
    let (a, b) = (random(64), random(64));
    let said = bound([&a, &b], (24, 24), Conditions::default());
    measure("24 and 24 of 64 random ports", said, 3_000, |seed| {
        let mut game = Match::new(seed, [&a, &b], 24);
        let mut rng = Rng::new(seed).fork("aims");
        let mut aim = |end| SocketAddr::new(external(end), 20_000 + rng.below(64) as u16);
        let (at_a, at_b) = (aim(1), aim(2));
        for socket in 1..=24 {
            game.probe(A, socket, at_b);
            game.probe(B, socket, at_a);
        }
        game.world.run_for(2 * ONE_WAY);
        // Again, now that every mapping is there.
        for socket in 1..=24 {
            game.probe(A, socket, at_b);
            game.probe(B, socket, at_a);
        }
        game.connects()
    });
}

#[test]
fn two_address_dependent_counters_are_each_looked_for() {
    let foreign = users(100.0, 0.0, 1.0);
    let a = sequential(Mapping::AddressDependent, 1, foreign);
    let b = sequential(Mapping::AddressDependent, 2, foreign);
    let conditions = Conditions { gap: GAP, ..Conditions::default() };
    let said = bound([&a, &b], (2, 1), conditions);
    measure("address-dependent counters", said, 2_000, |seed| {
        let mut game = Match::new(seed, [&a, &b], 3);
        // Any port of the other one's address makes the mapping that all its ports will see.
        game.bracket(A, 1, SocketAddr::new(external(2), 9), GAP);
        game.bracket(B, 1, SocketAddr::new(external(1), 9), GAP);
        game.world.run_for(2 * ONE_WAY);
        let (to_a, to_b) = (game.between(A, 1, &a, GAP), game.between(B, 1, &b, GAP));
        for _ in 0..2 {
            to_b.iter().take(2).for_each(|&port| game.probe(A, 2, port));
            to_a.iter().take(1).for_each(|&port| game.probe(B, 2, port));
            game.world.run_for(2 * ONE_WAY);
        }
        game.connects()
    });
}

#[test]
fn kept_ports_are_known_before_they_are_mapped() {
    let mut keeping = config(SYMMETRIC);
    keeping.behaviour.allocation.preserve = Preserve::First;
    let said = bound([&keeping, &keeping], (1, 1), Conditions::default());
    assert_eq!((said.reached, said.at_most), (1.0, 1.0));
    measure("kept ports", said, 50, |seed| {
        let mut game = Match::new(seed, [&keeping, &keeping], 1);
        for _ in 0..2 {
            game.probe(A, 1, SocketAddr::new(external(2), FIRST_PORT + 1));
            game.probe(B, 1, SocketAddr::new(external(1), FIRST_PORT + 1));
            game.world.run_for(2 * ONE_WAY);
        }
        game.connects()
    });
}

/// A search that goes on from a port in use to the
/// next makes that one twice as likely.
#[test]
fn the_port_after_one_in_use_is_likelier_than_others() {
    let mut a = random(64);
    a.behaviour.allocation.pick = Pick::RandomStart { tries: u32::MAX };
    let said = bound([&a, &strict()], (1, 1), Conditions::default());
    let next = |seen: u16| vec![20_000 + (seen + 1 - 20_000) % 64];
    measure("the port after the one seen", said, 20_000, |seed| birthday(seed, &a, (1, 1), next));
    assert!(said.at_most < 0.07, "{said:?}");
    // With many of each it is still a bound.
    a.ports = 20_000..=20_511;
    let said = bound([&a, &strict()], (8, 8), Conditions::default());
    measure("eight after it", said, 4_000, |seed| {
        birthday(seed, &a, (8, 8), |seen| {
            (1..=8).map(|n| 20_000 + (seen + n - 20_000) % 512).collect()
        })
    });
    assert!(said.at_most < 0.5, "{said:?}");
}

/// Two can be given the same port, so that many mappings are at fewer ports.
#[test]
fn overloaded_ports_are_met_less_often() {
    let mut a = random(24);
    a.behaviour.allocation.sharing = Sharing::Overloading;
    let said = bound([&a, &strict()], (8, 8), Conditions::default());
    let among = |_| a.ports.clone().collect();
    measure("8 of 24 overloaded ports", said, 4_000, |seed| birthday(seed, &a, (8, 8), among));
}

#[test]
fn a_counter_with_parity_is_found_when_nobody_comes_between() {
    let mut a = sequential(SYMMETRIC, 1, users(20.0, 0.0, 1.0));
    a.behaviour.allocation.parity = true;
    let conditions = Conditions { gap: GAP, ..Conditions::default() };
    let said = bound([&a, &strict()], (1, 1), conditions);
    measure("a counter with parity", said, 2_000, |seed| {
        let mut game = Match::new(seed, [&a, &strict()], 3);
        game.show(B, 0);
        game.world.run_for(ONE_WAY);
        let peer = game.seen(B, 0);
        game.bracket(A, 1, peer, GAP);
        game.world.run_for(ONE_WAY);
        // The first socket is odd, the second even.
        let seen = game.seen(A, 1);
        game.probe(B, 0, SocketAddr::new(seen.ip(), seen.port() + 1));
        game.connects()
    });
    assert!((0.3..0.9).contains(&said.reached) && said.at_most < 1.0, "{said:?}");
}

/// Each address of a pool has a counter of its own, which its share of the others' mappings moves.
#[test]
fn a_counter_of_a_paired_pool_is_moved_by_its_share_of_others() {
    let a = sequential(SYMMETRIC, 1, users(200.0, 0.0, 1.0));
    let conditions = Conditions { gap: GAP, ..Conditions::default() };
    let end = |id, config: &NatConfig| Gate::new(id, config.clone());
    let judged = |addresses| {
        let pool = End::behind([end(1, &a).pool(addresses)]);
        let budget = Budget { a: 1, b: 2 };
        judge(&pool, &End::behind([end(2, &strict())])).prediction.bound(budget, conditions)
    };
    let said = judged(4);
    assert!(said.reached > judged(1).at_most, "{said:?}");
    let share = NatConfig { foreign: users(50.0, 0.0, 1.0), ..a.clone() };
    measure("one of four addresses", said, 2_000, |seed| {
        let mut game = Match::with_pools(seed, [&a, &strict()], 3, [4, 1]);
        game.show(B, 0);
        game.world.run_for(ONE_WAY);
        let peer = game.seen(B, 0);
        game.bracket(A, 1, peer, GAP);
        game.world.run_for(ONE_WAY);
        for port in game.between(A, 1, &share, GAP).into_iter().take(2) {
            game.probe(B, 0, port);
        }
        game.connects()
    });
}

/// A counter that goes round a small range comes to the same ports again and again.
#[test]
fn a_counter_that_goes_round_is_not_bounded_by_its_speed() {
    let mut a = sequential(SYMMETRIC, 1, users(2_000.0, 0.0, 1.0));
    a.ports = 20_000..=20_003;
    a.behaviour.allocation.sharing = Sharing::PerRemote;
    let conditions = Conditions { gap: GAP, ..Conditions::default() };
    let said = bound([&a, &strict()], (1, 1), conditions);
    measure("a counter among four ports", said, 1_000, |seed| {
        let all = |_| (20_000..20_004).collect();
        birthday(seed, &a, (1, 1), all)
    });
}

/// Others fill the first block, and new mappings come from a smaller one.
#[test]
fn an_extension_is_a_smaller_set() {
    let mut a = random(8_192);
    a.blocks = Blocks::Contiguous { size: 256, most: 2 };
    a.extension = Some(8);
    let filling = Foreign { stay: Duration::from_secs(600), ..users(400.0, 0.0, 1.0).unwrap() };
    a.foreign = Some(filling);
    let said = bound([&a, &strict()], (1, 4), Conditions::default());
    measure("an extension of 8 ports", said, 1_000, |seed| {
        // What the server sees is in the extension already.
        birthday(seed, &a, (1, 4), |seen| {
            let first = seen - (seen - 20_000) % 8;
            (first..first + 8).collect()
        })
    });
    assert_eq!(said.reached, 0.0);
}
