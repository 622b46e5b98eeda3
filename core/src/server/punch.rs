//! How the two ends of a request meet through their NATs.
//!
//! A request whose ends both have sessions over datagrams and can punch gets a
//! [`Coordinator`]: for a paired issuer with the notification, for a
//! stranger when the acceptor has accepted, since a stranger must not know before where that one is.
//! What the two know of their NATs may come in later; then it begins anew. While it may, nothing is
//! called hopeless. Bursts wait in the
//! coordinator until they leave, at most one for each end, so that a request takes two places in the
//! queue whatever happens.

use core::time::Duration;

use super::clients::{ClientSlot, parts};
use super::outbound::Out;
use super::requests::{Meeting, Stage, Via, find};
use super::{ServerEvent, View};
use crate::addr::Endpoint;
use crate::id::EquipmentId;
use crate::limit::Rate;
use crate::machine::Discard;
use crate::nat::{ServerEnd, Sighting};
use crate::punch::{Coordinator, End, Hopeless, Moment, Party};
use crate::wire::message::{self, Role, Seen, ToEquipment};
use crate::wire::punch::{Detect, REPORT};

/// How long an accepted request is remembered from a coordinator's beginning on: its tries take 6 s,
/// and up to 1.5 s of grace each.
pub(super) const MEETING: Duration = Duration::from_secs(15);
/// What an issuer says of its requests, each of which is looked for among all: its abilities,
/// detection packets, ranges, and that it has heard its peer. An attempt takes at most 30 in 10 s.
const WORDS: Rate = Rate::new(64, 20);

/// Where one of an end's detection packets came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighted {
    /// Of the end's session.
    pub(super) generation: u8,
    request: u32,
    round: u8,
    which: u8,
    from: Endpoint,
}

impl Sighted {
    pub(super) fn seen(self) -> Seen {
        let packets = core::iter::once((self.which, self.from)).collect();
        Seen { request: self.request, round: self.round, packets }
    }
}

/// An end's place in a pair.
pub(super) const fn place(end: End) -> usize {
    match end {
        End::Issuer => 0,
        End::Acceptor => 1,
    }
}

