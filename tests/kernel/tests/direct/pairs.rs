//! Which NATs the two may be behind.

use core::time::Duration;

use genkan_kernel_tests::Rules::{AddressRestricted, FullCone, FullyRandom, Plain, Random};
use genkan_kernel_tests::direct::field;

use crate::{Pair, USER, meet};

/// `masquerade` keeps the port that the socket has, for every destination.
#[test]
fn two_masqueraded_homes_meet() {
    meet(&[Plain], &[Plain], &[]);
}

#[test]
fn equipment_that_finds_the_ports_out_by_itself_meets_too() {
    meet(&[Plain], &[Plain], &["--punch", "equipment"]);
}

#[test]
fn two_nats_in_a_row_on_either_side() {
    meet(&[Plain], &[Plain, Plain], &[]);
    meet(&[Plain, Plain], &[Plain, Plain], &[]);
}

/// A port for each destination, drawn from 64,512 (with `fully-random` and, on newer kernels, with
/// `random`): whoever lets everybody in is reached all the same, and answers.
#[test]
fn drawn_ports_reach_an_open_nat() {
    for drawn in [Random, FullyRandom] {
        meet(&[FullCone(60)], &[drawn], &[]);
        meet(&[drawn], &[FullCone(60)], &[]);
        meet(&[AddressRestricted(60)], &[drawn], &[]);
    }
}

/// 255 bubbles and 1,024 guesses meet with 98 % in 64,512 ports, so three attempts fail together in one
/// of 200,000 runs.
#[test]
fn drawn_ports_and_kept_ones_meet_with_the_owners_word() {
    let more = ["--max-guesses", "1024"];
    let pair = Pair::new(&[Plain], &[FullyRandom]);
    let appliance = pair.accept(&more);
    let user = pair.connect(&appliance.id, &[&more[..], &["--keep-trying"]].concat());
    pair.assert_met(&user);
}

#[test]
fn two_nats_that_draw_are_told_to_be_hopeless() {
    let pair = Pair::new(&[FullyRandom], &[FullyRandom]);
    let appliance = pair.accept(&[]);
    let arguments = ["--transport", "udp", "--timeout", "3"];
    let user = pair.town.connect(pair.lab.host(USER, 0), "user", &appliance.id, &arguments);
    assert_eq!(field(&user.process.event("hopeless"), "why"), "both-unpredictable");
    user.process.event_within(Duration::from_secs(10), "unreached");
    assert_eq!(pair.passed("datagrams"), 0, "no packet is wasted");
}
