//! A host as the world keeps it: its sockets, its clock, its faults, and the node on it.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use genkan_core::{Instant, SocketId, StreamId};

use super::datagrams::Flight;
use crate::net::NatId;
use crate::node::{Io, Node};
use crate::numbered::Thing;
use crate::packet::TcpId;
use crate::rng::Rng;
use crate::tcp::Reader;

/// What a host is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostSpec {
    pub(crate) name: String,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) port: u16,
    pub(crate) sockets: Vec<(SocketId, Local)>,
    pub(crate) listening: bool,
    pub(crate) behind: Option<NatId>,
}

impl HostSpec {
    /// A host with this name and address, and a UDP socket ([`SocketId::MAIN`]) on port 4600.
    #[must_use]
    pub fn new(name: &str, address: IpAddr) -> Self {
        let (name, addresses, sockets) = (name.into(), vec![address], Vec::new());
        Self { name, addresses, port: 4_600, sockets, listening: false, behind: None }
    }

    /// A further address.
    #[must_use]
    pub fn address(mut self, address: IpAddr) -> Self {
        self.addresses.push(address);
        self
    }

    /// Another port for the UDP socket, and for the listener.
    #[must_use]
    pub const fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// With a further UDP socket, open whenever the host comes on.
    #[must_use]
    pub fn socket(mut self, socket: SocketId, port: u16) -> Self {
        self.sockets.push((socket, Local { address: None, port }));
        self
    }

    /// As [`HostSpec::socket`], at one of the host's addresses only: what is sent from it has that
    /// source, and what comes to that address and port comes to it rather than to a socket that is
    /// at all addresses.
    #[must_use]
    pub fn socket_at(mut self, socket: SocketId, local: SocketAddr) -> Self {
        let (address, port) = (Some(local.ip()), local.port());
        self.sockets.push((socket, Local { address, port }));
        self
    }

    /// With a TCP listener ([`SocketId::LISTENER`]) on the UDP socket's port, as a server's host.
    #[must_use]
    pub const fn listening(mut self) -> Self {
        self.listening = true;
        self
    }

    /// In the inner network of a NAT.
    #[must_use]
    pub const fn behind(mut self, nat: NatId) -> Self {
        self.behind = Some(nat);
        self
    }
}

/// Where a UDP socket is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Local {
    /// `None`: at all of the host's addresses.
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: u16,
}

pub(crate) struct Slot {
    pub(crate) name: String,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) udp: BTreeMap<SocketId, Local>,
    /// How many UDP sockets it can have.
    pub(crate) most_udp: usize,
    pub(crate) listeners: BTreeMap<u16, SocketId>,
    pub(crate) streams: BTreeMap<StreamId, (TcpId, usize)>,
    pub(crate) node: Option<Box<dyn Node>>,
    pub(crate) io: Io,
    /// Which life of the host this is.
    pub(crate) life: u32,
    /// The host's clock less the world's, in microseconds, at [`Slot::since`].
    offset: i128,
    /// By how many millionths it runs too fast, and since when, in the world's microseconds.
    drift: i128,
    since: i128,
    /// Which of the wake-ups in the event queue is the good one.
    pub(crate) wake: u64,
    pub(crate) paused: bool,
    /// Datagrams that wait in the socket of a paused host.
    pub(crate) waiting: VecDeque<(Flight, SocketId, SocketAddr)>,
    pub(crate) reader: Reader,
    /// Probability that the node is called between its wake-ups for no reason.
    pub(crate) early: f64,
    /// How late a wake-up can be.
    pub(crate) late: Duration,
    /// How far apart datagrams leave, and when the next one can.
    pub(crate) send_gap: Duration,
    pub(crate) free_at: Duration,
    initial: HostSpec,
    next_port: u16,
}

/// The first port that connections go out from.
const FIRST_EPHEMERAL: u16 = 49_152;

const MILLION: i128 = 1_000_000;

/// A clock that is slower would hardly go on at all.
const SLOWEST: i32 = -900_000;

impl Thing for Slot {
    const WHAT: &str = "host";
}

impl Slot {
    pub(crate) fn new(spec: HostSpec, mut rng: Rng) -> Self {
        // Each host has been running for another while: no machine may rely on equal clocks.
        let offset = 1_000_000 + i128::from(rng.below(3_600_000_000));
        Self {
            name: spec.name.clone(),
            addresses: spec.addresses.clone(),
            udp: BTreeMap::new(),
            most_udp: usize::MAX,
            listeners: BTreeMap::new(),
            streams: BTreeMap::new(),
            node: None,
            io: Io::new(spec.name.clone(), rng),
            life: 0,
            offset,
            drift: 0,
            since: 0,
            wake: 0,
            paused: false,
            waiting: VecDeque::new(),
            reader: Reader::Fast,
            early: 0.0,
            late: Duration::ZERO,
            send_gap: Duration::ZERO,
            free_at: Duration::ZERO,
            initial: spec,
            next_port: FIRST_EPHEMERAL,
        }
    }

