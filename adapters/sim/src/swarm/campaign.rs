//! Many worlds: seeds on threads.

use core::ops::{ControlFlow, Range};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::sync::{Arc, mpsc};
use std::thread;

use super::replay::OnProgress;
use super::{Failure, Report, Settings, Source, watched};

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

/// How far a campaign has come: told after each seed, and now and then meanwhile.
#[derive(Debug)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// The seed that was run, and what became of it. None: no seed is over, but time has passed.
    pub outcome: Option<(u64, &'a Result<Report, Box<Failure>>)>,
    /// All that are over so far; failures are sorted only at the end.
    pub campaign: &'a Campaign,
    /// Virtual time that has passed in worlds that are not over.
    pub under_way: Duration,
}

/// What a thread tells.
enum Told {
    /// In this thread's world so much time has passed.
    Passed(usize, Duration),
    Over(usize, u64, Result<Report, Box<Failure>>),
}

/// How often a world tells how far it has come, in virtual time.
const TELLS: Duration = Duration::from_secs(600);

/// Runs each seed of `seeds` on one of so many threads (at least one), and tells `on_progress` after
/// each, and every ten virtual minutes of each; when that breaks off, the worlds that are running end
/// there and do not count. The result of a whole campaign does not depend on the number of threads.
pub fn campaign(
    settings: &Settings,
    seeds: Range<u64>,
    threads: usize,
    mut on_progress: impl FnMut(Progress<'_>) -> ControlFlow<()>,
) -> Campaign {
    let next = AtomicU64::new(seeds.start);
    let stop = Arc::new(AtomicBool::new(false));
    let (tell, told) = mpsc::channel();
    let mut campaign = Campaign::default();
    let mut passed = vec![Duration::ZERO; threads.max(1)];
    thread::scope(|scope| {
        for thread in 0..threads.max(1) {
            let (tell, next, stop) = (tell.clone(), &next, Arc::clone(&stop));
            scope.spawn(move || {
                let looker = || Some(looker(thread, tell.clone(), Arc::clone(&stop)));
                while let Some(seed) = take(next, seeds.end) {
                    let outcome = one(settings, seed, &looker);
                    // A world that was told to stop has come to nothing.
                    let stopped = stop.load(Ordering::Relaxed);
                    if stopped || tell.send(Told::Over(thread, seed, outcome)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(tell);
        for told in told {
            let outcome = match &told {
                Told::Passed(thread, now) => {
                    passed[*thread] = *now;
                    None
                }
                Told::Over(thread, seed, outcome) => {
                    passed[*thread] = Duration::ZERO;
                    campaign.count(*seed, outcome);
                    Some((*seed, outcome))
                }
            };
            let under_way = passed.iter().sum();
            if on_progress(Progress { outcome, campaign: &campaign, under_way }).is_break() {
                stop.store(true, Ordering::Relaxed);
            }
        }
    });
    campaign.failures.sort_by_key(|&(seed, _)| seed);
    campaign
}

impl Campaign {
    fn count(&mut self, seed: u64, outcome: &Result<Report, Box<Failure>>) {
        self.seeds += 1;
        self.twice += u64::from(seed.is_multiple_of(TWICE));
        match outcome {
            Ok(report) => self.report.add(report),
            Err(failure) => self.failures.push((seed, (**failure).clone())),
        }
    }
}

/// The next seed before the end.
fn take(next: &AtomicU64, end: u64) -> Option<u64> {
    let before = |seed: u64| (seed < end).then(|| seed + 1);
    next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, before).ok()
}

/// Tells how far a world of this thread has come, and stops it when all are to stop.
fn looker(thread: usize, tell: mpsc::Sender<Told>, stop: Arc<AtomicBool>) -> OnProgress {
    let mut due = TELLS;
    OnProgress(Box::new(move |now| {
        let deaf = now >= due && {
            due = now + TELLS;
            tell.send(Told::Passed(thread, now)).is_err()
        };
        if deaf || stop.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }))
}

fn one(
    settings: &Settings,
    seed: u64,
    looker: &dyn Fn() -> Option<OnProgress>,
) -> Result<Report, Box<Failure>> {
    let report = watched(settings, &Source::seed(seed), looker)?;
    if !seed.is_multiple_of(TWICE) {
        return Ok(report);
    }
    let again = watched(settings, &Source::seed(seed), looker)?;
    if again == report {
        return Ok(report);
    }
    let what = format!("hash {:016x}, then {:016x}", report.hash, again.hash);
    Err(Box::new(Failure { rule: "I-24", what, at: report.simulated, lines: Vec::new() }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn short() -> Settings {
        Settings { duration: Duration::from_secs(60), acceptors: (1, 1), ..Settings::default() }
    }

    #[test]
    fn the_last_seeds_of_all_are_run_once_each() {
        let mut seen = Vec::new();
        let all = campaign(&short(), u64::MAX - 2..u64::MAX, 2, |progress| {
            seen.extend(progress.outcome.map(|(seed, _)| seed));
            if seen.len() > 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        seen.sort_unstable();
        assert_eq!((seen, all.seeds), (vec![u64::MAX - 2, u64::MAX - 1], 2));
    }

    #[test]
    fn a_long_world_tells_how_far_it_is_and_stops_when_it_is_told_to() {
        // Nobody waits for the end of such worlds.
        let settings = Settings { duration: Duration::from_secs(3_600 * 1_000_000), ..short() };
        let mut told = 0;
        let campaign = campaign(&settings, 0..4, 2, |progress| {
            assert!(progress.outcome.is_none() && progress.under_way >= TELLS);
            told += 1;
            if told < 10 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        assert_eq!((campaign.seeds, campaign.failures.len()), (0, 0));
        assert!(told >= 10);
    }
}
