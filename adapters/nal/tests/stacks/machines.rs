//! A server, an acceptor and an issuer.

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::punch::Ability;
use genkan_core::wire::certificate::{Certificate, MAX_CERTIFICATE, Subject, authority_public};
use genkan_core::{
    Acceptor, AcceptorConfig, AcceptorSlot, AddressPolicy, Anchors, ClientSlot, EquipmentId,
    Identity, Instant, Issuer, IssuerConfig, IssuerSlot, RequestSlot, Server, ServerAddress,
    ServerConfig, StaticKey, StreamSlot,
};
use genkan_sim::SimEntropy;

pub(crate) type TestServer = Server<Vec<ClientSlot>, Vec<RequestSlot>, Vec<StreamSlot>, SimEntropy>;
pub(crate) type TestAcceptor = Acceptor<[AcceptorSlot; 2], SimEntropy>;
pub(crate) type TestIssuer = Issuer<[IssuerSlot; 2], SimEntropy>;

const AUTHORITY: [u8; 32] = [9; 32];
fn addresses() -> AddressPolicy {
    AddressPolicy { loopback: true, private: true, ..AddressPolicy::default() }
}

fn key(number: u8) -> StaticKey {
    StaticKey::from_secret([number; 32])
}

pub(crate) fn lamp_id() -> EquipmentId {
    key(1).id()
}

/// A configuration for a server at `wall` seconds since 1970.
pub(crate) fn server_config(wall: u64, other_port: Option<u16>) -> ServerConfig {
    let subject = Subject {
        server_key: *key(8).public(),
        serial: 1,
        not_before: wall - 86_400,
        not_after: wall + 86_400,
        names: "server.example",
    };
    let mut out = [0; MAX_CERTIFICATE];
    let len = Certificate::issue(&AUTHORITY, &subject, &mut out).unwrap();
    let mut config = ServerConfig::new(key(8), out[..len].try_into().unwrap());
    config.wall_clock = wall;
    config.other_port = other_port;
    config
}

pub(crate) fn server(now: Instant, config: ServerConfig) -> TestServer {
    let clients = (0..8).map(|_| ClientSlot::EMPTY).collect();
    let requests = (0..8).map(|_| RequestSlot::EMPTY).collect();
    let streams = (0..8).map(|_| StreamSlot::EMPTY).collect();
    Server::new(now, config, clients, requests, streams, SimEntropy::seeded(1)).unwrap()
}

fn anchors(wall: u64) -> Anchors {
    let mut anchors = Anchors { floor: wall - 3_600, ..Anchors::default() };
    anchors.authorities.push(authority_public(&AUTHORITY)).unwrap();
    anchors
}

/// An acceptor that lets everybody in.
pub(crate) fn acceptor(
    now: Instant,
    wall: u64,
    server: SocketAddr,
    punch: Option<Ability>,
) -> TestAcceptor {
    let identity = Identity { key: key(1), boots: 0 };
    let mut config = AcceptorConfig::new(identity, ServerAddress::both(server), anchors(wall));
    config.admission.open = true;
    config.spread = Duration::ZERO;
    config.wall_clock = Some(wall);
    (config.addresses, config.punch) = (addresses(), punch);
    let slots = [AcceptorSlot::EMPTY, AcceptorSlot::EMPTY];
    Acceptor::new(now, config, slots, SimEntropy::seeded(2))
}

pub(crate) fn issuer_config(wall: u64, server: SocketAddr, punch: Option<Ability>) -> IssuerConfig {
    let identity = Identity { key: key(2), boots: 0 };
    let mut config = IssuerConfig::new(identity, ServerAddress::both(server), anchors(wall));
    config.wall_clock = Some(wall);
    (config.addresses, config.punch) = (addresses(), punch);
    config
}

pub(crate) fn issuer(now: Instant, config: IssuerConfig) -> TestIssuer {
    Issuer::new(now, config, [IssuerSlot::EMPTY, IssuerSlot::EMPTY], SimEntropy::seeded(3))
}
