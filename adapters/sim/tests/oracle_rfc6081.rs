//! The 81 cells of RFC 6081 Figure 1, next to what the oracle says of the same NATs.
//!
//! Teredo reaches 43 of them. The others are no fate: a leased port serves whatever the other side
//! is, a counter can be predicted on both sides, and random ports can be met by many sockets. What
//! is left is left for a reason, which the oracle gives as a bound.

use genkan_sim::nat::presets::rfc6081;
use genkan_sim::oracle::{Budget, Conditions, End, Gate, Probability, Verdict, judge};

/// Figure 1, row by row: Y = "Yes", + = by an extension, - = "No".
const TEREDO: [&str; 9] = [
    "YYYY+++++", // Cone
    "YYYY++++-", // Address restricted
    "YYYY-++--", // Port restricted
    "YYYY+----", // UPnP Port-restricted
    "++-++----", // UPnP Port-symmetric
    "+++--++--", // Port-preserving Port-symmetric
    "+++------", // Sequential Port-symmetric
    "++-------", // Port-symmetric
    "+--------", // Address-symmetric
];

const COMMON: Budget = Budget { a: 1_024, b: 1_024 };

/// External addresses of the address-symmetric NAT.
const POOL: u32 = 4;

fn name(kind: usize) -> &'static str {
    rfc6081()[kind].0
}

/// An end behind the NAT of a row or column; asks for a lease where there is one.
fn end(id: u32, kind: usize) -> End {
    let config = rfc6081()[kind].1.clone();
    End::behind([Gate::new(id, config).pool(if kind == 8 { POOL } else { 1 })]).asking()
}

/// What the oracle says of a cell, and whether plain punching does it.
fn cell(row: usize, column: usize) -> (Probability, bool) {
    let judgement = judge(&end(1, row), &end(2, column));
    match judgement.verdict(COMMON, Conditions::default()) {
        Verdict::MustConnect => (Probability::ALWAYS, true),
        Verdict::May(p) => (p, false),
        Verdict::MustNotConnect(reason) => unreachable!("{row} {column}: {reason:?}"),
    }
}

fn cells() -> impl Iterator<Item = (usize, usize)> {
    (0..9).flat_map(|row| (0..9).map(move |column| (row, column)))
}

/// The cells whose two sides are random or address-symmetric against anything that has to be
/// predicted, and the restricted ones against address-symmetric.
fn hopeless(row: usize, column: usize) -> bool {
    let one_way = |a, b| (matches!(a, 7 | 8) && b >= 5) || (matches!(a, 1 | 2) && b == 8);
    one_way(row, column) || one_way(column, row)
}

#[test]
fn figure_1_is_copied_right() {
    let count = |mark| TEREDO.iter().flat_map(|row| row.chars()).filter(|&c| c == mark).count();
    assert_eq!((count('Y'), count('+'), count('-')), (16, 27, 38));
}

#[test]
#[expect(clippy::print_stdout, reason = "the table, for --nocapture")]
fn all_but_sixteen_cells_are_reachable_and_those_have_a_bound() {
    let mut reachable = 0;
    for (row, column) in cells() {
        let (p, plain) = cell(row, column);
        let names = format!("{} × {}: {p:?}", name(row), name(column));
        if hopeless(row, column) {
            // A pool decides with which address a packet comes; elsewhere two unknown ports have to
            // meet.
            let pools = usize::from(row == 8) + usize::from(column == 8);
            let most = [0.025, 1.0 / f64::from(POOL), 1.0 / f64::from(POOL * POOL)][pools];
            assert!(p.at_most <= most && !plain, "{names}");
        } else {
            assert!(p.reached >= 0.99, "{names}");
            reachable += 1;
        }
        println!("{names}{}", if plain { " plain" } else { "" });
    }
    assert_eq!(reachable, 65);
}

#[test]
fn whatever_teredo_reaches_the_oracle_does_not_deny() {
    for (row, column) in cells() {
        let teredo = TEREDO[row].as_bytes()[column];
        let (p, plain) = cell(row, column);
        assert!(teredo == b'-' || p.reached >= 0.99, "{} × {}", name(row), name(column));
        // What needs no extension at all is plain punching.
        assert!(teredo != b'Y' || plain, "{} × {}", name(row), name(column));
    }
}

#[test]
fn the_table_is_symmetric() {
    // Figure 1 is not (port-preserving × sequential works in one direction only); nothing in the
    // NATs makes a difference of who asks.
    for (row, column) in cells() {
        assert_eq!(cell(row, column), cell(column, row), "{} × {}", name(row), name(column));
    }
}
