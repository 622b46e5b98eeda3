//! What runs on a host, behind one object-safe interface, and what it asks of its host.
//!
//! A [`Node`] is told what happened and leaves what it wants in an [`Io`]. The usual node is a
//! [`Host`](crate::Host) with one of the machines; anything else (a flood, an evil server, an echo)
//! implements [`Node`] itself.

use core::any::Any;
use core::net::SocketAddr;
use std::collections::BTreeMap;

use genkan_core::inspect::LoggedRoot;
use genkan_core::{Command, Instant, SocketId, StreamId, StreamState};

use crate::capture::IcmpError;
use crate::nat::Proto;
use crate::rng::Rng;

/// What runs on a host. All calls but [`Node::drain`] are optional for those who do not care.
pub trait Node: Any {
    /// A datagram arrived.
    fn datagram(&mut self, io: &mut Io, socket: SocketId, remote: SocketAddr, bytes: &mut [u8]) {
        let _ = (io, socket, remote, bytes);
    }

    /// Bytes stand at the front of a stream. Returns how many are done with; 0 = more are needed.
    fn stream(&mut self, io: &mut Io, stream: StreamId, bytes: &mut [u8]) -> usize {
        let _ = (io, stream);
        bytes.len()
    }

    /// A stream's state changed.
    fn stream_state(&mut self, io: &mut Io, stream: StreamId, state: StreamState) {
        let _ = (io, stream, state);
    }

    /// A connection came in on a listener. `None`: it is reset.
    fn accept(&mut self, io: &mut Io, listener: SocketId, remote: SocketAddr) -> Option<StreamId> {
        let _ = (io, listener, remote);
        None
    }

    /// An ICMP error arrived about something that this host sent. No host hears of it when the
    /// packet's NAT does not know the packet any more, or the error is lost.
    fn icmp(&mut self, io: &mut Io, error: IcmpError, about: Quote) {
        let _ = (io, error, about);
    }

    /// The answer to [`Command::Listen`] and [`Io::bind_udp`]; `None`: the port is in use, or the
    /// host has no address.
    fn bound(&mut self, io: &mut Io, socket: SocketId, local: Option<SocketAddr>) {
        let _ = (io, socket, local);
    }

    /// The time that [`Node::drain`] gave has come.
    fn timeout(&mut self, io: &mut Io) {
        let _ = io;
    }

    /// Called after every other call: the rest of what it wants goes into `io`; returns when it is
    /// to be called again at the latest.
    fn drain(&mut self, io: &mut Io) -> Option<Instant> {
        let _ = io;
        None
    }

    /// Calls `log` with the root of each session that stands now, for
    /// [`World::log_keys`](crate::World::log_keys).
    fn roots(&self, log: &mut dyn FnMut(LoggedRoot)) {
        let _ = log;
    }

    /// The machine inside, for [`World::machine`](crate::World::machine).
    fn machine(&self) -> &dyn Any;

    /// As [`Node::machine`].
    fn machine_mut(&mut self) -> &mut dyn Any;

    /// The application inside, for [`World::app`](crate::World::app).
    fn app(&self) -> &dyn Any {
        self.machine()
    }

    /// As [`Node::app`].
    fn app_mut(&mut self) -> &mut dyn Any {
        self.machine_mut()
    }

    /// Machine and application at once, where they are two things.
    fn both_mut(&mut self) -> Option<(&mut dyn Any, &mut dyn Any)> {
        None
    }
}

/// The packet that an ICMP error is about, as its sender knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quote {
    /// Its transport.
    pub proto: Proto,
    /// Its source: the host's own address and port.
    pub local: SocketAddr,
    /// Its destination.
    pub remote: SocketAddr,
}

/// What a node wants done.
#[derive(Debug)]
pub(crate) enum Effect {
    Bind { socket: SocketId, port: u16 },
    Unbind { socket: SocketId },
    ConnectFrom { stream: StreamId, port: u16, remote: SocketAddr },
    Datagram { socket: SocketId, remote: SocketAddr, hop_limit: Option<u8>, bytes: Vec<u8> },
    Write { stream: StreamId, bytes: Vec<u8> },
    Command(Command),
    Note(String),
}

/// The bytes that a stream takes before its reader has read them.
#[derive(Clone, Copy, Debug)]
struct Writer {
    capacity: usize,
    queued: usize,
}

/// A node's way to its host: its clock, and what it wants sent, opened and closed.
#[derive(Debug)]
pub struct Io {
    name: String,
    pub(crate) now: Instant,
    pub(crate) rng: Rng,
    pub(crate) effects: Vec<Effect>,
    /// When the node last said that it wanted to be called.
    pub(crate) announced: Option<Instant>,
    /// The latest time that the node was told, which a clock that jumps back does not lower.
    pub(crate) latest: Instant,
    /// How many outputs one drain may make.
    pub(crate) drain_limit: usize,
    /// Probability that a datagram cannot be sent.
    pub(crate) send_errors: f64,
    writers: BTreeMap<StreamId, Writer>,
}

