//! From a request to the connection, over real sockets of this machine.
//!
//! A server, an acceptor and an issuer run on threads of this process and speak over the loopback, as
//! `genkan` would. Measured is the time from the issuer's request until the connection stands at the
//! issuer (it has heard the acceptor), and until it stands at both (the acceptor has heard the
//! issuer). Nothing is asserted about the figures: the scheduler has its say in them.
//!
//! Usage: `genkan-loopback [ROUNDS]`; in each round the three start anew, because acceptors limit how
//! often strangers may make them dial.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measuring program prints, and stops when it cannot measure"
)]

use core::net::SocketAddr;
use core::time::Duration;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use genkan_core::wire::certificate::{Certificate, MAX_CERTIFICATE, Subject, authority_public};
use genkan_core::{
    AcceptorConfig, AcceptorEvent, AddressPolicy, Anchors, Delivery, Identity, IssuerConfig,
    ServerAddress, ServerConfig, StaticKey, Target,
};
use genkan_std::{
    AcceptorNode, AcceptorOptions, Bind, Events, Happening, IssuerNode, IssuerOptions, ServerNode,
    ServerOptions,
};

const AUTHORITY: [u8; 32] = [3; 32];
const PATIENCE: Duration = Duration::from_secs(20);
/// Requests of an issuer after its first, in each round.
const MORE: usize = 5;

fn loopback() -> Bind {
    Bind::At(SocketAddr::from(([127, 0, 0, 1], 0)))
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn identity(number: u8) -> Identity {
    Identity { key: StaticKey::from_secret([number; 32]), boots: 0 }
}

fn anchors() -> Anchors {
    let authorities = heapless::Vec::from_slice(&[authority_public(&AUTHORITY)]).unwrap();
    Anchors { authorities, ..Anchors::default() }
}

fn server(delivery: Delivery) -> ServerNode {
    let key = StaticKey::from_secret([1; 32]);
    let subject = Subject {
        server_key: *key.public(),
        serial: 1,
        not_before: seconds() - 3_600,
        not_after: seconds() + 86_400,
        names: "localhost",
    };
    let mut bytes = [0; MAX_CERTIFICATE];
    let len = Certificate::issue(&AUTHORITY, &subject, &mut bytes).unwrap();
    let mut config = ServerConfig::new(key, heapless::Vec::from_slice(&bytes[..len]).unwrap());
    config.wall_clock = seconds();
    config.delivery = delivery;
    ServerNode::start(ServerOptions::new(config, loopback())).unwrap()
}

fn acceptor(server: SocketAddr) -> AcceptorNode {
    let mut config = AcceptorConfig::new(identity(2), ServerAddress::both(server), anchors());
    config.addresses = AddressPolicy { loopback: true, ..AddressPolicy::default() };
    config.admission.open = true;
    config.spread = Duration::ZERO;
    let mut options = AcceptorOptions::new(config);
    options.bind = loopback();
    let node = AcceptorNode::start(options).unwrap();
    wait(&node.events(), |event| matches!(event, AcceptorEvent::Registered { .. }));
    node
}

fn issuer(server: SocketAddr) -> IssuerNode {
    let mut config = IssuerConfig::new(identity(4), ServerAddress::both(server), anchors());
    config.wall_clock = Some(seconds());
    let mut options = IssuerOptions::new(config);
    (options.bind, options.listen) = (loopback(), loopback());
    IssuerNode::start(options).unwrap()
}

fn wait(events: &Events<AcceptorEvent>, wanted: impl Fn(&AcceptorEvent) -> bool) {
    loop {
        let happened = events.next_within(PATIENCE).unwrap().event;
        if matches!(&happened, Happening::Machine(event) if wanted(event)) {
            return;
        }
    }
}

/// Times of one kind of request: until the issuer, and until both are connected.
#[derive(Default)]
struct Times {
    issuer: Vec<Duration>,
    both: Vec<Duration>,
}

impl Times {
    fn measure(&mut self, issuer: &IssuerNode, acceptor: &AcceptorNode) {
        let events = acceptor.events();
        let start = Instant::now();
        let session = issuer.connect(&Target::new(acceptor.id())).unwrap();
        self.issuer.push(start.elapsed());
        wait(&events, |event| matches!(event, AcceptorEvent::Connected { .. }));
        self.both.push(start.elapsed());
        drop(session);
        wait(&events, |event| matches!(event, AcceptorEvent::Closed { .. }));
    }

    fn print(&mut self, name: &str) {
        for (times, whose) in [(&mut self.issuer, "issuer"), (&mut self.both, "both")] {
            times.sort_unstable();
            let at = |hundredths: usize| times[(times.len() - 1) * hundredths / 100].as_micros();
            let figures = format!("{:>8} {:>8} {:>8} {:>8}", at(0), at(50), at(90), at(100));
            println!("{name:<36} {whose:<7} {figures} {:>5}", times.len());
        }
    }
}

fn main() {
    let rounds = std::env::args().nth(1).map_or(20, |text| text.parse::<usize>().unwrap());
    println!(
        "{:<36} {:<7} {:>8} {:>8} {:>8} {:>8} {:>5}",
        "microseconds until connected", "at", "least", "median", "90 %", "most", "n"
    );
    for (delivery, name) in
        [(Delivery::Auto, "notified"), (Delivery::Stream, "woken, fetch by TCP")]
    {
        let (mut first, mut more) = (Times::default(), Times::default());
        for _ in 0..rounds.max(1) {
            let server = server(delivery);
            let acceptor = acceptor(server.local_addr());
            let issuer = issuer(server.local_addr());
            first.measure(&issuer, &acceptor);
            for _ in 0..MORE {
                more.measure(&issuer, &acceptor);
            }
        }
        first.print(&format!("{name}; first request"));
        more.print(&format!("{name}; later request"));
    }
}
