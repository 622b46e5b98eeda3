//! What has happened to others, each as a test of its own. Most of these products were broken into
//! or fell over in the field; the name says which it was.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::wire::message::{Role, ToServer};
use genkan_core::wire::{Kind, OFFER_LEN};
use genkan_core::{
    Command, Discard, IssuerEvent, MAX_DATAGRAM, MAX_FRAME, Machine, Received, SocketId,
    StreamState, Target,
};
use genkan_sim::fleet::FleetAcceptor;
use genkan_sim::{Death, Rng, Verdict, Via};
use genkan_tests::appliance::Appliance;
use genkan_tests::evil::{Desk, Evil, garbage, plain_offer, sa};
use genkan_tests::scene::{Door, HOP, PASSWORD, PATIENCE, Setup};

/// CVE-2021-28372 (ThroughTek Kalay): whoever knew an id could register it, and clients then handed
/// their credentials to the thief. The takeover is refused in threats_registration.rs (T1); here the
/// second half: an issuer gives its password to nobody who does not hold the appliance's key.
#[test]
fn kalay_an_issuer_sends_its_password_to_no_impostor() {
    let mut scene = Setup::default().scene();
    scene.fleet.world.kill(scene.lamp, Death::Silent);
    // The impostor answers at the appliance's address and under its request, with another key.
    let impostor = scene.fleet.acceptor("impostor", |config| {
        config.spread = Duration::ZERO;
        config.admission.open = true;
    });
    assert!(scene.fleet.wait_registered(impostor, Duration::from_secs(5)));
    let target = Target { password: Some(PASSWORD), ..Target::new(scene.fleet.id(impostor)) };
    let sealed_for_lamp = scene.target();
    let request = scene.fleet.request_target(scene.phone, &sealed_for_lamp);
    let outcome = scene.fleet.wait_outcome(scene.phone, request, PATIENCE);
    assert!(matches!(outcome, Some(IssuerEvent::Refused { .. })), "{outcome:?}");
    let request = scene.fleet.request_target(scene.phone, &target);
    assert!(scene.fleet.wait_connected(scene.phone, request, PATIENCE));
    for entry in scene.fleet.world.transcript().entries() {
        assert!(!entry.bytes.windows(8).any(|window| window == &PASSWORD[..8]), "{entry}");
    }
}

/// CVE-2021-32934 and CVE-2023-6321 (ThroughTek): fixed keys, and keys that could be inferred from
/// public data. Two runs that differ in their randomness alone have no sealed byte in common.
#[test]
fn throughtek_no_message_is_sealed_under_a_key_that_is_the_same_everywhere() {
    let sealed = |seed| {
        let mut scene = Setup { seed, door: Door::Open, ..Setup::default() }.registered();
        scene.connect();
        let entries = scene.fleet.world.transcript().entries();
        let sealed = entries.filter(|e| matches!(e.kind, Some(Kind::Transport | Kind::Answer)));
        sealed.map(|e| e.message()[14..].to_vec()).collect::<Vec<_>>()
    };
    let (one, two) = (sealed(1), sealed(2));
    assert!(one.len() >= 3);
    for (a, b) in one.iter().zip(&two) {
        assert!(a.windows(6).all(|window| !b.windows(6).any(|other| other == window)));
    }
}

/// CVE-2019-11219 (iLnkP2P) and CVE-2020-9525 (CS2): ids could be counted through. Ours are public
/// keys; a text form that was mistyped, or made up, is none.
#[test]
fn ilnk_ids_cannot_be_counted_through() {
    let id = Evil::new(2, &[1; 32]).id().to_string();
    for at in 3..id.len() {
        let mut next = id.clone().into_bytes();
        next[at] = if next[at] == b'q' { b'p' } else { b'q' };
        assert!(String::from_utf8(next).unwrap().parse::<genkan_core::EquipmentId>().is_err());
    }
}

/// coturn CVE-2020-26262, CVE-2026-27624 and #1945: the address filter was walked around by other
/// spellings, three times. The server's own spelling of what it observed is canonical.
#[test]
fn coturn_an_observed_address_has_one_spelling() {
    let mut desk = Desk::default();
    let mut evil = Evil::new(3, desk.key.public());
    let (mapped, plain) = (sa("[::ffff:192.0.2.50]:5000"), sa("192.0.2.50:5000"));
    let hello = evil.hello(Role::Acceptor);
    let (_, sent) = desk.tell(mapped, &hello);
    assert_eq!(sent[0].0, plain);
    assert_eq!(evil.finish(&sent[0].1).observed, plain.into());
    // The next message over the other family's socket is from the same address, not a new one.
    let confirm = evil.transport(&ToServer::Confirm);
    assert_eq!(desk.tell(plain, &confirm).0, Received::Control);
}

