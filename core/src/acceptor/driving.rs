//! Keeping the registration up: attempts, links, losses and what follows from them.
//!
//! Datagrams are tried first and again whenever they failed; a TCP connection to the server is opened
//! when they stay unanswered, and to fetch a request that the acceptor was woken for.

use core::time::Duration;

use super::connection::{NO_REQUEST, Stage};
use super::queue::News;
use super::registration::{Due, Stage as Registered, TRIES};
use super::{Acceptor, ConnectionSlot, View};
use crate::crypto::keys::{Direction, fingerprint};
use crate::entropy::{Draw, Entropy};
use crate::id::StreamId;
use crate::link::{Expiry, Progress, ServerAddress, Transport};
use crate::machine::{Command, Discard};
use crate::session::keepalive::Keepalive;
use crate::time::Instant;
use crate::wire::Kind;
use crate::wire::message::{Hello, PeerMessage, Role};

/// How long fetching a request over TCP may take.
const FETCH: Duration = Duration::from_secs(10);

impl<S: AsRef<[ConnectionSlot]> + AsMut<[ConnectionSlot]>, E: Entropy> Acceptor<S, E> {
    /// The server is elsewhere from now on: what stands with it, or was begun, falls, and the acceptor
    /// registers there at once. Certificate and connections stay.
    pub fn set_server_address(&mut self, now: Instant, server: ServerAddress) {
        self.view(now).set_server_address(server);
    }
}

