//! A stack of ours: a network in memory, with NATs in front of hosts and with moods.

use core::cell::RefCell;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use embedded_nal::{
    TcpClientStack, TcpError, TcpErrorKind, TcpFullStack, UdpClientStack, UdpFullStack, nb,
};
use genkan_sim::{Flow, Nat, Rng};

/// What a stack's callers have to live with.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moods {
    /// Chance that a datagram is lost.
    pub(crate) loss: f64,
    /// Chance that sending would block.
    pub(crate) blocked: f64,
    /// A stream takes as many bytes as it likes.
    pub(crate) partial: bool,
    /// A read of a stream brings few bytes.
    pub(crate) pieces: bool,
    /// Chance that a port is taken.
    pub(crate) taken: f64,
    /// Nothing to read is an error of UDP and zero bytes of TCP, as with smoltcp-nal 0.7.
    pub(crate) vague: bool,
}

/// Bytes on their way in one direction.
#[derive(Default)]
struct Pipe {
    bytes: VecDeque<u8>,
    closed: bool,
}

/// Bytes that a pipe holds.
const PIPE: usize = 700;

type Callers = VecDeque<(MemoryTcp, SocketAddr)>;

pub(crate) struct Net {
    pub(crate) moods: Moods,
    pub(crate) now: Duration,
    /// How often sending would have blocked, and how often a stream took only a part.
    pub(crate) blocked: u32,
    pub(crate) parts: u32,
    rng: Rng,
    udp: BTreeMap<SocketAddr, VecDeque<(SocketAddr, Vec<u8>)>>,
    callers: BTreeMap<SocketAddr, Callers>,
    pipes: Vec<Pipe>,
    /// By outer address: the host behind it.
    nats: BTreeMap<IpAddr, (IpAddr, Nat)>,
}

impl Net {
    pub(crate) fn new(seed: u64) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            moods: Moods::default(),
            now: Duration::ZERO,
            blocked: 0,
            parts: 0,
            rng: Rng::new(seed),
            udp: BTreeMap::new(),
            callers: BTreeMap::new(),
            pipes: Vec::new(),
            nats: BTreeMap::new(),
        }))
    }

    fn outside(&self, inside: IpAddr) -> IpAddr {
        let behind = self.nats.iter().find(|(_, (host, _))| *host == inside);
        behind.map_or(inside, |(outside, _)| *outside)
    }

    fn send(&mut self, mut from: SocketAddr, mut to: SocketAddr, bytes: &[u8]) {
        let outside = self.outside(from.ip());
        if let Some((_, nat)) = self.nats.get_mut(&outside) {
            let Ok(source) = nat.outbound(self.now, Flow::Udp, from, to) else { return };
            from = source;
        }
        if self.rng.chance(self.moods.loss) {
            return;
        }
        if let Some((_, nat)) = self.nats.get_mut(&to.ip()) {
            let Ok(inside) = nat.inbound(self.now, Flow::Udp, from, to) else { return };
            to = inside;
        }
        if let Some(queue) = self.udp.get_mut(&to) {
            queue.push_back((from, bytes.to_vec()));
        }
    }
}

impl Net {
    /// The same datagram, many times, in the queue of a socket that need not be open.
    pub(crate) fn flood(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8], times: usize) {
        self.udp.entry(from).or_default();
        self.udp.entry(to).or_default().extend((0..times).map(|_| (from, bytes.to_vec())));
    }

    /// How many datagrams are in a socket's queue.
    pub(crate) fn waiting(&self, at: SocketAddr) -> usize {
        self.udp[&at].len()
    }
}

/// One host's stack.
#[derive(Clone)]
pub(crate) struct Memory {
    net: Rc<RefCell<Net>>,
    ip: IpAddr,
    /// Sockets that are open, and how many can be.
    pub(crate) open: Rc<RefCell<(usize, usize)>>,
}

impl Memory {
    pub(crate) fn new(net: &Rc<RefCell<Net>>, ip: IpAddr, sockets: usize) -> Self {
        Self { net: Rc::clone(net), ip, open: Rc::new(RefCell::new((0, sockets))) }
    }

