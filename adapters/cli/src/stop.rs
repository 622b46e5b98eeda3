//! When to stop: Ctrl-C, SIGTERM or SIGHUP, and for a supervised process the end of its input.
//!
//! The first signal asks; a later one does not wait for an answer. Two at once are one wish:
//! `timeout` and terminals send a signal to the process and to its group.

use core::time::Duration;
use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::exit::{Exit, Failure};

/// Signals within this time are one.
const AT_ONCE: Duration = Duration::from_millis(300);

/// Whether to stop. Clones are the same wish.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    shared: Arc<(Mutex<bool>, Condvar)>,
}

impl Stop {
    /// Set by the first signal. With `supervised`, also when standard input ends.
    pub(crate) fn on_signals(supervised: bool) -> Result<Self, Failure> {
        let stop = Self::default();
        let by_signal = stop.clone();
        let mut first: Option<Instant> = None;
        ctrlc::set_handler(move || {
            let asked = *first.get_or_insert_with(Instant::now);
            if asked.elapsed() >= AT_ONCE {
                std::process::exit(i32::from(Exit::Interrupted.status()));
            }
            by_signal.set();
        })
        .map_err(|error| Failure::other(format!("cannot watch for Ctrl-C: {error}")))?;
        if supervised {
            let by_end = stop.clone();
            thread::Builder::new()
                .name("supervision".into())
                .spawn(move || {
                    let mut ignored = [0; 64];
                    while matches!(std::io::stdin().read(&mut ignored), Ok(1..)) {}
                    by_end.set();
                })
                .map_err(|error| Failure::other(format!("cannot start a thread: {error}")))?;
        }
        Ok(stop)
    }

    /// Runs `end` once it is time to stop, on a thread of its own: this is what ends a node, and
    /// thus the wait for its next event.
    pub(crate) fn then<T: Send + 'static>(
        &self,
        end: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>, Failure> {
        let stop = self.clone();
        thread::Builder::new()
            .name("stop".into())
            .spawn(move || {
                stop.wait_for_ever();
                end()
            })
            .map_err(|error| Failure::other(format!("cannot start a thread: {error}")))
    }

    fn wait_for_ever(&self) {
        let (flag, changed) = &*self.shared;
        let mut flag = flag.lock().unwrap_or_else(PoisonError::into_inner);
        while !*flag {
            flag = changed.wait(flag).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(crate) fn set(&self) {
        let (flag, changed) = &*self.shared;
        *flag.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    pub(crate) fn is_set(&self) -> bool {
        *self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for at most `patience`. `true`: it is time to stop.
    pub(crate) fn wait(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let (flag, changed) = &*self.shared;
        let mut flag = flag.lock().unwrap_or_else(PoisonError::into_inner);
        while !*flag {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            flag = changed.wait_timeout(flag, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_to_stop_ends_a_wait_at_once_and_stays() {
        let stop = Stop::default();
        assert!(!stop.wait(Duration::from_millis(1)));
        let other = stop.clone();
        let waiter = thread::spawn(move || other.wait(Duration::from_secs(60)));
        stop.set();
        let then = stop.then(|| 7).unwrap();
        assert!(waiter.join().unwrap());
        assert_eq!(then.join().unwrap(), 7);
        assert!(stop.is_set() && stop.wait(Duration::ZERO));
    }
}
