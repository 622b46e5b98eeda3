//! The three machines wired together without a network: the shortest thread through everything.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail by panicking")]

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::wire::certificate::{Certificate, MAX_CERTIFICATE, Subject, authority_public};
use genkan_core::*;

#[derive(Debug)]
struct Rng(u64);
impl Entropy for Rng {
    fn fill(&mut self, dest: &mut [u8]) -> Result<(), EntropyError> {
        for byte in dest {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            *byte = (self.0 >> 56) as u8;
        }
        Ok(())
    }
}

fn sa(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

type TestServer = Server<Vec<ClientSlot>, Vec<RequestSlot>, Vec<StreamSlot>, Rng>;
type TestAcceptor = Acceptor<[AcceptorSlot; 1], Rng>;
type TestIssuer = Issuer<[IssuerSlot; 1], Rng>;

/// Drains datagrams of one machine.
fn out<M: Machine>(
    m: &mut M,
    now: Instant,
    from: SocketAddr,
) -> Vec<(SocketAddr, SocketAddr, Vec<u8>)> {
    let mut all = Vec::new();
    while let Some(mut tx) = m.poll_transmit(now) {
        let mut buf = [0; MAX_DATAGRAM];
        let n = tx.encode(&mut buf).unwrap();
        assert_eq!(n, tx.len());
        all.push((from, tx.remote(), buf[..n].to_vec()));
        tx.commit();
        assert!(all.len() < 100);
    }
    all
}

fn frames<M: Machine>(m: &mut M, now: Instant, stream: StreamId) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(mut f) = m.poll_frame(now, stream) {
        let mut buf = [0; MAX_FRAME];
        let n = f.encode(&mut buf).unwrap();
        all.push(buf[..n].to_vec());
        f.commit();
        assert!(all.len() < 100);
    }
    all
}

struct World {
    server: TestServer,
    server_at: SocketAddr,
    acceptor: TestAcceptor,
    issuer: TestIssuer,
}

const SERVER: &str = "203.0.113.1:3478";
const ACCEPTOR: &str = "198.51.100.2:40000";
const ISSUER: &str = "198.51.100.3:50000";

impl World {
    fn pump(&mut self, now: Instant) {
        for _ in 0..50 {
            self.acceptor.handle_timeout(now);
            self.issuer.handle_timeout(now);
            self.server.handle_timeout(now);
            let mut net = out(&mut self.acceptor, now, sa(ACCEPTOR));
            net.extend(out(&mut self.issuer, now, sa(ISSUER)));
            net.extend(out(&mut self.server, now, self.server_at));
            if net.is_empty() {
                break;
            }
            for (from, to, mut bytes) in net {
                let r = if to == self.server_at {
                    self.server.handle_datagram(now, SocketId::MAIN, from, &mut bytes)
                } else if to == sa(ACCEPTOR) {
                    self.acceptor.handle_datagram(now, SocketId::MAIN, from, &mut bytes)
                } else if to == sa(ISSUER) {
                    self.issuer.handle_datagram(now, SocketId::MAIN, from, &mut bytes)
                } else {
                    panic!("nobody is at {to}")
                };
                assert_eq!(r, Received::Control);
            }
            self.events(now);
        }
    }

    fn events(&mut self, now: Instant) {
        while let Some(e) = self.acceptor.poll_event() {
            if e == AcceptorEvent::Persist {
                let failures = self.acceptor.failures();
                self.acceptor.handle_persisted(now, failures);
            }
        }
        while self.issuer.poll_event().is_some() {}
        while self.server.poll_event().is_some() {}
    }
}

/// One that knows nobody yet.
fn server(now: Instant) -> TestServer {
    let server_key = StaticKey::from_secret([1; 32]);
    let mut cert = [0; MAX_CERTIFICATE];
    let subject = Subject {
        server_key: *server_key.public(),
        serial: 1,
        not_before: 1000,
        not_after: 5_000_000_000,
        names: "rdv",
    };
    let n = Certificate::issue(&[9; 32], &subject, &mut cert).unwrap();
    let mut config = ServerConfig::new(server_key, heapless::Vec::from_slice(&cert[..n]).unwrap());
    config.wall_clock = 1_700_000_000;
    Server::new(
        now,
        config,
        (0..8).map(|_| ClientSlot::EMPTY).collect::<Vec<_>>(),
        (0..4).map(|_| RequestSlot::EMPTY).collect::<Vec<_>>(),
        (0..4).map(|_| StreamSlot::EMPTY).collect::<Vec<_>>(),
        Rng(1),
    )
    .unwrap()
}

