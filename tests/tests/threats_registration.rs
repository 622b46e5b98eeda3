//! Threats to the registration (T1 to T5): what an outsider, a replayer or a holder of a valid key can
//! do to the equipment list, and learn from it.
//!
//! The attackers are [`Evil`]: they hold real keys and shake hands by an independent Noise.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::time::Duration;
use std::collections::BTreeMap;

use genkan_core::wire::Kind;
use genkan_core::wire::message::{NotifyReply, Reason, Role, ToServer, Verdict as Answer};
use genkan_core::{Discard, IssuerEvent, Received, RequestTransport, ServerEvent};
use genkan_sim::fleet::{FleetIssuer, FleetServer};
use genkan_sim::{Death, Verdict, Via};
use genkan_tests::device::{device, register};
use genkan_tests::evil::{Desk, Evil, sa};
use genkan_tests::scene::{Door, HOP, PASSWORD, Scene, Setup};

const HOME: &str = "198.51.100.2:4600";
const ELSEWHERE: &str = "192.0.2.66:4600";

#[test]
fn t01_a_registration_for_another_id_is_refused() {
    let mut desk = Desk::default();
    let victim = device(&mut desk, 2, sa(HOME));
    let mut thief = Evil::new(66, desk.key.public());
    desk.admit(&mut thief, Role::Acceptor, sa(ELSEWHERE));
    let theft = thief.transport(&register(&victim));
    let (received, sent) = desk.tell(sa(ELSEWHERE), &theft);
    assert_eq!((received, sent), (Received::Discarded(Discard::Unauthentic), vec![]));
    assert_eq!(desk.server.location(&victim.id()), Some(sa(HOME)));
    assert_eq!(desk.server.location(&thief.id()), None);
}

#[test]
fn t01_a_registration_without_a_session_leaves_no_state() {
    let mut desk = Desk::default();
    let mut thief = Evil::new(66, desk.key.public());
    for handle in [0, 1, 0x0100_0000, u32::MAX] {
        thief.handle = handle;
        let message = register(&thief);
        let message = thief.transport(&message);
        let (received, sent) = desk.tell(sa(ELSEWHERE), &message);
        assert_eq!(received, Received::Discarded(Discard::UnknownSession));
        assert!(sent.iter().all(|(to, bytes)| *to == sa(ELSEWHERE) && bytes.len() == 28));
    }
    assert_eq!((desk.server.clients(), desk.server.registered()), (0, 0));
}

#[test]
fn t01_an_issuers_session_registers_nothing() {
    let mut desk = Desk::default();
    let mut evil = Evil::new(66, desk.key.public());
    desk.admit(&mut evil, Role::Issuer, sa(ELSEWHERE));
    let message = register(&evil);
    let message = evil.transport(&message);
    assert_eq!(desk.tell(sa(ELSEWHERE), &message).0, Received::Discarded(Discard::Unauthentic));
    assert_eq!(desk.server.registered(), 0);
}

#[test]
fn t01_an_unfinished_handshake_takes_no_slot_over_that_another_device_was_given() {
    let mut desk = Desk::default();
    let mut thief = device(&mut desk, 66, sa(ELSEWHERE));
    // A second handshake is left unfinished, and the first session leaves the list.
    let mut second = Evil::new(66, desk.key.public());
    second.hello(Role::Acceptor);
    let hello = second.hello(Role::Acceptor);
    let response = desk.tell(sa(ELSEWHERE), &hello).1.remove(0).1;
    second.finish(&response);
    let goodbye = thief.transport(&ToServer::Deregister);
    assert_eq!(desk.tell(sa(ELSEWHERE), &goodbye).0, Received::Control);
    // The victim is given the slot; the thief finishes, and registers the victim's id.
    let victim = device(&mut desk, 2, sa(HOME));
    for message in [ToServer::Confirm, register(&victim), register(&second)] {
        let message = second.transport(&message);
        assert!(matches!(desk.tell(sa(ELSEWHERE), &message).0, Received::Discarded(_)));
    }
    assert_eq!(desk.server.location(&victim.id()), Some(sa(HOME)));
}

