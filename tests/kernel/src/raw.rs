//! TCP segments made by hand, one at a time: no stack sends an answer or sends anything again.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::thread::sleep;
use std::time::Instant;

use genkan_sim::nat::Flow;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::netns::Namespace;
use crate::scenario::{Inside, Remote};

/// The hop limit of what is made here; the stacks' own RSTs have another one and are dropped.
const HOPS: u32 = 99;

const QUIET: &str = "table ip quiet {
  chain out { type filter hook output priority filter; ip ttl != 99 tcp flags & rst == rst drop; }
}
";

/// The numbers with which the inside and the remote begin.
const FIRST: [u32; 2] = [1_000, 5_000];

/// The length of a header without options.
const HEADER: usize = 20;

/// A segment as it came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Came {
    pub(crate) from: SocketAddr,
    pub(crate) port: u16,
}

/// Raw sockets, one for each address that sends or is sent to, and where connections stand.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    sockets: BTreeMap<IpAddr, Socket>,
    /// The next sequence numbers of the inside and of the remote.
    numbers: BTreeMap<(Inside, Remote), [u32; 2]>,
}

impl Segments {
    /// Opens the socket of an address, if it is not open yet.
    #[expect(clippy::expect_used, reason = "a namespace of our own")]
    pub(crate) fn open(&mut self, namespace: &Namespace, address: IpAddr) {
        self.sockets.entry(address).or_insert_with(|| {
            namespace.run(&["nft", "-f", "-"], QUIET);
            let socket = namespace.within(|| {
                // SOCK_RAW.
                let socket = Socket::new(Domain::IPV4, Type::from(3), Some(Protocol::TCP))?;
                socket.bind(&SockAddr::from(SocketAddr::new(address, 0)))?;
                socket.set_ttl_v4(HOPS)?;
                socket.set_nonblocking(true)?;
                std::io::Result::Ok(socket)
            });
            socket.expect("a raw socket")
        });
    }

    /// Sends the next segment of a connection: from the remote if `back`, else from the inside.
    pub(crate) fn send(
        &self,
        (inside, remote): (Inside, Remote),
        back: bool,
        flow: Flow,
        to: SocketAddr,
    ) {
        let from = if back { remote.address() } else { inside.address() };
        let mut numbers = self.numbers(inside, remote);
        let (own, other) = (usize::from(back), usize::from(!back));
        if matches!(flow, Flow::Syn | Flow::SynAck) {
            numbers[own] = FIRST[own];
        }
        let segment = segment(from, to, flow, [numbers[own], numbers[other]]);
        let socket = &self.sockets[&from.ip()];
        let _ = socket.send_to(&segment, &SockAddr::from(SocketAddr::new(to.ip(), 0)));
    }

    /// The segment that was sent last came to its receiver: only then its SYN or FIN is acknowledged,
    /// and not sent again.
    pub(crate) fn came(&mut self, (inside, remote): (Inside, Remote), back: bool, flow: Flow) {
        let mut numbers = self.numbers(inside, remote);
        let own = usize::from(back);
        match flow {
            Flow::Syn | Flow::SynAck => numbers[own] = FIRST[own] + 1,
            Flow::Fin => numbers[own] = FIRST[own] + 2,
            Flow::Segment | Flow::Rst | Flow::Udp => {}
        }
        self.numbers.insert((inside, remote), numbers);
    }

    fn numbers(&self, inside: Inside, remote: Remote) -> [u32; 2] {
        self.numbers.get(&(inside, remote)).copied().unwrap_or(FIRST)
    }

    /// Forgets what has come to an address.
    pub(crate) fn drain(&self, at: IpAddr) {
        while self.take(at).is_some() {}
    }

    /// The next segment that comes to an address within so long.
    pub(crate) fn receive(&self, at: IpAddr, longest: Duration) -> Option<Came> {
        let start = Instant::now();
        loop {
            let came = self.take(at);
            if came.is_some() || start.elapsed() >= longest {
                return came;
            }
            sleep(Duration::from_micros(500));
        }
    }

    fn take(&self, at: IpAddr) -> Option<Came> {
        let mut packet = [0; 256];
        let length = (&self.sockets[&at]).read(&mut packet).ok()?;
        let packet = &packet[..length];
        let ip: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
        let tcp = packet.get(4 * usize::from(packet[0] & 15)..)?;
        let port = |at: usize| Some(u16::from_be_bytes(tcp.get(at..at + 2)?.try_into().ok()?));
        Some(Came { from: SocketAddr::new(ip.into(), port(0)?), port: port(2)? })
    }
}

/// A header with its checksum. `numbers`: the sender's and the other's next.
fn segment(from: SocketAddr, to: SocketAddr, flow: Flow, numbers: [u32; 2]) -> [u8; HEADER] {
    const FIN: u8 = 1;
    const SYN: u8 = 2;
    const RST: u8 = 4;
    const ACK: u8 = 16;
    let flags = match flow {
        Flow::Syn => SYN,
        Flow::SynAck => SYN | ACK,
        Flow::Fin => FIN | ACK,
        Flow::Rst => RST | ACK,
        Flow::Segment | Flow::Udp => ACK,
    };
    let acknowledged = if flags & ACK == 0 { 0 } else { numbers[1] };
    let mut header = [0; HEADER];
    header[..2].copy_from_slice(&from.port().to_be_bytes());
    header[2..4].copy_from_slice(&to.port().to_be_bytes());
    header[4..8].copy_from_slice(&numbers[0].to_be_bytes());
    header[8..12].copy_from_slice(&acknowledged.to_be_bytes());
    // Five words, flags, a window of 64240.
    header[12..16].copy_from_slice(&[0x50, flags, 0xfa, 0xf0]);
    let ends = [from.ip(), to.ip()].map(|ip| match ip {
        IpAddr::V4(ip) => ip.octets(),
        IpAddr::V6(_) => [0; 4],
    });
    let pseudo = [&ends[0][..], &ends[1], &[0, 6, 0, 20], &header].concat();
    let words = pseudo.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum = words.sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    header[16..18].copy_from_slice(&sum.to_be_bytes());
    header
}
