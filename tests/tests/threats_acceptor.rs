//! Threats to the appliance, and by it (T11 to T13, T19 to T22, T24, T30 to T32): whom it can be made
//! to dial, who may guess its password and how fast, and what strangers can hold up.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use genkan_core::wire::message::{ConnectNotify, Reason, Role, ToEquipment, ToServer, Verdict};
use genkan_core::wire::{ANSWER_LEN, Kind};
use genkan_core::{
    AcceptorEvent, CloseCause, Discard, IssuerEvent, Machine, Received, ServerEvent, SocketId,
    StreamState, Target,
};
use genkan_sim::fleet::{FleetAcceptor, FleetIssuer};
use genkan_sim::{Rng, Verdict as Fate};
use genkan_tests::appliance::Appliance;
use genkan_tests::evil::{Desk, Evil, plain_offer, sa};
use genkan_tests::scene::{Door, HOP, PASSWORD, PATIENCE, Setup};

const ISSUER: &str = "192.0.2.50:50000";

fn offer(lamp: &Appliance, password: Option<[u8; 32]>, fresh: u8) -> [u8; 288] {
    Evil::new(3, &[1; 32]).offer(&lamp.lamp.id(), &plain_offer(password), fresh)
}

#[test]
fn t11_a_stated_address_that_is_not_the_observed_one_is_refused() {
    let home = sa("198.51.100.2:4600");
    let victims =
        ["192.0.2.99:5000", "[2001:db8::9]:5000", "[::ffff:192.0.2.99]:5000", "10.0.0.1:5000"];
    for (n, victim) in victims.into_iter().enumerate() {
        let mut desk = Desk::default();
        let mut lamp = Evil::new(2, desk.key.public());
        desk.admit(&mut lamp, Role::Acceptor, home);
        let register = genkan_core::wire::message::Register {
            id: lamp.id(),
            local: home.into(),
            capabilities: 7,
            early_key: None,
        };
        let register = lamp.transport(&ToServer::Register(register));
        desk.tell(home, &register);
        let mut evil = Evil::new(66, desk.key.public());
        desk.admit(&mut evil, Role::Issuer, sa(ISSUER));
        let sealed = evil.offer(&lamp.id(), &plain_offer(None), n as u8);
        let request =
            evil.transport(&ToServer::Connect(Evil::request(1, lamp.id(), sa(victim), &sealed)));
        let (_, sent) = desk.tell(sa(ISSUER), &request);
        assert!(sent.is_empty(), "{victim}: nobody is told");
        let late = desk.pass(Duration::from_secs(5));
        assert_eq!(late.len(), 1, "one refusal");
        assert_eq!(late[0].0, sa(ISSUER));
        let events: Vec<_> = core::iter::from_fn(|| desk.server.poll_event()).collect();
        let told = events.iter().any(|event| {
            matches!(event, ServerEvent::Refused { reason: Reason::ForbiddenAddress, .. })
        });
        assert!(told, "the operator sees why: {events:?}");
    }
}

