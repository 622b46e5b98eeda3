//! How bytes get from one end to the other.

use core::mem;
use core::time::Duration;

use genkan_core::{MAX_FRAME, StreamId};

use super::{Body, Reader, Stage, TcpEvent};
use crate::nat::{Flow, Proto};
use crate::net::HostId;
use crate::packet::{TcpId, Via};
use crate::transcript::{Fate, Mark};
use crate::world::{Event, Parcel, World};

/// How long an acknowledgement waits that cannot get through.
const CREDIT_RETRY: Duration = Duration::from_millis(500);

impl World {
    /// A host writes one frame to a stream.
    pub(crate) fn write(&mut self, host: HostId, stream: StreamId, bytes: Vec<u8>) {
        let Some(&(id, side)) = self.slots[host.0].streams.get(&stream) else { return };
        let Some(end) = self.tcp.end(id, side) else { return };
        let addresses = (end.local, end.remote);
        let len = bytes.len();
        let frames = self.announce_frame(Via::Tcp(id), host, addresses, bytes);
        let total = frames.iter().map(|(bytes, ..)| bytes.len()).sum();
        self.slots[host.0].io.requeue(stream, len, total);
        for (bytes, mark, extra) in frames {
            self.send_frame(id, side, bytes, mark, extra);
        }
    }

    /// Cuts a frame's bytes where chance wills and sends the pieces.
    fn send_frame(
        &mut self,
        id: TcpId,
        side: usize,
        mut rest: Vec<u8>,
        mark: Mark,
        mut extra: Duration,
    ) {
        let cut = self.tcp_config.split && self.rng.chance(0.5);
        while cut && rest.len() > 1 && self.rng.chance(0.6) {
            let tail = rest.split_off(1 + self.rng.index(rest.len() - 1));
            let bytes = mem::replace(&mut rest, tail);
            let push = self.rng.chance(0.7);
            self.send_segment(id, side, Body::Data { bytes, mark: None, push }, extra);
            extra = Duration::ZERO;
        }
        self.send_segment(
            id,
            side,
            Body::Data { bytes: rest, mark: Some(mark), push: false },
            extra,
        );
    }

    /// A numbered segment has arrived: it and what it kept waiting is taken in.
    pub(super) fn in_order(&mut self, id: TcpId, side: usize, number: u64, body: Body) {
        if let Some(end) = self.tcp.end(id, side) {
            end.early.insert(number, body);
        }
        while let Some(end) = self.tcp.end(id, side) {
            let Some(body) = end.early.remove(&end.expected) else { return };
            end.expected += 1;
            match body {
                Body::Ack => self.acknowledged(id, side),
                Body::Data { bytes, mark, push } => self.take_in(id, side, &bytes, mark, push),
                Body::Fin => {
                    end.ended = true;
                    self.read(id, side);
                }
                Body::Syn | Body::SynAck => {}
            }
        }
    }

    fn take_in(&mut self, id: TcpId, side: usize, bytes: &[u8], mark: Option<Mark>, push: bool) {
        let Some(end) = self.tcp.end(id, side) else { return };
        let open = end.stage == Stage::Open;
        if open {
            end.inbox.extend(bytes);
        }
        if let Some(mark) = mark {
            let fate = if open { Fate::Delivered(self.now) } else { Fate::Unreceived };
            self.transcript.settle(mark, fate, None);
        }
        if !open {
            self.send_credit(id, side, bytes.len());
        } else if push {
            self.read(id, side);
        } else {
            self.schedule(Duration::ZERO, Event::Tcp(TcpEvent::Read { conn: id, side }));
        }
    }

    /// The host reads what has arrived, as fast as it does.
    pub(super) fn read(&mut self, id: TcpId, side: usize) {
        while let Some(budget) = self.may_read(id, side) {
            let Some(end) = self.tcp.end(id, side) else { return };
            let room = MAX_FRAME - end.assembly.len();
            let taken = room.min(end.inbox.len()).min(budget);
            end.assembly.extend(end.inbox.drain(..taken));
            if taken == 0 {
                break;
            }
            self.send_credit(id, side, taken);
            self.show(id, side);
        }
        self.finish(id, side);
    }

