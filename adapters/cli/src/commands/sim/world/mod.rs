//! `genkan sim world`: many seeds of a fleet with everything that goes wrong, every rule checked
//! after every event ([`many`]); or one seed, with files that show what happened ([`one`]).

mod files;
mod many;
mod one;
mod tell;

pub(super) use tell::bar;

use core::time::Duration;
use std::path::PathBuf;

use genkan_sim::swarm::{self, Settings};

use crate::exit::{Failure, Outcome};
use crate::output::Output;

/// What files are written from stays in memory until the world is over, about 4 MB an hour.
const WRITTEN_HOURS: f64 = 100.0;

/// Run simulated worlds: a server, appliances, users and attackers, with every fault, every rule
/// checked after every event
///
/// Exit status 1 when a rule was broken; the seed and the command that shows it are printed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many worlds, from --from on
    #[arg(long, value_name = "N", default_value_t = 100, conflicts_with = "seed")]
    #[arg(value_parser = count::<u64>, allow_negative_numbers = true)]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "SEED", default_value_t = 0, conflicts_with = "seed")]
    #[arg(value_parser = seed, allow_negative_numbers = true)]
    from: u64,
    /// One world alone
    #[arg(long, value_name = "SEED", value_parser = seed, allow_negative_numbers = true)]
    seed: Option<u64>,
    /// Simulated hours of each world in which things go wrong; it is mended after them
    #[arg(long, value_name = "H", default_value_t = 1.0, value_parser = hours)]
    #[arg(allow_negative_numbers = true)]
    hours: f64,
    /// Appliances in a world, or the fewest and the most (1 to 8)
    #[arg(long, value_name = "N[-M]", default_value = "1-8", value_parser = range)]
    #[arg(allow_negative_numbers = true)]
    appliances: (u8, u8),
    /// Users in a world, or the fewest and the most (1 to 8)
    #[arg(long, value_name = "N[-M]", default_value = "1-2", value_parser = range)]
    #[arg(allow_negative_numbers = true)]
    users: (u8, u8),
    /// Nothing goes wrong and nobody attacks
    #[arg(long)]
    calm: bool,
    /// Worlds at a time, at most four for each processor [default: as many as there are processors]
    #[arg(long, value_name = "N", value_parser = count::<usize>)]
    #[arg(allow_negative_numbers = true)]
    threads: Option<usize>,
    /// Write what happened as text; each file keeps about 4 MB of memory for a simulated hour, and
    /// at most 100 hours can be written
    #[arg(long, value_name = "FILE")]
    transcript: Option<PathBuf>,
    /// Write what passed every interface, for Wireshark
    #[arg(long, value_name = "FILE")]
    pcapng: Option<PathBuf>,
    /// Draw what happened
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// How many lines are drawn at most: the first, or the last before a broken rule
    #[arg(long, value_name = "N", default_value = "400", requires = "svg")]
    #[arg(value_parser = count::<usize>, allow_negative_numbers = true)]
    lines: usize,
}

/// A number from 1 on.
pub(super) fn count<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let number = text.parse::<u64>().ok().filter(|&number| number > 0);
    number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| "a number from 1 on".into())
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("a number from 0 to {}", u64::MAX))
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

    /// The command that shows again which rule a seed of these broke.
    fn replay(&self, seed: u64, rule: &str) -> String {
        let (a, b) = (self.appliances, self.users);
        // Only a run of many worlds, if only of one, makes a world twice and compares.
        let which = if rule == "I-24" {
            format!("--from {seed} --seeds 1")
        } else {
            format!("--seed {seed}")
        };
        let mut command = format!("genkan sim world {which} --hours {}", self.hours);
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
    if args.hours > WRITTEN_HOURS && files.into_iter().any(Option::is_some) {
        let why = format!("files are written of at most {WRITTEN_HOURS} hours");
        return Err(Failure::usage(why).hint("--hours 100"));
    }
    // What panics in a world is caught there and told as a broken rule.
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !swarm::lives_here() {
            before(panic);
        }
    }));
    match args.seed {
        Some(seed) => one::run(args, seed, output),
        None => many::run(args, output),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_the_same_twice_is_shown_by_a_command_that_runs_it_twice() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        let parse = |line: &str| <Line as clap::Parser>::try_parse_from(line.split(' ')).unwrap();
        let args = parse("world --hours 0.5 --appliances 2-5 --calm").args;
        let tail = "--hours 0.5 --appliances 2-5 --calm";
        assert_eq!(args.replay(7, "I-1"), format!("genkan sim world --seed 7 {tail}"));
        let twice = args.replay(700, "I-24");
        assert_eq!(twice, format!("genkan sim world --from 700 --seeds 1 {tail}"));
        let again = parse(twice.strip_prefix("genkan sim ").unwrap()).args;
        assert_eq!((again.seed, again.from, again.seeds), (None, 700, 1));
    }

    #[test]
    fn ranges_hours_and_counts_have_limits() {
        assert_eq!((range("3"), range("2-8")), (Ok((3, 3)), Ok((2, 8))));
        for bad in ["0", "9", "5-2", "", "-", "1-", "2-9", "x", "-1"] {
            assert!(range(bad).is_err(), "{bad:?}");
        }
        assert_eq!(hours("0.5"), Ok(0.5));
        for bad in ["0", "-1", "nan", "inf", "1e9", "h"] {
            assert!(hours(bad).is_err(), "{bad:?}");
        }
        assert_eq!((count("7"), count::<usize>("1")), (Ok(7_u64), Ok(1)));
        for bad in ["0", "-1", "", "x", "18446744073709551616"] {
            assert!(count::<u64>(bad).is_err() && count::<usize>(bad).is_err(), "{bad:?}");
        }
        assert_eq!((seed("0"), seed("18446744073709551615")), (Ok(0), Ok(u64::MAX)));
        assert!(seed("-1").is_err() && seed("18446744073709551616").is_err());
    }
}
