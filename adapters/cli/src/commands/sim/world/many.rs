//! Many seeds.

use core::num::NonZeroUsize;
use core::ops::ControlFlow;
use core::time::Duration;
use std::time::Instant;

use genkan_sim::swarm::{self, Progress};
use serde_json::json;

use super::Args;
use super::tell;
use crate::clock;
use crate::exit::{Failure, Outcome};
use crate::output::{BAD, GOOD, Output};
use crate::stop::Stop;

/// Failures beyond these are counted only.
const SHOWN: usize = 5;

pub(super) fn run(args: &Args, output: &Output) -> Outcome {
    let settings = args.settings();
    let end = args
        .from
        .checked_add(args.seeds)
        .ok_or_else(|| Failure::usage("the last seed would be above 18446744073709551615"))?;
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let worlds = usize::try_from(args.seeds).unwrap_or(usize::MAX);
    // More threads than worlds, or many more than processors, only cost.
    let threads = args.threads.unwrap_or(cores).min(4 * cores).min(worlds);
    let stop = Stop::on_signals(false)?;
    let start = Instant::now();
    let (mut shown, mut next) = (0, Duration::ZERO);
    let campaign = swarm::campaign(&settings, args.from..end, threads, |progress| {
        if let Some((seed, Err(broken))) = progress.outcome {
            shown += 1;
            if shown <= SHOWN {
                tell::broken(args, seed, broken, output);
            }
        }
        if start.elapsed() >= next {
            next = start.elapsed() + tell::TICK;
            output.progress(|columns| line(args, &progress, start.elapsed(), columns));
        }
        if stop.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let took = start.elapsed();
    let failed = campaign.failures.len();
    let mut event = json!({
        "event": "worlds", "at": clock::micros(), "seeds": campaign.seeds, "failed": failed,
        "run_twice": campaign.twice,
    });
    tell::numbers(&mut event, &campaign.report, took);
    output.json(&event);
    tell::sum(&campaign.report, output);
    let mark = if failed == 0 { GOOD } else { BAD };
    let s = if threads == 1 { "" } else { "s" };
    output.line(format!("{} on {threads} thread{s}", tell::time(&campaign.report, took)));
    output.line(format!(
        "{mark}{failed} of {} worlds broke a rule{mark:#}; {} run twice for equal hashes",
        campaign.seeds, campaign.twice,
    ));
    if failed > 0 {
        Err(Failure::other(format!("{failed} of {} worlds broke a rule", campaign.seeds)))
    } else if stop.is_set() {
        Err(Failure::interrupted())
    } else {
        Ok(())
    }
}

fn line(args: &Args, progress: &Progress<'_>, elapsed: Duration, columns: usize) -> String {
    let (done, report) = (progress.campaign.seeds, &progress.campaign.report);
    // A world that is being mended is as good as over.
    let world = args.settings().duration.as_secs_f64();
    let begun = (progress.under_way.as_secs_f64() / world).min((args.seeds - done) as f64);
    let part = ((done as f64 + begun) / args.seeds as f64).clamp(0.0, 1.0);
    let left = elapsed.as_secs_f64() * (1.0 - part) / part.max(1e-6);
    let simulated = report.simulated + progress.under_way;
    let parts = [
        format!("{done}/{} worlds", args.seeds),
        format!("{} failed", progress.campaign.failures.len()),
        format!("{left:.0} s left"),
        format!("{:.0} h simulated", tell::in_hours(simulated)),
        format!("{:.0} h/s", tell::per_second(simulated, elapsed)),
    ];
    tell::bar(part, &parts, columns)
}
