//! What is due to leave an acceptor, and what time brings.

use super::connection::{CONFIRM, LINGER, Stage};
use super::inbound::transport_len;
use super::registration::Due;
use super::{State, View};
use crate::addr::Endpoint;
use crate::id::{ConnectionId, SocketId, StreamId};
use crate::link::{Expiry, Transport};
use crate::machine::{FRAME_PREFIX, TimerKind, Wakeup};
use crate::peer::{CloseCause, Path, Peer};
use crate::punch::Ability;
use crate::session::Session;
use crate::time::{Instant, earliest};
use crate::transmit::{DatagramHead, FrameHead};
use crate::wire::Body;
use crate::wire::codec::write_body;
use crate::wire::message::{Fetch, PeerMessage, Register, ToServer, capability};
use crate::wire::{
    ANSWER_LEN, ECHO_LEN, KEEPALIVE_LEN, Kind, RESUME_LEN, TAG_LEN, TRANSPORT_HEADER,
};

/// Which queued message a descriptor stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ticket {
    /// A handshake message of a link.
    Handshake(Transport),
    /// What the registration has to say.
    Registration,
    /// A reply to a notification.
    Reply(Transport),
    /// Fetches what the acceptor was woken for.
    Fetch,
    /// What the acceptor has to say about punching.
    Word,
    /// A packet of the measurement or of a hole.
    Punch,
    /// Shows the server where a connection of the slot's comes from.
    Sight(usize),
    /// The communication request of the connection in this slot.
    Answer(usize),
    /// A control message of the connection in this slot.
    Control(usize),
}

impl State {
    /// The next message for the server over `over`: its ticket and length.
    fn next_to_server(&self, over: Transport) -> Option<(Ticket, usize)> {
        let link = match over {
            Transport::Datagram => &self.datagram,
            Transport::Stream => &self.stream,
        };
        if let Some(len) = link.due() {
            return Some((Ticket::Handshake(over), len));
        }
        if over == Transport::Datagram && self.registration.due == Due::Resume {
            return Some((Ticket::Registration, RESUME_LEN));
        }
        if !link.is_up() {
            return None;
        }
        let fetches = self.registration.fetching.is_some() && !self.registration.fetch_sent;
        let replies = |(via, _): &(Transport, _)| *via == over || !self.is_up(*via);
        let ticket = if over == Transport::Stream && fetches {
            Ticket::Fetch
        } else if self.replies.front().is_some_and(replies) {
            Ticket::Reply(over)
        } else if over == Transport::Datagram && self.puncher.words.front().is_some() {
            Ticket::Word
        } else if over == self.registration.over {
            Ticket::Registration
        } else {
            return None;
        };
        let len = match (self.body(ticket), self.registration.due) {
            (Some(body), _) => transport_len(&body),
            (None, Due::Keepalive { .. }) => KEEPALIVE_LEN,
            (None, Due::Echo { .. }) => ECHO_LEN,
            _ => return None,
        };
        Some((ticket, len))
    }

    /// The body that a ticket stands for, where it is one for the session with the server.
    #[inline(never)]
    fn body(&self, ticket: Ticket) -> Option<ToServer<'static>> {
        Some(match (ticket, self.registration.due) {
            (Ticket::Fetch, _) => ToServer::Fetch(Fetch { request: self.registration.fetching? }),
            (Ticket::Reply(_), _) => ToServer::Reply(self.replies.front()?.1),
            (Ticket::Word, _) => self.puncher.words.front()?,
            (Ticket::Registration, Due::Register) => self.register(),
            (Ticket::Registration, Due::Deregister) => ToServer::Deregister,
            _ => return None,
        })
    }

    const fn is_up(&self, over: Transport) -> bool {
        match over {
            Transport::Datagram => self.datagram.is_up(),
            Transport::Stream => self.stream.is_up(),
        }
    }

    pub(super) fn register(&self) -> ToServer<'static> {
        ToServer::Register(Register {
            id: self.equipment.key.id(),
            local: self.registration.local.unwrap_or(Endpoint::UNSPECIFIED),
            capabilities: capability::NOTIFY_DATAGRAM
                | capability::NOTIFY_STREAM
                | capability::DIAL_BACK
                | self.puncher.ability().map_or(0, Ability::to_bits)
                | if self.calls() { capability::CALL } else { 0 },
            early_key: self.admission.early_key,
        })
    }

    /// The earliest deadline of the links and the registration.
    pub(super) fn deadline(&self) -> Option<Wakeup> {
        let handshake = earliest(self.datagram.deadline(), self.stream.deadline());
        let timers = &self.registration;
        let timers = earliest(timers.deadline, earliest(timers.datagram_at, timers.fetch_until));
        let registration = earliest(timers, self.puncher.gauge.deadline());
        match (handshake, registration) {
            (Some(at), other) if other.is_none_or(|other| at <= other) => {
                Some(Wakeup { at, reason: TimerKind::Handshake })
            }
            (_, Some(at)) => Some(Wakeup { at, reason: TimerKind::Registration }),
            (_, None) => None,
        }
    }
}

