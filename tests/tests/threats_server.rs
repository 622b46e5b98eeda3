//! Threats to the server itself (T6 to T10, T29): floods that cost memory or work, answers that hit
//! others, servers that talk to each other, connections that are only held.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use genkan_core::wire::message::{Hello, Role, ToServer};
use genkan_core::wire::{CERTIFICATE_REQUEST_LEN, Kind};
use genkan_core::{Command, Discard, Machine, Rate, Received, SocketId, TimerKind};
use genkan_sim::Rng;
use genkan_tests::device::{device, register};
use genkan_tests::evil::{Desk, Evil, WALL, garbage, sa};
use genkan_tests::scene::Setup;

const HOME: &str = "198.51.100.2:4600";

#[test]
fn t06_a_flood_of_false_registrations_costs_no_memory_and_shuts_nobody_out() {
    let mut desk = Desk::default();
    let lamp = device(&mut desk, 2, sa(HOME));
    let mut rng = Rng::new(6);
    let mut key = Evil::new(66, desk.key.public());
    for n in 0..100_000u32 {
        let from = SocketAddr::from(((0xcb00_7100 ^ n).to_be_bytes(), 1_024 + (n % 60_000) as u16));
        let message = match n % 4 {
            0 => garbage(&mut rng, 600),
            1 => key.keepalive(None),
            2 => vec![Kind::Resume as u8; 38],
            _ => key.raw(&[1; 40]),
        };
        assert!(matches!(desk.tell(from, &message).0, Received::Discarded(_)));
    }
    assert_eq!((desk.server.clients(), desk.server.registered()), (1, 1));
    assert_eq!(desk.server.location(&lamp.id()), Some(sa(HOME)));
    desk.pass(Duration::from_secs(5));
    device(&mut desk, 3, sa("198.51.100.3:4600"));
}

#[test]
fn t06_unconfirmed_handshakes_give_their_slots_back() {
    let mut desk = Desk::default();
    for secret in 10..40 {
        let mut evil = Evil::new(secret, desk.key.public());
        let hello = evil.hello(Role::Acceptor);
        desk.tell(SocketAddr::from(([192, 0, 2, secret], 5_000)), &hello);
    }
    assert_eq!(desk.server.clients(), 8, "no more than there is room for");
    desk.pass(Duration::from_secs(12));
    assert_eq!(desk.server.clients(), 0);
    device(&mut desk, 2, sa(HOME));
}

#[test]
fn t06_a_handshake_that_takes_long_keeps_the_slot_that_was_reserved_for_it() {
    let mut desk = Desk::default();
    let from = sa(HOME);
    let mut lamp = Evil::new(2, desk.key.public());
    let hello = lamp.hello(Role::Acceptor);
    desk.tell(from, &hello);
    // The first answer is lost. The second try comes when the first one's wait is just over, and
    // before time has passed at the server.
    desk.now = desk.now.after(Duration::from_millis(10_100));
    let hello = lamp.hello(Role::Acceptor);
    let response = desk.tell(from, &hello).1.remove(0).1;
    lamp.finish(&response);
    let message = register(&lamp);
    let message = lamp.transport(&message);
    assert_eq!(desk.tell(from, &message).0, Received::Control);
    assert_eq!((desk.server.clients(), desk.server.registered()), (1, 1));
    assert_eq!(desk.server.location(&lamp.id()), Some(from));
    desk.server.handle_timeout(desk.now);
    desk.pass(Duration::from_secs(200));
    assert_eq!((desk.server.clients(), desk.server.registered()), (0, 0));
}

#[test]
fn t07_under_load_a_cookie_comes_before_any_costly_work() {
    let mut desk = Desk::new(|config| config.handshakes = Rate::new(4, 1_000));
    let mut kinds = Vec::new();
    for secret in 10..20 {
        let mut evil = Evil::new(secret, desk.key.public());
        let hello = evil.hello(Role::Issuer);
        let (_, sent) = desk.tell(SocketAddr::from(([192, 0, 2, secret], 5_000)), &hello);
        kinds.extend(sent.iter().map(|(_, bytes)| Kind::of(bytes).unwrap()));
        assert!(sent.iter().all(|(_, bytes)| bytes.len() <= hello.len()));
    }
    assert_eq!(kinds[..4], [Kind::Response; 4]);
    assert_eq!(kinds[4..], [Kind::Cookie; 6]);
    // Honest equipment pays the cookie back and gets in while the load lasts.
    let mut fleet = genkan_sim::fleet::Fleet::with_server(7, |config| {
        config.handshakes = Rate::new(0, 1_000);
    });
    let lamp = fleet.acceptor("lamp", |config| config.spread = Duration::ZERO);
    assert!(fleet.wait_registered(lamp, Duration::from_secs(5)), "{}", fleet.story());
    assert_eq!(fleet.world.transcript().sent("server", "lamp", Kind::Cookie).count(), 1);
}

