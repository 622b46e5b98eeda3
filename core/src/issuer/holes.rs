//! Measuring its NAT and punching holes: what the server says of it, what comes from the acceptor,
//! and what is due to leave.
//!
//! The issuer decides which path a connection takes: once the acceptor has shown that it hears us on
//! a punched one, that one replaces TCP, and the acceptor follows.

use super::outbound::Ticket;
use super::request::{ConnectionSlot, Stage};
use super::{IssuerEvent, State, View};
use crate::addr::Endpoint;
use crate::hole::{self, Holed, Opening, Packet};
use crate::id::{ConnectionId, SocketId};
use crate::link::Transport;
use crate::machine::{Command, Discard, Received};
use crate::peer::Path;
use crate::peer::slots::{find, name};
use crate::transmit::DatagramHead;
use crate::wire::Kind;
use crate::wire::message::{PeerMessage, Punch, ToEquipment};
use crate::wire::punch::Check;

impl State {
    /// Says what this device can do, where that is anything.
    pub(super) fn say_ability(&mut self) {
        let bits = self.ability_bits();
        if bits != 0 {
            self.puncher.words.can(bits);
        }
    }

    /// Says what its box has leased, unless the server knows, and what it can do: that makes the
    /// server look. Whether that is said.
    pub(super) fn say_leased(&mut self) -> bool {
        let said = self.datagram.is_up() && self.puncher.repeat_leased();
        if said {
            self.say_ability();
        }
        said
    }
}

impl View<'_> {
    /// Sockets were opened, or could not be.
    pub(super) fn opened(&mut self, socket: SocketId, local: Option<Endpoint>) {
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
                self.state.say_leased();
                Ok(())
            }
            ToEquipment::Seen(seen) => {
                let registered = self.state.observed;
                if let Some(nat) = self.state.puncher.seen(self.slots, seen, registered)? {
                    self.state.event(IssuerEvent::Nat(nat));
                }
                Ok(())
            }
            ToEquipment::Punch(punch) => self.punch(punch),
            _ => Err(Discard::Unexpected),
        }
    }

    /// The server's instruction for a request that waits, or whose connection TCP carries or is to
    /// get another path.
    fn punch(&mut self, punch: &Punch) -> Result<(), Discard> {
        let ability = self.state.puncher.ability().ok_or(Discard::Unexpected)?;
        let now = self.state.now;
        let wanted = |slot: &ConnectionSlot| {
            let stage = match slot.stage {
                Stage::Asking => true,
                Stage::Open if slot.renewing.is_some() => true,
                Stage::Open => slot.is_over_tcp(),
                Stage::Free | Stage::Closing => false,
            };
            stage && slot.request == punch.request
        };
        let index = self.slots.iter().position(wanted).ok_or(Discard::Unexpected)?;
        let handle = name(self.slots, index).to_handle();
        let slot = self.slots.get_mut(index).ok_or(Discard::Unexpected)?;
        let peer = punch.peer;
        if slot.way.is_done(punch.request) {
            return Err(Discard::Unexpected); // One attempt for each request.
        }
        if slot.way.hole.is_none() {
            let opening = Opening {
                ability,
                policy: self.state.puncher.policy,
                key: slot.hole_key(),
                index: handle,
                sends: Kind::IssuerPunch,
                request: punch.request,
                slot: index,
                kept: slot.path_socket(),
            };
            slot.way.open(now, peer, &opening)?;
        }
        if slot.accepted {
            slot.repeat = None; // It has all that the server has to say.
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
        self.state.puncher.filter_probe(self.state.now, index, message)?;
        Ok(Received::Control)
    }

    /// A bubble, reply or check of the acceptor.
    pub(super) fn check(
        &mut self,
        socket: SocketId,
        remote: Endpoint,
        message: &[u8],
    ) -> Result<Received<'static>, Discard> {
        let now = self.state.now;
        let (check, tag) = Check::parse(Kind::AcceptorPunch, message).ok_or(Discard::Malformed)?;
        let connection = ConnectionId::from_handle(check.index);
        let slot = find(self.slots, connection).map_err(|_| Discard::UnknownSession)?;
        let hole = slot.way.hole.as_mut().ok_or(Discard::UnknownSession)?;
        if hole.check(now, socket, remote, &check, &tag)? {
            self.state.puncher.words.heard(slot.request);
        }
        if check.answer && slot.stage == Stage::Open {
            slot.try_path(now, socket, remote);
        }
        self.advance_holes();
        Ok(Received::Control)
    }

    /// The acceptor speaks on a punched path, in the session: it carries the connection.
    pub(super) fn heard_on(&mut self, connection: ConnectionId, path: Path) {
        let index = usize::from(connection.index);
        let Path::Datagram { socket, .. } = path else { return };
        let Ok(slot) = find(self.slots, connection) else { return };
        let Some(peer) = &mut slot.peer else { return };
        slot.candidate = None;
        if peer.follow(self.state.now, path) {
            peer.say(PeerMessage::Alive);
            self.state.event(IssuerEvent::PathChanged { connection, path });
            self.close_way(index, Some(socket));
        }
        if let Some(stream) = self.slots.get_mut(index).and_then(|slot| slot.stream.take()) {
            // It has followed us: TCP has done its work.
            self.forget_inbound(stream);
            self.state.command(Command::Shutdown { stream });
        }
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
            state.say_leased();
        }
        let room = state.room();
        if !hole::expire(now, self.slots, room, &mut |command| state.command(command)) {
            state.rest_at = Some(now.after(crate::machine::REST));
        }
    }

    /// The packet of a hole or of the measurement that is due.
    fn due(&self) -> Option<hole::Due> {
        self.state.puncher.next(
            self.state.now,
            self.slots,
            self.state.equipment.server.datagram.into(),
        )
    }

    pub(super) fn next_punch(&mut self) -> Option<DatagramHead<Ticket>> {
        let due = loop {
            let due = self.due()?;
            if self.state.datagram.is_up() || !due.packet.is_for_server() {
                break due;
            }
            self.commit_punch(); // Nobody could tell whose it is: it counts as lost.
        };
        let remote = due.remote(&self.state.equipment.server.datagram);
        let (ticket, len) = (Ticket::Punch, due.len());
        let hop_limit = due.hop_limit();
        Some(DatagramHead { ticket, socket: due.socket, remote, len, hop_limit })
    }

    pub(super) fn encode_punch(&mut self, out: &mut [u8]) {
        let Some(due) = self.due() else { return };
        match due.packet {
            Packet::Detect(_, detect) => {
                let session = self.state.datagram.session.as_mut();
                let head = session.and_then(|one| Some((one.peer_index, one.next_counter()?)));
                self.state.puncher.write(detect, head, out);
            }
            Packet::Check(_, check, _) => {
                let slot = due.slot.and_then(|index| self.slots.get(index));
                if let Some(hole) = slot.and_then(|slot| slot.way.hole.as_ref()) {
                    hole.write(&check, out);
                }
            }
        }
    }

    pub(super) fn commit_punch(&mut self) {
        let now = self.state.now;
        let due = self.due();
        if let Some(due) = &due {
            self.state.puncher.sent(now, due);
        }
        match due.map(|due| due.slot) {
            Some(Some(index)) => {
                let slot = self.slots.get_mut(index);
                if let Some(hole) = slot.and_then(|slot| slot.way.hole.as_mut()) {
                    hole.sent();
                }
                self.advance_holes();
            }
            Some(None) => self.state.puncher.gauge.sent(now),
            None => {}
        }
    }
}
