//! Rate limits in eight bytes each (the generic cell rate algorithm of ATM, as a token bucket).

use core::time::Duration;

use crate::time::{Instant, micros};

/// A limit: on the average one per `period`, and up to `burst` at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rate {
    /// Time for one token to come back.
    pub period: Duration,
    /// How many tokens there are when nothing was taken for long.
    pub burst: u32,
}

impl Rate {
    /// `burst` at once, then one per `millis` milliseconds.
    #[must_use]
    pub const fn new(burst: u32, millis: u64) -> Self {
        Self { period: Duration::from_millis(millis), burst }
    }
}

/// How full a token bucket is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Bucket {
    /// When the bucket will be full again, in microseconds.
    full_at: u64,
}

impl Bucket {
    /// A bucket from which nothing was taken yet.
    pub(crate) const EMPTY: Self = Self { full_at: 0 };

    /// When there is a token.
    #[inline(never)]
    pub(crate) fn available_at(&self, rate: Rate) -> Instant {
        let period = micros(rate.period);
        let depth = period.saturating_mul(u64::from(rate.burst));
        Instant::from_micros(self.full_at.saturating_add(period).saturating_sub(depth))
    }

    /// Takes a token, if there is one.
    #[inline(never)]
    pub(crate) fn take(&mut self, now: Instant, rate: Rate) -> bool {
        let period = micros(rate.period);
        let full_at = self.full_at.max(now.as_micros());
        let depth = period.saturating_mul(u64::from(rate.burst));
        let after = full_at.saturating_add(period);
        if after.saturating_sub(now.as_micros()) > depth {
            return false;
        }
        self.full_at = after;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_burst_plus_rate_in_any_window() {
        let rate = Rate::new(5, 100);
        let mut bucket = Bucket::default();
        let mut taken = std::vec::Vec::new();
        for step in 1..3_000u64 {
            let now = Instant::from_millis(step * 7 % 3 + step * 11);
            if bucket.take(now, rate) {
                taken.push(now);
            }
        }
        assert!(taken.len() > 300);
        for (at, first) in taken.iter().enumerate() {
            for last in taken.iter().skip(at + 6).take(50) {
                let window = last.since(*first).as_millis();
                let count = taken.iter().filter(|t| (first..=last).contains(t)).count() as u128;
                assert!(count <= 5 + window / 100 + 1, "{count} in {window} ms");
            }
        }
    }

    #[test]
    fn the_end_of_time_does_not_overflow() {
        let mut bucket = Bucket::default();
        let rate = Rate { period: Duration::MAX, burst: u32::MAX };
        assert!(bucket.take(Instant::END, rate));
        assert!(bucket.take(Instant::END, rate));
    }

    extern crate std;
}
