//! Time as the core sees it: a number of microseconds that the caller hands in.
//!
//! The core never reads a clock. Every `handle_*` and most `poll_*` calls take an [`Instant`]; the
//! caller derives it from whatever it has (a free-running timer, `CLOCK_BOOTTIME`, virtual time).
//! The epoch is the caller's choice and is never sent to anybody. An [`Instant`] that goes backwards
//! is clamped by the machines to the latest one they saw (threat T34), so a jumping clock can delay
//! a deadline but never underflow anything.

use core::num::NonZeroU64;
use core::time::Duration;

/// A point in time in microseconds since an epoch of the caller's choice; never zero, so that
/// `Option<Instant>` takes 8 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant(NonZeroU64);

impl Instant {
    /// The earliest instant.
    pub const START: Self = Self(NonZeroU64::MIN);
    /// The latest instant; arithmetic saturates here, so a deadline beyond it is simply never reached.
    pub const END: Self = Self(NonZeroU64::MAX);

    /// The instant `micros` microseconds after the epoch; 0 counts as 1.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        match NonZeroU64::new(micros) {
            Some(micros) => Self(micros),
            None => Self::START,
        }
    }

    /// The instant `millis` milliseconds after the epoch; 0 counts as one microsecond.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self::from_micros(millis.saturating_mul(1_000))
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0.get()
    }

    /// Whole seconds since the epoch.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.as_micros() / 1_000_000
    }

    /// `self + duration`, or [`Instant::END`] where that would overflow.
    #[must_use]
    #[inline(never)]
    pub fn after(self, duration: Duration) -> Self {
        self.after_micros(micros(duration))
    }

    /// As [`Instant::after`], where the microseconds were computed: a [`Duration`] of them would take a
    /// microcontroller a long division.
    #[must_use]
    pub(crate) const fn after_micros(self, micros: u64) -> Self {
        Self::from_micros(self.as_micros().saturating_add(micros))
    }

    /// The time from `earlier` to `self`; zero where `earlier` is later.
    #[must_use]
    #[inline(never)]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.as_micros().saturating_sub(earlier.as_micros()))
    }
}

/// A duration in whole microseconds, saturated to `u64`.
#[must_use]
#[inline(never)]
pub(crate) fn micros(duration: Duration) -> u64 {
    // Not by `as_micros`, which takes 128 bits.
    let whole = duration.as_secs().saturating_mul(1_000_000);
    whole.saturating_add(duration.subsec_micros().into())
}

/// The earlier of two optional deadlines.
#[must_use]
#[cfg_attr(target_pointer_width = "32", inline(never))]
pub(crate) fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Instant::END.after(Duration::from_secs(1)), Instant::END);
        assert_eq!(Instant::START.after(Duration::MAX), Instant::END);
        assert_eq!(Instant::START.since(Instant::END), Duration::ZERO);
        assert_eq!(Instant::from_micros(0), Instant::START);
        assert_eq!(size_of::<Option<Instant>>(), 8);
    }
}
