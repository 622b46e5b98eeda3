//! How long TCP connections are kept, state by state, and what does not keep them.

use super::presets::{linux_masquerade, pf};
use super::*;

const OUTER: &str = "192.0.2.1:20000";

/// A segment of a connection between one inside host and one peer.
#[derive(Clone, Copy)]
enum Seg {
    Out(Flow),
    In(Flow),
}
use Seg::{In, Out};

const OPEN: [Seg; 3] = [Out(Flow::Syn), In(Flow::SynAck), Out(Flow::Segment)];

/// The inside socket of all connections here; kept by boxes that keep ports.
fn caller() -> SocketAddr {
    host(2, 20_000)
}

fn pass(nat: &mut Nat, at: Duration, seg: Seg) {
    let done = match seg {
        Out(flow) => nat.outbound(at, flow, caller(), remote(1, 1)).map(|_| ()),
        In(flow) => {
            let to = nat.mapped(Proto::Tcp, caller(), remote(1, 1)).unwrap();
            nat.inbound(at, flow, remote(1, 1), to).map(|_| ())
        }
    };
    assert!(done.is_ok());
}

/// After how many seconds a box is empty; it must not be asked before, since time goes on.
fn empty_after(nat: &mut Nat, from: u64) -> u64 {
    let mut seconds = from;
    while !nat.is_empty() {
        seconds += 1;
        nat.advance(secs(seconds));
    }
    seconds
}

/// How long a box keeps a connection after segments that all pass at second 0.
fn kept(config: NatConfig, segs: &[&[Seg]]) -> u64 {
    let mut nat = nat(config);
    segs.concat().into_iter().for_each(|seg| pass(&mut nat, Duration::ZERO, seg));
    empty_after(&mut nat, 0)
}

#[test]
fn linux_has_a_time_for_each_state() {
    let kept = |segs: &[&[Seg]]| kept(linux_masquerade(), segs);
    let fin: &[Seg] = &[Out(Flow::Fin)];
    let ack: &[Seg] = &[In(Flow::Segment)];
    let other: &[Seg] = &[In(Flow::Fin)];
    assert_eq!(kept(&[&OPEN[..1]]), 120);
    assert_eq!(kept(&[&OPEN[..1], &[In(Flow::Syn)]]), 120, "crossed");
    assert_eq!(kept(&[&OPEN[..2]]), 60);
    assert_eq!(kept(&[&OPEN]), 432_000);
    assert_eq!(kept(&[&[Out(Flow::Segment)]]), 300, "met in the middle");
    let again: &[Seg] = &[Out(Flow::Segment)];
    assert_eq!(kept(&[again, ack]), 300, "the answer alone is not enough");
    assert_eq!(kept(&[again, ack, again]), 432_000);
    assert_eq!(kept(&[&OPEN, fin]), 120);
    assert_eq!(kept(&[&OPEN, fin, fin]), 120, "sent again");
    assert_eq!(kept(&[&OPEN, fin, ack]), 60);
    assert_eq!(kept(&[&OPEN, fin, ack, other]), 30);
    assert_eq!(kept(&[&OPEN, fin, other]), 30);
    assert_eq!(kept(&[&OPEN, fin, ack, other, &[Out(Flow::Segment)]]), 120);
    assert_eq!(kept(&[&OPEN, &[Out(Flow::Rst)]]), 10);
    assert_eq!(kept(&[&OPEN, &[In(Flow::Rst)]]), 10);
    assert_eq!(kept(&[&OPEN[..1], &[In(Flow::Rst)]]), 1, "at once: nothing else had come back");
    assert_eq!(kept(&[&OPEN, &[In(Flow::Rst)], &OPEN]), 432_000, "opened anew");
    assert_eq!(kept(&[&OPEN, fin, other, &OPEN]), 432_000, "opened anew");
}

#[test]
fn pf_has_its_own_times() {
    let kept = |segs: &[&[Seg]]| kept(NatConfig { ports: 20_000..=20_000, ..pf() }, segs);
    assert_eq!(kept(&[&OPEN[..1]]), 120);
    assert_eq!(kept(&[&OPEN[..2]]), 30);
    assert_eq!(kept(&[&OPEN]), 86_400);
    assert_eq!(kept(&[&OPEN, &[Out(Flow::Fin)]]), 900);
    // 45 s, and then the next purge.
    assert_eq!(kept(&[&OPEN, &[Out(Flow::Fin), In(Flow::Fin)]]), 50);
    assert_eq!(kept(&[&OPEN, &[Out(Flow::Fin), In(Flow::Fin), Out(Flow::Segment)]]), 90);
    assert_eq!(kept(&[&OPEN, &[In(Flow::Rst)]]), 90);
}

#[test]
fn pf_keeps_udp_short_until_the_inside_has_sent_again_after_an_answer() {
    let kept = |segs: &[Seg]| {
        let mut nat = nat(NatConfig { ports: 20_000..=20_000, ..pf() });
        segs.iter().for_each(|&seg| pass_udp(&mut nat, seg));
        empty_after(&mut nat, 0)
    };
    let (out, back) = (Out(Flow::Udp), In(Flow::Udp));
    assert_eq!(kept(&[out]), 60, "udp.first");
    assert_eq!(kept(&[out, out]), 30, "udp.single");
    assert_eq!(kept(&[out, back]), 30);
    assert_eq!(kept(&[out, back, back]), 30);
    assert_eq!(kept(&[out, back, out]), 60, "udp.multiple");
}