impl Io {
    pub(crate) const fn new(name: String, rng: Rng) -> Self {
        Self {
            name,
            now: Instant::START,
            rng,
            effects: Vec::new(),
            announced: None,
            latest: Instant::START,
            drain_limit: 1_000,
            send_errors: 0.0,
            writers: BTreeMap::new(),
        }
    }

    /// The host's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host's clock. Hosts' clocks differ, and can jump.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// The host's share of chance.
    pub const fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// Sends a datagram.
    pub fn send_datagram(
        &mut self,
        socket: SocketId,
        remote: SocketAddr,
        hop_limit: Option<u8>,
        bytes: Vec<u8>,
    ) {
        self.effects.push(Effect::Datagram { socket, remote, hop_limit, bytes });
    }

    /// Opens or closes something.
    pub fn command(&mut self, command: Command) {
        if let Command::Shutdown { stream } = command {
            self.writers.remove(&stream);
        }
        self.effects.push(Effect::Command(command));
    }

    /// Opens a further UDP socket on `port`, or on a free one when that is 0; answered by
    /// [`Node::bound`]. A socket that is open is moved.
    pub fn bind_udp(&mut self, socket: SocketId, port: u16) {
        self.effects.push(Effect::Bind { socket, port });
    }

    /// Closes a UDP socket.
    pub fn close_udp(&mut self, socket: SocketId) {
        self.effects.push(Effect::Unbind { socket });
    }

    /// As [`Command::Connect`], from a chosen port: a listener may be there too, and other
    /// connections as long as their remote addresses differ; otherwise the stream is closed at once.
    /// Two hosts that do this towards each other at the same time meet (simultaneous open,
    /// RFC 9293 section 3.5).
    pub fn connect_from(&mut self, stream: StreamId, port: u16, remote: SocketAddr) {
        self.effects.push(Effect::ConnectFrom { stream, port, remote });
    }

    /// Puts a line into the transcript.
    pub fn note(&mut self, text: impl Into<String>) {
        self.effects.push(Effect::Note(text.into()));
    }

    /// The open streams, in order.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamId> {
        self.writers.keys().copied().collect()
    }

    /// How many bytes `stream` takes now; 0 when it is not open.
    #[must_use]
    pub fn room(&self, stream: StreamId) -> usize {
        self.writers.get(&stream).map_or(0, |writer| writer.capacity.saturating_sub(writer.queued))
    }

    /// How many bytes written to `stream` the other end has not read yet.
    #[must_use]
    pub fn queued(&self, stream: StreamId) -> usize {
        self.writers.get(&stream).map_or(0, |writer| writer.queued)
    }

    /// Writes all of `bytes`, one frame, to `stream`; false, and nothing written, when there is no
    /// [`Io::room`].
    pub fn write(&mut self, stream: StreamId, bytes: Vec<u8>) -> bool {
        match self.writers.get_mut(&stream) {
            Some(writer) if writer.queued + bytes.len() <= writer.capacity => {
                writer.queued += bytes.len();
                self.effects.push(Effect::Write { stream, bytes });
                true
            }
            _ => false,
        }
    }

    pub(crate) fn open(&mut self, stream: StreamId, capacity: usize) {
        let before = self.writers.insert(stream, Writer { capacity, queued: 0 });
        assert!(before.is_none(), "{}: two streams are named {stream:?}", self.name);
    }

    pub(crate) fn close(&mut self, stream: StreamId) {
        self.writers.remove(&stream);
    }

    /// A hook changed the length of what was written.
    pub(crate) fn requeue(&mut self, stream: StreamId, was: usize, is: usize) {
        if let Some(writer) = self.writers.get_mut(&stream) {
            writer.queued = writer.queued.saturating_sub(was) + is;
        }
    }

    /// The other end has read so many bytes.
    pub(crate) fn credit(&mut self, stream: StreamId, bytes: usize) {
        if let Some(writer) = self.writers.get_mut(&stream) {
            writer.queued = writer.queued.saturating_sub(bytes);
        }
    }

    /// All streams are gone, and what was wanted is not wanted any more.
    pub(crate) fn reset(&mut self) {
        self.writers.clear();
        self.effects.clear();
        self.announced = None;
        self.latest = Instant::START;
    }

    /// Makes the caller's clock say `now`.
    pub(crate) fn set_now(&mut self, now: Instant) {
        self.now = now;
        self.latest = self.latest.max(now);
    }
}
