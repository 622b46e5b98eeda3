//! UDP sockets and listeners that are opened and closed while a host runs.

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::SocketId;

use super::{Event, World};
use crate::net::HostId;

impl World {
    /// Opens a further UDP socket of a host on `port`, or on a free one when that is 0, until the
    /// host goes off. A socket that is open is moved. Its address, the host's first; `None`: the
    /// port is in use, or the host has no address.
    pub fn bind_udp(&mut self, host: HostId, socket: SocketId, port: u16) -> Option<SocketAddr> {
        let slot = &mut self.slots[host.0];
        let address = slot.addresses.first().copied()?;
        slot.bind_udp(socket, port).map(|port| SocketAddr::new(address, port))
    }

    /// Closes a UDP socket of a host.
    pub fn close_udp(&mut self, host: HostId, socket: SocketId) {
        self.slots[host.0].udp.remove(&socket);
    }

    /// As [`World::bind_udp`] for the node, which is told of it.
    pub(super) fn bind_for(&mut self, host: HostId, socket: SocketId, port: u16) {
        let local = self.bind_udp(host, socket, port);
        let life = self.slots[host.0].life;
        self.schedule(Duration::ZERO, Event::Bound { host, life, socket, local });
    }

    /// [`Command::Bind`](genkan_core::Command::Bind).
    ///
    /// # Panics
    /// When one of the sockets is open already, since whoever names it again has forgotten it; when there
    /// are not so many numbers.
    pub(super) fn bind_fresh(&mut self, host: HostId, first: SocketId, count: u8) {
        let sockets = numbered(first, count);
        let slot = &mut self.slots[host.0];
        assert_eq!(sockets.len(), usize::from(count), "{}: {first:?} and {count} more", slot.name);
        for socket in &sockets {
            assert!(!slot.udp.contains_key(socket), "{}: {socket:?} is open", slot.name);
        }
        let address = slot.addresses.first().copied();
        let local = address.and_then(|address| {
            slot.bind_several(&sockets).map(|port| SocketAddr::new(address, port))
        });
        let life = slot.life;
        self.schedule(Duration::ZERO, Event::Bound { host, life, socket: first, local });
    }

    /// [`Command::Unbind`](genkan_core::Command::Unbind).
    pub(super) fn unbind_fresh(&mut self, host: HostId, first: SocketId, count: u8) {
        numbered(first, count).into_iter().for_each(|socket| self.close_udp(host, socket));
    }

    /// How many UDP sockets a host can have open, those that it has from the start included. What is
    /// open stays.
    pub fn set_socket_limit(&mut self, host: HostId, most: usize) {
        self.slots[host.0].most_udp = most;
    }

    /// A host's datagrams leave at least so far apart from now on, as those of a real one do: what
    /// other users of its NAT get in between. At the start nothing lies between them.
    pub fn set_send_gap(&mut self, host: HostId, gap: Duration) {
        self.slots[host.0].send_gap = gap;
    }

    /// How many UDP sockets a host has open.
    #[must_use]
    pub fn open_sockets(&self, host: HostId) -> usize {
        self.slots[host.0].udp.len()
    }

    pub(super) fn listen(&mut self, host: HostId, socket: SocketId) {
        let port = self.free_tcp_port(host);
        let slot = &mut self.slots[host.0];
        let address = slot.addresses.first().copied();
        let local = address.zip(port).map(|(address, port)| {
            slot.listeners.insert(port, socket);
            SocketAddr::new(address, port)
        });
        let life = slot.life;
        self.schedule(Duration::ZERO, Event::Bound { host, life, socket, local });
    }

    /// A TCP port on which nobody listens and from which no connection goes.
    pub(crate) fn free_tcp_port(&mut self, host: HostId) -> Option<u16> {
        let slot = &mut self.slots[host.0];
        let tcp = &self.tcp;
        slot.ephemeral_port(|slot, port| {
            slot.listeners.contains_key(&port)
                || slot.streams.values().any(|&(id, side)| tcp.port(id, side) == Some(port))
        })
    }
}

/// So many numbers of sockets, of those that there are.
fn numbered(first: SocketId, count: u8) -> Vec<SocketId> {
    (first.0..=u16::MAX).take(count.into()).map(SocketId).collect()
}
