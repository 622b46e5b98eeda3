//! `genkan sim world`: many seeds of a fleet with everything that goes wrong, every rule checked
//! after every event; or one seed, with files that show what happened.

use core::num::NonZeroUsize;
use core::ops::ControlFlow;
use core::time::Duration;
use std::path::{Path, PathBuf};
use std::time::Instant;

use genkan_sim::see;
use genkan_sim::swarm::{self, Failure as Broken, Progress, Report, Settings, Source};
use serde_json::json;

use crate::clock;
use crate::exit::{Failure, Outcome};
use crate::output::{BAD, DIM, GOOD, KEY, Output};
use crate::stop::Stop;

/// Failures beyond these are counted only.
const SHOWN: usize = 5;
/// Cells of the progress bar.
const BAR: u64 = 24;

/// Run simulated worlds: a server, appliances, users and attackers, with every fault, every rule
/// checked after every event
///
/// Exit status 1 when a rule was broken; the seed and the command that shows it are printed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many worlds, from --from on
    #[arg(long, value_name = "N", default_value_t = 100, conflicts_with = "seed")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "SEED", default_value_t = 0, conflicts_with = "seed")]
    from: u64,
    /// One world alone
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// Simulated hours of each world in which things go wrong; it is mended after them
    #[arg(long, value_name = "H", default_value_t = 1.0, value_parser = hours)]
    hours: f64,
    /// Appliances in a world, or the fewest and the most (1 to 8)
    #[arg(long, value_name = "N[-M]", default_value = "1-8", value_parser = range)]
    appliances: (u8, u8),
    /// Users in a world, or the fewest and the most (1 to 8)
    #[arg(long, value_name = "N[-M]", default_value = "1-2", value_parser = range)]
    users: (u8, u8),
    /// Nothing goes wrong and nobody attacks
    #[arg(long)]
    calm: bool,
    /// Worlds at a time [default: as many as there are processors]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Write what happened as text
    #[arg(long, value_name = "FILE")]
    transcript: Option<PathBuf>,
    /// Write what passed every interface, for Wireshark
    #[arg(long, value_name = "FILE")]
    pcapng: Option<PathBuf>,
    /// Draw what happened
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// How many lines are drawn at most
    #[arg(long, value_name = "N", default_value_t = 400, requires = "svg")]
    lines: usize,
}

fn hours(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(hours) if (0.01..=100_000.0).contains(&hours) => Ok(hours),
        _ => Err("a number of hours from 0.01 to 100000".into()),
    }
}

fn range(text: &str) -> Result<(u8, u8), String> {
    let (least, most) = text.split_once('-').unwrap_or((text, text));
    match (least.parse(), most.parse()) {
        (Ok(least), Ok(most)) if 1 <= least && least <= most && most <= 8 => Ok((least, most)),
        _ => Err("a number from 1 to 8, or two as in 2-5".into()),
    }
}

impl Args {
    fn settings(&self) -> Settings {
        Settings {
            duration: Duration::from_secs_f64(self.hours * 3_600.0),
            acceptors: self.appliances,
            issuers: self.users,
            faults: !self.calm,
            ..Settings::default()
        }
    }

    /// The command that runs one seed of these again.
    fn replay(&self, seed: u64) -> String {
        let (a, b) = (self.appliances, self.users);
        let mut command = format!("genkan sim world --seed {seed} --hours {}", self.hours);
        if a != (1, 8) {
            command += &format!(" --appliances {}-{}", a.0, a.1);
        }
        if b != (1, 2) {
            command += &format!(" --users {}-{}", b.0, b.1);
        }
        if self.calm {
            command += " --calm";
        }
        command
    }
}

pub(crate) fn run(args: &Args, output: &Output) -> Outcome {
    let files = [&args.transcript, &args.pcapng, &args.svg];
    if args.seed.is_none() && files.into_iter().any(Option::is_some) {
        return Err(Failure::usage("files are written of one world only").hint("--seed SEED"));
    }
    // What panics in a world is caught there and told as a broken rule.
    std::panic::set_hook(Box::new(|_| ()));
    let outcome = match args.seed {
        Some(seed) => one(args, seed, output),
        None => many(args, output),
    };
    let _ = std::panic::take_hook();
    outcome
}

