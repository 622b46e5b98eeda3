//! How the two ends of a request meet over TCP, where no hole is punched.
//!
//! ```text
//! accepted ─► Call to both ─► a Detect from each, in a connection of its own ─► Call{peer} to both
//! ```
//!
//! Where such a connection comes from is where its end's NAT lets the peer in, once both ends have
//! called. It is believed by the key of the session that the end speaks over, once for each counter,
//! and from that session's IP address alone: nobody has an end called anywhere else (threat T11).
//! What is said in datagrams may be lost, so it is said three times.

use core::time::Duration;

use super::clients::Use;
use super::outbound::Out;
use super::punch::{MEETING, place};
use super::requests::{Meeting, Stage, Via, find};
use super::streams::{Due, find as find_stream};
use super::{StreamSlot, View};
use crate::addr::Endpoint;
use crate::id::StreamId;
use crate::machine::Discard;
use crate::punch::End;
use crate::time::Instant;
use crate::wire::TAG_LEN;
use crate::wire::message::{Call, Role, ToEquipment, capability};
use crate::wire::punch::{CALLS, Detect};

/// First repetition of a word; doubles.
const SAY_AGAIN: Duration = Duration::from_millis(500);
/// How often a word is said.
const SAY: u8 = 3;

/// What is known of a request's two ends, issuer and acceptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calls {
    /// The connections that they have shown themselves with, which may have ended since.
    seen: [Option<StreamId>; 2],
    /// How often what is to be said now was said; 0: nothing was.
    said: u8,
    /// When it is said again.
    pub(super) at: Option<Instant>,
}

impl Calls {
    pub(super) const NONE: Self = Self { seen: [None; 2], said: 0, at: None };

    /// What an end has shown itself with.
    fn sight(&self, end: End) -> Option<StreamId> {
        self.seen.get(place(end)).copied().flatten()
    }

    /// Whether both ends have.
    fn is_complete(&self) -> bool {
        !self.seen.contains(&None)
    }
}

#[cfg(feature = "inspect")]
impl Calls {
    /// For [`Inspect`](crate::inspect::Inspect).
    pub(super) fn inspect(&self, see: &mut dyn FnMut(u64)) {
        let known = [End::Issuer, End::Acceptor].map(|end| self.sight(end).is_some());
        see(crate::inspect::bits(known) << 8 | u64::from(self.said));
        see(crate::inspect::time(self.at));
    }
}

/// What an end of a request speaks over.
struct Line {
    via: Via,
    observed: Endpoint,
    key: [u8; 16],
    can: bool,
}

