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
