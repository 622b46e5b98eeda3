//! How connections begin and end, and how segments travel.

use core::mem;
use core::net::SocketAddr;
use core::time::Duration;

use genkan_core::{StreamId, StreamState};

use super::{Body, Conn, End, Segment, Stage, TcpEvent};
use crate::faults::Faults;
use crate::nat::Proto;
use crate::net::{Hop, HostId, Unroutable};
use crate::packet::{TcpId, Via};
use crate::transcript::{Fate, Mark};
use crate::world::{Event, World};

/// Waits between attempts double up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

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
        let listener = genkan_core::SocketId::LISTENER;
        self.tcp.conns.insert(id, Conn { listener, ends: [Some(end), None] });
        self.schedule(
            self.tcp_config.connect_timeout,
            Event::Tcp(TcpEvent::ConnectTimeout { conn: id }),
        );
        self.send_segment(id, 0, Body::Syn, Duration::ZERO);
    }

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

    pub(super) fn send_segment(&mut self, conn: TcpId, from: usize, body: Body, extra: Duration) {
        let Some(end) = self.tcp.end(conn, from) else { return };
        let number = end.next;
        if !matches!(body, Body::Syn | Body::SynAck) {
            end.next += 1;
        }
        let first_sent = self.now;
        self.transmit(Segment { conn, from, number, body, first_sent, attempt: 0, extra });
    }

    fn retry(&mut self, mut segment: Segment) {
        let Some(end) = self.tcp.end(segment.conn, segment.from) else { return };
        if end.stage == Stage::Gone {
            return;
        }
        let given_up = self.now >= segment.first_sent + self.tcp_config.user_timeout;
        if given_up && !matches!(segment.body, Body::Syn) {
            self.stream_ends(segment.conn, segment.from);
            return;
        }
        segment.attempt += 1;
        self.transmit(segment);
    }

    fn transmit(&mut self, segment: Segment) {
        let (conn, from) = (segment.conn, segment.from);
        let Some(end) = self.tcp.end(conn, from) else { return };
        let (host, local, remote) = (end.host, end.local, end.remote);
        let hop = self.net.outbound(self.now, Proto::Tcp, host, (local, remote));
        let to = hop.ok().and_then(|hop| self.host_at(Proto::Tcp, hop, remote));
        let source = hop.map_or(local, |hop| hop.source);
        let (mark, hooked) = match control(&segment.body, conn) {
            Some(via) => self.announce(via, (Some(host), to), (source, remote)).unzip(),
            None => (None, Some(Duration::ZERO)),
        };
        let faults = self.net.path(host, to);
        let fate = match (hop, hooked) {
            (Err(why), _) => Err(Fate::Unroutable(why)),
            (_, None) => Err(Fate::Hooked),
            (Ok(hop), Some(delay)) => {
                self.survives(host, to, &faults).map(|()| (hop, delay + segment.extra))
            }
        };
        match fate {
            Ok((hop, extra)) => {
                let delay = faults.segment_delay(&mut self.rng) + extra;
                let Some(end) = self.tcp.end(conn, from) else { return };
                end.last_arrival = end.last_arrival.max(self.now + delay);
                let wait = end.last_arrival - self.now;
                self.schedule(wait, Event::Tcp(TcpEvent::Arrive { segment, hop, mark }));
            }
            Err(fate) => self.lost(segment, mark, fate, faults.latency),
        }
    }

    /// A segment did not get through: it is sent again, or the connection cannot be made at all.
    fn lost(&mut self, segment: Segment, mark: Option<Mark>, fate: Fate, latency: Duration) {
        if let Some(mark) = mark {
            self.transcript.settle(mark, fate, None);
        }
        let opening = matches!(segment.body, Body::Syn | Body::SynAck);
        if opening && fate == Fate::Unroutable(Unroutable::NoRoute) {
            self.stream_ends(segment.conn, segment.from);
            return;
        }
        let first = if opening {
            self.tcp_config.retransmit_syn
        } else {
            self.tcp_config.retransmit.max(latency * 2)
        };
        let wait = (first * 2u32.saturating_pow(segment.attempt.min(16))).min(LONGEST_WAIT);
        let give_up = segment.first_sent + self.tcp_config.user_timeout;
        let wait = wait.min(give_up.saturating_sub(self.now)).max(Duration::from_millis(1));
        self.schedule(wait, Event::Tcp(TcpEvent::Retry(segment)));
    }

    /// Whether something on a path over TCP gets through now.
    fn survives(&mut self, from: HostId, to: Option<HostId>, faults: &Faults) -> Result<(), Fate> {
        if to.is_some_and(|to| self.net.is_cut(from, to)) {
            Err(Fate::Cut)
        } else if faults.tcp_blocked {
            Err(Fate::Blocked)
        } else if self.rng.chance(faults.loss) {
            Err(Fate::Lost)
        } else {
            Ok(())
        }
    }

    fn segment_arrives(&mut self, segment: Segment, hop: Hop, mark: Option<Mark>) {
        let (id, from, side) = (segment.conn, segment.from, 1 - segment.from);
        let Some(remote) = self.tcp.end(id, from).map(|end| end.remote) else { return };
        let (host, local) = match self.net.inbound(self.now, Proto::Tcp, hop, remote) {
            Ok(found) => found,
            Err(why) => return self.lost(segment, mark, Fate::Unroutable(why), Duration::ZERO),
        };
        if self.slots[host.0].node.is_none() {
            return self.lost(segment, mark, Fate::Unreceived, Duration::ZERO);
        }
        if let Some(mark) = mark {
            let name = self.slots[host.0].name.clone();
            self.transcript.settle(mark, Fate::Delivered(self.now), Some(&name));
        }
        let life = self.slots[host.0].life;
        if matches!(segment.body, Body::Syn) {
            return self.syn_arrives(id, host, local, hop);
        }
        let known = self.tcp.end(id, side).is_some_and(|end| {
            end.host == host
                && end.life == life
                && end.remote == hop.source
                && end.stage != Stage::Gone
        });
        if !known {
            return self.send_reset(id, from, host, (local, hop.source));
        }
        if matches!(segment.body, Body::SynAck) {
            return self.syn_ack_arrives(id);
        }
        let give_up = segment.first_sent + self.tcp_config.user_timeout;
        self.in_order(id, side, segment.number, segment.body);
        if self.way_back_is_cut(id, from) {
            let event = TcpEvent::Unacknowledged { conn: id, from };
            self.schedule(give_up.saturating_sub(self.now), Event::Tcp(event));
        }
    }

    fn syn_arrives(&mut self, id: TcpId, host: HostId, local: SocketAddr, hop: Hop) {
        let listener = self.slots[host.0].listeners.get(&local.port()).copied();
        let Some(conn) = self.tcp.conns.get_mut(&id) else { return };
        let Some(listener) = listener else {
            return self.send_reset(id, 0, host, (local, hop.source));
        };
        conn.listener = listener;
        conn.ends[1] = Some(End::new(host, self.slots[host.0].life, local, hop.source));
        self.send_segment(id, 1, Body::SynAck, Duration::ZERO);
    }

    fn syn_ack_arrives(&mut self, id: TcpId) {
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

    /// An RST from end `side` to the other one.
    fn reset_other(&mut self, id: TcpId, side: usize) {
        if let Some(end) = self.tcp.end(id, side) {
            let (host, addresses) = (end.host, (end.local, end.remote));
            self.send_reset(id, 1 - side, host, addresses);
        }
    }

    /// An RST from `host` to end `to`. It is sent once.
    fn send_reset(
        &mut self,
        conn: TcpId,
        to: usize,
        host: HostId,
        (local, remote): (SocketAddr, SocketAddr),
    ) {
        let hop = self.net.outbound(self.now, Proto::Tcp, host, (local, remote));
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

    fn reset_arrives(
        &mut self,
        (conn, to): (TcpId, usize),
        address: SocketAddr,
        hop: Hop,
        mark: Mark,
    ) {
        let found = self.net.inbound(self.now, Proto::Tcp, hop, address);
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

/// How the transcript calls a segment that carries no bytes.
const fn control(body: &Body, id: TcpId) -> Option<Via> {
    match body {
        Body::Syn => Some(Via::Syn(id)),
        Body::SynAck => Some(Via::SynAck(id)),
        Body::Fin => Some(Via::Fin(id)),
        Body::Ack | Body::Data { .. } => None,
    }
}