#[test]
fn t11_t12_an_appliance_dials_no_address_that_it_should_not_in_any_encoding() {
    let denied = "127.0.0.1 127.255.255.254 0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 172.16.0.1 \
        172.31.255.255 192.168.0.1 192.168.255.254 100.64.0.1 100.127.255.255 169.254.169.254 \
        169.254.0.1 192.0.0.1 192.0.0.170 192.88.99.1 198.18.0.1 198.19.255.255 224.0.0.1 \
        239.255.255.250 240.0.0.1 255.255.255.255 :: ::1 ::127.0.0.1 ::10.0.0.1 ::7f00:1 \
        ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1 \
        ::ffff:192.168.1.1 ::ffff:0.0.0.0 64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b:1::1 2002:7f00:1:: \
        2002:a00:1::1 2002:c0a8:101::1 2001::1 2001:0:7f00:1:: 2001:2::1 2001:10::1 2001:20::1 \
        100::1 fe80::1 febf::1 fec0::1 fc00::1 fd00::1 fdff::1 ff02::1 ff0e::1 4000::1 8000::1 \
        e000::1 5f00::1 1::1 0:0:0:1::1 ::2 ::fffe:127.0.0.1";
    let mut lamp = Appliance::default();
    let sealed = offer(&lamp, Some(PASSWORD), 1);
    let mut count = 0;
    for text in denied.split_whitespace() {
        let target = SocketAddr::new(text.parse::<IpAddr>().unwrap(), 5_000);
        let reaction = lamp.notify_persisting(1 + count, target, &sealed);
        assert_eq!(reaction.dialled, None, "{text}");
        assert!(matches!(reaction.verdict, Some(Verdict::Declined(_))), "{text}: {reaction:?}");
        count += 1;
    }
    assert!(count >= 60);
    let nobody =
        ConnectNotify { request: 0, issuer: sa(ISSUER).into(), paired: false, offer: &sealed };
    let told = lamp.tell(&ToEquipment::Notify(nobody));
    assert_eq!(told, Received::Discarded(Discard::Unexpected), "no request has this number");
    for port in [0, 1, 22, 80, 443, 1_023] {
        let sealed = offer(&lamp, Some(PASSWORD), 100 + (port % 99) as u8);
        let reaction =
            lamp.notify_persisting(900, SocketAddr::from(([192, 0, 2, 50], port)), &sealed);
        assert_eq!(reaction.dialled, None, "port {port}");
    }
    // A forbidden address costs no password try: the right one is welcome at once.
    let fresh = offer(&lamp, Some(PASSWORD), 2);
    let reaction = lamp.notify_persisting(1_000, sa(ISSUER), &fresh);
    assert_eq!(reaction.dialled.map(|(_, remote)| remote), Some(sa(ISSUER)));
}

#[test]
fn t11_the_dials_that_strangers_cause_are_budgeted() {
    let mut lamp = Appliance::new(|config| config.admission.open = true);
    let mut dials = 0;
    for n in 0..240u32 {
        let fresh = Evil::new(3 + (n % 200) as u8, &[1; 32]);
        let sealed = fresh.offer(&lamp.lamp.id(), &plain_offer(None), (n % 250) as u8 + 1);
        let reaction = lamp.notify(1 + n, sa(ISSUER), &sealed);
        if let Some((stream, _)) = reaction.dialled {
            dials += 1;
            lamp.lamp.handle_stream_state(lamp.now, stream, StreamState::Closed);
            lamp.reaction();
        }
        lamp.pass(Duration::from_millis(500));
    }
    assert!((8..=21).contains(&dials), "{dials} dials in two minutes");
}

#[test]
fn t13_what_is_written_first_on_a_dialled_path_is_not_the_issuers_choice() {
    // "SLAVEOF 192.0.2.66 6379" and the like, wherever an issuer can put bytes of its own.
    let smuggled = *b"\r\nSLAVEOF evil 6";
    let mut plain = plain_offer(Some(PASSWORD));
    plain.punch_key = smuggled;
    plain.index = u32::from_be_bytes(*b"SLAV");
    let mut lamp = Appliance::default();
    let sealed = Evil::new(3, &[1; 32]).offer(&lamp.lamp.id(), &plain, 1);
    let (stream, _) = lamp.notify_persisting(1, sa(ISSUER), &sealed).dialled.unwrap();
    assert_eq!(lamp.frames(stream), Vec::<Vec<u8>>::new(), "silence before the path stands");
    lamp.lamp.handle_stream_state(lamp.now, stream, StreamState::Connected);
    let frames = lamp.frames(stream);
    assert_eq!(frames.len(), 1, "one communication request, and silence until it is confirmed");
    let frame = &frames[0];
    assert_eq!(frame.len(), ANSWER_LEN + 2);
    assert_eq!(frame[..4], [0, ANSWER_LEN as u8, Kind::Answer as u8, 0]);
    for window in frame[8..].windows(3) {
        let chosen = smuggled.windows(3).chain(sealed.windows(3)).any(|chosen| chosen == window);
        assert!(!chosen, "{window:02x?} is the issuer's");
    }
}

