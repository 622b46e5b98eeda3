//! Which external port a flow gets, and when two flows share one.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeSet;

use genkan_kernel_tests::Step::{self, Answer, Out};
use genkan_kernel_tests::scenario::{A, B, R, R2, S, T};
use genkan_kernel_tests::{Inside, Model, Outcome, Rules, Seen, SiteSpec, Timeouts, presets, same};

/// Two hosts with the same source port, to the same and to other destinations.
const CONFLICT: [Step; 12] = [
    Out(A, R),
    Answer(R, A),
    Out(A, R2),
    Out(A, S),
    Out(B, R),
    Answer(R, B),
    Answer(R, A),
    Out(B, S),
    Out(B, T),
    Out(A, T),
    Answer(T, B),
    Answer(T, A),
];

/// A host of which one flow had to give way uses the port that it got there for what comes next.
const REUSE: [Step; 8] = [
    Out(A, R),
    Out(B, S), // no conflict: the same port, for another destination
    Out(B, R),
    Out(B, T),
    Out(A, S),
    Out(A, T),
    Answer(S, B),
    Answer(R, A),
];

fn ports(outcome: &Outcome) -> Vec<u16> {
    outcome.iter().filter_map(|seen| seen.port()).collect()
}

#[test]
fn masquerade_keeps_a_port_until_two_hosts_want_it_for_one_destination() {
    for rules in [Rules::Plain, Rules::Persistent] {
        let outcome = same(&SiteSpec::new(rules), &CONFLICT);
        assert_eq!(ports(&outcome)[..3], [40_000; 3]);
        assert_ne!(ports(&outcome)[3], 40_000);
    }
}

#[test]
fn the_last_mapping_of_a_source_is_used_again() {
    let outcome = same(&SiteSpec::new(Rules::Plain), &REUSE);
    let ports = ports(&outcome);
    assert_eq!((ports[1], ports[3]), (40_000, ports[2]));
}

#[test]
fn a_range_gives_each_source_one_port_for_all_destinations() {
    let spec = SiteSpec::new(Rules::Range(20_000, 39_999));
    same(&spec, &CONFLICT);
    same(&spec, &REUSE);
    // A port that lies in the range is kept.
    let within = Inside { port: 30_000, ..A };
    let neighbour = Inside { port: 30_000, ..B };
    let outcome = same(&spec, &[Out(within, R), Out(neighbour, R), Out(within, S)]);
    assert_eq!(ports(&outcome)[0], 30_000);
}

#[test]
fn a_range_without_a_free_port_drops() {
    let inside = |port| Inside { port, ..A };
    let steps = [Out(inside(5_000), R), Out(inside(5_001), R), Out(inside(5_002), R)];
    let outcome = same(&SiteSpec::new(Rules::Range(20_000, 20_001)), &steps);
    assert_eq!(outcome[2], Seen::Nothing);
}

#[test]
fn random_ports_are_new_for_each_destination() {
    for rules in [Rules::Random, Rules::FullyRandom] {
        let outcome = same(&SiteSpec::new(rules), &CONFLICT);
        assert_eq!(ports(&outcome).into_iter().collect::<BTreeSet<_>>().len(), 7);
        same(&SiteSpec::new(rules), &REUSE);
    }
}

#[test]
fn ports_from_a_counter_come_in_sequence_and_a_taken_one_is_a_loss() {
    let outcome = same(&SiteSpec::new(Rules::Sequential), &CONFLICT);
    assert_eq!(ports(&outcome), (50_000..50_007).collect::<Vec<_>>());
    // 256 ports: the 257th flow to one destination is lost, and the counter goes on.
    let mut around: Vec<Step> = (0..257).map(|n| Out(Inside { port: 5_000 + n, ..A }, R)).collect();
    around.extend([Out(A, S), Out(B, S)]);
    let outcome = same(&SiteSpec::new(Rules::Sequential), &around);
    assert_eq!(outcome[256], Seen::Nothing);
    assert_eq!(ports(&outcome)[255..], [50_255, 50_001, 50_002]);
}

#[test]
fn random_ports_are_spread_evenly() {
    let steps: Vec<Step> = (0..400).map(|n| Out(Inside { port: 5_000 + n, ..A }, R)).collect();
    for rules in [Rules::Random, Rules::FullyRandom] {
        let kernel = ports(&same(&SiteSpec::new(rules), &steps));
        let config = presets::config(rules, Timeouts::default());
        let mut model = Model::new([(IpAddr::from([203, 0, 113, 1]), config)]);
        let model: Vec<_> = steps.iter().map(|&step| model.step(Duration::ZERO, step)).collect();
        for ports in [kernel, ports(&model)] {
            let (odd, below) = (unevenness(&ports), ports.iter().filter(|&&port| port < 1_024));
            assert_eq!((ports.len(), below.count()), (400, 0));
            // With 15 degrees of freedom, chance exceeds this once in a million times.
            assert!(odd < 55.5, "{rules:?}: {odd}, {ports:?}");
        }
    }
}

/// Chi-square of ports over 16 equal parts of 1024 to 65535.
fn unevenness(ports: &[u16]) -> f64 {
    let mut parts = [0.0_f64; 16];
    for &port in ports {
        parts[usize::from((port - 1_024) / 4_032)] += 1.0;
    }
    let mean = ports.len() as f64 / 16.0;
    parts.iter().map(|count| (count - mean).powi(2) / mean).sum()
}

#[test]
fn ports_below_1024_stay_there() {
    for (port, range) in [(400, 1..=511), (700, 600..=1_023)] {
        let steps: Vec<_> = (0..20).map(|n| Out(Inside { port: port + n, ..A }, R)).collect();
        for port in ports(&same(&SiteSpec::new(Rules::FullyRandom), &steps)) {
            assert!(range.contains(&port), "{port} is not in {range:?}");
        }
    }
}
