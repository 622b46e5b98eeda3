//! What arrives at an acceptor: from the server over either link, and from issuers.

use super::View;
use super::connection::{CONFIRM, NO_REQUEST, Stage};
use super::queue::News;
use super::registration::{Due, Stage as Registered};
use crate::addr::Endpoint;
use crate::entropy::Draw;
use crate::hole::ATTEMPT;
use crate::id::{ConnectionId, SocketId, StreamId};
use crate::link::Transport;
use crate::machine::{Command, Discard, Received, StreamState};
use crate::peer::slots::name;
use crate::peer::{CloseCause, Opened, Path};
use crate::session::keepalive::{ADDRESS_UNCHANGED, Keepalive};
use crate::wire::Kind;
use crate::wire::codec::{body_len, read_body};
use crate::wire::message::{PeerMessage, Reason, ToEquipment, Verdict};

impl View<'_> {
    pub(super) fn draw(&mut self) -> Draw<'_> {
        Draw { source: self.entropy, hedge: &mut self.state.hedge }
    }

    /// A datagram from `remote` on one of our sockets.
    pub(super) fn datagram<'d>(
        &mut self,
        socket: SocketId,
        remote: Endpoint,
        message: &'d mut [u8],
    ) -> Result<Received<'d>, Discard> {
        let kind = Kind::of(message)?;
        match kind {
            Kind::IssuerTransport => {
                return self.peer_message(kind, message, Path::Datagram { socket, remote });
            }
            Kind::IssuerPunch => return self.check(socket, remote, message),
            Kind::FilterProbe => return self.filter_probe(message),
            _ => {}
        }
        if !kind.is_downward() {
            return Err(Discard::WrongDirection);
        }
        if remote != self.state.equipment.server.datagram.into() {
            return Err(Discard::UnknownSession);
        }
        self.server_message(Transport::Datagram, kind, message)
    }

    /// A frame on a stream.
    pub(super) fn frame<'d>(
        &mut self,
        stream: StreamId,
        message: &'d mut [u8],
    ) -> Result<Received<'d>, Discard> {
        let kind = Kind::of(message)?;
        if self.state.stream.stream == Some(stream) {
            if !kind.is_downward() {
                return Err(Discard::WrongDirection);
            }
            return self.server_message(Transport::Stream, kind, message);
        }
        if kind != Kind::IssuerTransport {
            return Err(Discard::WrongDirection);
        }
        let remote = Endpoint::UNSPECIFIED; // Not looked at.
        self.peer_message(kind, message, Path::Stream { stream, remote })
    }

    pub(super) fn server_message(
        &mut self,
        over: Transport,
        kind: Kind,
        message: &mut [u8],
    ) -> Result<Received<'static>, Discard> {
        match kind {
            Kind::Certificate | Kind::Response | Kind::Cookie => {
                self.server_shakes(over, kind, message)
            }
            Kind::ServerTransport => self.server_speaks(over, message),
            Kind::KeepaliveAnswer | Kind::Challenge => self.keepalive_answer(over, kind, message),
            Kind::Hint => self.hint(over, message),
            Kind::Resumed => self.resumed(message),
            _ => Err(Discard::UnknownKind),
        }?;
        Ok(Received::Control)
    }

    // Each in a frame of its own: what one of them decodes does not lie beneath another's arithmetic.

    #[inline(never)]
    fn server_shakes(
        &mut self,
        over: Transport,
        kind: Kind,
        message: &[u8],
    ) -> Result<(), Discard> {
        let state = &mut *self.state;
        let link = match over {
            Transport::Datagram => &mut state.datagram,
            Transport::Stream => &mut state.stream,
        };
        let progress = link.handle(state.now, kind, message, &mut state.equipment)?;
        self.progress(over, progress)
    }

    #[inline(never)]
    fn server_speaks(&mut self, over: Transport, message: &mut [u8]) -> Result<(), Discard> {
        let state = &mut *self.state;
        let link = match over {
            Transport::Datagram => &mut state.datagram,
            Transport::Stream => &mut state.stream,
        };
        let body = link.open(state.now, message)?;
        let body = read_body::<ToEquipment<'_>>(body).ok_or(Discard::Malformed)?;
        self.server_says(over, &body)
    }

    #[inline(never)]
    fn resumed(&mut self, message: &[u8]) -> Result<(), Discard> {
        let resumed = self.state.registration.resumed(self.state.now, message);
        let (index, session) = resumed.ok_or(Discard::Unauthentic)?;
        self.state.datagram.adopt(&mut self.state.equipment, index, session);
        self.session_up(Transport::Datagram);
        Ok(())
    }

    #[inline(never)]
    fn server_says(&mut self, over: Transport, body: &ToEquipment<'_>) -> Result<(), Discard> {
        match body {
            ToEquipment::Registered(answer) => {
                let registration = &self.state.registration;
                if registration.over != over || registration.stage == Registered::Left {
                    return Err(Discard::Unexpected);
                }
                let news = registration.stage != Registered::Registered
                    || registration.observed != Some(answer.observed);
                let (now, jitter) = (self.state.now, self.draw().jitter());
                self.state.registration.registered(now, answer, jitter);
                let interval = self.state.registration.interval();
                let open = self.slots.iter_mut().filter(|slot| slot.stage == Stage::Open);
                let peers = open.filter_map(|slot| slot.peer.as_mut());
                peers.for_each(|peer| peer.keep_within(now, interval));
                let registration = &mut self.state.registration;
                // With something else due the key goes with the next full registration, some 200 s
                // later; until then the server knows the one before.
                if !registration.told_key && registration.due == Due::Nothing {
                    registration.say(Due::Register);
                }
                if news {
                    self.state.event(News::Registered(over));
                }
                self.announce_session(over);
                if over == Transport::Datagram && self.state.registration.fetching.is_none() {
                    self.drop_stream();
                }
            }
            ToEquipment::Notify(notify) if notify.request == NO_REQUEST => {
                return Err(Discard::Unexpected);
            }
            ToEquipment::Notify(notify) => self.notify(over, notify),
            ToEquipment::Wake(wake) => self.wake(wake.request),
            ToEquipment::Goodbye if self.state.registration.stage == Registered::Left => {}
            ToEquipment::Goodbye => {
                let jitter = self.draw().jitter();
                self.state.registration.back_off(self.state.now, jitter);
                self.state.event(News::RegistrationLost);
            }
            ToEquipment::Measure(_) | ToEquipment::Seen(_) | ToEquipment::Punch(_) => {
                return self.server_punches(over, body);
            }
            ToEquipment::Call(call) => return self.called(call),
            ToEquipment::Plan(_) | ToEquipment::Refused(_) | ToEquipment::Hopeless(_) => {
                return Err(Discard::Unexpected);
            }
        }
        Ok(())
    }

    pub(super) fn keepalive_answer(
        &mut self,
        over: Transport,
        kind: Kind,
        message: &[u8],
    ) -> Result<(), Discard> {
        let (answer, tag) = Keepalive::parse(kind, message).ok_or(Discard::Malformed)?;
        let (now, jitter) = (self.state.now, self.draw().jitter());
        let state = &mut *self.state;
        let index = match over {
            Transport::Datagram => state.datagram.index(),
            Transport::Stream => state.stream.index(),
        };
        if answer.handle != index || over != state.registration.over {
            return Err(Discard::UnknownSession);
        }
        if !crate::crypto::equal(&answer.tag(&state.registration.keepalive_down), &tag) {
            return Err(Discard::Unauthentic);
        }
        if kind == Kind::Challenge {
            let [_, _, cookie @ ..] = answer.counter.to_be_bytes();
            state.registration.say(Due::Echo { cookie });
            return Ok(());
        }
        if state.registration.last.is_none_or(|(counter, _)| counter != answer.counter) {
            return Err(Discard::Replayed);
        }
        state.registration.last = None;
        if state.registration.stage == Registered::Left && answer.status & ADDRESS_UNCHANGED == 0 {
            // A challenge came between us and the door.
            state.registration.say(Due::Deregister);
        }
        if state.registration.stage == Registered::Registered {
            state.registration.answered(now, jitter);
            state.puncher.say_reached();
            // The server has moved the registration: a full one tells us the new address. It also
            // follows what is leased.
            if state.puncher.repeat_leased() || answer.status & ADDRESS_UNCHANGED == 0 {
                state.registration.say(Due::Register);
            }
        }
        Ok(())
    }

    /// A transport message of an issuer, which came by `path`.
    pub(super) fn peer_message<'d>(
        &mut self,
        kind: Kind,
        message: &'d mut [u8],
        path: Path,
    ) -> Result<Received<'d>, Discard> {
        let header = crate::session::Header::parse(kind, message).ok_or(Discard::Malformed)?;
        let connection = ConnectionId::from_handle(header.receiver);
        let now = self.state.now;
        let slot = crate::peer::slots::find(self.slots, connection)
            .map_err(|_| Discard::UnknownSession)?;
        if !slot.is_of(connection.index.into(), &path, self.state.puncher.policy)
            || !matches!(slot.stage, Stage::Answering | Stage::Unconfirmed | Stage::Open)
        {
            return Err(Discard::UnknownSession);
        }
        let unconfirmed = slot.stage != Stage::Open;
        let path = match (path, slot.address) {
            (Path::Stream { stream, .. }, Some(remote)) => Path::Stream { stream, remote },
            _ => path,
        };
        let peer = slot.peer.as_mut().ok_or(Discard::UnknownSession)?;
        let newest = peer.session.is_newest(header.counter);
        let opened = peer.open(now, kind, message)?;
        let before = peer.path;
        let moved = newest && peer.follow(now, path);
        let path = peer.path;
        if moved {
            let beside = path.stream().and(Some(before)).filter(|one| one.stream().is_none());
            slot.beside = beside.map(|path| (path, now.after(ATTEMPT)));
        }
        if unconfirmed {
            let by_password = slot.by_password;
            slot.enter(Stage::Open, None);
            if by_password && self.state.admission.confirmed() {
                self.state.event(News::Persist);
            }
            self.state.event(News::Connected(connection));
        } else if moved {
            self.state.event(News::PathChanged(connection));
        }
        if unconfirmed || moved {
            self.settle_path(usize::from(connection.index), unconfirmed);
        }
        match opened {
            Opened::Payload(channel, plaintext) => {
                Ok(Received::Payload { connection, channel, plaintext })
            }
            Opened::Control(PeerMessage::Close) => {
                self.end(usize::from(connection.index), CloseCause::Peer);
                Ok(Received::Control)
            }
            Opened::Control(_) => Ok(Received::Control),
        }
    }

    /// The path of a connection is known, or another one: what is not needed any more is let go.
    fn settle_path(&mut self, index: usize, new: bool) {
        if new {
            self.stop_calls(index);
        }
        let Some(slot) = self.slots.get_mut(index) else { return };
        let Some(Path::Datagram { socket, .. }) = slot.peer.as_ref().map(|peer| peer.path) else {
            return; // A hole may still come about, and replaces TCP then.
        };
        if new && let Some(stream) = slot.stream.take() {
            // Nothing was said over TCP yet, and nothing will be.
            self.state.command(Command::Shutdown { stream });
        } else if let Some(peer) = &mut slot.peer {
            // The issuer closes its TCP connection when it hears us here.
            peer.say(PeerMessage::Alive);
        }
        slot.renewing = None;
        if let Some(peer) = &mut slot.peer {
            peer.keep_within(self.state.now, self.state.registration.interval());
        }
        self.close_way(index, Some(socket));
    }

    /// Frees a slot, closes its stream and tells the application.
    pub(super) fn end(&mut self, index: usize, cause: CloseCause) {
        let connection = name(self.slots, index);
        let Some(slot) = self.slots.get_mut(index) else { return };
        let told = slot.stage == Stage::Parked;
        let stream = slot.stream;
        let dialled = matches!(slot.stage, Stage::Dialling | Stage::Answering);
        let (over, request) = (slot.over, slot.request);
        self.close_way(index, None);
        let Some(slot) = self.slots.get_mut(index) else { return };
        slot.free();
        if told {
            return;
        }
        if let Some(stream) = stream {
            self.state.command(Command::Shutdown { stream });
        }
        if dialled && cause == CloseCause::PathLost {
            self.reply(over, request, Verdict::Declined(Reason::Unreachable));
        }
        self.state.event(News::Closed(connection, cause));
    }

    /// A stream changed its state.
    pub(super) fn stream_state(&mut self, stream: StreamId, state: StreamState) {
        let now = self.state.now;
        if self.state.stream.stream == Some(stream) {
            match state {
                StreamState::Connected => {
                    if let Err(reason) = self.start(Transport::Stream) {
                        self.state.counters.discard(reason);
                    }
                }
                StreamState::Closed => self.server_stream_lost(),
            }
            return;
        }
        if self.call_state(stream, state) {
            return;
        }
        let found = self.slots.iter().position(|slot| slot.stream == Some(stream));
        let Some(index) = found else { return };
        let Some(slot) = self.slots.get_mut(index) else { return };
        match (state, slot.stage) {
            (StreamState::Connected, Stage::Dialling) => {
                slot.answer_due = true;
                slot.enter(Stage::Answering, slot.not_before_hole(now.after(CONFIRM)));
                self.stop_calls(index);
            }
            (StreamState::Connected, Stage::Unconfirmed) => slot.answer_due = true,
            (StreamState::Connected, _) => {}
            (StreamState::Closed, _) => self.stream_lost(index),
        }
    }

    /// The dial-back has failed or ended. A hole goes on without it, and may still come about where
    /// the server lets equipment punch, as may a call.
    fn stream_lost(&mut self, index: usize) {
        let hoped = self.state.puncher.gauge.is_invited() || self.state.calls();
        let connection = name(self.slots, index);
        let Some(slot) = self.slots.get_mut(index) else { return };
        if let (Some((path, until)), Some(peer)) = (slot.beside.take(), &mut slot.peer)
            && self.state.now < until
            && peer.follow(self.state.now, path)
        {
            peer.say(PeerMessage::Alive);
            self.state.event(News::PathChanged(connection));
        }
        let elsewhere = match slot.stage {
            Stage::Dialling => hoped || slot.way.hole.is_some(),
            Stage::Answering | Stage::Unconfirmed if slot.way.hole.is_some() => true,
            _ => slot.peer.as_ref().is_some_and(|peer| peer.path.stream().is_none()),
        };
        if elsewhere {
            (slot.stream, slot.answer_due) = (None, false);
        } else {
            self.end(index, CloseCause::PathLost);
        }
    }

    /// A stream brought something that is no frame.
    pub(super) fn stream_failed(&mut self, stream: StreamId) {
        self.state.command(Command::Shutdown { stream });
        self.stream_state(stream, StreamState::Closed);
    }
}

/// Length of a body for the server in a transport message.
pub(crate) fn transport_len<'a, T: crate::wire::Body<'a>>(body: &T) -> usize {
    body_len(body).saturating_add(crate::wire::TRANSPORT_OVERHEAD)
}
