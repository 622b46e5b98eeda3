//! What nobody asked for, reboots, hairpins, forwarded ports, NATs behind NATs, TCP.

use genkan_kernel_tests::Step::{
    Answer, Closed, Down, Hairpin, Knock, KnockTcp, Low, Open, Out, Reboot, Stranger, Up,
};
use genkan_kernel_tests::scenario::{A, B, R, R2, S, T, wait};
use genkan_kernel_tests::{Inside, Lab, Rules, Seen, Side, SiteSpec, Timeouts, same};

#[test]
fn without_a_rule_against_it_uninvited_packets_take_the_port() {
    let steps = [
        Out(A, R),
        Stranger(S, A, R), // gets an ICMP error, and occupies port 40000 towards S
        Out(A, S),         // so this is another port
        Answer(S, A),
        Stranger(S, A, R),
        Out(A, T), // and so is this: it is the source's last one
        Knock(T, 7_777),
        Answer(R, A),
    ];
    let outcome = same(&SiteSpec::new(Rules::Open), &steps);
    assert_eq!(outcome[1], Seen::Unreachable);
    assert_ne!(outcome[2], outcome[0]);
    let outcome = same(&SiteSpec::new(Rules::Plain), &steps);
    assert_eq!((outcome[1], outcome[2]), (Seen::Nothing, outcome[0]));
}

#[test]
fn a_rule_that_rejects_says_so_and_leaves_no_trace() {
    let steps = [
        Out(A, R),
        Stranger(S, A, R),
        Out(A, S),
        Answer(S, A),
        Knock(T, 7_777),
        KnockTcp(T, 40_000),
        Open(A, T),
    ];
    let outcome = same(&SiteSpec::new(Rules::Rejecting), &steps);
    assert_eq!((outcome[1], outcome[2]), (Seen::Unreachable, outcome[0]));
    assert_eq!(outcome[5], Seen::Reset);
}

#[test]
fn an_occupied_port_is_free_again_after_the_first_timeout() {
    let timeouts = Timeouts { initial: 2, replied: 5, ..Timeouts::default() };
    let spec = SiteSpec { timeouts, ..SiteSpec::new(Rules::Open) };
    let steps = [Knock(R, 40_000), wait(2_500), Out(A, R), Answer(R, A)];
    assert_eq!(same(&spec, &steps)[3], Seen::At(A));
    let steps = [Knock(R, 40_000), wait(1_500), Knock(R, 40_000), wait(1_500), Out(A, R)];
    same(&spec, &steps);
}

#[test]
fn a_reboot_forgets_mappings_and_the_next_packet_makes_new_ones() {
    let steps = [
        Out(A, R),
        Out(B, R),
        Answer(R, A),
        Reboot,
        Answer(R, A),
        Answer(R, B),
        Out(B, R), // first come: now this host keeps the port
        Out(A, R),
        Answer(R, A),
        Answer(R, B),
    ];
    for rules in [
        Rules::Plain,
        Rules::Range(20_000, 39_999),
        Rules::Random,
        Rules::FullyRandom,
        Rules::Sequential,
    ] {
        let outcome = same(&SiteSpec::new(rules), &steps);
        assert_eq!(outcome[4..6], [Seen::Nothing; 2], "{rules:?}");
    }
}

#[test]
fn only_what_has_a_rule_for_it_hairpins() {
    let steps = [
        Out(A, R),
        Out(Inside { port: 50_500, ..B }, R),
        Hairpin(A, Inside { port: 50_500, ..B }, R),
        Hairpin(Inside { port: 50_500, ..B }, A, R),
    ];
    let outcome = same(&SiteSpec::new(Rules::Hairpin), &steps);
    assert_eq!(outcome[2], Seen::Turned("203.0.113.1:40000".parse().unwrap()));
    // Without one the kernel tells the sender that nobody is there, which the model does not.
    let outcome = Side::new(&Lab::new(&[SiteSpec::new(Rules::Plain)])).play(&steps);
    assert_eq!(outcome[2..], [Seen::Unreachable; 2]);
}

/// OpenWrt: what is for the box itself is refused by it, however often both have sent.
#[test]
fn openwrt_turns_round_no_mapping() {
    let other = Inside { port: 50_500, ..B };
    let steps = [
        Out(A, R),
        Out(other, R),
        Hairpin(A, other, R),
        Hairpin(other, A, R),
        Hairpin(A, other, R),
        Answer(R, A),
    ];
    let outcome = same(&SiteSpec::new(Rules::Rejecting), &steps);
    assert_eq!(outcome[2..5], [Seen::Unreachable; 3]);
}

