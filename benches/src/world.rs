//! The three machines, their keys and a generator that repeats itself.

use core::hint::black_box;
use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::wire::certificate::{Certificate, MAX_CERTIFICATE, Subject, authority_public};
use genkan_core::{
    Acceptor, AcceptorConfig, AcceptorSlot, AddressPolicy, Anchors, ClientSlot, Entropy,
    EntropyError, Identity, Instant, Issuer, IssuerConfig, IssuerSlot, MAX_DATAGRAM, Machine, Rate,
    RequestSlot, Server, ServerAddress, ServerConfig, SocketId, StaticKey, StreamSlot,
};

/// Where the server is.
pub const SERVER: SocketAddr = address([203, 0, 113, 1], 3478);
/// Where the acceptor's datagrams come from, when there is one acceptor only.
pub const ACCEPTOR: SocketAddr = address([198, 51, 100, 2], 40_000);
/// Where the issuer's datagrams come from.
pub const ISSUER: SocketAddr = address([198, 51, 100, 3], 50_000);

const AUTHORITY: [u8; 32] = [9; 32];

/// A server with room for as many as it is told.
pub type BenchServer = Server<Vec<ClientSlot>, Vec<RequestSlot>, Vec<StreamSlot>, Lcg>;
/// An acceptor with room for one connection.
pub type BenchAcceptor = Acceptor<[AcceptorSlot; 1], Lcg>;
/// An issuer with room for one connection.
pub type BenchIssuer = Issuer<[IssuerSlot; 1], Lcg>;

const fn address(ip: [u8; 4], port: u16) -> SocketAddr {
    let [a, b, c, d] = ip;
    SocketAddr::new(core::net::IpAddr::V4(core::net::Ipv4Addr::new(a, b, c, d)), port)
}

/// Randomness that is the same in each run: a linear congruential generator (Knuth's MMIX).
#[derive(Clone, Debug)]
pub struct Lcg(pub u64);

impl Entropy for Lcg {
    fn fill(&mut self, dest: &mut [u8]) -> Result<(), EntropyError> {
        for byte in dest {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            *byte = self.0.to_be_bytes()[0];
        }
        Ok(())
    }
}

/// The certificate of the benches' server.
#[must_use]
pub fn certificate() -> heapless::Vec<u8, MAX_CERTIFICATE> {
    let subject = Subject {
        server_key: *StaticKey::from_secret([1; 32]).public(),
        serial: 1,
        not_before: 1_000,
        not_after: 5_000_000_000,
        names: "rdv.example",
    };
    let mut bytes = [0; MAX_CERTIFICATE];
    let len = Certificate::issue(&AUTHORITY, &subject, &mut bytes).unwrap();
    heapless::Vec::from_slice(&bytes[..len]).unwrap()
}

/// A server with `room` slots that never demands cookies.
#[must_use]
pub fn server(now: Instant, room: usize) -> Box<BenchServer> {
    let mut config = ServerConfig::new(StaticKey::from_secret([1; 32]), certificate());
    config.handshakes = Rate::new(u32::MAX, 0);
    let clients = (0..room).map(|_| ClientSlot::EMPTY).collect();
    let requests = (0..4).map(|_| RequestSlot::EMPTY).collect();
    let streams = (0..4).map(|_| StreamSlot::EMPTY).collect();
    Box::new(Server::new(now, config, clients, requests, streams, Lcg(1)).unwrap())
}

fn anchors() -> Anchors {
    let authorities = heapless::Vec::from_slice(&[authority_public(&AUTHORITY)]).unwrap();
    Anchors { authorities, ..Anchors::default() }
}

/// An acceptor that is open to anyone and registers at once.
#[must_use]
pub fn acceptor(now: Instant, key: StaticKey, seed: u64) -> BenchAcceptor {
    let identity = Identity { key, boots: seed };
    let mut config = AcceptorConfig::new(identity, ServerAddress::both(SERVER), anchors());
    config.spread = Duration::ZERO;
    config.admission.open = true;
    config.addresses = AddressPolicy::default();
    Acceptor::new(now, config, [AcceptorSlot::EMPTY], Lcg(seed))
}

/// An issuer.
#[must_use]
pub fn issuer(now: Instant) -> BenchIssuer {
    let identity = Identity { key: StaticKey::from_secret([3; 32]), boots: 0 };
    let mut config = IssuerConfig::new(identity, ServerAddress::both(SERVER), anchors());
    // What is counted is a dial-back.
    config.simultaneous_open = false;
    Issuer::new(now, config, [IssuerSlot::EMPTY], Lcg(3))
}

/// Room for one datagram.
#[derive(Clone, Debug)]
pub struct Datagram {
    bytes: [u8; MAX_DATAGRAM],
    len: usize,
}

impl Default for Datagram {
    fn default() -> Self {
        Self { bytes: [0; MAX_DATAGRAM], len: 0 }
    }
}

impl Datagram {
    /// The datagram; empty when there is none.
    #[must_use]
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }
}

/// One datagram for `machine`, and everything that an adapter does after it. The last datagram that
/// the machine sends is left in `out`.
pub fn turn<M: Machine>(
    machine: &mut M,
    now: Instant,
    from: SocketAddr,
    datagram: &mut [u8],
    out: &mut Datagram,
) {
    let _received = machine.handle_datagram(now, SocketId::MAIN, from, datagram);
    drain(machine, now, out);
}

/// Time passes for `machine`; then as [`turn`].
pub fn wake<M: Machine>(machine: &mut M, now: Instant, out: &mut Datagram) {
    machine.handle_timeout(now);
    drain(machine, now, out);
}

fn drain<M: Machine>(machine: &mut M, now: Instant, out: &mut Datagram) {
    out.len = 0;
    while let Some(command) = machine.poll_command() {
        black_box(command);
    }
    while let Some(mut transmit) = machine.poll_transmit(now) {
        out.len = transmit.encode(&mut out.bytes).unwrap();
        transmit.commit();
    }
    while machine.poll_event().is_some() {}
    black_box(machine.poll_timeout());
}
