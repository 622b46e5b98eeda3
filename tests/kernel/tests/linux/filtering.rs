//! Who is let in, for each kind of NAT.

use genkan_kernel_tests::Step::{
    self, Answer, Closed, Down, Knock, KnockTcp, Open, Out, Reboot, Stranger, Up,
};
use genkan_kernel_tests::scenario::{A, B, R, R2, S, T, wait};
use genkan_kernel_tests::{Inside, Lab, Remote, Rules, Seen, Side, SiteSpec, Timeouts, same};

/// The one who was sent something, another port of his, another address; then that one is sent
/// something too. Last, ports that nobody has.
const STRANGERS: [Step; 10] = [
    Out(A, R),
    Answer(R, A),
    Stranger(R2, A, R),
    Stranger(S, A, R),
    Out(A, S),
    Answer(S, A),
    Stranger(T, A, R),
    Stranger(R2, A, S),
    Knock(T, 7_777),
    Answer(R, A),
];

/// What of it gets in: the answers always; a stranger from (the same address, another one).
fn check(rules: Rules, same_address: bool, any: bool) {
    let outcome = same(&SiteSpec::new(rules), &STRANGERS);
    let got = |step: usize| outcome[step] == Seen::At(A);
    assert_eq!((got(1), got(5), got(9)), (true, true, true), "{rules:?}");
    assert_eq!((got(2), got(3), got(6)), (same_address, any, any), "{rules:?}");
    assert!(!got(8));
}

#[test]
fn the_kernel_by_itself_lets_in_only_whom_it_sent_to() {
    for rules in [
        Rules::Plain,
        Rules::Persistent,
        Rules::Range(20_000, 39_999),
        Rules::Random,
        Rules::FullyRandom,
        Rules::Sequential,
    ] {
        check(rules, false, false);
    }
}

#[test]
fn a_map_of_ports_makes_a_full_cone() {
    check(Rules::FullCone(60), true, true);
    check(Rules::Hairpin, true, true);
}

/// Where two hosts share a port, the simulated NATs let strangers in to the later one; this is the
/// kernel's alone: an entry of its map stays as it is until it dies.
#[test]
fn a_full_cone_that_two_hosts_share_is_the_first_ones() {
    let port = Seen::From("203.0.113.1:40000".parse().unwrap());
    Side::new(&Lab::new(&[SiteSpec::new(Rules::FullCone(60))])).shows(&[
        (Out(A, R), port),
        (Out(B, S), port),
        (Stranger(T, B, S), Seen::At(A)),
        (Answer(R, A), Seen::At(A)),
        (Answer(S, B), Seen::At(B)),
    ]);
}

#[test]
fn a_map_with_the_remote_address_makes_address_restricted_filtering() {
    check(Rules::AddressRestricted(60), true, false);
}

#[test]
fn an_ipv6_firewall_translates_nothing_and_lets_in_what_belongs_to_something() {
    let timeouts = Timeouts { initial: 2, replied: 5, ..Timeouts::default() };
    let [a, b] = [A, B].map(|inside| Inside { six: true, ..inside });
    let [r, r2, s, t] = [R, R2, S, T].map(|remote| Remote { six: true, ..remote });
    let steps = [
        Out(a, r),
        Answer(r, a),
        Out(b, r),
        Answer(r, b),
        Stranger(r2, a, r),
        Stranger(s, a, r),
        Knock(t, 40_000),
        Knock(t, 7_777),
        Open(a, s),
        Down(a, s),
        KnockTcp(t, 40_000),
        Closed(a, Remote { port: 9_999, ..t }),
        wait(2_500),
        Answer(r, a),
        Out(a, r),
        Answer(r, a),
        Reboot,
        Answer(r, a),
        Up(a, s),
        Down(a, s),
    ];
    let outcome = same(&SiteSpec { timeouts, ..SiteSpec::new(Rules::Firewall) }, &steps);
    assert_eq!(outcome[0], Seen::From(a.address()));
    assert_eq!(outcome[4..8], [Seen::Nothing; 4]);
    assert_eq!((outcome[13], outcome[19]), (Seen::Nothing, Seen::At(a)));
}