impl View<'_> {
    /// Begins an attempt: the kept session first, a handshake otherwise.
    pub(super) fn attempt(&mut self) {
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
        }
    }

    /// Begins a handshake on a link. There is room for one: that over TCP goes first, and where datagrams
    /// pass after all, they take over from it a few seconds later.
    pub(super) fn start(&mut self, over: Transport) -> Result<(), Discard> {
        if over == Transport::Stream && self.state.datagram.is_shaking() {
            self.shake(Transport::Datagram, false)?;
        }
        self.shake(over, !self.state.stream.is_shaking())
    }

    #[inline(never)]
    fn shake(&mut self, over: Transport, room: bool) -> Result<(), Discard> {
        let now = self.state.now;
        let time = self.state.equipment.wall_clock(now).unwrap_or(0);
        let hello = Hello { role: Role::Acceptor, time, early: None };
        let super::State { datagram, stream, equipment, hedge, .. } = &mut *self.state;
        let mut rng = Draw { source: self.entropy, hedge };
        let link = match over {
            Transport::Datagram => datagram,
            Transport::Stream => stream,
        };
        let begun = link.start(now, equipment, &mut rng, room.then_some(&hello));
        if begun.is_err() {
            // No entropy, say. Whatever was to come of it must be tried again later.
            match over {
                Transport::Stream => self.server_stream_lost(),
                // A fresh session was due, and the old one is still good.
                Transport::Datagram if self.state.registration.stage == Registered::Registered => {
                    self.state.registration.fresh_later(now);
                }
                Transport::Datagram => self.lost(),
            }
        }
        begun
    }

    pub(super) fn progress(&mut self, over: Transport, progress: Progress) -> Result<(), Discard> {
        match progress {
            Progress::Waiting => Ok(()),
            Progress::Certified => {
                if core::mem::take(&mut self.state.equipment.changed) {
                    self.state.event(News::Certificate);
                }
                self.start(over)
            }
            Progress::Up(_) => {
                self.session_up(over);
                Ok(())
            }
        }
    }

    pub(super) fn session_up(&mut self, over: Transport) {
        let (now, jitter) = (self.state.now, self.draw().jitter());
        if self.state.registration.stage == Registered::Left {
            return self.drop_stream(); // It has left meanwhile, and stays away.
        }
        if over == Transport::Stream && self.state.registration.fetching.is_some() {
            return; // This stream is for fetching; outbound.rs says what is due on it.
        }
        if over == Transport::Stream && self.state.registration.is_over_datagrams() {
            return self.drop_stream(); // Datagrams came through after all.
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
            match over {
                Transport::Datagram => {
                    state.registration.datagram_at = None;
                    let keys = [Direction::Up, Direction::Down].map(|way| root.keepalive(way));
                    if let Some(command) = state.puncher.gauge.stop_watch() {
                        state.command(command);
                    }
                    state.puncher.session_up(keys);
                    // Numbers of requests are the server's, which may be another one.
                    let open = self.slots.iter_mut().filter(|slot| slot.stage == Stage::Open);
                    open.for_each(|slot| slot.request = NO_REQUEST);
                }
                Transport::Stream => state.registration.retry_datagram(now, jitter),
            }
        }
    }

    /// While registered over TCP: tries datagrams from time to time, until they pass.
    pub(super) fn look_for_datagrams(&mut self) {
        let now = self.state.now;
        let due = self.state.registration.datagram_at.take_if(|at| now >= *at).is_some();
        if !due || self.state.registration.over != Transport::Stream {
            return;
        }
        let jitter = self.draw().jitter();
        self.state.registration.retry_datagram(now, jitter);
        if self.state.registration.stage == Registered::Registered
            && let Err(reason) = self.start(Transport::Datagram)
        {
            self.state.counters.discard(reason);
        }
    }

    /// Tells the application of a session that it may keep, once for each root: a session is made
    /// anew daily and its root goes on in between, and an older one brings nothing back.
    pub(super) fn announce_session(&mut self, over: Transport) {
        let session = self.state.datagram.session.as_ref();
        let print = session.map_or(0, |session| {
            let [a, b, c, d, e, f, g, h, ..] = fingerprint(&session.root().0);
            u64::from_be_bytes([a, b, c, d, e, f, g, h])
        });
        if over == Transport::Datagram && print != self.state.registration.announced {
            self.state.registration.announced = print;
            self.state.event(News::Resumable);
        }
    }

    /// The server does not know our session: shake hands again, but keep the old one meanwhile.
    pub(super) fn hint(&mut self, over: Transport, message: &[u8]) -> Result<(), Discard> {
        let (hint, tag) = Keepalive::parse(Kind::Hint, message).ok_or(Discard::Malformed)?;
        let registration = &mut self.state.registration;
        let resume = registration.is_resuming() && registration.last.is_some();
        let expected = registration.last.ok_or(Discard::Unexpected)?;
        if over != Transport::Datagram || expected != (hint.counter, tag) {
            return Err(Discard::Unauthentic);
        }
        if registration.stage == Registered::Left {
            return Err(Discard::Unexpected);
        }
        registration.last = None;
        registration.due = Due::Nothing;
        registration.deadline = None;
        if resume {
            registration.forget_kept_session();
        }
        let was = core::mem::replace(&mut registration.stage, Registered::Trying);
        if was == Registered::Registered {
            self.state.event(News::RegistrationLost);
        }
        self.start(Transport::Datagram)
    }

    /// Third connection request: fetch the second one over a TCP connection.
    pub(super) fn wake(&mut self, request: u32) {
        if self.state.registration.fetching == Some(request) {
            return;
        }
        if self.state.registration.over == Transport::Stream {
            // It came over the very stream that a notification could have come over.
            return;
        }
        if self.state.registration.fetching.is_some() {
            // One after the other. Where no room is left, the server wakes again.
            self.state.registration.fetch_later(request);
            return;
        }
        self.drop_stream();
        self.fetch(request);
        self.open_stream();
    }

    fn fetch(&mut self, request: u32) {
        let until = self.state.now.after(FETCH);
        self.state.registration.fetch(Some(request), Some(until));
    }

    /// A request has been fetched and replied to: the next one goes over the same connection.
    pub(super) fn fetch_next(&mut self) {
        match self.state.registration.wakes.pop_front() {
            Some(request) => self.fetch(request),
            None => self.drop_stream(),
        }
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
        self.state.stream.reset(&mut self.state.equipment);
        self.state.registration.fetch(None, None);
    }

    pub(super) fn server_stream_lost(&mut self) {
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
            self.state.event(News::RegistrationLost);
        }
    }

    pub(super) fn give_session_up(&mut self) {
        if self.state.registration.over == Transport::Stream {
            return self.server_stream_lost();
        }
        if self.state.registration.stage == Registered::Registered {
            self.state.event(News::RegistrationLost);
        }
        self.state.registration.stage = Registered::Waiting;
        self.attempt();
    }

    pub(super) fn set_server_address(&mut self, server: ServerAddress) {
        self.state.equipment.server = server;
        // Numbers of requests are a server's own: nothing about the former one's is said to this one.
        self.state.replies.clear();
        self.slots.iter_mut().for_each(|slot| slot.request = NO_REQUEST);
        self.drop_stream();
        self.state.datagram.reset(&mut self.state.equipment);
        if self.state.registration.stage != Registered::Left {
            self.state.registration.over = Transport::Datagram;
            self.give_session_up();
        }
    }

    /// The deadline of the link over datagrams may have passed.
    pub(super) fn expire_datagram_link(&mut self) {
        let now = self.state.now;
        let state = &mut *self.state;
        let mut rng = Draw { source: self.entropy, hedge: &mut state.hedge };
        match state.datagram.expire(now, &mut state.equipment, &mut rng) {
            Expiry::Pending => {}
            Expiry::Unanswered => {
                let idle = state.stream.stream.is_none();
                let trying = state.registration.stage == Registered::Trying;
                if state.registration.fallback && idle && trying {
                    self.open_stream();
                }
            }
            Expiry::Failed => {
                let registration = &mut self.state.registration;
                if registration.stage == Registered::Registered
                    && registration.over == Transport::Datagram
                {
                    // Only a fresh session did not come about; the one that stands stays.
                    registration.fresh_later(now);
                } else if registration.over == Transport::Datagram {
                    let registration = &self.state.registration;
                    let trying = registration.stage == Registered::Trying;
                    // Not even the certificate came: a device without one turns to TCP here.
                    let turn = registration.fallback && trying;
                    let idle = self.state.stream.stream.is_none();
                    self.lost();
                    if turn && idle {
                        self.open_stream();
                    }
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

    pub(super) fn set_early_key(&mut self, key: [u8; 16]) {
        self.state.admission.early_key = Some(key);
        self.state.registration.told_key = false;
        if self.state.registration.stage == Registered::Registered {
            self.state.registration.say(Due::Register);
        }
        for slot in self.slots.iter_mut().filter(|slot| slot.stage == Stage::Open) {
            if let Some(peer) = &mut slot.peer
                && self.state.admission.is_paired(peer.id)
            {
                peer.say(PeerMessage::EarlyKey(key));
            }
        }
    }

    pub(super) fn deregister(&mut self) {
        let session = self.state.datagram.is_up() || self.state.stream.is_up();
        self.state.registration.stage = Registered::Left;
        self.state.registration.forget_kept_session();
        self.state.registration.datagram_at = None;
        if !self.state.stream.is_up() {
            self.drop_stream();
        }
        self.state.registration.say(if session { Due::Deregister } else { Due::Nothing });
        self.state.datagram.stop(&mut self.state.equipment);
    }
}
