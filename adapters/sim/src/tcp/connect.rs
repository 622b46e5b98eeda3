//! How connections begin, and what becomes of each event.

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::{SocketId, StreamId, StreamState};

use super::{Body, Conn, End, Stage, TcpEvent};
use crate::net::HostId;
use crate::packet::TcpId;
use crate::world::{Event, World};

impl World {
    pub(crate) fn tcp_event(&mut self, event: TcpEvent) {
        match event {
            TcpEvent::Arrive { segment, hop, mark } => self.segment_arrives(segment, hop, mark),
            TcpEvent::Retry(segment) => self.retry(segment),
            TcpEvent::Reset { conn, to, hop, mark } => self.reset_arrives((conn, to), hop, mark),
            TcpEvent::Refused { conn, from, nat, hop } => {
                self.refused_for_good((conn, from), nat, hop);
            }
            TcpEvent::Credit { conn, writer, bytes } => self.credit(conn, writer, bytes),
            TcpEvent::Read { conn, side } => self.read(conn, side),
            TcpEvent::ConnectTimeout { conn } => {
                let (conn, side) = self.tcp.now_at(conn, 0);
                if self.tcp.end(conn, side).is_some_and(|end| end.stage == Stage::Opening) {
                    self.stream_ends(conn, side);
                }
            }
            TcpEvent::Unacknowledged { conn, from } => {
                if self.way_back_is_cut(conn, from) {
                    self.stream_ends(conn, from);
                }
            }
            TcpEvent::Unreachable { host, life, stream } => {
                if self.slots[host.0].life == life {
                    self.enter(host, |node, io| {
                        node.stream_state(io, stream, StreamState::Closed);
                    });
                }
            }
        }
    }

    /// A host calls, from the port that it has chosen or from a free one.
    pub(crate) fn connect(
        &mut self,
        host: HostId,
        stream: StreamId,
        port: Option<u16>,
        remote: SocketAddr,
    ) {
        let port = port.or_else(|| self.free_tcp_port(host));
        let slot = &self.slots[host.0];
        let (life, name) = (slot.life, slot.name.clone());
        let local = slot.address_for(remote).zip(port).map(|(ip, port)| SocketAddr::new(ip, port));
        let Some(local) = local.filter(|&local| self.attempt(host, local, remote).is_none()) else {
            let event = TcpEvent::Unreachable { host, life, stream };
            self.schedule(Duration::ZERO, Event::Tcp(event));
            return;
        };
        let id = TcpId(self.tcp.opened);
        self.tcp.opened += 1;
        let before = self.slots[host.0].streams.insert(stream, (id, 0));
        assert!(before.is_none(), "{name}: connects two streams named {stream:?}");
        let mut end = End::new(host, life, local, remote);
        end.stream = Some(stream);
        let listener = SocketId::LISTENER;
        self.tcp.conns.insert(id, Conn { listener, ends: [Some(end), None] });
        self.schedule(
            self.tcp_config.connect_timeout,
            Event::Tcp(TcpEvent::ConnectTimeout { conn: id }),
        );
        self.send_segment(id, 0, Body::Syn, Duration::ZERO);
    }

    /// A host calls from the port of another of its streams, which refuses when that is gone.
    pub(crate) fn connect_beside(
        &mut self,
        host: HostId,
        stream: StreamId,
        beside: StreamId,
        remote: SocketAddr,
    ) {
        let place = self.slots[host.0].streams.get(&beside).copied();
        let port = place.and_then(|(id, side)| Some(self.tcp.end(id, side)?.local.port()));
        if port.is_some() {
            return self.connect(host, stream, port, remote);
        }
        let event = TcpEvent::Unreachable { host, life: self.slots[host.0].life, stream };
        self.schedule(Duration::ZERO, Event::Tcp(event));
    }

    /// A host's stream between these addresses.
    fn attempt(&self, host: HostId, local: SocketAddr, remote: SocketAddr) -> Option<StreamId> {
        let ours = |&(id, side): &(TcpId, usize)| {
            let end = self.tcp.conns.get(&id).and_then(|conn| conn.ends[side].as_ref());
            end.is_some_and(|end| (end.local, end.remote) == (local, remote))
        };
        let mut streams = self.slots[host.0].streams.iter();
        streams.find(|(_, place)| ours(place)).map(|(&stream, _)| stream)
    }

