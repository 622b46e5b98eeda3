//! What arrives at an issuer: from the server over either link, and from acceptors that dial back.

use super::request::{ConnectionSlot, Stage};
use super::{FailCause, IssuerEvent, Listener, RequestTransport, State, View};
use crate::addr::Endpoint;
use crate::crypto::keys::Direction;
use crate::crypto::mac;
use crate::id::{ConnectionId, SocketId, StreamId};
use crate::link::Transport;
use crate::machine::{Command, Discard, Received, StreamState};
use crate::peer::slots::{find, name};
use crate::peer::{CloseCause, Opened, Path, Peer};
use crate::session::Header;
use crate::wire::codec::{Reader, read_body, read_padded_body};
use crate::wire::message::{Accept, PeerMessage, ToEquipment};
use crate::wire::{ANSWER_BODY, ANSWER_LEN, Kind, TAG_LEN};

impl View<'_> {
    /// A datagram from `remote` on one of our sockets.
    pub(super) fn datagram<'d>(
        &mut self,
        socket: SocketId,
        remote: Endpoint,
        message: &'d mut [u8],
    ) -> Result<Received<'d>, Discard> {
        let kind = Kind::of(message)?;
        if !kind.is_downward() {
            return Err(Discard::WrongDirection);
        }
        let path = Path::Datagram { socket, remote };
        match kind {
            Kind::AcceptorTransport => return self.peer_message(message, path),
            Kind::AcceptorPunch => return self.check(socket, remote, message),
            Kind::Answer => {
                return self.answer(path, message).map(|_| Received::Control);
            }
            Kind::FilterProbe => return self.filter_probe(message),
            _ => {}
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
        if !kind.is_downward() {
            return Err(Discard::WrongDirection);
        }
        if self.state.stream.stream == Some(stream) {
            return self.server_message(Transport::Stream, kind, message);
        }
        let index = self.inbound_index(stream).ok_or(Discard::UnknownSession)?;
        match kind {
            Kind::Answer => {
                let taken = self.dial_back_answer(index, stream, message);
                if taken.is_err() {
                    self.stream_failed(stream);
                }
                taken.map(|()| Received::Control)
            }
            Kind::AcceptorTransport => {
                let remote = self.state.inbound.get(index).and_then(|inbound| inbound.remote);
                let remote = remote.ok_or(Discard::UnknownSession)?;
                self.peer_message(message, Path::Stream { stream, remote })
            }
            _ => Err(Discard::UnknownKind),
        }
    }

    pub(super) fn server_message(
        &mut self,
        over: Transport,
        kind: Kind,
        message: &mut [u8],
    ) -> Result<Received<'static>, Discard> {
        let now = self.state.now;
        let State { datagram, stream, equipment, .. } = &mut *self.state;
        let link = match over {
            Transport::Datagram => datagram,
            Transport::Stream => stream,
        };
        match kind {
            Kind::Certificate | Kind::Response | Kind::Cookie => {
                match link.handle(now, kind, message, equipment) {
                    Ok(progress) => self.progress(over, progress),
                    Err(Discard::BadCertificate) => {
                        self.bad_certificate(over);
                        return Err(Discard::BadCertificate);
                    }
                    Err(reason) => return Err(reason),
                }
            }
            Kind::ServerTransport => {
                let body = link.open(now, message)?;
                self.state.silent &= over != Transport::Datagram;
                let body = read_body::<ToEquipment<'_>>(body).ok_or(Discard::Malformed)?;
                self.server_says(over, &body)?;
            }
            Kind::Hint => self.hint(over, message)?,
            Kind::Challenge if over == Transport::Datagram => self.challenge(message)?,
            _ => return Err(Discard::UnknownKind),
        }
        Ok(Received::Control)
    }

    pub(super) fn server_says(
        &mut self,
        over: Transport,
        body: &ToEquipment<'_>,
    ) -> Result<(), Discard> {
        let request = match body {
            ToEquipment::Plan(plan) => plan.request,
            ToEquipment::Refused(refused) => refused.request,
            ToEquipment::Goodbye => {
                self.lost(over);
                return Ok(());
            }
            ToEquipment::Measure(_) | ToEquipment::Seen(_) | ToEquipment::Punch(_) => {
                return self.server_punches(over, body);
            }
            ToEquipment::Call(call) => return self.called(call),
            ToEquipment::Hopeless(hopeless) => hopeless.request,
            _ => return Err(Discard::Unexpected),
        };
        let index = self
            .slots
            .iter()
            .position(|slot| slot.is_asking() && slot.request == request)
            .ok_or(Discard::Unexpected)?;
        let connection = name(self.slots, index);
        let slot = self.slots.get_mut(index).ok_or(Discard::Unexpected)?;
        match body {
            ToEquipment::Plan(plan) => {
                slot.asked = true;
                slot.due = false;
                // What the server says of holes may have been lost: it says so again when asked.
                let holes = over == Transport::Datagram && self.state.puncher.ability().is_some();
                if plan.accepted && (!holes || slot.hopeless.is_some() || slot.way.hole.is_some()) {
                    slot.repeat = None;
                }
                let accepted = plan.accepted;
                let news = !slot.planned || (accepted && !slot.accepted);
                slot.planned = true;
                slot.accepted |= accepted;
                if news {
                    let acceptor = plan.acceptor.into();
                    self.state.event(IssuerEvent::Planned { connection, acceptor, accepted });
                }
            }
            ToEquipment::Refused(refused) if slot.stage == Stage::Open => {
                self.renew_later(index, refused.reason)
            }
            ToEquipment::Refused(refused) => {
                self.close_way(index, None);
                if let Some(slot) = self.slots.get_mut(index) {
                    slot.free();
                }
                self.state.event(IssuerEvent::Refused { connection, reason: refused.reason });
                self.settle();
            }
            // It is said more than once, as it may be lost.
            ToEquipment::Hopeless(hopeless) => {
                if slot.accepted {
                    slot.repeat = None;
                }
                if slot.hopeless.replace(hopeless.why) != Some(hopeless.why) {
                    self.state.event(IssuerEvent::Hopeless { connection, why: hopeless.why });
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The listener's address is known; or there is no listener, and only holes are left.
    pub(super) fn bound(&mut self, local: Option<Endpoint>) {
        if !matches!(self.state.listener, Listener::Asked | Listener::Failed) {
            return;
        }
        self.state.listener = local.map_or(Listener::Failed, Listener::Open);
        let datagrams = self.state.transport != RequestTransport::Stream;
        let punches = datagrams && self.state.puncher.ability().is_some();
        if local.is_some() || punches {
            self.reach_server();
        } else {
            self.fail_all(FailCause::NoListener);
        }
    }

    /// The communication request: the answer of the end-to-end handshake. The slot that it is for.
    pub(super) fn answer(&mut self, path: Path, message: &[u8]) -> Result<usize, Discard> {
        let now = self.state.now;
        if message.len() != ANSWER_LEN {
            return Err(Discard::Malformed);
        }
        let mut reader = Reader(message.get(2..).ok_or(Discard::Malformed)?);
        let peer_index = reader.u32().ok_or(Discard::Malformed)?;
        let tag: [u8; TAG_LEN] = reader.array().ok_or(Discard::Malformed)?;
        let ephemeral = reader.0.get(..32).ok_or(Discard::Malformed)?;
        let named = |slot: &&mut ConnectionSlot| {
            matches!(slot.stage, Stage::Asking | Stage::Open)
                && crate::crypto::equal(&mac::tag(&slot.punch_key, &[ephemeral]), &tag)
        };
        let found = self.slots.iter_mut().enumerate().find(|(_, slot)| named(slot));
        let (index, slot) = found.ok_or(Discard::Unauthentic)?;
        let punched = matches!(path, Path::Datagram { .. });
        if punched && !slot.is_of(index, &path, self.state.puncher.policy) {
            return Err(Discard::ForbiddenAddress);
        }
        if let (Stage::Open, Path::Datagram { socket, remote }) = (slot.stage, path) {
            // Repeated: our first word has not arrived. After one over TCP: it hears us here, too.
            match &mut slot.peer {
                Some(peer) if peer.path == path => peer.say(PeerMessage::Alive),
                _ => slot.try_path(now, socket, remote),
            }
            return Ok(index);
        }
        if slot.stage == Stage::Open {
            return Err(Discard::Unexpected);
        }
        let initiator = slot.initiator.as_ref().ok_or(Discard::Unexpected)?;
        let mut plain = [0; ANSWER_BODY];
        let (own, to) = (&self.state.equipment.key, slot.target.as_bytes());
        let root = initiator.finish(own, to, reader.0, &mut plain).ok_or(Discard::Unauthentic)?;
        let accept = read_padded_body::<Accept>(&plain).ok_or(Discard::Malformed)?;
        let mut peer = Peer::new(now, slot.target, root, Direction::Up, peer_index, path);
        peer.say(PeerMessage::Alive);
        slot.peer = Some(peer);
        slot.initiator = None;
        slot.stage = Stage::Open;
        (slot.until, slot.repeat, slot.due) = (None, None, false);
        self.stop_calls(index);
        let connection = name(self.slots, index);
        self.state.event(IssuerEvent::Connected { connection, path });
        if let Some(key) = accept.early_key {
            if let Some(slot) = self.slots.get_mut(index) {
                slot.early_key = Some(key);
            }
            self.state.event(IssuerEvent::EarlyKey { connection, key });
        }
        if let Path::Datagram { socket, remote } = path {
            let first = self.slots.get_mut(index).and_then(|slot| {
                let heard = slot.way.hole.as_mut()?.hear(now, socket, remote, true);
                (heard == Ok(true)).then_some(slot.request)
            });
            if let Some(request) = first {
                self.state.puncher.words.heard(request);
            }
            self.close_way(index, Some(socket));
            self.settle();
        }
        Ok(index)
    }

    /// A transport message of an acceptor, which came by `path`.
    pub(super) fn peer_message<'d>(
        &mut self,
        message: &'d mut [u8],
        path: Path,
    ) -> Result<Received<'d>, Discard> {
        let kind = Kind::AcceptorTransport;
        let header = Header::parse(kind, message).ok_or(Discard::Malformed)?;
        let connection = ConnectionId::from_handle(header.receiver);
        let now = self.state.now;
        let slot = find(self.slots, connection).map_err(|_| Discard::UnknownSession)?;
        if !slot.is_of(connection.index.into(), &path, self.state.puncher.policy) {
            return Err(Discard::UnknownSession);
        }
        let peer = slot.peer.as_mut().ok_or(Discard::UnknownSession)?;
        let closing = slot.stage == Stage::Closing;
        let newest = peer.session.is_newest(header.counter);
        let opened = peer.open(now, kind, message)?;
        if newest && matches!(path, Path::Datagram { .. }) {
            self.heard_on(connection, path);
            self.renewed(usize::from(connection.index));
        }
        match opened {
            Opened::Payload(..) if closing => Err(Discard::Unexpected),
            Opened::Payload(channel, plaintext) => {
                Ok(Received::Payload { connection, channel, plaintext })
            }
            Opened::Control(PeerMessage::Close) => {
                self.end(usize::from(connection.index), CloseCause::Peer);
                Ok(Received::Control)
            }
            Opened::Control(PeerMessage::EarlyKey(key)) => {
                if let Ok(slot) = find(self.slots, connection) {
                    slot.early_key = Some(key);
                }
                self.state.event(IssuerEvent::EarlyKey { connection, key });
                Ok(Received::Control)
            }
            Opened::Control(_) => Ok(Received::Control),
        }
    }

    /// Frees a slot, closes its stream and tells the application.
    pub(super) fn end(&mut self, index: usize, cause: CloseCause) {
        let connection = name(self.slots, index);
        self.close_way(index, None);
        let Some(slot) = self.slots.get_mut(index) else { return };
        let stream = slot.stream;
        slot.free();
        if let Some(stream) = stream {
            self.forget_inbound(stream);
            self.state.command(Command::Shutdown { stream });
        }
        self.state.event(IssuerEvent::Closed { connection, cause });
        self.settle();
    }

    /// A stream changed its state.
    pub(super) fn stream_state(&mut self, stream: StreamId, state: StreamState) {
        if self.state.stream.stream == Some(stream) {
            match state {
                StreamState::Connected => self.start(Transport::Stream),
                StreamState::Closed => self.lost(Transport::Stream),
            }
        } else if !self.call_state(stream, state)
            && state == StreamState::Closed
            && let Some(index) = self.forget_inbound(stream)
        {
            self.dial_back_lost(index);
        }
    }

    /// A stream brought something that is no frame, or not what it should.
    pub(super) fn stream_failed(&mut self, stream: StreamId) {
        self.state.command(Command::Shutdown { stream });
        self.stream_state(stream, StreamState::Closed);
    }
}