#[test]
fn t07_answered_handshakes_that_pile_up_demand_cookies_before_they_push_others_out() {
    let mut desk = Desk::sized(256, |config| config.handshakes = Rate::new(1_000, 1));
    let mut lamp = Evil::new(2, desk.key.public());
    let hello = lamp.hello(Role::Acceptor);
    let (_, answer) = desk.tell(sa(HOME), &hello);
    lamp.finish(&answer[0].1);
    let mut kinds = Vec::new();
    for secret in 10..210 {
        let mut evil = Evil::new(secret, desk.key.public());
        let hello = evil.hello(Role::Issuer);
        let (_, sent) = desk.tell(SocketAddr::from(([192, 0, 2, secret], 5_000)), &hello);
        kinds.extend(sent.iter().map(|(_, bytes)| Kind::of(bytes).unwrap()));
    }
    assert_eq!(kinds[..63], [Kind::Response; 63]);
    assert_eq!(kinds[63..], [Kind::Cookie; 137]);
    // The first of them all has not lost its place.
    let first = lamp.transport(&register(&lamp));
    assert_eq!(desk.tell(sa(HOME), &first).0, Received::Control);
    assert_eq!(desk.server.location(&lamp.id()), Some(sa(HOME)));
}

#[test]
fn t07_a_flood_from_spoofed_sources_keeps_no_honest_device_out() {
    let mut desk = Desk::default();
    let mut request = vec![0; CERTIFICATE_REQUEST_LEN];
    request[0] = Kind::CertificateRequest as u8;
    for n in 0..60_000u32 {
        desk.tell(SocketAddr::from(((0xc600_0000 + n * 7).to_be_bytes(), 5_000)), &request);
    }
    let mut lamp = Evil::new(2, desk.key.public());
    let hello = lamp.hello(Role::Acceptor);
    let (_, sent) = desk.tell(sa(HOME), &hello);
    let kinds: Vec<_> = sent.iter().map(|(_, bytes)| Kind::of(bytes).unwrap()).collect();
    assert!(kinds == [Kind::Cookie] || kinds == [Kind::Response], "{kinds:?}");
}

#[test]
fn t08_ids_that_differ_in_one_bit_live_side_by_side() {
    // The position hash is keyed with what the server draws at its start: ids cannot be chosen to
    // collide. Here the list is filled to its last slot, and every one is found again.
    let mut desk = Desk::sized(64, |_| ());
    let devices: Vec<_> = (2..66)
        .map(|secret| {
            desk.pass(Duration::from_secs(1));
            device(&mut desk, secret, SocketAddr::from(([192, 0, 2, secret], 4_600)))
        })
        .collect();
    for (n, device) in devices.iter().enumerate() {
        let expected = SocketAddr::from(([192, 0, 2, n as u8 + 2], 4_600));
        assert_eq!(desk.server.location(&device.id()), Some(expected));
    }
}

#[test]
fn t09_an_unproven_address_gets_no_more_than_it_sent() {
    let mut desk = Desk::sized(64, |config| config.handshakes = Rate::new(20, 1_000));
    let mut rng = Rng::new(9);
    let mut balance: BTreeMap<SocketAddr, (i64, i64)> = BTreeMap::new();
    let mut lamp = device(&mut desk, 2, sa(HOME));
    for n in 0..20_000u32 {
        let from = SocketAddr::from(([192, 0, 2, (n % 250) as u8 + 1], 1_024 + n as u16 % 3));
        let mut evil = Evil::new((n % 200) as u8 + 10, desk.key.public());
        let message = match n % 8 {
            0 => evil.hello(if n % 16 == 0 { Role::Issuer } else { Role::Acceptor }),
            1 => {
                [&[Kind::CertificateRequest as u8][..], &[0; CERTIFICATE_REQUEST_LEN - 1]].concat()
            }
            2 => vec![Kind::Resume as u8; 38],
            3 => lamp.keepalive(None),
            4 => lamp.transport(&ToServer::Confirm),
            5 => {
                let offer = evil.offer(&lamp.id(), &genkan_tests::evil::plain_offer(None), 3);
                let request = Evil::request(n, lamp.id(), sa("0.0.0.0:5000"), &offer);
                evil.initiation(&Hello { role: Role::Issuer, time: WALL, early: Some(request) })
            }
            _ => garbage(&mut rng, 300),
        };
        let entry = balance.entry(from).or_default();
        (entry.0, entry.1) = (entry.0 + message.len() as i64, entry.1 + 1);
        for (to, bytes) in desk.tell(from, &message).1 {
            if to == sa(HOME) {
                continue; // A notification to a proven address.
            }
            let entry = balance.entry(to).or_default();
            (entry.0, entry.1) = (entry.0 - bytes.len() as i64, entry.1 - 1);
            assert!(entry.0 >= 0 && entry.1 >= 0, "{to} got more than it sent");
        }
        if n % 97 == 0 {
            for (to, bytes) in desk.pass(Duration::from_millis(40)) {
                let entry = balance.entry(to).or_default();
                (entry.0, entry.1) = (entry.0 - bytes.len() as i64, entry.1 - 1);
                assert!(to == sa(HOME) || (entry.0 >= 0 && entry.1 >= 0), "{to}, by time");
            }
        }
    }
}

