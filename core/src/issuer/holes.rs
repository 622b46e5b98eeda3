//! Measuring its NAT and punching holes: what the server says of it, what comes from the acceptor,
//! and what is due to leave.
//!
//! The issuer decides which path a connection takes: once the acceptor has shown that it hears us on
//! a punched one, that one replaces TCP, and the acceptor follows.

use core::net::SocketAddr;

use super::outbound::Ticket;
use super::request::{ConnectionSlot, Stage};
use super::{IssuerEvent, View};
use crate::hole::{Hole, Opening, Packet};
use crate::id::{ConnectionId, SocketId};
use crate::link::Transport;
use crate::machine::{Command, Discard, Received};
use crate::nat::{Allocation, Differential};
use crate::peer::slots::{find, name};
use crate::peer::{CloseCause, Path};
use crate::session::keepalive::Keepalive;
use crate::transmit::DatagramHead;
use crate::wire::message::{PeerMessage, Punch, Seen, ToEquipment};
use crate::wire::punch::{Check, Detect, MEASUREMENT};
use crate::wire::{DETECT_LEN, Kind};

impl View<'_> {
    /// Sockets were opened, or could not be.
    pub(super) fn opened(&mut self, socket: SocketId, local: Option<SocketAddr>) {
        self.state.gauge.bound(socket, local);
        for slot in self.slots.iter_mut() {
            if let Some(hole) = &mut slot.hole {
                hole.bound(socket, local);
            }
        }
        self.advance_holes();
    }

    /// What the server says about measuring and punching.
    pub(super) fn server_punches(
        &mut self,
        over: Transport,
        body: &ToEquipment<'_>,
    ) -> Result<(), Discard> {
        if over != Transport::Datagram {
            return Err(Discard::Unexpected);
        }
        match body {
            ToEquipment::Measure(measure) if self.state.punch.is_some() => {
                let now = self.state.now;
                if let Some(command) = self.state.gauge.invited(now, measure) {
                    self.state.command(command);
                }
                Ok(())
            }
            ToEquipment::Seen(seen) => self.seen(seen),
            ToEquipment::Punch(punch) => self.punch(punch),
            _ => Err(Discard::Unexpected),
        }
    }

    /// The server reports where detection packets came from.
    fn seen(&mut self, seen: &Seen) -> Result<(), Discard> {
        if seen.request == MEASUREMENT {
            let registered = self.state.observed.ok_or(Discard::Unexpected)?;
            let main = self.state.main_port;
            if let Some(profile) = self.state.gauge.seen(seen, registered, main) {
                self.state.event(IssuerEvent::Nat(profile));
            }
            return Ok(());
        }
        let differential = self.differential();
        let mut holes = self.slots.iter_mut().filter_map(|slot| slot.hole.as_mut());
        let hole = holes.find(|hole| hole.is_for(seen.request)).ok_or(Discard::Unexpected)?;
        if let Some(range) = hole.seen(seen, differential) {
            self.state.words.range(range);
        }
        Ok(())
    }

    /// The port differential of our NAT, as we have computed it.
    fn differential(&self) -> Option<Differential> {
        match self.state.gauge.profile?.allocation {
            Allocation::Sequential(differential) => Some(differential),
            _ => None,
        }
    }

    /// The server's instruction for a request that waits, or whose connection TCP carries.
    fn punch(&mut self, punch: &Punch) -> Result<(), Discard> {
        let ability = self.state.punch.ok_or(Discard::Unexpected)?;
        let now = self.state.now;
        let wanted = |slot: &ConnectionSlot| {
            let stage = match slot.stage {
                Stage::Asking => true,
                Stage::Open => slot.stream.is_some(),
                Stage::Free | Stage::Closing => false,
            };
            stage && slot.request == punch.request
        };
        let index = self.slots.iter().position(wanted).ok_or(Discard::Unexpected)?;
        let handle = name(self.slots, index).to_handle();
        let slot = self.slots.get_mut(index).ok_or(Discard::Unexpected)?;
        let peer = crate::addr::canonical(punch.peer);
        if slot.hole.is_none() {
            let opening = Opening {
                ability,
                policy: self.state.addresses,
                key: slot.punch_key,
                index: handle,
                sends: Kind::IssuerPunch,
                request: punch.request,
                slot: index,
            };
            let hole = Hole::open(now, peer, &opening).ok_or(Discard::ForbiddenAddress)?;
            slot.hole = Some(hole);
        }
        if let Some(hole) = &mut slot.hole {
            hole.burst(peer, punch.burst)?;
        }
        self.advance_holes();
        Ok(())
    }

    /// A probe from another end of the server: its NAT lets it in.
    pub(super) fn filter_probe(&mut self, message: &[u8]) -> Result<Received<'static>, Discard> {
        let (probe, tag) =
            Keepalive::parse(Kind::FilterProbe, message).ok_or(Discard::Malformed)?;
        if !self.state.datagram.is_up() || probe.handle != self.state.datagram.index() {
            return Err(Discard::UnknownSession);
        }
        if !crate::crypto::equal(&probe.tag(&self.state.keepalive_down), &tag) {
            return Err(Discard::Unauthentic);
        }
        self.state.gauge.probed(probe.status);
        Ok(Received::Control)
    }

    /// A bubble, reply or check of the acceptor.
    pub(super) fn check(
        &mut self,
        socket: SocketId,
        remote: SocketAddr,
        message: &[u8],
    ) -> Result<Received<'static>, Discard> {
        let now = self.state.now;
        let (check, tag) = Check::parse(Kind::AcceptorPunch, message).ok_or(Discard::Malformed)?;
        let connection = ConnectionId::from_handle(check.index);
        let slot = find(self.slots, connection).map_err(|_| Discard::UnknownSession)?;
        let hole = slot.hole.as_mut().ok_or(Discard::UnknownSession)?;
        if hole.check(now, socket, remote, &check, &tag)? {
            self.state.words.heard(slot.request);
        }
        if check.answer && slot.stage == Stage::Open {
            // The acceptor hears us here: better than TCP.
            self.heard_on(connection, Path::Datagram { socket, remote });
        }
        self.advance_holes();
        Ok(Received::Control)
    }

    /// The acceptor speaks on a punched path and hears us there: it carries the connection.
    pub(super) fn heard_on(&mut self, connection: ConnectionId, path: Path) {
        let index = usize::from(connection.index);
        let Path::Datagram { socket, .. } = path else { return };
        let Ok(slot) = find(self.slots, connection) else { return };
        let Some(peer) = &mut slot.peer else { return };
        let spoke_here = !peer.follow(path);
        if !spoke_here {
            peer.say(PeerMessage::Alive);
            self.state.event(IssuerEvent::PathChanged { connection, path });
            self.found(index, socket);
        } else if let Some(stream) = slot.stream.take() {
            // It has followed us: TCP has done its work.
            self.forget_inbound(stream);
            self.state.command(Command::Shutdown { stream });
        }
    }

    /// A path stands on this socket: the others are closed, and so is the hole.
    pub(super) fn found(&mut self, index: usize, socket: SocketId) {
        self.close_hole(index, Some(socket));
    }

    /// The TCP connection of a connection is gone: the end of it, unless a punched path carries it.
    pub(super) fn dial_back_lost(&mut self, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        slot.stream = None;
        let punched = slot.peer.as_ref().is_some_and(|peer| peer.path.stream().is_none());
        if !punched {
            self.end(index, CloseCause::PathLost);
        }
    }

    /// Looks in each hole what is next.
    pub(super) fn advance_holes(&mut self) {
        let now = self.state.now;
        for slot in self.slots.iter_mut() {
            let Some(hole) = &mut slot.hole else { continue };
            while let Some(commands) = hole.advance(now) {
                slot.bound = true;
                for command in commands {
                    self.state.command(command);
                }
            }
        }
    }

    /// Lets a slot's hole go, and its sockets but this one.
    pub(super) fn close_hole(&mut self, index: usize, keep: Option<SocketId>) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        slot.hole = None;
        if slot.bound {
            slot.bound = keep.is_some_and(|socket| socket != SocketId::MAIN);
            for command in Hole::release(index, keep).into_iter().flatten() {
                self.state.command(command);
            }
        }
    }

    /// The next packet of a hole or of the measurement.
    pub(super) fn next_punch(&self) -> Option<DatagramHead<Ticket>> {
        let main = self.state.equipment.server.datagram;
        let head = |ticket, socket, remote, len| DatagramHead {
            ticket,
            socket,
            remote,
            len,
            hop_limit: None,
        };
        for (index, slot) in self.slots.iter().enumerate() {
            let Some((socket, packet)) = slot.hole.as_ref().and_then(Hole::packet) else {
                continue;
            };
            let remote = match packet {
                Packet::Detect(end, _) => self.state.gauge.address(main, end),
                Packet::Check(remote, _) => remote,
            };
            return Some(head(Ticket::Hole(index), socket, remote, packet.len()));
        }
        let (socket, end, _) = self.state.gauge.next(self.state.main_port)?;
        Some(head(Ticket::Measure, socket, self.state.gauge.address(main, end), DETECT_LEN))
    }

    pub(super) fn encode_measure(&mut self, out: &mut [u8]) {
        if let Some((_, _, detect)) = self.state.gauge.next(self.state.main_port) {
            self.detect(detect, out);
        }
    }

    /// Writes a detection packet under the session with the server.
    fn detect(&mut self, detect: Detect, out: &mut [u8]) {
        let session = self.state.datagram.session.as_mut();
        let head = session.and_then(|one| Some((one.peer_index, one.next_counter()?)));
        // Without a session it says nothing, and is nothing to anybody.
        let Some((handle, counter)) = head else { return out.fill(0) };
        Detect { handle, counter, ..detect }.write(&self.state.keepalive_up, out);
    }

    pub(super) fn encode_hole(&mut self, index: usize, out: &mut [u8]) {
        let Some(hole) = self.slots.get(index).and_then(|slot| slot.hole.as_ref()) else { return };
        match hole.packet() {
            Some((_, Packet::Detect(_, detect))) => self.detect(detect, out),
            Some((_, Packet::Check(_, check))) => hole.write(&check, out),
            None => {}
        }
    }

    pub(super) fn commit_hole(&mut self, index: usize) {
        if let Some(hole) = self.slots.get_mut(index).and_then(|slot| slot.hole.as_mut()) {
            hole.sent();
        }
        self.advance_holes();
    }

    /// Time has passed for the measurement and the holes.
    pub(super) fn expire_holes(&mut self) {
        let now = self.state.now;
        if let Some(command) = self.state.gauge.expire(now) {
            self.state.command(command);
        }
        for index in 0..self.slots.len() {
            let over = |slot: &ConnectionSlot| slot.hole.as_ref().is_some_and(|h| h.is_over(now));
            if self.slots.get(index).is_some_and(over) {
                self.close_hole(index, None);
            }
        }
        self.advance_holes();
    }
}
