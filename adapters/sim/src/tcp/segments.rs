//! How segments travel, get lost, and are sent again.

use core::time::Duration;

use super::{Body, Segment, Stage, TcpEvent};
use crate::faults::Faults;
use crate::nat::{Flow, Proto};
use crate::net::{Hop, HostId, Unroutable};
use crate::packet::{TcpId, Via};
use crate::transcript::{Fate, Mark};
use crate::world::{Event, World};

/// Waits between attempts double up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl World {
    pub(super) fn send_segment(&mut self, conn: TcpId, from: usize, body: Body, extra: Duration) {
        let Some(end) = self.tcp.end(conn, from) else { return };
        let number = end.next;
        if !matches!(body, Body::Syn | Body::SynAck) {
            end.next += 1;
        }
        let first_sent = self.now;
        self.transmit(Segment { conn, from, number, body, first_sent, attempt: 0, extra });
    }

    pub(super) fn retry(&mut self, mut segment: Segment) {
        if self.tcp.end(segment.conn, segment.from).is_none_or(|end| end.stage == Stage::Gone) {
            return self.strayed(&segment, None);
        }
        let given_up = self.now >= segment.first_sent + self.tcp_config.user_timeout;
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
        let hop = match still_ours {
            true => self.net.outbound(self.now, flow(&segment.body), host, (local, remote)),
            false => Err(Unroutable::NoRoute),
        };
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
            return self.unreachable(segment.conn, segment.from);
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

    /// Whether something on a path over TCP gets through now.
    pub(super) fn survives(
        &mut self,
        from: HostId,
        to: Option<HostId>,
        faults: &Faults,
    ) -> Result<(), Fate> {
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

    pub(super) fn segment_arrives(&mut self, segment: Segment, hop: Hop, mark: Option<Mark>) {
        let (id, from, side) = (segment.conn, segment.from, 1 - segment.from);
        let Some(remote) = self.tcp.end(id, from).map(|end| end.remote) else {
            return self.strayed(&segment, mark);
        };
        let (host, local) = match self.net.inbound(self.now, flow(&segment.body), hop, remote) {
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
            self.strayed(&segment, None);
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
