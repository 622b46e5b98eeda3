//! A node without a machine: it keeps what it is told, and does what the test says.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use core::any::Any;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;

use genkan_core::{Command, Instant, SocketId, StreamId, StreamState};
use genkan_sim::capture::IcmpError;
use genkan_sim::{HostId, HostSpec, Io, NatConfig, NatId, Node, Quote, World};

/// Keeps everything.
#[derive(Debug, Default)]
pub(crate) struct Talker {
    pub(crate) datagrams: Vec<(Instant, SocketAddr, Vec<u8>)>,
    /// The sockets on which they came.
    pub(crate) sockets: Vec<SocketId>,
    pub(crate) errors: Vec<(Instant, IcmpError, Quote)>,
    pub(crate) states: Vec<(Instant, StreamId, StreamState)>,
    pub(crate) accepted: Vec<(Instant, StreamId, SocketAddr)>,
    pub(crate) bound: Option<SocketAddr>,
    pub(crate) received: BTreeMap<StreamId, Vec<u8>>,
    /// How many bytes stood there each time that it was asked.
    pub(crate) shown: Vec<usize>,
    pub(crate) timeouts: Vec<Instant>,
    pub(crate) booted: bool,
    pub(crate) alarm: Option<Instant>,
    pub(crate) refuses: bool,
    /// What it still has to write, as long as there is room.
    pub(crate) backlog: BTreeMap<StreamId, Vec<u8>>,
    pub(crate) written: usize,
}

impl Node for Talker {
    fn datagram(&mut self, io: &mut Io, socket: SocketId, remote: SocketAddr, bytes: &mut [u8]) {
        self.sockets.push(socket);
        self.datagrams.push((io.now(), remote, bytes.to_vec()));
    }

    fn stream(&mut self, _: &mut Io, stream: StreamId, bytes: &mut [u8]) -> usize {
        self.shown.push(bytes.len());
        self.received.entry(stream).or_default().extend_from_slice(bytes);
        bytes.len()
    }

    fn stream_state(&mut self, io: &mut Io, stream: StreamId, state: StreamState) {
        self.states.push((io.now(), stream, state));
    }

    fn accept(&mut self, io: &mut Io, _: SocketId, remote: SocketAddr) -> Option<StreamId> {
        let generation = self.accepted.len() as u16;
        let stream = StreamId { index: 100, generation };
        self.accepted.push((io.now(), stream, remote));
        (!self.refuses).then_some(stream)
    }

    fn bound(&mut self, _: &mut Io, _: SocketId, local: Option<SocketAddr>) {
        self.bound = local;
    }

    fn icmp(&mut self, io: &mut Io, error: IcmpError, about: Quote) {
        self.errors.push((io.now(), error, about));
    }

    fn timeout(&mut self, io: &mut Io) {
        if self.booted {
            self.timeouts.push(io.now());
        }
        self.booted = true;
        if self.alarm.is_some_and(|at| at <= io.now()) {
            self.alarm = None;
        }
    }

    fn drain(&mut self, io: &mut Io) -> Option<Instant> {
        for (&stream, rest) in &mut self.backlog {
            while !rest.is_empty() && io.room(stream) > 0 {
                let len = rest.len().min(500).min(io.room(stream));
                let tail = rest.split_off(len);
                assert!(io.write(stream, core::mem::replace(rest, tail)));
                self.written += len;
            }
        }
        self.alarm
    }

    fn machine(&self) -> &dyn Any {
        self
    }

    fn machine_mut(&mut self) -> &mut dyn Any {
        self
    }
}

pub(crate) const STREAM: StreamId = StreamId { index: 1, generation: 0 };

pub(crate) const fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, last))
}

pub(crate) const fn address(last: u8) -> SocketAddr {
    SocketAddr::new(ip(last), 4_600)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Two hosts, 20 ms apart: `left` at address 1, `right` at address 2 with a listener.
pub(crate) fn pair(seed: u64) -> (World, HostId, HostId) {
    let mut world = World::new(seed);
    let left = world.add_host(HostSpec::new("left", ip(1)), |_| Talker::default());
    let right = world.add_host(HostSpec::new("right", ip(2)).listening(), |_| Talker::default());
    (world, left, right)
}

pub(crate) fn talker(world: &World, host: HostId) -> &Talker {
    world.machine::<Talker>(host)
}

pub(crate) fn send(world: &mut World, from: HostId, to: SocketAddr, bytes: &[u8]) {
    world.with(from, |_: &mut Talker, io| {
        io.send_datagram(SocketId::MAIN, to, None, bytes.to_vec());
    });
}

pub(crate) fn connect(world: &mut World, from: HostId, to: SocketAddr) {
    world.with(from, |_: &mut Talker, io| {
        io.command(Command::Connect { stream: STREAM, remote: to });
    });
}

/// Writes as much as there is room for; the rest follows by itself.
pub(crate) fn write(world: &mut World, from: HostId, stream: StreamId, bytes: &[u8]) {
    world.with(from, |talker: &mut Talker, _| {
        talker.backlog.entry(stream).or_default().extend_from_slice(bytes);
    });
}

/// The one stream that a host has accepted.
pub(crate) fn accepted(world: &World, host: HostId) -> StreamId {
    assert_eq!(talker(world, host).accepted.len(), 1);
    talker(world, host).accepted[0].1
}

/// Sends with a hop limit.
pub(crate) fn send_far(world: &mut World, from: HostId, to: SocketAddr, hop_limit: u8) {
    world.with(from, |_: &mut Talker, io| {
        io.send_datagram(SocketId::MAIN, to, Some(hop_limit), vec![0, hop_limit]);
    });
}

/// What a host has received, without times.
pub(crate) fn heard(world: &World, host: HostId) -> Vec<(SocketAddr, &[u8])> {
    let datagrams = &talker(world, host).datagrams;
    datagrams.iter().map(|(_, from, bytes)| (*from, &bytes[..])).collect()
}

/// A host on port 4600 in the inner network of a NAT, at 10.0.0.`last`.
pub(crate) fn behind(world: &mut World, nat: NatId, name: &str, last: u8) -> HostId {
    let spec = HostSpec::new(name, IpAddr::from([10, 0, 0, last])).behind(nat);
    world.add_host(spec, |_| Talker::default())
}

/// The server of a test: at address 2, with a listener.
pub(crate) fn server(world: &mut World) -> HostId {
    world.add_host(HostSpec::new("server", ip(2)).listening(), |_| Talker::default())
}

/// A host behind a NAT, and the address at which the server saw it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct House {
    pub(crate) nat: NatId,
    pub(crate) host: HostId,
    pub(crate) seen: SocketAddr,
}

/// Where the host in a [`House`] is.
pub(crate) const INSIDE: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 4_600);

/// A server, a host behind a NAT at address 11, and one behind a NAT at address 12. Both have sent
/// to the server only.
pub(crate) fn two_houses(world: &mut World, left: NatConfig, right: NatConfig) -> (House, House) {
    let server = server(world);
    let mut house = |name: &str, last: u8, config: NatConfig| {
        let nat = world.add_nat(&format!("{name} nat"), ip(last), None, config);
        let host = behind(world, nat, name, 2);
        send(world, host, address(2), b"hello");
        world.run_for(millis(30));
        let seen = last_seen(world, server);
        House { nat, host, seen }
    };
    (house("left", 11, left), house("right", 12, right))
}

/// Where the last datagram that a host has received came from.
pub(crate) fn last_seen(world: &World, host: HostId) -> SocketAddr {
    let datagrams = &talker(world, host).datagrams;
    datagrams[datagrams.len() - 1].1
}
