//! What an equipment's NAT is like, as far as the server can see it.
//!
//! ```text
//! registered, or can ─► probes from the other ends, Measure ─► five Detects ─► profile, Seen
//! ```
//!
//! The equipment is asked when nothing is known of its NAT, when it was seen at another address
//! since, and when that was long ago; later, while too many others are. Probes leave for its registered address just before: whether
//! they get in tells the NAT's filter, which the equipment reports in its Detects. A Detect counts
//! once, by the session's own counter; in a measurement it may come from any host address, since a
//! NAT may have several, and it never moves the session.

use core::time::Duration;

use heapless::Vec;

use super::clients::{ClientSlot, Look, Use};
use super::outbound::Out;
use super::{MOMENT, ServerEvent, View, leases};
use crate::addr::Endpoint;
use crate::machine::Discard;
use crate::nat::{
    Allocation, MAX_SIGHTINGS, MEASURE_PACKETS, Mapping, NatProfile, ServerEnd, Sighting,
    measurement,
};
use crate::time::Instant;
use crate::wire::message::{Measure, Seen};
use crate::wire::punch::{Detect, FROM_OTHER_ADDRESS, FROM_OTHER_PORT, KEEPS, MEASUREMENT};

/// How long a profile is believed, in milliseconds: 6 hours.
const PROFILE_LIFE: u32 = 6 * 3_600 * 1_000;
/// Between two measurements of one equipment, where the first has told nothing, in milliseconds.
const APART: u32 = 5_000;
/// How long a NAT may remember, in milliseconds, that its equipment has sent to the other ends; what
/// gets in meanwhile tells nothing of its filter.
const FILTER_MEMORY: u32 = 10 * 60 * 1_000;
/// How long the rest of a measurement's packets is waited for: they left together.
const STRAGGLERS: Duration = Duration::from_millis(300);
/// When an equipment of which no packet has come is asked again; doubles.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// How often it is asked.
const ASKS: u8 = 3;
/// How long all that takes, in milliseconds; what comes in vain by then has not arrived.
const ASKED_FOR: u32 = 4_000;
/// Measurements under way, the finished ones that are not reported yet among them.
const MEASUREMENTS: usize = 64;
/// Packets that an equipment sends for one.
const PACKETS: usize = MEASURE_PACKETS - 1;

/// One equipment's measurement.
#[derive(Debug)]
pub(super) struct Measurement {
    /// Its slot, and which use of it.
    pub(super) at: usize,
    generation: u8,
    /// The registration: where it came from, and from which port the equipment says that it sent.
    pub(super) place: Endpoint,
    local: u16,
    /// Where the packets came from, and the ports that their sockets are said to be bound to.
    packets: [Option<(Endpoint, u16)>; PACKETS],
    /// Whether probes have gone out, and which of them have arrived by the equipment's word.
    pub(super) probed: bool,
    arrived: u8,
    /// One has arrived at the leased port, by proof.
    pub(super) proven: bool,
    asked: u8,
    /// What is missing by then is lost.
    until: Instant,
    /// The profile is made; only the report is due.
    done: bool,
}

pub(super) type Measurements = Vec<Measurement, MEASUREMENTS>;

impl Measurement {
    /// Where packets came from, by their number; 1 is the first.
    fn seen(&self) -> Vec<(u8, Endpoint), PACKETS> {
        let numbered = (1..).zip(&self.packets);
        numbered.filter_map(|(which, seen)| Some((which, seen.as_ref()?.0))).collect()
    }

    /// All packets in the order in which they were sent, the registration first.
    fn sightings(&self, probes: &[crate::nat::Probe; PACKETS]) -> Vec<Sighting, MAX_SIGHTINGS> {
        let mut all = Vec::new();
        // The first packet comes from the registered socket, too: it knows its port best.
        let told = self.packets.first().copied().flatten().map(|(_, local)| local);
        let local = told.filter(|&local| local != 0).unwrap_or(self.local);
        let observed = self.place;
        let first = Sighting { socket: 0, local, server: ServerEnd::Main, observed };
        let rest = probes.iter().zip(&self.packets).filter_map(|(probe, seen)| {
            let (place, local) = (*seen)?;
            let (socket, server) = (probe.socket, probe.server);
            Some(Sighting { socket, local, server, observed: place })
        });
        all.extend(core::iter::once(first).chain(rest).take(MAX_SIGHTINGS));
        all
    }
}

