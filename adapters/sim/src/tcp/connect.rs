//! How connections begin, and what becomes of each event.

use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::{SocketId, StreamId, StreamState};

use super::{Body, Conn, End, Stage, TcpEvent};
use crate::net::{Hop, HostId};
use crate::packet::TcpId;
use crate::world::{Event, World};

impl World {
    pub(crate) fn tcp_event(&mut self, event: TcpEvent) {
        match event {
            TcpEvent::Arrive { segment, hop, mark } => self.segment_arrives(segment, hop, mark),
            TcpEvent::Retry(segment) => self.retry(segment),
            TcpEvent::Reset { conn, to, address, hop, mark } => {
                self.reset_arrives((conn, to), address, hop, mark);
            }
            TcpEvent::Credit { conn, writer, bytes } => self.credit(conn, writer, bytes),
            TcpEvent::Read { conn, side } => self.read(conn, side),
            TcpEvent::ConnectTimeout { conn } => {
                if self.tcp.end(conn, 0).is_some_and(|end| end.stage == Stage::Opening) {
                    self.stream_ends(conn, 0);
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

    pub(crate) fn connect(&mut self, host: HostId, stream: StreamId, remote: SocketAddr) {
        let slot = &mut self.slots[host.0];
        let life = slot.life;
        let Some(address) = slot.address_for(remote) else {
            let event = TcpEvent::Unreachable { host, life, stream };
            self.schedule(Duration::ZERO, Event::Tcp(event));
            return;
        };
        let local = SocketAddr::new(address, slot.ephemeral_port());
        let id = TcpId(self.tcp.opened);
        self.tcp.opened += 1;
        let name = slot.name.clone();
        let before = slot.streams.insert(stream, (id, 0));
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

    pub(super) fn syn_arrives(&mut self, id: TcpId, host: HostId, local: SocketAddr, hop: Hop) {
        let listener = self.slots[host.0].listeners.get(&local.port()).copied();
        let Some(conn) = self.tcp.conns.get_mut(&id) else { return };
        let Some(listener) = listener else {
            return self.send_reset(id, 0, host, (local, hop.source));
        };
        conn.listener = listener;
        conn.ends[1] = Some(End::new(host, self.slots[host.0].life, local, hop.source));
        self.send_segment(id, 1, Body::SynAck, Duration::ZERO);
    }

    pub(super) fn syn_ack_arrives(&mut self, id: TcpId) {
        let Some(end) = self.tcp.end(id, 0) else { return };
        let (host, Some(stream), Stage::Opening) = (end.host, end.stream, end.stage) else {
            return;
        };
        end.stage = Stage::Open;
        self.send_segment(id, 0, Body::Ack, Duration::ZERO);
        let capacity = self.tcp_config.capacity;
        self.enter(host, |node, io| {
            io.open(stream, capacity);
            node.stream_state(io, stream, StreamState::Connected);
        });
    }

    /// The handshake's third step has arrived: the listener's machine decides.
    pub(super) fn accept(&mut self, id: TcpId) {
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
        if from == 0 {
            self.schedule(Duration::ZERO, Event::Tcp(TcpEvent::ConnectTimeout { conn }));
        } else {
            self.tcp.bury(conn, from);
        }
    }
}