#[test]
fn a_forward_is_reached_from_inside_and_answers() {
    let steps =
        [Out(A, R), Out(B, R), Hairpin(B, A, R), Hairpin(A, B, R), Hairpin(B, A, R), Answer(R, B)];
    let outcome = same(&SiteSpec::new(Rules::Static), &steps);
    assert_eq!(outcome[2].port(), Some(40_000));
    assert_eq!(outcome[3], Seen::Turned("203.0.113.1:41000".parse().unwrap()));
}

#[test]
fn a_forwarded_port_is_open_to_all_and_used_outbound_too() {
    let steps = [
        Out(A, R),
        Knock(S, 41_000),
        Answer(R, A),
        Stranger(R2, A, R),
        Knock(T, 41_001),
        Reboot,
        Knock(T, 41_000),
        Out(B, R),
        Answer(R, B),
    ];
    let outcome = same(&SiteSpec::new(Rules::Static), &steps);
    assert_eq!(outcome[0].port(), Some(41_000));
    assert_eq!((outcome[1], outcome[6]), (Seen::At(A), Seen::At(A)));
}

#[test]
fn two_nats_in_series() {
    let steps = [
        Out(A, R),
        Answer(R, A),
        Out(B, R),
        Answer(R, B),
        Out(A, S),
        Out(B, S),
        Stranger(R2, A, R),
        Stranger(T, B, R),
        Reboot,
        Answer(R, A),
        Out(A, R),
        Answer(R, A),
    ];
    for nats in [
        [Rules::Plain, Rules::Plain],
        [Rules::Plain, Rules::Sequential],
        [Rules::FullyRandom, Rules::Plain],
        [Rules::FullCone(60), Rules::Range(20_000, 39_999)],
    ] {
        same(&SiteSpec { nats: nats.to_vec(), timeouts: Timeouts::default() }, &steps);
    }
}

#[test]
fn a_packet_whose_hop_limit_ends_at_a_nat_makes_no_mapping_there() {
    let steps = [Low(A, R, 1), Out(B, R), Low(A, R, 2), Answer(R, B), Out(A, R)];
    let outcome = same(&SiteSpec::new(Rules::Sequential), &steps);
    assert_eq!((outcome[0], outcome[1].port()), (Seen::Unreachable, Some(50_000)));
    // The inner one has a mapping then, from its counter, and the outer one has none.
    let steps = [Low(A, R, 2), Out(B, R), Low(A, R, 3), Out(A, R), Answer(R, A)];
    let nats = vec![Rules::Sequential, Rules::Plain];
    let outcome = same(&SiteSpec { nats, timeouts: Timeouts::default() }, &steps);
    assert_eq!((outcome[0], outcome[1].port()), (Seen::Unreachable, Some(50_001)));
}

#[test]
fn tcp_has_mappings_of_its_own() {
    let steps = [
        Out(A, R),
        Open(A, S),
        Open(B, S),
        Up(A, S),
        Down(A, S),
        Up(B, S),
        Down(B, S),
        KnockTcp(T, 40_000),
        Knock(T, 40_000),
    ];
    for rules in [Rules::Plain, Rules::FullyRandom, Rules::Range(20_000, 39_999)] {
        let outcome = same(&SiteSpec::new(rules), &steps);
        assert_eq!((outcome[4], outcome[6]), (Seen::At(A), Seen::At(B)), "{rules:?}");
        assert_eq!(outcome[7..], [Seen::Nothing; 2]);
    }
}

#[test]
fn without_a_rule_against_it_an_unknown_syn_is_answered_with_a_reset() {
    let outcome = same(&SiteSpec::new(Rules::Open), &[KnockTcp(R, 40_000), Open(A, R), Up(A, R)]);
    assert_eq!(outcome[0], Seen::Reset);
}

#[test]
fn after_a_reboot_a_tcp_connection_goes_on_when_it_keeps_its_port() {
    let steps = [Open(A, R), Up(A, R), Reboot, Down(A, R), Up(A, R), Down(A, R)];
    let outcome = same(&SiteSpec::new(Rules::Plain), &steps);
    assert_eq!((outcome[3], outcome[5]), (Seen::Nothing, Seen::At(A)));
    let outcome = same(&SiteSpec::new(Rules::FullyRandom), &steps[..5]);
    assert_eq!(outcome[4], Seen::Reset);
}

#[test]
fn an_icmp_error_leaves_other_destinations_alone() {
    for rules in [Rules::Plain, Rules::FullyRandom, Rules::FullCone(60)] {
        let steps = [Out(A, S), Closed(A, R), Answer(S, A), Closed(A, R), Out(A, R), Answer(R, A)];
        let outcome = same(&SiteSpec::new(rules), &steps);
        assert_eq!((outcome[1], outcome[3]), (Seen::Unreachable, Seen::Unreachable));
    }
}
