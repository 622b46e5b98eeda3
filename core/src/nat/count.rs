//! How many foreign mappings came in between: a distribution over 0, 1, 2, … that can be walked from
//! its likeliest number outwards, in constant memory and without floating point.
//!
//! The three cases that occur (a Poisson process for a known time; the same when its rate is only
//! known from a few counts; a known number that is split by the moment of the bubble) all have a
//! ratio of neighbouring weights that is a fraction of small numbers (Panjer's class), and one peak.
//! So the walk keeps two weights, one for each side, relative to the peak's.

use serde::{Deserialize, Serialize};

use crate::wire::once::number;

/// A distribution of a number of foreign mappings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Count {
    /// A Poisson process: on the average this many 256ths.
    Poisson {
        /// Mean in 256ths, at least 1 is taken.
        #[serde(with = "number")]
        mean: u32,
    },
    /// `number` foreign mappings fell into a time that the packet cuts at `part` : `rest`; how many
    /// of them came before it (binomial).
    Split {
        /// All foreign mappings of the time.
        #[serde(with = "number")]
        number: u16,
        /// Time before the packet, in any unit.
        part: u8,
        /// Time after it, in the same unit.
        rest: u8,
    },
}

impl Count {
    /// The weight of `k + 1` divided by the weight of `k`, as a fraction.
    fn ratio(self, k: u32) -> (u64, u64) {
        let next = u64::from(k).saturating_add(1);
        match self {
            Self::Poisson { mean } => (u64::from(mean.max(1)), next.saturating_mul(256)),
            Self::Split { number, part, rest } => {
                let left = u64::from(u32::from(number).saturating_sub(k));
                (left.saturating_mul(part.into()), next.saturating_mul(rest.into()))
            }
        }
    }

    /// The likeliest number; of two equal ones the smaller.
    #[must_use]
    pub fn mode(self) -> u32 {
        match self {
            // Neighbours are equal where the mean is a whole number.
            Self::Poisson { mean } => mean.max(1).saturating_sub(1) >> 8,
            Self::Split { number, part: _, rest: 0 } => number.into(),
            Self::Split { number, part, rest } => {
                let whole = u32::from(part).saturating_add(rest.into());
                let peak = u32::from(number).saturating_add(1).saturating_mul(part.into());
                peak.saturating_sub(1).checked_div(whole).unwrap_or(0).min(number.into())
            }
        }
    }

    /// All numbers, the likeliest first; at equal weights the smaller first.
    pub fn walk(self) -> Walk {
        let mode = self.mode();
        Walk { count: self, below: mode, above: Some(mode), left: 0, right: ONE }.with_left()
    }
}

/// The weight of the peak.
const ONE: u64 = 1 << 40;

/// The numbers of a [`Count`], the likeliest first. Ends when what is left weighs nothing.
#[derive(Clone, Debug)]
pub struct Walk {
    count: Count,
    /// The next number below is this less one.
    below: u32,
    /// The next number above.
    above: Option<u32>,
    /// Weight of the next number below; 0: none.
    left: u64,
    /// Weight of the next number above; 0: none.
    right: u64,
}

impl Walk {
    fn with_left(mut self) -> Self {
        self.left = self.down(ONE, self.below);
        self
    }

    /// The weight of `k - 1`, when that of `k` is `weight`.
    fn down(&self, weight: u64, k: u32) -> u64 {
        let Some(below) = k.checked_sub(1) else { return 0 };
        let (times, by) = self.count.ratio(below);
        scale(weight, by, times)
    }
}

/// `weight * times / by`; 0 where nothing is left or the divisor is 0. A weight has up to 40 bits, so
/// that numbers of more than 24 are cut to that many: a division of 128 bits would be the largest
/// function on a microcontroller.
#[inline(never)]
fn scale(weight: u64, times: u64, by: u64) -> u64 {
    let bits = u64::BITS.saturating_sub((times | by).leading_zeros());
    let cut = bits.saturating_sub(24);
    weight.saturating_mul(times >> cut).checked_div(by >> cut).unwrap_or(0)
}

impl Iterator for Walk {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.left == 0 && self.right == 0 {
            return None;
        }
        if self.left >= self.right {
            self.below = self.below.saturating_sub(1);
            let k = self.below;
            self.left = self.down(self.left, k);
            Some(k)
        } else {
            let k = self.above?;
            let (times, by) = self.count.ratio(k);
            self.right = scale(self.right, times, by);
            self.above = k.checked_add(1);
            Some(k)
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    /// Weights by their definition, in floating point.
    fn weight(count: Count, k: u32) -> f64 {
        let steps = |to: u32| {
            (0..to).map(|k| {
                let (a, b) = count.ratio(k);
                a as f64 / b as f64
            })
        };
        steps(k).product()
    }

    #[test]
    fn numbers_come_in_the_order_of_their_weight() {
        let poisson = [1, 64, 256, 300, 640, 1_280, 12_800].map(|mean| Count::Poisson { mean });
        let split = [(0, 1, 1), (1, 1, 1), (5, 1, 1), (6, 1, 1), (9, 1, 3), (40, 3, 1)]
            .map(|(number, part, rest)| Count::Split { number, part, rest });
        for count in poisson.into_iter().chain(split) {
            let order: Vec<u32> = count.walk().take(60).collect();
            assert_eq!(order.first(), Some(&count.mode()), "{count:?}");
            for pair in order.windows(2) {
                let (a, b) = (weight(count, pair[0]), weight(count, pair[1]));
                assert!(a >= b * 0.999, "{count:?}: {} ({a}) before {} ({b})", pair[0], pair[1]);
            }
            let mut sorted = order.clone();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), order.len(), "{count:?}: a number twice");
        }
    }

    #[test]
    fn a_split_ends_with_its_number() {
        let order: Vec<u32> = Count::Split { number: 4, part: 1, rest: 1 }.walk().collect();
        assert_eq!(order, [2, 1, 3, 0, 4]);
        assert_eq!(Count::Split { number: 3, part: 0, rest: 1 }.walk().collect::<Vec<_>>(), [0]);
        assert_eq!(Count::Split { number: 3, part: 1, rest: 0 }.walk().collect::<Vec<_>>(), [3]);
        assert_eq!(Count::Split { number: 3, part: 0, rest: 0 }.walk().next(), Some(3));
    }

    #[test]
    fn extremes_end() {
        for count in [
            Count::Poisson { mean: 0 },
            Count::Poisson { mean: u32::MAX },
            Count::Split { number: u16::MAX, part: u8::MAX, rest: u8::MAX },
        ] {
            assert!(count.walk().take(200_000).count() > 0);
        }
    }
}