    /// How many bytes the host may read of a stream now; `None`: nothing, not even an end.
    fn may_read(&mut self, id: TcpId, side: usize) -> Option<usize> {
        let now = self.now;
        let end = self.tcp.end(id, side)?;
        if end.stage != Stage::Open || now < end.rests_until {
            return None;
        }
        let slot = &self.slots[end.host.0];
        if slot.paused || slot.node.is_none() {
            return None;
        }
        match slot.reader {
            Reader::Fast => Some(usize::MAX),
            Reader::Stalled => None,
            Reader::Slow { bytes, every } => {
                if end.inbox.is_empty() {
                    return Some(0);
                }
                end.rests_until = now.saturating_add(every);
                self.schedule(every, Event::Tcp(TcpEvent::Read { conn: id, side }));
                Some(bytes.max(1))
            }
        }
    }

    /// Shows the node the bytes at the front until it takes none.
    fn show(&mut self, id: TcpId, side: usize) {
        loop {
            let Some(end) = self.tcp.end(id, side) else { return };
            let (Stage::Open, Some(stream), false) =
                (end.stage, end.stream, end.assembly.is_empty())
            else {
                return;
            };
            let (host, remote) = (end.host, end.remote);
            let mut bytes = mem::take(&mut end.assembly);
            if let Some(other) = self.tcp.end(id, 1 - side).map(|end| end.host) {
                self.show_watch(host, remote, Some((id, other)), &bytes);
            }
            let consumed = self.enter(host, |node, io| node.stream(io, stream, &mut bytes));
            let consumed = consumed.unwrap_or(bytes.len());
            let full = bytes.len() == MAX_FRAME;
            bytes.drain(..consumed);
            let Some(end) = self.tcp.end(id, side) else { return };
            if end.stage != Stage::Open {
                return;
            }
            end.assembly = bytes;
            let name = &self.slots[host.0].name;
            assert!(consumed > 0 || !full, "{name}: takes nothing of {MAX_FRAME} bytes");
            if consumed == 0 {
                return;
            }
        }
    }

    /// The other end's FIN has come, and all before it is read: an open end closes in its turn, one
    /// that has closed itself is over once its own FIN has arrived too.
    fn finish(&mut self, id: TcpId, side: usize) {
        let Some(end) = self.tcp.end(id, side).filter(|end| end.ended) else { return };
        let (stage, host, read) = (end.stage, end.host, end.inbox.is_empty());
        match stage {
            Stage::Open if read => {
                let slot = &self.slots[host.0];
                if !slot.paused && slot.reader != Reader::Stalled {
                    self.closes_too(id, side);
                }
            }
            Stage::Closing if self.tcp.end(id, 1 - side).is_none_or(|other| other.ended) => {
                self.tcp.bury(id, side);
                self.tcp.bury(id, 1 - side);
            }
            _ => {}
        }
    }

    /// End `side` has read so many bytes: the other end may write as many more.
    pub(super) fn send_credit(&mut self, id: TcpId, side: usize, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let end = |world: &mut Self, side| {
            world.tcp.end(id, side).map(|end| (end.host, (end.local, end.remote)))
        };
        let Some((reader, addresses)) = end(self, side) else { return };
        let Some((writer, _)) = end(self, 1 - side) else { return };
        // The acknowledgement is no packet of its own here, but the reader's NATs have seen it.
        let _ = self.net.outbound(self.now, Flow::Segment, reader, addresses, None);
        let latency = self.net.path(reader, Some(writer)).latency;
        let event = TcpEvent::Credit { conn: id, writer: 1 - side, bytes };
        self.schedule(latency, Event::Tcp(event));
    }

    pub(super) fn credit(&mut self, conn: TcpId, writer: usize, bytes: usize) {
        let Some(end) = self.tcp.end(conn, writer) else { return };
        let (host, Some(stream), Stage::Open) = (end.host, end.stream, end.stage) else { return };
        if self.way_back_is_cut(conn, writer) {
            let event = TcpEvent::Credit { conn, writer, bytes };
            self.schedule(CREDIT_RETRY, Event::Tcp(event));
            return;
        }
        let was_short = self.slots[host.0].io.room(stream) < MAX_FRAME;
        self.slots[host.0].io.credit(stream, bytes);
        if was_short {
            self.enter(host, |_, _| ());
        }
    }

    /// A frame goes through the hook: what is to be written for it, and how much later.
    fn announce_frame(
        &mut self,
        via: Via,
        host: HostId,
        (local, remote): (core::net::SocketAddr, core::net::SocketAddr),
        bytes: Vec<u8>,
    ) -> Vec<(Vec<u8>, Mark, Duration)> {
        let route = self.net.outbound(self.now, Flow::Segment, host, (local, remote), None);
        let to = route.end.ok().and_then(|hop| self.host_at(Proto::Tcp, hop));
        let source = route.end.map_or(local, |hop| hop.source);
        self.pass_hook(via, (Some(host), to), (source, remote), Parcel::new(bytes))
    }
}