    /// Behind a NAT with this outer address. TCP passes it as if every port were forwarded.
    pub(crate) fn behind(self, outside: IpAddr, nat: Nat) -> Self {
        self.net.borrow_mut().nats.insert(outside, (self.ip, nat));
        self
    }

    fn take(&self) -> Result<(), Trouble> {
        let mut open = self.open.borrow_mut();
        if open.0 == open.1 {
            return Err(Trouble);
        }
        open.0 += 1;
        Ok(())
    }

    fn give_back(&self) {
        self.open.borrow_mut().0 -= 1;
    }

    /// The moods of the network; whether sending blocks, now.
    fn blocks(&self) -> bool {
        let net = &mut *self.net.borrow_mut();
        let blocks = net.rng.chance(net.moods.blocked);
        net.blocked += u32::from(blocks);
        blocks
    }

    fn taken(&self) -> bool {
        let net = &mut *self.net.borrow_mut();
        net.rng.chance(net.moods.taken)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Trouble;

impl TcpError for Trouble {
    fn kind(&self) -> TcpErrorKind {
        TcpErrorKind::Other
    }
}

pub(crate) struct MemoryUdp(Option<SocketAddr>);

impl UdpClientStack for Memory {
    type UdpSocket = MemoryUdp;
    type Error = Trouble;

    fn socket(&mut self) -> Result<MemoryUdp, Trouble> {
        self.take()?;
        Ok(MemoryUdp(None))
    }

    fn connect(&mut self, _: &mut MemoryUdp, _: SocketAddr) -> Result<(), Trouble> {
        Err(Trouble)
    }

    fn send(&mut self, _: &mut MemoryUdp, _: &[u8]) -> nb::Result<(), Trouble> {
        Err(Trouble.into())
    }

    fn receive(
        &mut self,
        socket: &mut MemoryUdp,
        buffer: &mut [u8],
    ) -> nb::Result<(usize, SocketAddr), Trouble> {
        let net = &mut *self.net.borrow_mut();
        let queue = net.udp.get_mut(&socket.0.ok_or(Trouble)?).ok_or(Trouble)?;
        let Some((from, bytes)) = queue.pop_front() else {
            return Err(if net.moods.vague { Trouble.into() } else { nb::Error::WouldBlock });
        };
        let length = bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        Ok((length, from))
    }

    fn close(&mut self, socket: MemoryUdp) -> Result<(), Trouble> {
        self.give_back();
        if let Some(local) = socket.0 {
            self.net.borrow_mut().udp.remove(&local);
        }
        Ok(())
    }
}

impl UdpFullStack for Memory {
    fn bind(&mut self, socket: &mut MemoryUdp, port: u16) -> Result<(), Trouble> {
        let local = SocketAddr::new(self.ip, port);
        if self.taken() || self.net.borrow().udp.contains_key(&local) {
            return Err(Trouble);
        }
        self.net.borrow_mut().udp.insert(local, VecDeque::new());
        socket.0 = Some(local);
        Ok(())
    }

    fn send_to(
        &mut self,
        socket: &mut MemoryUdp,
        remote: SocketAddr,
        bytes: &[u8],
    ) -> nb::Result<(), Trouble> {
        if self.blocks() {
            return Err(nb::Error::WouldBlock);
        }
        self.net.borrow_mut().send(socket.0.ok_or(Trouble)?, remote, bytes);
        Ok(())
    }
}

pub(crate) enum MemoryTcp {
    Fresh,
    /// It has been asked so often whether the connection stands.
    Connecting(u8),
    Listening(SocketAddr),
    Open {
        reads: usize,
        writes: usize,
    },
}

impl TcpClientStack for Memory {
    type TcpSocket = MemoryTcp;
    type Error = Trouble;

    fn socket(&mut self) -> Result<MemoryTcp, Trouble> {
        self.take()?;
        Ok(MemoryTcp::Fresh)
    }

    fn connect(&mut self, socket: &mut MemoryTcp, remote: SocketAddr) -> nb::Result<(), Trouble> {
        match socket {
            MemoryTcp::Fresh => *socket = MemoryTcp::Connecting(1),
            MemoryTcp::Connecting(asked @ 1..3) => *asked += 1,
            MemoryTcp::Connecting(_) => {
                let net = &mut *self.net.borrow_mut();
                let (one, other) = (net.pipes.len(), net.pipes.len() + 1);
                let from = SocketAddr::new(net.outside(self.ip), 1_024);
                let callers = net.callers.get_mut(&remote).ok_or(Trouble)?;
                callers.push_back((MemoryTcp::Open { reads: one, writes: other }, from));
                net.pipes.extend([Pipe::default(), Pipe::default()]);
                *socket = MemoryTcp::Open { reads: other, writes: one };
                return Ok(());
            }
            _ => return Err(Trouble.into()),
        }
        Err(nb::Error::WouldBlock)
    }

    fn send(&mut self, socket: &mut MemoryTcp, bytes: &[u8]) -> nb::Result<usize, Trouble> {
        if self.blocks() {
            return Err(nb::Error::WouldBlock);
        }
        let MemoryTcp::Open { writes, .. } = socket else { return Err(Trouble.into()) };
        let net = &mut *self.net.borrow_mut();
        let pipe = &mut net.pipes[*writes];
        let room = PIPE - pipe.bytes.len();
        match bytes.len().min(room) {
            _ if pipe.closed => Err(Trouble.into()),
            0 => Err(nb::Error::WouldBlock),
            most => {
                let length = if net.moods.partial { 1 + net.rng.index(most) } else { most };
                net.parts += u32::from(length < bytes.len());
                pipe.bytes.extend(&bytes[..length]);
                Ok(length)
            }
        }
    }

    fn receive(&mut self, socket: &mut MemoryTcp, room: &mut [u8]) -> nb::Result<usize, Trouble> {
        let MemoryTcp::Open { reads, .. } = socket else { return Err(Trouble.into()) };
        let net = &mut *self.net.borrow_mut();
        let pipe = &mut net.pipes[*reads];
        let most = if net.moods.pieces { 50 } else { usize::MAX };
        let length = pipe.bytes.len().min(room.len()).min(most);
        for (place, byte) in room.iter_mut().zip(pipe.bytes.drain(..length)) {
            *place = byte;
        }
        match (length, pipe.closed, net.moods.vague) {
            (0, true, true) => Err(Trouble.into()),
            (0, false, false) => Err(nb::Error::WouldBlock),
            _ => Ok(length),
        }
    }

    fn close(&mut self, socket: MemoryTcp) -> Result<(), Trouble> {
        self.give_back();
        let net = &mut *self.net.borrow_mut();
        match socket {
            MemoryTcp::Open { reads, writes } => {
                net.pipes[reads].closed = true;
                net.pipes[writes].closed = true;
            }
            MemoryTcp::Listening(local) => {
                net.callers.remove(&local);
            }
            MemoryTcp::Fresh | MemoryTcp::Connecting(_) => {}
        }
        Ok(())
    }
}

impl TcpFullStack for Memory {
    fn bind(&mut self, socket: &mut MemoryTcp, port: u16) -> Result<(), Trouble> {
        let local = SocketAddr::new(self.net.borrow().outside(self.ip), port);
        if self.taken() || self.net.borrow().callers.contains_key(&local) {
            return Err(Trouble);
        }
        *socket = MemoryTcp::Listening(local);
        Ok(())
    }

    fn listen(&mut self, socket: &mut MemoryTcp) -> Result<(), Trouble> {
        let MemoryTcp::Listening(local) = socket else { return Err(Trouble) };
        self.net.borrow_mut().callers.insert(*local, VecDeque::new());
        Ok(())
    }

    fn accept(&mut self, socket: &mut MemoryTcp) -> nb::Result<(MemoryTcp, SocketAddr), Trouble> {
        let MemoryTcp::Listening(local) = socket else { return Err(Trouble.into()) };
        let mut net = self.net.borrow_mut();
        let callers = net.callers.get_mut(local).ok_or(Trouble)?;
        if callers.is_empty() {
            return Err(nb::Error::WouldBlock);
        }
        self.take()?;
        callers.pop_front().ok_or(nb::Error::WouldBlock)
    }
}
