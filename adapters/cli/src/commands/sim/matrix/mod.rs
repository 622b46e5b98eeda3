//! `genkan sim matrix`: how often pairs of NATs meet, by the core's planner, coordinator and
//! attempts, in as many runs as are asked for; beside it what other systems reach.

mod tell;
mod text;

use core::num::NonZeroUsize;
use core::ops::ControlFlow;
use core::time::Duration;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use genkan_core::punch::Limits;
use genkan_sim::matrix::{self, Conditions, KINDS, Kind, Pairs, RFC6081, Table, heat};

use super::world::{bar, count};
use crate::exit::{Failure, Outcome};
use crate::output::{DIM, Output};
use crate::stop::Stop;

/// How often the progress line changes.
const TICK: Duration = Duration::from_millis(100);

/// Let pairs of simulated NATs meet, and tell how often they do, with how many packets and how soon
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Runs of each pair
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = count::<u64>)]
    #[arg(allow_negative_numbers = true)]
    seeds: u64,
    /// Mappings a second that other users make at each NAT (0 to 1000); a table for each
    #[arg(long, value_name = "N,N…", default_value = "5", value_delimiter = ',')]
    #[arg(value_parser = rate, allow_negative_numbers = true)]
    rates: Vec<f64>,
    /// Packets that get lost, in percent (0 to 50); a table for each
    #[arg(long, value_name = "P,P…", default_value = "0", value_delimiter = ',')]
    #[arg(value_parser = percent, allow_negative_numbers = true)]
    loss: Vec<f64>,
    /// Kinds of NAT: all, rfc6081 (the nine of its figure 1), or names of them
    #[arg(long, value_name = "KINDS", default_value = "all", value_parser = kinds)]
    kinds: Kinds,
    /// Which pairs: all, plain (those that plain punching joins) or hard (the others)
    #[arg(long, value_name = "PAIRS", default_value = "all", value_parser = pairs)]
    pairs: Pairs,
    /// Both owners allow 1,024 guesses (not 256) where a port is drawn
    #[arg(long)]
    birthday: bool,
    /// Ask no box for a port mapping (of the kinds, u-port and u-sym give one)
    #[arg(long)]
    no_leases: bool,
    /// How often each end has been measured before, five minutes before one another (0 to 50)
    #[arg(long, value_name = "N", default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=50), allow_negative_numbers = true)]
    history: u8,
    /// Draw the tables
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Runs at a time, at most four for each processor [default: as many as there are processors]
    #[arg(long, value_name = "N", value_parser = count::<usize>)]
    #[arg(allow_negative_numbers = true)]
    threads: Option<usize>,
}

#[derive(Clone, PartialEq, Debug)]
struct Kinds(Vec<Kind>);

fn number(text: &str, most: f64, wrong: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=most).contains(&number) => Ok(number),
        _ => Err(wrong.into()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    number(text, 1_000.0, "numbers from 0 to 1000, with commas between them")
}

fn percent(text: &str) -> Result<f64, String> {
    number(text, 50.0, "numbers from 0 to 50, with commas between them")
}

fn kinds(text: &str) -> Result<Kinds, String> {
    match text {
        "all" => return Ok(Kinds(KINDS.to_vec())),
        "rfc6081" => return Ok(Kinds(RFC6081.to_vec())),
        _ => {}
    }
    let mut kinds: Vec<Kind> = Vec::new();
    for name in text.split(',') {
        let known = KINDS.into_iter().chain(RFC6081).find(|kind| kind.name == name);
        let Some(kind) = known else { return Err(unknown(name)) };
        if kinds.contains(&kind) {
            return Err(format!("'{name}' stands there twice"));
        }
        kinds.push(kind);
    }
    Ok(Kinds(kinds))
}

fn pairs(text: &str) -> Result<Pairs, String> {
    match text {
        "all" => Ok(Pairs::All),
        "plain" => Ok(Pairs::Plain),
        "hard" => Ok(Pairs::Hard),
        _ => Err("all, plain or hard".into()),
    }
}

