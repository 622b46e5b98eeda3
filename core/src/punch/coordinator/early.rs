//! Replies that leave together with the bubble, where its port can be foreseen from a profile alone.
//!
//! A counter that was seen a moment ago has not moved far: the bubble gets the next port but one (a
//! range detection packet goes before it), or one of the few after that. Three guesses cost less
//! than the round trip that they save; where they miss, the range that is detected meanwhile says
//! better.

use core::time::Duration;

use super::super::burst::Burst;
use super::super::plan::End;
use super::{Coordinator, step};
use crate::nat::{Count, Forecast};

/// Guesses at a port that nobody has detected yet.
const EARLY: u16 = 3;
/// New mappings of the equipment's own before the bubble's and with it.
const BUBBLE: u16 = 2;
/// Foreign mappings since the counter was seen, at the most; of a NAT whose speed is not known,
/// this many a second are taken.
const MOST: u64 = 2;
const UNKNOWN: u64 = 5;
/// Beyond this age nothing is foreseen, however quiet the NAT was.
const OLD: Duration = Duration::from_secs(10);

impl Coordinator {
    /// The early replies to this end's bubble.
    pub(super) fn early(&self, bubbler: End) -> Option<Burst> {
        let party = self.party(bubbler);
        let (differential, last) = (step(party)?, party.profile.last);
        if self.tries() > 0 || last == 0 || party.age > OLD || !party.profile.consistent {
            return None;
        }
        let rate = match party.profile.foreign {
            0 => UNKNOWN,
            known => known.into(),
        };
        let age = u64::try_from(party.age.as_millis()).ok()?;
        // In 256ths of a mapping, as `Count` wants it.
        let mean = rate.saturating_mul(age).saturating_mul(256) / 1_000;
        if mean > MOST.saturating_mul(256) {
            return None;
        }
        let foreign = Count::Poisson { mean: u32::try_from(mean).ok()? };
        let ports = Forecast::Counter { last, differential, nth: BUBBLE, foreign };
        Some(Burst::from_registered(self.round, ports, EARLY))
    }
}
