//! A port that the box before this machine opens for a node (PCP, NAT-PMP): the core's
//! [`LeaseClient`] on a socket of its own, beside the node's machine.
//!
//! The requests name the port of the node's UDP socket, so the machine has nothing to do with them; it
//! is told which port was leased. It waits for the box's first answer, for [`HEAD_START`] at most: a
//! box answers within milliseconds, and what has left by another port before keeps that port with
//! many of them.
//!
//! The default gateway is read from `/proc`: forty lines, where the crates that know it (netdev,
//! default-net) bring a library of interfaces and a dozen dependencies. Elsewhere than on Linux it
//! has to be given.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::io;

use genkan_core::nat::lease::{CONTROL_PORT, Lease, LeaseClient, Refused};
use genkan_core::{AddressClass, Entropy as _, Instant, canonical};
use mio::net::UdpSocket;
use socket2::{Domain, Protocol, Socket, Type};

use crate::entropy::OsEntropy;
use crate::net::Net;

/// How long a node waits for the box's first answer before it sends anything, at most.
pub(crate) const HEAD_START: Duration = Duration::from_millis(100);
/// Where a box announces that it has lost its leases (RFC 6886 section 3.2.1, RFC 6887 section 14.1).
const ANNOUNCEMENTS: u16 = 5_350;
/// As many datagrams are read from each socket in a turn: whoever floods the network must not hold the
/// node up.
const AT_ONCE: usize = 16;
/// The longest message of PCP (RFC 6887 section 7), and one byte to tell a longer one.
const ROOM: usize = 1_101;

/// Whether a node asks the box before it for a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LeaseMode {
    /// No.
    #[default]
    Off,
    /// The default gateway, for IPv4 on Linux; elsewhere, and where the server is on this machine,
    /// nobody is asked.
    Auto,
    /// The box with this address.
    Gateway(IpAddr),
}

/// What became of the port that a node has asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum LeaseNews {
    /// There is one. Whether it leads anywhere, the NAT's profile says.
    Granted(Lease),
    /// There is none, and the box says why. It is asked again later.
    Refused(Refused),
    /// It ran out, and the box did not renew it.
    Lost,
}

/// A client of the box's for a node's UDP socket.
#[derive(Debug)]
pub(crate) struct Leaser {
    client: LeaseClient,
    socket: UdpSocket,
    /// Where announcements come; they can be done without.
    announcements: Option<UdpSocket>,
    gateway: SocketAddr,
    told: Option<LeaseNews>,
    /// The box has answered, or there is none.
    settled: bool,
    /// Not all that has come was read in the last turn.
    more: bool,
}

impl Leaser {
    /// For the node's socket at `inside`, as this machine's network knows it. `None`: nobody is to be
    /// asked.
    pub(crate) fn new(
        now: Instant,
        mode: LeaseMode,
        inside: Option<SocketAddr>,
        net: &Net,
    ) -> io::Result<Option<Self>> {
        let Some(inside) =
            inside.filter(|it| !matches!(AddressClass::of(it.ip()), AddressClass::Loopback))
        else {
            return Ok(None);
        };
        let gateway = match mode {
            LeaseMode::Off => None,
            LeaseMode::Auto => default_gateway().map(IpAddr::V4),
            LeaseMode::Gateway(address) => Some(address.to_canonical()),
        };
        let Some(gateway) = gateway.filter(|it| it.is_ipv4() == inside.is_ipv4()) else {
            return Ok(None);
        };
        let gateway = SocketAddr::new(gateway, CONTROL_PORT);
        let mut nonce = [0; 12];
        if OsEntropy::new().fill(&mut nonce).is_err() {
            return Ok(None);
        }
        let mut socket = UdpSocket::bind(SocketAddr::new(inside.ip(), 0))?;
        socket.connect(gateway)?;
        net.watch(&mut socket)?;
        // Another program may have the port for itself.
        let announcements = announcements().ok().and_then(|mut socket| {
            net.watch(&mut socket).ok()?;
            Some(socket)
        });
        let client = LeaseClient::new(now, inside, nonce);
        let (told, settled, more) = (None, false, false);
        Ok(Some(Self { client, socket, announcements, gateway, told, settled, more }))
    }

    /// Reads what has come, and sends what is due.
    pub(crate) fn turn(&mut self, now: Instant) {
        let read = (0..AT_ONCE).take_while(|_| self.read_answer(now)).count();
        let heard = (0..AT_ONCE).take_while(|_| self.read_announcement(now)).count();
        // The poll tells of a socket once, however much is left in it.
        self.more = read.max(heard) == AT_ONCE;
        self.send(now);
    }

    /// Reads one datagram of the box's. Says whether there was one.
    fn read_answer(&mut self, now: Instant) -> bool {
        let mut room = [0; ROOM];
        match self.socket.recv(&mut room) {
            Ok(length) => {
                self.client.handle_answer(now, room.get(..length).unwrap_or_default());
                self.settled |= self.client.lease(now).is_some() || self.client.refused().is_some();
                true
            }
            Err(error) => {
                // Otherwise nobody listens there; asking again is the client's business.
                self.settled |= error.kind() != io::ErrorKind::WouldBlock;
                false
            }
        }
    }

