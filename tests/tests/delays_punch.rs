//! How many one-way delays pass between the issuer's wish and the first direct packet, when a hole
//! has to be punched for it.
//!
//! As in `tests/tests/delays.rs` every path takes the same time in each direction and nothing else takes
//! any, so the number is exact. What cannot be shortened: the request, what the server tells the two
//! ends, the packet itself (3); two more where the server has to see a packet first, since a port has
//! to be looked at that does not exist yet; two more where the acceptor has to admit a stranger
//! before the two may know of each other.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(clippy::print_stdout, reason = "the table is for people")]

use core::time::Duration;

use genkan_core::punch::{Ability, Detector, Limits};
use genkan_sim::matrix::{KINDS, Kind};
use genkan_tests::punch::Meeting;
use genkan_tests::scene::{Door, HOP};

fn kind(name: &str) -> Kind {
    KINDS.into_iter().find(|kind| kind.name == name).unwrap()
}

fn between(one: &str, other: &str) -> Meeting {
    let configs = [one, other].map(|name| Some(kind(name).config(0.0)));
    let [one, other] = configs;
    Meeting { gap: Duration::ZERO, ..Meeting::between(one, other) }
}

/// One-way delays from the wish to the arrival of the first direct packet.
fn delays(meeting: &Meeting) -> u32 {
    let mut pair = meeting.prepared();
    let outcome = pair.meet();
    let (punched, first) = (outcome.is_punched(), outcome.first);
    let first = first.filter(|_| punched).unwrap_or_else(|| panic!("{}", pair.fleet.story()));
    assert_eq!(first.as_micros() % HOP.as_micros(), 0, "{}", pair.fleet.story());
    u32::try_from(first.as_micros() / HOP.as_micros()).unwrap()
}

const EIM: [&str; 3] = ["cone", "addr", "port"];
const COUNTED: [&str; 5] = ["adm+1", "seq+1", "seq+2", "seq+8", "seq-64"];

/// Each of the one with each of the other, whoever asks.
fn pairs(one: &[&'static str], other: &[&'static str]) -> Vec<[&'static str; 2]> {
    let all = one.iter().flat_map(|&a| other.iter().map(move |&b| [a, b]));
    all.flat_map(|[a, b]| [[a, b], [b, a]]).collect()
}

/// For a paired issuer; a stranger takes two more.
fn assert_delays(what: &str, pairs: &[[&str; 2]], expected: u32) {
    let mut wrong = Vec::new();
    for [one, other] in pairs {
        for (door, more) in [(Door::Paired, 0), (Door::Open, 2), (Door::Password, 2)] {
            let found = delays(&Meeting { door, ..between(one, other) });
            if found != expected + more {
                wrong.push(format!("{one} to {other}, {door:?}: {found}"));
            }
        }
    }
    println!("{what:<24} {expected} paired, {} stranger", expected + 2);
    assert!(wrong.is_empty(), "{what}: {wrong:#?}");
}

#[test]
fn known_ports_take_three_delays() {
    assert_delays("known × known", &pairs(&EIM, &EIM), 3);
    // An open filter lets the other's packet in from whatever port.
    let open = ["cone", "addr"];
    assert_delays(
        "any × open",
        &pairs(&["first", "seq+1", "seq-64", "blk512", "random"], &open),
        3,
    );
}

#[test]
fn a_counter_takes_five() {
    assert_delays("counted × known", &pairs(&COUNTED, &["port"]), 5);
    assert_delays("kept first × known", &pairs(&["first"], &["port"]), 5);
}

/// A profile of a moment ago is enough to guess at the bubble's port.
#[test]
fn a_counter_that_was_just_seen_takes_three() {
    for name in COUNTED.into_iter().filter(|name| *name != "adm+1") {
        for [one, other] in [[name, "port"], ["port", name]] {
            let age = Duration::from_millis(60);
            let found = delays(&Meeting { age, ..between(one, other) });
            assert_eq!(found, 3, "{one} to {other}");
        }
    }
}

/// Both are looked at in one stage, and aimed at in the next.
#[test]
fn two_that_have_to_be_foreseen_take_five() {
    assert_delays("kept first × kept first", &pairs(&["first"], &["first"]), 5);
    assert_delays("counted × counted", &pairs(&COUNTED, &COUNTED), 5);
    assert_delays("kept first × counted", &pairs(&["first"], &COUNTED), 5);
}

/// What the equipment computes goes there and back once more.
#[test]
fn the_equipment_s_own_detector_takes_two_more() {
    let ability = Some(Ability { limits: Limits::LARGE, detector: Detector::Equipment });
    for (one, other, expected) in [("seq+2", "port", 7), ("port", "seq+2", 7), ("port", "port", 3)]
    {
        let meeting = Meeting { abilities: [ability; 2], ..between(one, other) };
        assert_eq!(delays(&meeting), expected, "{one} to {other}");
    }
}

/// An end in the open has a known port.
#[test]
fn an_end_in_the_open_costs_nothing() {
    for (name, expected) in [("port", 3), ("seq+1", 3), ("random", 3)] {
        let boxed = Some(kind(name).config(0.0));
        for (one, other) in [(None, boxed.clone()), (boxed, None)] {
            let meeting = Meeting { gap: Duration::ZERO, ..Meeting::between(one, other) };
            assert_eq!(delays(&meeting), expected, "{name}");
        }
    }
}

/// A counter that was seen just now, here the issuer's, is guessed at while it is looked at.
#[test]
fn a_counter_with_a_fresh_profile_takes_three() {
    for counter in ["seq+1", "seq+2", "seq+8", "seq-64"] {
        let meeting = Meeting { age: Duration::ZERO, ..between(counter, "port") };
        assert_eq!(delays(&meeting), 3, "{counter}");
    }
}
