//! Many runs of one pair.

use core::ops::{ControlFlow, Range};
use core::time::Duration;
use std::sync::{Mutex, mpsc};
use std::thread;

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
    /// Those of each run, at the box where there were more, of the runs that met, in rising order.
    made: Vec<usize>,
    /// The plan of the run with the lowest seed.
    first: Option<(u64, Result<Plan, Hopeless>)>,
    /// Packets of the runs in which the pair was taken for hopeless.
    pub wasted: u64,
}

impl Cell {
    /// The share of runs in which the ends met.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.met as f64 / self.runs.max(1) as f64
    }

    /// The share in percent with at most one decimal, cut off: "100" is every run.
    #[must_use]
    pub fn percent(&self) -> String {
        let tenths = self.met.saturating_mul(1_000) / self.runs.max(1);
        match (tenths / 10, tenths % 10) {
            (100, _) => "100".into(),
            (whole, tenth) => format!("{whole}.{tenth}"),
        }
    }

    /// Whether every run took the pair for hopeless.
    #[must_use]
    pub const fn is_hopeless(&self) -> bool {
        self.runs > 0 && self.hopeless == self.runs
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

    /// The mappings at one of the boxes within which this share of the runs that met had met.
    #[must_use]
    pub fn made(&self, share: f64) -> Option<usize> {
        at(&self.made, share)
    }

    fn join(&mut self, other: Self) {
        self.runs += other.runs;
        self.met += other.met;
        self.hopeless += other.hopeless;
        self.wasted += other.wasted;
        self.packets.extend(other.packets);
        self.took.extend(other.took);
        self.mappings = self.mappings.max(other.mappings);
        self.made.extend(other.made);
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

/// Seeds of one job.
const CHUNK: u64 = 64;

/// How far the runs have come, after each few of them.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// Runs that are done.
    pub runs: u64,
    /// Runs in all.
    pub of: u64,
}

/// Lets each pair try once for each seed, on so many threads (at least one), and tells `on_progress`
/// after some runs each; when that breaks off, those that are under way are the last, and a pair has
/// fewer runs, or none. The result of all runs does not depend on the number of threads.
pub fn cells(
    labs: &[Lab],
    seeds: Range<u64>,
    threads: usize,
    mut on_progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Vec<Cell> {
    let each = seeds.end.saturating_sub(seeds.start);
    let of = u64::try_from(labs.len()).unwrap_or(u64::MAX).saturating_mul(each);
    let mut cells = vec![Cell::default(); labs.len()];
    let mut runs = 0;
    let jobs = Mutex::new(jobs(labs.len(), seeds));
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let (tell, jobs) = (tell.clone(), &jobs);
            scope.spawn(move || {
                let next = || jobs.lock().ok().and_then(|mut jobs| jobs.next());
                while let Some((place, seeds)) = next() {
                    let cell = labs.get(place).map(|lab| some(lab, seeds)).unwrap_or_default();
                    if tell.send((place, cell)).is_err() {
                        return;
                    }
                }
            });
        }
        // What is received ends when the last thread has ended; when nobody receives, they end.
        drop(tell);
        for (place, cell) in told {
            runs += cell.runs;
            if let Some(sum) = cells.get_mut(place) {
                sum.join(cell);
            }
            if on_progress(Progress { runs, of }).is_break() {
                break;
            }
        }
    });
    for cell in &mut cells {
        cell.packets.sort_unstable();
        cell.took.sort_unstable();
        cell.made.sort_unstable();
    }
    cells
}

/// Each pair's place with some of the seeds.
fn jobs(pairs: usize, seeds: Range<u64>) -> impl Iterator<Item = (usize, Range<u64>)> {
    (0..pairs).flat_map(move |place| {
        let end = seeds.end;
        let parts = (seeds.start..end).step_by(usize::try_from(CHUNK).unwrap_or(1));
        parts.map(move |from| (place, from..end.min(from.saturating_add(CHUNK))))
    })
}

fn some(lab: &Lab, seeds: Range<u64>) -> Cell {
    let mut sum = Cell::default();
    for seed in seeds {
        sum.join(one(lab, seed));
    }
    sum
}

fn one(lab: &Lab, seed: u64) -> Cell {
    let outcome = meet(lab, seed);
    let mappings = outcome.mappings.into_iter().max().unwrap_or(0);
    Cell {
        runs: 1,
        met: u64::from(outcome.took.is_some()),
        hopeless: u64::from(outcome.plan.is_err()),
        wasted: outcome.plan.err().map_or(0, |_| outcome.packets.into()),
        packets: outcome.took.map(|_| outcome.packets).into_iter().collect(),
        took: outcome.took.into_iter().collect(),
        mappings,
        made: outcome.took.map(|_| mappings).into_iter().collect(),
        first: Some((seed, outcome.plan)),
    }
}