fn world(now: Instant) -> World {
    let anchors = Anchors {
        authorities: heapless::Vec::from_slice(&[authority_public(&[9; 32])]).unwrap(),
        ..Anchors::default()
    };
    let address = ServerAddress::both(sa(SERVER));
    let identity = Identity { key: StaticKey::from_secret([2; 32]), boots: 0 };
    let mut config = AcceptorConfig::new(identity, address, anchors.clone());
    config.spread = Duration::ZERO;
    config.admission.password = Some(PasswordRecord::new([5; 16], &[6; 32]));
    let acceptor = Acceptor::new(now, config, [AcceptorSlot::EMPTY], Rng(2));
    let identity = Identity { key: StaticKey::from_secret([3; 32]), boots: 0 };
    let mut config = IssuerConfig::new(identity, address, anchors);
    config.wall_clock = Some(1_700_000_000);
    let issuer = Issuer::new(now, config, [IssuerSlot::EMPTY], Rng(3));
    World { server: server(now), server_at: sa(SERVER), acceptor, issuer }
}

/// Registered, asked for, and connected by its dial-back: the issuer's name for that, and the acceptor's
/// stream.
fn connected(now: Instant) -> (World, ConnectionId, StreamId) {
    let mut world = world(now);
    let id = world.acceptor.id();
    world.pump(now);
    assert_eq!(world.server.location(&id), Some(sa(ACCEPTOR)));
    let mut target = Target::new(id);
    target.password = Some([6; 32]);
    let connection = world.issuer.request(now, &target).unwrap();
    let listen = Command::Listen { socket: SocketId::LISTENER };
    assert_eq!(world.issuer.poll_command(), Some(listen));
    world.issuer.handle_bound(now, SocketId::LISTENER, Some(sa("0.0.0.0:7777")));
    world.pump(now);
    let Some(Command::Connect { stream, remote }) = world.acceptor.poll_command() else {
        panic!("no dial-back")
    };
    assert_eq!(remote, sa("198.51.100.3:7777"));
    let theirs =
        world.issuer.handle_accept(now, SocketId::LISTENER, sa("198.51.100.2:41000")).unwrap();
    world.acceptor.handle_stream_state(now, stream, StreamState::Connected);
    for mut f in frames(&mut world.acceptor, now, stream) {
        assert_eq!(world.issuer.handle_stream(now, theirs, &mut f).received, Received::Control);
    }
    for mut f in frames(&mut world.issuer, now, theirs) {
        assert_eq!(world.acceptor.handle_stream(now, stream, &mut f).received, Received::Control);
    }
    world.pump(now);
    world.events(now);
    (world, connection, stream)
}

impl World {
    /// What the issuer says on the connection arrives.
    fn assert_heard(&mut self, now: Instant, connection: ConnectionId, stream: StreamId) {
        let mut payload = self.issuer.send(now, connection, Channel::Datagram, b"hello").unwrap();
        let mut buf = [0; MAX_FRAME];
        let n = payload.encode(&mut buf).unwrap();
        payload.commit();
        let input = self.acceptor.handle_stream(now, stream, &mut buf[..n]);
        let Received::Payload { plaintext, .. } = input.received else { panic!("{input:?}") };
        assert_eq!(plaintext, b"hello");
    }
}

#[test]
fn register_request_and_dial_back() {
    let now = Instant::from_millis(1000);
    let (mut world, connection, stream) = connected(now);
    world.assert_heard(now, connection, stream);
}

#[test]
fn a_server_that_is_elsewhere_is_registered_with_there_and_connections_stay() {
    let now = Instant::from_millis(1000);
    let (mut world, connection, stream) = connected(now);
    let certificate = world.acceptor.certificate().to_vec();
    let id = world.acceptor.id();
    for place in ["203.0.113.2:3478", "[2001:db8::1]:3478", SERVER] {
        world.server = server(now);
        world.server_at = sa(place);
        world.acceptor.set_server_address(now, ServerAddress::both(sa(place)));
        assert_eq!(world.acceptor.poll_event(), Some(AcceptorEvent::RegistrationLost));
        assert_eq!(world.server.location(&id), None);
        world.pump(now);
        assert_eq!(world.server.location(&id), Some(sa(ACCEPTOR)), "{place}");
        world.assert_heard(now, connection, stream);
    }
    assert_eq!(world.acceptor.certificate(), certificate);
    world.acceptor.deregister(now);
    world.pump(now);
    world.server = server(now);
    world.acceptor.set_server_address(now, ServerAddress::both(sa(SERVER)));
    world.pump(now);
    assert_eq!(world.server.location(&id), None, "it has left");
}
