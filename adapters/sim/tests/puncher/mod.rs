//! Two nodes that punch, and the one that tells them of each other; nothing else.
//!
//! Plain punching as the oracle means it: each sends to the address that the rendezvous has seen of
//! the other, again and again, and answers whatever arrives to where it came from, in the same way.
//! A node has connected when it gets an answer to something that it sent.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use core::any::Any;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;

use genkan_core::{Instant, SocketId};
use genkan_sim::nat::NatConfig;
use genkan_sim::{HostId, HostSpec, Io, NatId, Node, World};

/// Where the rendezvous is.
pub(crate) const SERVER: SocketAddr = address([203, 0, 113, 1], 4_600);

/// Its other address.
pub(crate) const SERVER_V6: SocketAddr =
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 4_600);
/// Ends use this port and their number.
pub(crate) const LOCAL_PORT: u16 = 40_000;

pub(crate) const fn address([a, b, c, d]: [u8; 4], port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)
}

const HELLO: u8 = b'h';
const PEER: u8 = b'p';
const PUNCH: u8 = b'?';
const ANSWER: u8 = b'!';

/// Tells the first two who say hello the address that it sees of the other.
#[derive(Debug, Default)]
pub(crate) struct Rendezvous {
    seen: BTreeMap<SocketAddr, ()>,
}

impl Node for Rendezvous {
    fn datagram(&mut self, io: &mut Io, socket: SocketId, remote: SocketAddr, bytes: &mut [u8]) {
        assert_eq!(bytes, [HELLO]);
        self.seen.insert(remote, ());
        let seen: Vec<SocketAddr> = self.seen.keys().copied().collect();
        if let [one, other] = seen[..] {
            for (to, about) in [(one, other), (other, one)] {
                io.send_datagram(
                    socket,
                    to,
                    None,
                    [&[PEER], about.to_string().as_bytes()].concat(),
                );
            }
        }
    }

    fn machine(&self) -> &dyn Any {
        self
    }

    fn machine_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// How often, and how many times, an address is tried.
const INTERVAL: Duration = Duration::from_millis(200);
const TRIES: u32 = 5;
/// Addresses to try at most: two boxes can show a new port for every answer, for ever.
const TARGETS: usize = 8;

/// One end.
#[derive(Debug)]
pub(crate) struct Puncher {
    server: SocketAddr,
    manner: Manner,
    /// Whom to try, and from when on.
    later: Option<(Instant, SocketAddr)>,
    greeted: bool,
    targets: Vec<(SocketAddr, u32)>,
    next: Option<Instant>,
    /// It got an answer.
    pub(crate) connected: bool,
    /// It got something from the other end.
    pub(crate) heard: bool,
}

/// How an end begins.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    /// It waits so long before it sends to its peer.
    pub(crate) wait: Duration,
    /// Meanwhile it sends one packet that does not get further than this.
    pub(crate) bubble: Option<u8>,
}

impl Puncher {
    const fn new(server: SocketAddr, manner: Manner) -> Self {
        Self {
            server,
            manner,
            later: None,
            greeted: false,
            targets: Vec::new(),
            next: None,
            connected: false,
            heard: false,
        }
    }

    fn begin(&mut self, io: &mut Io) {
        if let Some((_, peer)) = self.later.take_if(|&mut (at, _)| at <= io.now()) {
            self.try_address(io, peer);
        }
    }

    pub(crate) fn try_address(&mut self, io: &mut Io, remote: SocketAddr) {
        let known = self.targets.iter().any(|&(target, _)| target == remote);
        if !known && self.targets.len() < TARGETS {
            self.targets.push((remote, TRIES - 1));
            io.send_datagram(SocketId::MAIN, remote, None, vec![PUNCH]);
            self.next.get_or_insert_with(|| io.now().after(INTERVAL));
        }
    }
}

impl Node for Puncher {
    fn datagram(&mut self, io: &mut Io, socket: SocketId, remote: SocketAddr, bytes: &mut [u8]) {
        match bytes {
            [PEER, about @ ..] => {
                let text = core::str::from_utf8(about).unwrap_or_default();
                let Ok(peer) = text.parse() else { unreachable!("{text} is no address") };
                if let Some(hops) = self.manner.bubble {
                    io.send_datagram(socket, peer, Some(hops), vec![PUNCH]);
                }
                self.later = Some((io.now().after(self.manner.wait), peer));
                self.begin(io);
            }
            [what] => {
                self.heard = true;
                if *what == PUNCH {
                    io.send_datagram(socket, remote, None, vec![ANSWER]);
                } else {
                    self.connected = true;
                }
                self.try_address(io, remote);
            }
            _ => {}
        }
    }

