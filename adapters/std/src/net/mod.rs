//! The sockets of one node and what the operating system says about them.
//!
//! Readiness is edge-triggered: a socket is reported once and then remembered as readable or writable
//! here, until it says that it would block. So a turn may stop after a fair share of work and go on in
//! the next one without asking again.

mod bind;
mod listener;
mod sleep;
mod sockets;
mod stream;
mod table;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_meeting;
#[cfg(test)]
mod tests_udp;
mod udp;

use core::net::SocketAddr;
use core::time::Duration;
use std::io;

use genkan_core::{Instant, Path, SocketId, StreamId};
use mio::net::{TcpListener, TcpStream, UdpSocket};
use mio::{Events, Interest, Poll, Token};

pub use bind::Bind;
pub(crate) use bind::{SHARES_PORTS, pair, tcp, udp};
pub(crate) use listener::Accepted;
use listener::Listener;
use sleep::Sleep;
use sockets::Sockets;
pub(crate) use stream::QUEUE_LIMIT;
use stream::{Phase, Progress};
use table::Wires;
pub(crate) use udp::Sent;

type TokenNumber = usize;

const WAKER: Token = Token(0);
const LISTENER: Token = Token(1);
const TIMER: Token = Token(2);
const ASIDE: Token = Token(3);
/// The first of as many tokens as there are numbers of UDP sockets.
const FIRST_DATAGRAM: TokenNumber = 16;
const FIRST_STREAM: TokenNumber = FIRST_DATAGRAM + u16::MAX as TokenNumber + 1;
/// Most events of the operating system in one turn.
const EVENTS: usize = 256;
/// Beyond this many queued bytes a stream is given no more frames of the machine; they wait there.
const FRAME_LIMIT: usize = 4 * QUEUE_LIMIT;

/// What became of a TCP connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    Connected(StreamId, SocketAddr),
    Failed(StreamId, SocketAddr),
}

/// Whether a stream took a payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Queued {
    Taken,
    Dropped,
}

/// The sockets of one node.
#[derive(Debug)]
pub(crate) struct Net {
    poll: Poll,
    events: Events,
    sockets: Sockets,
    listener: Option<Listener>,
    wires: Wires,
    sleep: Sleep,
    /// Something has come at a socket that is not the machine's.
    aside: bool,
}

impl Net {
    /// With its main UDP socket.
    pub(crate) fn new(datagrams: UdpSocket, listener: Option<TcpListener>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut sockets = Sockets::new(poll.registry().try_clone()?);
        sockets.add(SocketId::MAIN, datagrams)?;
        let sleep = Sleep::new(poll.registry(), TIMER);
        let wires = Wires::new(poll.registry().try_clone()?);
        let events = Events::with_capacity(EVENTS);
        let mut net = Self { poll, events, sockets, listener: None, wires, sleep, aside: false };
        if let Some(listener) = listener {
            net.listen(listener)?;
        }
        Ok(net)
    }

    /// What another thread wakes this one with.
    pub(crate) fn waker(&self) -> io::Result<mio::Waker> {
        mio::Waker::new(self.poll.registry(), WAKER)
    }

    /// Where the main UDP socket is bound.
    pub(crate) fn local(&self) -> io::Result<SocketAddr> {
        self.sockets.local(SocketId::MAIN)
    }

