//! What arrives at an acceptor: from the server over either link, and from issuers.

use core::net::SocketAddr;
use core::time::Duration;

use super::admission::{Entry, dial_address};
use super::connection::{CONFIRM, DIAL, PARK, Stage, name};
use super::registration::{Due, Stage as Registered, TRIES};
use super::{AcceptorEvent, View};
use crate::crypto::keys::Direction;
use crate::crypto::mac;
use crate::crypto::noise::{Link as NoiseLink, Responder};
use crate::entropy::Draw;
use crate::id::{ConnectionId, EquipmentId, StreamId};
use crate::link::{Expiry, Progress, Transport};
use crate::machine::{Command, Discard, Received, StreamState};
use crate::peer::{CloseCause, Opened, Path, Peer};
use crate::session::keepalive::{ADDRESS_UNCHANGED, Keepalive};
use crate::wire::codec::{Writer, body_len, read_body, read_padded_body, write_body};
use crate::wire::message::{
    Accept, ConnectNotify, Hello, NotifyReply, Offer, PeerMessage, Reason, Role, ToEquipment,
    Verdict,
};
use crate::wire::{ANSWER_BODY, ANSWER_LEN, Kind, OFFER_BODY, OFFER_LEN, TAG_LEN};

/// How long fetching a request over TCP may take.
const FETCH: Duration = Duration::from_secs(10);

