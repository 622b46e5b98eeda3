//! The range of ports in which a bubble's port lies: between the ports of two range detection
//! packets, one sent just before the bubbles and one just after them (punch claims 2, 7, 29).
//!
//! A server that got both packets computes it, or the equipment does from the ports that the server
//! reports (claims 51, 54, 98). Whoever sends replies walks it at the port differential, from
//! where the bubble most likely is.

use serde::{Deserialize, Serialize};

use super::count::Count;
use super::differential::Differential;
use super::forecast::Forecast;
use crate::wire::once::number;

/// Steps that a packet may seem to lie behind an earlier one because it overtook it on the way.
const OVERTAKEN: i32 = -8;

/// The ports between two sightings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PortRange {
    /// Observed before the bubbles.
    #[serde(with = "number")]
    pub before: u16,
    /// Observed after them.
    #[serde(with = "number")]
    pub after: u16,
    /// The step of the NAT's counter, where it is known.
    pub differential: Option<Differential>,
    /// How many mappings of the equipment's own came between, at least 1 is taken.
    pub bubbles: u8,
}

impl PortRange {
    /// The range within which the ports of `bubbles` bubbles lie.
    ///
    /// A differential that does not lead from one port to the other is left out: then every port
    /// between is a candidate.
    #[must_use]
    pub fn detect(
        before: u16,
        after: u16,
        differential: Option<Differential>,
        bubbles: u8,
    ) -> Self {
        let fits = |step: &Differential| step.steps(before, after).is_some();
        let wraps = |step: &Differential| !leads(*step, before, after);
        let differential = differential.filter(|step| fits(step) || wraps(step));
        Self { before, after, differential, bubbles: bubbles.max(1) }
    }

    /// The lowest and the highest of the two observed ports. An equipment's claim about its own
    /// range never reaches beyond what the server itself observed (threat T15).
    #[must_use]
    pub fn hull(self) -> (u16, u16) {
        (self.before.min(self.after), self.before.max(self.after))
    }

    /// A range that somebody else computed, held against one's own sightings: its ends are moved
    /// into the hull of `observed` and `margin` ports around it, and it has as many bubbles. A range
    /// that goes round the end of the port space reaches beyond its hull: a claim of one, and any
    /// claim where one was observed, is worth nothing, and the result is `observed`.
    #[must_use]
    pub fn clamp(self, observed: Self, margin: u16) -> Self {
        let (low, high) = observed.hull();
        let low = low.saturating_sub(margin).max(1);
        let high = high.saturating_add(margin).max(low);
        let within = |port: u16| port.clamp(low, high);
        let (before, after) = (within(self.before), within(self.after));
        let claimed = Self::detect(before, after, self.differential, observed.bubbles);
        if claimed.goes_round() || observed.goes_round() { observed } else { claimed }
    }

    fn goes_round(self) -> bool {
        matches!(self.forecast(), Forecast::Around { .. })
    }

    /// The candidates for the bubbles' ports, the likeliest first. At least one of them is hit by
    /// walking all, unless the counter did something else than count.
    #[must_use]
    pub fn forecast(self) -> Forecast {
        if self.before == self.after {
            return Forecast::Port(self.before);
        }
        let Some(step) = self.differential else {
            let (low, high) = self.hull();
            return Forecast::Between { low, high };
        };
        match step.steps(self.before, self.after) {
            Some(steps @ 1..) => self.bracketed(step, self.before, steps),
            Some(steps @ OVERTAKEN..=-1) => {
                self.bracketed(step, self.after, steps.saturating_neg())
            }
            _ => Forecast::Around { before: self.before, after: self.after, differential: step },
        }
    }

    /// `steps` mappings lie between the two sightings, the second one included.
    fn bracketed(self, differential: Differential, last: u16, steps: i32) -> Forecast {
        let between = steps.saturating_sub(1);
        // Not more bubbles than there is room for: the range reaches no further than its ends.
        let room = u8::try_from(between).unwrap_or(u8::MAX);
        let bubbles = self.bubbles.min(room).max(1);
        let foreign = between.saturating_sub(bubbles.into()).max(0);
        // Of several bubbles the middle one is looked for: most foreign mappings leave it alone.
        let nth = bubbles.div_ceil(2);
        let rest = bubbles.saturating_add(1).saturating_sub(nth);
        let number = u16::try_from(foreign).unwrap_or(u16::MAX);
        let foreign = Count::Split { number, part: nth, rest };
        Forecast::Counter { last, differential, nth: nth.into(), foreign }
    }
}

