//! Who gets which ports and addresses, and for how long others do not.

use std::collections::BTreeSet;

use super::*;

/// The ports that `n` destinations get for the hosts `2..2 + hosts`.
fn ports_of(config: &NatConfig, hosts: u8, count: u16) -> Vec<Vec<u16>> {
    let mut nat = nat(config.clone());
    (0..hosts).map(|i| ports_to_many(&mut nat, host(2 + i, 7_000), count)).collect()
}

fn blocks(blocks: Blocks) -> NatConfig {
    let mut config = picking(APDM, APDF, Pick::Random);
    (config.blocks, config.ports) = (blocks, 4_096..=65_535);
    config
}

fn disjoint(ports: &[Vec<u16>]) -> bool {
    let all: BTreeSet<u16> = ports.iter().flatten().copied().collect();
    all.len() == ports.iter().map(Vec::len).sum::<usize>()
}

#[test]
fn a_host_stays_in_its_block_until_it_is_full_and_then_gets_another() {
    let config = blocks(Blocks::Contiguous { size: 64, most: 2 });
    let seen = ports_of(&config, 3, 128);
    assert!(disjoint(&seen));
    for ports in &seen {
        for block in ports.chunks(64) {
            let (low, high) = (block.iter().min().unwrap(), block.iter().max().unwrap());
            assert_eq!((high - low, (low - 4_096) % 64), (63, 0));
        }
        assert!(ports[0].abs_diff(ports[64]) > 64, "blocks are assigned in a drawn order");
    }
    let mut nat = nat(config);
    ports_to_many(&mut nat, host(2, 1), 128);
    assert_eq!(out(&mut nat, secs(1), host(2, 1), remote(9, 9)), Err(Refusal::Full));
    assert!(out(&mut nat, secs(1), host(3, 1), remote(9, 9)).is_ok(), "others are not concerned");
}

#[test]
fn further_blocks_may_be_smaller() {
    let mut config = blocks(Blocks::Contiguous { size: 64, most: 3 });
    config.extension = Some(20);
    let mut nat = nat(config);
    let ports = ports_to_many(&mut nat, host(2, 1), 64 + 20 + 20);
    for extension in ports[64..].chunks(20) {
        let (low, high) = (extension.iter().min().unwrap(), extension.iter().max().unwrap());
        assert_eq!(high - low, 19);
    }
    assert_eq!(out(&mut nat, secs(1), host(2, 1), remote(9, 9)), Err(Refusal::Full));
}

#[test]
fn an_extension_larger_than_a_block_takes_no_block_away() {
    let mut config = blocks(Blocks::Contiguous { size: 20_000, most: 2 });
    config.extension = Some(20_001);
    let mut nat = nat(config);
    let mut first = |n, to| out(&mut nat, secs(1), host(n, 1), remote(1, to));
    (0..20_000).for_each(|to| assert!(first(2, to).is_ok()));
    assert_eq!(first(2, 20_000), Err(Refusal::Full), "no extension");
    assert!(first(3, 1).is_ok() && first(4, 1).is_ok(), "three blocks for three hosts");
}

#[test]
fn blocks_run_out_and_come_back_when_a_host_is_gone() {
    let mut config = blocks(Blocks::Contiguous { size: 20_000, most: 1 });
    config.lifetimes = Lifetimes::udp(secs(30));
    let mut nat = nat(config);
    for n in 2..5 {
        out(&mut nat, secs(1), host(n, 1), remote(1, 1)).unwrap();
    }
    assert_eq!(out(&mut nat, secs(2), host(6, 1), remote(1, 1)), Err(Refusal::Full));
    assert!(out(&mut nat, secs(40), host(6, 1), remote(1, 1)).is_ok());
}

#[test]
fn masked_ports_agree_in_the_masked_bits() {
    let seen = ports_of(&blocks(Blocks::Masked { mask: 0x01f0 }), 4, 200);
    assert!(disjoint(&seen));
    for ports in &seen {
        let values: BTreeSet<u16> = ports.iter().map(|port| port & 0x01f0).collect();
        assert_eq!(values.len(), 1);
        assert!(ports.iter().max().unwrap() - ports.iter().min().unwrap() > 10_000, "all over");
    }
}

