//! Which port a mapping gets.

use super::*;

fn with(change: impl FnOnce(&mut Allocation)) -> NatConfig {
    let mut config = NatConfig::new(APDM, APDF);
    change(&mut config.behaviour.allocation);
    config
}

#[test]
fn ports_are_kept_never_first_or_whenever_free() {
    for (preserve, first, second) in [
        (Preserve::Never, false, false),
        (Preserve::First, true, false),
        (Preserve::WhenFree, true, true),
    ] {
        let mut nat = nat(with(|a| {
            a.preserve = preserve;
            a.sharing = Sharing::PerRemote;
        }));
        let ports = ports_to_many(&mut nat, host(2, 33_333), 2);
        let kept: Vec<bool> = ports.iter().map(|&port| port == 33_333).collect();
        assert_eq!(kept, [first, second], "{preserve:?}");
        let again = out(&mut nat, secs(500), host(2, 33_333), remote(8, 8)).unwrap();
        assert_eq!(again == 33_333, first, "a first destination again, when all is over");
    }
}

#[test]
fn every_stride_is_kept_exactly_around_both_ends() {
    for step in (-64..=64).filter(|&step| step != 0) {
        let pick = Pick::Sequential { step, counter: Counter::Global, skip_used: true };
        let mut config = picking(APDM, APDF, pick);
        config.ports = 5_000..=5_996;
        let ports = ports_to_many(&mut nat(config), host(2, 5_000), 200);
        assert_eq!(ports[0], if step > 0 { 5_000 } else { 5_996 });
        for pair in ports.windows(2) {
            let moved = (i32::from(pair[1]) - i32::from(pair[0])).rem_euclid(997);
            assert_eq!(moved, i32::from(step).rem_euclid(997), "step {step}: {pair:?}");
        }
    }
}

#[test]
fn counters_belong_to_the_box_the_host_or_the_destination() {
    // Two hosts by turns, to two destinations by turns.
    for (counter, who) in
        [(Counter::Global, [0, 0]), (Counter::PerInside, [1, 0]), (Counter::PerDestination, [0, 1])]
    {
        let pick = Pick::Sequential { step: 1, counter, skip_used: true };
        let mut nat = nat(picking(APDM, APDF, pick));
        let mut counters = BTreeMap::<_, Vec<u16>>::new();
        for i in 0..40u16 {
            let (inside, to) = ((i % 2) as u8, (i / 2 % 2) as u8);
            let port = out(&mut nat, secs(1), host(inside, 9), remote(to, 100 + i)).unwrap();
            let key = (inside * who[0], to * who[1]);
            counters.entry(key).or_default().push(port);
        }
        assert_eq!(counters.len(), if counter == Counter::Global { 1 } else { 2 });
        for ports in counters.values() {
            assert!(ports.windows(2).all(|pair| pair[1] == pair[0] + 1), "{counter:?} {ports:?}");
        }
        if let [a, b] = counters.values().map(|ports| ports[0]).collect::<Vec<_>>()[..] {
            assert!(a.abs_diff(b) > 1, "they begin anywhere: {a} {b}");
        }
    }
}

#[test]
fn a_port_in_use_is_skipped_or_costs_the_packet() {
    for skip_used in [true, false] {
        let pick = Pick::Sequential { step: 1, counter: Counter::Global, skip_used };
        let mut nat = nat(picking(APDM, APDF, pick));
        nat.forward(Proto::Udp, 20_001, host(9, 9));
        let ports: Vec<_> =
            (0..3).map(|i| out(&mut nat, secs(1), host(2, 1), remote(1, i)).ok()).collect();
        let skipped = [Some(20_000), Some(20_002), Some(20_003)];
        let dropped = [Some(20_000), None, Some(20_002)];
        assert_eq!(ports, if skip_used { skipped } else { dropped });
    }
}

