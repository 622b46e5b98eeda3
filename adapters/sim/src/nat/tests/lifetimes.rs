//! How long what stands stands.

use super::*;

fn two_stages() -> NatConfig {
    let mut config = NatConfig::new(Mapping::EndpointIndependent, APDF);
    config.lifetimes.udp_initial = secs(30);
    config.lifetimes.udp_replied = secs(120);
    config
}

/// How many whole seconds after `from` a mapping that is left alone still lets its peer in. Looks
/// with a fresh box each time, since looking may refresh.
fn lives(from: Duration, prepare: impl Fn() -> Nat) -> u64 {
    let limit = 3_000_000;
    let dead = |after: u64| {
        let mut nat = prepare();
        !nat_lets_in(&mut nat, from + secs(after))
    };
    let (mut low, mut high) = (0, limit);
    while low < high {
        let middle = (low + high) / 2;
        if dead(middle) { high = middle } else { low = middle + 1 }
    }
    low
}

fn nat_lets_in(nat: &mut Nat, now: Duration) -> bool {
    gets_in(nat, now, remote(1, 1), 20_000)
}

#[test]
fn a_lone_packet_lives_the_first_stage_and_an_answered_one_the_second() {
    let alone = || {
        let mut nat = nat(two_stages());
        out(&mut nat, secs(10), host(2, 1), remote(1, 1)).unwrap();
        nat
    };
    assert_eq!(lives(secs(10), alone), 30);
    let answered = || {
        let mut nat = alone();
        assert!(nat_lets_in(&mut nat, secs(11)));
        nat
    };
    assert_eq!(
        lives(secs(10), answered),
        120,
        "since the last packet out: inbound ones do not count"
    );
}

#[test]
fn the_second_stage_can_ask_for_traffic_after_a_while() {
    let used_until = |last: u64| {
        lives(millis(last), || {
            let mut config = two_stages();
            config.lifetimes.udp_stream_after = secs(2);
            let mut nat = nat(config);
            out(&mut nat, secs(0), host(2, 1), remote(1, 1)).unwrap();
            assert!(nat_lets_in(&mut nat, millis(100)));
            out(&mut nat, millis(last), host(2, 1), remote(1, 1)).unwrap();
            nat
        })
    };
    assert_eq!((used_until(1_900), used_until(2_100)), (30, 120));
}

#[test]
fn what_refreshes_is_a_setting_and_outbound_packets_always_do() {
    for (refresh, prompt, expected) in [
        (Refresh { inbound: false, rejected: false }, remote(1, 1), 100),
        (Refresh { inbound: true, rejected: false }, remote(1, 1), 120),
        (Refresh { inbound: true, rejected: false }, remote(9, 9), 100),
        (Refresh { inbound: false, rejected: true }, remote(9, 9), 120),
    ] {
        let mut config = NatConfig::new(Mapping::EndpointIndependent, APDF);
        config.refresh = refresh;
        let mut nat = nat(config);
        out(&mut nat, secs(0), host(2, 1), remote(1, 1)).unwrap();
        let _ = gets_in(&mut nat, secs(20), prompt, 20_000);
        // By 120 s the mapping is dead or was refreshed at 20 s.
        let _ = gets_in(&mut nat, secs(120), remote(8, 8), 20_000);
        assert_eq!(nat.is_empty(), expected == 100, "{refresh:?} {prompt}");
    }
}

#[test]
fn a_hole_in_the_filter_has_a_life_of_its_own() {
    let mut nat = nat(NatConfig::new(Mapping::EndpointIndependent, APDF));
    out(&mut nat, secs(0), host(2, 1), remote(1, 1)).unwrap();
    out(&mut nat, secs(100), host(2, 1), remote(2, 2)).unwrap();
    assert!(!nat_lets_in(&mut nat, secs(130)), "nothing was sent to it for 130 s");
    assert!(gets_in(&mut nat, secs(130), remote(2, 2), 20_000), "though the mapping stands");
}