/// CVE-2024-2169 (Loop DoS): two servers that answer each other's errors. See T10; here with
/// everything that two servers have to say.
#[test]
fn loop_dos_what_a_server_says_is_no_question_to_another() {
    let mut desk = Desk::default();
    let mut other = Desk::restarted();
    let mut rng = Rng::new(1);
    for _ in 0..2_000 {
        let question = garbage(&mut rng, 250);
        for (_, answer) in desk.tell(sa("203.0.113.2:4600"), &question).1 {
            assert_eq!(other.tell(sa("203.0.113.1:4600"), &answer).1, vec![]);
        }
    }
}

/// CVE-2024-3297 (Matter): a replayed first message left a device's only slot half open until its
/// power was cut.
#[test]
fn matter_replayed_requests_leave_no_slot_half_open() {
    let mut lamp = Appliance::new(|config| config.admission.open = true);
    let issuer = Evil::new(3, &[1; 32]);
    let sealed = issuer.offer(&lamp.lamp.id(), &plain_offer(None), 1);
    let address = sa("192.0.2.50:50000");
    assert!(lamp.notify(1, address, &sealed).dialled.is_some());
    for number in 2..40 {
        assert_eq!(lamp.notify(number, address, &sealed).dialled, None, "a replay");
    }
    lamp.pass(Duration::from_secs(16));
    for n in 2..4u8 {
        let fresh: [u8; OFFER_LEN] = issuer.offer(&lamp.lamp.id(), &plain_offer(None), n);
        let reaction = lamp.notify(100 + u32::from(n), address, &fresh);
        assert!(reaction.dialled.is_some(), "both slots are free again");
    }
}

/// RUSTSEC-2024-0011 (snow): a message that failed to open still advanced the nonce.
#[test]
fn snow_a_message_that_fails_to_open_uses_nothing_up() {
    let mut desk = Desk::default();
    let mut evil = Evil::new(3, desk.key.public());
    let from = sa("192.0.2.50:5000");
    desk.admit(&mut evil, Role::Acceptor, from);
    let good = evil.transport(&ToServer::Confirm);
    for at in 14..good.len() {
        let mut wrong = good.clone();
        wrong[at] ^= 1;
        assert!(matches!(desk.tell(from, &wrong).0, Received::Discarded(_)), "byte {at}");
    }
    assert_eq!(desk.tell(from, &good).0, Received::Control);
}

/// RUSTSEC-2024-0336 (rustls): a close in the middle of the handshake span for ever. The machines
/// are closed at every step of every stream here; the clock must go on.
#[test]
fn rustls_a_close_during_any_handshake_ends() {
    for setup in [Setup::all()[2], Setup::all()[3], Setup::all()[4]] {
        for nth in 0..40u64 {
            let mut scene = setup.scene();
            let mut count = 0;
            let mut victim = None;
            scene.fleet.world.hook(move |packet| match packet.via {
                Via::Tcp(id) => {
                    count += 1;
                    if count == nth + 1 {
                        victim = Some(id);
                    }
                    // From here on nothing of this connection arrives any more.
                    if victim == Some(id) { Verdict::Drop } else { Verdict::Pass }
                }
                _ => Verdict::Pass,
            });
            scene.fleet.wait_registered(scene.lamp, Duration::from_secs(30));
            let request = scene.ask();
            assert!(scene.fleet.wait_outcome(scene.phone, request, PATIENCE).is_some());
            scene.fleet.world.unhook();
            scene.fleet.world.run_for(Duration::from_secs(40));
            scene.connect();
        }
    }
}

/// CVE-2022-23492 (libp2p), RUSTSEC-2026-0154 (russh), the HTTP/2 CONTINUATION flood: lengths were
/// believed before memory was given. A frame's length is checked before anything is waited for.
#[test]
fn continuation_flood_an_impossible_length_closes_the_stream_at_once() {
    for len in [0, MAX_DATAGRAM + 1, 0x7fff, 0xffff] {
        let mut desk = Desk::default();
        let from = sa("192.0.2.1:5000");
        let stream = desk.server.handle_accept(desk.now, SocketId::LISTENER, from).unwrap();
        let mut bytes = (len as u16).to_be_bytes().to_vec();
        let input = desk.server.handle_stream(desk.now, stream, &mut bytes);
        assert_eq!(input.received, Received::Discarded(Discard::Malformed));
        assert_eq!(desk.server.poll_command(), Some(Command::Shutdown { stream }));
    }
    const { assert!(MAX_FRAME < 1_280) };
}

