//! Tables for people, as wide as the terminal allows.

use genkan_sim::matrix::peers::{self, PEERS, ROWS, Reach, Row, Share, Teredo};
use genkan_sim::matrix::{Cell, Table};

use crate::output::{DIM, GOOD, HEAD, Output};

/// Columns where nothing says how many there are; the last one stays free.
const COLUMNS: usize = 80;
/// A row's number and name, and a cell.
const NAME: usize = 10;
const CELL: usize = 5;
/// A class of pairs, one system's share with packets, and without.
const PAIR: usize = 15;
const PEER: usize = 10;
const MARK: usize = 7;
/// What met at least so often is good.
const MOST: f64 = 0.99;

fn room(output: &Output) -> usize {
    output.columns().unwrap_or(COLUMNS).saturating_sub(1)
}

/// Three lines for each row: the share, packets and time.
pub(super) fn table(table: &Table, output: &Output) {
    let conditions = &table.conditions;
    output.line(format!(
        "{HEAD}{} foreign mappings a second, {} % loss{HEAD:#}",
        conditions.rate,
        trimmed(conditions.loss * 100.0)
    ));
    let size = table.kinds.len();
    let fit = (room(output).saturating_sub(NAME) / CELL).max(1);
    // Pieces of about the same width.
    let wide = size.div_ceil(size.div_ceil(fit).max(1)).max(1);
    for from in (0..size).step_by(wide) {
        let columns = from..size.min(from + wide);
        let head: String = columns.clone().map(|column| format!("{:>CELL$}", column + 1)).collect();
        output.line(format!("{HEAD}{:NAME$}{head}{HEAD:#}", ""));
        for (row, kind) in table.kinds.iter().enumerate() {
            let cells = columns.clone().map(|column| table.at(row, column));
            let mut lines = [
                format!("{HEAD}{:>2} {:7}{HEAD:#}", row + 1, kind.name),
                format!("{:>NAME$}", "packets"),
                format!("{:>NAME$}", "ms"),
            ];
            for cell in cells {
                for (line, word) in lines.iter_mut().zip(words(cell)) {
                    *line += &word;
                }
            }
            output.line(&lines[0]);
            for line in &lines[1..] {
                output.line(format!("{DIM}{line}{DIM:#}"));
            }
        }
    }
    output.line("");
}

/// A number of percent without needless decimals.
fn trimmed(percent: f64) -> String {
    let text = format!("{percent:.3}");
    text.trim_end_matches('0').trim_end_matches('.').into()
}

/// What stands in a cell's three lines.
fn words(cell: Option<&Cell>) -> [String; 3] {
    let alone = |word: &str| {
        [format!("{DIM}{word:>CELL$}{DIM:#}"), format!("{:CELL$}", ""), format!("{:CELL$}", "")]
    };
    let Some(cell) = cell else { return alone("full") };
    if cell.runs == 0 {
        return alone("?");
    }
    if cell.is_hopeless() {
        return alone("–");
    }
    let percent = cell.percent();
    let share = if cell.rate() >= MOST {
        format!("{GOOD}{percent:>CELL$}{GOOD:#}")
    } else {
        format!("{percent:>CELL$}")
    };
    let packets = cell.packets(0.5).map_or_else(String::new, |packets| packets.to_string());
    let time = cell.took(0.5).map_or_else(String::new, |took| match took.as_millis() {
        millis @ 0..10_000 => millis.to_string(),
        _ => format!("{}s", took.as_secs()),
    });
    [share, format!("{packets:>CELL$}"), format!("{time:>CELL$}")]
}

/// What the kinds are, and what stands in a cell.
pub(super) fn legend(tables: &[Table], output: &Output) {
    let Some(table) = tables.first() else { return };
    for (number, kind) in table.kinds.iter().enumerate() {
        let what = format!("{:>2} {:7}{}", number + 1, kind.name, kind.what);
        wrapped(&what, NAME, output);
    }
    wrapped(
        "Rows: who asks; columns: who is asked for. Percent that met (cut off: 100 is all of \
         them), the medians of both ends' packets and of the time; – no way, told at once; full: \
         the box has no port left; ? not run. 25 to 28 ms one way.",
        0,
        output,
    );
}

/// Text that is broken at spaces; what follows the first line is moved in.
fn wrapped(text: &str, indent: usize, output: &Output) {
    let most = room(output);
    let mut line = String::new();
    let mut empty = true;
    for word in text.split_inclusive(' ') {
        let width = line.chars().count() + word.trim_end().chars().count();
        if width > most && !empty {
            output.line(format!("{DIM}{}{DIM:#}", line.trim_end()));
            (line, empty) = (" ".repeat(indent), true);
        }
        line += word;
        empty = empty && word.trim().is_empty();
    }
    output.line(format!("{DIM}{}{DIM:#}", line.trim_end()));
}