#[test]
fn t02_a_registration_relayed_from_elsewhere_moves_nothing() {
    let mut desk = Desk::default();
    let mut lamp = device(&mut desk, 2, sa(HOME));
    let fresh = register(&lamp);
    for message in [lamp.keepalive(None), lamp.transport(&fresh)] {
        let (_, sent) = desk.tell(sa(ELSEWHERE), &message);
        assert_eq!(sent.len(), 1, "one challenge");
        assert_eq!((sent[0].1[0], sent[0].1.len()), (Kind::Challenge as u8, 28));
        assert_eq!(desk.server.location(&lamp.id()), Some(sa(HOME)));
        // The copy has used nothing up: the original still counts when it arrives.
        let (received, sent) = desk.tell(sa(HOME), &message);
        assert_eq!((received, sent.len()), (Received::Control, 1));
    }
}

#[test]
fn t02_only_the_key_holder_at_the_new_address_moves_a_registration() {
    let mut desk = Desk::default();
    let mut lamp = device(&mut desk, 2, sa(HOME));
    let moved = lamp.keepalive(None);
    let (_, sent) = desk.tell(sa(ELSEWHERE), &moved);
    let cookie = sent[0].1[6..12].to_vec();
    // The thief sees the challenge, but cannot authenticate an echo.
    let mut thief = Evil::new(66, desk.key.public());
    (thief.handle, thief.counter) = (lamp.handle, lamp.counter);
    let forged = thief.keepalive(Some(&cookie));
    let third = sa("192.0.2.77:4600");
    for from in [sa(ELSEWHERE), sa(HOME), third] {
        assert!(matches!(desk.tell(from, &forged).0, Received::Discarded(_)));
        assert_eq!(desk.server.location(&lamp.id()), Some(sa(HOME)));
    }
    // An echo with the cookie of one address does not prove another one.
    let echo = lamp.keepalive(Some(&cookie));
    assert!(matches!(desk.tell(third, &echo).0, Received::Discarded(_)));
    assert_eq!(desk.server.location(&lamp.id()), Some(sa(HOME)));
    assert_eq!(desk.tell(sa(ELSEWHERE), &echo).0, Received::Control);
    assert_eq!(desk.server.location(&lamp.id()), Some(sa(ELSEWHERE)));
}

#[test]
fn t03_nothing_that_was_sent_before_counts_again() {
    let mut desk = Desk::default();
    let from = sa(HOME);
    let mut lamp = Evil::new(2, desk.key.public());
    let hello = lamp.hello(Role::Acceptor);
    let response = desk.tell(from, &hello).1.remove(0).1;
    lamp.finish(&response);
    let message = register(&lamp);
    let mut captured = vec![hello];
    for _ in 0..3 {
        captured.push(lamp.transport(&message));
        captured.push(lamp.keepalive(None));
    }
    for message in &captured[1..] {
        assert_eq!(desk.tell(from, message).0, Received::Control);
    }
    let goodbye = lamp.transport(&ToServer::Deregister);
    let before = (desk.server.clients(), desk.server.registered());
    for message in &captured {
        desk.tell(from, message);
        desk.tell(sa(ELSEWHERE), message);
        assert_eq!((desk.server.clients(), desk.server.registered()), before);
        assert_eq!(desk.server.location(&lamp.id()), Some(from));
    }
    // After it has left, and after a restart of the server, none of it brings it back.
    desk.tell(from, &goodbye);
    let mut restarted = Desk::restarted();
    for desk in [&mut desk, &mut restarted] {
        for message in &captured {
            desk.tell(from, message);
            assert_eq!(desk.server.registered(), 0);
        }
        desk.pass(Duration::from_secs(60));
        assert_eq!(desk.server.clients(), 0, "what an Initiation reserved is given back");
    }
}

