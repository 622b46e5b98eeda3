//! What becomes of a first connection request: looked up, passed on, and answered.

use core::time::Duration;

use super::clients::Use;
use super::outbound::Out;
use super::requests::{Meeting, Stage, Via, find, number};
use super::streams::{Due, find as find_stream};
use super::{Delivery, MOMENT, ServerEvent, View};
use crate::addr::Endpoint;
use crate::crypto::mac;
use crate::id::{EquipmentId, StreamId};
use crate::issuer::early_tag;
use crate::limit::Rate;
use crate::machine::Discard;
use crate::time::{Instant, earliest};
use crate::wire::OFFER_LEN;
use crate::wire::message::{ConnectRequest, Reason, Role, Verdict, capability};

/// First repetition of a notification or wake-up; doubles.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// How often an acceptor is asked.
const ASKS: u8 = 3;
/// How long a request that has been answered is remembered, for repeats.
const LINGER: Duration = Duration::from_secs(10);
/// All strangers' requests to one acceptor.
const STRANGERS: Rate = Rate::new(8, 2_000);
/// Paired issuers' requests to one acceptor.
pub(super) const PAIRED: Rate = Rate::new(16, 250);
/// One issuer's requests.
const PER_ISSUER: Rate = Rate::new(16, 500);
/// All requests to the server.
const ALL: Rate = Rate::new(2_000, 1);