/// What other systems reach, beside ours.
pub(super) fn peers(tables: &[Table], output: &Output) {
    let mut told = false;
    for table in tables {
        if table.kinds.iter().all(|kind| kind.place().is_some()) {
            figure_1(table, output);
        } else {
            told |= classes(table, output);
        }
    }
    if told {
        wrapped(
            "Genkan: the worst pair's percent and median packets. Others: ● at least 99 %, ◐ 20 \
             to 98 %, ○ less or not tried; median packets where known. They are models of \
             published constants, not measurements.",
            0,
            output,
        );
        for (name, what) in PEERS {
            wrapped(&format!("{name}: {what}"), 2, output);
        }
    }
    output.line("");
}

/// Classes of pairs, as the figures of other systems are for these. `false`: there is none.
fn classes(table: &Table, output: &Output) -> bool {
    let rows: Vec<(&Row, (f64, Option<u32>))> =
        ROWS.iter().filter_map(|row| Some((row, row.ours(table)?))).collect();
    if rows.is_empty() {
        return false;
    }
    let with_packets = room(output) >= PAIR + (PEERS.len() + 1) * PEER;
    let wide = if with_packets { PEER } else { MARK };
    let conditions = &table.conditions;
    output.line("");
    wrapped(
        &format!(
            "At {} foreign mappings a second and {} % loss, and what models of others reach \
             without loss:",
            conditions.rate,
            trimmed(conditions.loss * 100.0)
        ),
        0,
        output,
    );
    let heads = PEERS.map(|(name, _)| format!("{:>wide$}", short(name, wide))).concat();
    output.line(format!("{HEAD}{:PAIR$}{:>wide$}{heads}{HEAD:#}", "pair", "Genkan"));
    for (row, (share, packets)) in rows {
        let tenths = (share * 1_000.0).floor() / 10.0;
        let mut ours = match share {
            0.0 => "–".into(),
            1.0.. => "100".into(),
            _ => format!("{tenths:.1}"),
        };
        if with_packets {
            ours += &packets.map_or_else(|| " ".repeat(5), |packets| format!(" {packets:>4}"));
        }
        let peers = row.peers.map(|reach| format!("{:>wide$}", words_of(reach, with_packets)));
        output.line(format!("{:PAIR$}{ours:>wide$}{}", row.name, peers.concat()));
    }
    true
}

fn short(name: &str, wide: usize) -> String {
    let known = [("EasyTier", "EasyT."), ("HyperDHT", "Hyper.")];
    let fits = name.len() < wide;
    let short = known.into_iter().find(|&(long, _)| long == name && !fits);
    short.map_or(name, |(_, short)| short).into()
}

fn words_of(reach: Reach, with_packets: bool) -> String {
    let share = match reach.share {
        Share::All => "●".into(),
        Share::Some(Some(percent)) => format!("◐{percent}"),
        Share::Some(None) => "◐".into(),
        Share::None => "○".into(),
    };
    match reach.packets {
        _ if !with_packets => share,
        Some(packets) => format!("{share} {packets:>4}"),
        None => format!("{share}     "),
    }
}

/// The nine kinds of RFC 6081, with what its figure 1 says of Teredo.
fn figure_1(table: &Table, output: &Output) {
    let (mut ours, mut theirs) = (0, 0);
    let conditions = &table.conditions;
    output.line("");
    output.line(format!(
        "{HEAD}Genkan and Teredo, {} a second, {} % loss{HEAD:#}",
        conditions.rate,
        trimmed(conditions.loss * 100.0)
    ));
    let numbers: String = (1..=table.kinds.len()).map(|place| format!("{place:>CELL$}")).collect();
    output.line(format!("{HEAD}{:NAME$}{numbers}{HEAD:#}", ""));
    let mut line = String::new();
    for (place, (row, column, cell)) in table.pairs().enumerate() {
        let meets = cell.is_some_and(|cell| cell.runs > 0 && cell.rate() >= MOST);
        let some = cell.is_some_and(|cell| cell.rate() >= 0.2);
        let teredo = peers::teredo(row, column).is_some_and(|said| said != Teredo::No);
        ours += u32::from(meets);
        theirs += u32::from(teredo);
        let mark = if meets {
            '●'
        } else if some {
            '◐'
        } else {
            '○'
        };
        line += &format!("   {mark}{}", if teredo { '●' } else { '○' });
        let size = table.kinds.len();
        if place % size == size - 1 {
            let name = format!("{:>2} {:7}", place / size + 1, row.name);
            output.line(format!("{HEAD}{name}{HEAD:#}{line}"));
            line.clear();
        }
    }
    let leases = match table.kinds.iter().any(|kind| kind.gives_leases()) {
        true if conditions.leases => " Ends behind u-port and u-sym asked for a port mapping.",
        true => " No end asked for a port mapping.",
        false => "",
    };
    wrapped(
        &format!(
            "● at least 99 %, ◐ at least 20 %, ○ less: first Genkan, then what RFC 6081 says of \
             Teredo. Of {} pairs Genkan joins {ours} and Teredo {theirs}.{leases}",
            table.pairs().count()
        ),
        0,
        output,
    );
}
