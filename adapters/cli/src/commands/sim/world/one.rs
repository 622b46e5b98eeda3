//! One seed.

use core::ops::ControlFlow;
use core::time::Duration;
use std::time::Instant;

use genkan_sim::swarm::{self, Source};
use serde_json::json;

use super::Args;
use super::files::Files;
use super::tell;
use crate::clock;
use crate::exit::{Failure, Outcome};
use crate::output::{GOOD, KEY, Output};
use crate::stop::Stop;

pub(super) fn run(args: &Args, seed: u64, output: &Output) -> Outcome {
    let stop = Stop::on_signals(false)?;
    let files = Files::create(args)?;
    let (settings, source) = (args.settings(), Source::seed(seed));
    let drawn = swarm::describe(&settings, &source);
    output.line(drawn.trim_end());
    let start = Instant::now();
    let on_progress = progress(args, start, output.clone(), stop);
    let replay = swarm::replay(&settings, &source, files.keep(), on_progress);
    let took = start.elapsed();
    let report = &replay.report;
    if let Some(broken) = &replay.failure {
        tell::broken(args, seed, broken, output);
    }
    let hash =
        (replay.failure.is_none() && !replay.stopped).then(|| format!("{:016x}", report.hash));
    let mut event = json!({
        "event": "world", "at": clock::micros(), "seed": seed,
        "failed": u8::from(replay.failure.is_some()), "hash": hash,
        "drawn": drawn.lines().collect::<Vec<_>>(),
    });
    tell::numbers(&mut event, report, took);
    output.json(&event);
    tell::sum(report, output);
    output.line(tell::time(report, took));
    if let Some(hash) = &hash {
        output.line(format!("{GOOD}no rule was broken{GOOD:#}; hash {KEY}{hash}{KEY:#}"));
    } else if replay.stopped {
        output.line("no rule was broken so far");
    }
    files.fill(&replay, args.lines, output)?;
    match replay.failure {
        Some(broken) => Err(Failure::other(format!("seed {seed} broke {}", broken.rule))),
        None if replay.stopped => Err(Failure::interrupted()),
        None => Ok(()),
    }
}

/// Shows how far the world has come, and stops it when it is time to stop.
fn progress(
    args: &Args,
    start: Instant,
    output: Output,
    stop: Stop,
) -> impl FnMut(Duration) -> ControlFlow<()> + 'static {
    let whole = args.settings().duration;
    let mut next = start;
    move |now| {
        if start.elapsed() >= next.duration_since(start) {
            next = Instant::now() + tell::TICK;
            output.progress(|columns| line(now, whole, start.elapsed(), columns));
        }
        if stop.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn line(now: Duration, whole: Duration, elapsed: Duration, columns: usize) -> String {
    let part = (now.as_secs_f64() / whole.as_secs_f64()).min(1.0);
    let hours = |time: Duration| time.as_secs_f64() / 3_600.0;
    let rate = hours(now) / elapsed.as_secs_f64().max(1e-3);
    let left = elapsed.as_secs_f64() * (1.0 - part) / part.max(1e-6);
    let parts = if now < whole {
        vec![
            format!("{:.2} of {:.2} h", hours(now), hours(whole)),
            format!("{left:.0} s left"),
            format!("{rate:.0} h/s"),
        ]
    } else {
        vec![format!("{:.2} h, being mended", hours(now)), format!("{rate:.0} h/s")]
    };
    tell::bar(part, &parts, columns)
}
