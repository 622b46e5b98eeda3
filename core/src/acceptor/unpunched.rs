//! Equipment built without hole punching, before a server that measures and punches.

extern crate std;

use core::net::SocketAddr;
use core::time::Duration;
use std::vec;
use std::vec::Vec;

use super::*;
use crate::acceptor::{Acceptor, AcceptorConfig, AcceptorEvent};
use crate::crypto::keys::Direction;
use crate::machine::{Command, Machine, StreamState};
use crate::nat::Forecast;
use crate::punch::{Bracket, Burst};
use crate::session::Session;
use crate::wire::certificate::{Certificate, MAX_CERTIFICATE, Subject, authority_public};
use crate::wire::message::{Call, Measure, capability};
use crate::wire::{KEEPALIVE_LEN, PUNCH_LEN};
use crate::{
    Anchors, ClientSlot, Entropy, EntropyError, Identity, Issuer, IssuerConfig, IssuerEvent,
    IssuerSlot, RequestSlot, Server, ServerAddress, ServerConfig, StaticKey, StreamId, StreamSlot,
    Target,
};

const WALL: u64 = 1_767_225_600;

struct Noise(u64);

impl Entropy for Noise {
    fn fill(&mut self, dest: &mut [u8]) -> Result<(), EntropyError> {
        for byte in dest {
            self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            *byte = (self.0 >> 56) as u8;
        }
        Ok(())
    }
}

type Lamp = Acceptor<[ConnectionSlot; 1], Noise>;
type Phone = Issuer<[IssuerSlot; 1], Noise>;
type Desk = Server<[ClientSlot; 4], [RequestSlot; 4], [StreamSlot; 4], Noise>;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn server_at() -> SocketAddr {
    at("203.0.113.1:3478")
}

fn lamp_at() -> SocketAddr {
    at("198.51.100.2:40000")
}

fn phone_at() -> SocketAddr {
    at("192.0.2.50:50000")
}

fn desk(now: Instant) -> Desk {
    let key = StaticKey::from_secret([1; 32]);
    let subject = Subject {
        server_key: *key.public(),
        serial: 1,
        not_before: WALL - 86_400,
        not_after: WALL + 86_400,
        names: "server.example",
    };
    let mut certificate = [0; MAX_CERTIFICATE];
    let len = Certificate::issue(&[9; 32], &subject, &mut certificate).unwrap();
    let stored = heapless::Vec::from_slice(&certificate[..len]).unwrap();
    let mut config = ServerConfig::new(key, stored);
    config.wall_clock = WALL;
    config.other_port = Some(3_479);
    let clients = [ClientSlot::EMPTY; 4];
    let requests = [const { RequestSlot::EMPTY }; 4];
    Server::new(now, config, clients, requests, [const { StreamSlot::EMPTY }; 4], Noise(1)).unwrap()
}

/// The three, with nothing between them.
struct World {
    now: Instant,
    desk: Desk,
    lamp: Lamp,
    phone: Phone,
    /// The dial-back: the lamp's name for it and the phone's.
    line: Option<(StreamId, StreamId)>,
    connected: Vec<Path>,
    said: u32,
}

impl World {
    fn new() -> Self {
        let now = Instant::from_millis(1_000_000);
        let who = |secret| Identity { key: StaticKey::from_secret([secret; 32]), boots: 0 };
        let mut anchors = Anchors { floor: WALL, ..Anchors::default() };
        anchors.authorities.push(authority_public(&[9; 32])).unwrap();
        let server = ServerAddress::both(server_at());
        let mut config = AcceptorConfig::new(who(2), server, anchors.clone());
        config.admission.open = true;
        config.spread = Duration::ZERO;
        config.lifetime = true;
        assert!(config.punch.is_some(), "it may be asked for, in vain");
        let lamp = Acceptor::new(now, config, [ConnectionSlot::EMPTY], Noise(2));
        let config = IssuerConfig::new(who(3), server, anchors);
        let phone = Issuer::new(now, config, [IssuerSlot::EMPTY], Noise(3));
        Self { now, desk: desk(now), lamp, phone, line: None, connected: Vec::new(), said: 0 }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now.after(time);
        while self.now < end {
            self.lamp.handle_timeout(self.now);
            self.phone.handle_timeout(self.now);
            self.desk.handle_timeout(self.now);
            (0..6).for_each(|_| self.exchange());
            self.now = self.now.after(Duration::from_millis(10));
        }
    }

    fn exchange(&mut self) {
        let Self { now, desk, lamp, phone, line, connected, .. } = self;
        let (now, main) = (*now, SocketId::MAIN);
        while let Some(command) = lamp.poll_command() {
            match command {
                Command::Connect { stream, remote } if remote.ip() == phone_at().ip() => {
                    let theirs = phone.handle_accept(now, SocketId::LISTENER, lamp_at());
                    *line = theirs.map(|theirs| (stream, theirs));
                    lamp.handle_stream_state(now, stream, StreamState::Connected);
                }
                Command::Shutdown { .. } => {}
                other => panic!("it wants {other:?}"),
            }
        }
        while let Some(command) = phone.poll_command() {
            match command {
                Command::Listen { socket } => phone.handle_bound(now, socket, Some(phone_at())),
                Command::Unlisten { .. } | Command::Shutdown { .. } => {}
                other => panic!("it wants {other:?}"),
            }
        }
        for (from, to, mut bytes) in drain(lamp, now, lamp_at()) {
            assert_eq!(to, server_at());
            desk.handle_datagram(now, main, from, &mut bytes);
        }
        for (from, to, mut bytes) in drain(phone, now, phone_at()) {
            assert_eq!(to, server_at());
            desk.handle_datagram(now, main, from, &mut bytes);
        }
        for (from, to, mut bytes) in drain(desk, now, server_at()) {
            match to {
                to if to == lamp_at() => lamp.handle_datagram(now, main, from, &mut bytes),
                _ => phone.handle_datagram(now, main, from, &mut bytes),
            };
        }
        if let Some((ours, theirs)) = *line {
            for mut bytes in frames(lamp, now, ours) {
                phone.handle_stream(now, theirs, &mut bytes);
            }
            for mut bytes in frames(phone, now, theirs) {
                lamp.handle_stream(now, ours, &mut bytes);
            }
        }
        while let Some(event) = lamp.poll_event() {
            if let AcceptorEvent::Connected { path, .. } = event {
                connected.push(path);
            }
        }
        while let Some(event) = phone.poll_event() {
            if let IssuerEvent::Connected { path, .. } = event {
                connected.push(path);
            }
        }
        while desk.poll_event().is_some() {}
    }

