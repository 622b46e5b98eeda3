//! Who is let in, and what becomes of the others.

use genkan_kernel_tests::Step::{
    self, Answer, Closed, Down, Hairpin, InTcp, Knock, KnockTcp, Low, Open, Out, OutTcp, Stranger,
    Up,
};
use genkan_kernel_tests::scenario::{A, B, R, R2, S, T};
use genkan_kernel_tests::tun::same;
use genkan_kernel_tests::{Remote, Seen};
use genkan_sim::NatConfig;
use genkan_sim::nat::{self, Filtering, Flow, Mapping, Unsolicited};

use crate::{APDF, APDM, counting};

/// The one who was sent something, another port of his, another address. Then that one is sent
/// something too.
const STRANGERS: [Step; 8] = [
    Out(A, R),
    Answer(R, A),
    Stranger(R2, A, R),
    Stranger(S, A, R),
    Out(A, S),
    Answer(S, A),
    Stranger(S, A, R),
    Knock(T, 7_777),
];

#[test]
fn a_filter_lets_in_anybody_an_address_or_one_port_of_it() {
    for (filtering, same_address, any) in [
        (Filtering::EndpointIndependent, true, true),
        (Filtering::AddressDependent, true, false),
        (APDF, false, false),
    ] {
        for mapping in [Mapping::EndpointIndependent, APDM] {
            let outcome = same(&NatConfig::new(mapping, filtering), &STRANGERS);
            let got = |step: usize| outcome[step] == Seen::At(A);
            assert_eq!((got(1), got(5), got(7)), (true, true, false), "{filtering:?}");
            assert_eq!((got(2), got(3)), (same_address, any), "{filtering:?}");
            // With one mapping for all he has been sent something from it by then.
            let known = mapping == Mapping::EndpointIndependent;
            assert_eq!(got(6), any || known, "{mapping:?} {filtering:?}");
        }
    }
}

#[test]
fn who_is_not_let_in_hears_of_it_where_the_settings_say_so() {
    let mut config = counting(1);
    let steps = [Out(A, R), Stranger(S, A, R), Answer(R, A)];
    assert_eq!(same(&config, &steps)[1], Seen::Nothing);
    config.unsolicited = Unsolicited::Icmp;
    assert_eq!(same(&config, &steps)[1], Seen::Unreachable);
}

#[test]
fn a_used_up_hop_limit_and_a_closed_port_are_told() {
    let closed = Remote { port: 9_999, ..R };
    let steps = [Low(A, R, 1), Low(A, R, 2), Closed(A, closed), Answer(R, A), Out(B, R)];
    let outcome = same(&counting(1), &steps[..3]);
    assert_eq!(outcome[0], Seen::Unreachable, "by the box, before it has made a mapping");
    assert_eq!(outcome[1].port(), Some(20_000));
    assert_eq!(outcome[2], Seen::Unreachable, "by the remote, through the box");
}

#[test]
fn hosts_of_one_home_meet_at_its_outside_address_where_it_has_hairpin() {
    let mut config = NatConfig::new(Mapping::EndpointIndependent, Filtering::EndpointIndependent);
    let steps = [Out(A, R), Out(B, R), Hairpin(A, B, R), Hairpin(B, A, R)];
    assert_eq!(same(&config, &steps)[2..], [Seen::Nothing; 2]);
    config.hairpin = nat::Hairpin::ExternalSource;
    let turned = [20_000, 20_001].map(|port| Seen::Turned(([203, 0, 113, 1], port).into()));
    assert_eq!(same(&config, &steps)[2..], turned);
}

#[test]
fn connections_go_out_and_none_comes_in() {
    let steps = [
        Open(A, R),
        Up(A, R),
        Down(A, R),
        KnockTcp(S, 20_000),
        KnockTcp(R2, 20_000),
        OutTcp(B, S, Flow::Syn),
        InTcp(S, B, Flow::SynAck),
        OutTcp(B, S, Flow::Segment),
        InTcp(S, B, Flow::Fin),
        OutTcp(B, S, Flow::Fin),
        Up(A, R),
        Down(A, R),
    ];
    let outcome = same(&counting(1), &steps);
    assert_eq!(outcome[0].port(), Some(20_000));
    assert_eq!(outcome[3..5], [Seen::Nothing; 2]);
    let mut closed = counting(1);
    closed.tcp = false;
    assert_eq!(same(&closed, &[Open(A, R), Out(A, R)])[0], Seen::Nothing);
}
