//! Whatever happens to any one message, a request succeeds or fails in bounded time, and nothing is
//! left half open.
//!
//! Each way through the protocol is run once undisturbed; then once for every packet of that run and
//! every kind of mishap, with the same seed, so that the mishap meets that very packet. After each
//! run the issuer must have been told one thing, a second request must succeed, and the three must
//! come to rest.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::cell::Cell;
use core::time::Duration;
use std::collections::BTreeMap;
use std::rc::Rc;

use genkan_core::wire::Kind;
use genkan_core::{Delivery, FRAME_PREFIX, IssuerEvent, MAX_FRAME, Machine, Received, SocketId};
use genkan_sim::fleet::FleetServer;
use genkan_sim::{Faults, Packet, Verdict, Via};
use genkan_tests::evil::{Desk, Evil, sa};
use genkan_tests::scene::{Door, PATIENCE, Scene, Setup};

/// What can befall a packet.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    Loss,
    LossOfThree,
    Duplicate,
    Late,
    VeryLate,
    Flip(usize),
    Short(usize),
}

const MISHAPS: [Mishap; 9] = [
    Mishap::Loss,
    Mishap::LossOfThree,
    Mishap::Duplicate,
    Mishap::Late,
    Mishap::VeryLate,
    Mishap::Flip(1),
    Mishap::Flip(20),
    Mishap::Short(1),
    Mishap::Short(30),
];

impl Mishap {
    fn meet(self, packet: &mut Packet, back: u64) -> Verdict {
        let hit = match self {
            Self::LossOfThree => back < 3,
            _ => back == 0,
        };
        let udp = packet.via == Via::Udp;
        match self {
            _ if !hit => Verdict::Pass,
            Self::Loss | Self::LossOfThree => Verdict::Drop,
            Self::Duplicate => Verdict::Duplicate(Duration::from_millis(70)),
            Self::Late => Verdict::Delay(Duration::from_millis(130)),
            Self::VeryLate => Verdict::Delay(Duration::from_millis(4_100)),
            // TCP does not garble and does not shorten; whoever could, could also cut the line.
            Self::Flip(_) | Self::Short(_) if !udp => Verdict::Drop,
            Self::Flip(at) => {
                let at = at % packet.bytes.len();
                packet.bytes[at] ^= 0x10;
                Verdict::Pass
            }
            Self::Short(by) => {
                let left = packet.bytes.len().saturating_sub(by);
                packet.bytes.truncate(left);
                Verdict::Pass
            }
        }
    }
}

/// From power-on to a connection that has carried data and was closed; the number of packets.
fn undisturbed(setup: Setup) -> u64 {
    let mut scene = setup.scene();
    let count = Rc::new(Cell::new(0));
    let counter = Rc::clone(&count);
    scene.fleet.world.hook(move |packet| {
        counter.set(packet.number + 1);
        Verdict::Pass
    });
    live(&mut scene);
    count.get()
}

/// The life that is disturbed. Returns what the issuer was told of its first request.
fn live(scene: &mut Scene) -> IssuerEvent {
    scene.fleet.wait_registered(scene.lamp, Duration::from_secs(30));
    let request = scene.ask();
    let outcome = scene.fleet.wait_outcome(scene.phone, request, PATIENCE);
    let outcome = outcome.unwrap_or_else(|| panic!("no word\n{}", scene.fleet.story()));
    scene.fleet.world.run_for(Duration::from_millis(100));
    let _ = scene.fleet.say(scene.phone, request, b"hello");
    scene.fleet.world.run_for(Duration::from_millis(500));
    outcome
}

fn every_packet_meets(setup: Setup) {
    let packets = undisturbed(setup);
    assert!((8..60).contains(&packets), "{packets} packets");
    let mut outcomes = BTreeMap::<String, u32>::new();
    for number in 0..packets {
        for mishap in MISHAPS {
            let mut scene = setup.scene();
            scene.fleet.world.hook(move |packet| match packet.number.checked_sub(number) {
                Some(back) => mishap.meet(packet, back),
                None => Verdict::Pass,
            });
            let outcome = format!("{:?}", live(&mut scene));
            let word = outcome.split([' ', '{']).next().unwrap_or_default().to_owned();
            *outcomes.entry(word).or_default() += 1;
            scene.fleet.world.unhook();
            again(&mut scene, &format!("{setup:?}: packet {number}, {mishap:?}"));
        }
    }
    let connected = outcomes.get("Connected").copied().unwrap_or_default();
    let all: u32 = outcomes.values().sum();
    assert!(connected * 100 >= all * 80, "{outcomes:?}");
}