fn many(args: &Args, output: &Output) -> Outcome {
    let settings = args.settings();
    let end = args
        .from
        .checked_add(args.seeds)
        .ok_or_else(|| Failure::usage("the last seed would be above 18446744073709551615"))?;
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    // More threads than worlds, or many more than processors, only cost.
    let threads = args.threads.map_or(cores, NonZeroUsize::get).min(4 * cores);
    let stop = Stop::on_signals(false)?;
    let start = Instant::now();
    let mut shown = 0;
    let campaign = swarm::campaign(&settings, args.from..end, threads, |progress| {
        if let Err(broken) = progress.outcome {
            shown += 1;
            if shown <= SHOWN {
                tell_broken(args, progress.seed, broken, output);
            }
        }
        output.progress(bar(args.seeds, &progress, start.elapsed()));
        if stop.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let took = start.elapsed();
    let failed = campaign.failures.len();
    let rate = per_second(campaign.report.simulated, took);
    output.json(&json!({
        "event": "worlds", "at": clock::micros(), "seeds": campaign.seeds, "failed": failed,
        "hours": in_hours(campaign.report.simulated), "seconds": took.as_secs_f64(),
        "hours_per_second": rate, "run_twice": campaign.twice,
        "packets": campaign.report.packets, "checks": campaign.report.calls,
        "requests": campaign.report.requests, "connected": campaign.report.connected,
        "payloads": campaign.report.payloads,
    }));
    tell_sum(&campaign.report, output);
    let mark = if failed == 0 { GOOD } else { BAD };
    output.line(format!(
        "{mark}{failed} of {} worlds broke a rule{mark:#}; {:.0} simulated hours in {:.1} s, \
         {rate:.0} a second on {threads} thread{}; {} run twice for equal hashes",
        campaign.seeds,
        in_hours(campaign.report.simulated),
        took.as_secs_f64(),
        if threads == 1 { "" } else { "s" },
        campaign.twice,
    ));
    if failed > 0 {
        Err(Failure::other(format!("{failed} of {} worlds broke a rule", campaign.seeds)))
    } else if stop.is_set() {
        Err(Failure::interrupted())
    } else {
        Ok(())
    }
}

fn one(args: &Args, seed: u64, output: &Output) -> Outcome {
    let (outcome, fleet) = swarm::replay(&args.settings(), &Source::seed(seed));
    write(args.transcript.as_deref(), || Ok(fleet.story().into_bytes()))?;
    write(args.pcapng.as_deref(), || {
        let world = &fleet.world;
        see::pcapng::write(world.captured(), |at| world.interface_name(at), |_| true)
            .map_err(|error| Failure::other(error.to_string()))
    })?;
    write(args.svg.as_deref(), || Ok(fleet.diagram(args.lines).into_bytes()))?;
    tell_files(args, output);
    match outcome {
        Ok(report) => {
            tell_sum(&report, output);
            output.line(format!(
                "{GOOD}no rule was broken{GOOD:#}; {:.2} simulated hours, hash {KEY}{:016x}{KEY:#}",
                in_hours(report.simulated),
                report.hash
            ));
            output.json(&json!({
                "event": "world", "at": clock::micros(), "seed": seed,
                "hours": in_hours(report.simulated), "hash": format!("{:016x}", report.hash),
            }));
            Ok(())
        }
        Err(broken) => {
            tell_broken(args, seed, &broken, output);
            Err(Failure::other(format!("seed {seed} broke {}", broken.rule)))
        }
    }
}

fn write(path: Option<&Path>, content: impl FnOnce() -> Result<Vec<u8>, Failure>) -> Outcome {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, content()?)
        .map_err(|error| Failure::other(format!("cannot write {}: {error}", path.display())))
}

fn tell_files(args: &Args, output: &Output) {
    for path in [&args.transcript, &args.pcapng, &args.svg].into_iter().flatten() {
        output.line(format!("{DIM}wrote{DIM:#} {}", path.display()));
    }
}

fn tell_sum(report: &Report, output: &Output) {
    output.line(format!(
        "{} packets, {} checks, {} requests, {} connections, {} payloads",
        report.packets, report.calls, report.requests, report.connected, report.payloads
    ));
}

fn tell_broken(args: &Args, seed: u64, broken: &Broken, output: &Output) {
    output.line(format!("{broken}"));
    output.line(format!("{BAD}seed {seed} broke {}{BAD:#}; to see it:", broken.rule));
    let replay = args.replay(seed);
    output
        .line(format!("  {KEY}{replay} --svg seed-{seed}.svg --pcapng seed-{seed}.pcapng --transcript seed-{seed}.txt{KEY:#}"));
    output.json(&json!({
        "event": "broken", "at": clock::micros(), "seed": seed, "rule": broken.rule,
        "what": broken.what, "virtual_s": broken.at.as_secs_f64(), "replay": replay,
    }));
}

fn bar(seeds: u64, progress: &Progress<'_>, elapsed: Duration) -> String {
    let done = progress.campaign.seeds;
    let full = done.saturating_mul(BAR).checked_div(seeds).unwrap_or(0).min(BAR) as usize;
    let hours = progress.campaign.report.simulated;
    let left = elapsed.mul_f64((seeds - done.min(seeds)) as f64 / done.max(1) as f64);
    format!(
        "{}{} {done}/{seeds} worlds, {:.0} h simulated, {:.0} h/s, {} failed, {:.0} s left",
        "█".repeat(full),
        "░".repeat(BAR as usize - full),
        in_hours(hours),
        per_second(hours, elapsed),
        progress.campaign.failures.len(),
        left.as_secs_f64(),
    )
}

fn in_hours(time: Duration) -> f64 {
    time.as_secs_f64() / 3_600.0
}

fn per_second(simulated: Duration, took: Duration) -> f64 {
    in_hours(simulated) / took.as_secs_f64().max(1e-3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_hours_have_limits() {
        assert_eq!((range("3"), range("2-8")), (Ok((3, 3)), Ok((2, 8))));
        for bad in ["0", "9", "5-2", "", "-", "1-", "2-9", "x"] {
            assert!(range(bad).is_err(), "{bad:?}");
        }
        assert_eq!(hours("0.5"), Ok(0.5));
        for bad in ["0", "-1", "nan", "inf", "1e9", "h"] {
            assert!(hours(bad).is_err(), "{bad:?}");
        }
    }
}
