//! How many simulated hours a second this machine makes of world runs, with all checks on.
//!
//! Each thread runs whole worlds (`genkan_sim::swarm`), one after the other. The first line is for
//! worlds of eight appliances and two issuers, the second for worlds as drawn.
//!
//! Usage: `genkan-worlds [SEEDS] [THREADS] [FIRST]`. Seeds that fail are printed with what happened.
#![allow(clippy::print_stdout, reason = "a measuring program prints")]

use core::ops::ControlFlow;
use std::time::Instant;

use genkan_sim::swarm::{Act, Settings, campaign};

fn measure(name: &str, settings: &Settings, seeds: core::ops::Range<u64>, threads: usize) {
    let (start, many) = (Instant::now(), seeds.end - seeds.start);
    let campaign = campaign(settings, seeds, threads, |_| ControlFlow::Continue(()));
    let (spent, report) = (start.elapsed().as_secs_f64(), &campaign.report);
    let hours = report.simulated.as_secs_f64() / 3_600.0;
    println!(
        "{name}: {many} seeds, {hours:.0} simulated hours in {spent:.1} s: {:.1} hours/s on each of \
         {threads} threads; {:.0} calls, {:.0} packets an hour; {} failures",
        hours / spent / threads as f64,
        report.calls as f64 / hours,
        report.packets as f64 / hours,
        campaign.failures.len(),
    );
    let acts = Act::ALL.into_iter().zip(report.acts);
    let acts: Vec<String> = acts.map(|(act, count)| format!("{act:?} {count}")).collect();
    println!(
        "  {} requests, {} connected, {} payloads; {}",
        report.requests,
        report.connected,
        report.payloads,
        acts.join(", ")
    );
    for (seed, failure) in campaign.failures.iter().take(5) {
        println!("seed {seed}: {failure}\n");
    }
    for (seed, failure) in &campaign.failures {
        println!("seed {seed}: {} {:?} {}", failure.rule, failure.at, failure.what);
    }
}

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|text| text.parse::<u64>().ok());
    let seeds = numbers.next().unwrap_or(200);
    let threads = usize::try_from(numbers.next().unwrap_or(1)).unwrap_or(1);
    let first = numbers.next().unwrap_or(0);
    let range = first..first + seeds;
    let full = Settings { acceptors: (8, 8), issuers: (2, 2), ..Settings::default() };
    measure("eight appliances", &full, range.clone(), threads);
    measure("as drawn", &Settings::default(), range, threads);
}
