//! What the other users of a box do, worked out only when it matters: just before a port is given
//! out.
//!
//! New mappings and bursts come at random times (a Poisson process each; the gaps between them are
//! exponential), and each burst has a geometric size. Where a sequential counter belongs to the whole
//! box every one of them moves it, so all are played, however long ago; otherwise only those that are
//! still alive matter, and the process, which has no memory, starts where the oldest of them can be.
//! Numbers come from integers and comparisons alone, because the logarithm of the standard library is
//! not the same on every platform.

use core::time::Duration;
use std::collections::VecDeque;

use super::config::Foreign;
use crate::rng::Rng;

/// Other users' mappings within one set of ports.
#[derive(Debug)]
pub(super) struct Crowd {
    next: Option<Duration>,
    alive: VecDeque<(Duration, u32)>,
    /// One bit for each port of the set.
    used: Vec<u64>,
}

impl Crowd {
    /// Whether it has the port at this place of the set.
    pub(super) fn has(&self, index: u32) -> bool {
        self.used.get(index as usize / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    pub(super) fn len(&self) -> usize {
        self.alive.len()
    }

    pub(super) const fn new() -> Self {
        Self { next: None, alive: VecDeque::new(), used: Vec::new() }
    }

    pub(super) fn clear(&mut self) {
        *self = Self { next: self.next, ..Self::new() };
    }

    fn set(&mut self, index: u32, used: bool) {
        let word = index as usize / 64;
        if self.used.len() <= word {
            self.used.resize(word + 1, 0);
        }
        let bit = 1 << (index % 64);
        if used {
            self.used[word] |= bit;
        } else {
            self.used[word] &= !bit;
        }
    }

    fn bury(&mut self, now: Duration) {
        while self.alive.front().is_some_and(|&(until, _)| until <= now) {
            if let Some((_, index)) = self.alive.pop_front() {
                self.set(index, false);
            }
        }
    }

    /// Plays everything up to `now`. `allocate` finds a place for one more, if there is one; `all`
    /// says whether those that are dead by now matter too. `share`: how many such crowds divide the
    /// rates.
    pub(super) fn catch_up(
        &mut self,
        rng: &mut Rng,
        foreign: &Foreign,
        (now, share, all): (Duration, usize, bool),
        mut allocate: impl FnMut(&mut Rng, &Self) -> Option<u32>,
    ) {
        let (singles, bursts) = (foreign.rate.max(0.0), foreign.bursts.max(0.0));
        let rate = (singles + bursts) / share.max(1) as f64;
        if !rate.is_finite() || rate <= 0.0 {
            self.bury(now);
            return;
        }
        let oldest = now.saturating_sub(foreign.stay);
        let started = self.next;
        let mut next = match started {
            Some(next) if all || next >= oldest => next,
            _ => oldest.saturating_add(gap(rng, rate)),
        };
        while next <= now {
            self.bury(next);
            let more = if rng.chance(bursts / (singles + bursts)) {
                geometric(rng, foreign.burst_size)
            } else {
                1
            };
            for _ in 0..more {
                if let Some(index) = allocate(rng, self) {
                    self.set(index, true);
                    self.alive.push_back((next.saturating_add(foreign.stay), index));
                }
            }
            next = next.saturating_add(gap(rng, rate));
        }
        self.next = Some(next);
        self.bury(now);
    }
}

/// The time to the next of events that come `rate` times a second.
fn gap(rng: &mut Rng, rate: f64) -> Duration {
    Duration::try_from_secs_f64((exponential(rng) / rate).max(1e-9)).unwrap_or(Duration::MAX / 4)
}

/// An exponential variate of mean 1, by comparisons of uniform ones (von Neumann 1951).
fn exponential(rng: &mut Rng) -> f64 {
    let mut whole = 0.0;
    loop {
        let first = rng.next_u64();
        let (mut last, mut odd) = (first, true);
        loop {
            let next = rng.next_u64();
            if next >= last {
                break;
            }
            (last, odd) = (next, !odd);
        }
        if odd {
            return whole + (first >> 11) as f64 / (1u64 << 53) as f64;
        }
        whole += 1.0;
    }
}

/// A geometric variate from 1 on with this mean.
fn geometric(rng: &mut Rng, mean: f64) -> u32 {
    let mut size = 1;
    while size < 65_536 && !rng.chance(1.0 / mean.max(1.0)) {
        size += 1;
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variates_have_the_mean_and_spread_of_their_distribution() {
        let mut rng = Rng::new(5);
        let drawn: Vec<f64> = (0..200_000).map(|_| exponential(&mut rng)).collect();
        let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
        let above = drawn.iter().filter(|&&x| x > 2.0).count() as f64 / drawn.len() as f64;
        let square = drawn.iter().map(|x| x * x).sum::<f64>() / drawn.len() as f64;
        assert!((mean - 1.0).abs() < 0.01, "mean {mean}");
        assert!((square - 2.0).abs() < 0.05, "second moment {square}");
        assert!((above - 0.135_335).abs() < 0.003, "P(x > 2) {above}");
        let sizes: Vec<u32> = (0..100_000).map(|_| geometric(&mut rng, 4.0)).collect();
        let mean = f64::from(sizes.iter().sum::<u32>()) / sizes.len() as f64;
        let ones = sizes.iter().filter(|&&size| size == 1).count() as f64 / sizes.len() as f64;
        assert!((mean - 4.0).abs() < 0.05 && (ones - 0.25).abs() < 0.01, "{mean} {ones}");
    }
}