    fn timeout(&mut self, io: &mut Io) {
        if !core::mem::replace(&mut self.greeted, true) {
            io.send_datagram(SocketId::MAIN, self.server, None, vec![HELLO]);
        }
        self.begin(io);
        if self.next.is_some_and(|at| at <= io.now()) {
            for (target, left) in &mut self.targets {
                if *left > 0 {
                    *left -= 1;
                    io.send_datagram(SocketId::MAIN, *target, None, vec![PUNCH]);
                }
            }
            let more = self.targets.iter().any(|&(_, left)| left > 0);
            self.next = more.then(|| io.now().after(INTERVAL));
        }
    }

    fn drain(&mut self, _: &mut Io) -> Option<Instant> {
        self.next.into_iter().chain(self.later.map(|(at, _)| at)).min()
    }

    fn machine(&self) -> &dyn Any {
        self
    }

    fn machine_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// A world with the rendezvous.
pub(crate) fn world(seed: u64) -> World {
    let mut world = World::new(seed);
    world.keep_transcript(false);
    let spec = HostSpec::new("server", SERVER.ip()).address(SERVER_V6.ip());
    world.add_host(spec, |_| Rendezvous::default());
    world
}

/// Boxes one behind the other, given from the inside to the outside: the innermost. `outside`: what
/// the outermost is behind.
pub(crate) fn boxes(
    world: &mut World,
    end: u8,
    configs: &[NatConfig],
    outside: Option<NatId>,
) -> Option<NatId> {
    let mut behind = outside;
    for (level, config) in configs.iter().rev().enumerate() {
        let external = match (level, outside) {
            (0, None) => address([198, 51, 100, end], 0),
            (level, _) => address([100, 64 + level as u8, 0, end], 0),
        };
        let name = format!("box {end}.{level}");
        behind = Some(world.add_nat(&name, external.ip(), behind, config.clone()));
    }
    behind
}

/// An end behind a box, or in public. `end` is 1 or 2.
pub(crate) fn puncher(world: &mut World, end: u8, behind: Option<NatId>, manner: Manner) -> HostId {
    let name = format!("end {end}");
    let spec = match behind {
        Some(nat) => HostSpec::new(&name, address([10, 0, 0, end], 0).ip()).behind(nat),
        None => HostSpec::new(&name, address([192, 0, 2, end], 0).ip()),
    };
    world.add_host(spec.port(LOCAL_PORT + u16::from(end)), |_| Puncher::new(SERVER, manner))
}

/// An end with an IPv6 address, behind a firewall or not.
pub(crate) fn puncher_v6(world: &mut World, end: u8, firewall: Option<NatId>) -> HostId {
    let ip = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, end.into(), 0, 0, 0, 0, 1));
    let spec = HostSpec::new(&format!("end {end}"), ip);
    let spec = if let Some(nat) = firewall { spec.behind(nat) } else { spec };
    world.add_host(spec, |_| Puncher::new(SERVER_V6, Manner::default()))
}

/// Lets two ends punch; whether both connected.
pub(crate) fn punch(seed: u64, one: &[NatConfig], other: &[NatConfig]) -> bool {
    punch_in_order(seed, [one, other], [Manner::default(); 2])
}

/// As [`punch`], each in its manner.
pub(crate) fn punch_in_order(
    seed: u64,
    [one, other]: [&[NatConfig]; 2],
    manners: [Manner; 2],
) -> bool {
    let mut world = world(seed);
    let behind = (boxes(&mut world, 1, one, None), boxes(&mut world, 2, other, None));
    let a = puncher(&mut world, 1, behind.0, manners[0]);
    let b = puncher(&mut world, 2, behind.1, manners[1]);
    connects(&mut world, a, b)
}

pub(crate) fn connects(world: &mut World, a: HostId, b: HostId) -> bool {
    world.run_for(Duration::from_secs(5));
    let connected = |host| world.machine::<Puncher>(host).connected;
    connected(a) && connected(b)
}
