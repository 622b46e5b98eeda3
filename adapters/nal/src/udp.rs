//! The machine's UDP sockets.
//!
//! The traits name no port after the fact, so every socket is bound to a port that was drawn; where
//! that is taken, another row is tried.

use core::net::SocketAddr;

use embedded_nal::{UdpClientStack, UdpFullStack, nb};
use genkan_core::{MAX_DATAGRAM, SocketId, canonical};
use genkan_turn::{Encode, Udp, Unplaced, draw_ports};

use crate::counters::tally;
use crate::view::{Nal, View, local};

/// How many rows of ports are tried.
pub(crate) const TRIES: usize = 8;

/// One UDP socket.
pub(crate) struct Port<T> {
    /// With the machine's name for it.
    socket: Option<(SocketId, T)>,
    /// The stack had no room for a datagram in this turn.
    blocked: bool,
}

/// What came of opening a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Opened {
    Yes,
    /// Another port may do.
    NotThere,
    /// No port will do.
    Exhausted,
}

impl<T> Port<T> {
    pub(crate) const VACANT: Self = Self { socket: None, blocked: false };

    fn is(&self, id: SocketId) -> bool {
        self.socket.as_ref().is_some_and(|(name, _)| *name == id)
    }
}

impl<S: Nal> View<'_, S> {
    pub(crate) fn has_port(&self, id: SocketId) -> bool {
        self.ports.iter().any(|port| port.is(id))
    }

    /// Opens a socket with this name, where there is none yet; whether there is one now.
    pub(crate) fn open_port(&mut self, id: SocketId, port: u16) -> bool {
        self.has_port(id) || self.open_at(id, port) == Opened::Yes
    }

    fn open_at(&mut self, id: SocketId, port: u16) -> Opened {
        let vacant = self.ports.iter_mut().find(|port| port.socket.is_none());
        let socket = UdpClientStack::socket(self.stack);
        let (Some(entry), Ok(mut socket)) = (vacant, socket) else {
            tally(&mut self.lasting.counters.exhausted);
            return Opened::Exhausted;
        };
        if UdpFullStack::bind(self.stack, &mut socket, port).is_ok() {
            *entry = Port { socket: Some((id, socket)), blocked: false };
            return Opened::Yes;
        }
        tally(&mut self.lasting.counters.unbound);
        // What cannot be closed was not open.
        let _ = UdpClientStack::close(self.stack, socket);
        Opened::NotThere
    }

    /// A new turn: the stack may have room again.
    pub(crate) fn unblock_ports(&mut self) {
        for port in self.ports.iter_mut() {
            port.blocked = false;
        }
    }

    /// Whether a datagram waits for the stack.
    pub(crate) fn has_blocked_ports(&self) -> bool {
        self.ports.iter().any(|port| port.blocked)
    }
}

impl<S: Nal> Udp for View<'_, S> {
    fn ports(&self) -> usize {
        self.ports.len()
    }

    fn receive(&mut self, index: usize) -> Option<(SocketId, SocketAddr, &mut [u8])> {
        let (id, socket) = self.ports.get_mut(index)?.socket.as_mut()?;
        let (length, remote) = loop {
            self.lasting.datagrams = self.lasting.datagrams.checked_sub(1)?;
            // Room for more than allowed, so that a longer datagram is known from a cut one. Some
            // stacks say by an error of their own that there is nothing: every error means that.
            let (length, remote) =
                UdpClientStack::receive(self.stack, socket, &mut self.scratch[..]).ok()?;
            if length <= MAX_DATAGRAM {
                break (length, remote);
            }
            tally(&mut self.lasting.counters.too_long);
        };
        // A stack with one socket for both families writes IPv4 addresses as IPv6 ones
        // (RFC 4291, section 2.5.5.2).
        Some((*id, canonical(remote), self.scratch.get_mut(..length)?))
    }

    fn send_datagram(
        &mut self,
        id: SocketId,
        remote: SocketAddr,
        hops: Option<u8>,
        length: usize,
        encode: &mut Encode<'_>,
    ) -> Result<(), Unplaced> {
        if hops.is_some_and(|hops| hops > 0) {
            tally(&mut self.lasting.counters.unlimited);
            return Err(Unplaced::Lost);
        }
        let port = self.ports.iter_mut().find(|port| port.is(id));
        let (Some(Port { socket: Some((_, socket)), blocked }), Some(room)) =
            (port, self.scratch.get_mut(..length))
        else {
            tally(&mut self.lasting.counters.unsendable);
            return Err(Unplaced::Lost);
        };
        if *blocked {
            return Err(Unplaced::Full);
        }
        encode(room);
        match self.stack.send_to(socket, remote, room) {
            Ok(()) => Ok(()),
            Err(nb::Error::WouldBlock) => {
                *blocked = true;
                Err(Unplaced::Full)
            }
            Err(nb::Error::Other(_)) => {
                tally(&mut self.lasting.counters.unsendable);
                Err(Unplaced::Lost)
            }
        }
    }

    fn has_datagram_room(&self, id: SocketId) -> bool {
        self.ports.iter().any(|port| port.is(id) && !port.blocked)
    }

    fn bind(&mut self, first: SocketId, count: u8) -> Option<SocketAddr> {
        for _ in 0..TRIES {
            self.unbind(first, count);
            let port = draw_ports(&mut self.lasting.seed, count.into());
            let mut row = (0..u16::from(count))
                .map(|offset| self.open_at(SocketId(first.0.wrapping_add(offset)), port + offset));
            match row.find(|opened| *opened != Opened::Yes) {
                None => return Some(local(port)),
                Some(Opened::NotThere) => {}
                Some(_) => break,
            }
        }
        self.unbind(first, count);
        None
    }

    fn unbind(&mut self, first: SocketId, count: u8) {
        let named = |(id, _): &mut (SocketId, _)| id.0.wrapping_sub(first.0) < count.into();
        for port in self.ports.iter_mut() {
            if let Some((_, socket)) = port.socket.take_if(named) {
                // Whatever the stack says, it is not ours any more.
                let _ = UdpClientStack::close(self.stack, socket);
            }
        }
    }
}
