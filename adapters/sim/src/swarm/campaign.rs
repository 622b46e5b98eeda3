//! Many worlds: seeds on threads.

use core::ops::{ControlFlow, Range};
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use super::{Failure, Report, Settings, Source, run};

/// One seed in this many is run twice, and its hashes compared (I-24).
const TWICE: u64 = 100;

/// What a campaign came to.
#[derive(Debug, Default)]
pub struct Campaign {
    /// How many seeds were run.
    pub seeds: u64,
    /// How many of them were run twice.
    pub twice: u64,
    /// The sums of all that passed.
    pub report: Report,
    /// Those that failed, in the order of their seeds.
    pub failures: Vec<(u64, Failure)>,
}

/// How far a campaign has come, after each seed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// The seed that was run.
    pub seed: u64,
    /// What became of it.
    pub outcome: &'a Result<Report, Box<Failure>>,
    /// All so far; failures are sorted only at the end.
    pub campaign: &'a Campaign,
}

/// Runs each seed of `seeds` on one of so many threads (at least one), and tells `on_progress` after
/// each; when that breaks off, the seeds that are running are the last. The result of a whole
/// campaign does not depend on the number of threads.
pub fn campaign(
    settings: &Settings,
    seeds: Range<u64>,
    threads: usize,
    mut on_progress: impl FnMut(Progress<'_>) -> ControlFlow<()>,
) -> Campaign {
    let next = AtomicU64::new(seeds.start);
    let (tell, told) = mpsc::channel();
    let mut campaign = Campaign::default();
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let (tell, next) = (tell.clone(), &next);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let over = seed >= seeds.end;
                    if over || tell.send((seed, one(settings, seed))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(tell);
        for (seed, outcome) in told {
            campaign.seeds += 1;
            campaign.twice += u64::from(seed.is_multiple_of(TWICE));
            match &outcome {
                Ok(report) => campaign.report.add(report),
                Err(failure) => campaign.failures.push((seed, (**failure).clone())),
            }
            if on_progress(Progress { seed, outcome: &outcome, campaign: &campaign }).is_break() {
                next.fetch_max(seeds.end, Ordering::Relaxed);
            }
        }
    });
    campaign.failures.sort_by_key(|&(seed, _)| seed);
    campaign
}

fn one(settings: &Settings, seed: u64) -> Result<Report, Box<Failure>> {
    let report = run(settings, &Source::seed(seed))?;
    if !seed.is_multiple_of(TWICE) {
        return Ok(report);
    }
    let again = run(settings, &Source::seed(seed))?;
    if again == report {
        return Ok(report);
    }
    let what = format!("hash {:016x}, then {:016x}", report.hash, again.hash);
    Err(Box::new(Failure { rule: "I-24", what, at: report.simulated, lines: Vec::new() }))
}
