//! What does not pass, and what becomes of it.

use super::*;

fn eim() -> NatConfig {
    NatConfig::new(Mapping::EndpointIndependent, APDF)
}

fn outer(port: u16) -> SocketAddr {
    SocketAddr::new(ip("192.0.2.1"), port)
}

#[test]
fn hairpins_turn_with_the_inside_or_the_outside_source_or_not_at_all() {
    for (hairpin, source) in [
        (Hairpin::None, None),
        (Hairpin::InternalSource, Some(host(3, 1))),
        (Hairpin::ExternalSource, Some(outer(20_001))),
    ] {
        let mut config =
            NatConfig::new(Mapping::EndpointIndependent, Filtering::EndpointIndependent);
        (config.hairpin, config.hairpin_delay) = (hairpin, millis(7));
        let mut nat = nat(config);
        out(&mut nat, secs(1), host(2, 1), remote(1, 1)).unwrap();
        let turned = nat.hairpin(secs(1), Flow::Udp, host(3, 1), outer(20_000));
        let expected = source.map(|source| Turned { source, to: host(2, 1), delay: millis(7) });
        assert_eq!(turned.ok(), expected);
    }
    let mut config = eim();
    config.hairpin = Hairpin::ExternalSource;
    let mut nat = nat(config);
    out(&mut nat, secs(1), host(2, 1), remote(1, 1)).unwrap();
    let turned = nat.hairpin(secs(1), Flow::Udp, host(3, 1), outer(20_000));
    assert_eq!(turned, Err(Refusal::Filtered), "the filter holds within, too");
}

#[test]
fn openwrt_turns_round_what_is_for_a_forward_and_the_answers_and_nothing_else() {
    let mut nat = nat(presets::openwrt());
    let (one, two) = (host(2, 40_000), host(3, 50_000));
    for inside in [one, two] {
        out(&mut nat, secs(1), inside, remote(1, 1)).unwrap();
    }
    let turn = |nat: &mut Nat, inside, port| {
        nat.hairpin(secs(1), Flow::Udp, inside, outer(port))
            .map(|turned| (turned.source, turned.to))
    };
    for (inside, port) in [(one, 50_000), (two, 40_000), (one, 50_000)] {
        assert_eq!(turn(&mut nat, inside, port), Err(Refusal::Icmp), "however often both send");
    }
    let syn = nat.hairpin(secs(1), Flow::Syn, one, outer(50_000));
    assert_eq!(syn, Err(Refusal::Reset(Duration::ZERO)));
    nat.forward(Proto::Udp, 41_000, two);
    assert_eq!(turn(&mut nat, one, 41_000), Ok((outer(40_000), two)));
    assert_eq!(turn(&mut nat, two, 40_000), Ok((outer(41_000), one)));
    assert!(turn(&mut nat, two, 40_001).is_err());
}

#[test]
fn nobody_is_evicted_for_a_port_that_would_be_held() {
    let mut config = eim();
    (config.ports, config.hold_down) = (20_000..=20_001, secs(120));
    config.limits.overflow = Overflow::EvictOldest;
    let mut nat = nat(config);
    for n in [2, 3] {
        out(&mut nat, secs(1), host(n, 1), remote(1, 1)).unwrap();
    }
    assert_eq!(out(&mut nat, secs(2), host(4, 1), remote(1, 1)), Err(Refusal::Full));
    assert_eq!(nat.len(), 2);
    assert!(gets_in(&mut nat, secs(2), remote(1, 1), 20_000), "the oldest is still there");
}

fn limited(limits: Limits) -> Nat {
    let mut config = NatConfig::new(APDM, APDF);
    config.limits = limits;
    nat(config)
}

const NO_LIMITS: Limits =
    Limits { per_inside: None, total: None, rate: None, overflow: Overflow::Drop };

#[test]
fn limits_hold_for_a_host_for_the_box_and_for_a_second() {
    let fits = |limits: Limits| {
        let mut nat = limited(limits);
        let mut count = |n| {
            (0..9).filter(|&i| out(&mut nat, secs(1), host(n, 1), remote(1, i)).is_ok()).count()
        };
        (count(2), count(3))
    };
    assert_eq!(fits(NO_LIMITS), (9, 9));
    assert_eq!(fits(Limits { per_inside: Some(4), ..NO_LIMITS }), (4, 4));
    assert_eq!(fits(Limits { total: Some(12), ..NO_LIMITS }), (9, 3));
    assert_eq!(fits(Limits { rate: Some(5), ..NO_LIMITS }), (5, 5));
    let mut nat = limited(Limits { rate: Some(2), ..NO_LIMITS });
    let made: Vec<bool> = [0, 400, 800, 1_000, 1_399, 1_400]
        .map(|at| out(&mut nat, millis(at), host(2, 1), remote(1, at as u16)).is_ok())
        .to_vec();
    assert_eq!(made, [true, true, false, true, false, true], "within any second");
}