#[test]
fn t19_no_word_and_no_dial_before_a_try_is_counted_on_stable_storage() {
    for password in [PASSWORD, [7; 32]] {
        let mut lamp = Appliance::default();
        let sealed = offer(&lamp, Some(password), 1);
        let reaction = lamp.notify(1, sa(ISSUER), &sealed);
        assert_eq!((reaction.verdict, reaction.dialled), (None, None));
        assert_eq!(reaction.events, [AcceptorEvent::Persist]);
        // The server asks again meanwhile, and once more when the try was never persisted.
        for wait in [500, 1_000, 5_000, 20_000] {
            lamp.pass(Duration::from_millis(wait));
            let reaction = lamp.notify(1, sa(ISSUER), &sealed);
            assert_ne!(reaction.verdict, Some(Verdict::Accepted), "after {wait} ms");
            let told = reaction.verdict == Some(Verdict::Declined(Reason::WrongPassword));
            assert!(!told && reaction.dialled.is_none(), "after {wait} ms");
        }
    }
}

#[test]
fn t19_guesses_are_slow_over_reboots_too_and_the_door_is_never_locked_for_good() {
    let mut flash = 0;
    let (mut compares, mut number) = (0, 0);
    let hour = Duration::from_secs(3_600);
    let mut now = genkan_core::Instant::from_millis(5_000_000);
    let end = now.after(hour);
    // The attacker cuts the power after every answer that it gets.
    while now < end {
        let mut lamp = Appliance::at(now, |config| config.admission.failures = flash);
        for _ in 0..40 {
            number += 1;
            let sealed = Evil::new(3 + (number % 200) as u8, &[1; 32]).offer(
                &lamp.lamp.id(),
                &plain_offer(Some([7; 32])),
                (number / 200) as u8 + 1,
            );
            let before = lamp.lamp.failures();
            let reaction = lamp.notify(number, sa(ISSUER), &sealed);
            if reaction.events.contains(&AcceptorEvent::Persist) {
                flash = lamp.lamp.failures();
                lamp.lamp.handle_persisted(lamp.now, flash);
                lamp.reaction();
                compares += 1;
                break;
            }
            // Within a reserved block nothing is written; count what was really compared.
            let _ = before;
            lamp.pass(Duration::from_millis(500));
        }
        now = lamp.now.after(Duration::from_secs(2));
    }
    // A power cycle takes two seconds here; without the count that would be 1,800 guesses.
    assert!(compares <= 200, "{compares} guesses in an hour");
    // The owner with the right password still gets in, within a minute.
    let mut lamp = Appliance::at(now, |config| config.admission.failures = flash);
    lamp.pass(Duration::from_secs(61));
    let sealed = offer(&lamp, Some(PASSWORD), 9);
    let reaction = lamp.notify_persisting(1, sa(ISSUER), &sealed);
    assert_eq!(reaction.verdict, Some(Verdict::Accepted));
}

#[test]
fn t21_an_offer_that_the_server_made_or_swapped_opens_no_door() {
    let mut lamp = Appliance::default();
    let good = offer(&lamp, Some(PASSWORD), 1);
    for at in 0..good.len() {
        let mut swapped = good;
        swapped[at] ^= 4;
        let reaction = lamp.notify(at as u32 + 10, sa(ISSUER), &swapped);
        assert_eq!(reaction.verdict, Some(Verdict::Declined(Reason::BadOffer)), "byte {at}");
        assert_eq!(reaction.dialled, None);
    }
    // An offer for another appliance, and the same offer under another request's number.
    let other = Evil::new(3, &[1; 32]).offer(&Evil::new(9, &[1; 32]).id(), &plain_offer(None), 1);
    assert_eq!(lamp.notify(1, sa(ISSUER), &other).dialled, None);
    assert!(lamp.notify_persisting(2, sa(ISSUER), &good).dialled.is_some());
    let replay = lamp.notify_persisting(3, sa("192.0.2.66:5000"), &good);
    assert_eq!(replay.dialled, None, "a replay");
    assert_eq!(replay.verdict, Some(Verdict::Declined(Reason::BadOffer)));
}