    /// Waits for the operating system, for at most `timeout`, and notes what it says.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = self.sleep.arm(timeout);
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        for event in &self.events {
            match event.token() {
                WAKER => {}
                TIMER => self.sleep.woke(),
                ASIDE => self.aside = true,
                LISTENER => {
                    if let Some(listener) = &mut self.listener {
                        listener.ready = true;
                    }
                }
                Token(token) => {
                    if let Some(socket) = sockets::owner(token) {
                        let readable = event.is_readable() || event.is_error();
                        self.sockets.ready(socket, readable, event.is_writable());
                    } else if let Some(wire) = self.wires.get_mut(token) {
                        wire.readable |= event.is_readable() || event.is_read_closed();
                        wire.writable |= event.is_writable() || event.is_write_closed();
                    }
                }
            }
        }
        Ok(())
    }

    /// Notes what comes at a socket that is not the machine's, too.
    pub(crate) fn watch(&self, socket: &mut UdpSocket) -> io::Result<()> {
        self.poll.registry().register(socket, ASIDE, Interest::READABLE)
    }

    /// Whether something has come at one of those since this was asked last.
    pub(crate) const fn take_aside(&mut self) -> bool {
        core::mem::replace(&mut self.aside, false)
    }

    // Datagrams.

    /// Takes in another UDP socket.
    pub(crate) fn add(&mut self, id: SocketId, socket: UdpSocket) -> io::Result<()> {
        self.sockets.add(id, socket)
    }

    /// Opens so many UDP sockets on the main one's address, on consecutive ports where that can be;
    /// all or none. The first one's address.
    pub(crate) fn bind(&mut self, first: SocketId, count: u8) -> io::Result<SocketAddr> {
        self.sockets.bind(first, count)
    }

    /// Closes so many. Numbers that are not open are passed over.
    pub(crate) fn unbind(&mut self, first: SocketId, count: u8) {
        self.sockets.unbind(first, count);
    }

    pub(crate) fn receive(
        &mut self,
        now: Instant,
        room: &mut [u8],
    ) -> Option<(SocketId, usize, SocketAddr)> {
        self.sockets.receive(now, room)
    }

    pub(crate) fn is_blocked(&self, socket: SocketId) -> bool {
        self.sockets.is_blocked(socket)
    }

    pub(crate) fn send(
        &mut self,
        socket: SocketId,
        bytes: &[u8],
        remote: SocketAddr,
        hops: Option<u8>,
    ) -> Sent {
        self.sockets.send(socket, bytes, remote, hops)
    }

    // The listener.

    pub(crate) fn listen(&mut self, mut listener: TcpListener) -> io::Result<SocketAddr> {
        let local = listener.local_addr()?;
        self.poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        self.listener = Some(Listener::new(listener));
        Ok(local)
    }

    pub(crate) fn unlisten(&mut self) {
        self.listener = None;
    }

    pub(crate) fn accept(&mut self, now: Instant) -> Accepted {
        self.listener.as_mut().map_or(Accepted::Nobody, |listener| listener.accept(now))
    }

    // Streams.

    /// Begins to connect, from the local address and port of the stream `beside` where there is one.
    pub(crate) fn connect(
        &mut self,
        now: Instant,
        id: StreamId,
        beside: Option<StreamId>,
        remote: SocketAddr,
    ) -> io::Result<()> {
        self.wires.connect(now, id, beside, remote)
    }

    pub(crate) fn adopt(
        &mut self,
        id: StreamId,
        remote: SocketAddr,
        socket: TcpStream,
    ) -> io::Result<()> {
        self.wires.accept(id, remote, socket)
    }

    /// Lets a stream go when its queue has left; its address, where there is such a stream.
    pub(crate) fn leave(&mut self, now: Instant, id: StreamId) -> Option<SocketAddr> {
        self.wires.leave(now, id)
    }

    /// Looks after connections in the making; those that stand or have failed since.
    pub(crate) fn changes(&mut self, now: Instant) -> Vec<Change> {
        let mut changes = Vec::new();
        for token in self.wires.tokens(|wire| matches!(wire.phase, Phase::Connecting(_))) {
            let Some(wire) = self.wires.get_mut(token) else { continue };
            let (id, remote) = (wire.id, wire.remote);
            let late = matches!(wire.phase, Phase::Connecting(until) if now >= until);
            let progress = if wire.writable { wire.progress() } else { Progress::Waiting };
            match progress {
                Progress::Connected => changes.push(Change::Connected(id, remote)),
                Progress::Waiting if !late => {}
                Progress::Waiting | Progress::Failed => {
                    self.wires.remove(token);
                    changes.push(Change::Failed(id, remote));
                }
            }
        }
        changes
    }

    /// The streams that have something to read.
    pub(crate) fn readable(&self) -> Vec<(StreamId, SocketAddr)> {
        self.wires.open(|wire| wire.readable)
    }

    /// Whether the machine has not let the stream go.
    pub(crate) fn is_named(&self, id: StreamId) -> bool {
        self.wires.token(id).is_some()
    }

    /// Reads once: how many bytes stand in `room` now, what was left of the last time included.
    pub(crate) fn fill(&mut self, id: StreamId, room: &mut [u8]) -> usize {
        self.wires.named_mut(id).map_or(0, |wire| wire.fill(room))
    }

    /// Keeps what was not used of the last [`Net::fill`].
    pub(crate) fn keep(&mut self, id: StreamId, rest: &[u8]) {
        if let Some(wire) = self.wires.named_mut(id) {
            wire.keep(rest);
        }
    }

    /// The streams that can be given frames.
    pub(crate) fn writable(&self) -> Vec<(StreamId, SocketAddr)> {
        self.wires.open(|wire| wire.queued() < FRAME_LIMIT)
    }

    /// Whether one of them still can.
    pub(crate) fn takes_frames(&self, id: StreamId) -> bool {
        self.wires.named(id).is_some_and(|wire| wire.queued() < FRAME_LIMIT)
    }

    /// Queues a frame of the machine.
    pub(crate) fn push(&mut self, id: StreamId, frame: &[u8]) {
        if let Some(wire) = self.wires.named_mut(id) {
            wire.push(frame);
        }
    }

    /// Queues a payload, or drops it where too much waits already.
    pub(crate) fn push_payload(&mut self, id: StreamId, frame: &[u8]) -> Queued {
        match self.wires.named_mut(id) {
            Some(wire) if wire.queued() <= QUEUE_LIMIT => {
                wire.push(frame);
                Queued::Taken
            }
            _ => Queued::Dropped,
        }
    }

    /// Whether a payload on this path would leave, or at least be queued.
    pub(crate) fn has_room(&self, path: &Path) -> bool {
        match path {
            Path::Datagram { socket, .. } => !self.sockets.is_blocked(*socket),
            Path::Stream { stream, .. } => {
                self.wires.named(*stream).is_some_and(|wire| wire.queued() <= QUEUE_LIMIT)
            }
        }
    }

    /// Gives the kernel what is queued, and closes what is done with. Streams that broke are returned.
    pub(crate) fn flush(&mut self, now: Instant) -> Vec<(StreamId, SocketAddr)> {
        self.wires.flush(now);
        let broken = self.wires.tokens(|wire| wire.phase == Phase::Open && wire.ended);
        broken
            .into_iter()
            .filter_map(|token| self.wires.remove(token))
            .map(|wire| (wire.id, wire.remote))
            .collect()
    }

    /// Whether everything that was queued has left.
    pub(crate) fn is_flushed(&self) -> bool {
        self.sockets.is_flushed() && self.wires.is_flushed()
    }

    /// How many TCP connections there are.
    pub(crate) fn streams(&self) -> usize {
        self.wires.len()
    }

    /// Whether a turn stopped before everything was read.
    pub(crate) fn has_more(&self, now: Instant) -> bool {
        let due = |pause: Option<Instant>| pause.is_none_or(|until| until <= now);
        let callers = self.listener.as_ref().is_some_and(|l| l.ready && due(l.pause));
        self.sockets.has_more(now) || callers || self.wires.is_readable()
    }

    /// When something is to be tried again or given up.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let pause = self.listener.as_ref().and_then(|listener| listener.pause);
        let times = [pause, self.sockets.pause, self.wires.deadline()];
        times.into_iter().flatten().min()
    }
}