#[test]
fn t03_a_replayed_first_message_ends_no_session() {
    let mut desk = Desk::default();
    let mut lamp = Evil::new(2, desk.key.public());
    let hello = lamp.hello(Role::Acceptor);
    let response = desk.tell(sa(HOME), &hello).1.remove(0).1;
    lamp.finish(&response);
    let message = register(&lamp);
    let message = lamp.transport(&message);
    desk.tell(sa(HOME), &message);
    for minute in 0..30 {
        desk.tell(sa(ELSEWHERE), &hello);
        desk.pass(Duration::from_secs(30));
        let keepalive = lamp.keepalive(None);
        assert_eq!(desk.tell(sa(HOME), &keepalive).0, Received::Control, "round {minute}");
        assert_eq!(desk.server.location(&lamp.id()), Some(sa(HOME)));
    }
}

#[test]
fn t04_two_devices_with_one_key_cannot_storm_the_server() {
    let mut scene = Setup::default().registered();
    // The clone has the lamp's identity: it gives itself the same settings.
    let mut key = None;
    scene.fleet.acceptor("decoy", |config| {
        config.spread = Duration::from_secs(40_000);
        key = Some(config.identity.key.clone());
    });
    let key = key.unwrap();
    for name in ["clone-a", "clone-b"] {
        let key = key.clone();
        scene.fleet.acceptor(name, |config| {
            config.identity.key = key;
            config.spread = Duration::ZERO;
        });
    }
    scene.fleet.world.run_for(Duration::from_secs(600));
    let transcript = scene.fleet.world.transcript();
    let handshakes = |name| transcript.sent(name, "server", Kind::Initiation).count();
    let both = handshakes("clone-a") + handshakes("clone-b");
    // One each per keepalive interval, 25 s less up to a fifth; no faster.
    assert!((4..=66).contains(&both), "{both} handshakes in ten minutes");
    assert_eq!(scene.server().registered(), 2, "the lamp, and one of the clones");
    let id = key.id();
    let seen = scene.server_events().into_iter().filter_map(|event| match event {
        ServerEvent::Registered { id: who, address, .. } if who == id => Some(address),
        _ => None,
    });
    let addresses: std::collections::BTreeSet<_> = seen.collect();
    assert_eq!(addresses.len(), 2, "the operator sees the two addresses take turns");
}

/// What a stranger sees of a request that comes to nothing: when, how long, and the plaintext.
fn refusal(scene: &mut Scene, target: &genkan_core::Target) -> Vec<(Duration, String, usize)> {
    let began = scene.fleet.world.now();
    let request = scene.fleet.request_target(scene.phone, target);
    let outcome = scene.fleet.wait_outcome(scene.phone, request, Duration::from_secs(12));
    let outcome = outcome.map(|event| format!("{event:?}")).unwrap_or_default();
    assert!(outcome.contains("Unspecified"), "{outcome}");
    scene.fleet.world.run_for(Duration::from_secs(1));
    let entries = scene.fleet.world.transcript().entries();
    let seen = entries.filter(|entry| entry.at >= began && entry.to == "phone");
    seen.map(|entry| (entry.at - began, format!("{:?}", entry.kind), entry.bytes.len())).collect()
}

#[test]
fn t05_unknown_offline_busy_and_wrong_password_look_alike() {
    for transport in [RequestTransport::Datagram, RequestTransport::Stream] {
        let setup = Setup { transport, ..Setup::default() };
        let mut seen = BTreeMap::new();
        let unknown = &mut setup.registered();
        let mut target = unknown.target();
        target.id = Evil::new(77, &[1; 32]).id();
        seen.insert("unknown", refusal(unknown, &target));

        let offline = &mut setup.registered();
        offline.fleet.world.kill(offline.lamp, Death::Silent);
        let target = offline.target();
        seen.insert("offline", refusal(offline, &target));

        let wrong = &mut setup.registered();
        let mut target = wrong.target();
        target.password = Some([7; 32]);
        seen.insert("wrong password", refusal(wrong, &target));

        let none = &mut setup.registered();
        let mut target = none.target();
        target.password = None;
        seen.insert("not allowed", refusal(none, &target));

        let busy = &mut setup.registered();
        for number in 0..4 {
            let guest = busy.fleet.issuer(&format!("guest{number}"), |_| ());
            let target = busy.target();
            let request = busy.fleet.request_target(guest, &target);
            assert!(busy.fleet.wait_connected(guest, request, Duration::from_secs(5)));
            busy.fleet.world.run_for(Duration::from_secs(20));
        }
        let target = busy.target();
        seen.insert("busy", refusal(busy, &target));
        let first = &seen["unknown"];
        assert!(!first.is_empty());
        for (case, packets) in &seen {
            assert_eq!(packets, first, "{transport:?}: {case} against unknown");
        }
    }
}