#[test]
fn too_much_is_dropped_evicts_locks_out_or_crashes() {
    let full = |overflow| limited(Limits { total: Some(2), overflow, ..NO_LIMITS });
    let fill = |nat: &mut Nat| {
        out(nat, secs(0), host(2, 1), remote(1, 1)).unwrap();
        out(nat, secs(1), host(3, 1), remote(2, 2)).unwrap();
        out(nat, secs(2), host(2, 1), remote(1, 1)).unwrap();
        out(nat, secs(3), host(4, 1), remote(3, 3))
    };
    let mut nat = full(Overflow::Drop);
    assert_eq!(fill(&mut nat), Err(Refusal::Full));

    let mut nat = full(Overflow::EvictOldest);
    assert!(fill(&mut nat).is_ok());
    let alive = [remote(1, 1), remote(2, 2), remote(3, 3)]
        .map(|from| (20_000..20_003).any(|port| gets_in(&mut nat, secs(4), from, port)));
    assert_eq!(alive, [true, false, true], "the one that was idle longest went");

    let mut nat = full(Overflow::LockOut(secs(60)));
    assert_eq!(fill(&mut nat), Err(Refusal::Closed));
    nat.config_mut().limits.total = None;
    assert_eq!(out(&mut nat, secs(62), host(5, 1), remote(1, 1)), Err(Refusal::Closed));
    assert!(out(&mut nat, secs(62), host(2, 1), remote(1, 1)).is_ok(), "what stands works");
    assert!(out(&mut nat, secs(63), host(5, 1), remote(1, 1)).is_ok());

    let mut nat = full(Overflow::Crash(secs(60)));
    assert_eq!(fill(&mut nat), Err(Refusal::Closed));
    assert!(nat.is_empty());
    assert_eq!(out(&mut nat, secs(62), host(2, 1), remote(1, 1)), Err(Refusal::Closed));
    let from_outside = nat.inbound(secs(62), Flow::Udp, remote(1, 1), outer(20_000));
    assert_eq!(from_outside, Err(Refusal::Closed));
    assert!(out(&mut nat, secs(63), host(2, 1), remote(1, 1)).is_ok());
}

#[test]
fn a_hosts_own_limit_evicts_its_own_mappings() {
    let mut nat =
        limited(Limits { per_inside: Some(1), overflow: Overflow::EvictOldest, ..NO_LIMITS });
    out(&mut nat, secs(0), host(3, 1), remote(1, 1)).unwrap();
    out(&mut nat, secs(1), host(2, 1), remote(2, 2)).unwrap();
    out(&mut nat, secs(2), host(2, 1), remote(3, 3)).unwrap();
    assert!(gets_in(&mut nat, secs(3), remote(1, 1), 20_000), "another host's is older, but stays");
    assert!(!gets_in(&mut nat, secs(3), remote(2, 2), 20_001));
}

#[test]
fn a_full_range_evicts_when_it_is_told_to() {
    let mut config = NatConfig::new(APDM, APDF);
    (config.ports, config.limits.overflow) = (20_000..=20_001, Overflow::EvictOldest);
    let mut nat = nat(config);
    for i in 0..5 {
        assert!(out(&mut nat, secs(i), host(2, 1), remote(1, i as u16)).is_ok());
    }
    assert_eq!(nat.len(), 2);
}

fn uninvited(unsolicited: Unsolicited) -> Nat {
    let mut config = eim();
    config.unsolicited = unsolicited;
    config.behaviour.allocation.preserve = Preserve::WhenFree;
    nat(config)
}