fn pass_udp(nat: &mut Nat, seg: Seg) {
    match seg {
        Out(flow) => nat.outbound(secs(0), flow, caller(), remote(1, 1)).unwrap(),
        In(flow) => nat.inbound(secs(0), flow, remote(1, 1), at(OUTER)).unwrap(),
    };
}

#[test]
fn a_flow_table_gives_an_answered_flow_back_for_what_is_left() {
    let kept = |segs: &[Seg]| {
        let mut nat = nat(presets::linux_flow_offload());
        segs.iter().for_each(|&seg| pass_udp(&mut nat, seg));
        empty_after(&mut nat, 0)
    };
    assert_eq!(kept(&[Out(Flow::Udp)]), 30, "never offloaded");
    assert_eq!(kept(&[Out(Flow::Udp), In(Flow::Udp)]), 120, "30 s and 90 s, without 2 s of use");
}

/// A box that lets in whoever wants to come and is kept open from the inside only.
fn open_box(filtering: Filtering) -> Nat {
    nat(NatConfig::new(Mapping::EndpointIndependent, filtering))
}

#[test]
fn syns_that_nobody_asked_for_prolong_nothing_and_open_nothing() {
    for filtering in [Filtering::EndpointIndependent, Filtering::AddressDependent, APDF] {
        let mut nat = open_box(filtering);
        pass(&mut nat, secs(0), Out(Flow::Syn));
        for second in 1..240 {
            for from in [remote(1, 7), remote(2, 2)] {
                let _ = nat.inbound(secs(second), Flow::Syn, from, at(OUTER));
            }
        }
        nat.advance(secs(240));
        assert!(nat.is_empty(), "{filtering:?}: only its owner sends, once at second 0");
    }
    // Whom it let in as a neighbour of the peer's is not let in when the peer is not any more.
    let mut nat = open_box(Filtering::AddressDependent);
    pass(&mut nat, secs(0), Out(Flow::Syn));
    assert!(nat.inbound(secs(200), Flow::Syn, remote(1, 7), at(OUTER)).is_ok());
    nat.outbound(secs(200), Flow::Syn, caller(), remote(3, 3)).unwrap();
    assert!(nat.inbound(secs(250), Flow::Syn, remote(1, 7), at(OUTER)).is_err());
    assert!(nat.inbound(secs(250), Flow::Syn, remote(3, 4), at(OUTER)).is_ok());
}

#[test]
fn a_datagram_through_a_dead_hole_does_not_open_it_again() {
    let mut nat = open_box(Filtering::EndpointIndependent);
    out(&mut nat, secs(0), caller(), remote(1, 1)).unwrap();
    out(&mut nat, secs(100), caller(), remote(2, 2)).unwrap();
    assert!(gets_in(&mut nat, secs(130), remote(1, 1), 20_000), "the box lets anybody in");
    nat.config_mut().behaviour.filtering = APDF;
    assert!(!gets_in(&mut nat, secs(131), remote(1, 1), 20_000), "nothing was sent to it lately");
    assert!(gets_in(&mut nat, secs(131), remote(2, 2), 20_000));
}

#[test]
fn a_syn_does_not_revive_what_was_closed_unless_inbound_packets_count() {
    for (inbound, expected) in [(false, 100), (true, 290)] {
        let mut config = NatConfig::new(Mapping::EndpointIndependent, APDF);
        config.refresh.inbound = inbound;
        config.lifetimes.tcp.closed = secs(100);
        let mut nat = nat(config);
        OPEN.into_iter().for_each(|seg| pass(&mut nat, secs(0), seg));
        pass(&mut nat, secs(0), In(Flow::Rst));
        pass(&mut nat, secs(50), In(Flow::Syn));
        assert_eq!(empty_after(&mut nat, 50), expected);
    }
}

#[test]
fn a_reset_prolongs_nothing_whoever_sends_it() {
    for seg in [Out(Flow::Rst), In(Flow::Rst)] {
        let mut config = NatConfig::new(Mapping::EndpointIndependent, APDF);
        config.refresh.inbound = true;
        let mut half_open = nat(config.clone());
        pass(&mut half_open, secs(0), Out(Flow::Syn));
        (1..240).for_each(|second| pass(&mut half_open, secs(second), seg));
        half_open.advance(secs(240));
        assert!(half_open.is_empty());
        // An open one is kept as long as a closed one from the RST on, however long it was idle.
        let mut idle = nat(config);
        OPEN.into_iter().for_each(|seg| pass(&mut idle, secs(0), seg));
        pass(&mut idle, secs(5_000), seg);
        assert_eq!(empty_after(&mut idle, 5_000), 5_240);
    }
}

#[test]
fn a_connection_from_outside_is_established_by_its_handshake() {
    let mut nat = open_box(Filtering::EndpointIndependent);
    // The inside socket is known by another connection, long gone when this one counts.
    nat.outbound(secs(0), Flow::Syn, caller(), remote(9, 9)).unwrap();
    for seg in [In(Flow::Syn), Out(Flow::SynAck), In(Flow::Segment)] {
        pass(&mut nat, secs(10), seg);
    }
    assert_eq!(empty_after(&mut nat, 10), 10 + 7_440);
}