    pub(super) fn syn_arrives(
        &mut self,
        id: TcpId,
        host: HostId,
        local: SocketAddr,
        source: SocketAddr,
    ) {
        if self.meets(id, host, local, source) {
            return self.send_segment(id, 1, Body::SynAck, Duration::ZERO);
        }
        let listener = self.slots[host.0].listeners.get(&local.port()).copied();
        let Some(conn) = self.tcp.conns.get_mut(&id) else { return };
        let Some(listener) = listener else {
            return self.send_reset(id, 0, host, (local, source));
        };
        conn.listener = listener;
        conn.ends[1] = Some(End::new(host, self.slots[host.0].life, local, source));
        self.send_segment(id, 1, Body::SynAck, Duration::ZERO);
    }

    /// Whether a SYN finds an attempt of the host's own towards its source. The two are one
    /// connection from now on, and the host has its end 1.
    fn meets(&mut self, id: TcpId, host: HostId, local: SocketAddr, source: SocketAddr) -> bool {
        let Some(stream) = self.attempt(host, local, source) else { return false };
        let Some(&(other, 0)) = self.slots[host.0].streams.get(&stream) else { return false };
        let alone = |conn: &Conn| {
            let opens = conn.ends[0].as_ref().is_some_and(|end| end.stage == Stage::Opening);
            opens && conn.ends[1].is_none()
        };
        if other == id || !self.tcp.conns.get(&other).is_some_and(alone) {
            return false;
        }
        let end = self.tcp.conns.remove(&other).and_then(|mut conn| conn.ends[0].take());
        let Some(conn) = self.tcp.conns.get_mut(&id) else { return false };
        conn.ends[1] = end;
        self.tcp.met.insert(other, id);
        self.slots[host.0].streams.insert(stream, (id, 1));
        true
    }

    pub(super) fn syn_ack_arrives(&mut self, id: TcpId, side: usize) {
        if self.tcp.end(id, side).is_some_and(|end| end.stage == Stage::Opening) {
            self.send_segment(id, side, Body::Ack, Duration::ZERO);
            self.connected(id, side);
        }
    }

    /// A caller's end is open.
    fn connected(&mut self, id: TcpId, side: usize) {
        let Some(end) = self.tcp.end(id, side) else { return };
        let (host, Some(stream), Stage::Opening) = (end.host, end.stream, end.stage) else {
            return;
        };
        end.stage = Stage::Open;
        let capacity = self.tcp_config.capacity;
        self.enter(host, |node, io| {
            io.open(stream, capacity);
            node.stream_state(io, stream, StreamState::Connected);
        });
    }

    /// The handshake's last step has arrived: at the listener, or at one of two callers that met.
    pub(super) fn acknowledged(&mut self, id: TcpId, side: usize) {
        match self.tcp.end(id, side).map(|end| end.stream) {
            Some(Some(_)) => self.connected(id, side),
            Some(None) if side == 1 => self.accept(id),
            _ => {}
        }
    }

    /// The handshake's third step has arrived: the listener's machine decides.
    fn accept(&mut self, id: TcpId) {
        let Some(conn) = self.tcp.conns.get_mut(&id) else { return };
        let listener = conn.listener;
        let Some(end) = conn.ends[1].as_mut() else { return };
        let (host, remote) = (end.host, end.remote);
        end.stage = Stage::Open;
        let still = self.slots[host.0].listeners.values().any(|&socket| socket == listener);
        let capacity = self.tcp_config.capacity;
        let accepted = self.call(host, |node, io| {
            let stream = still.then(|| node.accept(io, listener, remote)).flatten()?;
            io.open(stream, capacity);
            Some(stream)
        });
        // The stream must be known before what the machine wants to write on it goes out.
        if let Some(stream) = accepted.flatten() {
            self.slots[host.0].streams.insert(stream, (id, 1));
            if let Some(end) = self.tcp.end(id, 1) {
                end.stream = Some(stream);
            }
        } else {
            self.reset_other(id, 1);
            self.tcp.bury(id, 1);
        }
        self.flush(host);
    }

    /// Nobody has the address: the caller is told at once, the listener forgets.
    pub(super) fn unreachable(&mut self, conn: TcpId, from: usize) {
        if self.tcp.end(conn, from).is_some_and(|end| end.stream.is_some()) {
            self.schedule(Duration::ZERO, Event::Tcp(TcpEvent::ConnectTimeout { conn }));
        } else {
            self.tcp.bury(conn, from);
        }
    }
}
