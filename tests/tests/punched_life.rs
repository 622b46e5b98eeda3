//! What becomes of two ends that meet through their NATs when something goes wrong: with a box, with
//! the server, with TCP beside it, or because both are behind one box.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::net::IpAddr;
use core::time::Duration;

use genkan_core::{AcceptorEvent, IssuerEvent, Path};
use genkan_sim::matrix::{KINDS, Kind};
use genkan_sim::nat::Hairpin;
use genkan_sim::{Death, Faults, Filtering, NatConfig, Verdict, Via};
use genkan_tests::punch::{Meeting, Pair};
use genkan_tests::scene::{Door, HOP, PATIENCE};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn kind(name: &str) -> Kind {
    KINDS.into_iter().find(|kind| kind.name == name).unwrap()
}

fn between(one: &str, other: &str) -> Meeting {
    Meeting::between(Some(kind(one).config(5.0)), Some(kind(other).config(5.0)))
}

/// The two are connected over a punched path and have spoken.
fn connected(meeting: &Meeting) -> Pair {
    let mut pair = meeting.prepared();
    let outcome = pair.meet();
    assert!(outcome.is_punched(), "{outcome:?}\n{}", pair.fleet.story());
    assert!(pair.talk());
    pair
}

/// The pairs whose connections must outlive what happens to a box.
const PAIRS: [(&str, &str); 5] =
    [("port", "port"), ("cone", "addr"), ("seq+1", "port"), ("first", "port"), ("seq+1", "seq+2")];

/// Which of the two boxes.
const SIDES: [usize; 2] = [0, 1];

/// No application has a hand in it: nobody asks again, and the connection is the same one.
fn assert_goes_on(pair: &mut Pair, what: &str) {
    let before = (pair.connection(), pair.lamps_connection());
    // An end that hears nothing asks after 30 s and gives up after 45.
    let mut back = None;
    for waited in 0..60 {
        pair.fleet.world.run_for(secs(1));
        if pair.talk() {
            back = Some(waited);
            break;
        }
    }
    let closed =
        pair.phone_events().iter().any(|event| matches!(event, IssuerEvent::Closed { .. }));
    assert!(back.is_some() && !closed, "{what}: {back:?}\n{}", pair.fleet.story());
    assert_eq!((pair.connection(), pair.lamps_connection()), before, "{what}");
    pair.fleet.world.run_for(secs(60));
    assert!(pair.talk(), "{what}: and stays");
}

#[test]
fn a_connection_outlives_a_reboot_of_either_box() {
    for (one, other) in PAIRS {
        for side in SIDES {
            let mut pair = connected(&between(one, other));
            let nat = pair.nats[side].unwrap();
            pair.fleet.world.nat_mut(nat).reboot();
            assert_goes_on(&mut pair, &format!("{one} to {other}, box {side}"));
        }
    }
}

#[test]
fn a_connection_outlives_another_address_of_either_box() {
    for (one, other) in PAIRS {
        for side in SIDES {
            let mut pair = connected(&between(one, other));
            let nat = pair.nats[side].unwrap();
            pair.fleet.world.renumber_nat(nat, IpAddr::from([192, 0, 2, 77]));
            assert_goes_on(&mut pair, &format!("{one} to {other}, box {side}"));
        }
    }
}

/// What the server has said is on its way; what it has not, the next server says.
#[test]
fn a_server_that_dies_during_an_attempt_leaves_nothing_half_open() {
    for (one, other) in [("port", "port"), ("seq+1", "port"), ("seq+1", "seq+2")] {
        for hops in 1..=6 {
            let mut pair = Meeting { gap: Duration::ZERO, ..between(one, other) }.prepared();
            let request = pair.ask();
            // Just after what arrived then was handled.
            pair.fleet.world.run_for(HOP * hops + Duration::from_millis(1));
            let server = pair.fleet.server;
            pair.fleet.world.kill(server, Death::Silent);
            let told = pair.fleet.wait_outcome(pair.phone, request, PATIENCE);
            let name = format!("{one} to {other}, {hops} hops");
            assert!(told.is_some(), "{name}: told nothing\n{}", pair.fleet.story());
            let met = matches!(told, Some(IssuerEvent::Connected { .. }));
            assert!(met || hops < 5, "{name}: {told:?}\n{}", pair.fleet.story());
            if met {
                assert!(pair.talk(), "{name}");
                pair.fleet.hang_up(pair.phone, request);
            }
            pair.fleet.world.run_for(secs(30));
            for host in [pair.lamp, pair.phone] {
                assert_eq!(pair.fleet.world.open_sockets(host), 1, "{name}");
            }
        }
    }
}

