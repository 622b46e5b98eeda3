//! All pairs of some kinds of NAT, under the same conditions.

use core::ops::{ControlFlow, Range};
use core::time::Duration;

use genkan_core::punch::Limits;

use super::cell::{Cell, Progress, cells};
use super::kinds::Kind;
use super::peers::is_plain_enough;
use super::run::Lab;

/// Which pairs of a table are run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Pairs {
    /// Every one.
    #[default]
    All,
    /// Those that plain punching joins too ([`is_plain_enough`]): they must not fail, which takes
    /// more runs to see.
    Plain,
    /// The others.
    Hard,
}

impl Pairs {
    fn has(self, one: Kind, other: Kind) -> bool {
        match self {
            Self::All => true,
            Self::Plain => is_plain_enough(one, other),
            Self::Hard => !is_plain_enough(one, other),
        }
    }
}

/// What all pairs of a table have in common.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Conditions {
    /// Mappings a second that other users make at each of the two boxes.
    pub rate: f64,
    /// The chance of a packet's getting lost, 0 to 1.
    pub loss: f64,
    /// One-way delay of each of the three ways.
    pub delay: Duration,
    /// Up to this much longer, drawn for each packet.
    pub jitter: Duration,
    /// What each end can do.
    pub limits: Limits,
    /// Which pairs are run.
    pub pairs: Pairs,
    /// Whether ends ask for a port where a box gives out ports on request.
    pub leases: bool,
    /// How often each end has been measured before, five minutes before one another.
    pub history: u8,
}

impl Conditions {
    /// 25 ms one way and up to 3 ms more, a phone's limits.
    #[must_use]
    pub const fn new(rate: f64, loss: f64) -> Self {
        Self {
            rate,
            loss,
            delay: Duration::from_millis(25),
            jitter: Duration::from_millis(3),
            limits: Limits::LARGE,
            pairs: Pairs::All,
            leases: true,
            history: 0,
        }
    }

    /// What this pair tries in; `None`: a box would be full.
    #[must_use]
    pub fn lab(&self, issuer: Kind, acceptor: Kind) -> Option<Lab> {
        let room = [issuer, acceptor].iter().all(|kind| kind.has_room(self.rate));
        let lab = || Lab::new(issuer.config(self.rate), acceptor.config(self.rate));
        room.then(lab).map(|lab| Lab {
            limits: [self.limits; 2],
            delay: self.delay,
            jitter: self.jitter,
            loss: self.loss,
            leases: self.leases,
            history: (self.history, lab.history.1),
            ..lab
        })
    }
}

/// What became of all pairs.
#[derive(Clone, Debug)]
pub struct Table {
    /// Rows (the issuer's NAT) and columns (the acceptor's).
    pub kinds: Vec<Kind>,
    /// In what.
    pub conditions: Conditions,
    /// Row by row; `None`: a box would be full.
    cells: Vec<Option<Cell>>,
}

impl Table {
    /// What became of the pair in this row and column, counted from 0; `None`: a box would be full.
    /// Without any run when it was stopped before, or is not among the pairs that are run.
    #[must_use]
    pub fn at(&self, row: usize, column: usize) -> Option<&Cell> {
        let place = row.checked_mul(self.kinds.len())?.checked_add(column)?;
        self.cells.get(place).filter(|_| column < self.kinds.len())?.as_ref()
    }

    /// The two kinds and what became of them, row by row.
    pub fn pairs(&self) -> impl Iterator<Item = (Kind, Kind, Option<&Cell>)> {
        let all = self.kinds.iter().flat_map(|&row| self.kinds.iter().map(move |&to| (row, to)));
        all.zip(&self.cells).map(|((row, to), cell)| (row, to, cell.as_ref()))
    }

    /// Runs of all pairs.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.cells.iter().flatten().map(|cell| cell.runs).sum()
    }
}

/// Runs all pairs of these kinds, as [`cells`] does; a pair with a full box has no run.
pub fn table(
    kinds: &[Kind],
    conditions: &Conditions,
    seeds: Range<u64>,
    threads: usize,
    on_progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Table {
    let pairs = kinds.iter().flat_map(|&row| kinds.iter().map(move |&to| (row, to)));
    let mut labs = Vec::new();
    let mut all: Vec<Option<Cell>> = Vec::new();
    let mut run = Vec::new();
    for (row, to) in pairs {
        let lab = conditions.lab(row, to);
        if let Some(lab) = &lab
            && conditions.pairs.has(row, to)
        {
            run.push(all.len());
            labs.push(lab.clone());
        }
        all.push(lab.map(|_| Cell::default()));
    }
    for (place, cell) in run.into_iter().zip(cells(&labs, seeds, threads, on_progress)) {
        if let Some(place) = all.get_mut(place) {
            *place = Some(cell);
        }
    }
    Table { kinds: kinds.to_vec(), conditions: *conditions, cells: all }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::KINDS;

    fn small(threads: usize) -> Table {
        let kinds = [KINDS[2], KINDS[5], KINDS[9]];
        table(&kinds, &Conditions::new(50.0, 0.02), 0..130, threads, |_| ControlFlow::Continue(()))
    }

    #[test]
    fn each_pair_stands_in_its_place_whatever_the_number_of_threads() {
        let (one, three) = (small(1), small(3));
        assert_eq!(one.runs(), 4 * 130, "a block of 512 is full at this rate");
        for (row, column) in [(2, 0), (0, 2), (2, 2), (0, 3), (3, 0)] {
            assert_eq!(one.at(row, column), None, "{row}, {column}");
        }
        for ((a, b, cell), (.., other)) in one.pairs().zip(three.pairs()) {
            assert_eq!(cell, other, "{} and {}", a.name, b.name);
        }
        let [plain, counted] = [(0, 0), (0, 1)].map(|(row, column)| one.at(row, column).unwrap());
        assert!(plain.packets(0.5) < counted.packets(0.5), "{plain:?}, {counted:?}");
    }

    #[test]
    fn plain_and_hard_pairs_are_all_pairs() {
        let kinds = [KINDS[0], KINDS[2], KINDS[5]];
        let runs = [Pairs::All, Pairs::Plain, Pairs::Hard].map(|pairs| {
            let conditions = Conditions { pairs, ..Conditions::new(0.0, 0.0) };
            table(&kinds, &conditions, 0..2, 1, |_| ControlFlow::Continue(()))
        });
        assert_eq!(runs.each_ref().map(Table::runs), [9 * 2, 6 * 2, 3 * 2]);
        for (all, (plain, hard)) in runs[0].pairs().zip(runs[1].pairs().zip(runs[2].pairs())) {
            let cells = [plain.2.unwrap(), hard.2.unwrap()];
            assert!(cells.iter().filter(|cell| cell.runs > 0).eq([all.2.unwrap()].iter()));
        }
    }

    #[test]
    fn it_stops_when_it_is_told_to() {
        let mut calls = 0;
        let kinds = [KINDS[0], KINDS[2]];
        let stopped = table(&kinds, &Conditions::new(0.0, 0.0), 0..100_000, 2, |progress| {
            calls += 1;
            assert_eq!(progress.of, 400_000);
            ControlFlow::Break(())
        });
        assert_eq!(calls, 1);
        assert!((1..=64).contains(&stopped.runs()), "{}", stopped.runs());
        assert_eq!(stopped.at(1, 1).unwrap().runs, 0);
    }
}
