//! What the Linux presets do, rule by rule of `nf_nat_core.c` and `nf_conntrack_proto_udp.c`.

use super::presets::{
    linux_masquerade, linux_masquerade_fully_random, linux_masquerade_no_wan_drop,
    linux_masquerade_range, linux_snat_sequential,
};
use super::*;

#[test]
fn the_port_stays_and_is_the_same_to_everybody() {
    let mut nat = nat(linux_masquerade());
    assert_eq!(ports_to_many(&mut nat, host(2, 5_000), 20), [5_000; 20]);
    assert_eq!(nat.len(), 20, "an entry for each flow");
    assert_eq!(out(&mut nat, secs(1), host(2, 80), remote(1, 1)), Ok(80));
    let whole = at("192.0.2.1:5000");
    assert_eq!(nat.inbound(secs(1), Flow::Udp, remote(9, 1_003), whole), Ok(host(2, 5_000)));
    assert_eq!(nat.inbound(secs(1), Flow::Udp, remote(9, 2), whole), Err(Refusal::Filtered));
}

#[test]
fn two_hosts_share_a_port_towards_different_destinations() {
    let mut nat = nat(linux_masquerade());
    assert_eq!(out(&mut nat, secs(1), host(2, 5_000), remote(1, 1)), Ok(5_000));
    assert_eq!(out(&mut nat, secs(1), host(3, 5_000), remote(2, 2)), Ok(5_000));
    let port = out(&mut nat, secs(1), host(3, 5_000), remote(1, 1)).unwrap();
    assert!(port != 5_000 && port >= 1_024, "taken towards that destination: {port}");
    // The source's latest port is tried first from now on, and the wanted one after it.
    assert_eq!(out(&mut nat, secs(1), host(3, 5_000), remote(3, 3)), Ok(port));
    let whose = |nat: &mut Nat, from, port| {
        nat.inbound(secs(1), Flow::Udp, from, SocketAddr::new(ip("192.0.2.1"), port)).ok()
    };
    assert_eq!(whose(&mut nat, remote(1, 1), 5_000), Some(host(2, 5_000)));
    assert_eq!(whose(&mut nat, remote(2, 2), 5_000), Some(host(3, 5_000)));
    assert_eq!(whose(&mut nat, remote(1, 1), port), Some(host(3, 5_000)));
    assert_eq!(whose(&mut nat, remote(2, 2), port), None);
}

#[test]
fn a_low_port_stays_low() {
    let mut nat = nat(linux_masquerade());
    for (inside, class) in [(123, 1..=511), (700, 600..=1_023)] {
        out(&mut nat, secs(1), host(2, inside), remote(1, 1)).unwrap();
        let port = out(&mut nat, secs(1), host(3, inside), remote(1, 1)).unwrap();
        assert!(port != inside && class.contains(&port), "{port}");
    }
}

#[test]
fn the_random_kinds_draw_a_port_for_each_flow() {
    let mut nat = nat(linux_masquerade_fully_random());
    let mut ports = ports_to_many(&mut nat, host(2, 5_000), 200);
    let eighths = ports.iter().map(|port| usize::from(port / 8_192)).collect::<Vec<_>>();
    assert!((0..8).all(|n| eighths.iter().filter(|&&e| e == n).count() > 8), "{eighths:?}");
    ports.sort_unstable();
    ports.dedup();
    assert!(ports.len() > 195 && ports[0] >= 1_024);
}

#[test]
fn a_range_is_kept_to_and_a_port_within_it_kept() {
    let mut nat = nat(linux_masquerade_range(40_000..=40_009));
    assert_eq!(out(&mut nat, secs(1), host(2, 40_003), remote(1, 1)), Ok(40_003));
    let drawn = out(&mut nat, secs(1), host(3, 5_000), remote(1, 1)).unwrap();
    assert!((40_000..=40_009).contains(&drawn));
    assert_eq!(out(&mut nat, secs(1), host(3, 5_000), remote(2, 2)), Ok(drawn), "reused");
}

#[test]
fn a_counting_rule_gives_each_flow_the_next_port() {
    let mut nat = nat(linux_snat_sequential(40_000..=40_009));
    let ports = ports_to_many(&mut nat, host(2, 40_005), 12);
    assert_eq!(ports, (40_000..=40_009).chain(40_000..=40_001).collect::<Vec<u16>>());
}

#[test]
fn a_flow_lives_thirty_seconds_and_as_a_stream_two_minutes() {
    let steps = |replies: &[u64], sends: &[u64]| {
        let mut nat = nat(linux_masquerade());
        let mut events: Vec<(u64, bool)> = replies.iter().map(|&at| (at, false)).collect();
        events.extend(sends.iter().map(|&at| (at, true)));
        events.sort_unstable();
        for (at, sends) in events {
            if sends {
                out(&mut nat, millis(at), host(2, 5_000), remote(1, 1)).unwrap();
            } else {
                assert!(gets_in(&mut nat, millis(at), remote(1, 1), 5_000));
            }
        }
        let mut until = 0;
        while !nat.is_empty() {
            until += 100;
            let _ = gets_in(&mut nat, millis(until), remote(9, 9), 1);
        }
        until
    };
    assert_eq!(steps(&[], &[0]), 30_000);
    assert_eq!(steps(&[], &[0, 10_000]), 40_000, "never answered");
    assert_eq!(steps(&[100], &[0]), 30_100, "the answer refreshes");
    assert_eq!(steps(&[5_000], &[0]), 35_000, "but is not yet traffic of an answered flow");
    assert_eq!(steps(&[100], &[0, 1_900]), 31_900, "a short exchange is no stream");
    assert_eq!(steps(&[100], &[0, 2_100]), 122_100);
    assert_eq!(steps(&[100, 2_100], &[0]), 122_100, "in either direction");
}

#[test]
fn without_a_drop_rule_an_early_packet_costs_the_port() {
    let early = |config| {
        let mut nat = nat(config);
        let refused = nat.inbound(secs(1), Flow::Udp, remote(1, 1), at("192.0.2.1:5000"));
        let to_it = out(&mut nat, secs(2), host(2, 5_000), remote(1, 1)).unwrap();
        let to_other = out(&mut nat, secs(2), host(3, 5_000), remote(1, 2)).unwrap();
        (refused.unwrap_err(), to_it == 5_000, to_other == 5_000)
    };
    assert_eq!(early(linux_masquerade()), (Refusal::NoMapping, true, true));
    assert_eq!(early(linux_masquerade_no_wan_drop()), (Refusal::Icmp, false, true));
}
