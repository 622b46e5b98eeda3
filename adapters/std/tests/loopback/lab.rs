//! A server, an acceptor and an issuer on this machine's loopback.

use core::net::SocketAddr;
use core::time::Duration;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use genkan_core::wire::certificate::{Certificate, MAX_CERTIFICATE, Subject, authority_public};
use genkan_core::{
    AcceptorConfig, AcceptorEvent, AddressPolicy, Anchors, EquipmentId, Identity, IssuerConfig,
    ServerAddress, ServerConfig, StaticKey, Target,
};
use genkan_std::{
    AcceptorNode, AcceptorOptions, Bind, Events, Happening, IssuerNode, IssuerOptions, ServerNode,
    ServerOptions, Session, Stamped, Trace,
};

const AUTHORITY: [u8; 32] = [3; 32];
/// Longer than anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn loopback() -> Bind {
    Bind::At("127.0.0.1:0".parse().unwrap())
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn key(number: u8) -> StaticKey {
    StaticKey::from_secret([number; 32])
}

pub(crate) fn server_config() -> ServerConfig {
    let subject = Subject {
        server_key: *key(1).public(),
        serial: 1,
        not_before: now() - 3_600,
        not_after: now() + 86_400,
        names: "rdv.test",
    };
    let mut out = [0; MAX_CERTIFICATE];
    let len = Certificate::issue(&AUTHORITY, &subject, &mut out).unwrap();
    let certificate = heapless::Vec::from_slice(&out[..len]).unwrap();
    let mut config = ServerConfig::new(key(1), certificate);
    config.wall_clock = now();
    config.interval = 5;
    config
}

pub(crate) fn server_at(bind: Bind) -> ServerNode {
    let mut options = ServerOptions::new(server_config(), bind);
    options.clients = 64;
    options.trace = Trace::Control;
    ServerNode::start(options).unwrap()
}

pub(crate) fn anchors() -> Anchors {
    let authorities = heapless::Vec::from_slice(&[authority_public(&AUTHORITY)]).unwrap();
    Anchors { authorities, ..Anchors::default() }
}

pub(crate) fn acceptor_options(server: SocketAddr, number: u8) -> AcceptorOptions {
    let identity = Identity { key: key(number), boots: 0 };
    let mut config = AcceptorConfig::new(identity, ServerAddress::both(server), anchors());
    config.addresses = AddressPolicy { loopback: true, private: true, ..AddressPolicy::default() };
    config.admission.open = true;
    config.spread = Duration::ZERO;
    config.wall_clock = Some(now());
    let mut options = AcceptorOptions::new(config);
    options.bind = loopback();
    options.trace = Trace::Control;
    options
}

pub(crate) fn issuer_options(server: SocketAddr, number: u8) -> IssuerOptions {
    let identity = Identity { key: key(number), boots: 0 };
    let mut config = IssuerConfig::new(identity, ServerAddress::both(server), anchors());
    config.wall_clock = Some(now());
    let mut options = IssuerOptions::new(config);
    (options.bind, options.listen) = (loopback(), loopback());
    options.trace = Trace::Control;
    options
}

/// Waits for an event of the machine.
pub(crate) fn wait<E: core::fmt::Debug>(
    events: &Events<E>,
    mut wanted: impl FnMut(&E) -> bool,
) -> Stamped<E> {
    let deadline = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        let Some(event) = events.next_within(left) else { break };
        if matches!(&event.event, Happening::Machine(event) if wanted(event)) {
            return event;
        }
        seen.push(event.event);
    }
    panic!("it did not happen; instead: {seen:#?}");
}

pub(crate) fn registered(events: &Events<AcceptorEvent>) {
    wait(events, |event| matches!(event, AcceptorEvent::Registered { .. }));
}

/// All three, the acceptor registered.
pub(crate) struct Lab {
    pub(crate) server: ServerNode,
    pub(crate) acceptor: AcceptorNode,
    pub(crate) issuer: IssuerNode,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let server = server_at(loopback());
        let address = server.local_addr();
        let acceptor = AcceptorNode::start(acceptor_options(address, 2)).unwrap();
        let issuer = IssuerNode::start(issuer_options(address, 4)).unwrap();
        registered(&acceptor.events());
        Self { server, acceptor, issuer }
    }

    pub(crate) fn target(&self) -> Target {
        Target::new(self.acceptor.id())
    }

    pub(crate) fn connect(&self) -> Session {
        match self.issuer.connect(&self.target()) {
            Ok(session) => session,
            Err(error) => {
                dump("server", &self.server.events());
                dump("acceptor", &self.acceptor.events());
                dump("issuer", &self.issuer.events());
                panic!("{error}");
            }
        }
    }

    pub(crate) fn issuer_id(&self) -> EquipmentId {
        self.issuer.id()
    }
}

pub(crate) fn dump<E: core::fmt::Debug>(name: &str, events: &Events<E>) {
    while let Some(event) = events.try_next() {
        eprintln!("{name} {} {:?}", event.at.as_micros(), event.event);
    }
}
