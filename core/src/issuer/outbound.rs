//! What is due to leave an issuer, and what time brings.

use super::reach::WARM;
use super::renewal::{Candidate, KNOCK_AGAIN};
use super::request::{ConnectionSlot, LINGER, REPEAT, SILENT, Stage};
use super::{FailCause, Listener, RequestTransport, State, View};
use crate::acceptor::{seal_body, transport_len};
use crate::id::{ConnectionId, SocketId, StreamId};
use crate::link::Transport;
use crate::machine::{Command, FRAME_PREFIX, TimerKind, Wakeup};
use crate::peer::slots::find;
use crate::peer::{CloseCause, Path, Peer};
use crate::time::Instant;
use crate::transmit::{DatagramHead, FrameHead};
use crate::wire::message::{PeerMessage, ToServer};
use crate::wire::{Kind, TAG_LEN};

/// Which queued message a descriptor stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ticket {
    /// A handshake message of a link.
    Handshake(Transport),
    /// The request in this slot.
    Request(Transport, usize),
    /// What the issuer has to say about punching.
    Word,
    /// What it can do, over TCP.
    Can,
    /// Shows the server where a connection of the slot's comes from.
    Sight(usize),
    /// A packet of the measurement or of a hole.
    Punch,
    /// The first word in a new session when no request is due.
    Confirm(Transport),
    /// A word on a path that is tried for the connection in this slot.
    Knock(usize),
    /// A control message of the connection in this slot.
    Control(usize),
}

/// The earliest deadline.
pub(super) fn deadline(state: &State, slots: &[ConnectionSlot]) -> Option<Wakeup> {
    let links = [state.datagram.deadline(), state.stream.deadline(), state.retry_at];
    let inbound = state.inbound.iter().filter(|inbound| inbound.remote.is_some());
    let inbound = inbound.filter(|inbound| inbound.slot.is_none()).map(|inbound| inbound.until);
    let asking = |slot: &&ConnectionSlot| slot.stage == Stage::Asking;
    let due = |slot: &ConnectionSlot| slot.deadline(state.now);
    let candidates = [
        (links.into_iter().flatten().min(), TimerKind::Handshake),
        (slots.iter().filter(asking).filter_map(due).min(), TimerKind::Request),
        (slots.iter().filter(|slot| !asking(slot)).filter_map(due).min(), TimerKind::Connection),
        (state.puncher.gauge.deadline(), TimerKind::Connection),
        (state.puncher.deadline(state.now, slots), TimerKind::Connection),
        (inbound.min(), TimerKind::Connection),
        (state.idle_until, TimerKind::Expiry),
    ];
    candidates
        .into_iter()
        .filter_map(|(at, reason)| at.map(|at| Wakeup { at, reason }))
        .min_by_key(|wakeup| wakeup.at)
}

impl State {
    /// Seals a body for the server, and remembers what a hint would echo.
    fn seal(&mut self, over: Transport, body: &ToServer<'_>, out: &mut [u8]) {
        let now = self.now;
        let (session, out) = match over {
            Transport::Datagram => (&mut self.datagram.session, out),
            Transport::Stream => (&mut self.stream.session, crate::frame::prefix(out)),
        };
        if let Some(session) = session {
            seal_body(session, now, body, out);
        }
        if over == Transport::Datagram
            && let Some(header) = crate::session::Header::parse(Kind::Transport, out)
            && let Some(tag) = out.last_chunk::<TAG_LEN>()
        {
            self.last = Some((header.counter, *tag));
        }
    }
}