#[test]
fn scattered_ports_are_a_hosts_own_and_all_over() {
    let mut nat = nat(blocks(Blocks::Scattered { size: 100 }));
    let seen = [2, 3].map(|n| ports_to_many(&mut nat, host(n, 1), 100));
    assert!(disjoint(&seen));
    assert!(seen[0].iter().max().unwrap() - seen[0].iter().min().unwrap() > 30_000);
    assert_eq!(out(&mut nat, secs(1), host(2, 1), remote(9, 9)), Err(Refusal::Full));
}

#[test]
fn a_port_set_has_the_ports_of_its_id() {
    // RFC 7597 section 5.1 with a = 4 and k = 8: 15 runs of 16 ports, none below 4096.
    let mut config = blocks(Blocks::PortSet { a: 4, k: 8 });
    config.ports = 1..=65_535;
    let seen = ports_of(&config, 3, 240);
    assert!(disjoint(&seen));
    for ports in &seen {
        let ids: BTreeSet<u16> = ports.iter().map(|port| port >> 4 & 0xff).collect();
        let offsets: BTreeSet<u16> = ports.iter().map(|port| port >> 12).collect();
        assert_eq!((ids.len(), offsets), (1, (1..=15).collect()));
    }
    let mut nat = nat(config);
    ports_to_many(&mut nat, host(2, 1), 240);
    assert_eq!(out(&mut nat, secs(1), host(2, 1), remote(9, 9)), Err(Refusal::Full));
}

#[test]
fn a_port_is_held_down_before_it_is_given_out_again() {
    let mut config = NatConfig::new(APDM, APDF);
    (config.ports, config.hold_down) = (20_000..=20_000, secs(120));
    config.lifetimes = Lifetimes::udp(secs(30));
    let mut nat = nat(config);
    let mut ask = |at| out(&mut nat, secs(at), host(2, 1), remote(1, 1 + at as u16));
    assert!(ask(0).is_ok());
    // Dead since 30 s, though nobody looked; free again at 150 s.
    assert_eq!((ask(40), ask(149)), (Err(Refusal::Full), Err(Refusal::Full)));
    assert!(ask(150).is_ok());
}

#[test]
fn a_pool_is_paired_drawn_or_divided_by_destination() {
    let pool: Vec<IpAddr> = (1..=8).map(|n| IpAddr::from([192, 0, 2, n])).collect();
    for pooling in [Pooling::Paired, Pooling::Arbitrary, Pooling::PerDestination] {
        let mut config = NatConfig::new(APDM, APDF);
        config.pooling = pooling;
        let mut nat = Nat::new(&pool, config, Rng::new(3));
        let mut of_host = BTreeMap::<u8, BTreeSet<IpAddr>>::new();
        let mut of_destination = BTreeMap::<u8, BTreeSet<IpAddr>>::new();
        for i in 0..200u16 {
            let (n, to) = ((i % 5) as u8, (i / 5 % 5) as u8);
            let outer =
                nat.outbound(secs(1), Flow::Udp, host(n, 1), remote(to, 1_000 + i)).unwrap().ip();
            of_host.entry(n).or_default().insert(outer);
            of_destination.entry(to).or_default().insert(outer);
        }
        let one = |seen: &BTreeMap<u8, BTreeSet<IpAddr>>| seen.values().all(|all| all.len() == 1);
        let all: BTreeSet<_> = of_host.values().flatten().collect();
        assert!(all.len() > 2, "{pooling:?}");
        let expected = match pooling {
            Pooling::Paired => (true, false),
            Pooling::Arbitrary => (false, false),
            Pooling::PerDestination => (false, true),
        };
        assert_eq!((one(&of_host), one(&of_destination)), expected, "{pooling:?}");
    }
}

