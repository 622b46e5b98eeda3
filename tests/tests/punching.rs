//! Two ends behind NATs meet: over the wire what the planner and the two attempts do without one.
//!
//! Nobody can be dialled in these worlds, so that a connection is one over a punched path. What the
//! pure matrix (`tests/tests/matrix.rs`) says of a pair with thousands of seeds is held here for a few:
//! that messages, machines, fresh sockets and the server's clock lose nothing of it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::time::Duration;

use genkan_core::punch::{Ability, Detector, Hopeless, Limits};
use genkan_core::wire::Kind as Message;
use genkan_core::{AcceptorEvent, Path};
use genkan_sim::NatConfig;
use genkan_sim::matrix::{KINDS, Kind, Lab, RFC6081, meet};
use genkan_tests::punch::{Meeting, Outcome};
use genkan_tests::scene::Door;

fn kind(name: &str) -> Kind {
    KINDS.into_iter().find(|kind| kind.name == name).unwrap()
}

fn between(one: Kind, other: Kind, rate: f64) -> Meeting {
    Meeting::between(Some(one.config(rate)), Some(other.config(rate)))
}

/// How many of so many seeds meet, and what the first that does not came to.
fn met(meeting: &Meeting, seeds: u64) -> (u64, Option<Outcome>) {
    let outcomes = meeting.runs(0..seeds);
    let punched = outcomes.iter().filter(|outcome| outcome.is_punched()).count();
    let failed = outcomes.into_iter().find(|outcome| !outcome.is_punched());
    (u64::try_from(punched).unwrap(), failed)
}

fn assert_always(name: &str, meeting: &Meeting, seeds: u64) {
    let (punched, failed) = met(meeting, seeds);
    assert_eq!(punched, seeds, "{name}: {failed:?}");
}

/// What the pure attempt does with the same two boxes, abilities and seeds.
fn pure(one: NatConfig, other: NatConfig, limits: Limits, seeds: u64) -> u64 {
    // No end asks its box for a port here.
    let lab = Lab { limits: [limits; 2], leases: false, ..Lab::new(one, other) };
    (0..seeds).map(|seed| u64::from(meet(&lab, seed).took.is_some())).sum()
}