/// Thirty seconds later everything is as if nothing had happened.
fn again(scene: &mut Scene, what: &str) {
    scene.fleet.world.run_for(Duration::from_secs(30));
    let registered = scene.server().registered();
    assert!(registered == 1, "{what}: not registered\n{}", scene.fleet.story());
    let request = scene.ask();
    let outcome = scene.fleet.wait_outcome(scene.phone, request, PATIENCE);
    let connected = matches!(outcome, Some(IssuerEvent::Connected { .. }));
    assert!(connected, "{what}: then {outcome:?}\n{}", scene.fleet.story());
    scene.assert_at_rest();
}

#[test]
fn a_request_by_datagrams_survives_every_mishap() {
    every_packet_meets(Setup::all()[0]);
}

#[test]
fn a_paired_request_without_a_clock_survives_every_mishap() {
    every_packet_meets(Setup::all()[1]);
}

#[test]
fn a_woken_appliance_survives_every_mishap() {
    every_packet_meets(Setup::all()[2]);
}

#[test]
fn a_request_over_tcp_survives_every_mishap() {
    every_packet_meets(Setup::all()[3]);
}

#[test]
fn a_request_over_tcp_to_a_woken_appliance_survives_every_mishap() {
    every_packet_meets(Setup::all()[4]);
}

#[test]
fn every_changed_byte_of_every_kind_of_datagram_is_survived() {
    for setup in [Setup::all()[0], Setup::all()[1]] {
        let mut scene = setup.scene();
        live(&mut scene);
        let mut firsts = BTreeMap::new();
        for (number, entry) in scene.fleet.world.transcript().entries().enumerate() {
            if let (Via::Udp, Some(kind)) = (entry.via, entry.kind) {
                firsts.entry(kind as u8).or_insert((number as u64, entry.bytes.len()));
            }
        }
        assert!(firsts.len() >= 6, "{firsts:?}");
        for (number, len) in firsts.into_values() {
            for at in 0..len {
                let mut scene = setup.scene();
                scene.fleet.world.hook(move |packet| {
                    if packet.number == number {
                        packet.bytes[at] ^= 1 << (at % 8);
                    }
                    Verdict::Pass
                });
                let outcome = live(&mut scene);
                let connected = matches!(outcome, IssuerEvent::Connected { .. });
                assert!(connected, "packet {number}, byte {at}\n{}", scene.fleet.story());
            }
        }
    }
}

#[test]
fn every_changed_byte_of_every_frame_ends_in_bounded_time() {
    for setup in [Setup::all()[2], Setup::all()[4]] {
        let mut scene = setup.scene();
        live(&mut scene);
        let entries = scene.fleet.world.transcript().entries().enumerate();
        let frames = entries.filter(|(_, entry)| matches!(entry.via, Via::Tcp(_)));
        let frames: Vec<_> = frames.map(|(n, entry)| (n as u64, entry.bytes.len())).collect();
        assert!(frames.len() >= 6);
        for (number, len) in frames {
            for at in (0..len).step_by(1 + len / 40) {
                let mut scene = setup.scene();
                scene.fleet.world.hook(move |packet| {
                    if packet.number == number {
                        packet.bytes[at] ^= 0x20;
                    }
                    Verdict::Pass
                });
                live(&mut scene);
                again(&mut scene, &format!("frame {number}, byte {at}"));
            }
        }
    }
}

/// The frames of an issuer's stream to a server, and the server that they are for.
fn stream_of_frames() -> (Vec<u8>, Desk) {
    let desk = Desk::default();
    let mut request = vec![Kind::CertificateRequest as u8, 0];
    request.resize(210, 7);
    request[10..].fill(0);
    let mut evil = Evil::new(3, desk.key.public());
    let hello = evil.hello(genkan_core::wire::message::Role::Issuer);
    let frames = [request, hello]
        .into_iter()
        .flat_map(|message| [&(message.len() as u16).to_be_bytes()[..], &message].concat());
    (frames.collect(), desk)
}

/// Feeds a stream in pieces as a caller does; how many bytes were consumed, and what came back.
fn feed(desk: &mut Desk, pieces: &[&[u8]]) -> (usize, Vec<Vec<u8>>) {
    let (mut held, mut consumed, mut out) = (Vec::new(), 0, Vec::new());
    let from = sa("192.0.2.1:5000");
    let stream = desk.server.handle_accept(desk.now, SocketId::LISTENER, from).unwrap();
    for piece in pieces {
        held.extend_from_slice(piece);
        assert!(held.len() <= MAX_FRAME * 2);
        loop {
            let input = desk.server.handle_stream(desk.now, stream, &mut held);
            assert_eq!(input.received, Received::Control);
            let done = input.consumed;
            if done == 0 {
                break;
            }
            consumed += done;
            held.drain(..done);
        }
        while let Some(mut frame) = desk.server.poll_frame(desk.now, stream) {
            let mut bytes = vec![0; frame.len()];
            frame.encode(&mut bytes).unwrap();
            out.push(bytes);
            frame.commit();
        }
    }
    (consumed, out)
}

