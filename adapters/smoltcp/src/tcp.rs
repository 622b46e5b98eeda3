//! The machine's TCP connections.
//!
//! A pool of sockets serves connections in both directions. While the machine listens, one free socket
//! of the pool does; as soon as a caller has taken it, the next one does, so the backlog is what is
//! free in the pool, and a caller who comes when nothing is free is refused by a reset.
//!
//! smoltcp gives a segment to the first socket that would take it. A repeated SYN could therefore be
//! taken by a socket that listens and stands before the one that answers the first SYN already; such a
//! twin is forgotten before it says anything. No connection has a timeout of TCP's once it stands: the
//! machines know by themselves when nobody is there any more.

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::{Instant, StreamId, StreamState};
use genkan_turn::{Encode, Tcp, TcpChange};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{Socket, State};
use smoltcp::wire::{IpEndpoint, IpListenEndpoint};

use crate::addr::endpoint;
use crate::counters::tally;
use crate::view::{View, any};

/// How long a TCP handshake may take.
const HANDSHAKE: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(10);
/// How long a connection that the machine has let go may take to send what is queued.
const LINGER: Duration = Duration::from_secs(5);
/// How long the other side may then take to close, too.
const PARTING: Duration = Duration::from_secs(1);
/// With more bytes queued, no payload is: the TCP inside the session shall see the congestion.
const QUEUE_LIMIT: usize = 32 << 10;

/// One TCP socket.
#[derive(Debug)]
pub(crate) struct Wire {
    handle: SocketHandle,
    usage: Usage,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Usage {
    Free,
    /// Waits for a caller.
    Listening,
    /// A caller's handshake is under way.
    Calling,
    Connecting(StreamId),
    Open(StreamId),
    /// The machine has forgotten it; it has until then to end in order.
    Leaving {
        until: Instant,
        parting: bool,
    },
}

impl Wire {
    pub(crate) const fn new(handle: SocketHandle) -> Self {
        Self { handle, usage: Usage::Free }
    }

    #[cfg(test)]
    pub(crate) const fn handle(&self) -> SocketHandle {
        self.handle
    }

    /// The machine's name for it, while frames may be read and written.
    pub(crate) const fn open(&self) -> Option<StreamId> {
        match self.usage {
            Usage::Open(id) => Some(id),
            _ => None,
        }
    }
}

impl<'s> View<'_, 's> {
    fn tcp(&mut self, index: usize) -> Option<&mut Socket<'s>> {
        let wire = self.wires.get(index)?;
        Some(self.sockets.get_mut::<Socket<'s>>(wire.handle))
    }

