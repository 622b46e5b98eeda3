//! Hosts on the small internet, each with a stack of its own, and their time.

use core::cell::RefCell;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::rc::Rc;

use genkan_core::wire::certificate::{Certificate, MAX_CERTIFICATE, Subject, authority_public};
use genkan_core::{
    Acceptor, AcceptorConfig, AcceptorSlot, AddressPolicy, Anchors, ClientSlot, Identity, Instant,
    Issuer, IssuerConfig, IssuerSlot, Machine, RequestSlot, Server, ServerAddress, ServerConfig,
    StaticKey, StreamSlot,
};
use genkan_sim::{Nat, NatConfig, Rng, SimEntropy};
use genkan_smoltcp::{App, Node, Options, Storage};
use smoltcp::iface::{Config, Interface, SocketSet, SocketStorage};
use smoltcp::phy::Medium;
use smoltcp::wire::{HardwareAddress, IpCidr};

use crate::net::{GATEWAY_IP, Line, MAC, Net};

pub(crate) type TestServer = Server<Vec<ClientSlot>, Vec<RequestSlot>, Vec<StreamSlot>, SimEntropy>;
pub(crate) type TestAcceptor = Acceptor<[AcceptorSlot; 2], SimEntropy>;
pub(crate) type TestIssuer = Issuer<[IssuerSlot; 2], SimEntropy>;

/// Seconds since 1970 when these worlds begin.
const START: u64 = 1_767_225_600;
pub(crate) const SERVER: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)), 4_600);
pub(crate) const OTHER_PORT: u16 = 4_601;
const AUTHORITY: [u8; 32] = [9; 32];
const SERVER_KEY: [u8; 32] = [8; 32];
pub(crate) const ACCEPTOR_KEY: [u8; 32] = [1; 32];
const ISSUER_KEY: [u8; 32] = [2; 32];

/// One host.
pub(crate) struct Host<M, A, const UDP: usize, const TCP: usize> {
    pub(crate) node: Node<M, UDP, TCP>,
    pub(crate) app: A,
    pub(crate) iface: Interface,
    pub(crate) line: Line,
    pub(crate) sockets: SocketSet<'static>,
}

/// A host of whatever kind.
pub(crate) trait Live {
    fn turn(&mut self, now: Instant) -> Instant;
}

impl<M: Machine, A: App<M>, const UDP: usize, const TCP: usize> Live for Host<M, A, UDP, TCP> {
    fn turn(&mut self, now: Instant) -> Instant {
        let (iface, line, sockets) = (&mut self.iface, &mut self.line, &mut self.sockets);
        self.node.poll(now, iface, line, sockets, &mut self.app)
    }
}

/// A stack with sockets and nothing behind them.
pub(crate) struct Raw {
    pub(crate) iface: Interface,
    pub(crate) line: Line,
    pub(crate) sockets: SocketSet<'static>,
}

impl Live for Raw {
    fn turn(&mut self, now: Instant) -> Instant {
        self.iface.poll(at(now), &mut self.line, &mut self.sockets);
        let next = self.iface.poll_at(at(now), &self.sockets);
        let next =
            next.map_or(Instant::END, |next| Instant::from_micros(next.total_micros() as u64));
        next.max(now.after(Duration::from_millis(1)))
    }
}

/// A host, its line, and when it wants its next turn.
type Place = (Rc<RefCell<dyn Live>>, Line, Instant);

