//! The place of one stream: a socket, its buffers, and who holds it.
//!
//! A slot walks through phases of its own beside TCP's states. It is *vacant*; it is *incoming*
//! while the peer's handshake runs; it waits in the *backlog* until the application accepts it; it
//! is *owned* while a handle exists; it *lingers* after the handle was released until what it holds
//! is delivered. A vacant slot may still sit in TIME-WAIT. It then answers stray segments of its
//! old stream until it is needed or ten seconds have passed, so TIME-WAIT never keeps a new stream
//! out.
//!
//! The stack below has four habits that this module works around, each noted at its place: it
//! empties the receive buffer when TIME-WAIT ends, it forgets its retransmission timer when
//! duplicate acknowledgements meet a lone FIN, it carries congestion state from one connection to
//! the next, and after a retransmission timeout it sends acknowledgements that it would not accept
//! itself.

mod lifecycle;
mod traffic;

use smoltcp::iface::{Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer, State};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::IpAddress;

use crate::config::{Config, MAX_BUFFER, MIN_BUFFER, Role};
use crate::error::{BufferTooSmall, EndReason};
use crate::filter::Segment;

/// Memory for one socket, to be lent to [`Slot::new`].
#[derive(Debug)]
pub struct Place<'a>([SocketStorage<'a>; 1]);

impl Place<'_> {
    /// A place that holds nothing.
    pub const EMPTY: Self = Self([SocketStorage::EMPTY]);
}

#[cfg(feature = "defmt")]
impl defmt::Format for Place<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Place");
    }
}

impl Default for Place<'_> {
    fn default() -> Self {
        Self::EMPTY
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Vacant,
    Incoming,
    Backlog { order: u64 },
    Owned,
    Lingering { until: u64 },
}

/// What moved a socket.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cause {
    Segment(Segment),
    Timer,
}

/// The circumstances of one call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) now: u64,
    pub(crate) order: u64,
    pub(crate) config: Config,
}

impl Turn {
    pub(crate) fn at(&self) -> Instant {
        Instant::from_micros(i64::try_from(self.now).unwrap_or(i64::MAX))
    }
}

/// Room for one stream: a socket and its two buffers.
#[derive(Debug)]
pub struct Slot<'a> {
    set: SocketSet<'a>,
    socket: SocketHandle,
    pub(crate) phase: Phase,
    pub(crate) generation: u32,
    ended: Option<EndReason>,
    peer_finished: bool,
    finish_wanted: bool,
    time_wait_since: u64,
    /// The newest acknowledgement that came in a segment of its own.
    acknowledged: Option<i32>,
    /// The peer's initial sequence number.
    first_sequence: i32,
    /// How many bytes were read, modulo 2³².
    taken: u32,
}

#[cfg(feature = "defmt")]
impl defmt::Format for Slot<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Slot of stream {=u32}, ended: {}", self.generation, self.ended);
    }
}

impl<'a> Slot<'a> {
    /// A slot in caller-given memory. Buffers are used up to [`MAX_BUFFER`] bytes each; their sizes
    /// bound the bytes in flight of one round trip in each direction.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`] when one of the buffers has fewer than [`MIN_BUFFER`] bytes.
    pub fn new(
        place: &'a mut Place<'a>,
        receive: &'a mut [u8],
        transmit: &'a mut [u8],
    ) -> Result<Self, BufferTooSmall> {
        if receive.len().min(transmit.len()) < MIN_BUFFER {
            return Err(BufferTooSmall);
        }
        let (receive_len, transmit_len) = (receive.len(), transmit.len());
        let receive = SocketBuffer::new(&mut receive[..receive_len.min(MAX_BUFFER)]);
        let transmit = SocketBuffer::new(&mut transmit[..transmit_len.min(MAX_BUFFER)]);
        Ok(Self::with(SocketSet::new(&mut place.0[..]), receive, transmit))
    }

    pub(crate) fn with(
        mut set: SocketSet<'a>,
        receive: SocketBuffer<'a>,
        transmit: SocketBuffer<'a>,
    ) -> Self {
        let socket = set.add(Socket::new(receive, transmit));
        Self {
            set,
            socket,
            phase: Phase::Vacant,
            generation: 0,
            ended: None,
            peer_finished: false,
            finish_wanted: false,
            time_wait_since: 0,
            acknowledged: None,
            first_sequence: 0,
            taken: 0,
        }
    }

    pub(crate) fn socket(&self) -> &Socket<'a> {
        self.set.get(self.socket)
    }

    pub(crate) fn socket_mut(&mut self) -> &mut Socket<'a> {
        self.set.get_mut(self.socket)
    }

    /// When a vacant slot was last in use, for choosing which one to take: 0 for an idle one, else
    /// the start of its TIME-WAIT. `None` when the slot is taken.
    pub(crate) fn vacancy(&self) -> Option<u64> {
        match (self.phase, self.socket().state()) {
            (Phase::Vacant, State::TimeWait) => Some(self.time_wait_since.max(1)),
            (Phase::Vacant, _) => Some(0),
            _ => None,
        }
    }

    /// Whether segments between these ports belong to this slot.
    pub(crate) fn matches(&self, local: u16, remote: u16) -> bool {
        let socket = self.socket();
        socket.state() != State::Closed
            && socket.local_endpoint().is_some_and(|end| end.port == local)
            && socket.remote_endpoint().is_some_and(|end| end.port == remote)
    }

    pub(crate) fn uses_local_port(&self, port: u16) -> bool {
        self.socket().local_endpoint().is_some_and(|end| end.port == port)
    }

    fn prepare(&mut self, phase: Phase, config: &Config) {
        self.phase = phase;
        self.ended = None;
        self.peer_finished = false;
        self.finish_wanted = false;
        self.acknowledged = None;
        self.taken = 0;
        let (open_timeout, keep_alive, ack_delay) =
            (config.open_timeout, config.keep_alive, config.ack_delay);
        let socket = self.socket_mut();
        // The stack keeps the window of the previous connection otherwise.
        socket.set_congestion_control(CongestionControl::Reno);
        socket.set_nagle_enabled(false);
        socket.set_ack_delay((ack_delay > 0).then(|| Duration::from_micros(ack_delay)));
        socket.set_timeout(Some(Duration::from_micros(open_timeout)));
        socket.set_keep_alive(Some(Duration::from_micros(keep_alive)));
    }

    /// Makes this slot await the opening segment that is about to be delivered.
    pub(crate) fn await_opening(&mut self, role: Role, port: u16, config: &Config) -> bool {
        let listening = self.socket_mut().listen((IpAddress::Ipv4(role.address()), port)).is_ok();
        if listening {
            self.prepare(Phase::Incoming, config);
        }
        listening
    }

    /// Opens a stream towards the peer's `port`.
    pub(crate) fn open(
        &mut self,
        interface: &mut Interface,
        role: Role,
        ports: (u16, u16),
        config: &Config,
    ) -> bool {
        let local = (IpAddress::Ipv4(role.address()), ports.0);
        let remote = (IpAddress::Ipv4(role.peer().address()), ports.1);
        let opened = self.socket_mut().connect(interface.context(), remote, local).is_ok();
        if opened {
            self.prepare(Phase::Owned, config);
        }
        opened
    }
}
