//! Plain UDP hole punching: two hosts behind NATs learn each other's address from a server and send
//! to it, and to where they are sent to from. The same three parties run in the kernel's network and
//! in the simulator's.

use core::any::Any;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::thread::sleep;
use std::time::Instant;

use genkan_core::{Instant as Clock, SocketId};
use genkan_sim::{HostSpec, Io, NatConfig, Node, World};

use crate::lab::{Lab, SiteSpec, Timeouts};
use crate::netns::Namespace;
use crate::presets;
use crate::rules::Rules;
use crate::scenario::{A, R};

/// How often a peer sends, and how often at most.
const TICK: Duration = Duration::from_millis(100);
const TICKS: u32 = 10;

/// A datagram to be sent.
type Letter = (SocketAddr, Vec<u8>);

/// One of the three.
#[derive(Debug)]
enum Party {
    /// Tells each peer where the other is seen.
    Server { seen: BTreeMap<u8, SocketAddr> },
    /// Asks the server, then sends to the other one.
    Peer {
        name: u8,
        /// So many ticks it only asks.
        held: u32,
        ticks: u32,
        other: Option<SocketAddr>,
        /// From where it has heard from the other one.
        met: Option<SocketAddr>,
        /// The other one has heard from it.
        answered: bool,
    },
}

impl Party {
    const fn server() -> Self {
        Self::Server { seen: BTreeMap::new() }
    }

    const fn peer(name: u8, held: u32) -> Self {
        Self::Peer { name, held, ticks: 0, other: None, met: None, answered: false }
    }

    /// Where it has met the other one, when each has heard from the other.
    fn met(&self) -> Option<SocketAddr> {
        match self {
            Self::Peer { met, answered: true, .. } => *met,
            _ => None,
        }
    }

    fn tick(&mut self) -> Option<Letter> {
        let Self::Peer { name, held, ticks, other, met, answered } = self else { return None };
        *ticks += 1;
        match (met.or(*other), *answered) {
            (_, true) => None,
            (Some(to), false) if ticks > held => Some((to, b"hello".to_vec())),
            _ => Some((R.address(), vec![*name])),
        }
    }

    fn datagram(&mut self, from: SocketAddr, bytes: &[u8]) -> Vec<Letter> {
        match self {
            Self::Server { seen } => {
                seen.extend(bytes.first().map(|&name| (name, from)));
                let tell = |(to, of): (SocketAddr, SocketAddr)| (to, of.to_string().into_bytes());
                match seen.values().copied().collect::<Vec<_>>()[..] {
                    [one, two] => [(one, two), (two, one)].map(tell).into(),
                    _ => Vec::new(),
                }
            }
            Self::Peer { other, .. } if from == R.address() => {
                let address = core::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
                *other = address.or(*other);
                Vec::new()
            }
            Self::Peer { met, answered, .. } => {
                *met = Some(from);
                *answered |= bytes == b"heard";
                if bytes == b"hello" { vec![(from, b"heard".to_vec())] } else { Vec::new() }
            }
        }
    }
}

/// Where each of the two peers has met the other.
pub type Met = [Option<SocketAddr>; 2];

/// Two NATs of the kernel's; the second peer sends to the first only after so many ticks.
///
/// # Panics
/// When the network cannot be made.
#[must_use]
pub fn kernel(rules: [Rules; 2], held: u32) -> Met {
    let lab = Lab::new(&rules.map(SiteSpec::new));
    between(lab.internet(), [0, 1].map(|site| lab.host(site, 0)), held)
}

/// As [`kernel`], between hosts with whatever is before them.
///
/// # Panics
/// When a port is taken.
#[must_use]
#[expect(clippy::expect_used, reason = "ports of namespaces of our own")]
pub fn between(internet: &Namespace, hosts: [&Namespace; 2], held: u32) -> Met {
    let open = |socket: std::io::Result<UdpSocket>| {
        let socket = socket.expect("the port is free");
        socket.set_nonblocking(true).expect("a socket can be set not to block");
        socket
    };
    let [one, two] = hosts.map(|host| open(host.within(|| UdpSocket::bind(A.address()))));
    let server = open(internet.within(|| UdpSocket::bind(R.address())));
    let mut parties =
        [(server, Party::server()), (one, Party::peer(0, 0)), (two, Party::peer(1, held))];
    for _ in 0..TICKS {
        for (socket, party) in &mut parties {
            post(socket, party.tick());
        }
        let until = Instant::now() + TICK;
        while Instant::now() < until {
            for (socket, party) in &mut parties {
                let mut buffer = [0; 64];
                while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    post(socket, party.datagram(from, &buffer[..length]));
                }
            }
            sleep(Duration::from_millis(1));
        }
    }
    [parties[1].1.met(), parties[2].1.met()]
}

fn post(socket: &UdpSocket, letters: impl IntoIterator<Item = Letter>) {
    for (to, bytes) in letters {
        // What cannot be sent is lost.
        let _ = socket.send_to(&bytes, to);
    }
}

/// As [`kernel`], with simulated NATs.
#[must_use]
pub fn simulated(rules: [Rules; 2], held: u32) -> Met {
    in_world(rules.map(|rules| presets::config(rules, Timeouts::default())), held)
}

/// As [`between`], in the simulator.
#[must_use]
pub fn in_world(configs: [NatConfig; 2], held: u32) -> Met {
    let mut world = World::new(1);
    let server = HostSpec::new("server", R.ip()).port(R.port);
    world.add_host(server, |now| Talker { party: Party::server(), next: now });
    let [one, two] = configs;
    let peers = [(1, one, 0), (2, two, held)].map(|(number, config, held)| {
        let (nat, host) = (format!("nat {number}"), format!("peer {number}"));
        let nat = world.add_nat(&nat, IpAddr::from([203, 0, 113, number]), None, config);
        let spec = HostSpec::new(&host, A.ip()).behind(nat).port(A.port);
        world.add_host(spec, |now| Talker { party: Party::peer(number, held), next: now })
    });
    world.run_for(TICK * TICKS);
    peers.map(|peer| world.machine::<Talker>(peer).party.met())
}

/// A party in the simulator.
struct Talker {
    party: Party,
    next: Clock,
}

impl Node for Talker {
    fn datagram(&mut self, io: &mut Io, socket: SocketId, remote: SocketAddr, bytes: &mut [u8]) {
        for (to, bytes) in self.party.datagram(remote, bytes) {
            io.send_datagram(socket, to, None, bytes);
        }
    }

    fn timeout(&mut self, io: &mut Io) {
        if io.now() >= self.next {
            self.next = io.now().after(TICK);
            if let Some((to, bytes)) = self.party.tick() {
                io.send_datagram(SocketId::MAIN, to, None, bytes);
            }
        }
    }

    fn drain(&mut self, _: &mut Io) -> Option<Clock> {
        Some(self.next)
    }

    fn machine(&self) -> &dyn Any {
        self
    }

    fn machine_mut(&mut self) -> &mut dyn Any {
        self
    }
}