pub(crate) struct World {
    pub(crate) net: Net,
    pub(crate) now: Instant,
    pub(crate) rng: Rng,
    hosts: Vec<Place>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let now = Instant::from_millis(1_000);
        Self { net: Net::new(seed), now, rng: Rng::new(seed ^ 0x5a5a), hosts: Vec::new() }
    }

    /// Adds a host that is no node of ours.
    pub(crate) fn add_raw(&mut self, address: impl Into<IpAddr>) -> Rc<RefCell<Raw>> {
        let address = address.into();
        let mut line = Line::new(Medium::Ip);
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = self.rng.next_u64();
        let mut iface = Interface::new(config, &mut line, at(self.now));
        configure(&mut iface, address);
        let places: Vec<_> = (0..4).map(|_| SocketStorage::EMPTY).collect();
        let sockets = SocketSet::new(places.leak());
        self.net.add(line.clone(), address, None);
        let host = Rc::new(RefCell::new(Raw { iface, line: line.clone(), sockets }));
        self.hosts.push((host.clone(), line, self.now));
        host
    }

    /// Adds a host whose machine is made with this entropy. It has `address` on its own line.
    pub(crate) fn add<M, A, const UDP: usize, const TCP: usize, const U: usize, const T: usize>(
        &mut self,
        site: Site,
        storage: Storage<UDP, TCP, U, T>,
        options: Options,
        machine: M,
        app: A,
    ) -> Rc<RefCell<Host<M, A, UDP, TCP>>>
    where
        M: Machine + 'static,
        A: App<M> + 'static,
    {
        let mut line = Line::new(site.medium);
        let hardware = match site.medium {
            Medium::Ethernet => HardwareAddress::Ethernet(MAC),
            _ => HardwareAddress::Ip,
        };
        let mut config = Config::new(hardware);
        config.random_seed = self.rng.next_u64();
        let mut iface = Interface::new(config, &mut line, at(self.now));
        configure(&mut iface, site.address);
        let places: Vec<_> = (0..UDP + TCP).map(|_| SocketStorage::EMPTY).collect();
        let mut sockets = SocketSet::new(places.leak());
        let handles = Box::leak(Box::new(storage)).install(&mut sockets);
        let node = Node::new(machine, handles, options);
        let nat = site
            .nat
            .map(|(outside, config)| (outside, Nat::new(&[outside], config, self.rng.fork("nat"))));
        let (outside, nat) = nat.map_or((site.address, None), |(ip, nat)| (ip, Some(nat)));
        self.net.add(line.clone(), outside, nat);
        let host = Rc::new(RefCell::new(Host { node, app, iface, line: line.clone(), sockets }));
        self.hosts.push((host.clone(), line, self.now));
        host
    }

    /// Entropy for the next machine.
    pub(crate) fn entropy(&mut self) -> SimEntropy {
        SimEntropy::seeded(self.rng.next_u64())
    }

    /// Has every host have a turn now.
    pub(crate) fn wake(&mut self) {
        for (_, _, wake) in &mut self.hosts {
            *wake = self.now;
        }
    }

    /// Lets time pass until `done`; false when that does not come about within `longest`.
    pub(crate) fn until(&mut self, longest: Duration, mut done: impl FnMut() -> bool) -> bool {
        let end = self.now.after(longest);
        self.wake();
        let (mut turns, mut last) = (0, self.now);
        loop {
            let now = span(self.now);
            self.net.deliver(now);
            for index in 0..self.hosts.len() {
                let (host, line, wake) = &mut self.hosts[index];
                if *wake <= self.now || line.is_waiting() {
                    *wake = host.borrow_mut().turn(self.now);
                    turns = if last == self.now { turns + 1 } else { 0 };
                    last = self.now;
                    assert!(turns < 2_000, "a host is busy for ever");
                    self.net.collect(now, index);
                }
            }
            if done() {
                return true;
            }
            let waiting = self.hosts.iter().any(|(_, line, _)| line.is_waiting());
            let wakes = self.hosts.iter().map(|(_, _, wake)| *wake);
            let packet = self.net.next().map(|at| Instant::from_micros(at.as_micros() as u64));
            let next = wakes.chain(packet).min().unwrap_or(Instant::END);
            if !waiting {
                self.now = self.now.max(next.min(end));
            }
            if self.now >= end {
                return false;
            }
        }
    }

    /// Lets so much time pass.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.until(time, || false);
    }
}

/// Where a host is.
pub(crate) struct Site {
    pub(crate) medium: Medium,
    pub(crate) address: IpAddr,
    /// The NAT in front of it: its outer address and its settings.
    pub(crate) nat: Option<(IpAddr, NatConfig)>,
}