#[test]
fn a_lazy_box_keeps_the_dead_until_it_sweeps() {
    let alone = |sweep| {
        lives(secs(10), || {
            let mut config = two_stages();
            config.lifetimes.sweep = sweep;
            let mut nat = nat(config);
            out(&mut nat, secs(10), host(2, 1), remote(1, 1)).unwrap();
            nat
        })
    };
    assert_eq!((alone(Duration::ZERO), alone(secs(60))), (30, 50));
}

#[test]
fn a_loaded_box_shortens_lifetimes() {
    let among = |others: u16| {
        lives(secs(10), || {
            let mut config = two_stages();
            config.lifetimes.shortened_above = Some((5, 3));
            let mut nat = nat(config);
            out(&mut nat, secs(10), host(2, 1), remote(1, 1)).unwrap();
            (0..others).for_each(|i| {
                out(&mut nat, secs(10), host(3, 100 + i), remote(1, 1)).unwrap();
            });
            out(&mut nat, secs(10), host(2, 1), remote(1, 1)).unwrap();
            nat
        })
    };
    assert_eq!((among(4), among(5)), (30, 10));
}

#[test]
fn a_tcp_mapping_lives_by_the_state_of_its_connection() {
    let (inside, peer, outer) = (host(2, 1), remote(1, 1), at("192.0.2.1:20000"));
    let after = |script: &[(bool, Flow)]| {
        let mut config = NatConfig::new(Mapping::EndpointIndependent, APDF);
        config.lifetimes.tcp = TcpLifetimes::new(secs(240), secs(7_440));
        let mut nat = nat(config);
        for &(outwards, flow) in script {
            if outwards {
                nat.outbound(secs(0), flow, inside, peer).unwrap();
            } else {
                nat.inbound(secs(0), flow, peer, outer).unwrap();
            }
        }
        // Time passes by packets of the other transport.
        let mut elapsed = 0;
        while nat.admits(Proto::Tcp, peer, outer) {
            elapsed += 240;
            let _ = nat.inbound(secs(elapsed), Flow::Udp, peer, outer);
        }
        elapsed
    };
    let open = [(true, Flow::Syn), (false, Flow::SynAck), (true, Flow::Segment)];
    assert_eq!(after(&open[..1]), 240, "half open");
    assert_eq!(after(&open), 7_440);
    let fins = [(true, Flow::Fin), (false, Flow::Fin)];
    assert_eq!(after(&[&open[..], &fins[..1]].concat()), 7_440, "half closed");
    assert_eq!(after(&[&open[..], &fins[..]].concat()), 240);
    assert_eq!(after(&[&open[..], &[(false, Flow::Rst)]].concat()), 240);
    let again =
        [(false, Flow::Rst), (true, Flow::Syn), (false, Flow::SynAck), (true, Flow::Segment)];
    assert_eq!(after(&[&open[..], &again[..]].concat()), 7_440, "opened anew");
}

#[test]
fn one_of_several_connections_that_closes_does_not_end_the_mapping() {
    let mut nat = nat(NatConfig::new(Mapping::EndpointIndependent, APDF));
    let outer = at("192.0.2.1:20000");
    for n in [1, 2] {
        nat.outbound(secs(0), Flow::Syn, host(2, 1), remote(n, 1)).unwrap();
        nat.inbound(secs(0), Flow::SynAck, remote(n, 1), outer).unwrap();
        nat.outbound(secs(0), Flow::Segment, host(2, 1), remote(n, 1)).unwrap();
    }
    nat.inbound(secs(1), Flow::Rst, remote(1, 1), outer).unwrap();
    assert!(nat.inbound(secs(1_000), Flow::Segment, remote(2, 1), outer).is_ok());
    assert!(nat.inbound(secs(1_000), Flow::Segment, remote(1, 1), outer).is_err());
}

#[test]
fn only_what_can_begin_a_connection_makes_a_mapping() {
    for (flow, makes) in [
        (Flow::Syn, true),
        (Flow::Segment, true),
        (Flow::SynAck, false),
        (Flow::Fin, false),
        (Flow::Rst, false),
    ] {
        let mut nat = nat(NatConfig::default());
        assert_eq!(
            nat.outbound(secs(0), flow, host(2, 1), remote(1, 1)).is_ok(),
            makes,
            "{flow:?}"
        );
    }
}
