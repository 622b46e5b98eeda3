//! The one source of chance in a simulation.
//!
//! SplitMix64 (Steele, Lea, Flood 2014), written out here because a recorded seed must give the same
//! run for ever, whatever happens to other crates. It is not fit for keys outside a simulation.

use core::time::Duration;

/// A seeded generator; the same seed gives the same numbers on every platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng(u64);

impl Rng {
    /// The generator with this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator that depends on this one's present state and on `label`, and leaves this one as
    /// it is: a new consumer does not disturb the numbers that others draw.
    #[must_use]
    pub fn fork(&self, label: &str) -> Self {
        let mut mixed = Self(self.0 ^ fnv1a(label.as_bytes()));
        Self(mixed.next_u64())
    }

    /// The next 64 bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// An index into something of `len` elements; 0 when it is empty.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// True with probability `p`; draws nothing when `p` is not above 0.
    pub fn chance(&mut self, p: f64) -> bool {
        p > 0.0 && ((self.next_u64() >> 11) as f64) < p * (1u64 << 53) as f64
    }

    /// A duration in `0..=most`, in whole microseconds; draws nothing when `most` is zero.
    pub fn up_to(&mut self, most: Duration) -> Duration {
        if most.is_zero() {
            return Duration::ZERO;
        }
        let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX - 1);
        Duration::from_micros(self.below(micros + 1))
    }

    /// Fills `dest`.
    pub fn fill(&mut self, dest: &mut [u8]) {
        for chunk in dest.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_be_bytes()[..chunk.len()]);
        }
    }
}

/// FNV-1a over 64 bits, from the standard offset.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    fnv1a_from(0xcbf2_9ce4_8422_2325, bytes)
}

/// FNV-1a, going on from `hash`.
pub(crate) fn fnv1a_from(hash: u64, bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_first_numbers_of_splitmix64_come_out() {
        let mut rng = Rng::new(1_234_567);
        assert_eq!(rng.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn forks_differ_by_label_and_leave_the_parent_alone() {
        let parent = Rng::new(7);
        let (mut a, mut b) = (parent.fork("a"), parent.fork("b"));
        assert_ne!(a.next_u64(), b.next_u64());
        assert_eq!(parent, Rng::new(7));
    }

    #[test]
    fn chances_come_true_about_as_often_as_stated() {
        let mut rng = Rng::new(1);
        let hits = (0..10_000).filter(|_| rng.chance(0.3)).count();
        assert!((2_800..3_200).contains(&hits), "{hits}");
        assert!((0..1_000).all(|_| rng.chance(1.0) && !rng.chance(0.0)));
    }

    #[test]
    fn bounds_hold() {
        let mut rng = Rng::new(2);
        assert!((0..1_000).all(|_| rng.below(3) < 3));
        assert_eq!(rng.below(0), 0);
        let most = Duration::from_micros(5);
        assert!((0..1_000).all(|_| rng.up_to(most) <= most));
    }
}