#[test]
fn a_stranger_on_the_list_of_the_phone_is_just_a_stranger() {
    let mut scene = Setup { door: Door::Password, ..Setup::default() }.registered();
    let target = genkan_core::Target { password: Some(PASSWORD), ..scene.target() };
    let before = scene.server().clients();
    let asked = scene.fleet.world.with(scene.phone, |machine: &mut FleetIssuer, io| {
        machine.request(io.now(), &target).is_ok()
    });
    assert!(asked);
    scene.fleet.world.run_for(HOP * 20);
    let server: &FleetServer = scene.fleet.world.machine(scene.fleet.server);
    assert_eq!((server.clients(), server.registered()), (before + 1, 1));
}

#[test]
fn a_paired_issuer_and_the_operator_are_told_why_and_a_stranger_is_not() {
    for (door, told) in [(Door::Paired, true), (Door::Password, false)] {
        let mut scene = Setup { door, ..Setup::default() }.registered();
        scene.fleet.world.kill(scene.lamp, Death::Silent);
        let request = scene.ask();
        let outcome = scene.fleet.wait_outcome(scene.phone, request, Duration::from_secs(12));
        let reason = if told { Reason::Offline } else { Reason::Unspecified };
        assert_eq!(outcome, Some(IssuerEvent::Refused { connection: request, reason }));
        let why = scene.server_events().into_iter().find_map(|event| match event {
            ServerEvent::Refused { reason, .. } => Some(reason),
            _ => None,
        });
        assert_eq!(why, Some(Reason::Offline));
    }
}

#[test]
fn a_paired_issuer_that_cannot_be_reached_is_told_so() {
    let mut scene = Setup { door: Door::Paired, ..Setup::default() }.registered();
    scene.fleet.world.hook(|packet| match packet.via {
        Via::Syn(_) => Verdict::Drop,
        _ => Verdict::Pass,
    });
    let request = scene.ask();
    let outcome = scene.fleet.wait_outcome(scene.phone, request, Duration::from_secs(12));
    let reason = Reason::Unreachable;
    assert_eq!(outcome, Some(IssuerEvent::Refused { connection: request, reason }));
    scene.fleet.world.unhook();
    scene.connect();
    scene.assert_at_rest();
}

#[test]
fn an_acceptor_answers_no_other_ones_requests() {
    let mut desk = Desk::default();
    let lamp = device(&mut desk, 2, sa(HOME));
    let mut other = device(&mut desk, 66, sa(ELSEWHERE));
    let mut issuer = Evil::new(3, desk.key.public());
    let from = sa("192.0.2.50:5000");
    desk.admit(&mut issuer, Role::Issuer, from);
    let sealed = issuer.offer(&lamp.id(), &genkan_tests::evil::plain_offer(None), 1);
    let request = Evil::request(1, lamp.id(), sa("0.0.0.0:5000"), &sealed);
    let message = issuer.transport(&ToServer::Connect(request));
    assert_eq!(desk.tell(from, &message).1.len(), 1, "the notification");
    for verdict in [Answer::Accepted, Answer::Declined(Reason::Busy)] {
        for request in [0, 1, 0x0001_0000, u32::MAX] {
            let reply = other.transport(&ToServer::Reply(NotifyReply { request, verdict }));
            let (received, sent) = desk.tell(sa(ELSEWHERE), &reply);
            assert!(matches!(received, Received::Discarded(_)) && sent.is_empty());
        }
    }
}