#[cfg(feature = "inspect")]
impl Measurement {
    /// For [`Inspect`](crate::inspect::Inspect).
    pub(super) fn inspect(&self, see: &mut dyn FnMut(u64)) {
        let known = self.packets.map(|seen| seen.is_some());
        see(crate::inspect::bits(known) << 16
            | u64::from(self.arrived) << 8
            | u64::from(self.asked));
        see(self.at as u64 | crate::inspect::bits([self.done, self.proven]) << 32);
        see(self.until.as_micros());
    }
}

impl ClientSlot {
    /// How long ago its NAT was measured, at `now` milliseconds.
    pub(super) const fn measured_ago(&self, now: u32) -> u32 {
        now.wrapping_sub(self.measured_at)
    }

    /// How long ago it was asked to show its NAT, at `now` milliseconds.
    const fn asked_ago(&self, now: u32) -> u32 {
        now.wrapping_sub(self.asked_at)
    }

    /// Whether its NAT should be looked at now.
    fn wants_look(&self, now: u32) -> bool {
        let unknown = self.profile().mapping == Mapping::Unknown;
        let old = unknown || self.measured_ago(now) > PROFILE_LIFE;
        let new = matches!(self.look, Look::Never | Look::Moved);
        let missed = self.has_missed_probes() && self.may_be_probed(now);
        new || (old || missed) && self.asked_ago(now) > APART
    }

    /// Whether it may be probed: never again behind a NAT that punishes, or may have done so. One that
    /// takes probes for its own harms no other port than they went to.
    fn may_be_probed(&self, now: u32) -> bool {
        let rested = match self.look {
            Look::Never | Look::Moved => true,
            // A leased port that is not the observed one is open to all by itself or not at all.
            Look::Asked if self.leases_another() => true,
            Look::Asked => self.asked_ago(now) > FILTER_MEMORY,
            Look::Probed => false,
        };
        let profile = self.profile();
        rested
            && self.may_prove()
            && (!profile.punishes || profile.displaced && self.leases_another())
    }
}

