//! The port differential: the step between ports that a NAT gives out one after the other.
//!
//! Other users of the NAT take ports in between, so neighbouring sightings differ by a multiple of
//! the step; the step is their greatest common divisor as soon as one pair had nothing between
//! (or two pairs had numbers without a common divisor). Sequential allocation is told from random
//! by how close together the ports lie: the packets left back to back, so there was no time for
//! many foreign mappings.

use core::num::NonZeroI8;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

use super::sighting::MAX_SIGHTINGS;

/// Largest differential that is looked for, in ports, in either direction.
pub const MAX_DIFFERENTIAL: u8 = 64;

/// Foreign mappings that are believed to fit between the first and last sighting of a measurement.
const CROWD: u32 = 16;

/// A step of ±1 to ±[`MAX_DIFFERENTIAL`] ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Differential(NonZeroI8);

#[cfg(feature = "defmt")]
impl defmt::Format for Differential {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=i8}", self.get());
    }
}

/// One signed byte.
impl Serialize for Differential {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i8(self.get())
    }
}

/// Nothing but ±1 to ±[`MAX_DIFFERENTIAL`] is one.
impl<'de> Deserialize<'de> for Differential {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let step = i8::deserialize(from)?;
        Self::new(step.into()).ok_or_else(|| D::Error::custom("not a differential"))
    }
}

impl Differential {
    /// One port up.
    pub const ONE: Self = Self(match NonZeroI8::new(1) {
        Some(one) => one,
        None => NonZeroI8::MIN,
    });

    /// The differential of so many ports; `None` for 0 and beyond ±[`MAX_DIFFERENTIAL`].
    #[must_use]
    pub fn new(step: i32) -> Option<Self> {
        let within = step.unsigned_abs() <= u32::from(MAX_DIFFERENTIAL);
        i8::try_from(step).ok().filter(|_| within).and_then(NonZeroI8::new).map(Self)
    }

    /// Ports from one mapping to the next, never 0.
    #[must_use]
    pub const fn get(self) -> i8 {
        self.0.get()
    }

    /// The same step in the other direction.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self(self.0.saturating_neg())
    }

    /// The port `count` steps on; beyond the ends of the port space `None`.
    #[must_use]
    pub fn on(self, port: u16, count: i32) -> Option<u16> {
        let moved = count.checked_mul(self.get().into())?.checked_add(port.into())?;
        u16::try_from(moved).ok().filter(|&port| port != 0)
    }

    /// How many steps lead from one port to another; `None` when none do. Negative: backwards.
    #[must_use]
    pub fn steps(self, from: u16, to: u16) -> Option<i32> {
        let (apart, step) = (apart(from, to), i32::from(self.get()));
        (apart.checked_rem(step) == Some(0)).then(|| apart.checked_div(step)).flatten()
    }

    /// The differential that explains ports which were given out in this order, and whether it
    /// explains all of them. Fewer than three ports explain nothing. One pair of neighbours may be
    /// out of line: a wrap around the end of the range, a packet that was overtaken. Only the first
    /// [`MAX_SIGHTINGS`] are looked at.
    #[must_use]
    pub fn of(ports: &[u16]) -> Option<(Self, bool)> {
        let ports = ports.get(..MAX_SIGHTINGS).unwrap_or(ports);
        let pairs = ports.len().saturating_sub(1);
        if pairs < 2 {
            return None;
        }
        if let Some(step) = explain(ports, usize::MAX) {
            return Some((step, true));
        }
        if pairs < 3 {
            return None;
        }
        (0..pairs).find_map(|without| explain(ports, without)).map(|step| (step, false))
    }
}

/// Signed distance between two ports.
fn apart(from: u16, to: u16) -> i32 {
    i32::from(to).saturating_sub(from.into())
}

/// The step that all pairs of neighbours but one agree on.
fn explain(ports: &[u16], without: usize) -> Option<Differential> {
    let pairs = || {
        let pairs = ports.iter().zip(ports.iter().skip(1)).enumerate();
        pairs.filter(move |(at, _)| *at != without).map(|(_, (&from, &to))| apart(from, to))
    };
    let upwards = pairs().next()? > 0;
    if pairs().any(|apart| apart == 0 || (apart > 0) != upwards) {
        return None;
    }
    let step = pairs().fold(0, |divisor, apart| gcd(divisor, apart.unsigned_abs()));
    let span = pairs().fold(0_u32, |sum, apart| sum.saturating_add(apart.unsigned_abs()));
    let most = u32::try_from(pairs().count()).ok()?.saturating_add(CROWD);
    if span.checked_div(step)? > most {
        return None;
    }
    let step = i32::try_from(step).ok()?;
    Differential::new(if upwards { step } else { step.saturating_neg() })
}