    fn tcp_and_scratch(&mut self, index: usize) -> Option<(&mut Socket<'s>, &mut [u8])> {
        let wire = self.wires.get(index)?;
        Some((self.sockets.get_mut::<Socket<'s>>(wire.handle), &mut self.scratch[..]))
    }

    /// A socket that is in nobody's use; one that has nothing left to say, if there is one.
    fn free(&self) -> Option<usize> {
        let free = self.wires.iter().enumerate().filter(|(_, wire)| wire.usage == Usage::Free);
        let quiet = |handle| self.sockets.get::<Socket<'s>>(handle).remote_endpoint().is_none();
        free.max_by_key(|(_, wire)| quiet(wire.handle)).map(|(index, _)| index)
    }

    fn find(&self, id: StreamId) -> Option<usize> {
        let named = |wire: &Wire| match wire.usage {
            Usage::Connecting(stream) | Usage::Open(stream) => stream == id,
            _ => false,
        };
        self.wires.iter().position(named)
    }

    /// Begins a connection from there.
    fn dial(&mut self, id: StreamId, local: Option<IpListenEndpoint>, remote: SocketAddr) -> bool {
        let Some((index, local)) = self.free().zip(local) else {
            tally(&mut self.lasting.counters.exhausted);
            return false;
        };
        let (Some(remote), Some(wire)) = (endpoint(remote), self.wires.get_mut(index)) else {
            return false;
        };
        let socket = self.sockets.get_mut::<Socket<'s>>(wire.handle);
        if socket.connect(self.iface.context(), remote, local).is_err() {
            return false;
        }
        prepare(socket);
        wire.usage = Usage::Connecting(id);
        let twin = self.is_twin(index);
        if let Some(wire) = self.wires.get_mut(index).filter(|_| twin) {
            forget(self.sockets.get_mut::<Socket<'s>>(wire.handle));
            wire.usage = Usage::Free;
        }
        !twin
    }

    /// Whether another socket has this connection already. One that is only leaving gives way.
    fn is_twin(&mut self, index: usize) -> bool {
        let ends = |socket: &Socket<'s>| (socket.local_endpoint(), socket.remote_endpoint());
        let Some(ours) = self.tcp(index).map(|socket| ends(socket)) else { return false };
        if ours.1.is_none() {
            return false;
        }
        for (other, wire) in self.wires.iter_mut().enumerate() {
            let socket = self.sockets.get_mut::<Socket<'s>>(wire.handle);
            if other == index || !socket.is_open() || ends(socket) != ours {
                continue;
            }
            if !matches!(wire.usage, Usage::Leaving { .. }) {
                return true;
            }
            forget(socket);
            wire.usage = Usage::Free;
        }
        false
    }

    /// When a connection is given up at the latest.
    pub(crate) fn wires_deadline(&self) -> Option<Instant> {
        let leaving = self.wires.iter().filter_map(|wire| match wire.usage {
            Usage::Leaving { until, .. } => Some(until),
            _ => None,
        });
        leaving.min()
    }
}

impl<'s> Tcp for View<'_, 's> {
    fn wires(&self) -> usize {
        self.wires.len()
    }

    fn open(&self, index: usize) -> Option<StreamId> {
        self.wires.get(index).and_then(Wire::open)
    }

    // In the ring, where a frame lies there in one piece.
    fn read(&mut self, index: usize, handle: &mut dyn FnMut(&mut [u8]) -> usize) -> bool {
        let Some((socket, scratch)) = self.tcp_and_scratch(index) else { return false };
        let waiting = socket.recv_queue();
        if waiting == 0 {
            return false;
        }
        let mut piece = 0;
        let in_place = |bytes: &mut [u8]| {
            piece = bytes.len();
            let consumed = handle(bytes);
            (consumed, consumed)
        };
        let mut consumed = socket.recv(in_place).unwrap_or(0);
        if consumed == 0 && piece < waiting {
            // The frame goes over the ring's end.
            let length = socket.peek_slice(scratch).unwrap_or(0);
            consumed = scratch.get_mut(..length).map_or(0, handle);
            discard(socket, consumed);
        }
        consumed > 0
    }

    fn connect(&mut self, id: StreamId, remote: SocketAddr) -> bool {
        let local = self.free_ports(1, true).map(any);
        self.dial(id, local, remote)
    }

    fn connect_from(&mut self, id: StreamId, beside: StreamId, remote: SocketAddr) -> bool {
        let standing = self.wires.iter().find(|wire| wire.open() == Some(beside));
        let socket = standing.map(|wire| self.sockets.get::<Socket<'s>>(wire.handle));
        // One that listens on this port, too, would take the other end's call.
        let own = |local: &IpEndpoint| self.lasting.listening != Some(local.port);
        let local = socket.and_then(Socket::local_endpoint).filter(own);
        local.is_some_and(|local| self.dial(id, Some(local.into()), remote))
    }

    fn leave(&mut self, id: StreamId) {
        let until = self.now.after(LINGER);
        if let Some(wire) = self.find(id).and_then(|index| self.wires.get_mut(index)) {
            self.sockets.get_mut::<Socket<'s>>(wire.handle).close();
            wire.usage = Usage::Leaving { until, parting: false };
        }
    }

    fn refuse(&mut self, index: usize) {
        tally(&mut self.lasting.counters.refused);
        if let Some(wire) = self.wires.get_mut(index) {
            self.sockets.get_mut::<Socket<'s>>(wire.handle).abort();
            wire.usage = Usage::Free;
        }
    }

    fn listen(&mut self) -> Option<SocketAddr> {
        let port = match self.lasting.listen_port {
            0 => self.free_ports(1, true)?,
            port => port,
        };
        self.unlisten();
        self.lasting.listening = Some(port);
        self.attend();
        if !self.wires.iter().any(|wire| wire.usage == Usage::Listening) {
            tally(&mut self.lasting.counters.exhausted);
            self.lasting.listening = None;
            return None;
        }
        Some(self.local(port))
    }

    fn unlisten(&mut self) {
        self.lasting.listening = None;
        for wire in self.wires.iter_mut() {
            if matches!(wire.usage, Usage::Listening | Usage::Calling) {
                self.sockets.get_mut::<Socket<'s>>(wire.handle).abort();
                wire.usage = Usage::Free;
            }
        }
    }

    fn attend(&mut self) {
        let Some(port) = self.lasting.listening else { return };
        if self.wires.iter().any(|wire| wire.usage == Usage::Listening) {
            return;
        }
        if let Some(wire) = self.free().and_then(|index| self.wires.get_mut(index)) {
            let socket = self.sockets.get_mut::<Socket<'s>>(wire.handle);
            if socket.listen(any(port)).is_ok() {
                prepare(socket);
                wire.usage = Usage::Listening;
            }
        }
    }

    fn adopt(&mut self, index: usize, id: StreamId) {
        if let Some(wire) = self.wires.get_mut(index) {
            wire.usage = Usage::Open(id);
            self.sockets.get_mut::<Socket<'s>>(wire.handle).set_timeout(None);
        }
    }

    fn change(&mut self, index: usize) -> Option<TcpChange> {
        let now = self.now;
        let usage = self.wires.get(index)?.usage;
        let twin = usage == Usage::Listening && self.is_twin(index);
        let socket = self.tcp(index)?;
        let (state, remote) = (socket.state(), socket.remote_endpoint());
        let stands = matches!(state, State::Established | State::CloseWait);
        let over = !matches!(state, State::SynSent | State::SynReceived | State::Established);
        let (usage, change) = match usage {
            Usage::Listening if state == State::Listen => return None,
            Usage::Calling if state == State::Listen => (Usage::Listening, None),
            Usage::Listening if twin => {
                forget(socket);
                (Usage::Free, None)
            }
            Usage::Listening | Usage::Calling => match remote {
                Some(remote) if stands => (Usage::Calling, Some(TcpChange::Caller(remote.into()))),
                _ if over => (Usage::Free, None),
                _ => (Usage::Calling, None),
            },
            Usage::Connecting(id) if stands => {
                socket.set_timeout(None);
                (Usage::Open(id), Some(TcpChange::State(id, StreamState::Connected)))
            }
            Usage::Connecting(id) if over => {
                (Usage::Free, Some(TcpChange::State(id, StreamState::Closed)))
            }
            Usage::Open(id) if over => {
                socket.close();
                let leaving = Usage::Leaving { until: now.after(LINGER), parting: false };
                (leaving, Some(TcpChange::State(id, StreamState::Closed)))
            }
            Usage::Leaving { until, parting } => (part(socket, now, until, parting), None),
            Usage::Free | Usage::Connecting(_) | Usage::Open(_) => return None,
        };
        self.wires.get_mut(index)?.usage = usage;
        change
    }

    fn has_payload_room(&self, id: StreamId, length: usize) -> bool {
        let Some(wire) = self.wires.iter().find(|wire| wire.open() == Some(id)) else {
            return false;
        };
        let socket = self.sockets.get::<Socket<'s>>(wire.handle);
        socket.send_queue() <= QUEUE_LIMIT && has_room(socket, length)
    }

    fn write(&mut self, id: StreamId, length: usize, encode: &mut Encode<'_>) -> bool {
        let Some(wire) = self.wires.iter().find(|wire| wire.open() == Some(id)) else {
            return false;
        };
        let socket = self.sockets.get_mut::<Socket<'s>>(wire.handle);
        if !has_room(socket, length) {
            return false;
        }
        let straight = |ring: &mut [u8]| match ring.get_mut(..length) {
            Some(room) => (length, encode(room)),
            None => (0, false),
        };
        if socket.send(straight).unwrap_or(false) {
            return true;
        }
        // The ring's free room is in two pieces.
        let Some(room) = self.scratch.get_mut(..length) else { return false };
        encode(room) && socket.send_slice(room).is_ok()
    }
}

/// Takes bytes off the front of a ring, over its end where need be.
fn discard(socket: &mut Socket<'_>, mut count: usize) {
    while count > 0 {
        let taken = socket.recv(|bytes| {
            let taken = bytes.len().min(count);
            (taken, taken)
        });
        match taken {
            Ok(taken @ 1..) => count -= taken,
            _ => return,
        }
    }
}

fn has_room(socket: &Socket<'_>, length: usize) -> bool {
    socket.may_send() && socket.send_capacity().saturating_sub(socket.send_queue()) >= length
}

/// What every connection begins with.
fn prepare(socket: &mut Socket<'_>) {
    // The stack keeps the window of the connection before otherwise.
    socket.set_congestion_control(socket.congestion_control());
    // Frames are small and somebody waits for each.
    socket.set_nagle_enabled(false);
    socket.set_timeout(Some(HANDSHAKE));
}

/// Forgets a connection without a word to the other side.
fn forget(socket: &mut Socket<'_>) {
    socket.abort();
    // Listening wipes out who is at the other end; any port does.
    let _ = socket.listen(any(1));
    socket.close();
}

/// A connection that the machine has forgotten: its use from now on.
fn part(socket: &mut Socket<'_>, now: Instant, until: Instant, parting: bool) -> Usage {
    // Nobody reads it, but the other side must not stall on a full window.
    while socket.recv(|bytes| (bytes.len(), bytes.len())).is_ok_and(|count| count > 0) {}
    if !socket.is_open() {
        return Usage::Free;
    }
    if now >= until {
        socket.abort();
        return Usage::Free;
    }
    if socket.state() == State::FinWait2 && !parting {
        return Usage::Leaving { until: until.min(now.after(PARTING)), parting: true };
    }
    Usage::Leaving { until, parting }
}
