//! How often pairs of NATs meet, with how many packets, and what it costs the boxes: few seeds of
//! what `genkan sim matrix` does with many.
//!
//! A bound that is as near to what is measured as chance allows: the limit says what is wanted, and
//! the runs are so many, that a fault of the size that it excludes does not pass.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use core::ops::ControlFlow;
use core::time::Duration;

use genkan_core::punch::Limits;
use genkan_sim::matrix::{Cell, Conditions, KINDS, Kind, RFC6081, cells, table};

/// A run must not make more mappings than this at one box.
const MOST_MAPPINGS: usize = 256;

fn kind(name: &str) -> Kind {
    KINDS.into_iter().find(|kind| kind.name == name).unwrap()
}

/// Each of the one with each of the other, whoever asks.
fn pairs(one: &[&str], other: &[&str]) -> Vec<(Kind, Kind)> {
    let mut all = Vec::new();
    for (a, b) in one.iter().flat_map(|a| other.iter().map(move |b| (kind(a), kind(b)))) {
        for pair in [(a, b), (b, a)] {
            if !all.contains(&pair) {
                all.push(pair);
            }
        }
    }
    all
}

/// What becomes of them; and no run makes too many mappings.
fn runs(pairs: &[(Kind, Kind)], rate: f64, loss: f64, seeds: u64) -> Vec<(String, Cell)> {
    runs_in(pairs, &Conditions::new(rate, loss), seeds)
}

fn runs_in(pairs: &[(Kind, Kind)], conditions: &Conditions, seeds: u64) -> Vec<(String, Cell)> {
    let rate = conditions.rate;
    let labs: Vec<_> = pairs.iter().map(|&(a, b)| conditions.lab(a, b).unwrap()).collect();
    let cells = cells(&labs, 0..seeds, 2, |_| ControlFlow::Continue(()));
    let names = pairs.iter().map(|(a, b)| format!("{} to {}, {rate} a second", a.name, b.name));
    let all: Vec<_> = names.zip(cells).collect();
    for (name, cell) in &all {
        assert_eq!(cell.runs, seeds);
        assert!(cell.mappings <= MOST_MAPPINGS, "{name}: {} mappings", cell.mappings);
    }
    all
}

/// The share that met of all of them together.
fn share(cells: &[(String, Cell)]) -> f64 {
    let sum = |what: fn(&Cell) -> u64| cells.iter().map(|(_, cell)| what(cell)).sum::<u64>();
    sum(|cell| cell.met) as f64 / sum(|cell| cell.runs) as f64
}

/// At most so many runs of each pair fail, and the median of the packets is at most so many.
fn assert_failures(cells: &[(String, Cell)], most: u64, packets: u32) {
    for (name, cell) in cells {
        let failed = cell.runs - cell.met;
        assert!(failed <= most, "{name}: {failed} of {} did not meet", cell.runs);
        let median = cell.packets(0.5).unwrap();
        assert!(median <= packets, "{name}: {median} packets");
    }
}

const COUNTERS: [&str; 5] = ["adm+1", "seq+1", "seq+2", "seq+8", "seq-64"];

#[test]
fn pairs_of_known_ports_and_open_filters_always_meet_with_few_packets_also_when_packets_get_lost() {
    let known = pairs(&["cone", "addr", "port"], &["cone", "addr", "port"]);
    let hard = ["first", "adm+1", "seq+1", "seq-64", "blk512", "random"];
    let open = pairs(&hard, &["cone", "addr"]);
    for (pairs, packets) in [(known, 6), (open, 9)] {
        let cells = runs(&pairs, 5.0, 0.05, 1_000);
        assert_failures(&cells, 0, packets);
        for (name, cell) in &cells {
            let longest = cell.took(1.0).unwrap();
            assert!(longest <= Duration::from_secs(3), "{name}: {longest:?}");
        }
    }
}

#[test]
fn a_counter_of_any_step_is_foreseen() {
    let pairs = pairs(&COUNTERS, &["port"]);
    for (rate, most) in [(0.0, 1), (50.0, 1), (200.0, 5)] {
        assert_failures(&runs(&pairs, rate, 0.0, 1_000), most, 9);
    }
}

#[test]
fn a_kept_port_is_told() {
    assert_failures(&runs(&pairs(&["first"], &["port", "first"]), 50.0, 0.02, 500), 0, 9);
}

#[test]
fn two_counters_meet() {
    let pairs = pairs(&COUNTERS, &COUNTERS);
    for (rate, least, packets) in [(5.0, 0.99, 32), (50.0, 0.95, 32), (200.0, 0.95, 124)] {
        let cells = runs(&pairs, rate, 0.0, 200);
        assert!(share(&cells) >= least, "{rate} a second: {}", share(&cells));
        let most = (200.0 * (1.0 - least) * 2.0) as u64;
        assert_failures(&cells, most, packets);
    }
}