/// Greatest common divisor; at most 24 rounds for distances between ports.
fn gcd(mut a: u32, mut b: u32) -> u32 {
    while let Some(rest) = a.checked_rem(b) {
        (a, b) = (b, rest);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ports: &[u16]) -> Option<(i8, bool)> {
        Differential::of(ports).map(|(step, all)| (step.get(), all))
    }

    #[test]
    fn every_step_is_found_with_and_without_foreign_mappings_between() {
        for step in (-64_i32..=64).filter(|&step| step != 0) {
            let port = |n: i32| u16::try_from(30_000 + n * step).unwrap();
            assert_eq!(of(&[0, 1, 2, 3].map(port)), Some((step as i8, true)));
            assert_eq!(of(&[0, 1, 4, 6].map(port)), Some((step as i8, true)));
            // Two and three foreign mappings: 3 and 4 steps have no divisor in common.
            assert_eq!(of(&[0, 3, 7].map(port)), Some((step as i8, true)));
        }
    }

    #[test]
    fn one_wrap_or_one_overtaken_packet_is_looked_past() {
        assert_eq!(of(&[65_531, 65_533, 65_535, 1_025, 1_027]), Some((2, false)));
        assert_eq!(of(&[40_001, 40_003, 40_002, 40_004, 40_005]), Some((1, false)));
        assert_eq!(
            of(&[40_005, 40_003, 40_004, 40_002, 40_003]),
            None,
            "two pairs are out of line"
        );
        assert_eq!(of(&[40_001, 40_002, 40_000, 40_003, 40_004]), Some((1, false)));
    }

    #[test]
    fn what_says_nothing_gives_no_differential() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[5]), None);
        assert_eq!(of(&[5, 6]), None, "two ports could be anything");
        assert_eq!(of(&[7; 8]), None, "one port for all: no steps");
        assert_eq!(of(&[100, 20_100, 40_100, 60_100]), None, "beyond ±64");
        assert_eq!(of(&[1_000, 1_131, 1_262, 1_400]), None, "too far apart for a common step of 1");
    }

    #[test]
    fn random_ports_are_hardly_ever_taken_for_a_sequence() {
        let mut state = 1_u64;
        let mut next = |modulus: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            u16::try_from((state >> 33) % modulus).unwrap()
        };
        for (modulus, most) in [(65_535, 0), (4_096, 5), (512, 250)] {
            let taken = (0..100_000)
                .filter(|_| of(&core::array::from_fn::<_, 5, _>(|_| next(modulus) + 1)).is_some())
                .count();
            assert!(taken <= most, "{taken} of 100,000 within {modulus} ports");
        }
    }

    /// Threat T16.
    #[test]
    fn diff_0() {
        assert_eq!(Differential::new(0), None);
        assert_eq!(of(&[4_000; 16]), None);
        assert_eq!(of(&[4_000, 4_000, 4_002, 4_004]), Some((2, false)), "one pair stood still");
        assert_eq!(of(&[4_000, 4_000, 4_000, 4_004]), None);
        let range = super::super::PortRange::detect(4_000, 4_000, Differential::new(0), 1);
        assert_eq!(range.forecast().ports().count(), 1);
    }

    #[test]
    fn steps_and_ports_are_each_others_inverse_within_the_port_space() {
        let step = Differential::new(-7).unwrap();
        assert_eq!(step.on(50, 7), Some(1));
        assert_eq!(step.on(50, 8), None);
        assert_eq!(step.on(49, 7), None, "port 0 is none");
        assert_eq!(step.steps(50, 1), Some(7));
        assert_eq!(step.steps(1, 50), Some(-7));
        assert_eq!(step.steps(50, 2), None);
        assert_eq!(Differential::ONE.get(), 1);
        assert!(
            [0, 65, -65, i32::MIN, i32::MAX].into_iter().all(|n| Differential::new(n).is_none())
        );
    }
}
