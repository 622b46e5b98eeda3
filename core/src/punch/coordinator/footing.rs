//! What a ramp can build on: where two counters are, and how far they move on meanwhile.

use super::super::burst::{Bracket, Burst};
use super::super::plan::{End, Kind, drift, is_by_address};
use super::super::ramp::{self, Foot, Side};
use super::{Coordinator, place, step};

/// Foreign mappings of one round trip beyond which a counter is not followed.
const MOST_DRIFT: u32 = 60;
/// Sockets that an end which keeps their ports opens for a ramp.
const BOUND: u8 = 32;

impl Coordinator {
    /// The burst that finds out where a ramp can begin at this end.
    pub(super) fn look_for_ramp(&self, end: End) -> Burst {
        let party = self.party(end);
        if Kind::of(&party.profile) == Kind::First {
            // A socket that has not sent makes no mapping; how many are needed is not known yet.
            let sockets = party.limits.sockets.min(BOUND);
            return Burst { sockets, ..Burst::only(self.round, Bracket::Announce) };
        }
        if is_by_address(&party.profile) {
            let to = self.party(end.other()).observed.port();
            return Burst::from_fresh(self.round, 1, to, Bracket::FreshSockets);
        }
        Burst::only(self.round, Bracket::After)
    }

    /// The bursts of the ramp, once both ends' feet are known.
    pub(super) fn aim_ramp(&mut self, late: bool) {
        let bubbler = self.plan.bubbler;
        let feet = self.foot(bubbler, late).zip(self.foot(bubbler.other(), late));
        let bursts = feet.and_then(|(one, other)| ramp::bursts(self.round, &one, &other));
        if let Some((bubble, reply)) = bursts {
            self.aimed = true;
            self.give(bubbler, bubble);
            self.give(bubbler.other(), reply);
        }
    }

    /// How many foreign mappings this end's NAT will have made between the detection packet's passing
    /// and the next burst's: the counter's speed since it was seen last, for one round trip. A fast
    /// counter may have gone round since its profile was measured; not since the try before.
    fn expected_drift(&self, end: End) -> u32 {
        let (party, learned) = (self.party(end), self.learned(end));
        let whole = party.age.saturating_add(self.tried_at.since(self.began));
        let seen = self.seen.get(place(end)).copied().flatten();
        let (from, whole) = match seen {
            Some((port, at)) => (port, self.tried_at.since(at)),
            None => (party.profile.last, whole),
        };
        let steps = step(party)
            .zip(learned.after)
            .and_then(|(step, after)| step.steps(from, after))
            .and_then(|steps| u64::try_from(steps).ok());
        let (Some(steps), Some(trip)) = (steps, learned.trip) else { return 0 };
        let micros = u64::try_from(trip.as_micros()).unwrap_or(u64::MAX);
        let whole = u64::try_from(whole.as_micros()).unwrap_or(u64::MAX);
        let mean = steps.saturating_mul(micros).checked_div(whole).unwrap_or(0);
        u32::try_from(mean).unwrap_or(u32::MAX).min(MOST_DRIFT)
    }

    /// What a ramp can build on at this end, once that is known.
    fn foot(&self, end: End, late: bool) -> Option<Foot> {
        let (party, learned) = (self.party(end), self.learned(end));
        let side = if Kind::of(&party.profile) == Kind::First {
            Side::Bound(Some(learned.local).filter(|&local| local != 0)?)
        } else if is_by_address(&party.profile) {
            Side::Port(self.bracketed(end, late)?)
        } else {
            Side::Counter(learned.after?, step(party)?)
        };
        let drift = drift(self.expected_drift(end));
        Some(Foot { side, drift, sockets: party.limits.sockets })
    }
}