#[test]
fn a_pair_is_one_for_all_transports_and_outlives_the_mappings_but_not_a_reboot() {
    let pool: Vec<IpAddr> = (1..=8).map(|n| IpAddr::from([192, 0, 2, n])).collect();
    let mut config = NatConfig::new(APDM, APDF);
    config.tcp_behaviour = Some(Behaviour::new(Mapping::EndpointIndependent, APDF));
    let mut nat = Nat::new(&pool, config, Rng::new(3));
    let seen = |nat: &mut Nat, at, flow| -> Vec<IpAddr> {
        let hosts = (2..10).map(|n| nat.outbound(secs(at), flow, host(n, 1), remote(1, 1)));
        hosts.map(|external| external.unwrap().ip()).collect()
    };
    let pairs = seen(&mut nat, 0, Flow::Udp);
    assert!(pairs.iter().collect::<BTreeSet<_>>().len() > 2, "drawn for each host");
    assert_eq!(seen(&mut nat, 0, Flow::Syn), pairs);
    assert_eq!(seen(&mut nat, 100_000, Flow::Udp), pairs, "all mappings were dead");
    nat.reboot();
    assert_ne!(seen(&mut nat, 100_000, Flow::Udp), pairs);
}

#[test]
fn a_paired_host_moves_to_another_address_when_its_own_is_full() {
    let mut config = NatConfig::new(APDM, APDF);
    config.ports = 20_000..=20_001;
    let pool = [ip("192.0.2.1"), ip("192.0.2.2")];
    let mut nat = Nat::new(&pool, config, Rng::new(3));
    let outer: Vec<IpAddr> = (0..4)
        .map(|i| nat.outbound(secs(1), Flow::Udp, host(2, 1), remote(1, i)).unwrap().ip())
        .collect();
    assert!(outer[0] == outer[1] && outer[2] == outer[3] && outer[0] != outer[2]);
    assert_eq!(out(&mut nat, secs(1), host(2, 1), remote(1, 9)), Err(Refusal::Full));
}

fn crowded(foreign: Foreign) -> NatConfig {
    let mut config = NatConfig::new(APDM, APDF);
    (config.foreign, config.ports) = (Some(foreign), 1_024..=65_535);
    config
}

#[test]
fn others_move_the_counter_as_a_poisson_process_does() {
    let foreign = Foreign { rate: 50.0, bursts: 0.0, burst_size: 1.0, stay: secs(60) };
    let mut nat = nat(crowded(foreign));
    let mut last = out(&mut nat, secs(100), host(2, 1), remote(1, 1)).unwrap();
    let mut moves = Vec::new();
    for i in 0..2_000u64 {
        let now = secs(100) + millis(100 * (i + 1));
        let port = out(&mut nat, now, host(2, 1), remote(1, 2 + i as u16)).unwrap();
        moves.push(f64::from((u32::from(port) + 64_512 - u32::from(last)) % 64_512) - 1.0);
        last = port;
    }
    // Five are expected in each tenth of a second; mean and variance of a Poisson are equal.
    let mean = moves.iter().sum::<f64>() / 2_000.0;
    let variance = moves.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / 2_000.0;
    let none = moves.iter().filter(|&&m| m == 0.0).count() as f64 / 2_000.0;
    assert!((mean - 5.0).abs() < 0.3, "mean {mean}");
    assert!((variance - 5.0).abs() < 0.8, "variance {variance}");
    assert!((none - 0.0067).abs() < 0.006, "P(0) {none}");
}

#[test]
fn bursts_come_in_their_mean_size() {
    let foreign = Foreign { rate: 0.0, bursts: 2.0, burst_size: 8.0, stay: secs(1) };
    let mut nat = nat(crowded(foreign));
    let first = out(&mut nat, secs(0), host(2, 1), remote(1, 1)).unwrap();
    let last = out(&mut nat, secs(1_000), host(2, 1), remote(1, 2)).unwrap();
    let moved = f64::from(last) - f64::from(first);
    assert!((14_000.0..18_000.0).contains(&moved), "{moved} in 1000 s, 16000 expected");
    let mut idle = 0;
    for i in 0..1_000u64 {
        let now = secs(2_000) + millis(50 * i);
        let before = out(&mut nat, now, host(2, 1), remote(2, i as u16)).unwrap();
        let after = out(&mut nat, now + millis(50), host(2, 1), remote(3, i as u16)).unwrap();
        idle += u32::from(after.wrapping_sub(before) <= 1);
    }
    assert!((870..940).contains(&idle), "exp(-0.1) of 1000 are 905, without a burst: {idle}");
}