/// Whether the second port lies in the step's direction from the first.
pub(super) const fn leads(step: Differential, before: u16, after: u16) -> bool {
    (after > before) == (step.get() > 0)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    fn range(before: u16, after: u16, step: i32, bubbles: u8) -> Vec<u16> {
        let range = PortRange::detect(before, after, Differential::new(step), bubbles);
        range.forecast().ports().collect()
    }

    #[test]
    fn the_bubble_is_between_the_two_at_the_differential() {
        assert_eq!(range(4_000, 4_002, 1, 1), [4_001]);
        assert_eq!(range(4_000, 4_016, 8, 1), [4_008]);
        assert_eq!(range(4_000, 3_984, -8, 1), [3_992]);
        // Two foreign mappings, each as likely before as after the bubble.
        assert_eq!(range(4_000, 4_008, 2, 1), [4_004, 4_002, 4_006]);
        // Three bubbles: the middle one's port, and where a foreign mapping would have moved it.
        assert_eq!(range(4_000, 4_005, 1, 3), [4_002, 4_003]);
    }

    #[test]
    fn one_port_for_all_is_the_bubbles_port_too() {
        assert_eq!(range(4_000, 4_000, 1, 1), [4_000]);
        assert_eq!(range(4_000, 4_000, 0, 5), [4_000]);
    }

    #[test]
    fn an_overtaken_packet_turns_the_range_round() {
        assert_eq!(range(4_004, 4_000, 2, 1), [4_002]);
    }

    #[test]
    fn a_counter_that_went_round_the_end_is_looked_for_at_both_ends() {
        let ports = range(65_533, 1_026, 1, 1);
        assert_eq!(ports.get(..6).unwrap(), [65_534, 1_025, 65_535, 1_024, 1_023, 1_022]);
        let ports = range(1_026, 65_533, -1, 1);
        assert_eq!(ports.get(..4).unwrap(), [1_025, 65_534, 1_024, 65_535]);
    }

    #[test]
    fn without_a_differential_every_port_between_is_a_candidate() {
        let ports = range(4_000, 4_005, 0, 1);
        assert_eq!(ports, [4_002, 4_003, 4_001, 4_004]);
        // One that does not lead from port to port is none.
        assert_eq!(range(4_000, 4_005, 2, 1).len(), 4);
    }

    #[test]
    fn a_claimed_range_stays_within_what_was_observed() {
        let observed = PortRange::detect(4_000, 4_010, Differential::new(2), 1);
        let claimed = PortRange::detect(1, 65_535, Differential::new(2), 1);
        assert_eq!(claimed.clamp(observed, 4).hull(), (3_996, 4_014));
        let all: Vec<u16> = claimed.clamp(observed, 4).forecast().ports().collect();
        assert!(all.iter().all(|port| (3_996..=4_014).contains(port)), "{all:?}");
        let inside = PortRange::detect(4_002, 4_006, Differential::new(2), 1);
        assert_eq!(inside.clamp(observed, 4), inside);
    }

    /// Threat T15: whatever an equipment says of its own range, replies go to no port that the
    /// server has not seen a neighbour of on both sides.
    #[test]
    fn no_claim_leads_out_of_the_hull() {
        let steps = [-64, -2, -1, 0, 1, 2, 64].map(Differential::new);
        let ends = [0, 1, 3_990, 4_000, 4_001, 4_007, 4_010, 4_020, u16::MAX];
        for observed in [(4_000, 4_010), (4_010, 4_000), (4_000, 4_001), (4_000, 4_000)] {
            for own in steps {
                let observed = PortRange::detect(observed.0, observed.1, own, 1);
                let (low, high) = observed.hull();
                let honest: Vec<u16> = observed.forecast().ports().collect();
                for (before, after) in ends.into_iter().flat_map(|a| ends.map(|b| (a, b))) {
                    for (differential, bubbles) in
                        steps.into_iter().flat_map(|step| [0, 1, 9, 255].map(|n| (step, n)))
                    {
                        let claimed = PortRange { before, after, differential, bubbles };
                        let mut ports = claimed.clamp(observed, 0).forecast().ports();
                        let inside = |port| (low..=high).contains(&port) || honest.contains(&port);
                        assert!(ports.all(inside), "{claimed:?} where {observed:?}");
                    }
                }
            }
        }
    }

    /// More bubbles than steps: one was lost on its way out, or the count is a lie.
    #[test]
    fn bubbles_without_room_do_not_widen_the_range() {
        assert_eq!(range(4_000, 4_001, 1, 255), [4_001]);
        assert_eq!(range(4_000, 4_004, 1, 255), [4_002]);
    }

    #[test]
    fn start_gt_end() {
        // A few steps back: overtaken. Many: round the end of the port space, or down to where a
        // counter that counts downwards is.
        assert_eq!(range(4_004, 4_000, 2, 1), [4_002]);
        assert_eq!(range(4_004, 4_000, -2, 1), [4_002]);
        assert_eq!(range(4_004, 4_000, 0, 1), [4_002, 4_003, 4_001]);
        let ports = range(4_100, 4_000, 1, 1);
        assert_eq!(ports.get(..4).unwrap(), [4_101, 3_999, 4_102, 3_998]);
        assert!(ports.iter().all(|port| !(4_000..=4_100).contains(port)));
    }

    #[test]
    fn range_end_65535() {
        assert_eq!(range(65_533, 65_535, 1, 1), [65_534]);
        assert_eq!(range(65_535, 65_535, 64, 9), [65_535]);
        assert_eq!(range(65_471, 65_535, 64, 1), [65_535]);
        let ports = range(1, 65_535, 0, 1);
        assert_eq!(ports.first(), Some(&32_768));
        let observed = PortRange::detect(65_000, 65_535, None, 1);
        assert_eq!(observed.clamp(observed, u16::MAX).hull(), (65_000, 65_535));
    }

    #[test]
    fn every_range_ends_and_never_names_port_0() {
        let edges = [0, 1, 2, 63, 64, 65, 1_023, 32_768, 65_470, 65_534, 65_535];
        for before in edges {
            for after in edges {
                for step in [-64, -7, -1, 0, 1, 2, 64] {
                    let ports = range(before, after, step, 1);
                    assert!(ports.len() <= super::super::MAX_CANDIDATE_PORTS);
                    assert!(!ports.contains(&0), "{before} to {after} by {step}");
                }
            }
        }
    }
}