impl View<'_> {
    pub(super) fn next_datagram(&mut self) -> Option<DatagramHead<Ticket>> {
        // A burst's packets leave back to back, before all else.
        if let Some(head) = self.next_punch() {
            return Some(head);
        }
        if let Some((ticket, len)) = self.state.next_to_server(Transport::Datagram) {
            return Some(DatagramHead {
                ticket,
                socket: SocketId::MAIN,
                remote: self.state.equipment.server.datagram,
                len,
                hop_limit: None,
            });
        }
        self.slots.iter().enumerate().find_map(|(index, slot)| {
            let peer = slot.peer.as_ref()?;
            let Path::Datagram { socket, remote } = peer.path else { return None };
            if !matches!(slot.stage, Stage::Open | Stage::Closing) {
                return None;
            }
            let (ticket, len) = (Ticket::Control(index), peer.due()?);
            Some(DatagramHead { ticket, socket, remote: remote.into(), len, hop_limit: None })
        })
    }

    pub(super) fn next_frame(&mut self, stream: StreamId) -> Option<FrameHead<Ticket>> {
        let (ticket, len) = if self.state.stream.stream == Some(stream) {
            self.state.next_to_server(Transport::Stream)?
        } else if let Some(head) = self.next_sight(stream) {
            return Some(head);
        } else {
            let index = self.slots.iter().position(|slot| slot.stream == Some(stream))?;
            let slot = self.slots.get(index)?;
            let ours = |peer: &&Peer| peer.path.stream() == Some(stream);
            match slot.stage {
                Stage::Answering | Stage::Unconfirmed if slot.answer_due => {
                    (Ticket::Answer(index), ANSWER_LEN)
                }
                Stage::Open | Stage::Closing => {
                    (Ticket::Control(index), slot.peer.as_ref().filter(ours)?.due()?)
                }
                _ => return None,
            }
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
            Ticket::Registration => self.encode_registration(out),
            Ticket::Reply(over) => self.seal(over, ticket, out),
            Ticket::Fetch => self.seal(Transport::Stream, ticket, out),
            Ticket::Word => self.seal(Transport::Datagram, ticket, out),
            Ticket::Punch => self.encode_punch(out),
            Ticket::Sight(index) => self.encode_sight(index, out),
            Ticket::Answer(index) => {
                if let Some(slot) = self.slots.get(index) {
                    let message = crate::frame::prefix(out);
                    if message.len() == ANSWER_LEN {
                        message.copy_from_slice(&slot.answer);
                    }
                }
            }
            Ticket::Control(index) => {
                if let Some(peer) = self.slots.get_mut(index).and_then(|slot| slot.peer.as_mut()) {
                    peer.encode(now, out);
                }
            }
        }
    }

    /// Seals the body of a ticket.
    pub(super) fn seal(&mut self, over: Transport, ticket: Ticket, out: &mut [u8]) {
        let now = self.state.now;
        let Some(body) = self.state.body(ticket) else { return };
        let (session, out) = match over {
            Transport::Datagram => (&mut self.state.datagram.session, out),
            Transport::Stream => (&mut self.state.stream.session, crate::frame::prefix(out)),
        };
        if let Some(session) = session {
            seal_body(session, now, &body, out);
        }
    }

    pub(super) fn commit(&mut self, ticket: Ticket) {
        let now = self.state.now;
        match ticket {
            Ticket::Handshake(Transport::Datagram) => self.state.datagram.sent(now),
            Ticket::Handshake(Transport::Stream) => self.state.stream.sent(now),
            Ticket::Registration => {
                // Only what wants no answer is followed at a time that is drawn.
                let followed =
                    self.state.registration.due == Due::Keepalive { wants_answer: false };
                let jitter = if followed { self.draw().jitter() } else { 0 };
                if self.state.registration.due == Due::Resume {
                    self.remember_resume();
                }
                let left = self.state.registration.due == Due::Deregister;
                self.state.registration.sent(now, jitter);
                if left && self.state.registration.over == Transport::Stream {
                    self.drop_stream();
                }
            }
            Ticket::Reply(_) => {
                self.state.replies.pop_front();
                if self.state.registration.fetched {
                    self.fetch_next();
                }
            }
            Ticket::Fetch => self.state.registration.fetch_sent = true,
            Ticket::Word => self.state.puncher.words.sent(),
            Ticket::Punch => self.commit_punch(),
            Ticket::Sight(index) => {
                if let Some(slot) = self.slots.get_mut(index) {
                    slot.calling.shown();
                }
            }
            Ticket::Answer(index) => {
                if let Some(slot) = self.slots.get_mut(index) {
                    slot.answer_due = false;
                    slot.enter(Stage::Unconfirmed, slot.not_before_hole(now.after(CONFIRM)));
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

    /// Asks for a control message on a connection.
    pub(super) fn say(&mut self, connection: ConnectionId, message: PeerMessage) {
        let now = self.state.now;
        let Ok(slot) = crate::peer::slots::find(self.slots, connection) else { return };
        match (slot.stage, &mut slot.peer) {
            (Stage::Open, Some(peer)) => {
                peer.say(message);
                if message == PeerMessage::Close {
                    slot.enter(Stage::Closing, Some(now.after(LINGER)));
                }
            }
            (Stage::Closing, _) => {}
            _ if message == PeerMessage::Close => {
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
            self.expire_connection(now, index);
        }
    }

    pub(super) fn timeout(&mut self) {
        let now = self.state.now;
        self.expire_datagram_link();
        self.expire_stream_link();
        if self.state.registration.deadline.is_some_and(|at| now >= at) {
            self.expire_registration();
        }
        self.look_for_datagrams();
        self.expire_slots();
        self.expire_calls();
        self.expire_holes();
    }

    fn expire_stream_link(&mut self) {
        let now = self.state.now;
        let state = &mut *self.state;
        let mut rng = crate::entropy::Draw { source: self.entropy, hedge: &mut state.hedge };
        if state.stream.expire(now, &mut state.equipment, &mut rng) == Expiry::Failed {
            self.drop_stream();
            if self.state.registration.over == Transport::Stream {
                self.lost();
            }
        }
        if let Some(at) = self.state.registration.fetch_until
            && now >= at
        {
            self.drop_stream();
        }
    }

    fn expire_connection(&mut self, now: Instant, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        let due = slot.own_deadline().is_some_and(|at| now >= at);
        if !due {
            return;
        }
        let cause = match slot.stage {
            Stage::Free => return,
            Stage::Parked if self.state.admission.is_persisted() => return self.act_on(index),
            Stage::Parked => CloseCause::Unconfirmed,
            Stage::Dialling => CloseCause::PathLost,
            Stage::Answering | Stage::Unconfirmed => CloseCause::Unconfirmed,
            Stage::Closing => CloseCause::Local,
            Stage::Open => match slot.peer.as_mut().and_then(|peer| peer.expire(now)) {
                Some(cause) => cause,
                None => return,
            },
        };
        self.end(index, cause);
    }
}

/// Seals `body` into `out`, which has exactly the right length.
pub(crate) fn seal_body<'a, T: Body<'a>>(
    session: &mut Session,
    now: Instant,
    body: &T,
    out: &mut [u8],
) {
    let end = out.len().saturating_sub(TAG_LEN);
    if let Some(place) = out.get_mut(TRANSPORT_HEADER..end)
        && write_body(body, place).is_some()
    {
        session.seal(now, Kind::Transport, out);
    }
}