fn unknown(name: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for kind in KINDS.into_iter().chain(RFC6081) {
        if !names.contains(&kind.name) {
            names.push(kind.name);
        }
    }
    format!("no kind is called '{name}'; there are all, rfc6081, {}", names.join(", "))
}

impl Args {
    /// Each rate with each loss.
    fn conditions(&self) -> Vec<Conditions> {
        let limits = if self.birthday { Limits::BIRTHDAY } else { Limits::LARGE };
        let all = self.rates.iter().flat_map(|&rate| self.loss.iter().map(move |&p| (rate, p)));
        let conditions = |rate, percent| Conditions::new(rate, percent / 100.0);
        let (pairs, leases, history) = (self.pairs, !self.no_leases, self.history);
        all.map(|(rate, p)| Conditions { limits, pairs, leases, history, ..conditions(rate, p) })
            .collect()
    }
}

pub(crate) fn run(args: &Args, output: &Output) -> Outcome {
    let stop = Stop::on_signals(false)?;
    let svg = match &args.svg {
        None => None,
        Some(path) => {
            let file = File::create(path).map_err(|error| unwritten(path, &error))?;
            Some((path, file))
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = args.threads.unwrap_or(cores).min(4 * cores);
    let all = args.conditions();
    let start = Instant::now();
    let mut next = start;
    let mut tables: Vec<Table> = Vec::new();
    for (done, conditions) in all.iter().enumerate() {
        let kinds = &args.kinds.0;
        let table = matrix::table(kinds, conditions, 0..args.seeds, threads, |progress| {
            if start.elapsed() >= next.duration_since(start) {
                next = Instant::now() + TICK;
                let part = progress.runs as f64 / progress.of.max(1) as f64;
                let part = (done as f64 + part) / all.len() as f64;
                output.progress(|columns| line(part, (done, all.len()), start.elapsed(), columns));
            }
            if stop.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        text::table(&table, output);
        tell::cells(&table, output);
        tables.push(table);
        if stop.is_set() {
            break;
        }
    }
    text::legend(&tables, output);
    text::peers(&tables, output);
    tell::sum(args.seeds, &tables, start.elapsed(), output);
    if let Some((path, mut file)) = svg {
        let drawn = heat::draw(&tables);
        file.write_all(drawn.as_bytes()).map_err(|error| unwritten(path, &error))?;
        output.line(format!("{DIM}wrote{DIM:#} {}", path.display()));
    }
    if stop.is_set() { Err(Failure::interrupted()) } else { Ok(()) }
}

fn unwritten(path: &Path, error: &std::io::Error) -> Failure {
    Failure::other(format!("cannot write {}: {error}", path.display()))
}

fn line(part: f64, table: (usize, usize), elapsed: Duration, columns: usize) -> String {
    let left = elapsed.as_secs_f64() * (1.0 - part) / part.max(1e-6);
    let parts = [
        format!("{:.0} %", part * 100.0),
        format!("{left:.0} s left"),
        format!("table {} of {}", table.0 + 1, table.1),
    ];
    bar(part, &parts, columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_losses_and_kinds_have_limits() {
        assert_eq!((rate("0"), rate("0.5"), percent("5")), (Ok(0.0), Ok(0.5), Ok(5.0)));
        for bad in ["-1", "1001", "nan", "inf", "", "x"] {
            assert!(rate(bad).is_err() && percent(bad).is_err(), "{bad:?}");
        }
        assert!(percent("51").is_err());
        assert_eq!(kinds("all").map(|kinds| kinds.0.len()), Ok(12));
        assert_eq!(kinds("rfc6081").map(|kinds| kinds.0.len()), Ok(9));
        assert_eq!(kinds("port,keep"), Ok(Kinds(vec![KINDS[2], RFC6081[5]])));
        for bad in ["", "port,", "prot", "port,port", "all,port"] {
            assert!(kinds(bad).is_err(), "{bad:?}");
        }
    }
}
