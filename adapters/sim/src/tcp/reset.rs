//! How connections are refused and broken off: by a host, or by a box on the way.

use core::net::SocketAddr;
use core::time::Duration;

use super::{Stage, TcpEvent};
use crate::capture::{Interface, Load, SegmentKind};
use crate::nat::{Flow, Proto, Refusal};
use crate::net::{Crossing, End, Hop, HostId, NatId, Stop};
use crate::packet::{TcpId, Via};
use crate::transcript::{Fate, Mark};
use crate::world::{Event, World, host_of};

impl World {
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
        let route = self.net.outbound(self.now, Flow::Rst, host, (local, remote), None);
        let owner = route.end.ok().and_then(|hop| self.net.owner(Proto::Tcp, hop));
        let peer = host_of(owner);
        let source = route.end.map_or(local, |hop| hop.source);
        let announced = self.announce(Via::Rst(conn), (Some(host), peer), (source, remote));
        let load = || reset(conn, to);
        self.frame_out(host, (local, remote), None, load);
        for crossing in route.crossings {
            self.frame(crossing, None, load);
        }
        let Some((mark, delay)) = announced else { return };
        let mut hop = match route.end {
            Ok(hop) => hop,
            Err(stop) => return self.stopped(stop, mark),
        };
        let way = self.net.end_of_line(owner);
        let faults = self.net.path(host, way);
        if let Err(fate) = self.survives(host, way, &faults, 0) {
            return self.transcript.settle(mark, fate, None);
        }
        hop.routers = hop.routers.saturating_add(faults.hops);
        let delay = delay.saturating_add(hop.delay);
        let delay = delay.saturating_add(faults.segment_delay(&mut self.rng));
        let mut at = self.now.saturating_add(delay);
        if let Some(end) = self.tcp.end(conn, 1 - to) {
            at = at.max(end.last_arrival);
        }
        self.schedule(at - self.now, Event::Tcp(TcpEvent::Reset { conn, to, hop, mark }));
    }

    pub(super) fn reset_arrives(&mut self, (conn, to): (TcpId, usize), hop: Hop, mark: Mark) {
        let route = self.net.inbound(self.now, Flow::Rst, hop, None);
        let load = || reset(conn, to);
        for crossing in route.crossings {
            self.frame(crossing, None, load);
        }
        let (conn, to) = self.tcp.now_at(conn, to);
        let known = self.tcp.end(conn, to).filter(|end| end.stage != Stage::Gone);
        let known = known.map(|end| end.host);
        match route.end {
            Err(stop) => self.stopped(stop, mark),
            Ok(End::Host(host, there)) => {
                self.frame_in(host, (there, None), load);
                let ours = known == Some(host);
                let fate = if ours { Fate::Delivered(self.now) } else { Fate::Unreceived };
                self.transcript.settle(mark, fate, None);
                if ours {
                    self.stream_ends(conn, to);
                }
            }
            Ok(End::Gateway(..)) => self.transcript.settle(mark, Fate::Unreceived, None),
        }
    }

    /// A box beyond the lines refused a segment of end `from`: what its sender hears of it.
    pub(super) fn refused(
        &mut self,
        (conn, from): (TcpId, usize),
        flow: Flow,
        (stop, hop): (Stop, Hop),
    ) {
        match stop {
            Stop::Refused(nat, Refusal::Reset(after)) if flow != Flow::Rst => {
                let event = TcpEvent::Refused { conn, from, nat, hop };
                self.schedule(after, Event::Tcp(event));
            }
            _ => {
                let attempt = (flow == Flow::Syn).then_some(conn);
                self.complain_far_off(stop, hop, Proto::Tcp, attempt);
            }
        }
    }

    /// A box said that it would send an RST after a while: it does when it would still refuse the
    /// segment, that is, when nothing went out to its sender meanwhile (RFC 5382 REQ-4).
    pub(super) fn refused_for_good(&mut self, end: (TcpId, usize), nat: NatId, hop: Hop) {
        if !self.net.admits(Proto::Tcp, hop) {
            self.box_resets(end, nat, hop);
        }
    }

    /// An RST in the name of the segment's destination, to end `to`.
    fn box_resets(&mut self, (conn, to): (TcpId, usize), nat: NatId, refused: Hop) {
        let hop = Hop::at(refused.network, refused.to, refused.source);
        let caller = self.host_at(Proto::Tcp, hop);
        let announced = self.announce(Via::Rst(conn), (None, caller), (hop.source, hop.to));
        let Some((mark, extra)) = announced else { return };
        let crossing = Crossing {
            interface: Interface::Outside(nat),
            inbound: false,
            source: hop.source,
            to: hop.to,
            routers: 0,
        };
        self.frame(crossing, None, || reset(conn, to));
        let Some(caller) = caller else {
            let event = TcpEvent::Reset { conn, to, hop, mark };
            return self.schedule(extra, Event::Tcp(event));
        };
        let way = self.net.end_of_line(self.net.owner(Proto::Tcp, refused));
        let faults = self.net.path_back(way, caller);
        // With nobody behind the box there is no line of its own, only the caller's.
        let passes = match way {
            Some(way) => self.survives(way, Some(caller), &faults, 0),
            None if faults.tcp_blocked => Err(Fate::Blocked),
            None if self.rng.chance(faults.loss) => Err(Fate::Lost),
            None => Ok(Duration::ZERO),
        };
        let waits = match passes {
            Ok(waits) => waits,
            Err(fate) => return self.transcript.settle(mark, fate, None),
        };
        let wait = waits.saturating_add(faults.segment_delay(&mut self.rng));
        let wait = wait.saturating_add(extra);
        self.schedule(wait, Event::Tcp(TcpEvent::Reset { conn, to, hop, mark }));
    }

    /// An ICMP error has come about a host's SYN.
    pub(crate) fn attempt_fails(&mut self, conn: TcpId, host: HostId) {
        let (conn, side) = self.tcp.now_at(conn, 0);
        let opens = self
            .tcp
            .end(conn, side)
            .is_some_and(|end| end.stage == Stage::Opening && end.host == host);
        if opens {
            self.stream_ends(conn, side);
        }
    }
}

fn reset(conn: TcpId, to: usize) -> Load {
    let (kind, bytes) = (SegmentKind::Rst, Vec::new());
    Load::Tcp { conn, from_caller: to == 1, kind, offset: 0, bytes }
}