impl View<'_> {
    /// Lets both ends show where they come from, when the request is accepted, both can, and no hole
    /// is, or will be, punched.
    pub(super) fn call(&mut self, index: usize) {
        let Some(slot) = self.requests.get(index) else { return };
        let over_tcp = match slot.meeting {
            Meeting::Hopeless(..) => true,
            // More may be known of their NATs soon.
            Meeting::None => !self.is_shaking(index) && self.parties(index).is_none(),
            Meeting::Under(_) | Meeting::Over => false,
        };
        if slot.stage != Stage::Accepted || slot.calls.said > 0 || !over_tcp {
            return;
        }
        let lines = [End::Issuer, End::Acceptor].map(|end| self.line(index, end));
        let [Some(issuer), Some(acceptor)] = lines else { return };
        let one_family = issuer.observed.is_ipv4() == acceptor.observed.is_ipv4();
        if issuer.can && acceptor.can && one_family {
            let until = self.state.now.after(MEETING);
            if let Some(slot) = self.requests.get_mut(index) {
                slot.until = slot.until.max(until);
            }
            self.say_call(index);
        }
    }

    /// Says what is to be said now, to whom it is not known that it has heard.
    fn say_call(&mut self, index: usize) {
        let (number, holds) = (self.number(index), self.holds(index));
        let Some(slot) = self.requests.get_mut(index) else { return };
        if !holds {
            return;
        }
        let calls = &mut slot.calls;
        let (first, pause) = (calls.said == 0, SAY_AGAIN.saturating_mul(1 << calls.said.min(4)));
        calls.said = calls.said.saturating_add(1);
        calls.at = (calls.said < SAY).then(|| self.state.now.after(pause));
        let calls = *calls;
        for end in [End::Issuer, End::Acceptor] {
            if calls.sight(end).is_some() && !calls.is_complete() {
                continue;
            }
            match self.line(index, end).map(|line| line.via) {
                // Nothing is lost over TCP.
                Some(Via::Stream(_)) if !first => {}
                Some(via) => self.tell_call(number, end, via),
                None => {}
            }
        }
        self.arm(index);
    }

    fn tell_call(&mut self, number: u32, end: End, via: Via) {
        match via {
            Via::Client(at) => self.state.send(Out::Call(number, end, at)),
            Via::Stream(stream) => {
                if let Some(slot) = find_stream(self.streams, stream) {
                    let _full = slot.due.push_back(Due::Call(number, end));
                }
            }
        }
    }

    /// The issuer has asked again, maybe in another session: the word before may be lost.
    pub(super) fn call_again(&mut self, index: usize) {
        let Some(slot) = self.requests.get(index) else { return };
        if slot.calls.said > 0 && !matches!(slot.meeting, Meeting::Over) {
            self.tell_call(self.number(index), End::Issuer, slot.from);
        }
    }

    /// Time has passed for a request's calls.
    pub(super) fn expire_calls(&mut self, index: usize) {
        let now = self.state.now;
        let Some(slot) = self.requests.get_mut(index) else { return };
        let due = slot.calls.at.take_if(|at| now >= *at).is_some();
        if due && slot.stage == Stage::Accepted && !matches!(slot.meeting, Meeting::Over) {
            self.say_call(index);
        }
    }

    /// The word for an end.
    pub(super) fn call_for(&self, index: usize, end: End) -> Option<ToEquipment<'static>> {
        let request = self.number_for(index, end)?;
        let peer = if self.requests.get(index)?.calls.is_complete() {
            let observed = self.line(index, end.other())?.observed;
            Some(self.shown(index, end.other()).filter(|&shown| observed.shares_ip(shown))?)
        } else {
            None
        };
        self.holds(index).then_some(ToEquipment::Call(Call { request, peer }))
    }

    /// Where an end's connection comes from, as long as it stands.
    fn shown(&self, index: usize, end: End) -> Option<Endpoint> {
        let stream = self.requests.get(index)?.calls.sight(end)?;
        let slot = self.streams.get(usize::from(stream.index))?;
        slot.remote.filter(|_| slot.generation == stream.generation)
    }

    /// Whether the ends that have shown themselves still hold their ports: nobody calls from another,
    /// so there is nothing more to say otherwise.
    fn holds(&self, index: usize) -> bool {
        let calls = self.requests.get(index).map(|slot| slot.calls);
        [End::Issuer, End::Acceptor].into_iter().all(|end| {
            calls.is_none_or(|calls| calls.sight(end).is_none()) || self.shown(index, end).is_some()
        })
    }

    /// Whether the issuer makes a new session, in which it will say what it can do.
    fn is_shaking(&self, index: usize) -> bool {
        match self.requests.get(index).map(|slot| slot.from) {
            Some(Via::Client(at)) => self.shakes(at),
            _ => false,
        }
    }

    /// What an end of a request speaks over.
    fn line(&self, index: usize, end: End) -> Option<Line> {
        let slot = self.requests.get(index)?;
        let (via, id, role) = match end {
            End::Issuer => (slot.from, slot.issuer, Role::Issuer),
            End::Acceptor => {
                let at = self.state.index.find(self.clients, &slot.target, Role::Acceptor)?;
                let client = self.clients.get(at).filter(|client| client.registered)?;
                let stream = client.stream.filter(|_| client.over_stream || !client.has_place);
                let via = match stream {
                    Some(stream) => Via::Stream(self.stream_id(usize::from(stream))?),
                    None => Via::Client(at),
                };
                (via, slot.target, Role::Acceptor)
            }
        };
        let line = match via {
            Via::Client(at) => {
                let client = self.clients.get(at).filter(|client| client.usage == Use::Live)?;
                let can = client.capabilities & capability::CALL != 0;
                let (observed, key) = (client.address()?, client.keepalive_up);
                (client.id, client.role, Line { via, observed, key, can })
            }
            Via::Stream(stream) => {
                let at = usize::from(stream.index);
                let slot: &StreamSlot = self.streams.get(at)?;
                let (observed, key) = (slot.remote?, slot.keepalive_up);
                if slot.generation != stream.generation || slot.session.is_none() {
                    return None;
                }
                let capabilities = match slot.client.and_then(|at| self.clients.get(at)) {
                    Some(client) => client.capabilities,
                    None => slot.capabilities,
                };
                let can = capabilities & capability::CALL != 0;
                (slot.id, slot.role, Line { via, observed, key, can })
            }
        };
        let (who, as_what, line) = line;
        (who == id && as_what == role).then_some(line)
    }

    /// An issuer says over TCP what it can do.
    pub(super) fn stream_can(&mut self, stream: StreamId, bits: u32) -> Result<(), Discard> {
        let slot = find_stream(self.streams, stream).ok_or(Discard::UnknownSession)?;
        slot.capabilities = bits;
        for index in 0..self.requests.len() {
            if self.requests.get(index).is_some_and(|slot| slot.from == Via::Stream(stream)) {
                self.call(index);
            }
        }
        Ok(())
    }

    /// A Detect as the first frame of a connection from `remote`.
    pub(super) fn sighted(
        &mut self,
        stream: StreamId,
        remote: Endpoint,
        message: &[u8],
    ) -> Result<(), Discard> {
        let (detect, tag) = Detect::parse(message).ok_or(Discard::Malformed)?;
        if detect.which != CALLS {
            return Err(Discard::Malformed);
        }
        self.proven_allowed(remote)?;
        let (index, end, line) = self.whose(&detect, &tag).ok_or(Discard::Unauthentic)?;
        if !line.observed.shares_ip(remote) {
            return Err(Discard::ForbiddenAddress);
        }
        let window = match line.via {
            Via::Client(at) => self.clients.get_mut(at).map(|slot| slot.take(detect.counter)),
            Via::Stream(stream) => find_stream(self.streams, stream)
                .and_then(|slot| slot.session.as_mut())
                .map(|session| session.take(detect.counter)),
        };
        if window != Some(true) {
            return Err(Discard::Replayed);
        }
        let slot = self.requests.get_mut(index).ok_or(Discard::Unexpected)?;
        if slot.calls.said == 0 || slot.stage != Stage::Accepted {
            return Err(Discard::Unexpected);
        }
        // Once for a request, so that nobody has words said to the other end without end.
        match slot.calls.seen.get_mut(place(end)) {
            Some(seen @ None) => *seen = Some(stream),
            _ => return Err(Discard::Unexpected),
        }
        if slot.calls.is_complete() {
            slot.calls.said = 0;
            self.say_call(index);
        }
        Ok(())
    }

    /// The request and end that a Detect is for, by its key: an acceptor names our number, an issuer
    /// its own, which others may have chosen, too.
    fn whose(&self, detect: &Detect, tag: &[u8; TAG_LEN]) -> Option<(usize, End, Line)> {
        let theirs = |index: usize, end: End| {
            let line = self.line(index, end)?;
            crate::crypto::equal(&detect.tag(&line.key), tag).then_some((index, end, line))
        };
        let ours = find(self.requests, detect.request);
        ours.and_then(|index| theirs(index, End::Acceptor)).or_else(|| {
            let mut named = (0..self.requests.len()).filter(|&index| {
                let slot = self.requests.get(index);
                slot.is_some_and(|slot| {
                    slot.stage == Stage::Accepted && slot.request == detect.request
                })
            });
            named.find_map(|index| theirs(index, End::Issuer))
        })
    }
}
