//! Measuring its NAT and punching holes: what the server says of it, what comes from the issuer, and
//! what is due to leave.

use core::net::SocketAddr;

use super::connection::{CONFIRM, ConnectionSlot, Stage};
use super::outbound::Ticket;
use super::{AcceptorEvent, View};
use crate::hole::{ATTEMPT, Hole, Opening, Packet};
use crate::id::SocketId;
use crate::link::Transport;
use crate::machine::{Discard, Received};
use crate::nat::{Allocation, Differential};
use crate::peer::Path;
use crate::session::keepalive::Keepalive;
use crate::transmit::DatagramHead;
use crate::wire::message::{Measure, Punch, Seen};
use crate::wire::punch::{Check, Detect};
use crate::wire::{ANSWER_LEN, DETECT_LEN, Kind};

impl View<'_> {
    /// Sockets were opened, or could not be; or the registered one's address is known.
    pub(super) fn bound(&mut self, socket: SocketId, local: Option<SocketAddr>) {
        if socket == SocketId::MAIN {
            self.state.registration.local = local;
            return;
        }
        self.state.gauge.bound(socket, local);
        for slot in self.slots.iter_mut() {
            if let Some(hole) = &mut slot.hole {
                hole.bound(socket, local);
            }
        }
        self.advance_holes();
    }

    /// The server tells its ends.
    pub(super) fn measure(&mut self, over: Transport, measure: &Measure) -> Result<(), Discard> {
        if over != Transport::Datagram || self.state.punch.is_none() {
            return Err(Discard::Unexpected);
        }
        let now = self.state.now;
        if let Some(command) = self.state.gauge.invited(now, measure) {
            self.state.command(command);
        }
        Ok(())
    }

    /// The server reports where detection packets came from.
    pub(super) fn seen(&mut self, seen: &Seen) -> Result<(), Discard> {
        if seen.request == crate::wire::punch::MEASUREMENT {
            let registered = self.state.registration.observed.ok_or(Discard::Unexpected)?;
            let main = self.main_port();
            if let Some(profile) = self.state.gauge.seen(seen, registered, main) {
                self.state.event(AcceptorEvent::Nat(profile));
            }
            return Ok(());
        }
        let differential = self.differential();
        let hole = self.hole_for(seen.request).ok_or(Discard::Unexpected)?;
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

    fn hole_for(&mut self, request: u32) -> Option<&mut Hole> {
        self.slots
            .iter_mut()
            .filter_map(|slot| slot.hole.as_mut())
            .find(|hole| hole.is_for(request))
    }

    fn main_port(&self) -> u16 {
        self.state.registration.local.map_or(0, |local| local.port())
    }

    /// The server's instruction for a request that was admitted; for any other it is passed over.
    pub(super) fn punch(&mut self, over: Transport, punch: &Punch) -> Result<(), Discard> {
        let ability = self.state.punch.ok_or(Discard::Unexpected)?;
        let now = self.state.now;
        let admitted = |slot: &ConnectionSlot| {
            let stage = match slot.stage {
                Stage::Dialling | Stage::Answering | Stage::Unconfirmed => true,
                Stage::Open => slot.hole.is_some() || slot.stream.is_some(),
                Stage::Free | Stage::Parked | Stage::Closing => false,
            };
            stage && slot.request == punch.request
        };
        let index = self.slots.iter().position(admitted).ok_or(Discard::Unexpected)?;
        let slot = self.slots.get_mut(index).ok_or(Discard::Unexpected)?;
        if over != Transport::Datagram {
            return Err(Discard::Unexpected);
        }
        let peer = crate::addr::canonical(punch.peer);
        if slot.hole.is_none() {
            let opening = Opening {
                ability,
                policy: self.state.addresses,
                key: slot.punch_key,
                index: slot.peer.as_ref().map_or(0, |peer| peer.session.peer_index),
                sends: Kind::AcceptorPunch,
                request: punch.request,
                slot: index,
            };
            let hole = Hole::open(now, peer, &opening).ok_or(Discard::ForbiddenAddress)?;
            slot.hole = Some(hole);
            if matches!(slot.stage, Stage::Dialling | Stage::Answering) {
                slot.until = Some(now.after(ATTEMPT));
            }
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
        if !crate::crypto::equal(&probe.tag(&self.state.registration.keepalive_down), &tag) {
            return Err(Discard::Unauthentic);
        }
        self.state.gauge.probed(probe.status);
        Ok(Received::Control)
    }

    /// A bubble, reply or check of an issuer.
    pub(super) fn check(
        &mut self,
        socket: SocketId,
        remote: SocketAddr,
        message: &[u8],
    ) -> Result<Received<'static>, Discard> {
        let now = self.state.now;
        let (check, tag) = Check::parse(Kind::IssuerPunch, message).ok_or(Discard::Malformed)?;
        let mut result = Err(Discard::UnknownSession);
        for slot in self.slots.iter_mut() {
            let Some(hole) = slot.hole.as_mut().filter(|hole| hole.index() == check.index) else {
                continue;
            };
            result = hole.check(now, socket, remote, &check, &tag);
            if result != Err(Discard::Unauthentic) {
                if result == Ok(true) {
                    self.state.words.heard(slot.request);
                }
                break;
            }
        }
        result?;
        self.advance_holes();
        Ok(Received::Control)
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
            return Some(match packet {
                Packet::Detect(end, _) => {
                    let remote =
                        self.state.gauge.address(self.state.equipment.server.datagram, end);
                    head(Ticket::Hole(index), socket, remote, packet.len())
                }
                Packet::Check(remote, check) if check.answer && slot.answers() => {
                    head(Ticket::Hole(index), socket, remote, ANSWER_LEN)
                }
                Packet::Check(remote, _) => head(Ticket::Hole(index), socket, remote, packet.len()),
            });
        }
        let (socket, end, _) = self.state.gauge.next(self.main_port())?;
        let remote = self.state.gauge.address(self.state.equipment.server.datagram, end);
        Some(head(Ticket::Measure, socket, remote, DETECT_LEN))
    }

    pub(super) fn encode_measure(&mut self, out: &mut [u8]) {
        if let Some((_, _, detect)) = self.state.gauge.next(self.main_port()) {
            self.detect(detect, out);
        }
    }

    /// Writes a detection packet under the session with the server.
    fn detect(&mut self, detect: Detect, out: &mut [u8]) {
        let session = self.state.datagram.session.as_mut();
        let head = session.and_then(|one| Some((one.peer_index, one.next_counter()?)));
        // Without a session it says nothing, and is nothing to anybody.
        let Some((handle, counter)) = head else { return out.fill(0) };
        Detect { handle, counter, ..detect }.write(&self.state.registration.keepalive_up, out);
    }

    pub(super) fn encode_hole(&mut self, index: usize, out: &mut [u8]) {
        let Some(slot) = self.slots.get(index) else { return };
        let Some(hole) = &slot.hole else { return };
        match hole.packet() {
            Some((_, Packet::Detect(_, detect))) => self.detect(detect, out),
            Some((_, Packet::Check(_, check))) if check.answer && slot.answers() => {
                if out.len() == ANSWER_LEN {
                    out.copy_from_slice(&slot.answer);
                }
            }
            Some((_, Packet::Check(_, check))) => hole.write(&check, out),
            None => {}
        }
    }

    pub(super) fn commit_hole(&mut self, index: usize) {
        let now = self.state.now;
        let Some(slot) = self.slots.get_mut(index) else { return };
        let answers = slot.answers();
        let Some(hole) = &mut slot.hole else { return };
        if let Some((socket, Packet::Check(remote, check))) = hole.packet()
            && check.answer
            && answers
        {
            if let Some(peer) = &mut slot.peer {
                peer.path = Path::Datagram { socket, remote };
            }
            if matches!(slot.stage, Stage::Dialling | Stage::Answering) {
                slot.enter(Stage::Unconfirmed, Some(now.after(CONFIRM)));
            }
        }
        if let Some(hole) = &mut slot.hole {
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

impl ConnectionSlot {
    /// Whether an answer over a hole is the communication request still.
    const fn answers(&self) -> bool {
        matches!(self.stage, Stage::Dialling | Stage::Answering | Stage::Unconfirmed)
    }
}
