//! The UDP sockets of a node by the machine's numbers: the main one, a server's other ends, and the
//! fresh ones that a machine opens and closes while it runs.
//!
//! Where many have something to read, each gives one datagram in its turn: a socket that is flooded
//! takes nothing from the others.

use core::net::SocketAddr;
use core::ops::Bound;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

use genkan_core::{Instant, SocketId};
use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};

use super::bind::row;
use super::udp::{Came, Sent, Udp};
use super::{FIRST_DATAGRAM, TokenNumber};

/// How long nothing is received after an error in receiving: the system has no memory, for one
/// socket as for all.
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct Sockets {
    registry: Registry,
    table: BTreeMap<SocketId, Udp>,
    /// Those at which something may wait.
    readable: BTreeSet<SocketId>,
    /// Who had its turn last.
    last: SocketId,
    /// Not before this time again, after an error.
    pub(super) pause: Option<Instant>,
}

/// Whose token it is, if it is a UDP socket's.
pub(super) fn owner(token: TokenNumber) -> Option<SocketId> {
    let number = token.checked_sub(FIRST_DATAGRAM)?;
    u16::try_from(number).ok().map(SocketId)
}

impl Sockets {
    pub(super) const fn new(registry: Registry) -> Self {
        Self {
            registry,
            table: BTreeMap::new(),
            readable: BTreeSet::new(),
            last: SocketId::MAIN,
            pause: None,
        }
    }

    /// Takes in a socket.
    pub(super) fn add(&mut self, id: SocketId, mut socket: UdpSocket) -> io::Result<()> {
        let token = Token(FIRST_DATAGRAM + usize::from(id.0));
        let both = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(&mut socket, token, both)?;
        self.table.insert(id, Udp::new(socket)?);
        self.readable.insert(id);
        Ok(())
    }

    /// Opens so many beside the main one, on its address; all or none. The first one's address.
    pub(super) fn bind(&mut self, first: SocketId, count: u8) -> io::Result<SocketAddr> {
        let ip = self.local(SocketId::MAIN)?.ip();
        for (number, socket) in (first.0..=u16::MAX).zip(row(ip, count)?) {
            if let Err(error) = self.add(SocketId(number), socket) {
                self.unbind(first, count);
                return Err(error);
            }
        }
        self.local(first)
    }

    /// Closes so many; what waits there is lost.
    pub(super) fn unbind(&mut self, first: SocketId, count: u8) {
        for number in (first.0..=u16::MAX).take(count.into()) {
            let id = SocketId(number);
            self.readable.remove(&id);
            if let Some(mut udp) = self.table.remove(&id) {
                // It is closed in any case when it is dropped.
                let _ = self.registry.deregister(&mut udp.socket);
            }
        }
    }

    pub(super) fn local(&self, id: SocketId) -> io::Result<SocketAddr> {
        self.table.get(&id).ok_or(io::ErrorKind::NotFound)?.socket.local_addr()
    }

    /// The operating system says that something can be done with a socket again.
    pub(super) fn ready(&mut self, id: SocketId, readable: bool, writable: bool) {
        let Some(udp) = self.table.get_mut(&id) else { return };
        udp.blocked &= !writable;
        if readable {
            self.readable.insert(id);
        }
    }

    /// The next datagram: at which socket, how long, from where.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        room: &mut [u8],
    ) -> Option<(SocketId, usize, SocketAddr)> {
        if self.pause.is_some_and(|until| now < until) {
            return None;
        }
        self.pause = None;
        while let Some(id) = self.next() {
            self.last = id;
            match self.table.get(&id).map_or(Came::Nothing, |udp| udp.receive(room)) {
                Came::Datagram(length, remote) => return Some((id, length, remote)),
                Came::Nothing => {
                    self.readable.remove(&id);
                }
                Came::Error => {
                    self.pause = Some(now.after(PAUSE));
                    return None;
                }
            }
        }
        None
    }

    /// Whose turn it is.
    fn next(&self) -> Option<SocketId> {
        let after = (Bound::Excluded(self.last), Bound::Unbounded);
        self.readable.range(after).next().or_else(|| self.readable.first()).copied()
    }

    pub(super) fn send(
        &mut self,
        id: SocketId,
        bytes: &[u8],
        remote: SocketAddr,
        hops: Option<u8>,
    ) -> Sent {
        self.table.get_mut(&id).map_or(Sent::Lost, |udp| udp.send(bytes, remote, hops))
    }

    /// Whether the kernel has no room for what this one sends.
    pub(super) fn is_blocked(&self, id: SocketId) -> bool {
        self.table.get(&id).is_some_and(|udp| udp.blocked)
    }

    pub(super) fn is_flushed(&self) -> bool {
        !self.table.values().any(|udp| udp.blocked)
    }

    pub(super) fn has_more(&self, now: Instant) -> bool {
        !self.readable.is_empty() && self.pause.is_none_or(|until| until <= now)
    }

    /// Which are open.
    #[cfg(test)]
    pub(super) fn open(&self) -> Vec<SocketId> {
        self.table.keys().copied().collect()
    }
}