impl View<'_> {
    /// The next message for the server over `over`: its ticket and length.
    fn next_to_server(&self, over: Transport) -> Option<(Ticket, usize)> {
        let link = match over {
            Transport::Datagram => &self.state.datagram,
            Transport::Stream => &self.state.stream,
        };
        if let Some(len) = link.due() {
            return Some((Ticket::Handshake(over), len));
        }
        if !link.is_up() {
            return None;
        }
        // What we can do goes before a request: the server plans with it.
        if let Some(word) = self.state.puncher.words.front()
            && over == Transport::Datagram
        {
            return Some((Ticket::Word, transport_len(&word)));
        }
        let due = |slot: &ConnectionSlot| slot.is_asking() && slot.due;
        let due = self.slots.iter().position(|slot| due(slot) && self.state.may_go(over, slot));
        if let Some(index) = due {
            let request = self.slots.get(index)?.connect(self.state.dial_back(over));
            return Some((
                Ticket::Request(over, index),
                transport_len(&ToServer::Connect(request)),
            ));
        }
        if over == Transport::Stream && self.state.ability_due {
            return Some((Ticket::Can, transport_len(&ToServer::Can(self.state.ability_bits()))));
        }
        self.state.unconfirmed.then(|| (Ticket::Confirm(over), transport_len(&ToServer::Confirm)))
    }

    pub(super) fn next_datagram(&mut self) -> Option<DatagramHead<Ticket>> {
        // A burst's packets leave back to back, before all else.
        if let Some(head) = self.next_punch() {
            return Some(head);
        }
        if let Some((ticket, len)) = self.next_to_server(Transport::Datagram) {
            let remote = self.state.equipment.server.datagram;
            let socket = SocketId::MAIN;
            return Some(DatagramHead { ticket, socket, remote, len, hop_limit: None });
        }
        let now = self.state.now;
        self.slots.iter().enumerate().find_map(|(index, slot)| {
            if let Some(Candidate { socket, remote, .. }) = slot.knock(now) {
                let (ticket, len) = (Ticket::Knock(index), Peer::KNOCK);
                return Some(DatagramHead {
                    ticket,
                    socket,
                    remote: remote.into(),
                    len,
                    hop_limit: None,
                });
            }
            let peer = slot.peer.as_ref()?;
            let Path::Datagram { socket, remote } = peer.path else { return None };
            let (ticket, len) = (Ticket::Control(index), peer.due()?);
            Some(DatagramHead { ticket, socket, remote: remote.into(), len, hop_limit: None })
        })
    }

    pub(super) fn next_frame(&mut self, stream: StreamId) -> Option<FrameHead<Ticket>> {
        let (ticket, len) = if self.state.stream.stream == Some(stream) {
            self.next_to_server(Transport::Stream)?
        } else if let Some(head) = self.next_sight(stream) {
            return Some(head);
        } else {
            let at = self.inbound_index(stream)?;
            let index = self.state.inbound.get(at)?.slot?;
            let peer = self.slots.get(index)?.peer.as_ref()?;
            if peer.path.stream() != Some(stream) {
                return None;
            }
            (Ticket::Control(index), peer.due()?)
        };
        Some(FrameHead { ticket, stream, len: len.saturating_add(FRAME_PREFIX) })
    }

    pub(super) fn encode(&mut self, ticket: Ticket, out: &mut [u8]) {
        let now = self.state.now;
        match ticket {
            Ticket::Handshake(Transport::Datagram) => {
                self.state.datagram.encode(&mut self.state.equipment, out);
            }
            Ticket::Handshake(Transport::Stream) => {
                self.state.stream.encode(&mut self.state.equipment, crate::frame::prefix(out));
            }
            Ticket::Request(over, _) | Ticket::Confirm(over) => {
                let dial_back = self.state.dial_back(over);
                let slot = match ticket {
                    Ticket::Request(_, index) => self.slots.get(index),
                    _ => None,
                };
                let body = slot
                    .map_or(ToServer::Confirm, |slot| ToServer::Connect(slot.connect(dial_back)));
                self.state.seal(over, &body, out);
            }
            Ticket::Word => {
                if let Some(word) = self.state.puncher.words.front() {
                    self.state.seal(Transport::Datagram, &word, out);
                }
            }
            Ticket::Can => {
                let body = ToServer::Can(self.state.ability_bits());
                self.state.seal(Transport::Stream, &body, out);
            }
            Ticket::Sight(index) => self.encode_sight(index, out),
            Ticket::Punch => self.encode_punch(out),
            Ticket::Knock(index) => {
                if let Some(peer) = self.slots.get_mut(index).and_then(|slot| slot.peer.as_mut()) {
                    peer.knock(now, out);
                }
            }
            Ticket::Control(index) => {
                if let Some(peer) = self.slots.get_mut(index).and_then(|slot| slot.peer.as_mut()) {
                    peer.encode(now, out);
                }
            }
        }
    }

    pub(super) fn commit(&mut self, ticket: Ticket) {
        let now = self.state.now;
        match ticket {
            Ticket::Handshake(Transport::Datagram) => self.state.datagram.sent(now),
            Ticket::Handshake(Transport::Stream) => self.state.stream.sent(now),
            Ticket::Request(over, index) => {
                self.state.unconfirmed = false;
                self.state.idle_until = Some(now.after(WARM));
                if let Some(slot) = self.slots.get_mut(index) {
                    slot.due = false;
                    slot.asked = true;
                    self.state.silent |= over == Transport::Datagram && slot.tries == 0;
                    let wait = REPEAT.saturating_mul(1 << slot.tries.min(4));
                    slot.tries = slot.tries.saturating_add(1);
                    slot.repeat = (over == Transport::Datagram).then(|| now.after(wait));
                }
            }
            Ticket::Confirm(_) => self.state.unconfirmed = false,
            Ticket::Word => {
                self.state.unconfirmed = false;
                self.state.puncher.words.sent();
            }
            Ticket::Can => {
                self.state.unconfirmed = false;
                self.state.ability_due = false;
            }
            Ticket::Sight(index) => {
                if let Some(slot) = self.slots.get_mut(index) {
                    slot.calling.shown();
                }
            }
            Ticket::Punch => self.commit_punch(),
            Ticket::Knock(index) => {
                let candidate = self.slots.get_mut(index).and_then(|slot| slot.candidate.as_mut());
                if let Some(candidate) = candidate {
                    candidate.left = candidate.left.saturating_sub(1);
                    candidate.at = now.after(KNOCK_AGAIN);
                }
            }
            Ticket::Control(index) => {
                let last = self
                    .slots
                    .get_mut(index)
                    .and_then(|slot| slot.peer.as_mut())
                    .is_some_and(|peer| peer.committed(now));
                if last {
                    self.end(index, CloseCause::Local);
                }
            }
        }
    }

    /// Asks for a control message on a connection, or gives a request up.
    pub(super) fn say(&mut self, connection: ConnectionId, message: PeerMessage) {
        let now = self.state.now;
        let Ok(slot) = find(self.slots, connection) else { return };
        match (slot.stage, &mut slot.peer) {
            (Stage::Open, Some(peer)) => {
                peer.say(message);
                if message == PeerMessage::Close {
                    slot.stage = Stage::Closing;
                    slot.until = Some(now.after(LINGER));
                }
            }
            (Stage::Asking, _) if message == PeerMessage::Close => {
                self.end(usize::from(connection.index), CloseCause::Local);
            }
            _ => {}
        }
    }

    /// Ends what is due to end, as far as the queues hold what that takes.
    pub(super) fn expire_slots(&mut self) {
        let now = self.state.now;
        self.state.rest_at = None;
        for index in 0..self.slots.len() {
            if self.state.is_nearly_full() {
                self.state.rest_at = Some(now.after(crate::machine::REST));
                break;
            }
            self.expire_slot(now, index);
        }
    }

    pub(super) fn timeout(&mut self) {
        let now = self.state.now;
        self.expire_slots();
        self.expire_calls();
        self.expire_holes();
        self.expire_links();
        self.expire_inbound(now);
        if self.state.idle_until.take_if(|at| now >= *at).is_some() {
            if self.slots.iter().any(ConnectionSlot::is_asking) {
                self.state.idle_until = Some(now.after(WARM));
            } else {
                self.state.datagram.reset(&mut self.state.equipment);
            }
        }
    }

    fn expire_inbound(&mut self, now: Instant) {
        for at in 0..self.state.inbound.len() {
            let Some(inbound) = self.state.inbound.get_mut(at) else { continue };
            if inbound.remote.is_some() && inbound.slot.is_none() && now >= inbound.until {
                inbound.remote = None;
                let generation = inbound.generation;
                if let Some(index) = u16::try_from(at).ok().and_then(|at| at.checked_add(1)) {
                    self.state
                        .command(Command::Shutdown { stream: StreamId { index, generation } });
                }
            }
        }
    }

    fn expire_slot(&mut self, now: Instant, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        match slot.stage {
            Stage::Free => {}
            Stage::Asking if slot.until.is_some_and(|until| now >= until) => {
                let found = match (slot.asked, slot.accepted) {
                    (_, true) if self.state.listener == Listener::Failed => FailCause::NoListener,
                    (_, true) => FailCause::NotReached,
                    (true, false) => FailCause::NoAnswer,
                    (false, false) if self.state.bad_certificate => FailCause::BadCertificate,
                    (false, false) => FailCause::ServerUnreachable,
                };
                let cause = slot.cause.unwrap_or(found);
                self.fail(index, cause);
            }
            Stage::Asking => self.repeat(now, index),
            Stage::Open => {
                if now < slot.own_deadline().unwrap_or(Instant::END) {
                    return;
                }
                if let Some(cause) = slot.peer.as_mut().and_then(|peer| peer.expire(now)) {
                    return self.end(index, cause);
                }
                let lost = slot.peer.as_ref().and_then(Peer::lost_at).is_some_and(|at| now >= at);
                match slot.renewing {
                    Some(until) if now >= until => {
                        self.renewed(index);
                        self.renew(index);
                    }
                    Some(_) => self.repeat(now, index),
                    None if lost => self.renew(index),
                    None => {}
                }
            }
            Stage::Closing => {
                if slot.until.is_some_and(|until| now >= until) {
                    self.end(index, CloseCause::Local);
                }
            }
        }
    }

    /// Sends a request once more when its time has come.
    fn repeat(&mut self, now: Instant, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        if slot.repeat.take_if(|at| now >= *at).is_none() {
            return;
        }
        slot.due = true;
        let raced = self.state.transport == RequestTransport::Race && !self.state.by_hole(slot);
        if raced && slot.tries == SILENT && self.state.silent && self.state.datagram.is_up() {
            return self.renew_session();
        }
        self.state.puncher.say_reached();
        // What we can do may have been lost, too.
        if !self.state.say_leased()
            && self.state.datagram.is_up()
            && !self.state.puncher.gauge.is_invited()
        {
            self.state.say_ability();
        }
    }
}
