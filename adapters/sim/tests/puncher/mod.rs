//! Two nodes that punch, and the one that tells them of each other; nothing else.
//!
//! Plain punching as the oracle means it: each sends to the address that the rendezvous has seen of
//! the other, again and again, and answers whatever arrives to where it came from, in the same way.
//! A node has connected when it gets an answer to something that it sent.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use core::any::Any;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;

use genkan_core::{Instant, SocketId};
use genkan_sim::nat::NatConfig;
use genkan_sim::{HostId, HostSpec, Io, NatId, Node, World};

/// Where the rendezvous is.
pub(crate) const SERVER: SocketAddr = address([203, 0, 113, 1], 4_600);

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
#[derive(Debug, Default)]
pub(crate) struct Puncher {
    greeted: bool,
    targets: Vec<(SocketAddr, u32)>,
    next: Option<Instant>,
    /// It got an answer.
    pub(crate) connected: bool,
    /// It got something from the other end.
    pub(crate) heard: bool,
}

impl Puncher {
    fn try_address(&mut self, io: &mut Io, remote: SocketAddr) {
        let known = self.targets.iter().any(|&(target, _)| target == remote);
        if !known && self.targets.len() < TARGETS {
            self.targets.push((remote, TRIES - 1));
            io.send_datagram(SocketId::MAIN, remote, None, vec![PUNCH]);
            self.next.get_or_insert(io.now().after(INTERVAL));
        }
    }
}

impl Node for Puncher {
    fn datagram(&mut self, io: &mut Io, socket: SocketId, remote: SocketAddr, bytes: &mut [u8]) {
        match bytes {
            [PEER, about @ ..] => {
                let peer = core::str::from_utf8(about).unwrap().parse().unwrap();
                self.try_address(io, peer);
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
            io.send_datagram(SocketId::MAIN, SERVER, None, vec![HELLO]);
        }
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
        self.next
    }

    fn machine(&self) -> &dyn Any {
        self
    }

    fn machine_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// A world with the rendezvous and these boxes from the inside to the outside before each end.
pub(crate) fn world(seed: u64) -> World {
    let mut world = World::new(seed);
    world.keep_transcript(false);
    world.add_host(HostSpec::new("server", SERVER.ip()), |_| Rendezvous::default());
    world
}

/// Boxes one behind the other, given from the inside to the outside: the innermost.
pub(crate) fn boxes(world: &mut World, end: u8, configs: &[NatConfig]) -> Option<NatId> {
    let mut behind = None;
    for (level, config) in configs.iter().rev().enumerate() {
        let external = match level {
            0 => address([198, 51, 100, end], 0),
            level => address([100, 64 + level as u8, 0, end], 0),
        };
        let name = format!("box {end}.{level}");
        behind = Some(world.add_nat(&name, external.ip(), behind, config.clone()));
    }
    behind
}

/// An end behind a box, or in public. `end` is 1 or 2.
pub(crate) fn puncher(world: &mut World, end: u8, behind: Option<NatId>) -> HostId {
    let name = format!("end {end}");
    let port = 30_000 + u16::from(end);
    let spec = match behind {
        Some(nat) => HostSpec::new(&name, address([10, 0, 0, end], 0).ip()).behind(nat),
        None => HostSpec::new(&name, address([192, 0, 2, end], 0).ip()),
    };
    world.add_host(spec.port(port), |_| Puncher::default())
}

/// Lets two ends punch; whether both connected.
pub(crate) fn punch(seed: u64, one: &[NatConfig], other: &[NatConfig]) -> bool {
    let mut world = world(seed);
    let behind = (boxes(&mut world, 1, one), boxes(&mut world, 2, other));
    let (a, b) = (puncher(&mut world, 1, behind.0), puncher(&mut world, 2, behind.1));
    connects(&mut world, a, b)
}

pub(crate) fn connects(world: &mut World, a: HostId, b: HostId) -> bool {
    world.run_for(Duration::from_secs(5));
    let connected = |host| world.machine::<Puncher>(host).connected;
    connected(a) && connected(b)
}
