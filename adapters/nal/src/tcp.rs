//! The machine's TCP connections.
//!
//! Each has two buffers of one frame: what has come is gathered until a frame is complete, and what
//! the stack did not take at once waits. Another frame is only taken from the machine when the one
//! before it has gone, so back-pressure reaches the machine.
//!
//! A connection that ends is to be told from one that has nothing to read yet. The traits leave open
//! whether zero bytes mean the one or the other, and stacks differ: where one has ever said that
//! reading would block, zero bytes are the end; where one has not, only an error is.

use core::net::SocketAddr;
use core::time::Duration;

use embedded_nal::{TcpClientStack, nb};
use genkan_core::{Instant, MAX_FRAME, StreamId, StreamState, canonical};
use genkan_turn::{Encode, Tcp, TcpChange, draw_ports};

use crate::counters::tally;
use crate::udp::TRIES;
use crate::view::{Nal, TcpOf, View, local};

/// How long a TCP handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection that the machine has let go may take to send what is queued.
const LINGER: Duration = Duration::from_secs(5);

/// One TCP connection.
pub(crate) struct Wire<T> {
    socket: Option<T>,
    usage: Usage,
    /// The front of what has come.
    input: [u8; MAX_FRAME],
    filled: usize,
    /// A frame, and how much of it has gone.
    output: [u8; MAX_FRAME],
    queued: usize,
    sent: usize,
    /// No more will come of it.
    ended: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Usage {
    Free,
    Connecting {
        id: StreamId,
        remote: SocketAddr,
        until: Instant,
    },
    /// The machine is to say whether it wants it.
    Calling,
    Open(StreamId),
    /// The machine has forgotten it; it has until then to send the rest.
    Leaving(Instant),
}

impl<T> Wire<T> {
    pub(crate) const VACANT: Self = Self {
        socket: None,
        usage: Usage::Free,
        input: [0; MAX_FRAME],
        filled: 0,
        output: [0; MAX_FRAME],
        queued: 0,
        sent: 0,
        ended: false,
    };

    const fn open(&self) -> Option<StreamId> {
        match self.usage {
            Usage::Open(id) => Some(id),
            _ => None,
        }
    }

    /// A new connection in this place.
    fn begin(&mut self, socket: T, usage: Usage) {
        (self.filled, self.queued, self.sent, self.ended) = (0, 0, 0, false);
        (self.socket, self.usage) = (Some(socket), usage);
    }

    fn close<S: TcpClientStack<TcpSocket = T>>(&mut self, stack: &mut S) {
        self.usage = Usage::Free;
        if let Some(socket) = self.socket.take() {
            // Whatever the stack says, it is not ours any more.
            let _ = stack.close(socket);
        }
    }

    /// Reads what fits; whether the stack knows how to say that there is nothing.
    fn fill<S: TcpClientStack<TcpSocket = T>>(&mut self, stack: &mut S, tells_ends: bool) -> bool {
        let (Some(socket), Some(room)) = (&mut self.socket, self.input.get_mut(self.filled..))
        else {
            return false;
        };
        if self.ended || room.is_empty() {
            return false;
        }
        match stack.receive(socket, room) {
            Ok(0) => self.ended = tells_ends,
            Ok(length) => self.filled += length.min(room.len()),
            Err(nb::Error::WouldBlock) => return true,
            Err(nb::Error::Other(_)) => self.ended = true,
        }
        false
    }

    /// Sends what the stack takes.
    fn flush<S: TcpClientStack<TcpSocket = T>>(&mut self, stack: &mut S) {
        let Some(socket) = &mut self.socket else { return };
        while let Some(rest) = self.output.get(self.sent..self.queued)
            && !rest.is_empty()
        {
            match stack.send(socket, rest) {
                Ok(0) | Err(nb::Error::WouldBlock) => return,
                Ok(length) => self.sent += length.min(rest.len()),
                Err(nb::Error::Other(_)) => {
                    self.ended = true;
                    break;
                }
            }
        }
        (self.queued, self.sent) = (0, 0);
    }
}

impl<S: Nal> View<'_, S> {
    fn named(&mut self, id: StreamId) -> Option<&mut Wire<TcpOf<S>>> {
        self.wires.iter_mut().find(|wire| match wire.usage {
            Usage::Connecting { id: stream, .. } | Usage::Open(stream) => stream == id,
            _ => false,
        })
    }

    /// The next caller, for a place that is free.
    fn knock(&mut self, index: usize) -> Option<TcpChange> {
        let (wire, lasting) = (self.wires.get_mut(index)?, &mut *self.lasting);
        let (Some(door), Some(listener), false) =
            (&lasting.door, &mut lasting.listener, lasting.quiet)
        else {
            return None;
        };
        let Some((socket, remote)) = (door.accept)(self.stack, listener) else {
            lasting.quiet = true;
            return None;
        };
        wire.begin(socket, Usage::Calling);
        Some(TcpChange::Caller(canonical(remote)))
    }

    /// Whether bytes or a connection wait for the stack.
    pub(crate) fn has_blocked_wires(&self) -> bool {
        self.wires.iter().any(|wire| match wire.usage {
            Usage::Free | Usage::Calling => false,
            Usage::Open(_) => wire.queued > 0,
            Usage::Connecting { .. } | Usage::Leaving(_) => true,
        })
    }
}

