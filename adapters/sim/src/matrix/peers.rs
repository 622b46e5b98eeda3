//! What other systems reach: to stand beside the figures of a matrix.
//!
//! Figures are of models of what each system's published source does, with its constants: 25 ms one
//! way, five foreign mappings a second at each NAT unless the pair says otherwise, no loss, each
//! attempt alone. They are not measurements of running systems. Teredo's are from RFC 6081's text and
//! its figure 1.

use super::kinds::Kind;
use super::table::Table;

/// The systems of [`ROWS`], in their order.
pub const PEERS: [(&str, &str); 5] = [
    ("plain", "one port each: Tailscale, libp2p, iroh, ICE, Nebula, ZeroTier, Nabto Edge"),
    ("Teredo", "RFC 4380 with RFC 6081's extensions, all but its port mappings"),
    ("frp", "up to eight attempts, one after the other"),
    ("EasyTier", "one attempt"),
    ("HyperDHT", "one attempt"),
];

/// How often a pair meets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Share {
    /// At least 99 of 100 times.
    All,
    /// 20 to 98 of 100 times; `None`: sometimes, without a figure.
    Some(Option<u8>),
    /// Less than 20 of 100 times, or it is not tried.
    None,
}

/// What one system reaches with a class of pairs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reach {
    /// How often.
    pub share: Share,
    /// The median of both ends' packets, the highest where constants or kinds give several.
    pub packets: Option<u16>,
}

/// A class of pairs.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Short, for a table.
    pub name: &'static str,
    /// Names of the kinds of the one end and of the other, of [`super::KINDS`].
    pub ends: [&'static [&'static str]; 2],
    /// The lowest and highest rate of foreign mappings that the figures hold for.
    pub rates: (f64, f64),
    /// By [`PEERS`].
    pub peers: [Reach; 5],
}

const fn all(packets: u16) -> Reach {
    Reach { share: Share::All, packets: Some(packets) }
}

const fn part(percent: u8, packets: Option<u16>) -> Reach {
    Reach { share: Share::Some(Some(percent)), packets }
}

const ALL: Reach = Reach { share: Share::All, packets: None };
const PART: Reach = Reach { share: Share::Some(None), packets: None };
const NONE: Reach = Reach { share: Share::None, packets: None };

const CONES: &[&str] = &["cone", "addr", "port"];
const OPEN: &[&str] = &["cone", "addr"];
const PORT: &[&str] = &["port"];
const HARD: &[&str] =
    &["first", "adm+1", "seq+1", "seq+2", "seq+8", "seq-64", "blk512", "blk4k", "random"];
const QUIET: (f64, f64) = (0.0, 10.0);

const fn row(
    name: &'static str,
    ends: [&'static [&'static str]; 2],
    rates: (f64, f64),
    peers: [Reach; 5],
) -> Row {
    Row { name, ends, rates, peers }
}

/// Classes of pairs, and what each system reaches with them.
pub const ROWS: [Row; 16] = [
    row("EIM, EIM", [CONES, CONES], QUIET, [all(10), ALL, all(7), all(10), all(10)]),
    row("EDM, open EIM", [HARD, OPEN], QUIET, [all(8), PART, all(490), all(647), all(680)]),
    row("first, port", [&["first"], PORT], QUIET, [NONE, ALL, all(461), all(1_355), all(542)]),
    row("seq+1, port", [&["seq+1"], PORT], QUIET, [NONE, PART, ALL, all(250), all(552)]),
    row("seq+2, port", [&["seq+2"], PORT], QUIET, [NONE, PART, all(432), all(216), all(668)]),
    row(
        "seq+8, port",
        [&["seq+8"], PORT],
        QUIET,
        [NONE, NONE, all(480), part(95, Some(1_760)), all(682)],
    ),
    row("seq+1, port", [&["seq+1"], PORT], (50.0, 50.0), [NONE, NONE, all(522), all(268), ALL]),
    row(
        "blk512, port",
        [&["blk512"], PORT],
        QUIET,
        [NONE, NONE, all(457), part(95, Some(1_692)), all(604)],
    ),
    row(
        "random, port",
        [&["random"], PORT],
        QUIET,
        [NONE, NONE, part(97, Some(494)), part(85, Some(1_792)), all(648)],
    ),
    row("adm, adm", [&["adm+1"], &["adm+1"]], QUIET, [NONE, NONE, part(97, None), all(68), NONE]),
    row(
        "seq+1/+2, seq",
        [&["seq+1", "seq+2"], &["seq+1", "seq+2"]],
        QUIET,
        [NONE, NONE, NONE, all(68), NONE],
    ),
    row("seq+8, seq", [&["seq+8"], &["adm+1", "seq+1", "seq+2", "seq+8"]], QUIET, [NONE; 5]),
    row("first, first", [&["first"], &["first"]], QUIET, [NONE, ALL, NONE, NONE, NONE]),
    row(
        "first, seq",
        [&["first"], &["seq+1", "seq+2", "seq+8"]],
        QUIET,
        [NONE, PART, NONE, NONE, NONE],
    ),
    row("seq, blk512", [&["seq+1", "seq+2", "seq+8"], &["blk512"]], QUIET, [NONE; 5]),
    row("random, random", [&["random"], &["random"]], QUIET, [NONE; 5]),
];

