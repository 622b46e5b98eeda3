//! What a program is told.

use core::time::Duration;

use genkan_core::punch::{Hopeless, Method};
use genkan_sim::matrix::{Cell, Kind, Table};
use serde_json::{Value, json};

use crate::clock;
use crate::output::Output;

/// An event for each pair of a table.
pub(super) fn cells(table: &Table, output: &Output) {
    if output.is_json() {
        for (issuer, acceptor, cell) in table.pairs() {
            output.json(&pair(table, issuer, acceptor, cell));
        }
    }
}

fn pair(table: &Table, issuer: Kind, acceptor: Kind, cell: Option<&Cell>) -> Value {
    let conditions = &table.conditions;
    let millis = |took: Option<Duration>| took.map(|took| took.as_secs_f64() * 1_000.0);
    let ran = cell.filter(|cell| cell.runs > 0);
    let interval = ran.map(Cell::interval);
    let method = ran.and_then(Cell::plan).map(|plan| match plan {
        Ok(plan) => name(plan.method),
        Err(why) => reason(why),
    });
    json!({
        "event": "pair", "at": clock::micros(),
        "issuer": issuer.name, "acceptor": acceptor.name,
        "rate": conditions.rate, "loss": conditions.loss, "full": cell.is_none(),
        "runs": cell.map_or(0, |cell| cell.runs), "met": cell.map_or(0, |cell| cell.met),
        "hopeless": cell.map_or(0, |cell| cell.hopeless),
        "low": interval.map(|(low, _)| low), "high": interval.map(|(_, high)| high),
        "packets": ran.and_then(|cell| cell.packets(0.5)),
        "packets_99": ran.and_then(|cell| cell.packets(0.99)),
        "ms": millis(ran.and_then(|cell| cell.took(0.5))),
        "ms_99": millis(ran.and_then(|cell| cell.took(0.99))),
        "mappings": ran.map(|cell| cell.mappings),
        "mappings_50": ran.and_then(|cell| cell.made(0.5)), "method": method,
    })
}

const fn name(method: Method) -> &'static str {
    match method {
        Method::Direct => "direct",
        Method::First => "first",
        Method::BothFirst => "both-first",
        Method::Bracket => "bracket",
        Method::Ramp => "ramp",
        Method::Birthday => "birthday",
    }
}

const fn reason(why: Hopeless) -> &'static str {
    match why {
        Hopeless::BothUnpredictable => "both-unpredictable",
        Hopeless::Families => "families",
        Hopeless::Budget => "budget",
        Hopeless::Sockets => "sockets",
        _ => "hopeless",
    }
}

/// How much was done, and how long it took.
pub(super) fn sum(seeds: u64, tables: &[Table], took: Duration, output: &Output) {
    let runs: u64 = tables.iter().map(Table::runs).sum();
    let seconds = took.as_secs_f64();
    output.json(&json!({
        "event": "matrix", "at": clock::micros(), "seeds": seeds, "tables": tables.len(),
        "runs": runs, "seconds": seconds,
    }));
    output.line(format!(
        "{runs} runs in {seconds:.1} s, {:.0} a second",
        runs as f64 / seconds.max(1e-3)
    ));
}