    /// The sockets that the caller opens before anything else.
    pub(crate) fn open_sockets(&mut self) {
        let main = Local { address: None, port: self.initial.port };
        self.udp = BTreeMap::from([(SocketId::MAIN, main)]);
        self.udp.extend(self.initial.sockets.iter().copied());
        let places: BTreeSet<Local> = self.udp.values().copied().collect();
        assert_eq!(places.len(), self.udp.len(), "{}: two sockets on one port", self.name);
        self.listeners.clear();
        if self.initial.listening {
            self.listeners.insert(self.initial.port, SocketId::LISTENER);
        }
    }

    /// Everything that is in memory is gone.
    pub(crate) fn lose_memory(&mut self) {
        self.node = None;
        self.life += 1;
        self.wake += 1;
        self.io.reset();
        self.udp.clear();
        self.listeners.clear();
        self.waiting.clear();
    }

    /// The host's clock at a moment of the world.
    pub(crate) fn instant(&self, at: Duration) -> Instant {
        let micros = self.local(micros(at)).max(1);
        Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    const fn local(&self, at: i128) -> i128 {
        at + self.offset + (at - self.since) * self.drift / MILLION
    }

    /// The first moment of the world at which the host's clock says `instant`; `None`: never.
    pub(crate) fn moment(&self, instant: Instant) -> Option<Duration> {
        if instant == Instant::END {
            return None;
        }
        let left = i128::from(instant.as_micros()) - self.offset - self.since;
        let (whole, runs) = (left * MILLION, MILLION + self.drift);
        let at = self.since + whole.div_euclid(runs) + i128::from(whole.rem_euclid(runs) > 0);
        u64::try_from(at.max(0)).ok().map(Duration::from_micros)
    }

    pub(crate) const fn jump(&mut self, micros: i128) {
        self.offset += micros;
    }

    /// From `now` on the clock runs `millionths` too fast.
    pub(crate) fn set_drift(&mut self, now: Duration, millionths: i32) {
        let now = micros(now);
        self.offset = self.local(now) - now;
        self.since = now;
        self.drift = i128::from(millionths.max(SLOWEST));
    }

    /// The address to use towards `remote`.
    pub(crate) fn address_for(&self, remote: SocketAddr) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|address| address.is_ipv4() == remote.is_ipv4())
    }

    /// The UDP socket that gets what comes to there.
    pub(crate) fn socket_at(&self, to: SocketAddr) -> Option<SocketId> {
        let at = |address| {
            let place = Local { address, port: to.port() };
            self.udp.iter().find(|&(_, &local)| local == place).map(|(&socket, _)| socket)
        };
        at(Some(to.ip())).or_else(|| at(None))
    }

    /// Whether another UDP socket than `own` has this port, at any address.
    fn has_port(&self, port: u16, own: Option<SocketId>) -> bool {
        self.udp.iter().any(|(&socket, local)| local.port == port && Some(socket) != own)
    }

    /// A port from the dynamic range (RFC 6335) that is not taken; `None`: all are.
    pub(crate) fn ephemeral_port(&mut self, taken: impl Fn(&Self, u16) -> bool) -> Option<u16> {
        for _ in FIRST_EPHEMERAL..=u16::MAX {
            let port = self.next_port;
            self.next_port = port.checked_add(1).unwrap_or(FIRST_EPHEMERAL);
            if !taken(self, port) {
                return Some(port);
            }
        }
        None
    }

    /// Opens or moves a UDP socket; port 0: a free one. `None`: the port is in use, or the host has
    /// as many sockets as it can have.
    pub(crate) fn bind_udp(&mut self, socket: SocketId, port: u16) -> Option<u16> {
        let opens = !self.udp.contains_key(&socket);
        if opens && self.udp.len() >= self.most_udp {
            return None;
        }
        let port = match port {
            0 => self.ephemeral_port(|slot, port| slot.has_port(port, None))?,
            port => port,
        };
        if self.has_port(port, Some(socket)) {
            return None;
        }
        self.udp.insert(socket, Local { address: None, port });
        Some(port)
    }

    /// Opens so many UDP sockets, numbered on from the first, on consecutive ports where there are as
    /// many free ones together. The first one's port; `None`: not all can be had, and none is open.
    pub(crate) fn bind_several(&mut self, sockets: &[SocketId]) -> Option<u16> {
        let together = |slot: &Self, first: u16| {
            let last = usize::from(first) + sockets.len().saturating_sub(1);
            u16::try_from(last).is_ok_and(|last| (first..=last).all(|at| !slot.has_port(at, None)))
        };
        let run = self.ephemeral_port(|slot, port| !together(slot, port));
        let mut ports = Vec::new();
        for (&socket, n) in sockets.iter().zip(0..) {
            // A counter that stands in the run goes on after it.
            let Some(port) = self.bind_udp(socket, run.map_or(0, |run| run + n)) else { break };
            self.next_port = port.checked_add(1).unwrap_or(FIRST_EPHEMERAL);
            ports.push(port);
        }
        if ports.len() < sockets.len() {
            self.udp.retain(|socket, _| !sockets.contains(socket));
            return None;
        }
        ports.first().copied()
    }
}

fn micros(at: Duration) -> i128 {
    i128::try_from(at.as_micros()).unwrap_or(i128::MAX / MILLION / 4)
}