impl Row {
    /// The lowest share and the highest median of packets of the pairs of a table that are in this
    /// class, either end first. `None`: there is none, it was not run, or its rate is another.
    #[must_use]
    pub fn ours(&self, table: &Table) -> Option<(f64, Option<u32>)> {
        let rate = table.conditions.rate;
        if rate < self.rates.0 || rate > self.rates.1 {
            return None;
        }
        let [one, other] = self.ends;
        let is_here = |a: Kind, b: Kind| {
            a.place().is_none() && one.contains(&a.name) && other.contains(&b.name)
        };
        let cells = table.pairs().filter(|&(a, b, _)| is_here(a, b) || is_here(b, a));
        let cells = cells.filter_map(|(.., cell)| cell).filter(|cell| cell.runs > 0);
        cells
            .map(|cell| (cell.rate(), cell.packets(0.5)))
            .reduce(|(share, packets), next| (share.min(next.0), packets.max(next.1)))
    }
}

/// Whether one packet each, from the sockets that the server sees to the ports that it sees, lets two
/// ends meet: both ports are known, or one is, and its own filter looks at no port.
#[must_use]
pub fn is_plain_enough(one: Kind, other: Kind) -> bool {
    let ((known, open), (other_known, other_open)) =
        (one.is_known_and_open(), other.is_known_and_open());
    known && (open || other_known) || other_known && other_open
}

/// What Teredo's specification says of a pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Teredo {
    /// It meets by RFC 4380.
    Yes,
    /// It meets by an extension of RFC 6081.
    Extension,
    /// It does not meet.
    No,
}

/// RFC 6081, figure 1: rows are the sources, columns the destinations; y for yes, e for an
/// extension, n for no.
const FIGURE_1: [&[u8; 9]; 9] = [
    b"yyyyeeeee",
    b"yyyyeeeen",
    b"yyyyneenn",
    b"yyyyennnn",
    b"eeneennnn",
    b"eeenneenn",
    b"eeennnnnn",
    b"eennnnnnn",
    b"ennnnnnnn",
];

/// What RFC 6081's figure 1 says of these two of its kinds.
#[must_use]
pub fn teredo(source: Kind, destination: Kind) -> Option<Teredo> {
    match FIGURE_1.get(source.place()?)?.get(destination.place()?)? {
        b'y' => Some(Teredo::Yes),
        b'e' => Some(Teredo::Extension),
        _ => Some(Teredo::No),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::{Conditions, KINDS, RFC6081, table};
    use core::ops::ControlFlow;

    /// The figure's own sums: a slip of the pen would change one.
    #[test]
    fn teredo_reaches_43_of_81_pairs_16_of_them_without_extensions() {
        let all = RFC6081.iter().flat_map(|&a| RFC6081.map(|b| teredo(a, b).unwrap()));
        let all: Vec<Teredo> = all.collect();
        let count = |what| all.iter().filter(|&&cell| cell == what).count();
        let sums = [Teredo::Yes, Teredo::Extension, Teredo::No].map(count);
        assert_eq!(sums, [16, 27, 38]);
        assert_eq!(teredo(RFC6081[5], RFC6081[6]), Some(Teredo::Extension));
        assert_eq!(teredo(RFC6081[6], RFC6081[5]), Some(Teredo::No));
        assert_eq!(teredo(KINDS[0], RFC6081[0]), None);
    }

    #[test]
    fn every_row_speaks_of_kinds_that_there_are() {
        for row in ROWS {
            for name in row.ends.into_iter().flatten() {
                assert!(KINDS.iter().any(|kind| kind.name == *name), "{name} in {}", row.name);
            }
        }
    }

    #[test]
    fn plain_punching_does_where_a_port_is_known_and_the_filter_does_not_mind() {
        let [cone, addr, port, first, ..] = KINDS;
        for (a, b, plain) in [
            (port, port, true),
            (cone, first, true),
            (first, addr, true),
            (first, port, false),
            (first, first, false),
        ] {
            assert_eq!(is_plain_enough(a, b), plain, "{} and {}", a.name, b.name);
        }
    }

    #[test]
    fn our_figure_of_a_class_is_its_worst_pair_s() {
        let kinds = [KINDS[2], KINDS[5], KINDS[11]];
        let go = |_| ControlFlow::Continue(());
        let table = table(&kinds, &Conditions::new(5.0, 0.0), 0..100, 2, go);
        let ours = |name| ROWS.iter().find(|row| row.name == name).unwrap().ours(&table);
        let both = [(0, 2), (2, 0)].map(|(row, column)| table.at(row, column).unwrap());
        let worst = both[0].rate().min(both[1].rate());
        let most = both[0].packets(0.5).max(both[1].packets(0.5));
        assert_eq!(ours("random, port"), Some((worst, most)));
        assert_eq!(ours("random, random"), Some((0.0, None)));
        assert_eq!(ours("first, first"), None);
        let busy = ROWS.iter().find(|row| row.rates.0 > 5.0).unwrap();
        assert_eq!(busy.ours(&table), None);
    }
}