impl Site {
    /// On the public internet.
    pub(crate) fn public(address: impl Into<IpAddr>) -> Self {
        Self { medium: Medium::Ip, address: address.into(), nat: None }
    }

    /// 10.0.0.2 on an Ethernet behind a NAT.
    pub(crate) fn behind(outside: [u8; 4], config: NatConfig) -> Self {
        let nat = Some((outside.into(), config));
        Self { medium: Medium::Ethernet, address: [10, 0, 0, 2].into(), nat }
    }
}

/// Gives an interface its address and the way out.
pub(crate) fn configure(iface: &mut Interface, address: IpAddr) {
    let prefix = match address {
        IpAddr::V4(ip) if ip.is_private() => 24,
        IpAddr::V4(_) => 0,
        IpAddr::V6(_) => 0,
    };
    iface.update_ip_addrs(|addresses| {
        addresses.clear();
        addresses.push(IpCidr::new(address.into(), prefix)).unwrap();
    });
    if prefix == 24 {
        iface.routes_mut().add_default_ipv4_route(GATEWAY_IP).unwrap();
    }
}

pub(crate) fn at(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(now.as_micros() as i64)
}

fn span(now: Instant) -> Duration {
    Duration::from_micros(now.as_micros())
}

fn anchors() -> Anchors {
    let mut anchors = Anchors { floor: START, ..Anchors::default() };
    anchors.authorities.push(authority_public(&AUTHORITY)).unwrap();
    anchors
}

/// A server that measures NATs.
pub(crate) fn server(world: &mut World) -> TestServer {
    let key = StaticKey::from_secret(SERVER_KEY);
    let subject = Subject {
        server_key: *key.public(),
        serial: 1,
        not_before: START - 86_400,
        not_after: START + 366 * 86_400,
        names: "server.example",
    };
    let mut out = [0; MAX_CERTIFICATE];
    let len = Certificate::issue(&AUTHORITY, &subject, &mut out).unwrap();
    let mut config = ServerConfig::new(key, out[..len].try_into().unwrap());
    config.wall_clock = START;
    config.other_port = Some(OTHER_PORT);
    let clients = (0..8).map(|_| ClientSlot::EMPTY).collect();
    let requests = (0..8).map(|_| RequestSlot::EMPTY).collect();
    let streams = (0..8).map(|_| StreamSlot::EMPTY).collect();
    Server::new(world.now, config, clients, requests, streams, world.entropy()).unwrap()
}

/// An acceptor that lets everybody in.
pub(crate) fn acceptor(
    world: &mut World,
    server: SocketAddr,
    adjust: impl FnOnce(&mut AcceptorConfig),
) -> TestAcceptor {
    let identity = Identity { key: StaticKey::from_secret(ACCEPTOR_KEY), boots: 0 };
    let mut config = AcceptorConfig::new(identity, ServerAddress::both(server), anchors());
    config.admission.open = true;
    config.spread = Duration::ZERO;
    config.addresses = AddressPolicy { private: true, ..AddressPolicy::default() };
    adjust(&mut config);
    let slots = [AcceptorSlot::EMPTY, AcceptorSlot::EMPTY];
    Acceptor::new(world.now, config, slots, world.entropy())
}

pub(crate) fn issuer(
    world: &mut World,
    server: SocketAddr,
    adjust: impl FnOnce(&mut IssuerConfig),
) -> TestIssuer {
    let identity = Identity { key: StaticKey::from_secret(ISSUER_KEY), boots: 0 };
    let mut config = IssuerConfig::new(identity, ServerAddress::both(server), anchors());
    config.addresses = AddressPolicy { private: true, ..AddressPolicy::default() };
    adjust(&mut config);
    let slots = [IssuerSlot::EMPTY, IssuerSlot::EMPTY];
    Issuer::new(world.now, config, slots, world.entropy())
}

/// A server's address of the same family as this site.
pub(crate) fn server_address(site: &Site) -> SocketAddr {
    match site.address {
        IpAddr::V4(_) => SERVER,
        IpAddr::V6(_) => SocketAddr::new([0x2001, 0xdb8, 0, 1, 0, 0, 0, 1].into(), SERVER.port()),
    }
}
