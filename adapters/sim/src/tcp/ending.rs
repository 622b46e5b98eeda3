//! How connections end: shut down, lost with their host, or given up.

use core::mem;
use core::time::Duration;

use genkan_core::{StreamId, StreamState};

use super::{Body, Stage};
use crate::net::HostId;
use crate::packet::TcpId;
use crate::world::World;

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

    /// The other end has shut the stream down and all of it is read: this end's FIN goes out, and its
    /// machine is told.
    pub(super) fn closes_too(&mut self, id: TcpId, side: usize) {
        let Some(end) = self.tcp.end(id, side) else { return };
        let (host, stream) = (end.host, end.stream);
        end.stage = Stage::Closing;
        self.send_segment(id, side, Body::Fin, Duration::ZERO);
        if let Some(stream) = stream {
            self.stream_closed(host, stream);
        }
    }

    /// A host forgets a stream, and its machine is told.
    fn stream_closed(&mut self, host: HostId, stream: StreamId) {
        self.slots[host.0].streams.remove(&stream);
        self.enter(host, |node, io| {
            io.close(stream);
            node.stream_state(io, stream, StreamState::Closed);
        });
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

    /// An end is over; its machine is told when it still knows the stream.
    pub(super) fn stream_ends(&mut self, id: TcpId, side: usize) {
        let Some(end) = self.tcp.end(id, side) else { return };
        let (host, stream, stage) = (end.host, end.stream, end.stage);
        self.tcp.bury(id, side);
        let Some(stream) = stream else { return };
        if matches!(stage, Stage::Opening | Stage::Open) {
            self.stream_closed(host, stream);
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
