//! World runs: the machines in thousands of drawn worlds, with everything that goes wrong, and the
//! protocol's rules looked at after every event (`genkan_sim::swarm` has the list).
//!
//! `cargo test --profile ci -p genkan-tests --test worlds -- --nocapture` prints how much was run and
//! how fast. Nothing is asserted about the speed.
//!
//! A world that breaks a rule is written to a file. With the mend it goes into `tests/worlds`, which is
//! replayed each time: bytes keep their meaning when seeds are drawn otherwise, as long as their
//! places in the header and the acts do. `worlds/hour` has worlds of the usual settings, `worlds/quarter`
//! those of the fuzz target `swarm`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::ops::ControlFlow;
use core::time::Duration;
use std::fs;
use std::path::Path;
use std::time::Instant;

use genkan_sim::swarm::{ACT, Act, Campaign, HEADER, Settings, Source, campaign, record, run};

/// How many seeds a test run has, each an hour and its mending.
const SEEDS: u64 = 2_000;

fn assert_none(settings: &Settings, campaign: &Campaign) {
    for (seed, _) in &campaign.failures {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("seed-{seed}"));
        fs::write(&file, record(settings, *seed)).unwrap();
        eprintln!("seed {seed} is kept in {}", file.display());
    }
    if let Some((seed, failure)) = campaign.failures.first() {
        let seeds: Vec<u64> = campaign.failures.iter().map(|&(seed, _)| seed).collect();
        panic!("{failure}\nseed {seed}, of {seeds:?}");
    }
}

#[test]
fn in_two_thousand_worlds_every_rule_holds() {
    let (start, settings) = (Instant::now(), Settings::default());
    let campaign = campaign(&settings, 0..SEEDS, 2, |_| ControlFlow::Continue(()));
    let (report, spent) = (&campaign.report, start.elapsed().as_secs_f64());
    let hours = report.simulated.as_secs_f64() / 3_600.0;
    eprintln!(
        "{} seeds ({} twice), {hours:.0} simulated hours in {spent:.1} s: {:.1} a second and thread; \
         {} requests, {} connected, {} payloads; {:?} at 30 % loss not connected and connected",
        campaign.seeds,
        campaign.twice,
        hours / spent / 2.0,
        report.requests,
        report.connected,
        report.payloads,
        report.lossy
    );
    assert_none(&settings, &campaign);
    // What is not done is not tested.
    for (act, count) in Act::ALL.into_iter().zip(report.acts) {
        assert!(count > 100, "{act:?} came up {count} times");
    }
    assert!(report.connected > 2_000 && report.payloads > 1_000, "{report:?}");
    // L-2 where 30 % is lost: connected within 30 s, nine times in ten.
    let [in_vain, connected] = report.lossy;
    assert!(connected > 100 && connected > 9 * in_vain, "{report:?}");
}

#[test]
fn worlds_that_have_found_something_hold() {
    let quarter = Settings {
        duration: Duration::from_secs(900),
        pause: Duration::from_secs(90),
        acceptors: (1, 3),
        ..Settings::default()
    };
    for (folder, settings) in [("hour", Settings::default()), ("quarter", quarter)] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("worlds").join(folder);
        let mut files: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty());
        for file in files {
            if let Err(failure) = run(&settings, &Source::bytes(&fs::read(&file).unwrap())) {
                panic!("{failure}\n{}", file.display());
            }
        }
    }
}

#[test]
fn one_seed_gives_one_world_and_another_seed_another() {
    let settings = Settings::default();
    let hashes = |seed| {
        let report = run(&settings, &Source::seed(seed)).unwrap();
        (report.hash, report)
    };
    let mut seen = std::collections::BTreeSet::new();
    for seed in 3_000..3_050 {
        let (first, again) = (hashes(seed), hashes(seed));
        assert_eq!(first, again, "seed {seed}");
        assert!(seen.insert(first.0), "seed {seed} is another one's world");
    }
}

#[test]
fn a_world_from_bytes_is_the_one_that_they_say() {
    // Nothing is said: one lamp, one phone, no faults.
    let settings = Settings::default();
    let quiet = run(&settings, &Source::bytes(&[])).unwrap();
    assert_eq!(quiet.acts.iter().sum::<u32>(), 0);
    // Any bytes make a world that holds.
    let mut bytes = vec![0; HEADER + 30 * ACT];
    for seed in 0..20 {
        genkan_sim::Rng::new(seed).fill(&mut bytes);
        let first = run(&settings, &Source::bytes(&bytes)).unwrap();
        assert_eq!(run(&settings, &Source::bytes(&bytes)).unwrap(), first);
    }
}

#[test]
fn three_quiet_days_cost_four_flash_writes_a_day() {
    // Where nothing goes wrong, I-20 needs none of its allowances. Requests still come, which cost
    // writes only with a password: those acceptors may write once more for each four tries.
    let duration = Duration::from_secs(3 * 86_400);
    let pause = Duration::from_secs(86_400 * 4);
    let settings =
        Settings { duration, pause, acceptors: (2, 2), faults: false, ..Settings::default() };
    for seed in 0..2 {
        match run(&settings, &Source::seed(seed)) {
            Ok(report) => assert!((1..=13).contains(&report.writes), "{report:?}"),
            Err(failure) => panic!("{failure}\nseed {seed}"),
        }
    }
}