#[test]
fn t21_t31_whoever_dials_the_issuer_without_the_acceptors_key_is_nobody() {
    let mut scene = Setup::default().registered();
    // The appliance's answer is replaced by one that a server could make.
    scene.fleet.world.hook(|packet| match packet.kind() {
        Some(Kind::Answer) => {
            let mut forged = packet.bytes.clone();
            forged[30..].iter_mut().for_each(|byte| *byte ^= 0x5a);
            Fate::Replace(forged)
        }
        _ => Fate::Pass,
    });
    let request = scene.ask();
    let outcome = scene.fleet.wait_outcome(scene.phone, request, PATIENCE);
    assert!(matches!(outcome, Some(IssuerEvent::Failed { .. })), "{outcome:?}");
    let payloads = scene.phone_events().iter().any(|e| matches!(e, IssuerEvent::Connected { .. }));
    assert!(!payloads);
    scene.fleet.world.unhook();
    scene.connect();
    scene.assert_at_rest();
}

#[test]
fn t22_one_issuers_flood_neither_wakes_the_appliance_at_will_nor_shuts_others_out() {
    let mut scene = Setup { door: Door::Paired, ..Setup::default() }.registered();
    let target = Target::new(scene.fleet.id(scene.lamp));
    let flooders: Vec<_> =
        (0..8).map(|n| scene.fleet.issuer(&format!("flooder{n}"), |_| ())).collect();
    let began = scene.fleet.world.now();
    for _ in 0..60 {
        for &flooder in &flooders {
            scene.fleet.world.with(flooder, |machine: &mut FleetIssuer, io| {
                let _full = machine.request(io.now(), &target);
            });
        }
        scene.fleet.world.run_for(Duration::from_secs(1));
    }
    scene.connect(); // The paired phone, in the middle of it.
    let seconds = (scene.fleet.world.now() - began).as_secs();
    let transcript = scene.fleet.world.transcript();
    let woken = transcript.sent("server", "lamp", Kind::ServerTransport).count() as u64;
    assert!(woken <= 8 + seconds / 2 + 6, "{woken} datagrams to the lamp in {seconds} s");
}

#[test]
fn t24_no_other_version_and_no_other_handshake_is_spoken() {
    let mut desk = Desk::default();
    let mut evil = Evil::new(3, desk.key.public());
    let hello = evil.hello(Role::Issuer);
    for version in [0, 2, 3] {
        let mut other = hello.clone();
        other[0] = (other[0] & 0x3f) | (version << 6);
        let (received, sent) = desk.tell(sa(ISSUER), &other);
        assert_eq!((received, sent), (Received::Discarded(Discard::UnknownKind), vec![]));
    }
    let mut flagged = hello;
    flagged[1] = 1;
    let refused = desk.tell(sa(ISSUER), &flagged).0;
    assert_eq!(refused, Received::Discarded(Discard::Unauthentic), "flags are authenticated");
    // Nothing that is not sealed is taken for a registration or a request either.
    let plain = [&[Kind::Transport as u8, 0][..], &[0; 40]].concat();
    assert!(matches!(desk.tell(sa(ISSUER), &plain).0, Received::Discarded(_)));
}

#[test]
fn t30_half_open_slots_of_the_appliance_all_come_back() {
    let mut lamp = Appliance::new(|config| config.admission.open = true);
    for round in 0..5u8 {
        let sealed = |n: u8, lamp: &Appliance| {
            Evil::new(3, &[1; 32]).offer(&lamp.lamp.id(), &plain_offer(None), round * 3 + n + 1)
        };
        let (first, second, third) = (sealed(0, &lamp), sealed(1, &lamp), sealed(2, &lamp));
        let number = u32::from(round) * 3 + 1;
        let one = lamp.notify(number, sa(ISSUER), &first).dialled.unwrap().0;
        assert!(lamp.notify(number + 1, sa(ISSUER), &second).dialled.is_some());
        let full = lamp.notify(number + 2, sa(ISSUER), &third);
        assert_eq!(full.verdict, Some(Verdict::Declined(Reason::Busy)));
        // One path never stands, the other stands and is never confirmed.
        lamp.lamp.handle_stream_state(lamp.now, one, StreamState::Connected);
        assert_eq!(lamp.frames(one).len(), 1);
        lamp.pass(Duration::from_secs(11));
        lamp.pass(Duration::from_secs(20));
    }
}