#[test]
fn an_uninvited_packet_is_dropped_or_answered() {
    let answers = |unsolicited, flow| {
        let mut nat = uninvited(unsolicited);
        let nobody = nat.inbound(secs(1), flow, remote(1, 1), outer(30_000)).unwrap_err();
        nat.outbound(secs(1), Flow::Udp, host(2, 30_000), remote(2, 2)).unwrap();
        nat.outbound(secs(1), Flow::Syn, host(2, 30_000), remote(2, 2)).unwrap();
        [nobody, nat.inbound(secs(1), flow, remote(1, 1), outer(30_000)).unwrap_err()]
    };
    let silent = [Refusal::NoMapping, Refusal::Filtered];
    let reset = Refusal::Reset(secs(6));
    assert_eq!(answers(Unsolicited::Drop, Flow::Udp), silent);
    assert_eq!(answers(Unsolicited::Icmp, Flow::Udp), [Refusal::Icmp; 2]);
    let at_once = Refusal::Reset(Duration::ZERO);
    assert_eq!(answers(Unsolicited::Reject, Flow::Udp), [Refusal::Icmp; 2]);
    assert_eq!(answers(Unsolicited::Reject, Flow::Syn), [at_once; 2]);
    assert_eq!(answers(Unsolicited::Reset(secs(6)), Flow::Udp), silent);
    assert_eq!(answers(Unsolicited::Reset(secs(6)), Flow::Segment), silent);
    assert_eq!(answers(Unsolicited::Reset(secs(6)), Flow::Syn), [reset; 2]);
    assert_eq!(answers(Unsolicited::BlockPort(secs(1)), Flow::Udp)[0], Refusal::NoMapping);
}

#[test]
fn a_syn_that_crosses_another_is_not_reset() {
    let mut nat = uninvited(Unsolicited::Reset(secs(6)));
    let to = outer(30_000);
    let refused = nat.inbound(secs(1), Flow::Syn, remote(1, 1), to);
    assert_eq!(refused, Err(Refusal::Reset(secs(6))));
    assert!(!nat.admits(Proto::Tcp, remote(1, 1), to));
    nat.outbound(secs(3), Flow::Syn, host(2, 30_000), remote(1, 1)).unwrap();
    assert!(nat.admits(Proto::Tcp, remote(1, 1), to));
    assert!(!nat.admits(Proto::Tcp, remote(1, 2), to));
}

#[test]
fn an_uninvited_packet_can_occupy_the_port_towards_its_sender() {
    let taken = |unsolicited, wait: u64| {
        let mut nat = uninvited(unsolicited);
        nat.config_mut().lifetimes = Lifetimes::udp(secs(30));
        let _ = nat.inbound(secs(1), Flow::Udp, remote(1, 1), outer(30_000));
        out(&mut nat, secs(1 + wait), host(2, 30_000), remote(1, 1)) != Ok(30_000)
    };
    assert!(!taken(Unsolicited::Drop, 0));
    assert!(taken(Unsolicited::Occupy, 0) && taken(Unsolicited::Occupy, 29));
    assert!(!taken(Unsolicited::Occupy, 30));
}

#[test]
fn an_early_packet_can_block_its_sender_or_the_port() {
    let then = |unsolicited, peer, inside: u16, after: u64| {
        let mut nat = uninvited(unsolicited);
        let _ = nat.inbound(secs(1), Flow::Udp, remote(1, 1), outer(30_000));
        out(&mut nat, secs(1), host(2, inside), peer).unwrap();
        gets_in(&mut nat, secs(1 + after), peer, inside)
    };
    let (by_remote, by_port) =
        (Unsolicited::BlockRemote(secs(60)), Unsolicited::BlockPort(secs(60)));
    assert!(then(Unsolicited::Drop, remote(1, 1), 30_000, 0));
    assert!(
        !then(by_remote, remote(1, 1), 30_000, 59) && then(by_remote, remote(1, 1), 30_000, 60)
    );
    assert!(!then(by_remote, remote(1, 7), 31_000, 0), "its address, whatever the ports");
    assert!(then(by_remote, remote(2, 1), 30_000, 0));
    assert!(!then(by_port, remote(2, 1), 30_000, 59) && then(by_port, remote(2, 1), 30_000, 60));
    assert!(then(by_port, remote(1, 1), 31_000, 0));
}

#[test]
fn an_icmp_error_finds_its_sender_refreshes_nothing_and_ends_a_mapping_only_on_request() {
    for ends in [false, true] {
        let mut config = eim();
        config.icmp_ends_mapping = ends;
        let mut nat = nat(config);
        out(&mut nat, secs(0), host(2, 1), remote(1, 1)).unwrap();
        let mut error = |at, to| nat.icmp_error(secs(at), Proto::Udp, outer(20_000), to);
        assert_eq!(error(1, remote(1, 2)), None, "nothing was sent there");
        assert_eq!(error(100, remote(1, 1)), Some(host(2, 1)));
        assert_eq!(error(101, remote(1, 1)), (!ends).then_some(host(2, 1)));
        assert_eq!(error(120, remote(1, 1)), None, "it died in time");
    }
}