    /// Reads one announcement. Says whether there was one.
    fn read_announcement(&mut self, now: Instant) -> bool {
        let mut room = [0; ROOM];
        let Some(socket) = &self.announcements else { return false };
        let Ok((length, from)) = socket.recv_from(&mut room) else { return false };
        if canonical(from) == self.gateway {
            self.client.handle_answer(now, room.get(..length).unwrap_or_default());
        }
        true
    }

    fn send(&mut self, now: Instant) {
        while let Some(request) = self.client.poll_request(now) {
            // What cannot be sent is lost, and asked again.
            let _ = self.socket.send(&request);
        }
    }

    /// What is news for the machine and the application.
    pub(crate) fn news(&mut self, now: Instant) -> Option<LeaseNews> {
        let news = match (self.client.lease(now), self.client.refused()) {
            (Some(lease), _) => LeaseNews::Granted(lease),
            (None, Some(why)) => LeaseNews::Refused(why),
            (None, None) if matches!(self.told, Some(LeaseNews::Granted(_))) => LeaseNews::Lost,
            (None, None) => return None,
        };
        let same = match (self.told, news) {
            // Renewed.
            (Some(LeaseNews::Granted(one)), LeaseNews::Granted(other)) => {
                (one.address, one.port) == (other.address, other.port)
            }
            (told, news) => told == Some(news),
        };
        self.told = Some(news);
        (!same).then_some(news)
    }

    /// Whether the machine may begin.
    pub(crate) const fn is_settled(&self) -> bool {
        self.settled
    }

    /// When to call [`Leaser::turn`] and [`Leaser::news`] at the latest.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let ends = self.client.lease(now).map(|lease| lease.until);
        [ends, self.client.poll_timeout(), self.more.then_some(now)].into_iter().flatten().min()
    }

    /// Gives the port back.
    pub(crate) fn end(&mut self, now: Instant) {
        self.client.end(now);
        self.send(now);
    }
}

/// A socket for announcements, which every node of this machine may have at once.
fn announcements() -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, ANNOUNCEMENTS)).into())?;
    // Every host is in the group of all hosts by itself; some systems want it said.
    let _ = socket.join_multicast_v4(&Ipv4Addr::new(224, 0, 0, 1), &Ipv4Addr::UNSPECIFIED);
    Ok(UdpSocket::from_std(socket.into()))
}

/// The gateway of the default route with the lowest metric. The calling thread's network counts, which
/// may be another one than the process's.
fn default_gateway() -> Option<Ipv4Addr> {
    gateway_of(&std::fs::read_to_string("/proc/thread-self/net/route").ok()?)
}

/// From the kernel's table: a line for each route, `Iface Destination Gateway Flags RefCnt Use Metric
/// Mask …`, addresses as hexadecimal numbers in the byte order of the machine.
fn gateway_of(table: &str) -> Option<Ipv4Addr> {
    const UP_AND_GATEWAY: u32 = 3;
    let default = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let hex = |place: usize| u32::from_str_radix(fields.get(place)?, 16).ok();
        let whole = hex(1)? == 0 && hex(7)? == 0 && hex(3)? & UP_AND_GATEWAY == UP_AND_GATEWAY;
        let metric: u32 = fields.get(6)?.parse().ok()?;
        whole.then_some((metric, Ipv4Addr::from(hex(2)?.to_ne_bytes())))
    };
    let found = table.lines().skip(1).filter_map(default).min_by_key(|(metric, _)| *metric);
    found.map(|(_, gateway)| gateway)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn the_default_route_with_the_lowest_metric_is_taken() {
        let head =
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";
        let wifi = "wlan0\t00000000\t010200C0\t0003\t0\t0\t600\t00000000\t0\t0\t0";
        let wire = "eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0";
        let near = "eth0\t0000A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0";
        let of = |lines: &[&str]| gateway_of(&[&[head], lines].concat().join("\n"));
        assert_eq!(of(&[wifi, near, wire]), Some([192, 168, 0, 1].into()));
        assert_eq!(of(&[wifi, near]), Some([192, 0, 2, 1].into()));
        assert_eq!(of(&[near]), None);
        assert_eq!(of(&["what is this", ""]), None);
        assert_eq!(gateway_of(""), None);
    }

    /// And nothing that has come is forgotten.
    #[test]
    fn a_flood_takes_many_turns() {
        let gateway = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let (to, gateway_at) = (socket.local_addr().unwrap(), gateway.local_addr().unwrap());
        socket.connect(gateway_at).unwrap();
        let heard = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let announced = heard.local_addr().unwrap();
        let now = Instant::from_millis(1_000);
        let mut leaser = Leaser {
            client: LeaseClient::new(now, to, [7; 12]),
            socket,
            announcements: Some(heard),
            gateway: gateway_at,
            told: None,
            settled: false,
            more: false,
        };
        for (flooded, turns) in [(to, 3), (announced, 3)] {
            for _ in 0..2 * AT_ONCE + 1 {
                gateway.send_to(&[0; 3], flooded).unwrap();
            }
            for turn in 1..=turns {
                leaser.turn(now);
                assert_eq!(leaser.deadline(now) == Some(now), turn < turns, "{flooded} {turn}");
            }
            let left = [&leaser.socket, leaser.announcements.as_ref().unwrap()]
                .map(|socket| socket.recv(&mut [0; ROOM]).is_ok());
            assert_eq!(left, [false; 2]);
        }
    }
}
