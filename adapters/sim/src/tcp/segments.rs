//! How segments travel, get lost, and are sent again.

use core::net::SocketAddr;
use core::time::Duration;

use super::{Body, Segment, Stage, TcpEvent};
use crate::capture::{Load, SegmentKind};
use crate::faults::Faults;
use crate::nat::{Flow, Proto};
use crate::net::{End, Hop, HostId, Route, Stop, Unroutable};
use crate::packet::{TcpId, Via};
use crate::transcript::{Fate, Mark};
use crate::world::{Event, World, host_of};

/// Waits between attempts double up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The headers of IPv4 and TCP.
const HEADERS: usize = 40;

impl World {
    pub(super) fn send_segment(&mut self, conn: TcpId, from: usize, body: Body, extra: Duration) {
        let Some(end) = self.tcp.end(conn, from) else { return };
        let (number, offset) = (end.next, end.sent);
        if !matches!(body, Body::Syn | Body::SynAck) {
            end.next += 1;
        }
        end.sent += body.bytes().len() as u64;
        let first_sent = self.now;
        self.transmit(Segment { conn, from, number, body, offset, first_sent, attempt: 0, extra });
    }

    pub(super) fn retry(&mut self, mut segment: Segment) {
        (segment.conn, segment.from) = self.tcp.now_at(segment.conn, segment.from);
        let stage = self.tcp.end(segment.conn, segment.from).map(|end| end.stage);
        let opening = matches!(segment.body, Body::Syn | Body::SynAck);
        if stage.is_none_or(|stage| stage == Stage::Gone || (opening && stage != Stage::Opening)) {
            return self.strayed(&segment, None);
        }
        let given_up = self.now >= self.give_up(&segment);
        if given_up && !matches!(segment.body, Body::Syn) {
            self.strayed(&segment, None);
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
        let still_ours = self.slots[host.0].addresses.contains(&local.ip());
        let route = match still_ours {
            true => self.net.outbound(self.now, flow(&segment.body), host, (local, remote), None),
            false => Route {
                crossings: Vec::new(),
                at: Hop::at(0, local, remote),
                end: Err(Stop::NoRoute),
            },
        };
        let owner = route.end.ok().and_then(|hop| self.net.owner(Proto::Tcp, hop));
        let (to, way) = (host_of(owner), self.net.end_of_line(owner));
        let source = route.end.map_or(local, |hop| hop.source);
        let (mark, hooked) = match control(&segment.body, conn) {
            Some(via) => self.announce(via, (Some(host), to), (source, remote)).unzip(),
            None => (None, Some(Duration::ZERO)),
        };
        self.frame_out(host, (local, remote), None, || segment.load());
        for &crossing in &route.crossings {
            self.frame(crossing, None, || segment.load());
        }
        let hop = match (route.end, hooked) {
            (Err(stop), _) => {
                let attempt = matches!(segment.body, Body::Syn).then_some(conn);
                self.complain_at_home(stop, route.at, Proto::Tcp, attempt);
                return self.stopped_segment(segment, mark, stop);
            }
            (_, None) => return self.lost(segment, mark, Fate::Hooked, Duration::ZERO),
            (Ok(hop), Some(delay)) => {
                Hop { delay: hop.delay.saturating_add(delay).saturating_add(segment.extra), ..hop }
            }
        };
        let faults = self.net.path(host, way);
        match self.survives(host, way, &faults, segment.body.bytes().len()) {
            Ok(waits) => {
                let delay = waits.saturating_add(hop.delay);
                let delay = delay.saturating_add(faults.segment_delay(&mut self.rng));
                let hop = Hop { routers: hop.routers.saturating_add(faults.hops), ..hop };
                let Some(end) = self.tcp.end(conn, from) else { return };
                end.last_arrival = end.last_arrival.max(self.now.saturating_add(delay));
                let wait = end.last_arrival - self.now;
                self.schedule(wait, Event::Tcp(TcpEvent::Arrive { segment, hop, mark }));
            }
            Err(fate) => self.lost(segment, mark, fate, faults.latency),
        }
    }

    /// A box, or no way at all, stopped a segment.
    fn stopped_segment(&mut self, segment: Segment, mark: Option<Mark>, stop: Stop) {
        if let Some(mark) = mark {
            self.stopped(stop, mark);
        }
        let fate = stop.why().map_or(Fate::Expired, Fate::Unroutable);
        self.lost(segment, None, fate, Duration::ZERO);
    }

    /// A segment did not get through: it is sent again, or the connection cannot be made at all.
    fn lost(&mut self, segment: Segment, mark: Option<Mark>, fate: Fate, latency: Duration) {
        if let Some(mark) = mark {
            self.transcript.settle(mark, fate, None);
        }
        let opening = matches!(segment.body, Body::Syn | Body::SynAck);
        if opening && fate == Fate::Unroutable(Unroutable::NoRoute) {
            let (conn, from) = self.tcp.now_at(segment.conn, segment.from);
            return self.unreachable(conn, from);
        }
        let first = if opening {
            self.tcp_config.retransmit_syn
        } else {
            self.tcp_config.retransmit.max(latency.saturating_mul(2))
        };
        let mut wait = first.saturating_mul(2u32.saturating_pow(segment.attempt.min(16)));
        wait = wait.min(LONGEST_WAIT);
        // A SYN is given up by its own time-out.
        if !matches!(segment.body, Body::Syn) {
            wait = wait.min(self.give_up(&segment).saturating_sub(self.now));
        }
        let wait = wait.max(Duration::from_millis(1));
        self.schedule(wait, Event::Tcp(TcpEvent::Retry(segment)));
    }

    /// When a segment has not been acknowledged for too long.
    const fn give_up(&self, segment: &Segment) -> Duration {
        segment.first_sent.saturating_add(self.tcp_config.user_timeout)
    }

    /// What was on its way in a connection that nobody knows any more.
    fn strayed(&mut self, segment: &Segment, mark: Option<Mark>) {
        let frame = match segment.body {
            Body::Data { mark, .. } => mark,
            _ => None,
        };
        for mark in [mark, frame].into_iter().flatten() {
            self.transcript.settle(mark, Fate::Unreceived, None);
        }
    }

    /// Whether so many bytes get through over TCP now, and how long they wait in queues.
    pub(super) fn survives(
        &mut self,
        from: HostId,
        to: Option<HostId>,
        faults: &Faults,
        bytes: usize,
    ) -> Result<Duration, Fate> {
        if to.is_some_and(|to| self.net.is_cut(from, to)) {
            Err(Fate::Cut)
        } else if faults.tcp_blocked {
            Err(Fate::Blocked)
        } else if self.rng.chance(faults.loss) {
            Err(Fate::Lost)
        } else {
            self.net.enqueue(self.now, from, to, bytes + HEADERS).ok_or(Fate::QueueFull)
        }
    }

    pub(super) fn segment_arrives(&mut self, mut segment: Segment, hop: Hop, mark: Option<Mark>) {
        let sent_by = (segment.conn, segment.from);
        (segment.conn, segment.from) = self.tcp.now_at(segment.conn, segment.from);
        let (id, from) = (segment.conn, segment.from);
        let known = self.tcp.end(id, from).is_some();
        let route = self.net.inbound(self.now, flow(&segment.body), hop, None);
        for &crossing in &route.crossings {
            self.frame(crossing, None, || segment.load());
        }
        let (host, there) = match route.end {
            // The boxes have seen it all the same.
            _ if !known => return self.strayed(&segment, mark),
            Ok(End::Host(host, there)) => (host, there),
            Ok(End::Gateway(..)) => {
                return self.lost(segment, mark, Fate::Unreceived, Duration::ZERO);
            }
            Err(stop) => {
                self.refused(sent_by, flow(&segment.body), (stop, hop));
                return self.stopped_segment(segment, mark, stop);
            }
        };
        self.frame_in(host, (there, None), || segment.load());
        if self.slots[host.0].node.is_none() {
            return self.lost(segment, mark, Fate::Unreceived, Duration::ZERO);
        }
        if let Some(mark) = mark {
            let name = Some(&*self.slots[host.0].name);
            self.transcript.settle(mark, Fate::Delivered(self.now), name);
        }
        self.taken_in(segment, host, (there.to, there.source));
    }

    /// A segment has reached a host that is on.
    fn taken_in(
        &mut self,
        segment: Segment,
        host: HostId,
        (local, source): (SocketAddr, SocketAddr),
    ) {
        let (id, from, side) = (segment.conn, segment.from, 1 - segment.from);
        let life = self.slots[host.0].life;
        let known = self.tcp.end(id, side).is_some_and(|end| {
            end.host == host && end.life == life && end.remote == source && end.stage != Stage::Gone
        });
        if matches!(segment.body, Body::Syn) {
            return match known {
                // The other one of two SYNs that crossed.
                true => self.send_segment(id, side, Body::SynAck, Duration::ZERO),
                false => self.syn_arrives(id, host, local, source),
            };
        }
        if !known {
            self.strayed(&segment, None);
            return self.send_reset(id, from, host, (local, source));
        }
        if matches!(segment.body, Body::SynAck) {
            return self.syn_ack_arrives(id, side);
        }
        let give_up = self.give_up(&segment);
        self.in_order(id, side, segment.number, segment.body);
        if self.way_back_is_cut(id, from) {
            let event = TcpEvent::Unacknowledged { conn: id, from };
            self.schedule(give_up.saturating_sub(self.now), Event::Tcp(event));
        }
    }
}

impl Body {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Data { bytes, .. } => bytes,
            Self::Syn | Self::SynAck | Self::Ack | Self::Fin => &[],
        }
    }
}

impl Segment {
    /// How a capture shows it.
    fn load(&self) -> Load {
        let kind = match self.body {
            Body::Syn => SegmentKind::Syn,
            Body::SynAck => SegmentKind::SynAck,
            Body::Ack | Body::Data { .. } => SegmentKind::Ack,
            Body::Fin => SegmentKind::Fin,
        };
        let bytes = self.body.bytes().to_vec();
        let (conn, offset) = (self.conn, self.offset);
        Load::Tcp { conn, from_caller: self.from == 0, kind, offset, bytes }
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

/// What a NAT sees of a segment.
const fn flow(body: &Body) -> Flow {
    match body {
        Body::Syn => Flow::Syn,
        Body::SynAck => Flow::SynAck,
        Body::Fin => Flow::Fin,
        Body::Ack | Body::Data { .. } => Flow::Segment,
    }
}
