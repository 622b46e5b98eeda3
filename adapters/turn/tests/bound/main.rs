//! How much one turn takes in, and that the rest comes in later ones.
#![allow(clippy::unwrap_used, reason = "tests")]

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use genkan_core::wire::certificate::{Certificate, MAX_CERTIFICATE, Subject, authority_public};
use genkan_core::wire::{CERTIFICATE_REQUEST_LEN, Kind};
use genkan_core::{
    Acceptor, AcceptorConfig, AcceptorEvent, AcceptorSlot, AddressPolicy, Anchors, ClientSlot,
    Discard, Identity, Instant, Machine, RequestSlot, Server, ServerAddress, ServerConfig,
    ServerEvent, StaticKey, StreamSlot, StreamState,
};
use genkan_sim::SimEntropy;
use genkan_turn::{REQUESTS, TcpChange};

use rings::{Rings, Wire, turn};

mod rings;

type TestServer = Server<Vec<ClientSlot>, Vec<RequestSlot>, Vec<StreamSlot>, SimEntropy>;
type TestAcceptor = Acceptor<[AcceptorSlot; 1], SimEntropy>;

/// Seconds since 1970.
const WALL: u64 = 1_767_225_600;
const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(core::net::Ipv4Addr::LOCALHOST), 4_600);
/// Frames that a turn leaves in the stack.
const SEGMENT: usize = 32;

fn anchors() -> Anchors {
    let mut anchors = Anchors { floor: WALL, ..Anchors::default() };
    anchors.authorities.push(authority_public(&[9; 32])).unwrap();
    anchors
}

fn certificate() -> Vec<u8> {
    let subject = Subject {
        server_key: *StaticKey::from_secret([8; 32]).public(),
        serial: 1,
        not_before: WALL - 86_400,
        not_after: WALL + 86_400,
        names: "server.example",
    };
    let mut out = [0; MAX_CERTIFICATE];
    let length = Certificate::issue(&[9; 32], &subject, &mut out).unwrap();
    out[..length].to_vec()
}

fn server(now: Instant, clients: usize) -> TestServer {
    let key = StaticKey::from_secret([8; 32]);
    let mut config = ServerConfig::new(key, certificate()[..].try_into().unwrap());
    config.wall_clock = WALL;
    let clients = (0..clients).map(|_| ClientSlot::EMPTY).collect();
    let requests = (0..8).map(|_| RequestSlot::EMPTY).collect();
    let streams = (0..8).map(|_| StreamSlot::EMPTY).collect();
    Server::new(now, config, clients, requests, streams, SimEntropy::seeded(1)).unwrap()
}

fn acceptor(now: Instant, number: u8) -> TestAcceptor {
    let identity = Identity { key: StaticKey::from_secret([number; 32]), boots: 0 };
    let mut config = AcceptorConfig::new(identity, ServerAddress::both(SERVER), anchors());
    config.addresses = AddressPolicy { loopback: true, ..AddressPolicy::default() };
    (config.spread, config.wall_clock, config.punch) = (Duration::ZERO, Some(WALL), None);
    Acceptor::new(now, config, [AcceptorSlot::EMPTY], SimEntropy::seeded(number.into()))
}

/// A server, and acceptors that have registered over TCP: their datagrams are lost.
struct World {
    now: Instant,
    server: TestServer,
    rings: Rings,
    lamps: Vec<(TestAcceptor, Rings)>,
    /// Registrations that a lamp believes to have lost.
    lost: usize,
}

impl World {
    fn new(lamps: usize) -> Self {
        let now = Instant::from_millis(1_000);
        let rings = || Rings { wires: vec![Wire::default()], ..Rings::default() };
        let ends = (0..lamps).map(|index| (acceptor(now, index as u8 + 1), rings())).collect();
        let wires = (0..lamps).map(|_| Wire::default()).collect();
        let rings = Rings { wires, ..Rings::default() };
        let mut world = Self { now, server: server(now, 8), rings, lamps: ends, lost: 0 };
        for _ in 0..6_000 {
            world.pass();
        }
        assert_eq!(world.server.registered(), lamps as u32);
        world
    }