#[test]
fn others_use_up_ports_while_they_stay() {
    // 20 a second for 30 s are 600 of 1000 ports in use.
    let foreign = Foreign { rate: 20.0, bursts: 0.0, burst_size: 1.0, stay: secs(30) };
    for pick in
        [Pick::Random, Pick::Sequential { step: 1, counter: Counter::PerInside, skip_used: true }]
    {
        let mut config = picking(APDM, APDF, pick);
        (config.foreign, config.ports) = (Some(foreign), 1_000..=1_999);
        let mut nat = nat(config);
        let mut got = 0;
        while out(&mut nat, secs(500), host(2, 1), remote(1, got)).is_ok() {
            got += 1;
        }
        assert!((330..470).contains(&got), "{pick:?}: {got} ports were free, about 400 expected");
    }
}

#[test]
fn others_move_the_counter_of_the_transport_that_counts() {
    let foreign = Foreign { rate: 40.0, bursts: 0.0, burst_size: 1.0, stay: secs(9) };
    let moved = |tcp_counts: bool| {
        let random = picking(APDM, APDF, Pick::Random).behaviour;
        let counting = Behaviour::new(APDM, APDF);
        let (udp, tcp) = if tcp_counts { (random, counting) } else { (counting, random) };
        let mut config = crowded(foreign);
        (config.behaviour, config.tcp_behaviour) = (udp, Some(tcp));
        let mut nat = nat(config);
        let flow = if tcp_counts { Flow::Syn } else { Flow::Udp };
        let [first, last] = [0, 1_000].map(|at| {
            nat.outbound(secs(at), flow, host(2, 1), remote(1, at as u16)).unwrap().port()
        });
        last - first
    };
    // Half of 40000 are TCP.
    for tcp_counts in [true, false] {
        let moved = moved(tcp_counts);
        assert!((19_000..21_500).contains(&moved), "TCP counts: {tcp_counts}, {moved} moved");
    }
}

#[test]
fn others_whose_wanted_port_is_taken_behave_as_on_a_conflict() {
    // 50 a second for 10 s hold half of the ports, so that half of the others have to give way, to a
    // counter that skips every second port.
    let foreign = Foreign { rate: 50.0, bursts: 0.0, burst_size: 1.0, stay: secs(10) };
    let mut config = picking(APDM, APDF, Pick::Random);
    config.behaviour.allocation.preserve = Preserve::WhenFree;
    config.on_conflict = vec![Behaviour::new(APDM, APDF)];
    (config.foreign, config.ports) = (Some(foreign), 1_000..=1_999);
    let mut nat = nat(config);
    let mut given = |at, to| {
        out(&mut nat, secs(at), host(2, 1_500), remote(1, to)).unwrap();
        out(&mut nat, secs(at), host(3, 1_500), remote(1, to)).unwrap()
    };
    let moves: Vec<u32> = (1..40)
        .map(|i| {
            let (one, two) = (given(100 * i, 1), given(100 * i + 1, 2));
            (u32::from(two) + 1_000 - u32::from(one)) % 1_000
        })
        .collect();
    let mean = f64::from(moves.iter().sum::<u32>()) / moves.len() as f64;
    assert!((35.0..75.0).contains(&mean), "{mean} in a second on average, about 50 expected");
}

#[test]
fn others_far_back_in_time_cost_little() {
    let foreign = Foreign { rate: 300.0, bursts: 0.0, burst_size: 1.0, stay: secs(60) };
    let mut config = crowded(foreign);
    config.behaviour.allocation.pick = Pick::Random;
    let mut nat = nat(config);
    // A year: nothing but the last minute matters to a random choice.
    for year in 1..100 {
        out(&mut nat, secs(31_536_000 * year), host(2, 1), remote(1, 1)).unwrap();
    }
}