#[test]
fn a_step_that_divides_the_range_comes_to_all_ports_in_the_end() {
    for (step, order) in [
        (2, [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]),
        (-5, [9, 4, 8, 3, 7, 2, 6, 1, 5, 0]),
        (4, [0, 4, 8, 2, 6, 1, 5, 9, 3, 7]),
        (10, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ] {
        let pick = Pick::Sequential { step, counter: Counter::Global, skip_used: true };
        let mut config = picking(APDM, APDF, pick);
        config.ports = 20_000..=20_009;
        let mut nat = nat(config);
        let ports = ports_to_many(&mut nat, host(2, 1), 10);
        assert_eq!(ports, order.map(|port| 20_000 + port), "step {step}");
        assert_eq!(out(&mut nat, secs(1), host(2, 1), remote(1, 1)), Err(Refusal::Full));
    }
}

#[test]
fn a_counter_with_parity_walks_each_kind_of_port_with_its_step() {
    // By turns for an even and an odd inside port: the counter is one for both.
    for (step, expected) in [
        (1, [20_000, 20_001, 20_002, 20_003, 20_004, 20_005]),
        (2, [20_000, 20_003, 20_006, 20_009, 20_012, 20_015]),
        (-3, [20_098, 20_095, 20_092, 20_089, 20_086, 20_083]),
    ] {
        let pick = Pick::Sequential { step, counter: Counter::Global, skip_used: true };
        let mut config = picking(APDM, APDF, pick);
        config.behaviour.allocation.parity = true;
        config.ports = 20_000..=20_099;
        let mut nat = nat(config);
        let seen: Vec<u16> = (0..6)
            .map(|i| out(&mut nat, secs(1), host(2, 5_000 + i % 2), remote(1, i)).unwrap())
            .collect();
        assert_eq!(seen, expected, "step {step}");
        // All fifty of one kind, and not one of the other.
        let even = (0..60).filter_map(|i| out(&mut nat, secs(1), host(2, 2), remote(2, i)).ok());
        let even: Vec<u16> = even.collect();
        assert!(even.len() == 47 && even.iter().all(|port| port % 2 == 0), "{even:?}");
    }
    // A counter for each destination has the parity of whoever comes to it.
    let pick = Pick::Sequential { step: 1, counter: Counter::PerDestination, skip_used: true };
    let mut config = picking(APDM, APDF, pick);
    config.behaviour.allocation.parity = true;
    let mut nat = nat(config);
    for to in [1, 2] {
        let ports: Vec<u16> = (0..4)
            .map(|i| out(&mut nat, secs(1), host(2, 7), remote(to, 1 + i)).unwrap())
            .collect();
        assert!(ports.windows(2).all(|pair| pair[1] == pair[0] + 2), "{ports:?}");
    }
}

/// Each of these packets once took as long as looking for each port in all tables does: 4 ms.
#[test]
fn a_full_box_refuses_at_once() {
    let steps = |skip_used| Pick::Sequential { step: 1, counter: Counter::Global, skip_used };
    for (pick, hold_down) in [
        (steps(true), secs(0)),
        (steps(true), secs(900)),
        (Pick::Random, secs(900)),
        (Pick::RandomStart { tries: u32::MAX }, secs(0)),
    ] {
        let mut config = picking(APDM, APDF, pick);
        (config.hold_down, config.ports) = (hold_down, 50_000..=59_999);
        let mut nat = nat(config);
        (0..10_000).for_each(|i| assert!(out(&mut nat, secs(1), host(2, 1), remote(1, i)).is_ok()));
        // Held down, no port has a mapping any more, and none is free.
        let now = if hold_down.is_zero() { secs(2) } else { secs(200) };
        let start = std::time::Instant::now();
        for i in 0..5_000 {
            assert_eq!(out(&mut nat, now, host(9, 1), remote(2, i)), Err(Refusal::Full));
        }
        let took = start.elapsed();
        assert!(took < secs(5), "{pick:?}: 5000 refused packets took {took:?}");
    }
}

#[test]
fn parity_is_kept_with_every_way_to_pick() {
    for pick in [
        Pick::Sequential { step: 1, counter: Counter::Global, skip_used: true },
        Pick::Sequential { step: -2, counter: Counter::Global, skip_used: true },
        Pick::Random,
        Pick::RandomStart { tries: 128 },
    ] {
        let mut config = picking(APDM, APDF, pick);
        config.behaviour.allocation.parity = true;
        let mut nat = nat(config);
        for i in 0..100 {
            let inside = host(2, 5_000 + i % 2);
            let port = out(&mut nat, secs(1), inside, remote(1, 100 + i)).unwrap();
            assert_eq!(port % 2, inside.port() % 2, "{pick:?}");
        }
    }
}

#[test]
fn random_ports_spread_over_the_whole_range_and_run_out_only_when_all_are_used() {
    let mut config = picking(APDM, APDF, Pick::Random);
    config.ports = 1_000..=1_999;
    let mut nat = nat(config);
    let ports = ports_to_many(&mut nat, host(2, 1), 1_000);
    let mut tenths = [0; 10];
    ports[..500].iter().for_each(|port| tenths[usize::from(port - 1_000) / 100] += 1);
    assert!(tenths.iter().all(|n| (30..=70).contains(n)), "{tenths:?}");
    let mut sorted = ports;
    sorted.sort_unstable();
    assert_eq!(sorted, (1_000..=1_999).collect::<Vec<u16>>(), "each once");
    assert_eq!(out(&mut nat, secs(1), host(2, 1), remote(1, 1)), Err(Refusal::Full));
}

#[test]
fn a_random_start_goes_on_port_by_port_for_so_many_tries() {
    // Nine ports of ten are taken: one try succeeds in a tenth of the cases, ten tries always.
    for (tries, all) in [(1, false), (10, true)] {
        let mut config = picking(APDM, APDF, Pick::RandomStart { tries });
        config.ports = 1_000..=1_999;
        let mut nat = nat(config);
        for port in (1_000..=1_999).filter(|port| port % 10 != 0) {
            nat.forward(Proto::Udp, port, host(9, port));
        }
        let found: Vec<_> =
            (0..20).map(|i| out(&mut nat, secs(1), host(2, 1), remote(1, i)).ok()).collect();
        let hits = found.iter().flatten().count();
        assert!(if all { hits > 14 } else { hits < 8 }, "{tries} tries: {hits} of 20");
        assert!(found.iter().flatten().all(|port| port % 10 == 0));
    }
}

#[test]
fn sharing_is_exclusive_per_remote_or_overloading() {
    let two = |sharing| {
        let mut nat = nat(with(|a| {
            a.preserve = Preserve::WhenFree;
            a.sharing = sharing;
        }));
        let seen = [(2, 1), (3, 2), (4, 1)]
            .map(|(inside, to)| out(&mut nat, secs(1), host(inside, 30_000), remote(to, 1)));
        (seen.map(Result::unwrap), nat)
    };
    let (ports, _) = two(Sharing::Exclusive);
    assert_eq!(ports, [30_000, 20_000, 20_001]);
    let (ports, mut nat) = two(Sharing::PerRemote);
    assert_eq!(ports, [30_000, 30_000, 20_000]);
    let to = at("192.0.2.1:30000");
    let whose = |nat: &mut Nat, from| nat.inbound(secs(1), Flow::Udp, from, to).ok();
    assert_eq!(whose(&mut nat, remote(1, 1)), Some(host(2, 30_000)));
    assert_eq!(whose(&mut nat, remote(2, 1)), Some(host(3, 30_000)));
    let (ports, mut nat) = two(Sharing::Overloading);
    assert_eq!(ports, [30_000; 3]);
    assert_eq!(whose(&mut nat, remote(1, 1)), Some(host(4, 30_000)), "the later has it");
    assert_eq!(whose(&mut nat, remote(2, 1)), None, "and others' answers are lost");
}

#[test]
fn a_source_uses_its_port_again_where_it_may() {
    for reuse in [true, false] {
        let mut nat = nat(with(|a| {
            a.sharing = Sharing::PerRemote;
            a.pick = Pick::Random;
            a.reuse = reuse;
        }));
        let ports = ports_to_many(&mut nat, host(2, 5_000), 5);
        assert_eq!(ports.windows(2).all(|pair| pair[0] == pair[1]), reuse);
    }
}

#[test]
fn a_search_stays_in_the_class_of_the_inside_port() {
    for classes in [true, false] {
        let mut config = picking(APDM, APDF, Pick::Random);
        (config.ports, config.port_classes) = (1..=65_535, classes);
        let mut nat = nat(config);
        for (inside, class) in [(100, 1..=511), (600, 600..=1_023), (5_000, 1_024..=65_535)] {
            let ports = ports_to_many(&mut nat, host(2, inside), 50);
            let within = ports.iter().all(|port| class.contains(port));
            assert!(within || !classes, "{inside}: {ports:?}");
            assert!(classes || inside == 5_000 || !within, "drawn from all: {ports:?}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_ports_and_another_others() {
    let ports = |seed| {
        let config = picking(APDM, APDF, Pick::Random);
        let mut nat = Nat::new(&[ip("192.0.2.1")], config, Rng::new(seed));
        ports_to_many(&mut nat, host(2, 1), 20)
    };
    assert_eq!(ports(1), ports(1));
    assert_ne!(ports(1), ports(2));
}
