//! Waking up in time after the machine itself has slept.
//!
//! The poller's timeout stands still while the system is suspended; a laptop that wakes up with ten
//! minutes left of it would go on sleeping. On Linux a timer on `CLOCK_BOOTTIME` ends long waits
//! instead, which comes due at once after a suspension. Elsewhere long waits are cut into pieces.

use core::time::Duration;

use mio::{Registry, Token};

/// Waits up to this length are left to the poller alone.
const SHORT: Duration = Duration::from_secs(2);
/// The longest wait where there is no such timer.
const PIECE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Sleep {
    timer: Option<timer::Timer>,
}

impl Sleep {
    pub(super) fn new(registry: &Registry, token: Token) -> Self {
        Self { timer: timer::Timer::new(registry, token) }
    }

    /// Prepares a wait of at most `timeout`; the timeout to give to the poller.
    pub(super) fn arm(&mut self, timeout: Option<Duration>) -> Option<Duration> {
        let wait = timeout?;
        if wait <= SHORT {
            return Some(wait);
        }
        let armed = self.timer.as_mut().is_some_and(|timer| timer.set(wait));
        if armed { None } else { Some(wait.min(PIECE)) }
    }

    pub(super) fn woke(&mut self) {
        if let Some(timer) = &mut self.timer {
            timer.clear();
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod timer {
    use core::time::Duration;
    use std::os::fd::{AsRawFd, OwnedFd};

    use mio::unix::SourceFd;
    use mio::{Interest, Registry, Token};
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };

    #[derive(Debug)]
    pub(super) struct Timer(OwnedFd);

    impl Timer {
        pub(super) fn new(registry: &Registry, token: Token) -> Option<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Boottime, flags).ok()?;
            let interest = Interest::READABLE;
            registry.register(&mut SourceFd(&timer.as_raw_fd()), token, interest).ok()?;
            Some(Self(timer))
        }

        pub(super) fn set(&mut self, wait: Duration) -> bool {
            let value = Timespec {
                tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(wait.subsec_nanos()).max(1),
            };
            let once =
                Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
            timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once).is_ok()
        }

        pub(super) fn clear(&mut self) {
            let mut count = [0; 8];
            // What it reads is how often the timer came due; only that it is read matters.
            let _ = rustix::io::read(&self.0, &mut count);
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod timer {
    use core::time::Duration;

    use mio::{Registry, Token};

    #[derive(Debug)]
    pub(super) enum Timer {}

    impl Timer {
        pub(super) fn new(_: &Registry, _: Token) -> Option<Self> {
            None
        }

        pub(super) fn set(&mut self, _: Duration) -> bool {
            match *self {}
        }

        pub(super) fn clear(&mut self) {
            match *self {}
        }
    }
}