/// Whatever meets in every one of 64 pure runs meets over the wire, and what is hopeless there is
/// said to be here.
fn assert_as_pure(kinds: &[Kind], limits: Limits, seeds: u64) {
    let ability = Some(Ability { limits, detector: Detector::Server });
    let mut wrong = Vec::new();
    for (&one, &other) in kinds.iter().flat_map(|one| kinds.iter().map(move |other| (one, other))) {
        let sure = pure(one.config(5.0), other.config(5.0), limits, 64);
        let meeting = Meeting { abilities: [ability; 2], ..between(one, other, 5.0) };
        let name = format!("{} to {}", one.name, other.name);
        if sure == 64 {
            let (punched, failed) = met(&meeting, seeds);
            if punched < seeds {
                wrong.push(format!("{name}: {punched} of {seeds}, {failed:?}"));
            }
        } else if sure == 0 {
            let outcome = meeting.run();
            if outcome.hopeless.is_none() || outcome.direct > 0 {
                wrong.push(format!("{name}: not hopeless, {outcome:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} pairs: {wrong:#?}", wrong.len());
}

#[test]
fn every_pair_of_kinds_that_always_meets_meets_over_the_wire() {
    assert_as_pure(&KINDS, Limits::LARGE, 2);
}

#[test]
fn so_does_every_pair_of_rfc_6081_s_kinds() {
    assert_as_pure(&RFC6081, Limits::LARGE, 2);
}

#[test]
fn so_do_two_microcontrollers() {
    let kinds = ["cone", "port", "first", "seq+1", "seq+8", "seq-64"].map(kind);
    assert_as_pure(&kinds, Limits::SMALL, 2);
}

#[test]
fn a_counter_of_any_step_meets_a_port_restricted_box() {
    for step in [-64, -33, -8, -3, -2, -1, 1, 2, 3, 4, 7, 16, 31, 48, 64] {
        let mut counter = kind("seq+1").config(5.0);
        if let genkan_sim::nat::Pick::Sequential { step: by, .. } =
            &mut counter.behaviour.allocation.pick
        {
            *by = step;
        }
        let port = kind("port").config(5.0);
        for (one, other) in [(counter.clone(), port.clone()), (port, counter)] {
            assert_always(&format!("step {step}"), &Meeting::between(Some(one), Some(other)), 2);
        }
    }
}

/// RFC 4787 section 4.2.2: a box that keeps a port's parity passes over every second one, and fresh
/// sockets have ports of both parities.
#[test]
fn a_counter_that_keeps_parity_meets_a_port_restricted_box() {
    for name in ["seq+1", "seq+2"] {
        let mut counter = kind(name).config(5.0);
        counter.behaviour.allocation.parity = true;
        let port = kind("port").config(5.0);
        for (one, other) in [(counter.clone(), port.clone()), (port, counter)] {
            assert_always(name, &Meeting::between(Some(one), Some(other)), 4);
        }
    }
}

#[test]
fn loss_and_jitter_delay_a_meeting_and_do_not_prevent_it() {
    let hard = ["port", "first", "seq+1", "seq-64", "blk512"];
    for (one, other) in hard.iter().map(|&name| (kind(name), kind("port"))) {
        let meeting = between(one, other, 5.0);
        let jitter = Duration::from_millis(8);
        let bad = Meeting { loss: 0.05, jitter, ..meeting };
        assert_always(one.name, &bad, 4);
    }
}

#[test]
fn an_end_in_the_open_meets_whoever_is_behind_a_box() {
    for name in ["cone", "port", "seq+8", "random"] {
        let boxed = Some(kind(name).config(5.0));
        for (one, other) in [(boxed.clone(), None), (None, boxed.clone())] {
            assert_always(name, &Meeting::between(one, other), 2);
        }
    }
    assert_always("two in the open", &Meeting::between(None, None), 2);
}

#[test]
fn the_equipment_s_own_detector_does_as_well() {
    let detector = Detector::Equipment;
    for (one, other) in
        [("seq+2", "port"), ("port", "seq-64"), ("seq+1", "seq+8"), ("adm+1", "port")]
    {
        let ability = Some(Ability { limits: Limits::LARGE, detector });
        let meeting = between(kind(one), kind(other), 5.0);
        assert_always(one, &Meeting { abilities: [ability; 2], ..meeting }, 2);
    }
}

#[test]
fn a_server_with_one_address_is_enough() {
    for (one, other) in [("cone", "port"), ("seq+1", "port"), ("first", "port"), ("seq+1", "seq+2")]
    {
        let meeting = between(kind(one), kind(other), 5.0);
        assert_always(one, &Meeting { second_address: false, ..meeting }, 2);
    }
}

#[test]
fn strangers_and_those_who_know_a_password_meet_too() {
    for door in [Door::Open, Door::Password] {
        for (one, other) in [("port", "port"), ("seq+1", "port"), ("seq+1", "seq+2")] {
            let meeting = between(kind(one), kind(other), 5.0);
            assert_always(&format!("{door:?} {one}"), &Meeting { door, ..meeting }, 2);
        }
    }
}

/// The application is told why, at once, and neither box is troubled.
#[test]
fn a_hopeless_pair_is_told_so_before_any_packet_and_both_boxes_are_left_alone() {
    for (one, other) in [("random", "first"), ("seq+1", "random"), ("random", "random")] {
        let mut pair = between(kind(one), kind(other), 5.0).prepared();
        let outcome = pair.meet();
        assert_eq!(outcome.hopeless, Some(Hopeless::BothUnpredictable), "{one} to {other}");
        assert_eq!((outcome.packets(), outcome.path), (0, None), "{}", pair.fleet.story());
        assert_eq!(outcome.mappings, [0, 0]);
        let said = pair.phone_events();
        assert!(said.len() > 1, "and the request ends in a word too: {said:?}");
    }
}

#[test]
fn a_budget_of_1_024_guesses_finds_a_port_among_all() {
    let ability = Some(Ability { limits: Limits::BIRTHDAY, detector: Detector::Server });
    let meeting = between(kind("random"), kind("port"), 5.0);
    // 255 mappings and 1,024 guesses among 64,512 ports: missed one time in 57.
    let (punched, failed) = met(&Meeting { abilities: [ability; 2], ..meeting }, 6);
    assert!(punched >= 5, "{punched} of 6: {failed:?}");
}

/// What goes over the path is carried, and nothing is left behind when it has ended.
#[test]
fn both_ends_talk_over_the_path_and_close_their_sockets_when_they_part() {
    for (one, other) in
        [("port", "port"), ("seq+1", "port"), ("seq+1", "seq+8"), ("blk512", "port")]
    {
        let mut pair = between(kind(one), kind(other), 5.0).prepared();
        let outcome = pair.meet();
        assert!(outcome.is_punched(), "{outcome:?}");
        assert!(pair.talk(), "{one} to {other}\n{}", pair.fleet.story());
        let carried = pair.lamp_events().into_iter().any(|event| {
            matches!(event, AcceptorEvent::Connected { path: Path::Datagram { .. }, .. })
        });
        assert!(carried, "the lamp says so too");
        pair.fleet.world.run_for(Duration::from_secs(120));
        assert!(pair.talk(), "two minutes later");
        let request = pair.connection().unwrap();
        pair.fleet.hang_up(pair.phone, request);
        pair.fleet.world.run_for(Duration::from_secs(60));
        for host in [pair.lamp, pair.phone] {
            let open = pair.fleet.world.open_sockets(host);
            assert_eq!(open, 1, "{one} to {other}: {}", pair.fleet.world.name(host));
        }
    }
}

/// A small device has no sockets to spare: the plans that need none still work.
#[test]
fn a_device_that_can_open_no_socket_meets_where_none_is_needed() {
    let mut pair = between(kind("port"), kind("port"), 0.0).prepared();
    pair.fleet.world.set_socket_limit(pair.lamp, 1);
    pair.fleet.world.set_socket_limit(pair.phone, 1);
    assert!(pair.meet().is_punched());
    let mut pair = between(kind("seq+1"), kind("port"), 0.0).prepared();
    pair.fleet.world.set_socket_limit(pair.phone, 1);
    let outcome = pair.meet();
    assert!(
        outcome.told.is_some() && !outcome.is_punched(),
        "and elsewhere it is told: {outcome:?}"
    );
}

/// RFC 8445's triggered checks in short: what one hears it answers, and no more than it must.
#[test]
fn a_meeting_of_known_ports_takes_at_most_six_packets() {
    let kinds = ["cone", "addr", "port"].map(kind);
    for (&one, &other) in kinds.iter().flat_map(|one| kinds.iter().map(move |other| (one, other))) {
        for outcome in between(one, other, 0.0).runs(0..3) {
            assert!(outcome.is_punched(), "{} to {}: {outcome:?}", one.name, other.name);
            let direct = outcome.direct;
            assert!(
                direct <= 6 && outcome.detections == 0,
                "{} to {}: {outcome:?}",
                one.name,
                other.name
            );
            assert_eq!(outcome.mappings, [0, 0]);
        }
    }
}

/// The two messages of a path are the two kinds, each from its end only.
#[test]
fn no_end_sends_the_other_s_kind_of_packet() {
    let mut pair = between(kind("seq+1"), kind("seq+2"), 5.0).prepared();
    assert!(pair.meet().is_punched());
    for (name, wrong) in [("phone", Message::AcceptorPunch), ("lamp", Message::IssuerPunch)] {
        let entries = pair.fleet.world.transcript().entries();
        assert!(!entries.into_iter().any(|entry| entry.from == name && entry.kind == Some(wrong)));
    }
}
