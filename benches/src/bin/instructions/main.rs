//! Counts the instructions of each operation under valgrind and holds them against budgets.
//!
//! Without arguments this program starts `valgrind --tool=callgrind` on itself once for each case and
//! prints a table; it fails when a budget is exceeded. Callgrind counts only what [`count_this`]
//! encloses, so that neither preparing an operation nor starting the program is in the figures. They
//! do not depend on the machine's load. Valgrind hides SHA-NI from the program, so SHA-256 is counted
//! in its portable form; AVX2 it knows.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measuring program prints, and stops when it cannot measure"
)]

mod cases;
mod valgrind;

use std::collections::BTreeMap;
use std::process::ExitCode;

use cases::CASES;

/// What callgrind counts. Its name is what `valgrind.rs` tells callgrind to look for.
#[inline(never)]
pub(crate) fn count_this(step: &mut dyn FnMut()) {
    step();
}

fn main() -> ExitCode {
    match std::env::args().nth(1) {
        None => table(),
        Some(name) => {
            // Under valgrind: one case.
            let case = CASES.iter().find(|case| case.name == name).unwrap();
            (case.run)(case.rounds);
            ExitCode::SUCCESS
        }
    }
}

fn table() -> ExitCode {
    println!("{:<32} {:>12} {:>12}", "operation", "instructions", "budget");
    let mut nothing = 0;
    let mut exceeded = 0;
    let mut counts = BTreeMap::new();
    for case in CASES {
        let measured = valgrind::instructions(case.name) / case.rounds;
        if case.name == cases::NOTHING {
            nothing = measured;
            continue;
        }
        let measured = measured.saturating_sub(nothing);
        counts.insert(case.name, measured);
        let verdict = match case.budget {
            Some(budget) if measured > budget => {
                exceeded += 1;
                format!("{budget:>12}  exceeded")
            }
            Some(budget) => format!("{budget:>12}"),
            None => format!("{:>12}", "-"),
        };
        println!("{:<32} {measured:>12} {verdict}", case.name);
    }
    let unequal = cases::TWINS.iter().filter(|(one, other)| {
        let differ = counts.get(one) != counts.get(other);
        if differ {
            println!("{one} and {other} do not cost the same");
        }
        differ
    });
    let unequal = unequal.count();
    if exceeded == 0 && unequal == 0 {
        ExitCode::SUCCESS
    } else {
        println!("{exceeded} above budget, {unequal} that tell where a secret differs");
        ExitCode::FAILURE
    }
}
