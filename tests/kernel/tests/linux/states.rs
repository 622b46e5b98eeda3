//! How long a TCP connection lives in each of the kernel's states, with segments made by hand and every
//! time another than its neighbours'.

use core::time::Duration;

use genkan_kernel_tests::Step::{self, InTcp, OutTcp};
use genkan_kernel_tests::scenario::{A, R, wait};
use genkan_kernel_tests::{Inside, Rules, Seen, SiteSpec, Timeouts, same};
use genkan_sim::nat::Flow::{self, Fin, Rst, Segment, Syn, SynAck};
use genkan_sim::nat::TcpLifetimes;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const TIMES: TcpLifetimes = TcpLifetimes {
    syn_sent: secs(3),
    syn_received: secs(4),
    established: secs(8),
    unacknowledged: secs(7),
    fin_wait: secs(5),
    close_wait: secs(4),
    last_ack: secs(3),
    time_wait: secs(6),
    closed: secs(2),
    refused: Duration::ZERO,
};

fn spec() -> SiteSpec {
    let timeouts = Timeouts { tcp: TIMES, ..Timeouts::default() };
    SiteSpec { timeouts, ..SiteSpec::new(Rules::Plain) }
}

/// Segments outwards (`true`) and inwards.
type Script = [(bool, Flow)];

const OUT: bool = true;
const IN: bool = false;
const OPEN: [(bool, Flow); 3] = [(OUT, Syn), (IN, SynAck), (OUT, Segment)];

fn steps(inside: Inside, script: &[&Script]) -> Vec<Step> {
    let step = |(outwards, flow): (bool, Flow)| {
        if outwards { OutTcp(inside, R, flow) } else { InTcp(R, inside, flow) }
    };
    script.concat().into_iter().map(step).collect()
}

/// Two connections go through the same segments; one is looked at shortly before so many seconds have
/// passed, the other shortly after.
fn lives(seconds: u64, script: &[&Script]) {
    const MARGIN: u64 = 800;
    let other = Inside { port: A.port + 1, ..A };
    let mut all = [steps(A, script), steps(other, script)].concat();
    let looks = [
        wait(1_000 * seconds - MARGIN),
        InTcp(R, A, Segment),
        wait(2 * MARGIN),
        InTcp(R, other, Segment),
    ];
    all.extend(looks);
    let seen = same(&spec(), &all);
    assert_eq!(seen[all.len() - 3], Seen::At(A), "{script:?}: less than {seconds} s");
    assert_eq!(seen[all.len() - 1], Seen::Nothing, "{script:?}: more than {seconds} s");
}

#[test]
fn a_syn() {
    lives(3, &[&OPEN[..1]]);
}

#[test]
fn a_syn_from_each_side() {
    lives(3, &[&[(OUT, Syn), (IN, Syn)]]);
}

#[test]
fn a_syn_and_its_answer() {
    lives(4, &[&OPEN[..2]]);
}

#[test]
fn an_established_connection() {
    lives(8, &[&OPEN]);
}

#[test]
fn a_connection_met_in_its_middle() {
    lives(7, &[&[(OUT, Segment)]]);
}

/// The answer itself does not count, what comes after it does.
#[test]
fn one_that_was_answered_since() {
    lives(7, &[&[(OUT, Segment), (IN, Segment)]]);
    lives(8, &[&[(OUT, Segment), (IN, Segment), (OUT, Segment)]]);
}

#[test]
fn a_fin_from_inside() {
    lives(5, &[&OPEN, &[(OUT, Fin)]]);
}

#[test]
fn a_fin_from_outside() {
    lives(5, &[&OPEN, &[(IN, Fin)]]);
}

#[test]
fn a_fin_that_was_acknowledged() {
    lives(4, &[&OPEN, &[(OUT, Fin), (IN, Segment)]]);
}

#[test]
fn a_fin_from_each_side() {
    lives(3, &[&OPEN, &[(OUT, Fin), (IN, Segment), (IN, Fin)]]);
    lives(3, &[&OPEN, &[(OUT, Fin), (IN, Fin)]]);
}

#[test]
fn fins_that_were_acknowledged() {
    lives(6, &[&OPEN, &[(OUT, Fin), (IN, Segment), (IN, Fin), (OUT, Segment)]]);
}

#[test]
fn a_reset_from_inside() {
    lives(2, &[&OPEN, &[(OUT, Rst)]]);
}

#[test]
fn a_reset_from_outside() {
    lives(2, &[&OPEN, &[(IN, Rst)]]);
}

#[test]
fn a_reset_that_is_the_first_answer_ends_it_at_once() {
    let script: &Script = &[(OUT, Syn), (IN, Rst), (IN, Segment)];
    assert_eq!(same(&spec(), &steps(A, &[script]))[1..], [Seen::At(A), Seen::Nothing]);
}

/// It leaves untranslated.
#[test]
fn a_reset_from_inside_before_any_answer_gets_nowhere() {
    let script: &Script = &[(OUT, Syn), (OUT, Rst), (IN, SynAck)];
    assert_eq!(same(&spec(), &steps(A, &[script]))[1..], [Seen::Nothing, Seen::At(A)]);
}

/// Each way, what is out of place in each state, and that it changes nothing.
#[test]
fn segments_out_of_place_get_nowhere() {
    for (state, out_of_place) in [
        (&OPEN[..1], &[(OUT, Segment), (OUT, Fin), (OUT, SynAck), (IN, Fin)][..]),
        (&OPEN[..2], &[(IN, Syn)]),
        (&OPEN[..], &[(IN, Syn), (OUT, SynAck)]),
        (&[OPEN[0], OPEN[1], OPEN[2], (OUT, Fin)], &[(IN, Syn), (OUT, SynAck)]),
        (&[OPEN[0], OPEN[1], OPEN[2], (IN, Fin), (OUT, Fin)], &[(IN, Syn), (OUT, SynAck)]),
    ] {
        let seen = same(&spec(), &steps(A, &[state, out_of_place]));
        assert_eq!(seen[state.len()..], vec![Seen::Nothing; out_of_place.len()], "{state:?}");
        same(&spec(), &steps(A, &[state, out_of_place, &OPEN[1..], &[(IN, Segment)]]));
    }
}

#[test]
fn a_closed_connection_opens_again() {
    let closed: &Script = &[(IN, Rst)];
    lives(8, &[&OPEN, closed, &OPEN]);
}
