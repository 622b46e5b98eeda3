//! Many runs of one pair.

use core::num::NonZeroUsize;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Mutex;

use genkan_core::punch::{Hopeless, Plan};

use super::run::{Lab, meet};

/// What many runs of one pair came to.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Cell {
    /// Runs.
    pub runs: u64,
    /// Runs in which both ends heard each other.
    pub met: u64,
    /// Runs in which the pair was taken for hopeless, before any packet.
    pub hopeless: u64,
    /// Packets of both ends until they met, of the runs that did, in rising order.
    packets: Vec<u32>,
    /// Time from the request until they met, in rising order.
    took: Vec<Duration>,
    /// The most mappings that one run has made at one of the boxes.
    pub mappings: usize,
    /// The plan of the run with the lowest seed.
    first: Option<(u64, Result<Plan, Hopeless>)>,
}

impl Cell {
    /// The share of runs in which the ends met.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.met as f64 / self.runs.max(1) as f64
    }

    /// The interval that holds the true share with 95 % (Wilson's score).
    #[must_use]
    pub fn interval(&self) -> (f64, f64) {
        let (n, p, z) = (self.runs.max(1) as f64, self.rate(), 1.96);
        let centre = p + z * z / (2.0 * n);
        let spread = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        let whole = 1.0 + z * z / n;
        (((centre - spread) / whole).max(0.0), ((centre + spread) / whole).min(1.0))
    }

    /// What was planned, in the run with the lowest seed; another run may have measured something
    /// else.
    #[must_use]
    pub fn plan(&self) -> Option<Result<Plan, Hopeless>> {
        self.first.map(|(_, plan)| plan)
    }

    /// The packets within which this share of the runs that met had met.
    #[must_use]
    pub fn packets(&self, share: f64) -> Option<u32> {
        at(&self.packets, share)
    }

    /// The time within which this share of the runs that met had met.
    #[must_use]
    pub fn took(&self, share: f64) -> Option<Duration> {
        at(&self.took, share)
    }

    fn join(&mut self, other: Self) {
        self.runs += other.runs;
        self.met += other.met;
        self.hopeless += other.hopeless;
        self.packets.extend(other.packets);
        self.took.extend(other.took);
        self.mappings = self.mappings.max(other.mappings);
        self.first = match (self.first, other.first) {
            (Some(one), Some(other)) => Some(if one.0 <= other.0 { one } else { other }),
            (one, other) => one.or(other),
        };
    }
}

fn at<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last as f64 * share.clamp(0.0, 1.0)) as usize).copied()
}

/// Runs of one thread between two looks at the counter.
const CHUNK: u64 = 64;

/// Lets the pair try once for each seed, on so many threads. The result does not depend on how many.
#[must_use]
pub fn cell(lab: &Lab, seeds: Range<u64>, threads: NonZeroUsize) -> Cell {
    let next = AtomicU64::new(seeds.start);
    let sum = Mutex::new(Cell::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.get() {
            scope.spawn(|| {
                let mut own = Cell::default();
                loop {
                    let from = next.fetch_add(CHUNK, Ordering::Relaxed);
                    if from >= seeds.end {
                        break;
                    }
                    for seed in from..seeds.end.min(from + CHUNK) {
                        own.join(one(lab, seed));
                    }
                }
                if let Ok(mut sum) = sum.lock() {
                    sum.join(own);
                }
            });
        }
    });
    let mut cell = sum.into_inner().unwrap_or_default();
    cell.packets.sort_unstable();
    cell.took.sort_unstable();
    cell
}

fn one(lab: &Lab, seed: u64) -> Cell {
    let outcome = meet(lab, seed);
    Cell {
        runs: 1,
        met: u64::from(outcome.took.is_some()),
        hopeless: u64::from(outcome.plan.is_err()),
        packets: outcome.took.map(|_| outcome.packets).into_iter().collect(),
        took: outcome.took.into_iter().collect(),
        mappings: outcome.mappings.into_iter().max().unwrap_or(0),
        first: Some((seed, outcome.plan)),
    }
}