#[test]
fn every_prefix_and_every_split_of_a_stream_gives_the_same() {
    let (bytes, mut desk) = stream_of_frames();
    let (consumed, whole) = feed(&mut desk, &[&bytes]);
    assert_eq!((consumed, whole.len()), (bytes.len(), 2));
    let lengths = |out: &[Vec<u8>]| out.iter().map(Vec::len).collect::<Vec<_>>();
    for at in 0..=bytes.len() {
        let (_, mut desk) = stream_of_frames();
        let (consumed, out) = feed(&mut desk, &[&bytes[..at], &bytes[at..]]);
        assert_eq!((consumed, lengths(&out)), (bytes.len(), lengths(&whole)), "split at {at}");
        // A prefix gives the frames that are complete in it; the end of the stream frees the slot.
        let (_, mut desk) = stream_of_frames();
        let (consumed, out) = feed(&mut desk, &[&bytes[..at]]);
        let complete = usize::from(at >= 212) + usize::from(at >= bytes.len());
        assert_eq!(out.len(), complete, "prefix {at}");
        assert!(consumed <= at);
        let stream = genkan_core::StreamId { index: 0, generation: 0 };
        let closed = genkan_core::StreamState::Closed;
        desk.server.handle_stream_state(desk.now, stream, closed);
        desk.pass(Duration::from_secs(10));
        assert_eq!((desk.server.clients(), desk.server.poll_timeout()), (0, None), "prefix {at}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    let (_, mut desk) = stream_of_frames();
    assert_eq!(lengths(&feed(&mut desk, &single).1), lengths(&whole));
}

#[test]
fn a_connection_that_ends_at_any_byte_leaves_nothing_behind() {
    for setup in [Setup::all()[2], Setup { door: Door::Paired, ..Setup::all()[4] }] {
        let mut scene = setup.scene();
        live(&mut scene);
        let entries = scene.fleet.world.transcript().entries().enumerate();
        let frames = entries.filter(|(_, entry)| matches!(entry.via, Via::Tcp(_)));
        let frames: Vec<_> = frames.map(|(n, entry)| (n as u64, entry.bytes.len())).collect();
        for (number, len) in frames {
            for keep in [0, 1, FRAME_PREFIX, FRAME_PREFIX + 1, len / 2, len - 1] {
                let mut scene = setup.scene();
                // The frame is cut short and whatever follows is never sent: all that is left of
                // the connection then is its end.
                let victim = Rc::new(Cell::new(None));
                scene.fleet.world.hook(move |packet| match packet.via {
                    Via::Tcp(id) if packet.number == number => {
                        victim.set(Some(id));
                        packet.bytes.truncate(keep);
                        if keep == 0 { Verdict::Drop } else { Verdict::Pass }
                    }
                    Via::Tcp(id) if victim.get() == Some(id) => Verdict::Drop,
                    _ => Verdict::Pass,
                });
                live(&mut scene);
                again(&mut scene, &format!("frame {number} cut to {keep}"));
            }
        }
    }
}

#[test]
fn a_server_keeps_to_its_tables_under_a_thousand_requests() {
    let setup = Setup { delivery: Delivery::Auto, door: Door::Paired, ..Setup::default() };
    let mut scene = setup.registered();
    let target = genkan_core::Target::new(scene.fleet.id(scene.lamp));
    for number in 0..40 {
        let guest = scene.fleet.issuer(&format!("guest{number}"), |_| ());
        for _ in 0..4 {
            scene.fleet.request_target(guest, &target);
        }
    }
    scene.connect();
    scene.fleet.world.run_for(Duration::from_secs(25));
    let server: &FleetServer = scene.fleet.world.machine(scene.fleet.server);
    assert_eq!(server.registered(), 1);
    scene.fleet.world.run_for(Duration::from_secs(150));
    scene.connect();
}

#[test]
fn on_a_hostile_line_every_request_gets_a_word_and_nothing_is_left_behind() {
    for seed in 0..60 {
        for setup in Setup::all() {
            let mut scene = Setup { seed, ..setup }.scene();
            for host in [scene.lamp, scene.phone] {
                scene.fleet.world.set_line(host, &Faults::hostile());
                scene.fleet.world.set_early_wakes(host, 0.2);
                scene.fleet.world.set_send_errors(host, 0.02);
            }
            scene.fleet.world.run_for(Duration::from_secs(20));
            for _ in 0..3 {
                live(&mut scene);
            }
            for host in [scene.lamp, scene.phone] {
                scene.fleet.world.set_line(host, &Faults::default());
                scene.fleet.world.set_send_errors(host, 0.0);
            }
            // What had failed before waits at most five minutes for its next attempt.
            scene.fleet.world.run_for(Duration::from_secs(300));
            again(&mut scene, &format!("seed {seed}, {setup:?}"));
        }
    }
}