#[test]
fn t30_a_crowd_that_says_nothing_does_not_keep_the_appliance_out() {
    let mut scene = Setup::default().registered();
    let request = scene.ask();
    scene.fleet.world.with(scene.phone, |machine: &mut FleetIssuer, io| {
        let mut named = std::collections::BTreeSet::new();
        for n in 0..20 {
            let stranger = SocketAddr::from(([192, 0, 2, 200], 1_000 + n));
            let stream = machine.handle_accept(io.now(), SocketId::LISTENER, stranger);
            let stream = stream.expect("the oldest makes room");
            named.insert(stream.index);
            // The simulated network does not know these streams; their shutdown is all there is.
            while machine.poll_command().is_some() {}
        }
        assert_eq!(named.len(), 8, "no more at once than there is room for");
    });
    assert!(scene.fleet.wait_connected(scene.phone, request, PATIENCE));
}

#[test]
fn t31_a_neighbour_at_the_same_address_gets_nowhere() {
    let mut scene = Setup::default().registered();
    let connection = scene.connect();
    let mut rng = Rng::new(31);
    let now = scene.fleet.world.now();
    let (server, lamp) = (scene.fleet.server_address(), sa("198.51.100.2:4600"));
    for n in 0..400u32 {
        let at = now + Duration::from_millis(u64::from(n) * 5);
        let kind = Kind::ALL[n as usize % Kind::ALL.len()];
        let mut bytes = vec![kind as u8; 28 + rng.index(300)];
        rng.fill(&mut bytes[1..]);
        scene.fleet.world.inject(at, server, lamp, &bytes);
        scene.fleet.world.inject(at, lamp, server, &bytes);
        scene.fleet.world.inject(at, server, sa("198.51.100.1:4600"), &bytes);
    }
    scene.fleet.world.run_for(Duration::from_secs(60));
    scene.fleet.say(scene.phone, connection, b"still here").unwrap();
    scene.fleet.world.run_for(HOP * 2);
    assert_eq!(scene.fleet.heard(scene.lamp), [b"still here"]);
    assert_eq!(scene.server().registered(), 1);
    assert_eq!(scene.server().location(&scene.fleet.id(scene.lamp)), Some(lamp));
    scene.assert_at_rest();
}

#[test]
fn t31_a_forged_reset_costs_one_connection_and_not_the_registration() {
    let mut scene = Setup::default().registered();
    let connection = scene.connect();
    let (phone, lamp) = (scene.phone, scene.lamp);
    scene.fleet.world.with(phone, |machine: &mut FleetIssuer, io| {
        for stream in io.streams() {
            machine.handle_stream_state(io.now(), stream, StreamState::Closed);
        }
    });
    let closed = IssuerEvent::Closed { connection, cause: CloseCause::PathLost };
    assert!(scene.phone_events().contains(&closed), "the application is told at once");
    scene.fleet.world.with(lamp, |machine: &mut FleetAcceptor, io| {
        for stream in io.streams() {
            machine.handle_stream_state(io.now(), stream, StreamState::Closed);
        }
    });
    assert_eq!(scene.server().registered(), 1);
    scene.connect();
    scene.assert_at_rest();
}

#[test]
fn t32_garbage_neither_advances_nor_ends_anything() {
    let mut scene = Setup::default().registered();
    let connection = scene.connect();
    let transport = scene
        .fleet
        .world
        .transcript()
        .entries()
        .filter(|entry| matches!(entry.kind, Some(Kind::Transport | Kind::ServerTransport)));
    let captured: Vec<_> =
        transport.map(|e| (e.source, e.destination, e.message().to_vec())).collect();
    let mut at = scene.fleet.world.now();
    for (source, to, message) in captured {
        for counter in [1u64, 100, 1 << 20, (1 << 48) - 1, u64::MAX] {
            let mut forged = message.clone();
            forged[6..14].copy_from_slice(&counter.to_be_bytes());
            at += Duration::from_millis(40);
            scene.fleet.world.inject(at, source, to, &forged);
        }
    }
    scene.fleet.world.run_until(at + Duration::from_secs(60));
    scene.fleet.say(scene.phone, connection, b"on").unwrap();
    scene.fleet.world.run_for(HOP * 2);
    assert_eq!(scene.fleet.heard(scene.lamp), [b"on"]);
    let lost = scene.lamp_events().contains(&AcceptorEvent::RegistrationLost);
    assert!(!lost, "{}", scene.fleet.story());
    scene.connect();
}
