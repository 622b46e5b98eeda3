//! Measuring its NAT and punching holes: what the server says of it, what comes from the issuer, and
//! what is due to leave.
//!
//! An issuer that is heard over a hole gets the communication request there, until its first message
//! confirms the session.

#[cfg(test)]
#[cfg(not(feature = "punch"))]
#[path = "unpunched.rs"]
mod unpunched;

use super::View;
use super::connection::{CONFIRM, ConnectionSlot, Stage};
use super::outbound::Ticket;
use super::queue::News;
use crate::addr::Endpoint;
use crate::hole::{self, ATTEMPT, Holed, Opening, Packet};
use crate::id::SocketId;
use crate::link::Transport;
use crate::machine::{Discard, Received};
use crate::peer::Path;
use crate::time::Instant;
use crate::transmit::DatagramHead;
use crate::wire::message::{Punch, ToEquipment};
use crate::wire::punch::Check;
use crate::wire::{ANSWER_LEN, Kind};

impl View<'_> {
    /// Sockets were opened, or could not be; or the registered one's address is known.
    pub(super) fn bound(&mut self, socket: SocketId, local: Option<Endpoint>) {
        if socket == SocketId::MAIN {
            self.state.registration.local = local;
            return self.state.puncher.main_bound(local);
        }
        self.state.puncher.opened(self.slots, socket, local);
        self.advance_holes();
    }

    /// What the server says about measuring and punching.
    pub(super) fn server_punches(
        &mut self,
        over: Transport,
        body: &ToEquipment<'_>,
    ) -> Result<(), Discard> {
        let now = self.state.now;
        match body {
            _ if over != Transport::Datagram => Err(Discard::Unexpected),
            ToEquipment::Measure(measure) => {
                let server = self.state.equipment.server.datagram.into();
                if let Some(command) = self.state.puncher.measure(now, server, measure)? {
                    self.state.command(command);
                }
                Ok(())
            }
            ToEquipment::Seen(seen) => {
                let registered = self.state.registration.observed;
                if self.state.puncher.seen(self.slots, seen, registered)?.is_some() {
                    self.state.event(News::Nat);
                }
                Ok(())
            }
            ToEquipment::Punch(punch) => self.punch(punch),
            _ => Err(Discard::Unexpected),
        }
    }

    /// The server's instruction for a request that was admitted; for any other it is passed over.
    fn punch(&mut self, punch: &Punch) -> Result<(), Discard> {
        let ability = self.state.puncher.ability().ok_or(Discard::Unexpected)?;
        let now = self.state.now;
        // Whoever waits goes first: an old connection may have had the number at another server.
        let waits = |slot: &ConnectionSlot| slot.is_unanswered() && slot.is_for(punch.request);
        let again = |slot: &ConnectionSlot| {
            let tcp = || slot.peer.as_ref().is_some_and(|peer| peer.path.stream().is_some());
            let wanted = slot.renewing.is_some() || tcp();
            slot.stage == Stage::Open && slot.is_for(punch.request) && wanted
        };
        let mut slots = self.slots.iter();
        let found = slots.position(waits).or_else(|| self.slots.iter().position(again));
        let index = found.ok_or(Discard::Unexpected)?;
        let slot = self.slots.get_mut(index).ok_or(Discard::Unexpected)?;
        let peer = punch.peer;
        // The one that was notified, in the one attempt that a request has.
        if slot.address.is_some_and(|address| !address.shares_ip(peer)) {
            return Err(Discard::ForbiddenAddress);
        }
        if slot.way.is_done(punch.request) {
            return Err(Discard::Unexpected);
        }
        if slot.way.hole.is_none() {
            if let Some(command) = self.state.puncher.gauge.stop_watch() {
                self.state.command(command);
            }
            let opening = Opening {
                ability,
                policy: self.state.puncher.policy,
                key: slot.renewing.unwrap_or(slot.punch_key),
                index: slot.peer.as_ref().map_or(0, |peer| peer.session.peer_index),
                sends: Kind::AcceptorPunch,
                request: punch.request,
                slot: index,
                kept: slot.path_socket(),
            };
            slot.way.open(now, peer, &opening)?;
            if slot.is_unanswered() {
                slot.until = slot.until.max(Some(now.after(ATTEMPT)));
            }
        }
        if let Some(hole) = &mut slot.way.hole {
            hole.burst(peer, punch.burst)?;
        }
        self.advance_holes();
        Ok(())
    }

    /// A probe from another end of the server.
    pub(super) fn filter_probe(&mut self, message: &[u8]) -> Result<Received<'static>, Discard> {
        let link = &self.state.datagram;
        let index = link.is_up().then(|| link.index());
        if self.state.puncher.filter_probe(self.state.now, index, message)?.is_some() {
            self.state.event(News::Nat);
        }
        Ok(Received::Control)
    }

    /// A bubble, reply or check of an issuer.
    pub(super) fn check(
        &mut self,
        socket: SocketId,
        remote: Endpoint,
        message: &[u8],
    ) -> Result<Received<'static>, Discard> {
        let now = self.state.now;
        let (check, tag) = Check::parse(Kind::IssuerPunch, message).ok_or(Discard::Malformed)?;
        let mut result = Err(Discard::UnknownSession);
        for slot in self.slots.iter_mut() {
            let unanswered = slot.is_unanswered();
            let hole = slot.way.hole.as_mut().filter(|hole| hole.index() == check.index);
            let Some(hole) = hole else { continue };
            result = hole.check(now, socket, remote, &check, &tag);
            if unanswered && check.answer && result.is_ok() {
                // It hears us; the communication request it may not have heard.
                hole.insist(now);
            }
            if result == Ok(true) {
                self.state.puncher.words.heard(slot.request);
            }
            // Two issuers may have chosen one index; the key tells them apart.
            if result != Err(Discard::Unauthentic) {
                break;
            }
        }
        result?;
        self.advance_holes();
        Ok(Received::Control)
    }

    pub(super) fn advance_holes(&mut self) {
        let state = &mut *self.state;
        let (now, room) = (state.now, state.room());
        if !hole::advance(now, self.slots, room, &mut |command| state.command(command)) {
            state.rest_at = Some(now.after(crate::machine::REST));
        }
    }

    /// Lets a slot's hole go, and its sockets but this one; nobody is called any more, either.
    pub(super) fn close_way(&mut self, index: usize, keep: Option<SocketId>) {
        self.stop_calls(index);
        let state = &mut *self.state;
        if let Some(slot) = self.slots.get_mut(index) {
            slot.way.close(index, keep, &mut |command| state.command(command));
        }
    }

    /// Time has passed for the measurement and the holes.
    pub(super) fn expire_holes(&mut self) {
        let state = &mut *self.state;
        let now = state.now;
        if let Some(command) = state.puncher.expire(now) {
            state.command(command);
            state.look_for_lease();
        }
        let room = state.room();
        if !hole::expire(now, self.slots, room, &mut |command| state.command(command)) {
            state.rest_at = Some(now.after(crate::machine::REST));
        }
    }

    /// The packet of a hole or of the measurement that is due, and whether it is the communication
    /// request of this slot.
    fn due(&self) -> Option<(hole::Due, Option<&ConnectionSlot>)> {
        let due = self.state.puncher.next(
            self.state.now,
            self.slots,
            self.state.equipment.server.datagram.into(),
        )?;
        let slot = due.slot.and_then(|index| self.slots.get(index));
        let answer = matches!(due.packet, Packet::Check(_, check, _) if check.answer);
        Some((due, slot.filter(|slot| answer && slot.is_unanswered())))
    }

    pub(super) fn next_punch(&mut self) -> Option<DatagramHead<Ticket>> {
        let (due, answer) = loop {
            let (due, answer) = self.due()?;
            if self.state.datagram.is_up() || !due.packet.is_for_server() {
                break (due, answer);
            }
            self.commit_punch(); // Nobody could tell whose it is: it counts as lost.
        };
        let remote = due.remote(&self.state.equipment.server.datagram);
        let (ticket, len) = (Ticket::Punch, answer.map_or(due.len(), |_| ANSWER_LEN));
        let hop_limit = due.hop_limit();
        Some(DatagramHead { ticket, socket: due.socket, remote, len, hop_limit })
    }

    pub(super) fn encode_punch(&mut self, out: &mut [u8]) {
        match self.due() {
            Some((_, Some(slot))) if out.len() == ANSWER_LEN => out.copy_from_slice(&slot.answer),
            Some((hole::Due { packet: Packet::Detect(_, detect), .. }, _)) => {
                let session = self.state.datagram.session.as_mut();
                let head = session.and_then(|one| Some((one.peer_index, one.next_counter()?)));
                self.state.puncher.write(detect, head, out);
            }
            Some((hole::Due { packet: Packet::Check(_, check, _), slot, .. }, _)) => {
                let slot = slot.and_then(|index| self.slots.get(index));
                if let Some(hole) = slot.and_then(|slot| slot.way.hole.as_ref()) {
                    hole.write(&check, out);
                }
            }
            None => {}
        }
    }

    pub(super) fn commit_punch(&mut self) {
        let now = self.state.now;
        let Some((due, answer)) = self.due() else { return };
        let answers = answer.is_some();
        self.state.puncher.sent(now, &due);
        let Some(slot) = due.slot.and_then(|index| self.slots.get_mut(index)) else {
            return self.state.puncher.gauge.sent(now);
        };
        if answers {
            let path = Path::Datagram { socket: due.socket, remote: due.remote };
            if let Some(peer) = &mut slot.peer {
                peer.path = path;
            }
            if slot.stage != Stage::Unconfirmed {
                slot.enter(Stage::Unconfirmed, slot.not_before_hole(now.after(CONFIRM)));
            }
        }
        if let Some(hole) = &mut slot.way.hole {
            hole.sent();
        }
        self.advance_holes();
    }
}

impl ConnectionSlot {
    /// A deadline that leaves the hole its time.
    pub(super) fn not_before_hole(&self, at: Instant) -> Option<Instant> {
        Some(self.way.hole.as_ref().map_or(at, |hole| at.max(hole.until())))
    }

    /// Whether an answer over a hole is the communication request still.
    const fn is_unanswered(&self) -> bool {
        matches!(self.stage, Stage::Dialling | Stage::Answering | Stage::Unconfirmed)
    }
}