#[test]
fn kept_ports_meet_counters() {
    let pairs = pairs(&["first"], &COUNTERS);
    for (rate, packets) in [(5.0, 32), (50.0, 32), (200.0, 124)] {
        assert_failures(&runs(&pairs, rate, 0.0, 200), 4, packets);
    }
}

#[test]
fn a_port_that_is_drawn_from_a_block_is_guessed() {
    for (block, packets) in [("blk512", 57), ("blk4k", 150)] {
        let cells = runs(&pairs(&[block], &["port"]), 5.0, 0.0, 500);
        assert!(share(&cells) >= 0.99, "{block}: {}", share(&cells));
        assert_failures(&cells, 10, packets);
    }
}

#[test]
fn a_port_that_is_drawn_from_all_is_guessed_in_more_than_half_of_the_runs() {
    let cells = runs(&pairs(&["random"], &["port"]), 5.0, 0.0, 300);
    assert!(share(&cells) >= 0.55, "{}", share(&cells));
    assert_failures(&cells, 150, 460);
}

/// 256 mappings and 1,024 guesses cannot do more than 98.35 %.
#[test]
fn with_the_owners_word_a_port_that_is_drawn_from_all_is_guessed_nearly_always() {
    let conditions = Conditions { limits: Limits::BIRTHDAY, ..Conditions::new(5.0, 0.0) };
    let cells = runs_in(&pairs(&["random"], &["port"]), &conditions, 300);
    assert!(share(&cells) >= 0.965, "{}", share(&cells));
    assert_failures(&cells, 16, 520);
}

/// Two hours of measurements know a block to its ends.
#[test]
fn a_block_that_was_learned_is_guessed_with_no_failure() {
    let pairs = pairs(&["blk512", "blk4k"], &["port"]);
    let conditions = Conditions { history: 24, ..Conditions::new(5.0, 0.0) };
    for (name, cell) in runs_in(&pairs, &conditions, 300) {
        assert!(cell.met >= 299, "{name}: {} of 300", cell.met);
    }
}

fn rfc6081(name: &str) -> Kind {
    RFC6081.into_iter().find(|kind| kind.name == name).unwrap()
}

/// Teredo joins 43. What is left is drawn ports against ends whose own port is not known either.
#[test]
fn sixty_five_of_rfc_6081_s_pairs_meet_and_only_five_are_hopeless() {
    let go = |_| ControlFlow::Continue(());
    let table = table(&RFC6081, &Conditions::new(5.0, 0.0), 0..100, 2, go);
    let cells = || table.pairs().map(|(a, b, cell)| (a.name, b.name, cell.unwrap()));
    let met: Vec<_> = cells().filter(|(.., cell)| cell.met >= 99).collect();
    assert_eq!(met.len(), 65, "{met:?}");
    let hopeless: Vec<_> =
        cells().filter(|(.., cell)| cell.is_hopeless()).map(|(a, b, _)| (a, b)).collect();
    let wanted = [("keep", "sym"), ("seq", "sym"), ("sym", "keep"), ("sym", "seq"), ("sym", "sym")];
    assert_eq!(hopeless, wanted);
    for (a, b, cell) in cells() {
        let guessed = cell.met < 99 && !cell.is_hopeless();
        assert!(!guessed || cell.met > 40, "{a} to {b}: {} of 100", cell.met);
        assert!(cell.mappings <= MOST_MAPPINGS, "{a} to {b}: {} mappings", cell.mappings);
    }
}

/// The ports that the simulated boxes give out on request make the difference.
#[test]
fn a_leased_port_meets_everybody_and_without_it_the_same_box_meets_few() {
    let pairs: Vec<_> = RFC6081.map(|other| (rfc6081("u-sym"), other)).into();
    let with = Conditions::new(50.0, 0.05);
    assert_failures(&runs_in(&pairs, &with, 200), 0, 4);
    let without = runs_in(&pairs, &Conditions { leases: false, ..with }, 200);
    let met: Vec<u64> = without.iter().map(|(_, cell)| cell.met).collect();
    assert_eq!(met[..2], [200, 200], "{met:?}");
    assert!(met[2..].iter().all(|&met| met < 160), "{met:?}");
}

/// Two drawn ports behind filters that look at addresses only: each guess has two chances.
#[test]
fn two_address_symmetric_ends_meet_with_the_owners_word() {
    let kind = rfc6081("a-sym");
    let conditions = Conditions { limits: Limits::BIRTHDAY, ..Conditions::new(5.0, 0.0) };
    let cells = runs_in(&[(kind, kind)], &conditions, 200);
    assert_failures(&cells, 1, 800);
}

/// Nobody can do it with fewer than thousands of packets; and nobody is troubled by an attempt.
#[test]
fn a_hopeless_pair_is_told_so_without_a_packet() {
    let others = ["first", "seq+1", "seq-64", "blk4k", "random"];
    for (name, cell) in runs(&pairs(&["random"], &others), 5.0, 0.02, 200) {
        assert!(cell.is_hopeless(), "{name}: {cell:?}");
        assert_eq!((cell.wasted, cell.mappings), (0, 0), "{name}");
    }
}