impl<S: Nal> Tcp for View<'_, S> {
    fn wires(&self) -> usize {
        self.wires.len()
    }

    fn open(&self, index: usize) -> Option<StreamId> {
        self.wires.get(index).and_then(Wire::open)
    }

    fn read(&mut self, index: usize, handle: &mut dyn FnMut(&mut [u8]) -> usize) -> bool {
        let (Some(wire), lasting) = (self.wires.get_mut(index), &mut *self.lasting) else {
            return false;
        };
        loop {
            let before = wire.filled;
            if let Some(left) = lasting.pieces.checked_sub(1) {
                lasting.pieces = left;
                lasting.tells_ends |= wire.fill(self.stack, lasting.tells_ends);
            }
            let filled = wire.filled;
            let Some(bytes) = wire.input.get_mut(..filled).filter(|bytes| !bytes.is_empty()) else {
                return false;
            };
            let consumed = handle(bytes).min(filled);
            bytes.copy_within(consumed.., 0);
            wire.filled = filled - consumed;
            // No frame is as long: the bytes are not ours.
            wire.ended |= wire.filled == MAX_FRAME;
            // A frame may come in pieces, and the stack may announce only the first.
            if consumed > 0 || filled == before {
                return consumed > 0;
            }
        }
    }

    fn write(&mut self, id: StreamId, length: usize, encode: &mut Encode<'_>) -> bool {
        let Some(wire) = self.wires.iter_mut().find(|wire| wire.open() == Some(id)) else {
            return false;
        };
        wire.flush(self.stack);
        let Some(room) = wire.output.get_mut(..length).filter(|_| wire.queued == 0) else {
            return false;
        };
        if !encode(room) {
            return false;
        }
        wire.queued = length;
        wire.flush(self.stack);
        true
    }

    fn has_payload_room(&self, id: StreamId, length: usize) -> bool {
        let has = |wire: &Wire<_>| wire.open() == Some(id) && wire.queued == 0;
        length <= MAX_FRAME && self.wires.iter().any(has)
    }

    fn connect(&mut self, id: StreamId, remote: SocketAddr) -> bool {
        let until = self.now.after(HANDSHAKE);
        let free = self.wires.iter_mut().find(|wire| wire.usage == Usage::Free);
        let (Some(wire), Ok(socket)) = (free, TcpClientStack::socket(self.stack)) else {
            tally(&mut self.lasting.counters.exhausted);
            return false;
        };
        wire.begin(socket, Usage::Connecting { id, remote, until });
        true
    }

    fn leave(&mut self, id: StreamId) {
        let until = self.now.after(LINGER);
        if let Some(wire) = self.named(id) {
            // A connection that does not stand yet has nothing to send.
            wire.ended |= wire.open().is_none();
            wire.usage = Usage::Leaving(until);
        }
    }

    fn listen(&mut self) -> Option<SocketAddr> {
        self.unlisten();
        let open = self.lasting.door.as_ref()?.open;
        for _ in 0..TRIES {
            let port = match self.lasting.listen_port {
                0 => draw_ports(&mut self.lasting.seed, 1),
                port => port,
            };
            self.lasting.listener = open(self.stack, port);
            if self.lasting.listener.is_some() {
                return Some(local(port));
            }
            tally(&mut self.lasting.counters.unbound);
        }
        None
    }

    fn unlisten(&mut self) {
        if let Some(listener) = self.lasting.listener.take() {
            // Whatever the stack says, it is not ours any more.
            let _ = TcpClientStack::close(self.stack, listener);
        }
    }

    fn change(&mut self, index: usize) -> Option<TcpChange> {
        let now = self.now;
        let wire = self.wires.get_mut(index)?;
        match wire.usage {
            Usage::Free => self.knock(index),
            Usage::Calling => None,
            Usage::Connecting { id, remote, until } => {
                match TcpClientStack::connect(self.stack, wire.socket.as_mut()?, remote) {
                    Ok(()) => {
                        wire.usage = Usage::Open(id);
                        Some(TcpChange::State(id, StreamState::Connected))
                    }
                    Err(nb::Error::WouldBlock) if now < until => None,
                    Err(_) => {
                        wire.close(self.stack);
                        Some(TcpChange::State(id, StreamState::Closed))
                    }
                }
            }
            Usage::Open(id) => {
                let queued = wire.queued;
                wire.flush(self.stack);
                self.lasting.emptied |= wire.queued < queued;
                if !wire.ended {
                    return None;
                }
                wire.usage = Usage::Leaving(now.after(LINGER));
                Some(TcpChange::State(id, StreamState::Closed))
            }
            Usage::Leaving(until) => {
                wire.flush(self.stack);
                // Nobody reads it, but what is left unread could make the stack reset what was sent.
                wire.filled = 0;
                wire.fill(self.stack, self.lasting.tells_ends);
                if wire.queued == 0 && (wire.ended || wire.filled == 0) || now >= until {
                    wire.close(self.stack);
                }
                None
            }
        }
    }

    fn adopt(&mut self, index: usize, id: StreamId) {
        if let Some(wire) = self.wires.get_mut(index) {
            wire.usage = Usage::Open(id);
        }
    }

    fn refuse(&mut self, index: usize) {
        tally(&mut self.lasting.counters.refused);
        if let Some(wire) = self.wires.get_mut(index) {
            wire.close(self.stack);
        }
    }

    fn attend(&mut self) {
        self.lasting.quiet = false;
    }
}