#[test]
fn t10_servers_never_answer_each_other() {
    let (mut one, mut two) = (Desk::default(), Desk::default());
    let (a, b) = (sa("203.0.113.1:4600"), sa("203.0.113.2:4600"));
    let mut scene =
        Setup { delivery: genkan_core::Delivery::Auto, ..Setup::default() }.registered();
    scene.connect();
    let entries = scene.fleet.world.transcript().entries();
    let mut downward: Vec<Vec<u8>> =
        entries.filter(|e| e.from == "server").map(|e| e.message().to_vec()).collect();
    let down = Kind::ALL.iter().filter(|kind| kind.is_downward());
    downward.extend(down.flat_map(|&kind| [28, 38, 98, 210].map(|len| vec![kind as u8; len])));
    for message in downward {
        let (received, sent) = one.tell(b, &message);
        assert!(matches!(received, Received::Discarded(_)) && sent.is_empty());
    }
    // Two servers, and an attacker who introduces them to each other: every answer is passed on.
    let mut rng = Rng::new(10);
    for _ in 0..2_000 {
        let mut message = garbage(&mut rng, 250);
        for step in 0.. {
            assert!(step < 3, "they talk");
            let (to, from) = if step % 2 == 0 { (&mut one, b) } else { (&mut two, a) };
            match to.tell(from, &message).1.pop() {
                Some((_, answer)) => message = answer,
                None => break,
            }
        }
    }
}

#[test]
fn t29_connections_that_say_nothing_are_closed_after_five_seconds() {
    let mut desk = Desk::sized(4_096, |_| ());
    let mut open = Vec::new();
    for n in 0..10_000u32 {
        let from = SocketAddr::from(((0x0a00_0000 + n / 40).to_be_bytes(), 1_024 + n as u16 % 40));
        open.extend(desk.server.handle_accept(desk.now, SocketId::LISTENER, from));
    }
    assert_eq!(open.len(), 4_096, "no more than there are slots");
    let per_address = desk.server.counters().discarded(Discard::RateLimited);
    assert!(per_address > 0, "no more than 32 from one address");
    let end = desk.now.after(Duration::from_secs(6));
    let mut closed = std::collections::BTreeSet::new();
    while let Some(wakeup) = desk.server.poll_timeout().filter(|wakeup| wakeup.at <= end) {
        assert!(wakeup.at > desk.now && wakeup.reason == TimerKind::Request);
        desk.now = wakeup.at;
        desk.server.handle_timeout(desk.now);
        while let Some(command) = desk.server.poll_command() {
            let Command::Shutdown { stream } = command else { panic!("{command:?}") };
            closed.insert(stream);
        }
    }
    assert_eq!(closed.len(), open.len(), "each one is closed, and the caller is told of each");
    assert_eq!(desk.server.counters().lost_events(), 0);
    let from = sa("192.0.2.1:5000");
    assert!(desk.server.handle_accept(desk.now, SocketId::LISTENER, from).is_some());
}

#[test]
fn t29_a_trickle_of_harmless_frames_does_not_hold_a_connection_open() {
    let mut desk = Desk::default();
    let from = sa("192.0.2.1:5000");
    let stream = desk.server.handle_accept(desk.now, SocketId::LISTENER, from).unwrap();
    let mut frame = vec![0, 210, Kind::CertificateRequest as u8];
    frame.resize(212, 0);
    let mut seconds = 0;
    loop {
        let mut bytes = frame.clone();
        let input = desk.server.handle_stream(desk.now, stream, &mut bytes);
        let refused = matches!(input.received, Received::Discarded(_));
        while let Some(frame) = desk.server.poll_frame(desk.now, stream) {
            frame.commit();
        }
        if refused {
            break;
        }
        desk.pass(Duration::from_secs(4));
        seconds += 4;
        assert!(seconds < 40, "it is still open");
    }
}

#[test]
fn a_hundred_refusals_that_are_due_at_once_all_leave() {
    let mut desk = Desk::sized(256, |_| ());
    let nobody = Evil::new(1, desk.key.public()).id();
    let mut asked = Vec::new();
    for secret in 2..150u8 {
        let from = SocketAddr::from(([192, 0, 2, secret], 5_000));
        let mut evil = Evil::new(secret, desk.key.public());
        desk.admit(&mut evil, Role::Issuer, from);
        let sealed = evil.offer(&nobody, &genkan_tests::evil::plain_offer(None), 3);
        let request = Evil::request(1, nobody, sa("0.0.0.0:5000"), &sealed);
        let message = evil.transport(&ToServer::Connect(request));
        assert_eq!(desk.tell(from, &message), (Received::Control, vec![]));
        asked.push(from);
    }
    // Whole, and within a few milliseconds of the one delay that all of them have.
    assert!(desk.pass(Duration::from_millis(2_999)).is_empty());
    let sent = desk.pass(Duration::from_millis(10));
    let told: std::collections::BTreeSet<_> = sent.iter().map(|(to, _)| *to).collect();
    assert_eq!(told, asked.into_iter().collect());
}