impl View<'_> {
    /// What an issuer says that it can do, as the first word in a session.
    pub(super) fn issuer_can(&mut self, at: usize, bits: u32) -> Result<(), Discard> {
        let now = self.state.now;
        let slot = self.clients.get_mut(at).ok_or(Discard::UnknownSession)?;
        if !slot.paired.take(now, WORDS) {
            return Err(Discard::RateLimited);
        }
        slot.capabilities = bits;
        self.look(at, 0);
        for index in 0..self.requests.len() {
            if self.requests.get(index).is_some_and(|slot| slot.from == Via::Client(at)) {
                self.meet(index);
            }
        }
        Ok(())
    }

    /// Lets the two ends of a request meet, where both can and may know of each other.
    pub(super) fn meet(&mut self, index: usize) {
        let Some(slot) = self.requests.get(index) else { return };
        let may = match slot.stage {
            Stage::Accepted => true,
            Stage::Waiting => slot.paired && slot.tries > 0,
            Stage::Free | Stage::Refused => false,
        };
        if !may || !matches!(slot.meeting, Meeting::None) {
            return self.call(index);
        }
        let Some((issuer, acceptor)) = self.parties(index) else { return self.call(index) };
        let begun = Coordinator::new(self.state.now, issuer, acceptor);
        self.begun(index, begun);
    }

    /// More is known of an equipment's NAT, or nothing more will be: what has found no path yet begins
    /// anew, and what has waited for this begins.
    pub(super) fn meet_anew(&mut self, at: usize) {
        let Some((id, role)) = self.clients.get(at).map(|slot| (slot.id, slot.role)) else {
            return;
        };
        for index in 0..self.requests.len() {
            let Some(slot) = self.requests.get(index) else { continue };
            let theirs = match role {
                Role::Issuer => slot.from == Via::Client(at),
                Role::Acceptor => slot.target == id,
            };
            if !theirs || slot.heard != [false; 2] {
                continue;
            }
            let now = self.state.now;
            let parties = self.parties(index);
            let begun = match (&slot.meeting, parties) {
                (Meeting::None, _) => {
                    self.meet(index);
                    continue;
                }
                (Meeting::Under(before), Some((issuer, acceptor))) => {
                    let mut anew = before.clone();
                    anew.renew(now, issuer, acceptor).map(|()| anew)
                }
                (Meeting::Hopeless(_, next), Some((issuer, acceptor))) => {
                    Coordinator::from_round(now, issuer, acceptor, *next)
                }
                (Meeting::Over, _) | (_, None) => continue,
            };
            self.begun(index, begun);
        }
    }

    /// A plan, or that there is none.
    fn begun(&mut self, index: usize, begun: Result<Coordinator, Hopeless>) {
        let now = self.state.now;
        // Families stay what they are; all else may look better when the NATs are known.
        if begun.as_ref().is_err_and(|why| *why != Hopeless::Families)
            && self.pair(index).is_some_and(|pair| pair.into_iter().any(|at| self.is_looked_at(at)))
        {
            return;
        }
        let Some(slot) = self.requests.get_mut(index) else { return };
        let (issuer, target) = (slot.issuer, slot.target);
        if slot.stage == Stage::Accepted {
            slot.until = slot.until.max(now.after(MEETING));
        }
        let (before, next) = match &slot.meeting {
            Meeting::Under(one) => (Some(Ok(*one.plan())), one.round().saturating_add(1)),
            Meeting::Hopeless(why, next) => (Some(Err(*why)), *next),
            Meeting::None | Meeting::Over => (None, 0),
        };
        let plan = begun.as_ref().map(|coordinator| *coordinator.plan()).map_err(|why| *why);
        slot.meeting = begun.map_or_else(|why| Meeting::Hopeless(why, next), Meeting::Under);
        if before != Some(plan) {
            self.state.event(ServerEvent::Planned { issuer, target, plan });
            self.tell_hopeless(index);
        }
        self.call(index);
        self.hand_out(index);
    }

    /// Tells the issuer, or tells it again, when there is no way.
    pub(super) fn tell_hopeless(&mut self, index: usize) {
        let Some(slot) = self.requests.get(index) else { return };
        if let (Meeting::Hopeless(..), Via::Client(at)) = (&slot.meeting, slot.from) {
            self.state.send(Out::Hopeless(self.number(index), at));
        }
    }

    /// Both ends of a request, as the coordinator wants to know them.
    pub(super) fn parties(&self, index: usize) -> Option<(Party, Party)> {
        let [issuer, acceptor] = self.pair(index)?;
        Some((self.party(self.clients.get(issuer)?)?, self.party(self.clients.get(acceptor)?)?))
    }

    /// The slots on the list of a request's issuer and acceptor.
    fn pair(&self, index: usize) -> Option<[usize; 2]> {
        self.state.config.other_port?;
        let slot = self.requests.get(index)?;
        let Via::Client(at) = slot.from else { return None };
        // An issuer that shakes hands says in the new session what it can do.
        if self.shakes(at) {
            return None;
        }
        self.clients.get(at).filter(|client| is(client, &slot.issuer, Role::Issuer))?;
        Some([at, self.state.index.find(self.clients, &slot.target, Role::Acceptor)?])
    }

    /// Whether the equipment in this slot shakes hands.
    pub(super) fn shakes(&self, at: usize) -> bool {
        self.state.pending.iter().any(|pending| parts(pending.handle).0 == at)
    }

    fn party(&self, client: &ClientSlot) -> Option<Party> {
        let ability = client.ability()?;
        let ago = client.measured_ago(self.state.millis());
        Some(Party {
            observed: client.reached_at()?,
            profile: client.profile(),
            age: Duration::from_millis(ago.into()),
            limits: ability.limits,
            detector: ability.detector,
        })
    }

    /// Queues the bursts that are due.
    fn hand_out(&mut self, index: usize) {
        self.arm(index);
        let Some(slot) = self.requests.get(index) else { return };
        let Some(coordinator) = slot.meeting.coordinator() else { return };
        let acceptor = self.state.index.find(self.clients, &slot.target, Role::Acceptor);
        let issuer = match slot.from {
            Via::Client(at) => Some(at),
            Via::Stream(_) => None,
        };
        let bubbler = coordinator.plan().bubbler;
        let number = self.number(index);
        for end in [bubbler, bubbler.other()] {
            let at = if end == End::Issuer { issuer } else { acceptor };
            let Some(slot) = self.requests.get_mut(index) else { return };
            let due = slot.meeting.coordinator().is_some_and(|one| one.due(end).is_some());
            let Some(queued) = slot.queued.get_mut(place(end)) else { return };
            if let Some(at) = at
                && due
                && !*queued
                && !self.state.out.is_full()
            {
                *queued = true;
                self.state.send(Out::Punch(number, end, at));
            }
        }
    }

    /// The request that an equipment speaks of: an issuer by its own number, an acceptor by ours.
    fn meeting(&mut self, at: usize, request: u32) -> Result<(usize, End), Discard> {
        let now = self.state.now;
        let client = self.clients.get_mut(at).ok_or(Discard::UnknownSession)?;
        let (id, role) = (client.id, client.role);
        if role == Role::Issuer && !client.paired.take(now, WORDS) {
            return Err(Discard::RateLimited);
        }
        let (found, end) = match role {
            Role::Issuer => (self.request_of(&id, request), End::Issuer),
            Role::Acceptor => (find(self.requests, request), End::Acceptor),
        };
        let index = found.ok_or(Discard::Unexpected)?;
        let slot = self.requests.get(index).ok_or(Discard::Unexpected)?;
        let theirs = match end {
            End::Issuer => slot.from == Via::Client(at),
            End::Acceptor => slot.target == id,
        };
        let under = theirs && slot.meeting.coordinator().is_some();
        under.then_some((index, end)).ok_or(Discard::Unexpected)
    }

    /// A detection packet of a burst, from the equipment's own host address.
    pub(super) fn detected(
        &mut self,
        at: usize,
        server: ServerEnd,
        remote: Endpoint,
        detect: &Detect,
    ) -> Result<(), Discard> {
        let moment = match detect.which {
            0 => Moment::Announce,
            1 => Moment::Before,
            2 => Moment::After,
            _ => return Err(Discard::Malformed),
        };
        let (index, end) = self.meeting(at, detect.request)?;
        let now = self.state.now;
        let slot = self.requests.get_mut(index).ok_or(Discard::Unexpected)?;
        let coordinator = slot.meeting.coordinator_mut().ok_or(Discard::Unexpected)?;
        if detect.round != coordinator.round() {
            return Err(Discard::Unexpected);
        }
        let (socket, local) = (detect.socket, detect.local);
        let sighting = Sighting { socket, local, server, observed: remote };
        coordinator.handle_detection(now, end, detect.round, moment, &sighting);
        if detect.status & REPORT != 0 {
            let Detect { request, round, which, .. } = *detect;
            let [generation, ..] = detect.handle.to_be_bytes();
            let from = remote;
            let sighted = Sighted { generation, request, round, which, from };
            self.state.send(Out::Sighted(at, sighted));
        }
        self.hand_out(index);
        Ok(())
    }

    /// A range that an equipment has computed itself.
    pub(super) fn claimed(&mut self, at: usize, claim: &message::Range) -> Result<(), Discard> {
        let (index, end) = self.meeting(at, claim.request)?;
        let slot = self.requests.get_mut(index).ok_or(Discard::Unexpected)?;
        if let Some(coordinator) = slot.meeting.coordinator_mut() {
            coordinator.handle_range(end, claim.round, claim.range);
        }
        self.hand_out(index);
        Ok(())
    }

    /// An end has heard its peer; when both have, they have met.
    pub(super) fn heard(&mut self, at: usize, request: u32) -> Result<(), Discard> {
        let (index, end) = self.meeting(at, request)?;
        let now = self.state.now;
        let slot = self.requests.get_mut(index).ok_or(Discard::Unexpected)?;
        if let Some(heard) = slot.heard.get_mut(place(end)) {
            *heard = true;
        }
        if slot.heard == [true; 2] {
            slot.meeting = Meeting::Over;
        } else if let Some(coordinator) = slot.meeting.coordinator_mut() {
            coordinator.handle_heard(now);
        }
        self.arm(index);
        Ok(())
    }

    /// Time has passed for a request's coordinator.
    pub(super) fn time_passes_for(&mut self, index: usize) {
        let now = self.state.now;
        let Some(slot) = self.requests.get_mut(index) else { return };
        let Some(coordinator) = slot.meeting.coordinator_mut() else { return };
        if coordinator.poll_timeout().is_some_and(|at| now >= at) {
            coordinator.handle_timeout(now);
            self.hand_out(index);
        }
    }

    /// The burst for an end, while it is due.
    pub(super) fn burst(&self, index: usize, end: End) -> Option<ToEquipment<'static>> {
        let coordinator = self.requests.get(index)?.meeting.coordinator()?;
        let burst = *coordinator.due(end)?;
        let peer = coordinator.party(end.other()).observed;
        let request = self.number_for(index, end)?;
        Some(ToEquipment::Punch(message::Punch { request, peer, burst }))
    }

    /// That there is no way.
    pub(super) fn hopeless(&self, index: usize) -> Option<ToEquipment<'static>> {
        let slot = self.requests.get(index)?;
        let Meeting::Hopeless(why, _) = slot.meeting else { return None };
        Some(ToEquipment::Hopeless(message::Hopeless { request: slot.request, why }))
    }

    /// The number that an end knows a request by.
    pub(super) fn number_for(&self, index: usize, end: End) -> Option<u32> {
        match end {
            End::Issuer => Some(self.requests.get(index)?.request),
            End::Acceptor => Some(self.number(index)),
        }
    }

    /// A queued burst of the request with this number has left, or is void.
    pub(super) fn burst_left(&mut self, number: u32, end: End) {
        let index = find(self.requests, number);
        let Some(slot) = index.and_then(|index| self.requests.get_mut(index)) else { return };
        if let Some(queued) = slot.queued.get_mut(place(end)) {
            *queued = false;
        }
        if let Some(coordinator) = slot.meeting.coordinator_mut() {
            coordinator.poll_burst(end);
        }
    }
}

fn is(client: &ClientSlot, id: &EquipmentId, role: Role) -> bool {
    client.id == *id && client.role == role
}
