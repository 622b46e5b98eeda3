//! Two ends that look for each other's ports, with as many sockets as they like, and a desk that sees
//! where their packets come from.
//!
//! The ends answer a probe with an answer; the strategy is the test's, which sends from their sockets
//! and lets as much time pass as their messages would take.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use core::any::Any;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;

use genkan_core::SocketId;
use genkan_sim::nat::{NatConfig, Pick};
use genkan_sim::oracle::{Budget, Conditions, End, Gate, Probability, judge, likeliest};
use genkan_sim::{HostId, HostSpec, Io, NatSpec, Node, World};

pub(crate) const fn ip(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const SERVER: SocketAddr = SocketAddr::new(ip(203, 0, 113, 1), 4_600);
/// The first of an end's further sockets is on this port.
pub(crate) const FIRST_PORT: u16 = 40_000;
/// From any host to any other.
pub(crate) const ONE_WAY: Duration = Duration::from_millis(20);

const PROBE: u8 = b'?';
const ANSWER: u8 = b'!';

/// Keeps the source of each packet, by what the packet says.
#[derive(Debug, Default)]
struct Desk {
    seen: BTreeMap<Vec<u8>, SocketAddr>,
}

impl Node for Desk {
    fn datagram(&mut self, _: &mut Io, _: SocketId, remote: SocketAddr, bytes: &mut [u8]) {
        self.seen.insert(bytes.to_vec(), remote);
    }

    fn machine(&self) -> &dyn Any {
        self
    }

    fn machine_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// Answers probes.
#[derive(Debug, Default)]
struct Prober {
    connected: bool,
}

impl Node for Prober {
    fn datagram(&mut self, io: &mut Io, socket: SocketId, remote: SocketAddr, bytes: &mut [u8]) {
        if bytes == [PROBE] {
            io.send_datagram(socket, remote, None, vec![ANSWER]);
        } else {
            self.connected = true;
        }
    }

    fn machine(&self) -> &dyn Any {
        self
    }

    fn machine_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    A,
    B,
}

/// Two ends, each behind a box.
pub(crate) struct Match {
    pub(crate) world: World,
    desk: HostId,
    ends: [HostId; 2],
}

impl Match {
    pub(crate) fn new(seed: u64, boxes: [&NatConfig; 2], sockets: u16) -> Self {
        Self::with_pools(seed, boxes, sockets, [1; 2])
    }

    /// The same with so many external addresses of each box.
    pub(crate) fn with_pools(
        seed: u64,
        boxes: [&NatConfig; 2],
        sockets: u16,
        addresses: [u8; 2],
    ) -> Self {
        let mut world = World::new(seed);
        world.keep_transcript(false);
        let desk = world.add_host(HostSpec::new("desk", SERVER.ip()), |_| Desk::default());
        let ends = [1, 2].map(|end: u8| {
            let config = boxes[usize::from(end) - 1].clone();
            let further = (1..addresses[usize::from(end) - 1]).map(|n| external(10 * end + n));
            let name = format!("box {end}");
            let spec = NatSpec::new(&name, config).external(external(end));
            let nat = world.add_gateway(further.fold(spec, NatSpec::external));
            let mut spec = HostSpec::new(&format!("end {end}"), ip(10, 0, 0, end)).behind(nat);
            for number in 1..=sockets {
                spec = spec.socket(SocketId(number), FIRST_PORT + number);
            }
            world.add_host(spec, |_| Prober::default())
        });
        // Some time for the boxes' other users.
        world.run_for(Duration::from_secs(2));
        Self { world, desk, ends }
    }

    fn send(&mut self, side: Side, socket: u16, to: SocketAddr, bytes: Vec<u8>) {
        self.world.with(self.ends[side as usize], |_: &mut Prober, io| {
            io.send_datagram(SocketId(socket), to, None, bytes);
        });
    }

    /// Sends a probe.
    pub(crate) fn probe(&mut self, side: Side, socket: u16, to: SocketAddr) {
        self.send(side, socket, to, vec![PROBE]);
    }

    /// Shows a socket's address to the desk, which [`Match::seen`] reads when it has arrived.
    pub(crate) fn show(&mut self, side: Side, socket: u16) {
        self.send(side, socket, SERVER, format!("{side:?} {socket}").into_bytes());
    }

    pub(crate) fn seen(&self, side: Side, socket: u16) -> SocketAddr {
        let desk: &Desk = self.world.machine(self.desk);
        desk.seen[format!("{side:?} {socket}").as_bytes()]
    }

    /// An end shows one socket, probes with the next one and shows another.
    pub(crate) fn bracket(&mut self, side: Side, first: u16, to: SocketAddr, gap: Duration) {
        self.show(side, first);
        self.world.run_for(gap);
        self.probe(side, first + 1, to);
        self.world.run_for(gap);
        self.show(side, first + 2);
    }

    /// Where the probe of a [`Match::bracket`] can have come from, known when that has arrived, the
    /// likeliest first. `config` is the box's.
    pub(crate) fn between(
        &self,
        side: Side,
        first: u16,
        config: &NatConfig,
        gap: Duration,
    ) -> Vec<SocketAddr> {
        let Pick::Sequential { step, .. } = config.behaviour.allocation.pick else {
            unreachable!("no counter");
        };
        let (before, after) = (self.seen(side, first), self.seen(side, first + 2));
        let step = i32::from(step);
        let apart = (i32::from(after.port()) - i32::from(before.port())) / step;
        let others = u32::try_from(apart - 2).unwrap_or(0);
        let port = |place: u32| i32::from(before.port()) + step * (place as i32 + 1);
        let places = likeliest(config.foreign, gap, others).into_iter();
        places.map(|place| SocketAddr::new(before.ip(), port(place) as u16)).collect()
    }

    /// Lets everything arrive; whether both had an answer.
    pub(crate) fn connects(mut self) -> bool {
        self.world.run_for(5 * ONE_WAY);
        self.ends.iter().any(|&end| self.world.machine::<Prober>(end).connected)
    }
}

/// A box's address.
pub(crate) const fn external(end: u8) -> IpAddr {
    ip(198, 51, 100, end)
}

/// What the oracle says of two ends behind boxes like these.
pub(crate) fn bound(
    boxes: [&NatConfig; 2],
    budget: (u32, u32),
    conditions: Conditions,
) -> Probability {
    let end = |id, config: &NatConfig| End::behind([Gate::new(id, config.clone())]);
    let judgement = judge(&end(1, boxes[0]), &end(2, boxes[1]));
    assert!(!judgement.plain);
    judgement.prediction.bound(Budget { a: budget.0, b: budget.1 }, conditions)
}

/// Standard deviations that a measured share may be off: one run in 15 000 is further away by chance.
const SIGMAS: f64 = 4.0;

/// Plays with so many seeds, and holds the share of those that connected against the oracle's word.
#[expect(clippy::print_stdout, reason = "the figures, for --nocapture")]
pub(crate) fn measure(name: &str, said: Probability, runs: u32, play: impl Fn(u64) -> bool) {
    let hits = (1..=u64::from(runs)).filter(|&seed| play(seed)).count() as u32;
    let share = f64::from(hits) / f64::from(runs);
    println!("{name}: {share:.4} of {runs}, said {:.4} to {:.4}", said.reached, said.at_most);
    assert!(said.allows(hits, runs, SIGMAS), "{name}: {share:.4} of {runs} is not {said:?}");
}