    /// The server says this to the lamp, whatever the lamp has told it.
    fn tell(&mut self, body: &ToEquipment<'_>) -> Received<'static> {
        let link = &self.lamp.state.datagram;
        let root = link.session.as_ref().unwrap().root().clone();
        let mut session = Session::new(self.now, root, Direction::Down, link.index());
        // Later than all that the server has said itself.
        self.said += 1;
        (0..40 + self.said).for_each(|_| {
            session.next_counter();
        });
        let mut bytes = vec![0; crate::acceptor::transport_len(body)];
        let end = bytes.len() - crate::wire::TAG_LEN;
        let place = &mut bytes[crate::wire::TRANSPORT_HEADER..end];
        crate::wire::codec::write_body(body, place).unwrap();
        session.seal(self.now, Kind::ServerTransport, &mut bytes);
        self.hear(&mut bytes)
    }

    fn hear(&mut self, bytes: &mut [u8]) -> Received<'static> {
        match self.lamp.handle_datagram(self.now, SocketId::MAIN, server_at(), bytes) {
            Received::Discarded(reason) => Received::Discarded(reason),
            _ => Received::Control,
        }
    }
}

fn drain<M: Machine>(
    machine: &mut M,
    now: Instant,
    from: SocketAddr,
) -> Vec<(SocketAddr, SocketAddr, Vec<u8>)> {
    let mut sent = Vec::new();
    while let Some(mut transmit) = machine.poll_transmit(now) {
        assert_eq!(transmit.socket(), SocketId::MAIN);
        let mut bytes = vec![0; transmit.len()];
        transmit.encode(&mut bytes).unwrap();
        sent.push((from, transmit.remote(), bytes));
        transmit.commit();
    }
    sent
}

fn frames<M: Machine>(machine: &mut M, now: Instant, stream: StreamId) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(mut frame) = machine.poll_frame(now, stream) {
        let mut bytes = vec![0; frame.len()];
        frame.encode(&mut bytes).unwrap();
        frame.commit();
        all.push(bytes);
    }
    all
}

#[test]
fn it_registers_is_asked_for_and_dials_back() {
    let mut world = World::new();
    world.run(Duration::from_secs(1));
    assert_eq!(world.desk.registered(), 1);
    world.phone.request(world.now, &Target::new(world.lamp.id())).unwrap();
    world.run(Duration::from_secs(2));
    assert!(matches!(world.connected[..], [Path::Stream { .. }, Path::Stream { .. }]));
    world.run(Duration::from_secs(60));
    assert_eq!(world.desk.registered(), 1);
}

#[test]
fn it_tells_the_server_that_it_cannot_and_takes_no_part_in_punching() {
    let mut world = World::new();
    world.run(Duration::from_secs(1));
    let bits = capability::PUNCH | capability::CALL;
    assert_eq!(bits & capabilities(&world.lamp), 0);
    let measure = Measure { other_port: 3_479, other_address: None, now: true };
    let burst = Burst::from_fresh(0, 2, 50_000, Bracket::FreshSockets);
    let search = Burst::from_registered(0, Forecast::Between { low: 5_000, high: 6_000 }, 100);
    let punch = |burst| ToEquipment::Punch(Punch { request: 1, peer: phone_at().into(), burst });
    let before = world.lamp.counters().discarded(Discard::Malformed);
    let call = ToEquipment::Call(Call { request: 1, peer: None });
    for body in [ToEquipment::Measure(measure), punch(burst), punch(search), call] {
        assert_eq!(world.tell(&body), Received::Discarded(Discard::Malformed), "{body:?}");
    }
    assert_eq!(world.lamp.counters().discarded(Discard::Malformed), before + 4);
    for (kind, len) in [(Kind::IssuerPunch, PUNCH_LEN), (Kind::FilterProbe, KEEPALIVE_LEN)] {
        let mut bytes = vec![0; len];
        bytes[0] = kind as u8;
        assert!(matches!(world.hear(&mut bytes), Received::Discarded(_)), "{kind:?}");
    }
    // What a box leases is not worth a word.
    world.lamp.set_leased(world.now, Some(40_001));
    assert!(world.lamp.poll_command().is_none());
    assert!(drain(&mut world.lamp, world.now, lamp_at()).is_empty());
}

#[test]
fn a_slot_is_no_larger_for_a_way_that_there_never_is() {
    assert_eq!((size_of::<hole::Way>(), size_of::<hole::Calling>()), (0, 0));
}

fn capabilities(lamp: &Lamp) -> u32 {
    match lamp.state.register() {
        crate::wire::message::ToServer::Register(register) => register.capabilities,
        _ => 0,
    }
}
