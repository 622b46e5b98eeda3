//! Which external port a flow gets.
#![cfg(target_os = "linux")]

use genkan_kernel_tests::Step::{self, Answer, Out};
use genkan_kernel_tests::{Inside, Remote, Rules, Seen, SiteSpec, same};

const A: Inside = Inside { host: 0, port: 40_000 };
const B: Inside = Inside { host: 1, port: 40_000 };
const R: Remote = Remote { host: 0, port: 3_478 };
const R2: Remote = Remote { host: 0, port: 3_479 };
const S: Remote = Remote { host: 1, port: 3_478 };
const T: Remote = Remote { host: 2, port: 3_478 };

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

#[test]
fn masquerade_keeps_the_port_until_two_hosts_want_it() {
    for rules in [Rules::Plain, Rules::Persistent] {
        same(&SiteSpec::new(rules), &CONFLICT);
    }
}

#[test]
fn seq() {
    same(&SiteSpec::new(Rules::Sequential), &CONFLICT);
}
#[test]
fn range() {
    same(&SiteSpec::new(Rules::Range(30_000, 39_999)), &CONFLICT);
}
#[test]
fn random() {
    same(&SiteSpec::new(Rules::Random), &CONFLICT);
    same(&SiteSpec::new(Rules::FullyRandom), &CONFLICT);
}