    /// Ten milliseconds.
    fn pass(&mut self) {
        self.now = self.now.after(Duration::from_millis(10));
        for (index, (lamp, rings)) in self.lamps.iter_mut().enumerate() {
            let mut watch = |_: Instant, _: &mut TestAcceptor, event: AcceptorEvent| {
                self.lost += usize::from(event == AcceptorEvent::RegistrationLost);
            };
            turn(lamp, rings, self.now, &mut watch);
            if let Some(id) = rings.wanted.take() {
                rings.wires[0].id = Some(id);
                rings.wires[0].news.push_back(TcpChange::State(id, StreamState::Connected));
                let remote = SocketAddr::new([192, 0, 2, index as u8 + 1].into(), 50_000);
                self.rings.wires[index].news.push_back(TcpChange::Caller(remote));
            }
            self.rings.wires[index].input.append(&mut rings.wires[0].output);
        }
        self.serve();
        for ((_, rings), wire) in self.lamps.iter_mut().zip(&mut self.rings.wires) {
            rings.wires[0].input.append(&mut wire.output);
        }
    }

    /// A turn of the server's; whether the next one is due at once.
    fn serve(&mut self) -> bool {
        let mut ignore = |_: Instant, _: &mut TestServer, _: ServerEvent| {};
        turn(&mut self.server, &mut self.rings, self.now, &mut ignore)
    }

    /// Frames that each want an answer come from this lamp, all at once.
    fn segment(&mut self, lamp: usize) {
        let (machine, rings) = &mut self.lamps[lamp];
        let id = rings.wires[0].id.unwrap();
        for number in 0..SEGMENT {
            machine.set_early_key(self.now, [number as u8; 16]);
            let mut frame = machine.poll_frame(self.now, id).unwrap();
            let mut bytes = vec![0; frame.len()];
            frame.encode(&mut bytes).unwrap();
            frame.commit();
            self.rings.wires[lamp].input.extend(bytes);
        }
        self.rings.wires[lamp].frames = 0;
    }

    /// Datagrams that each want an answer come, from so many hosts, so many from each.
    fn ask(&mut self, hosts: u8, each: usize) {
        let mut bytes = vec![0; CERTIFICATE_REQUEST_LEN];
        bytes[0] = Kind::CertificateRequest as u8;
        for host in 0..hosts {
            let remote = SocketAddr::new([198, 51, 100, host].into(), 7);
            self.rings.datagrams.extend((0..each).map(|_| (remote, bytes.clone())));
        }
        self.rings.sent.clear();
    }
}

#[test]
fn a_segment_of_requests_takes_turns_and_each_is_answered() {
    let mut world = World::new(1);
    world.segment(0);
    for turns in 1..=SEGMENT / usize::from(REQUESTS) {
        assert!(world.serve(), "the next turn is due at once");
        assert_eq!(world.rings.wires[0].frames, turns * usize::from(REQUESTS));
    }
    assert!(!world.serve());
    assert_eq!(world.rings.wires[0].frames, SEGMENT);
}

/// Neither those of another connection nor the end of one wait for a flood's end, but the end of one
/// waits for what came before it.
#[test]
fn connections_take_turns() {
    let mut world = World::new(2);
    world.segment(0);
    world.segment(1);
    let id = world.rings.wires[0].id.unwrap();
    world.rings.wires[0].news.push_back(TcpChange::State(id, StreamState::Closed));
    let half = usize::from(REQUESTS / 2);
    for turns in 1..SEGMENT / half {
        assert!(world.serve());
        let answered = |index: usize| world.rings.wires[index].frames;
        assert_eq!([answered(0), answered(1)], [turns * half; 2]);
        assert_eq!(world.server.registered(), 2);
    }
    world.serve();
    assert_eq!(world.rings.wires[0].frames, SEGMENT);
    world.serve();
    assert_eq!(world.server.registered(), 1, "the end is told when all has been read");
}