#[test]
fn a_server_that_is_not_there_any_more_is_not_missed() {
    let mut pair = connected(&between("seq+1", "port"));
    let server = pair.fleet.server;
    pair.fleet.world.kill(server, Death::Silent);
    for _ in 0..10 {
        pair.fleet.world.run_for(secs(60));
        assert!(pair.talk());
    }
}

/// A profile that was measured before the server forgot it is measured again.
#[test]
fn a_server_that_has_restarted_lets_equipment_meet_again() {
    for (one, other) in PAIRS {
        let mut pair = between(one, other).prepared();
        pair.fleet.reboot_server(Death::Silent);
        pair.fleet.world.run_for(secs(90));
        let outcome = pair.meet();
        assert!(outcome.is_punched(), "{one} to {other}: {outcome:?}\n{}", pair.fleet.story());
    }
}

fn turning(name: &str, hairpin: Hairpin) -> NatConfig {
    let mut config = kind(name).config(0.0);
    config.hairpin = hairpin;
    config
}

/// Both observed at one address: their box turns what they send to each other, or does not.
#[test]
fn two_behind_one_box_meet_where_it_turns_their_packets_round() {
    let together = |hairpin| {
        let meeting = Meeting::between(Some(turning("port", hairpin)), None);
        Meeting { together: true, ..meeting }
    };
    let outcome = together(Hairpin::ExternalSource).run();
    assert!(outcome.is_punched(), "{outcome:?}");
    let outcome = together(Hairpin::None).run();
    assert!(outcome.told.is_some() && !outcome.is_punched(), "{outcome:?}");
}

fn phone_changes(pair: &Pair) -> Vec<Path> {
    let change = |event| match event {
        IssuerEvent::PathChanged { path, .. } => Some(path),
        _ => None,
    };
    pair.phone_events().into_iter().filter_map(change).collect()
}

fn lamp_changes(pair: &Pair) -> Vec<Path> {
    let change = |event| match event {
        AcceptorEvent::PathChanged { path, .. } => Some(path),
        _ => None,
    };
    pair.lamp_events().into_iter().filter_map(change).collect()
}

/// Behind a box that gives both ends a port for each destination, what one sends to where it sees the
/// other comes from a port that the other has not seen: eight times they follow, then they stay.
#[test]
fn two_behind_one_box_do_not_follow_each_other_without_end() {
    for name in ["first", "random", "seq+1"] {
        let mut turns = turning(name, Hairpin::ExternalSource);
        turns.behaviour.filtering = Filtering::EndpointIndependent;
        let meeting = Meeting { together: true, ..Meeting::between(Some(turns), None) };
        let mut pair = meeting.prepared();
        assert!(pair.meet().is_punched(), "{name}");
        assert!(pair.talk(), "{name}");
        pair.fleet.world.run_for(secs(120));
        let changes = [phone_changes(&pair).len(), lamp_changes(&pair).len()];
        assert!(changes.into_iter().all(|each| (8..=20).contains(&each)), "{name}: {changes:?}");
    }
}

