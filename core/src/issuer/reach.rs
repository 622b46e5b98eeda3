//! Reaching the server: which links are made, raced, lost and made again.

use core::time::Duration;

use super::request::{ConnectionSlot, REPEAT, Stage};
use super::{FailCause, INBOUND, IssuerEvent, Listener, RequestTransport, State, View};
use crate::crypto::keys::Direction;
use crate::entropy::Draw;
use crate::id::{SocketId, StreamId};
use crate::link::{Expiry, Progress, Transport};
use crate::machine::{Command, Discard};
use crate::session::keepalive::Keepalive;
use crate::wire::Kind;
use crate::wire::message::{Hello, Role, Welcome};

/// How much later than UDP the TCP link starts (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);
/// How soon a link that failed is made again while a request waits.
const AGAIN: Duration = Duration::from_millis(500);
/// How long an idle session with the server is kept for the next request.
pub(super) const WARM: Duration = Duration::from_secs(60);

impl View<'_> {
    /// Starts the links that are wanted and not under way.
    pub(super) fn reach_server(&mut self) {
        let state = &mut *self.state;
        let by_hole = self.slots.iter().any(|slot| slot.is_asking() && state.by_hole(slot));
        if state.datagram.is_up() || state.stream.is_up() && !by_hole {
            return;
        }
        let datagram = state.transport != RequestTransport::Stream;
        let fresh = !state.datagram.is_trying() && state.stream.stream.is_none();
        if datagram && !state.datagram.is_trying() {
            self.start(Transport::Datagram);
        }
        match self.state.transport {
            RequestTransport::Datagram => {}
            // Nobody could dial back for what went over TCP.
            _ if self.state.listener == Listener::Failed => {}
            RequestTransport::Race if fresh => {
                self.state.retry_at = Some(self.state.now.after(HEAD_START));
            }
            RequestTransport::Race | RequestTransport::Stream => {
                if self.state.stream.stream.is_none() {
                    self.open_stream();
                }
            }
        }
    }

    pub(super) fn open_stream(&mut self) {
        let state = &mut *self.state;
        state.stream_generation = state.stream_generation.wrapping_add(1);
        let stream = StreamId { index: 0, generation: state.stream_generation };
        state.stream.opening(state.now, stream);
        let remote = state.equipment.server.stream;
        state.command(Command::Connect { stream, remote });
    }

    pub(super) fn drop_stream(&mut self) {
        if let Some(stream) = self.state.stream.stream {
            self.state.command(Command::Shutdown { stream });
        }
        self.state.stream.reset(&mut self.state.equipment);
    }

    /// Begins a handshake. With a certificate and a clock the first waiting request goes along.
    pub(super) fn start(&mut self, over: Transport) {
        let now = self.state.now;
        let clock = self.state.equipment.wall_clock(now);
        let ready = clock.is_some() && self.state.equipment.server_key().is_some();
        let dial_back = self.state.dial_back(over);
        for slot in self.slots.iter_mut() {
            slot.early &= over != Transport::Datagram;
        }
        let mut first = self.slots.iter_mut().find(|slot| {
            let may = over == Transport::Datagram && self.state.may_go(over, slot);
            ready && may && slot.is_asking() && slot.due
        });
        if let Some(slot) = &mut first {
            slot.early = true;
        }
        let early = first.map(|slot| slot.connect(dial_back));
        let hello = Hello { role: Role::Issuer, time: clock.unwrap_or(0), early };
        let State { datagram, stream, equipment, hedge, .. } = &mut *self.state;
        let mut rng = Draw { source: self.entropy, hedge };
        let link = match over {
            Transport::Datagram => datagram,
            Transport::Stream => stream,
        };
        if let Err(reason) = link.start(now, equipment, &mut rng, Some(&hello)) {
            self.state.counters.discard(reason);
            self.state.retry_at = Some(now.after(AGAIN));
        }
    }

    pub(super) fn progress(&mut self, over: Transport, progress: Progress) {
        match progress {
            Progress::Waiting => {}
            Progress::Certified => {
                if core::mem::take(&mut self.state.equipment.changed) {
                    self.state.event(IssuerEvent::Certificate);
                }
                self.start(over);
            }
            Progress::Up(welcome) => self.session_up(over, &welcome),
        }
    }

    pub(super) fn session_up(&mut self, over: Transport, welcome: &Welcome) {
        self.state.bad_certificate = false;
        let observed = welcome.observed;
        self.state.observed = Some(observed);
        self.state.retry_at = None;
        self.state.unconfirmed = true;
        self.state.ability_due = over == Transport::Stream && self.state.calls();
        let session = match over {
            Transport::Datagram => &self.state.datagram.session,
            Transport::Stream => &self.state.stream.session,
        };
        let keys = session.as_ref().map(|session| {
            [Direction::Up, Direction::Down].map(|way| session.root().keepalive(way))
        });
        let keys = keys.unwrap_or_default();
        match over {
            Transport::Datagram => {
                self.drop_stream();
                self.state.last = None;
                self.state.keys_up[0] = keys[0];
                self.state.key_down = keys[1];
                self.state.puncher.session_up(keys);
                self.state.say_ability();
                self.state.idle_until = Some(self.state.now.after(WARM));
            }
            Transport::Stream => {
                self.state.keys_up[1] = keys[0];
                // Only datagrams punch holes: they go on being tried where the equipment can.
                if self.state.puncher.ability().is_none() {
                    self.state.datagram.stop(&mut self.state.equipment);
                }
            }
        }
        let now = self.state.now;
        for slot in self.slots.iter_mut().filter(|slot| slot.is_asking()) {
            let taken = slot.early && welcome.early_taken && over == Transport::Datagram;
            slot.early = false;
            slot.due = !taken;
            slot.asked |= taken;
            slot.repeat = taken.then(|| now.after(REPEAT.saturating_mul(4)));
        }
        self.state.event(IssuerEvent::ServerReached { over, observed: observed.into() });
    }

    /// A certificate came that is not acceptable. In a datagram it may be anybody's who saw the
    /// question, so the genuine one is still waited for; a TCP connection brings only one.
    pub(super) fn bad_certificate(&mut self, over: Transport) {
        self.state.bad_certificate = true;
        if over == Transport::Datagram {
            return;
        }
        self.drop_stream();
        if !self.state.datagram.is_up() {
            self.state.datagram.stop(&mut self.state.equipment);
            self.state.retry_at = None;
            self.fail_all(FailCause::BadCertificate);
        }
    }

    /// The server does not know our session any more: make a new one, keep the requests.
    pub(super) fn hint(&mut self, over: Transport, message: &[u8]) -> Result<(), Discard> {
        let (hint, tag) = Keepalive::parse(Kind::Hint, message).ok_or(Discard::Malformed)?;
        if over != Transport::Datagram || self.state.last != Some((hint.counter, tag)) {
            return Err(Discard::Unauthentic);
        }
        self.lost(over);
        Ok(())
    }

    /// Our address has changed under a session that stood idle (a NAT has forgotten us), and the
    /// server wants the new one proven. A new handshake does that, and takes a request along.
    pub(super) fn challenge(&mut self, message: &[u8]) -> Result<(), Discard> {
        let (challenge, tag) =
            Keepalive::parse(Kind::Challenge, message).ok_or(Discard::Malformed)?;
        if !self.state.datagram.is_up() || challenge.handle != self.state.datagram.index() {
            return Err(Discard::UnknownSession);
        }
        if !crate::crypto::equal(&challenge.tag(&self.state.key_down), &tag) {
            return Err(Discard::Unauthentic);
        }
        self.renew_session();
        Ok(())
    }

    /// The session over datagrams is of no more use: another is made, raced with TCP as the first was,
    /// when a request waits.
    pub(super) fn renew_session(&mut self) {
        self.lost(Transport::Datagram);
        if self.slots.iter().any(|slot| slot.is_asking()) {
            self.reach_server();
        }
    }

    /// A session with the server is gone.
    pub(super) fn lost(&mut self, over: Transport) {
        match over {
            Transport::Datagram => {
                self.state.datagram.reset(&mut self.state.equipment);
                self.state.last = None;
            }
            Transport::Stream => self.drop_stream(),
        }
        let mut waiting = false;
        for slot in self.slots.iter_mut().filter(|slot| slot.is_asking()) {
            slot.due = true;
            slot.repeat = None;
            waiting = true;
        }
        if waiting {
            self.state.retry_at = Some(self.state.now.after(AGAIN));
        }
    }

    /// No request waits any more: stop what was only for requests.
    pub(super) fn settle(&mut self) {
        if self.slots.iter().any(|slot| slot.is_asking()) {
            return;
        }
        self.state.retry_at = None;
        // A dial-back may overtake the server's Response: the two still punch, beside TCP.
        let beside = |slot: &ConnectionSlot| slot.stage == Stage::Open && slot.is_over_tcp();
        if self.state.puncher.ability().is_none() || !self.slots.iter().any(beside) {
            self.state.datagram.stop(&mut self.state.equipment);
        }
        self.drop_stream();
        if matches!(self.state.listener, Listener::Open(_) | Listener::Asked) {
            self.state.command(Command::Unlisten { socket: SocketId::LISTENER });
        }
        self.state.listener = Listener::Closed;
        for at in 0..INBOUND {
            let Some(inbound) = self.state.inbound.get_mut(at) else { continue };
            if inbound.remote.is_some() && inbound.slot.is_none() {
                inbound.remote = None;
                let generation = inbound.generation;
                let Some(index) = u16::try_from(at).ok().and_then(|at| at.checked_add(1)) else {
                    continue;
                };
                self.state.command(Command::Shutdown { stream: StreamId { index, generation } });
            }
        }
    }

    pub(super) fn expire_links(&mut self) {
        let now = self.state.now;
        let State { datagram, stream, equipment, hedge, .. } = &mut *self.state;
        let mut rng = Draw { source: self.entropy, hedge };
        let datagram = datagram.expire(now, equipment, &mut rng);
        let stream = stream.expire(now, equipment, &mut rng);
        match datagram {
            Expiry::Failed if self.state.stream.is_up() => {} // TCP has carried the request.
            Expiry::Failed => self.lost(Transport::Datagram),
            Expiry::Pending | Expiry::Unanswered => {}
        }
        if stream == Expiry::Failed {
            self.lost(Transport::Stream);
        }
        if self.state.retry_at.take_if(|at| now >= *at).is_some() {
            self.reach_server();
        }
    }
}