/// The end of one that has nothing unread does not wait for the end of another's flood.
#[test]
fn an_end_is_told_in_a_flood() {
    let mut world = World::new(2);
    let id = world.rings.wires[0].id.unwrap();
    world.rings.wires[0].news.push_back(TcpChange::State(id, StreamState::Closed));
    for _ in 0..4 {
        world.segment(1);
        assert!(world.serve());
    }
    assert_eq!(world.server.registered(), 1);
}

/// Those that a turn does not come to are the first of another one.
#[test]
fn the_last_connections_have_their_turn_in_a_flood() {
    let mut world = World::new(6);
    world.segment(5);
    for _ in 0..12 {
        world.ask(60, 1);
        (0..4).for_each(|lamp| world.segment(lamp));
        assert!(world.serve());
    }
    assert!(world.rings.wires[5].frames >= 6, "{}", world.rings.wires[5].frames);
}

#[test]
fn datagrams_leave_half_of_a_turn_to_streams() {
    let mut world = World::new(1);
    world.ask(8, 32);
    world.segment(0);
    let half = usize::from(REQUESTS / 2);
    for turns in 1..=256 / half {
        assert!(world.serve());
        assert_eq!(world.rings.datagrams.len(), 256 - turns * half);
        assert_eq!(world.rings.sent.len(), turns * half);
        let frames = (turns * half).min(SEGMENT);
        assert_eq!(world.rings.wires[0].frames, frames);
    }
    assert!(!world.serve());
}

/// Handshakes that find no slot free have cost their arithmetic, so they weigh what it does.
#[test]
fn handshakes_that_a_full_server_turns_away_take_turns() {
    let now = Instant::from_millis(1_000);
    let mut server = server(now, 1);
    let mut rings = Rings::default();
    for number in 1..=100 {
        let mut lamp = acceptor(now, number);
        lamp.restore_certificate(&certificate()).unwrap();
        let mut theirs = Rings { wires: vec![Wire::default()], ..Rings::default() };
        let mut ignore = |_: Instant, _: &mut TestAcceptor, _: AcceptorEvent| {};
        turn(&mut lamp, &mut theirs, now, &mut ignore);
        let remote = SocketAddr::new([198, 51, 100, number].into(), 7);
        rings.datagrams.extend(theirs.sent.into_iter().map(|bytes| (remote, bytes)));
    }
    assert!(rings.datagrams.iter().all(|(_, bytes)| bytes[0] == Kind::Initiation as u8));
    let mut left = rings.datagrams.len();
    assert_eq!(left, 100);
    while left > 0 {
        let mut ignore = |_: Instant, _: &mut TestServer, _: ServerEvent| {};
        assert!(turn(&mut server, &mut rings, now, &mut ignore), "the next turn is due at once");
        left -= usize::from(REQUESTS / 2);
        assert_eq!(rings.datagrams.len(), left);
    }
    assert_eq!(rings.sent.len(), 1, "the first one has the slot");
    assert_eq!(server.counters().discarded(Discard::TableFull), 99);
}

/// What is thrown away at a look is bounded, too, at a larger number.
#[test]
fn garbage_takes_turns() {
    let mut world = World::new(1);
    let remote = SocketAddr::new([198, 51, 100, 1].into(), 7);
    world.rings.datagrams.extend((0..1_000).map(|_| (remote, vec![0xff; 40])));
    let before = world.server.counters().all_discarded();
    assert!(world.serve());
    assert_eq!(world.rings.datagrams.len(), 744);
    let turns = core::iter::repeat_with(|| world.serve()).take_while(|full| *full).count();
    assert_eq!(turns, 2);
    assert_eq!(world.server.counters().all_discarded(), before + 1_000);
}

/// Ten minutes of a flood that never ends: who is registered stays so, by keepalives and timers.
#[test]
fn keepalives_go_on_in_a_flood() {
    let mut world = World::new(2);
    for _ in 0..60_000 {
        world.ask(64, 1);
        world.pass();
        world.rings.datagrams.truncate(64);
    }
    assert_eq!(world.server.registered(), 2);
    assert_eq!(world.lost, 0);
}