/// Where TCP is first, the punched path takes its place, and not a word is lost meanwhile.
#[test]
fn tcp_that_comes_first_is_replaced_without_a_word_lost() {
    for (one, other, late) in [(None, "port", 300), (None, "seq+1", 150), (None, "first", 90)] {
        let meeting = Meeting {
            dial_back: true,
            door: Door::Paired,
            ..Meeting::between(one, Some(kind(other).config(0.0)))
        };
        let mut pair = meeting.prepared();
        // Datagrams from one to the other take longer than everything else.
        let (lamp, phone) = (pair.lamp, pair.phone);
        pair.fleet.world.hook(move |packet| {
            let direct = matches!(packet.via, Via::Udp)
                && [Some(lamp), Some(phone)].contains(&packet.from)
                && [Some(lamp), Some(phone)].contains(&packet.to);
            if direct { Verdict::Delay(Duration::from_millis(late)) } else { Verdict::Pass }
        });
        let request = pair.ask();
        let told = pair.fleet.wait_outcome(pair.phone, request, PATIENCE);
        let first = matches!(told, Some(IssuerEvent::Connected { path: Path::Stream { .. }, .. }));
        assert!(first, "{other}: {told:?}\n{}", pair.fleet.story());
        let mut said: Vec<Vec<u8>> = Vec::new();
        for word in 0..60_u8 {
            pair.fleet.world.run_for(Duration::from_millis(20));
            if pair.fleet.say(pair.phone, request, &[word; 5]).is_ok() {
                said.push(vec![word; 5]);
            }
        }
        pair.fleet.world.run_for(secs(5));
        let mut heard: Vec<Vec<u8>> =
            pair.fleet.heard(pair.lamp).iter().map(|word| word.to_vec()).collect();
        heard.sort_unstable();
        assert_eq!(heard, said, "{other}\n{}", pair.fleet.story());
        for changes in [phone_changes(&pair), lamp_changes(&pair)] {
            assert!(matches!(changes[..], [Path::Datagram { .. }]), "{other}: {changes:?}");
        }
        assert_eq!(pair.streams(), 0, "{other}: TCP has done its work\n{}", pair.fleet.story());
        pair.fleet.world.unhook();
        assert!(pair.talk(), "{other}");
    }
}

/// Where a hole is first, TCP is given up.
#[test]
fn tcp_that_comes_second_is_let_go() {
    for (name, slow) in [("port", 200), ("seq+1", 400)] {
        let meeting =
            Meeting { dial_back: true, ..Meeting::between(None, Some(kind(name).config(0.0))) };
        let mut pair = meeting.prepared();
        pair.fleet.world.hook(move |packet| match packet.via {
            Via::Syn(_) => Verdict::Delay(Duration::from_millis(slow)),
            _ => Verdict::Pass,
        });
        let outcome = pair.meet();
        assert!(outcome.is_punched(), "{name}: {outcome:?}");
        pair.fleet.world.run_for(secs(20));
        assert!(pair.talk(), "{name}");
        assert_eq!(pair.streams(), 0, "{name}\n{}", pair.fleet.story());
        assert_eq!((phone_changes(&pair), lamp_changes(&pair)), (vec![], vec![]), "{name}");
    }
}

/// Where nothing but TCP passes between the two, it carries the connection as before.
#[test]
fn where_no_datagram_passes_between_the_two_tcp_carries_the_connection() {
    let meeting =
        Meeting { dial_back: true, ..Meeting::between(None, Some(kind("port").config(0.0))) };
    let mut pair = meeting.prepared();
    let line = Faults::latency(HOP).without_udp();
    pair.fleet.world.set_paths(pair.phone, pair.lamp, &line);
    let request = pair.ask();
    let told = pair.fleet.wait_outcome(pair.phone, request, PATIENCE);
    assert!(
        matches!(told, Some(IssuerEvent::Connected { path: Path::Stream { .. }, .. })),
        "{told:?}"
    );
    for _ in 0..4 {
        pair.fleet.world.run_for(secs(20));
        assert!(pair.talk(), "{}", pair.fleet.story());
    }
}

/// A word that is lost on the way is a datagram's lot; the connection is not.
#[test]
fn a_punched_path_that_loses_much_stands() {
    let mut pair = connected(&between("seq+1", "port"));
    let line = Faults::latency(HOP).with_loss(0.3);
    pair.fleet.world.set_paths(pair.phone, pair.lamp, &line);
    pair.fleet.world.run_for(secs(600));
    let closed =
        pair.phone_events().iter().any(|event| matches!(event, IssuerEvent::Closed { .. }));
    assert!(!closed, "{}", pair.fleet.story());
}
