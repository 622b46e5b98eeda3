//! A clock that goes on while the machine sleeps.
//!
//! A laptop that was closed for an hour has lost its NAT mappings and its registration. Linux's
//! usual monotonic clock stands still meanwhile, so a keepalive timer on it would fire an hour late.
//! `CLOCK_BOOTTIME` counts the sleep too, as Apple's `CLOCK_MONOTONIC` does; elsewhere the standard
//! library's clock is used, which on Windows counts it as well.

use std::time::{SystemTime, UNIX_EPOCH};

use genkan_core::Instant;

/// Reads the time for the machines. All clocks of one process agree with each other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock(());

impl Clock {
    /// The clock of this process.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }

    /// Time since an epoch of the system's choice; goes on while the system sleeps, never back.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::from_micros(monotonic())
    }

    /// The same in bare microseconds, as the streams' stack takes it.
    pub(crate) fn micros(&self) -> u64 {
        self.now().as_micros()
    }

    /// Seconds since 1970 by the wall clock, which people and networks may set: enough to judge a
    /// certificate's validity, not for timers. `None` when it stands before 1970.
    #[must_use]
    pub fn wall(&self) -> Option<u64> {
        SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn monotonic() -> u64 {
    use rustix::time::{ClockId, clock_gettime};

    #[cfg(any(target_os = "linux", target_os = "android"))]
    let clock = ClockId::Boottime;
    #[cfg(target_vendor = "apple")]
    let clock = ClockId::Monotonic;
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000).saturating_add(nanos / 1_000)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn monotonic() -> u64 {
    use std::sync::OnceLock;
    use std::time;

    static START: OnceLock<time::Instant> = OnceLock::new();
    let since = START.get_or_init(time::Instant::now).elapsed();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn time_goes_forward_and_clocks_agree() {
        let (one, other) = (Clock::new(), Clock::default());
        let before = one.now();
        std::thread::sleep(Duration::from_millis(20));
        let after = other.now();
        assert!(after.since(before) >= Duration::from_millis(20));
        assert!(after.since(before) < Duration::from_secs(10));
        for _ in 0..1_000 {
            let earlier = one.now();
            assert!(other.now() >= earlier);
        }
    }

    #[test]
    fn the_wall_clock_is_past_the_day_of_writing() {
        assert!(Clock::new().wall().unwrap() > 1_750_000_000);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_clock_is_the_one_that_counts_sleep() {
        // /proc/uptime is CLOCK_BOOTTIME with two decimals.
        let text = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = text.split(' ').next().unwrap().parse().unwrap();
        let ours = Clock::new().now().as_micros() as f64 / 1e6;
        assert!((ours - uptime).abs() < 5.0, "{ours} against {uptime}");
    }
}