/// CVE-2026-34219 (libp2p-gossipsub): `Instant + Duration` overflowed and panicked on a value from
/// the wire. The values that a server may advise are bounded; its largest make no trouble.
#[test]
fn gossipsub_advice_at_its_largest_overflows_nothing() {
    use genkan_core::wire::message::{Registered, ToEquipment};
    for (interval, register_every, longest) in
        [(0, 0, 5), (1, 255, 5), (u16::MAX, 1, 1_800), (u16::MAX, 255, 1_800)]
    {
        let mut lamp = Appliance::at(genkan_core::Instant::from_micros(u64::MAX / 2), |_| ());
        let observed = sa("198.51.100.2:4600");
        // One after another, since each draws by how much the next keepalive comes early.
        for _ in 0..20 {
            lamp.tell(&ToEquipment::Registered(Registered {
                observed: observed.into(),
                interval,
                register_every,
            }));
            let wait = lamp.lamp.poll_timeout().unwrap().at.since(lamp.now);
            let longest = Duration::from_secs(longest);
            assert!(wait <= longest && wait >= longest * 4 / 5, "{interval} s: {wait:?}");
        }
        lamp.pass(Duration::from_secs(4_000));
    }
}

/// RUSTSEC-2026-0185 (quinn): reassembly of what arrived out of order grew without bound. Ours has
/// no reassembly: a counter far ahead is taken and remembered in a window of fixed size.
#[test]
fn quinn_counters_far_ahead_cost_no_memory() {
    let mut desk = Desk::default();
    let mut evil = Evil::new(3, desk.key.public());
    let from = sa("192.0.2.50:5000");
    desk.admit(&mut evil, Role::Acceptor, from);
    for counter in [1u64 << 10, 1 << 30, (1 << 48) - 2, (1 << 48) - 1] {
        evil.counter = counter;
        let message = evil.transport(&ToServer::Confirm);
        assert_eq!(desk.tell(from, &message).0, Received::Control);
        evil.counter = counter;
        let again = evil.transport(&ToServer::Confirm);
        assert_eq!(desk.tell(from, &again).0, Received::Discarded(Discard::Replayed));
    }
    evil.counter = 1 << 48;
    let beyond = evil.transport(&ToServer::Confirm);
    assert!(matches!(desk.tell(from, &beyond).0, Received::Discarded(_)));
}

/// Netgear and the University of Wisconsin, 2003: 700,000 devices asked once a second, for ever.
#[test]
fn netgear_a_refusing_network_is_not_hammered() {
    let mut scene = Setup::default().scene();
    let server = scene.fleet.server;
    scene.fleet.world.kill(server, Death::WithReset);
    scene.fleet.world.run_for(Duration::from_secs(3_600));
    let from = |scene: &genkan_tests::scene::Scene| {
        let entries = scene.fleet.world.transcript().entries();
        entries.filter(|e| e.from == "lamp" && e.at > Duration::from_secs(1_800)).count()
    };
    let sent = from(&scene);
    assert!(sent < 120, "{sent} packets in half an hour");
}

/// A phone that dials a dead appliance, an appliance whose phone is gone: the half that is left ends
/// by itself (the general form of every half-open story).
#[test]
fn an_end_whose_peer_vanished_ends_within_a_minute() {
    for phone_dies in [true, false] {
        let mut scene = Setup { door: Door::Open, ..Setup::default() }.registered();
        let connection = scene.connect();
        let victim = if phone_dies { scene.phone } else { scene.lamp };
        scene.fleet.world.kill(victim, Death::Silent);
        scene.fleet.world.run_for(Duration::from_secs(60));
        if phone_dies {
            let lamp: &FleetAcceptor = scene.fleet.world.machine(scene.lamp);
            assert_eq!(lamp.connection(connection), None);
        } else {
            let ended = |e: &IssuerEvent| matches!(e, IssuerEvent::Closed { .. });
            assert!(scene.phone_events().iter().any(ended));
        }
    }
}

/// RUSTSEC-2023-0063 (quinn): a kind that nobody had sent before made it panic. Every byte is tried
/// as a kind at every machine, in every length that a kind has.
#[test]
fn quinn_every_first_byte_in_every_length_is_survived() {
    let mut lamp = Appliance::default();
    let mut desk = Desk::default();
    for byte in 0..=255u8 {
        for len in (1..=MAX_DATAGRAM + 4).step_by(1 + usize::from(byte % 7)) {
            let mut bytes = vec![byte; len];
            desk.tell(SocketAddr::from(([192, 0, 2, byte], 5_000)), &bytes);
            assert!(matches!(lamp.hear(&mut bytes), Received::Discarded(_)));
        }
    }
    lamp.lamp.handle_stream_state(
        lamp.now,
        genkan_core::StreamId { index: 9, generation: 9 },
        StreamState::Connected,
    );
    lamp.pass(HOP);
}