impl View<'_> {
    /// Whether this issuer's request stands already.
    pub(super) fn knows_request(&self, issuer: &EquipmentId, request: u32) -> bool {
        self.request_of(issuer, request).is_some()
    }

    pub(super) fn request_of(&self, issuer: &EquipmentId, request: u32) -> Option<usize> {
        self.requests.iter().position(|slot| {
            slot.stage != Stage::Free && slot.request == request && slot.issuer == *issuer
        })
    }

    /// First connection request from `issuer`, seen at `observed`.
    pub(super) fn connect(
        &mut self,
        from: Via,
        issuer: &EquipmentId,
        observed: Endpoint,
        request: &ConnectRequest<'_>,
    ) -> Result<(), Discard> {
        let offer: [u8; OFFER_LEN] = request.offer.try_into().map_err(|_| Discard::Malformed)?;
        if let Some(index) = self.request_of(issuer, request.request) {
            return self.again(index, from);
        }
        let now = self.state.now;
        if !self.issuer_bucket(from, now) || !self.state.requests.take(now, ALL) {
            return Err(Discard::RateLimited);
        }
        let index = self.request_slot(issuer, observed)?;
        // An issuer states a port; the address is the one that it is seen at (T11).
        let stated = request.issuer;
        let honest = stated.ip().is_unspecified() || stated.shares_ip(observed);
        let slot = self.requests.get_mut(index).ok_or(Discard::TableFull)?;
        slot.stage = Stage::Waiting;
        slot.issuer = *issuer;
        slot.from = from;
        slot.request = request.request;
        slot.target = request.target;
        slot.address = observed.at_port(stated.port());
        slot.until = now.after(self.state.config.refusal_delay);
        slot.offer = offer;
        slot.reason = if honest { Reason::Unknown } else { Reason::ForbiddenAddress };
        if !honest {
            self.state.counters.discard(Discard::ForbiddenAddress);
        }
        let found = honest.then(|| self.lookup(index, request)).flatten();
        let target = request.target;
        let found_one = found.is_some();
        self.state.event(ServerEvent::Requested { issuer: *issuer, target, found: found_one });
        if let Some(at) = found {
            self.ask(index, at);
        }
        self.arm(index);
        Ok(())
    }

    /// A slot for a new request. One issuer, and one address, holds at most a quarter of the table
    /// with requests that wait (threat T22); what is only remembered for repeats makes room.
    fn request_slot(&mut self, issuer: &EquipmentId, observed: Endpoint) -> Result<usize, Discard> {
        let theirs = self.requests.iter().filter(|slot| {
            let same = slot.issuer == *issuer || mac::source(slot.address) == mac::source(observed);
            slot.stage == Stage::Waiting && same
        });
        if theirs.count() >= (self.requests.len() / 4).max(4) {
            return Err(Discard::RateLimited);
        }
        if let Some(index) = self.requests.iter().position(|slot| slot.stage == Stage::Free) {
            return Ok(index);
        }
        let done =
            self.requests.iter().enumerate().filter(|(_, slot)| slot.stage != Stage::Waiting);
        let (index, _) = done.min_by_key(|(_, slot)| slot.until).ok_or(Discard::TableFull)?;
        self.requests.get_mut(index).ok_or(Discard::TableFull)?.free();
        Ok(index)
    }

    pub(super) fn arm(&mut self, index: usize) {
        let deadline = self.requests.get(index).and_then(super::RequestSlot::deadline);
        self.state.request_at = earliest(self.state.request_at, deadline);
    }

    /// The issuer repeats a request.
    fn again(&mut self, index: usize, from: Via) -> Result<(), Discard> {
        let slot = self.requests.get_mut(index).ok_or(Discard::Unexpected)?;
        slot.from = from;
        match slot.stage {
            Stage::Accepted => {
                self.tell_issuer(index);
                self.call_again(index);
            }
            Stage::Refused => self.tell_issuer(index),
            Stage::Waiting => self.tell_hopeless(index),
            Stage::Free => {}
        }
        // It may have come over TCP before, where no holes are punched.
        self.meet(index);
        Ok(())
    }

    fn issuer_bucket(&mut self, from: Via, now: Instant) -> bool {
        match from {
            Via::Client(at) => {
                self.clients.get_mut(at).is_some_and(|slot| slot.strangers.take(now, PER_ISSUER))
            }
            Via::Stream(stream) => find_stream(self.streams, stream)
                .is_some_and(|slot| slot.requests.take(now, PER_ISSUER)),
        }
    }

    /// Finds the acceptor of a request that may be passed on to it; sets the reason otherwise.
    fn lookup(&mut self, index: usize, request: &ConnectRequest<'_>) -> Option<usize> {
        let now = self.state.now;
        let at = self.state.index.find(self.clients, &request.target, Role::Acceptor)?;
        let client = self.clients.get_mut(at)?;
        let slot = self.requests.get_mut(index)?;
        if !client.registered || client.usage != Use::Live {
            return None;
        }
        let expected = early_tag(&client.early_key, request.request, request.offer);
        slot.paired = client.has_early_key
            && request.early_tag.is_some_and(|tag| crate::crypto::equal(&tag, &expected));
        slot.reason = Reason::Busy;
        let allowed = if slot.paired {
            client.paired.take(now, PAIRED)
        } else {
            client.strangers.take(now, STRANGERS)
        };
        slot.reason = if allowed { Reason::Offline } else { Reason::Busy };
        allowed.then_some(at)
    }

    /// Brings a request to its acceptor; tells a paired issuer where that is in the same batch.
    fn ask(&mut self, index: usize, at: usize) {
        let Some(client) = self.clients.get(at) else { return };
        let takes = |bit: u32| client.capabilities & bit != 0;
        let datagram = self.state.config.delivery == Delivery::Auto;
        let stream = client.stream.filter(|_| client.over_stream || !client.has_place);
        let wake = !(datagram && takes(capability::NOTIFY_DATAGRAM));
        if wake && stream.is_none() && !takes(capability::NOTIFY_STREAM) {
            return; // It can be told in neither way: refused in time like one that is offline.
        }
        let now = self.state.now;
        let Some(slot) = self.requests.get_mut(index) else { return };
        slot.tries = slot.tries.saturating_add(1);
        let again = ASK_AGAIN.saturating_mul(1 << slot.tries.saturating_sub(1).min(4));
        slot.ask_at = (slot.tries < ASKS).then(|| now.after(again));
        let first = slot.tries == 1;
        let paired = slot.paired;
        if let Some(stream) = stream {
            let number = self.number(index);
            if let Some(slot) = self.streams.get_mut(usize::from(stream)) {
                let _full = slot.due.push_back(Due::Notify(number));
            }
        } else if wake {
            self.state.send(Out::Wake(self.number(index), at));
        } else {
            self.state.send(Out::Notify(self.number(index), at));
        }
        if paired && first {
            self.tell_issuer(index);
        }
    }

    /// Plan or refusal, over whatever the issuer speaks.
    fn tell_issuer(&mut self, index: usize) {
        let Some(slot) = self.requests.get(index) else { return };
        let refused = slot.stage == Stage::Refused;
        match slot.from {
            Via::Client(at) if refused => self.state.send(Out::Refused(self.number(index), at)),
            Via::Client(at) => {
                self.state.send(Out::Plan(self.number(index), at));
                self.tell_hopeless(index);
            }
            Via::Stream(stream) => {
                let number = self.number(index);
                let due = if refused { Due::Refused(number) } else { Due::Plan(number) };
                if let Some(slot) = find_stream(self.streams, stream) {
                    let _full = slot.due.push_back(due);
                }
            }
        }
    }

    /// A session is confirmed whose first message brought a request: what became of that meanwhile
    /// could not be told before.
    pub(super) fn tell_late(&mut self, at: usize) {
        for index in 0..self.requests.len() {
            let waiting = self.requests.get(index).is_some_and(|slot| {
                slot.from == Via::Client(at)
                    && (slot.paired || !matches!(slot.stage, Stage::Free | Stage::Waiting))
            });
            if waiting {
                self.tell_issuer(index);
            }
        }
    }

    /// What the acceptor says to a notification.
    pub(super) fn acceptor_says(
        &mut self,
        id: &EquipmentId,
        request: u32,
        verdict: Verdict,
    ) -> Result<(), Discard> {
        let index = find(self.requests, request).ok_or(Discard::Unexpected)?;
        let now = self.state.now;
        let slot = self.requests.get_mut(index).ok_or(Discard::Unexpected)?;
        if slot.target != *id {
            return Err(Discard::Unauthentic);
        }
        slot.ask_at = None;
        let (issuer, target) = (slot.issuer, slot.target);
        match (slot.stage, verdict) {
            (Stage::Waiting, Verdict::Accepted) => {
                slot.stage = Stage::Accepted;
                slot.until = now.after(LINGER);
                self.state.event(ServerEvent::Accepted { issuer, target });
                self.tell_issuer(index);
                self.meet(index);
            }
            (Stage::Waiting | Stage::Accepted, Verdict::Declined(reason)) => {
                slot.reason = reason;
                slot.meeting = Meeting::Over;
                if slot.paired {
                    self.refuse(index);
                }
                // A stranger waits for the one delay that all refusals have.
            }
            (Stage::Accepted, Verdict::Accepted) | (Stage::Refused | Stage::Free, _) => {}
        }
        self.arm(index);
        Ok(())
    }

    fn refuse(&mut self, index: usize) {
        let now = self.state.now;
        let Some(slot) = self.requests.get_mut(index) else { return };
        slot.stage = Stage::Refused;
        slot.ask_at = None;
        slot.meeting = Meeting::Over;
        slot.until = now.after(LINGER);
        let (issuer, target, reason) = (slot.issuer, slot.target, slot.reason);
        self.state.event(ServerEvent::Refused { issuer, target, reason });
        self.tell_issuer(index);
    }

    /// Time has passed for the requests.
    pub(super) fn expire_requests(&mut self) {
        let now = self.state.now;
        if self.state.request_at.is_none_or(|at| now < at) {
            return;
        }
        for index in 0..self.requests.len() {
            if self.state.out.len() >= self.state.out.capacity() / 2 {
                break;
            }
            let Some(slot) = self.requests.get_mut(index) else { continue };
            // First: nobody is asked for what is over, however late the clock is.
            if slot.stage != Stage::Free && now >= slot.until {
                match slot.stage {
                    Stage::Waiting => self.refuse(index),
                    _ => slot.free(),
                }
                continue;
            }
            if slot.ask_at.take_if(|at| now >= *at).is_some() {
                let target = slot.target;
                if let Some(at) = self.state.index.find(self.clients, &target, Role::Acceptor) {
                    self.ask(index, at);
                }
            }
            self.time_passes_for(index);
            self.expire_calls(index);
        }
        let next = self.requests.iter().filter_map(super::RequestSlot::deadline).min();
        self.state.request_at = next.map(|at| at.max(now.after(MOMENT)));
    }

    /// The stream and number for a notification.
    pub(super) fn number(&self, index: usize) -> u32 {
        number(self.requests, index)
    }

    /// Whether a stream still stands; used by what waits for it.
    pub(super) fn stream_id(&self, index: usize) -> Option<StreamId> {
        let slot = self.streams.get(index)?;
        let index = u16::try_from(index).ok()?;
        slot.remote.map(|_| StreamId { index, generation: slot.generation })
    }
}