impl View<'_> {
    /// An equipment that may punch has come: tells it the server's other ends, and asks for its NAT
    /// where that is not known. `local` is the port that it says it registers from, 0 without one.
    pub(super) fn look(&mut self, at: usize, local: u16) {
        let now = self.state.millis();
        let Some(slot) = self.clients.get_mut(at).filter(|slot| slot.ability().is_some()) else {
            return;
        };
        if self.state.config.other_port.is_none() {
            return;
        }
        let (place, generation) = (slot.place, slot.generation());
        let mut unfinished = self.state.measurements.iter().filter(|one| one.at == at && !one.done);
        // One that was begun in an earlier session comes to nothing.
        let wanted = unfinished.next().map(|one| one.generation != generation);
        let others = self.state.measurements.iter().filter(|one| one.at != at).count();
        if others == MEASUREMENTS || !wanted.unwrap_or_else(|| slot.wants_look(now)) {
            return self.state.send(Out::Measure(at, false));
        }
        let probed = slot.may_be_probed(now);
        slot.look = match slot.look {
            Look::Probed => Look::Probed,
            _ if probed => Look::Probed,
            _ => Look::Asked,
        };
        slot.asked_at = now;
        if probed && slot.leased != 0 {
            slot.probe_lease(now);
        }
        self.state.measurements.retain(|one| one.at != at);
        let _room = self.state.measurements.push(Measurement {
            at,
            generation,
            place,
            local,
            packets: [None; PACKETS],
            probed,
            arrived: 0,
            proven: false,
            asked: 1,
            until: self.state.now.after(ASK_AGAIN),
            done: false,
        });
        if probed {
            self.state.send(Out::Probe(at, ServerEnd::OtherPort));
            if self.state.config.other_address_for(place).is_some() {
                self.state.send(Out::Probe(at, ServerEnd::OtherAddress));
            }
        }
        self.state.send(Out::Measure(at, true));
        self.arm_measurements();
    }

    /// A word in a session that stands. An equipment that speaks and was never heard to answer since
    /// it was probed has a NAT that punishes: it has shut out the server, or the registered port.
    pub(super) fn speaks(&mut self, at: usize) {
        let now = self.state.millis();
        let Some(slot) = self.clients.get_mut(at).filter(|slot| slot.look == Look::Probed) else {
            return;
        };
        if slot.asked_ago(now) > ASKED_FOR {
            let profile = NatProfile { punishes: true, ..slot.profile() };
            slot.look = Look::Asked;
            slot.set_profile(&profile);
            let id = slot.id;
            self.state.event(ServerEvent::Measured { id, profile });
        }
    }

    /// A detection packet at one of the server's ends. Whatever is wrong with it, it gets no answer.
    pub(super) fn detect(
        &mut self,
        end: ServerEnd,
        remote: Endpoint,
        message: &[u8],
    ) -> Result<(), Discard> {
        if self.state.config.other_port.is_none() {
            return Err(Discard::Unexpected);
        }
        let (detect, tag) = Detect::parse(message).ok_or(Discard::Malformed)?;
        let at = self.live(detect.handle).ok_or(Discard::UnknownSession)?;
        let slot = self.clients.get_mut(at).ok_or(Discard::UnknownSession)?;
        if !crate::crypto::equal(&detect.tag(&slot.keepalive_up), &tag) {
            return Err(Discard::Unauthentic);
        }
        if !slot.window.is_fresh(detect.counter) {
            return Err(Discard::Replayed);
        }
        if detect.request != MEASUREMENT && remote.ip() != slot.place.ip() {
            // The counter stays fresh: whoever relayed this copy has gained nothing (T14).
            return Err(Discard::ForbiddenAddress);
        }
        slot.window.accept(detect.counter);
        match detect.request {
            MEASUREMENT if detect.which == KEEPS && end == ServerEnd::Main => Ok(()),
            MEASUREMENT => self.measured(at, end, remote, &detect),
            _ => self.detected(at, end, remote, &detect),
        }
    }

    /// A packet of a measurement.
    fn measured(
        &mut self,
        at: usize,
        end: ServerEnd,
        remote: Endpoint,
        detect: &Detect,
    ) -> Result<(), Discard> {
        let generation = self.clients.get(at).map(ClientSlot::generation);
        let now = self.state.now;
        let probes = self.probes(at);
        let mut under_way = self.state.measurements.iter_mut();
        let found = under_way
            .find(|one| one.at == at && Some(one.generation) == generation && !one.done)
            .ok_or(Discard::Unexpected)?;
        let place = usize::from(detect.which).checked_sub(1).ok_or(Discard::Malformed)?;
        let (probe, seen) =
            probes.get(place).zip(found.packets.get_mut(place)).ok_or(Discard::Malformed)?;
        if (probe.socket, probe.server) != (detect.socket, end) || seen.is_some() {
            return Err(Discard::Unexpected);
        }
        *seen = Some((remote, detect.local));
        if let Some(slot) = self.clients.get_mut(at).filter(|slot| slot.look == Look::Probed) {
            slot.look = Look::Asked;
        }
        found.arrived |= detect.status;
        found.until = now.after(STRAGGLERS);
        if found.packets.iter().all(Option::is_some) {
            self.conclude(at);
        }
        self.arm_measurements();
        Ok(())
    }

    /// The packets that this equipment is asked for.
    fn probes(&self, at: usize) -> &'static [crate::nat::Probe; PACKETS] {
        measurement(self.other_address(at).is_some())
    }

    pub(super) fn other_address(&self, at: usize) -> Option<Endpoint> {
        self.state.config.other_address_for(self.clients.get(at)?.address()?)
    }

    /// What has come of a measurement makes the profile.
    fn conclude(&mut self, at: usize) {
        let (now, time) = (self.state.millis(), self.state.now);
        let (probes, second) = (self.probes(at), self.other_address(at).is_some());
        let idle = self.idle(at);
        let Some(found) = self.state.measurements.iter_mut().find(|one| one.at == at) else {
            return;
        };
        found.done = true;
        found.until = time.after(STRAGGLERS);
        let mut newer = NatProfile::measure(&found.sightings(probes));
        let Some(slot) = self.clients.get_mut(at) else { return };
        // What becomes of probes to another port says nothing of this one's filter.
        let told = found.probed && !slot.leases_another();
        let arrived = |bit: u8| told.then_some(found.arrived & bit != 0);
        let from_other_address = arrived(FROM_OTHER_ADDRESS).filter(|_| second);
        newer.set_filtering(arrived(FROM_OTHER_PORT), from_other_address);
        found.settle_lease(slot);
        if slot.leads {
            leases::open(&mut newer, second);
        }
        let mut profile = slot.profile();
        if slot.measured_ago(now) > PROFILE_LIFE {
            // A box that was restarted looks like one that forgets soon.
            profile.lifetime = profile.lifetime.or_longer();
        }
        profile.renew(&newer, Duration::from_millis(slot.measured_ago(now).into()));
        slot.set_profile(&profile);
        if newer.mapping != Mapping::Unknown || newer.allocation != Allocation::Unknown {
            slot.measured_at = now;
        }
        let id = slot.id;
        self.keep_heard(at, idle);
        self.state.event(ServerEvent::Measured { id, profile });
        self.state.send(Out::Seen(at));
        self.meet_anew(at);
    }

    /// Time has passed for the measurements.
    pub(super) fn expire_measurements(&mut self) {
        let now = self.state.now;
        if self.state.measure_at.is_none_or(|at| now < at) {
            return;
        }
        let mut place = 0;
        while let Some(one) = self.state.measurements.get_mut(place) {
            if self.state.out.len() >= self.state.out.capacity() / 2 {
                break;
            }
            let at = one.at;
            let slot = self.clients.get(at).filter(|slot| slot.usage == Use::Live);
            let stands = slot.is_some_and(|slot| slot.generation() == one.generation);
            if stands && now < one.until {
                place = place.saturating_add(1);
            } else if !stands || one.done {
                self.state.measurements.remove(place);
            } else if one.packets.iter().any(Option::is_some) {
                self.conclude(at);
                place = place.saturating_add(1);
            } else if one.asked < ASKS {
                one.until = now.after(ASK_AGAIN.saturating_mul(1 << one.asked.min(4)));
                one.asked = one.asked.saturating_add(1);
                self.state.send(Out::Measure(at, true));
                place = place.saturating_add(1);
            } else {
                let one = self.state.measurements.remove(place);
                self.unseen(at, &one);
            }
        }
        self.arm_measurements();
    }

    /// The measurement of it that is not concluded.
    pub(super) fn under_way(&mut self, at: usize) -> Option<&mut Measurement> {
        let generation = self.clients.get(at)?.generation();
        let mut all = self.state.measurements.iter_mut();
        all.find(|one| one.at == at && one.generation == generation && !one.done)
    }

    /// Whether it was asked to show its NAT, and may do so yet.
    pub(super) fn is_looked_at(&self, at: usize) -> bool {
        let generation = self.clients.get(at).map(ClientSlot::generation);
        let mut theirs = self.state.measurements.iter().filter(|one| one.at == at && !one.done);
        theirs.any(|one| Some(one.generation) == generation)
    }

    fn arm_measurements(&mut self) {
        let next = self.state.measurements.iter().map(|one| one.until).min();
        self.state.measure_at = next.map(|at| at.max(self.state.now.after(MOMENT)));
    }

    /// Where the other ends are, and whether the NAT is to be shown.
    pub(super) fn ends(&self, at: usize, now: bool) -> Option<Measure> {
        let other_port = self.state.config.other_port?;
        Some(Measure { other_port, other_address: self.other_address(at), now })
    }

    /// The report on a measurement that is done.
    pub(super) fn report(&self, at: usize) -> Option<Seen> {
        let generation = self.clients.get(at)?.generation();
        let mut done = self.state.measurements.iter().filter(|one| one.at == at && one.done);
        let found = done.find(|one| one.generation == generation)?;
        let packets = found.seen().into_iter().collect();
        Some(Seen { request: MEASUREMENT, round: 0, packets })
    }
}
