//! How connections end: shut down, reset, or given up.

use core::mem;
use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::{StreamId, StreamState};

use super::{Body, Stage, TcpEvent};
use crate::nat::{Flow, Proto};
use crate::net::{Hop, HostId};
use crate::packet::{TcpId, Via};
use crate::transcript::{Fate, Mark};
use crate::world::{Event, World};

impl World {
    /// The host shuts a stream down and forgets it.
    pub(crate) fn shutdown(&mut self, host: HostId, stream: StreamId) {
        let Some((id, side)) = self.slots[host.0].streams.remove(&stream) else { return };
        self.slots[host.0].io.close(stream);
        let Some(end) = self.tcp.end(id, side) else { return };
        let unread = mem::take(&mut end.inbox).len();
        if end.stage == Stage::Opening {
            self.tcp.bury(id, side);
            return;
        }
        end.stage = Stage::Closing;
        self.send_credit(id, side, unread);
        self.send_segment(id, side, Body::Fin, Duration::ZERO);
    }

    /// All of a host's connections end, because the host does.
    pub(crate) fn drop_connections(&mut self, host: HostId, with_reset: bool) {
        for (id, side) in self.tcp.of_host(host) {
            if with_reset {
                self.reset_other(id, side);
            }
            self.tcp.bury(id, side);
        }
        self.slots[host.0].streams.clear();
    }

    /// An RST from end `side` to the other one.
    pub(super) fn reset_other(&mut self, id: TcpId, side: usize) {
        if let Some(end) = self.tcp.end(id, side) {
            let (host, addresses) = (end.host, (end.local, end.remote));
            self.send_reset(id, 1 - side, host, addresses);
        }
    }

    /// An RST from `host` to end `to`. It is sent once.
    pub(super) fn send_reset(
        &mut self,
        conn: TcpId,
        to: usize,
        host: HostId,
        (local, remote): (SocketAddr, SocketAddr),
    ) {
        let hop = self.net.outbound(self.now, Flow::Rst, host, (local, remote));
        let peer = hop.ok().and_then(|hop| self.host_at(Proto::Tcp, hop, remote));
        let source = hop.map_or(local, |hop| hop.source);
        let announced = self.announce(Via::Rst(conn), (Some(host), peer), (source, remote));
        let Some((mark, delay)) = announced else { return };
        let faults = self.net.path(host, peer);
        let fate = match hop {
            Err(why) => Err(Fate::Unroutable(why)),
            Ok(hop) => self.survives(host, peer, &faults).map(|()| hop),
        };
        match fate {
            Ok(hop) => {
                let mut at = self.now + faults.segment_delay(&mut self.rng) + delay;
                if let Some(end) = self.tcp.end(conn, 1 - to) {
                    at = at.max(end.last_arrival);
                }
                let event = TcpEvent::Reset { conn, to, address: remote, hop, mark };
                self.schedule(at - self.now, Event::Tcp(event));
            }
            Err(fate) => self.transcript.settle(mark, fate, None),
        }
    }

    pub(super) fn reset_arrives(
        &mut self,
        (conn, to): (TcpId, usize),
        address: SocketAddr,
        hop: Hop,
        mark: Mark,
    ) {
        let found = self.net.inbound(self.now, Flow::Rst, hop, address);
        let known = self.tcp.end(conn, to).filter(|end| end.stage != Stage::Gone);
        let known = known.map(|end| end.host);
        let fate = match found {
            Err(why) => Fate::Unroutable(why),
            Ok((host, _)) if known == Some(host) => Fate::Delivered(self.now),
            Ok(_) => Fate::Unreceived,
        };
        self.transcript.settle(mark, fate, None);
        if matches!(fate, Fate::Delivered(_)) {
            self.stream_ends(conn, to);
        }
    }

    /// An end is over; its machine is told when it still knows the stream.
    pub(super) fn stream_ends(&mut self, id: TcpId, side: usize) {
        let Some(end) = self.tcp.end(id, side) else { return };
        let (host, stream, stage) = (end.host, end.stream, end.stage);
        self.tcp.bury(id, side);
        let Some(stream) = stream else { return };
        if matches!(stage, Stage::Opening | Stage::Open) {
            self.slots[host.0].streams.remove(&stream);
            self.enter(host, |node, io| {
                io.close(stream);
                node.stream_state(io, stream, StreamState::Closed);
            });
        }
    }

    /// Whether acknowledgements of what end `from` sends cannot come back.
    pub(super) fn way_back_is_cut(&mut self, id: TcpId, from: usize) -> bool {
        let host = |world: &mut Self, side| world.tcp.end(id, side).map(|end| end.host);
        match (host(self, 1 - from), host(self, from)) {
            (Some(reader), Some(writer)) => {
                self.net.is_cut(reader, writer) || self.net.path(reader, Some(writer)).tcp_blocked
            }
            _ => false,
        }
    }
}