impl View<'_> {
    pub(super) fn draw(&mut self) -> Draw<'_> {
        Draw { source: self.entropy, hedge: &mut self.state.hedge }
    }

    /// A datagram from `remote`.
    pub(super) fn datagram<'d>(
        &mut self,
        remote: SocketAddr,
        message: &'d mut [u8],
    ) -> Result<Received<'d>, Discard> {
        let kind = Kind::of(message)?;
        if kind == Kind::IssuerTransport {
            return self.peer_message(kind, message, None);
        }
        if !kind.is_downward() {
            return Err(Discard::WrongDirection);
        }
        if remote != self.state.equipment.server.datagram {
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
        self.peer_message(kind, message, Some(stream))
    }

    fn server_message(
        &mut self,
        over: Transport,
        kind: Kind,
        message: &mut [u8],
    ) -> Result<Received<'static>, Discard> {
        let now = self.state.now;
        match kind {
            Kind::Certificate | Kind::Response | Kind::Cookie => {
                let state = &mut *self.state;
                let link = match over {
                    Transport::Datagram => &mut state.datagram,
                    Transport::Stream => &mut state.stream,
                };
                let progress = link.handle(now, kind, message, &mut state.equipment)?;
                self.progress(over, progress)?;
            }
            Kind::ServerTransport => {
                let link = match over {
                    Transport::Datagram => &mut self.state.datagram,
                    Transport::Stream => &mut self.state.stream,
                };
                let body = link.open(now, message)?;
                let body = read_body::<ToEquipment<'_>>(body).ok_or(Discard::Malformed)?;
                self.server_says(over, body)?;
            }
            Kind::KeepaliveAnswer | Kind::Challenge => {
                self.keepalive_answer(over, kind, message)?
            }
            Kind::Hint => self.hint(over, message)?,
            Kind::Resumed => {
                let (index, session) =
                    self.state.registration.resumed(now, message).ok_or(Discard::Unauthentic)?;
                self.state.datagram.adopt(index, session);
                self.session_up(Transport::Datagram);
            }
            _ => return Err(Discard::UnknownKind),
        }
        Ok(Received::Control)
    }

    fn progress(&mut self, over: Transport, progress: Progress) -> Result<(), Discard> {
        match progress {
            Progress::Waiting => Ok(()),
            Progress::Certified => {
                if core::mem::take(&mut self.state.equipment.changed) {
                    self.state.event(AcceptorEvent::Certificate);
                }
                self.start(over)
            }
            Progress::Up(_) => {
                self.session_up(over);
                Ok(())
            }
        }
    }

    /// Begins a handshake on a link.
    pub(super) fn start(&mut self, over: Transport) -> Result<(), Discard> {
        let now = self.state.now;
        let time = self.state.equipment.wall_clock(now).unwrap_or(0);
        let hello = Hello { role: Role::Acceptor, time, early: None };
        let state = &mut *self.state;
        let mut rng = Draw { source: self.entropy, hedge: &mut state.hedge };
        let link = match over {
            Transport::Datagram => &mut state.datagram,
            Transport::Stream => &mut state.stream,
        };
        link.start(now, &state.equipment, &mut rng, &hello)
    }

    fn session_up(&mut self, over: Transport) {
        let (now, jitter) = (self.state.now, self.draw().jitter());
        if over == Transport::Stream && self.state.registration.fetching.is_some() {
            return; // This stream is for fetching; outbound.rs says what is due on it.
        }
        let state = &mut *self.state;
        let link = match over {
            Transport::Datagram => &mut state.datagram,
            Transport::Stream => &mut state.stream,
        };
        if let Some(session) = &mut link.session {
            session.epoch_time = super::registration::SERVER_EPOCH;
            let root = session.root().clone();
            state.registration.session_up(now, over, &root, jitter);
            if state.registration.stage != Registered::Registered {
                state.registration.stage = Registered::Trying;
            }
        }
    }

    fn server_says(&mut self, over: Transport, body: ToEquipment<'_>) -> Result<(), Discard> {
        match body {
            ToEquipment::Registered(answer) => {
                let registration = &self.state.registration;
                if registration.over != over || registration.stage == Registered::Left {
                    return Err(Discard::Unexpected);
                }
                let news = registration.stage != Registered::Registered
                    || registration.observed != Some(answer.observed);
                let (now, jitter) = (self.state.now, self.draw().jitter());
                self.state.registration.registered(now, &answer, jitter);
                if news {
                    let observed = answer.observed;
                    self.state.event(AcceptorEvent::Registered { observed, over });
                    self.state.event(AcceptorEvent::Resumable);
                }
                if over == Transport::Datagram && self.state.registration.fetching.is_none() {
                    self.drop_stream();
                }
            }
            ToEquipment::Notify(notify) => self.notify(over, &notify),
            ToEquipment::Wake(wake) => self.wake(wake.request),
            ToEquipment::Goodbye => {
                let jitter = self.draw().jitter();
                self.state.registration.back_off(self.state.now, jitter);
                self.state.event(AcceptorEvent::RegistrationLost);
            }
            ToEquipment::Plan(_) | ToEquipment::Refused(_) => return Err(Discard::Unexpected),
        }
        Ok(())
    }

    fn keepalive_answer(
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
        if state.registration.stage == Registered::Registered {
            state.registration.answered(now, jitter);
            if answer.status & ADDRESS_UNCHANGED == 0 {
                // The server has moved the registration: a full one tells us the new address.
                state.registration.say(Due::Register);
            }
        }
        Ok(())
    }

    /// The server does not know our session: shake hands again, but keep the old one meanwhile.
    fn hint(&mut self, over: Transport, message: &[u8]) -> Result<(), Discard> {
        let (hint, tag) = Keepalive::parse(Kind::Hint, message).ok_or(Discard::Malformed)?;
        let registration = &mut self.state.registration;
        let resume = registration.is_resuming() && registration.last.is_some();
        let expected = registration.last.ok_or(Discard::Unexpected)?;
        if over != Transport::Datagram || expected != (hint.counter, tag) {
            return Err(Discard::Unauthentic);
        }
        registration.last = None;
        registration.due = Due::Nothing;
        registration.deadline = None;
        if resume {
            registration.forget_kept_session();
        }
        registration.stage = Registered::Trying;
        self.start(Transport::Datagram)
    }

    /// Third connection request: fetch the second one over a TCP connection.
    fn wake(&mut self, request: u32) {
        if self.state.registration.fetching == Some(request) {
            return;
        }
        if self.state.registration.over == Transport::Stream {
            // It came over the very stream that a notification could have come over.
            return;
        }
        self.drop_stream();
        let until = self.state.now.after(FETCH);
        self.state.registration.fetch(Some(request), Some(until));
        self.open_stream();
    }

    /// Opens the TCP connection to the server.
    pub(super) fn open_stream(&mut self) {
        let now = self.state.now;
        let state = &mut *self.state;
        state.stream_generation = state.stream_generation.wrapping_add(1);
        let stream = StreamId { index: 0, generation: state.stream_generation };
        state.stream.opening(now, stream);
        let remote = state.equipment.server.stream;
        state.command(Command::Connect { stream, remote });
    }

    /// Closes the TCP connection to the server.
    pub(super) fn drop_stream(&mut self) {
        if let Some(stream) = self.state.stream.stream {
            self.state.command(Command::Shutdown { stream });
        }
        self.state.stream.reset();
        self.state.registration.fetch(None, None);
    }

    /// Second connection request.
    fn notify(&mut self, over: Transport, notify: &ConnectNotify<'_>) {
        let request = notify.request;
        if self.state.registration.fetching == Some(request) {
            self.state.registration.fetched = true;
        }
        if let Some(verdict) = self.state.admission.repeated(notify.offer, request) {
            return self.reply(over, request, verdict);
        }
        let now = self.state.now;
        let result = self.consider(over, notify);
        let (issuer, verdict, parked) = match result {
            Ok((issuer, verdict, parked)) => (Some(issuer), verdict, parked),
            Err(reason) => (None, Verdict::Declined(reason), false),
        };
        let remembered = self.state.admission.remember(now, notify.offer, request, verdict);
        if parked {
            self.state.event(AcceptorEvent::Persist);
            return;
        }
        debug_assert!(remembered || issuer.is_none(), "consider() has made sure of the memory");
        self.decide(over, request, issuer, notify.issuer, verdict);
    }

    fn decide(
        &mut self,
        over: Transport,
        request: u32,
        issuer: Option<EquipmentId>,
        address: SocketAddr,
        verdict: Verdict,
    ) {
        self.state.event(AcceptorEvent::Requested { issuer, address, verdict });
        self.reply(over, request, verdict);
    }

    pub(super) fn reply(&mut self, over: Transport, request: u32, verdict: Verdict) {
        let reply = NotifyReply { request, verdict };
        if self.state.replies.iter().any(|(_, waiting)| *waiting == reply) {
            return;
        }
        if self.state.replies.push_back((over, reply)).is_err() {
            // The server asks again, and gets the remembered word then.
            self.state.counters.discard(Discard::TableFull);
        }
    }

    /// Opens an offer and fills a slot for it. The last value says that the slot is parked.
    fn consider(
        &mut self,
        over: Transport,
        notify: &ConnectNotify<'_>,
    ) -> Result<(EquipmentId, Verdict, bool), Reason> {
        let now = self.state.now;
        if notify.offer.len() != OFFER_LEN {
            return Err(Reason::BadOffer);
        }
        let address = dial_address(self.state.addresses, notify.issuer)?;
        if !self.state.admission.has_memory(now) {
            return Err(Reason::Busy);
        }
        let index =
            self.slots.iter().position(|slot| slot.stage == Stage::Free).ok_or(Reason::Busy)?;
        let ephemeral = self.draw().secret().map_err(|_| Reason::Busy)?;
        let mut plain = [0; OFFER_BODY];
        let (responder, who) = Responder::read(
            NoiseLink::Peer,
            &self.state.equipment.key,
            ephemeral,
            notify.offer,
            &mut plain,
        )
        .ok_or(Reason::BadOffer)?;
        let who = EquipmentId(who);
        let offer = read_padded_body::<Offer>(&plain).ok_or(Reason::BadOffer)?;
        zeroize::Zeroize::zeroize(&mut plain);
        let entry = self.state.admission.entry(now, who, &offer)?;
        if !self.state.admission.may_dial(now, entry) {
            return Err(Reason::Busy);
        }
        let (matches, park) = match entry {
            Entry::Paired | Entry::Open => (true, false),
            Entry::Password(information) => self.state.admission.try_password(now, &information),
        };
        let verdict =
            if matches { Verdict::Accepted } else { Verdict::Declined(Reason::WrongPassword) };
        if matches || park {
            self.fill(index, over, notify, address, responder, who, &offer, entry)
                .ok_or(Reason::Busy)?;
        }
        if park {
            let slot = self.slots.get_mut(index).ok_or(Reason::Busy)?;
            slot.verdict = verdict;
            slot.enter(Stage::Parked, Some(now.after(PARK)));
        } else if matches {
            self.dial(index);
        }
        Ok((who, verdict, park))
    }

    /// Writes the communication request and the session into a slot.
    #[expect(clippy::too_many_arguments, reason = "one call, which only splits `consider`")]
    fn fill(
        &mut self,
        index: usize,
        over: Transport,
        notify: &ConnectNotify<'_>,
        address: SocketAddr,
        responder: Responder,
        who: EquipmentId,
        offer: &Offer,
        entry: Entry,
    ) -> Option<()> {
        let paired = entry == Entry::Paired;
        let early_key = if paired { self.state.admission.policy.early_key } else { None };
        let mut payload = [0; ANSWER_BODY];
        write_body(&Accept { early_key }, &mut payload)?;
        let handle = name(self.slots, index).to_handle();
        let slot = self.slots.get_mut(index)?;
        let (head, noise) = slot.answer.split_at_mut_checked(6 + TAG_LEN)?;
        let root = responder.answer(&payload, noise)?;
        // The tag lets the issuer find its request; it covers our ephemeral key, so that no byte
        // of it is the issuer's choice (T13).
        let tag = mac::tag(&offer.punch_key, &[noise.get(..32)?]);
        let mut writer = Writer::new(head);
        writer.put(&[Kind::Answer as u8, 0]);
        writer.put(&handle.to_be_bytes());
        writer.put(&tag);
        let stream = StreamId {
            index: u16::try_from(index).ok()?.checked_add(1)?,
            generation: slot.generation,
        };
        let path = Path::Stream { stream, remote: address };
        slot.peer = Some(Peer::new(self.state.now, who, root, Direction::Down, offer.index, path));
        slot.request = notify.request;
        slot.over = over;
        slot.address = Some(notify.issuer);
        slot.by_password = matches!(entry, Entry::Password(_));
        Some(())
    }

    fn dial(&mut self, index: usize) {
        let now = self.state.now;
        let Some(slot) = self.slots.get_mut(index) else { return };
        slot.enter(Stage::Dialling, Some(now.after(DIAL)));
        if let Some(Path::Stream { stream, remote }) = slot.peer.as_ref().map(|peer| peer.path) {
            self.state.command(Command::Connect { stream, remote });
        }
    }

    /// The count of password tries is on stable storage: act upon what was parked.
    pub(super) fn act_on_persisted(&mut self) {
        self.state.admission.persisted();
        for index in 0..self.slots.len() {
            let Some(slot) = self.slots.get_mut(index) else { continue };
            if slot.stage != Stage::Parked {
                continue;
            }
            let (over, request, verdict) = (slot.over, slot.request, slot.verdict);
            let issuer = slot.peer.as_ref().map(|peer| peer.id);
            let address = slot.address;
            if verdict == Verdict::Accepted {
                self.dial(index);
            } else {
                slot.free();
            }
            if let Some(address) = address {
                self.decide(over, request, issuer, address, verdict);
            }
        }
    }

    /// A transport message of an issuer.
    fn peer_message<'d>(
        &mut self,
        kind: Kind,
        message: &'d mut [u8],
        stream: Option<StreamId>,
    ) -> Result<Received<'d>, Discard> {
        let header = crate::session::Header::parse(kind, message).ok_or(Discard::Malformed)?;
        let connection = ConnectionId::from_handle(header.receiver);
        let now = self.state.now;
        let slot =
            super::connection::find(self.slots, connection).map_err(|_| Discard::UnknownSession)?;
        if slot.stream() != stream
            || !matches!(slot.stage, Stage::Answering | Stage::Unconfirmed | Stage::Open)
        {
            return Err(Discard::UnknownSession);
        }
        let unconfirmed = slot.stage != Stage::Open;
        let peer = slot.peer.as_mut().ok_or(Discard::UnknownSession)?;
        let opened = peer.open(now, kind, message)?;
        let (id, path) = (peer.id, peer.path);
        if unconfirmed {
            let by_password = slot.by_password;
            slot.enter(Stage::Open, None);
            if by_password {
                self.state.admission.confirmed();
            }
            self.state.event(AcceptorEvent::Connected { connection, peer: id, path });
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

    /// Frees a slot, closes its stream and tells the application.
    pub(super) fn end(&mut self, index: usize, cause: CloseCause) {
        let connection = name(self.slots, index);
        let Some(slot) = self.slots.get_mut(index) else { return };
        let told = slot.stage == Stage::Parked;
        let stream = slot.stream();
        let dialled = matches!(slot.stage, Stage::Dialling | Stage::Answering);
        let (over, request) = (slot.over, slot.request);
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
        self.state.event(AcceptorEvent::Closed { connection, cause });
    }

    /// A stream changed its state.
    pub(super) fn stream_state(&mut self, stream: StreamId, state: StreamState) {
        let now = self.state.now;
        if self.state.stream.stream == Some(stream) {
            match state {
                StreamState::Connected => {
                    if self.start(Transport::Stream).is_err() {
                        self.server_stream_lost();
                    }
                }
                StreamState::Closed => self.server_stream_lost(),
            }
            return;
        }
        let found = self.slots.iter().position(|slot| {
            slot.stage != Stage::Free
                && slot.stage != Stage::Parked
                && slot.stream() == Some(stream)
        });
        let Some(index) = found else { return };
        match state {
            StreamState::Connected => {
                if let Some(slot) = self.slots.get_mut(index)
                    && slot.stage == Stage::Dialling
                {
                    slot.enter(Stage::Answering, Some(now.after(CONFIRM)));
                }
            }
            StreamState::Closed => self.end(index, CloseCause::PathLost),
        }
    }

    /// A stream brought something that is no frame.
    pub(super) fn stream_failed(&mut self, stream: StreamId) {
        self.state.command(Command::Shutdown { stream });
        self.stream_state(stream, StreamState::Closed);
    }

    fn server_stream_lost(&mut self) {
        self.drop_stream();
        let registration = &self.state.registration;
        if registration.over == Transport::Stream && registration.stage != Registered::Left {
            self.lost();
        }
    }

    /// The registration is gone: try again after a while.
    pub(super) fn lost(&mut self) {
        let jitter = self.draw().jitter();
        let was = self.state.registration.stage;
        self.state.registration.back_off(self.state.now, jitter);
        self.state.registration.over = Transport::Datagram;
        if was == Registered::Registered {
            self.state.event(AcceptorEvent::RegistrationLost);
        }
    }

    /// The deadline of the link over datagrams may have passed.
    pub(super) fn expire_datagram_link(&mut self) {
        let now = self.state.now;
        let state = &mut *self.state;
        let mut rng = Draw { source: self.entropy, hedge: &mut state.hedge };
        match state.datagram.expire(now, &mut rng) {
            Expiry::Pending => {}
            Expiry::Unanswered => {
                let idle = state.stream.stream.is_none();
                if state.registration.fallback && idle && !state.datagram.is_up() {
                    self.open_stream();
                }
            }
            Expiry::Failed => {
                if self.state.registration.over == Transport::Datagram {
                    self.lost();
                } else {
                    // Registered over TCP: look for UDP again later.
                    let jitter = self.draw().jitter();
                    self.state.registration.retry_datagram(now, jitter);
                }
            }
        }
    }

    /// The registration's own deadline has passed.
    pub(super) fn expire_registration(&mut self) {
        let now = self.state.now;
        match self.state.registration.stage {
            Registered::Waiting => self.attempt(),
            Registered::Trying if self.state.registration.is_resuming() => {
                if self.state.registration.tries < TRIES {
                    self.state.registration.again(Due::Resume);
                } else {
                    self.state.registration.forget_kept_session();
                    self.attempt();
                }
            }
            Registered::Trying | Registered::Registered => {
                if self.state.registration.tries >= TRIES {
                    self.give_session_up();
                } else if self.state.registration.stage == Registered::Trying {
                    self.state.registration.again(Due::Register);
                } else {
                    self.state.registration.next_due();
                }
                if self.state.registration.take_fresh(now) {
                    // The session that stands stays until the new one does.
                    if let Err(reason) = self.start(Transport::Datagram) {
                        self.state.counters.discard(reason);
                    }
                }
            }
            Registered::Left => self.state.registration.deadline = None,
        }
    }

    fn give_session_up(&mut self) {
        if self.state.registration.over == Transport::Stream {
            return self.server_stream_lost();
        }
        if self.state.registration.stage == Registered::Registered {
            self.state.event(AcceptorEvent::RegistrationLost);
        }
        self.state.registration.stage = Registered::Waiting;
        self.attempt();
    }

    /// Begins an attempt: the kept session first, a handshake otherwise.
    fn attempt(&mut self) {
        let now = self.state.now;
        self.state.registration.over = Transport::Datagram;
        if self.state.registration.is_resuming()
            && let Ok(nonce) = self.draw().public()
            && self.state.registration.resume(nonce)
        {
            return;
        }
        self.state.registration.stage = Registered::Trying;
        self.state.registration.say(Due::Nothing);
        if let Err(reason) = self.start(Transport::Datagram) {
            self.state.counters.discard(reason);
            let jitter = self.draw().jitter();
            self.state.registration.back_off(now, jitter);
        }
    }

    pub(super) fn deregister(&mut self) {
        let session = self.state.datagram.is_up() || self.state.stream.is_up();
        self.state.registration.stage = Registered::Left;
        self.state.registration.say(if session { Due::Deregister } else { Due::Nothing });
        self.state.datagram.stop();
    }
}

const _: () = assert!(ANSWER_LEN == 6 + TAG_LEN + crate::wire::IK2_OVERHEAD + ANSWER_BODY);

/// Length of a body for the server in a transport message.
pub(crate) fn transport_len<T: serde::Serialize>(body: &T) -> usize {
    body_len(body).saturating_add(crate::wire::TRANSPORT_OVERHEAD)
}
